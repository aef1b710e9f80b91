import { isCount, isPlausible, type TokenUsage } from './token-usage.ts';

type Fields = Readonly<Record<string, unknown>>;

/** What a provider or a framework tells, in its own terms. A count that cannot be read is NaN, which no sum loses. */
interface Told {
  readonly input: number | undefined;
  readonly output: number | undefined;
  readonly cacheRead?: number | undefined;
  readonly cacheWrite?: number | undefined;
  readonly reasoning?: number | undefined;
  /** Of everything: what it has beyond `input` and `output` was left out of them. */
  readonly total?: number | undefined;
  /** Whether `input` has the tokens of the caches in it. Where nobody knows it is taken not to: that costs more. */
  readonly cacheInside: boolean;
}

/**
 * The usage that a provider or a framework reports, in one form: that of the AI SDK 5, 6 and 7 (of models, steps and
 * results), OpenAI (chat completions, responses and what copies them), Anthropic, Google, Amazon Bedrock, LangChain
 * (`usage_metadata`), the OpenAI Agents SDK, Mastra, and `TokenUsage` itself. Takes the usage, or the one response that
 * has it as `usage`, `usageMetadata` or `usage_metadata`.
 *
 * Nothing is counted twice or left out: caches and reasoning are parts of the totals, whether the source adds them or
 * keeps them apart; what a reported total has beyond its parts counts as output. AI SDK 5 does not say whether the input
 * has the cache in it, and Anthropic's does not: hand over the whole result or finish part, whose `providerMetadata`
 * tells. Of the bare usage the reading that costs more is taken, and cache writes are missing.
 *
 * Undefined where the input or the output is missing, is no count, or is an input of 0, which no request has; for usage
 * of other models (Anthropic's advisor and fallback); and for the result of several steps.
 */
export function normalizeUsage(raw: unknown): TokenUsage | undefined {
  if (!isFields(raw) || 'steps' in raw) return undefined;
  const usage = [raw['usage'], raw['usageMetadata'], raw['usage_metadata']].find(isFields) ?? raw;
  const told =
    usage === raw['usage_metadata'] ? readMessage(raw, usage) : read(usage, fieldsOf(raw, 'providerMetadata'));
  return told === undefined ? undefined : settle(told);
}

function settle(told: Told): TokenUsage | undefined {
  const { input, output, cacheRead, cacheWrite, reasoning, total = 0 } = told;
  if (input === undefined || output === undefined) return undefined;
  const cached = (cacheRead ?? 0) + (cacheWrite ?? 0);
  const allOutput = Math.max(output, total - input);
  const usage: TokenUsage = {
    inputTokens: told.cacheInside && cached <= input ? input : input + cached,
    outputTokens: reasoning !== undefined && reasoning > allOutput ? allOutput + reasoning : allOutput,
    ...(cacheRead === undefined ? undefined : { cacheReadTokens: cacheRead }),
    ...(cacheWrite === undefined ? undefined : { cacheWriteTokens: cacheWrite }),
    ...(reasoning === undefined ? undefined : { reasoningTokens: reasoning }),
  };
  return isPlausible(usage) ? usage : undefined;
}

function read(usage: Fields, metadata: Fields | undefined): Told | undefined {
  if (isFields(usage['inputTokens'])) return readNested(usage, usage['inputTokens']);
  if ('inputTokens' in usage || 'promptTokens' in usage) return readFlat(usage, metadata);
  if ('prompt_tokens' in usage) return readChatCompletion(usage);
  if ('promptTokenCount' in usage) return readGoogle(usage);
  if ('cache_read_input_tokens' in usage || 'cache_creation_input_tokens' in usage || 'iterations' in usage) {
    return readAnthropic(usage);
  }
  return 'input_tokens' in usage ? readSnakeCase(usage) : undefined;
}

/** Model specifications 3 and 4 of the AI SDK. */
function readNested(usage: Fields, input: Fields): Told | undefined {
  const raw = fieldsOf(usage, 'raw');
  // Anthropic's compaction is in these sums but for its cache, and its advisor is not.
  if (raw !== undefined && hasIterations(raw)) return readAnthropic(raw);
  // What the tools of Google read is left out of these sums.
  if (raw !== undefined && 'promptTokenCount' in raw) return readGoogle(raw);
  const output = fieldsOf(usage, 'outputTokens');
  const told = {
    input: count(input, 'total'),
    output: count(output, 'total'),
    cacheRead: count(input, 'cacheRead'),
    cacheWrite: count(input, 'cacheWrite'),
    reasoning: count(output, 'reasoning'),
    // Of chat completions: some leave reasoning out of the rest.
    total: count(raw, 'total_tokens'),
  };
  return { ...told, cacheInside: addsUp(told, count(input, 'noCache')) };
}

/** Input that no cache had is told, and leaves room: a model of specification 2 that was made into a later one tells none. */
function addsUp(
  { input = 0, cacheRead = 0, cacheWrite = 0 }: Omit<Told, 'cacheInside'>,
  noCache = Number.NaN,
): boolean {
  return noCache + cacheRead + cacheWrite <= input;
}

/** Numbers at the top, details beside them: under which name tells whose they are. */
function readFlat(usage: Fields, metadata: Fields | undefined): Told | undefined {
  const counts = {
    input: count(usage, 'inputTokens', 'promptTokens'),
    output: count(usage, 'outputTokens', 'completionTokens'),
    reasoning: count(usage, 'reasoningTokens'),
    total: count(usage, 'totalTokens'),
  };
  const sdk = fieldsOf(usage, 'inputTokenDetails');
  if (sdk !== undefined) {
    const told = {
      ...counts,
      cacheRead: count(sdk, 'cacheReadTokens'),
      cacheWrite: count(sdk, 'cacheWriteTokens'),
      reasoning: count(fieldsOf(usage, 'outputTokenDetails'), 'reasoningTokens'),
    };
    return { ...told, cacheInside: addsUp(told, count(sdk, 'noCacheTokens')) };
  }
  if ('inputTokensDetails' in usage) {
    // OpenAI Agents: one entry for each request of a run, in OpenAI's names.
    return {
      ...counts,
      cacheRead: sum(usage['inputTokensDetails'], 'cached_tokens'),
      cacheWrite: sum(usage['inputTokensDetails'], 'cache_write_tokens'),
      reasoning: sum(usage['outputTokensDetails'], 'reasoning_tokens'),
      cacheInside: true,
    };
  }
  const mastra = fieldsOf(usage, 'inputDetails');
  if (mastra !== undefined) {
    return {
      ...counts,
      cacheRead: count(mastra, 'cacheRead'),
      cacheWrite: count(mastra, 'cacheWrite'),
      reasoning: count(fieldsOf(usage, 'outputDetails'), 'reasoning'),
      cacheInside: true,
    };
  }
  if ('cacheReadInputTokens' in usage || 'cacheWriteInputTokens' in usage) {
    // Bedrock: its total has the cache in it, its input has not.
    const cacheRead = count(usage, 'cacheReadInputTokens');
    const cacheWrite = count(usage, 'cacheWriteInputTokens');
    return { ...counts, total: undefined, cacheRead, cacheWrite, cacheInside: false };
  }
  if ('cacheReadTokens' in usage || 'cacheWriteTokens' in usage) {
    const cacheRead = count(usage, 'cacheReadTokens');
    const cacheWrite = count(usage, 'cacheWriteTokens');
    return { ...counts, cacheRead, cacheWrite, cacheInside: true };
  }
  return readSpecification2(usage, counts, metadata);
}

/** Specification 2 of the AI SDK, and Mastra's own form of all of them, which keeps what it was made from. */
function readSpecification2(usage: Fields, counts: Omit<Told, 'cacheInside'>, metadata: Fields = {}): Told | undefined {
  const anthropic = fieldsOf(metadata, 'anthropic');
  const message = fieldsOf(anthropic, 'usage');
  if (message !== undefined) return readAnthropic(message);
  const google = fieldsOf(fieldsOf(metadata, 'google'), 'usageMetadata');
  if (google !== undefined) return readGoogle(google);
  const openai = fieldsOf(metadata, 'openai') ?? fieldsOf(metadata, 'azure');
  const bedrock = fieldsOf(metadata, 'bedrock');
  // Of a run Mastra keeps the last step's: good for telling the kind, not for its counts.
  const nested = fieldsOf(fieldsOf(usage, 'raw'), 'inputTokens');
  return {
    ...counts,
    cacheRead: count(usage, 'cachedInputTokens'),
    cacheWrite:
      count(usage, 'cacheCreationInputTokens') ??
      count(anthropic, 'cacheCreationInputTokens') ??
      count(fieldsOf(openai, 'usage'), 'cacheWriteTokens') ??
      count(fieldsOf(bedrock, 'usage'), 'cacheWriteInputTokens'),
    cacheInside: openai !== undefined || count(nested, 'noCache') !== undefined,
  };
}

/** OpenAI's chat completions. Others that speak it leave reasoning out of the completion, and in the total. */
function readChatCompletion(usage: Fields): Told {
  const details = fieldsOf(usage, 'prompt_tokens_details');
  return {
    input: count(usage, 'prompt_tokens'),
    output: count(usage, 'completion_tokens'),
    cacheRead: count(details, 'cached_tokens'),
    cacheWrite: count(details, 'cache_write_tokens'),
    reasoning: count(fieldsOf(usage, 'completion_tokens_details'), 'reasoning_tokens'),
    total: count(usage, 'total_tokens'),
    cacheInside: true,
  };
}

/** A message of LangChain, whose sums leave out what Anthropic tells of compaction; of a stream they have lost it. */
function readMessage(message: Fields, usage: Fields): Told | undefined {
  const anthropic = fieldsOf(fieldsOf(message, 'response_metadata'), 'usage');
  if (anthropic !== undefined && hasIterations(anthropic)) return readAnthropic(anthropic);
  const { content } = message;
  const isCompacted =
    Array.isArray(content) && content.some((block) => isFields(block) && block['type'] === 'compaction');
  return isCompacted ? undefined : read(usage, undefined);
}

/** OpenAI's responses and LangChain's `usage_metadata`, which name their details differently. */
function readSnakeCase(usage: Fields): Told {
  const openai = fieldsOf(usage, 'input_tokens_details');
  const langchain = fieldsOf(usage, 'input_token_details');
  return {
    input: count(usage, 'input_tokens'),
    output: count(usage, 'output_tokens'),
    cacheRead: count(openai, 'cached_tokens') ?? count(langchain, 'cache_read'),
    cacheWrite: count(openai, 'cache_write_tokens') ?? count(langchain, 'cache_creation'),
    reasoning:
      count(fieldsOf(usage, 'output_tokens_details'), 'reasoning_tokens') ??
      count(fieldsOf(usage, 'output_token_details'), 'reasoning'),
    total: count(usage, 'total_tokens'),
    cacheInside: true,
  };
}

/** Caches are beside the input (https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching), compaction beside all. */
function readAnthropic(usage: Fields): Told | undefined {
  const parts = [usage];
  for (const iteration of Array.isArray(usage['iterations']) ? usage['iterations'] : []) {
    const type: unknown = isFields(iteration) ? iteration['type'] : undefined;
    if (type === 'compaction') parts.push(iteration);
    // An advisor or a fallback is another model, with rates of its own.
    else if (type !== 'message') return undefined;
  }
  return {
    input: sumOfAll(parts, 'input_tokens'),
    output: sumOfAll(parts, 'output_tokens'),
    cacheRead: sum(parts, 'cache_read_input_tokens'),
    cacheWrite: sum(parts, 'cache_creation_input_tokens'),
    reasoning: count(fieldsOf(usage, 'output_tokens_details'), 'thinking_tokens'),
    cacheInside: false,
  };
}

function hasIterations(usage: Fields): boolean {
  return Array.isArray(usage['iterations']) && usage['iterations'].length > 0;
}

/** Thoughts and results of tools are beside the rest: https://ai.google.dev/api/generate-content#UsageMetadata. */
function readGoogle(usage: Fields): Told {
  const prompt = count(usage, 'promptTokenCount');
  const input = prompt === undefined ? undefined : prompt + (count(usage, 'toolUsePromptTokenCount') ?? 0);
  const reasoning = count(usage, 'thoughtsTokenCount');
  const total = count(usage, 'totalTokenCount');
  // Counts of 0 are left out: the total then tells that there were no candidates.
  const candidates =
    count(usage, 'candidatesTokenCount', 'responseTokenCount') ?? (total === undefined ? undefined : 0);
  return {
    input,
    output: candidates === undefined ? undefined : candidates + (reasoning ?? 0),
    cacheRead: count(usage, 'cachedContentTokenCount'),
    reasoning,
    total,
    cacheInside: true,
  };
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fieldsOf(fields: Fields | undefined, key: string): Fields | undefined {
  const value = fields?.[key];
  return isFields(value) ? value : undefined;
}

/** The count under the first of these names that is there; NaN where something else is. */
function count(fields: Fields | undefined, ...names: readonly string[]): number | undefined {
  const value = names.map((name) => fields?.[name]).find((each) => each !== undefined && each !== null);
  return value === undefined ? undefined : isCount(value) ? value : Number.NaN;
}

/** Of those parts that have it: undefined where none has. */
function sum(parts: unknown, name: string): number | undefined {
  const counts = (Array.isArray(parts) ? parts : [parts]).map((part) => count(isFields(part) ? part : undefined, name));
  return counts.reduce((a, b) => (a === undefined || b === undefined ? (a ?? b) : a + b), undefined);
}

/** Of all parts: undefined where one lacks it. */
function sumOfAll(parts: readonly Fields[], name: string): number | undefined {
  return parts.some((part) => count(part, name) === undefined) ? undefined : sum(parts, name);
}
