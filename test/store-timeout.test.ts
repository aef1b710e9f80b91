import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { budget } from '../src/guards/budget.ts';
import { callCap } from '../src/guards/call-cap.ts';
import { createLeash } from '../src/leash.ts';
import { memoryStore } from '../src/stores/memory.ts';
import { all, FaultyLine, on, pass, run, UNAVAILABLE, useFakeTimers } from './helpers/outage.ts';
import { rejection } from './helpers/refused.ts';
import { storeWith } from './helpers/store-around.ts';

beforeEach(useFakeTimers);
afterEach(() => void vi.useRealTimers());

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
