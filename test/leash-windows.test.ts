import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BudgetExceededError, DeniedError } from '../src/errors.ts';
import { budget } from '../src/guards/budget.ts';
import { callCap } from '../src/guards/call-cap.ts';
import { rateLimit } from '../src/guards/rate-limit.ts';
import type { Per } from '../src/internal/window.ts';
import { createLeash } from '../src/leash.ts';
import type { Leash } from '../src/leash-contract.ts';
import type { Ticket } from '../src/session/ticket.ts';
import { memoryStore } from '../src/stores/memory.ts';
import { FakeClock } from './helpers/clock.ts';

const DAY_MS = 86_400_000;
const utc = (moment: string): number => Date.parse(`${moment}Z`);

interface Event {
  readonly at: number;
  readonly units: number;
}

/** The most that any stretch of `ms`, both ends included, holds. */
function mostIn(events: readonly Event[], ms: number): number {
  const sums = events.map(({ at: from }) =>
    events.reduce((sum, { at, units }) => sum + (at >= from && at <= from + ms ? units : 0), 0),
  );
  return Math.max(0, ...sums);
}

/** A clock that notes the latest time that it was asked for: to a limit, time does not run backwards. */
class MovingClock extends FakeClock {
  latest = Number.NEGATIVE_INFINITY;
  jumpBy(ms: number): void {
    this.jump(super.now() + ms);
  }
  override now(): number {
    this.latest = Math.max(this.latest, super.now());
    return super.now();
  }
}

/** What time does between two calls, in parts of the window. */
const moves = fc.oneof(
  { weight: 8, arbitrary: fc.constant({ kind: 'stays', parts: 0 } as const) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('passes' as const), parts: fc.double({ min: 0, max: 1.1, noNaN: true }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('jumps' as const), parts: fc.double({ min: -3, max: 3, noNaN: true }) }),
  },
);
type Move = typeof moves extends fc.Arbitrary<infer T> ? T : never;

/** Moves the clock by a part of the window, in steps that a double holds exactly. */
function move(clock: MovingClock, { kind, parts }: Move, ms: number, whole: boolean): void {
  const by = whole ? Math.round(parts * ms) : Math.round(parts * ms * 8) / 8;
  if (kind === 'jumps') clock.jumpBy(by);
  else clock.advance(by);
}

const lengths = fc.constantFrom(1, 2, 7, 100, 359, 360, 361, 1_000, 86_399_999, 3_600_000);
const origins = fc.constantFrom(0, 0.125, -1_000, 987_654.5, 2 ** 40);

describe('rateLimit over time', () => {
  const traffic = fc.array(fc.record({ move: moves, calls: fc.nat({ max: 4 }) }), { maxLength: 30, size: 'max' });
  const max = fc.integer({ min: 1, max: 5 });

  it('never lets any window hold more than its maximum, whatever the clock does', async () => {
    const law = fc.asyncProperty(
      lengths,
      max,
      origins,
      fc.boolean(),
      traffic,
      async (per, most, origin, two, steps) => {
        const clock = new MovingClock(origin);
        const store = memoryStore({ clock });
        const leashes = (two ? ['a', 'b'] : ['a']).map((id) =>
          createLeash({ guards: [rateLimit({ max: most, per, scope: 'all' })], clock, store, id }),
        );
        const admitted: Event[] = [];
        const refused: number[] = [];
        for (const { move: how, calls } of steps) {
          move(clock, how, per, false);
          for (let i = 0; i < calls; i++) {
            const run = (leashes[i % leashes.length] as Leash).run({ tool: 'a' }, () => 'ran');
            const ran = await run.catch((error: DeniedError) => error.code);
            if (ran === 'ran') admitted.push({ at: clock.latest, units: 1 });
            else {
              expect(ran).toBe('RATE_LIMITED');
              // No later than promised: what is counted is at most a 360th of the window too old.
              const oldest = clock.latest - per - Math.ceil(per / 360);
              refused.push(admitted.filter(({ at }) => at > oldest).length);
            }
          }
        }
        expect(mostIn(admitted, per)).toBeLessThanOrEqual(most);
        for (const counted of refused) expect(counted).toBeGreaterThanOrEqual(most);
      },
    );
    await fc.assert(law, { numRuns: 300 });
  }, 60_000);

  it('tells exactly how long to wait', async () => {
    const law = fc.asyncProperty(lengths, max, traffic, async (per, most, steps) => {
      const clock = new MovingClock(0);
      const leash = createLeash({ guards: [rateLimit({ max: most, per })], clock });
      const run = () => leash.run({ tool: 'a' }, () => undefined).catch((error: DeniedError) => error.retryAfterMs);
      for (const { move: how, calls } of steps) {
        move(clock, how, per, true);
        for (let i = 0; i < calls; i++) {
          const wait = await run();
          if (wait === undefined) continue;
          clock.advance(wait - 1);
          expect(await leash.peek({ tool: 'a' })).toMatchObject({ allow: false });
          clock.advance(1);
          expect(await leash.peek({ tool: 'a' })).toMatchObject({ allow: true });
        }
      }
    });
    await fc.assert(law, { numRuns: 150 });
  }, 60_000);
});

describe('budget over a rolling window', () => {
  const steps = fc.array(
    fc.record({
      move: moves,
      does: fc.constantFrom('enter', 'enter', 'enter', 'settle', 'settle', 'release'),
      usd: fc.integer({ min: 1, max: 6 }),
      part: fc.constantFrom(0, 0.25, 0.5, 1, 1),
      which: fc.nat(),
    }),
    { maxLength: 60, size: 'max' },
  );

  it('never lets any window hold more than the cap, whatever the clock does', async () => {
    const law = fc.asyncProperty(fc.constantFrom('1h', '10s', 100, 7), origins, steps, async (per, origin, all) => {
      const ms = { '1h': 3_600_000, '10s': 10_000 }[per as string] ?? (per as number);
      const clock = new MovingClock(origin);
      const leash = createLeash({ guards: [budget({ usd: 10, per: per as '1h' })], clock, stopOn: 'none' });
      const open: { readonly ticket: Ticket; readonly usd: number }[] = [];
      const booked: Event[] = [];
      for (const { move: how, does, usd, part, which } of all) {
        move(clock, how, ms, false);
        if (does === 'enter') {
          const entered = (async () => leash.enter({ tool: 'pay', cost: { usd } }))();
          const ticket = await entered.catch((error: DeniedError) => {
            expect(error.code).toBe('BUDGET_EXCEEDED');
          });
          if (ticket !== undefined) open.push({ ticket, usd });
        } else {
          const [ending] = open.splice(which % Math.max(1, open.length), 1);
          if (ending === undefined) continue;
          if (does === 'release') await ending.ticket.release();
          else {
            await ending.ticket.settle({ usd: ending.usd * part });
            booked.push({ at: clock.latest, units: ending.usd * part });
          }
        }
        // What runs may be booked at any moment, so it counts in every window.
        const held = open.reduce((sum, each) => sum + each.usd, 0);
        const inWindow = booked.reduce((sum, { at, units }) => sum + (at >= clock.latest - ms ? units : 0), 0);
        expect(inWindow + held).toBeLessThanOrEqual(10);
        expect((await leash.usage()).limits[0]).toMatchObject({ held: String(held) });
      }
      expect(mostIn(booked, ms)).toBeLessThanOrEqual(10);
    });
    await fc.assert(law, { numRuns: 200 });
  }, 60_000);

  it('counts what ended in the last hour, and lets it go with at most 10 s delay', async () => {
    const clock = new FakeClock(0);
    const leash = createLeash({ guards: [budget({ usd: 1, per: '1h' })], clock, stopOn: 'none' });
    const ticket = await leash.enter({ tool: 'pay', cost: { usd: 1 } });
    clock.advance(2 * 3_600_000);
    await expect(leash.run({ tool: 'pay', cost: { usd: 1 } }, () => 1)).rejects.toMatchObject({ reason: 'in_flight' });
    await ticket.settle();
    clock.advance(3_600_000);
    const late = leash.run({ tool: 'pay', cost: { usd: 1 } }, () => 1);
    await expect(late).rejects.toMatchObject({ reason: 'exhausted', retryAfterMs: 10_000 });
    clock.advance(10_000);
    await expect(leash.run({ tool: 'pay', cost: { usd: 1 } }, () => 'ran')).resolves.toBe('ran');
  });
});

/** Spends the whole budget, or tells the refusal. */
function spend(leash: Leash): Promise<'ran' | BudgetExceededError> {
  return leash.run({ tool: 'pay', cost: { usd: 10 } }, () => 'ran' as const).catch((error) => error);
}

describe('budget over a calendar window', () => {
  it.each<[name: string, zone: string, per: 'day' | 'week' | 'month', start: string, at: string, end: string]>([
    ['a day', 'UTC', 'day', '2026-11-20T00:00', '2026-11-20T12:00', '2026-11-21T00:00'],
    ['a leap day', 'UTC', 'day', '2028-02-29T00:00', '2028-02-29T23:59', '2028-03-01T00:00'],
    ['a leap day', 'America/Los_Angeles', 'day', '2028-02-29T08:00', '2028-02-29T12:00', '2028-03-01T08:00'],
    ['a leap February', 'UTC', 'month', '2028-02-01T00:00', '2028-02-29T12:00', '2028-03-01T00:00'],
    ['a February without', 'UTC', 'month', '2027-02-01T00:00', '2027-02-28T23:59', '2027-03-01T00:00'],
    ['February 2100', 'UTC', 'month', '2100-02-01T00:00', '2100-02-28T12:00', '2100-03-01T00:00'],
    ['a month of 31 days', 'UTC', 'month', '2026-01-01T00:00', '2026-01-31T23:59', '2026-02-01T00:00'],
    ['a month of 30 days', 'UTC', 'month', '2026-04-01T00:00', '2026-04-30T23:59', '2026-05-01T00:00'],
    ['a new year, east', 'Asia/Tokyo', 'month', '2026-12-31T15:00', '2026-12-31T15:30', '2027-01-31T15:00'],
    [
      'a week over a year end',
      'America/Los_Angeles',
      'week',
      '2026-12-28T08:00',
      '2027-01-01T12:00',
      '2027-01-04T08:00',
    ],
    ['a week over a leap day', 'UTC', 'week', '2028-02-28T00:00', '2028-03-01T00:00', '2028-03-06T00:00'],
    ['23 hours', 'Europe/Berlin', 'day', '2026-03-28T23:00', '2026-03-29T10:00', '2026-03-29T22:00'],
    ['25 hours', 'Europe/Berlin', 'day', '2026-10-24T22:00', '2026-10-25T10:00', '2026-10-25T23:00'],
    ['167 hours', 'Europe/Berlin', 'week', '2026-03-22T23:00', '2026-03-25T10:00', '2026-03-29T22:00'],
    ['a month with a change', 'Europe/Berlin', 'month', '2026-09-30T22:00', '2026-10-10T10:00', '2026-10-31T23:00'],
    ['23 hours', 'America/New_York', 'day', '2026-03-08T05:00', '2026-03-08T12:00', '2026-03-09T04:00'],
    ['25 hours', 'America/New_York', 'day', '2026-11-01T04:00', '2026-11-01T12:00', '2026-11-02T05:00'],
    ['no midnight', 'Africa/Cairo', 'day', '2024-04-25T22:00', '2024-04-26T10:00', '2024-04-26T21:00'],
    ['no midnight', 'America/Santiago', 'day', '2023-09-03T04:00', '2023-09-03T12:00', '2023-09-04T03:00'],
    ['a second midnight', 'America/Havana', 'day', '2024-11-03T04:00', '2024-11-03T05:30', '2024-11-04T05:00'],
    ['half an hour less', 'Australia/Lord_Howe', 'day', '2026-10-03T13:30', '2026-10-04T00:00', '2026-10-04T13:00'],
    ['45 minutes', 'Asia/Kathmandu', 'day', '2026-11-19T18:15', '2026-11-20T10:00', '2026-11-20T18:15'],
    ['the day before a skipped one', 'Pacific/Apia', 'day', '2011-12-29T10:00', '2011-12-30T09:59', '2011-12-30T10:00'],
    ['a skipped day', 'Pacific/Apia', 'week', '2011-12-26T10:00', '2011-12-30T10:00', '2012-01-01T10:00'],
    ['a date that comes twice', 'America/St_Johns', 'day', '2010-11-07T02:30', '2010-11-07T02:31', '2010-11-08T03:30'],
    ['a fixed offset', '+05:30', 'day', '2026-11-19T18:30', '2026-11-20T12:00', '2026-11-20T18:30'],
  ])('holds for %s in %s (%s) and starts anew on the millisecond', async (_, timeZone, per, start, at, end) => {
    const [startsAt, now, resetsAt] = [utc(start), utc(at), utc(end)];
    const clock = new FakeClock(0, startsAt - 1);
    const leash = createLeash({ guards: [budget({ usd: 10, per, timeZone })], clock, stopOn: 'none' });
    expect(await spend(leash)).toBe('ran');
    expect(await spend(leash)).toMatchObject({ reason: 'exhausted', resetsAt: startsAt, retryAfterMs: 1 });
    for (const [wall, next] of [
      [startsAt, resetsAt],
      [resetsAt, undefined],
    ] as const) {
      clock.advance(wall - clock.wall());
      expect((await leash.usage()).limits).toMatchObject([{ spent: '0', remaining: '10' }]);
      expect(await spend(leash)).toBe('ran');
      if (next === undefined) continue;
      for (const later of [wall, now, next - 1]) {
        clock.advance(later - clock.wall());
        expect(await spend(leash)).toMatchObject({ reason: 'exhausted', resetsAt: next, retryAfterMs: next - later });
        expect((await leash.usage()).limits).toMatchObject([{ spent: '10', remaining: '0', resetsAt: next }]);
      }
    }
  });

  it('has its own counter for each window, zone and period', async () => {
    // 14:30 on the 20th in Berlin, 22:30 in Tokyo, 08:30 in New York.
    const clock = new FakeClock(0, utc('2026-11-20T13:30'));
    const of = (usd: number, per: Per, timeZone?: string) =>
      budget({ usd, per, ...(timeZone === undefined ? {} : { timeZone }) });
    const guards = [
      of(2, 'day'),
      of(2, 'day', 'Asia/Tokyo'),
      of(3, 'week'),
      of(4, 'month'),
      of(9, 'session'),
      of(2, 3e6),
    ];
    const leash = createLeash({ guards, clock, stopOn: 'none' });
    const pay = () =>
      leash.run({ tool: 'pay', cost: { usd: 1 } }, () => 'ran').catch((error: DeniedError) => error.limit);
    const told: unknown[] = [];
    const rest = async () => {
      do told.push(await pay());
      while (told.at(-1) === 'ran');
    };
    await rest();
    for (const hours of [2, 9, 60, 24 * 8]) {
      clock.advance(hours * 3_600_000);
      await rest();
    }
    expect(told).toEqual([
      ...['ran', 'ran', 'usd/day'],
      // 15:30 UTC: another day in Tokyo alone.
      'usd/day',
      // 00:30 UTC on Saturday.
      ...['ran', 'usd/week'],
      // Monday, 12:30 UTC: the month has one left.
      ...['ran', 'usd/month'],
      // The 1st of December.
      ...['ran', 'ran', 'usd/day'],
    ]);
  });

  it('books a call that runs over midnight on the day on which it ends, and holds it on both', async () => {
    const midnight = utc('2026-12-01T00:00');
    const clock = new FakeClock(0, midnight - 60_000);
    const leash = createLeash({ guards: [budget({ usd: 10, per: 'day' }), budget({ usd: 15, per: 'month' })], clock });
    const day = async () => (await leash.usage()).limits.map(({ spent, held }) => `${spent}+${held}`).join(' ');
    await leash.run({ tool: 'pay', cost: { usd: 4 } }, () => 1);
    const over = await leash.enter({ tool: 'pay', cost: { usd: 5 } });
    expect(await day()).toBe('4+5 4+5');
    clock.advance(60_000);
    expect(await day()).toBe('0+5 0+5');
    await over.settle({ usd: 6 });
    expect(await day()).toBe('6+0 6+0');
    await leash.run({ tool: 'pay', cost: { usd: 4 } }, () => 1);
    expect(await day()).toBe('10+0 10+0');
    await expect(leash.run({ tool: 'pay', cost: { usd: 1 } }, () => 1)).rejects.toMatchObject({ limit: 'usd/day' });
  });

  it('counts a call on the day on which it was admitted, and a release gives nothing to the next', async () => {
    const clock = new FakeClock(0, utc('2026-11-20T23:59'));
    const leash = createLeash({ guards: [callCap({ max: 2, per: 'day' })], clock, stopOn: 'none' });
    const ticket = await leash.enter({ tool: 'a' });
    clock.advance(60_000);
    await leash.run({ tool: 'a' }, () => 1);
    await ticket.release();
    expect((await leash.usage()).limits).toMatchObject([{ spent: 1, remaining: 1 }]);
  });
});

describe('a clock that is set back', () => {
  const noon = utc('2026-11-20T12:00');
  const session = () => {
    const clock = new FakeClock(0, noon);
    return { clock, leash: createLeash({ guards: [budget({ usd: 10, per: 'day' })], clock, stopOn: 'none' }) };
  };

  it('does not open a day again that is over', async () => {
    const { clock, leash } = session();
    expect(await spend(leash)).toBe('ran');
    clock.jump(undefined, noon + DAY_MS);
    expect(await spend(leash)).toBe('ran');
    clock.jump(undefined, noon);
    expect(await spend(leash)).toMatchObject({ reason: 'exhausted', cap: '10', remaining: '0' });
    expect((await leash.usage()).limits).toMatchObject([{ spent: '10', remaining: '0' }]);
  });

  it('still says rightly when the budget starts anew', async () => {
    const { clock, leash } = session();
    clock.jump(undefined, noon + DAY_MS);
    expect(await spend(leash)).toBe('ran');
    clock.jump(undefined, noon);
    const resetsAt = utc('2026-11-22T00:00');
    expect(await spend(leash)).toMatchObject({ resetsAt, retryAfterMs: resetsAt - noon });
    clock.advance(resetsAt - noon - 1);
    expect(await spend(leash)).toMatchObject({ resetsAt, retryAfterMs: 1 });
    clock.advance(1);
    expect(await spend(leash)).toBe('ran');
  });

  it('does not keep a new session from beginning its own day beside one that is a day ahead', async () => {
    const { clock, leash } = session();
    clock.jump(undefined, noon + DAY_MS);
    expect(await spend(leash)).toBe('ran');
    clock.jump(undefined, noon);
    const child = leash.child({ guards: [budget({ usd: 10, per: 'day' })] });
    expect(await spend(child)).toMatchObject({ code: 'BUDGET_EXCEEDED', reason: 'exhausted' });
    const free = child.run({ tool: 'look', cost: 'free' }, () => 'ran');
    await expect(free).resolves.toBe('ran');
  });

  it('moves calendars with the wall clock and rolling windows with the other', async () => {
    const clock = new FakeClock(0, noon);
    const guards = [budget({ usd: 20, per: 'day' }), rateLimit({ max: 1, per: '1h' })];
    const leash = createLeash({ guards, clock, stopOn: 'none' });
    expect(await spend(leash)).toBe('ran');
    clock.jump(undefined, noon + 10 * DAY_MS);
    expect(await spend(leash)).toMatchObject({ code: 'RATE_LIMITED' });
    clock.jump(3_620_000, noon + 10 * DAY_MS);
    expect(await spend(leash)).toBe('ran');
    clock.jump(2 * 3_640_000);
    expect(await spend(leash)).toBe('ran');
    clock.jump(3 * 3_640_000);
    expect(await spend(leash)).toMatchObject({ code: 'BUDGET_EXCEEDED' });
  });
});
