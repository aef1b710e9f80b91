import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { checkOpening, openCommitment } from '../../src/audit/opening.ts';
import type { Guard } from '../../src/guard.ts';
import { budget } from '../../src/guards/budget.ts';
import { kindsOf, openSession, verified } from '../helpers/signed-session.ts';

const CANARY = 'canary-4f1d';
const KEY = Buffer.alloc(32, 5);
const VARIABLE = 'LEASH_AUDIT_VERBATIM';

afterEach(() => {
  vi.unstubAllEnvs();
});

const picky: Guard = {
  name: 'picky',
  check: ({ args }) =>
    (args as { refuse?: boolean } | null)?.refuse ? { allow: false, code: 'PICKY', reason: 'asked' } : { allow: true },
};

/** A call that ends well, one that fails, and three refusals: by a guard, by a budget, by arguments that are no JSON. */
const session = async (): Promise<ReturnType<typeof openSession>> => {
  const opened = openSession({ key: KEY }, [picky, budget({ usd: 1 })]);
  const { leash } = opened;
  const run = (args: unknown, cost: '$0.1' | '$5' = '$0.1'): Promise<unknown> =>
    leash.run({ tool: 'tool', args, cost }, (given) => {
      if ((given as { fail?: boolean }).fail) throw new Error(CANARY);
      return CANARY;
    });
  await run({ secret: CANARY });
  for (const args of [
    { fail: true, secret: CANARY },
    { refuse: true, secret: CANARY },
  ])
    await run(args).catch(() => {});
  await run({ secret: CANARY, dear: true }, '$5').catch(() => {});
  await run({ secret: CANARY, bad: Number.NaN }).catch(() => {});
  await leash.close();
  return opened;
};

describe('LEASH_AUDIT_VERBATIM', () => {
  it.each([undefined, '', '0', 'true', 'yes', '01', '1 '])(
    'leaves arguments out of the log where it is %o',
    async (value) => {
      vi.stubEnv(VARIABLE, value);
      const { sink } = await session();
      expect(sink.lines.join('\n')).not.toContain(CANARY);
      expect(sink.lines.join('\n')).not.toContain('"x":');
      expect(await verified(sink)).toMatchObject({ ok: true, state: 'closed' });
    },
  );

  it('puts the arguments of calls and refusals beside what commits to them, and nothing else', async () => {
    vi.stubEnv(VARIABLE, '1');
    const { sink } = await session();
    expect(await verified(sink, { tofu: true })).toMatchObject({ ok: true, state: 'closed' });
    const events = sink.lines.map((line) => JSON.parse(line));
    expect(kindsOf(sink)).toEqual([
      'session_open',
      'tool_start',
      'tool_ok',
      'tool_start',
      'tool_error',
      'tool_denied',
      'budget_denied',
      'tool_denied',
      'session_close',
      'checkpoint',
    ]);
    const shown = events.map(({ x }) => x);
    expect(shown).toEqual([
      undefined,
      { raw: { secret: CANARY } },
      undefined,
      { raw: { fail: true, secret: CANARY } },
      undefined,
      { raw: { refuse: true, secret: CANARY } },
      { raw: { secret: CANARY, dear: true } },
      undefined,
      undefined,
      undefined,
    ]);
    for (const { log, seq, args, x } of events) {
      if (x === undefined) continue;
      expect(checkOpening(openCommitment({ key: KEY, log, seq, args: x.raw }), args)).toBe(true);
    }
  });

  it('is looked at when a session begins', async () => {
    vi.stubEnv(VARIABLE, '1');
    const { sink, leash } = openSession();
    vi.stubEnv(VARIABLE, undefined);
    await leash.run({ tool: 'tool', args: CANARY }, () => {});
    expect(sink.lines[1]).toContain(CANARY);
    const other = openSession();
    vi.stubEnv(VARIABLE, '1');
    await other.leash.run({ tool: 'tool', args: CANARY }, () => {});
    expect(other.sink.lines[1]).not.toContain(CANARY);
  });

  it('shows an args of null where arguments that are no JSON are only observed', async () => {
    vi.stubEnv(VARIABLE, '1');
    const { sink, leash } = openSession();
    await leash.child({ guards: [], mode: 'observe', audit: { sink } }).close();
    await leash.close();
    expect(await verified(sink)).toMatchObject({ ok: true });
  });

  it.each<{ name: string; args: unknown }>([
    { name: 'keys that look like integers', args: { b: 1, 10: 'x', 2: { 7: 0, a: [] }, '-1': 0, '01': 1 } },
    { name: 'fractions and exponents', args: [0.5, 1e21, 1e-7, 5e-324, 1.7976931348623157e308, -0.1] },
    { name: 'a zero below zero', args: { n: -0 } },
    { name: 'integers past the safe ones', args: [2 ** 53, -(2 ** 60)] },
    { name: 'true, false and null', args: [true, false, null] },
    { name: 'a long text', args: { text: 'x'.repeat(10_000) } },
    { name: 'line ends and quotes', args: { '\n"': '\u0000\u2028\r\n"\\' } },
    { name: 'the ends of a line of the log', args: { '","prev":"': `"},"prev":"${'0'.repeat(64)}"}\n` } },
    { name: 'a key of every object', args: JSON.parse('{"__proto__":{"a":1},"constructor":1,"toString":2}') },
    { name: 'a key twice in what was parsed', args: JSON.parse('{"a":1,"a":2}') },
    { name: 'undefined in an object', args: { a: undefined, b: 1 } },
    { name: 'text', args: 'text' },
    { name: 'nothing in it', args: {} },
  ])('verifies with $name', async ({ args }) => {
    vi.stubEnv(VARIABLE, '1');
    const { sink, leash } = openSession({ key: KEY });
    await leash.run({ tool: 'tool', args }, () => {});
    await leash.close();
    expect(await verified(sink)).toMatchObject({ ok: true, state: 'closed' });
    const { log, seq, args: commitment, x } = JSON.parse(sink.lines[1] as string);
    expect(checkOpening(openCommitment({ key: KEY, log, seq, args: x.raw }), commitment)).toBe(true);
  });

  it('verifies with any JSON', async () => {
    vi.stubEnv(VARIABLE, '1');
    const value = fc.oneof(
      fc.jsonValue({ stringUnit: 'binary', maxDepth: 4 }),
      fc.dictionary(fc.string(), fc.double({ noNaN: true, noDefaultInfinity: true })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(value, { minLength: 1, maxLength: 8 }), async (values) => {
        const { sink, leash } = openSession({ key: KEY });
        for (const args of values) await leash.run({ tool: 'tool', args }, () => {});
        await leash.close();
        expect(await verified(sink)).toMatchObject({ ok: true, state: 'closed' });
        const starts = sink.lines.map((line) => JSON.parse(line)).filter(({ kind }) => kind === 'tool_start');
        for (const { log, seq, args, x } of starts) {
          expect(checkOpening(openCommitment({ key: KEY, log, seq, args: x.raw }), args)).toBe(true);
        }
      }),
      { numRuns: 40 },
    );
  }, 30_000);
});
