import type { MoneyUnit } from './money.ts';

const BRAND = Symbol.for('leashkit.error');

/** Codes of refusals that a guard or a limit decides. A guard of your own may bring its own code. */
export type DenialCode =
  | 'BUDGET_EXCEEDED'
  | 'CALL_CAP_REACHED'
  | 'RATE_LIMITED'
  | 'EGRESS_DENIED'
  | 'ARGS_INVALID'
  | 'GUARD_FAILED'
  | SessionEndedCode;

/** How a session came to take no more calls: closed, stopped by hand, or ended by a denial. */
export type SessionEndedCode = 'SESSION_CLOSED' | 'SESSION_STOPPED' | 'SESSION_BREACHED';

/** Every stable `code` of this package's errors. */
export type LeashErrorCode =
  | DenialCode
  | 'AUDIT_UNAVAILABLE'
  | 'STORE_UNAVAILABLE'
  | 'STATE_LOST'
  | 'CONFLICT'
  | 'PROOF_INVALID'
  | 'NOTE_INVALID'
  | 'EGRESS_UNENFORCED';

/** The place in the audit log where an event stands. */
export interface EventRef {
  /** Id of the log. */
  readonly log: string;
  /** Sequence number of the line in that log. */
  readonly seq: number;
}

function named(errorClass: { readonly prototype: Error }, name: string): void {
  Object.defineProperty(errorClass.prototype, 'name', { value: name, configurable: true, writable: true });
}

/**
 * Base of every error that a leash throws for a refused call or a part that failed.
 *
 * Match on `code`, or ask `isLeashError`: `instanceof` fails between two copies of this package. Messages are safe to
 * show a model; they hold no argument, no URL path and no secret. Misuse of the API is a `TypeError` or `RangeError`.
 */
export class LeashError extends Error {
  readonly code: LeashErrorCode | (string & {});

  constructor(code: LeashErrorCode | (string & {}), message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
    Object.defineProperty(this, BRAND, { value: true });
  }

  /** The name, code, message and public fields; never the cause, which may hold anything. */
  toJSON(): Record<string, unknown> {
    const { cause: _, ...fields } = { ...this } as Record<string, unknown>;
    return { name: this.name, message: this.message, ...fields };
  }
}
named(LeashError, 'LeashError');

/** What every refusal tells. */
export interface DenialInit {
  readonly code: DenialCode | (string & {});
  readonly message: string;
  /** Name of the guard that refused. */
  readonly guard: string;
  readonly tool: string;
  readonly callId: string;
  /** A short stable word for why, for machines. */
  readonly reason?: string | undefined;
  /** Name of the limit, when the guard has counted limits: its unit and window, such as `usd/day`. */
  readonly limit?: string | undefined;
  /** Milliseconds after which the same call may succeed; absent when waiting does not help or nobody can know. */
  readonly retryAfterMs?: number | undefined;
  readonly event: EventRef;
  readonly cause?: unknown;
}

/** A call that was refused: the tool did not run, and the log had the refusal before this was thrown. */
export class DeniedError extends LeashError {
  readonly guard: string;
  readonly tool: string;
  readonly callId: string;
  readonly event: EventRef;
  declare readonly reason?: string;
  declare readonly limit?: string;
  declare readonly retryAfterMs?: number;

  constructor(init: DenialInit) {
    super(init.code, init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.guard = init.guard;
    this.tool = init.tool;
    this.callId = init.callId;
    if (init.reason !== undefined) this.reason = init.reason;
    if (init.limit !== undefined) this.limit = init.limit;
    if (init.retryAfterMs !== undefined) this.retryAfterMs = init.retryAfterMs;
    this.event = init.event;
  }
}
named(DeniedError, 'DeniedError');

/**
 * Why a budget refused: `exceeds_cap` can never fit, `exhausted` fits only after a reset, `in_flight` may fit once open holds
 * settle.
 */
export type BudgetReason = 'exceeds_cap' | 'exhausted' | 'in_flight';

export interface BudgetDetail {
  readonly unit: MoneyUnit;
  /** Exact decimal strings in whole `unit`s. */
  readonly cap: string;
  readonly requested: string;
  /** May be negative after a call cost more than its estimate. */
  readonly remaining: string;
  readonly reason: BudgetReason;
  /** Epoch ms when a calendar window starts anew. */
  readonly resetsAt?: number | undefined;
}

/** The call costs more than a budget has left, or than it will ever have. */
export class BudgetExceededError extends DeniedError {
  declare readonly code: 'BUDGET_EXCEEDED';
  declare readonly reason: BudgetReason;
  readonly unit: MoneyUnit;
  readonly cap: string;
  readonly requested: string;
  readonly remaining: string;
  declare readonly resetsAt?: number;

  constructor(init: DenialInit, detail: BudgetDetail) {
    super({ ...init, code: 'BUDGET_EXCEEDED', reason: detail.reason });
    this.unit = detail.unit;
    this.cap = detail.cap;
    this.requested = detail.requested;
    this.remaining = detail.remaining;
    if (detail.resetsAt !== undefined) this.resetsAt = detail.resetsAt;
  }
}
named(BudgetExceededError, 'BudgetExceededError');

/** The calls of the session, or of the window, are used up. */
export class CallCapExceededError extends DeniedError {
  declare readonly code: 'CALL_CAP_REACHED';
  readonly cap: number;

  constructor(init: DenialInit, detail: { readonly cap: number }) {
    super({ ...init, code: 'CALL_CAP_REACHED' });
    this.cap = detail.cap;
  }
}
named(CallCapExceededError, 'CallCapExceededError');

/** The window holds as many calls as it may: `retryAfterMs` tells when it will hold fewer. */
export class RateLimitedError extends DeniedError {
  declare readonly code: 'RATE_LIMITED';

  constructor(init: DenialInit) {
    super({ ...init, code: 'RATE_LIMITED' });
  }
}
named(RateLimitedError, 'RateLimitedError');

/** No rule lets a call, or a connection that code in it makes, reach this host. */
export class EgressDeniedError extends DeniedError {
  declare readonly code: 'EGRESS_DENIED';
  declare readonly reason: string;
  /** The host that was asked for, as far as it could be read; no path, no query. */
  readonly host: string;

  constructor(init: DenialInit, detail: { readonly host: string }) {
    super({ ...init, code: 'EGRESS_DENIED' });
    this.host = detail.host;
  }
}
named(EgressDeniedError, 'EgressDeniedError');

/** One thing wrong with the arguments, without any value of them. */
export interface ArgsIssue {
  /** JSON Pointer (RFC 6901). Names that the schema does not declare are content, and appear as `*`. */
  readonly path: string;
  /** The rule that was broken: a JSON Schema keyword, a validator's issue code, or why JSON cannot carry the value. */
  readonly rule: string;
}

/** The arguments are none that JSON can carry, or a schema refuses them. */
export class ToolArgsInvalidError extends DeniedError {
  declare readonly code: 'ARGS_INVALID';
  readonly issues: readonly ArgsIssue[];

  constructor(init: DenialInit, detail: { readonly issues: readonly ArgsIssue[] }) {
    super({ ...init, code: 'ARGS_INVALID' });
    this.issues = detail.issues;
  }
}
named(ToolArgsInvalidError, 'ToolArgsInvalidError');

/** The session takes no more calls: it was closed, stopped by hand, or ended by an earlier denial. */
export class SessionEndedError extends DeniedError {
  declare readonly code: SessionEndedCode;

  constructor(init: DenialInit & { readonly code: SessionEndedCode }) {
    super(init);
  }
}
named(SessionEndedError, 'SessionEndedError');

/** The audit log could not be written, so the call did not run. */
export class AuditUnavailableError extends LeashError {
  declare readonly code: 'AUDIT_UNAVAILABLE';

  constructor(message: string, options?: { readonly cause?: unknown }) {
    super('AUDIT_UNAVAILABLE', message, options);
  }
}
named(AuditUnavailableError, 'AuditUnavailableError');

/** This runtime cannot hold what was promised: nothing was started. The message says what to change. */
export class EgressUnenforcedError extends LeashError {
  declare readonly code: 'EGRESS_UNENFORCED';

  constructor(message: string, options?: { readonly cause?: unknown }) {
    super('EGRESS_UNENFORCED', message, options);
  }
}
named(EgressUnenforcedError, 'EgressUnenforcedError');

/** What was spent and is not booked in the store: money as exact decimal strings. */
export interface Unbooked {
  readonly usd: string;
  readonly sat: string;
  readonly calls: number;
}

/** The store did not answer. A call was refused since nobody knows whether it fits, or something was not booked. */
export class StoreUnavailableError extends LeashError {
  declare readonly code: 'STORE_UNAVAILABLE';
  /** At the close: what was spent and the store does not count. */
  declare readonly unbooked?: Unbooked;

  constructor(message: string, options?: { readonly cause?: unknown; readonly unbooked?: Unbooked }) {
    super('STORE_UNAVAILABLE', message, options);
    if (options?.unbooked !== undefined) this.unbooked = options.unbooked;
  }
}
named(StoreUnavailableError, 'StoreUnavailableError');

/** The store no longer knows what was spent. That is never taken for "nothing was spent". */
export class StateLostError extends LeashError {
  declare readonly code: 'STATE_LOST';

  constructor(message: string, options?: { readonly cause?: unknown }) {
    super('STATE_LOST', message, options);
  }
}
named(StateLostError, 'StateLostError');

/** An idempotency key whose first call still runs, or which was used for the same arguments at another cost. */
export class ConflictError extends LeashError {
  declare readonly code: 'CONFLICT';

  constructor(message: string, options?: { readonly cause?: unknown }) {
    super('CONFLICT', message, options);
  }
}
named(ConflictError, 'ConflictError');

/** Every typed refusal, for an exhaustive `switch (error.code)`. */
export type AnyDenial =
  | BudgetExceededError
  | CallCapExceededError
  | RateLimitedError
  | EgressDeniedError
  | ToolArgsInvalidError
  | SessionEndedError;

/** Whether this very value is an error of this package, from whichever copy of it. Looks through nothing, never throws. */
export function isLeashError(value: unknown): value is LeashError {
  if (typeof value !== 'object' || value === null) return false;
  try {
    return Object.hasOwn(value, BRAND);
  } catch {
    // A proxy that was revoked or throws.
    return false;
  }
}

const WRAPPERS = ['cause', 'error', 'originalError', 'reason', 'data', 'errors'] as const;
const MAX_VISITED = 256;

/**
 * The leash's error inside whatever a framework made of it: looks through `cause`, `error`, `originalError`, `reason`,
 * `data` and `errors[]`, nearest first. Safe on cycles and on getters that throw.
 */
export function findLeashError(error: unknown): LeashError | undefined {
  const queue: unknown[] = [error];
  const seen = new Set<unknown>();
  for (let i = 0; i < queue.length && seen.size < MAX_VISITED; i++) {
    const value = queue[i];
    if (typeof value !== 'object' || value === null || seen.has(value)) continue;
    seen.add(value);
    if (isLeashError(value)) return value;
    for (const key of WRAPPERS) {
      try {
        const inner = (value as Record<string, unknown>)[key];
        if (Array.isArray(inner)) queue.push(...inner.slice(0, MAX_VISITED));
        else queue.push(inner);
      } catch {
        // A getter or a proxy that throws hides nothing that stands beside it.
      }
    }
  }
  return undefined;
}
