import { uncountable } from './prompt-bound.ts';

/** What a provider is sent beside messages, in its own words. */
export type ProviderParameters = Readonly<Record<string, unknown>>;

/** `max_tokens` and its like, in all providers' words. */
const LIMIT = /^max_?(completion_?|output_?)?tokens$/i;

/** How many tokens an answer may have at most. Also one object down: in `generationConfig` of Google, or `extra_body`. */
export function limitsIn(parameters: ProviderParameters): number[] {
  const all = Object.entries(parameters).flatMap(([name, value]) =>
    isParameters(value) ? Object.entries(value) : [[name, value]],
  );
  return all.flatMap(([name, value]) => (LIMIT.test(name as string) && isLimit(value) ? [value] : []));
}

/** The same parameters without those limits, whatever they say: another number is sent in their place. */
export function withoutLimits(parameters: ProviderParameters): ProviderParameters {
  const kept = Object.entries(parameters).filter(([name]) => !LIMIT.test(name));
  return Object.fromEntries(kept.map(([name, value]) => [name, namesLimit(value, 0) ? withoutLimits(value) : value]));
}

/** Also one object down, as `limitsIn`. */
export function namesLimit(value: unknown, depth = 1): value is ProviderParameters {
  if (!isParameters(value)) return false;
  return Object.entries(value).some(([name, each]) => LIMIT.test(name) || (depth > 0 && namesLimit(each, depth - 1)));
}

function isParameters(value: unknown): value is ProviderParameters {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isLimit(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

/** By which the provider adds to the prompt what it has kept. */
const CONTINUING = ['previous_response_id', 'conversation', 'prompt', 'container', 'cachedContent', 'cached_content'];

/** @throws {TypeError} the provider adds to the prompt what nobody can count from here. */
export function checkCountable(parameters: ProviderParameters, where: string): void {
  const all = withExtras(parameters);
  if (CONTINUING.some((name) => all[name] !== undefined && all[name] !== null)) {
    throw uncountable('what the provider kept of earlier requests', where);
  }
  // Of `mcp_servers` Anthropic calls the tools by itself.
  const { tools, mcp_servers: servers } = all;
  if ((Array.isArray(tools) && !tools.every(isFunctionTool)) || (Array.isArray(servers) && servers.length > 0)) {
    throw uncountable('what the tools of a provider read', where);
  }
}

/** @throws {TypeError} the provider is to answer more than once, or with other models, which have prices of their own. */
export function checkOneAnswer(parameters: ProviderParameters, where: string): void {
  const { n, candidateCount = n, models, fallbacks } = withExtras(parameters);
  if (typeof candidateCount === 'number' && candidateCount > 1) {
    throw new TypeError(`${where} knows requests for one answer, got one for ${candidateCount}`);
  }
  // Of gateways such as Vercel's and OpenRouter, and of Anthropic, which takes `'default'` too.
  if ([models, fallbacks].some((others) => (Array.isArray(others) ? others.length > 0 : others === 'default'))) {
    throw new TypeError(
      `${where} knows requests to one model, got one with others to fall back on: nobody can tell what its answer costs`,
    );
  }
}

function withExtras(parameters: ProviderParameters): ProviderParameters {
  const { generationConfig, extra_body, extraBody } = parameters;
  return { ...parameters, ...Object(generationConfig), ...Object(extra_body), ...Object(extraBody) };
}

/** Of OpenAI, Anthropic, Google and Bedrock. */
function isFunctionTool(tool: unknown): boolean {
  const { type, function: declared, input_schema, functionDeclarations, toolSpec } = Object(tool) as ProviderParameters;
  return (
    type === 'function' || [declared, input_schema, functionDeclarations, toolSpec].some((part) => part !== undefined)
  );
}
