import { type Clock, systemClock } from '../internal/clock.ts';
import { checkOptions } from '../internal/options.ts';
import { type Counter, type Extension, type Hold, HoldTable, newHold, type Scope } from './hold-table.ts';
import { Meter, type Moment } from './meter.ts';
import { whyShort } from './shortfall.ts';
import type { Decision, Forfeited, Line, Reading, Reserve, Settle, Settled, Store, Units } from './store.ts';
import { checkReserve, checkSettle } from './store-input.ts';

export interface MemoryStoreOptions {
  /** Default: `performance.now()` for windows and leases, `Date.now()` for calendars. */
  readonly clock?: Clock;
}

/** How many shut scopes are known as such; older ones are unknown, which refuses too. */
const REMEMBERED_SCOPES = 4096;

const NOTHING: readonly Units[] = Object.freeze([]);

/** Counted state in this process's memory: exact, synchronous, gone with the process. */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  checkOptions('memoryStore', options, ['clock']);
  return new MemoryStore(options.clock ?? systemClock);
}

/** Also the executable model of the contract: other stores are compared with it. */
class MemoryStore implements Store {
  readonly #clock: Clock;
  readonly #scopes = new Map<string, Scope>();
  readonly #holds = new HoldTable();
  readonly #shut = new Set<string>();
  #generations = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  open(scopes: readonly string[]): Readonly<Record<string, string>> {
    const generations: Record<string, string> = Object.create(null);
    for (const id of scopes) {
      generations[id] = this.#open(id).generation;
    }
    return generations;
  }

  #open(id: string): Scope {
    let scope = this.#scopes.get(id);
    if (scope === undefined) {
      const generation = `${crypto.randomUUID()}-${++this.#generations}`;
      const now = Number.NEGATIVE_INFINITY;
      scope = { generation, counters: new Map(), shut: false, stopped: false, now, wall: 0 };
      this.#scopes.set(id, scope);
    }
    return scope;
  }

  reserve(batch: readonly Reserve[]): readonly Decision[] {
    for (const item of batch) checkReserve(item);
    const decisions: Decision[] = [];
    for (const item of batch) decisions.push(this.#reserve(item));
    return decisions;
  }

  #reserve(item: Reserve): Decision {
    const known = this.#holds.find(item.id);
    if (known !== undefined) return this.#repeat(known, item);
    const extension = this.#holds.extension(item.id);
    if (extension !== undefined) return this.#repeat(extension.hold, item, extension);
    const onto = item.onto === undefined ? undefined : this.#holds.find(item.onto);
    if (item.onto !== undefined && onto?.state !== 'held') return this.#refuse('terminal', -1);

    const now = this.#clock.now();
    const { lines, force } = item;
    const counters: Counter[] = [];
    const left: number[] = [];
    let scope: Scope | undefined;
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i] as Line;
      const { span } = line;
      // Most lines of a reservation are in one scope.
      if (i === 0 || line.scope !== (lines[i - 1] as Line).scope) scope = this.#scopes.get(line.scope);
      if (scope === undefined || scope.generation !== line.generation) return this.#refuse('state_lost', i);
      if (scope.shut) return this.#refuse('closed', i);
      if (scope.stopped && force !== true) return this.#refuse('stopped', i);
      if (now > scope.now) scope.now = now;
      if (span.kind === 'calendar') {
        scope.wall = Math.max(scope.wall, this.#clock.wall());
        // This way round a span that is no span, with a NaN, is refused too.
        if (!(span.startMs <= scope.wall && scope.wall < span.endMs)) {
          return { ok: false, why: 'stale', line: i, nowMs: scope.wall };
        }
      }
      const counter = counterOf(scope, line);
      const { meter } = counter;
      const used = meter.used(scope);
      let own = line.amount;
      for (let j = 0; j < i; j++) {
        if (counters[j] !== counter) continue;
        own += (lines[j] as Line).amount;
        left[j] = (left[j] as number) - line.amount;
      }
      const cap = force === true ? Number.MAX_SAFE_INTEGER : line.cap;
      const room = cap - used - meter.held - (own - line.amount);
      if (line.amount > 0 && line.amount > room) {
        // A wait is measured by the clock as it is, which may be behind the latest time that the scope has seen.
        return tooMuch(line, cap, i, own, used, room, meter, { now, wall: this.#clock.wall() });
      }
      counters.push(counter);
      left.push(room - cap + line.cap - line.amount);
    }

    const marks: number[] = [];
    for (let i = 0; i < lines.length; i++) {
      const { amount, book } = lines[i] as Line;
      const { meter, scope: at } = counters[i] as Counter;
      if (book === 'reserve') marks.push(meter.book(amount, at));
      else {
        meter.held += amount;
        marks.push(0);
      }
    }
    const leaseEnd = now + item.leaseMs;
    if (onto === undefined) {
      this.#holds.add(item.id, newHold('held', lines, counters, marks, leaseEnd, item.keepMs), now);
    } else {
      this.#holds.extend(item.id, item.onto as string, onto, lines);
      onto.lines = [...onto.lines, ...lines];
      onto.counters.push(...counters);
      onto.marks.push(...marks);
      onto.leaseEnd = Math.max(onto.leaseEnd, leaseEnd);
    }
    return { ok: true, repeat: undefined, left };
  }

  #repeat(known: Hold, item: Reserve, extension?: Extension): Decision {
    if (known.state === 'void') return this.#refuse('terminal', -1);
    const { requested } = extension ?? known;
    if (item.onto !== extension?.onto || !sameLines(requested, item.lines)) return this.#refuse('conflict', -1);
    const left = item.lines.map((line, i) => {
      const { meter, scope } = known.counters[i + (extension?.first ?? 0)] as Counter;
      return line.cap - meter.used(this.#moment(scope)) - meter.held;
    });
    return { ok: true, repeat: known.state, left };
  }

  #refuse(why: 'closed' | 'stopped' | 'conflict' | 'terminal' | 'state_lost', line: number): Decision {
    return { ok: false, why, line, nowMs: this.#clock.wall() };
  }

  settle(batch: readonly Settle[]): readonly Settled[] {
    // One item is what a session asks for; a batch is checked as a whole before anything changes.
    if (batch.length > 1) for (const item of batch) checkSettle(item, lineCount(this.#holds.find(item.id)));
    const settled: Settled[] = [];
    for (const item of batch) {
      const hold = this.#holds.find(item.id);
      if (batch.length === 1) checkSettle(item, lineCount(hold));
      settled.push(this.#settle(item, hold));
    }
    return settled;
  }

  #settle({ id, actual }: Settle, hold: Hold | undefined): Settled {
    if (hold === undefined) {
      this.#holds.add(id, newHold('void', [], [], [], 0, 0), this.#clock.now());
      return { state: 'unknown', first: true, overrun: NOTHING };
    }
    if (hold.state !== 'held') {
      const late = hold.state === 'forfeited' && !hold.corrected && typeof actual !== 'string';
      return { state: hold.state, first: false, overrun: late ? this.#correct(hold, actual) : NOTHING };
    }
    return { state: this.#end(id, hold, actual), first: true, overrun: overruns(hold, actual) };
  }

  /** Moves a hold to its terminal state and its amounts to where they belong. */
  #end(id: string, hold: Hold, actual: Settle['actual']): 'settled' | 'void' | 'forfeited' {
    for (let i = 0; i < hold.lines.length; i++) {
      const line = hold.lines[i] as Line;
      const { meter, scope } = hold.counters[i] as Counter;
      if (line.book === 'reserve') {
        if (actual === 'void') meter.takeBack(line.amount, hold.marks[i] as number);
        continue;
      }
      meter.held -= line.amount;
      if (actual === 'void') continue;
      const units = actual === 'forfeit' ? line.amount : (actual[i] as Units);
      if (units === 0) continue;
      if (line.span.kind === 'rolling') scope.now = Math.max(scope.now, this.#clock.now());
      else if (line.span.kind === 'calendar') scope.wall = Math.max(scope.wall, this.#clock.wall());
      meter.book(units, scope);
    }
    hold.state = actual === 'void' ? 'void' : actual === 'forfeit' ? 'forfeited' : 'settled';
    if (hold.keepMs > 0) this.#holds.keep(id, hold, this.#clock.now());
    return hold.state;
  }

  /** A hold that was counted as spent and turns out to have cost more. What it cost less is not given back. */
  #correct(hold: Hold, actual: readonly Units[]): readonly Units[] {
    hold.corrected = true;
    const excess = overruns(hold, actual);
    for (let i = 0; i < excess.length; i++) {
      const { meter, scope } = hold.counters[i] as Counter;
      if ((excess[i] as Units) > 0) meter.book(excess[i] as Units, this.#moment(scope));
    }
    return excess;
  }

  #moment(scope: Scope): Moment {
    scope.now = Math.max(scope.now, this.#clock.now());
    scope.wall = Math.max(scope.wall, this.#clock.wall());
    return scope;
  }

  read(scopes: readonly string[]): Readonly<Record<string, Readonly<Record<string, Reading>>>> {
    const readings: Record<string, Record<string, Reading>> = Object.create(null);
    for (const id of scopes) {
      const scope = this.#scopes.get(id);
      if (scope === undefined) continue;
      const moment = this.#moment(scope);
      const meters: Record<string, Reading> = Object.create(null);
      for (const [name, { meter }] of scope.counters) meters[name] = { used: meter.used(moment), held: meter.held };
      readings[id] = meters;
    }
    return readings;
  }

  sweep(limit: number): readonly Forfeited[] {
    const now = this.#clock.now();
    this.#holds.dropKept(now);
    const forfeited: Forfeited[] = [];
    for (const [id, hold] of this.#holds) {
      if (forfeited.length >= limit) break;
      if (hold.state !== 'held' || hold.leaseEnd > now) continue;
      this.#end(id, hold, 'forfeit');
      forfeited.push({ id });
    }
    return forfeited;
  }

  shut(scope: string): void {
    const known = this.#scopes.get(scope);
    if (known === undefined || known.shut) return;
    known.shut = true;
    known.counters.clear();
    this.#shut.add(scope);
    if (this.#shut.size > REMEMBERED_SCOPES) {
      const [oldest] = this.#shut as Iterable<string> as [string];
      this.#shut.delete(oldest);
      this.#scopes.delete(oldest);
    }
  }

  stop(scope: string): void {
    this.#open(scope).stopped = true;
  }

  resume(scope: string): void {
    const known = this.#scopes.get(scope);
    if (known !== undefined) known.stopped = false;
  }
}

/** How many amounts a settlement needs; undefined where they do not matter. */
function lineCount(hold: Hold | undefined): number | undefined {
  return hold === undefined || hold.state === 'void' ? undefined : hold.lines.length;
}

function counterOf(scope: Scope, { meter: name, span }: Line): Counter {
  let counter = scope.counters.get(name);
  if (counter === undefined) {
    counter = { scope, meter: new Meter(span) };
    scope.counters.set(name, counter);
  } else if (span.kind === 'calendar') counter.meter.turn(span);
  return counter;
}

/** @param own what the reservation wants of this counter, with its earlier lines on it. */
function tooMuch(
  line: Line,
  cap: Units,
  index: number,
  own: Units,
  used: Units,
  room: number,
  meter: Meter,
  moment: Moment,
): Decision {
  const why = whyShort(own, cap, used);
  if (why !== 'exhausted') return { ok: false, why, line: index, left: room };
  const retryMs = meter.untilFreed(line.amount - room, moment);
  return { ok: false, why, line: index, left: room, retryMs };
}

function overruns({ lines }: Hold, actual: Settle['actual']): readonly Units[] {
  if (typeof actual === 'string') return NOTHING;
  for (let i = 0; i < lines.length; i++) {
    if (beyond(lines[i] as Line, actual[i] as Units) > 0)
      return lines.map((line, j) => beyond(line, actual[j] as Units));
  }
  return NOTHING;
}

/** What a line was settled with above what it held. */
function beyond(line: Line, actual: Units): Units {
  return line.book === 'settle' ? Math.max(0, actual - line.amount) : 0;
}

function sameLines(a: readonly Line[], b: readonly Line[]): boolean {
  return (
    a.length === b.length &&
    a.every((line, i) => {
      const other = b[i] as Line;
      return line.scope === other.scope && line.meter === other.meter && line.amount === other.amount;
    })
  );
}
