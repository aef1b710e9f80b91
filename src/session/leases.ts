import { MAX_TIMER_MS } from '../internal/deadline.ts';
import { isPromiseLike, type MaybePromise } from '../internal/maybe-promise.ts';
import type { Reservation } from './reserved.ts';

/** Something that holds an amount in the store until it ends. */
export interface Leased {
  readonly hold: Reservation;
  readonly leaseMs: number;
}

const SWEPT_AT_ONCE = 256;

/**
 * The open calls and holds of a session. While there are any, their leases are renewed at a third of their length, so
 * that only what belonged to a dead process runs out. Such remains are swept as often, also where calls are short or refused.
 */
export class Leases<T extends Leased> {
  readonly open: Set<T> = new Set();
  readonly #renew: (hold: Reservation, leaseMs: number) => void;
  readonly #sweep: (limit: number) => void;
  /** What the store or the sink was asked for a call or hold and has not answered. */
  readonly #unanswered = new Set<unknown>();
  #timer: NodeJS.Timeout | undefined;
  #everyMs = Number.POSITIVE_INFINITY;

  constructor(renew: (hold: Reservation, leaseMs: number) => void, sweep: (limit: number) => void) {
    this.#renew = renew;
    this.#sweep = sweep;
  }

  add(leased: T): void {
    this.open.add(leased);
    if (leased.hold.plan.counters.length > 0) this.sweepFor(leased.leaseMs);
  }

  /** Sweeps after a third of the lease of what was asked for: what dead processes hold may be in its way. */
  sweepFor(leaseMs: number): void {
    const everyMs = leaseMs / 3;
    if (everyMs < this.#everyMs) this.#schedule(everyMs);
  }

  delete(leased: T): void {
    this.open.delete(leased);
  }

  /** Lets `idle` wait for the beginning or the end of a call. */
  track<R>(work: MaybePromise<R>): MaybePromise<R> {
    if (isPromiseLike(work)) {
      this.#unanswered.add(work);
      const answered = (): unknown => this.#unanswered.delete(work);
      work.then(answered, answered);
    }
    return work;
  }

  /** Whether everything that was under way has ended and is recorded. */
  get isIdle(): boolean {
    return this.#unanswered.size === 0;
  }

  /** Resolves when what is under way now has; by then something else may have begun. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#unanswered);
  }

  #schedule(everyMs: number): void {
    clearTimeout(this.#timer);
    this.#everyMs = everyMs;
    // A session that nobody holds any more must not be kept by its timer.
    const self = new WeakRef(this);
    this.#timer = setTimeout(
      () => {
        const leases = self.deref();
        if (leases !== undefined) leases.#tick();
      },
      Math.min(everyMs, MAX_TIMER_MS),
    );
    this.#timer.unref();
  }

  #tick(): void {
    this.#everyMs = Number.POSITIVE_INFINITY;
    let everyMs = Number.POSITIVE_INFINITY;
    for (const { hold, leaseMs } of this.open) {
      if (hold.plan.counters.length === 0) continue;
      this.#renew(hold, leaseMs);
      everyMs = Math.min(everyMs, leaseMs / 3);
    }
    this.#sweep(SWEPT_AT_ONCE);
    if (everyMs < Number.POSITIVE_INFINITY) this.#schedule(everyMs);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.open.clear();
  }
}
