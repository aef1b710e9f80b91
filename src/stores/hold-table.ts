import type { Clock } from '../internal/clock.ts';
import type { Counter, Extension, Granted, HeldLine, Hold, Holds } from './ledger.ts';
import type { HoldState, Reserve } from './store.ts';

/** After this many new holds those that ended before them are forgotten, so a repeat of the last ones is recognised. */
const GENERATION = 512;

/** A hold with its counters at hand. */
class KeptHold implements Hold {
  state: HoldState;
  readonly requested: readonly HeldLine[];
  lines: readonly HeldLine[];
  readonly counters: Counter[];
  readonly marks: number[];
  /** Ids of the reservations that were added to it. */
  extensions: string[] | undefined = undefined;
  leaseEnd: number;
  readonly keepMs: number;
  keepUntil = 0;
  corrected = false;

  constructor(state: HoldState, { lines, counters, marks }: Granted, leaseEnd: number, keepMs: number) {
    this.state = state;
    this.requested = lines;
    this.lines = lines;
    this.counters = counters;
    this.marks = marks;
    this.leaseEnd = leaseEnd;
    this.keepMs = keepMs;
  }

  counter(index: number): Counter | undefined {
    return this.counters[index];
  }

  mark(index: number): number {
    return this.marks[index] as number;
  }
}

/**
 * Holds by id, in a newer and an older half. The older half is dropped as a whole, but for what is open or was asked to be
 * kept: a map from which single entries are deleted all the time keeps what it held alive for the garbage collector.
 */
export class HoldTable implements Holds {
  readonly #clock: Clock;
  #young = new Map<string, KeptHold>();
  #old = new Map<string, KeptHold>();
  /** How many of the younger half came over from the older one, still open. */
  #carried = 0;
  /** Ended holds that somebody asked to be kept. */
  readonly #kept = new Map<string, KeptHold>();
  readonly #extensions = new Map<string, Extension>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  find(id: string): KeptHold | undefined {
    const hold = this.#young.get(id) ?? this.#old.get(id) ?? (this.#kept.size === 0 ? undefined : this.#kept.get(id));
    if (hold === undefined || hold.keepMs === 0 || hold.state === 'held' || hold.keepUntil > this.#clock.now())
      return hold;
    // Kept for so long and no longer: who asks for it then has something new to count.
    for (const holds of [this.#young, this.#old, this.#kept]) holds.delete(id);
    this.#forget(hold);
    return undefined;
  }

  add({ id, keepMs }: Reserve, granted: Granted, leaseEnd: number): void {
    this.#add(id, new KeptHold('held', granted, leaseEnd, keepMs ?? 0));
  }

  bury(id: string): void {
    this.#add(id, new KeptHold('void', { lines: [], counters: [], marks: [] }, 0, 0));
  }

  #add(id: string, hold: KeptHold): void {
    this.#young.set(id, hold);
    if (this.#young.size >= GENERATION + 2 * this.#carried) this.#turn();
  }

  extension(id: string): Extension | undefined {
    return this.#extensions.size === 0 ? undefined : this.#extensions.get(id);
  }

  extend({ id, onto }: Reserve, hold: KeptHold, { lines, counters, marks }: Granted): void {
    // Without lines there is nothing that a repeat could add, and a call that runs for days renews its lease often.
    if (lines.length === 0) return;
    this.#extensions.set(id, { onto: onto as string, hold, first: hold.lines.length, requested: lines });
    hold.extensions ??= [];
    hold.extensions.push(id);
    hold.lines = [...hold.lines, ...lines];
    hold.counters.push(...counters);
    hold.marks.push(...marks);
  }

  /** Remembers an ended hold for as long as it asked for. */
  ended(id: string, hold: KeptHold): void {
    if (hold.keepMs === 0) return;
    hold.keepUntil = this.#clock.now() + hold.keepMs;
    this.#kept.set(id, hold);
  }

  /** Most are kept equally long, so the first that must stay ends the search. */
  dropKept(): void {
    if (this.#kept.size === 0) return;
    const now = this.#clock.now();
    for (const [id, hold] of this.#kept) {
      if (hold.keepUntil > now) return;
      this.#kept.delete(id);
      this.#forget(hold);
    }
  }

  *[Symbol.iterator](): Iterator<[string, Hold]> {
    yield* this.#old;
    yield* this.#young;
  }

  #turn(): void {
    const dropped = this.#old;
    this.#old = this.#young;
    this.#young = new Map();
    for (const [id, hold] of dropped) {
      if (hold.state === 'held') this.#young.set(id, hold);
      else if (hold.keepMs === 0) this.#forget(hold);
    }
    this.#carried = this.#young.size;
    this.dropKept();
  }

  #forget({ extensions }: KeptHold): void {
    if (extensions !== undefined) for (const id of extensions) this.#extensions.delete(id);
  }
}
