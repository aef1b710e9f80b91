import type { Clock } from '../internal/clock.ts';
import type { Meter, Moment } from './meter.ts';
import { whyShort } from './shortfall.ts';
import type { Decision, HoldState, Line, Reserve, Settle, Settled, Units } from './store.ts';
import { checkReserve, checkSettle } from './store-input.ts';

/** A scope, and the latest time that it has seen: within it time does not run backwards. */
export interface Scope extends Moment {
  now: number;
  wall: number;
  readonly generation: string;
  readonly shut: boolean;
  readonly stopped: boolean;
  /** Finds the counter that a line is on, or makes it. */
  counter(line: Line): Counter;
}

export interface Counter {
  readonly scope: Scope;
  readonly meter: Meter;
}

/** What of a line counts once it is held. */
export type HeldLine = Pick<Line, 'scope' | 'meter' | 'amount' | 'book'>;

/** A reservation as it was granted: each line with its counter, and where it was booked if it was booked at once. */
export interface Granted {
  readonly lines: readonly HeldLine[];
  readonly counters: Counter[];
  readonly marks: number[];
}

export interface Hold {
  state: HoldState;
  /** What was asked for at first, without later extensions: what a repeat is compared with. */
  readonly requested: readonly HeldLine[];
  /** All lines. */
  readonly lines: readonly HeldLine[];
  leaseEnd: number;
  /** After a forfeit: whether the truth was booked since. */
  corrected: boolean;
  /** The counter of its line `index`; undefined when it is gone with its scope. */
  counter(index: number): Counter | undefined;
  /** Where that line was booked, if it was booked at once. */
  mark(index: number): number;
}

/** A reservation that was added to a hold. */
export interface Extension {
  readonly onto: string;
  readonly hold: Hold;
  /** Index of its first line among those of the hold. */
  readonly first: number;
  readonly requested: readonly HeldLine[];
}

export interface Scopes {
  get(id: string): Scope | undefined;
}

/** Where holds are kept, and for how long. */
export interface Holds {
  find(id: string): Hold | undefined;
  extension(id: string): Extension | undefined;
  add(item: Reserve, granted: Granted, leaseEnd: number): void;
  /** Adds what was granted to the hold `onto`, whose lease has been extended. */
  extend(item: Reserve, onto: Hold, granted: Granted): void;
  /** Makes an id void that was never reserved. */
  bury(id: string): void;
  /** The hold has come to its end. */
  ended(id: string, hold: Hold): void;
}

const NOTHING: readonly Units[] = Object.freeze([]);

/**
 * The rules of the contract, for stores that decide in this process: what is admitted, and what becomes of it. A store
 * gives them its scopes and holds, and lets nobody else change these meanwhile.
 */
export class Ledger {
  readonly #clock: Clock;
  readonly #scopes: Scopes;
  readonly #holds: Holds;

  constructor(clock: Clock, scopes: Scopes, holds: Holds) {
    this.#clock = clock;
    this.#scopes = scopes;
    this.#holds = holds;
  }

  /** @throws before it changes anything, when an item is none. */
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
      const counter = scope.counter(line);
      const { meter } = counter;
      meter.turn(span);
      const used = meter.used(scope);
      // Its earlier lines on this counter, which fit: a sum with this one may be more than can be told exactly.
      let before = 0;
      for (let j = 0; j < i; j++) {
        if (counters[j] !== counter) continue;
        before += (lines[j] as Line).amount;
        left[j] = (left[j] as number) - line.amount;
      }
      const cap = force === true ? Number.MAX_SAFE_INTEGER : line.cap;
      const room = cap - used - meter.held - before;
      if (line.amount > 0 && line.amount > room) {
        // A wait is measured by the clock as it is, which may be behind the latest time that the scope has seen.
        return tooMuch(line, cap, i, before + line.amount, used, room, meter, { now, wall: this.#clock.wall() });
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
    if (onto === undefined) this.#holds.add(item, { lines, counters, marks }, leaseEnd);
    else {
      onto.leaseEnd = Math.max(onto.leaseEnd, leaseEnd);
      this.#holds.extend(item, onto, { lines, counters, marks });
    }
    return { ok: true, repeat: undefined, left };
  }

  #repeat(known: Hold, item: Reserve, extension?: Extension): Decision {
    if (known.state === 'void') return this.#refuse('terminal', -1);
    const { requested } = extension ?? known;
    if (item.onto !== extension?.onto || !sameLines(requested, item.lines)) return this.#refuse('conflict', -1);
    const left = item.lines.map((line, i) => {
      const counter = known.counter(i + (extension?.first ?? 0));
      // Where the counter is gone, nothing is counted any more.
      if (counter === undefined) return line.cap;
      return line.cap - counter.meter.used(this.moment(counter.scope)) - counter.meter.held;
    });
    return { ok: true, repeat: known.state, left };
  }

  #refuse(why: 'closed' | 'stopped' | 'conflict' | 'terminal' | 'state_lost', line: number): Decision {
    return { ok: false, why, line, nowMs: this.#clock.wall() };
  }

  /** @throws {TypeError | RangeError} an item is none that `settle` can do. */
  checkSettle(batch: readonly Settle[]): void {
    for (const item of batch) checkSettle(item, lineCount(this.#holds.find(item.id)));
  }

  /** @throws before it changes anything, when an item is none. */
  settle(batch: readonly Settle[]): readonly Settled[] {
    // One item is what a session asks for; a batch is checked as a whole before anything changes.
    if (batch.length > 1) this.checkSettle(batch);
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
      this.#holds.bury(id);
      return { state: 'unknown', first: true, overrun: NOTHING };
    }
    if (hold.state !== 'held') {
      const late = hold.state === 'forfeited' && !hold.corrected && typeof actual !== 'string';
      return { state: hold.state, first: false, overrun: late ? this.#correct(hold, actual) : NOTHING };
    }
    return { state: this.#end(id, hold, actual), first: true, overrun: overruns(hold, actual) };
  }

  /** Counts an open hold as spent. */
  forfeit(id: string, hold: Hold): void {
    this.#end(id, hold, 'forfeit');
  }

  /** Moves a hold to its terminal state and its amounts to where they belong. */
  #end(id: string, hold: Hold, actual: Settle['actual']): 'settled' | 'void' | 'forfeited' {
    for (let i = 0; i < hold.lines.length; i++) {
      const line = hold.lines[i] as HeldLine;
      if (line.book === 'reserve') {
        if (actual === 'void') hold.counter(i)?.meter.takeBack(line.amount, hold.mark(i));
        continue;
      }
      const counter = hold.counter(i);
      if (counter === undefined) continue;
      const { meter, scope } = counter;
      meter.held -= line.amount;
      if (actual === 'void') continue;
      const units = actual === 'forfeit' ? line.amount : (actual[i] as Units);
      if (units === 0) continue;
      if (meter.kind === 'rolling') scope.now = Math.max(scope.now, this.#clock.now());
      else if (meter.kind === 'calendar') scope.wall = Math.max(scope.wall, this.#clock.wall());
      meter.book(units, scope);
    }
    hold.state = actual === 'void' ? 'void' : actual === 'forfeit' ? 'forfeited' : 'settled';
    this.#holds.ended(id, hold);
    return hold.state;
  }

  /** A hold that was counted as spent and turns out to have cost more. What it cost less is not given back. */
  #correct(hold: Hold, actual: readonly Units[]): readonly Units[] {
    hold.corrected = true;
    const excess = overruns(hold, actual);
    for (let i = 0; i < excess.length; i++) {
      if ((excess[i] as Units) === 0) continue;
      const counter = hold.counter(i);
      counter?.meter.book(excess[i] as Units, this.moment(counter.scope));
    }
    return excess;
  }

  /** The moment of an operation in a scope. */
  moment(scope: Scope): Moment {
    scope.now = Math.max(scope.now, this.#clock.now());
    scope.wall = Math.max(scope.wall, this.#clock.wall());
    return scope;
  }
}

/** How many amounts a settlement needs; undefined where they do not matter. */
function lineCount(hold: Hold | undefined): number | undefined {
  return hold === undefined || hold.state === 'void' ? undefined : hold.lines.length;
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
    if (beyond(lines[i] as HeldLine, actual[i] as Units) > 0)
      return lines.map((line, j) => beyond(line, actual[j] as Units));
  }
  return NOTHING;
}

/** What a line was settled with above what it held. */
function beyond(line: HeldLine, actual: Units): Units {
  return line.book === 'settle' ? Math.max(0, actual - line.amount) : 0;
}

function sameLines(a: readonly HeldLine[], b: readonly Line[]): boolean {
  return (
    a.length === b.length &&
    a.every((line, i) => {
      const other = b[i] as Line;
      return line.scope === other.scope && line.meter === other.meter && line.amount === other.amount;
    })
  );
}
