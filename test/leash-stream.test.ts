import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type AuditSink,
  budget,
  type Call,
  callCap,
  createLeash,
  currentCall,
  type Guard,
  type LeashOptions,
  memorySink,
  type SessionEndedError,
} from '../src/index.ts';
import { lateStore } from './helpers/late-store.ts';
import { rejection } from './helpers/refused.ts';

interface Line {
  readonly kind: string;
  readonly call?: string;
  readonly tool?: string;
  readonly usd?: string;
  readonly error?: string;
}

/** A memory sink whose every answer comes later. */
function lateSink(): AuditSink & { readonly lines: readonly string[] } {
  const sink = memorySink();
  return { name: 'late', lines: sink.lines, write: async (...lines) => sink.write(...lines) };
}

const lateGuard: Guard = {
  name: 'late',
  async check() {
    await null;
    return { allow: true };
  },
};

interface Parts {
  readonly parts: string;
  readonly guards: readonly Guard[];
  readonly options: () => Partial<LeashOptions>;
}

const PARTS: readonly Parts[] = [
  { parts: 'synchronous parts', guards: [], options: () => ({}) },
  { parts: 'an asynchronous guard', guards: [lateGuard], options: () => ({}) },
  {
    parts: 'an asynchronous guard, store and sink',
    guards: [lateGuard],
    options: () => ({ store: lateStore(), audit: lateSink() }),
  },
];

/** A leash of $1, the events of its log after the first, and where its money stands. */
function leashOf(parts: Partial<Parts> = {}) {
  const { audit = memorySink(), ...rest } = parts.options?.() ?? {};
  const sink = audit as AuditSink & { readonly lines: readonly string[] };
  const leash = createLeash({ guards: [...(parts.guards ?? []), budget({ usd: 1 })], audit: sink, ...rest });
  const lines = (): readonly Line[] =>
    sink.lines
      .slice(1)
      .map((line) => JSON.parse(line) as Line)
      .filter(({ kind }) => kind !== 'checkpoint');
  return {
    leash,
    lines,
    kinds: () => lines().map(({ kind }) => kind),
    money: async () => {
      const [limit] = (await leash.usage()).limits;
      return { spent: limit?.spent, held: limit?.held };
    },
  };
}

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** Lets everything run that waits for nothing but promises. */
const idle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

let unhandled: unknown[] = [];
const keep = (reason: unknown): void => void unhandled.push(reason);
beforeEach(() => {
  unhandled = [];
  process.on('unhandledRejection', keep);
});
afterEach(async () => {
  await idle();
  process.off('unhandledRejection', keep);
  expect(unhandled).toEqual([]);
});

describe.each(PARTS)('an async generator as a tool, with $parts', (parts) => {
  /** Counts to n, and notes what call each of its steps runs in. */
  function counting(settings: { readonly onError?: 'refund' | 'reported'; readonly actual?: boolean } = {}) {
    const made = leashOf(parts);
    const steps: (string | undefined)[] = [];
    const finals: (string | undefined)[] = [];
    const sent: unknown[] = [];
    const results: unknown[] = [];
    const { actual = false, ...options } = settings;
    const tool = made.leash.wrap(
      'count',
      async function* ({ to }: { readonly to: number }): AsyncGenerator<number, string, unknown> {
        try {
          for (let i = 0; i < to; i++) {
            await null;
            steps.push(currentCall()?.id);
            sent.push(yield i);
          }
          return 'done';
        } finally {
          await null;
          finals.push(currentCall()?.id);
        }
      },
      {
        cost: { usd: 0.5 },
        ...options,
        ...(actual
          ? {
              actualCost: (result: string) => {
                results.push(result);
                return { usd: 0.25 };
              },
            }
          : {}),
      },
    );
    return { ...made, tool, steps, finals, sent, results };
  }

  it('is an async generator at once', async () => {
    const { tool } = counting();
    const stream = tool({ to: 0 });
    expect(stream[Symbol.asyncIterator]()).toBe(stream);
    for (const step of ['next', 'return', 'throw'] as const) expect(stream[step]).toBeTypeOf('function');
    expect(stream).not.toHaveProperty('then');
    expect(await stream.next()).toEqual({ done: true, value: 'done' });
  });

  it('runs every step inside its call, and nothing else', async () => {
    const { tool, steps, finals, lines } = counting();
    const outside: unknown[] = [];
    for await (const _ of tool({ to: 3 })) outside.push(currentCall());
    const id = lines()[0]?.call;
    expect(id).toBeTypeOf('string');
    expect(steps).toEqual([id, id, id]);
    expect(finals).toEqual([id]);
    expect(outside).toEqual([undefined, undefined, undefined]);
  });

  it('keeps two streams apart whose steps take turns', async () => {
    const { tool, steps, lines } = counting();
    const [a, b] = [tool({ to: 2 }), tool({ to: 2 })];
    for (const stream of [a, b, b, a]) await stream.next();
    const [first, second] = lines().filter(({ kind }) => kind === 'tool_start');
    expect(steps).toEqual([first?.call, second?.call, second?.call, first?.call]);
    await Promise.all([a.return('over'), b.return('over')]);
  });

  it('is settled once when it ends, with what it returned', async () => {
    const { tool, results, lines, money } = counting({ actual: true });
    const stream = tool({ to: 2 });
    expect(await stream.next()).toEqual({ done: false, value: 0 });
    expect(await money()).toEqual({ spent: '0', held: '0.5' });
    expect(await all(stream)).toEqual([1]);
    expect(results).toEqual(['done']);
    expect(await money()).toEqual({ spent: '0.25', held: '0' });
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect(await stream.return('again')).toEqual({ done: true, value: 'again' });
    expect(results).toEqual(['done']);
    expect(lines()).toMatchObject([
      { kind: 'tool_start', tool: 'count', usd: '0.5' },
      { kind: 'tool_ok', tool: 'count', usd: '0.25' },
    ]);
  });

  it('is settled once when it is left early, with the estimate', async () => {
    const { tool, finals, results, lines, money } = counting({ actual: true });
    for await (const i of tool({ to: 10 })) if (i === 2) break;
    expect(finals).toEqual([lines()[0]?.call]);
    expect(results).toEqual([]);
    expect(await money()).toEqual({ spent: '0.5', held: '0' });
    expect(lines()).toMatchObject([{ kind: 'tool_start' }, { kind: 'tool_ok', usd: '0.5' }]);
  });

  it('is settled once when it is returned before its first step', async () => {
    const { tool, steps, finals, kinds, money } = counting();
    const stream = tool({ to: 3 });
    expect(await stream.return('early')).toEqual({ done: true, value: 'early' });
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect({ steps, finals }).toEqual({ steps: [], finals: [] });
    expect(await money()).toEqual({ spent: '0.5', held: '0' });
    expect(kinds()).toEqual(['tool_start', 'tool_ok']);
  });

  it.each([
    { name: 'keeps the estimate', settings: {}, spent: '0.5' },
    { name: 'frees it if told to', settings: { onError: 'refund' as const }, spent: '0' },
    { name: 'keeps it if nothing was reported', settings: { onError: 'reported' as const }, spent: '0.5' },
  ])('$name when what it is thrown goes through it', async ({ settings, spent }) => {
    const { tool, finals, lines, money } = counting(settings);
    const stream = tool({ to: 3 });
    await stream.next();
    const own = new RangeError('mine');
    expect(await rejection(stream.throw(own))).toBe(own);
    expect(finals).toEqual([lines()[0]?.call]);
    expect(await money()).toEqual({ spent, held: '0' });
    expect(lines()).toMatchObject([
      { kind: 'tool_start' },
      { kind: 'tool_error', error: 'RangeError', ...(spent === '0' ? { usd: '0' } : { usd: spent }) },
    ]);
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  });

  it('hands over what next is given', async () => {
    const { tool, sent } = counting();
    const stream = tool({ to: 2 });
    await stream.next('lost, as in every generator');
    await stream.next('first');
    await stream.next({ second: true });
    expect(sent).toEqual(['first', { second: true }]);
  });

  it('takes steps that are asked for before the last one is there', async () => {
    const { tool, kinds } = counting();
    const stream = tool({ to: 2 });
    const steps = await Promise.all([stream.next(), stream.next(), stream.next(), stream.next()]);
    expect(steps).toEqual([
      { done: false, value: 0 },
      { done: false, value: 1 },
      { done: true, value: 'done' },
      { done: true, value: undefined },
    ]);
    expect(kinds()).toEqual(['tool_start', 'tool_ok']);
  });

  it('goes on after a throw that the tool catches', async () => {
    const { leash, kinds } = leashOf(parts);
    const tool = leash.wrap(
      'patient',
      async function* (): AsyncGenerator<string, string, unknown> {
        try {
          yield 'before';
        } catch (error) {
          yield `caught ${(error as Error).message}`;
        }
        return 'end';
      },
      { cost: 'free' },
    );
    const stream = tool();
    await stream.next();
    expect(await stream.throw(new Error('it'))).toEqual({ done: false, value: 'caught it' });
    expect(kinds()).toEqual(['tool_start']);
    expect(await stream.next()).toEqual({ done: true, value: 'end' });
    expect(kinds()).toEqual(['tool_start', 'tool_ok']);
  });

  it('goes on when it yields on its way out', async () => {
    const { leash, kinds } = leashOf(parts);
    const tool = leash.wrap(
      'slow to leave',
      async function* (): AsyncGenerator<string, string, unknown> {
        try {
          yield 'first';
        } finally {
          yield 'last';
        }
        return 'end';
      },
      { cost: 'free' },
    );
    const stream = tool();
    await stream.next();
    expect(await stream.return('left')).toEqual({ done: false, value: 'last' });
    expect(kinds()).toEqual(['tool_start']);
    expect(await stream.next()).toEqual({ done: true, value: 'left' });
    expect(kinds()).toEqual(['tool_start', 'tool_ok']);
  });

  it('is disposed of like a generator', async () => {
    const { tool, finals, kinds, money } = counting();
    {
      await using stream = tool({ to: 3 });
      await stream.next();
      expect(kinds()).toEqual(['tool_start']);
    }
    expect(finals).toHaveLength(1);
    expect(kinds()).toEqual(['tool_start', 'tool_ok']);
    expect(await money()).toEqual({ spent: '0.5', held: '0' });
  });

  it('books what its steps report', async () => {
    const { leash, lines, money } = leashOf(parts);
    const tool = leash.wrap(
      'meter',
      async function* () {
        for (;;) {
          currentCall()?.charge({ usd: 0.1 });
          yield 'token';
        }
      },
      { cost: { usd: 0.5 } },
    );
    const stream = tool();
    for (let i = 0; i < 3; i++) await stream.next();
    await stream.return(undefined as never);
    expect(await money()).toEqual({ spent: '0.3', held: '0' });
    expect(lines()).toMatchObject([{ usd: '0.5' }, { kind: 'tool_ok', usd: '0.3' }]);
  });

  it('is aborted by stop while a step is awaited', async () => {
    const { leash, lines, money } = leashOf(parts);
    const finals: unknown[] = [];
    const tool = leash.wrap(
      'wait',
      async function* (): AsyncGenerator<string, void, unknown> {
        try {
          yield 'first';
          await new Promise((resolve) => currentCall()?.signal.addEventListener('abort', resolve));
          yield 'never read';
        } finally {
          finals.push(currentCall()?.tool);
        }
      },
      { cost: { usd: 0.5 } },
    );
    const stream = tool();
    await stream.next();
    const pending = rejection(stream.next());
    await idle();
    leash.stop('by hand');
    const error = (await pending) as SessionEndedError;
    expect(error).toMatchObject({ code: 'SESSION_STOPPED', reason: 'stopped' });
    expect(error).toBe(leash.signal.reason);
    await idle();
    expect(finals).toEqual(['wait']);
    expect(await money()).toEqual({ spent: '0.5', held: '0' });
    expect(lines()).toMatchObject([
      { kind: 'tool_start' },
      { kind: 'kill_switch' },
      { kind: 'tool_error', error: 'SESSION_STOPPED', usd: '0.5' },
    ]);
    expect(await rejection(stream.next())).toBe(error);
    expect(await stream.return()).toEqual({ done: true, value: undefined });
    expect(lines()).toHaveLength(3);
  });

  it.each([{ onError: 'forfeit' as const }, { onError: 'refund' as const }, { onError: 'reported' as const }])(
    'is aborted by stop while nobody reads, and is paid for with onError $onError',
    async ({ onError }) => {
      const { leash, lines, money } = leashOf(parts);
      const finals: unknown[] = [];
      const tool = leash.wrap(
        'idle',
        async function* () {
          try {
            yield 1;
            yield 2;
          } finally {
            finals.push(currentCall()?.tool);
          }
        },
        { cost: { usd: 0.5 }, onError },
      );
      const stream = tool();
      await stream.next();
      leash.stop('by hand');
      await idle();
      expect(finals).toEqual(['idle']);
      expect(await money()).toEqual({ spent: '0.5', held: '0' });
      expect(lines()[2]).toMatchObject({ kind: 'tool_error', error: 'SESSION_STOPPED', usd: '0.5' });
      expect(await rejection(stream.next())).toBe(leash.breach);
    },
  );

  const waysOut = [
    { told: [0.1, 0.2], spent: '0.5', more: [] },
    { told: [0.4, 0.3], spent: '0.7', more: ['0.2'] },
    { told: [0.75, 0.125, 0.125], spent: '1', more: ['0.125', '0.125'] },
  ].flatMap((way) => [
    { ...way, waits: false },
    { ...way, waits: true },
  ]);
  it.each(waysOut)(
    'books what it tells of $told when it is aborted, waits: $waits',
    async ({ told, spent, more, waits }) => {
      const { leash, lines, money } = leashOf(parts);
      const [first = 0, ...last] = told;
      const tool = leash.wrap(
        'meter',
        async function* () {
          const { signal } = currentCall() as Call;
          try {
            currentCall()?.charge({ usd: first });
            yield 'token';
            await new Promise((resolve) => signal.addEventListener('abort', resolve));
          } finally {
            for (const usd of last) currentCall()?.charge({ usd });
          }
        },
        { cost: { usd: 0.5 }, onError: 'refund' },
      );
      const stream = tool();
      await stream.next();
      const step = waits ? rejection(stream.next()) : undefined;
      leash.stop('by hand');
      expect(await step).toBe(waits ? leash.breach : undefined);
      await idle();
      expect(await money()).toEqual({ spent, held: '0' });
      expect(await leash.usage()).toMatchObject({ usd: spent });
      const [, , ended, ...charges] = lines();
      expect(ended).toMatchObject({ kind: 'tool_error', error: 'SESSION_STOPPED' });
      expect(charges).toMatchObject(more.map((usd) => ({ kind: 'charge', call: ended?.call, usd })));
      expect(await leash.close()).toMatchObject({ usd: spent });
    },
  );

  it('is aborted by the breach of another call', async () => {
    const { leash, tool, kinds } = counting();
    const stream = tool({ to: 3 });
    await stream.next();
    const other = leash.wrap('other', async () => 1, { cost: { usd: 2 } });
    const breach = await rejection(other());
    expect(breach).toMatchObject({ code: 'BUDGET_EXCEEDED', reason: 'exceeds_cap' });
    expect(await rejection(stream.next())).toBe(breach);
    await idle();
    expect(kinds()).toEqual(['tool_start', 'budget_denied', 'tool_error']);
  });

  it.each([{ onError: 'forfeit' as const }, { onError: 'refund' as const }])(
    'is forfeited by close with onError $onError',
    async ({ onError }) => {
      const { leash, lines } = leashOf(parts);
      const finals: unknown[] = [];
      const tool = leash.wrap(
        'open',
        async function* () {
          try {
            yield 1;
            yield 2;
          } finally {
            finals.push(currentCall()?.tool);
          }
        },
        { cost: { usd: 0.5 }, onError },
      );
      const stream = tool();
      await stream.next();
      expect(await leash.close()).toMatchObject({ calls: 1, usd: '0.5' });
      expect(await rejection(stream.next())).toMatchObject({ code: 'SESSION_CLOSED' });
      expect(finals).toEqual(['open']);
      expect(lines()).toMatchObject([
        { kind: 'tool_start' },
        { kind: 'tool_error', error: 'SESSION_CLOSED', usd: '0.5' },
        { kind: 'session_close', usd: '0.5' },
      ]);
    },
  );

  it('is held until the close when nobody ever reads it', async () => {
    const { leash, tool, steps, kinds, money } = counting();
    const stream = tool({ to: 3 });
    await idle();
    await idle();
    expect(await money()).toEqual({ spent: '0', held: '0.5' });
    expect(kinds()).toEqual(['tool_start']);
    expect(await leash.close()).toMatchObject({ calls: 1, usd: '0.5' });
    expect(kinds()).toEqual(['tool_start', 'tool_error', 'session_close']);
    expect(await rejection(stream.next())).toMatchObject({ code: 'SESSION_CLOSED' });
    expect(steps).toEqual([]);
  });

  it('rejects its first step with the denial, and never starts', async () => {
    const { leash, kinds, money } = leashOf(parts);
    let started = false;
    const tool = leash.wrap(
      'dear',
      async function* () {
        started = true;
        yield 1;
      },
      { cost: { usd: 2 } },
    );
    const stream = tool();
    const denial = await rejection(stream.next());
    expect(denial).toMatchObject({ code: 'BUDGET_EXCEEDED', reason: 'exceeds_cap', tool: 'dear' });
    expect(await rejection(stream.next())).toBe(denial);
    expect(await rejection(all(stream))).toBe(denial);
    expect(await rejection(stream.return())).toBe(denial);
    expect(started).toBe(false);
    expect(kinds()).toEqual(['budget_denied']);
    expect(await money()).toEqual({ spent: '0', held: '0' });
    // One that nobody reads is no unhandled rejection either: the log has it.
    void tool();
    await idle();
  });

  it('rejects its first step where its parameters do not fit', async () => {
    const { leash, lines, money } = leashOf(parts);
    const tool = leash.wrap(
      'picky',
      async function* ({ city }: { readonly city: string }) {
        yield city.length;
      },
      { cost: { usd: 0.5 } },
    );
    const stream = (tool as (...none: unknown[]) => AsyncGenerator<number>)(null);
    expect(await rejection(stream.next())).toBeInstanceOf(TypeError);
    expect(await money()).toEqual({ spent: '0.5', held: '0' });
    expect(lines()).toMatchObject([{ kind: 'tool_start' }, { kind: 'tool_error', error: 'TypeError' }]);
  });

  it('reads its arguments when it is called, not when it starts', async () => {
    const { leash } = leashOf(parts);
    const tool = leash.wrap(
      'echo',
      async function* (given: { to: string }) {
        yield given.to;
      },
      { cost: 'free' },
    );
    const given = { to: 'alice' };
    const stream = tool(given);
    given.to = 'mallory';
    expect(await all(stream)).toEqual(['alice']);
  });

  it('may call other tools in its steps', async () => {
    const { leash } = leashOf(parts);
    const inner = leash.wrap('inner', async () => currentCall()?.tool, { cost: 'free' });
    const tool = leash.wrap(
      'outer',
      async function* () {
        yield await inner();
        yield currentCall()?.tool;
      },
      { cost: 'free' },
    );
    expect(await all(tool())).toEqual(['inner', 'outer']);
  });

  it('comes out of run as it comes out of wrap', async () => {
    const { leash, kinds, money } = leashOf(parts);
    const stream = await leash.run({ tool: 'count', args: { to: 2 }, cost: { usd: 0.5 } }, async function* ({ to }) {
      for (let i = 0; i < to; i++) yield currentCall()?.tool;
    });
    expect(await money()).toEqual({ spent: '0', held: '0.5' });
    expect(await all(stream)).toEqual(['count', 'count']);
    expect(await money()).toEqual({ spent: '0.5', held: '0' });
    expect(kinds()).toEqual(['tool_start', 'tool_ok']);
  });

  it('no longer listens to the leash once it has ended', async () => {
    const { leash, tool } = counting();
    const streams = [tool({ to: 1 }), tool({ to: 1 })];
    for (const stream of streams) await stream.next();
    expect(getEventListeners(leash.signal, 'abort')).toHaveLength(2);
    await streams[0]?.return('early');
    for await (const _ of streams[1] ?? []);
    expect(getEventListeners(leash.signal, 'abort')).toEqual([]);
  });

  it('does not start after a stop that came before its first step', async () => {
    const { leash, tool, steps } = counting();
    const stream = tool({ to: 3 });
    leash.stop('at once');
    expect(await rejection(stream.next())).toMatchObject({ code: 'SESSION_STOPPED' });
    await idle();
    expect(steps).toEqual([]);
    const [limit] = (await leash.usage()).limits;
    expect(limit?.held).toBe('0');
  });
});

class Pages implements AsyncIterable<number> {
  readonly title = 'pages';
  readonly #count: number;
  #read = 0;

  constructor(count: number) {
    this.#count = count;
  }

  get read(): number {
    return this.#read;
  }

  left(): number {
    return this.#count - this.#read;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<number> {
    while (this.#read < this.#count) {
      expect(currentCall()?.tool).toBe('pages');
      yield this.#read++;
    }
  }
}

/** An iterator by hand, which knows `next` alone. */
function bare(items: readonly unknown[]): AsyncIterable<unknown> {
  return {
    [Symbol.asyncIterator]() {
      let i = 0;
      return {
        next: async () => (i < items.length ? { done: false, value: items[i++] } : { done: true, value: 'end' }),
      };
    },
  };
}

describe('an async iterable that is no generator', () => {
  it('stays an instance of its class, with its private fields and methods', async () => {
    const { leash, kinds, money } = leashOf();
    const pages = leash.wrap('pages', (count: number) => new Pages(count), { cost: { usd: 0.5 } })(3);
    expect(pages).toBeInstanceOf(Pages);
    expect(pages.constructor).toBe(Pages);
    expect(pages.title).toBe('pages');
    expect(Object.keys(pages)).toEqual(['title']);
    expect(pages.left()).toBe(3);
    const iterator = pages[Symbol.asyncIterator]();
    expect(await iterator.next()).toEqual({ done: false, value: 0 });
    expect({ read: pages.read, left: pages.left() }).toEqual({ read: 1, left: 2 });
    expect(await money()).toEqual({ spent: '0', held: '0.5' });
    expect(await all(pages)).toEqual([1, 2]);
    expect(await all(pages)).toEqual([]);
    expect(kinds()).toEqual(['tool_start', 'tool_ok']);
    expect(await money()).toEqual({ spent: '0.5', held: '0' });
  });

  it.each([
    { name: 'a promise of one', tool: async () => new Pages(2) },
    { name: 'one after an asynchronous guard', tool: () => new Pages(2), guards: [lateGuard] },
  ])('is guarded as $name', async ({ tool, guards = [] }) => {
    const { leash, kinds, money } = leashOf({ guards });
    const pages = await (leash.wrap('pages', tool, { cost: { usd: 0.5 } }) as () => Promise<Pages>)();
    expect(pages).toBeInstanceOf(Pages);
    expect(await money()).toEqual({ spent: '0', held: '0.5' });
    for await (const _ of pages) break;
    expect(await money()).toEqual({ spent: '0.5', held: '0' });
    expect(kinds()).toEqual(['tool_start', 'tool_ok']);
  });

  it('may know next alone', async () => {
    const { leash, kinds } = leashOf();
    const tool = leash.wrap('bare', (items: readonly unknown[]) => bare(items), { cost: 'free' });
    expect(await all(tool([1, 2]))).toEqual([1, 2]);
    for await (const _ of tool([1, 2])) break;
    expect(kinds()).toEqual(['tool_start', 'tool_ok', 'tool_start', 'tool_ok']);

    const iterator = tool([1])[Symbol.asyncIterator]();
    const own = new Error('mine');
    expect(await rejection(iterator.throw?.(own) as Promise<unknown>)).toBe(own);
    expect(kinds().slice(4)).toEqual(['tool_start', 'tool_error']);
  });

  it('may be frozen', async () => {
    const { leash, kinds } = leashOf();
    let i = 0;
    const source: AsyncIterableIterator<number> = Object.freeze({
      next: async () => ({ done: i === 2, value: i++ }),
      [Symbol.asyncIterator]: () => source,
    });
    const stream = leash.wrap('frozen', () => source, { cost: 'free' })();
    expect(stream[Symbol.asyncIterator]()).toBe(stream);
    expect(await all(stream)).toEqual([0, 1]);
    expect(kinds()).toEqual(['tool_start', 'tool_ok']);
  });

  it.each([
    { name: 'nothing', step: undefined },
    { name: 'a number', step: 7 },
    {
      name: 'a result that throws',
      step: {
        get done() {
          throw new TypeError('no');
        },
      },
    },
    {
      name: 'a last result whose value throws',
      step: {
        done: true,
        get value() {
          throw new TypeError('no');
        },
      },
    },
  ])('is settled as failed when a step gives $name', async ({ step }) => {
    const { leash, lines, money } = leashOf();
    const source = { [Symbol.asyncIterator]: () => ({ next: async () => step as never }) };
    const stream = leash.wrap('broken', () => source, { cost: { usd: 0.5 } })();
    expect(await rejection(all(stream))).toBeInstanceOf(TypeError);
    expect(lines()).toMatchObject([{ kind: 'tool_start' }, { kind: 'tool_error', error: 'TypeError' }]);
    expect(await money()).toEqual({ spent: '0.5', held: '0' });
  });

  it.each([
    { name: 'cannot be begun', iterator: failing },
    {
      name: 'has a next that cannot be read',
      iterator: () => ({
        get next() {
          return failing();
        },
      }),
    },
  ])('is settled as failed when it $name', async ({ iterator }) => {
    const { leash, lines, money } = leashOf();
    const source = { [Symbol.asyncIterator]: iterator as () => AsyncIterator<unknown> };
    const stream = leash.wrap('broken', () => source, { cost: { usd: 0.5 } })();
    expect(await rejection(all(stream))).toMatchObject({ name: 'TypeError', message: 'no' });
    expect(lines()).toMatchObject([{ kind: 'tool_start' }, { kind: 'tool_error', error: 'TypeError', usd: '0.5' }]);
    expect(await money()).toEqual({ spent: '0.5', held: '0' });
  });

  it('goes on for the one who reads it when a second one cannot begin', async () => {
    const { leash, kinds } = leashOf();
    const source = () =>
      new ReadableStream<number>({
        start(controller) {
          controller.enqueue(1);
          controller.close();
        },
      });
    const stream = leash.wrap('once', source, { cost: 'free' })();
    const reader = stream[Symbol.asyncIterator]();
    expect(() => stream[Symbol.asyncIterator]()).toThrow('locked');
    expect(kinds()).toEqual(['tool_start']);
    expect(await all({ [Symbol.asyncIterator]: () => reader })).toEqual([1]);
    expect(kinds()).toEqual(['tool_start', 'tool_ok']);
  });

  // What is thrown to the signal would be an uncaught exception, which fails the run.
  it.each([
    { name: 'its rate fails', iterator: () => ({ next: () => new Promise<never>(() => {}) }) },
    {
      name: 'its return cannot be read',
      iterator: () => ({
        next: () => new Promise<never>(() => {}),
        get return() {
          return failing();
        },
      }),
    },
  ])('rejects the step that is awaited at the end of the session though $name', async ({ iterator }) => {
    let convert: () => { usd: number } = () => ({ usd: 0.5 });
    const { leash, lines, money } = leashOf({ options: () => ({ convert: () => convert() }) });
    const source = { [Symbol.asyncIterator]: iterator as () => AsyncIterator<unknown> };
    const stream = leash.wrap('slow', () => source, { cost: '500 sat' })();
    const step = rejection(stream[Symbol.asyncIterator]().next());
    convert = failing;
    leash.stop('now');
    expect(await step).toBe(leash.breach);
    expect(lines().slice(-1)).toMatchObject([{ kind: 'tool_error', error: 'SESSION_STOPPED', sat: '500' }]);
    expect(await money()).toEqual({ spent: '0.5', held: '0' });
  });

  it('is settled when its cost turns out to be none', async () => {
    const { leash, lines, money } = leashOf();
    const tool = leash.wrap(
      'count',
      async function* () {
        yield 1;
      },
      { cost: { usd: 0.5 }, actualCost: () => ({ usd: Number.NaN }) },
    );
    expect(await rejection(all(tool()))).toBeInstanceOf(RangeError);
    expect(lines()).toMatchObject([{ kind: 'tool_start' }, { kind: 'tool_error', error: 'RangeError', usd: '0.5' }]);
    expect(await money()).toEqual({ spent: '0.5', held: '0' });
  });

  it('may be a ReadableStream, which leaving and aborting cancel', async () => {
    const { leash, kinds } = leashOf();
    const cancelled: unknown[] = [];
    const tool = leash.wrap(
      'readable',
      (items: number) => {
        let i = 0;
        return new ReadableStream<number>({
          pull(controller) {
            if (i === items) controller.close();
            else controller.enqueue(i++);
          },
          cancel: () => void cancelled.push(items),
        });
      },
      { cost: 'free' },
    );
    const stream = tool(2);
    expect(stream).toBeInstanceOf(ReadableStream);
    expect(stream.locked).toBe(false);
    expect(await all(stream)).toEqual([0, 1]);
    for await (const _ of tool(3)) break;
    expect(cancelled).toEqual([3]);
    expect(kinds()).toEqual(['tool_start', 'tool_ok', 'tool_start', 'tool_ok']);

    const iterator = tool(4)[Symbol.asyncIterator]();
    await iterator.next();
    leash.stop('now');
    expect(await rejection(iterator.next())).toMatchObject({ code: 'SESSION_STOPPED' });
    await idle();
    expect(cancelled).toEqual([3, 4]);
    expect(kinds().slice(4)).toEqual(['tool_start', 'kill_switch', 'tool_error']);
  });

  it('fails with the refusal whether it is awaited or iterated', async () => {
    const { leash, kinds } = leashOf();
    const tool = leash.wrap('pages', (count: number) => new Pages(count), { cost: { usd: 2 } });
    const denial = await rejection(all(tool(1)));
    expect(denial).toMatchObject({ code: 'BUDGET_EXCEEDED', tool: 'pages' });
    expect(await rejection(tool(1) as unknown as Promise<unknown>)).toMatchObject({
      code: 'SESSION_BREACHED',
      reason: 'ended by BUDGET_EXCEEDED',
    });
    expect(kinds()).toEqual(['budget_denied', 'tool_denied']);
  });

  it('counts against a cap from its call to its end', async () => {
    const { leash } = leashOf({ guards: [callCap(10)] });
    const tool = leash.wrap('pages', (count: number) => new Pages(count), { cost: { usd: 0.4 } });
    const open = [tool(1), tool(1)];
    expect(await leash.peek({ tool: 'pages', cost: { usd: 0.4 } })).toMatchObject({
      allow: false,
      reason: 'in_flight',
    });
    await Promise.all(open.map(all));
    expect(await leash.peek({ tool: 'pages', cost: { usd: 0.4 } })).toMatchObject({
      allow: false,
      reason: 'exhausted',
    });
  });
});

function failing(): never {
  throw new TypeError('no');
}

/** A value with a property that throws when it is looked at. */
function throwing(key: PropertyKey): object {
  return Object.defineProperty({}, key, {
    get() {
      throw new RangeError('no');
    },
  });
}

describe('a result that is neither', () => {
  it.each([
    { name: 'whose then throws', result: throwing('then') },
    { name: 'whose async iterator throws', result: throwing(Symbol.asyncIterator) },
    {
      name: 'that is promised and whose async iterator throws',
      result: Promise.resolve(throwing(Symbol.asyncIterator)),
    },
  ])('ends its call when it is one $name', async ({ result }) => {
    const { leash, lines, money } = leashOf();
    const tool = leash.wrap('odd', () => result as unknown, { cost: { usd: 0.5 } });
    expect(await rejection(tool())).toBeInstanceOf(RangeError);
    expect(lines()).toMatchObject([{ kind: 'tool_start' }, { kind: 'tool_error', error: 'RangeError' }]);
    expect(await money()).toEqual({ spent: '0.5', held: '0' });
  });
});
