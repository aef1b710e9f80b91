import { AssertionError } from 'node:assert';
import { describe, expect, it } from 'vitest';
import { verifyLog } from '../../src/audit/verify.ts';
import { budget } from '../../src/guards/budget.ts';
import { callCap } from '../../src/guards/call-cap.ts';
import { egress } from '../../src/guards/egress.ts';
import { createLeash } from '../../src/leash.ts';
import type { LeashOptions } from '../../src/leash-options.ts';
import { type RecordingSink, recordingSink } from '../../src/testing/index.ts';
import { sinkContract } from '../helpers/sink-contract.ts';

sinkContract('recordingSink', () => {
  const sink = recordingSink();
  return { sink, bytes: () => Buffer.from(sink.lines.map((line) => `${line}\n`).join('')) };
});

/** Three calls of one tool, the last refused, and one of each other refusal. */
async function session(more: Partial<LeashOptions> = {}): Promise<RecordingSink> {
  const audit = recordingSink();
  const guards = [callCap({ max: 2, tools: ['search'] }), budget({ usd: 1 }), egress({ allow: ['a.test'] })];
  const leash = createLeash({ guards, audit, stopOn: 'none', ...more });
  const search = leash.wrap('search', (q: string) => q, { cost: '$0.1' });
  const mail = leash.wrap('mail', (cents: number) => cents, { cost: (cents) => ({ usd: cents / 100 }) });
  const get = leash.wrap('get', (url: string) => url, { cost: 'free', url: (url) => url });
  await Promise.allSettled([search('a'), search('b'), search('c'), mail(200), get('https://b.test/secret')]);
  await leash.close();
  return audit;
}

/** What an expectation that fails says. */
function failed(expectation: () => unknown): AssertionError {
  try {
    expectation();
  } catch (error) {
    expect(error).toBeInstanceOf(AssertionError);
    return error as AssertionError;
  }
  return expect.unreachable('it did not fail');
}

const TABLE = `\
   0 session_open
   1 tool_start     search
   2 tool_ok        search
   3 tool_start     search
   4 tool_ok        search
   5 tool_denied    search CALL_CAP_REACHED by guard "call-cap" (exhausted)
   6 budget_denied  mail BUDGET_EXCEEDED by guard "budget" (exceeds_cap)
   7 egress_denied  get EGRESS_DENIED (host-not-allowed)
   8 session_close
   9 checkpoint`;

describe('recordingSink', () => {
  it('keeps the log as it is', async () => {
    expect(await verifyLog(await session())).toMatchObject({ ok: true, state: 'closed', events: 10 });
  });

  it('reads the events', async () => {
    const audit = await session();
    expect(audit.events.map((event) => [event.seq, event.kind])).toEqual(
      audit.lines.map((line, i) => [i, JSON.parse(line).kind]),
    );
    expect(audit.events[1]).toMatchObject({ tool: 'search', usd: '0.1', call: expect.any(String) });
  });

  it('tells kinds, refusals and how many calls ran', async () => {
    const audit = await session();
    expect(audit.kinds).not.toContain('checkpoint');
    expect(audit.denials.map(({ tool, code }) => `${tool} ${code}`)).toEqual([
      'search CALL_CAP_REACHED',
      'mail BUDGET_EXCEEDED',
      'get EGRESS_DENIED',
    ]);
    expect([audit.ran(), audit.ran('search'), audit.ran('mail')]).toEqual([2, 2, 0]);
  });

  it('shows the log as a table', async () => {
    expect(String(await session())).toBe(TABLE);
    expect(String(recordingSink())).toBe('  (empty)');
  });

  it('shows what was only observed', async () => {
    const audit = await session({ mode: 'observe' });
    expect(String(audit)).toContain('search observed: CALL_CAP_REACHED by guard "call-cap" (exhausted)\n');
    expect(audit.ran('search')).toBe(3);
    expect(audit.expectDenied('CALL_CAP_REACHED')).toMatchObject([{ observed: 1 }]);
  });

  it('has the events of several leashes', async () => {
    const audit = recordingSink();
    const leash = createLeash({ guards: [callCap(1)], audit });
    const child = leash.child({ guards: [callCap(0)] });
    await expect(child.run({ tool: 'a' }, () => 1)).rejects.toThrow();
    await leash.run({ tool: 'b' }, () => 1);
    expect(audit.kinds).toEqual(['session_open', 'session_open', 'tool_denied', 'tool_start', 'tool_ok']);
    expect(new Set(audit.events.map(({ log }) => log)).size).toBe(2);
  });

  describe('expectKinds', () => {
    it('holds for these kinds in this order', async () => {
      const audit = await session();
      audit.expectKinds(audit.kinds);
      recordingSink().expectKinds([]);
    });

    it.each([
      { name: 'another kind', change: (kinds: string[]) => kinds.with(1, 'tool_ok') },
      { name: 'one fewer', change: (kinds: string[]) => kinds.slice(1) },
      { name: 'one more', change: (kinds: string[]) => [...kinds, 'charge'] },
      { name: 'another order', change: (kinds: string[]) => kinds.toReversed() },
    ])('fails for $name', async ({ change }) => {
      const audit = await session();
      const expected = change([...audit.kinds]);
      const error = failed(() => audit.expectKinds(expected));
      expect(error.message).toBe(`expected the events ${expected.join(' ')}.\nThe log:\n${TABLE}`);
      expect(error).toMatchObject({ actual: audit.kinds, expected });
    });
  });

  describe('expectRan', () => {
    it('holds for the number of calls that ran', async () => {
      const audit = await session();
      audit.expectRan('search', 2);
      audit.expectRan('mail', 0);
      audit.expectRan('nothing', 0);
    });

    it.each([
      { tool: 'search', times: 1, says: 'expected 1 call of tool "search" to run, got 2' },
      { tool: 'search', times: 3, says: 'expected 3 calls of tool "search" to run, got 2' },
      { tool: 'mail', times: 1, says: 'expected 1 call of tool "mail" to run, got 0' },
      { tool: 'search', times: 0, says: 'expected 0 calls of tool "search" to run, got 2' },
    ])('fails: $says', async ({ tool, times, says }) => {
      const audit = await session();
      const error = failed(() => audit.expectRan(tool, times));
      expect(error.message).toBe(`${says}.\nThe log:\n${TABLE}`);
      expect(error).toMatchObject({ actual: audit.ran(tool), expected: times });
    });
  });

  describe('expectDenied', () => {
    it.each([
      { code: 'CALL_CAP_REACHED', expected: undefined },
      { code: 'CALL_CAP_REACHED', expected: { tool: 'search', guard: 'call-cap', reason: 'exhausted', times: 1 } },
      { code: 'BUDGET_EXCEEDED', expected: { reason: 'exceeds_cap' } },
      { code: 'EGRESS_DENIED', expected: { tool: 'get', times: 1 } },
      { code: 'RATE_LIMITED', expected: { times: 0 } },
      { code: 'BUDGET_EXCEEDED', expected: { tool: 'search', times: 0 } },
    ])('holds for $code with $expected', async ({ code, expected }) => {
      const found = (await session()).expectDenied(code, expected);
      expect(found).toHaveLength(expected?.times ?? 1);
      for (const event of found) expect(event.code).toBe(code);
    });

    it.each([
      { code: 'RATE_LIMITED', expected: {}, says: 'expected RATE_LIMITED, got none' },
      {
        code: 'CALL_CAP_REACHED',
        expected: { tool: 'mail' },
        says: 'expected CALL_CAP_REACHED of tool "mail", got none',
      },
      {
        code: 'CALL_CAP_REACHED',
        expected: { guard: 'budget', reason: 'exhausted' },
        says: 'expected CALL_CAP_REACHED by guard "budget" (exhausted), got none',
      },
      {
        code: 'BUDGET_EXCEEDED',
        expected: { times: 2 },
        says: 'expected BUDGET_EXCEEDED 2 times, got 1',
      },
      {
        code: 'BUDGET_EXCEEDED',
        expected: { times: 0 },
        says: 'expected BUDGET_EXCEEDED 0 times, got 1',
      },
    ])('fails: $says', async ({ code, expected, says }) => {
      const audit = await session();
      const error = failed(() => audit.expectDenied(code, expected));
      expect(error.message).toBe(`${says}.\nThe log:\n${TABLE}`);
      expect(error.actual).toMatchObject([{ tool: 'search', code: 'CALL_CAP_REACHED' }, {}, {}]);
    });
  });

  describe('expectNothingDenied', () => {
    it('holds where nothing was', async () => {
      const audit = recordingSink();
      audit.expectNothingDenied();
      await createLeash({ guards: [callCap(1)], audit }).run({ tool: 'a' }, () => 1);
      audit.expectNothingDenied();
    });

    it('fails where something was, or would have been', async () => {
      for (const mode of ['enforce', 'observe'] as const) {
        const audit = await session({ mode });
        const error = failed(() => audit.expectNothingDenied());
        expect(error.message).toBe(`expected no refusal.\nThe log:\n${audit}`);
        expect(error).toMatchObject({ expected: [], actual: [{ tool: 'search' }, { tool: 'mail' }, { tool: 'get' }] });
      }
    });
  });

  it.each([
    { name: 'kinds that are no array', make: (sink: RecordingSink) => sink.expectKinds('tool_ok' as never) },
    { name: 'a tool that is no name', make: (sink: RecordingSink) => sink.expectRan(undefined as never, 0) },
    { name: 'times that are no number', make: (sink: RecordingSink) => sink.expectRan('a', undefined as never) },
    { name: 'no code', make: (sink: RecordingSink) => sink.expectDenied(undefined as never) },
    { name: 'an unknown key', make: (sink: RecordingSink) => sink.expectDenied('X', { tols: 'a' } as never) },
    { name: 'times as text', make: (sink: RecordingSink) => sink.expectDenied('X', { times: '0' as never }) },
  ])('does not make a test of $name', ({ make }) => {
    expect(() => make(recordingSink())).toThrow(TypeError);
  });
});
