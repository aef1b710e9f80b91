import { AssertionError } from 'node:assert';
import { describe, expect, it } from 'vitest';
import { budget } from '../../src/guards/budget.ts';
import { callCap } from '../../src/guards/call-cap.ts';
import { createLeash } from '../../src/leash.ts';
import { expectDenied, type Refusable } from '../../src/testing/index.ts';

/** A leash that refuses every call of `pay`, and lets `look` run. */
const leash = () => createLeash({ guards: [callCap({ max: 0, tools: ['pay'] })], stopOn: 'none' });
const denied = (): Promise<number> => leash().run({ tool: 'pay' }, () => 1);
const REFUSAL = 'Tool "pay" was refused: the cap of 0 calls is reached. Do not retry.';
const DENIAL = `CALL_CAP_REACHED of tool "pay" by guard "call-cap" (exceeds_cap): ${REFUSAL}`;

async function failed(work: Promise<unknown>): Promise<AssertionError> {
  const error = await work.then(
    () => expect.unreachable('it did not fail'),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(AssertionError);
  return error as AssertionError;
}

describe('expectDenied', () => {
  it.each([
    { name: 'a promise', call: () => denied() },
    { name: 'a function that makes a promise', call: () => denied },
    { name: 'a function that throws at once', call: () => () => leash().enter({ tool: 'pay' }) },
    {
      name: 'a stream',
      call: () =>
        leash().wrap('pay', async function* () {
          yield 1;
        })(),
    },
    {
      name: 'a stream that is refused in its midst',
      call: () =>
        (async function* () {
          yield 1;
          await denied();
        })(),
    },
    {
      name: 'a function that makes a stream',
      call: () =>
        leash().wrap('pay', async function* () {
          yield 1;
        }),
    },
    {
      name: 'what a framework wrapped around it',
      call: () =>
        denied().catch((error) => {
          throw new Error('tool failed', { cause: { errors: [error] } });
        }),
    },
  ] satisfies { name: string; call: () => Refusable }[])('resolves to the refusal of $name', async ({ call }) => {
    const error = await expectDenied(call(), 'CALL_CAP_REACHED');
    expect(error).toMatchObject({ name: 'CallCapExceededError', code: 'CALL_CAP_REACHED', tool: 'pay', cap: 0 });
  });

  it.each([
    {},
    { tool: 'pay' },
    { guard: 'call-cap' },
    { reason: 'exceeds_cap' },
    { tool: 'pay', guard: 'call-cap', reason: 'exceeds_cap' },
    { tool: undefined } as never,
  ])('holds for %j', async (expected) => {
    await expectDenied(denied(), 'CALL_CAP_REACHED', expected);
  });

  it.each([
    { code: 'BUDGET_EXCEEDED', expected: {}, wanted: 'BUDGET_EXCEEDED' },
    { code: 'CALL_CAP_REACHED', expected: { tool: 'look' }, wanted: 'CALL_CAP_REACHED of tool "look"' },
    { code: 'CALL_CAP_REACHED', expected: { guard: 'budget' }, wanted: 'CALL_CAP_REACHED by guard "budget"' },
    { code: 'CALL_CAP_REACHED', expected: { reason: 'in_flight' }, wanted: 'CALL_CAP_REACHED (in_flight)' },
    { code: 'call_cap_reached', expected: {}, wanted: 'call_cap_reached' },
  ])('fails where it is no $wanted', async ({ code, expected, wanted }) => {
    const error = await failed(expectDenied(denied(), code, expected));
    expect(error.message).toBe(`expected ${wanted}, but it was ${DENIAL}`);
    expect(error.expected).toEqual({ code, ...expected });
    expect(error.actual).toEqual({
      code: 'CALL_CAP_REACHED',
      ...('tool' in expected ? { tool: 'pay' } : {}),
      ...('guard' in expected ? { guard: 'call-cap' } : {}),
      ...('reason' in expected ? { reason: 'exceeds_cap' } : {}),
    });
    expect(error.cause).toMatchObject({ code: 'CALL_CAP_REACHED' });
  });

  it.each([
    { name: 'a value', call: () => Promise.resolve('paid'), gave: "'paid'" },
    { name: 'nothing', call: async () => {}, gave: 'undefined' },
    {
      name: 'an object',
      call: () => ({ id: 5, deep: { er: { still: 1 } } }),
      gave: '{ id: 5, deep: { er: [Object] } }',
    },
    { name: 'much', call: () => 'x'.repeat(500), gave: `'${'x'.repeat(199)}…` },
    {
      name: 'a stream',
      call: leash().wrap('look', async function* () {
        yield 1;
      })(),
      gave: '',
    },
  ])('fails where the call ran and gave $name', async ({ call, gave }) => {
    const error = await failed(expectDenied(call, 'BUDGET_EXCEEDED', { tool: 'pay' }));
    expect(error.message).toContain(`expected BUDGET_EXCEEDED of tool "pay", but the call ran and gave ${gave}`);
    expect(error).toMatchObject({ actual: undefined, expected: { code: 'BUDGET_EXCEEDED', tool: 'pay' } });
  });

  it.each([
    { name: 'an error', thrown: new TypeError('no card'), says: 'TypeError: no card' },
    {
      name: 'an error that says the same',
      thrown: Object.assign(new Error('x'), { code: 'BUDGET_EXCEEDED' }),
      says: 'Error: x',
    },
    { name: 'text', thrown: 'no', says: "'no'" },
    { name: 'nothing', thrown: undefined, says: 'undefined' },
  ])('fails where the call failed with $name', async ({ thrown, says }) => {
    const error = await failed(expectDenied(Promise.reject(thrown), 'BUDGET_EXCEEDED'));
    expect(error.message).toBe(
      `expected BUDGET_EXCEEDED, but the call failed with something that is no refusal: ${says}`,
    );
    expect(error.cause).toBe(thrown);
  });

  it('tells an error without a tool from one with it', async () => {
    const audit = {
      name: 'full',
      write: () => {
        throw new Error('disk full');
      },
    };
    const open = () => createLeash({ guards: [], audit });
    await expectDenied(open, 'AUDIT_UNAVAILABLE');
    const error = await failed(expectDenied(open, 'AUDIT_UNAVAILABLE', { tool: 'pay' }));
    expect(error.actual).toEqual({ code: 'AUDIT_UNAVAILABLE', tool: undefined });
  });

  it('gives the error its type', async () => {
    const paying = createLeash({ guards: [budget({ usd: 1 })] });
    const { remaining, unit } = await expectDenied(
      paying.run({ tool: 'a', cost: '$2' }, () => 1),
      'BUDGET_EXCEEDED',
    );
    expect([remaining, unit]).toEqual(['1', 'usd']);
    paying.stop('enough');
    const ended = await expectDenied(
      paying.run({ tool: 'a', cost: '$2' }, () => 1),
      'SESSION_STOPPED',
    );
    expect(ended.name).toBe('SessionEndedError');
  });

  it.each([
    { name: 'no call', call: undefined, code: 'X', expected: {} },
    { name: 'the result of a call', call: 5, code: 'X', expected: {} },
    { name: 'no code', call: denied, code: undefined, expected: {} },
    { name: 'an empty code', call: denied, code: '', expected: {} },
    { name: 'an unknown key', call: denied, code: 'CALL_CAP_REACHED', expected: { tol: 'look' } },
    { name: 'the tool in place of the rest', call: denied, code: 'CALL_CAP_REACHED', expected: 'pay' },
    { name: 'null in place of the rest', call: denied, code: 'CALL_CAP_REACHED', expected: null },
  ])('does not make a test of $name', async ({ call, code, expected }) => {
    await expect(expectDenied(call as never, code as never, expected as never)).rejects.toThrow(TypeError);
  });
});
