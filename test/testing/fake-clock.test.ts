import { describe, expect, it } from 'vitest';
import { budget } from '../../src/guards/budget.ts';
import { rateLimit } from '../../src/guards/rate-limit.ts';
import { createLeash } from '../../src/leash.ts';
import { expectDenied, fakeClock, recordingSink } from '../../src/testing/index.ts';

describe('fakeClock', () => {
  it('stands still at noon of a day', () => {
    const clock = fakeClock();
    expect([clock.now(), clock.wall(), new Date(clock.wall()).toISOString()]).toEqual([
      0,
      1767268800000,
      '2026-01-01T12:00:00.000Z',
    ]);
    expect([fakeClock({ now: 5 }).now(), fakeClock({ wall: 7 }).wall()]).toEqual([5, 7]);
  });

  it('moves both clocks on', () => {
    const clock = fakeClock({ now: 1, wall: 2 });
    clock.advance(1000);
    expect([clock.now(), clock.wall()]).toEqual([1001, 1002]);
    clock.advance('1h');
    expect([clock.now(), clock.wall()]).toEqual([3_601_001, 3_601_002]);
  });

  it('sets either clock, also backwards', () => {
    const clock = fakeClock({ now: 10, wall: 20 });
    clock.set({ wall: 5 });
    expect([clock.now(), clock.wall()]).toEqual([10, 5]);
    clock.set({ now: -0.5 });
    expect([clock.now(), clock.wall()]).toEqual([-0.5, 5]);
    clock.set({});
    expect([clock.now(), clock.wall()]).toEqual([-0.5, 5]);
  });

  it('drives windows, the calendar and the log of a leash', async () => {
    const clock = fakeClock({ wall: Date.parse('2026-03-01T23:59:00Z') });
    const audit = recordingSink();
    const guards = [rateLimit({ max: 1, per: '1m' }), budget({ usd: 1, per: 'day' })];
    const leash = createLeash({ guards, clock, audit, stopOn: 'none' });
    const pay = leash.wrap('pay', () => 'paid', { cost: '$1' });
    await pay();
    const limited = await expectDenied(pay(), 'RATE_LIMITED');
    clock.advance(limited.retryAfterMs ?? 0);
    await pay();
    expect(audit.events.filter(({ kind }) => kind === 'tool_start').map(({ ts }) => ts.slice(0, 16))).toEqual([
      '2026-03-01T23:59',
      '2026-03-02T00:00',
    ]);
  });

  it.each([
    { name: 'an unknown option', make: () => fakeClock({ time: 1 } as never), error: TypeError, message: /`time`/ },
    { name: 'a time as text', make: () => fakeClock({ wall: '2026' as never }), error: TypeError, message: /wall/ },
    { name: 'NaN', make: () => fakeClock({ now: Number.NaN }), error: RangeError, message: /now/ },
    { name: 'infinity', make: () => fakeClock().set({ wall: Infinity }), error: RangeError, message: /wall/ },
    { name: 'a way back', make: () => fakeClock().advance(-1), error: RangeError, message: /time/ },
    { name: 'no way', make: () => fakeClock().advance(0), error: RangeError, message: /time/ },
    { name: 'another unit', make: () => fakeClock().advance('1y' as never), error: TypeError, message: /time/ },
  ])('refuses $name', ({ make, error, message }) => {
    expect(make).toThrow(error);
    expect(make).toThrow(message);
  });

  it('keeps its time where it refuses one', () => {
    const clock = fakeClock({ now: 1, wall: 2 });
    expect(() => clock.set({ now: 5, wall: Number.NaN })).toThrow(RangeError);
    expect([clock.now(), clock.wall()]).toEqual([1, 2]);
  });
});
