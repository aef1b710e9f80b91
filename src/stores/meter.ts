import type { Span } from '../internal/window.ts';
import { addUnits } from '../money.ts';
import { RollingSum, type Steps } from './rolling.ts';
import type { Units } from './store.ts';

/** The moment of an operation, by the store's clock. */
export interface Moment {
  readonly now: number;
  readonly wall: number;
}

/** What of a meter changes, but for the steps of a rolling window: to be kept somewhere else. */
export interface MeterState {
  readonly held: Units;
  readonly booked: Units;
  /** The calendar window that a reservation named last; infinite for other windows. */
  readonly startMs: number;
  readonly endMs: number;
  /** When something was booked after the end of that window. */
  readonly bookedLate: number | undefined;
}

/** One counter: what is booked in the window of the moment, and what is held besides. */
export class Meter {
  readonly kind: Span['kind'];
  held: Units = 0;
  readonly #rolling: RollingSum | undefined;
  #booked: Units = 0;
  /** Without a calendar there is no later window to turn to, also where a line names one. */
  #calendarStart = Number.POSITIVE_INFINITY;
  #calendarEnd = Number.POSITIVE_INFINITY;
  /** When something was booked after the end of the last window that a reservation named. */
  #bookedLate: number | undefined;

  /**
   * @param span of a meter to go on with: the calendar window that it was in.
   * @param steps where the steps of a rolling window are kept. Default: in memory.
   * @param state to go on with. Default: nothing is held or booked.
   */
  constructor(span: Span, steps?: Steps, state?: Pick<MeterState, 'held' | 'booked' | 'bookedLate'>) {
    this.kind = span.kind;
    this.#rolling = span.kind === 'rolling' ? new RollingSum(span.ms, span.stepMs, steps, state?.booked) : undefined;
    if (span.kind === 'calendar') this.#enter(span.startMs, span.endMs);
    if (state === undefined) return;
    this.held = state.held;
    this.#booked = state.booked;
    this.#bookedLate = state.bookedLate;
  }

  get state(): MeterState {
    return {
      held: this.held,
      booked: this.#rolling?.sum ?? this.#booked,
      startMs: this.#calendarStart,
      endMs: this.#calendarEnd,
      bookedLate: this.#bookedLate,
    };
  }

  #enter(startMs: number, endMs: number): void {
    this.#calendarStart = startMs;
    this.#calendarEnd = endMs;
    this.#booked = 0;
    this.#bookedLate = undefined;
  }

  /** Moves on to a later calendar window. A window that has begun is never left for an earlier one. */
  turn(span: Span): void {
    if (span.kind !== 'calendar' || span.startMs <= this.#calendarStart) return;
    const carried = (this.#bookedLate ?? Number.NEGATIVE_INFINITY) >= span.startMs ? this.#booked : 0;
    this.#enter(span.startMs, span.endMs);
    this.#booked = carried;
  }

  used(moment: Moment): Units {
    if (this.#rolling !== undefined) return this.#rolling.at(moment.now);
    return moment.wall >= this.#calendarEnd && this.#bookedLate === undefined ? 0 : this.#booked;
  }

  /** Returns what `takeBack` needs to find the booking again. */
  book(units: Units, moment: Moment): number {
    if (this.#rolling !== undefined) {
      this.#rolling.at(moment.now);
      return this.#rolling.add(units, moment.now);
    }
    // After its window's end a counter waits for a reservation to name the next one. What is settled meanwhile belongs
    // to a window whose bounds are not known yet, and is kept for it.
    if (moment.wall >= this.#calendarEnd) {
      if (this.#bookedLate === undefined) this.#booked = 0;
      this.#bookedLate = moment.wall;
    }
    this.#booked = addUnits(this.#booked, units);
    return this.#calendarStart;
  }

  takeBack(units: Units, mark: number): void {
    if (this.#rolling !== undefined) this.#rolling.takeBack(units, mark);
    else if (mark === this.#calendarStart && this.#bookedLate === undefined) {
      this.#booked = Math.max(0, this.#booked - units);
    }
  }

  /** Milliseconds until time alone has let `units` go. */
  untilFreed(units: Units, moment: Moment): number | undefined {
    if (this.#rolling !== undefined) return this.#rolling.untilFreed(units, moment.now);
    const rest = this.#calendarEnd - moment.wall;
    return Number.isFinite(rest) && units <= this.#booked ? Math.max(1, Math.ceil(rest)) : undefined;
  }
}
