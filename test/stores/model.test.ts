import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Span } from '../../src/internal/window.ts';
import { memoryStore } from '../../src/stores/memory.ts';
import type { Decision, HoldState, Line, Reserve, Settle, Settled, Store } from '../../src/stores/store.ts';
import { FakeClock } from '../helpers/clock.ts';

/** The memory store answers at once. */
type SyncStore = {
  [Method in keyof Store]: (...args: Parameters<Store[Method]>) => Awaited<ReturnType<Store[Method]>>;
};

const SCOPES = ['a', 'b'];
const DAY_MS = 40;

interface Moment {
  readonly now: number;
  readonly wall: number;
}

interface Booking extends Moment {
  readonly units: number;
}

interface Counter {
  span: Span;
  /** In the calendar window that a reservation named last, or ever. */
  booked: Booking[];
  /** After the end of that window: it is not known yet in which one. */
  late: Booking[];
}

interface Hold {
  state: HoldState;
  readonly lines: { readonly line: Line; readonly counter: Counter; readonly booking: Booking | undefined }[];
  leaseEnd: number;
  corrected: boolean;
}

function sum(bookings: readonly Booking[]): number {
  return bookings.reduce((all, { units }) => all + units, 0);
}

/** The contract in the plainest words: lists of all bookings, added up anew each time. Shares nothing with src/stores. */
class Model {
  readonly clock = new FakeClock(1_000, 100_000);
  readonly counters = new Map<string, Counter>();
  readonly holds = new Map<string, Hold>();
  /** What was asked for and granted, by id. */
  readonly granted = new Map<string, { readonly item: Reserve; readonly hold: Hold; readonly first: number }>();
  readonly shutScopes = new Set<string>();
  /** Where the clock was before it was set back. */
  latest: Moment = { now: 0, wall: 0 };
  generations: Readonly<Record<string, string>> = {};

  moment(after = 0): Moment {
    const { latest, clock } = this;
    return { now: Math.max(latest.now, clock.now() + after), wall: Math.max(latest.wall, clock.wall() + after) };
  }

  used({ span, booked, late }: Counter, { now, wall }: Moment): number {
    if (span.kind === 'total') return sum(booked);
    if (span.kind === 'calendar') return sum(wall < span.endMs ? booked : late);
    const { ms, stepMs } = span;
    return sum(booked.filter((booking) => (Math.floor(booking.now / stepMs) + 1) * stepMs + ms > now));
  }

  held(counter: Counter): number {
    const open = [...this.holds.values()].filter(({ state }) => state === 'held').flatMap(({ lines }) => lines);
    const mine = open.filter((each) => each.counter === counter && each.line.book === 'settle');
    return mine.reduce((all, { line }) => all + line.amount, 0);
  }

  book(counter: Counter, units: number): Booking {
    const booking = { ...this.moment(), units };
    const over = counter.span.kind === 'calendar' && booking.wall >= counter.span.endMs;
    if (units > 0) (over ? counter.late : counter.booked).push(booking);
    return booking;
  }

  counter({ scope, meter, span }: Line): Counter {
    const key = `${scope} ${meter}`;
    const counter = this.counters.get(key) ?? { span, booked: [], late: [] };
    this.counters.set(key, counter);
    if (span.kind === 'calendar' && counter.span.kind === 'calendar' && span.startMs > counter.span.startMs) {
      const carried = counter.late.some(({ wall }) => wall >= span.startMs);
      counter.booked = carried ? counter.late : [];
      counter.late = [];
      counter.span = span;
    }
    return counter;
  }

  reserve(item: Reserve): Decision {
    const refuse = (why: 'closed' | 'conflict' | 'terminal' | 'state_lost', line = -1): Decision => {
      return { ok: false, why, line, nowMs: this.clock.wall() };
    };
    const known = this.granted.get(item.id);
    if (this.holds.get(item.id)?.state === 'void' || known?.hold.state === 'void') return refuse('terminal');
    if (known !== undefined) {
      const told = ({ onto, lines }: Reserve): string =>
        JSON.stringify([onto, lines.map(({ scope, meter, amount }) => [scope, meter, amount])]);
      if (told(known.item) !== told(item)) return refuse('conflict');
      return { ok: true, repeat: known.hold.state, left: this.left(item.lines, known.hold, known.first) };
    }
    const onto = item.onto === undefined ? undefined : this.holds.get(item.onto);
    if (item.onto !== undefined && onto?.state !== 'held') return refuse('terminal');

    const moment = this.moment();
    const counters: Counter[] = [];
    for (const [i, line] of item.lines.entries()) {
      if (line.generation !== this.generations[line.scope]) return refuse('state_lost', i);
      if (this.shutScopes.has(line.scope)) return refuse('closed', i);
      if (line.span.kind === 'calendar' && !(line.span.startMs <= moment.wall && moment.wall < line.span.endMs)) {
        return { ok: false, why: 'stale', line: i, nowMs: moment.wall };
      }
      const counter = this.counter(line);
      const before = item.lines.slice(0, i).filter((_, j) => counters[j] === counter);
      const wanted = before.reduce((all, { amount }) => all + amount, line.amount);
      const free = (after?: number): number => line.cap - this.used(counter, this.moment(after)) - this.held(counter);
      if (line.amount > 0 && wanted > free()) {
        const left = free() + line.amount - wanted;
        if (wanted > line.cap) return { ok: false, why: 'exceeds_cap', line: i, left };
        if (wanted <= free() + this.held(counter)) return { ok: false, why: 'in_flight', line: i, left };
        let retryMs: number | undefined = 1;
        while (retryMs < 400 && wanted > free(retryMs)) retryMs++;
        if (retryMs === 400) retryMs = undefined;
        return { ok: false, why: 'exhausted', line: i, left, retryMs };
      }
      counters.push(counter);
    }
    const lines = item.lines.map((line, i) => {
      const counter = counters[i] as Counter;
      return { line, counter, booking: line.book === 'reserve' ? this.book(counter, line.amount) : undefined };
    });
    const hold: Hold = onto ?? { state: 'held', lines: [], leaseEnd: 0, corrected: false };
    if (onto === undefined) this.holds.set(item.id, hold);
    const first = hold.lines.push(...lines) - lines.length;
    hold.leaseEnd = Math.max(hold.leaseEnd, this.clock.now() + item.leaseMs);
    if (onto === undefined || lines.length > 0) this.granted.set(item.id, { item, hold, first });
    return { ok: true, repeat: undefined, left: this.left(item.lines, hold, first) };
  }

  left(lines: readonly Line[], hold: Hold, first: number): number[] {
    return lines.map(({ cap }, i) => {
      const { counter } = hold.lines[first + i] as Hold['lines'][number];
      return cap - this.used(counter, this.moment()) - this.held(counter);
    });
  }

  settle(batch: readonly Settle[]): Settled[] {
    for (const { id, actual } of batch) {
      const hold = this.holds.get(id);
      if (hold === undefined || hold.state === 'void' || typeof actual === 'string') continue;
      if (actual.length !== hold.lines.length) throw new RangeError('as many amounts as lines');
    }
    return batch.map(({ id, actual }) => {
      const hold = this.holds.get(id);
      if (hold === undefined) {
        this.holds.set(id, { state: 'void', lines: [], leaseEnd: 0, corrected: true });
        return { state: 'unknown', first: true, overrun: [] };
      }
      const overrun = hold.lines.map(({ line }, i) =>
        typeof actual !== 'string' && line.book === 'settle' ? Math.max(0, (actual[i] ?? 0) - line.amount) : 0,
      );
      const first = hold.state === 'held';
      const corrects = hold.state === 'forfeited' && !hold.corrected && typeof actual !== 'string';
      if (corrects) for (const [i, { counter }] of hold.lines.entries()) this.book(counter, overrun[i] ?? 0);
      hold.corrected ||= corrects;
      if (first) this.end(hold, actual);
      const state = hold.state as Settled['state'];
      return { state, first, overrun: (first || corrects) && overrun.some((units) => units > 0) ? overrun : [] };
    });
  }

  end(hold: Hold, actual: Settle['actual']): void {
    hold.state = actual === 'void' ? 'void' : actual === 'forfeit' ? 'forfeited' : 'settled';
    for (const [i, { line, counter, booking }] of hold.lines.entries()) {
      if (booking !== undefined && actual === 'void')
        counter.booked = counter.booked.filter((each) => each !== booking);
      if (booking !== undefined || actual === 'void') continue;
      this.book(counter, actual === 'forfeit' ? line.amount : (actual[i] ?? 0));
    }
  }

  sweep(limit: number): { id: string }[] {
    const ended = [...this.holds].filter(([, hold]) => hold.state === 'held' && hold.leaseEnd <= this.clock.now());
    return ended.slice(0, limit).map(([id, hold]) => {
      this.end(hold, 'forfeit');
      return { id };
    });
  }

  /** As `seen` tells it of a store. A scope that was shut shows nothing any more. */
  seen(): Record<string, [used: number, held: number]> {
    const all: Record<string, [number, number]> = {};
    for (const [key, counter] of this.counters) {
      const reading: [number, number] = [this.used(counter, this.moment()), this.held(counter)];
      if (!this.shutScopes.has(key.charAt(0)) && reading.some((units) => units !== 0)) all[key] = reading;
    }
    return all;
  }
}

type Operation =
  | { readonly reserve: readonly Reserve[] }
  | { readonly settle: readonly Settle[] }
  | { readonly sweep: number }
  | { readonly shut: string };

/** Everything that can be seen of a store: `[used, held]` of each counter that is not at zero. */
function seen(store: SyncStore): Record<string, [used: number, held: number]> {
  const all: Record<string, [number, number]> = {};
  for (const [scope, meters] of Object.entries(store.read(SCOPES))) {
    for (const [meter, { used, held }] of Object.entries(meters)) {
      if (used !== 0 || held !== 0) all[`${scope} ${meter}`] = [used, held];
    }
  }
  return all;
}

/** A store and the model of it, on one clock. */
class Pair {
  readonly model = new Model();
  readonly store: SyncStore = memoryStore({ clock: this.model.clock }) as SyncStore;
  /** Every id that was ever sent. */
  readonly ids: string[] = [];
  readonly sent: Reserve[] = [];

  constructor() {
    this.model.generations = this.store.open(SCOPES);
  }

  /** Does the same on both sides; the answers must be the same. */
  perform(operation: Operation): void {
    const { model, store } = this;
    const answer = (side: SyncStore | Model): unknown => {
      if ('sweep' in operation) return side.sweep(operation.sweep);
      if ('shut' in operation)
        return side === model ? model.shutScopes.add(operation.shut) && undefined : store.shut(operation.shut);
      try {
        if ('settle' in operation) return side.settle(operation.settle);
      } catch (error) {
        return (error as Error).name;
      }
      if (!('reserve' in operation)) return undefined;
      return side === model ? operation.reserve.map((item) => model.reserve(item)) : store.reserve(operation.reserve);
    };
    equal(answer(store), answer(model));
  }

  /** Full state: what was reserved and settled wherever, and nothing else. */
  compare(): void {
    equal(seen(this.store), this.model.seen());
  }

  /** No time runs back that the store has seen. */
  setClock(now: number, wall: number): void {
    this.store.read(SCOPES);
    this.model.latest = this.model.moment();
    this.model.clock.jump(now, wall);
  }
}

function equal(actual: unknown, expected: unknown): void {
  // A fast way to say yes; the slow one knows how to show a difference.
  if (JSON.stringify(actual) !== JSON.stringify(expected)) expect(actual).toEqual(expected);
}

const lineOf = fc.record({
  scope: fc.constantFrom(...SCOPES),
  kind: fc.constantFrom<Span['kind'][]>('total', 'rolling', 'calendar'),
  amount: fc.oneof({ weight: 9, arbitrary: fc.nat({ max: 6 }) }, { weight: 1, arbitrary: fc.nat({ max: 14 }) }),
  book: fc.constantFrom<Line['book'][]>('reserve', 'settle'),
  cap: fc.constantFrom(12, 12, 10),
  /** How many calendar windows from the one of the moment. */
  off: fc.oneof({ weight: 20, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constantFrom(-1, 1) }),
  lost: fc.oneof({ weight: 30, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});
/** Counted from the latest backwards. */
const which = fc.nat({ max: 7 });
const reservation = fc.record({
  id: fc.constantFrom('new', 'new', 'new', 'new', 'again', 'other'),
  which,
  onto: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: which }),
  lines: fc.array(lineOf, { maxLength: 3, size: 'max' }),
  leaseMs: fc.constantFrom(0, 20, 60, 1_000, 1_000),
});
const ending = fc.record({
  id: fc.constantFrom<('open' | 'hold' | 'sent' | 'never')[]>(
    'open',
    'open',
    'open',
    'open',
    'open',
    'hold',
    'hold',
    'sent',
    'never',
  ),
  which,
  actual: fc.oneof(
    { weight: 4, arbitrary: fc.array(fc.nat({ max: 6 }), { minLength: 1, maxLength: 3 }) },
    { weight: 1, arbitrary: fc.constant([14]) },
    { weight: 2, arbitrary: fc.constantFrom('exact' as const, 'void' as const) },
    { weight: 1, arbitrary: fc.constantFrom('forfeit' as const, 'too many' as const) },
  ),
});
type Plan =
  | { readonly reserve: readonly (typeof reservation extends fc.Arbitrary<infer T> ? T : never)[] }
  | { readonly settle: readonly (typeof ending extends fc.Arbitrary<infer T> ? T : never)[] }
  | { readonly sweep: number }
  | { readonly shut: string }
  | { readonly advance: number }
  | { readonly jump: readonly [now: number, wall: number] };
const batch = { minLength: 1, maxLength: 2 };
const leap = fc.integer({ min: -90, max: 90 });
const plans: fc.Arbitrary<Plan> = fc.oneof(
  { weight: 48, arbitrary: fc.record({ reserve: fc.array(reservation, batch) }) },
  { weight: 40, arbitrary: fc.record({ settle: fc.array(ending, batch) }) },
  { weight: 6, arbitrary: fc.record({ sweep: fc.nat({ max: 3 }) }) },
  { weight: 24, arbitrary: fc.record({ advance: fc.nat({ max: 45 }) }) },
  { weight: 4, arbitrary: fc.record({ jump: fc.tuple(leap, leap) }) },
  { weight: 1, arbitrary: fc.record({ shut: fc.constantFrom('b', 'b', 'b', 'a') }) },
);

function recent<T>(list: readonly T[], back: number): T | undefined {
  return list.at(-1 - (back % Math.max(1, list.length)));
}

/** Fills a plan with what is known only when it is its turn. Undefined: it was about the clock, and is done. */
function prepare(plan: Plan, pair: Pair): Operation | undefined {
  const { model, ids, sent } = pair;
  const { clock } = model;
  const holds = [...model.granted.keys()].filter((id) => model.holds.has(id));
  const open = holds.filter((id) => model.holds.get(id)?.state === 'held');
  if ('advance' in plan) return void clock.advance(plan.advance);
  if ('jump' in plan) return void pair.setClock(clock.now() + plan.jump[0], clock.wall() + plan.jump[1]);
  if ('settle' in plan) {
    const settle = plan.settle.map(({ id: kind, which: back, actual: wanted }): Settle => {
      const id =
        recent({ open: open.length > 0 ? open : holds, hold: holds, sent: ids, never: [] }[kind], back) ??
        `never ${ids.length}`;
      if (!ids.includes(id)) ids.push(id);
      if (wanted === 'void' || wanted === 'forfeit') return { id, actual: wanted };
      const lines = model.holds.get(id)?.lines ?? [];
      const actual = lines.map(({ line }, i) =>
        typeof wanted === 'string' ? line.amount : (wanted[i % wanted.length] ?? 0),
      );
      return { id, actual: wanted === 'too many' ? [...actual, 1] : actual };
    });
    return { settle };
  }
  if (!('reserve' in plan)) return plan;
  const reserve = plan.reserve.map(({ id: kind, which: back, onto, lines, leaseMs }): Reserve => {
    const again = recent(sent, back);
    if (kind === 'again' && again !== undefined) return again;
    const id = kind === 'other' ? (recent(ids, back) ?? 'first') : `r${ids.length}`;
    const { wall } = model.moment();
    const filled = lines.map(({ scope, kind: meter, amount, book, cap, off, lost }): Line => {
      const startMs = (Math.floor(wall / DAY_MS) + off) * DAY_MS;
      const span: Span = {
        total: { kind: 'total' } as const,
        rolling: { kind: 'rolling', ms: 50, stepMs: scope === 'a' ? 7 : 50 } as const,
        calendar: { kind: 'calendar', startMs, endMs: startMs + DAY_MS } as const,
      }[meter];
      return { scope, generation: lost ? 'lost' : (model.generations[scope] ?? ''), meter, span, cap, amount, book };
    });
    const item: Reserve = {
      id,
      lines: filled,
      leaseMs,
      onto: onto === undefined ? undefined : (recent(holds, onto) ?? 'none'),
    };
    if (!ids.includes(id)) ids.push(id);
    sent.push(item);
    return item;
  });
  return { reserve };
}

class Step implements fc.Command<Pair, unknown> {
  readonly plan: Plan;
  readonly looks: boolean;
  constructor(plan: Plan, looks: boolean) {
    this.plan = plan;
    this.looks = looks;
  }
  check(): boolean {
    return true;
  }
  run(pair: Pair): void {
    const operation = prepare(this.plan, pair);
    if (operation !== undefined) pair.perform(operation);
    if (this.looks) pair.compare();
  }
  toString(): string {
    return JSON.stringify(this.plan);
  }
}

/** A request that is sent, arrives later, perhaps twice and after what was sent later, and is not waited for. */
class Request
  implements fc.AsyncCommand<Pair, { readonly scheduler: fc.Scheduler; readonly arrivals: Promise<void>[] }>
{
  readonly plan: Plan;
  readonly copies: number;
  constructor(plan: Plan, copies: number) {
    this.plan = plan;
    this.copies = copies;
  }
  check(): boolean {
    return true;
  }
  async run(pair: Pair, wire: { readonly scheduler: fc.Scheduler; readonly arrivals: Promise<void>[] }): Promise<void> {
    const operation = prepare(this.plan, pair);
    pair.compare();
    for (let i = 0; operation !== undefined && i < this.copies; i++) {
      const arrival = wire.scheduler.schedule(Promise.resolve(), this.toString()).then(() => {
        pair.perform(operation);
        pair.compare();
      });
      // Looked at when all have arrived.
      arrival.catch(() => undefined);
      wire.arrivals.push(arrival);
    }
  }
  toString(): string {
    return `${JSON.stringify(this.plan)} x${this.copies}`;
  }
}

describe('memoryStore, compared with its model', () => {
  const length = { maxCommands: 60, size: 'max' } as const;

  it.each([
    { name: 'all counters after every operation', looks: true, numRuns: 4_000 },
    { name: 'all answers, and all counters at the end', looks: false, numRuns: 5_000 },
  ])('has the same: $name', ({ looks, numRuns }) => {
    const commands = fc.commands([plans.map((plan) => new Step(plan, looks))], length);
    const law = fc.property(commands, (steps) => {
      const pair = new Pair();
      fc.modelRun(() => ({ model: pair, real: undefined }), steps);
      pair.compare();
    });
    fc.assert(law, { numRuns });
  });

  it('has the same when requests arrive late, twice and out of order', async () => {
    const copies = fc.constantFrom(1, 1, 1, 2);
    const commands = fc.commands([fc.tuple(plans, copies).map(([plan, many]) => new Request(plan, many))], {
      maxCommands: 40,
      size: 'max',
    });
    const law = fc.asyncProperty(fc.scheduler(), commands, async (scheduler, requests) => {
      const pair = new Pair();
      const wire = { scheduler, arrivals: [] };
      await fc.scheduledModelRun(scheduler, () => ({ model: pair, real: wire }), requests);
      await Promise.all(wire.arrivals);
      pair.compare();
    });
    await fc.assert(law, { numRuns: 1_500 });
  });

  it('never lets callers that overlap, give up or die spend more than the cap', async () => {
    const caller = fc.record({
      estimate: fc.integer({ min: 1, max: 6 }),
      less: fc.nat({ max: 6 }),
      does: fc.constantFrom('settles', 'settles', 'settles', 'gives back', 'dies', 'gives up at once'),
    });
    const law = fc.asyncProperty(
      fc.scheduler(),
      fc.array(caller, { maxLength: 24, size: 'max' }),
      async (wire, callers) => {
        const { store, model } = new Pair();
        const meters = [
          ['a', 'total'],
          ['b', 'rolling'],
        ] as const;
        let [spent, running] = [0, 0];
        const send = async <T>(label: string, action: () => T): Promise<T> => {
          await wire.schedule(Promise.resolve(), `${label} arrives`);
          const answer = action();
          await wire.schedule(Promise.resolve(), `${label} is answered`);
          return answer;
        };
        const call = async ({ estimate, less, does }: (typeof callers)[number], i: number): Promise<void> => {
          const lines = meters.map(([scope, meter]): Line => {
            const span: Span = meter === 'total' ? { kind: 'total' } : { kind: 'rolling', ms: 1e6, stepMs: 1e4 };
            const generation = model.generations[scope] ?? '';
            return {
              scope,
              meter,
              generation,
              span,
              cap: 12,
              amount: estimate,
              book: scope === 'a' ? 'settle' : 'reserve',
            };
          });
          const asked = send('reserve', () => store.reserve([{ id: `r${i}`, lines, leaseMs: 10 }])[0]);
          if (does === 'gives up at once')
            return void (await send('void', () => store.settle([{ id: `r${i}`, actual: 'void' }])));
          if ((await asked)?.ok !== true) return;
          running += estimate;
          expect(spent + running).toBeLessThanOrEqual(12);
          await wire.schedule(Promise.resolve(), 'runs');
          const actual = does === 'gives back' ? 0 : Math.max(0, estimate - less);
          running -= estimate;
          spent += actual;
          if (does === 'dies') return;
          await send('settle', () => store.settle([{ id: `r${i}`, actual: actual === 0 ? 'void' : [actual, actual] }]));
        };
        const all = Promise.all(callers.map(call));
        await wire.waitFor(all);
        await wire.waitIdle();
        model.clock.advance(10);
        store.sweep(callers.length);
        const counted = seen(store);
        const [total = 0, totalHeld] = counted['a total'] ?? [];
        const [rolling = 0, rollingHeld] = counted['b rolling'] ?? [];
        expect([totalHeld ?? 0, rollingHeld ?? 0]).toEqual([0, 0]);
        expect(total).toBeGreaterThanOrEqual(spent);
        expect(rolling).toBeGreaterThanOrEqual(total);
        expect(rolling).toBeLessThanOrEqual(12);
        if (!callers.some(({ does }) => does === 'dies')) expect(total).toBe(spent);
      },
    );
    await fc.assert(law, { numRuns: 1_500 });
  });
});
