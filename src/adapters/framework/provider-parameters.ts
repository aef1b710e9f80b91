/** What a provider is sent beside messages, in its own words. */
export type ProviderParameters = Readonly<Record<string, unknown>>;

/** What each provider is sent of its own in a request of the AI SDK, whose `providerOptions` have them by name. */
export function ownOptions(providerOptions: unknown): readonly ProviderParameters[] {
  return Object.values(Object(providerOptions)).map((options) => Object(options));
}

/** `max_tokens` and its like, in all providers' words. */
const LIMIT = /^max_?(completion_?|output_?)?tokens$/i;

/** Parameters among the others that are as they: of Google, of Bedrock, and what clients put into the body. */
const NESTED = ['generationConfig', 'inferenceConfig', 'extra_body', 'extraBody'];

/** How many tokens an answer may have at most. */
export function limitsIn(parameters: ProviderParameters): number[] {
  const all = levelsOf(parameters).flatMap((level) => Object.entries(level));
  return all.flatMap(([name, value]) => (LIMIT.test(name) && isLimit(value) ? [value] : []));
}

/** The same parameters without those limits, whatever they say: another number is sent in their place. */
export function withoutLimits(parameters: ProviderParameters): ProviderParameters {
  const kept = Object.entries(parameters).filter(([name]) => !LIMIT.test(name));
  return Object.fromEntries(
    kept.map(([name, value]) => [name, NESTED.includes(name) && namesLimit(value) ? withoutLimits(value) : value]),
  );
}

export function namesLimit(value: unknown): value is ProviderParameters {
  return levelsOf(value).some((level) => Object.keys(level).some((name) => LIMIT.test(name)));
}

/** The parameters, and those that are nested in them. */
function levelsOf(value: unknown): readonly ProviderParameters[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  return [value as ProviderParameters, ...NESTED.flatMap((name) => levelsOf((value as ProviderParameters)[name]))];
}

/** The model that they name in place of the one that they are sent to. */
export function modelIn(parameters: ProviderParameters): string | undefined {
  const { model } = withNested(parameters);
  return typeof model === 'string' ? model : undefined;
}

/** How many tokens of an answer are for reasoning: of Anthropic, and of OpenRouter. The limit has to be greater. */
export function reasoningIn(parameters: ProviderParameters): number {
  const { thinking, reasoning } = withNested(parameters);
  return Math.max(0, ...[Object(thinking).budget_tokens, Object(reasoning).max_tokens].filter(isLimit));
}

export function isLimit(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

/** By which the provider adds to the prompt what it has kept; in the words of the AI SDK, too, as the others here. */
const CONTINUING = /^(previous_?response_?id|conversation|thread|prompt|container|cached_?content)$/i;

/** By which it searches or calls tools by itself: of Anthropic, OpenAI, xAI and OpenRouter. */
const READING = /^(mcp_?servers|web_?search_?options|search_?parameters|plugins)$/i;

/** @throws {TypeError} the provider adds to the prompt what nobody can count from here, or reads it more than once. */
export function checkCountable(parameters: ProviderParameters, where: string): void {
  const all = withNested(parameters);
  const said = Object.entries(all).flatMap(([name, value]) => (isThere(value) ? [name] : []));
  const says = (names: RegExp): boolean => said.some((name) => names.test(name));
  if (says(CONTINUING)) throw uncountable('what the provider kept of earlier requests', where);
  const { tools, compactionTrigger, contextManagement, context_management } = all;
  if ((Array.isArray(tools) && !tools.every(isFunctionTool)) || says(READING)) {
    throw uncountable('what the tools of a provider read', where);
  }
  const management = JSON.stringify([contextManagement, context_management]);
  if (compactionTrigger === true || says(/^compaction$/) || management.includes('"type":"compact')) {
    throw uncountable('the summaries of a provider', where);
  }
}

function isThere(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== null;
}

export function uncountable(what: string, where: string): TypeError {
  return new TypeError(
    `nobody can tell how many tokens ${what} are: say so with the option \`inputTokens\` of ${where}`,
  );
}

/** How many answers it is to give, or to choose from. */
const ANSWERS = /^(n|best_?of|candidate_?count)$/i;

/** @throws {TypeError} the provider is to answer more than once, or with other models, which have prices of their own. */
export function checkOneAnswer(parameters: ProviderParameters, where: string): void {
  const all = withNested(parameters);
  for (const [name, count] of Object.entries(all)) {
    if (ANSWERS.test(name) && typeof count === 'number' && count > 1) {
      throw new TypeError(`${where} knows requests for one answer, got one for ${count}`);
    }
  }
  const { models, fallbacks } = all;
  // Of gateways such as Vercel's and OpenRouter, and of Anthropic, which takes `'default'` too.
  if ([models, fallbacks].some((others) => (Array.isArray(others) ? others.length > 0 : others === 'default'))) {
    throw new TypeError(
      `${where} knows requests to one model, got one with others to fall back on: nobody can tell what its answer costs`,
    );
  }
}

function withNested(parameters: ProviderParameters): ProviderParameters {
  return Object.assign({}, ...levelsOf(parameters));
}

/** Of OpenAI, Anthropic, Google and Bedrock. */
function isFunctionTool(tool: unknown): boolean {
  const { type, function: declared, input_schema, functionDeclarations, toolSpec } = Object(tool) as ProviderParameters;
  return (
    type === 'function' || [declared, input_schema, functionDeclarations, toolSpec].some((part) => part !== undefined)
  );
}
