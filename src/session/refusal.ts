import { budgetDenied, type DeniedFields, type EventKind, egress, toolDenied } from '../audit/event.ts';
import { parseAddress } from '../egress/policy/address.ts';
import {
  type ArgsIssue,
  type BudgetDetail,
  BudgetExceededError,
  type BudgetReason,
  CallCapExceededError,
  ConflictError,
  type DenialInit,
  DeniedError,
  EgressDeniedError,
  type EventRef,
  type LeashError,
  RateLimitedError,
  type SessionEndedCode,
  SessionEndedError,
  StateLostError,
  StoreUnavailableError,
  ToolArgsInvalidError,
} from '../errors.ts';
import type { Denial, Target } from '../guard.ts';
import type { NotJsonError } from '../internal/canonical-json.ts';
import { displayUnits, formatUnits, type MoneyUnit } from '../money.ts';
import type { Units } from '../stores/store.ts';
import { type Counter, limitName, type PlacedLimit } from './plan.ts';

/** A decision against a call, before it becomes an event and an error. */
export interface Refusal {
  readonly guard: string;
  readonly code: string;
  readonly reason: string;
  /** What follows `Tool "x" was refused: `, a clause without a full stop. */
  readonly message: string;
  readonly limit?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly budget?: BudgetDetail | undefined;
  readonly cap?: number | undefined;
  readonly issues?: readonly ArgsIssue[] | undefined;
  readonly target?: Target | undefined;
  /** A counter whose scope was stopped for all that count on it. */
  readonly stopped?: Counter | undefined;
  readonly cause?: unknown;
}

/** What is refused: a call of a tool, or spend under a name of its own. */
export interface Attempt {
  readonly id: string;
  readonly name: string;
  /** The name as a JSON string. */
  readonly quoted: string;
  /** Canonical JSON of the arguments, where they could be read. */
  readonly canonical?: string | undefined;
  /** The arguments as JSON, where the log is to hold them as they are. */
  readonly raw?: string | undefined;
}

/** What of an attempt stands on its line. */
export interface RecordedAttempt {
  readonly id: string;
  readonly quoted: string;
  readonly args: string | undefined;
  readonly raw: string | undefined;
}

const CODE = /^[A-Z][A-Z0-9_]{0,63}$/;

/** Whether it can be the code of a denial, of this package or of a guard of the user's own. */
export function isDenialCode(value: unknown): value is string {
  return typeof value === 'string' && CODE.test(value);
}

export function fromVerdict(guard: string, verdict: unknown): Refusal {
  const { allow, code, reason, message, retryAfterMs, issues, target } = (verdict ?? {}) as Partial<Denial>;
  const told = allow === false && isDenialCode(code) && typeof reason === 'string';
  const waits = retryAfterMs === undefined || (Number.isFinite(retryAfterMs) && retryAfterMs >= 0);
  const says = message === undefined || typeof message === 'string';
  if (!told || !waits || !says || (target !== undefined && !isTarget(target))) return guardFailed(guard, undefined);
  return { guard, code, reason, message: message ?? reason, retryAfterMs, issues, target };
}

/** Whether it can stand on a line of the log, which holds no other numbers than whole ones. */
function isTarget(target: unknown): target is Target {
  const { scheme, host, port } = (target ?? {}) as Partial<Target>;
  const whole = typeof port === 'number' && Number.isInteger(port) && port >= 0 && port <= 65_535;
  return typeof scheme === 'string' && typeof host === 'string' && whole;
}

/** A guard that threw or answered with something that is no verdict has not allowed anything. */
export function guardFailed(guard: string, cause: unknown): Refusal {
  return { guard, code: 'GUARD_FAILED', reason: 'guard-failed', message: `guard "${guard}" could not decide`, cause };
}

export function argumentsNotJson({ rule, path }: NotJsonError): Refusal {
  return {
    guard: 'session',
    code: 'ARGS_INVALID',
    reason: 'not-json',
    message: `its arguments are not plain finite JSON (${rule})`,
    issues: [{ path, rule }],
  };
}

export function sessionEnded(code: SessionEndedCode, detail: string): Refusal {
  return { guard: 'session', code, reason: detail, message: `the session takes no more calls (${detail})` };
}

/** @param reason `'on-allowance'`: it runs all the same, within what may be spent without the store. */
export function storeFailed(cause: unknown, reason: 'store-failed' | 'on-allowance' = 'store-failed'): Refusal {
  const message = 'the store that counts what is spent did not answer';
  return { guard: 'store', code: 'STORE_UNAVAILABLE', reason, message, cause };
}

export function stateLost(scope: string): Refusal {
  const message = 'the store no longer knows what was spent';
  return { guard: 'store', code: 'STATE_LOST', reason: scope, message };
}

export function conflict(reason: 'in-progress' | 'other-call'): Refusal {
  const message =
    reason === 'in-progress'
      ? 'a call with the same idempotency key is still running'
      : 'its idempotency key was used for another call';
  return { guard: 'store', code: 'CONFLICT', reason, message };
}

/** Money in a unit that no budget of a level accounts for: to that level its budget is nothing. */
export function noBudgetFor(guard: string, unit: MoneyUnit, requested: Units): Refusal {
  return {
    guard,
    code: 'BUDGET_EXCEEDED',
    reason: 'exceeds_cap',
    message: `it costs ${displayUnits(unit, requested)} and no budget accounts for ${unit}`,
    limit: `${unit}/none`,
    budget: { unit, cap: '0', requested: formatUnits(unit, requested), remaining: '0', reason: 'exceeds_cap' },
  };
}

export interface Shortfall {
  readonly requested: Units;
  /** What the cap leaves; negative after an overrun. */
  readonly left: number;
  readonly why: BudgetReason;
  readonly retryMs?: number | undefined;
  /** When the calendar window starts anew. */
  readonly resetsAt?: number | undefined;
}

/** A limit that has no room for a call. */
export function fromLimit({ limit, guard }: PlacedLimit, shortfall: Shortfall): Refusal {
  const { requested, left, why, retryMs, resetsAt } = shortfall;
  const name = limitName(limit);
  const common = { guard, code: limit.code, reason: why, limit: name };
  if (limit.unit === 'call') {
    const message =
      limit.code === 'RATE_LIMITED'
        ? `the rate limit of ${limit.cap} calls is used up`
        : `the cap of ${limit.cap} calls is reached`;
    return { ...common, message, cap: limit.cap, retryAfterMs: why === 'exhausted' ? retryMs : undefined };
  }
  const { unit } = limit;
  const cap = displayUnits(unit, limit.cap);
  const needs = `it needs ${displayUnits(unit, requested)}`;
  const message =
    why === 'exceeds_cap'
      ? `${needs}, more than the whole budget of ${cap}`
      : `${needs} and the budget of ${cap} has ${displayUnits(unit, left)} left${why === 'in_flight' ? ' while other calls run' : ''}`;
  return {
    ...common,
    message,
    retryAfterMs: why === 'exhausted' ? retryMs : undefined,
    budget: {
      unit,
      cap: formatUnits(unit, limit.cap),
      requested: formatUnits(unit, requested),
      remaining: formatUnits(unit, left),
      reason: why,
      // Only where waiting helps.
      resetsAt: retryMs === undefined ? undefined : resetsAt,
    },
  };
}

const ADVICE: Readonly<Record<string, string>> = {
  BUDGET_EXCEEDED: 'Do not retry.',
  CALL_CAP_REACHED: 'Do not retry.',
  EGRESS_DENIED: 'Do not retry.',
  ARGS_INVALID: 'Correct the arguments.',
  SESSION_CLOSED: 'Do not retry.',
  SESSION_STOPPED: 'Do not retry.',
  SESSION_BREACHED: 'Do not retry.',
};

/** @param ends the session ends with it, so that waiting does not help. */
export function refusalMessage(refusal: Refusal, tool: string, ends: boolean): string {
  const wait = refusal.retryAfterMs;
  let advice = ADVICE[refusal.code] ?? '';
  if (ends) advice = 'Do not retry.';
  else if (refusal.code === 'RATE_LIMITED' && wait !== undefined) {
    advice = `Wait ${Math.ceil(wait / 1000)} s before the next call.`;
  } else if (refusal.reason === 'in_flight') advice = 'Wait until running calls have ended.';
  return `Tool "${tool}" was refused: ${refusal.message}.${advice === '' ? '' : ` ${advice}`}`;
}

/** The one event that records a refusal. */
export function refusalEvent(refusal: Refusal, call: RecordedAttempt, observed: boolean): [EventKind, string] {
  const { guard, code, reason, budget, target } = refusal;
  if (target !== undefined && code === 'EGRESS_DENIED') {
    const { scheme, host, port } = target;
    // A guard of the user's own may call anything an address.
    const addr = target.addr !== undefined && parseAddress(target.addr) !== undefined ? target.addr : undefined;
    const event = { call: call.id, tool: call.quoted, scheme, host, port, addr, code, reason, observed };
    return ['egress_denied', egress(event)];
  }
  const { id, quoted: tool, args, raw } = call;
  const fields: DeniedFields = { call: id, tool, args, guard, code, reason, observed, raw };
  if (budget !== undefined) return ['budget_denied', budgetDenied({ ...fields, ...budget })];
  return ['tool_denied', toolDenied(fields)];
}

export function refusalError(
  refusal: Refusal,
  tool: string,
  callId: string,
  event: EventRef,
  ends: boolean,
): LeashError {
  const { code, cause } = refusal;
  const message = refusalMessage(refusal, tool, ends);
  const because = cause === undefined ? undefined : { cause };
  if (code === 'STORE_UNAVAILABLE') return new StoreUnavailableError(message, because);
  if (code === 'STATE_LOST') return new StateLostError(message, because);
  if (code === 'CONFLICT') return new ConflictError(message, because);
  const { guard, reason, limit, retryAfterMs } = refusal;
  const init: DenialInit = { code, message, guard, tool, callId, reason, limit, retryAfterMs, event, cause };
  if (code === 'BUDGET_EXCEEDED' && refusal.budget !== undefined) return new BudgetExceededError(init, refusal.budget);
  if (code === 'CALL_CAP_REACHED' && refusal.cap !== undefined)
    return new CallCapExceededError(init, { cap: refusal.cap });
  if (code === 'RATE_LIMITED') return new RateLimitedError(init);
  if (code === 'EGRESS_DENIED') return new EgressDeniedError(init, { host: refusal.target?.host ?? '' });
  if (code === 'ARGS_INVALID') return new ToolArgsInvalidError(init, { issues: refusal.issues ?? [] });
  if (code === 'SESSION_CLOSED' || code === 'SESSION_STOPPED' || code === 'SESSION_BREACHED') {
    return new SessionEndedError({ ...init, code });
  }
  return new DeniedError(init);
}
