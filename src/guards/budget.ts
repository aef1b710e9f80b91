import { countedFor, type Guard, type Limit } from '../guard.ts';
import { checkName, checkOneOf, checkOptions, checkTools } from '../internal/options.ts';
import { type Per, parseWindow, windowName } from '../internal/window.ts';
import { type Amount, formatUnits, type MoneyUnit, parseCap } from '../money.ts';

interface BudgetCommon {
  /**
   * When the budget starts anew: `'session'` never, `'call'` caps each call by itself, `'24h'` or `'30d'` is a rolling
   * window, `'day'`, `'week'` (from Monday) and `'month'` follow the calendar. Default: `'session'`.
   */
  readonly per?: Per;
  /** A name under which several leashes share one counter in the store. Default: this session's own. */
  readonly scope?: string;
  /** The tools that draw on this budget. Default: all, and spend that is no tool call. */
  readonly tools?: readonly string[];
  /** IANA time zone of a calendar window. Default: `'UTC'`. */
  readonly timeZone?: string;
  /** What a tool without a `cost` is: `'deny'` is an error when it is wrapped, `'free'` costs nothing. Default: `'deny'`. */
  readonly unpriced?: 'deny' | 'free';
}

/** Exactly one of `usd` and `sat`: the inclusive cap, rounded down to nano-USD or millisatoshi. */
export type BudgetOptions = BudgetCommon &
  ({ readonly usd: Amount; readonly sat?: never } | { readonly sat: Amount; readonly usd?: never });

const OPTIONS = ['usd', 'sat', 'per', 'scope', 'tools', 'timeZone', 'unpriced'];

/**
 * Refuses a call whose estimated cost does not fit into what is left, counting what open calls hold. Refusals are
 * `BUDGET_EXCEEDED`. A call that turns out to cost more than its estimate is booked in full.
 *
 * @throws {TypeError} an unknown option, both or none of `usd` and `sat`, a wrong type.
 * @throws {RangeError} a cap that is NaN, infinite, negative, no decimal number or above 2^53 - 1 smallest units.
 */
export function budget(options: BudgetOptions): Guard {
  checkOptions('budget', options, OPTIONS);
  const { usd, sat, per = 'session', scope, tools, timeZone, unpriced = 'deny' } = options;
  if ((usd === undefined) === (sat === undefined)) {
    throw new TypeError('budget expects exactly one of `usd` and `sat`; use two budgets for two units');
  }
  const unit: MoneyUnit = usd === undefined ? 'sat' : 'usd';
  const limit: Limit = Object.freeze({
    unit,
    cap: parseCap(`budget.${unit}`, unit, usd ?? sat),
    window: parseWindow('budget', per, timeZone),
    scope: scope === undefined ? undefined : checkName('budget.scope', scope),
    tools: checkTools('budget.tools', tools),
    code: 'BUDGET_EXCEEDED',
    unpriced: checkOneOf('budget.unpriced', unpriced, ['deny', 'free']),
  });
  return {
    name: 'budget',
    settings: {
      [unit]: formatUnits(unit, limit.cap),
      per: windowName(limit.window),
      scope: limit.scope,
      tools: limit.tools,
      unpriced,
    },
    limits: countedFor(limit),
  };
}
