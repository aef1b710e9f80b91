import { inspect } from 'node:util';
import { describe, expect, expectTypeOf, it } from 'vitest';
import * as errors from '../src/errors.ts';
import {
  type AnyDenial,
  AuditUnavailableError,
  BudgetExceededError,
  CallCapExceededError,
  ConflictError,
  type DenialInit,
  DeniedError,
  EgressDeniedError,
  EgressUnenforcedError,
  isLeashError,
  LeashError,
  RateLimitedError,
  type SessionEndedCode,
  SessionEndedError,
  StateLostError,
  StoreUnavailableError,
  ToolArgsInvalidError,
} from '../src/errors.ts';

const BRAND = Symbol.for('leashkit.error');
const event = { log: 'log-1', seq: 7 };
const init: DenialInit = { code: 'IGNORED', message: 'Refused.', guard: 'g', tool: 'charge', callId: 'call-1', event };
const denied = { message: 'Refused.', guard: 'g', tool: 'charge', callId: 'call-1', event };
const budget = { unit: 'usd', cap: '1', requested: '0.18', remaining: '0.1', reason: 'exhausted' } as const;
const issues = [{ path: '/amount', rule: 'minimum' }];

const family: readonly { name: string; make: () => LeashError; code: string; denial: boolean; json: object }[] = [
  {
    name: 'LeashError',
    make: () => new LeashError('OWN', 'Off.'),
    code: 'OWN',
    denial: false,
    json: { message: 'Off.' },
  },
  {
    name: 'DeniedError',
    make: () => new DeniedError({ ...init, code: 'OWN' }),
    code: 'OWN',
    denial: true,
    json: denied,
  },
  {
    name: 'BudgetExceededError',
    make: () => new BudgetExceededError(init, { ...budget, resetsAt: 86_400_000 }),
    code: 'BUDGET_EXCEEDED',
    denial: true,
    json: { ...denied, ...budget, resetsAt: 86_400_000 },
  },
  {
    name: 'CallCapExceededError',
    make: () => new CallCapExceededError(init, { cap: 50 }),
    code: 'CALL_CAP_REACHED',
    denial: true,
    json: { ...denied, cap: 50 },
  },
  {
    name: 'RateLimitedError',
    make: () => new RateLimitedError({ ...init, limit: 'calls/60000ms', retryAfterMs: 250 }),
    code: 'RATE_LIMITED',
    denial: true,
    json: { ...denied, limit: 'calls/60000ms', retryAfterMs: 250 },
  },
  {
    name: 'EgressDeniedError',
    make: () => new EgressDeniedError({ ...init, reason: 'port' }, { host: 'api.example.com' }),
    code: 'EGRESS_DENIED',
    denial: true,
    json: { ...denied, reason: 'port', host: 'api.example.com' },
  },
  {
    name: 'ToolArgsInvalidError',
    make: () => new ToolArgsInvalidError(init, { issues }),
    code: 'ARGS_INVALID',
    denial: true,
    json: { ...denied, issues },
  },
  {
    name: 'SessionEndedError',
    make: () => new SessionEndedError({ ...init, code: 'SESSION_STOPPED' }),
    code: 'SESSION_STOPPED',
    denial: true,
    json: denied,
  },
  {
    name: 'AuditUnavailableError',
    make: () => new AuditUnavailableError('Off.'),
    code: 'AUDIT_UNAVAILABLE',
    denial: false,
    json: { message: 'Off.' },
  },
  {
    name: 'EgressUnenforcedError',
    make: () => new EgressUnenforcedError('Off.'),
    code: 'EGRESS_UNENFORCED',
    denial: false,
    json: { message: 'Off.' },
  },
  {
    name: 'StoreUnavailableError',
    make: () => new StoreUnavailableError('Off.'),
    code: 'STORE_UNAVAILABLE',
    denial: false,
    json: { message: 'Off.' },
  },
  {
    name: 'StateLostError',
    make: () => new StateLostError('Off.'),
    code: 'STATE_LOST',
    denial: false,
    json: { message: 'Off.' },
  },
  {
    name: 'ConflictError',
    make: () => new ConflictError('Off.'),
    code: 'CONFLICT',
    denial: false,
    json: { message: 'Off.' },
  },
];

describe('the error classes', () => {
  it('are all in the table below', () => {
    const classes = Object.entries(errors).filter(
      ([, value]) => value === LeashError || value.prototype instanceof LeashError,
    );
    expect(classes.map(([name]) => name).sort()).toEqual(family.map(({ name }) => name).sort());
  });

  it.each(family)('$name has its code, name and brand', ({ name, make, code, denial }) => {
    const error = make();
    expect(error.code).toBe(code);
    expect(error.name).toBe(name);
    expect(Object.keys(error)).not.toContain('name');
    expect(String(error)).toMatch(new RegExp(`^${name}: `));
    expect(error).toBeInstanceOf(LeashError);
    expect(error instanceof DeniedError).toBe(denial);
    expect(isLeashError(error)).toBe(true);
    expect(Object.getOwnPropertyDescriptor(error, BRAND)).toEqual({
      value: true,
      enumerable: false,
      writable: false,
      configurable: false,
    });
  });

  it.each(family)('$name serializes its public fields, and no stack', ({ name, make, code, json }) => {
    expect(JSON.parse(JSON.stringify(make()))).toEqual({ name, code, ...json });
  });

  it.each((['reason', 'limit', 'retryAfterMs', 'cause'] as const).map((name) => ({ name })))(
    'leave $name out where there is none',
    ({ name }) => {
      expect(Object.hasOwn(new DeniedError({ ...init, [name]: undefined }), name)).toBe(false);
    },
  );

  it('leave resetsAt out where no calendar resets it', () => {
    expect(Object.hasOwn(new BudgetExceededError(init, { ...budget, resetsAt: undefined }), 'resetsAt')).toBe(false);
  });

  it('take the code of their class and the reason of the detail, whatever the init says', () => {
    const error = new BudgetExceededError({ ...init, code: 'RATE_LIMITED', reason: 'other' }, budget);
    expect(error.code).toBe('BUDGET_EXCEEDED');
    expect(error.reason).toBe('exhausted');
  });

  it.each([
    { name: 'DeniedError', make: (cause: unknown) => new DeniedError({ ...init, cause }) },
    { name: 'BudgetExceededError', make: (cause: unknown) => new BudgetExceededError({ ...init, cause }, budget) },
    { name: 'LeashError', make: (cause: unknown) => new LeashError('OWN', 'Off.', { cause }) },
    { name: 'AuditUnavailableError', make: (cause: unknown) => new AuditUnavailableError('Off.', { cause }) },
    { name: 'EgressUnenforcedError', make: (cause: unknown) => new EgressUnenforcedError('Off.', { cause }) },
    { name: 'StoreUnavailableError', make: (cause: unknown) => new StoreUnavailableError('Off.', { cause }) },
    { name: 'StateLostError', make: (cause: unknown) => new StateLostError('Off.', { cause }) },
    { name: 'ConflictError', make: (cause: unknown) => new ConflictError('Off.', { cause }) },
  ])('$name keeps its cause, and out of what it serializes', ({ make }) => {
    const cause = new Error('c4n4ry');
    const error = make(cause);
    expect(error.cause).toBe(cause);
    expect(error.toJSON()).not.toHaveProperty('cause');
    expect(error.toJSON()).not.toHaveProperty('stack');
    expect(JSON.stringify(error)).not.toContain('c4n4ry');
    expect(`${error}`).not.toContain('c4n4ry');
    Object.defineProperty(error, 'cause', { value: 'c4n4ry', enumerable: true });
    expect(JSON.stringify(error)).not.toContain('c4n4ry');
  });

  it('print under their own name', () => {
    expect(inspect(new RateLimitedError(init))).toMatch(/^RateLimitedError: Refused\./);
  });
});

describe('AnyDenial', () => {
  /** Compiles only while `code` tells the classes apart and no code is left over. */
  function told(error: AnyDenial): string | number {
    switch (error.code) {
      case 'BUDGET_EXCEEDED':
        expectTypeOf(error).toEqualTypeOf<BudgetExceededError>();
        return error.remaining;
      case 'CALL_CAP_REACHED':
        expectTypeOf(error).toEqualTypeOf<CallCapExceededError>();
        return error.cap;
      case 'RATE_LIMITED':
        expectTypeOf(error).toEqualTypeOf<RateLimitedError>();
        return error.retryAfterMs ?? 0;
      case 'EGRESS_DENIED':
        expectTypeOf(error).toEqualTypeOf<EgressDeniedError>();
        return error.host;
      case 'ARGS_INVALID':
        expectTypeOf(error).toEqualTypeOf<ToolArgsInvalidError>();
        return error.issues.length;
      case 'SESSION_CLOSED':
      case 'SESSION_STOPPED':
      case 'SESSION_BREACHED':
        expectTypeOf(error).toEqualTypeOf<SessionEndedError>();
        expectTypeOf(error.code).toEqualTypeOf<SessionEndedCode>();
        return error.code;
      default:
        expectTypeOf(error).toBeNever();
        return error;
    }
  }

  it('narrows by code, exhaustively', () => {
    expect(told(new BudgetExceededError(init, budget))).toBe('0.1');
    expect(told(new ToolArgsInvalidError(init, { issues }))).toBe(1);
    expect(told(new SessionEndedError({ ...init, code: 'SESSION_CLOSED' }))).toBe('SESSION_CLOSED');
  });
});
