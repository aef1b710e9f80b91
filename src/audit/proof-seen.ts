import type { MaybePromise } from '../internal/maybe-promise.ts';
import { checkOptions, kindOf } from '../internal/options.ts';

/** Remembers which proofs were used. */
export interface SeenProofs {
  /**
   * Whether `id` comes for the first time; it is remembered until the epoch millisecond `untilMs`, when the proof can
   * no longer pass. Must be atomic: of several that ask at once, in whatever process, one gets true. `id` is unique
   * over all keys.
   */
  take(id: string, untilMs: number): MaybePromise<boolean>;
}

export interface MemorySeenOptions {
  /** Epoch ms now; the clock that `verifyProof` is given. Default: `Date.now`. */
  readonly now?: (() => number) | undefined;
}

/** What `memorySeen` gives: its ids, and how many there are. */
export interface MemorySeen extends SeenProofs {
  take(id: string, untilMs: number): boolean;
  /** How many ids are held: those that can still pass, and some that have expired. */
  readonly size: number;
}

const SMALLEST_SWEEP = 1_024;

/**
 * Remembers used proofs in this process, each until it expires: at most five minutes and the leeway. For one process;
 * where several verify, they need a store that they share.
 *
 * A clock that goes back makes no proof usable again: what may have been forgotten is refused.
 *
 * @throws {TypeError} no clock, or an unknown option.
 */
export function memorySeen(options: MemorySeenOptions = {}): MemorySeen {
  checkOptions('memorySeen', options, ['now']);
  const { now = Date.now } = options;
  if (typeof now !== 'function') throw new TypeError(`\`memorySeen.now\` must be a function, got ${kindOf(now)}`);
  const used = new Map<string, number>();
  let latest = Number.NEGATIVE_INFINITY;
  let sweepAt = SMALLEST_SWEEP;
  return {
    get size() {
      return used.size;
    },
    take(id, untilMs) {
      latest = Math.max(latest, now());
      // NaN, of whatever clock, is no time after the latest.
      if (!(untilMs > latest) || used.has(id)) return false;
      if (used.size >= sweepAt) {
        for (const [each, until] of used) if (until <= latest) used.delete(each);
        // As many again may come before it is worth looking once more.
        sweepAt = Math.max(SMALLEST_SWEEP, used.size * 2);
      }
      used.set(id, untilMs);
      return true;
    },
  };
}
