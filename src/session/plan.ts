import type { Guard, Limit } from '../guard.ts';
import { type Span, spanOf, type Window, windowName } from '../internal/window.ts';
import { addUnits, type ExactMoney, formatUnits, type Money, type MoneyUnit, parseMoney } from '../money.ts';
import type { Line, Units } from '../stores/store.ts';

/** The user's own rate: what an amount is in another unit. */
export type Convert = (from: Money, unit: MoneyUnit) => Money;

/** One leash among a leash and its ancestors: its guards hold for the calls of all its descendants. */
export interface Level {
  readonly guards: readonly Guard[];
  /** The store's name of the scope of this leash alone. */
  readonly scope: string;
  /** Refusals of this level's guards are recorded and not carried out. */
  readonly observes: boolean;
  readonly convert: Convert | undefined;
}

/** A limit and whose it is. */
export interface PlacedLimit {
  readonly limit: Limit;
  readonly guard: string;
  readonly level: Level;
}

/**
 * One counter in the store, with every limit that counts on it: two limits on the same scope, unit, window and tools
 * share a counter, and a call draws on it once.
 */
export interface Counter {
  readonly scope: string;
  /** The scope's name in options, where leashes share it. */
  readonly shared: string | undefined;
  readonly meter: string;
  readonly unit: MoneyUnit | 'call';
  readonly window: Exclude<Window, { kind: 'call' }>;
  /** Smallest cap first among those that refuse; then those that only observe. */
  readonly limits: readonly PlacedLimit[];
  /** What the store refuses above: the smallest cap that is enforced, or no bound. */
  readonly cap: Units;
  readonly converts: readonly Convert[];
  /** The window as the store counts it; undefined where the calendar moves it on. */
  readonly span: Span | undefined;
}

/** The units that one level's budgets account for, of a call that they count. */
interface Coverage {
  readonly level: Level;
  readonly guard: string;
  readonly units: ReadonlySet<MoneyUnit>;
}

/** What a tool's calls ask of the store, made once for a tool. */
export interface Plan {
  readonly counters: readonly Counter[];
  /** Limits on each call by itself; nothing is counted for them. */
  readonly perCall: readonly PlacedLimit[];
  readonly coverage: readonly Coverage[];
  /** Name of a guard to which a call without a cost is an error. */
  readonly needsPrice: string | undefined;
  /** Guards that threw, or answered with no limits: nobody knows what they would count. */
  readonly failures: readonly Failure[];
  /** What the guards answered, to see that they answer the same again. */
  readonly sources: readonly (readonly Limit[] | undefined)[];
}

interface Failure {
  readonly level: Level;
  readonly guard: string;
  readonly error: unknown;
}

/** Spend that is no tool call concerns the money limits that do not name tools. */
export type PlanSubject = { readonly tool: string } | 'spend' | 'all';

const NO_LIMITS: readonly Limit[] = Object.freeze([]);

function limitsOf(guard: Guard, subject: PlanSubject): readonly Limit[] {
  if (guard.limits === undefined) return NO_LIMITS;
  if (typeof subject === 'object') return guard.limits(subject);
  const all = guard.limits(undefined);
  if (subject === 'all') return all;
  return all.filter((limit) => limit.unit !== 'call' && limit.tools === undefined);
}

export function isCurrent(plan: Plan, levels: readonly Level[], subject: { readonly tool: string }): boolean {
  let i = 0;
  try {
    for (const level of levels) {
      for (const guard of level.guards) if (plan.sources[i++] !== limitsOf(guard, subject)) return false;
    }
    return true;
  } catch {
    return false;
  }
}

export function makePlan(levels: readonly Level[], subject: PlanSubject): Plan {
  const sources: (readonly Limit[] | undefined)[] = [];
  const failures: Failure[] = [];
  const perCall: PlacedLimit[] = [];
  const byCounter = new Map<string, PlacedLimit[]>();
  const coverage: Coverage[] = [];
  let needsPrice: string | undefined;
  for (const level of levels) {
    const units = new Set<MoneyUnit>();
    let budgetName: string | undefined;
    for (const guard of level.guards) {
      let limits: readonly Limit[] | undefined;
      try {
        limits = limitsOf(guard, subject);
        for (const limit of limits) {
          const placed: PlacedLimit = { limit, guard: guard.name, level };
          if (limit.unit !== 'call') {
            units.add(limit.unit);
            if (level.convert !== undefined) units.add(limit.unit === 'usd' ? 'sat' : 'usd');
            budgetName = guard.name;
            if (limit.unpriced !== 'free' && subject !== 'spend') needsPrice ??= guard.name;
          }
          if (limit.window.kind === 'call') perCall.push(placed);
          else {
            const key = JSON.stringify([scopeOf(placed), meterName(limit)]);
            const sharing = byCounter.get(key);
            if (sharing === undefined) byCounter.set(key, [placed]);
            else sharing.push(placed);
          }
        }
      } catch (error) {
        failures.push({ level, guard: guard.name, error });
      }
      sources.push(limits);
    }
    if (budgetName !== undefined) coverage.push({ level, guard: budgetName, units });
  }
  return { counters: [...byCounter.values()].map(makeCounter), perCall, coverage, needsPrice, failures, sources };
}

function scopeOf({ limit, level }: PlacedLimit): string {
  return limit.scope === undefined ? level.scope : sharedScope(limit.scope);
}

/** The store's name of the scope of one session alone. */
export function sessionScope(id: string): string {
  return `session:${id}`;
}

/** The store's name of the scope that leashes share under a name. */
export function sharedScope(name: string): string {
  return `shared:${name}`;
}

/** Names a counter within its scope. */
function meterName(limit: Limit): string {
  const tools = limit.tools === undefined ? '' : JSON.stringify(limit.tools);
  return `${limitName(limit)}${tools}${limit.meter === undefined ? '' : `#${limit.meter}`}`;
}

/** A limit as people read it: `usd/session`, `call/day`. */
export function limitName(limit: Limit): string {
  return `${limit.unit}/${windowName(limit.window)}`;
}

function makeCounter(sharing: PlacedLimit[]): Counter {
  const first = sharing[0] as PlacedLimit;
  const window = first.limit.window as Counter['window'];
  const limits = sharing.sort(
    (a, b) => Number(a.level.observes) - Number(b.level.observes) || a.limit.cap - b.limit.cap,
  );
  const strictest = limits[0] as PlacedLimit;
  return {
    scope: scopeOf(first),
    shared: first.limit.scope,
    meter: meterName(first.limit),
    unit: first.limit.unit,
    window,
    limits,
    cap: strictest.level.observes ? Number.MAX_SAFE_INTEGER : strictest.limit.cap,
    converts: [...new Set(limits.flatMap(({ level }) => level.convert ?? []))],
    span: window.kind === 'calendar' ? undefined : spanOf(window, 0),
  };
}

/** What a counter takes for a call of this cost. With a rate given, spend in the other unit counts too. */
export function amountOn(unit: Counter['unit'], converts: readonly Convert[], cost: ExactMoney): Units {
  if (unit === 'call') return 1;
  const other: MoneyUnit = unit === 'usd' ? 'sat' : 'usd';
  if (cost[other] === 0 || converts.length === 0) return cost[unit];
  let most = 0;
  for (const convert of converts) most = Math.max(most, converted(convert, other, cost[other], unit));
  return addUnits(cost[unit], most);
}

function converted(convert: Convert, from: MoneyUnit, units: Units, to: MoneyUnit): Units {
  const text = formatUnits(from, units);
  const money = parseMoney('the result of `convert`', convert(from === 'usd' ? { usd: text } : { sat: text }, to));
  if (money[from] !== 0) throw new RangeError(`the result of \`convert\` must be in ${to}, got some in ${from}`);
  return money[to];
}

const ALL_COVERED: readonly never[] = Object.freeze([]);

/** The levels that count this call's money and have no budget in a unit that the cost has. */
export function uncovered(plan: Plan, cost: ExactMoney): readonly (Coverage & { readonly unit: MoneyUnit })[] {
  let found: (Coverage & { readonly unit: MoneyUnit })[] | undefined;
  for (const entry of plan.coverage) {
    for (const unit of ['usd', 'sat'] as const) {
      if (cost[unit] === 0 || entry.units.has(unit)) continue;
      found ??= [];
      found.push({ ...entry, unit });
    }
  }
  return found ?? ALL_COVERED;
}

/**
 * The lines of a reservation, one for each counter, in the plan's order.
 *
 * @param units what each takes.
 * @param wallOf epoch ms by the store's clock, for the calendar.
 */
export function linesFor(
  { counters }: Plan,
  units: readonly Units[],
  generations: ReadonlyMap<string, string>,
  wallOf: (scope: string) => number,
): readonly Line[] {
  const lines: Line[] = [];
  for (let i = 0; i < counters.length; i++) {
    const { scope, meter, unit, window, span, cap } = counters[i] as Counter;
    lines.push({
      scope,
      generation: generations.get(scope) ?? '',
      meter,
      span: span ?? spanOf(window, wallOf(scope)),
      cap,
      amount: units[i] as Units,
      // An attempt is over once it was made; money is spent when the call has ended.
      book: unit === 'call' ? 'reserve' : 'settle',
    });
  }
  return lines;
}

/** What each counter takes for a call of this cost, in the same order. */
export function amountsFor(plan: Plan, cost: ExactMoney): readonly Units[] {
  const amounts: Units[] = [];
  for (const { unit, converts } of plan.counters) amounts.push(amountOn(unit, converts, cost));
  return amounts;
}

/** What has been spent, on each counter of a plan. */
interface Spent {
  readonly units: readonly Units[];
  readonly problem: { readonly error: unknown } | undefined;
}

/** The same of what has been spent already. Where `convert` gives no money, what is in a counter's own unit is known all the same. */
export function spentFor(plan: Plan, cost: ExactMoney): Spent {
  const units: Units[] = [];
  let problem: Spent['problem'];
  for (const { unit, converts } of plan.counters) {
    try {
      units.push(amountOn(unit, converts, cost));
    } catch (error) {
      problem ??= { error };
      units.push(amountOn(unit, [], cost));
    }
  }
  return { units, problem };
}

/** Of the amounts on a plan's counters those that are money, and not calls. */
export function moneyOf(plan: Plan, units: readonly Units[]): readonly Units[] {
  return units.filter((_, i) => plan.counters[i]?.unit !== 'call');
}

/** What was spent, and no less than was held for it: of what could not be converted that much is known. */
export function atLeast(spent: readonly Units[], held: readonly Units[]): readonly Units[] {
  return spent.map((units, i) => Math.max(units, held[i] as Units));
}
