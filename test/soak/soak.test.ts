import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../helpers/random.ts';
import { type HeapPoint, MAX_BYTES_PER_CALL, slopeOf } from './heap.ts';
import { countedFor, decimal, type Entry, loggedFor, unitsOf } from './ledger.ts';

const entry = (more: Partial<Entry>): Entry => ({ kind: 'call', id: '1', unit: 'usd', estimate: 100, ...more });

describe('the outside ledger', () => {
  it.each([
    { name: 'it cost less', more: { booked: 40 }, logged: 40, counted: 40 },
    { name: 'it cost more', more: { booked: 140 }, logged: 140, counted: 140 },
    { name: 'it never ran', more: { booked: 0, released: true }, logged: 0, counted: 0 },
    { name: 'its session was closed', more: { forfeited: true }, logged: 100, counted: 100 },
    { name: 'and it cost less', more: { forfeited: true, booked: 40 }, logged: 100, counted: 100 },
    { name: 'and it cost more', more: { forfeited: true, booked: 140 }, logged: 100, counted: 140 },
    { name: 'and it never ran', more: { forfeited: true, booked: 0, released: true }, logged: 100, counted: 100 },
  ])('books what the README says: $name', ({ more, logged, counted }) => {
    expect(loggedFor(entry(more))).toBe(logged);
    expect(countedFor(entry(more))).toBe(counted);
  });

  it('reads what it writes, digit for digit', () => {
    for (const units of [0, 1, 999, 1_000_000_000, Number.MAX_SAFE_INTEGER]) {
      expect(unitsOf('usd', decimal('usd', units))).toBe(units);
      expect(unitsOf('sat', decimal('sat', units))).toBe(units);
    }
    expect(unitsOf('usd', '0.0042')).toBe(4_200_000);
    expect(unitsOf('sat', undefined)).toBe(0);
  });
});

describe('the heap', () => {
  /** Twenty rounds of 20 000 calls, each of which leaves so many bytes, on a heap that is sometimes half a megabyte larger. */
  function points(bytesPerCall: number): HeapPoint[] {
    const random = new SeededRandom('heap');
    return Array.from({ length: 20 }, (_, i) => {
      const calls = (i + 1) * 20_000;
      // What the first rounds compile and keep is no leak.
      const warm = Math.min(i, 4) * 2_000_000;
      return { calls, bytes: 20_000_000 + warm + calls * bytesPerCall + random.integer(0, 500_000) };
    });
  }

  it('is flat where nothing is left of a call', () => {
    expect(slopeOf(points(0))).toBeLessThan(MAX_BYTES_PER_CALL / 4);
  });

  it('is not where an object is', () => {
    expect(slopeOf(points(100))).toBeGreaterThan(MAX_BYTES_PER_CALL);
  });

  it('tells nothing from a few rounds', () => {
    expect(slopeOf(points(100).slice(0, 5))).toBeUndefined();
  });
});

describe('chance', () => {
  it('is the same from the same seed, and another from another', () => {
    const of = (seed: string): number[] => {
      const random = new SeededRandom(seed);
      return Array.from({ length: 1_000 }, () => random.integer(1, 6));
    };
    expect(of('a')).toEqual(of('a'));
    expect(of('a')).not.toEqual(of('b'));
    expect([...new Set(of('a'))].sort()).toEqual([1, 2, 3, 4, 5, 6]);
  });
});
