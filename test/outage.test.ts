import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { memorySink } from '../src/audit/memory-sink.ts';
import { verifyLog } from '../src/audit/verify.ts';
import { currentCall } from '../src/call.ts';
import type { LeashError } from '../src/errors.ts';
import type { Guard } from '../src/guard.ts';
import { budget } from '../src/guards/budget.ts';
import { callCap } from '../src/guards/call-cap.ts';
import { rateLimit } from '../src/guards/rate-limit.ts';
import { createLeash } from '../src/leash.ts';
import type { Leash } from '../src/leash-contract.ts';
import type { LeashOptions } from '../src/leash-options.ts';
import { memoryStore } from '../src/stores/memory.ts';
import type { Store } from '../src/stores/store.ts';
import { FAULTS, type Fault, FaultyLine } from './helpers/outage.ts';
import { rejection, thrownBy } from './helpers/refused.ts';
import { storeWith } from './helpers/store-around.ts';

const USD = 1_000_000_000;
const NOTHING = { usd: '0', sat: '0', calls: 0 };
const UNAVAILABLE = { name: 'StoreUnavailableError', code: 'STORE_UNAVAILABLE' };

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

/** Lets everything happen that does not need time, and then time pass. */
const pass = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

interface Made extends FaultyLine {
  readonly leash: Leash;
  readonly events: () => { kind: string; [key: string]: unknown }[];
  readonly sink: ReturnType<typeof memorySink>;
}

/** A session on a line that fails when it is told to. */
function on(line: FaultyLine, guards: readonly Guard[], options: Partial<LeashOptions> = {}): Made {
  const sink = memorySink();
  const { clock, store } = line;
  const leash = createLeash({ guards, clock, store, audit: { sink, sign: 'none' }, stopOn: 'none', ...options });
  const events = () => sink.lines.map((each) => JSON.parse(each)).slice(1);
  return Object.assign(line, { leash, sink, events });
}

const upTo = (allowUpTo: object): Partial<LeashOptions> => ({ onStoreError: { allowUpTo } });
const run = (leash: Leash, usd: number | string = 1) => leash.run({ tool: 't', cost: { usd } }, () => 'ran');

/** The codes of refusals and what the others gave. */
async function all(works: readonly Promise<unknown>[]): Promise<unknown[]> {
  const outcomes = Promise.all(works.map((work) => work.catch(({ code }: LeashError) => code)));
  await pass(60_000);
  return outcomes;
}

describe('storeTimeoutMs', () => {
  it.each([
    { value: 0, error: RangeError },
    { value: 1.5, error: RangeError },
    { value: Number.POSITIVE_INFINITY, error: RangeError },
    { value: '5s', error: TypeError },
  ])('refuses $value', ({ value, error }) => {
    const options = { guards: [], storeTimeoutMs: value as number };
    expect(() => createLeash(options)).toThrow(error);
    expect(() => createLeash(options)).toThrow('`createLeash.storeTimeoutMs` must be an integer >= 1');
    expect(() => createLeash({ guards: [] }).child({ guards: [], storeTimeoutMs: 1 } as never)).toThrow(TypeError);
  });

  it.each([
    { given: undefined, ms: 10_000 },
    { given: 250, ms: 250 },
    // More than a timer takes must not be none at all.
    { given: 2 ** 40, ms: 2 ** 31 - 1 },
  ])('of $given lets a call wait for $ms ms', async ({ given, ms }) => {
    const line = new FaultyLine(true);
    const { leash } = on(line, [callCap(9)], given === undefined ? {} : { storeTimeoutMs: given });
    await all([run(leash)]);
    line.fault = 'mute';
    let told: unknown;
    const waiting = rejection(run(leash)).then((error) => {
      told = error;
    });
    await pass(ms - 1);
    expect(told).toBeUndefined();
    await pass(1);
    await waiting;
    expect(told).toMatchObject(UNAVAILABLE);
    expect((told as Error).cause).toMatchObject({ message: 'the store did not answer in time' });
  });

  it('holds for opening, too', async () => {
    const line = new FaultyLine(true);
    const { leash } = on(line, [callCap(9)], { storeTimeoutMs: 100 });
    line.fault = 'mute';
    const refused = rejection(run(leash));
    await pass(100);
    expect(await refused).toMatchObject(UNAVAILABLE);
    // Nothing was reserved, so nothing is given back.
    expect(line.asked).toEqual(['open']);
    line.fault = 'up';
    await run(leash);
    // The one that renews leases is left.
    expect(vi.getTimerCount()).toBe(1);
  });

  it('gives back what may have arrived', async () => {
    const line = new FaultyLine(true);
    const { leash } = on(line, [budget({ usd: 2 })], { storeTimeoutMs: 100 });
    await run(leash);
    line.fault = 'mute';
    line.asked.length = 0;
    const refused = rejection(run(leash));
    await pass(100);
    expect(await refused).toMatchObject(UNAVAILABLE);
    expect(line.asked).toEqual(['reserve', 'settle']);
  });

  it('lets a tool have its result after one wait, whatever becomes of the settlement', async () => {
    const line = new FaultyLine(true);
    const { leash, events } = on(line, [budget({ usd: 2 })], { storeTimeoutMs: 100 });
    const paying = leash.run({ tool: 't', cost: '$1' }, () => {
      line.fault = 'mute';
      return 'ran';
    });
    await pass(99);
    expect(events().map(({ kind }) => kind)).toEqual(['tool_start']);
    await pass(1);
    expect(await paying).toBe('ran');
    expect(events().map(({ kind }) => kind)).toEqual(['tool_start', 'tool_ok']);
  });

  it('lets close() end, and usage() too', async () => {
    const line = new FaultyLine(true);
    const { leash } = on(line, [budget({ usd: 9 })], { storeTimeoutMs: 100 });
    const child = leash.child({ guards: [callCap(9)] });
    await leash.enter({ tool: 't', cost: '$1' });
    await child.enter({ tool: 't', cost: '$1' });
    const hanging = leash.run({ tool: 't', cost: '$1' }, () => new Promise(() => {}));
    hanging.catch(() => {});
    await pass();
    line.fault = 'mute';
    const usage = leash.usage();
    const waiting = rejection(run(leash));
    const closing = rejection(leash.close());
    await pass(1_000);
    expect(await waiting).toMatchObject(UNAVAILABLE);
    expect(await usage).toMatchObject({ limits: [{ remaining: '0' }] });
    expect(await closing).toMatchObject(UNAVAILABLE);
    expect((await leash.usage()).limits[0]).not.toHaveProperty('spent');
  });

  it('keeps no process alive, and costs a store that answers at once nothing', async () => {
    vi.useRealTimers();
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const line = new FaultyLine(true);
    const { leash } = on(line, [callCap(9)]);
    await run(leash);
    line.fault = 'mute';
    run(leash).catch(() => {});
    void leash.usage();
    const failing = new FaultyLine();
    const ticket = await on(failing, [callCap(9)]).leash.enter({ tool: 't' });
    failing.fault = 'down';
    await ticket.settle();
    await new Promise(setImmediate);
    expect(timers()).toBe(before);
    const set = vi.spyOn(globalThis, 'setTimeout');
    const { leash: quick } = on(new FaultyLine(), [callCap(9)]);
    for (let i = 0; i < 5; i++) await run(quick);
    // The timer that renews leases, once.
    expect(set).toHaveBeenCalledTimes(1);
    set.mockRestore();
  });
});

describe('opening scopes', () => {
  it('asks once for those of the leashes, which are temporary, and once for those that are shared', async () => {
    const asked: unknown[] = [];
    const memory = memoryStore();
    const store = storeWith(
      {
        open: (scopes, lifetime) => {
          asked.push([scopes, lifetime]);
          return memory.open(scopes, lifetime);
        },
      },
      memory,
    );
    const shared = [budget({ usd: 9, scope: 'org:a' }), callCap({ max: 9, scope: 'org:b' })];
    const leash = createLeash({ id: 'one', guards: [...shared, callCap(9)], store });
    const child = leash.child({ id: 'two', guards: [callCap(9), budget({ usd: 9 }), callCap({ max: 7, scope: 'c' })] });
    await run(child);
    await run(leash);
    expect(asked).toEqual([
      [['session:two', 'session:one'], 'temporary'],
      [['shared:c', 'shared:org:a', 'shared:org:b'], 'kept'],
    ]);
  });

  it('never opens anew what the store has lost, whatever else is opened', async () => {
    let memory = memoryStore();
    const opened: (readonly string[])[] = [];
    const store = storeWith({
      open: (...args) => {
        opened.push(args[0]);
        return memory.open(...args);
      },
      reserve: (...args) => memory.reserve(...args),
      settle: (...args) => memory.settle(...args),
    });
    const guards = [budget({ usd: 1 }), callCap({ max: 9, scope: 'org', tools: ['other'] })];
    const leash = createLeash({ guards, store, stopOn: 'none' });
    await run(leash, 1);
    memory = memoryStore();
    // The tool's shared scope is new to the session, its own is not.
    const other = () => leash.run({ tool: 'other', cost: '$1' }, () => 'ran');
    expect(await rejection(other())).toMatchObject({ code: 'STATE_LOST' });
    expect(await rejection(run(leash))).toMatchObject({ code: 'STATE_LOST' });
    expect(opened).toEqual([[`session:${leash.id}`], ['shared:org']]);
  });

  it('goes by the first answer where several calls asked at once', async () => {
    const memory = memoryStore();
    let asked = 0;
    const used = new Set<string | undefined>();
    const store = storeWith(
      {
        open: async (scopes) => Object.fromEntries(scopes.map((scope) => [scope, `${asked++}`])),
        reserve: async ([item]) => {
          used.add(item?.lines[0]?.generation);
          return [{ ok: true, repeat: undefined, left: [1] }];
        },
      },
      memory,
    );
    const leash = createLeash({ guards: [callCap(9)], store });
    await all([run(leash), run(leash), run(leash)]);
    expect([asked, used]).toEqual([3, new Set(['0'])]);
  });
});

describe('a session whose state was lost', () => {
  /** The store is emptied, and what it was comes back when it is told to. */
  function losing(options: Partial<LeashOptions> = {}, guards: readonly Guard[] = [budget({ usd: 9 })]) {
    const line = new FaultyLine();
    const first = line.memory;
    let memory = first;
    const store = storeWith({
      open: (...args) => memory.open(...args),
      reserve: (...args) => memory.reserve(...args),
      settle: (...args) => memory.settle(...args),
      read: (...args) => memory.read(...args),
    });
    const made = on(line, guards, { store: storeWith({ ...store }, line.store), ...options });
    const flush = (): void => {
      memory = memoryStore();
    };
    const restore = (): void => {
      memory = first;
    };
    return { ...made, flush, restore };
  }

  it('is denied for good, also when the store finds its state again, and on the allowance', async () => {
    const { leash, flush, restore } = losing(upTo({ usd: 9 }));
    await run(leash);
    flush();
    const lost = { code: 'STATE_LOST' };
    expect(await rejection(run(leash))).toMatchObject(lost);
    expect(await leash.peek({ tool: 't', cost: '$1' })).toMatchObject({ allow: false, ...lost });
    restore();
    expect(await rejection(run(leash))).toMatchObject(lost);
    expect(thrownBy(() => leash.hold('$1'))).toMatchObject(lost);
    // What was spent is not known, and is not told as nothing.
    expect((await leash.usage()).limits).toEqual([
      { guard: 'budget', limit: 'usd/session', per: 'session', unit: 'usd', cap: '9', remaining: '0' },
    ]);
  });

  it('says at the close what was settled and is booked nowhere', async () => {
    const { leash, flush } = losing();
    const paid = await leash.enter({ tool: 't', cost: '$1' });
    const released = await leash.enter({ tool: 't', cost: '$1' });
    const open = await leash.enter({ tool: 't', cost: '$4' });
    flush();
    await paid.settle('$1.5');
    await released.release();
    expect(await leash.usage()).toMatchObject({ usd: '1.5', unbooked: { ...NOTHING, usd: '1.5' } });
    expect(thrownBy(() => leash.charge('$0.25'))).toMatchObject({ code: 'STATE_LOST' });
    const error = await rejection(leash.close());
    expect(error).toMatchObject({ ...UNAVAILABLE, unbooked: { ...NOTHING, usd: '5.75' } });
    expect(error.message).toBe('The store has not booked all that was spent: $5.75.');
    await open.settle('$6');
  });

  it('is told by usage() of an empty store, before any call has found out', async () => {
    const { leash, flush } = losing(upTo({ usd: 9 }));
    expect((await leash.usage()).limits).toMatchObject([{ spent: '0', remaining: '9' }]);
    await run(leash);
    flush();
    const [limit] = (await leash.usage()).limits;
    expect(limit).toMatchObject({ remaining: '0' });
    expect(limit).not.toHaveProperty('spent');
  });

  it('does not make close() reject for what was nothing', async () => {
    const { leash, flush } = losing();
    await run(leash);
    flush();
    expect(thrownBy(() => leash.charge('$0'))).toMatchObject({ code: 'STATE_LOST' });
    await leash.close();
  });

  it('has the truth booked once that comes after the close, where the store had lost the hold', async () => {
    const line = new FaultyLine();
    const { memory } = line;
    const { leash } = on(line, [budget({ usd: 99, scope: 'org' })]);
    const ticket = await leash.enter({ tool: 't', cost: '$2' });
    // A store that falls back to before the call.
    await memory.settle([{ id: ticket.call.id, actual: 'void' }]);
    await leash.close();
    expect(await line.counted()).toEqual({ 'shared:org usd/session': [2 * USD, 0] });
    await ticket.settle('$5');
    await pass(10_000);
    expect(await line.counted()).toEqual({ 'shared:org usd/session': [5 * USD, 0] });
    expect(vi.getTimerCount()).toBe(0);
  });

  it('books in the scopes that are left', async () => {
    const memory = memoryStore();
    const guards = [budget({ usd: 9 }), budget({ usd: 9, scope: 'org' })];
    const leash = createLeash({ id: 'mine', guards, store: memory, stopOn: 'none' });
    const ticket = await leash.enter({ tool: 't', cost: '$1' });
    await memory.settle([{ id: ticket.call.id, actual: 'void' }]);
    await memory.shut('session:mine');
    await ticket.settle('$2');
    expect(await memory.read(['session:mine', 'shared:org'])).toEqual({
      'session:mine': {},
      'shared:org': { 'usd/session': { used: 2 * USD, held: 0 } },
    });
    expect(await leash.usage()).toMatchObject({ unbooked: NOTHING });
    await leash.close();
  });
});

describe('a settlement that fails', () => {
  const failing: readonly Fault[] = ['down', 'deaf', 'nonsense'];

  it.each([
    ...failing.flatMap((fault) => [false, true].map((late) => ({ fault, late }))),
    { fault: 'mute', late: true },
  ])('is made up for by the next call: $fault, later: $late', async ({ fault, late }) => {
    const line = new FaultyLine(late);
    const { leash } = on(line, [budget({ usd: 9 }), callCap(9)]);
    const tool = () => {
      line.fault = fault as Fault;
      currentCall()?.charge('$3');
    };
    const [result] = await all([leash.run({ tool: 't', cost: '$1' }, tool)]);
    expect(result).toBeUndefined();
    const usage = leash.usage();
    await pass(60_000);
    // What was held counts already; what it cost beyond is missing.
    expect(await usage).toMatchObject({ usd: '3', unbooked: { ...NOTHING, usd: '2' } });
    line.fault = 'up';
    expect(await all([run(leash)])).toEqual(['ran']);
    expect(await line.counted()).toEqual({ 'own usd/session': [4 * USD, 0], 'own call/session': [2, 0] });
    expect(await leash.usage()).toMatchObject({ unbooked: NOTHING });
    await leash.close();
  });

  it('is tried again every five seconds, one after the other, while nobody asks', async () => {
    const line = new FaultyLine(true);
    const { leash } = on(line, [budget({ usd: 9 })]);
    const tickets = await Promise.all(['$1', '$1', '$1'].map((cost) => leash.enter({ tool: 't', cost: cost as '$1' })));
    line.fault = 'down';
    for (const ticket of tickets) await ticket.settle('$2');
    line.asked.length = 0;
    await pass(4_999);
    expect(line.asked).toEqual([]);
    await pass(1);
    expect(line.asked).toEqual(['settle']);
    await pass(5_000);
    expect(line.asked).toHaveLength(2);
    line.fault = 'up';
    await pass(5_000);
    expect(line.asked).toHaveLength(5);
    expect(await line.counted()).toEqual({ 'own usd/session': [6 * USD, 0] });
    await pass(60_000);
    expect(line.asked).toHaveLength(5);
  });

  it('is tried one after the other also in a store that fails at once', async () => {
    const line = new FaultyLine();
    const { leash } = on(line, [budget({ usd: 9 })]);
    const tickets = [await leash.enter({ tool: 't', cost: '$1' }), await leash.enter({ tool: 't', cost: '$1' })];
    line.fault = 'down';
    for (const ticket of tickets) await ticket.settle('$2');
    line.asked.length = 0;
    await leash.usage();
    expect(line.asked).toEqual(['settle', 'read']);
  });

  it('is booked once, whether or not the store had done it', async () => {
    const line = new FaultyLine();
    const { leash } = on(line, [budget({ usd: 9 })]);
    const ticket = await leash.enter({ tool: 't', cost: '$1' });
    line.fault = 'deaf';
    await ticket.settle('$2');
    for (let i = 0; i < 3; i++) await leash.usage();
    line.fault = 'up';
    expect(await leash.usage()).toMatchObject({ limits: [{ spent: '2', held: '0' }], unbooked: NOTHING });
  });

  it('does not keep others from being told when the store cannot take one of them', async () => {
    const memory = memoryStore();
    let bad = '';
    const store = storeWith(
      {
        settle(batch) {
          if (batch[0]?.id === bad || bad === 'all') throw new Error('never');
          return memory.settle(batch);
        },
      },
      memory,
    );
    const leash = createLeash({ guards: [budget({ usd: 9 })], store });
    const enter = async () => leash.enter({ tool: 't', cost: '$1' });
    const [first, second, third] = [await enter(), await enter(), await enter()];
    bad = 'all';
    await first.settle('$2');
    await second.settle('$2');
    bad = first.call.id;
    await pass(10_000);
    expect(await leash.usage()).toMatchObject({ limits: [{ spent: '2', held: '2' }], unbooked: { usd: '1' } });
    bad = 'all';
    await third.settle('$2');
    bad = first.call.id;
    // The first one fails, and the close still gets to the other.
    expect(await rejection(leash.close())).toMatchObject({ unbooked: { usd: '1' } });
  });

  it('makes close() reject, which says what is missing, and is made up for later all the same', async () => {
    const line = new FaultyLine();
    const { leash } = on(line, [budget({ usd: 9, scope: 'org' })]);
    const ticket = await leash.enter({ tool: 't', cost: '$1' });
    line.fault = 'down';
    await ticket.settle('$3.5');
    const error = await rejection(leash.close());
    expect(error).toMatchObject({ ...UNAVAILABLE, unbooked: { ...NOTHING, usd: '2.5' } });
    expect(error.message).toBe('The store has not booked all that was spent: $2.50.');
    expect(error.toJSON()).not.toHaveProperty('cause');
    line.fault = 'up';
    await pass(5_000);
    expect(await line.counted()).toEqual({ 'shared:org usd/session': [3.5 * USD, 0] });
  });

  it('makes close() reject also where the estimate covers what was spent', async () => {
    const line = new FaultyLine();
    const { leash } = on(line, [budget({ usd: 9 })]);
    const ticket = await leash.enter({ tool: 't', cost: '$1' });
    line.fault = 'down';
    await ticket.settle('$0.5');
    expect(await leash.usage()).toMatchObject({ unbooked: NOTHING });
    expect((await rejection(leash.close())).message).toBe(
      'The store was not told the end of calls: what it holds for them counts as spent when their leases end.',
    );
  });

  it('of calls that cost nothing, and were counted when they began, is no failure of close()', async () => {
    const settle = (): never => fail();
    const guards = [budget({ usd: 9 }), callCap(9)];
    const leash = createLeash({ guards, store: storeWith({ settle }) });
    await run(leash, 0);
    await leash.close();
    const other = createLeash({ guards, store: storeWith({ settle }) });
    await other.run({ tool: 't', cost: 'free' }, () => currentCall()?.charge('$1'));
    expect(await rejection(other.close())).toMatchObject({ unbooked: { usd: '1', calls: 0 } });
    const last = createLeash({ guards, store: storeWith({ settle }) });
    await last.wrap('t', () => currentCall()?.charge('$0'), { cost: '$1' })();
    // The store goes on holding a dollar.
    expect(await rejection(last.close())).toMatchObject({ unbooked: NOTHING });
  });

  it('that would only have given something back is no failure of close()', async () => {
    const fails = (): never => fail();
    let down = true;
    const memory = memoryStore();
    const reserve: Store['reserve'] = (batch) => (down ? fail() : memory.reserve(batch));
    const leash = createLeash({ guards: [budget({ usd: 9 })], store: storeWith({ reserve, settle: fails }, memory) });
    await rejection(run(leash));
    down = false;
    await leash.close();
  });

  it('is tried once more at the close', async () => {
    const line = new FaultyLine(true);
    const { leash } = on(line, [budget({ usd: 9, scope: 'org' })]);
    const tickets = [await leash.enter({ tool: 't', cost: '$1' }), await leash.enter({ tool: 't', cost: '$1' })];
    line.fault = 'down';
    for (const ticket of tickets) await ticket.settle('$2');
    line.fault = 'up';
    await leash.close();
    expect(await line.counted()).toEqual({ 'shared:org usd/session': [4 * USD, 0] });
  });

  it('is no failure of a child, whose parent tells it', async () => {
    const line = new FaultyLine();
    const { leash } = on(line, [budget({ usd: 9 })]);
    const child = leash.child({ guards: [] });
    const ticket = await child.enter({ tool: 't', cost: '$1' });
    line.fault = 'down';
    await ticket.settle('$3');
    line.fault = 'up';
    const stubborn = vi.spyOn(line.memory, 'settle').mockImplementation(() => {
      throw new Error('never');
    });
    await child.close();
    expect(await leash.usage()).toMatchObject({ usd: '0', unbooked: { usd: '2' } });
    stubborn.mockRestore();
    await leash.close();
  });

  it('does not pile up: of calls that never were a thousand are given back, and their leases do the rest', async () => {
    const line = new FaultyLine();
    const { leash } = on(line, [budget({ usd: 9 })]);
    await run(leash);
    line.fault = 'down';
    for (let i = 0; i < 1_100; i++) await rejection(run(leash));
    line.fault = 'up';
    line.asked.length = 0;
    await leash.usage();
    expect(line.asked.filter((method) => method === 'settle')).toHaveLength(1_000);
    await leash.close();
  });

  it('of spend that no call was is kept as well, and was told to fail', async () => {
    for (const fault of ['down', 'deaf', 'nonsense'] as const) {
      const line = new FaultyLine();
      const { leash, events } = on(line, [budget({ usd: 9 })]);
      await run(leash);
      line.fault = fault;
      expect(thrownBy(() => leash.charge('$2'))).toMatchObject(UNAVAILABLE);
      expect(await leash.usage()).toMatchObject({ usd: '3', unbooked: { usd: '2' } });
      expect(events().map(({ kind }) => kind)).toEqual(['tool_start', 'tool_ok', 'charge', 'tool_denied']);
      line.fault = 'up';
      expect(await leash.usage()).toMatchObject({ limits: [{ spent: '3', held: '0' }], unbooked: NOTHING });
      await leash.close();
    }
  });

  it('of spend that the store holds for it is not missing', async () => {
    const line = new FaultyLine();
    const { leash } = on(line, [budget({ usd: 9 })]);
    const settle = vi.spyOn(line.memory, 'settle').mockImplementation(() => fail());
    await leash.charge('$2');
    expect(await leash.usage()).toMatchObject({ limits: [{ spent: '0', held: '2' }], unbooked: NOTHING });
    settle.mockRestore();
    expect(await leash.usage()).toMatchObject({ limits: [{ spent: '2', held: '0' }] });
  });
});

describe('onStoreError', () => {
  it.each([
    { value: 'allow', error: TypeError, says: "`createLeash.onStoreError` must be 'deny' or { allowUpTo }" },
    { value: null, error: TypeError, says: 'createLeash.onStoreError expects an options object' },
    { value: {}, error: TypeError, says: 'createLeash.onStoreError.allowUpTo expects an options object' },
    { value: { allowUpTo: {}, max: 1 }, error: TypeError, says: 'unknown option `max`' },
    { value: { allowUpTo: { eur: 1 } }, error: TypeError, says: 'unknown option `eur`' },
    { value: { allowUpTo: { usd: -1 } }, error: RangeError, says: '`createLeash.onStoreError.allowUpTo.usd`' },
    { value: { allowUpTo: { sat: 'much' } }, error: RangeError, says: '`createLeash.onStoreError.allowUpTo.sat`' },
    { value: { allowUpTo: { calls: 1.5 } }, error: RangeError, says: '`createLeash.onStoreError.allowUpTo.calls`' },
  ])('refuses $value', ({ value, error, says }) => {
    const create = () => createLeash({ guards: [], onStoreError: value as never });
    expect(create).toThrow(error);
    expect(create).toThrow(says);
  });

  const wires = FAULTS.flatMap((fault) =>
    (fault === 'mute' ? [true] : [false, true]).map((late) => ({
      fault,
      late,
      name: `${fault}${late ? ', later' : ''}`,
    })),
  );

  it.each(wires)(
    'lets exactly as many calls run as are allowed, and books them once: $name',
    async ({ fault, late }) => {
      const line = new FaultyLine(late);
      const { leash } = on(line, [budget({ usd: 9 }), callCap(99)], {
        ...upTo({ usd: 3, calls: 9 }),
        storeTimeoutMs: 100,
      });
      expect(await all([run(leash)])).toEqual(['ran']);
      line.fault = fault;
      const outcomes = await all(Array.from({ length: 10 }, () => run(leash)));
      expect(outcomes.filter((each) => each === 'ran')).toHaveLength(3);
      expect(new Set(outcomes)).toEqual(new Set(['ran', 'STORE_UNAVAILABLE']));
      const during = leash.usage();
      await pass(60_000);
      expect(await during).toMatchObject({
        calls: 4,
        usd: '4',
        unbooked: { usd: '3', sat: '0', calls: 3 },
        limits: [{ remaining: '0' }, { remaining: 6 }],
      });
      // What has not been booked is not lent again.
      expect(await all([run(leash)])).toEqual(['STORE_UNAVAILABLE']);
      line.fault = 'up';
      expect(await all([run(leash)])).toEqual(['ran']);
      await pass(60_000);
      expect(await line.counted()).toEqual({ 'own usd/session': [5 * USD, 0], 'own call/session': [5, 0] });
      expect(await leash.usage()).toMatchObject({ usd: '5', unbooked: NOTHING });
      line.fault = fault;
      expect(await all(Array.from({ length: 5 }, () => run(leash)))).toEqual(expect.arrayContaining(['ran']));
      line.fault = 'up';
      await leash.usage();
      expect(await line.counted()).toEqual({ 'own usd/session': [8 * USD, 0], 'own call/session': [8, 0] });
      await leash.close();
    },
  );

  it('decides at once where the store fails at once', () => {
    const line = new FaultyLine();
    const { leash } = on(line, [budget({ usd: 9 })], upTo({ usd: 2 }));
    // It never was there: not even its scopes are open.
    line.fault = 'down';
    const enter = () => leash.enter({ tool: 't', cost: '$1' }) as { settle(): void; release(): void };
    const first = enter();
    const second = enter();
    expect(thrownBy(enter)).toMatchObject(UNAVAILABLE);
    // What never ran is free again, what ran is not.
    first.release();
    const third = enter();
    third.settle();
    second.settle();
    expect(thrownBy(enter)).toMatchObject(UNAVAILABLE);
    line.fault = 'up';
    enter().settle();
    line.fault = 'down';
    enter().settle();
    enter().settle();
    expect(thrownBy(enter)).toMatchObject(UNAVAILABLE);
  });

  const call = { tool: 't', cost: '$1' } as const;
  it.each([
    { name: 'nothing is named', guards: [callCap(9)], allow: {}, runs: 0 },
    {
      name: 'calls alone are named, and money counts',
      guards: [budget({ usd: 9 })],
      allow: { calls: 9, sat: 9 },
      runs: 0,
    },
    {
      name: 'money alone is named, and calls count',
      guards: [budget({ usd: 9 }), callCap(9)],
      allow: { usd: 9 },
      runs: 0,
    },
    { name: 'the money does not count', guards: [callCap(9)], allow: { calls: 2 }, runs: 2 },
    { name: 'nothing counts', guards: [], allow: {}, runs: 5 },
    {
      name: 'two limits count the same',
      guards: [callCap(9), rateLimit({ max: 9, per: '1m' })],
      allow: { calls: 2 },
      runs: 2,
    },
    {
      name: 'two budgets count the same',
      guards: [budget({ usd: 9 }), budget({ usd: 9, per: 'day', scope: 'o' })],
      allow: { usd: 3 },
      runs: 3,
    },
    { name: 'it could never fit its budget', guards: [budget({ usd: '0.5' })], allow: { usd: 9 }, runs: 0 },
    { name: 'more is allowed than the budget', guards: [budget({ usd: 2 })], allow: { usd: 9 }, runs: 9 },
    {
      name: 'a limit on each call refuses',
      guards: [budget({ usd: '0.5', per: 'call' }), callCap(9)],
      allow: { calls: 9 },
      runs: 0,
      code: 'BUDGET_EXCEEDED',
    },
    {
      name: 'a rate turns it into what counts',
      guards: [budget({ sat: 9_000 })],
      allow: { sat: 2_500 },
      runs: 2,
      convert: () => '1000 sat',
    },
    {
      name: 'a rate turns it, and another unit is named',
      guards: [budget({ sat: 9_000 })],
      allow: { usd: 9 },
      runs: 0,
      convert: () => '1000 sat',
    },
  ] as readonly {
    name: string;
    guards: readonly Guard[];
    allow: object;
    runs: number;
    code?: string;
    convert?: never;
  }[])('lets $runs calls run where $name', async ({ guards, allow, runs, code = 'STORE_UNAVAILABLE', convert }) => {
    const line = new FaultyLine();
    const options = { ...upTo(allow), ...(convert === undefined ? {} : { convert }) };
    const { leash } = on(line, guards, options);
    line.fault = 'down';
    const outcomes = await all(Array.from({ length: runs === 5 ? 5 : runs + 2 }, () => leash.run(call, () => 'ran')));
    const refused = runs === 5 ? [] : [code, code];
    expect(outcomes).toEqual([...Array(runs).fill('ran'), ...refused]);
  });

  it('lets a call run that costs nothing where money alone counts', async () => {
    const line = new FaultyLine();
    const { leash } = on(line, [budget({ usd: 9 })], upTo({}));
    line.fault = 'down';
    expect(await leash.run({ tool: 't', cost: 'free' }, () => 'ran')).toBe('ran');
    await leash.charge('$0');
    expect(await leash.usage()).toMatchObject({ unbooked: NOTHING });
    // Nothing is missing; only the session's scope could not be shut.
    const error = await rejection(leash.close());
    expect(error).toMatchObject({ ...UNAVAILABLE, message: 'The store that counts what is spent did not answer.' });
    expect(error).not.toHaveProperty('unbooked');
  });

  it('is no way around a store that answers', async () => {
    const line = new FaultyLine();
    const { leash } = on(line, [budget({ usd: 1, scope: 'org' })], upTo({ usd: 9, calls: 9 }));
    await run(leash);
    expect(await rejection(run(leash))).toMatchObject({ code: 'BUDGET_EXCEEDED' });
    await line.memory.stop('shared:org');
    expect(await rejection(run(leash, 0))).toMatchObject({ code: 'SESSION_STOPPED' });
    await line.memory.shut('shared:org');
    const other = createLeash({ guards: [budget({ usd: 1, scope: 'org' })], store: line.store, ...upTo({ usd: 9 }) });
    expect(await rejection(run(other))).toMatchObject({ code: 'SESSION_CLOSED' });
  });

  it('denies what has an idempotency key', async () => {
    const line = new FaultyLine();
    const { leash } = on(line, [budget({ usd: 9 }), callCap(9)], upTo({ usd: 9, calls: 9 }));
    const pay = (id: string) => leash.run({ ...call, idempotencyKey: id }, () => 'ran');
    await pay('a');
    line.fault = 'down';
    expect(await all([pay('a'), pay('b')])).toEqual(['STORE_UNAVAILABLE', 'STORE_UNAVAILABLE']);
    line.fault = 'up';
    // The money was paid, and only then the store fails: whether this call is counted nobody knows.
    const { memory } = line;
    let reserves = 0;
    const store = storeWith({ reserve: (batch) => (++reserves === 4 ? fail() : memory.reserve(batch)) }, memory);
    const other = createLeash({ guards: [budget({ usd: 9 }), callCap(9)], store, ...upTo({ calls: 9, usd: 9 }) });
    const again = () => other.run({ ...call, idempotencyKey: 'a' }, () => 'ran');
    expect(await all([again()])).toEqual(['ran']);
    expect(await all([again()])).toEqual(['ran']);
    reserves = 2;
    expect(await all([again()])).toEqual(['STORE_UNAVAILABLE']);
  });

  it('counts in full what cost more than its estimate, and lends no more', async () => {
    const line = new FaultyLine();
    const { leash, events } = on(line, [budget({ usd: 99 })], upTo({ usd: 3 }));
    line.fault = 'down';
    await leash.run(call, () => currentCall()?.charge('$5'));
    expect(await rejection(run(leash, '0.1'))).toMatchObject(UNAVAILABLE);
    expect(events().find(({ kind }) => kind === 'tool_ok')).toMatchObject({ usd: '5', overrun: 1 });
    expect(await leash.usage()).toMatchObject({ usd: '5', unbooked: { usd: '5' }, limits: [{ remaining: '0' }] });
    line.fault = 'up';
    await leash.usage();
    expect(await line.counted()).toEqual({ 'own usd/session': [5 * USD, 0] });
    line.fault = 'down';
    expect(await run(leash, 3)).toBe('ran');
  });

  it('books beyond a cap, which is not passed any further by the next outages', async () => {
    const line = new FaultyLine();
    const guards = [budget({ usd: 4 }), budget({ usd: 1_000, scope: 'org', tools: ['other'] })];
    const { leash } = on(line, guards, upTo({ usd: 3 }));
    const other = () => leash.run({ tool: 'other', cost: '$0.001' }, () => 'ran');
    await run(leash, 4);
    line.fault = 'down';
    expect(await all([run(leash, 2), run(leash, 2)])).toEqual(['ran', 'STORE_UNAVAILABLE']);
    line.fault = 'up';
    await leash.usage();
    expect(await line.counted()).toMatchObject({ 'own usd/session': [6 * USD, 0] });
    expect(await rejection(run(leash))).toMatchObject({ code: 'BUDGET_EXCEEDED', remaining: '-2' });
    line.fault = 'down';
    expect(await leash.usage()).toMatchObject({ limits: [{ remaining: '1' }, { remaining: '3' }] });
    expect(await all([run(leash, 2), run(leash), run(leash)])).toEqual([
      'STORE_UNAVAILABLE',
      'ran',
      'STORE_UNAVAILABLE',
    ]);
    line.fault = 'up';
    expect(await rejection(other())).toMatchObject({ code: 'BUDGET_EXCEEDED' });
    line.fault = 'down';
    expect(await all([run(leash), other()])).toEqual(['STORE_UNAVAILABLE', 'STORE_UNAVAILABLE']);
  });

  it('lends what went beyond a cap again when the store has room again', async () => {
    const line = new FaultyLine();
    const { leash } = on(line, [budget({ usd: 2, per: '1h' })], upTo({ usd: 2 }));
    await run(leash, 2);
    line.fault = 'down';
    await run(leash, 2);
    line.fault = 'up';
    await leash.usage();
    line.fault = 'down';
    expect(await rejection(run(leash))).toMatchObject(UNAVAILABLE);
    line.fault = 'up';
    line.clock.advance(2 * 3_600_000);
    await run(leash);
    line.fault = 'down';
    expect(await run(leash, 2)).toBe('ran');
  });

  it('counts in the window of the moment when it is booked', async () => {
    const line = new FaultyLine();
    const { leash } = on(line, [budget({ usd: 9, per: 'day' }), budget({ usd: 9, per: '1h' })], upTo({ usd: 2 }));
    await run(leash);
    line.fault = 'down';
    await run(leash, 2);
    line.clock.advance(86_400_000);
    line.fault = 'up';
    await leash.usage();
    expect(await leash.usage()).toMatchObject({ limits: [{ spent: '2' }, { spent: '2' }] });
  });

  it.each(FAULTS.filter((fault) => fault !== 'mute'))('books once, however often the line fails: %s', async (fault) => {
    const line = new FaultyLine();
    const { leash } = on(line, [budget({ usd: 99 }), callCap(99)], upTo({ usd: 9, calls: 9 }));
    line.fault = 'down';
    await all([run(leash), run(leash, 2), run(leash, 3)]);
    for (let i = 0; i < 8; i++) {
      line.fault = i % 3 === 2 ? 'down' : fault;
      await leash.usage();
      await pass(5_000);
    }
    line.fault = 'up';
    expect(await leash.usage()).toMatchObject({ unbooked: NOTHING });
    expect(await line.counted()).toEqual({ 'own usd/session': [6 * USD, 0], 'own call/session': [3, 0] });
  });

  it('books again what the store lost after it had taken it', async () => {
    const line = new FaultyLine();
    const { memory } = line;
    const { leash } = on(line, [budget({ usd: 99 })], upTo({ usd: 2 }));
    line.fault = 'down';
    await run(leash, 2);
    line.fault = 'up';
    // Between the two steps of the booking the store falls back to what it was before.
    const forget: Store['settle'] = (batch) => {
      void memory.settle([{ id: batch[0]?.id as string, actual: 'void' }]);
      return [{ state: 'unknown', first: true, overrun: [] }];
    };
    const settle = vi.spyOn(memory, 'settle').mockImplementationOnce(forget);
    await leash.usage();
    settle.mockRestore();
    line.fault = 'down';
    expect(await rejection(run(leash))).toMatchObject(UNAVAILABLE);
    line.fault = 'up';
    expect(await leash.usage()).toMatchObject({ limits: [{ spent: '2', held: '0' }], unbooked: NOTHING });
    // All of it is lent again, also after spend that was booked at once, lost, and booked again.
    const again = vi.spyOn(memory, 'settle').mockImplementationOnce(forget);
    await leash.charge('$1');
    again.mockRestore();
    expect(await leash.usage()).toMatchObject({ limits: [{ spent: '3', held: '0' }], unbooked: NOTHING });
    line.fault = 'down';
    expect(await run(leash, 2)).toBe('ran');
  });

  it('books once also when the last reply is lost and much time passes', async () => {
    const line = new FaultyLine();
    const { memory } = line;
    const { leash } = on(line, [budget({ usd: 99 })], upTo({ usd: 2 }));
    line.fault = 'down';
    await run(leash, 2);
    line.fault = 'up';
    const settle = vi.spyOn(memory, 'settle').mockImplementationOnce((batch) => {
      void memory.settle(batch);
      return fail();
    });
    await leash.usage();
    settle.mockRestore();
    // So many others come after it that the store has forgotten all that it was not asked to keep.
    for (let i = 0; i < 3_000; i++) {
      await memory.reserve([{ id: `${i}`, lines: [], leaseMs: 1 }]);
      await memory.settle([{ id: `${i}`, actual: [] }]);
    }
    expect(await leash.usage()).toMatchObject({ limits: [{ spent: '2', held: '0' }], unbooked: NOTHING });
  });

  it('fills a counter that cannot hold all of it', async () => {
    const line = new FaultyLine();
    const most = '9007199.254740991';
    const { leash } = on(line, [budget({ usd: most }), callCap(9)], upTo({ usd: 5_000_000, calls: 9 }));
    await run(leash, 5_000_000);
    line.fault = 'down';
    await run(leash, 5_000_000);
    line.fault = 'up';
    await leash.usage();
    expect(await leash.usage()).toMatchObject({
      limits: [{ spent: most, held: '0' }, { spent: 2 }],
      unbooked: NOTHING,
    });
  });

  it('is shared by all leashes of a tree, and booked for all of them', async () => {
    const line = new FaultyLine();
    const { leash } = on(line, [budget({ usd: 99 })], upTo({ usd: 3, calls: 9 }));
    const child = leash.child({ guards: [callCap(9), budget({ usd: 99, scope: 'org' })] });
    line.fault = 'down';
    expect(await all([run(leash), run(child), run(child), run(leash), run(child)])).toEqual([
      'ran',
      'ran',
      'ran',
      'STORE_UNAVAILABLE',
      'STORE_UNAVAILABLE',
    ]);
    // Its own scope cannot be shut; all else goes on.
    expect(await rejection(child.close())).toMatchObject({ ...UNAVAILABLE });
    line.fault = 'up';
    await leash.usage();
    expect(await line.counted()).toMatchObject({
      'shared:org usd/session': [2 * USD, 0],
      'own usd/session': [3 * USD, 0],
    });
  });

  it('holds in observe mode, where nothing else does', async () => {
    const line = new FaultyLine();
    const { leash, events } = on(line, [budget({ usd: 1 })], { ...upTo({ usd: 2 }), mode: 'observe' });
    line.fault = 'down';
    expect(await leash.usage()).toMatchObject({ limits: [{ remaining: '1' }] });
    expect(await all([run(leash), run(leash), run(leash)])).toEqual(['ran', 'ran', 'STORE_UNAVAILABLE']);
    line.fault = 'up';
    await run(leash);
    expect(await leash.usage()).toMatchObject({ limits: [{ spent: '3', remaining: '-2' }], unbooked: NOTHING });
    expect(events().filter(({ code }) => code === 'BUDGET_EXCEEDED')).toMatchObject([{ observed: 1 }]);
  });

  it('lends to streams, holds, charges and tickets', async () => {
    const line = new FaultyLine();
    const { leash, events } = on(line, [budget({ usd: 99 })], upTo({ usd: 10 }));
    line.fault = 'down';
    const stream = leash.wrap(
      'write',
      async function* () {
        for (const word of ['a', 'b', 'c']) {
          currentCall()?.charge('$1');
          yield word;
        }
      },
      { cost: '$2' },
    );
    const words: string[] = [];
    for await (const word of stream()) words.push(word);
    expect(words).toEqual(['a', 'b', 'c']);
    const hold = await leash.hold('$2', 'model');
    await hold.settle('$1.5');
    await leash.charge('$2', 'fee');
    const ticket = await leash.enter({ tool: 't', cost: '$3' });
    await ticket.fail(new Error('mine'), '$2.5');
    // 9 of 10 are lent.
    expect(thrownBy(() => leash.hold('$2'))).toMatchObject(UNAVAILABLE);
    const released = await leash.hold('$1');
    await released.release();
    // What has happened is booked whatever is lent, and refused like a call.
    await leash.charge('$1');
    expect(thrownBy(() => leash.charge('$3'))).toMatchObject(UNAVAILABLE);
    expect(thrownBy(() => leash.charge('$0.1'))).toMatchObject(UNAVAILABLE);
    expect(await leash.usage()).toMatchObject({ usd: '13.1', unbooked: { usd: '13.1' } });
    line.fault = 'up';
    await leash.usage();
    expect(await line.counted()).toEqual({ 'own usd/session': [13.1 * USD, 0] });
    expect(events().flatMap(({ kind, tool, reason }) => (kind === 'tool_denied' ? [[tool, reason]] : []))).toEqual([
      ['write', 'on-allowance'],
      ['leash.hold', 'on-allowance'],
      ['leash.charge', 'on-allowance'],
      ['t', 'on-allowance'],
      ['leash.hold', 'store-failed'],
      ['leash.hold', 'on-allowance'],
      ['leash.charge', 'on-allowance'],
      ['leash.charge', 'store-failed'],
      ['leash.charge', 'store-failed'],
    ]);
  });

  it('leaves its mark in the log, which verifies', async () => {
    const line = new FaultyLine();
    const guards = [budget({ usd: 9 }), callCap(9)];
    const { leash, events, sink } = on(line, guards, upTo({ usd: 1, calls: 1 }));
    line.fault = 'down';
    await all([leash.run({ ...call, args: { to: 'alice' } }, () => 'ran'), run(leash)]);
    line.fault = 'up';
    await leash.close();
    const mark = { kind: 'tool_denied', tool: 't', guard: 'store', code: 'STORE_UNAVAILABLE' };
    const [marked, started, , refused] = events();
    expect(marked).toMatchObject({ ...mark, reason: 'on-allowance', observed: 1 });
    expect(started).toMatchObject({ kind: 'tool_start', call: marked?.['call'], usd: '1' });
    expect(refused).toMatchObject({ ...mark, reason: 'store-failed' });
    expect(refused).not.toHaveProperty('observed');
    const verified = await verifyLog([new TextEncoder().encode(`${sink.lines.join('\n')}\n`)] as never);
    expect(verified).toMatchObject({ ok: true, state: 'closed' });
  });

  it('ends no session, where a denial would', async () => {
    const line = new FaultyLine();
    const { leash } = on(line, [callCap(9)], { ...upTo({ calls: 1 }), stopOn: 'any' });
    line.fault = 'down';
    expect(await run(leash)).toBe('ran');
    expect(leash.breach).toBeUndefined();
    const error = await rejection(run(leash));
    expect(leash.breach).toBe(error);
  });

  it('tells peek what it would do', async () => {
    const line = new FaultyLine();
    const { leash } = on(line, [budget({ usd: 9 })], upTo({ usd: 1 }));
    line.fault = 'down';
    expect(await leash.peek(call)).toEqual({
      allow: true,
      observed: [expect.objectContaining({ guard: 'store', code: 'STORE_UNAVAILABLE', reason: 'on-allowance' })],
    });
    await run(leash);
    expect(await leash.peek(call)).toMatchObject({ allow: false, code: 'STORE_UNAVAILABLE', reason: 'store-failed' });
  });

  it('makes close() say what is not booked', async () => {
    const line = new FaultyLine();
    const { leash } = on(
      line,
      [budget({ usd: 9, scope: 'org' }), budget({ sat: 99 }), callCap(9)],
      upTo({ usd: 2, sat: 9, calls: 9 }),
    );
    line.fault = 'down';
    await run(leash);
    await leash.run({ tool: 't', cost: { sat: 5 } }, () => 'ran');
    const open = await leash.enter({ tool: 't', cost: '$1' });
    const error = await rejection(leash.close());
    expect(error).toMatchObject({ ...UNAVAILABLE, unbooked: { usd: '2', sat: '5', calls: 3 } });
    expect(error.message).toBe('The store has not booked all that was spent: $2.00 and 5 sat and 3 calls.');
    expect(error.toJSON()).toEqual({
      name: 'StoreUnavailableError',
      code: 'STORE_UNAVAILABLE',
      message: error.message,
      unbooked: { usd: '2', sat: '5', calls: 3 },
    });
    expect(await leash.usage()).toMatchObject({ usd: '2', sat: '5', unbooked: { usd: '2', sat: '5', calls: 3 } });
    // The truth comes after the end, and then the store does, or the other way round.
    await open.settle('$4');
    line.fault = 'up';
    await pass(5_000);
    expect(await line.counted()).toMatchObject({ 'shared:org usd/session': [5 * USD, 0] });
    const late = on(line, [budget({ usd: 99, scope: 'org' })], upTo({ usd: 2 })).leash;
    line.fault = 'down';
    const last = await late.enter({ tool: 't', cost: '$1' });
    await rejection(late.close());
    line.fault = 'up';
    await pass(5_000);
    await last.settle('$3');
    await last.settle('$9');
    expect(await line.counted()).toMatchObject({ 'shared:org usd/session': [8 * USD, 0] });
  });

  interface Step {
    readonly fault: Fault;
    readonly calls: readonly {
      readonly usd: number;
      readonly over: number;
      readonly end: 'settle' | 'release' | 'leave';
    }[];
    readonly charge: number;
    readonly ms: number;
  }
  const step = (overrun: boolean): fc.Arbitrary<Step> =>
    fc.record({
      fault: fc.constantFrom<Fault>('up', 'up', ...FAULTS),
      calls: fc.array(
        fc.record({
          usd: fc.integer({ min: 0, max: 4 }),
          over: overrun ? fc.constantFrom(0, 0, 1, 3) : fc.constant(0),
          end: fc.constantFrom('settle' as const, 'settle' as const, 'release' as const, 'leave' as const),
        }),
        { maxLength: 4 },
      ),
      charge: overrun ? fc.constantFrom(0, 0, 2) : fc.constant(0),
      ms: fc.constantFrom(0, 0, 150, 6_000),
    });
  const CAP = 6;
  const ALLOWED = 5;

  it.each([
    { name: 'never lets more be spent than cap and allowance', overrun: false, late: false },
    { name: 'never lets more be spent than cap and allowance, later', overrun: false, late: true },
    { name: 'books what it cost in truth', overrun: true, late: false },
    { name: 'books what it cost in truth, later', overrun: true, late: true },
  ])(
    '$name, whatever the line does',
    async ({ overrun, late }) => {
      const law = fc.asyncProperty(fc.array(step(overrun), { maxLength: 12, size: 'max' }), async (steps) => {
        const line = new FaultyLine(late);
        const options = { ...upTo({ usd: ALLOWED, calls: 99 }), storeTimeoutMs: 100 };
        const { leash } = on(line, [budget({ usd: CAP }), callCap(999)], options);
        const child = leash.child({ guards: [] });
        let spent = 0;
        let calls = 0;
        const left: (() => unknown)[] = [];
        for (const { fault, calls: wanted, charge, ms } of steps) {
          // A store that answers at once answers, or does not.
          line.fault = fault === 'mute' && !late ? 'down' : fault;
          const works = wanted.map(async ({ usd, over, end }, i) => {
            const ticket = await (i % 2 === 0 ? leash : child).enter({ tool: 't', cost: { usd } });
            if (end === 'release') return ticket.release();
            calls++;
            spent += usd + over;
            const settle = () => ticket.settle({ usd: usd + over });
            if (end === 'leave') left.push(settle);
            else await settle();
            return undefined;
          });
          if (charge > 0) {
            spent += charge;
            works.push((async () => leash.charge({ usd: charge }))());
          }
          for (const work of works) work.catch(() => {});
          await pass(ms + 400);
          if (!overrun) expect(spent).toBeLessThanOrEqual(CAP + ALLOWED);
        }
        line.fault = 'up';
        for (const settle of left) await settle();
        await pass(6_000);
        const usage = await leash.usage();
        expect(usage).toMatchObject({
          unbooked: NOTHING,
          limits: [{ spent: String(spent), held: '0' }, { spent: calls }],
        });
        expect(await line.counted()).toMatchObject(calls + spent > 0 ? { 'own usd/session': [spent * USD, 0] } : {});
        await leash.close();
      });
      await fc.assert(law, { numRuns: 300 });
    },
    60_000,
  );
});

function fail(): never {
  throw new Error('down');
}
