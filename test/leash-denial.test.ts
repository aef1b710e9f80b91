import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jsonSchemaArgs } from '../src/adapters/ajv.ts';
import { memorySink } from '../src/audit/memory-sink.ts';
import type { DeniedError } from '../src/errors.ts';
import type { Guard } from '../src/guard.ts';
import { type ArgsOptions, args, type StandardSchema } from '../src/guards/args.ts';
import { budget } from '../src/guards/budget.ts';
import { callCap } from '../src/guards/call-cap.ts';
import { type EgressOptions, egress } from '../src/guards/egress.ts';
import { rateLimit } from '../src/guards/rate-limit.ts';
import type { MaybePromise } from '../src/internal/maybe-promise.ts';
import { createLeash } from '../src/leash.ts';
import type { Leash } from '../src/leash-contract.ts';
import type { LeashOptions } from '../src/leash-options.ts';
import type { CallRequest } from '../src/session/declaration.ts';
import type { Ticket } from '../src/session/ticket.ts';
import { memoryStore } from '../src/stores/memory.ts';
import type { Store } from '../src/stores/store.ts';
import { FakeClock } from './helpers/clock.ts';
import { guardContract } from './helpers/guard-contract.ts';
import { storeThrough, storeWith } from './helpers/store-around.ts';

/** A validator that knows one word. */
const says = (word: string): StandardSchema => ({
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => ((value as { say?: unknown }).say === word ? { value } : { issues: [{ path: ['say'] }] }),
  },
});
const jsonSays = (word: string) => ({ properties: { say: { const: word } }, required: ['say'], type: 'object' });

/** A memory store, what was asked of it, and everything that can be seen of it. */
class WatchedStore implements Store {
  readonly asked: string[] = [];
  readonly scopes = new Set<string>();
  readonly #memory: Store;

  constructor(clock: FakeClock) {
    this.#memory = memoryStore({ clock });
  }
  open(scopes: readonly string[]): ReturnType<Store['open']> {
    for (const scope of scopes) this.scopes.add(scope);
    return this.#memory.open(scopes);
  }
  reserve(...batch: Parameters<Store['reserve']>): ReturnType<Store['reserve']> {
    this.asked.push('reserve');
    return this.#memory.reserve(...batch);
  }
  settle(...batch: Parameters<Store['settle']>): ReturnType<Store['settle']> {
    this.asked.push('settle');
    return this.#memory.settle(...batch);
  }
  read(scopes: readonly string[]): ReturnType<Store['read']> {
    return this.#memory.read(scopes);
  }
  sweep(limit: number): ReturnType<Store['sweep']> {
    return this.#memory.sweep(limit);
  }
  shut(scope: string): ReturnType<Store['shut']> {
    return this.#memory.shut(scope);
  }
  stop(scope: string): ReturnType<Store['stop']> {
    return this.#memory.stop(scope);
  }
  resume(scope: string): ReturnType<Store['resume']> {
    return this.#memory.resume(scope);
  }
  /** `[used, held]` of every counter; one at zero is the same as none. */
  async state(): Promise<Readonly<Record<string, readonly number[]>>> {
    const all: Record<string, number[]> = {};
    for (const [scope, meters] of Object.entries(await this.read([...this.scopes]))) {
      for (const [meter, { used, held }] of Object.entries(meters)) {
        if (used !== 0 || held !== 0) all[`${scope} ${meter}`] = [used, held];
      }
    }
    return all;
  }
}

/** Guards that count every call and have room for all of them. */
const roomy = (): readonly Guard[] => [
  budget({ usd: 1000 }),
  budget({ sat: 1000, per: '24h' }),
  budget({ usd: 1000, per: 'month', scope: 'org' }),
  callCap(1000),
  callCap({ max: 1000, per: 'day', scope: 'org' }),
  rateLimit({ max: 1000, per: '1h' }),
];

function fail(): never {
  throw new Error('gone');
}

interface Refusal {
  readonly name: string;
  readonly guard?: () => Guard;
  /** Calls that run before, and one that goes on running. */
  readonly before?: readonly CallRequest[];
  readonly during?: CallRequest;
  readonly call: CallRequest;
  readonly error: object;
  /** What of the store the refusal needs. */
  readonly asks: readonly string[];
}

const pay = (usd: number): CallRequest => ({ tool: 'pay', cost: { usd } });
const zap = (sat: number): CallRequest => ({ tool: 'zap', cost: { sat } });
const look: CallRequest = { tool: 'look', cost: 'free' };
const NOTHING = [] as const;
const RESERVE = ['reserve'] as const;
const denied = (code: string, reason: string) => ({ code, reason });

const REFUSALS: readonly Refusal[] = [
  ...[
    { name: 'budget that a call exceeds', before: [], call: pay(1.5), reason: 'exceeds_cap' },
    { name: 'budget that is spent', before: [pay(0.4)], call: pay(0.7), reason: 'exhausted' },
    { name: 'budget that is held', before: [pay(0.4)], call: pay(0.4), reason: 'in_flight' },
  ].flatMap(({ name, before, call, reason }) =>
    ([{}, { per: '24h' }, { per: 'day' }, { scope: 'shared' }, { tools: ['pay'] }] as const).map((more) => ({
      name: `${name} ${JSON.stringify(more)}`,
      guard: () => budget({ usd: 1, ...more }),
      before,
      during: pay(0.3),
      call,
      error: denied('BUDGET_EXCEEDED', reason),
      asks: RESERVE,
    })),
  ),
  {
    name: 'budget in sat',
    guard: () => budget({ sat: 10 }),
    before: [zap(6)],
    call: zap(5),
    error: denied('BUDGET_EXCEEDED', 'exhausted'),
    asks: RESERVE,
  },
  {
    name: 'budget for each call',
    guard: () => budget({ usd: 1, per: 'call' }),
    before: [pay(1)],
    call: pay(1.1),
    error: denied('BUDGET_EXCEEDED', 'exceeds_cap'),
    asks: NOTHING,
  },
  {
    name: 'call cap',
    guard: () => callCap({ max: 2, tools: ['look'] }),
    before: [look],
    during: look,
    call: look,
    error: denied('CALL_CAP_REACHED', 'exhausted'),
    asks: RESERVE,
  },
  {
    name: 'call cap of none',
    guard: () => callCap({ max: 0, tools: ['look'], per: 'week', scope: 'shared' }),
    call: look,
    error: denied('CALL_CAP_REACHED', 'exceeds_cap'),
    asks: RESERVE,
  },
  {
    name: 'rate limit',
    guard: () => rateLimit({ max: 2, per: '1m', tools: ['look'] }),
    before: [look],
    during: look,
    call: look,
    error: denied('RATE_LIMITED', 'exhausted'),
    asks: RESERVE,
  },
  {
    name: 'egress allowlist',
    guard: () => egress({ allow: ['a.test'] }),
    call: { ...look, url: 'https://b.test/' },
    error: denied('EGRESS_DENIED', 'host-not-allowed'),
    asks: NOTHING,
  },
  {
    name: 'Standard Schema',
    guard: () => args({ look: says('hello') }, { unchecked: 'all' }),
    call: { ...look, args: { say: 'no' } },
    error: denied('ARGS_INVALID', 'schema'),
    asks: NOTHING,
  },
  {
    name: 'JSON Schema',
    guard: () => jsonSchemaArgs({ look: jsonSays('hello') }, { unchecked: 'all' }),
    call: { ...look, args: {} },
    error: denied('ARGS_INVALID', 'schema'),
    asks: NOTHING,
  },
  ...[
    { name: 'no', check: () => ({ allow: false, code: 'MINE', reason: 'no' }), error: denied('MINE', 'no') },
    {
      name: 'no later',
      check: async () => ({ allow: false, code: 'MINE', reason: 'no' }),
      error: denied('MINE', 'no'),
    },
    { name: 'nothing', check: () => undefined, error: denied('GUARD_FAILED', 'guard-failed') },
    { name: '{ allow: 1 }', check: () => ({ allow: 1 }), error: denied('GUARD_FAILED', 'guard-failed') },
    { name: 'an error', check: () => Promise.reject(new Error()), error: denied('GUARD_FAILED', 'guard-failed') },
  ].map(({ name, check, error }) => ({
    name: `guard of one's own that answers with ${name}`,
    guard: () =>
      ({ name: 'mine', check: (call: { tool: string }) => (call.tool === 'look' ? check() : ALLOW) }) as Guard,
    call: look,
    error,
    asks: NOTHING,
  })),
  {
    name: 'session, for arguments that are no JSON',
    call: { ...look, args: Number.NaN },
    error: denied('ARGS_INVALID', 'not-json'),
    asks: NOTHING,
  },
  {
    name: 'store, for a key whose call still runs',
    during: { ...pay(0.3), idempotencyKey: 'k' },
    call: { ...pay(0.3), idempotencyKey: 'k' },
    error: { code: 'CONFLICT' },
    asks: RESERVE,
  },
  {
    name: 'store, for a key that was used for another cost',
    before: [{ ...pay(0.3), idempotencyKey: 'k' }],
    call: { ...pay(0.4), idempotencyKey: 'k' },
    error: { code: 'CONFLICT' },
    asks: RESERVE,
  },
];

const ALLOW = { allow: true };

describe('a denial', () => {
  const positions = ['first', 'in the middle', 'last', 'in the parent'] as const;

  describe.each(positions)('by a guard that stands %s', (position) => {
    it.each(REFUSALS)('changes no counter: $name', async ({ guard, before = [], during, call, error, asks }) => {
      const clock = new FakeClock();
      const store = new WatchedStore(clock);
      const around = roomy();
      const mine = guard === undefined ? [] : [guard()];
      const middle = position === 'first' ? 0 : position === 'in the middle' ? 3 : around.length;
      const guards = [...around.slice(0, middle), ...mine, ...around.slice(middle)];
      const more = { clock, store, stopOn: 'none' } as const;
      const parent = createLeash({ guards: position === 'in the parent' ? guards : roomy(), ...more });
      const leash = parent.child({ guards: position === 'in the parent' ? roomy() : guards });
      for (const each of before) await leash.run(each, () => 1);
      if (during !== undefined) await leash.enter(during);
      // Everything has counted something, and holds something.
      await leash.enter({ tool: 'other', cost: 'free' });
      const state = await store.state();
      const [usage, above] = [await leash.usage(), await parent.usage()];
      const asked = store.asked.length;
      for (let again = 0; again < 3; again++) {
        const refused = leash.run(call, () => expect.unreachable());
        await expect(refused).rejects.toMatchObject(error);
        expect(await store.state()).toEqual(state);
      }
      expect(store.asked.slice(asked)).toEqual([...asks, ...asks, ...asks]);
      expect(await leash.usage()).toEqual({ ...usage, denied: 3 });
      expect(await parent.usage()).toEqual(above);
    });
  });

  const session = (more: Partial<LeashOptions> = {}) => {
    const clock = new FakeClock();
    const store = new WatchedStore(clock);
    const leash = createLeash({ guards: [...roomy(), budget({ usd: 5 })], clock, store, ...more });
    return { leash, store };
  };

  it.each<{ name: string; end: (leash: Leash) => unknown; code: string }>([
    { name: 'was stopped', end: (leash) => leash.stop('enough'), code: 'SESSION_STOPPED' },
    { name: 'broke off', end: (leash) => leash.run(pay(9), () => 1).catch(() => 1), code: 'SESSION_BREACHED' },
  ])('by a session that $name changes no counter', async ({ end, code }) => {
    const { leash, store } = session();
    await leash.run(pay(1), () => 1);
    await leash.enter(pay(1));
    await end(leash);
    const [state, asked] = [await store.state(), store.asked.length];
    await expect(leash.run(look, () => 1)).rejects.toMatchObject({ code });
    await expect(async () => leash.enter(pay(0.1))).rejects.toMatchObject({ code });
    await expect(async () => leash.hold({ usd: 0.1 })).rejects.toMatchObject({ code });
    await expect(leash.child({ guards: [] }).run(look, () => 1)).rejects.toMatchObject({ code });
    expect(await leash.peek(look)).toMatchObject({ allow: false, code });
    expect(await store.state()).toEqual(state);
    expect(store.asked.length).toBe(asked);
  });

  it('of spend that is no call changes no counter', async () => {
    const { leash, store } = session({ stopOn: 'none' });
    await leash.charge({ usd: 1 });
    await leash.hold({ usd: 2 });
    const state = await store.state();
    for (const [usd, reason] of [
      [5.1, 'exceeds_cap'],
      [4.1, 'exhausted'],
      [2.1, 'in_flight'],
    ] as const) {
      await expect(async () => leash.hold({ usd })).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED', reason });
      expect(await store.state()).toEqual(state);
    }
  });

  it.each(['at once', 'later'])('for a log that fails %s gives back all that was reserved', async (when) => {
    const sink = memorySink();
    let broken = false;
    const { leash, store } = session({
      audit: {
        name: 'broken',
        write(...lines) {
          if (!broken) return sink.write(...lines);
          if (when === 'later') return Promise.reject(new Error('disk full'));
          throw new Error('disk full');
        },
      },
    });
    await leash.run(pay(1), () => 1);
    const state = await store.state();
    broken = true;
    const refused = leash.run(pay(1), () => expect.unreachable());
    await expect(refused).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    expect(await store.state()).toEqual(state);
    expect(store.asked.slice(-2)).toEqual(['reserve', 'settle']);
  });

  it.each([
    { name: 'throws', answer: () => fail() },
    { name: 'rejects', answer: () => Promise.reject(new Error('gone')) },
    { name: 'answers nothing', answer: () => [] as never },
    { name: 'answers nonsense later', answer: async () => [{ ok: 'yes' }] as never },
  ])('for a store that has reserved and then $name leaves nothing reserved', async ({ answer }) => {
    const clock = new FakeClock();
    const store = new WatchedStore(clock);
    let broken = false;
    const reserve: Store['reserve'] = (batch) => {
      const decided = store.reserve(batch);
      return broken ? answer() : decided;
    };
    const flaky = storeWith({ reserve }, store);
    const leash = createLeash({ guards: [...roomy(), budget({ usd: 5 })], clock, store: flaky });
    await leash.run(pay(1), () => 1);
    const state = await store.state();
    broken = true;
    const refused = { code: 'STORE_UNAVAILABLE' };
    await expect(leash.run(pay(1), () => expect.unreachable())).rejects.toMatchObject(refused);
    await expect(async () => leash.hold({ usd: 1 })).rejects.toMatchObject(refused);
    expect(await store.state()).toEqual(state);
    expect(leash.breach).toBeUndefined();
    broken = false;
    await expect(leash.run(pay(1), () => 'ran')).resolves.toBe('ran');
    // What a key holds may belong to another call, and what was charged is spent: neither is given back.
    broken = true;
    const keyed = { ...pay(1), idempotencyKey: 'k' };
    await expect(leash.run(keyed, () => expect.unreachable())).rejects.toMatchObject(refused);
    expect((await leash.usage()).limits[0]).toMatchObject({ spent: '2', held: '1' });
    await expect(async () => leash.charge({ usd: 1 })).rejects.toMatchObject(refused);
    expect((await leash.usage()).limits[0]).toMatchObject({ spent: '2', held: '2' });
  });
});

describe('a call that cannot fit', () => {
  it('never denies one beside it that does', async () => {
    const guards = [
      budget({ usd: 5.2 }),
      budget({ usd: 1, per: 'day', scope: 'org' }),
      budget({ usd: 5.4, per: '1h' }),
    ];
    const law = fc.asyncProperty(fc.scheduler(), fc.shuffledSubarray(guards, { minLength: 3 }), async (wire, order) => {
      const memory = memoryStore();
      const send = async <T>(what: string, action: () => MaybePromise<T>): Promise<T> => {
        await wire.schedule(Promise.resolve(), `${what} arrives`);
        const answer = await action();
        await wire.schedule(Promise.resolve(), `${what} is answered`);
        return answer;
      };
      const store = storeWith({ read: (scopes) => memory.read(scopes) }, storeThrough(send, memory));
      const leash = createLeash({ guards: order, store, stopOn: 'none' });
      const run = (usd: number) => leash.run(pay(usd), () => send('tool', () => usd)).catch((e: DeniedError) => e.code);
      const no = 'BUDGET_EXCEEDED';
      const results = await wire.waitFor(Promise.all([run(5), run(0.5), run(5), run(0.5), run(5)]));
      expect(results).toEqual([no, 0.5, no, 0.5, no]);
      expect((await leash.usage()).limits.map(({ spent, held }) => [spent, held])).toEqual(Array(3).fill(['1', '0']));
    });
    await fc.assert(law, { numRuns: 200 });
  }, 60_000);
});

describe('guards in any company and any order', () => {
  const all: readonly (() => Guard)[] = [
    () => budget({ usd: 4 }),
    () => budget({ usd: 2, per: 'call' }),
    () => budget({ usd: 3, per: 100, tools: ['pay'] }),
    () => budget({ usd: 5, per: 'day', scope: 'org' }),
    () => callCap(6),
    () => callCap({ max: 2, per: 150, tools: ['look'] }),
    () => rateLimit({ max: 3, per: 60 }),
    () => egress({ allow: ['a.test'] }),
    () => args({ look: says('hello') }, { unchecked: 'all' }),
    () => jsonSchemaArgs({ pay: jsonSays('hello') }, { unchecked: 'all' }),
  ];
  /** Stands in for a guard that a call's `url` needs, and holds nothing. */
  const open: Guard = {
    name: 'open',
    prepare: () => ({ urls: 'held', schema: 'held' }),
    check: () => ({ allow: true }),
  };
  const traffic = fc.array(
    fc.record({
      tool: fc.constantFrom('pay', 'look'),
      say: fc.constantFrom('hello', 'hello', 'hello', 'bye'),
      usd: fc.constantFrom(0, 1, 1, 2, 3),
      host: fc.constantFrom('a', 'a', 'a', 'b'),
      wait: fc.constantFrom(0, 0, 10, 40),
    }),
    { maxLength: 16, size: 'max' },
  );

  it('refuse the calls that one of them alone refuses, for its reason', async () => {
    const order = fc.shuffledSubarray([...all.keys()], { minLength: 1 });
    const law = fc.asyncProperty(order, traffic, async (chosen, calls) => {
      const clock = new FakeClock();
      const leashOf = (guards: readonly Guard[]) => createLeash({ guards: [...guards, open], clock, stopOn: 'none' });
      const guards = chosen.map((i) => (all[i] as () => Guard)());
      const together = leashOf(guards);
      const alone = guards.map((guard) => leashOf([guard]));
      for (const { tool, say, usd, host, wait } of calls) {
        clock.advance(wait);
        const call = { tool, args: { say }, cost: { usd }, url: `https://${host}.test/` };
        const refusals = (await Promise.all(alone.map((leash) => leash.peek(call)))).filter(({ allow }) => !allow);
        const told = await together.run(call, () => 'ran').catch((error: DeniedError) => error);
        if (told === 'ran') {
          expect(refusals).toEqual([]);
          await Promise.all(alone.map((leash) => leash.run(call, () => 'ran')));
        } else {
          const { guard, code, reason, limit } = told as DeniedError;
          expect(refusals).toContainEqual(expect.objectContaining({ guard, code, reason, ...(limit && { limit }) }));
        }
      }
    });
    await fc.assert(law, { numRuns: 150 });
  }, 60_000);

  it('leave the same counters behind', async () => {
    const law = fc.asyncProperty(fc.shuffledSubarray([...all], { minLength: 10 }), traffic, async (order, calls) => {
      const clock = new FakeClock();
      const leashes = [all, order].map((guards) =>
        createLeash({ guards: guards.map((make) => make()), clock, stopOn: 'none', id: 'same' }),
      );
      const open: Ticket[][] = [];
      for (const { tool, say, usd, host, wait } of calls) {
        clock.advance(wait);
        const call = { tool, args: { say }, cost: { usd }, url: `https://${host}.test/` };
        const tickets = await Promise.all(
          leashes.map(async (leash) => leash.enter(call)).map((entered) => entered.catch(() => undefined)),
        );
        expect(tickets[0] === undefined).toBe(tickets[1] === undefined);
        if (tickets[0] !== undefined) open.push(tickets as Ticket[]);
        if (wait > 0) for (const ticket of open.shift() ?? []) await ticket.settle({ usd: usd / 2 });
        const [one, other] = await Promise.all(leashes.map((leash) => leash.usage()));
        const sorted = (limits: readonly object[] = []) => limits.map((limit) => JSON.stringify(limit)).sort();
        expect(sorted(one?.limits)).toEqual(sorted(other?.limits));
        expect({ ...one, limits: [] }).toEqual({ ...other, limits: [] });
      }
    });
    await fc.assert(law, { numRuns: 60 });
  }, 60_000);
});

const badOptions = (make: (options: never) => Guard, option: string, message: RegExp) => [
  { name: 'an unknown option', make: () => make({ [option]: 1 } as never), error: TypeError, message },
];

guardContract({
  name: 'egress',
  make: () => egress({ allow: ['a.test'] }),
  others: [
    { allow: [] },
    { allow: ['a.test', 'b.test'] },
    { allow: ['http://a.test'] },
    { allow: ['a.test'], deny: ['a.test'] },
    { allow: [{ host: 'a.test', methods: ['GET'] }] },
    { allow: [{ host: 'a.test', path: '/v1' }] },
  ].map((options) => () => egress(options as EgressOptions)),
  allowed: { tool: 'get', url: 'https://a.test/' },
  first: 1,
  refused: { tool: 'get', url: 'https://b.test/' },
  code: 'EGRESS_DENIED',
  reason: 'host-not-allowed',
  limit: undefined,
  mistakes: [
    ...badOptions(egress, 'alow', /^egress: unknown option `alow`/),
    {
      name: 'nothing',
      make: () => egress(undefined as never),
      error: TypeError,
      message: /^egress expects an options/,
    },
    {
      name: 'no list',
      make: () => egress({ allow: 'a.test' } as never),
      error: TypeError,
      message: /`egress\.allow` /,
    },
    {
      name: 'no rule',
      make: () => egress({ allow: [Number.NaN] } as never),
      error: TypeError,
      message: /egress\.allow/,
    },
    { name: 'any host', make: () => egress({ allow: ['*'] }), error: TypeError, message: /egress\.allow/ },
  ],
});

const hello: CallRequest = { tool: 'greet', args: { say: 'hello' } };
const bye: CallRequest = { tool: 'greet', args: { say: 'bye' } };
const invalid = { allowed: hello, first: 1, refused: bye, code: 'ARGS_INVALID', reason: 'schema', limit: undefined };
const some = { properties: { say: { enum: ['hello'] } }, type: 'object' };

guardContract({
  name: 'args',
  make: () => args({ greet: says('hello') }),
  others: [() => args(), () => args({ greet: says('hello') }, { unchecked: 'all' }), () => args({ look: says('a') })],
  ...invalid,
  mistakes: [
    ...badOptions((options: ArgsOptions) => args({}, options), 'uncheckd', /^args: unknown option `uncheckd`/),
    { name: 'no schema', make: () => args({ greet: {} as never }), error: TypeError, message: /tool "greet" is not a/ },
    {
      name: 'a number',
      make: () => args(5 as never),
      error: TypeError,
      message: /^args expects a plain object of schemas/,
    },
    {
      name: 'a list',
      make: () => args({}, { unchecked: 5 as never }),
      error: TypeError,
      message: /^`args\.unchecked`/,
    },
  ],
});

guardContract({
  name: 'json-schema-args',
  make: () => jsonSchemaArgs({ greet: jsonSays('hello') }),
  others: [
    () => jsonSchemaArgs(),
    () => jsonSchemaArgs({ greet: some }),
    () => jsonSchemaArgs({ greet: some }, { unchecked: ['look'] }),
    () => jsonSchemaArgs({ look: some }),
  ],
  ...invalid,
  mistakes: [
    ...badOptions(
      (options: ArgsOptions) => jsonSchemaArgs({}, options),
      'draft',
      /^jsonSchemaArgs: unknown option `draft`/,
    ),
    {
      name: 'a schema that does not compile',
      make: () => jsonSchemaArgs({ greet: { type: 'word' } }),
      error: TypeError,
      message: /tool "greet" does not compile/,
    },
    { name: 'a number', make: () => jsonSchemaArgs(5 as never), error: TypeError, message: /^jsonSchemaArgs expects/ },
  ],
});
