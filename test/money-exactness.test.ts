import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Amount,
  addMoney,
  addUnits,
  displayUnits,
  FREE,
  formatUnits,
  type MoneyUnit,
  parseCap,
  parseMoney,
  type Rounding,
} from '../src/money.ts';

const MAX = Number.MAX_SAFE_INTEGER;
const UNITS = ['usd', 'sat'] as const;
const PLACES = { usd: 9, sat: 3 } as const;

/** The oracle: the value as an exact fraction, `numerator / 10^scale`, rounded with BigInt alone. */
function exactUnits(text: string, places: number, rounding: Rounding): bigint {
  const [mantissa = '', exponent = '0'] = text.split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  const numerator = BigInt(whole + fraction);
  const scale = fraction.length - Number(exponent) - places;
  if (scale <= 0) return numerator * 10n ** BigInt(-scale);
  const divisor = 10n ** BigInt(scale);
  return rounding === 'down' ? numerator / divisor : (numerator + divisor - 1n) / divisor;
}

/** What the parser makes of it, `undefined` where it refuses. */
function parsed(unit: MoneyUnit, amount: Amount, rounding: Rounding): number | undefined {
  try {
    return parseMoney('cost', { [unit]: amount }, rounding)[unit];
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function expectAsOracle(unit: MoneyUnit, amount: Amount, text: string, places: number = PLACES[unit]): void {
  const down = parsed(unit, amount, 'down');
  const up = parsed(unit, amount, 'up');
  for (const [units, rounding] of [
    [down, 'down'],
    [up, 'up'],
  ] as const) {
    const exact = exactUnits(text, places, rounding);
    expect(units).toBe(exact > BigInt(MAX) ? undefined : Number(exact));
  }
  if (down !== undefined && up !== undefined) {
    expect(up - down).toBeLessThanOrEqual(1);
    expect(up - down).toBeGreaterThanOrEqual(0);
  }
}

describe('parseMoney', () => {
  const unit = fc.constantFrom(...UNITS);
  const digits = (min: number, max: number) => fc.stringMatching(new RegExp(`^[0-9]{${min},${max}}$`));

  it('agrees with integer arithmetic on decimal strings', () => {
    fc.assert(
      fc.property(unit, digits(1, 20), fc.option(digits(1, 30)), (unit, whole, fraction) => {
        const text = fraction === null ? whole : `${whole}.${fraction}`;
        expectAsOracle(unit, text, text);
      }),
      { numRuns: 1_000 },
    );
  });

  it('agrees with integer arithmetic on strings that name their unit', () => {
    fc.assert(
      fc.property(digits(1, 16), digits(1, 12), (whole, fraction) => {
        const text = `${whole}.${fraction}`;
        expectAsOracle('usd', `$${text}`, text);
        expectAsOracle('sat', `${text} sat`, text);
        expectAsOracle('sat', `${text} msat`, text, 0);
      }),
      { numRuns: 500 },
    );
  });

  it('takes a double for the decimal number that it prints as', () => {
    fc.assert(
      fc.property(
        unit,
        fc.oneof(
          fc.double({ min: 0, max: 1e7, noNaN: true }),
          fc.double({ min: 0, max: 1e-5, noNaN: true }),
          fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
          fc.integer({ min: 0, max: 1_000_000_000 }).map((n) => n / 1_000_000),
          fc.maxSafeNat(),
        ),
        (unit, amount) => {
          expectAsOracle(unit, amount, String(amount).replace('e+', 'e'));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('agrees with integer arithmetic on bigints', () => {
    fc.assert(
      fc.property(unit, fc.bigInt({ min: 0n, max: 2n ** 54n }), (unit, amount) => {
        expectAsOracle(unit, amount, String(amount));
      }),
    );
  });

  it('refuses negative doubles and bigints', () => {
    fc.assert(
      fc.property(
        unit,
        fc.oneof(fc.double({ max: -Number.MIN_VALUE, noNaN: true }), fc.bigInt({ max: -1n })),
        (unit, amount) => {
          expect(parsed(unit, amount, 'down')).toBeUndefined();
          expect(parsed(unit, amount, 'up')).toBeUndefined();
        },
      ),
    );
  });

  it('throws a TypeError or RangeError or gives safe integers, whatever comes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }),
          fc.record({ usd: fc.anything(), sat: fc.anything() }, { requiredKeys: [] }),
        ),
        (money) => {
          try {
            for (const units of Object.values(parseMoney('cost', money))) {
              expect(Number.isSafeInteger(units) && units >= 0).toBe(true);
            }
          } catch (error) {
            expect([TypeError, RangeError]).toContain((error as Error).constructor);
            expect((error as Error).message).toMatch(/^cost/);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

describe('formatUnits', () => {
  it.each([
    { unit: 'usd', units: 0, text: '0' },
    { unit: 'usd', units: -0, text: '0' },
    { unit: 'usd', units: 1, text: '0.000000001' },
    { unit: 'usd', units: 4_200_000, text: '0.0042' },
    { unit: 'usd', units: 5_000_000_000, text: '5' },
    { unit: 'usd', units: 10_000_000_000, text: '10' },
    { unit: 'usd', units: -500_000_000, text: '-0.5' },
    { unit: 'usd', units: MAX, text: '9007199.254740991' },
    { unit: 'usd', units: -MAX, text: '-9007199.254740991' },
    { unit: 'sat', units: 1, text: '0.001' },
    { unit: 'sat', units: 250, text: '0.25' },
    { unit: 'sat', units: 1_000, text: '1' },
    { unit: 'sat', units: -1, text: '-0.001' },
    { unit: 'sat', units: MAX, text: '9007199254740.991' },
  ] as const)('writes $units units of $unit as $text', ({ unit, units, text }) => {
    expect(formatUnits(unit, units)).toBe(text);
  });

  it('writes what the parsers read back unchanged, in both roundings', () => {
    fc.assert(
      fc.property(fc.constantFrom(...UNITS), fc.maxSafeNat(), (unit, units) => {
        const text = formatUnits(unit, units);
        expect(parseCap('max', unit, text)).toBe(units);
        expect(parsed(unit, text, 'up')).toBe(units);
        expect(text).toMatch(/^(0|[1-9]\d*)(\.\d*[1-9])?$/);
      }),
      { numRuns: 500 },
    );
  });
});

describe('displayUnits', () => {
  it.each([
    { unit: 'usd', units: 0, text: '$0.00' },
    { unit: 'usd', units: -0, text: '$0.00' },
    { unit: 'usd', units: 5_000_000_000, text: '$5.00' },
    { unit: 'usd', units: 500_000_000, text: '$0.50' },
    { unit: 'usd', units: -500_000_000, text: '-$0.50' },
    { unit: 'usd', units: 180_000_000, text: '$0.18' },
    { unit: 'usd', units: -2_004_200_000, text: '-$2.0042' },
    { unit: 'usd', units: MAX, text: '$9007199.254740991' },
    { unit: 'sat', units: 0, text: '0 sat' },
    { unit: 'sat', units: 1_250_000, text: '1250 sat' },
    { unit: 'sat', units: -500, text: '-0.5 sat' },
    { unit: 'sat', units: -1, text: '-0.001 sat' },
  ] as const)('writes $text', ({ unit, units, text }) => {
    expect(displayUnits(unit, units)).toBe(text);
  });

  it('writes money that the parser reads back', () => {
    fc.assert(
      fc.property(fc.constantFrom(...UNITS), fc.maxSafeNat(), (unit, units) => {
        expect(parseMoney('cost', displayUnits(unit, units))).toEqual({ ...FREE, [unit]: units });
      }),
    );
  });
});

describe('addUnits', () => {
  it.each([
    { a: 0, b: 0, sum: 0 },
    { a: 1, b: 2, sum: 3 },
    { a: MAX, b: 0, sum: MAX },
    { a: MAX - 1, b: 1, sum: MAX },
    { a: MAX, b: 1, sum: MAX },
    { a: MAX, b: MAX, sum: MAX },
  ])('adds $a and $b to $sum', ({ a, b, sum }) => {
    expect(addUnits(a, b)).toBe(sum);
    expect(addUnits(b, a)).toBe(sum);
  });

  it('is the exact sum where that can be held, and full otherwise', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (a, b) => {
        const exact = BigInt(a) + BigInt(b);
        expect(addUnits(a, b)).toBe(exact > BigInt(MAX) ? MAX : Number(exact));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('addMoney', () => {
  it('adds each unit for itself', () => {
    expect(addMoney({ usd: 1, sat: 20 }, { usd: 300, sat: 4_000 })).toEqual({ usd: 301, sat: 4_020 });
    expect(addMoney({ usd: MAX, sat: 1 }, { usd: 1, sat: 1 })).toEqual({ usd: MAX, sat: 2 });
  });
});
