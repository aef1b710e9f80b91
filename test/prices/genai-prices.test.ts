import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type CalcPrice,
  fromGenaiPrices,
  type GenaiPrice,
  type GenaiPricesOptions,
  type Price,
} from '../../src/adapters/prices.ts';
import { parseMoney } from '../../src/money.ts';

const usage = { inputTokens: 1000, outputTokens: 100, cacheReadTokens: 200 };

/** What genai-prices answers for a model that it knows by these rules. */
function found(total: number, more: Partial<GenaiPrice> = {}): GenaiPrice {
  return {
    input_price: 1,
    output_price: 1,
    total_price: total,
    model: { id: 'gpt-5', match: { or: [{ equals: 'gpt-5' }, { or: [{ equals: 'gpt-5-2025-08-07' }] }] } },
    provider: { id: 'openai', provider_match: { or: [{ contains: 'openai' }, { equals: 'oai' }] } },
    ...more,
  };
}

type Asked = Parameters<CalcPrice>;

/** A price by this answer, and what it asked for. */
function priced(
  answer: unknown,
  options?: GenaiPricesOptions,
): { readonly price: Price; readonly asked: readonly Asked[] } {
  const asked: Asked[] = [];
  const calcPrice: CalcPrice = (...given) => {
    asked.push(given);
    return (typeof answer === 'function' ? answer() : answer) as GenaiPrice;
  };
  return { price: fromGenaiPrices(calcPrice, options), asked };
}

describe('fromGenaiPrices', () => {
  it('asks with every count, and gives what it is told', () => {
    const { price, asked } = priced(found(0.002025));
    expect(price({ ...usage, reasoningTokens: 40 }, { provider: 'openai', modelId: 'gpt-5' })).toEqual({
      usd: '0.002025',
    });
    const counts = { input_tokens: 1000, output_tokens: 100, cache_read_tokens: 200, cache_write_tokens: 0 };
    expect(asked).toEqual([[counts, 'gpt-5', { providerId: 'openai' }]]);
  });

  it('asks for writes that live an hour where that is said', () => {
    const { price, asked } = priced(found(1), { cacheRetention: '1h' });
    price({ ...usage, cacheWriteTokens: 5 }, { modelId: 'gpt-5' });
    expect(asked[0]?.[0]).toMatchObject({ cache_write_tokens: 5, cache_write_1h_tokens: 5 });
  });

  it.each([
    { name: 'null', answer: null },
    { name: 'undefined', answer: undefined },
    {
      name: 'a throw',
      answer: () => {
        throw new Error('Invalid usage data');
      },
    },
    { name: 'a promise', answer: Promise.resolve(found(1)) },
    { name: 'another kind of answer', answer: { total_price: 1 } },
    { name: 'a number', answer: 1 },
    { name: 'zero', answer: found(0) },
    { name: 'minus zero', answer: found(-0) },
    { name: 'a negative price', answer: found(-1) },
    { name: 'NaN', answer: found(Number.NaN) },
    { name: 'infinity', answer: found(Number.POSITIVE_INFINITY) },
    { name: 'more than money can hold', answer: found(9_007_200) },
    { name: 'a price as text', answer: found('abc' as never) },
    { name: 'no price', answer: found(undefined as never) },
    { name: 'input for nothing', answer: found(1, { input_price: 0 }) },
    { name: 'output for nothing', answer: found(1, { output_price: 0 }) },
    { name: 'no price of the input', answer: found(1, { input_price: undefined as never }) },
    { name: 'NaN for the output', answer: found(1, { output_price: Number.NaN }) },
    { name: 'another model', answer: found(1, { model: { id: 'gpt-5x', match: { starts_with: 'gpt' } } }) },
    {
      name: 'a model by a rule among others',
      answer: found(1, { model: { id: 'x', match: { and: [{ equals: 'gpt-5' }] } } }),
    },
    { name: 'a model without rules', answer: found(1, { model: { id: 'x', match: undefined as never } }) },
    {
      name: 'another provider',
      answer: found(1, { provider: { id: 'not-openai', provider_match: { contains: 'openai' } } }),
    },
    { name: 'a provider without rules', answer: found(1, { provider: { id: 'azure' } }) },
  ])('has no price for $name', ({ answer }) => {
    const { price } = priced(answer);
    expect(price(usage, { provider: 'openai.chat', modelId: 'gpt-5' })).toBeUndefined();
  });

  it('needs no price of output where there is none', () => {
    const { price } = priced(found(1, { output_price: 0 }));
    expect(price({ inputTokens: 5, outputTokens: 0 }, { modelId: 'gpt-5' })).toEqual({ usd: '1' });
  });

  it.each([
    { name: 'no input', given: { inputTokens: 0, outputTokens: 1 } },
    { name: 'a missing count', given: { outputTokens: 1 } as never },
    { name: 'a cache greater than the input', given: { inputTokens: 1, outputTokens: 1, cacheReadTokens: 2 } },
    { name: 'NaN', given: { inputTokens: Number.NaN, outputTokens: 1 } },
  ])('does not even ask with $name', ({ given }) => {
    const { price, asked } = priced(found(1));
    expect(price(given, { modelId: 'gpt-5' })).toBeUndefined();
    expect(asked).toEqual([]);
  });

  it.each([
    { modelId: 'gpt-5', named: true },
    { modelId: 'gpt-5-2025-08-07', named: true },
    { modelId: 'GPT-5', named: true },
    { modelId: 'gpt-5-mini', named: false },
    { modelId: 'gpt-5 ', named: false },
    { modelId: 'gpt', named: false },
  ])('takes the model for $modelId by a whole name alone: $named', ({ modelId, named }) => {
    const model = { provider: 'openai', modelId };
    expect(priced(found(1)).price(usage, model) !== undefined).toBe(named);
    expect(priced(found(1), { match: 'fuzzy' }).price(usage, model)).toEqual({ usd: '1' });
  });

  it.each([
    { provider: 'openai', asks: 'openai', named: true },
    { provider: 'openai.responses', asks: 'openai', named: true },
    { provider: 'oai', asks: 'oai', named: true },
    { provider: 'my-openai', asks: 'my-openai', named: false },
    { provider: 'azure.chat', asks: 'azure', named: false },
    { provider: undefined, asks: undefined, named: true },
  ])('asks provider $provider as $asks, and takes the answer: $named', ({ provider, asks, named }) => {
    const { price, asked } = priced(found(1));
    expect(price(usage, { provider, modelId: 'gpt-5' }) !== undefined).toBe(named);
    expect(asked[0]?.[2]).toEqual(asks === undefined ? {} : { providerId: asks });
    expect(priced(found(1), { match: 'fuzzy' }).price(usage, { provider, modelId: 'gpt-5' })).toEqual({ usd: '1' });
  });

  it.each(['', '.chat'])('has no price for a provider without a name: %j', (provider) => {
    expect(priced(found(1), { match: 'fuzzy' }).price(usage, { provider, modelId: 'gpt-5' })).toBeUndefined();
  });

  it('asks for the model and the provider that it was told to take', () => {
    const options: GenaiPricesOptions = {
      aliases: { 'my-deployment': 'gpt-5' },
      providers: { 'mine.v1': 'openai' },
    };
    const { price, asked } = priced(found(1), options);
    expect(price(usage, { provider: 'mine.v1', modelId: 'my-deployment' })).toEqual({ usd: '1' });
    expect(asked[0]?.slice(1)).toEqual(['gpt-5', { providerId: 'openai' }]);
    expect(price(usage, { provider: 'mine', modelId: 'my-deployment' })).toBeUndefined();
    expect(price(usage, { provider: 'mine.v1', modelId: 'my-deployment-2' })).toBeUndefined();
  });

  it.each([
    { modelId: 'openai/gpt-5', asks: ['gpt-5', { providerId: 'openai' }] },
    { modelId: 'oai/dated', asks: ['gpt-5', { providerId: 'oai' }] },
    { modelId: 'gpt-5', asks: undefined },
    { modelId: '/gpt-5', asks: undefined },
    { modelId: 'openai/', asks: undefined },
  ])('reads provider and model of a gateway from $modelId', ({ modelId, asks }) => {
    const { price, asked } = priced(found(1), { gateways: ['gateway'], aliases: { dated: 'gpt-5' } });
    expect(price(usage, { provider: 'gateway', modelId })).toEqual(asks === undefined ? undefined : { usd: '1' });
    expect(asked[0]?.slice(1)).toEqual(asks);
    // Nowhere else is a slash more than a character.
    expect(priced(found(1)).price(usage, { provider: 'openai', modelId: 'openai/gpt-5' })).toBeUndefined();
  });

  it('rounds up, and never by more than a nano-USD', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-12, max: 9_000_000, noNaN: true }), (total) => {
        const money = priced(found(total)).price(usage, { modelId: 'gpt-5' });
        const nano = BigInt(parseMoney('price', money).usd);
        // The float as the fraction that it is, to 1e-40.
        const exact = fraction(total);
        const step = 10n ** 31n;
        expect(nano * step).toBeGreaterThanOrEqual(exact - slack(total));
        expect(nano * step).toBeLessThan(exact + step + slack(total));
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    { total: 1e-30, usd: '0.000000001' },
    { total: 0.000000001, usd: '0.000000001' },
    { total: 0.0000000011, usd: '0.000000002' },
    { total: 0.1 + 0.2, usd: '0.300000001' },
    { total: 0.00040500000000000003, usd: '0.000405001' },
    { total: 9_007_199, usd: '9007199' },
  ])('makes of $total the amount $usd', ({ total, usd }) => {
    expect(priced(found(total)).price(usage, { modelId: 'gpt-5' })).toEqual({ usd });
  });

  it.each([
    { name: 'no function', make: () => fromGenaiPrices(undefined as never), message: /expects calcPrice/ },
    {
      name: 'an unknown option',
      make: () => priced(null, { provider: 'x' } as never),
      message: /unknown option `provider`/,
    },
    {
      name: 'another match',
      make: () => priced(null, { match: 'dated' as never }),
      message: /match` must be 'exact' or 'fuzzy'/,
    },
    {
      name: 'another retention',
      make: () => priced(null, { cacheRetention: '2h' as never }),
      message: /cacheRetention/,
    },
    {
      name: 'aliases as an array',
      make: () => priced(null, { aliases: ['a'] as never }),
      message: /aliases` must be an object/,
    },
    {
      name: 'an alias of a number',
      make: () => priced(null, { aliases: { a: 5 as never } }),
      message: /aliases\['a'\]/,
    },
    {
      name: 'providers as text',
      make: () => priced(null, { providers: 'x' as never }),
      message: /providers` must be an object/,
    },
    {
      name: 'gateways as text',
      make: () => priced(null, { gateways: 'gateway' as never }),
      message: /gateways` must be an array/,
    },
    {
      name: 'a gateway that is no text',
      make: () => priced(null, { gateways: [1 as never] }),
      message: /gateways\[0\]/,
    },
  ])('cannot be made with $name', ({ make, message }) => {
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });
});

/** A float in units of 10^-40, exactly up to its binary digits: by way of the shortest decimal that names it. */
function fraction(value: number): bigint {
  const [mantissa = '', exponent = '0'] = value.toExponential(20).split('e');
  const [whole = '', digits = ''] = mantissa.split('.');
  const shift = 40 + Number(exponent) - digits.length;
  return shift >= 0 ? BigInt(whole + digits) * 10n ** BigInt(shift) : BigInt(whole + digits) / 10n ** BigInt(-shift);
}

/** Half of what lies between a float and its neighbours: decimals within it name the same float. */
function slack(value: number): bigint {
  return fraction(value * 2 ** -52);
}
