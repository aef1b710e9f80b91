import type { Meter } from './meter.ts';
import type { HoldState, Line } from './store.ts';

/** After this many new holds those that ended before them are forgotten, so a repeat of the last ones is recognised. */
const GENERATION = 512;

export interface Scope {
  readonly generation: string;
  readonly counters: Map<string, Counter>;
  shut: boolean;
  stopped: boolean;
  now: number;
  wall: number;
}

export interface Counter {
  readonly scope: Scope;
  readonly meter: Meter;
}

export interface Hold {
  state: HoldState;
  /** What was asked for at first, without later extensions: what a repeat is compared with. */
  readonly requested: readonly Line[];
  /** All lines; for each its counter, and where it was booked if it was booked at once. */
  lines: readonly Line[];
  readonly counters: Counter[];
  readonly marks: number[];
  /** Ids of the reservations that were added to it. */
  extensions: string[] | undefined;
  leaseEnd: number;
  readonly keepMs: number;
  keepUntil: number;
  /** After a forfeit: whether the truth was booked since. */
  corrected: boolean;
}

/** A reservation that was added to a hold. */
export interface Extension {
  readonly onto: string;
  readonly hold: Hold;
  /** Index of its first line among those of the hold. */
  readonly first: number;
  readonly requested: readonly Line[];
}

export function newHold(
  state: HoldState,
  lines: readonly Line[],
  counters: Counter[],
  marks: number[],
  leaseEnd: number,
  keepMs: number | undefined,
): Hold {
  return {
    state,
    requested: lines,
    lines,
    counters,
    marks,
    extensions: undefined,
    leaseEnd,
    keepMs: keepMs ?? 0,
    keepUntil: 0,
    corrected: false,
  };
}

/**
 * Holds by id, in a newer and an older half. The older half is dropped as a whole, but for what is open or was asked to be
 * kept: a map from which single entries are deleted all the time keeps what it held alive for the garbage collector.
 */
export class HoldTable {
  #young = new Map<string, Hold>();
  #old = new Map<string, Hold>();
  /** How many of the younger half came over from the older one, still open. */
  #carried = 0;
  /** Ended holds that somebody asked to be kept. */
  readonly #kept = new Map<string, Hold>();
  readonly #extensions = new Map<string, Extension>();

  find(id: string): Hold | undefined {
    return this.#young.get(id) ?? this.#old.get(id) ?? (this.#kept.size === 0 ? undefined : this.#kept.get(id));
  }

  add(id: string, hold: Hold, now: number): void {
    this.#young.set(id, hold);
    if (this.#young.size >= GENERATION + 2 * this.#carried) this.#turn(now);
  }

  /** A reservation that was added to a hold. */
  extension(id: string): Extension | undefined {
    return this.#extensions.size === 0 ? undefined : this.#extensions.get(id);
  }

  /** Remembers that `id` adds these lines to a hold, for its repeats. */
  extend(id: string, onto: string, hold: Hold, requested: readonly Line[]): void {
    // Without lines there is nothing that a repeat could add, and a call that runs for days renews its lease often.
    if (requested.length === 0) return;
    this.#extensions.set(id, { onto, hold, first: hold.lines.length, requested });
    hold.extensions ??= [];
    hold.extensions.push(id);
  }

  /** Remembers an ended hold for as long as it asked for. */
  keep(id: string, hold: Hold, now: number): void {
    hold.keepUntil = now + hold.keepMs;
    this.#kept.set(id, hold);
  }

  /** Most are kept equally long, so the first that must stay ends the search. */
  dropKept(now: number): void {
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

  #turn(now: number): void {
    const dropped = this.#old;
    this.#old = this.#young;
    this.#young = new Map();
    for (const [id, hold] of dropped) {
      if (hold.state === 'held') this.#young.set(id, hold);
      else if (hold.keepMs === 0) this.#forget(hold);
    }
    this.#carried = this.#young.size;
    this.dropKept(now);
  }

  #forget({ extensions }: Hold): void {
    if (extensions !== undefined) for (const id of extensions) this.#extensions.delete(id);
  }
}
