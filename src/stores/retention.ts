import type { Duration } from '../internal/duration.ts';

/** For how long stores that outlive the process know what is over, in ms: long enough that no repeat comes later. */

/** A hold that has ended, unless it was asked to be kept for longer. */
export const ENDED_MS = 300_000;
/** A void id that was never reserved. */
export const VOID_MS = 3_600_000;
/** A scope that was shut. */
export const SHUT_MS = 86_400_000;

/** After how long without a use a temporary scope is forgotten, where no option says so. */
export const DEFAULT_FORGET_AFTER: Duration = '7d';

/** How many holds of dead processes one step looks after at most, when a store is swept. */
export const SWEPT_AT_ONCE = 256;
