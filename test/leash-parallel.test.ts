import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jsonSchemaArgs } from '../src/adapters/ajv.ts';
import { memorySink } from '../src/audit/memory-sink.ts';
import type { AuditSink } from '../src/audit/sink.ts';
import { type Call, currentCall } from '../src/call.ts';
import type { DeniedError } from '../src/errors.ts';
import type { Guard } from '../src/guard.ts';
import { args, type StandardSchema } from '../src/guards/args.ts';
import { budget } from '../src/guards/budget.ts';
import { callCap } from '../src/guards/call-cap.ts';
import { egress } from '../src/guards/egress.ts';
import { rateLimit } from '../src/guards/rate-limit.ts';
import { createLeash } from '../src/leash.ts';
import type { Leash } from '../src/leash-contract.ts';
import type { LeashOptions } from '../src/leash-options.ts';
import type { ToolOptions } from '../src/session/tool.ts';
import { memoryStore } from '../src/stores/memory.ts';
import type { Store } from '../src/stores/store.ts';
import { FakeClock } from './helpers/clock.ts';
import { storeThrough } from './helpers/store-around.ts';

/** How a request gets to a part and its answer comes back. */
type Send = <T>(label: string, action: () => T | Promise<T>) => Promise<T>;

const atOnce: Send = async (_, action) => {
  await null;
  const answer = await action();
  await null;
  return answer;
};

const direct: Send = (_, action) => action() as never;

/** The same guard, whose verdict comes later; a guard that gives none gets one, so that deciding takes a while. */
function slowGuard(guard: Guard, send: Send): Guard {
  return { ...guard, check: async (call) => send('check', () => guard.check?.(call) ?? { allow: true }) };
}

/** A session whose parts answer at once or, with `send`, later. */
class Kit {
  readonly clock = new FakeClock();
  readonly sink = memorySink();
  readonly memory = memoryStore({ clock: this.clock });
  readonly leash: Leash;
  readonly #scopes = new Set<string>();

  constructor(guards: readonly Guard[], send?: Send, more: Partial<LeashOptions> = { stopOn: 'none' }) {
    const { clock, sink, memory } = this;
    const store = send === undefined ? memory : storeThrough(send, memory);
    const later: AuditSink = {
      name: 'slow',
      write: (...lines) => {
        void sink.write(...lines);
        return send?.('log', () => undefined);
      },
    };
    this.leash = createLeash({
      guards: send === undefined ? guards : guards.map((guard) => slowGuard(guard, send)),
      clock,
      store: { ...storeThrough(direct, store), open: (scopes) => this.#open(store, scopes) },
      audit: send === undefined ? sink : later,
      ...more,
    });
  }

  #open(store: Store, scopes: readonly string[]): ReturnType<Store['open']> {
    for (const scope of scopes) this.#scopes.add(scope);
    return store.open(scopes);
  }

  /** What the log says was booked, in nano-USD or millisatoshi. */
  booked(unit: 'usd' | 'sat'): bigint {
    const places = unit === 'usd' ? 9 : 3;
    let sum = 0n;
    for (const line of this.sink.lines) {
      const { kind, [unit]: amount = '0' } = JSON.parse(line) as { kind: string; usd?: string; sat?: string };
      if (kind !== 'tool_ok' && kind !== 'tool_error') continue;
      const [whole = '0', fraction = ''] = amount.split('.');
      sum += BigInt(whole + fraction.padEnd(places, '0'));
    }
    return sum;
  }

  /** The calls that began, and those that ended, by the log. */
  #logged(...kinds: readonly string[]): string[] {
    const events = this.sink.lines.map((line) => JSON.parse(line) as { kind: string; call?: string });
    return events.flatMap(({ kind, call = '' }) => (kinds.includes(kind) ? [call] : [])).sort();
  }

  /** Nothing is held, the store and `usage` say the same, and it is what the log says. */
  async expectSettled(closed = false): Promise<void> {
    expect(this.#logged('tool_ok', 'tool_error')).toEqual(this.#logged('tool_start'));
    const { limits, usd, sat } = await this.leash.usage();
    const readings = Object.values(await this.memory.read([...this.#scopes])).flatMap((meters) =>
      Object.values(meters),
    );
    for (const { held } of readings) expect(held).toBe(0);
    const counted: bigint[] = [];
    for (const { per, unit, held, spent, scope } of limits) {
      expect(held).toBe(unit === 'call' ? 0 : '0');
      // What a closed session alone counted is gone from the store.
      if (per === 'call' || (closed && scope === undefined)) continue;
      if (unit !== 'call') expect(spent).toBe(unit === 'usd' ? usd : sat);
      counted.push(unit === 'call' ? BigInt(spent ?? 0) : this.booked(unit));
    }
    // A counter that nobody came to is not there.
    const sorted = (all: bigint[]) => all.filter(Boolean).map(String).sort();
    expect(sorted(readings.map(({ used }) => BigInt(used)))).toEqual(sorted(counted));
  }
}

type Behaviour = 'returns' | 'resolves' | 'resolves late' | 'throws' | 'rejects' | 'rejects late';
const BEHAVIOURS: readonly Behaviour[] = ['returns', 'resolves', 'resolves late', 'throws', 'rejects', 'rejects late'];

class ToolError extends Error {}

function behave(behaviour: Behaviour, send: Send = atOnce): unknown {
  switch (behaviour) {
    case 'returns':
      return 'ran';
    case 'resolves':
      return Promise.resolve('ran');
    case 'resolves late':
      return send('tool', () => 'ran');
    case 'throws':
      throw new ToolError();
    case 'rejects':
      return Promise.reject(new ToolError());
    case 'rejects late':
      return send('tool', () => Promise.reject(new ToolError()));
  }
}

/** A schema of the smallest kind: `n` is no multiple of 3. */
const notThird: StandardSchema = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => ((value as Args).n % 3 === 0 ? { issues: [{ path: ['n'] }] } : { value }),
  },
};
interface Args {
  readonly n: number;
}

interface Case {
  readonly name: string;
  readonly guards: () => readonly Guard[];
  readonly options: ToolOptions<[Args], unknown>;
  /** Whether the guards that look at the call alone let it pass. */
  readonly passes?: (n: number) => boolean;
  /** How many calls that pass fit. */
  readonly fit?: number;
  /** Of the refusals. */
  readonly codes: readonly string[];
}

const notByThree = (n: number) => n % 3 !== 0;
const url = ({ n }: Args) => (n % 2 === 0 ? 'https://a.test/' : ['https://a.test/', 'https://b.test/']);
const thirds = { type: 'object', properties: { n: { not: { multipleOf: 3 } } } };

const CASES: readonly Case[] = [
  ...[
    { name: 'budget usd', guard: () => budget({ usd: 1 }), fit: 5 },
    { name: 'budget usd, exactly full', guard: () => budget({ usd: 1.8 }), fit: 10 },
    { name: 'budget usd, one unit short', guard: () => budget({ usd: '1.799999999' }), fit: 9 },
    { name: 'budget usd per 24h', guard: () => budget({ usd: 5, per: '24h' }), fit: 27 },
    { name: 'budget usd per day', guard: () => budget({ usd: 100, per: 'day' }), fit: 555 },
    { name: 'budget usd in a scope', guard: () => budget({ usd: 2, scope: 'org' }), fit: 11 },
  ].map(({ name, guard, fit }) => ({
    name,
    guards: () => [guard()],
    options: { cost: { usd: 0.18 } },
    fit,
    codes: ['BUDGET_EXCEEDED'],
  })),
  {
    name: 'budget sat',
    guards: () => [budget({ sat: 1000 })],
    options: { cost: { sat: '3.001' } },
    fit: 333,
    codes: ['BUDGET_EXCEEDED'],
  },
  {
    name: 'budget usd per call',
    guards: () => [budget({ usd: 0.5, per: 'call' })],
    options: { cost: ({ n }) => ({ usd: notByThree(n) ? 0.5 : 0.6 }) },
    passes: notByThree,
    codes: ['BUDGET_EXCEEDED'],
  },
  { name: 'callCap', guards: () => [callCap(7)], options: {}, fit: 7, codes: ['CALL_CAP_REACHED'] },
  {
    name: 'callCap per week',
    guards: () => [callCap({ max: 49, per: 'week' })],
    options: {},
    fit: 49,
    codes: ['CALL_CAP_REACHED'],
  },
  {
    name: 'rateLimit',
    guards: () => [rateLimit({ max: 11, per: '1m' })],
    options: {},
    fit: 11,
    codes: ['RATE_LIMITED'],
  },
  {
    name: 'egress',
    guards: () => [egress({ allow: ['a.test'] })],
    options: { url },
    passes: (n) => n % 2 === 0,
    codes: ['EGRESS_DENIED'],
  },
  {
    name: 'args',
    guards: () => [args()],
    options: { schema: notThird },
    passes: notByThree,
    codes: ['ARGS_INVALID'],
  },
  {
    name: 'jsonSchemaArgs',
    guards: () => [jsonSchemaArgs()],
    options: { schema: thirds },
    passes: notByThree,
    codes: ['ARGS_INVALID'],
  },
  {
    name: 'all together',
    guards: () => [
      budget({ usd: 7, per: 'day' }),
      egress({ allow: ['a.test'] }),
      budget({ usd: 0.18, per: 'call' }),
      callCap({ max: 15, scope: 'org' }),
      args({ tool: notThird }),
      rateLimit({ max: 14, per: '1h' }),
      budget({ usd: 2.51, per: '24h' }),
      jsonSchemaArgs({ tool: thirds }),
      budget({ sat: 100, scope: 'org' }),
    ],
    options: { cost: { usd: 0.18, sat: '2.001' }, url },
    passes: (n) => n % 2 === 0 && notByThree(n),
    fit: 13,
    codes: ['ARGS_INVALID', 'BUDGET_EXCEEDED', 'EGRESS_DENIED'],
  },
];
const ALL = CASES.at(-1) as Case;

/** How many of calls 0 to n - 1, made `times` times, run. */
function expected({ passes = () => true, fit = Number.POSITIVE_INFINITY }: Case, n: number, times = 1): number {
  return Math.min(fit, times * [...Array(n).keys()].filter(passes).length);
}

/** Starts n calls at once; tells how many tools ran and with which codes the others were refused. */
async function burst(kit: Kit, { options }: Case, n: number, behaviours: readonly Behaviour[], send?: Send) {
  let ran = 0;
  const tool = kit.leash.wrap(
    'tool',
    ({ n: i }: Args) => {
      ran++;
      return behave(behaviours[i % behaviours.length] as Behaviour, send);
    },
    options,
  );
  const calls = Array.from({ length: n }, (_, i) => tool({ n: i }));
  const startedAtOnce = ran;
  const codes = new Set<string>();
  let refused = 0;
  for (const result of await Promise.allSettled(calls)) {
    if (result.status === 'fulfilled') expect(result.value).toBe('ran');
    else if (!(result.reason instanceof ToolError)) {
      refused++;
      codes.add((result.reason as DeniedError).code);
    }
  }
  expect(ran + refused).toBe(n);
  return { ran, startedAtOnce, codes: [...codes].sort() };
}

const parts = [
  { how: 'parts that answer at once', send: undefined },
  { how: 'parts that answer later', send: atOnce },
] as const;

describe.each(parts)('parallel calls under a leash, with $how', ({ send }) => {
  describe.each(CASES)('$name', (each) => {
    it.each([50, 1000])('runs exactly as many of %s as fit', async (n) => {
      const kit = new Kit(each.guards(), send);
      const { ran, startedAtOnce, codes } = await burst(kit, each, n, BEHAVIOURS);
      expect(ran).toBe(expected(each, n));
      expect(codes).toEqual(ran === n ? [] : each.codes);
      // Frameworks that count their running tools rely on it: what answers at once starts at once.
      expect(startedAtOnce).toBe(send === undefined ? ran : 0);
      expect(await kit.leash.usage()).toMatchObject({ calls: ran, denied: n - ran });
      await kit.expectSettled();
      const { ran: again } = await burst(kit, each, 50, BEHAVIOURS);
      expect(ran + again).toBe(expected(each, n) === each.fit ? each.fit : ran + expected(each, 50));
      await kit.expectSettled();
    });
  });

  it.each(BEHAVIOURS)('runs exactly as many as fit where every tool %s', async (behaviour) => {
    const kit = new Kit(ALL.guards(), send);
    expect((await burst(kit, ALL, 200, [behaviour])).ran).toBe(13);
    await kit.expectSettled();
    expect(await kit.leash.usage()).toMatchObject({ usd: '2.34', sat: '26.013' });
  });
});

/** A tool that goes on until its call is aborted, and the tools that are running. */
function untilAborted(running: Set<string>): () => Promise<never> {
  return () => {
    const { id, signal } = currentCall() as Call;
    running.add(id);
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        running.delete(id);
        reject(signal.reason);
      });
    });
  };
}

function codesOf(results: readonly PromiseSettledResult<unknown>[]): Record<string, number> {
  const codes: Record<string, number> = {};
  for (const result of results) {
    const code = result.status === 'fulfilled' ? 'fulfilled' : (result.reason as DeniedError).code;
    codes[code] = (codes[code] ?? 0) + 1;
  }
  return codes;
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await null;
}

describe('a leash that ends while calls run', () => {
  it('runs 5 of 100 calls of $0.18 under a budget of $1.00, and aborts them with the first denial', async () => {
    const kit = new Kit([budget({ usd: '$1.00' })], undefined, {});
    const running = new Set<string>();
    const pay = kit.leash.wrap('pay', untilAborted(running), { cost: '$0.18' });
    const calls = Promise.allSettled(Array.from({ length: 100 }, () => pay()));
    const { breach } = kit.leash;
    expect(breach).toMatchObject({ code: 'BUDGET_EXCEEDED', reason: 'in_flight', remaining: '0.1' });
    const results = await calls;
    expect(results.slice(0, 6)).toEqual(Array(6).fill({ status: 'rejected', reason: breach }));
    expect(codesOf(results)).toEqual({ BUDGET_EXCEEDED: 6, SESSION_BREACHED: 94 });
    expect(await kit.leash.usage()).toMatchObject({ calls: 5, denied: 95, usd: '0.9' });
    await kit.expectSettled();
  });

  it('runs 5 of 100 calls of $0.18 that return at once, throw or take their time', async () => {
    for (const behaviour of BEHAVIOURS) {
      const kit = new Kit([budget({ usd: '$1.00' })], undefined, {});
      let ran = 0;
      const run = () => {
        ran++;
        return behave(behaviour);
      };
      const pay = kit.leash.wrap('pay', run, { cost: '$0.18' });
      await Promise.allSettled(Array.from({ length: 100 }, () => pay()));
      expect(ran).toBe(5);
      await kit.expectSettled();
    }
  });

  describe.each(parts)('with $how', ({ send }) => {
    it.each([50, 1000])('keeps the estimate of what was stopped among %s calls', async (n) => {
      const kit = new Kit(ALL.guards(), send);
      const running = new Set<string>();
      const tool = kit.leash.wrap<[Args], never>('tool', untilAborted(running), ALL.options);
      const calls = Array.from({ length: n }, (_, i) => tool({ n: 6 * i + 2 }));
      await turns(send === undefined ? 0 : 200);
      expect(running.size).toBe(13);
      expect((await kit.leash.usage()).limits).toContainEqual(expect.objectContaining({ held: '2.34', spent: '0' }));
      kit.leash.stop('enough');
      expect(running.size).toBe(0);
      expect(codesOf(await Promise.allSettled(calls))).toEqual({ SESSION_STOPPED: 13, BUDGET_EXCEEDED: n - 13 });
      expect(await kit.leash.usage()).toMatchObject({ calls: 13, usd: '2.34', sat: '26.013' });
      await kit.expectSettled();
      await expect(tool({ n: 2 })).rejects.toMatchObject({ code: 'SESSION_STOPPED' });
    });

    it('takes what is still held for spent when it is closed', async () => {
      const kit = new Kit([budget({ usd: 1, scope: 'org' }), callCap({ max: 9, scope: 'org' })], send);
      const running = new Set<string>();
      const pay = kit.leash.wrap('pay', untilAborted(running), { cost: '$0.18' });
      const calls = Array.from({ length: 50 }, () => pay());
      await turns(send === undefined ? 0 : 200);
      expect(await kit.leash.close()).toMatchObject({ calls: 5, denied: 45, usd: '0.9' });
      expect(codesOf(await Promise.allSettled(calls))).toEqual({ SESSION_CLOSED: 5, BUDGET_EXCEEDED: 45 });
      expect((await kit.leash.usage()).limits).toMatchObject([
        { spent: '0.9', held: '0' },
        { spent: 5, held: 0 },
      ]);
      await kit.expectSettled(true);
    });

    it('lets no more run than fit where the first denial ends it, and keeps nothing held', async () => {
      const kit = new Kit(ALL.guards(), send, {});
      const { ran } = await burst(kit, { ...ALL, passes: () => true }, 200, ['resolves late']);
      expect(ran).toBeLessThanOrEqual(13);
      await kit.expectSettled();
    });

    it('gives back what failed, where the tool says so, and never lets more run than fit', async () => {
      const kit = new Kit([budget({ usd: 1 })], send);
      let [running, most, paid] = [0, 0, 0];
      const pay = kit.leash.wrap(
        'pay',
        async (i: number) => {
          most = Math.max(most, ++running + paid);
          await null;
          running--;
          if (i % 2 === 0) throw new ToolError();
          paid++;
        },
        { cost: '$0.18', onError: 'refund' },
      );
      for (let i = 0; i < 40; i += 4) await Promise.allSettled([0, 1, 2, 3].map((offset) => pay(i + offset)));
      expect(most).toBe(5);
      while (paid < 5) await pay(1);
      await expect(pay(1)).rejects.toMatchObject({ reason: 'exhausted' });
      expect((await kit.leash.usage()).usd).toBe('0.9');
      await kit.expectSettled();
    });

    it('holds parent, children and grandchildren to the budget of the parent', async () => {
      const kit = new Kit([budget({ usd: 1 }), callCap(1000)], send);
      const generations = [kit.leash];
      for (let i = 0; i < 6; i++) {
        const parent = generations[Math.floor(i / 2)] as Leash;
        generations.push(parent.child({ guards: i % 2 === 0 ? [] : [budget({ usd: 0.5 }), callCap(40)] }));
      }
      let ran = 0;
      const tools = generations.map((leash) => leash.wrap('pay', async () => ran++, { cost: '$0.18' }));
      const results = await Promise.allSettled(Array.from({ length: 100 }, (_, i) => tools[i % 7]?.()));
      expect(ran).toBe(5);
      expect(codesOf(results)).toEqual({ fulfilled: 5, BUDGET_EXCEEDED: 95 });
      const usages = await Promise.all(generations.map((leash) => leash.usage()));
      expect(usages.reduce((calls, usage) => calls + usage.calls, 0)).toBe(5);
      for (const { limits } of usages) {
        expect(limits.slice(-2)).toMatchObject([
          { spent: '0.9', held: '0' },
          { spent: 5, held: 0 },
        ]);
      }
    });
  });
});

function scheduled(scheduler: fc.Scheduler): Send {
  return async (label, action) => {
    await scheduler.schedule(Promise.resolve(), `${label} arrives`);
    const answer = await action();
    await scheduler.schedule(Promise.resolve(), `${label} is answered`);
    return answer;
  };
}

describe('parallel calls whose requests and answers come in any order', () => {
  const cases = fc.constantFrom(...CASES.filter(({ fit = 0 }) => fit < 20));
  const behaviours = fc.array(fc.constantFrom(...BEHAVIOURS), { minLength: 1, maxLength: 4 });

  it('run exactly as many as fit', async () => {
    const law = fc.asyncProperty(fc.scheduler(), cases, behaviours, async (scheduler, each, kinds) => {
      const send = scheduled(scheduler);
      const kit = new Kit(each.guards(), send);
      const { ran } = await scheduler.waitFor(burst(kit, each, 40, kinds, send));
      expect(ran).toBe(expected(each, 40));
      await scheduler.waitFor(kit.expectSettled());
    });
    await fc.assert(law, { numRuns: 100 });
  }, 60_000);

  it.each([
    { name: 'is stopped', end: (leash: Leash) => leash.stop('enough'), code: 'SESSION_STOPPED' },
    { name: 'is closed', end: (leash: Leash) => void leash.close(), code: 'SESSION_CLOSED' },
    { name: 'breaks off', end: () => undefined, code: 'SESSION_BREACHED' },
  ])(
    'leave nothing held when the leash $name at any moment',
    async ({ end, code }) => {
      const aborted = 'is aborted';
      const kinds = fc.array(fc.constantFrom(aborted, ...BEHAVIOURS), { minLength: 1, maxLength: 4 });
      const law = fc.asyncProperty(fc.scheduler(), kinds, fc.nat({ max: 20 }), async (scheduler, does, after) => {
        const send = scheduled(scheduler);
        const kit = new Kit(ALL.guards(), send, code === 'SESSION_BREACHED' ? {} : { stopOn: 'none' });
        let ran = 0;
        const run = ({ n }: Args) => {
          ran++;
          const kind = does[n % does.length] as Behaviour | typeof aborted;
          return kind === aborted ? untilAborted(new Set())() : behave(kind, send);
        };
        const tool = kit.leash.wrap('tool', run, ALL.options);
        const calls = Promise.allSettled(Array.from({ length: 24 }, (_, n) => tool({ n })));
        for (let i = 0; i < after; i++) await scheduler.waitNext(1);
        end(kit.leash);
        await scheduler.waitIdle();
        // Where the session did not break off after all, somebody has to.
        kit.leash.stop('enough');
        const results = await scheduler.waitFor(calls);
        expect(ran).toBeLessThanOrEqual(expected(ALL, 24));
        const codes = Object.keys(codesOf(results));
        expect(['fulfilled', 'undefined', code, 'SESSION_STOPPED', ...ALL.codes]).toEqual(
          expect.arrayContaining(codes),
        );
        expect(results.filter(({ status }) => status === 'fulfilled').length).toBeLessThanOrEqual(ran);
        await scheduler.waitFor(kit.leash.close());
        await scheduler.waitFor(kit.expectSettled(true));
      });
      await fc.assert(law, { numRuns: 100 });
    },
    60_000,
  );

  it('never run more than fit where requests and answers get lost, and hold nothing once the leases have ended', async () => {
    const fates = fc.infiniteStream(fc.constantFrom('ok', 'ok', 'ok', 'ok', 'request lost', 'answer lost'));
    const law = fc.asyncProperty(fc.scheduler(), fates, fc.nat({ max: 2 }), async (scheduler, stream, retries) => {
      const lossy: Send = async (label, action) => {
        await scheduler.schedule(Promise.resolve(), `${label} arrives`);
        const fate = label === 'reserve' || label === 'settle' ? stream.next().value : 'ok';
        if (fate === 'request lost') throw new Error('lost');
        const answer = await action();
        await scheduler.schedule(Promise.resolve(), `${label} is answered`);
        if (fate === 'answer lost') throw new Error('lost');
        return answer;
      };
      const kit = new Kit([budget({ usd: 1, scope: 'org' }), callCap({ max: 20, scope: 'org' })], lossy);
      let [running, spent] = [0, 0];
      const run = async () => {
        running += 18;
        expect(running + spent).toBeLessThanOrEqual(100);
        await scheduler.schedule(Promise.resolve(), 'tool');
        running -= 18;
        spent += 9;
      };
      const pay = kit.leash.wrap('pay', run, { cost: '$0.18', actualCost: () => '$0.09' });
      const attempt = async () => {
        for (let i = 0; i <= retries; i++) if ((await pay().catch(({ code }) => code)) !== 'STORE_UNAVAILABLE') return;
      };
      await scheduler.waitFor(Promise.all(Array.from({ length: 16 }, attempt)));
      await scheduler.waitIdle();
      kit.clock.advance(300_000);
      await kit.memory.sweep(100);
      const { 'shared:org': counters = {} } = await kit.memory.read(['shared:org']);
      const [usd, calls] = [counters['usd/session'], counters['call/session']];
      expect([usd?.held ?? 0, calls?.held ?? 0]).toEqual([0, 0]);
      expect(usd?.used ?? 0).toBeGreaterThanOrEqual(spent * 1e7);
      expect(usd?.used ?? 0).toBeLessThanOrEqual(1e9);
      expect(calls?.used ?? 0).toBeGreaterThanOrEqual(spent / 9);
    });
    await fc.assert(law, { numRuns: 150 });
  }, 60_000);
});
