import { describe, expect, it } from 'vitest';
import type { Line, Reserve } from '../../src/stores/store.ts';
import { checkReserve, checkSettle } from '../../src/stores/store-input.ts';

const MAX = Number.MAX_SAFE_INTEGER;
const line: Line = {
  scope: 'a',
  generation: 'g',
  meter: 'usd',
  span: { kind: 'total' },
  cap: 0,
  amount: 0,
  book: 'settle',
};
const item: Reserve = { id: 'r', lines: [line], leaseMs: 0 };
const NO_UNITS = [-1, 0.5, MAX + 1, Number.NaN, Number.POSITIVE_INFINITY, '1', null, undefined, 1n];

describe('checkReserve', () => {
  it.each<{ name: string; given: Reserve }>([
    { name: 'zeros', given: item },
    {
      name: 'the largest amounts',
      given: { ...item, lines: [{ ...line, cap: MAX, amount: MAX }], leaseMs: MAX, keepMs: MAX },
    },
    { name: 'no lines', given: { ...item, lines: [] } },
    { name: 'no time to be kept', given: { ...item, keepMs: undefined } },
  ])('takes $name', ({ given }) => {
    expect(checkReserve(given)).toBeUndefined();
  });

  it.each(['', 7, undefined, null])('refuses the id %j', (id) => {
    expect(() => checkReserve({ ...item, id: id as string })).toThrow(new TypeError('a reservation needs an id'));
  });

  it.each(NO_UNITS)('refuses %s for an amount of time or units', (value) => {
    const units = value as number;
    const error = (name: string) => new RangeError(`\`${name}\` must be a safe integer >= 0, got ${value}`);
    expect(() => checkReserve({ ...item, leaseMs: units })).toThrow(error('leaseMs'));
    if (units !== undefined) expect(() => checkReserve({ ...item, keepMs: units })).toThrow(error('keepMs'));
    expect(() => checkReserve({ ...item, lines: [line, { ...line, amount: units }] })).toThrow(error('amount'));
    expect(() => checkReserve({ ...item, lines: [line, { ...line, cap: units }] })).toThrow(error('cap'));
  });
});

describe('checkSettle', () => {
  it.each(['void', 'forfeit', [0, MAX]] as const)('takes %j', (actual) => {
    expect(checkSettle({ id: 'r', actual }, 2)).toBeUndefined();
    expect(checkSettle({ id: 'r', actual }, undefined)).toBeUndefined();
  });

  it.each(['all', null, undefined, 5, { 0: 1, length: 1 }])('refuses %j', (actual) => {
    expect(() => checkSettle({ id: 'r', actual: actual as never }, 1)).toThrow(
      new TypeError("`actual` must be an array of units, 'void' or 'forfeit'"),
    );
  });

  it.each(NO_UNITS)('refuses %s for units, of no hold too', (value) => {
    const error = new RangeError(`\`actual\` must be a safe integer >= 0, got ${value}`);
    for (const lines of [2, undefined]) {
      expect(() => checkSettle({ id: 'r', actual: [0, value as number] }, lines)).toThrow(error);
    }
  });

  it.each([{ actual: [] }, { actual: [1] }, { actual: [1, 2, 3] }])('refuses $actual for two lines', ({ actual }) => {
    expect(() => checkSettle({ id: 'r', actual }, 2)).toThrow(
      new RangeError(`\`actual\` has ${actual.length} amounts for 2 lines`),
    );
    expect(checkSettle({ id: 'r', actual }, undefined)).toBeUndefined();
  });
});
