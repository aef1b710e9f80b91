import { describe, expect, it } from 'vitest';
import type { Span } from '../../src/internal/window.ts';
import { Meter, type Moment } from '../../src/stores/meter.ts';

/** The window of 100 ms that begins at `startMs` on the wall. */
function day(startMs: number): Span {
  return { kind: 'calendar', startMs, endMs: startMs + 100 };
}

function at(wall: number, now = 5_000): Moment {
  return { now, wall };
}

describe('Meter', () => {
  describe('with a total span', () => {
    it('keeps everything, whatever the time', () => {
      const meter = new Meter({ kind: 'total' });
      meter.book(5, at(0, 0));
      const mark = meter.book(7, at(1e12, 1e12));
      meter.turn(day(200));
      expect(meter.used(at(1e13, 1e13))).toBe(12);
      meter.takeBack(7, mark);
      expect(meter.used(at(1e13, 1e13))).toBe(5);
      expect(meter.untilFreed(1, at(1e13, 1e13))).toBeUndefined();
    });
    it('goes on with a state as it was', () => {
      const meter = new Meter({ kind: 'total' }, undefined, { held: 3, booked: 5, bookedLate: undefined });
      expect([meter.held, meter.used(at(0))]).toEqual([3, 5]);
      const { startMs, endMs } = { startMs: Number.POSITIVE_INFINITY, endMs: Number.POSITIVE_INFINITY };
      expect(meter.state).toEqual({ held: 3, booked: 5, startMs, endMs, bookedLate: undefined });
    });
    it('is full at 2 ** 53 - 1', () => {
      const meter = new Meter({ kind: 'total' });
      meter.book(Number.MAX_SAFE_INTEGER, at(0));
      meter.book(Number.MAX_SAFE_INTEGER, at(0));
      expect(meter.used(at(0))).toBe(Number.MAX_SAFE_INTEGER);
    });
  });

  describe('with a rolling span', () => {
    it('goes by the monotonic clock alone', () => {
      const meter = new Meter({ kind: 'rolling', ms: 100, stepMs: 10 });
      const mark = meter.book(5, at(0, 1_000));
      meter.book(7, at(1e12, 1_020));
      expect(meter.used(at(0, 1_109))).toBe(12);
      expect(meter.untilFreed(5, at(0, 1_109))).toBe(1);
      expect(meter.untilFreed(6, at(0, 1_109))).toBe(21);
      expect(meter.untilFreed(13, at(0, 1_109))).toBeUndefined();
      meter.takeBack(5, mark);
      expect(meter.used(at(0, 1_109))).toBe(7);
      expect(meter.used(at(0, 1_130))).toBe(0);
    });
    it('lets go of what is over before it books', () => {
      const meter = new Meter({ kind: 'rolling', ms: 100, stepMs: 10 });
      meter.book(5, at(0, 1_000));
      meter.book(7, at(0, 9_000));
      expect(meter.used(at(0, 9_000))).toBe(7);
    });
    it('takes what is over for no reason to be full', () => {
      const meter = new Meter({ kind: 'rolling', ms: 100, stepMs: 10 });
      meter.book(Number.MAX_SAFE_INTEGER, at(0, 1_000));
      expect(meter.state).toMatchObject({ booked: Number.MAX_SAFE_INTEGER });
      meter.book(7, at(0, 9_000));
      expect(meter.state).toMatchObject({ booked: 7 });
    });
  });

  describe('with a calendar span', () => {
    it.each([
      { name: 'in its window', wall: 199, used: 5 },
      { name: 'at the end of its window', wall: 200, used: 0 },
      { name: 'long after its window', wall: 1e12, used: 0 },
    ])('counts $name: $used', ({ wall, used }) => {
      const meter = new Meter(day(100));
      meter.book(5, at(150));
      expect(meter.used(at(wall))).toBe(used);
    });
    it('starts each window at nothing', () => {
      const meter = new Meter(day(100));
      meter.book(5, at(150));
      meter.turn(day(200));
      expect(meter.used(at(200))).toBe(0);
      meter.book(6, at(250));
      meter.turn(day(200));
      expect(meter.used(at(250))).toBe(6);
    });
    it('ends each window that it turns to', () => {
      const meter = new Meter(day(100));
      meter.turn(day(200));
      const mark = meter.book(6, at(250));
      meter.book(5, at(250));
      expect(meter.state).toEqual({ held: 0, booked: 11, startMs: 200, endMs: 300, bookedLate: undefined });
      expect(meter.untilFreed(11, at(250))).toBe(50);
      meter.takeBack(6, mark);
      expect(meter.used(at(299))).toBe(5);
      expect(meter.used(at(300))).toBe(0);
    });
    it('goes on with a window as it was', () => {
      const first = new Meter(day(100));
      first.book(5, at(150));
      first.book(7, at(210));
      expect(first.state).toEqual({ held: 0, booked: 7, startMs: 100, endMs: 200, bookedLate: 210 });
      const next = new Meter(day(100), undefined, first.state);
      expect(next.used(at(220))).toBe(7);
      next.turn(day(200));
      expect(next.used(at(220))).toBe(7);
    });
    it('does not turn back', () => {
      const meter = new Meter(day(200));
      meter.book(5, at(250));
      meter.turn(day(100));
      meter.turn({ kind: 'total' });
      expect(meter.used(at(250))).toBe(5);
      expect(meter.used(at(300))).toBe(0);
    });
    it.each([
      { name: 'into the window that it fell into', late: [210, 260], next: 200, carried: 12 },
      { name: 'at that end', late: [200, 210], next: 200, carried: 12 },
      { name: 'into a window that begins with it', late: [300, 300], next: 300, carried: 12 },
      { name: 'into no later window', late: [210, 299], next: 300, carried: 0 },
      { name: 'as a whole when it lies on both sides of a turn', late: [250, 310], next: 300, carried: 12 },
    ])('carries what was booked after the end $name', ({ late, next, carried }) => {
      const meter = new Meter(day(100));
      meter.book(90, at(150));
      const [first = 0, second = 0] = late;
      meter.book(5, at(first));
      meter.book(7, at(second));
      expect(meter.used(at(second))).toBe(12);
      meter.turn(day(next));
      expect(meter.used(at(next + 50))).toBe(carried);
      meter.book(1, at(next + 50));
      expect(meter.used(at(next + 50))).toBe(carried + 1);
      meter.turn(day(next + 100));
      expect(meter.used(at(next + 150))).toBe(0);
    });
    it('takes back in the window of the booking alone', () => {
      const meter = new Meter(day(100));
      const old = meter.book(5, at(150));
      meter.book(4, at(150));
      meter.takeBack(5, old);
      expect(meter.used(at(150))).toBe(4);
      const late = meter.book(5, at(199));
      meter.book(9, at(210));
      meter.takeBack(5, late);
      expect(meter.used(at(210))).toBe(9);
      meter.turn(day(200));
      meter.takeBack(5, old);
      expect(meter.used(at(210))).toBe(9);
    });
    it.each([
      { units: 1, wall: 150, wait: 50 },
      { units: 5, wall: 150, wait: 50 },
      { units: 6, wall: 150, wait: undefined },
      { units: 5, wall: 199, wait: 1 },
      { units: 5, wall: 199.5, wait: 1 },
      { units: 5, wall: 40, wait: 160 },
    ])('frees $units of 5 units at $wall after $wait ms', ({ units, wall, wait }) => {
      const meter = new Meter(day(100));
      meter.book(5, at(150));
      expect(meter.untilFreed(units, at(wall))).toBe(wait);
    });
  });
});
