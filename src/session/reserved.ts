import { invariant } from '../internal/invariant.ts';
import type { Decision, HoldState, Line, Units } from '../stores/store.ts';
import type { Counter, PlacedLimit, Plan } from './plan.ts';
import { conflict, fromLimit, type Refusal, sessionEnded, stateLost, storeFailed } from './refusal.ts';

/** A reservation that was made. */
export interface Reservation {
  readonly ok: true;
  /** The hold's id in the store. */
  readonly id: string;
  readonly plan: Plan;
  /** What each counter of the plan has taken. */
  readonly units: readonly Units[];
  /** What became of an earlier reservation under the same id. */
  readonly repeat: HoldState | undefined;
  /** What each counter's cap leaves; empty where the store was not asked. */
  readonly left: readonly number[];
  /** What is on record only: limits that observe and would have refused, a store that failed. */
  readonly observed: readonly Refusal[];
  /** It is lent from the allowance, since the store did not answer. */
  readonly lent?: true;
  /** Counted as spent at the close, before its end: the truth may yet come. */
  forfeited?: true;
  /** The same, where more was told by then than is held: all of that is spent. */
  told?: readonly Units[];
}

/** A reservation, or why it was not made. `terminal`: its id is void. */
export type Reserved = Reservation | { readonly ok: false; readonly refusal: Refusal; readonly terminal: boolean };

const NONE: readonly Refusal[] = Object.freeze([]);

export const NOTHING_TO_RESERVE: Reservation = {
  ok: true,
  id: '',
  plan: { counters: [], perCall: [], coverage: [], needsPrice: undefined, failures: [], sources: [] },
  units: [],
  repeat: undefined,
  left: [],
  observed: NONE,
};

/** What the store's decision is to the session. */
export function reserved(
  id: string,
  decision: Decision,
  plan: Plan,
  lines: readonly Line[],
  units: readonly Units[],
): Reserved {
  if (decision.ok) {
    const { repeat, left } = decision;
    return { ok: true, id, plan, units, repeat, left, observed: observedIn(left, plan, units) };
  }
  const counter = plan.counters[decision.line];
  const line = lines[decision.line];
  switch (decision.why) {
    case 'exceeds_cap':
    case 'exhausted':
    case 'in_flight': {
      invariant(counter !== undefined && line !== undefined, 'a store names the line that did not fit');
      const placed = counter.limits[0] as PlacedLimit;
      const { why, left, retryMs } = decision;
      const resetsAt = line.span.kind === 'calendar' ? line.span.endMs : undefined;
      return no(fromLimit(placed, { requested: line.amount, left, why, retryMs, resetsAt }));
    }
    case 'closed':
      return no(sessionEnded('SESSION_CLOSED', 'its scope in the store is shut'));
    case 'stopped':
      return no({ ...sessionEnded('SESSION_STOPPED', 'its scope in the store is stopped'), stopped: counter });
    case 'conflict':
      return no(conflict('other-call'));
    case 'terminal':
      return { ok: false, refusal: conflict('other-call'), terminal: true };
    case 'state_lost':
      return no(stateLost(counter?.scope ?? ''));
    case 'stale':
      return no(storeFailed(new Error('the clock of the store disagrees with its own windows')));
  }
}

export function no(refusal: Refusal): Reserved {
  return { ok: false, refusal, terminal: false };
}

/** Limits that observe had no say in the reservation; what it left tells whether they would have refused. */
function observedIn(left: readonly number[], plan: Plan, units: readonly Units[]): readonly Refusal[] {
  let observed: Refusal[] | undefined;
  for (let i = 0; i < plan.counters.length; i++) {
    const counter = plan.counters[i] as Counter;
    const { limits } = counter;
    // Those that observe come last.
    if (!(limits[limits.length - 1] as PlacedLimit).level.observes) continue;
    for (const placed of limits) {
      if (!placed.level.observes) continue;
      const refusal = short(placed, counter, units[i] as Units, left[i] as number);
      if (refusal === undefined) continue;
      observed ??= [];
      observed.push(refusal);
    }
  }
  return observed ?? NONE;
}

/** After spend that was booked above every cap: the first enforced limit that is over now. */
export function overdrawn({ plan, units, left }: Reservation): Refusal | undefined {
  for (let i = 0; i < left.length; i++) {
    const counter = plan.counters[i] as Counter;
    for (const placed of counter.limits) {
      if (placed.level.observes) continue;
      const refusal = short(placed, counter, units[i] as Units, left[i] as number);
      if (refusal !== undefined) return refusal;
    }
  }
  return undefined;
}

/** Whether a limit is over after a reservation that it had no say in. */
function short(placed: PlacedLimit, { cap }: Counter, amount: Units, left: number): Refusal | undefined {
  const own = left - (cap - placed.limit.cap);
  if (own >= 0 || amount === 0) return undefined;
  const why = amount > placed.limit.cap ? 'exceeds_cap' : 'exhausted';
  return fromLimit(placed, { requested: amount, left: own + amount, why });
}
