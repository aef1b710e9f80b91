import { parseDuration } from '../../../src/internal/duration.ts';
import { displayUnits, formatUnits, type MoneyUnit, parseCap, parseMoney, parseRate } from '../../../src/money.ts';
import { normalizeUsage } from '../../../src/prices/normalize-usage.ts';
import { priceTable } from '../../../src/prices/price-table.ts';
import { isPlausible } from '../../../src/prices/token-usage.ts';
import { need, outcomeOf, type Target, textOf } from '../target.ts';
import { valueFrom } from '../values.ts';

const MOST = BigInt(Number.MAX_SAFE_INTEGER);
const MISUSE = [TypeError, RangeError];
const PLACES: Readonly<Record<MoneyUnit, number>> = { usd: 9, sat: 3 };

export const duration: Target = {
  name: 'duration',
  form: 'text',
  tokens: [
    'ms',
    's',
    'm',
    'h',
    'd',
    '0',
    '1',
    '9007199254740991',
    '٣',
    '+',
    '-',
    '.',
    'e3',
    ' ',
    '\n',
    '_',
    'n',
    '104249991d',
  ],
  check: (input) => {
    const text = textOf(input);
    const parsed = outcomeOf(() => parseDuration('per', text), { kinds: MISUSE, shows: true });
    const [, digits, unit = ''] = /^([0-9]{1,16})(ms|[smhd])$/.exec(text) ?? [];
    const factor = { ms: 1n, s: 1_000n, m: 60_000n, h: 3_600_000n, d: 86_400_000n }[unit];
    const exact = digits === undefined || factor === undefined || /\n/.test(text) ? 0n : BigInt(digits) * factor;
    const expected = exact >= 1n && exact <= MOST ? Number(exact) : undefined;
    if (typeof parsed === 'string') {
      need(expected === undefined, 'refuses a duration that is one');
      return parsed;
    }
    need(parsed.value === expected, 'is not the duration that BigInt gives');
    return `taken ${unit}`;
  },
};

/** Exact units of a decimal text, rounded; undefined where they are no amount. By BigInt, digit for digit. */
function exactUnits(text: string, places: number, rounding: 'up' | 'down'): bigint | undefined {
  const [, whole, fraction = '', exponent = '0'] = /^([0-9]+)(?:\.([0-9]+))?(?:e([+-]?[0-9]+))?$/.exec(text) ?? [];
  if (whole === undefined) return undefined;
  const shift = places + Number(exponent) - fraction.length;
  const digits = BigInt(whole + fraction);
  if (shift >= 0) return digits * 10n ** BigInt(shift);
  const divisor = 10n ** BigInt(-shift);
  return digits / divisor + (rounding === 'up' && digits % divisor > 0n ? 1n : 0n);
}

function expectedUnits(unit: MoneyUnit, amount: unknown, rounding: 'up' | 'down'): number | undefined {
  let exact: bigint | undefined;
  if (typeof amount === 'bigint') exact = amount < 0n ? undefined : amount * 10n ** BigInt(PLACES[unit]);
  else if (typeof amount === 'number')
    exact = Number.isFinite(amount)
      ? exactUnits(String(Object.is(amount, -0) ? 0 : amount), PLACES[unit], rounding)
      : undefined;
  else if (typeof amount === 'string') {
    const [digits, places] =
      unit === 'usd'
        ? [amount.replace(/^\$/, ''), 9]
        : amount.endsWith(' msat')
          ? [amount.slice(0, -5), 0]
          : [amount.replace(/ sat$/, ''), 3];
    if (/^[0-9]{1,40}(\.[0-9]{1,400})?$/.test(digits) && !digits.endsWith('\n'))
      exact = exactUnits(digits, places, rounding);
  }
  return exact === undefined || exact > MOST ? undefined : Number(exact);
}

export const money: Target = {
  name: 'money',
  form: 'json',
  tokens: [
    '"$0.50"',
    '"5000 sat"',
    '"250 msat"',
    '"$9007199.254740991"',
    '"$9007199.2547409911"',
    '{"usd":0.1}',
    '{"sat":"1.0005"}',
    '{"usd":{"$":"bigint","is":"5"}}',
    '1e-9',
    '1.0000000001e-9',
    '0.30000000000000004',
    '9007199.254740992',
    'usd',
    'sat',
    'eur',
    '"$1e3"',
    '"$ 1"',
    '"$1 sat"',
    '"$٣"',
    '"-1 sat"',
    '"1,5 sat"',
    '"$00000000000000000000000000000000000000001"',
    '"$.5"',
    '"$5."',
  ],
  check: (input) => {
    const read = valueFrom(textOf(input));
    if (read === undefined) return 'no JSON';
    const { value } = read;
    const kinds = [...MISUSE, Error];
    const words: string[] = [];
    for (const rounding of ['up', 'down'] as const) {
      const parsed = outcomeOf(() => parseMoney('the cost', value, rounding), { kinds });
      if (typeof parsed === 'string') {
        // An accessor of the user that throws is the user's own.
        need(parsed !== 'Error' || textOf(input).includes('"throws"'), 'another error than TypeError or RangeError');
        if (typeof value === 'string' && /^\$/.test(value)) {
          need(expectedUnits('usd', value, rounding) === undefined, 'refuses an amount that is one');
        }
        words.push(parsed);
        continue;
      }
      for (const unit of ['usd', 'sat'] as const) {
        const given =
          typeof value === 'string'
            ? value.startsWith('$') === (unit === 'usd')
              ? value
              : undefined
            : (value as Record<string, unknown>)[unit];
        const units = parsed.value[unit];
        need(
          Number.isSafeInteger(units) && units >= 0 && !Object.is(units, -0),
          'gives units that are no safe integer >= 0',
        );
        need(
          units === (given === undefined ? 0 : expectedUnits(unit, given, rounding)),
          'are not the units that BigInt gives',
        );
        const again = parseMoney('the cost', { [unit]: formatUnits(unit, units) } as never)[unit];
        need(again === units, 'reads other units than it wrote');
        const shown = parseMoney('the cost', displayUnits(unit, units), 'down')[unit];
        need(shown === units, 'shows another amount than it holds');
      }
      words.push('taken');
    }
    for (const parse of [parseCap, parseRate]) {
      const unit = words[0] === 'TypeError' ? 'usd' : 'sat';
      const units = outcomeOf(() => parse('usd', unit, value), { kinds: MISUSE, shows: true });
      const expected = expectedUnits(unit, value, parse === parseCap ? 'down' : 'up');
      if (typeof units === 'string') need(expected === undefined, 'refuses a cap that is an amount');
      else need(units.value === expected, 'is not the cap that BigInt gives');
    }
    return words.join(' ');
  },
};

const RATE_NAMES = ['inputPerMTok', 'outputPerMTok', 'cacheReadPerMTok', 'cacheWritePerMTok'] as const;
const USAGE = { inputTokens: 1_234_567, outputTokens: 89_101, cacheReadTokens: 1_111, cacheWriteTokens: 0 } as const;

export const prices: Target = {
  name: 'prices',
  form: 'json',
  tokens: [
    '{"gpt-5":{"inputPerMTok":1.25,"outputPerMTok":10,"cacheReadPerMTok":0.125}}',
    'gpt-5',
    'm',
    ...RATE_NAMES,
    'longContext',
    'aliases',
    'overInputTokens',
    '["a","b"]',
    '200000',
    '"1.25"',
    '"$1.25"',
    '9007199',
    '{"overInputTokens":200000,"inputPerMTok":2,"outputPerMTok":4}',
  ],
  check: (input) => {
    const read = valueFrom(textOf(input));
    if (read === undefined) return 'no JSON';
    if (textOf(input).includes('"throws"')) return 'not of a developer';
    const models = read.value as Record<string, Record<string, unknown>>;
    const made = outcomeOf(() => priceTable(models as never), { kinds: MISUSE, shows: true });
    if (typeof made === 'string') return made;
    for (const [modelId, rates] of Object.entries(models)) {
      const cost = made.value(USAGE, { modelId });
      if (rates['longContext'] !== undefined) continue;
      const [inRate, outRate, cacheRate] = RATE_NAMES.map((name) =>
        BigInt(expectedUnits('usd', rates[name], 'up') ?? 0),
      ) as [bigint, bigint, bigint];
      const cached = rates['cacheReadPerMTok'] === undefined ? inRate : cacheRate;
      const millionths = BigInt(1_234_567 - 1_111) * inRate + 1_111n * cached + 89_101n * outRate;
      const units = (millionths + 999_999n) / 1_000_000n;
      const expected = units > MOST ? undefined : Number(units);
      need(
        (cost === undefined) === (expected === undefined),
        'has a price where there is none, or none where there is one',
      );
      if (cost !== undefined)
        need(parseMoney('the price', cost).usd === expected, 'is not the price that BigInt gives');
    }
    return `taken ${Object.keys(models).length}`;
  },
};

export const usage: Target = {
  name: 'usage',
  form: 'json',
  tokens: [
    'usage',
    'usageMetadata',
    'usage_metadata',
    'providerMetadata',
    'inputTokens',
    'outputTokens',
    'totalTokens',
    'input_tokens',
    'output_tokens',
    'prompt_tokens',
    'completion_tokens',
    'promptTokenCount',
    'candidatesTokenCount',
    'cache_read_input_tokens',
    'cache_creation_input_tokens',
    'iterations',
    '[{"type":"compaction","input_tokens":1}]',
    'noCache',
    'cacheRead',
    'total',
    'raw',
    'inputTokenDetails',
    'inputTokensDetails',
    'inputDetails',
    'cachedInputTokens',
    'anthropic',
    'google',
    'openai',
    'steps',
    '17',
    '100000',
  ],
  check: (input) => {
    const read = valueFrom(textOf(input));
    if (read === undefined) return 'no JSON';
    if (/"\$":"(throws|no prototype)"/.test(textOf(input))) return 'not of a provider';
    const told = normalizeUsage(read.value);
    if (told === undefined) return 'unknown';
    need(isPlausible(told), 'tells usage that cannot be true');
    need(normalizeUsage(told) !== undefined, 'does not read the form that it gives');
    return `told ${Object.keys(told).length}`;
  },
};
