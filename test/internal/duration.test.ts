import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { type Duration, parseDuration } from '../../src/internal/duration.ts';

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

describe('parseDuration', () => {
  it.each([
    { value: 1, ms: 1 },
    { value: 90_000, ms: 90_000 },
    { value: 2 ** 53 - 1, ms: 2 ** 53 - 1 },
    { value: '1ms', ms: 1 },
    { value: '500ms', ms: 500 },
    { value: '30s', ms: 30_000 },
    { value: '1m', ms: 60_000 },
    { value: '24h', ms: 86_400_000 },
    { value: '30d', ms: 2_592_000_000 },
    { value: '007s', ms: 7_000 },
    { value: '9007199254740991ms', ms: 2 ** 53 - 1 },
    { value: '104249991d', ms: 104_249_991 * 86_400_000 },
  ])('reads $value as $ms ms', ({ value, ms }) => {
    expect(parseDuration('per', value)).toBe(ms);
  });

  it.each([
    ...[0, -0, -1, 0.5, 1.5, 2 ** 53, 1e300, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    ...['0ms', '0d', '000s', '9007199254740992ms', '9999999999999999ms', '104249992d', '9999999999999999d'],
  ])('refuses %s as out of range', (value) => {
    expect(() => parseDuration('per', value)).toThrow(RangeError);
    expect(() => parseDuration('per', value)).toThrow(/^`per` must be milliseconds or a duration/);
  });

  it.each([
    ...['', ' ', 's', '60', '1 s', ' 1s', '1s ', '1s\n', '1S', '1min', '1mo', '1w', '1y', 'month', 'day', '1h30m'],
    ...['1.5h', '-1s', '+1s', '1e3ms', '0x10ms', '1_000ms', '1,000ms', '\u0663s', '\uff11s', 'NaNms', 'Infinityms'],
    ...['00000000000000001s', 'constructor', '1constructor', '1toString'],
  ])('refuses %j as no duration', (value) => {
    expect(() => parseDuration('rateLimit.per', value)).toThrow(TypeError);
    expect(() => parseDuration('rateLimit.per', value)).toThrow(/^`rateLimit\.per` must be .*got '/);
  });

  it.each([
    { name: 'undefined', value: undefined },
    { name: 'null', value: null },
    { name: 'a bigint', value: 1n },
    { name: 'true', value: true },
    { name: 'an object', value: { valueOf: () => 1 } },
    { name: 'an array', value: ['1s'] },
    { name: 'a string object', value: Object('1s') },
    { name: 'a symbol', value: Symbol('1s') },
    { name: 'a function', value: () => 1 },
  ])('refuses $name', ({ value }) => {
    expect(() => parseDuration('per', value)).toThrow(TypeError);
    expect(() => parseDuration('per', value)).toThrow(/^`per` must be milliseconds or a duration/);
  });

  it('multiplies exactly, or refuses what would not be exact', () => {
    fc.assert(
      fc.property(fc.constantFrom('ms', 's', 'm', 'h', 'd'), fc.maxSafeNat(), (unit, count) => {
        const exact = BigInt(count) * BigInt(UNITS[unit]);
        const read = () => parseDuration('per', `${count}${unit}`);
        if (exact < 1n || exact > BigInt(Number.MAX_SAFE_INTEGER)) expect(read).toThrow(RangeError);
        else expect(read()).toBe(Number(exact));
      }),
      { numRuns: 500 },
    );
  });

  it('gives a whole number of milliseconds or throws, whatever comes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything({ withBigInt: true }), fc.double(), fc.string()), (value) => {
        try {
          const ms = parseDuration('per', value);
          expect(Number.isSafeInteger(ms) && ms >= 1).toBe(true);
        } catch (error) {
          expect([TypeError, RangeError]).toContain((error as Error).constructor);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('types durations as numbers or numbers with a unit', () => {
    expectTypeOf<'30d'>().toExtend<Duration>();
    expectTypeOf<60_000>().toExtend<Duration>();
    expectTypeOf<'1mo'>().not.toExtend<Duration>();
    expectTypeOf<'day'>().not.toExtend<Duration>();
  });
});
