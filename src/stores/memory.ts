import { type Clock, systemClock } from '../internal/clock.ts';
import { checkOptions } from '../internal/options.ts';
import { Meter, type Moment } from './meter.ts';
import type { Decision, Forfeited, HoldState, Line, Reading, Reserve, Settle, Settled, Store, Units } from './store.ts';
import { checkReserve, checkSettle } from './store-input.ts';

export interface MemoryStoreOptions {
  /** Default: `performance.now()` for windows and leases, `Date.now()` for calendars. */
  readonly clock?: Clock;
}

/** How many ended holds and shut scopes are remembered, so that a repeat of the last ones is recognised. */
const REMEMBERED = 4096;

interface Scope {
  readonly generation: string;
  readonly meters: Map<string, Meter>;
  shut: boolean;
  now: number;
  wall: number;
}

interface HeldLine {
  readonly line: Line;
  readonly scope: Scope;
  readonly meter: Meter;
  /** Where a line that was booked at reserving stands. */
  mark: number;
}

interface Hold {
  state: HoldState;
  readonly lines: HeldLine[];
  /** What was asked for at first, without later extensions: what a repeat is compared with. */
  readonly requested: readonly Line[];
  /** Ids of the reservations that were added to it. */
  extensions: string[] | undefined;
  leaseEnd: number;
  readonly keepMs: number;
  keepUntil: number;
  /** After a forfeit: whether the truth was booked since. */
  corrected: boolean;
}

/** A reservation that was added to a hold. */
interface Extension {
  readonly onto: string;
  readonly hold: Hold;
  /** Index of its first line among those of the hold. */
  readonly first: number;
  readonly requested: readonly Line[];
}

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
  readonly #holds = new Map<string, Hold>();
  readonly #extensions = new Map<string, Extension>();
  readonly #ended = new Recent((id) => this.#forget(id));
  readonly #shut = new Recent((scope) => this.#forgetScope(scope));
  /** Ended holds that somebody asked to be kept. */
  readonly #kept = new Set<string>();
  #generations = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  open(scopes: readonly string[]): Readonly<Record<string, string>> {
    const generations: Record<string, string> = Object.create(null);
    for (const id of scopes) {
      let scope = this.#scopes.get(id);
      if (scope === undefined) {
        const generation = `${crypto.randomUUID()}-${++this.#generations}`;
        scope = { generation, meters: new Map(), shut: false, now: Number.NEGATIVE_INFINITY, wall: 0 };
        this.#scopes.set(id, scope);
      }
      generations[id] = scope.generation;
    }
    return generations;
  }

  reserve(batch: readonly Reserve[]): readonly Decision[] {
    for (const item of batch) checkReserve(item);
    if (batch.length === 1) return [this.#reserve(batch[0] as Reserve)];
    return batch.map((item) => this.#reserve(item));
  }

  #reserve(item: Reserve): Decision {
    const known = this.#holds.get(item.id);
    if (known !== undefined) return this.#repeat(known, item);
    const extension = this.#extensions.get(item.id);
    if (extension !== undefined) return this.#repeat(extension.hold, item, extension);
    const onto = item.onto === undefined ? undefined : this.#holds.get(item.onto);
    if (item.onto !== undefined && onto?.state !== 'held') return this.#refuse('terminal', -1);

    const now = this.#clock.now();
    const wall = this.#clock.wall();
    const { lines } = item;
    const held: HeldLine[] = [];
    const left: number[] = [];
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i] as Line;
      const scope = this.#scopes.get(line.scope);
      if (scope === undefined || scope.generation !== line.generation) return this.#refuse('state_lost', i);
      if (scope.shut) return this.#refuse('closed', i);
      if (now > scope.now) scope.now = now;
      if (wall > scope.wall) scope.wall = wall;
      const { span } = line;
      if (span.kind === 'calendar' && !(span.startMs <= scope.wall && scope.wall < span.endMs)) {
        return { ok: false, why: 'stale', line: i, nowMs: scope.wall };
      }
      let meter = scope.meters.get(line.meter);
      if (meter === undefined) {
        meter = new Meter(span);
        scope.meters.set(line.meter, meter);
      } else meter.turn(span);
      const used = meter.used(scope);
      let own = line.amount;
      for (let j = 0; j < i; j++) {
        if (held[j]?.meter !== meter) continue;
        own += (held[j] as HeldLine).line.amount;
        left[j] = (left[j] as number) - line.amount;
      }
      const room = line.cap - used - meter.held - (own - line.amount);
      // A wait is measured by the clock as it is, which may be behind the latest time that the scope has seen.
      if (line.amount > 0 && line.amount > room) return tooMuch(line, i, own, used, room, meter, { now, wall });
      held.push({ line, scope, meter, mark: 0 });
      left.push(room - line.amount);
    }

    for (const entry of held) {
      const { line, meter, scope } = entry;
      if (line.book === 'reserve') entry.mark = meter.book(line.amount, scope);
      else meter.held += line.amount;
    }
    const leaseEnd = now + item.leaseMs;
    if (onto !== undefined) {
      // Without lines there is nothing that a repeat could add, and a call that runs for days renews its lease often.
      if (lines.length > 0) {
        const extended = { onto: item.onto as string, hold: onto, first: onto.lines.length, requested: lines };
        this.#extensions.set(item.id, extended);
        onto.extensions ??= [];
        onto.extensions.push(item.id);
      }
      onto.lines.push(...held);
      onto.leaseEnd = Math.max(onto.leaseEnd, leaseEnd);
    } else this.#holds.set(item.id, newHold('held', held, lines, leaseEnd, item.keepMs));
    return { ok: true, repeat: undefined, left };
  }

  #repeat(known: Hold, item: Reserve, extension?: Extension): Decision {
    if (known.state === 'void') return this.#refuse('terminal', -1);
    const { requested } = extension ?? known;
    if (item.onto !== extension?.onto || !sameLines(requested, item.lines)) return this.#refuse('conflict', -1);
    const left = item.lines.map((line, i) => {
      const { meter, scope } = known.lines[i + (extension?.first ?? 0)] as HeldLine;
      return line.cap - meter.used(this.#moment(scope)) - meter.held;
    });
    return { ok: true, repeat: known.state, left };
  }

  #refuse(why: 'closed' | 'conflict' | 'terminal' | 'stale' | 'state_lost', line: number): Decision {
    return { ok: false, why, line, nowMs: this.#clock.wall() };
  }

  settle(batch: readonly Settle[]): readonly Settled[] {
    for (const item of batch) {
      const hold = this.#holds.get(item.id);
      checkSettle(item, hold === undefined || hold.state === 'void' ? undefined : hold.lines.length);
    }
    if (batch.length === 1) return [this.#settle(batch[0] as Settle)];
    return batch.map((item) => this.#settle(item));
  }

  #settle({ id, actual }: Settle): Settled {
    const hold = this.#holds.get(id);
    if (hold === undefined) {
      this.#holds.set(id, newHold('void', [], [], 0, 0));
      this.#ended.add(id);
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
    const now = this.#clock.now();
    const wall = this.#clock.wall();
    for (let i = 0; i < hold.lines.length; i++) {
      const { line, meter, scope, mark } = hold.lines[i] as HeldLine;
      if (line.book === 'reserve') {
        if (actual === 'void') meter.takeBack(line.amount, mark);
        continue;
      }
      meter.held -= line.amount;
      if (actual === 'void') continue;
      const units = actual === 'forfeit' ? line.amount : (actual[i] as Units);
      if (now > scope.now) scope.now = now;
      if (wall > scope.wall) scope.wall = wall;
      if (units > 0) meter.book(units, scope);
    }
    hold.state = actual === 'void' ? 'void' : actual === 'forfeit' ? 'forfeited' : 'settled';
    this.#retire(id, hold);
    return hold.state;
  }

  #retire(id: string, hold: Hold): void {
    if (hold.keepMs > 0) {
      hold.keepUntil = this.#clock.now() + hold.keepMs;
      this.#kept.add(id);
    } else this.#ended.add(id);
  }

  /** A hold that was counted as spent and turns out to have cost more. What it cost less is not given back. */
  #correct(hold: Hold, actual: readonly Units[]): readonly Units[] {
    hold.corrected = true;
    const excess = overruns(hold, actual);
    for (let i = 0; i < excess.length; i++) {
      const { meter, scope } = hold.lines[i] as HeldLine;
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
      for (const [name, meter] of scope.meters) meters[name] = { used: meter.used(moment), held: meter.held };
      readings[id] = meters;
    }
    return readings;
  }

  sweep(limit: number): readonly Forfeited[] {
    const now = this.#clock.now();
    for (const id of this.#kept) {
      if ((this.#holds.get(id)?.keepUntil ?? 0) > now) continue;
      this.#kept.delete(id);
      this.#forget(id);
    }
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
    known.meters.clear();
    this.#shut.add(scope);
  }

  #forget(id: string): void {
    const hold = this.#holds.get(id);
    if (hold === undefined || hold.state === 'held') return;
    this.#holds.delete(id);
    for (const extension of hold.extensions ?? []) this.#extensions.delete(extension);
  }

  #forgetScope(id: string): void {
    this.#scopes.delete(id);
  }
}

function newHold(
  state: HoldState,
  lines: HeldLine[],
  requested: readonly Line[],
  leaseEnd: number,
  keepMs: number | undefined,
): Hold {
  return {
    state,
    lines,
    requested,
    extensions: undefined,
    leaseEnd,
    keepMs: keepMs ?? 0,
    keepUntil: 0,
    corrected: false,
  };
}

/** The last few ids; the one that falls out is given to `drop`. */
class Recent {
  readonly #ids: (string | undefined)[] = [];
  #next = 0;
  readonly #drop: (id: string) => void;

  constructor(drop: (id: string) => void) {
    this.#drop = drop;
  }

  add(id: string): void {
    const dropped = this.#ids[this.#next];
    if (dropped !== undefined) this.#drop(dropped);
    this.#ids[this.#next] = id;
    this.#next = (this.#next + 1) % REMEMBERED;
  }
}

/** @param own what the reservation wants of this counter, with its earlier lines on it. */
function tooMuch(
  line: Line,
  index: number,
  own: Units,
  used: Units,
  room: number,
  meter: Meter,
  moment: Moment,
): Decision {
  if (own > line.cap) return { ok: false, why: 'exceeds_cap', line: index, left: room };
  if (used + own <= line.cap) return { ok: false, why: 'in_flight', line: index, left: room };
  const retryMs = meter.untilFreed(line.amount - room, moment);
  return { ok: false, why: 'exhausted', line: index, left: room, retryMs };
}

function overruns(hold: Hold, actual: Settle['actual']): readonly Units[] {
  if (typeof actual === 'string') return NOTHING;
  let any = false;
  for (let i = 0; i < actual.length; i++) {
    const { line } = hold.lines[i] as HeldLine;
    if (line.book === 'settle' && (actual[i] as Units) > line.amount) any = true;
  }
  if (!any) return NOTHING;
  return hold.lines.map(({ line }, i) =>
    line.book === 'settle' ? Math.max(0, (actual[i] as Units) - line.amount) : 0,
  );
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
