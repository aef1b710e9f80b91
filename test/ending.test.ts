import { generateKeyPairSync, sign as signBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  type AuditSink,
  budget,
  callCap,
  createLeash,
  currentCall,
  egress,
  type Guard,
  type Leash,
  type MemorySink,
  memorySink,
  memoryStore,
  rateLimit,
  type StopOn,
} from '../src/index.ts';
import { lateStore } from './helpers/late-store.ts';
import { rejection, thrownBy } from './helpers/refused.ts';
import { storeThrough, storeWith } from './helpers/store-around.ts';

interface Line {
  readonly log: string;
  readonly seq: number;
  readonly kind: string;
  readonly tool?: string;
  readonly code?: string;
  readonly reason?: string;
  readonly error?: string;
  readonly usd?: string;
  readonly parent?: { readonly log: string; readonly seq: number; readonly hash: string };
}

/** Every event; checkpoints come in between, when they are due. */
function linesOf(sink: MemorySink): readonly Line[] {
  return sink.lines.map((line) => JSON.parse(line) as Line).filter(({ kind }) => kind !== 'checkpoint');
}

/** What a session's own log says after its first line. */
function kindsOf(sink: MemorySink): readonly string[] {
  return linesOf(sink)
    .slice(1)
    .map(({ kind }) => kind);
}

/** A promise and the function that resolves it. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

const run = (leash: Leash, tool = 'tool', usd = 0): Promise<string> =>
  leash.run({ tool, cost: { usd } }, async () => 'ran');

const limitOf = async (leash: Leash, index = 0) => (await leash.usage()).limits[index];

describe('stopOn', () => {
  const denials: readonly { readonly code: string; readonly guard: Guard; readonly call: (leash: Leash) => unknown }[] =
    [
      { code: 'BUDGET_EXCEEDED', guard: budget({ usd: 1 }), call: (leash) => run(leash, 'tool', 2) },
      { code: 'CALL_CAP_REACHED', guard: callCap(0), call: (leash) => run(leash) },
      { code: 'RATE_LIMITED', guard: rateLimit({ max: 0, per: '1m' }), call: (leash) => run(leash) },
      {
        code: 'EGRESS_DENIED',
        guard: egress({ allow: [] }),
        call: (leash) => leash.run({ tool: 'tool', url: 'https://example.com/' }, async () => 'ran'),
      },
      {
        code: 'ARGS_INVALID',
        guard: callCap(9),
        call: (leash) => leash.run({ tool: 'tool', args: Number.NaN }, async () => 'ran'),
      },
      {
        code: 'GUARD_FAILED',
        guard: { name: 'broken', check: () => ({}) as never },
        call: (leash) => run(leash),
      },
      {
        code: 'OWN_RULE',
        guard: { name: 'own', check: () => ({ allow: false, code: 'OWN_RULE', reason: 'because' }) },
        call: (leash) => run(leash),
      },
    ];
  const variants: readonly { readonly stopOn: StopOn | undefined; readonly ends: readonly string[] }[] = [
    { stopOn: undefined, ends: ['BUDGET_EXCEEDED', 'CALL_CAP_REACHED'] },
    { stopOn: 'none', ends: [] },
    { stopOn: 'any', ends: denials.map(({ code }) => code) },
    { stopOn: [], ends: [] },
    { stopOn: ['EGRESS_DENIED', 'ARGS_INVALID'], ends: ['EGRESS_DENIED', 'ARGS_INVALID'] },
    { stopOn: ['OWN_RULE'], ends: ['OWN_RULE'] },
  ];
  const rows = variants.flatMap(({ stopOn, ends }) =>
    denials.map((denial) => ({ ...denial, stopOn, ends: ends.includes(denial.code), name: JSON.stringify(stopOn) })),
  );

  it.each(rows)('$name: $code ends the session: $ends', async ({ code, guard, call, stopOn, ends }) => {
    const leash = createLeash({ guards: [guard], ...(stopOn === undefined ? {} : { stopOn }) });
    const denial = await rejection(call(leash));
    expect(denial.code).toBe(code);
    expect(leash.breach).toBe(ends ? denial : undefined);
    expect(leash.signal.aborted).toBe(ends);
    const next = await rejection(call(leash));
    expect(next).toMatchObject(
      ends ? { code: 'SESSION_BREACHED', reason: `ended by ${code}`, guard: 'session' } : { code },
    );
    expect(next).not.toBe(denial);
  });
});

describe('a breach', () => {
  it('is the first denial, latched once, and the reason of the signal', async () => {
    const sink = memorySink();
    const leash = createLeash({ guards: [budget({ usd: 1 }), callCap(3)], audit: sink });
    let aborts = 0;
    leash.signal.addEventListener('abort', () => aborts++);
    const open = gate();
    const running = leash.run({ tool: 'slow', cost: { usd: 0.9 } }, async () => {
      await open.opened;
      return currentCall()?.signal.reason;
    });
    const first = await rejection(run(leash, 'dear', 0.2));
    // What did not fit only because another call ran ends the session all the same.
    expect(first).toMatchObject({ code: 'BUDGET_EXCEEDED', reason: 'in_flight', tool: 'dear' });
    for (const usd of [0.2, 5, 0])
      expect(await rejection(run(leash, 'dear', usd))).toMatchObject({ code: 'SESSION_BREACHED' });
    expect(leash.breach).toBe(first);
    expect(leash.signal.reason).toBe(first);
    expect(aborts).toBe(1);
    open.open();
    expect(await running).toBe(first);
    expect(await limitOf(leash)).toMatchObject({ spent: '0.9', held: '0' });
    expect(kindsOf(sink)).toEqual([
      'tool_start',
      'budget_denied',
      'tool_denied',
      'tool_denied',
      'tool_denied',
      'tool_ok',
    ]);
  });

  it('leaves the counters as they are', async () => {
    const leash = createLeash({ guards: [callCap(1), budget({ usd: 1 })] });
    await run(leash, 'tool', 0.25);
    const before = await leash.usage();
    for (let i = 0; i < 5; i++) await rejection(run(leash, 'tool', 0.25));
    expect(await leash.usage()).toEqual({ ...before, denied: 5 });
  });

  it('ends holds that are asked for, and lets spend that has happened be booked', async () => {
    const leash = createLeash({ guards: [budget({ usd: 1 })] });
    await rejection(run(leash, 'tool', 2));
    expect(thrownBy(() => leash.hold({ usd: 0.1 }))).toMatchObject({ code: 'SESSION_BREACHED', tool: 'leash.hold' });
    await leash.charge({ usd: 0.4 });
    expect(await limitOf(leash)).toMatchObject({ spent: '0.4', held: '0' });
  });

  it('refuses a call whose guards have not answered when it comes', async () => {
    const asked = gate();
    const answer = gate();
    const slow: Guard = {
      name: 'slow',
      async check({ tool }) {
        if (tool === 'slow') {
          asked.open();
          await answer.opened;
        }
        return { allow: true };
      },
    };
    const sink = memorySink();
    const leash = createLeash({ guards: [slow, callCap(1)], audit: sink });
    let ran = false;
    const waiting = leash.run({ tool: 'slow' }, () => {
      ran = true;
    });
    await asked.opened;
    await run(leash);
    const breach = await rejection(run(leash));
    answer.open();
    expect(await rejection(waiting)).toMatchObject({ code: 'SESSION_BREACHED', reason: 'ended by CALL_CAP_REACHED' });
    expect(ran).toBe(false);
    expect(leash.breach).toBe(breach);
  });
});

describe('stop', () => {
  it('aborts calls that run, refuses all others and is logged once', async () => {
    const sink = memorySink();
    const leash = createLeash({ guards: [callCap(9)], audit: sink });
    const running = leash.run({ tool: 'slow' }, () => {
      const signal = currentCall()?.signal;
      return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
    });
    leash.stop('operator pressed the button');
    leash.stop('again');
    expect(leash.breach).toMatchObject({
      name: 'SessionEndedError',
      code: 'SESSION_STOPPED',
      reason: 'stopped',
      guard: 'session',
      message: 'The session was stopped. Do not retry.',
    });
    expect(leash.signal.reason).toBe(leash.breach);
    expect(await rejection(running)).toBe(leash.breach);
    expect(await rejection(run(leash))).toMatchObject({
      code: 'SESSION_STOPPED',
      reason: 'stopped',
      message: 'Tool "tool" was refused: the session takes no more calls (stopped). Do not retry.',
    });
    const [, , stopped, ...rest] = linesOf(sink);
    expect(stopped).toMatchObject({ kind: 'kill_switch', reason: 'operator pressed the button' });
    expect(leash.breach).toMatchObject({ event: { log: stopped?.log, seq: stopped?.seq } });
    expect(rest.map(({ kind, error }) => error ?? kind)).toEqual(['SESSION_STOPPED', 'tool_denied']);
  });

  it.each(['checkpoint', 'each'] as const)(
    'names its line, which the log has once it is open, also where it came before that: signed by %s',
    async (sign) => {
      const { privateKey } = generateKeyPairSync('ed25519');
      const certified = gate();
      const signer = (bytes: Uint8Array) => certified.opened.then(() => signBytes(null, bytes, privateKey));
      const sink = memorySink();
      const leash = createLeash({ guards: [], audit: { sink, sign, signer } });
      const waiting = rejection(run(leash));
      leash.stop('too early');
      certified.open();
      expect(await waiting).toMatchObject({ code: 'SESSION_STOPPED' });
      const stopped = linesOf(sink).find(({ kind }) => kind === 'kill_switch');
      expect(leash.breach).toMatchObject({ event: { log: stopped?.log, seq: stopped?.seq } });
    },
  );

  it('says so after a breach, which stays the breach', async () => {
    const leash = createLeash({ guards: [callCap(0)] });
    const breach = await rejection(run(leash));
    leash.stop('to be sure');
    expect(leash.breach).toBe(breach);
    expect(leash.signal.reason).toBe(breach);
    expect(await rejection(run(leash))).toMatchObject({ code: 'SESSION_STOPPED', reason: 'stopped' });
  });

  it('does nothing after the close', async () => {
    const sink = memorySink();
    const leash = createLeash({ guards: [], audit: sink });
    await leash.close();
    leash.stop('late');
    expect(leash.breach).toBeUndefined();
    expect(kindsOf(sink)).toEqual(['session_close']);
    expect(await rejection(run(leash))).toMatchObject({ code: 'SESSION_CLOSED' });
  });

  it.each([
    { name: 'no text', reason: 7, error: TypeError },
    { name: 'an empty text', reason: '', error: RangeError },
    { name: 'a long text', reason: 'x'.repeat(257), error: RangeError },
    { name: 'broken Unicode', reason: '\ud800', error: RangeError },
  ])('refuses $name as the reason, and stops nothing', async ({ reason, error }) => {
    const leash = createLeash({ guards: [] });
    expect(() => leash.stop(reason as string)).toThrow(error);
    expect(() => leash.stop(reason as string)).toThrow('`reason`');
    expect(await run(leash)).toBe('ran');
  });

  it('reaches calls whose admission is not yet decided', async () => {
    const store = lateStore();
    const leash = createLeash({ guards: [budget({ usd: 1 })], store });
    let ran = false;
    const waiting = leash.run({ tool: 'tool', cost: { usd: 0.5 } }, () => {
      ran = true;
    });
    leash.stop('now');
    expect(await rejection(waiting)).toMatchObject({ code: 'SESSION_STOPPED' });
    expect(ran).toBe(false);
    expect(await limitOf(leash)).toMatchObject({ spent: '0', held: '0' });
  });

  it.each([
    { name: 'a sink', late: false, end: 'stop' },
    { name: 'an asynchronous sink', late: true, end: 'stop' },
    { name: 'a sink that closes it', late: false, end: 'close' },
    { name: 'an asynchronous sink that closes it', late: true, end: 'close' },
  ] as const)('reaches the call whose beginning $name has just been told of', async ({ late, end }) => {
    const kept = memorySink();
    const parent = createLeash({ guards: [budget({ usd: 1 })] });
    const sink: AuditSink = {
      name: 'watching',
      write(...lines) {
        void kept.write(...lines);
        if (lines[0].includes('tool_start')) void parent[end]('seen');
        return late ? Promise.resolve() : undefined;
      },
    };
    const child = parent.child({ guards: [], audit: sink });
    let ran = false;
    const tool = (): void => {
      ran = true;
    };
    const code = end === 'stop' ? 'SESSION_STOPPED' : 'SESSION_CLOSED';
    expect(await rejection(child.run({ tool: 'tool', cost: { usd: 0.5 } }, tool))).toMatchObject({ code });
    expect(ran).toBe(false);
    expect(await child.close()).toMatchObject({ calls: 0, denied: 1, usd: '0' });
    expect(kindsOf(kept)).toEqual(['tool_start', 'tool_error', 'tool_denied', 'session_close']);
    expect(await parent.close()).toMatchObject({ calls: 0 });
  });

  it('still takes the kill switch when the log cannot, and logs it later', async () => {
    const kept = memorySink();
    let broken = false;
    const sink: AuditSink = {
      name: 'flaky',
      write(...lines) {
        if (broken) throw new Error('disk full');
        return kept.write(...lines);
      },
    };
    const leash = createLeash({ guards: [], audit: sink });
    broken = true;
    leash.stop('by hand');
    expect(leash.signal.aborted).toBe(true);
    broken = false;
    expect(await rejection(run(leash))).toMatchObject({ code: 'SESSION_STOPPED' });
    expect(kindsOf(kept)).toEqual(['kill_switch', 'tool_denied']);
  });
});

describe('close', () => {
  it('tells what the session was, once, and again the same', async () => {
    const sink = memorySink();
    const leash = createLeash({
      guards: [budget({ usd: 1 }), budget({ sat: 100 })],
      audit: sink,
      id: 'mine',
      stopOn: 'none',
    });
    await run(leash, 'tool', 0.25);
    await leash.run({ tool: 'pay', cost: '1500 msat' }, async () => 'ran');
    await rejection(run(leash, 'dear', 2));
    await leash.charge({ usd: '0.005' });
    const closing = leash.close();
    expect(leash.close()).toBe(closing);
    const summary = await closing;
    expect(summary).toEqual({
      id: 'mine',
      log: linesOf(sink)[0]?.log,
      calls: 2,
      denied: 1,
      usd: '0.255',
      sat: '1.5',
      breach: undefined,
    });
    expect(await leash.close()).toBe(summary);
    expect(linesOf(sink).at(-1)).toMatchObject({
      kind: 'session_close',
      reason: 'closed',
      calls: 2,
      denied: 1,
      usd: '0.255',
      sat: '1.5',
    });
    expect(leash.signal.aborted).toBe(false);
  });

  it('refuses everything from that very step on, without another line', async () => {
    const sink = memorySink();
    const leash = createLeash({ guards: [budget({ usd: 1 })], audit: sink });
    const closing = leash.close();
    expect(await rejection(run(leash))).toMatchObject({ code: 'SESSION_CLOSED', reason: 'closed' });
    await closing;
    const wrapped = leash.wrap('tool', async () => 'ran', { cost: 'free' });
    for (const attempt of [() => run(leash), () => wrapped(), async () => leash.hold('free')]) {
      expect(await rejection(attempt())).toMatchObject({ code: 'SESSION_CLOSED', guard: 'session' });
    }
    expect(thrownBy(() => leash.charge({ usd: 0.1 }))).toMatchObject({ code: 'SESSION_CLOSED' });
    expect(await leash.peek({ tool: 'tool', cost: 'free' })).toMatchObject({ allow: false, code: 'SESSION_CLOSED' });
    expect(linesOf(sink).at(-1)).toMatchObject({ kind: 'session_close' });
    expect(linesOf(sink).filter(({ kind }) => kind === 'session_close')).toHaveLength(1);
  });

  it.each([
    {
      name: 'a breach',
      end: async (leash: Leash) => void (await rejection(run(leash, 'dear', 9))),
      reason: 'ended by BUDGET_EXCEEDED',
    },
    { name: 'a stop', end: async (leash: Leash) => leash.stop('now'), reason: 'stopped' },
  ])('says that it was ended by $name', async ({ end, reason }) => {
    const sink = memorySink();
    const leash = createLeash({ guards: [budget({ usd: 1 })], audit: sink });
    await end(leash);
    expect(await leash.close()).toMatchObject({ breach: leash.breach });
    expect(linesOf(sink).at(-1)).toMatchObject({ kind: 'session_close', reason });
  });

  it('forfeits what is open, and tells it', async () => {
    const sink = memorySink();
    const leash = createLeash({ guards: [budget({ usd: 1 })], audit: sink });
    const open = gate();
    let reason: unknown;
    const running = leash.run({ tool: 'slow', cost: { usd: 0.25 }, onError: 'refund' }, async () => {
      await open.opened;
      reason = currentCall()?.signal.reason;
      return 'result';
    });
    const ticket = await leash.enter({ tool: 'entered', cost: { usd: 0.125 } });
    const hold = await leash.hold({ usd: 0.5 }, 'model');
    const summary = await leash.close();
    expect(summary.usd).toBe('0.875');
    expect(leash.signal.reason).toMatchObject({ code: 'SESSION_CLOSED', reason: 'closed' });
    expect(leash.breach).toBeUndefined();
    const [, , , ...ends] = linesOf(sink);
    expect(ends).toMatchObject([
      { kind: 'tool_error', tool: 'slow', error: 'FORFEITED', usd: '0.25' },
      { kind: 'tool_error', tool: 'entered', error: 'FORFEITED', usd: '0.125' },
      { kind: 'charge', note: 'model', usd: '0.5' },
      { kind: 'session_close', usd: '0.875' },
    ]);
    // Ends that come later change nothing and break nothing.
    open.open();
    expect(await running).toBe('result');
    expect(reason).toBe(leash.signal.reason);
    await ticket.settle({ usd: 0 });
    await ticket.release();
    await hold.settle({ usd: 0 });
    await hold.release();
    expect(linesOf(sink)).toHaveLength(ends.length + 3);
    expect(await leash.close()).toBe(summary);
  });

  it('books on a shared scope what a call that it forfeited turns out to have cost', async () => {
    const store = memoryStore();
    const guards = [budget({ usd: 10, scope: 'org:acme' })];
    const leash = createLeash({ guards, store });
    const other = createLeash({ guards, store });
    const open = gate();
    const running = leash.wrap('slow', () => open.opened, { cost: { usd: 1 }, actualCost: () => ({ usd: 4 }) })();
    const hold = await leash.hold({ usd: 0.5 });
    const cheap = leash.wrap('cheap', () => open.opened, { cost: { usd: 1 }, actualCost: () => ({ usd: 0.25 }) })();
    await leash.close();
    expect(await limitOf(other)).toMatchObject({ spent: '2.5', held: '0' });
    open.open();
    await Promise.all([running, cheap]);
    // What cost less stays as it was counted.
    expect(await limitOf(other)).toMatchObject({ spent: '5.5', held: '0' });
    await hold.settle({ usd: 1.5 });
    await hold.settle({ usd: 9 });
    expect(await limitOf(other)).toMatchObject({ spent: '6.5', held: '0' });
    expect(await limitOf(leash)).toMatchObject({ spent: '2.5', held: '0' });
  });

  it.each([
    { cost: 2, spent: '3' },
    { cost: 3, spent: '3' },
    { cost: 4.5, spent: '4.5' },
  ])('books what a call has told beyond its estimate, and of $cost in the end the rest', async ({ cost, spent }) => {
    const store = memoryStore();
    const guards = [budget({ usd: 10, scope: 'org:acme' }), callCap({ max: 9, scope: 'org:acme' })];
    const leash = createLeash({ guards, store });
    const other = createLeash({ guards, store });
    const open = gate();
    const tool = async () => {
      currentCall()?.charge({ usd: 3 });
      await open.opened;
      currentCall()?.charge({ usd: 0.5 });
    };
    const running = leash.wrap('slow', tool, { cost: { usd: 1 }, actualCost: () => ({ usd: cost }) })();
    expect(await leash.close()).toMatchObject({ usd: '3' });
    expect(await limitOf(other)).toMatchObject({ spent: '3', held: '0' });
    open.open();
    await running;
    expect(await limitOf(other)).toMatchObject({ spent, held: '0' });
    expect(await limitOf(other, 1)).toMatchObject({ spent: 1, held: 0 });
  });

  it('has in its log every charge that is taken meanwhile, whenever it comes', async () => {
    for (let steps = 0; steps < 20; steps++) {
      const sink = memorySink();
      const leash = createLeash({ guards: [budget({ usd: 10 })], store: lateStore(), audit: sink });
      const closing = leash.close();
      for (let i = 0; i < steps; i++) await null;
      const refused = await (async () => leash.charge({ usd: 1 }))().catch(({ code }) => code);
      const usd = refused === undefined ? '1' : '0';
      expect({ steps, ...(await closing) }).toMatchObject({ steps, usd });
      const charges = linesOf(sink).filter(({ kind }) => kind === 'charge');
      expect({ steps, charges }).toMatchObject({ steps, charges: usd === '1' ? [{ usd }] : [] });
    }
  });

  it('counts the estimate where a rate fails, and closes all the same', async () => {
    let convert: () => { usd: number } = () => ({ usd: 0.5 });
    const leash = createLeash({ guards: [budget({ usd: 10 })], convert: () => convert() });
    const ticket = await leash.enter({ tool: 'tool', cost: '500 sat' });
    ticket.call.charge('900 sat');
    convert = () => {
      throw new TypeError('no rate');
    };
    expect(await leash.close()).toMatchObject({ sat: '900' });
    expect(await limitOf(leash)).toMatchObject({ spent: '0.5', held: '0' });
  });

  it('happens once where who hears the signal closes too', async () => {
    const sink = memorySink();
    const leash = createLeash({ guards: [], audit: sink });
    await leash.enter({ tool: 'open' });
    let heard: unknown;
    leash.signal.addEventListener('abort', () => {
      heard = leash.close();
    });
    const closing = leash.close();
    expect(heard).toBe(closing);
    expect(await closing).toMatchObject({ calls: 1, denied: 0 });
    expect(kindsOf(sink)).toEqual(['tool_start', 'tool_error', 'session_close']);
  });

  it('leaves usage as it was at the end', async () => {
    const leash = createLeash({ guards: [budget({ usd: 1 }), callCap(5)] });
    await run(leash, 'tool', 0.25);
    await leash.close();
    const usage = await leash.usage();
    expect(usage).toMatchObject({
      calls: 1,
      denied: 0,
      usd: '0.25',
      limits: [
        { spent: '0.25', held: '0', remaining: '0.75' },
        { spent: 1, held: 0, remaining: 4 },
      ],
    });
    await rejection(run(leash));
    expect(await leash.usage()).toEqual(usage);
  });

  it('shuts its own scope in the store, and no shared one', async () => {
    const shut: string[] = [];
    const leash = createLeash({
      guards: [callCap(5), callCap({ max: 5, scope: 'org:acme' })],
      id: 'mine',
      store: storeWith({ shut: (scope) => void shut.push(scope) }),
    });
    await run(leash);
    await leash.close();
    await leash.close();
    expect(shut).toEqual(['session:mine']);
  });

  it('asks the store nothing where it has counted nothing, so that an outage is none of its own', async () => {
    const asked: string[] = [];
    const store = storeThrough((method) => {
      asked.push(method);
      throw new Error('down');
    });
    const leash = createLeash({ guards: [callCap({ max: 5, scope: 'org:acme' })], store });
    await rejection(leash.run({ tool: 't' }, () => 'ran'));
    expect(await leash.close()).toMatchObject({ calls: 0, denied: 1 });
    expect(asked).not.toContain('shut');
  });

  it('tells that the store did not shut the scope that it knows, though nothing is missing', async () => {
    const shut = (): never => {
      throw new Error('down');
    };
    const leash = createLeash({ guards: [callCap(5)], store: storeWith({ shut }) });
    await run(leash);
    const error = await rejection(leash.close());
    expect(error).toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: 'The store that counts what is spent did not answer.',
    });
    expect(error).not.toHaveProperty('unbooked');
  });

  it('happens at the end of a block', async () => {
    const sink = memorySink();
    {
      await using leash = createLeash({ guards: [], audit: sink });
      await run(leash);
    }
    expect(kindsOf(sink)).toEqual(['tool_start', 'tool_ok', 'session_close']);
  });

  it('refuses a call that waits for its guards', async () => {
    const answer = gate();
    const slow: Guard = {
      name: 'slow',
      async check() {
        await answer.opened;
        return { allow: true };
      },
    };
    const sink = memorySink();
    const leash = createLeash({ guards: [slow, budget({ usd: 1 })], audit: sink });
    const waiting = run(leash, 'tool', 0.5);
    const badly = leash.wrap('bad', async () => 'ran', { cost: () => ({ usd: Number.NaN }) })();
    await leash.close();
    answer.open();
    expect(await rejection(waiting)).toMatchObject({ code: 'SESSION_CLOSED' });
    await rejection(badly);
    expect(kindsOf(sink)).toEqual(['session_close']);
  });

  it('throws when the log cannot be closed, and has closed everything else', async () => {
    const kept = memorySink();
    let broken = false;
    const sink: AuditSink = {
      name: 'flaky',
      write(...lines) {
        if (broken) throw Object.assign(new Error('secret'), { code: 'ENOSPC' });
        return kept.write(...lines);
      },
    };
    const leash = createLeash({ guards: [budget({ usd: 1 })], audit: sink });
    const ticket = await leash.enter({ tool: 'tool', cost: { usd: 0.5 } });
    broken = true;
    expect(await rejection(leash.close())).toMatchObject({
      code: 'AUDIT_UNAVAILABLE',
      message: 'the audit log cannot be written (ENOSPC), so no call runs',
    });
    expect(await limitOf(leash)).toMatchObject({ spent: '0.5', held: '0' });
    expect(await rejection(run(leash))).toMatchObject({ code: 'SESSION_CLOSED' });
    await ticket.settle();
  });

  it('closes a sink with the last log that uses it', async () => {
    const kept = memorySink();
    let closed = 0;
    const sink: AuditSink = { name: 'shared', write: (...lines) => kept.write(...lines), close: () => void closed++ };
    const [a, b] = [createLeash({ guards: [], audit: sink }), createLeash({ guards: [], audit: sink })];
    await a.close();
    await a.close();
    expect(closed).toBe(0);
    await b.close();
    expect(closed).toBe(1);
  });
});

describe('child', () => {
  function family(options: { readonly parent?: readonly Guard[]; readonly child?: readonly Guard[] } = {}) {
    const sink = memorySink();
    const childSink = memorySink();
    const parent = createLeash({ guards: options.parent ?? [budget({ usd: 1 })], audit: sink, agent: 'parent' });
    const child = parent.child({ guards: options.child ?? [], audit: childSink, agent: 'child' });
    return { sink, childSink, parent, child };
  }

  it('holds to its own guards and to those of all its ancestors', async () => {
    const { parent, child } = family({
      parent: [budget({ usd: 1 }), callCap({ max: 9, tools: ['a', 'b', 'c'] })],
      child: [callCap({ max: 1, tools: ['a'] })],
    });
    const grandchild = child.child({ guards: [callCap({ max: 1, tools: ['b'] })], stopOn: 'none' });
    await run(grandchild, 'a', 0.25);
    await run(grandchild, 'b', 0.25);
    expect(await rejection(run(grandchild, 'b'))).toMatchObject({ code: 'CALL_CAP_REACHED', cap: 1 });
    expect(await rejection(run(grandchild, 'a'))).toMatchObject({ code: 'CALL_CAP_REACHED', cap: 1 });
    expect(await rejection(run(grandchild, 'c', 0.75))).toMatchObject({ code: 'BUDGET_EXCEEDED', remaining: '0.5' });
    expect(await rejection(run(child, 'a'))).toMatchObject({ code: 'CALL_CAP_REACHED' });
    expect(await run(parent, 'a', 0.5)).toBe('ran');
    expect(await limitOf(parent)).toMatchObject({ spent: '1', held: '0' });
  });

  it('shows its own limits first, and its ancestors’ then', async () => {
    const { parent, child } = family({ child: [callCap(3)] });
    await run(child, 'tool', 0.25);
    expect((await child.usage()).limits).toMatchObject([
      { guard: 'call-cap', spent: 1, remaining: 2 },
      { guard: 'budget', spent: '0.25', remaining: '0.75' },
    ]);
    expect(await parent.usage()).toMatchObject({ calls: 0, usd: '0', limits: [{ guard: 'budget', spent: '0.25' }] });
  });

  it('draws a hold and a charge through', async () => {
    const { parent, child } = family({ child: [budget({ usd: 9 })] });
    const hold = await child.hold({ usd: 0.5 });
    expect(await limitOf(parent)).toMatchObject({ held: '0.5' });
    await hold.settle({ usd: 0.25 });
    await child.charge({ usd: 0.25 });
    expect(await limitOf(parent)).toMatchObject({ spent: '0.5', held: '0' });
    expect(thrownBy(() => child.charge({ usd: 0.75 }))).toMatchObject({ code: 'BUDGET_EXCEEDED', cap: '1' });
    expect(await limitOf(parent)).toMatchObject({ spent: '1.25', remaining: '-0.25' });
    expect(parent.breach).toBeUndefined();
  });

  it('cannot widen: a child without guards is held like its parent', async () => {
    const { child } = family({ parent: [egress({ allow: [] })] });
    expect(await rejection(child.run({ tool: 'tool', url: 'https://example.com/' }, async () => 'ran'))).toMatchObject({
      code: 'EGRESS_DENIED',
      guard: 'egress',
    });
  });

  it('ends alone by its own breach, also on a guard of its parent', async () => {
    const { parent, child, sink, childSink } = family();
    const sibling = parent.child({ guards: [] });
    const grandchild = child.child({ guards: [] });
    const breach = await rejection(run(child, 'dear', 2));
    expect(breach).toMatchObject({ code: 'BUDGET_EXCEEDED' });
    expect(child.breach).toBe(breach);
    expect(grandchild.breach).toBe(breach);
    expect(grandchild.signal.reason).toBe(breach);
    expect(await rejection(run(grandchild))).toMatchObject({ code: 'SESSION_BREACHED' });
    for (const leash of [parent, sibling]) {
      expect(leash.breach).toBeUndefined();
      expect(leash.signal.aborted).toBe(false);
      expect(await run(leash, 'tool', 0.25)).toBe('ran');
    }
    // The grandchild writes where its parent does.
    expect(kindsOf(childSink)).toEqual(['session_open', 'budget_denied', 'tool_denied']);
    expect(kindsOf(sink)).toEqual(['session_open', 'tool_start', 'tool_ok', 'tool_start', 'tool_ok']);
  });

  it.each([
    { name: 'stop', end: (leash: Leash) => leash.stop('now') },
    { name: 'close', end: (leash: Leash) => leash.close() },
  ])('leaves its parent alone when it ends by $name', async ({ end }) => {
    const { parent, child } = family();
    await end(child);
    expect(parent.breach).toBeUndefined();
    expect(parent.signal.aborted).toBe(false);
    expect(await run(parent, 'tool', 0.5)).toBe('ran');
  });

  it.each([
    { name: 'a breach', end: (leash: Leash) => rejection(run(leash, 'dear', 2)), code: 'SESSION_BREACHED' },
    { name: 'stop', end: async (leash: Leash) => leash.stop('now'), code: 'SESSION_STOPPED' },
  ])('ends with its parent by $name, born before or after', async ({ end, code }) => {
    const { parent, child } = family();
    const seen = child.signal;
    const open = gate();
    const running = child.run({ tool: 'slow', cost: 'free' }, async () => {
      await open.opened;
      return currentCall()?.signal.reason;
    });
    await end(parent);
    const late = parent.child({ guards: [] });
    for (const leash of [child, late, late.child({ guards: [] })]) {
      expect(leash.breach).toBe(parent.breach);
      expect(leash.signal.aborted).toBe(true);
      expect(leash.signal.reason).toBe(parent.breach);
      expect(await rejection(run(leash))).toMatchObject({ code });
    }
    expect(seen.aborted).toBe(true);
    open.open();
    expect(await running).toBe(parent.breach);
  });

  it('makes no breach of its own of the end of its parent', async () => {
    const parent = createLeash({ guards: [] });
    const [stopped, closed] = [
      parent.child({ guards: [], stopOn: 'any' }),
      parent.child({ guards: [], stopOn: 'any' }),
    ];
    await closed.close();
    expect(await rejection(run(closed))).toMatchObject({ code: 'SESSION_CLOSED' });
    expect(closed.breach).toBeUndefined();
    parent.stop('now');
    expect(await rejection(run(stopped))).toMatchObject({ code: 'SESSION_STOPPED' });
    expect(stopped.breach).toBe(parent.breach);
  });

  it('keeps its own breach when its parent ends later', async () => {
    const { parent, child } = family();
    const breach = await rejection(run(child, 'dear', 2));
    parent.stop('later');
    expect(child.breach).toBe(breach);
    expect(child.signal.reason).toBe(breach);
    expect(parent.breach).toMatchObject({ code: 'SESSION_STOPPED' });
  });

  it('runs no call after a stop of its parent, though a breach of its own came first', async () => {
    const sink = memorySink();
    const written = gate();
    let late = false;
    const audit: AuditSink = {
      name: 'late',
      async write(...lines) {
        await sink.write(...lines);
        if (late) await written.opened;
      },
    };
    const parent = createLeash({ guards: [budget({ usd: 1, scope: 'org:acme' })] });
    const child = parent.child({ guards: [], audit });
    late = true;
    let ran = false;
    const waiting = child.run({ tool: 'tool', cost: { usd: 0.25 } }, () => {
      ran = true;
    });
    const breach = rejection(run(child, 'dear', 2));
    parent.stop('now');
    written.open();
    expect(await rejection(waiting)).toMatchObject({ code: 'SESSION_STOPPED', reason: 'stopped' });
    expect(ran).toBe(false);
    expect(child.breach).toBe(await breach);
    expect(await rejection(run(child))).toMatchObject({ code: 'SESSION_STOPPED' });
    expect(kindsOf(sink)).toEqual(['tool_start', 'budget_denied', 'tool_error', 'tool_denied', 'tool_denied']);
    expect(await limitOf(parent)).toMatchObject({ spent: '0', held: '0' });
  });

  it('is closed with its parent, and its log with it', async () => {
    const { parent, child, sink, childSink } = family();
    const ticket = await child.enter({ tool: 'tool', cost: { usd: 0.25 } });
    await parent.close();
    expect(kindsOf(childSink)).toEqual(['tool_start', 'tool_error', 'session_close']);
    expect(kindsOf(sink)).toEqual(['session_close']);
    expect(await child.close()).toMatchObject({ calls: 1, usd: '0.25' });
    expect(await limitOf(parent)).toMatchObject({ spent: '0.25', held: '0' });
    expect(await rejection(run(child))).toMatchObject({ code: 'SESSION_CLOSED' });
    await ticket.settle();
  });

  it('is waited for by its parent when it closes already', async () => {
    const sink = memorySink();
    const parent = createLeash({ guards: [budget({ usd: 1, scope: 'org:acme' })], store: lateStore(), audit: sink });
    const child = parent.child({ guards: [] });
    await child.enter({ tool: 'tool', cost: { usd: 0.25 } });
    const order: string[] = [];
    const closing = child.close().then(() => order.push('child'));
    await parent.close();
    expect(order).toEqual(['child']);
    await closing;
    const closes = linesOf(sink).filter(({ kind }) => kind === 'session_close');
    expect(closes.map(({ log }) => log)).toEqual([linesOf(sink)[1]?.log, linesOf(sink)[0]?.log]);
  });

  it('names in its log the line that its parent’s log had come to', async () => {
    const { parent, childSink, sink } = family();
    await run(parent, 'tool', 0.25);
    const late = memorySink();
    parent.child({ guards: [], audit: late });
    const opened = linesOf(sink)[0];
    expect(linesOf(childSink)[0]?.parent).toMatchObject({ log: opened?.log, seq: 0 });
    expect(linesOf(late)[0]?.parent).toMatchObject({ log: opened?.log, seq: 2 });
  });

  it('inherits agent, mode, stopOn, sink and rate, and may have its own', async () => {
    const sink = memorySink();
    const parent = createLeash({ guards: [callCap(0)], audit: sink, agent: 'boss', stopOn: 'none', mode: 'observe' });
    const child = parent.child({ guards: [callCap(0)] });
    expect(await run(child)).toBe('ran');
    const strict = parent.child({ guards: [callCap(0)], mode: 'enforce', stopOn: 'any', agent: 'temp', id: 'own' });
    const breach = await rejection(run(strict));
    expect(strict.breach).toBe(breach);
    expect(strict.id).toBe('own');
    const opened = linesOf(sink).filter(({ kind }) => kind === 'session_open');
    expect(opened).toMatchObject([
      { agent: 'boss', mode: 'observe' },
      { agent: 'boss', mode: 'observe' },
      { agent: 'temp', mode: 'enforce', session: 'own' },
    ]);
  });

  it.each([
    { option: 'store', value: memoryStore() },
    { option: 'clock', value: { now: () => 0, wall: () => 0 } },
    { option: 'guard', value: [] },
  ])('refuses the option $option', ({ option, value }) => {
    const { parent } = family();
    expect(() => parent.child({ guards: [], [option]: value })).toThrow(TypeError);
    expect(() => parent.child({ guards: [], [option]: value })).toThrow(`unknown option \`${option}\``);
  });
});
