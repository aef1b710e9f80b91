import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type AuditSink,
  budget,
  type Call,
  callCap,
  createLeash,
  currentCall,
  egress,
  type Guard,
  isLeashError,
  type Leash,
  type LeashError,
  type LeashOptions,
  type Limit,
  type MemorySink,
  type Money,
  memorySink,
  memoryStore,
  type OnError,
  rateLimit,
  type Store,
  type Ticket,
} from '../src/index.ts';
import { FakeClock } from './helpers/clock.ts';
import { lateStore } from './helpers/late-store.ts';
import { rejection, thrownBy } from './helpers/refused.ts';
import { hop, redirecting, startServer, type TestServer } from './helpers/server.ts';
import { storeWith } from './helpers/store-around.ts';

const NOTHING_UNBOOKED = { usd: '0', sat: '0', calls: 0 };

interface Line {
  readonly seq: number;
  readonly kind: string;
  readonly call?: string;
  readonly tool?: string;
  readonly code?: string;
  readonly error?: string;
  readonly usd?: string;
  readonly sat?: string;
  readonly overrun?: number;
  readonly note?: string;
  readonly observed?: number;
}

/** The events after the first; checkpoints come in between, when they are due. */
function linesOf(sink: MemorySink): readonly Line[] {
  return sink.lines
    .slice(1)
    .map((line) => JSON.parse(line) as Line)
    .filter(({ kind }) => kind !== 'checkpoint');
}

function kindsOf(sink: MemorySink): readonly string[] {
  return linesOf(sink).map(({ kind }) => kind);
}

/** A leash of $1 that goes on after denials, and its log. */
function leashOf(guards: readonly Guard[] = [budget({ usd: 1 })], options: Partial<LeashOptions> = {}) {
  const sink = memorySink();
  return { sink, leash: createLeash({ guards, audit: sink, stopOn: 'none', ...options }) };
}

const limitOf = async (leash: Leash, index = 0) => (await leash.usage()).limits[index];
const spentOf = async (leash: Leash, index = 0) => {
  const limit = await limitOf(leash, index);
  return [limit?.spent, limit?.held];
};

const idle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('wrap', () => {
  it('gives the function’s result as a promise, its name and its `this`', async () => {
    const { leash } = leashOf([callCap(9)]);
    const account = {
      owner: 'alice',
      pay: leash.wrap('pay', function pay(this: { owner: string }, cents: number) {
        return `${this.owner} paid ${cents}`;
      }),
    };
    expect(account.pay.name).toBe('pay');
    const paid = account.pay(5);
    expect(paid).toBeInstanceOf(Promise);
    expect(await paid).toBe('alice paid 5');
  });

  it('decides and starts before it returns', async () => {
    const { leash, sink } = leashOf([callCap(2)]);
    let started = 0;
    const tool = leash.wrap('tool', async () => ++started);
    const calls = [tool(), tool(), tool(), tool()];
    expect(started).toBe(2);
    expect(kindsOf(sink)).toEqual(['tool_start', 'tool_start', 'tool_denied', 'tool_denied']);
    expect((await Promise.allSettled(calls)).map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'rejected',
    ]);
  });

  it.each([
    {
      name: 'throws',
      body: (own: unknown) => {
        throw own;
      },
    },
    { name: 'rejects', body: (own: unknown) => Promise.reject(own) },
  ])('hands on, as it is, what the tool $name', async ({ body }) => {
    const { leash, sink } = leashOf([callCap(9)]);
    for (const own of [new RangeError('mine'), 'text', undefined, { code: 'E_OWN' }]) {
      const caught: unknown[] = [];
      await leash
        .wrap('tool', () => body(own))()
        .catch((error: unknown) => caught.push(error));
      expect(caught).toEqual([own]);
    }
    expect(linesOf(sink).flatMap(({ error }) => error ?? [])).toEqual(['RangeError', 'string', 'undefined', 'E_OWN']);
  });

  it('waits for a thenable, whatever its class', async () => {
    const { leash, sink } = leashOf([callCap(9)]);
    // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested.
    const thenable = { then: (resolve: (value: string) => void) => resolve('later') };
    expect(await leash.wrap('tool', () => thenable as PromiseLike<string>)()).toBe('later');
    expect(kindsOf(sink)).toEqual(['tool_start', 'tool_ok']);
  });

  const misuses: readonly {
    name: string;
    wrap: (leash: Leash) => unknown;
    error: ErrorConstructor;
    message: string;
  }[] = [
    {
      name: 'no function',
      wrap: (leash) => leash.wrap('t', 7 as never, { cost: 'free' }),
      error: TypeError,
      message: 'tool "t" must be a function',
    },
    { name: 'no name', wrap: (leash) => leash.wrap(7 as never, () => 1), error: TypeError, message: '`tool name`' },
    { name: 'an empty name', wrap: (leash) => leash.wrap('', () => 1), error: RangeError, message: '`tool name`' },
    {
      name: 'an unknown option',
      wrap: (leash) => leash.wrap('t', () => 1, { price: 1 } as never),
      error: TypeError,
      message: 'tool "t": unknown option `price`',
    },
    {
      name: 'a tool without a cost under a budget',
      wrap: (leash) => leash.wrap('t', () => 1),
      error: TypeError,
      message: 'tool "t" has no `cost`, which guard "budget" needs',
    },
    {
      name: 'a cost that is none',
      wrap: (leash) => leash.wrap('t', () => 1, { cost: { usd: -1 } }),
      error: RangeError,
      message: '`cost` of tool "t".usd must be an amount',
    },
    {
      name: 'a schema that nobody checks',
      wrap: (leash) => leash.wrap('t', () => 1, { cost: 'free', schema: {} }),
      error: TypeError,
      message: 'tool "t" has a `schema` that no guard of the leash checks',
    },
    {
      name: 'a URL that nobody checks',
      wrap: (leash) => leash.wrap('t', () => 1, { cost: 'free', url: () => 'https://example.com' }),
      error: TypeError,
      message: 'tool "t" has a `url` that no guard of the leash checks',
    },
    {
      name: 'an option that must be a function',
      wrap: (leash) => leash.wrap('t', () => 1, { cost: 'free', actualCost: 5 as never }),
      error: TypeError,
      message: '`actualCost` of tool "t" must be a function',
    },
    {
      name: 'an onError that is none',
      wrap: (leash) => leash.wrap('t', () => 1, { cost: 'free', onError: 'ignore' as never }),
      error: TypeError,
      message: '`onError of tool "t"` must be \'forfeit\' or',
    },
    {
      name: 'a lease that is too short',
      wrap: (leash) => leash.wrap('t', () => 1, { cost: 'free', leaseMs: 999 }),
      error: RangeError,
      message: '`leaseMs of tool "t"` must be an integer >= 1000',
    },
    {
      name: 'a call that is none',
      wrap: (leash) => leash.enter(7 as never),
      error: TypeError,
      message: 'leash.enter expects a call { tool, args }',
    },
    {
      name: 'a call with an unknown key',
      wrap: (leash) => leash.enter({ tool: 't', cost: 'free', price: 1 } as never),
      error: TypeError,
      message: 'tool "t": unknown option `price`',
    },
  ];
  it.each(misuses)('throws for $name, and counts nothing', async ({ wrap, error, message }) => {
    const { leash, sink } = leashOf();
    const thrown = thrownBy(() => wrap(leash));
    expect(thrown).toBeInstanceOf(error);
    expect(isLeashError(thrown)).toBe(false);
    expect(thrown.message).toContain(message);
    expect(linesOf(sink)).toEqual([]);
    expect(await leash.usage()).toMatchObject({ calls: 0, denied: 0 });
  });

  it.each([
    { name: 'an estimate', cost: { usd: 0.25 }, booked: '0.25' },
    { name: 'a text', cost: '$0.25', booked: '0.25' },
    {
      name: 'a function of the arguments',
      cost: (args: { cents: number }) => ({ usd: args.cents / 100 }),
      booked: '0.05',
    },
    { name: 'nothing', cost: 'free' as const, booked: '0' },
  ])('books $name', async ({ cost, booked }) => {
    const { leash } = leashOf();
    const tool = leash.wrap('tool', async (args: { cents: number }) => args.cents, { cost: cost as Money });
    await tool({ cents: 5 });
    expect(await spentOf(leash)).toEqual([booked, '0']);
  });

  it('books in full what a call really cost, also above its estimate and its budget', async () => {
    const { leash, sink } = leashOf();
    const tool = leash.wrap('tool', async (actual: number) => actual, {
      cost: { usd: 0.5 },
      actualCost: (result) => ({ usd: result }),
    });
    expect(await tool(0.125)).toBe(0.125);
    expect(await spentOf(leash)).toEqual(['0.125', '0']);
    await tool(3);
    expect(await limitOf(leash)).toMatchObject({ spent: '3.125', held: '0', remaining: '-2.125' });
    expect(linesOf(sink).filter(({ kind }) => kind === 'tool_ok')).toMatchObject([
      { usd: '0.125' },
      { usd: '3', overrun: 1 },
    ]);
    expect(linesOf(sink)[1]).not.toHaveProperty('overrun');
    expect(await rejection(tool(0))).toMatchObject({
      code: 'BUDGET_EXCEEDED',
      reason: 'exhausted',
      remaining: '-2.125',
    });
  });

  const ends: readonly { onError?: OnError; told: readonly number[]; booked: string }[] = [
    { told: [], booked: '0.5' },
    { told: [0.125], booked: '0.5' },
    { told: [0.25, 0.5], booked: '0.75' },
    { onError: 'refund', told: [], booked: '0' },
    { onError: 'refund', told: [0.125, 0.125], booked: '0.25' },
    { onError: 'reported', told: [], booked: '0.5' },
    { onError: 'reported', told: [0.125], booked: '0.125' },
    { onError: 'reported', told: [0], booked: '0' },
  ];
  it.each(ends)('books $booked for a tool that throws, with onError $onError, having told $told', async (row) => {
    const { leash, sink } = leashOf([budget({ usd: 9 })]);
    const options = { cost: { usd: 0.5 }, ...(row.onError === undefined ? {} : { onError: row.onError }) };
    const tool = leash.wrap(
      'tool',
      async () => {
        for (const usd of row.told) currentCall()?.charge({ usd });
        throw new Error('mine');
      },
      options,
    );
    await rejection(tool());
    expect(await spentOf(leash)).toEqual([row.booked, '0']);
    expect(linesOf(sink)[1]).toMatchObject({ kind: 'tool_error', error: 'Error', usd: row.booked });
    const ticket = await leash.enter({ tool: 'tool', ...options });
    for (const usd of row.told) ticket.call.charge({ usd });
    await ticket.fail(new Error('mine'));
    expect(linesOf(sink)[3]).toMatchObject({ kind: 'tool_error', error: 'Error', usd: row.booked });
  });

  it('refuses with the mistake of a declaration, after the guards have spoken', async () => {
    const strict: Guard = {
      name: 'strict',
      check: ({ args }) => (args === 'ok' ? { allow: true } : { allow: false, code: 'OWN', reason: 'no' }),
    };
    const { leash, sink } = leashOf([strict, budget({ usd: 1 })]);
    const own = new Error('from cost');
    const ran = vi.fn();
    const tool = leash.wrap('tool', async (_: string) => ran(), {
      cost: () => {
        throw own;
      },
    });
    expect(await rejection(tool('bad'))).toMatchObject({ code: 'OWN' });
    expect(await rejection(tool('ok'))).toBe(own);
    expect(ran).not.toHaveBeenCalled();
    expect(linesOf(sink)).toMatchObject([
      { code: 'OWN' },
      { kind: 'tool_denied', code: 'CALL_INVALID', reason: 'cost' },
    ]);
    expect(await leash.usage()).toMatchObject({ calls: 0, denied: 2, limits: [{ spent: '0', held: '0' }] });
  });
});

describe('currentCall', () => {
  it('is the call of the code that asks, and none outside', async () => {
    const { leash, sink } = leashOf([callCap(9)]);
    const seen: (Call | undefined)[] = [];
    const inner = leash.wrap('inner', async () => {
      await idle();
      seen.push(currentCall());
    });
    const outer = leash.wrap('outer', async () => {
      seen.push(currentCall());
      await Promise.all([inner(), inner()]);
      seen.push(currentCall());
    });
    expect(currentCall()).toBeUndefined();
    await outer();
    expect(currentCall()).toBeUndefined();
    expect(seen.map((call) => call?.tool)).toEqual(['outer', 'inner', 'inner', 'outer']);
    expect(seen[0]).toBe(seen[3]);
    const ids = linesOf(sink).flatMap(({ kind, call }) => (kind === 'tool_start' ? [call] : []));
    expect(seen.slice(0, 3).map((call) => call?.id)).toEqual(ids);
    expect(new Set(ids).size).toBe(3);
    expect(seen[0]?.signal).toBe(leash.signal);
  });

  it('is found by code that runs later, and takes no money then', async () => {
    const { leash } = leashOf();
    let call: Call | undefined;
    await leash.run({ tool: 'tool', cost: { usd: 0.5 } }, async () => {
      call = currentCall();
      call?.charge('$0.125');
      call?.charge({ usd: 0.125 });
    });
    expect(await spentOf(leash)).toEqual(['0.25', '0']);
    expect(thrownBy(() => call?.charge({ usd: 1 }))).toBeInstanceOf(TypeError);
    expect(thrownBy(() => call?.charge({ usd: 1 })).message).toBe(
      'the call of tool "tool" has ended; use leash.charge for later spend',
    );
    expect(await spentOf(leash)).toEqual(['0.25', '0']);
  });

  it('replaces the estimate by what it is told, and is replaced by actualCost', async () => {
    const { leash } = leashOf();
    const tell = async () => currentCall()?.charge({ usd: 0.125 });
    await leash.wrap('told', tell, { cost: { usd: 0.5 } })();
    expect(await spentOf(leash)).toEqual(['0.125', '0']);
    await leash.wrap('both', tell, { cost: { usd: 0.5 }, actualCost: () => ({ usd: 0.25 }) })();
    expect(await spentOf(leash)).toEqual(['0.375', '0']);
  });

  it.each([
    { name: 'a unit without a budget', cost: { sat: 1 }, error: RangeError },
    { name: 'NaN', cost: { usd: Number.NaN }, error: RangeError },
    { name: 'a negative amount', cost: { usd: -1 }, error: RangeError },
    { name: 'no money', cost: 5 as never, error: TypeError },
  ])('throws for $name, and keeps what it had', async ({ cost, error }) => {
    const { leash } = leashOf();
    await leash.run({ tool: 'tool', cost: { usd: 0.5 } }, async () => {
      currentCall()?.charge({ usd: 0.125 });
      expect(() => currentCall()?.charge(cost)).toThrow(error);
    });
    expect(await spentOf(leash)).toEqual(['0.125', '0']);
  });
});

describe('enter', () => {
  it('works out cost and places from the checked arguments', async () => {
    const leash = createLeash({ guards: [budget({ usd: 1 }), egress({ allow: ['a.example'] })] });
    const args = { cents: 30, host: 'a.example' };
    const call = {
      tool: 'pay',
      args,
      cost: ({ cents }: typeof args) => ({ usd: cents / 100 }),
      url: ({ host }: typeof args) => `https://${host}/`,
    };
    const ticket = await leash.enter(call);
    expect((await leash.usage()).limits).toMatchObject([{ held: '0.3' }]);
    await ticket.settle();
    expect(await leash.peek({ ...call, args: { ...args, host: 'b.example' } })).toMatchObject({
      code: 'EGRESS_DENIED',
    });
    const seen = vi.fn(() => 'free' as const);
    await leash.run({ ...call, cost: seen }, () => {});
    const [[given] = []] = seen.mock.calls as unknown[][];
    expect([given, Object.isFrozen(given), given === args]).toEqual([args, true, false]);
  });

  it('answers at once where all parts do, and with a promise where one does not', async () => {
    const { leash } = leashOf([callCap(9)]);
    const ticket = leash.enter({ tool: 'tool', args: { a: 1 } });
    expect(ticket).not.toBeInstanceOf(Promise);
    expect((ticket as Ticket).args).toEqual({ a: 1 });
    const late = leashOf([callCap(9)], { store: lateStore() }).leash.enter({ tool: 'tool' });
    expect(late).toBeInstanceOf(Promise);
    expect((await late).call.tool).toBe('tool');
    expect(thrownBy(() => leashOf([callCap(0)]).leash.enter({ tool: 'tool' }))).toMatchObject({
      code: 'CALL_CAP_REACHED',
    });
  });

  it('runs code as part of the call', async () => {
    const { leash } = leashOf([callCap(9)]);
    const ticket = await leash.enter({ tool: 'tool' });
    expect(ticket.within(() => currentCall())).toBe(ticket.call);
    expect(await ticket.within(() => idle().then(currentCall))).toBe(ticket.call);
    expect(currentCall()).toBeUndefined();
    await ticket.release();
  });

  const ends: readonly {
    name: string;
    end: (ticket: Ticket) => unknown;
    line: Partial<Line>;
    money: string;
    calls: number;
  }[] = [
    { name: 'settle', end: (ticket) => ticket.settle(), line: { kind: 'tool_ok', usd: '0.5' }, money: '0.5', calls: 1 },
    {
      name: 'settle with a cost',
      end: (ticket) => ticket.settle('$0.125'),
      line: { kind: 'tool_ok', usd: '0.125' },
      money: '0.125',
      calls: 1,
    },
    {
      name: 'settle with nothing',
      end: (ticket) => ticket.settle('free'),
      line: { kind: 'tool_ok', usd: '0' },
      money: '0',
      calls: 1,
    },
    {
      name: 'settle after a charge',
      end(ticket) {
        ticket.call.charge({ usd: 0.25 });
        return ticket.settle();
      },
      line: { kind: 'tool_ok', usd: '0.25' },
      money: '0.25',
      calls: 1,
    },
    {
      name: 'fail',
      end: (ticket) => ticket.fail(new TypeError('mine')),
      line: { kind: 'tool_error', error: 'TypeError', usd: '0.5' },
      money: '0.5',
      calls: 1,
    },
    {
      name: 'fail with a cost',
      end: (ticket) => ticket.fail(new TypeError('mine'), { usd: 0.125 }),
      line: { kind: 'tool_error', error: 'TypeError', usd: '0.125' },
      money: '0.125',
      calls: 1,
    },
    {
      name: 'release',
      end: (ticket) => ticket.release(),
      line: { kind: 'tool_error', error: 'RELEASED', usd: '0' },
      money: '0',
      calls: 0,
    },
  ];
  const parts = [
    { parts: 'a synchronous store', options: () => ({}) },
    { parts: 'an asynchronous store', options: () => ({ store: lateStore() }) },
  ];
  it.each(ends.flatMap((end) => parts.map((part) => ({ ...end, ...part }))))(
    'ends once by $name, with $parts',
    async ({ end, line, money, calls, options }) => {
      const { leash, sink } = leashOf([budget({ usd: 1 }), callCap(9)], options());
      const ticket = await leash.enter({ tool: 'tool', cost: { usd: 0.5 } });
      expect(await spentOf(leash)).toEqual(['0', '0.5']);
      await end(ticket);
      expect(linesOf(sink)[1]).toMatchObject({ tool: 'tool', call: ticket.call.id, ...line });
      for (const again of ends) {
        if (!again.name.includes('charge')) await again.end(ticket);
      }
      expect(linesOf(sink)).toHaveLength(2);
      expect(await spentOf(leash)).toEqual([money, '0']);
      expect(await spentOf(leash, 1)).toEqual([calls, 0]);
      expect(await leash.close()).toMatchObject({ calls: 1, usd: money });
    },
  );

  it.each([
    { name: 'settle', end: (ticket: Ticket, cost: Money) => ticket.settle(cost) },
    { name: 'fail', end: (ticket: Ticket, cost: Money) => ticket.fail(new Error('mine'), cost) },
  ])('books the estimate when $name is given no money', async ({ end }) => {
    const { leash, sink } = leashOf();
    for (const cost of [{ usd: Number.NaN }, { sat: 1 }] as const) {
      const ticket = await leash.enter({ tool: 'tool', cost: { usd: 0.25 } });
      expect(thrownBy(() => end(ticket, cost))).toBeInstanceOf(RangeError);
    }
    expect(await spentOf(leash)).toEqual(['0.5', '0']);
    expect(linesOf(sink).filter(({ kind }) => kind === 'tool_error')).toMatchObject([{ usd: '0.25' }, { usd: '0.25' }]);
  });

  it('renews its lease at a third of it, as long as it is open', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const renewed: [string, number][] = [];
      const store = memoryStore();
      const reserve: Store['reserve'] = (batch) => {
        for (const { onto, leaseMs } of batch) if (onto !== undefined) renewed.push([onto, leaseMs]);
        return store.reserve(batch);
      };
      const { leash } = leashOf([budget({ usd: 1 })], { store: storeWith({ reserve }, store) });
      const ticket = await leash.enter({ tool: 'tool', cost: { usd: 0.5 }, leaseMs: 3_000 });
      vi.advanceTimersByTime(999);
      expect(renewed).toEqual([]);
      vi.advanceTimersByTime(1);
      expect(renewed).toEqual([[ticket.call.id, 3_000]]);
      vi.advanceTimersByTime(2_000);
      expect(renewed).toHaveLength(3);
      await ticket.settle();
      vi.advanceTimersByTime(10_000);
      expect(renewed).toHaveLength(3);
      expect(await spentOf(leash)).toEqual(['0.5', '0']);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('hold', () => {
  it('reserves for budgets alone, and for those that name no tools', async () => {
    const { leash, sink } = leashOf([
      budget({ usd: 1 }),
      budget({ usd: 0, tools: ['t'] }),
      callCap(0),
      egress({ allow: [] }),
    ]);
    const hold = await leash.hold({ usd: 0.5 }, 'model request');
    expect(await spentOf(leash)).toEqual(['0', '0.5']);
    expect(await leash.usage()).toMatchObject({ calls: 0, limits: [{}, { held: '0' }, { spent: 0, held: 0 }] });
    expect(linesOf(sink)).toEqual([]);
    await hold.settle({ usd: 0.125 });
    expect(await spentOf(leash)).toEqual(['0.125', '0']);
    expect(linesOf(sink)).toMatchObject([{ kind: 'charge', call: hold.id, note: 'model request', usd: '0.125' }]);
  });

  const parts = [
    { parts: 'a synchronous store', options: () => ({}) },
    { parts: 'an asynchronous store', options: () => ({ store: lateStore() }) },
  ];
  it.each(parts)('ends once, with $parts', async ({ options }) => {
    const { leash, sink } = leashOf(undefined, options());
    const [a, b, c] = [await leash.hold('$0.25'), await leash.hold('$0.25'), await leash.hold('free')];
    await a.settle('$0.125');
    await b.release();
    await c.settle('free');
    for (const hold of [a, b, c]) {
      await hold.settle({ usd: 9 });
      await hold.release();
    }
    expect(await spentOf(leash)).toEqual(['0.125', '0']);
    expect(linesOf(sink).map(({ kind, usd }) => [kind, usd])).toEqual([
      ['charge', '0.125'],
      ['charge', undefined],
    ]);
    expect(await leash.close()).toMatchObject({ usd: '0.125', calls: 0 });
  });

  it('books more than was held, and refuses what no longer fits', async () => {
    const { leash } = leashOf(undefined, { stopOn: ['BUDGET_EXCEEDED'] });
    const hold = await leash.hold({ usd: 0.5 });
    await hold.settle({ usd: 1.5 });
    expect(await limitOf(leash)).toMatchObject({ spent: '1.5', remaining: '-0.5' });
    const denial = thrownBy(() => leash.hold({ usd: 0.1 }));
    expect(denial).toMatchObject({ code: 'BUDGET_EXCEEDED', reason: 'exhausted', tool: 'leash.hold', guard: 'budget' });
    expect(leash.breach).toBe(denial);
  });

  it.each([
    { name: 'NaN', estimate: { usd: Number.NaN }, error: RangeError },
    { name: 'no money', estimate: 5, error: TypeError },
    { name: 'nothing', estimate: undefined, error: TypeError },
  ])('throws for $name, and holds nothing', async ({ estimate, error }) => {
    const { leash, sink } = leashOf();
    const thrown = thrownBy(() => leash.hold(estimate as Money));
    expect(thrown).toBeInstanceOf(error);
    expect(thrown.message).toContain('`estimate` of leash.hold');
    expect(() => leash.hold('free', '')).toThrow('`note`');
    expect(linesOf(sink)).toEqual([]);
    expect(await spentOf(leash)).toEqual(['0', '0']);
  });

  it('works an estimate out when the session is known to take calls', async () => {
    const { leash, sink } = leashOf();
    const hold = await leash.hold(() => '$0.25');
    expect(await spentOf(leash)).toEqual(['0', '0.25']);
    await hold.release();
    leash.stop('by hand');
    expect(thrownBy(() => leash.hold(() => expect.unreachable('it was worked out')))).toMatchObject({
      code: 'SESSION_STOPPED',
    });
    expect(linesOf(sink).map(({ kind }) => kind)).toEqual(['kill_switch', 'tool_denied']);
  });

  it.each([
    {
      name: 'throws',
      estimate: () => {
        throw new TypeError('no price');
      },
      message: 'no price',
    },
    { name: 'gives no money', estimate: () => undefined as unknown as Money, message: '`estimate` of leash.hold' },
    { name: 'gives a promise', estimate: async () => '$1', message: '`estimate` of leash.hold' },
  ])('refuses on record where a function for the estimate $name', async ({ estimate, message }) => {
    const { leash, sink } = leashOf();
    const thrown = thrownBy(() => leash.hold(estimate as () => Money));
    expect(thrown).toBeInstanceOf(TypeError);
    expect(thrown.message).toContain(message);
    expect(linesOf(sink)).toMatchObject([
      { kind: 'tool_denied', tool: 'leash.hold', guard: 'session', code: 'CALL_INVALID', reason: 'estimate' },
    ]);
    expect(await leash.usage()).toMatchObject({ denied: 1 });
    expect(await spentOf(leash)).toEqual(['0', '0']);
    expect(leash.breach).toBeUndefined();
  });

  it('counts the whole estimate when it is settled with no money', async () => {
    const { leash } = leashOf();
    for (const bad of [{ usd: Number.NaN }, { sat: 5 }] as const) {
      const hold = await leash.hold({ usd: 0.25 });
      expect(thrownBy(() => hold.settle(bad))).toBeInstanceOf(RangeError);
      await hold.settle({ usd: 0 });
    }
    expect(await spentOf(leash)).toEqual(['0.5', '0']);
  });

  it('is refused in a unit that no budget accounts for', () => {
    const { leash } = leashOf();
    expect(thrownBy(() => leash.hold({ sat: 5 }))).toMatchObject({
      code: 'BUDGET_EXCEEDED',
      reason: 'exceeds_cap',
      unit: 'sat',
      limit: 'sat/none',
    });
  });
});

describe('charge', () => {
  it('books spend that has happened', async () => {
    const { leash, sink } = leashOf([budget({ usd: 1 }), callCap(0)]);
    expect(leash.charge({ usd: 0.25 }, 'model')).toBeUndefined();
    expect(await spentOf(leash)).toEqual(['0.25', '0']);
    expect(linesOf(sink)).toMatchObject([{ kind: 'charge', note: 'model', usd: '0.25' }]);
    expect(await leash.usage()).toMatchObject({ calls: 0, denied: 0, usd: '0.25' });
  });

  it('books in full what is over, throws, and ends the session', async () => {
    const { leash, sink } = leashOf(undefined, { stopOn: ['BUDGET_EXCEEDED'] });
    await leash.charge({ usd: 0.75 });
    const denial = thrownBy(() => leash.charge({ usd: 0.5 }));
    expect(denial).toMatchObject({
      code: 'BUDGET_EXCEEDED',
      reason: 'exhausted',
      tool: 'leash.charge',
      cap: '1',
      requested: '0.5',
      remaining: '0.25',
    });
    expect(leash.breach).toBe(denial);
    expect(await limitOf(leash)).toMatchObject({ spent: '1.25', remaining: '-0.25' });
    expect(kindsOf(sink)).toEqual(['charge', 'charge', 'budget_denied']);
    // The agent is stopped, the bill is not.
    expect(thrownBy(() => leash.charge({ usd: 2 }))).toMatchObject({ code: 'BUDGET_EXCEEDED', reason: 'exceeds_cap' });
    expect(await limitOf(leash)).toMatchObject({ spent: '3.25' });
    expect(leash.breach).toBe(denial);
  });

  it.each([
    {
      name: 'a unit that no budget accounts for',
      cost: { sat: 5 },
      told: { unit: 'sat', cap: '0' },
      usd: '0',
      sat: '5',
    },
    {
      name: 'more than a budget of each call',
      cost: { usd: 0.5 },
      told: { unit: 'usd', cap: '0.25' },
      usd: '0.5',
      sat: '0',
    },
  ])('books $name, and throws', async ({ cost, told, usd, sat }) => {
    const { leash } = leashOf([budget({ usd: 1 }), budget({ usd: 0.25, per: 'call' })]);
    expect(thrownBy(() => leash.charge(cost))).toMatchObject({
      code: 'BUDGET_EXCEEDED',
      reason: 'exceeds_cap',
      ...told,
    });
    expect(await leash.usage()).toMatchObject({ usd, sat });
  });

  it('counts beside what is held', async () => {
    const { leash } = leashOf();
    const hold = await leash.hold({ usd: 0.75 });
    expect(thrownBy(() => leash.charge({ usd: 0.5 }))).toMatchObject({ code: 'BUDGET_EXCEEDED' });
    expect(await spentOf(leash)).toEqual(['0.5', '0.75']);
    await hold.release();
  });

  it('names the call that it is made in, of this leash alone', async () => {
    const { leash, sink } = leashOf();
    const other = leashOf();
    const id = await leash.run({ tool: 'tool', cost: 'free' }, async () => {
      await leash.charge({ usd: 0.1 });
      await other.leash.charge({ usd: 0.1 });
      return currentCall()?.id;
    });
    expect(linesOf(sink)[1]).toMatchObject({ kind: 'charge', call: id });
    expect(linesOf(other.sink)[0]).not.toHaveProperty('call');
  });

  it('does the same with an asynchronous store', async () => {
    const { leash, sink } = leashOf(undefined, { store: lateStore() });
    await leash.charge({ usd: 0.75 });
    expect(await rejection(leash.charge({ usd: 0.5 }))).toMatchObject({ code: 'BUDGET_EXCEEDED' });
    expect(await spentOf(leash)).toEqual(['1.25', '0']);
    expect(kindsOf(sink)).toEqual(['charge', 'charge', 'budget_denied']);
  });
});

describe('observe mode', () => {
  const observing: readonly {
    name: string;
    guard: Guard;
    call: (leash: Leash) => Promise<unknown>;
    code: string;
    reason: string;
  }[] = [
    {
      name: 'a budget',
      guard: budget({ usd: 1 }),
      call: (leash) => leash.run({ tool: 't', cost: { usd: 2 } }, () => 'ran'),
      code: 'BUDGET_EXCEEDED',
      reason: 'exceeds_cap',
    },
    {
      name: 'a budget of each call',
      guard: budget({ usd: 1, per: 'call' }),
      call: (leash) => leash.run({ tool: 't', cost: { usd: 2 } }, () => 'ran'),
      code: 'BUDGET_EXCEEDED',
      reason: 'exceeds_cap',
    },
    {
      name: 'a unit without a budget',
      guard: budget({ usd: 1 }),
      call: (leash) => leash.run({ tool: 't', cost: { sat: 2 } }, () => 'ran'),
      code: 'BUDGET_EXCEEDED',
      reason: 'exceeds_cap',
    },
    {
      name: 'a call cap',
      guard: callCap(0),
      call: (leash) => leash.run({ tool: 't' }, () => 'ran'),
      code: 'CALL_CAP_REACHED',
      reason: 'exceeds_cap',
    },
    {
      name: 'a rate limit',
      guard: rateLimit({ max: 0, per: '1m' }),
      call: (leash) => leash.run({ tool: 't' }, () => 'ran'),
      code: 'RATE_LIMITED',
      reason: 'exceeds_cap',
    },
    {
      name: 'egress',
      guard: egress({ allow: [] }),
      call: (leash) => leash.run({ tool: 't', url: 'https://example.com' }, () => 'ran'),
      code: 'EGRESS_DENIED',
      reason: 'host-not-allowed',
    },
    {
      name: 'arguments that are no JSON',
      guard: callCap(9),
      call: (leash) => leash.run({ tool: 't', args: new Map() }, () => 'ran'),
      code: 'ARGS_INVALID',
      reason: 'not-json',
    },
    {
      name: 'a guard that throws',
      guard: {
        name: 'own',
        check: () => {
          throw new Error('no');
        },
      },
      call: (leash) => leash.run({ tool: 't' }, () => 'ran'),
      code: 'GUARD_FAILED',
      reason: 'guard-failed',
    },
    {
      name: 'a guard that rejects',
      guard: { name: 'own', check: () => Promise.reject(new Error('no')) },
      call: (leash) => leash.run({ tool: 't' }, () => 'ran'),
      code: 'GUARD_FAILED',
      reason: 'guard-failed',
    },
    {
      name: 'a guard of one’s own',
      guard: { name: 'own', check: () => ({ allow: false, code: 'OWN', reason: 'because' }) },
      call: (leash) => leash.run({ tool: 't' }, () => 'ran'),
      code: 'OWN',
      reason: 'because',
    },
  ];
  it.each(observing)('records what $name would refuse, and lets it run', async ({ guard, call, code, reason }) => {
    const { leash, sink } = leashOf([guard], { mode: 'observe', stopOn: 'any' });
    expect(await call(leash)).toBe('ran');
    expect(leash.breach).toBeUndefined();
    expect(leash.signal.aborted).toBe(false);
    expect(linesOf(sink)).toMatchObject([{ code, reason, observed: 1 }, { kind: 'tool_start' }, { kind: 'tool_ok' }]);
    expect(await leash.usage()).toMatchObject({ calls: 1, denied: 0 });
    expect(await leash.close()).toMatchObject({ calls: 1, denied: 0 });
  });

  it('gives the tool arguments that are no JSON as they came', async () => {
    const { leash, sink } = leashOf([], { mode: 'observe' });
    const [map, loop] = [new Map(), [] as unknown[]];
    loop.push(loop);
    const tool = leash.wrap('tool', async (...given: unknown[]) => given);
    expect(await tool(map)).toEqual([map]);
    expect((await tool(map, loop))[1]).toBe(loop);
    expect(await leash.run({ tool: 'run', args: map }, async (given) => given)).toBe(map);
    const denials = linesOf(sink).filter(({ kind }) => kind === 'tool_denied');
    expect(denials).toHaveLength(3);
    for (const line of denials) expect(line).not.toHaveProperty('args');
  });

  it('still counts what is spent, above every cap', async () => {
    const { leash } = leashOf([budget({ usd: 1 }), callCap(1)], { mode: 'observe' });
    for (let i = 0; i < 3; i++) await leash.run({ tool: 't', cost: { usd: 0.75 } }, () => 'ran');
    await leash.charge({ usd: 1 });
    expect((await leash.usage()).limits).toMatchObject([
      { spent: '3.25', remaining: '-2.25' },
      { spent: 3, remaining: -2 },
    ]);
  });

  it('is a child’s own affair: what its parent enforces stays enforced', async () => {
    const { leash } = leashOf([callCap({ max: 1, tools: ['capped'] })]);
    const childSink = memorySink();
    const child = leash.child({ guards: [callCap({ max: 0, tools: ['free'] })], mode: 'observe', audit: childSink });
    expect((await child.usage()).limits.map(({ observes }) => observes)).toEqual([true, undefined]);
    expect(await child.run({ tool: 'free' }, () => 'ran')).toBe('ran');
    expect(linesOf(childSink)[0]).toMatchObject({ code: 'CALL_CAP_REACHED', observed: 1 });
    expect(await child.run({ tool: 'capped' }, () => 'ran')).toBe('ran');
    expect(await rejection(child.run({ tool: 'capped' }, () => 'ran'))).toMatchObject({ code: 'CALL_CAP_REACHED' });
    expect(await rejection(child.run({ tool: 'free', args: Number.NaN }, () => 'ran'))).toMatchObject({
      code: 'ARGS_INVALID',
      reason: 'not-json',
    });
  });

  it('may be a parent’s affair: the child enforces', async () => {
    const { leash } = leashOf([budget({ usd: 1 })], { mode: 'observe' });
    const child = leash.child({ guards: [budget({ usd: 1 }), callCap(2)], mode: 'enforce' });
    expect(await rejection(child.run({ tool: 't', cost: { usd: 2 } }, () => 'ran'))).toMatchObject({ cap: '1' });
    expect(await leash.run({ tool: 't', cost: { usd: 2 } }, () => 'ran')).toBe('ran');
    const childSink = memorySink();
    const lax = leash.child({ guards: [callCap(1)], mode: 'enforce', audit: childSink });
    expect(await lax.run({ tool: 't', cost: { usd: 0.5 } }, () => 'ran')).toBe('ran');
    expect(linesOf(childSink)).toMatchObject([{ code: 'BUDGET_EXCEEDED', observed: 1 }, {}, {}]);
  });

  it('ends by stop all the same', async () => {
    const { leash } = leashOf([], { mode: 'observe' });
    leash.stop('now');
    expect(await rejection(leash.run({ tool: 't' }, () => 'ran'))).toMatchObject({ code: 'SESSION_STOPPED' });
  });
});

describe('a guard of one’s own', () => {
  const verdicts: readonly { name: string; check: NonNullable<Guard['check']> }[] = [
    {
      name: 'throws',
      check: () => {
        throw new Error('secret');
      },
    },
    { name: 'rejects', check: () => Promise.reject(new Error('secret')) },
    { name: 'answers nothing', check: () => undefined as never },
    { name: 'answers nothing later', check: async () => undefined as never },
    { name: 'answers null', check: () => null as never },
    { name: 'answers true', check: () => true as never },
    { name: 'answers an empty object', check: () => ({}) as never },
    { name: 'answers a truthy allow', check: () => ({ allow: 'yes' }) as never },
    { name: 'denies without a code', check: () => ({ allow: false, reason: 'r' }) as never },
    { name: 'denies without a reason', check: () => ({ allow: false, code: 'OWN' }) as never },
    { name: 'denies with a code in small letters', check: () => ({ allow: false, code: 'own', reason: 'r' }) },
  ];
  it.each(verdicts)('refuses the call when it $name', async ({ check }) => {
    const { leash, sink } = leashOf([{ name: 'own', check }, callCap(9)]);
    const ran = vi.fn();
    const denial = await rejection(leash.run({ tool: 't' }, ran));
    expect(denial).toMatchObject({ code: 'GUARD_FAILED', reason: 'guard-failed', guard: 'own' });
    expect(denial.message).toBe('Tool "t" was refused: guard "own" could not decide.');
    expect(ran).not.toHaveBeenCalled();
    expect(linesOf(sink)).toMatchObject([{ kind: 'tool_denied', code: 'GUARD_FAILED', guard: 'own' }]);
    expect(await spentOf(leash)).toEqual([0, 0]);
  });

  const broken: readonly { name: string; limits: () => readonly Limit[] }[] = [
    {
      name: 'throws',
      limits: () => {
        throw new Error('secret');
      },
    },
    { name: 'gives none', limits: () => undefined as never },
    { name: 'gives something else', limits: () => [null] as never },
  ];
  it.each(broken)('refuses the call, on record, when its `limits` $name', async ({ limits }) => {
    const own = { name: 'own', limits: (): readonly Limit[] => [] };
    const { leash, sink } = leashOf([own, callCap(9)]);
    const ran = vi.fn(() => 'ran');
    const tool = leash.wrap('t', ran);
    const failed = { code: 'GUARD_FAILED', reason: 'guard-failed', guard: 'own' };
    own.limits = limits;
    expect(await rejection(tool())).toMatchObject(failed);
    expect(await rejection(leash.run({ tool: 't' }, ran))).toMatchObject(failed);
    expect(await leash.peek({ tool: 't' })).toMatchObject({ allow: false, ...failed });
    expect(ran).not.toHaveBeenCalled();
    const line = { kind: 'tool_denied', code: 'GUARD_FAILED', guard: 'own' };
    expect(linesOf(sink)).toMatchObject([line, line]);
    own.limits = () => [];
    expect(await tool()).toBe('ran');
    own.limits = limits;
    await rejection(leash.usage());
    expect(await leash.close()).toMatchObject({ calls: 1, denied: 2 });
    await rejection(leash.usage());
    expect(() => leashOf([own])).toThrow();
  });

  it('is on record alone when its `limits` throws and it observes', async () => {
    const own = { name: 'own', limits: (): readonly Limit[] => [] };
    const { leash, sink } = leashOf([own, callCap(9)], { mode: 'observe' });
    own.limits = () => {
      throw new Error('secret');
    };
    expect(await leash.run({ tool: 't' }, () => 'ran')).toBe('ran');
    expect(linesOf(sink)).toMatchObject([{ code: 'GUARD_FAILED', guard: 'own', observed: 1 }, {}, {}]);
  });

  it('whose `limits` throws while the call runs does not keep it from telling what it has cost', async () => {
    const own = { name: 'own', limits: (): readonly Limit[] => [] };
    const { leash } = leashOf([own, budget({ usd: 1 })]);
    const tool = leash.wrap(
      't',
      () => {
        own.limits = () => {
          throw new Error('secret');
        };
        currentCall()?.charge({ usd: 0.5 });
        return 'ran';
      },
      { cost: 'free' },
    );
    expect(await tool()).toBe('ran');
    expect(await leash.close()).toMatchObject({ usd: '0.5' });
  });

  it('brings its own code, reason, message and wait', async () => {
    const check = () => ({
      allow: false as const,
      code: 'OFFICE_HOURS',
      reason: 'night',
      message: 'come back at nine',
      retryAfterMs: 5_000,
    });
    const { leash, sink } = leashOf([{ name: 'hours', check }]);
    expect(await rejection(leash.run({ tool: 't' }, () => 1))).toMatchObject({
      name: 'DeniedError',
      code: 'OFFICE_HOURS',
      reason: 'night',
      guard: 'hours',
      retryAfterMs: 5_000,
      message: 'Tool "t" was refused: come back at nine.',
    });
    expect(linesOf(sink)).toMatchObject([{ kind: 'tool_denied', code: 'OFFICE_HOURS', reason: 'night' }]);
  });

  it('is asked in its order, and not after one that refused', async () => {
    const asked: string[] = [];
    const named = (name: string, allow: boolean, late: boolean): Guard => ({
      name,
      check() {
        asked.push(name);
        const verdict = allow ? ({ allow } as const) : ({ allow, code: 'OWN', reason: 'r' } as const);
        return late ? Promise.resolve(verdict) : verdict;
      },
    });
    const { leash } = leashOf([
      named('a', true, false),
      named('b', true, true),
      named('c', false, false),
      named('d', true, false),
    ]);
    expect(await rejection(leash.run({ tool: 't' }, () => 1))).toMatchObject({ guard: 'c' });
    expect(asked).toEqual(['a', 'b', 'c']);
  });

  it('brings limits of its own, with a code of its own', async () => {
    const limits = (): readonly Limit[] => [
      { unit: 'call', cap: 1, window: { kind: 'total' }, code: 'DAILY_QUOTA', meter: 'quota' },
    ];
    const { leash, sink } = leashOf([{ name: 'quota', limits }, callCap(9)]);
    await leash.run({ tool: 't' }, () => 1);
    expect(await rejection(leash.run({ tool: 't' }, () => 1))).toMatchObject({
      code: 'DAILY_QUOTA',
      reason: 'exhausted',
      guard: 'quota',
      limit: 'call/session',
    });
    expect(linesOf(sink).at(-1)).toMatchObject({ kind: 'tool_denied', code: 'DAILY_QUOTA' });
    // Two limits of one unit and window in one scope, kept apart by the meter.
    expect((await leash.usage()).limits).toMatchObject([
      { guard: 'quota', cap: 1, spent: 1 },
      { guard: 'call-cap', cap: 9, spent: 1 },
    ]);
  });

  it('is refused as an option when it is none', () => {
    for (const guard of [{}, { name: 'x' }, null, 7, { name: '', check: () => ({ allow: true }) }]) {
      expect(() => createLeash({ guards: [guard as never] })).toThrow('`createLeash.guards[0]');
    }
    const settings = { when: new Date(0) };
    expect(() => createLeash({ guards: [{ name: 'x', check: () => ({ allow: true }), settings }] })).toThrow(
      new TypeError('`createLeash.guards[0].settings` must be plain JSON: its hash is in the log'),
    );
  });
});

describe('a client of a store that sends a question twice', () => {
  // Such as one that reconnects when a reply was lost.
  const memory = memoryStore();
  const store = storeWith(
    {
      reserve: (batch) => {
        void memory.reserve(batch);
        return memory.reserve(batch);
      },
    },
    memory,
  );

  it('changes nothing for a call, which is its own repeat', async () => {
    const { leash } = leashOf([budget({ usd: 1 }), callCap(5)], { store });
    const pay = leash.wrap('pay', async () => 'paid', { cost: { usd: 0.4 } });
    expect(await pay()).toBe('paid');
    expect(await spentOf(leash)).toEqual(['0.4', '0']);
    expect(await spentOf(leash, 1)).toEqual([1, 0]);
  });
});

describe('a store that fails', () => {
  const answers: readonly { name: string; reserve: Store['reserve'] }[] = [
    {
      name: 'throws',
      reserve: () => {
        throw new Error('secret');
      },
    },
    { name: 'rejects', reserve: () => Promise.reject(new Error('secret')) },
    { name: 'answers nothing', reserve: () => undefined as never },
    { name: 'answers nothing later', reserve: async () => undefined as never },
    { name: 'answers an empty batch', reserve: () => [] },
    { name: 'answers no decision', reserve: () => [null as never] },
    { name: 'answers a truthy ok', reserve: () => [{ ok: 'yes', left: [0] } as never] },
    { name: 'answers ok without what is left', reserve: () => [{ ok: true } as never] },
    { name: 'answers a reason that is none', reserve: () => [{ ok: false, why: 'mood', line: 0 } as never] },
    { name: 'answers what is left that is no number', reserve: () => [{ ok: true, left: [Number.NaN] } as never] },
    { name: 'answers what is left as a text', reserve: () => [{ ok: true, left: ['8'] } as never] },
    { name: 'refuses without what is left', reserve: () => [{ ok: false, why: 'exhausted', line: 0 } as never] },
    {
      name: 'refuses with what is left that is no number',
      reserve: () => [{ ok: false, why: 'exhausted', line: 0, left: Symbol('left') as never }],
    },
    {
      name: 'refuses for a time that is none',
      reserve: () => [{ ok: false, why: 'exhausted', line: 0, left: 0, retryMs: '1' as never }],
    },
    { name: 'is at a time that is none', reserve: () => [{ ok: false, why: 'stale', line: 0, nowMs: Number.NaN }] },
    { name: 'names a line that is none', reserve: () => [{ ok: false, why: 'exhausted', line: 7, left: 0 }] },
    { name: 'cannot agree on what day it is', reserve: () => [{ ok: false, why: 'stale', line: 0, nowMs: 0 }] },
  ];
  it.each(answers)('refuses the call when it $name', async ({ reserve }) => {
    const { leash, sink } = leashOf([callCap(9)], { store: storeWith({ reserve }), stopOn: 'any' });
    const ran = vi.fn();
    const error = await rejection(leash.run({ tool: 't' }, ran));
    expect(error).toMatchObject({
      name: 'StoreUnavailableError',
      code: 'STORE_UNAVAILABLE',
      message: 'Tool "t" was refused: the store that counts what is spent did not answer. Do not retry.',
    });
    expect(ran).not.toHaveBeenCalled();
    expect(linesOf(sink)).toMatchObject([{ kind: 'tool_denied', guard: 'store', code: 'STORE_UNAVAILABLE' }]);
    expect(leash.breach).toBe(error);
  });

  it.each([undefined, Number.NaN, -1, 253_402_300_800_000, '0'])(
    'refuses the call when it calls a calendar window stale at the time %j',
    async (nowMs) => {
      const reserve: Store['reserve'] = () => [{ ok: false, why: 'stale', line: 0, nowMs: nowMs as number }];
      const { leash } = leashOf([callCap({ max: 9, per: 'day' })], { store: storeWith({ reserve }) });
      expect(await rejection(leash.run({ tool: 't' }, () => 1))).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    },
  );

  it.each([
    {
      name: 'throws',
      open: () => {
        throw new Error('secret');
      },
    },
    { name: 'rejects', open: () => Promise.reject(new Error('secret')) },
    { name: 'answers nothing', open: () => undefined as never },
  ])('refuses the call when opening $name, and asks again for the next', async ({ open }) => {
    let broken = true;
    const store = memoryStore();
    const { leash } = leashOf([callCap(9)], {
      store: storeWith({ open: (scopes) => (broken ? open() : store.open(scopes)) }, store),
    });
    expect(await rejection(leash.run({ tool: 't' }, () => 1))).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    broken = false;
    expect(await leash.run({ tool: 't' }, () => 'ran')).toBe('ran');
  });

  it('is never taken for one that has nothing counted', async () => {
    const first = memoryStore();
    let store = first;
    const { leash, sink } = leashOf([budget({ usd: 1 })], {
      store: storeWith({ open: (...args) => store.open(...args), reserve: (...args) => store.reserve(...args) }),
    });
    await leash.run({ tool: 't', cost: { usd: 0.9 } }, () => 1);
    store = memoryStore();
    const error = await rejection(leash.run({ tool: 't', cost: { usd: 0.9 } }, () => 1));
    expect(error).toMatchObject({ name: 'StateLostError', code: 'STATE_LOST' });
    expect(error.message).toBe('Tool "t" was refused: the store no longer knows what was spent.');
    expect(linesOf(sink).at(-1)).toMatchObject({ kind: 'tool_denied', guard: 'store', code: 'STATE_LOST' });
  });

  it.each([
    {
      name: 'throws',
      settle: () => {
        throw new Error('secret');
      },
    },
    { name: 'rejects', settle: () => Promise.reject(new Error('secret')) },
    { name: 'answers nothing', settle: () => undefined as never },
    { name: 'answers nothing later', settle: async () => undefined as never },
  ])('does not stand in the way of a result when settling $name', async ({ settle }) => {
    let asked = 0;
    const { leash, sink } = leashOf([budget({ usd: 1 })], {
      store: storeWith({
        settle() {
          asked++;
          return settle();
        },
      }),
    });
    expect(await leash.run({ tool: 't', cost: { usd: 0.5 } }, () => 'ran')).toBe('ran');
    const own = new Error('mine');
    expect(await rejection(leash.run({ tool: 't', cost: { usd: 0.25 } }, () => Promise.reject(own)))).toBe(own);
    // Three times at once for each, and the first once more before the second is decided.
    expect(asked).toBe(7);
    expect(kindsOf(sink)).toEqual(['tool_start', 'tool_ok', 'tool_start', 'tool_error']);
    // What was held stays held.
    expect(await spentOf(leash)).toEqual(['0', '0.75']);
  });

  it('settles at the second attempt what failed at the first', async () => {
    let broken = true;
    const store = memoryStore();
    const { leash } = leashOf([budget({ usd: 1 })], {
      store: storeWith(
        {
          settle(batch) {
            broken = !broken;
            if (!broken) throw new Error('secret');
            return store.settle(batch);
          },
        },
        store,
      ),
    });
    await leash.run({ tool: 't', cost: { usd: 0.5 } }, () => 1);
    expect(await spentOf(leash)).toEqual(['0.5', '0']);
  });

  it('renews leases that are longer than a timer takes no more often than one can', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const asked: unknown[] = [];
      const store = storeWith({ sweep: (limit) => void asked.push(limit) as never });
      await leashOf([callCap(9)], { store }).leash.enter({ tool: 't', leaseMs: 2 ** 40 });
      await vi.advanceTimersByTimeAsync(2 ** 31 - 2);
      expect(asked).toEqual([]);
      await vi.advanceTimersByTimeAsync(1);
      expect(asked).toHaveLength(1);
    } finally {
      vi.useRealTimers();
    }
  });

  it('fails holds and charges as it fails calls', async () => {
    const reserve = (): never => {
      throw new Error('secret');
    };
    const { leash, sink } = leashOf([budget({ usd: 1 })], { store: storeWith({ reserve }) });
    expect(thrownBy(() => leash.hold({ usd: 0.1 }))).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(thrownBy(() => leash.charge({ usd: 0.1 }))).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(kindsOf(sink)).toEqual(['tool_denied', 'charge', 'tool_denied']);
  });
});

/** Follows the chain of a log by hand: sequence numbers without a gap, each line with the hash of the one before. */
function expectUnbroken(lines: readonly string[]): void {
  let prev = '0'.repeat(64);
  lines.forEach((line, seq) => {
    expect(JSON.parse(line)).toMatchObject({ seq, prev });
    prev = createHash('sha256').update(`\0${line}`).digest('hex');
  });
}

describe('a sink that fails', () => {
  function flaky(options: { readonly late?: boolean } = {}) {
    const kept = memorySink();
    const state = { broken: false, error: new Error('secret') as unknown };
    const sink: AuditSink = {
      name: 'flaky',
      write(...lines) {
        if (!state.broken) return options.late ? Promise.resolve(kept.write(...lines)) : kept.write(...lines);
        if (options.late) return Promise.reject(state.error);
        throw state.error;
      },
    };
    return { kept, state, sink };
  }

  it('stops the call before the tool runs, and holds nothing', async () => {
    const { kept, state, sink } = flaky();
    const { leash } = leashOf([budget({ usd: 1 }), callCap(9)], { audit: sink, stopOn: 'any' });
    state.broken = true;
    const ran = vi.fn();
    const tool = leash.wrap('t', ran, { cost: { usd: 0.5 } });
    const error = await rejection(tool());
    expect(error).toMatchObject({
      name: 'AuditUnavailableError',
      code: 'AUDIT_UNAVAILABLE',
      message: 'the audit log cannot be written, so no call runs',
    });
    expect(ran).not.toHaveBeenCalled();
    expect((await leash.usage()).limits).toMatchObject([
      { spent: '0', held: '0' },
      { spent: 0, held: 0 },
    ]);
    state.broken = false;
    await tool();
    expect(kindsOf(kept)).toEqual(['tool_start', 'tool_ok']);
    expectUnbroken(kept.lines);
  });

  it('names the system’s word for it and nothing else', async () => {
    const { state, sink } = flaky();
    const { leash } = leashOf([], { audit: sink });
    state.broken = true;
    state.error = Object.assign(new Error('secret'), { code: 'ENOSPC' });
    expect((await rejection(leash.run({ tool: 't' }, () => 1))).message).toBe(
      'the audit log cannot be written (ENOSPC), so no call runs',
    );
  });

  it('keeps the end of a call that ran, and writes it first, in order, when it can', async () => {
    const { kept, state, sink } = flaky();
    const { leash } = leashOf([budget({ usd: 1 })], { audit: sink });
    const [a, b, c] = [
      await leash.enter({ tool: 'a', cost: { usd: 0.125 } }),
      await leash.enter({ tool: 'b', cost: { usd: 0.125 } }),
      await leash.enter({ tool: 'c', cost: { usd: 0.125 } }),
    ];
    state.broken = true;
    await a.settle();
    await b.fail(new RangeError('mine'));
    // Nothing new starts while an event is due.
    expect(await rejection(leash.run({ tool: 'd', cost: 'free' }, () => 1))).toMatchObject({
      code: 'AUDIT_UNAVAILABLE',
    });
    expect(kindsOf(kept)).toEqual(['tool_start', 'tool_start', 'tool_start']);
    state.broken = false;
    await c.settle();
    expect(await leash.run({ tool: 'e', cost: 'free' }, () => 'ran')).toBe('ran');
    expect(linesOf(kept).map(({ kind, tool }) => `${kind} ${tool}`)).toEqual([
      'tool_start a',
      'tool_start b',
      'tool_start c',
      'tool_ok a',
      'tool_error b',
      'tool_ok c',
      'tool_start e',
      'tool_ok e',
    ]);
    expectUnbroken(kept.lines);
    expect(await spentOf(leash)).toEqual(['0.375', '0']);
  });

  it('lets no hold begin while an event is due, and books a charge all the same', async () => {
    const { kept, state, sink } = flaky();
    const { leash } = leashOf(undefined, { audit: sink });
    const ticket = await leash.enter({ tool: 't', cost: { usd: 0.125 } });
    state.broken = true;
    await ticket.settle();
    expect(thrownBy(() => leash.hold({ usd: 0.5 }))).toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    expect(thrownBy(() => leash.charge({ usd: 0.25 }, 'model'))).toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    expect(await spentOf(leash)).toEqual(['0.375', '0']);
    state.broken = false;
    await (await leash.hold({ usd: 0.5 })).release();
    expect(kindsOf(kept)).toEqual(['tool_start', 'tool_ok', 'charge']);
    expectUnbroken(kept.lines);
  });

  it('makes a denial an unavailable log, since nobody could read of it', async () => {
    const { kept, state, sink } = flaky();
    const { leash } = leashOf([callCap(0)], { audit: sink });
    state.broken = true;
    expect(await rejection(leash.run({ tool: 't' }, () => 1))).toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    state.broken = false;
    expect(await rejection(leash.run({ tool: 't' }, () => 1))).toMatchObject({ code: 'CALL_CAP_REACHED' });
    expect(kindsOf(kept)).toEqual(['tool_denied']);
    expectUnbroken(kept.lines);
  });

  it('is final when it fails later than it was asked, since what it has is no longer known', async () => {
    const { kept, state, sink } = flaky({ late: true });
    const { leash } = leashOf([budget({ usd: 1 })], { audit: sink });
    expect(await leash.run({ tool: 't', cost: { usd: 0.25 } }, () => 'ran')).toBe('ran');
    state.broken = true;
    const ran = vi.fn();
    const run = (): Promise<void> => leash.run({ tool: 't', cost: { usd: 0.25 } }, ran);
    expect(await rejection(run())).toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    state.broken = false;
    expect(await rejection(run())).toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    expect(ran).not.toHaveBeenCalled();
    expect(await spentOf(leash)).toEqual(['0.25', '0']);
    expectUnbroken(kept.lines);
  });

  it('lets no session open', () => {
    const { state, sink } = flaky();
    state.broken = true;
    expect(thrownBy(() => createLeash({ guards: [], audit: sink }))).toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
  });
});

describe('peek', () => {
  it('tells the refusal, and changes nothing', async () => {
    const { leash, sink } = leashOf([budget({ usd: 1 }), callCap(1), egress({ allow: [] })], { stopOn: 'any' });
    await leash.run({ tool: 't', cost: { usd: 0.75 } }, () => 1);
    const before = [await leash.usage(), linesOf(sink)];
    const denial = await leash.peek({ tool: 't', cost: { usd: 0.5 } });
    expect(denial).toEqual({
      allow: false,
      guard: 'budget',
      code: 'BUDGET_EXCEEDED',
      reason: 'exhausted',
      limit: 'usd/session',
      message: 'Tool "t" was refused: it needs $0.50 and the budget of $1.00 has $0.25 left. Do not retry.',
    });
    expect(await leash.peek({ tool: 't', cost: 'free' })).toMatchObject({
      code: 'CALL_CAP_REACHED',
      reason: 'exhausted',
    });
    expect(await leash.peek({ tool: 't', cost: 'free', url: 'https://example.com' })).toMatchObject({
      code: 'EGRESS_DENIED',
      reason: 'host-not-allowed',
    });
    expect(await leash.peek({ tool: 't', cost: 'free', args: Number.NaN })).toMatchObject({
      code: 'ARGS_INVALID',
      reason: 'not-json',
    });
    expect([await leash.usage(), linesOf(sink)]).toEqual(before);
    expect(leash.breach).toBeUndefined();
    leash.stop('now');
    expect(await leash.peek({ tool: 't', cost: 'free' })).toMatchObject({ code: 'SESSION_STOPPED', reason: 'stopped' });
  });

  it('tells what guards that observe would have refused', async () => {
    const { leash, sink } = leashOf([callCap(0), budget({ usd: 1 })], { mode: 'observe' });
    expect(await leash.peek({ tool: 't', cost: { usd: 2 }, args: [new Map()] })).toMatchObject({
      allow: true,
      observed: [{ code: 'ARGS_INVALID' }, { code: 'CALL_CAP_REACHED' }, { code: 'BUDGET_EXCEEDED' }],
    });
    expect(linesOf(sink)).toEqual([]);
  });

  it('tells the refusal of a guard, as a call would, where arguments give no cost or place either', async () => {
    const picky: Guard = { name: 'picky', check: () => ({ allow: false, code: 'MINE', reason: 'bad' }) };
    const fails = (): never => {
      throw new RangeError('no');
    };
    const { leash } = leashOf([picky, egress({ allow: [] })]);
    for (const call of [
      { tool: 't', cost: fails },
      { tool: 't', cost: 'free' as const, url: fails },
    ]) {
      expect(await leash.peek(call)).toMatchObject({ allow: false, code: 'MINE' });
      expect(await rejection(leash.run(call, () => 1))).toMatchObject({ code: 'MINE' });
    }
    const { leash: lenient } = leashOf([{ ...picky, check: () => ({ allow: true }) }]);
    await expect(lenient.peek({ tool: 't', cost: fails })).rejects.toThrow(new RangeError('no'));
  });

  it('throws for a call that is none', async () => {
    const { leash } = leashOf();
    await expect(leash.peek({ tool: 't' })).rejects.toThrow(TypeError);
    await expect(leash.peek({ tool: 't', cost: { usd: Number.NaN } })).rejects.toThrow(RangeError);
    await expect(leash.peek({ tool: 't', cost: 'free', url: 'https://example.com' })).rejects.toThrow(TypeError);
  });

  const amount = fc.integer({ min: 0, max: 12 });
  const action = fc.oneof(
    fc.record({ do: fc.constant('run' as const), tool: fc.constantFrom('a', 'b'), dimes: amount, actual: amount }),
    fc.record({ do: fc.constant('enter' as const), tool: fc.constantFrom('a', 'b'), dimes: amount }),
    fc.record({ do: fc.constant('end' as const) }),
    fc.record({ do: fc.constant('charge' as const), dimes: amount }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 70_000 }) }),
  );
  const anyGuards = fc.subarray(
    ['usd/session', 'usd/call', 'usd/rolling', 'usd/day', 'cap', 'cap a', 'rate', 'none of b', 'parent'] as const,
    { minLength: 1 },
  );
  const guardsOf = (names: readonly string[]): Guard[] => {
    const known: Record<string, Guard> = {
      'usd/session': budget({ usd: 5 }),
      'usd/call': budget({ usd: 0.9, per: 'call' }),
      'usd/rolling': budget({ usd: 2, per: '1m' }),
      'usd/day': budget({ usd: 3, per: 'day' }),
      cap: callCap(6),
      'cap a': callCap({ max: 3, tools: ['a'] }),
      rate: rateLimit({ max: 2, per: '30s' }),
      'none of b': {
        name: 'own',
        check: ({ tool }) => (tool === 'b' ? { allow: false, code: 'NO_B', reason: 'b' } : { allow: true }),
      },
    };
    return names.flatMap((name) => known[name] ?? []);
  };

  it('foretells what enter does, in every state, and leaves that state as it is', async () => {
    await fc.assert(
      fc.asyncProperty(anyGuards, fc.array(action, { maxLength: 25 }), async (names, actions) => {
        const clock = new FakeClock();
        const root = leashOf(guardsOf(names), { clock });
        const leash = names.includes('parent') ? root.leash.child({ guards: [callCap(4)] }) : root.leash;
        const open: Ticket[] = [];
        for (const step of actions) {
          if (step.do === 'wait') clock.advance(step.ms);
          else if (step.do === 'end') await open.shift()?.settle();
          else if (step.do === 'charge') {
            await Promise.resolve()
              .then(() => leash.charge({ usd: step.dimes / 10 }))
              .catch(() => {});
          } else {
            const request = { tool: step.tool, cost: { usd: step.dimes / 10 } };
            const before = [await leash.usage(), linesOf(root.sink)];
            const foretold = await leash.peek(request);
            expect([await leash.usage(), linesOf(root.sink)]).toEqual(before);
            const ticket = await Promise.resolve()
              .then(() => leash.enter(request))
              .catch((error: LeashError) => error);
            if (foretold.allow) {
              expect(isLeashError(ticket)).toBe(false);
              if (step.do === 'run') await (ticket as Ticket).settle({ usd: step.actual / 10 });
              else open.push(ticket as Ticket);
            } else {
              const { guard, code, reason, limit, message } = foretold;
              const told = { guard, code, reason, ...(limit === undefined ? {} : { limit }) };
              expect(ticket).toMatchObject(told);
              // What a rate limit says of how long to wait, only the store knows.
              if (code !== 'RATE_LIMITED') expect((ticket as LeashError).message).toBe(message);
            }
          }
        }
        await root.leash.close();
      }),
      { numRuns: 150 },
    );
  });
});

describe('idempotencyKey', () => {
  function paying(guards: readonly Guard[] = [budget({ usd: 1 }), callCap(9)], options: Partial<LeashOptions> = {}) {
    const made = leashOf(guards, options);
    let ran = 0;
    const pay = made.leash.wrap('pay', async (_: { id: string; usd: number }) => ++ran, {
      cost: ({ usd }) => ({ usd }),
      idempotencyKey: ({ id }) => id,
    });
    return { ...made, pay, ran: () => ran };
  }

  const parts = [
    { parts: 'a synchronous store', options: () => ({}) },
    { parts: 'an asynchronous store', options: () => ({ store: lateStore() }) },
  ];
  it.each(parts)('pays once for one key and counts every call, with $parts', async ({ options }) => {
    const { leash, sink, pay, ran } = paying(undefined, options());
    for (let i = 0; i < 4; i++) await pay({ id: 'order-1', usd: 0.5 });
    await pay({ id: 'order-2', usd: 0.25 });
    expect(ran()).toBe(5);
    expect(await spentOf(leash)).toEqual(['0.75', '0']);
    expect(await spentOf(leash, 1)).toEqual([5, 0]);
    expect(
      linesOf(sink)
        .filter(({ kind }) => kind === 'tool_ok')
        .map(({ usd }) => usd),
    ).toEqual(['0.5', undefined, undefined, undefined, '0.25']);
    expect(await leash.close()).toMatchObject({ calls: 5, usd: '0.75' });
  });

  it('counts what such a call says that it cost but once', async () => {
    const { leash, sink } = leashOf();
    const pay = leash.wrap('pay', async () => currentCall()?.charge({ usd: 0.25 }), {
      cost: { usd: 0.125 },
      actualCost: () => ({ usd: 0.5 }),
      idempotencyKey: () => 'order-1',
    });
    await pay();
    await pay();
    expect(await spentOf(leash)).toEqual(['0.5', '0']);
    expect(await leash.usage()).toMatchObject({ usd: '0.5', calls: 2 });
    const [first, second] = linesOf(sink).filter(({ kind }) => kind === 'tool_ok');
    expect(first).toMatchObject({ usd: '0.5', overrun: 1 });
    expect(second).not.toHaveProperty('usd');
  });

  it('admits a key that was paid for when nothing is left, but not above a cap of calls', async () => {
    const { pay } = paying([budget({ usd: 0.5 }), callCap(2)]);
    await pay({ id: 'order-1', usd: 0.5 });
    await pay({ id: 'order-1', usd: 0.5 });
    expect(await rejection(pay({ id: 'order-1', usd: 0.5 }))).toMatchObject({ code: 'CALL_CAP_REACHED' });
    expect(await rejection(pay({ id: 'order-2', usd: 0.5 }))).toMatchObject({ code: 'BUDGET_EXCEEDED' });
  });

  it('pays nothing for such a call whose truth comes after the close', async () => {
    const store = memoryStore();
    const guards = [budget({ usd: 9, scope: 'org' })];
    const { leash } = leashOf(guards, { store });
    const call = { tool: 'pay', cost: { usd: 1 }, idempotencyKey: 'order-1' };
    await leash.run(call, () => 1);
    const ticket = await leash.enter(call);
    await leash.close();
    await ticket.settle({ usd: 3 });
    expect(await spentOf(leashOf(guards, { store }).leash)).toEqual(['1', '0']);
  });

  it('is in conflict while the first call runs, and with another cost', async () => {
    const { leash, sink } = leashOf();
    const call = (usd: number) => ({ tool: 'pay', cost: { usd }, idempotencyKey: 'order-1' });
    const first = await leash.enter(call(0.25));
    expect(thrownBy(() => leash.enter(call(0.25)))).toMatchObject({
      name: 'ConflictError',
      code: 'CONFLICT',
      message: 'Tool "pay" was refused: a call with the same idempotency key is still running.',
    });
    await first.settle();
    expect(thrownBy(() => leash.enter(call(0.5)))).toMatchObject({
      code: 'CONFLICT',
      message: 'Tool "pay" was refused: its idempotency key was used for another call.',
    });
    expect(linesOf(sink).filter(({ kind }) => kind === 'tool_denied')).toMatchObject([
      { code: 'CONFLICT', reason: 'in-progress' },
      { code: 'CONFLICT', reason: 'other-call' },
    ]);
    expect(await spentOf(leash)).toEqual(['0.25', '0']);
  });

  it('may be used again for what was given back', async () => {
    const { leash } = leashOf();
    for (let i = 0; i < 3; i++) {
      const ticket = await leash.enter({ tool: 'pay', cost: { usd: 0.5 }, idempotencyKey: 'order-1' });
      await ticket.release();
    }
    expect(await spentOf(leash)).toEqual(['0', '0']);
    const paid = await leash.enter({ tool: 'pay', cost: { usd: 0.25 }, idempotencyKey: 'order-1' });
    await paid.settle();
    expect(await spentOf(leash)).toEqual(['0.25', '0']);
  });

  it('keeps what a failed call has cost as paid', async () => {
    const { leash } = leashOf();
    const options = { cost: { usd: 0.5 }, idempotencyKey: () => 'order-1' };
    let fails = true;
    const pay = leash.wrap('pay', async () => (fails ? Promise.reject(new Error('mine')) : 'paid'), options);
    await rejection(pay());
    fails = false;
    expect(await pay()).toBe('paid');
    expect(await spentOf(leash)).toEqual(['0.5', '0']);
  });

  it.each(parts)(
    'pays when a call without an estimate costs something at last, and then once, with $parts',
    async ({ options }) => {
      const guards = [budget({ usd: 6, unpriced: 'free' }), callCap(9)];
      const { leash } = leashOf(guards, options());
      let fails = true;
      const tool = async () => {
        if (fails) throw new Error('mine');
        currentCall()?.charge({ usd: 5 });
      };
      const pay = leash.wrap('pay', tool, { idempotencyKey: () => 'order-1' });
      await rejection(pay());
      await rejection(pay());
      expect(await spentOf(leash)).toEqual(['0', '0']);
      fails = false;
      await pay();
      await pay();
      expect(await spentOf(leash)).toEqual(['5', '0']);
      expect(await spentOf(leash, 1)).toEqual([4, 0]);
      expect(await leash.usage()).toMatchObject({ usd: '5', calls: 4 });
    },
  );

  it.each(parts)('pays after a call without an estimate whose process died, with $parts', async ({ options }) => {
    const clock = new FakeClock();
    const counts = memoryStore({ clock });
    const { store = counts } = 'store' in options() ? { store: lateStore(counts) } : {};
    const guards = [budget({ usd: 6, unpriced: 'free', scope: 'org' }), callCap({ max: 9, scope: 'org' })];
    const [dead, next] = [0, 1].map(() => leashOf(guards, { id: 's', store, clock }).leash) as [Leash, Leash];
    const call = { tool: 'pay', idempotencyKey: 'order-1' };
    await dead.enter(call);
    clock.advance(300_000);
    expect(counts.sweep(9)).toHaveLength(1);
    for (let i = 0; i < 2; i++) await next.run(call, () => currentCall()?.charge({ usd: 5 }));
    expect(await spentOf(next)).toEqual(['5', '0']);
    expect(await spentOf(next, 1)).toEqual([3, 0]);
  });

  it('pays again after 24 hours, however little was asked of the store meanwhile', async () => {
    const clock = new FakeClock();
    const { leash } = leashOf([budget({ usd: 9 })], { clock });
    const pay = leash.wrap('pay', () => 1, { cost: { usd: 1 }, idempotencyKey: () => 'daily' });
    await pay();
    clock.advance(24 * 3_600_000 - 1);
    await pay();
    expect(await spentOf(leash)).toEqual(['1', '0']);
    clock.advance(1);
    for (let i = 0; i < 2; i++) await pay();
    expect(await spentOf(leash)).toEqual(['2', '0']);
  });

  it('has on record what limits that observe would have refused of a call that is not paid again', async () => {
    const { leash, sink } = leashOf([callCap(1), budget({ usd: 1 })], { mode: 'observe' });
    const pay = leash.wrap('pay', () => 1, { cost: { usd: 1 }, idempotencyKey: () => 'order-1' });
    await pay();
    await leash.charge({ usd: 1 });
    await pay();
    expect(linesOf(sink).filter(({ tool, code }) => tool === 'pay' && code !== undefined)).toMatchObject([
      { kind: 'tool_denied', code: 'CALL_CAP_REACHED', observed: 1 },
    ]);
  });

  it('may be used again and again while nothing is paid', async () => {
    const { leash } = leashOf([budget({ usd: 1 }), callCap(999)]);
    const free = leash.wrap('free', () => 'ran', { cost: 'free', idempotencyKey: () => 'order-1' });
    for (let i = 0; i < 200; i++) expect(await free()).toBe('ran');
    expect(await spentOf(leash, 1)).toEqual([200, 0]);
  });

  it('pays when the first call had no estimate and its process is gone, and then once', async () => {
    const clock = new FakeClock();
    const store = memoryStore({ clock });
    const options = { id: 'job-1', store, clock };
    const guards = [budget({ usd: 6, scope: 'shared', unpriced: 'free' }), callCap({ max: 9, scope: 'shared' })];
    const [gone, next] = [leashOf(guards, options).leash, leashOf(guards, options).leash];
    await gone.enter({ tool: 'pay', idempotencyKey: 'order-1' });
    clock.advance(300_000);
    await store.sweep(9);
    const tool = async () => currentCall()?.charge({ usd: 5 });
    const pay = next.wrap('pay', tool, { idempotencyKey: () => 'order-1' });
    await pay();
    await pay();
    expect(await spentOf(next)).toEqual(['5', '0']);
    expect(await spentOf(next, 1)).toEqual([3, 0]);
  });

  it.each([
    { who: 'the same key', options: { idempotencyKey: 'order-1' }, code: 'CONFLICT' },
    { who: 'another call', options: {}, code: 'BUDGET_EXCEEDED' },
  ])('is not held for ever by a call whose process is gone: $who gets through', async ({ options, code }) => {
    const clock = new FakeClock();
    const store = memoryStore({ clock });
    const guards = [budget({ usd: 1, per: '1h', scope: 'shared' })];
    const of = { id: 'job-1', store, clock };
    const [gone, next] = [leashOf(guards, of).leash, leashOf(guards, of).leash];
    await gone.enter({ tool: 'pay', cost: { usd: 0.75 }, idempotencyKey: 'order-1' });
    // From here on no timer renews what it holds.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      clock.advance(300_000);
      const again = () => next.run({ tool: 'pay', cost: { usd: 0.75 }, ...options }, () => 'ran');
      expect(await rejection(again())).toMatchObject({ code });
      await vi.advanceTimersByTimeAsync(100_000);
      expect(await spentOf(next)).toEqual(['0.75', '0']);
      clock.advance(3_700_000);
      expect(await again()).toBe('ran');
    } finally {
      vi.useRealTimers();
    }
  });

  it('belongs to one tool of one session', async () => {
    const store = memoryStore();
    const guards = [budget({ usd: 1, scope: 'shared' })];
    const [one, two] = [createLeash({ guards, store }), createLeash({ guards, store })];
    const call = (tool: string) => ({ tool, cost: { usd: 0.125 }, idempotencyKey: 'order-1' });
    for (const leash of [one, two]) {
      for (const tool of ['pay', 'refund']) {
        for (let i = 0; i < 2; i++) await leash.run(call(tool), () => 1);
      }
    }
    expect(await spentOf(one)).toEqual(['0.5', '0']);
  });

  it.each([{ key: '' }, { key: 7 }, { key: undefined }])('must be a text: $key', async ({ key }) => {
    const { leash, sink } = leashOf();
    const pay = leash.wrap('pay', () => 1, { cost: 'free', idempotencyKey: () => key as string });
    expect(await rejection(pay())).toBeInstanceOf(TypeError);
    expect(linesOf(sink)).toMatchObject([{ kind: 'tool_denied', code: 'CALL_INVALID', reason: 'idempotencyKey' }]);
  });
});

describe('money in two units', () => {
  it('is refused in a unit that no budget accounts for', async () => {
    const { leash, sink } = leashOf();
    const denial = await rejection(leash.run({ tool: 't', cost: { usd: 0.1, sat: 5 } }, () => 1));
    expect(denial).toMatchObject({
      code: 'BUDGET_EXCEEDED',
      reason: 'exceeds_cap',
      unit: 'sat',
      cap: '0',
      requested: '5',
      message: 'Tool "t" was refused: it costs 5 sat and no budget accounts for sat. Do not retry.',
    });
    expect(linesOf(sink)).toMatchObject([{ kind: 'budget_denied', unit: 'sat', cap: '0', requested: '5' }]);
    expect(await spentOf(leash)).toEqual(['0', '0']);
  });

  it('needs no budget where there is none at all', async () => {
    const { leash } = leashOf([callCap(9)]);
    await leash.run({ tool: 't', cost: { sat: 5 } }, () => 1);
    await leash.charge({ usd: 2 });
    expect(await leash.usage()).toMatchObject({ usd: '2', sat: '5' });
  });

  it('is counted by each budget in its own unit', async () => {
    const { leash } = leashOf([budget({ usd: 1 }), budget({ sat: 100 })]);
    await leash.run({ tool: 't', cost: { usd: 0.25, sat: 40 } }, () => 1);
    expect(await spentOf(leash)).toEqual(['0.25', '0']);
    expect(await spentOf(leash, 1)).toEqual(['40', '0']);
    const denial = await rejection(leash.run({ tool: 't', cost: { usd: 0.25, sat: 70 } }, () => 1));
    expect(denial).toMatchObject({ unit: 'sat', requested: '70', remaining: '60' });
    expect(await spentOf(leash)).toEqual(['0.25', '0']);
  });

  it('is converted by the rate that was given, rounded up', async () => {
    const asked: unknown[] = [];
    const { leash } = leashOf([budget({ usd: 1 })], {
      convert(from, unit) {
        asked.push([from, unit]);
        return { usd: Number((from as { sat: string }).sat) / 1_000 };
      },
    });
    await leash.run({ tool: 't', cost: { usd: 0.25, sat: '100.5' } }, () => 1);
    expect(asked[0]).toEqual([{ sat: '100.5' }, 'usd']);
    expect(await spentOf(leash)).toEqual(['0.3505', '0']);
    await leash.charge('500 sat');
    expect(await spentOf(leash)).toEqual(['0.8505', '0']);
    expect(await rejection(leash.run({ tool: 't', cost: '200 sat' }, () => 1))).toMatchObject({
      code: 'BUDGET_EXCEEDED',
      unit: 'usd',
      requested: '0.2',
      remaining: '0.1495',
    });
    await leash.run({ tool: 't', cost: { usd: 0.1 } }, () => currentCall()?.charge('50 sat'));
    expect(await spentOf(leash)).toEqual(['0.9005', '0']);
  });

  it('is converted by each leash’s own rate, which a child inherits', async () => {
    const { leash } = leashOf([budget({ usd: 9 })], { convert: () => ({ usd: 1 }) });
    const child = leash.child({ guards: [budget({ usd: 9 })] });
    await child.run({ tool: 't', cost: '5 sat' }, () => 1);
    expect((await child.usage()).limits).toMatchObject([{ spent: '1' }, { spent: '1' }]);
    const dear = leash.child({ guards: [budget({ usd: 9 })], convert: () => ({ usd: 3 }) });
    await dear.run({ tool: 't', cost: '5 sat' }, () => 1);
    expect((await dear.usage()).limits).toMatchObject([{ spent: '3' }, { spent: '2' }]);
  });

  it.each([
    {
      name: 'throws',
      convert: () => {
        throw new Error('no rate');
      },
      error: Error,
    },
    { name: 'gives NaN', convert: () => ({ usd: Number.NaN }), error: RangeError },
    { name: 'gives the unit that it was asked from', convert: () => ({ sat: 5 }), error: RangeError },
    { name: 'gives no money', convert: () => 5 as never, error: TypeError },
  ])('refuses the call when the rate $name', async ({ convert, error }) => {
    const { leash, sink } = leashOf([budget({ usd: 1 })], { convert });
    const ran = vi.fn();
    const thrown = await rejection(leash.run({ tool: 't', cost: '5 sat' }, ran));
    expect(thrown).toBeInstanceOf(error);
    expect(ran).not.toHaveBeenCalled();
    expect(linesOf(sink)).toMatchObject([{ kind: 'tool_denied', code: 'CALL_INVALID', reason: 'convert' }]);
    expect(await spentOf(leash)).toEqual(['0', '0']);
    expect(await leash.run({ tool: 't', cost: { usd: 0.5 } }, () => 'ran')).toBe('ran');
  });

  const ways = [
    { way: 'charge', spend: (leash: Leash) => leash.charge({ usd: 0.5, sat: 5 }), kinds: ['charge', 'tool_denied'] },
    {
      way: 'hold',
      spend: async (leash: Leash) => (await leash.hold({ usd: 0.25 })).settle({ usd: 0.5, sat: 5 }),
      kinds: ['charge'],
    },
    {
      way: 'call',
      spend: (leash: Leash) => {
        const charge = () => currentCall()?.charge({ usd: 0.5, sat: 5 });
        return leash.run({ tool: 't', cost: { usd: 0.25 } }, charge) as Promise<void>;
      },
      kinds: ['tool_start', 'tool_ok'],
    },
    {
      way: 'hold that is settled after the close',
      spend: async (leash: Leash) => {
        const hold = await leash.hold({ usd: 0.25 });
        await leash.close();
        await hold.settle({ usd: 0.5, sat: 5 });
      },
      kinds: ['charge', 'session_close'],
    },
  ];
  it.each(
    ways.flatMap(({ way, ...how }) => [
      { name: way, ...how, options: () => ({ store: memoryStore() }) },
      { name: `${way} at an asynchronous store`, ...how, options: () => ({ store: lateStore() }) },
    ]),
  )('is booked and logged as far as it is known when the rate fails after it was spent: $name', async (given) => {
    const { spend, kinds, options } = given;
    const { store } = options();
    const convert = (): never => {
      throw new Error('no rate');
    };
    const guards = [budget({ usd: 1, scope: 'org' })];
    const { leash, sink } = leashOf(guards, { convert, store });
    expect(await rejection((async () => spend(leash))())).toMatchObject({ message: 'no rate' });
    expect(kindsOf(sink)).toEqual(kinds);
    expect(await spentOf(leashOf(guards, { store }).leash)).toEqual(['0.5', '0']);
    if (!kinds.includes('session_close')) {
      expect(await leash.usage()).toMatchObject({ usd: '0.5', sat: '5' });
      expect(linesOf(sink).find(({ sat }) => sat !== undefined)).toMatchObject({ usd: '0.5', sat: '5' });
    }
    const refused = linesOf(sink).filter(({ kind }) => kind === 'tool_denied');
    for (const line of refused) expect(line).toMatchObject({ code: 'CALL_INVALID', reason: 'convert' });
  });

  it('is booked also where the log cannot be opened, and the charge rejects', async () => {
    const store = memoryStore();
    const guards = [budget({ usd: 1, scope: 'org' })];
    const signer = () => Promise.reject(new Error('no key'));
    const leash = createLeash({ guards, store, audit: { sink: memorySink(), signer } });
    const unavailable = { code: 'AUDIT_UNAVAILABLE' };
    for (let i = 0; i < 2; i++)
      expect(await rejection((async () => leash.charge({ usd: 0.25 }))())).toMatchObject(unavailable);
    expect(await rejection((async () => leash.hold({ usd: 0.25 }))())).toMatchObject(unavailable);
    expect(await leash.usage()).toMatchObject({ usd: '0.5' });
    expect(await rejection(leash.close())).toMatchObject(unavailable);
    expect(await spentOf(leashOf(guards, { store }).leash)).toEqual(['0.5', '0']);
  });

  it('is refused to a hold when the rate fails, on record', async () => {
    const convert = (): never => {
      throw new Error('no rate');
    };
    for (const guard of [budget({ usd: 1 }), budget({ usd: 1, per: 'call' })]) {
      const { leash, sink } = leashOf([guard], { convert });
      expect(await rejection((async () => leash.hold('5 sat'))())).toMatchObject({ message: 'no rate' });
      expect(linesOf(sink)).toMatchObject([{ kind: 'tool_denied', code: 'CALL_INVALID', reason: 'convert' }]);
      expect(await leash.usage()).toMatchObject({ denied: 1 });
    }
  });

  it('keeps the estimate when the rate fails for what a call really cost', async () => {
    const convert = vi.fn(() => ({ usd: 0.5 }));
    const { leash, sink } = leashOf([budget({ usd: 1 })], { convert });
    const broken = (): never => {
      throw new Error('no rate');
    };
    const tool = leash.wrap('t', () => void convert.mockImplementation(broken), {
      cost: '5 sat',
      actualCost: () => '1 sat',
    });
    expect(await rejection(tool())).toMatchObject({ message: 'no rate' });
    expect(await spentOf(leash)).toEqual(['0.5', '0']);
    expect(kindsOf(sink)).toHaveLength(2);
  });

  it.each([
    { parts: 'a synchronous store', options: {} },
    { parts: 'an asynchronous store', options: { store: lateStore() } },
  ])('hands on the tool’s own error when the rate fails besides, with $parts', async ({ options }) => {
    const convert = vi.fn(() => ({ usd: 0.25 }));
    const { leash, sink } = leashOf([budget({ usd: 1 })], { convert, ...options });
    const own = new RangeError('mine');
    const fail = (): never => {
      currentCall()?.charge('9 sat');
      convert.mockImplementation(() => {
        throw new Error('no rate');
      });
      throw own;
    };
    expect(await rejection(leash.wrap('t', fail, { cost: '5 sat' })())).toBe(own);
    convert.mockImplementation(() => ({ usd: 0.25 }));
    expect(await rejection(leash.wrap('t', async () => fail(), { cost: '5 sat' })())).toBe(own);
    convert.mockImplementation(() => ({ usd: 0.25 }));
    const stream = leash.wrap(
      't',
      async function* () {
        yield fail();
      },
      { cost: '5 sat' },
    )();
    expect(await rejection(stream.next())).toBe(own);
    expect(await spentOf(leash)).toEqual(['0.75', '0']);
    expect(linesOf(sink).flatMap(({ error }) => error ?? [])).toEqual(['RangeError', 'RangeError', 'RangeError']);
  });
});

describe('a scope', () => {
  it('is one counter for all leashes on a store that name it', async () => {
    const store = memoryStore();
    const make = () =>
      leashOf([budget({ usd: 1, scope: 'org:acme' }), callCap({ max: 3, scope: 'org:acme' }), callCap(2)], { store })
        .leash;
    const [one, two] = [make(), make()];
    await one.run({ tool: 't', cost: { usd: 0.5 } }, () => 1);
    await two.run({ tool: 't', cost: { usd: 0.25 } }, () => 1);
    expect(await rejection(two.run({ tool: 't', cost: { usd: 0.5 } }, () => 1))).toMatchObject({
      code: 'BUDGET_EXCEEDED',
      reason: 'exhausted',
      remaining: '0.25',
    });
    for (const leash of [one, two]) {
      expect((await leash.usage()).limits).toMatchObject([
        { scope: 'org:acme', spent: '0.75' },
        { scope: 'org:acme', spent: 2 },
        { spent: 1 },
      ]);
    }
    await one.run({ tool: 't', cost: 'free' }, () => 1);
    expect(await rejection(two.run({ tool: 't', cost: 'free' }, () => 1))).toMatchObject({
      code: 'CALL_CAP_REACHED',
      cap: 3,
    });
  });

  it('outlives the session that used it', async () => {
    const store = memoryStore();
    const make = () => leashOf([budget({ usd: 1, scope: 'org:acme' })], { store }).leash;
    const one = make();
    await one.run({ tool: 't', cost: { usd: 0.75 } }, () => 1);
    await one.close();
    expect(await rejection(make().run({ tool: 't', cost: { usd: 0.5 } }, () => 1))).toMatchObject({
      remaining: '0.25',
    });
  });

  it('is not shared by stores', async () => {
    const make = () => leashOf([budget({ usd: 1, scope: 'org:acme' })]).leash;
    for (const leash of [make(), make()])
      expect(await leash.run({ tool: 't', cost: { usd: 1 } }, () => 'ran')).toBe('ran');
  });
});

describe('fetch', () => {
  let here: TestServer;
  let there: TestServer;
  beforeAll(async () => {
    here = await startServer(redirecting);
    there = await startServer(redirecting);
  });
  afterAll(async () => {
    await Promise.all([here.close(), there.close()]);
  });
  beforeEach(() => {
    here.hits.length = 0;
    there.hits.length = 0;
  });
  const only = (server: TestServer): Guard => egress({ allow: [server.origin] });
  const place = (server: TestServer) => ({ scheme: 'http', host: '127.0.0.1', port: server.port });

  it('reaches what is allowed, and says so under the call that it is made in', async () => {
    const { leash, sink } = leashOf([only(here)]);
    const text = await leash.run({ tool: 'get' }, async () => (await leash.fetch(`${here.origin}/end?q=1`)).text());
    expect(text).toBe('ok');
    const [start, ok, end] = linesOf(sink);
    expect(start).toMatchObject({ kind: 'tool_start', tool: 'get' });
    expect(ok).toMatchObject({ kind: 'egress_ok', call: start?.call, tool: 'get', ...place(here) });
    expect(end).toMatchObject({ kind: 'tool_ok', call: start?.call });
  });

  it('works outside of a call, under its own name', async () => {
    const { leash, sink } = leashOf([only(here)]);
    expect(leash.fetch).toBe(leash.fetch);
    expect((await leash.fetch(new URL('/end', here.origin))).status).toBe(200);
    expect(linesOf(sink)).toMatchObject([{ kind: 'egress_ok', ...place(here) }]);
    expect(linesOf(sink)[0]).not.toHaveProperty('call');
    const denial = await rejection(leash.fetch(`${there.origin}/`));
    expect(denial).toMatchObject({ code: 'EGRESS_DENIED', reason: 'port', tool: 'leash.fetch', host: '127.0.0.1' });
    // The call of another leash is not its own.
    const other = leashOf([]);
    await other.leash.run({ tool: 'other' }, () => leash.fetch(here.origin));
    expect(linesOf(sink).at(-1)).not.toHaveProperty('tool');
  });

  it('connects to nothing that is denied', async () => {
    const { leash, sink } = leashOf([only(here)], { stopOn: ['EGRESS_DENIED'] });
    const before = there.connections();
    const denial = await rejection(leash.run({ tool: 'get' }, () => leash.fetch(`${there.origin}/secret`)));
    expect(denial).toMatchObject({
      name: 'EgressDeniedError',
      code: 'EGRESS_DENIED',
      reason: 'port',
      guard: 'egress',
      tool: 'get',
    });
    expect(there.connections()).toBe(before);
    const [start, denied, end] = linesOf(sink);
    expect(denied).toMatchObject({ kind: 'egress_denied', call: start?.call, code: 'EGRESS_DENIED', ...place(there) });
    expect(end).toMatchObject({ kind: 'tool_error', error: 'EGRESS_DENIED' });
    expect(leash.breach).toBe(denial);
  });

  it('decides on every hop of a redirect', async () => {
    const { leash, sink } = leashOf([only(here)]);
    const before = there.connections();
    const denial = await rejection(leash.fetch(hop(here.origin, 302, hop(here.origin, 307, `${there.origin}/secret`))));
    expect(denial).toMatchObject({ code: 'EGRESS_DENIED', reason: 'port' });
    expect(here.hits).toHaveLength(2);
    expect(there.connections()).toBe(before);
    expect(kindsOf(sink)).toEqual(['egress_ok', 'egress_ok', 'egress_denied']);
  });

  it('asks the guards of all ancestors', async () => {
    const { leash } = leashOf([only(here)]);
    const child = leash.child({ guards: [egress({ allow: [here.origin, there.origin] })] });
    expect(await rejection(child.fetch(there.origin))).toMatchObject({ code: 'EGRESS_DENIED', reason: 'port' });
    expect((await child.fetch(here.origin)).status).toBe(200);
  });

  it('is aborted by stop, while it waits and while it reads', async () => {
    await using slow = await startServer((request, response) => {
      if (request.url === '/body') response.write('first');
    });
    const { leash } = leashOf([only(slow)]);
    const waiting = rejection(leash.fetch(`${slow.origin}/silent`));
    const reading = (await leash.fetch(`${slow.origin}/body`)).text();
    const read = rejection(reading);
    await expect.poll(() => slow.hits.length).toBe(2);
    leash.stop('now');
    expect(await waiting).toBe(leash.breach);
    expect(await read).toBe(leash.breach);
    expect(await rejection(leash.fetch(`${slow.origin}/again`))).toMatchObject({ code: 'SESSION_STOPPED' });
    expect(slow.hits).toHaveLength(2);
  });

  it('is refused after the close', async () => {
    const { leash } = leashOf([only(here)]);
    const { fetch } = leash;
    await leash.close();
    expect(await rejection(fetch(here.origin))).toMatchObject({ code: 'SESSION_CLOSED' });
    expect(here.hits).toEqual([]);
  });

  it('takes a request as it is, and its signal', async () => {
    const { leash } = leashOf([only(here)]);
    const request = new Request(`${here.origin}/end`, { method: 'PUT', body: 'text', headers: { 'x-own': '1' } });
    await leash.fetch(request);
    await leash.fetch(`${here.origin}/end`, new Request(here.origin, { method: 'DELETE', headers: { 'x-own': '2' } }));
    expect(here.hits).toMatchObject([
      { method: 'PUT', body: 'text', headers: { 'x-own': '1' } },
      { method: 'DELETE', headers: { 'x-own': '2' } },
    ]);
    const reason = new Error('mine');
    const { signal } = new AbortController();
    await leash.fetch(here.origin, { signal });
    for (const attempt of [
      leash.fetch(here.origin, { signal: AbortSignal.abort(reason) }),
      leash.fetch(new Request(here.origin, { signal: AbortSignal.abort(reason) })),
    ]) {
      expect(await rejection(attempt)).toBe(reason);
    }
    expect(here.hits).toHaveLength(3);
  });

  it('sends nothing when the log cannot be written', async () => {
    let broken = false;
    const audit: AuditSink = {
      name: 'flaky',
      write() {
        if (broken) throw new Error('full');
      },
    };
    const { leash } = leashOf([only(here)], { audit });
    broken = true;
    expect(await rejection(leash.fetch(here.origin))).toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    expect(here.hits).toEqual([]);
  });

  it('records what an egress guard that observes would refuse', async () => {
    const { leash, sink } = leashOf([egress({ allow: [] })], { mode: 'observe' });
    expect((await leash.fetch(here.origin)).status).toBe(200);
    expect(linesOf(sink)).toMatchObject([{ kind: 'egress_denied', observed: 1 }, { kind: 'egress_ok' }]);
  });

  it.each([
    {
      name: 'throws',
      reach: () => {
        throw new Error('no');
      },
    },
    { name: 'answers nothing', reach: () => undefined as never },
  ])('is refused by a guard whose reach $name', async ({ reach }) => {
    const { leash } = leashOf([{ name: 'own', reach }]);
    expect(await rejection(leash.fetch(here.origin))).toMatchObject({ code: 'GUARD_FAILED', guard: 'own' });
    expect(here.hits).toEqual([]);
  });

  it('needs an egress guard', () => {
    const { leash } = leashOf([callCap(9)]);
    expect(() => leash.fetch).toThrow(
      new TypeError('leash.fetch needs an egress guard in the leash: add egress({ allow: [...] })'),
    );
  });
});

describe('usage', () => {
  it('tells every limit, and when a calendar window starts anew', async () => {
    const clock = new FakeClock();
    const { leash } = leashOf(
      [
        budget({ usd: 1, per: 'day' }),
        budget({ usd: 0.5, per: 'call' }),
        callCap({ max: 3, tools: ['t'] }),
        rateLimit({ max: 2, per: '1m' }),
      ],
      { clock },
    );
    await leash.run({ tool: 't', cost: '$0.25' }, () => 1);
    const open = await leash.enter({ tool: 'u', cost: '$0.125' });
    expect(await leash.usage()).toEqual({
      calls: 2,
      denied: 0,
      usd: '0.25',
      sat: '0',
      unbooked: NOTHING_UNBOOKED,
      limits: [
        {
          guard: 'budget',
          limit: 'usd/call',
          per: 'call',
          unit: 'usd',
          cap: '0.5',
          spent: '0',
          held: '0',
          remaining: '0.5',
        },
        {
          guard: 'budget',
          limit: 'usd/day',
          per: 'day',
          unit: 'usd',
          cap: '1',
          spent: '0.25',
          held: '0.125',
          remaining: '0.625',
          resetsAt: Date.UTC(2026, 10, 21),
        },
        {
          guard: 'call-cap',
          limit: 'call/session',
          per: 'session',
          tools: ['t'],
          unit: 'call',
          cap: 3,
          spent: 1,
          held: 0,
          remaining: 2,
        },
        {
          guard: 'rate-limit',
          limit: 'call/60000ms',
          per: '60000ms',
          unit: 'call',
          cap: 2,
          spent: 2,
          held: 0,
          remaining: 0,
        },
      ],
    });
    await open.settle();
    clock.advance(12 * 3_600_000);
    expect((await leash.usage()).limits).toMatchObject([
      {},
      { spent: '0', resetsAt: Date.UTC(2026, 10, 22) },
      {},
      { spent: 0 },
    ]);
  });

  it.each([
    { name: 'rejects', read: () => Promise.reject(new Error('down')) },
    { name: 'answers nothing', read: () => undefined as never },
  ])('tells what is known, and no room, when the store $name', async ({ read }) => {
    const { leash } = leashOf([budget({ usd: 1 }), budget({ usd: 2, per: 'call' }), callCap(9)], {
      store: storeWith({ read }),
    });
    await leash.run({ tool: 't', cost: '$0.25' }, () => 1);
    const { limits, ...known } = await leash.usage();
    expect(known).toEqual({ calls: 1, denied: 0, usd: '0.25', sat: '0', unbooked: NOTHING_UNBOOKED });
    expect(limits).toEqual([
      { guard: 'budget', limit: 'usd/call', per: 'call', unit: 'usd', cap: '2', spent: '0', held: '0', remaining: '2' },
      { guard: 'budget', limit: 'usd/session', per: 'session', unit: 'usd', cap: '1', remaining: '0' },
      { guard: 'call-cap', limit: 'call/session', per: 'session', unit: 'call', cap: 9, remaining: 0 },
    ]);
  });
});

describe('session_close', () => {
  it('tells as many refused calls as stand before it, whenever they came', async () => {
    const { leash, sink } = leashOf([callCap(9)]);
    const closing = leash.close();
    // One attempt in each step of the close.
    for (let step = 0; step < 100; step++) {
      const refused = leash.run({ tool: 't' }, () => 1);
      expect(await rejection(refused)).toMatchObject({ code: 'SESSION_CLOSED' });
    }
    const { denied } = await closing;
    const lines = linesOf(sink);
    expect(lines.filter(({ kind }) => kind === 'tool_denied')).toHaveLength(denied);
    expect(lines.find(({ kind }) => kind === 'session_close')).toMatchObject({ denied });
  });
});
