import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Deadlines } from '../../src/stores/redis/deadlines.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

class Waiting {
  isOver = false;
  readonly expired: number[] = [];

  expire(): void {
    this.isOver = true;
    this.expired.push(performance.now());
  }
}

describe('Deadlines', () => {
  it('lets each expire at its own time, and only what is not over', () => {
    const begun = performance.now();
    const deadlines = new Deadlines(100);
    const all = Array.from({ length: 5 }, () => {
      const waiting = new Waiting();
      deadlines.add(waiting);
      vi.advanceTimersByTime(30);
      return waiting;
    });
    const [first, second] = all as [Waiting, Waiting];
    expect(first.expired).toEqual([begun + 100]);
    expect(second.expired).toEqual([begun + 130]);
    (all[3] as Waiting).isOver = true;
    deadlines.tidy();
    vi.advanceTimersByTime(1_000);
    expect(all.map(({ expired }) => expired.map((at) => at - begun))).toEqual([[100], [130], [160], [], [220]]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('asks for no timer of its own for each', () => {
    const deadlines = new Deadlines(100);
    for (let i = 0; i < 50; i++) deadlines.add(new Waiting());
    expect(vi.getTimerCount()).toBe(1);
  });

  it('keeps the process alive while something is waited for, and not after', () => {
    const set = vi.spyOn(globalThis, 'setTimeout');
    const deadlines = new Deadlines(100);
    const [first, second] = [new Waiting(), new Waiting()];
    deadlines.add(first);
    const timer = set.mock.results[0]?.value as NodeJS.Timeout;
    expect(timer.hasRef()).toBe(true);
    first.isOver = true;
    deadlines.tidy();
    expect(timer.hasRef()).toBe(false);
    deadlines.add(second);
    expect(timer.hasRef()).toBe(true);
    expect(set).toHaveBeenCalledTimes(1);
    set.mockRestore();
  });

  it('tells the right ones after thousands that were over in time', () => {
    const deadlines = new Deadlines(100);
    const all = Array.from({ length: 5_000 }, () => new Waiting());
    for (const waiting of all) deadlines.add(waiting);
    for (const waiting of all.slice(0, 3_000)) waiting.isOver = true;
    deadlines.tidy();
    const late = new Waiting();
    vi.advanceTimersByTime(40);
    deadlines.add(late);
    vi.advanceTimersByTime(60);
    expect(all.map(({ expired }) => expired.length)).toEqual([...Array(3_000).fill(0), ...Array(2_000).fill(1)]);
    expect(late.expired).toEqual([]);
    vi.advanceTimersByTime(40);
    expect(late.expired).toHaveLength(1);
  });
});
