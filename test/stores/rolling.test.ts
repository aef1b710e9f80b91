import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RollingSum } from '../../src/stores/rolling.ts';

describe('RollingSum', () => {
  it.each([
    { name: 'at the start of a step', ms: 100, stepMs: 10, at: 1_000, freed: 1_110 },
    { name: 'inside a step', ms: 100, stepMs: 10, at: 1_004, freed: 1_110 },
    { name: 'in the last millisecond of a step', ms: 100, stepMs: 10, at: 1_009, freed: 1_110 },
    { name: 'in the last part of a millisecond of a step', ms: 100, stepMs: 10, at: 1_009.99, freed: 1_110 },
    { name: 'with a window that is no multiple of its step', ms: 100, stepMs: 7, at: 1_000, freed: 1_101 },
    { name: 'with steps of a millisecond', ms: 100, stepMs: 1, at: 1_000, freed: 1_101 },
    { name: 'with one step for the whole window', ms: 100, stepMs: 100, at: 1_050, freed: 1_200 },
    { name: 'with a step longer than the window', ms: 10, stepMs: 100, at: 1_050, freed: 1_110 },
    { name: 'before the origin of the clock', ms: 100, stepMs: 10, at: -1_004, freed: -900 },
    { name: 'at the origin of the clock', ms: 100, stepMs: 10, at: 0, freed: 110 },
  ])('lets go once the whole step is outside: $name', ({ ms, stepMs, at, freed }) => {
    const sum = new RollingSum(ms, stepMs);
    sum.add(5, at);
    expect(sum.at(at)).toBe(5);
    expect(sum.untilFreed(5, at)).toBe(Math.ceil(freed - at));
    expect(sum.at(freed - 0.01)).toBe(5);
    expect(sum.untilFreed(5, freed - 0.01)).toBe(1);
    expect(sum.at(freed)).toBe(0);
    expect(sum.untilFreed(1, freed)).toBeUndefined();
  });

  it('gives back what was booked, and no more of a step than that', () => {
    const sum = new RollingSum(100, 10);
    const first = sum.add(5, 1_000);
    const second = sum.add(7, 1_010);
    expect(sum.add(3, 1_015)).toBe(second);
    sum.takeBack(7, second);
    expect(sum.at(1_020)).toBe(8);
    sum.takeBack(5, first);
    expect(sum.at(1_020)).toBe(3);
    expect(sum.untilFreed(3, 1_020)).toBe(100);
    expect(sum.at(1_120)).toBe(0);
    sum.takeBack(3, second);
    expect(sum.at(1_120)).toBe(0);
    sum.takeBack(3, 424_242);
    expect(sum.at(1_120)).toBe(0);
  });

  it('stays at 2 ** 53 - 1 when it is full, and lets go of no more than it took', () => {
    const sum = new RollingSum(100, 10);
    sum.add(Number.MAX_SAFE_INTEGER - 1, 1_000);
    sum.add(5, 1_010);
    expect(sum.at(1_010)).toBe(Number.MAX_SAFE_INTEGER);
    expect(sum.at(1_110)).toBe(1);
    expect(sum.at(1_120)).toBe(0);
  });

  /** Moves in quarters of a millisecond, so that times are exact and not all whole. */
  const booking = fc.record({
    move: fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 400 })).map((quarters) => quarters / 4),
    units: fc.nat({ max: 9 }),
    takenBack: fc.option(fc.nat({ max: 9 }), { nil: undefined }),
  });
  const windows = fc.record({
    ms: fc.integer({ min: 1, max: 90 }),
    stepMs: fc.integer({ min: 1, max: 40 }),
    start: fc.integer({ min: -500, max: 500 }),
    many: fc.array(booking, { maxLength: 400, size: 'max' }),
  });

  it('is the sum of a list: never early, less than a step late, and tells its waits exactly', () => {
    const law = fc.property(windows, ({ ms, stepMs, start, many }) => {
      const sum = new RollingSum(ms, stepMs);
      const list: { readonly at: number; readonly units: number; readonly step: number }[] = [];
      const since = (from: number): number => list.reduce((all, { at, units }) => (at > from ? all + units : all), 0);
      /** A booking counts until all of its step is `ms` ago. */
      const counted = (now: number): number =>
        list.reduce((all, { at, units }) => ((Math.floor(at / stepMs) + 1) * stepMs + ms > now ? all + units : all), 0);
      let now = start;
      for (const { move, units, takenBack } of many) {
        now += move;
        const used = sum.at(now);
        expect(used).toBe(counted(now));
        expect(used).toBeGreaterThanOrEqual(since(now - ms));
        expect(used).toBeLessThanOrEqual(since(now - ms - stepMs));

        const wait = sum.untilFreed(units + 1, now);
        if (wait === undefined) expect(used).toBeLessThan(units + 1);
        else {
          expect(used - counted(now + wait)).toBeGreaterThanOrEqual(units + 1);
          if (wait > 1) expect(used - counted(now + wait - 1)).toBeLessThan(units + 1);
        }

        list.push({ at: now, units, step: sum.add(units, now) });
        const taken = takenBack === undefined ? undefined : list[list.length - 1 - takenBack];
        if (taken !== undefined) {
          sum.takeBack(taken.units, taken.step);
          list.splice(list.indexOf(taken), 1);
        }
      }
      expect(sum.at(now + ms + stepMs)).toBe(0);
    });
    fc.assert(law, { numRuns: 300 });
  });

  it('admits no more than the cap in any closed window, at any booking’s end of it', () => {
    const law = fc.property(windows, ({ ms, stepMs, start, many }) => {
      const sum = new RollingSum(ms, stepMs);
      const list: { readonly at: number; readonly units: number }[] = [];
      let now = start;
      for (const { move, units } of many) {
        now += move;
        if (sum.at(now) + units > 20) continue;
        sum.add(units, now);
        list.push({ at: now, units });
      }
      for (const [i, { at: end }] of list.entries()) {
        let inside = 0;
        for (let j = i; j >= 0 && (list[j]?.at ?? 0) >= end - ms; j--) inside += list[j]?.units ?? 0;
        expect(inside).toBeLessThanOrEqual(20);
      }
    });
    fc.assert(law, { numRuns: 300 });
  });
});
