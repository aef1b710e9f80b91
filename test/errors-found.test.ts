import { describe, expect, expectTypeOf, it, vi } from 'vitest';
import { type DenialInit, findLeashError, isLeashError, LeashError, RateLimitedError } from '../src/errors.ts';

const event = { log: 'log-1', seq: 7 };
const init: DenialInit = { code: 'IGNORED', message: 'Refused.', guard: 'g', tool: 'charge', callId: 'call-1', event };

const revoked = Proxy.revocable({}, {});
revoked.revoke();
const hostile = new Proxy(
  {},
  {
    get: () => {
      throw new Error('get');
    },
    getOwnPropertyDescriptor: () => {
      throw new Error('descriptor');
    },
  },
);

describe('isLeashError', () => {
  it.each([
    { name: 'undefined', value: undefined },
    { name: 'null', value: null },
    { name: 'a code alone', value: { code: 'BUDGET_EXCEEDED' } },
    { name: 'its message', value: 'BudgetExceededError: Refused.' },
    { name: 'another error', value: new Error('no') },
    { name: 'a wrapper of one', value: new Error('no', { cause: new LeashError('OWN', 'Off.') }) },
    { name: 'an inherited brand', value: Object.create(new LeashError('OWN', 'Off.')) },
    { name: 'the class', value: LeashError },
    { name: 'a revoked proxy', value: revoked.proxy },
    { name: 'a proxy that throws', value: hostile },
  ])('says no to $name', ({ value }) => {
    expect(isLeashError(value)).toBe(false);
  });

  it('knows the errors of another copy of the package, where instanceof does not', async () => {
    vi.resetModules();
    const copy = await import('../src/errors.ts');
    const foreign = new copy.RateLimitedError(init);
    expect(foreign).not.toBeInstanceOf(LeashError);
    expect(isLeashError(foreign)).toBe(true);
    expect(copy.isLeashError(new RateLimitedError(init))).toBe(true);
    expect(findLeashError(new Error('wrapped', { cause: foreign }))).toBe(foreign);
  });

  it('narrows what was caught', () => {
    const caught: unknown = new LeashError('OWN', 'Off.');
    expect(isLeashError(caught) && caught.code).toBe('OWN');
    if (isLeashError(caught)) expectTypeOf(caught).toEqualTypeOf<LeashError>();
  });
});

describe('findLeashError', () => {
  const found = new LeashError('OWN', 'Off.');
  const other = new LeashError('OTHER', 'Off.');
  /** A wrapper whose other ways in all throw. */
  const throwing = (...keys: readonly string[]) => {
    const wrapper = {};
    for (const key of keys) {
      Object.defineProperty(wrapper, key, {
        get: () => {
          throw new Error('getter');
        },
      });
    }
    return wrapper;
  };
  const nested = (depth: number): unknown => (depth === 0 ? found : new Error('wrapped', { cause: nested(depth - 1) }));

  it.each([
    { name: 'the error itself', value: found },
    { name: 'cause', value: new Error('wrapped', { cause: found }) },
    { name: 'error', value: { error: found } },
    { name: 'originalError', value: { originalError: found } },
    { name: 'reason', value: { status: 'rejected', reason: found } },
    { name: 'data', value: Object.assign(new Error('wrapped'), { code: -32_000, data: found }) },
    { name: 'errors[]', value: { errors: ['text', null, found] } },
    { name: 'an AggregateError', value: new AggregateError([new Error('a'), found]) },
    { name: 'a wrapper of a wrapper', value: { error: new Error('wrapped', { cause: { originalError: found } }) } },
    { name: 'a wrapper without a prototype', value: Object.assign(Object.create(null), { cause: found }) },
    { name: 'a hundred wrappers', value: nested(100) },
    { name: 'a later key when an earlier getter throws', value: Object.assign(throwing('cause'), { error: found }) },
    {
      name: 'errors[] when all else throws',
      value: Object.assign(throwing('cause', 'error', 'reason'), { errors: [found] }),
    },
    { name: 'an item beside a revoked proxy', value: new AggregateError([revoked.proxy, hostile, found]) },
    { name: 'an array where one error was expected', value: { cause: [new Error('a'), found] } },
    {
      name: 'a getter that makes a new wrapper each time',
      value: {
        get cause(): unknown {
          return { cause: found };
        },
      },
    },
  ])('looks through $name', ({ value }) => {
    expect(findLeashError(value)).toBe(found);
  });

  it.each([
    { name: 'undefined', value: undefined },
    { name: 'null', value: null },
    { name: 'a string', value: 'LeashError: Off.' },
    { name: 'an error without one', value: new Error('no', { cause: new Error('no') }) },
    { name: 'a code alone', value: { cause: { code: 'BUDGET_EXCEEDED' } } },
    { name: 'a key that wraps nothing', value: { inner: found, message: found } },
    { name: 'a revoked proxy', value: revoked.proxy },
    { name: 'a proxy that throws', value: { cause: hostile } },
    { name: 'errors that is no array', value: { errors: { length: 1, 0: found } } },
    { name: 'getters that throw', value: throwing('cause', 'error', 'originalError', 'reason', 'errors') },
  ])('finds nothing in $name', ({ value }) => {
    expect(findLeashError(value)).toBeUndefined();
  });

  it('returns the nearest of several', () => {
    const outer = new LeashError('OUTER', 'Off.', { cause: other });
    expect(findLeashError(new Error('wrapped', { cause: outer }))).toBe(outer);
    expect(findLeashError({ cause: { cause: other }, errors: [found] })).toBe(found);
    expect(findLeashError({ cause: found, error: other })).toBe(found);
  });

  it('ends on a cycle, and looks beside it', () => {
    const a: { error?: unknown; cause?: unknown } = {};
    const b: { reason?: unknown; cause: unknown } = { cause: a };
    a.error = b;
    a.cause = a;
    expect(findLeashError(a)).toBeUndefined();
    b.reason = found;
    expect(findLeashError(a)).toBe(found);
  });

  it('ends on a chain without end', () => {
    let made = 0;
    const endless = (): object => ({
      get cause(): unknown {
        made += 1;
        return endless();
      },
    });
    expect(findLeashError(endless())).toBeUndefined();
    expect(made).toBeLessThan(1_000);
  });

  it('ends on errors beyond number', () => {
    expect(findLeashError({ errors: new Array(2 ** 32 - 1) })).toBeUndefined();
  });
});
