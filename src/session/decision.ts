import { randomUUID } from 'node:crypto';
import { ActiveCall, type CallOwner } from '../call.ts';
import { canonicalJson, frozenJson, NotJsonError } from '../internal/canonical-json.ts';
import { FREE } from '../money.ts';
import { whyShort } from '../stores/shortfall.ts';
import type { Ending } from './ending.ts';
import { amountOn, type Level } from './plan.ts';
import {
  type Attempt,
  argumentsNotJson,
  fromLimit,
  type Refusal,
  refusalMessage,
  sessionEnded,
  stateLost,
  storeFailed,
} from './refusal.ts';
import type { Reservations } from './reservations.ts';
import { Rules } from './rules.ts';
import { estimateOf, type Tool } from './tool.ts';
import type { Readings } from './usage.ts';

/** Why a call would be refused. */
export interface DecisionDenial {
  readonly guard: string;
  readonly code: string;
  readonly reason: string;
  /** What the error would say. */
  readonly message: string;
  readonly limit?: string;
}

/** What `peek` tells of a call: that it would run at this moment, or why it would be refused. Another call may change it. */
export type Decision =
  | {
      readonly allow: true;
      /** What guards that only observe would have refused. */
      readonly observed: readonly DecisionDenial[];
    }
  | (DecisionDenial & { readonly allow: false });

export interface DecisionContext {
  readonly levels: readonly Level[];
  readonly owner: CallOwner;
  readonly ending: Ending;
  readonly stopsOn: (code: string) => boolean;
  readonly reservations: Reservations;
}

/**
 * The steps of an admission without their effects.
 *
 * @throws {TypeError | RangeError} the tool gives no amount or URL for these arguments.
 */
export async function decide(tool: Tool, given: unknown, context: DecisionContext): Promise<Decision> {
  const { levels, ending, owner } = context;
  const observed: DecisionDenial[] = [];
  const tell = (refusal: Refusal): DecisionDenial => {
    const { guard, code, reason, limit } = refusal;
    const denial = { guard, code, reason, message: refusalMessage(refusal, tool.name, context.stopsOn(code)) };
    return limit === undefined ? denial : { ...denial, limit };
  };
  const no = (refusal: Refusal): Decision => ({ allow: false, ...tell(refusal) });
  const rules = new Rules(levels, (_, refusal) => observed.push(tell(refusal)));

  const { over } = ending;
  if (over !== undefined) return no(sessionEnded(over.code, over.detail));
  let args: unknown = null;
  try {
    args = frozenJson(given);
  } catch (error) {
    if (!(error instanceof NotJsonError)) throw error;
    const refusal = argumentsNotJson(error);
    if (!rules.onlyObserves) return no(refusal);
    observed.push(tell(refusal));
  }
  const attempt: Attempt = {
    id: randomUUID(),
    name: tool.name,
    quoted: tool.quoted,
    canonical: canonicalJson(args),
  };
  const { cost, urls, problem } = estimateOf(tool, args);
  const call = new ActiveCall(owner, attempt.id, tool.name, args, cost, urls, tool.schema);
  const refused = await rules.check(attempt, call);
  if (refused !== undefined) return no(refused);
  if (problem !== undefined) throw problem.error;
  const plan = rules.planFor(tool.name);
  const refusal = rules.checkMoney(attempt, plan, cost ?? FREE);
  if (refusal !== undefined) return no(refusal);

  const { reservations } = context;
  const lost = reservations.lostIn(plan);
  if (lost !== undefined) return no(stateLost(lost));
  let readings: Readings;
  try {
    readings = await reservations.read(plan);
  } catch (error) {
    const runs = reservations.admitsWithoutStore(plan, cost ?? FREE);
    const failed = storeFailed(error, runs ? 'on-allowance' : 'store-failed');
    return runs ? { allow: true, observed: [...observed, tell(failed)] } : no(failed);
  }
  const missing = reservations.missingIn(plan, readings);
  if (missing !== undefined) return no(stateLost(missing));
  for (const counter of plan.counters) {
    const reading = readings[counter.scope]?.[counter.meter];
    const used = reading?.used ?? 0;
    const held = reading?.held ?? 0;
    const requested = amountOn(counter.unit, counter.converts, cost ?? FREE);
    for (const placed of counter.limits) {
      const { cap } = placed.limit;
      const left = cap - used - held;
      if (requested === 0 || requested <= left) continue;
      const why = whyShort(requested, cap, used);
      const short = rules.heed(attempt, fromLimit(placed, { requested, left, why }), placed.level);
      if (short !== undefined) return no(short);
    }
  }
  return { allow: true, observed };
}
