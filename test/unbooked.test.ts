import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { currentCall } from '../src/call.ts';
import type { Guard } from '../src/guard.ts';
import { budget } from '../src/guards/budget.ts';
import { callCap } from '../src/guards/call-cap.ts';
import { createLeash } from '../src/leash.ts';
import type { Leash } from '../src/leash-contract.ts';
import type { LeashOptions } from '../src/leash-options.ts';
import { memoryStore } from '../src/stores/memory.ts';
import type { Store } from '../src/stores/store.ts';
import {
  all,
  FAULTS,
  type Fault,
  FaultyLine,
  fail,
  NOTHING,
  on,
  pass,
  run,
  UNAVAILABLE,
  USD,
  upTo,
  useFakeTimers,
} from './helpers/outage.ts';
import { rejection, thrownBy } from './helpers/refused.ts';
import { storeThrough, storeWith } from './helpers/store-around.ts';

beforeEach(useFakeTimers);
afterEach(() => void vi.useRealTimers());

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
    const end = (): void => {
      memory = storeThrough(fail);
    };
    return { ...made, flush, restore, end };
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

  it('is denied for good also where what ran on the allowance finds out, before any call', async () => {
    const { leash, flush, restore, end } = losing(upTo({ usd: 2 }));
    await run(leash);
    end();
    await run(leash, 2);
    flush();
    // What was to be booked is told again, and dropped.
    await pass(5_000);
    expect(await leash.usage()).toMatchObject({ unbooked: { ...NOTHING, usd: '2' }, limits: [{ remaining: '0' }] });
    end();
    expect(await rejection(run(leash))).toMatchObject({ code: 'STATE_LOST' });
    restore();
    expect(await rejection(run(leash))).toMatchObject({ code: 'STATE_LOST' });
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

  it('is told by usage() and peek() of an empty store, before any call has found out', async () => {
    const { leash, flush } = losing(upTo({ usd: 9 }));
    expect((await leash.usage()).limits).toMatchObject([{ spent: '0', remaining: '9' }]);
    await run(leash);
    flush();
    const [limit] = (await leash.usage()).limits;
    expect(limit).toMatchObject({ remaining: '0' });
    expect(limit).not.toHaveProperty('spent');
    expect(await leash.peek({ tool: 't', cost: '$1' })).toMatchObject({ allow: false, code: 'STATE_LOST' });
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
    expect(await leash.usage()).toMatchObject({ unbooked: { usd: '2.5' } });
    line.fault = 'up';
    await pass(5_000);
    expect(await line.counted()).toEqual({ 'shared:org usd/session': [3.5 * USD, 0] });
    expect(await leash.usage()).toMatchObject({ unbooked: NOTHING });
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

  it.each([
    { whose: 'its own', begin: (leash: Leash) => leash },
    { whose: 'that of a child which is closing', begin: (leash: Leash) => leash.child({ guards: [] }) },
    { whose: 'that of a grandchild', begin: (leash: Leash) => leash.child({ guards: [] }).child({ guards: [] }) },
  ])('makes close() of a root leash reject, be it $whose', async ({ begin }) => {
    const line = new FaultyLine(true);
    const { leash } = on(line, [budget({ usd: 9, scope: 'org' })]);
    const holder = begin(leash);
    const ticket = await holder.enter({ tool: 't', cost: '$1' });
    line.fault = 'down';
    void ticket.settle('$3');
    const closing = holder.close().then(
      () => 'closed',
      () => 'rejected',
    );
    const error = await rejection(leash.close());
    expect(error).toMatchObject({ ...UNAVAILABLE, unbooked: { usd: '2' } });
    expect(await closing).toBe(holder === leash ? 'rejected' : 'closed');
  });

  const faults = FAULTS.flatMap((fault) => [
    { fault, late: false },
    { fault, late: true },
  ]);
  it.each(faults)('of a call that has told more than its estimate at the close: $fault, late: $late', async (how) => {
    const line = new FaultyLine(how.late);
    const { leash } = on(line, [budget({ usd: 9, scope: 'org' })]);
    const ticket = await leash.enter({ tool: 't', cost: '$1' });
    ticket.call.charge('$3');
    line.fault = how.fault;
    const closing = rejection(leash.close());
    await pass(120_000);
    expect(await closing).toMatchObject({ ...UNAVAILABLE, unbooked: { ...NOTHING, usd: '2' } });
    void ticket.settle('$3.5');
    await pass(120_000);
    expect(await leash.usage()).toMatchObject({ unbooked: { usd: '2.5' } });
    line.fault = 'up';
    await pass(120_000);
    expect(await line.counted()).toEqual({ 'shared:org usd/session': [3.5 * USD, 0] });
    expect(await leash.usage()).toMatchObject({ unbooked: NOTHING });
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

  it('is waited for at the close while it is under way, also where nobody else waits for it', async () => {
    const line = new FaultyLine();
    const reserve: Store['reserve'] = (batch) => {
      void line.memory.reserve(batch);
      line.fault = 'mute';
      return line.store.reserve(batch);
    };
    const store = storeWith({ reserve }, line.store);
    const { leash } = on(line, [budget({ usd: 9, scope: 'org' })], { store, storeTimeoutMs: 1_000 });
    const denied = rejection(run(leash));
    await pass(1_500);
    expect(await denied).toMatchObject(UNAVAILABLE);
    expect(await line.counted()).toEqual({ 'shared:org usd/session': [0, USD] });
    line.fault = 'up';
    const closed = leash.close();
    await pass(500);
    await closed;
    expect(await line.counted()).toEqual({ 'shared:org usd/session': [0, 0] });
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

describe('a session that ends while its spend is on its way', () => {
  it('is booked with the others that count it, and owes nothing', async () => {
    const memory = memoryStore();
    let down = true;
    const store = storeWith(
      {
        // Two of them, its own and the shared one, take longer than the close waits.
        open: async (scopes, lifetime) => {
          if (down) fail();
          await new Promise((resolve) => setTimeout(resolve, 6_000));
          return memory.open(scopes, lifetime);
        },
        // The end of the session does not get through, so that its scope stays as it is.
        shut: async (scope) => (scope === 'session:child' ? fail() : memory.shut(scope)),
      },
      memory,
    );
    const leash = createLeash({ guards: [budget({ usd: 9, scope: 'org' })], store, stopOn: 'none' });
    const child = leash.child({ id: 'child', guards: [budget({ usd: 5 })] });
    expect(await rejection(child.charge('$2') as Promise<void>)).toMatchObject(UNAVAILABLE);
    down = false;
    const [usage, closing] = [leash.usage(), rejection(child.close())];
    await pass(60_000);
    await usage;
    expect(await closing).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(await leash.usage()).toMatchObject({ limits: [{ spent: '2', held: '0' }], unbooked: NOTHING });
    await leash.close();
  });
});

describe('a call that ends after the close, of which the store was not told', () => {
  it('counts with its estimate, as the log says, if it cost less', async () => {
    const line = new FaultyLine();
    const shared = [budget({ usd: 9, scope: 'org' })];
    const { leash } = on(line, shared);
    const ticket = await leash.enter({ tool: 't', cost: { usd: 2 } });
    line.fault = 'down';
    expect(await rejection(leash.close())).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    line.fault = 'up';
    await ticket.settle({ usd: 1 });
    await pass(60_000);
    expect((await line.memory.read(['shared:org']))['shared:org']?.['usd/session']).toEqual({ used: 2 * USD, held: 0 });
  });
});
