import { describe, expect, expectTypeOf, it } from 'vitest';
import { type Amount, FREE, type Money, type MoneyUnit, parseCap, parseMoney, parseRate } from '../src/money.ts';

const MAX = Number.MAX_SAFE_INTEGER;
const UNITS = ['usd', 'sat'] as const;

function thrownBy(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('nothing was thrown');
}

/** Amounts that are held exactly, or rounded as a cap (down) and as a cost (up). */
const accepted: readonly { unit: MoneyUnit; amount: Amount; down: number; up?: number }[] = [
  { unit: 'usd', amount: 0, down: 0 },
  { unit: 'usd', amount: -0, down: 0 },
  { unit: 'usd', amount: 0n, down: 0 },
  { unit: 'usd', amount: '0', down: 0 },
  { unit: 'usd', amount: '0.000000000000', down: 0 },
  { unit: 'usd', amount: 5, down: 5_000_000_000 },
  { unit: 'usd', amount: 5n, down: 5_000_000_000 },
  { unit: 'usd', amount: '5', down: 5_000_000_000 },
  { unit: 'usd', amount: '$5', down: 5_000_000_000 },
  { unit: 'usd', amount: '$0.50', down: 500_000_000 },
  { unit: 'usd', amount: '007.5', down: 7_500_000_000 },
  { unit: 'usd', amount: 0.1, down: 100_000_000 },
  { unit: 'usd', amount: 1.005, down: 1_005_000_000 },
  { unit: 'usd', amount: 0.1 + 0.2, down: 300_000_000, up: 300_000_001 },
  { unit: 'usd', amount: 0.000000075, down: 75 },
  { unit: 'usd', amount: 1e-6, down: 1_000 },
  { unit: 'usd', amount: 1e-7, down: 100 },
  { unit: 'usd', amount: 1.25e-7, down: 125 },
  { unit: 'usd', amount: 1e-9, down: 1 },
  { unit: 'usd', amount: 1e-10, down: 0, up: 1 },
  { unit: 'usd', amount: 1.5e-9, down: 1, up: 2 },
  { unit: 'usd', amount: 5e-324, down: 0, up: 1 },
  { unit: 'usd', amount: '0.0000000001', down: 0, up: 1 },
  { unit: 'usd', amount: '0.0000000010', down: 1 },
  { unit: 'usd', amount: '1.9999999999', down: 1_999_999_999, up: 2_000_000_000 },
  { unit: 'usd', amount: `0.${'0'.repeat(399)}1`, down: 0, up: 1 },
  { unit: 'usd', amount: 9_007_199, down: 9_007_199_000_000_000 },
  { unit: 'usd', amount: 9_007_199n, down: 9_007_199_000_000_000 },
  { unit: 'usd', amount: '9007199.254740991', down: MAX },
  { unit: 'usd', amount: `${'0'.repeat(33)}9007199.254740991`, down: MAX },
  { unit: 'sat', amount: 0, down: 0 },
  { unit: 'sat', amount: -0, down: 0 },
  { unit: 'sat', amount: 5000, down: 5_000_000 },
  { unit: 'sat', amount: 5000n, down: 5_000_000 },
  { unit: 'sat', amount: '5000', down: 5_000_000 },
  { unit: 'sat', amount: '5000 sat', down: 5_000_000 },
  { unit: 'sat', amount: '0.25 sat', down: 250 },
  { unit: 'sat', amount: '250 msat', down: 250 },
  { unit: 'sat', amount: '0.5 msat', down: 0, up: 1 },
  { unit: 'sat', amount: '250.001 msat', down: 250, up: 251 },
  { unit: 'sat', amount: 0.0005, down: 0, up: 1 },
  { unit: 'sat', amount: 1e-7, down: 0, up: 1 },
  { unit: 'sat', amount: 5e-324, down: 0, up: 1 },
  { unit: 'sat', amount: 9_007_199_254_740, down: 9_007_199_254_740_000 },
  { unit: 'sat', amount: '9007199254740.991', down: MAX },
  { unit: 'sat', amount: '9007199254740991 msat', down: MAX },
];

const words = (text: string): string[] => text.split(' ');
const outOfRange = [
  ...[Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number('1e400'), 1e300, -1, -0.1, -5e-324],
  ...[2 ** 53, 2 ** 53 - 1, -1n, 2n ** 53n, 2n ** 53n - 1n, 10n ** 400n],
  ...words('1e3 0x10 0b1 -1 +1 --1 1. .5 1.2.3 1,000 1_000 1/2 NaN Infinity 1e400 $ $-1 $$5 5$ $5sat 5sat 5msat'),
  ...['', ' ', ' 5', '5 ', '1 000', '$ 5', '$5 sat', '5\n', '5\u0000', '\u0663', '\uff15', '\uff11\uff10'],
  ...['5 sats', '5  sat', '5 SAT', ' sat', ' msat', '-1 msat', '1e3 msat', '5 sat sat', '5 sat msat'],
  ...['1'.repeat(41), '0'.repeat(41), '9'.repeat(40), `0.${'1'.repeat(401)}`],
];
const noAmount = [
  ...[null, true, false, Symbol('5'), () => 5],
  ...[{}, { usd: 5 }, [], [5], ['5'], Object(5), new Date(5)],
];
/** Amounts that nobody can hold: no decimal number, or more than 2^53 - 1 units. */
const refused: readonly { unit: MoneyUnit; amount: unknown; error: typeof TypeError | typeof RangeError }[] = [
  ...UNITS.flatMap((unit) => [
    ...outOfRange.map((amount) => ({ unit, amount, error: RangeError })),
    ...noAmount.map((amount) => ({ unit, amount, error: TypeError })),
  ]),
  { unit: 'usd', amount: 9_007_200, error: RangeError },
  { unit: 'usd', amount: '9007199.254740992', error: RangeError },
  { unit: 'usd', amount: '5 sat', error: RangeError },
  { unit: 'usd', amount: '250 msat', error: RangeError },
  { unit: 'sat', amount: 9_007_199_254_741, error: RangeError },
  { unit: 'sat', amount: '9007199254740.992', error: RangeError },
  { unit: 'sat', amount: '9007199254740992 msat', error: RangeError },
  { unit: 'sat', amount: '$5', error: RangeError },
];

const label = (amount: unknown): string =>
  Object.is(amount, -0)
    ? '-0'
    : typeof amount === 'string'
      ? JSON.stringify(amount.slice(0, 24))
      : typeof amount === 'bigint'
        ? `${String(amount).slice(0, 24)}n`
        : typeof amount === 'object' && amount !== null
          ? `${amount.constructor.name} ${JSON.stringify(amount)}`
          : String(amount);

describe('parseCap', () => {
  it.each(accepted.map((row) => ({ ...row, name: `${label(row.amount)} ${row.unit}` })))(
    'reads $name, rounded down',
    ({ unit, amount, down }) => {
      expect(parseCap('max', unit, amount)).toBe(down);
    },
  );

  it.each(refused.map((row) => ({ ...row, name: `${label(row.amount)} as ${row.unit}` })))(
    'refuses $name and names the option',
    ({ unit, amount, error }) => {
      const thrown = thrownBy(() => parseCap('budget.usd', unit, amount));
      expect(thrown).toBeInstanceOf(error);
      expect(thrown.message).toMatch(/^`budget\.usd` must be an amount such as /);
    },
  );

  it('rounds a cap down to the largest that can be held, where the same cost is too much', () => {
    expect(parseCap('usd', 'usd', '9007199.2547409911')).toBe(MAX);
    expect(() => parseMoney('cost', '$9007199.2547409911')).toThrow(RangeError);
  });

  it('refuses a cap that is not given', () => {
    expect(() => parseCap('usd', 'usd', undefined)).toThrow(TypeError);
  });

  it.each([
    { name: 'a string', amount: '5 bucks', shows: "got '5 bucks'" },
    { name: 'a number', amount: -1, shows: 'got -1' },
    { name: 'a bigint', amount: -1n, shows: 'got -1n' },
    { name: 'null', amount: null, shows: 'got null' },
  ])('shows the developer $name that came', ({ amount, shows }) => {
    expect(thrownBy(() => parseCap('usd', 'usd', amount)).message).toContain(shows);
  });
});

describe('parseRate', () => {
  it.each(accepted.map((row) => ({ ...row, name: `${label(row.amount)} ${row.unit}` })))(
    'reads $name, rounded up',
    ({ unit, amount, down, up = down }) => {
      expect(parseRate('input', unit, amount)).toBe(up);
    },
  );

  it.each(refused.map((row) => ({ ...row, name: `${label(row.amount)} as ${row.unit}` })))(
    'refuses $name and names the option',
    ({ unit, amount, error }) => {
      const thrown = thrownBy(() => parseRate('model.input', unit, amount));
      expect(thrown).toBeInstanceOf(error);
      expect(thrown.message).toMatch(/^`model\.input` must be an amount such as /);
    },
  );
});

describe('an amount that is none', () => {
  it.each([
    { unit: 'usd', examples: "0.5, '$0.50' or 5n, at most $9007199.254740991" },
    { unit: 'sat', examples: "5000, '5000 sat' or '250 msat', at most 9007199254740.991 sat" },
  ] as const)('is answered with amounts in $unit that are some', ({ unit, examples }) => {
    expect(thrownBy(() => parseCap('max', unit, 'all')).message).toBe(
      `\`max\` must be an amount such as ${examples}, got 'all'`,
    );
    expect(thrownBy(() => parseMoney('cost', { [unit]: 'all' })).message).toBe(
      `cost.${unit} must be an amount such as ${examples}, got a string that is none`,
    );
  });
});

describe('parseMoney', () => {
  it.each(accepted.map((row) => ({ ...row, name: `{ ${row.unit}: ${label(row.amount)} }` })))(
    'reads $name, a cost rounded up and a refund down',
    ({ unit, amount, down, up = down }) => {
      const money = { [unit]: amount };
      expect(parseMoney('cost', money, 'down')).toEqual({ ...FREE, [unit]: down });
      expect(parseMoney('cost', money, 'up')).toEqual({ ...FREE, [unit]: up });
      expect(parseMoney('cost', money)).toEqual({ ...FREE, [unit]: up });
    },
  );

  it.each(refused.map((row) => ({ ...row, name: `${row.unit}: ${label(row.amount)}` })))(
    'refuses { $name } and names the place',
    ({ unit, amount, error }) => {
      const thrown = thrownBy(() => parseMoney("cost of 'charge'", { [unit]: amount }));
      expect(thrown).toBeInstanceOf(error);
      expect(thrown.message).toMatch(new RegExp(`^cost of 'charge'\\.${unit} must be an amount such as `));
    },
  );

  it.each([
    { name: "'$0.50'", money: '$0.50', exact: { usd: 500_000_000, sat: 0 } },
    { name: "'$0'", money: '$0', exact: FREE },
    { name: "'$0.0000000001'", money: '$0.0000000001', exact: { usd: 1, sat: 0 } },
    { name: "'5000 sat'", money: '5000 sat', exact: { usd: 0, sat: 5_000_000 } },
    { name: "'250 msat'", money: '250 msat', exact: { usd: 0, sat: 250 } },
    { name: "'0.5 msat'", money: '0.5 msat', exact: { usd: 0, sat: 1 } },
    { name: 'both units at once', money: { usd: '$1', sat: '2 msat' }, exact: { usd: 1_000_000_000, sat: 2 } },
    { name: 'a unit that is undefined', money: { usd: 1, sat: undefined }, exact: { usd: 1_000_000_000, sat: 0 } },
    { name: 'no prototype', money: Object.assign(Object.create(null), { sat: 1 }), exact: { usd: 0, sat: 1_000 } },
  ])('reads $name', ({ money, exact }) => {
    expect(parseMoney('cost', money)).toEqual(exact);
  });

  const noUnit = 'must name its unit';
  const empty = 'neither `usd` nor `sat`';
  const stranger = 'a key that is neither';
  it.each([
    { name: 'undefined', money: undefined, error: TypeError, says: 'got undefined' },
    { name: 'null', money: null, error: TypeError, says: 'got null' },
    { name: 'a bare number', money: 5, error: TypeError, says: 'got a number' },
    { name: 'NaN', money: Number.NaN, error: TypeError, says: 'got NaN' },
    { name: 'a bare bigint', money: 5n, error: TypeError, says: 'got a bigint' },
    { name: 'true', money: true, error: TypeError, says: 'got a boolean' },
    { name: 'a function', money: () => '$1', error: TypeError, says: 'got a function' },
    { name: 'a string without a unit', money: '5000', error: RangeError, says: noUnit },
    { name: 'an empty string', money: '', error: RangeError, says: noUnit },
    { name: "the word 'free'", money: 'free', error: RangeError, says: noUnit },
    { name: 'a unit that is none', money: '5 sats', error: RangeError, says: noUnit },
    { name: 'a dollar sign alone', money: '$', error: RangeError, says: 'must be an amount' },
    { name: 'two units in a string', money: '$5 sat', error: RangeError, says: 'must be an amount' },
    { name: 'no key', money: {}, error: TypeError, says: empty },
    { name: 'two undefined units', money: { usd: undefined, sat: undefined }, error: TypeError, says: empty },
    { name: 'an empty array', money: [], error: TypeError, says: empty },
    { name: 'a map', money: new Map([['usd', 1]]), error: TypeError, says: empty },
    { name: 'an array', money: [5], error: TypeError, says: stranger },
    { name: 'a string object', money: Object('$5'), error: TypeError, says: stranger },
    { name: 'an unknown key', money: { eur: 1 }, error: TypeError, says: stranger },
    { name: 'an unknown key beside a known one', money: { usd: 1, usdd: 2 }, error: TypeError, says: stranger },
    { name: 'an inherited unknown key', money: Object.create({ usd: 1, eur: 1 }), error: TypeError, says: stranger },
    { name: 'an own __proto__', money: JSON.parse('{"usd":1,"__proto__":1}'), error: TypeError, says: stranger },
    { name: 'null beside a unit', money: { usd: 1, sat: null }, error: TypeError, says: 'cost.sat must be an amount' },
    {
      name: 'a bad unit beside one',
      money: { usd: 1, sat: -1 },
      error: RangeError,
      says: 'cost.sat must be an amount',
    },
  ])('refuses $name', ({ money, error, says }) => {
    const thrown = thrownBy(() => parseMoney('cost', money));
    expect(thrown).toBeInstanceOf(error);
    expect(thrown.message).toMatch(/^cost/);
    expect(thrown.message).toContain(says);
  });

  it('reads a getter once, so that what is checked is what is booked', () => {
    let reads = 0;
    const money = {
      get usd(): Amount {
        reads += 1;
        return reads === 1 ? 1 : -1;
      },
    };
    expect(parseMoney('cost', money)).toEqual({ usd: 1_000_000_000, sat: 0 });
    expect(reads).toBe(1);
  });

  const canary = 'c4n4ry-4111111111111111';
  it.each([
    { name: 'a string', money: canary },
    { name: 'dollars', money: `$${canary}` },
    { name: 'sats', money: `${canary} sat` },
    { name: 'an amount', money: { usd: canary } },
    { name: 'a key', money: { [canary]: 1 } },
    { name: 'a nested value', money: { usd: { [canary]: canary } } },
    { name: 'an array', money: { sat: [canary] } },
    { name: 'a symbol', money: { sat: Symbol(canary) } },
    { name: 'a function', money: { sat: Object.assign(() => canary, { toString: () => canary }) } },
    { name: 'a number', money: 4111111111111111 },
    { name: 'a number too large', money: { usd: 4111111111111111 } },
    { name: 'a bigint too large', money: { usd: 4111111111111111n } },
    { name: 'a negative number', money: { usd: -4111111111111111 } },
    { name: 'a bare negative number', money: -4111111111111111 },
    { name: 'a negative bigint', money: { usd: -4111111111111111n } },
  ])('never repeats $name', ({ money }) => {
    const { message } = thrownBy(() => parseMoney('cost', money));
    expect(message).not.toContain('4111111111111111');
    expect(message).not.toContain('c4n4ry');
  });

  it('types money so that a unit is always named', () => {
    expectTypeOf<{ usd: 1 }>().toExtend<Money>();
    expectTypeOf<{ usd: 1; sat: '5 sat' }>().toExtend<Money>();
    expectTypeOf<'$0.5'>().toExtend<Money>();
    expectTypeOf<'250 msat'>().toExtend<Money>();
    expectTypeOf<Record<never, never>>().not.toExtend<Money>();
    expectTypeOf<'5000'>().not.toExtend<Money>();
    expectTypeOf<5>().not.toExtend<Money>();
  });
});

describe('FREE', () => {
  it('is nothing in every unit, and cannot be changed', () => {
    expect(FREE).toEqual({ usd: 0, sat: 0 });
    expect(Object.isFrozen(FREE)).toBe(true);
  });
});
