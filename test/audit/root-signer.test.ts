import { sign } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { memorySink } from '../../src/audit/memory-sink.ts';
import { checkOpening, openCommitment } from '../../src/audit/opening.ts';
import { currentCall } from '../../src/call.ts';
import { budget } from '../../src/guards/budget.ts';
import { egress } from '../../src/guards/egress.ts';
import { createLeash } from '../../src/leash.ts';
import { ScriptedSink } from '../helpers/scripted-sink.ts';
import { call, kindsOf, openSession, rootKey, verified } from '../helpers/signed-session.ts';

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const unavailable = { code: 'AUDIT_UNAVAILABLE', name: 'AuditUnavailableError' };
const LOG_KEY = Buffer.alloc(32, 9);

/** A root key that is held elsewhere and answers when it is told to. */
class SlowSigner {
  readonly root = rootKey();
  readonly #waiting: (() => void)[] = [];

  readonly sign = (bytes: Uint8Array): Promise<Uint8Array> =>
    new Promise((resolve) => {
      this.#waiting.push(() => resolve(sign(null, bytes, this.root.key)));
    });

  async answer(): Promise<void> {
    for (const go of this.#waiting.splice(0)) go();
    await tick();
  }
}

describe('a root signer that answers later', () => {
  const open = (guards = [budget({ usd: 1 })]) => {
    const signer = new SlowSigner();
    return { signer, ...openSession({ signer: signer.sign, key: LOG_KEY }, guards) };
  };

  it('decides on what it was asked, whatever the caller makes of it meanwhile', async () => {
    const { signer, leash } = open();
    const money = { usd: 0.25 };
    const args = { n: 1 };
    const run = leash.run({ tool: 'tool', args, cost: money }, ({ n }) => n);
    const held = leash.hold(money);
    const charged = leash.charge(money);
    money.usd = 9;
    args.n = 2;
    await signer.answer();
    expect(await run).toBe(1);
    await charged;
    expect((await leash.usage()).limits[0]).toMatchObject({ held: '0.25', spent: '0.5' });
    await (await held).release();
  });

  it('keeps every decision waiting, and nothing stands in the log before', async () => {
    const { signer, leash, sink } = open([budget({ usd: 1 }), egress({ allow: ['https://allowed.test'] })]);
    const tool = vi.fn(() => 'done');
    const decisions = {
      run: leash.run({ tool: 'tool', cost: '$0.25' }, tool),
      wrap: leash.wrap('wrapped', tool, { cost: '$0.25' })(),
      enter: leash.enter({ tool: 'entered', cost: '$0.25' }),
      hold: leash.hold('$0.05'),
      charge: leash.charge('$0.05'),
      denied: leash.run({ tool: 'dear', cost: '$5' }, tool).catch(({ code }) => code),
      fetch: leash.fetch('https://elsewhere.test/').catch(({ code }) => code),
    };
    let decided = 0;
    for (const decision of Object.values(decisions)) {
      const count = (): void => {
        decided++;
      };
      Promise.resolve(decision).then(count, count);
    }
    await tick();
    expect([decided, tool.mock.calls.length, sink.lines.length]).toEqual([0, 0, 0]);
    expect((await leash.usage()).limits[0]).toMatchObject({ held: '0', spent: '0' });
    await signer.answer();
    expect(await decisions.run).toBe('done');
    expect(await decisions.wrap).toBe('done');
    expect(await decisions.denied).toBe('BUDGET_EXCEEDED');
    expect(await decisions.fetch).toBe('EGRESS_DENIED');
    await (await decisions.enter).release();
    await (await decisions.hold).release();
    await decisions.charge;
    await leash.close();
    expect(await verified(sink, { trust: [signer.root.base64] })).toMatchObject({
      ok: true,
      state: 'closed',
      logs: [{ trusted: true }],
    });
    expect(await verified(sink, { trust: [rootKey().base64] })).toMatchObject({ ok: false, code: 'E_CERT' });
  });

  it('does not let arguments change meanwhile', async () => {
    const { signer, leash, sink } = open();
    const args = { to: 'alice', cents: [1] };
    const seen: unknown[] = [];
    const running = leash.run({ tool: 'pay', args, cost: 'free' }, (given) => seen.push(given));
    args.to = 'mallory';
    args.cents.push(2);
    await signer.answer();
    await running;
    expect(seen).toEqual([{ to: 'alice', cents: [1] }]);
    const { log, seq, args: commitment } = JSON.parse(sink.lines[1] as string);
    const { salt } = openCommitment({ key: LOG_KEY, log, seq, args: { to: 'alice', cents: [1] } });
    expect(checkOpening({ salt, args: { to: 'alice', cents: [1] } }, commitment)).toBe(true);
    expect(checkOpening({ salt, args }, commitment)).toBe(false);
  });

  it('keeps the order of calls', async () => {
    const { signer, leash, sink } = open();
    const order: number[] = [];
    const calls = [0, 1, 2, 3].map((i) => leash.run({ tool: `tool ${i}`, cost: 'free' }, () => order.push(i)));
    await signer.answer();
    await Promise.all(calls);
    expect(order).toEqual([0, 1, 2, 3]);
    const starts = sink.lines.map((line) => JSON.parse(line)).filter(({ kind }) => kind === 'tool_start');
    expect(starts.map(({ tool }) => tool)).toEqual(order.map((i) => `tool ${i}`));
  });

  it('is waited for by a child, whose own answer may come first', async () => {
    const parent = new SlowSigner();
    const own = new SlowSigner();
    const { leash, sink } = openSession({ signer: parent.sign });
    const child = leash.child({ guards: [], audit: { sink, signer: own.sign } });
    const plain = leash.child({ guards: [], audit: { sink, signer: parent.root.key } });
    const tool = vi.fn();
    const calls = [child, plain].map((of) => of.run({ tool: 'tool' }, tool));
    await own.answer();
    expect([tool.mock.calls.length, sink.lines.length]).toEqual([0, 0]);
    await parent.answer();
    await Promise.all(calls);
    expect(tool).toHaveBeenCalledTimes(2);
    await leash.close();
    const trust = [parent.root.base64, own.root.base64];
    expect(await verified(sink, { trust })).toMatchObject({
      ok: true,
      state: 'closed',
      logs: { length: 3 },
      absent: [],
    });
    const parents = sink.lines.map((line) => JSON.parse(line)).filter(({ kind }) => kind === 'session_open');
    expect(parents.slice(1).map(({ parent: of }) => of.log)).toEqual(Array(2).fill(parents[0].log));
  });

  it('lets a session be stopped before it has begun: the calls that wait are refused', async () => {
    const { signer, leash, sink } = open();
    const tool = vi.fn();
    const early = leash.run({ tool: 'early', cost: 'free' }, tool);
    leash.stop('by hand');
    const late = leash.run({ tool: 'late', cost: 'free' }, tool);
    const refusals = [early, late].map((refused) => expect(refused).rejects.toMatchObject({ code: 'SESSION_STOPPED' }));
    expect(leash.signal.aborted).toBe(true);
    await signer.answer();
    await Promise.all(refusals);
    expect(tool).not.toHaveBeenCalled();
    await leash.close();
    expect(kindsOf(sink).toSorted()).toEqual(
      ['session_open', 'kill_switch', 'tool_denied', 'tool_denied', 'session_close', 'checkpoint'].toSorted(),
    );
    expect(await verified(sink, { trust: [signer.root.base64] })).toMatchObject({ ok: true, state: 'closed' });
  });

  it('lets a session be closed before it has begun, and what waited is counted', async () => {
    const { signer, leash, sink } = open();
    const tool = vi.fn();
    const refused = expect(leash.run({ tool: 'early', cost: 'free' }, tool)).rejects.toMatchObject({
      code: 'SESSION_CLOSED',
    });
    const closing = leash.close();
    await signer.answer();
    await refused;
    expect(await closing).toMatchObject({ calls: 0, denied: 1 });
    expect(tool).not.toHaveBeenCalled();
    expect(kindsOf(sink)).toEqual(['session_open', 'tool_denied', 'session_close', 'checkpoint']);
    expect(JSON.parse(sink.lines[2] as string)).toMatchObject({ calls: 0, denied: 1 });
    expect(await verified(sink)).toMatchObject({ ok: true, state: 'closed' });
  });

  it('has what a call proves of itself only once the log has it', async () => {
    const { signer, leash } = open();
    const proof = leash.run({ tool: 'tool', cost: 'free' }, () => currentCall()?.proof({ audience: 'shop' }));
    await signer.answer();
    expect(await proof).toMatch(/^v4\.public\./);
  });
});

describe('a root signer that gives no certificate', () => {
  const secret = 'a secret of the KMS';
  it.each<{ name: string; signer: () => Promise<Uint8Array> }>([
    { name: 'rejects', signer: () => Promise.reject(new Error(secret)) },
    { name: 'rejects with no error', signer: () => Promise.reject(secret) },
    { name: 'gives 63 bytes', signer: async () => new Uint8Array(63) },
    { name: 'gives 65 bytes', signer: async () => new Uint8Array(65) },
    { name: 'gives text', signer: async () => 'x'.repeat(64) as never },
    { name: 'gives nothing', signer: async () => undefined as never },
  ])('lets nothing run: it $name', async ({ signer }) => {
    const sink = new ScriptedSink();
    const leash = createLeash({ guards: [budget({ usd: 1 })], audit: { sink, signer } });
    const child = leash.child({ guards: [] });
    const tool = vi.fn();
    const decisions = (): unknown[] => [
      leash.run({ tool: 'tool', cost: '$0.1' }, tool),
      leash.wrap('wrapped', tool, { cost: '$0.1' })(),
      leash.enter({ tool: 'entered', cost: '$0.1' }),
      leash.hold('$0.1'),
      leash.charge('$0.1'),
      child.run({ tool: 'tool', cost: '$0.1' }, tool),
    ];
    // Those that wait for the answer, and those that come after it.
    const results = [...(await Promise.allSettled(decisions())), ...(await Promise.allSettled(decisions()))];
    for (const result of results) {
      const error = result.status === 'rejected' ? result.reason : expect.fail('it was let through');
      expect(error).toMatchObject(unavailable);
      expect(JSON.stringify([error.message, error])).not.toContain(secret);
    }
    leash.stop('by hand');
    expect(tool).not.toHaveBeenCalled();
    // What was charged has been spent.
    expect((await leash.usage()).limits[0]).toMatchObject({ held: '0', spent: '0.2' });
    await expect(leash.close()).rejects.toMatchObject(unavailable);
    expect([sink.offered.length, sink.closed]).toEqual([0, 1]);
  });

  it.each([
    { name: 'throws', signer: () => expect.fail(secret) },
    { name: 'gives 63 bytes', signer: () => new Uint8Array(63) },
  ])('opens no session where it answers at once: it $name', ({ signer }) => {
    const sink = new ScriptedSink();
    const make = (): unknown => createLeash({ guards: [], audit: { sink, signer: signer as never } });
    expect(make).toThrow(expect.objectContaining({ ...unavailable, message: expect.not.stringContaining(secret) }));
    expect([sink.offered.length, sink.closed]).toEqual([0, 1]);
  });

  it('because it never answers stops every call, and the close, also where calls may go on without a log', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      for (const onError of ['deny', 'allow'] as const) {
        const { leash, sink } = openSession({ signer: () => new Promise(() => {}), timeoutMs: 250, onError });
        const tool = vi.fn();
        const refused = expect(leash.run({ tool: 'tool' }, tool)).rejects.toMatchObject({
          ...unavailable,
          message: expect.stringContaining('(ETIMEDOUT)'),
        });
        await vi.advanceTimersByTimeAsync(250);
        await refused;
        await expect(leash.close()).rejects.toMatchObject(unavailable);
        expect([tool.mock.calls.length, sink.lines.length]).toEqual([0, 0]);
      }
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  it('which signs something else is found by the verifier', async () => {
    const root = rootKey();
    const signer = async (): Promise<Uint8Array> => sign(null, Buffer.from('another text'), root.key);
    const sink = memorySink();
    const { leash } = openSession({ sink, signer });
    await call(leash);
    await leash.close();
    expect(await verified(sink, { trust: [root.base64] })).toMatchObject({ ok: false, code: 'E_CERT' });
  });
});
