import { describe, expect, it } from 'vitest';
import { callCap } from '../../src/guards/call-cap.ts';
import { createLeash } from '../../src/leash.ts';
import { type LeashMatchers, leashMatchers, type RecordingSink, recordingSink } from '../../src/testing/index.ts';

declare module 'vitest' {
  interface Matchers<R extends void | Promise<void>, T> extends LeashMatchers {}
}

expect.extend(leashMatchers);

async function session(): Promise<{ readonly audit: RecordingSink; readonly denied: () => Promise<string> }> {
  const audit = recordingSink();
  const leash = createLeash({ guards: [callCap(1)], audit, stopOn: 'none' });
  const search = leash.wrap('search', async () => 'found');
  await search();
  return { audit, denied: search };
}

/** What an assertion that fails says, and what it compares. */
async function failed(assertion: () => unknown): Promise<Record<string, unknown>> {
  try {
    await assertion();
  } catch (error) {
    const { message, actual, expected } = error as Record<string, unknown>;
    return { message, actual, expected };
  }
  return expect.unreachable('it did not fail');
}

describe('leashMatchers', () => {
  it('tells what is refused: toBeDenied', async () => {
    const { denied } = await session();
    await expect(denied()).toBeDenied('CALL_CAP_REACHED');
    await expect(denied).toBeDenied('CALL_CAP_REACHED', { tool: 'search', guard: 'call-cap', reason: 'exhausted' });
    await expect(denied()).rejects.toBeDenied('CALL_CAP_REACHED');
    await expect(denied()).not.toBeDenied('BUDGET_EXCEEDED');
    await expect(Promise.resolve(1)).not.toBeDenied('CALL_CAP_REACHED');
    await expect(Promise.reject(new Error('no'))).not.toBeDenied('CALL_CAP_REACHED');
  });

  it('is synchronous on an error', async () => {
    const { denied } = await session();
    const error = await denied().catch((error: Error) => error);
    expect(leashMatchers.toBeDenied(error, 'CALL_CAP_REACHED')).toMatchObject({ pass: true });
    expect(leashMatchers.toBeDenied(new Error('no'), 'CALL_CAP_REACHED')).toMatchObject({ pass: false });
    expect(leashMatchers.toBeDenied({ cause: error }, 'CALL_CAP_REACHED')).toMatchObject({ pass: true });
  });

  it('says what was otherwise: toBeDenied', async () => {
    const { denied } = await session();
    expect(await failed(() => expect(denied()).toBeDenied('BUDGET_EXCEEDED', { tool: 'pay' }))).toEqual({
      message: expect.stringMatching(
        /^expected BUDGET_EXCEEDED of tool "pay", but it was CALL_CAP_REACHED of tool "search" by guard "call-cap"/,
      ),
      actual: { code: 'CALL_CAP_REACHED', tool: 'search' },
      expected: { code: 'BUDGET_EXCEEDED', tool: 'pay' },
    });
    expect(await failed(() => expect(Promise.resolve('x')).toBeDenied('BUDGET_EXCEEDED'))).toMatchObject({
      message: "expected BUDGET_EXCEEDED, but the call ran and gave 'x'",
    });
    expect(await failed(() => expect(denied()).not.toBeDenied('CALL_CAP_REACHED'))).toMatchObject({
      message: expect.stringMatching(/^expected another outcome than CALL_CAP_REACHED: Tool "search" was refused/),
    });
  });

  it('tells what the log has: toHaveDenied, toHaveRan', async () => {
    const { audit, denied } = await session();
    expect(audit).not.toHaveDenied('CALL_CAP_REACHED');
    await expect(denied()).toBeDenied('CALL_CAP_REACHED');
    expect(audit).toHaveDenied('CALL_CAP_REACHED', { tool: 'search', times: 1 });
    expect(audit).not.toHaveDenied('CALL_CAP_REACHED', { tool: 'mail' });
    expect(audit).toHaveRan('search', 1);
    expect(audit).not.toHaveRan('search', 2);
  });

  it('says what was otherwise: toHaveDenied, toHaveRan', async () => {
    const { audit, denied } = await session();
    await denied().catch(() => {});
    expect(await failed(() => expect(audit).toHaveDenied('BUDGET_EXCEEDED'))).toEqual({
      message: `expected BUDGET_EXCEEDED, got none.\nThe log:\n${audit}`,
      actual: [{ code: 'CALL_CAP_REACHED', tool: 'search', guard: 'call-cap', reason: 'exhausted' }],
      expected: [{ code: 'BUDGET_EXCEEDED' }],
    });
    expect(await failed(() => expect(audit).toHaveRan('search', 2))).toMatchObject({ actual: 1, expected: 2 });
    expect(await failed(() => expect(audit).not.toHaveRan('search', 1))).toMatchObject({
      message: `expected otherwise.\nThe log:\n${audit}`,
    });
    expect(await failed(() => expect(audit).not.toHaveDenied('CALL_CAP_REACHED'))).toMatchObject({
      message: `expected otherwise.\nThe log:\n${audit}`,
    });
  });

  it.each([
    { name: 'no call', assertion: () => expect(5).toBeDenied('X') },
    { name: 'no call that is negated', assertion: () => expect(5).not.toBeDenied('X') },
    { name: 'an unknown key', assertion: () => expect(Promise.reject(1)).not.toBeDenied('X', { tols: 1 } as never) },
    {
      name: 'an unknown key of a sink',
      assertion: () => expect(recordingSink()).not.toHaveDenied('X', { a: 1 } as never),
    },
    { name: 'no times', assertion: () => expect(recordingSink()).not.toHaveRan('a', undefined as never) },
    { name: 'no sink', assertion: () => expect({}).not.toHaveRan('a', 1) },
  ])('does not make a test of $name', async ({ assertion }) => {
    await expect((async () => assertion())()).rejects.toThrow(TypeError);
  });
});
