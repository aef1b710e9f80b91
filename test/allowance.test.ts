import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { verifyLog } from '../src/audit/verify.ts';
import { currentCall } from '../src/call.ts';
import type { Guard } from '../src/guard.ts';
import { budget } from '../src/guards/budget.ts';
import { callCap } from '../src/guards/call-cap.ts';
import { rateLimit } from '../src/guards/rate-limit.ts';
import { createLeash } from '../src/leash.ts';
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
import { storeWith } from './helpers/store-around.ts';

beforeEach(useFakeTimers);
afterEach(() => void vi.useRealTimers());

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
    // Nothing is missing, and the store knows nothing of the session.
    expect(await leash.close()).toMatchObject({ calls: 1, usd: '0' });
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
    await child.close();
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

  it('says at the close what an open call has told beyond its estimate', async () => {
    const line = new FaultyLine();
    const { leash } = on(line, [budget({ usd: 9, scope: 'org' }), callCap(9)], upTo({ usd: 2, calls: 9 }));
    line.fault = 'down';
    const open = await leash.enter({ tool: 't', cost: '$1' });
    open.call.charge('$3');
    expect(await rejection(leash.close())).toMatchObject({ unbooked: { usd: '3', calls: 1 } });
    await open.settle('$3.5');
    expect(await leash.usage()).toMatchObject({ unbooked: { usd: '3.5', calls: 1 } });
    line.fault = 'up';
    await pass(5_000);
    expect(await line.counted()).toMatchObject({ 'shared:org usd/session': [3.5 * USD, 0] });
    expect(await leash.usage()).toMatchObject({ unbooked: NOTHING });
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
