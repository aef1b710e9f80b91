import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normalizeUsage, type TokenUsage } from '../../src/adapters/prices.ts';

/** What providers and frameworks report for one request of which everything is known. */
interface Shape {
  readonly name: string;
  readonly tell: (truth: Truth) => unknown;
  /** What it cannot tell apart, and is then not told. */
  readonly without?: readonly (keyof TokenUsage)[];
}

type Truth = Required<{ [Key in keyof TokenUsage]: number }>;

const TRUTH: Truth = {
  inputTokens: 1000,
  outputTokens: 100,
  cacheReadTokens: 200,
  cacheWriteTokens: 300,
  reasoningTokens: 40,
};
const total = ({ inputTokens, outputTokens }: Truth): number => inputTokens + outputTokens;
const fresh = (t: Truth): number => t.inputTokens - t.cacheReadTokens - t.cacheWriteTokens;

const nested = (t: Truth) => ({
  inputTokens: {
    total: t.inputTokens,
    noCache: fresh(t),
    cacheRead: t.cacheReadTokens,
    cacheWrite: t.cacheWriteTokens,
  },
  outputTokens: { total: t.outputTokens, text: t.outputTokens - t.reasoningTokens, reasoning: t.reasoningTokens },
});
const anthropic = (t: Truth) => ({
  input_tokens: fresh(t),
  cache_creation_input_tokens: t.cacheWriteTokens,
  cache_read_input_tokens: t.cacheReadTokens,
  cache_creation: { ephemeral_5m_input_tokens: t.cacheWriteTokens, ephemeral_1h_input_tokens: 0 },
  output_tokens: t.outputTokens,
  output_tokens_details: { thinking_tokens: t.reasoningTokens },
  server_tool_use: null,
  service_tier: 'standard',
});
const google = (t: Truth) => ({
  promptTokenCount: t.inputTokens,
  cachedContentTokenCount: t.cacheReadTokens,
  candidatesTokenCount: t.outputTokens - t.reasoningTokens,
  thoughtsTokenCount: t.reasoningTokens,
  totalTokenCount: total(t),
});
const responses = (t: Truth) => ({
  input_tokens: t.inputTokens,
  input_tokens_details: { cached_tokens: t.cacheReadTokens, cache_write_tokens: t.cacheWriteTokens },
  output_tokens: t.outputTokens,
  output_tokens_details: { reasoning_tokens: t.reasoningTokens },
  total_tokens: total(t),
});
const chat = (t: Truth) => ({
  prompt_tokens: t.inputTokens,
  completion_tokens: t.outputTokens,
  total_tokens: total(t),
  prompt_tokens_details: { cached_tokens: t.cacheReadTokens, cache_write_tokens: t.cacheWriteTokens, audio_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: t.reasoningTokens, accepted_prediction_tokens: 0 },
});
const langchain = (t: Truth) => ({
  input_tokens: t.inputTokens,
  output_tokens: t.outputTokens,
  total_tokens: total(t),
  input_token_details: { cache_read: t.cacheReadTokens, cache_creation: t.cacheWriteTokens, audio: 0 },
  output_token_details: { reasoning: t.reasoningTokens },
});
const agents = (t: Truth) => ({
  requests: 1,
  inputTokens: t.inputTokens,
  outputTokens: t.outputTokens,
  totalTokens: total(t),
  inputTokensDetails: [{ cached_tokens: t.cacheReadTokens, cache_write_tokens: t.cacheWriteTokens }],
  outputTokensDetails: [{ reasoning_tokens: t.reasoningTokens }],
});
/** Specification 2, of a provider that counts caches as OpenAI does. */
const flat = (t: Truth) => ({
  inputTokens: t.inputTokens,
  outputTokens: t.outputTokens,
  totalTokens: total(t),
  reasoningTokens: t.reasoningTokens,
  cachedInputTokens: t.cacheReadTokens,
});
/** Specification 2 of Anthropic: neither the input nor the total has caches in it. */
const flatAnthropic = (t: Truth) => ({
  inputTokens: fresh(t),
  outputTokens: t.outputTokens,
  totalTokens: fresh(t) + t.outputTokens,
  cachedInputTokens: t.cacheReadTokens,
});

const shapes: readonly Shape[] = [
  { name: 'TokenUsage', tell: (t) => t },
  { name: 'AI SDK specification 3 and 4', tell: nested },
  {
    name: 'AI SDK specification 4 with raw',
    tell: (t) => ({ ...nested(t), raw: { ...anthropic(t), iterations: [] } }),
  },
  {
    name: 'AI SDK 6 and 7, of a step',
    tell: (t) => ({
      inputTokens: t.inputTokens,
      inputTokenDetails: {
        noCacheTokens: fresh(t),
        cacheReadTokens: t.cacheReadTokens,
        cacheWriteTokens: t.cacheWriteTokens,
      },
      outputTokens: t.outputTokens,
      outputTokenDetails: { textTokens: t.outputTokens - t.reasoningTokens, reasoningTokens: t.reasoningTokens },
      totalTokens: total(t),
      reasoningTokens: t.reasoningTokens,
      cachedInputTokens: t.cacheReadTokens,
    }),
  },
  {
    name: 'AI SDK 5 of OpenAI',
    tell: (t) => ({
      usage: flat(t),
      providerMetadata: { openai: { usage: { cacheWriteTokens: t.cacheWriteTokens } } },
    }),
  },
  {
    name: 'AI SDK 5 of Azure',
    tell: (t) => ({ usage: flat(t), providerMetadata: { azure: { responseId: 'r' } } }),
    without: ['cacheWriteTokens'],
  },
  {
    name: 'AI SDK 5 of Anthropic',
    tell: (t) => ({
      type: 'finish',
      usage: flatAnthropic(t),
      providerMetadata: { anthropic: { usage: anthropic(t), cacheCreationInputTokens: t.cacheWriteTokens } },
    }),
  },
  {
    name: 'AI SDK 5 of Anthropic, before it told its own usage',
    tell: (t) => ({
      usage: flatAnthropic(t),
      providerMetadata: { anthropic: { usage: null, cacheCreationInputTokens: t.cacheWriteTokens } },
    }),
    without: ['reasoningTokens'],
  },
  {
    name: 'AI SDK 5 of Bedrock',
    tell: (t) => ({
      usage: flatAnthropic(t),
      providerMetadata: { bedrock: { usage: { cacheWriteInputTokens: t.cacheWriteTokens } } },
    }),
    without: ['reasoningTokens'],
  },
  {
    name: 'AI SDK 5 of Google',
    tell: (t) => ({
      usage: { ...flat(t), outputTokens: t.outputTokens - t.reasoningTokens },
      providerMetadata: { google: { usageMetadata: google(t) } },
    }),
    without: ['cacheWriteTokens'],
  },
  { name: 'OpenAI chat completions', tell: chat },
  {
    name: 'chat completions with reasoning in the total alone',
    tell: (t) => ({ ...chat(t), completion_tokens: t.outputTokens - t.reasoningTokens }),
  },
  { name: 'OpenAI responses', tell: responses },
  { name: 'an OpenAI response', tell: (t) => ({ id: 'resp_1', object: 'response', usage: responses(t) }) },
  { name: 'Anthropic', tell: anthropic },
  { name: 'an Anthropic message', tell: (t) => ({ type: 'message', usage: { ...anthropic(t), iterations: null } }) },
  { name: 'Google', tell: google, without: ['cacheWriteTokens'] },
  {
    name: 'a Google response',
    tell: (t) => ({ candidates: [], usageMetadata: google(t) }),
    without: ['cacheWriteTokens'],
  },
  {
    name: 'Google with results of tools',
    tell: (t) => ({ ...google(t), promptTokenCount: t.inputTokens - 1, toolUsePromptTokenCount: 1 }),
    without: ['cacheWriteTokens'],
  },
  {
    name: 'Bedrock',
    tell: (t) => ({
      inputTokens: fresh(t),
      outputTokens: t.outputTokens,
      totalTokens: total(t),
      cacheReadInputTokens: t.cacheReadTokens,
      cacheWriteInputTokens: t.cacheWriteTokens,
    }),
    without: ['reasoningTokens'],
  },
  { name: 'LangChain usage_metadata', tell: langchain },
  { name: 'a LangChain message', tell: (t) => ({ content: '', usage_metadata: langchain(t), response_metadata: {} }) },
  {
    name: 'LangChain of Google, with thoughts in the total alone',
    tell: (t) => ({
      input_tokens: t.inputTokens,
      output_tokens: t.outputTokens - t.reasoningTokens,
      total_tokens: total(t),
      input_token_details: { cache_read: t.cacheReadTokens },
    }),
    without: ['cacheWriteTokens', 'reasoningTokens'],
  },
  { name: 'OpenAI Agents', tell: agents },
  {
    name: 'one request of OpenAI Agents',
    tell: (t) => ({ ...agents(t), inputTokensDetails: agents(t).inputTokensDetails[0] }),
  },
  { name: 'a ModelResponse of OpenAI Agents', tell: (t) => ({ usage: agents(t), output: [] }) },
  {
    name: 'Mastra of specification 3',
    tell: (t) => ({ ...flat(t), cacheCreationInputTokens: t.cacheWriteTokens, raw: nested(t) }),
  },
  {
    name: 'Mastra of specification 2 of Anthropic',
    tell: (t) => ({ ...flatAnthropic(t), cacheCreationInputTokens: t.cacheWriteTokens, raw: flatAnthropic(t) }),
    without: ['reasoningTokens'],
  },
  {
    name: 'Mastra of a span',
    tell: (t) => ({
      inputTokens: t.inputTokens,
      outputTokens: t.outputTokens,
      inputDetails: { text: fresh(t), cacheRead: t.cacheReadTokens, cacheWrite: t.cacheWriteTokens },
      outputDetails: { reasoning: t.reasoningTokens },
    }),
  },
];

/** What the shape can tell of it. */
function told(truth: Truth, without: Shape['without'] = []): object {
  return Object.fromEntries(Object.entries(truth).filter(([key]) => !without.includes(key as keyof TokenUsage)));
}

describe('normalizeUsage', () => {
  it.each(shapes)('reads $name', ({ tell, without }) => {
    const truth = without?.includes('cacheWriteTokens') ? { ...TRUTH, cacheWriteTokens: 0 } : TRUTH;
    expect(normalizeUsage(tell(truth))).toEqual(told(truth, without));
  });

  const count = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 2_000_000 }));
  const anyTruth: fc.Arbitrary<Truth> = fc
    .tuple(count, count, count, count, count)
    .filter(([first, read, write]) => first + read + write > 1)
    .map(([first, cacheReadTokens, cacheWriteTokens, text, reasoningTokens]) => ({
      inputTokens: first + cacheReadTokens + cacheWriteTokens,
      outputTokens: text + reasoningTokens,
      cacheReadTokens,
      cacheWriteTokens,
      reasoningTokens,
    }));

  it.each(shapes)('reads $name whatever the counts are', ({ tell, without }) => {
    fc.assert(
      fc.property(anyTruth, (any) => {
        const truth = without?.includes('cacheWriteTokens')
          ? { ...any, inputTokens: any.inputTokens + 1, cacheWriteTokens: 0 }
          : any;
        expect(normalizeUsage(tell(truth))).toEqual(told(truth, without));
      }),
      { numRuns: 100 },
    );
  });

  it.each(shapes)('reads from $name the same as from what it made of it', ({ tell }) => {
    const usage = normalizeUsage(tell({ ...TRUTH, cacheWriteTokens: 0 }));
    expect(normalizeUsage(usage)).toEqual(usage);
  });

  it.each([
    { name: 'OpenAI chat', raw: { prompt_tokens: 7, completion_tokens: 3 } },
    { name: 'OpenAI responses or Anthropic', raw: { input_tokens: 7, output_tokens: 3 } },
    { name: 'Google', raw: { promptTokenCount: 7, candidatesTokenCount: 3 } },
    { name: 'the AI SDK 5', raw: { inputTokens: 7, outputTokens: 3, totalTokens: 10 } },
    { name: 'older frameworks', raw: { promptTokens: 7, completionTokens: 3 } },
    { name: 'the AI SDK 7', raw: { inputTokens: { total: 7 }, outputTokens: { total: 3 } } },
    { name: 'Google Live', raw: { promptTokenCount: 7, responseTokenCount: 3 } },
    { name: 'details that are null', raw: { prompt_tokens: 7, completion_tokens: 3, prompt_tokens_details: null } },
    {
      name: 'caches that are null',
      raw: { input_tokens: 7, output_tokens: 3, cache_read_input_tokens: null, cache_creation_input_tokens: null },
    },
    { name: 'a total of 0', raw: { input_tokens: 7, output_tokens: 3, total_tokens: 0 } },
  ])('reads $name without details', ({ raw }) => {
    expect(normalizeUsage(raw)).toEqual({ inputTokens: 7, outputTokens: 3 });
  });

  describe('where nobody knows whether the input has the cache in it', () => {
    const dearer = { inputTokens: 1200, outputTokens: 100, cacheReadTokens: 200 };

    it.each([
      { name: 'of specification 2', raw: { inputTokens: 1000, outputTokens: 100, cachedInputTokens: 200 } },
      {
        name: 'of specification 2 of a provider that is not known',
        raw: {
          usage: { inputTokens: 1000, outputTokens: 100, cachedInputTokens: 200 },
          providerMetadata: { mine: {} },
        },
      },
      {
        name: 'of specification 2 in the form of 3',
        raw: { inputTokens: { total: 1000, noCache: undefined, cacheRead: 200 }, outputTokens: { total: 100 } },
      },
      {
        name: 'of the AI SDK 6 without uncached input',
        raw: { inputTokens: 1000, inputTokenDetails: { cacheReadTokens: 200 }, outputTokens: 100 },
      },
      {
        name: 'of parts that are more than the whole',
        raw: { inputTokens: { total: 1000, noCache: 900, cacheRead: 200 }, outputTokens: { total: 100 } },
      },
    ])('takes the reading that costs more: $name', ({ raw }) => {
      expect(normalizeUsage(raw)).toEqual(dearer);
    });

    it('does not lose output for it that the total tells', () => {
      const raw = { inputTokens: 100, outputTokens: 10, reasoningTokens: 50, totalTokens: 160, cachedInputTokens: 90 };
      expect(normalizeUsage(raw)).toMatchObject({ inputTokens: 190, outputTokens: 60 });
    });
  });

  it('takes a cache greater than the input as beside it', () => {
    const raw = { input_tokens: 5, output_tokens: 1, input_tokens_details: { cached_tokens: 100 } };
    expect(normalizeUsage(raw)).toEqual({ inputTokens: 105, outputTokens: 1, cacheReadTokens: 100 });
  });

  it('takes reasoning greater than the output as beside it', () => {
    const raw = { prompt_tokens: 5, completion_tokens: 1, completion_tokens_details: { reasoning_tokens: 30 } };
    expect(normalizeUsage(raw)).toEqual({ inputTokens: 5, outputTokens: 31, reasoningTokens: 30 });
  });

  it('reads a Google response without candidates by its total', () => {
    expect(normalizeUsage({ promptTokenCount: 9, totalTokenCount: 9 })).toEqual({ inputTokens: 9, outputTokens: 0 });
    expect(normalizeUsage({ promptTokenCount: 9, totalTokenCount: 29, thoughtsTokenCount: 20 })).toEqual({
      inputTokens: 9,
      outputTokens: 20,
      reasoningTokens: 20,
    });
  });

  it('adds what the provider tells and a framework leaves out of its sums', () => {
    // Of @ai-sdk/google, which knows no tokens of tools, and of providers that copy OpenAI.
    const told = { inputTokens: { total: 9, noCache: 9, cacheRead: 0 }, outputTokens: { total: 5, reasoning: 2 } };
    const raw = { promptTokenCount: 9, candidatesTokenCount: 3, thoughtsTokenCount: 2 };
    const expected = { inputTokens: 9, outputTokens: 5, reasoningTokens: 2 };
    expect(normalizeUsage({ ...told, raw: { ...raw, totalTokenCount: 14 } })).toEqual(expected);
    expect(normalizeUsage({ ...told, raw: { ...raw, totalTokenCount: 84, toolUsePromptTokenCount: 70 } })).toEqual({
      ...expected,
      inputTokens: 79,
    });
    expect(normalizeUsage({ ...told, raw: { ...raw, totalTokenCount: 84 } })).toMatchObject({ outputTokens: 75 });
    const completion = { prompt_tokens: 9, completion_tokens: 5, total_tokens: 44 };
    expect(normalizeUsage({ ...told, raw: completion })).toMatchObject({ inputTokens: 9, outputTokens: 35 });
    expect(normalizeUsage({ ...told, raw: { ...completion, total_tokens: 14 } })).toMatchObject(expected);
    expect(normalizeUsage({ ...told, raw: { ...completion, total_tokens: 'many' } })).toBeUndefined();
  });

  it('adds up the requests of a run of OpenAI Agents', () => {
    const raw = {
      requests: 2,
      inputTokens: 30,
      outputTokens: 12,
      totalTokens: 42,
      inputTokensDetails: [{ cached_tokens: 5 }, {}, { cached_tokens: 7, cache_write_tokens: 1 }],
      outputTokensDetails: [{ reasoning_tokens: 2 }, { reasoning_tokens: 3 }],
    };
    expect(normalizeUsage(raw)).toEqual({
      inputTokens: 30,
      outputTokens: 12,
      cacheReadTokens: 12,
      cacheWriteTokens: 1,
      reasoningTokens: 5,
    });
  });

  it('takes the counts of a run of Mastra and not those of its last step', () => {
    const lastStep = nested({ ...TRUTH, inputTokens: 600 });
    const raw = { ...flat(TRUTH), cacheCreationInputTokens: 300, raw: lastStep };
    expect(normalizeUsage(raw)).toEqual(TRUTH);
  });

  it('adds thoughts to candidates where Google tells no total', () => {
    const raw = { promptTokenCount: 9, candidatesTokenCount: 20, thoughtsTokenCount: 5 };
    expect(normalizeUsage(raw)).toEqual({ inputTokens: 9, outputTokens: 25, reasoningTokens: 5 });
  });

  it.each([
    { field: 'cache_read_input_tokens', expected: { inputTokens: 12, outputTokens: 3, cacheReadTokens: 5 } },
    { field: 'cache_creation_input_tokens', expected: { inputTokens: 12, outputTokens: 3, cacheWriteTokens: 5 } },
  ])('knows Anthropic by $field alone', ({ field, expected }) => {
    expect(normalizeUsage({ input_tokens: 7, output_tokens: 3, [field]: 5 })).toEqual(expected);
  });

  describe('of Anthropic with iterations', () => {
    const message = { type: 'message', input_tokens: 400, output_tokens: 100 };
    const compaction = {
      type: 'compaction',
      input_tokens: 50,
      output_tokens: 20,
      cache_read_input_tokens: 7,
      cache_creation_input_tokens: 0,
    };
    const withCompaction = { ...anthropic(TRUTH), iterations: [compaction, message] };
    const expected = { ...TRUTH, inputTokens: 1057, outputTokens: 120, cacheReadTokens: 207, cacheWriteTokens: 300 };

    it('adds compaction, which the sums leave out', () => {
      expect(normalizeUsage(withCompaction)).toEqual(expected);
      expect(normalizeUsage({ ...nested(TRUTH), raw: withCompaction })).toEqual(expected);
    });

    it('adds compaction that LangChain leaves out, and knows nothing where it was lost', () => {
      const message = { content: 'x', usage_metadata: langchain(TRUTH), response_metadata: { usage: withCompaction } };
      expect(normalizeUsage(message)).toEqual(expected);
      expect(normalizeUsage({ ...message, response_metadata: { usage: anthropic(TRUTH) } })).toEqual(TRUTH);
      const streamed = { ...message, content: [{ type: 'compaction' }, { type: 'text' }], response_metadata: {} };
      expect(normalizeUsage(streamed)).toBeUndefined();
      expect(normalizeUsage({ ...streamed, content: [{ type: 'text' }] })).toEqual(TRUTH);
    });

    it('adds compaction where no cache is told', () => {
      const raw = { input_tokens: 7, output_tokens: 3, iterations: [compaction] };
      expect(normalizeUsage(raw)).toMatchObject({ inputTokens: 64, outputTokens: 23 });
    });

    it('adds nothing for messages, which are in the sums', () => {
      expect(normalizeUsage({ ...anthropic(TRUTH), iterations: [message, message] })).toEqual(TRUTH);
    });

    it.each(['advisor_message', 'fallback_message', 'a later invention', undefined])('has no usage with %s', (type) => {
      const iterations = [message, { ...message, type }];
      expect(normalizeUsage({ ...anthropic(TRUTH), iterations })).toBeUndefined();
      expect(normalizeUsage({ ...nested(TRUTH), raw: { ...anthropic(TRUTH), iterations } })).toBeUndefined();
      const usage = flatAnthropic(TRUTH);
      const metadata = { anthropic: { usage: { ...anthropic(TRUTH), iterations } } };
      expect(normalizeUsage({ usage, providerMetadata: metadata })).toBeUndefined();
    });

    it('has no usage where compaction lacks a count', () => {
      const iterations = [{ type: 'compaction', input_tokens: 50 }];
      expect(normalizeUsage({ ...anthropic(TRUTH), iterations })).toBeUndefined();
    });
  });

  it.each([
    { name: 'nothing', raw: undefined },
    { name: 'null', raw: null },
    { name: 'a number', raw: 7 },
    { name: 'text', raw: '{"input_tokens":7,"output_tokens":3}' },
    { name: 'an array', raw: [{ input_tokens: 7, output_tokens: 3 }] },
    { name: 'an empty object', raw: {} },
    { name: 'a total alone', raw: { total_tokens: 10 } },
    { name: 'a promise of usage', raw: Promise.resolve({ inputTokens: 7, outputTokens: 3 }) },
    { name: 'a response whose usage is to come', raw: { usage: null, input_tokens: undefined } },
    { name: 'usage of the AI SDK 7 that the provider did not tell', raw: { inputTokens: {}, outputTokens: {} } },
    { name: 'usage of the AI SDK 5 that the provider did not tell', raw: { inputTokens: undefined, totalTokens: 9 } },
    { name: 'the result of several steps', raw: { steps: [], usage: { inputTokens: 7, outputTokens: 3 } } },
    { name: 'zeros of OpenAI Agents', raw: { requests: 1, inputTokens: 0, outputTokens: 0, inputTokensDetails: [] } },
    { name: 'zeros of LangChain', raw: { input_tokens: 0, output_tokens: 0, total_tokens: 0 } },
    { name: 'output without input', raw: { input_tokens: 0, output_tokens: 9 } },
    { name: 'input that is null', raw: { input_tokens: null, output_tokens: 9, cache_read_input_tokens: 3 } },
    { name: 'no output', raw: { input_tokens: 7 } },
    { name: 'no completion', raw: { prompt_tokens: 7, total_tokens: 10 } },
    { name: 'no candidates and no total', raw: { promptTokenCount: 7 } },
    { name: 'a negative count', raw: { input_tokens: 7, output_tokens: -1 } },
    { name: 'half a token', raw: { input_tokens: 7.5, output_tokens: 1 } },
    { name: 'NaN', raw: { prompt_tokens: Number.NaN, completion_tokens: 1 } },
    { name: 'a count as text', raw: { inputTokens: '7', outputTokens: 1 } },
    { name: 'a count as bigint', raw: { inputTokens: 7n, outputTokens: 1 } },
    { name: 'a part that is no count', raw: { ...chat(TRUTH), prompt_tokens_details: { cached_tokens: 'some' } } },
    { name: 'a part that is negative', raw: { ...anthropic(TRUTH), cache_read_input_tokens: -1 } },
    { name: 'a total that is no count', raw: { ...responses(TRUTH), total_tokens: Number.NaN } },
    { name: 'reasoning that is no count', raw: { ...langchain(TRUTH), output_token_details: { reasoning: 1.5 } } },
    {
      name: 'one request that is no count',
      raw: { ...agents(TRUTH), inputTokensDetails: [{ cached_tokens: 1 }, { cached_tokens: '1' }] },
    },
    { name: 'uncached input that is no count', raw: { ...nested(TRUTH), inputTokens: { total: -1, noCache: -1 } } },
    { name: 'more than can be counted', raw: { input_tokens: 2 ** 53, output_tokens: 1 } },
  ])('finds no usage in $name', ({ raw }) => {
    expect(normalizeUsage(raw)).toBeUndefined();
  });

  it('never throws, and gives nothing that cannot be true', () => {
    const keys = [...new Set(shapes.flatMap(({ tell }) => keysOf(tell(TRUTH))))];
    const leaf = fc.oneof(count, fc.constantFrom(undefined, null, -1, 0.5, Number.NaN, '7', 2 ** 53, true));
    const { usage } = fc.letrec((tie) => ({
      usage: fc.dictionary(
        fc.constantFrom(...keys),
        fc.oneof({ maxDepth: 3 }, leaf, leaf, tie('usage'), fc.array(tie('usage'), { maxLength: 3 })),
        { maxKeys: 8 },
      ),
    }));
    fc.assert(
      fc.property(usage, (raw) => {
        const found = normalizeUsage(raw);
        if (found === undefined) return;
        const { inputTokens, outputTokens, cacheReadTokens = 0, cacheWriteTokens = 0, reasoningTokens = 0 } = found;
        for (const each of Object.values(found)) expect(Number.isSafeInteger(each) && each >= 0).toBe(true);
        expect(inputTokens).toBeGreaterThan(0);
        expect(cacheReadTokens + cacheWriteTokens).toBeLessThanOrEqual(inputTokens);
        expect(reasoningTokens).toBeLessThanOrEqual(outputTokens);
      }),
      { numRuns: 5_000 },
    );
  });
});

function keysOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [...(Array.isArray(value) ? [] : [key]), ...keysOf(inner)]);
}
