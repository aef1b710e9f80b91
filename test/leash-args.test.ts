import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sha256 } from '../src/audit/chain.ts';
import {
  args as argsGuard,
  budget,
  callCap,
  createLeash,
  type Guard,
  type Leash,
  type LeashOptions,
  type MemorySink,
  memorySink,
  ToolArgsInvalidError,
} from '../src/index.ts';
import { canonicalJson, snapshotJson } from '../src/internal/canonical-json.ts';
import { lateStore } from './helpers/late-store.ts';

interface Line {
  readonly kind: string;
  readonly args?: string;
  readonly code?: string;
  readonly reason?: string;
}

function linesOf(sink: MemorySink): readonly Line[] {
  return sink.lines.map((line) => JSON.parse(line) as Line).filter(({ kind }) => kind !== 'checkpoint');
}

/** What stands in the log for these arguments. */
function commitment(args: unknown): string {
  return `sha256:${sha256(canonicalJson(args))}`;
}

function leashWith(guards: readonly Guard[] = [callCap(1_000)], options: Partial<LeashOptions> = {}) {
  const sink = memorySink();
  return { sink, leash: createLeash({ guards, audit: { sink, args: 'sha256' }, stopOn: 'none', ...options }) };
}

const lateGuard: Guard = {
  name: 'late',
  async check() {
    await null;
    return { allow: true };
  },
};

/** Each calls a tool with a value and gives back what the tool received. */
const WAYS: readonly { readonly way: string; readonly call: (leash: Leash, value: unknown) => Promise<unknown> }[] = [
  { way: 'wrap', call: (leash, value) => leash.wrap('tool', async (given: unknown) => given)(value) },
  {
    way: 'wrap with `args`',
    call: (leash, value) => {
      const tool = async (_signal: AbortSignal | undefined, given: unknown) => given;
      return leash.wrap('tool', tool, { args: (_, given) => given })(undefined, value);
    },
  },
  { way: 'run', call: (leash, value) => leash.run({ tool: 'tool', args: value }, async (given) => given) },
  {
    way: 'enter',
    call: async (leash, value) => {
      const ticket = await leash.enter({ tool: 'tool', args: value });
      await ticket.settle();
      return ticket.args;
    },
  },
];

const PARTS: readonly { readonly parts: string; readonly make: () => ReturnType<typeof leashWith> }[] = [
  { parts: 'synchronous parts', make: () => leashWith() },
  {
    parts: 'an asynchronous guard and store',
    make: () => leashWith([lateGuard, callCap(1_000)], { store: lateStore() }),
  },
];

const COMBINATIONS = WAYS.flatMap((way) => PARTS.map((part) => ({ ...way, ...part })));

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = { x: value };
  return value;
}

const inCycle: unknown[] = [];
const cycle = { self: inCycle };
inCycle.push(cycle);

const REFUSED = [
  { name: 'NaN', value: { cents: Number.NaN }, path: '/*', rule: 'not_finite' },
  { name: 'Infinity', value: [1, Number.POSITIVE_INFINITY], path: '/1', rule: 'not_finite' },
  { name: 'a bigint', value: { cents: 1n }, path: '/*', rule: 'bigint' },
  { name: 'a Map', value: new Map([['cents', 1]]), path: '', rule: 'not_plain_object' },
  { name: 'a Set', value: { of: [new Set([1])] }, path: '/*/0', rule: 'not_plain_object' },
  { name: 'a Date', value: { at: new Date(0) }, path: '/*', rule: 'not_plain_object' },
  {
    name: 'a class instance',
    value: new (class Order {
      readonly cents = 1;
    })(),
    path: '',
    rule: 'not_plain_object',
  },
  { name: 'a function', value: { cents: () => 1 }, path: '/*', rule: 'function' },
  { name: 'a symbol', value: { cents: Symbol('1') }, path: '/*', rule: 'symbol' },
  { name: 'undefined in an array', value: [undefined, 1], path: '/0', rule: 'undefined' },
  { name: 'a lone surrogate in a value', value: { name: 'x\ud800' }, path: '/*', rule: 'lone_surrogate' },
  { name: 'a lone surrogate in a key', value: { a: { 'x\udc00': 1 } }, path: '/*/*', rule: 'lone_surrogate' },
  { name: 'a cycle', value: cycle, path: '/*/0', rule: 'cycle' },
  { name: '100 000 levels', value: nested(100_000), path: '/*'.repeat(512), rule: 'too_deep' },
  {
    name: 'a getter that throws',
    value: {
      get cents() {
        throw new Error('sk-live-1');
      },
    },
    path: undefined,
    rule: 'unreadable',
  },
  {
    name: 'a proxy that throws',
    value: new Proxy(
      {},
      {
        ownKeys() {
          throw new Error('sk-live-1');
        },
      },
    ),
    path: undefined,
    rule: 'unreadable',
  },
  {
    name: 'a proxy of an instance',
    value: new Proxy(new Date(0), {}),
    path: '',
    rule: 'not_plain_object',
  },
];

describe.each(COMBINATIONS)('hostile arguments through $way, with $parts', ({ call, make }) => {
  it.each(REFUSED)('refuses $name', async ({ value, path, rule }) => {
    const { leash, sink } = make();
    const before = await leash.usage();
    const error = await call(leash, value).then(
      () => expect.unreachable('it was admitted'),
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(ToolArgsInvalidError);
    const { code, reason, guard, tool, issues, message, event } = error as ToolArgsInvalidError;
    expect({ code, reason, guard, tool }).toEqual({
      code: 'ARGS_INVALID',
      reason: 'not-json',
      guard: 'session',
      tool: 'tool',
    });
    expect(message).toBe(
      `Tool "tool" was refused: its arguments are not plain finite JSON (${rule}). Correct the arguments.`,
    );
    expect(issues).toEqual([{ path: path ?? expect.any(String), rule }]);
    expect(await leash.usage()).toEqual({ ...before, denied: 1 });
    const [, denied, ...more] = linesOf(sink);
    expect(more).toEqual([]);
    expect(denied).toMatchObject({ kind: 'tool_denied', code: 'ARGS_INVALID', reason: 'not-json', seq: event.seq });
    // There is nothing to hash: they could not be read.
    expect(denied).not.toHaveProperty('args');
  });

  it('gives the tool what it read the first time, of a getter that changes', async () => {
    const { leash, sink } = make();
    let reads = 0;
    const hostile = {
      get cents() {
        return ++reads === 1 ? 100 : 1_000_000;
      },
    };
    expect(await call(leash, hostile)).toEqual({ cents: 100 });
    expect(reads).toBe(1);
    expect(linesOf(sink)[1]).toMatchObject({ kind: 'tool_start', args: commitment({ cents: 100 }) });
  });

  it('gives the tool what it read the first time, of a proxy that changes', async () => {
    const { leash, sink } = make();
    const reads: string[] = [];
    const hostile = new Proxy<Record<string, unknown>>(
      { to: 'alice', list: [1, 2] },
      {
        get(target, key) {
          reads.push(String(key));
          return reads.filter((read) => read === key).length === 1 ? target[String(key)] : 'mallory';
        },
      },
    );
    expect(await call(leash, hostile)).toEqual({ to: 'alice', list: [1, 2] });
    expect(reads).toEqual(['to', 'list']);
    expect(linesOf(sink)[1]).toMatchObject({ args: commitment({ to: 'alice', list: [1, 2] }) });
  });

  it('gives the tool what came with the call, whatever the caller does to it then', async () => {
    const { leash, sink } = make();
    const given = { to: 'alice', items: [{ cents: 1 }], inner: { a: 1 } };
    const answer = call(leash, given);
    given.to = 'mallory';
    given.items.push({ cents: 1_000_000 });
    (given.items[0] as { cents: number }).cents = 2;
    given.inner = { a: 2 };
    const received = await answer;
    expect(received).toEqual({ to: 'alice', items: [{ cents: 1 }], inner: { a: 1 } });
    expect(linesOf(sink)[1]).toMatchObject({ args: commitment(received) });
  });

  it('keeps an own __proto__ as a property that changes nothing', async () => {
    const { leash, sink } = make();
    const received = (await call(leash, JSON.parse('{"__proto__":{"admin":true},"a":1}'))) as { admin?: unknown };
    expect(Object.getPrototypeOf(received)).toBe(Object.prototype);
    expect(received.admin).toBeUndefined();
    expect(JSON.stringify(received)).toBe('{"__proto__":{"admin":true},"a":1}');
    expect(linesOf(sink)[1]).toMatchObject({ args: commitment(received) });
    expect(linesOf(sink)[1]).not.toMatchObject({ args: commitment({ a: 1 }) });
  });

  it.each([
    { name: '-0', value: { n: -0 }, received: { n: 0 } },
    { name: 'null', value: null, received: null },
    { name: 'an empty string', value: '', received: '' },
    { name: 'false', value: false, received: false },
    { name: 'properties that are undefined', value: { a: undefined, b: null }, received: { b: null } },
    { name: 'symbol keys', value: { [Symbol('s')]: Number.NaN, b: 1 }, received: { b: 1 } },
    { name: 'one array in two places', value: ((both) => [both, both])([1]), received: [[1], [1]] },
    { name: 'a frozen record', value: Object.freeze({ a: 1 }), received: { a: 1 } },
    { name: 'a null-prototype record', value: Object.assign(Object.create(null), { a: 1 }), received: { a: 1 } },
  ])('admits $name as plain JSON', async ({ value, received }) => {
    const { leash, sink } = make();
    expect(await call(leash, value)).toStrictEqual(received);
    expect(linesOf(sink)[1]).toMatchObject({ kind: 'tool_start', args: commitment(received) });
  });
});

describe('the arguments of a call', () => {
  it('are one and the same to the guards, to the options, to the log and to the tool', async () => {
    const seen: string[] = [];
    const see = (who: string, value: unknown): void => void seen.push(`${who} ${canonicalJson(value)}`);
    const sink = memorySink();
    const watching: Guard = {
      name: 'watching',
      check(call) {
        see('guard', call.args);
        return { allow: true };
      },
    };
    const leash = createLeash({
      guards: [watching, budget({ usd: 1 })],
      audit: { sink, args: 'sha256' },
    });
    const tool = leash.wrap(
      'tool',
      async (given: { readonly n: number }) => {
        see('tool', given);
        return 'done';
      },
      {
        cost: (given) => {
          see('cost', given);
          return { usd: 0.1 };
        },
        actualCost: (result, given) => {
          see(`actualCost ${result}`, given);
          return { usd: 0.1 };
        },
        idempotencyKey: (given) => {
          see('idempotencyKey', given);
          return 'key';
        },
      },
    );
    let reads = 0;
    await tool({
      get n() {
        return ++reads;
      },
    });
    expect(seen).toEqual(['cost', 'guard', 'idempotencyKey', 'tool', 'actualCost done'].map((who) => `${who} {"n":1}`));
    expect(linesOf(sink)[1]).toMatchObject({ args: commitment({ n: 1 }) });
  });

  it('reach the tool unchanged by a validator', async () => {
    const sink = memorySink();
    const schema = {
      '~standard': {
        version: 1 as const,
        vendor: 'test',
        validate(value: unknown) {
          (value as { n: number }).n = 1_000_000;
          return { value: { n: 2 } };
        },
      },
    };
    const leash = createLeash({ guards: [argsGuard()], audit: { sink, args: 'sha256' } });
    expect(await leash.wrap('tool', async (given: { n: number }) => given, { schema })({ n: 1 })).toEqual({ n: 1 });
    expect(linesOf(sink)[1]).toMatchObject({ args: commitment({ n: 1 }) });
  });

  it('are hashed as they are received, for all JSON', async () => {
    const { leash, sink } = leashWith([callCap(10_000)]);
    const tool = leash.wrap('tool', (given: unknown) => ({ given }));
    const value = fc.oneof(
      fc.jsonValue({ stringUnit: 'binary' }),
      fc.dictionary(fc.constantFrom('__proto__', 'b', 'a', '10', '9'), fc.jsonValue(), { noNullPrototype: true }),
    );
    await fc.assert(
      fc.asyncProperty(value, async (json) => {
        const { given } = await tool(json);
        const start = linesOf(sink).findLast(({ kind }) => kind === 'tool_start');
        expect(start?.args).toBe(commitment(given));
        expect(canonicalJson(given)).toBe(canonicalJson(snapshotJson(json)));
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    { name: 'one parameter', params: [{ a: 1 }], args: { a: 1 }, received: [{ a: 1 }] },
    { name: 'one parameter that is an array', params: [[1, 2]], args: [1, 2], received: [[1, 2]] },
    { name: 'one parameter that is null', params: [null], args: null, received: [null] },
    { name: 'several parameters', params: ['x', { a: 1 }], args: ['x', { a: 1 }], received: ['x', { a: 1 }] },
    { name: 'no parameter', params: [], args: [], received: [] },
    { name: 'one parameter that is undefined', params: [undefined], args: [], received: [] },
    { name: 'a last parameter that is undefined', params: ['x', undefined], args: ['x'], received: ['x'] },
    { name: 'only parameters that are undefined', params: [undefined, undefined], args: [], received: [] },
  ])('are, by default, $name', async ({ params, args, received }) => {
    const { leash, sink } = leashWith();
    const tool = leash.wrap('tool', async (...given: unknown[]) => given);
    expect(await tool(...params)).toStrictEqual(received);
    expect(linesOf(sink)[1]).toMatchObject({ kind: 'tool_start', args: commitment(args) });
  });

  it('are refused as a whole for one of several parameters', async () => {
    const { leash } = leashWith();
    const tool = leash.wrap('tool', async (...given: unknown[]) => given);
    await expect(tool('x', new Map())).rejects.toMatchObject({
      code: 'ARGS_INVALID',
      reason: 'not-json',
      issues: [{ path: '/1', rule: 'not_plain_object' }],
    });
    await expect(tool(undefined, 'x')).rejects.toMatchObject({ issues: [{ path: '/0', rule: 'undefined' }] });
  });

  it.each([
    { name: 'run', call: (leash: Leash) => leash.run({ tool: 'tool' }, (given) => given) },
    { name: 'enter', call: async (leash: Leash) => (await leash.enter({ tool: 'tool' })).args },
  ])('of $name are none where none are given', async ({ call }) => {
    const { leash, sink } = leashWith();
    expect(await call(leash)).toEqual([]);
    expect(linesOf(sink)[1]).toMatchObject({ args: commitment([]) });
  });
});

describe('the option args', () => {
  it('lets other parameters through as they are', async () => {
    const { leash, sink } = leashWith();
    const context = new Map([['user', 1]]);
    const { signal } = new AbortController();
    const input = { to: 'alice' };
    const tool = leash.wrap(
      'tool',
      async (given: { to: string }, map: Map<string, number>, abort: AbortSignal) => ({ given, map, abort }),
      { args: (given) => given },
    );
    const answer = tool(input, context, signal);
    input.to = 'mallory';
    const { given, map, abort } = await answer;
    expect(given).toEqual({ to: 'alice' });
    expect(given).not.toBe(input);
    expect(map).toBe(context);
    expect(abort).toBe(signal);
    expect(linesOf(sink)[1]).toMatchObject({ args: commitment({ to: 'alice' }) });
  });

  it('gives the tool the checked copy of each parameter that it returns as a member', async () => {
    const { leash, sink } = leashWith([lateGuard, callCap(10)]);
    const [from, to] = [{ name: 'alice' }, { name: 'bob' }];
    const context = new Map();
    const tool = leash.wrap(
      'transfer',
      async (...params: [{ name: string }, Map<string, string>, { name: string }, number]) => params,
      { args: (sender, _, receiver, cents) => ({ sender, receiver, cents }) },
    );
    const answer = tool(from, context, to, 5);
    to.name = 'mallory';
    const received = await answer;
    expect(received).toEqual([{ name: 'alice' }, context, { name: 'bob' }, 5]);
    expect(received[1]).toBe(context);
    const expected = { sender: { name: 'alice' }, receiver: { name: 'bob' }, cents: 5 };
    expect(linesOf(sink)[1]).toMatchObject({ args: commitment(expected) });
  });

  it('refuses what it returns like any arguments', async () => {
    const { leash } = leashWith();
    const tool = leash.wrap('tool', async (_: unknown, more: unknown) => more, {
      args: (given, more) => [given, more],
    });
    await expect(tool('x', new Map())).rejects.toMatchObject({
      code: 'ARGS_INVALID',
      reason: 'not-json',
      issues: [{ path: '/1', rule: 'not_plain_object' }],
    });
  });

  it('refuses the call when it throws, with its own error and an event', async () => {
    const { leash, sink } = leashWith();
    const own = new Error('sk-live-1');
    let ran = false;
    const tool = leash.wrap(
      'tool',
      async (_: unknown) => {
        ran = true;
      },
      {
        args: () => {
          throw own;
        },
      },
    );
    await expect(tool(1)).rejects.toBe(own);
    expect(ran).toBe(false);
    expect(linesOf(sink)[1]).toMatchObject({ kind: 'tool_denied', code: 'CALL_INVALID', reason: 'args' });
    expect(sink.lines.join()).not.toContain('sk-live-1');
    expect((await leash.usage()).limits).toMatchObject([{ spent: 0, held: 0 }]);
  });

  it('leaves no call open when what it returned throws at a second look', async () => {
    const { leash, sink } = leashWith([budget({ usd: 1 })]);
    let reads = 0;
    const hostile = {
      get x() {
        if (++reads > 1) throw new Error('sk-live-1');
        return 1;
      },
    };
    const tool = leash.wrap('tool', async (_: object, context: object) => context, {
      args: (given) => given,
      cost: { usd: 0.5 },
    });
    await tool(hostile, {}).catch(() => {});
    expect((await leash.usage()).limits).toMatchObject([{ spent: '0.5', held: '0' }]);
    expect(linesOf(sink).map(({ kind }) => kind)).toHaveLength(3);
    expect(sink.lines.join()).not.toContain('sk-live-1');
  });
});
