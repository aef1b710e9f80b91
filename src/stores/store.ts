import type { MaybePromise } from '../internal/maybe-promise.ts';
import type { Span } from '../internal/window.ts';

/** Safe integer >= 0: nano-USD, millisatoshi or calls. */
export type Units = number;

/** One counter that a reservation draws on. */
export interface Line {
  readonly scope: string;
  /** The token that `open` gave for the scope. Another one means that what was spent is no longer known. */
  readonly generation: string;
  /** Name of the counter in its scope. */
  readonly meter: string;
  readonly span: Span;
  /** Inclusive. */
  readonly cap: Units;
  readonly amount: Units;
  /**
   * When the amount enters the window. `'settle'`: held until then, outside any window, and booked with the true
   * amount. `'reserve'`: counted at once, and taken back only by a void; the amount at settling is not looked at.
   */
  readonly book: 'reserve' | 'settle';
}

/** Holds all of its lines or none. */
export interface Reserve {
  /** Chosen by the caller; the same id with the same lines is the same reservation. */
  readonly id: string;
  readonly lines: readonly Line[];
  /** How long the hold lives without being settled or extended. */
  readonly leaseMs: number;
  /**
   * Adds the lines to this open hold and extends its lease, instead of making a hold of its own; a repeat adds nothing.
   * Without lines it extends the lease alone, and its id need not be remembered.
   */
  readonly onto?: string | undefined;
  /** For how long the end of this reservation must be remembered after it came. Default: as long as the store likes. */
  readonly keepMs?: number | undefined;
  /**
   * For spend that has already happened: no cap but 2 ** 53 - 1 and no stop refuses it. `left` tells what it leaves of
   * the caps, and may be negative.
   */
  readonly force?: true | undefined;
}

export type HoldState = 'held' | 'settled' | 'void' | 'forfeited';

export type Decision =
  /** `left` is what each line's cap leaves after this reservation. `repeat`: nothing changed, the id was known. */
  | { readonly ok: true; readonly repeat: HoldState | undefined; readonly left: readonly number[] }
  /** The first line that did not fit. `left` may be negative after an overrun. */
  | {
      readonly ok: false;
      readonly why: 'exceeds_cap' | 'exhausted' | 'in_flight';
      readonly line: number;
      readonly left: number;
      /** Until the window lets enough go; absent where time alone does not help. */
      readonly retryMs?: number | undefined;
    }
  /**
   * `closed`: the scope was shut. `stopped`: it is, until it is resumed. `conflict`: the id was used with other lines.
   * `terminal`: the id is void. `stale`: the calendar span is not now.
   */
  | {
      readonly ok: false;
      readonly why: 'closed' | 'stopped' | 'conflict' | 'terminal' | 'stale' | 'state_lost';
      readonly line: number;
      /** The store's wall clock, for `stale`. */
      readonly nowMs: number;
    };

export interface Settle {
  readonly id: string;
  /**
   * The true amount of each line, in the order in which they were reserved; `'void'` gives everything back;
   * `'forfeit'` books what is held, and a later settle books what the truth has beyond it.
   */
  readonly actual: readonly Units[] | 'void' | 'forfeit';
}

export interface Settled {
  /** The one terminal state. `'unknown'`: no such hold; the id is void from now on. */
  readonly state: Exclude<HoldState, 'held'> | 'unknown';
  /** Whether this very call brought the state about. */
  readonly first: boolean;
  /** What was booked beyond the amount held, by line. */
  readonly overrun: readonly Units[];
}

/** What a counter holds now, in its current window. */
export interface Reading {
  readonly used: Units;
  readonly held: Units;
}

/**
 * How long a scope is kept. `'kept'`: for ever. `'temporary'`: a store may forget it when it was not used for long, after
 * which it is `state_lost`.
 */
export type Lifetime = 'kept' | 'temporary';

/** A hold whose lease ended: it counts as spent. */
export interface Forfeited {
  readonly id: string;
}

/**
 * Where counted state lives. `reserve` and `settle` take batches, whose items are decided in order, each by itself.
 *
 * Invariants, which the conformance suite checks on every store (a "line" counts in its own window):
 *
 * - S1 after every operation used + held <= cap, except for what was booked as overrun.
 * - S2 a reservation takes all lines or none; a refusal changes nothing.
 * - S3 the same id with the same lines gets the same answer and changes nothing; with other lines `conflict`.
 * - S4 a hold ends in exactly one terminal state; later attempts report it with `first: false`.
 * - S5 settling an unknown id leaves a void that refuses a later reserve of that id (`terminal`).
 * - S6 used and held are never negative; numbers that are no safe integers >= 0 are refused by the store itself.
 * - S7 time is the store's own and never runs backwards within a scope.
 * - S8 a scope whose generation is not known is `state_lost`, never "nothing spent".
 * - S9 a lease that ended changes nothing until `sweep`, which books the hold as spent.
 * - S10 what is held counts in every window; what is settled is booked in the window of the moment of settling.
 * - S11 operations are linearizable.
 * - S12 `onto` adds lines to an open hold under the same rules, or fails as a whole when the hold has ended.
 * - S13 a stopped scope refuses (`stopped`) what is not forced, forgets nothing and lets holds end; a shut one stays shut.
 */
export interface Store {
  /**
   * Makes each scope usable, or finds it; the answer has one generation token for each.
   *
   * @param lifetime of the scopes that it makes. Default: `'kept'`.
   */
  open(scopes: readonly string[], lifetime?: Lifetime): MaybePromise<Readonly<Record<string, string>>>;
  /** @throws {RangeError} an amount, cap or lease that is no safe integer >= 0; nothing of the batch is applied. */
  reserve(batch: readonly Reserve[]): MaybePromise<readonly Decision[]>;
  /** @throws {RangeError} an actual amount that is no safe integer >= 0; every hold of the batch stays as it is. */
  settle(batch: readonly Settle[]): MaybePromise<readonly Settled[]>;
  /** By scope and meter. A scope that is not open is absent. */
  read(scopes: readonly string[]): MaybePromise<Readonly<Record<string, Readonly<Record<string, Reading>>>>>;
  /** Forfeits at most `limit` holds whose lease has ended. */
  sweep(limit: number): MaybePromise<readonly Forfeited[]>;
  /** Refuses every later reservation in the scope, for good: nobody needs it any more. */
  shut(scope: string): MaybePromise<void>;
  /** Refuses every reservation in the scope until it is resumed. Makes the scope where there is none. */
  stop(scope: string): MaybePromise<void>;
  /** Undoes `stop`. A scope that is not stopped stays as it is. */
  resume(scope: string): MaybePromise<void>;
}
