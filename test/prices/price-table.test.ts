import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Price, type PriceTableOptions, priceTable, type TokenUsage } from '../../src/adapters/prices.ts';
import { parseMoney } from '../../src/money.ts';

const gpt5 = { inputPerMTok: 1.25, cacheReadPerMTok: 0.125, outputPerMTok: 10 };
const sonnet = { inputPerMTok: 3, cacheReadPerMTok: 0.3, cacheWritePerMTok: 3.75, outputPerMTok: 15 };
const usage = (inputTokens: number, outputTokens: number, parts: Partial<TokenUsage> = {}): TokenUsage => ({
  inputTokens,
  outputTokens,
  ...parts,
});
const prices = priceTable({ 'gpt-5': gpt5, 'claude-sonnet-4-5': sonnet });
const gpt = { provider: 'openai.responses', modelId: 'gpt-5' };

/** Nano-USD. */
function nano(price: Price, given: TokenUsage, modelId = 'gpt-5'): number | undefined {
  const money = price(given, { modelId });
  return money === undefined ? undefined : parseMoney('price', money).usd;
}

describe('priceTable', () => {
  it.each([
    { name: 'input and output', model: 'gpt-5', given: usage(1000, 100), usd: '0.00225' },
    { name: 'input alone', model: 'gpt-5', given: usage(1, 0), usd: '0.00000125' },
    {
      name: 'a cache that was read',
      model: 'gpt-5',
      given: usage(1000, 100, { cacheReadTokens: 200 }),
      usd: '0.002025',
    },
    {
      name: 'reasoning, which is output',
      model: 'gpt-5',
      given: usage(1000, 100, { cacheReadTokens: 200, reasoningTokens: 40 }),
      usd: '0.002025',
    },
    {
      name: 'a cache that was written',
      model: 'claude-sonnet-4-5',
      given: usage(1000, 100, { cacheReadTokens: 200, cacheWriteTokens: 300 }),
      usd: '0.004185',
    },
    { name: 'input from a cache alone', model: 'gpt-5', given: usage(8, 0, { cacheReadTokens: 8 }), usd: '0.000001' },
  ])('prices $name', ({ model, given, usd }) => {
    expect(prices(given, { modelId: model })).toEqual({ usd });
    expect(prices(given, { modelId: model, provider: 'any' })).toEqual({ usd });
  });

  it('takes a cache that was read for input where no rate is given', () => {
    const price = priceTable({ m: { inputPerMTok: 2, outputPerMTok: 4 } });
    expect(nano(price, usage(1000, 0, { cacheReadTokens: 1000 }), 'm')).toBe(2_000_000);
  });

  it.each([
    { name: 'a model that is not listed', given: usage(1, 1), model: 'gpt-6' },
    { name: 'a dated id', given: usage(1, 1), model: 'gpt-5-2025-08-07' },
    { name: 'a longer name', given: usage(1, 1), model: 'gpt-5-mini' },
    { name: 'the name behind a prefix', given: usage(1, 1), model: 'openai/gpt-5' },
    { name: 'another case', given: usage(1, 1), model: 'GPT-5' },
    { name: 'a space', given: usage(1, 1), model: 'gpt-5 ' },
    { name: 'no name', given: usage(1, 1), model: '' },
    { name: 'what every object has', given: usage(1, 1), model: 'constructor' },
    { name: 'a prototype', given: usage(1, 1), model: '__proto__' },
    { name: 'a cache write without a rate', given: usage(10, 1, { cacheWriteTokens: 1 }), model: 'gpt-5' },
    { name: 'no input', given: usage(0, 1), model: 'gpt-5' },
    { name: 'NaN tokens', given: usage(Number.NaN, 1), model: 'gpt-5' },
    { name: 'NaN output', given: usage(1, Number.NaN), model: 'gpt-5' },
    { name: 'half a token', given: usage(1.5, 1), model: 'gpt-5' },
    { name: 'infinite output', given: usage(1, Number.POSITIVE_INFINITY), model: 'gpt-5' },
    { name: 'negative output', given: usage(1, -1), model: 'gpt-5' },
    { name: 'a negative part', given: usage(9, 1, { cacheReadTokens: -1 }), model: 'gpt-5' },
    { name: 'a missing count', given: { inputTokens: 1 } as TokenUsage, model: 'gpt-5' },
    { name: 'a count that is text', given: usage('9' as never, 1), model: 'gpt-5' },
    { name: 'a cache greater than the input', given: usage(9, 1, { cacheReadTokens: 10 }), model: 'gpt-5' },
    {
      name: 'caches that are greater together',
      given: usage(9, 1, { cacheReadTokens: 5, cacheWriteTokens: 5 }),
      model: 'claude-sonnet-4-5',
    },
    { name: 'more reasoning than output', given: usage(9, 1, { reasoningTokens: 2 }), model: 'gpt-5' },
    { name: 'more than money can hold', given: usage(Number.MAX_SAFE_INTEGER, 0), model: 'gpt-5' },
  ])('has no price for $name', ({ given, model }) => {
    expect(prices(given, { modelId: model })).toBeUndefined();
  });

  it('has a price up to the last amount that money can hold', () => {
    const price = priceTable({ m: { inputPerMTok: 1000, outputPerMTok: 0 } });
    const most = Math.floor(Number.MAX_SAFE_INTEGER / 1_000_000);
    expect(nano(price, usage(most, 0), 'm')).toBe(most * 1_000_000);
    expect(nano(price, usage(most + 1, 0), 'm')).toBeUndefined();
  });

  it('is free where that is written out, and nowhere else', () => {
    expect(nano(priceTable({ local: { inputPerMTok: 0, outputPerMTok: 0 } }), usage(5, 5), 'local')).toBe(0);
    expect(nano(priceTable({}), usage(5, 5), 'local')).toBeUndefined();
  });

  it('prices other ids by an alias alone', () => {
    const price = priceTable({ 'gpt-5': { ...gpt5, aliases: ['gpt-5-2025-08-07', 'openai/gpt-5'] } });
    for (const id of ['gpt-5', 'gpt-5-2025-08-07', 'openai/gpt-5']) expect(nano(price, usage(1, 0), id)).toBe(1250);
    for (const id of ['gpt-5-2025-08-08', 'azure/gpt-5']) expect(nano(price, usage(1, 0), id)).toBeUndefined();
  });

  it.each([
    { provider: 'openai', priced: true },
    { provider: 'openai.responses', priced: true },
    { provider: 'openai.chat', priced: true },
    { provider: 'openai-compatible', priced: false },
    { provider: 'openai/responses', priced: false },
    { provider: 'my.openai', priced: false },
    { provider: 'OpenAI', priced: false },
    { provider: 'azure.responses', priced: false },
    { provider: '', priced: false },
    { provider: undefined, priced: false },
  ])('of the provider openai holds for $provider: $priced', ({ provider, priced }) => {
    const price = priceTable({ 'gpt-5': gpt5 }, { providers: ['openai'] });
    expect(price(usage(1, 0), { modelId: 'gpt-5', provider }) !== undefined).toBe(priced);
  });

  it('of no provider holds for none', () => {
    expect(priceTable({ 'gpt-5': gpt5 }, { providers: [] })(usage(1, 0), gpt)).toBeUndefined();
  });

  it('composes with others', () => {
    const azure = priceTable({ 'gpt-5': { inputPerMTok: 2, outputPerMTok: 0 } }, { providers: ['azure'] });
    const both: Price = (given, model) => azure(given, model) ?? prices(given, model);
    expect(both(usage(1, 0), { provider: 'azure.chat', modelId: 'gpt-5' })).toEqual({ usd: '0.000002' });
    expect(both(usage(1, 0), gpt)).toEqual({ usd: '0.00000125' });
  });

  describe('with rates for long requests', () => {
    const price = priceTable({
      one: {
        inputPerMTok: 1,
        outputPerMTok: 2,
        longContext: { overInputTokens: 10, inputPerMTok: 3, outputPerMTok: 4 },
      },
      two: {
        inputPerMTok: 1,
        outputPerMTok: 2,
        cacheWritePerMTok: 1,
        longContext: [
          { overInputTokens: 10, inputPerMTok: 3, outputPerMTok: 4 },
          { overInputTokens: 20, inputPerMTok: 5, outputPerMTok: 6, cacheReadPerMTok: 1 },
        ],
      },
    });

    it.each([
      { model: 'one', given: usage(10, 1), nano: 12_000 },
      { model: 'one', given: usage(11, 1), nano: 37_000 },
      { model: 'two', given: usage(10, 1), nano: 12_000 },
      { model: 'two', given: usage(20, 1), nano: 64_000 },
      { model: 'two', given: usage(21, 1), nano: 111_000 },
      { model: 'two', given: usage(21, 1, { cacheReadTokens: 20 }), nano: 31_000 },
      { model: 'two', given: usage(10, 1, { cacheWriteTokens: 10 }), nano: 12_000 },
      { model: 'two', given: usage(11, 1, { cacheWriteTokens: 10 }), nano: undefined },
    ])('prices $given.inputTokens tokens of $model as a whole', ({ model, given, nano: expected }) => {
      expect(nano(price, given, model)).toBe(expected);
    });
  });

  it('keeps what it was made with', () => {
    const rates = { ...gpt5, aliases: ['a'] };
    const price = priceTable({ 'gpt-5': rates });
    rates.inputPerMTok = 0;
    rates.aliases.push('b');
    expect(nano(price, usage(1, 0), 'a')).toBe(1250);
    expect(nano(price, usage(1, 0), 'b')).toBeUndefined();
  });

  const rate = fc.oneof(
    fc.integer({ min: 0, max: 10_000 }).map((n) => ({ amount: n / 1000, text: String(n / 1000) })),
    fc
      .tuple(fc.integer({ min: 0, max: 500 }), fc.stringMatching(/^[0-9]{0,14}$/))
      .map(([whole, fraction]) => `${whole}${fraction === '' ? '' : `.${fraction}`}`)
      .map((text) => ({ amount: text, text })),
    fc.bigInt({ min: 0n, max: 100n }).map((amount) => ({ amount, text: String(amount) })),
  );
  const tokens = fc.oneof(fc.integer({ min: 0, max: 3_000_000 }), fc.integer({ min: 0, max: 20 }));

  /** A decimal as a fraction of 10^30, and rounded up to 10^-9 as a rate is. */
  function rational(text: string): bigint {
    const [whole = '', fraction = ''] = text.split('.');
    const exact = BigInt(whole + fraction.padEnd(30, '0'));
    const step = 10n ** 21n;
    return ((exact + step - 1n) / step) * step;
  }

  it('agrees with a sum of fractions that is rounded up once', () => {
    fc.assert(
      fc.property(rate, rate, rate, rate, tokens, tokens, tokens, tokens, (...given) => {
        const [input, output, read, write, fresh, cacheReadTokens, cacheWriteTokens, outputTokens] = given;
        const inputTokens = fresh + cacheReadTokens + cacheWriteTokens;
        fc.pre(inputTokens > 0);
        const price = priceTable({
          m: {
            inputPerMTok: input.amount,
            outputPerMTok: output.amount,
            cacheReadPerMTok: read.amount,
            cacheWritePerMTok: write.amount,
          },
        });
        const sum =
          BigInt(fresh) * rational(input.text) +
          BigInt(cacheReadTokens) * rational(read.text) +
          BigInt(cacheWriteTokens) * rational(write.text) +
          BigInt(outputTokens) * rational(output.text);
        // USD per million tokens of 10^-30, as nano-USD.
        const divisor = 10n ** 27n;
        const parts = { cacheReadTokens, cacheWriteTokens, reasoningTokens: outputTokens };
        expect(nano(price, usage(inputTokens, outputTokens, parts), 'm')).toBe(Number((sum + divisor - 1n) / divisor));
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    { name: 'no table', make: () => priceTable(undefined as never), error: TypeError, message: /object of rates/ },
    { name: 'an array', make: () => priceTable([] as never), error: TypeError, message: /object of rates.*array/ },
    { name: 'no rates', make: () => priceTable({ m: 1 as never }), error: TypeError, message: /priceTable\['m'\]/ },
    {
      name: 'an unknown rate',
      make: () => priceTable({ m: { ...gpt5, reasoningPerMTok: 1 } as never }),
      error: TypeError,
      message: /priceTable\['m'\]: unknown option `reasoningPerMTok`/,
    },
    {
      name: 'no rate of the output',
      make: () => priceTable({ m: { inputPerMTok: 1 } as never }),
      error: TypeError,
      message: /`priceTable\['m'\]\.outputPerMTok` must be an amount/,
    },
    {
      name: 'null for a rate',
      make: () => priceTable({ m: { ...gpt5, cacheReadPerMTok: null as never } }),
      error: TypeError,
      message: /cacheReadPerMTok/,
    },
    ...[Number.NaN, -1, Number.POSITIVE_INFINITY, '', '-1', '1e3', '1,5', 1e300, -1n].map((value) => ({
      name: `${typeof value} ${value}`,
      make: () => priceTable({ m: { ...gpt5, inputPerMTok: value } }),
      error: RangeError,
      message: /`priceTable\['m'\]\.inputPerMTok` must be an amount/,
    })),
    {
      name: 'an alias that is a model',
      make: () => priceTable({ a: { ...gpt5, aliases: ['b'] }, b: gpt5 }),
      error: RangeError,
      message: /lists 'b' twice/,
    },
    {
      name: 'an alias that two have',
      make: () => priceTable({ a: { ...gpt5, aliases: ['c'] }, b: { ...gpt5, aliases: ['c'] } }),
      error: RangeError,
      message: /lists 'c' twice/,
    },
    {
      name: 'an alias that is no text',
      make: () => priceTable({ a: { ...gpt5, aliases: [/gpt/ as never] } }),
      error: TypeError,
      message: /aliases\[0\]/,
    },
    {
      name: 'aliases that are no array',
      make: () => priceTable({ a: { ...gpt5, aliases: 'b' as never } }),
      error: TypeError,
      message: /aliases` must be an array/,
    },
    { name: 'an empty id', make: () => priceTable({ '': gpt5 }), error: RangeError, message: /1 to 256 characters/ },
    {
      name: 'long requests that begin nowhere',
      make: () => priceTable({ m: { ...gpt5, longContext: { ...gpt5, overInputTokens: 0 } } }),
      error: RangeError,
      message: /longContext\.overInputTokens` must be an integer >= 1/,
    },
    {
      name: 'long requests twice',
      make: () =>
        priceTable({
          m: { ...gpt5, longContext: [1, 1].map((overInputTokens) => ({ ...gpt5, overInputTokens })) },
        }),
      error: RangeError,
      message: /longContext` has the same/,
    },
    {
      name: 'an unknown rate of long requests',
      make: () => priceTable({ m: { ...gpt5, longContext: { ...gpt5, overInputTokens: 1, aliases: [] } as never } }),
      error: TypeError,
      message: /longContext: unknown option `aliases`/,
    },
    {
      name: 'an unknown option',
      make: () => priceTable({}, { provider: 'openai' } as PriceTableOptions),
      error: TypeError,
      message: /priceTable: unknown option `provider`/,
    },
    {
      name: 'providers that are no array',
      make: () => priceTable({}, { providers: 'openai' as never }),
      error: TypeError,
      message: /`priceTable\.providers` must be an array/,
    },
  ])('cannot be made with $name', ({ make, error, message }) => {
    let thrown: unknown;
    try {
      make();
    } catch (caught) {
      thrown = caught;
    }
    expect(thrown).toBeInstanceOf(error);
    expect((thrown as Error).message).toMatch(message);
  });
});
