import type { Unbooked } from '../errors.ts';
import { calendarBounds } from '../internal/calendar.ts';
import { windowName } from '../internal/window.ts';
import { formatUnits, type MoneyUnit } from '../money.ts';
import type { Reading, Units } from '../stores/store.ts';
import { type Counter, limitName, type PlacedLimit, type Plan } from './plan.ts';

interface LimitUsageCommon<Value> {
  readonly guard: string;
  /** Unit and window: `usd/day`. */
  readonly limit: string;
  /** `'session'`, `'call'`, a calendar period, or the milliseconds of a rolling window. */
  readonly per: string;
  /** The shared counter's name, where it is shared. */
  readonly scope?: string;
  /** The tools that count, where not all do. */
  readonly tools?: readonly string[];
  readonly cap: Value;
  /** Booked in the current window; absent where the store does not tell. */
  readonly spent?: Value;
  /** Held by calls that have not ended; absent where the store does not tell. */
  readonly held?: Value;
  /**
   * What the cap leaves; negative after a call cost more than its estimate. Where the store does not tell: what may be
   * spent without it (`onStoreError`), else nothing.
   */
  readonly remaining: Value;
  /** Epoch ms at which a calendar window starts anew. */
  readonly resetsAt?: number;
  /** Its leash only observes: it refuses nothing. */
  readonly observes?: true;
}

/** A limit and where it stands: money as exact decimal strings, calls as numbers. */
export type LimitUsage =
  | (LimitUsageCommon<string> & { readonly unit: MoneyUnit })
  | (LimitUsageCommon<number> & { readonly unit: 'call' });

/** What a leash has used so far, and where each of its limits stands. */
export interface Usage {
  /** Calls that were admitted by this leash. */
  readonly calls: number;
  /** Calls that were refused by it. */
  readonly denied: number;
  /** What its calls and charges have spent, as exact decimal strings. */
  readonly usd: string;
  readonly sat: string;
  /**
   * What this leash and all leashes of its tree have spent that the store does not count: it failed, and is told when it
   * answers again, or it has lost its state.
   */
  readonly unbooked: Unbooked;
  /** Every limit that holds for this leash: its own first, then its ancestors'. */
  readonly limits: readonly LimitUsage[];
}

export type Readings = Readonly<Record<string, Readonly<Record<string, Reading>>>>;

/** Where a counter stands: as the store says, or what may be spent without it. */
export type Standing = Reading | { readonly room: Units };

const ZERO: Reading = { used: 0, held: 0 };

/** Where each limit of a plan stands. */
export function limitUsages(
  plan: Plan,
  standingOf: (counter: Counter) => Standing,
  wallMs: number,
): readonly LimitUsage[] {
  const usages: LimitUsage[] = plan.perCall.map((placed) => usageOf(placed, ZERO, wallMs));
  for (const counter of plan.counters) {
    const standing = standingOf(counter);
    for (const placed of counter.limits) usages.push(usageOf(placed, standing, wallMs));
  }
  return usages;
}

function usageOf({ limit, guard, level }: PlacedLimit, standing: Standing, wallMs: number): LimitUsage {
  const { window, unit, scope, tools } = limit;
  const common = {
    guard,
    limit: limitName(limit),
    per: windowName(window),
    ...(scope === undefined ? {} : { scope }),
    ...(tools === undefined ? {} : { tools }),
    ...(window.kind === 'calendar' ? { resetsAt: calendarBounds(window.period, window.timeZone, wallMs).endMs } : {}),
    ...(level.observes ? { observes: true as const } : {}),
  };
  const { cap } = limit;
  const values =
    'room' in standing
      ? { cap, remaining: Math.min(cap, standing.room) }
      : { cap, spent: standing.used, held: standing.held, remaining: cap - standing.used - standing.held };
  if (unit === 'call') return { ...common, unit, ...values };
  const texts = Object.entries(values).map(([key, units]) => [key, formatUnits(unit, units)]);
  return { ...common, unit, ...(Object.fromEntries(texts) as Record<keyof typeof values, string>) };
}
