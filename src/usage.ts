import { calendarBounds } from './internal/calendar.ts';
import { windowName } from './internal/window.ts';
import { formatUnits, type MoneyUnit } from './money.ts';
import { type Counter, limitName, type PlacedLimit, type Plan } from './plan.ts';
import type { Reading } from './stores/store.ts';

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
  /** Booked in the current window. */
  readonly spent: Value;
  /** Held by calls that have not ended. */
  readonly held: Value;
  /** What the cap leaves; negative after a call cost more than its estimate. */
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
  /** Every limit that holds for this leash: its own first, then its ancestors'. */
  readonly limits: readonly LimitUsage[];
}

export type Readings = Readonly<Record<string, Readonly<Record<string, Reading>>>>;

const ZERO: Reading = { used: 0, held: 0 };

export function readingOf(counter: Counter, readings: Readings): Reading {
  return readings[counter.scope]?.[counter.meter] ?? ZERO;
}

/** Where each limit of a plan stands. */
export function limitUsages(plan: Plan, readings: Readings, wallMs: number): readonly LimitUsage[] {
  const usages: LimitUsage[] = plan.perCall.map((placed) => usageOf(placed, ZERO, wallMs));
  for (const counter of plan.counters) {
    const reading = readingOf(counter, readings);
    for (const placed of counter.limits) usages.push(usageOf(placed, reading, wallMs));
  }
  return usages;
}

function usageOf({ limit, guard, level }: PlacedLimit, { used, held }: Reading, wallMs: number): LimitUsage {
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
  const values = { cap: limit.cap, spent: used, held, remaining: limit.cap - used - held };
  if (unit === 'call') return { ...common, unit, ...values };
  return {
    ...common,
    unit,
    cap: formatUnits(unit, values.cap),
    spent: formatUnits(unit, values.spent),
    held: formatUnits(unit, values.held),
    remaining: formatUnits(unit, values.remaining),
  };
}
