/** Compiled by `tsc`, never run: what the types of the session promise, and what they must refuse. */
import {
  type ArgsOf,
  type Call,
  type CallRequest,
  type Cost,
  createLeash,
  currentCall,
  type Decision,
  type Hold,
  type Leash,
  type LeashError,
  type LimitUsage,
  type MaybePromise,
  memoryStore,
  type OnStoreError,
  resumeScope,
  type StoreUnavailableError,
  type Summary,
  stopScope,
  type Ticket,
  type ToolOptions,
  type Unbooked,
  type Usage,
} from '../src/index.ts';

/** Whether two types are one and the same: not only assignable both ways, and `any` is nothing but itself. */
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(equal: Equal<A, B>): void;

declare const leash: Leash;

class Pages implements AsyncIterable<string> {
  readonly #count = 1;
  readonly total: number = 1;
  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    yield String(this.#count);
  }
}

// The helper itself tells apart what it must.
same<{ a: 1 }, { a: 1 }>(true);
same<{ a: 1 }, { readonly a: 1 }>(false);
same<unknown, never>(false);
// biome-ignore lint/suspicious/noExplicitAny: that it is told apart is what is tested.
same<any, unknown>(false);
// @ts-expect-error: they are not the same.
same<string, number>(true);

// Parameters, and results as promises.
{
  const plain = leash.wrap('t', async (a: string, b: { readonly n: number }) => a.length + b.n);
  same<typeof plain, (a: string, b: { readonly n: number }) => Promise<number>>(true);
  const none = leash.wrap('t', async () => {});
  same<typeof none, () => Promise<void>>(true);
  const sync = leash.wrap('t', (a: string) => a.length);
  same<typeof sync, (a: string) => Promise<number>>(true);
  const thenable = leash.wrap('t', (a: string): PromiseLike<number> => Promise.resolve(a.length));
  same<typeof thenable, (a: string) => Promise<number>>(true);
  const optional = leash.wrap('t', async (a: string, b?: number) => `${a}${b}`);
  same<typeof optional, (a: string, b?: number) => Promise<string>>(true);
  // Declared beside: of a default that is written inside the call the compiler makes nothing, for any generic function.
  const withDefault = async (a: string, b = 5): Promise<string> => `${a}${b}`;
  const defaulted = leash.wrap('t', withDefault);
  same<typeof defaulted, (a: string, b?: number) => Promise<string>>(true);
  const rest = leash.wrap('t', async (a: string, ...more: readonly number[]) => a.length + more.length);
  same<typeof rest, (a: string, ...more: number[]) => Promise<number>>(true);
  const tuple = leash.wrap('t', async (...pair: [from: string, to?: Date]) => pair.length);
  same<typeof tuple, (from: string, to?: Date) => Promise<1 | 2>>(true);
  const literal = leash.wrap('t', async (mode: 'a' | 'b') => ({ mode }));
  same<typeof literal, (mode: 'a' | 'b') => Promise<{ mode: 'a' | 'b' }>>(true);
  // @ts-expect-error: the parameters are checked.
  void plain('a');
  // @ts-expect-error: the parameters are checked.
  void plain('a', { n: '1' });
  // @ts-expect-error: no parameter more than the function has.
  void none(1);
  // @ts-expect-error: the result of a synchronous function is a promise now.
  sync('a').toFixed();
  // @ts-expect-error: the words are kept.
  void literal('c');
}

// Unions of results.
{
  const either = leash.wrap('t', (a: boolean): Promise<number> | string => (a ? Promise.resolve(1) : 'one'));
  same<typeof either, (a: boolean) => Promise<number | string>>(true);
  const maybe = leash.wrap('t', async (a: boolean): Promise<number | undefined> => (a ? 1 : undefined));
  same<typeof maybe, (a: boolean) => Promise<number | undefined>>(true);
  const tagged = leash.wrap('t', (): { ok: true; n: number } | { ok: false } => ({ ok: false }));
  same<typeof tagged, () => Promise<{ ok: true; n: number } | { ok: false }>>(true);
  const unknowing = leash.wrap('t', (a: unknown): unknown => a);
  same<typeof unknowing, (a: unknown) => Promise<unknown>>(true);
  const late = leash.wrap('t', async (): Promise<Pages | string> => 'x');
  same<typeof late, () => Promise<Pages | string>>(true);
}

// Generic functions stay generic. (Their signatures are compared where they are used: two ways to write the same
// parameters of a generic function are not identical to the compiler.)
{
  const identity = leash.wrap('t', <T>(x: T): Promise<T> => Promise.resolve(x));
  const asIdentity: <T>(x: T) => Promise<T> = identity;
  same<typeof identity<Date>, (x: Date) => Promise<Date>>(true);
  const inferred = identity({ n: 1 } as const);
  same<typeof inferred, Promise<{ readonly n: 1 }>>(true);
  const sync = leash.wrap('t', <T>(x: T): T[] => [x]);
  const asSync: <T>(x: T) => Promise<T[]> = sync;
  same<typeof sync<Date>, (x: Date) => Promise<Date[]>>(true);
  const keyed = leash.wrap(
    't',
    async <T extends { id: string }, K extends keyof T>(of: T, key: K): Promise<T[K]> => of[key],
  );
  const asKeyed: <T extends { id: string }, K extends keyof T>(of: T, key: K) => Promise<T[K]> = keyed;
  const value = keyed({ id: 'x', n: 1 }, 'n');
  same<typeof value, Promise<number>>(true);
  const priced = leash.wrap('t', <T>(x: T): Promise<T> => Promise.resolve(x), { cost: { usd: 1 }, onError: 'refund' });
  same<typeof priced<Date>, (x: Date) => Promise<Date>>(true);
  const counted = leash.wrap('t', <T>(x: T): Promise<T> => Promise.resolve(x), { cost: () => 'free' });
  same<typeof counted<Date>, (x: Date) => Promise<Date>>(true);
  const stream = leash.wrap('t', async function* <T>(x: T): AsyncGenerator<T, number> {
    yield x;
    return 1;
  });
  same<typeof stream<Date>, (x: Date) => AsyncGenerator<Date, number>>(true);
  // @ts-expect-error: the constraint is kept.
  void keyed({ name: 'x' }, 'name');
  // @ts-expect-error: and so is the key.
  void keyed({ id: 'x' }, 'name');
  void [asIdentity, asSync, asKeyed];
}

// Of an overloaded function the last signature is seen, as everywhere in TypeScript.
{
  function overloaded(a: string): Promise<string>;
  function overloaded(a: number): Promise<number>;
  async function overloaded(a: string | number): Promise<string | number> {
    return a;
  }
  const last = leash.wrap('t', overloaded);
  same<typeof last, (a: number) => Promise<number>>(true);
  // @ts-expect-error: only the last signature is left.
  void last('a');
}

// A function with a `this` may be wrapped; who calls the result has to bring it.
{
  interface Account {
    readonly owner: string;
  }
  const method = leash.wrap('t', async function (this: Account, cents: number) {
    return `${this.owner} ${cents}`;
  });
  same<typeof method, (cents: number) => Promise<string>>(true);
}

// Streams stay what they are.
{
  const generator = leash.wrap('t', async function* (to: number): AsyncGenerator<number, string, boolean> {
    return (yield to) ? 'yes' : 'no';
  });
  same<typeof generator, (to: number) => AsyncGenerator<number, string, boolean>>(true);
  const iterable = leash.wrap('t', (): AsyncIterable<Date> => generatorOf<Date>());
  same<typeof iterable, () => AsyncIterable<Date>>(true);
  const iterator = leash.wrap('t', (): AsyncIterableIterator<Date> => generatorOf<Date>());
  same<typeof iterator, () => AsyncIterableIterator<Date>>(true);
  const pages = leash.wrap('t', (_count: number, _from?: string) => new Pages());
  same<typeof pages, (_count: number, _from?: string) => Pages>(true);
  const readable = leash.wrap('t', () => new ReadableStream<Uint8Array>());
  same<typeof readable, () => ReadableStream<Uint8Array>>(true);
  const promised = leash.wrap('t', async () => new Pages());
  same<typeof promised, () => Promise<Pages>>(true);
  const typed: AsyncGenerator<number, string, boolean> = generator(1);
  void typed.next(true);
  // @ts-expect-error: it is no promise.
  generator(1).then();
  // @ts-expect-error: what is sent in is checked.
  void generator(1).next('yes');
  void pages(1).total.toFixed();
  // @ts-expect-error: a promise of one is to be awaited.
  void promised().total;
}
declare function generatorOf<T>(): AsyncGenerator<T, void, unknown>;

// What the functions of the options get.
{
  same<ArgsOf<[]>, readonly []>(true);
  same<ArgsOf<[string]>, string>(true);
  same<ArgsOf<[unknown]>, unknown>(true);
  same<ArgsOf<[string, Date]>, [string, Date]>(true);
  // With one parameter a call gives that one; without any, none.
  same<ArgsOf<[a?: string]>, string | readonly []>(true);
  same<ArgsOf<[a: string | undefined]>, string | readonly []>(true);
  same<ArgsOf<[a: string, b?: Date]>, string | [a: string, b?: Date]>(true);
  same<ArgsOf<string[]>, string | string[]>(true);
  same<ArgsOf<[a: string, ...more: Date[]]>, string | [a: string, ...more: Date[]]>(true);

  const full = leash.wrap('t', async (order: { readonly cents: number }) => `${order.cents}`, {
    cost: (args) => {
      same<typeof args, { readonly cents: number }>(true);
      return { usd: args.cents / 100 };
    },
    actualCost: (result, args) => {
      same<typeof result, string>(true);
      same<typeof args, { readonly cents: number }>(true);
      return 'free';
    },
    url: (args) => {
      same<typeof args, { readonly cents: number }>(true);
      return [new URL('https://example.com'), 'https://example.com'];
    },
    idempotencyKey: (args) => {
      same<typeof args, { readonly cents: number }>(true);
      return `${args.cents}`;
    },
    onError: 'reported',
    leaseMs: 5_000,
    schema: { type: 'object' },
  });
  same<typeof full, (order: { readonly cents: number }) => Promise<string>>(true);
  leash.wrap('t', (from: string, cents: number) => from.length + cents, {
    cost: (args) => {
      same<typeof args, [from: string, cents: number]>(true);
      return { usd: args[1] };
    },
    actualCost: (result) => {
      same<typeof result, number>(true);
      return { sat: result };
    },
  });
  leash.wrap('t', async () => new Date(), {
    cost: (args) => {
      same<typeof args, readonly []>(true);
      return '5 sat';
    },
    actualCost: (result) => {
      same<typeof result, Date>(true);
      return '$1';
    },
  });
  leash.wrap('t', async (a: string, b?: number) => `${a}${b}`, {
    cost: (args) => {
      same<typeof args, string | [a: string, b?: number | undefined]>(true);
      return 'free';
    },
  });
  leash.wrap('t', (a: boolean): Promise<number> | string => (a ? Promise.resolve(1) : 'one'), {
    actualCost: (result) => {
      same<typeof result, number | string>(true);
      return 'free';
    },
  });
  // Of a generator the result is what it returns, of another iterable nobody knows one.
  leash.wrap(
    't',
    async function* (to: number): AsyncGenerator<number, string> {
      yield to;
      return 'end';
    },
    {
      cost: (args) => {
        same<typeof args, number>(true);
        return 'free';
      },
      actualCost: (result) => {
        same<typeof result, string>(true);
        return 'free';
      },
    },
  );
  leash.wrap('t', () => new Pages(), {
    actualCost: (result) => {
      same<typeof result, unknown>(true);
      return 'free';
    },
  });
  // What `args` returns is what the others get.
  leash.wrap('t', async (order: { id: string; cents: number }, signal: AbortSignal) => [order, signal] as const, {
    args: (order, signal) => {
      same<typeof order, { id: string; cents: number }>(true);
      same<typeof signal, AbortSignal>(true);
      return { id: order.id, cents: order.cents };
    },
    cost: (args) => {
      same<typeof args, { id: string; cents: number }>(true);
      return { usd: args.cents / 100 };
    },
    actualCost: (result, args) => {
      same<typeof result, readonly [{ id: string; cents: number }, AbortSignal]>(true);
      same<typeof args, { id: string; cents: number }>(true);
      return 'free';
    },
    idempotencyKey: (args) => args.id,
  });
  leash.wrap('t', async (order: { id: string }, signal: AbortSignal) => [order, signal], {
    args: (order) => order.id,
    // @ts-expect-error: not the parameters, but what was made of them.
    idempotencyKey: (args) => args[0].id,
  });

  // @ts-expect-error: a number has no unit.
  leash.wrap('t', async () => 1, { cost: 5 });
  // @ts-expect-error: nor has a text without one.
  leash.wrap('t', async () => 1, { cost: '5' });
  // @ts-expect-error: a cost is known before the call.
  leash.wrap('t', async () => 1, { cost: async () => ({ usd: 1 }) });
  // @ts-expect-error: an unknown option.
  leash.wrap('t', async () => 1, { price: { usd: 1 } });
  // @ts-expect-error: an unknown word.
  leash.wrap('t', async () => 1, { onError: 'ignore' });
  // @ts-expect-error: a key is a text.
  leash.wrap('t', async () => 1, { idempotencyKey: () => 5 });
  // @ts-expect-error: the arguments are not of that type.
  leash.wrap('t', async (a: string) => a, { cost: (args: number) => ({ usd: args }) });
  // @ts-expect-error: the result is not of that type.
  leash.wrap('t', async (a: string) => a, { actualCost: (result: number) => ({ usd: result }) });
  // @ts-expect-error: `args` gets the parameters.
  leash.wrap('t', async (a: string) => a, { args: (a: number) => a });
  // @ts-expect-error: a name is needed.
  leash.wrap(async () => 1);
}

// Options may be written down beside the tool.
{
  const options: ToolOptions<[order: { readonly cents: number }], string> = {
    cost: ({ cents }) => ({ usd: cents / 100 }),
  };
  const tool = leash.wrap('t', async (order: { readonly cents: number }) => `${order.cents}`, options);
  same<typeof tool, (order: { readonly cents: number }) => Promise<string>>(true);
  const any: ToolOptions = { cost: 'free', leaseMs: 5_000 };
  const other = leash.wrap('t', async (a: string, b: Date) => [a, b], any);
  same<typeof other, (a: string, b: Date) => Promise<(string | Date)[]>>(true);
}

// One call without wrapping.
{
  const result = leash.run({ tool: 't', args: { city: 'Oslo' } }, async (args) => {
    same<typeof args, { city: string }>(true);
    return args.city.length;
  });
  same<typeof result, Promise<number>>(true);
  same<ReturnType<typeof runOf<readonly [1, 2]>>, Promise<readonly [1, 2]>>(true);
  const sync = leash.run({ tool: 't', args: 'x' as const, cost: 'free' }, (args) => args);
  same<typeof sync, Promise<'x'>>(true);
  const either = leash.run({ tool: 't', args: true }, (a): Promise<number> | string =>
    a ? Promise.resolve(1) : 'one',
  );
  same<typeof either, Promise<number | string>>(true);
  const stream = leash.run({ tool: 't' }, () => new Pages());
  same<typeof stream, Promise<Pages>>(true);
  void leash.run({ tool: 't' }, (args) => {
    same<typeof args, unknown>(true);
  });
  const request: CallRequest<number> = {
    tool: 't',
    args: 1,
    url: [new URL('https://example.com')],
    idempotencyKey: 'k',
  };
  void leash.run(request, (n) => n.toFixed());
  // @ts-expect-error: the function gets the arguments.
  void leash.run(request, (text: string) => text);
  // @ts-expect-error: a call has a tool.
  void leash.run({ args: 1 }, () => 1);
  void leash.run({ tool: 't', args: 1, cost: (n) => ({ usd: n }), url: (n) => `https://${n}.example` }, (n) => n + 1);
  void leash.enter({ tool: 't', args: 'x', cost: (text) => ({ usd: text }) });
  void leash.peek({ tool: 't', args: ['x'], url: (list) => list });
  // @ts-expect-error: the functions get the arguments.
  void leash.peek({ tool: 't', args: 1, cost: (text: string) => ({ usd: text }) });
}
declare const runOf: <T>(args: T) => ReturnType<typeof leash.run<T, T>>;

// The other members.
{
  const entered = leash.enter({ tool: 't', args: [1] });
  same<typeof entered, MaybePromise<Ticket>>(true);
  const within = (ticket: Ticket) => [ticket.within(() => 1), ticket.within(async () => 'x')] as const;
  same<ReturnType<typeof within>, readonly [number, Promise<string>]>(true);
  const held = leash.hold({ usd: 1 }, 'note');
  same<typeof held, MaybePromise<Hold>>(true);
  const charged = leash.charge('$1');
  same<typeof charged, MaybePromise<void>>(true);
  // @ts-expect-error: nothing is nothing to charge.
  void leash.charge('free');
  same<typeof leash.breach, LeashError | undefined>(true);
  same<typeof leash.signal, AbortSignal>(true);
  same<typeof leash.fetch, typeof globalThis.fetch>(true);
  const members = () => [leash.usage(), leash.close(), leash.peek({ tool: 't' })] as const;
  same<ReturnType<typeof members>, readonly [Promise<Usage>, Promise<Summary>, Promise<Decision>]>(true);
  const child = leash.child({ guards: [], mode: 'observe', stopOn: ['OWN_CODE', 'RATE_LIMITED'] });
  same<typeof child, Leash>(true);
  // @ts-expect-error: the store is its parent's.
  leash.child({ guards: [], store: undefined });
  // @ts-expect-error: a session has guards, if only an empty list.
  createLeash({});
  // @ts-expect-error: an unknown mode.
  createLeash({ guards: [], mode: 'off' });
  // @ts-expect-error: `id` is not to be changed.
  leash.id = 'x';
  const current = currentCall();
  same<typeof current, Call | undefined>(true);
  const costs: readonly Cost[] = ['free', '$1', '5 sat', '5 msat', { usd: 1 }, { sat: '5' }, { usd: 1n, sat: 1 }];
  void costs;
}

// A decision is narrowed by `allow`, a limit by its unit.
{
  const told = (decision: Decision): string => (decision.allow ? `${decision.observed.length}` : decision.reason);
  void told;
  const left = (usage: LimitUsage): number => (usage.unit === 'call' ? usage.remaining : usage.remaining.length);
  void left;
  // @ts-expect-error: an allowed call has no reason.
  const wrong = (decision: Decision): string => decision.reason;
  void wrong;
  // What the store does not tell is not there.
  const spent = (usage: LimitUsage): number => (usage.unit === 'call' ? (usage.spent ?? 0) : (usage.held?.length ?? 0));
  void spent;
  // @ts-expect-error: nor is it nothing.
  const sure = (usage: LimitUsage): string | number => usage.spent;
  void sure;
  same<Usage['unbooked'], Unbooked>(true);
  // @ts-expect-error: money is a text.
  const amount = (usage: LimitUsage): number => usage.cap;
  void amount;
}

// What a store that fails means, for a leash and for a fleet.
{
  const policies: readonly OnStoreError[] = [
    'deny',
    { allowUpTo: {} },
    { allowUpTo: { usd: '$5', sat: 10n, calls: 3 } },
  ];
  createLeash({ guards: [], storeTimeoutMs: 250, onStoreError: policies[0] as OnStoreError });
  // @ts-expect-error: nothing is allowed without a bound.
  createLeash({ guards: [], onStoreError: 'allow' });
  // @ts-expect-error: calls are counted.
  createLeash({ guards: [], onStoreError: { allowUpTo: { calls: '3' } } });
  // @ts-expect-error: the store is the root's.
  leash.child({ guards: [], onStoreError: 'deny' });
  // @ts-expect-error: the store is the root's.
  leash.child({ guards: [], storeTimeoutMs: 250 });
  const byHand = () => leash.stop('reason');
  same<ReturnType<typeof byHand>, void>(true);
  const forAll = () => leash.stop('reason', { scope: 'org:acme' });
  same<ReturnType<typeof forAll>, Promise<void>>(true);
  // @ts-expect-error: which scope?
  leash.stop('reason', {});
  const changed = [stopScope(memoryStore(), 'org:acme'), resumeScope(memoryStore(), 'org:acme')] as const;
  same<typeof changed, readonly [Promise<void>, Promise<void>]>(true);
  same<StoreUnavailableError['unbooked'], Unbooked | undefined>(true);
}
