import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Span } from '../../src/internal/window.ts';
import { memoryStore } from '../../src/stores/memory.ts';
import type { Decision, HoldState, Line, Reserve, Settle, Settled, Store } from '../../src/stores/store.ts';
import { FakeClock } from '../helpers/clock.ts';
import { isMove, Journal, type Move, type Operation, type Plan, plans, SCOPES } from '../helpers/store-commands.ts';

/** The memory store answers at once. */
type SyncStore = {
  [Method in keyof Store]: (...args: Parameters<Store[Method]>) => Awaited<ReturnType<Store[Method]>>;
};

interface Moment {
  readonly now: number;
  readonly wall: number;
}

interface Booking extends Moment {
  readonly units: number;
}

interface Counter {
  readonly scope: string;
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
  /** Opened or stopped. */
  readonly made = new Set<string>();
  readonly shutScopes = new Set<string>();
  readonly stoppedScopes = new Set<string>();
  /** By scope, where the clock was before it was set back. */
  readonly latest = new Map<string, Moment>();
  generations: Readonly<Record<string, string>> = {};

  moment(scope: string, after = 0): Moment {
    const { now, wall } = this.latest.get(scope) ?? { now: 0, wall: 0 };
    return { now: Math.max(now, this.clock.now() + after), wall: Math.max(wall, this.clock.wall() + after) };
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
    const booking = { ...this.moment(counter.scope), units };
    const over = counter.span.kind === 'calendar' && booking.wall >= counter.span.endMs;
    if (units > 0) (over ? counter.late : counter.booked).push(booking);
    return booking;
  }

  counter({ scope, meter, span }: Line): Counter {
    const key = `${scope} ${meter}`;
    const counter = this.counters.get(key) ?? { scope, span, booked: [], late: [] };
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
    const refuse = (why: 'closed' | 'stopped' | 'conflict' | 'terminal' | 'state_lost', line = -1): Decision => {
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

    const counters: Counter[] = [];
    for (const [i, line] of item.lines.entries()) {
      if (line.generation !== this.generations[line.scope]) return refuse('state_lost', i);
      if (this.shutScopes.has(line.scope)) return refuse('closed', i);
      if (this.stoppedScopes.has(line.scope) && !item.force) return refuse('stopped', i);
      const { wall } = this.moment(line.scope);
      if (line.span.kind === 'calendar' && !(line.span.startMs <= wall && wall < line.span.endMs)) {
        return { ok: false, why: 'stale', line: i, nowMs: wall };
      }
      const counter = this.counter(line);
      const before = item.lines.slice(0, i).filter((_, j) => counters[j] === counter);
      const wanted = before.reduce((all, { amount }) => all + amount, line.amount);
      const free = (after?: number): number =>
        line.cap - this.used(counter, this.moment(line.scope, after)) - this.held(counter);
      if (line.amount > 0 && wanted > free() && !item.force) {
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
      return cap - this.used(counter, this.moment(counter.scope)) - this.held(counter);
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
      const reading: [number, number] = [this.used(counter, this.moment(counter.scope)), this.held(counter)];
      if (!this.shutScopes.has(key.charAt(0)) && reading.some((units) => units !== 0)) all[key] = reading;
    }
    return all;
  }
}

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
  readonly journal = new Journal(this.model.clock);

  constructor() {
    this.opened(['a', 'b']);
  }

  /** The tokens are the store's own. */
  opened(scopes: readonly string[]): void {
    this.model.generations = { ...this.model.generations, ...this.store.open(scopes) };
    this.journal.generations = this.model.generations;
    for (const scope of scopes) this.model.made.add(scope);
  }

  /** Does the same on both sides; the answers must be the same. */
  perform(operation: Operation): void {
    const { model, store, journal } = this;
    if ('reserve' in operation) {
      const decisions = store.reserve(operation.reserve);
      equal(
        decisions,
        operation.reserve.map((item) => model.reserve(item)),
      );
      journal.reserved(operation.reserve, decisions);
    } else if ('settle' in operation) {
      const answer = (side: SyncStore | Model): readonly Settled[] | string => {
        try {
          return side.settle(operation.settle);
        } catch (error) {
          return (error as Error).name;
        }
      };
      const settled = answer(store);
      equal(settled, answer(model));
      if (typeof settled !== 'string') journal.settled(operation.settle, settled);
    } else if ('sweep' in operation) {
      const forfeited = store.sweep(operation.sweep);
      equal(forfeited, model.sweep(operation.sweep));
      journal.swept(forfeited);
    } else if ('open' in operation) this.opened([operation.open]);
    else if ('shut' in operation) {
      store.shut(operation.shut);
      if (model.made.has(operation.shut)) model.shutScopes.add(operation.shut);
    } else if ('stop' in operation) {
      store.stop(operation.stop);
      model.made.add(operation.stop);
      model.stoppedScopes.add(operation.stop);
    } else {
      store.resume(operation.resume);
      model.stoppedScopes.delete(operation.resume);
    }
  }

  /** Full state: what was reserved and settled wherever, and nothing else. */
  compare(): void {
    equal(seen(this.store), this.model.seen());
  }

  move(move: Move): void {
    if ('jump' in move) {
      // No time runs back that the store has seen.
      this.store.read(SCOPES);
      for (const scope of this.model.made) this.model.latest.set(scope, this.model.moment(scope));
    }
    this.journal.move(move);
  }
}

function equal(actual: unknown, expected: unknown): void {
  // A fast way to say yes; the slow one knows how to show a difference.
  if (JSON.stringify(actual) !== JSON.stringify(expected)) expect(actual).toEqual(expected);
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
    if (isMove(this.plan)) pair.move(this.plan);
    else pair.perform(pair.journal.prepare(this.plan));
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
    pair.compare();
    if (isMove(this.plan)) return pair.move(this.plan);
    const operation = pair.journal.prepare(this.plan);
    for (let i = 0; i < this.copies; i++) {
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
