import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { budget } from '../../../src/guards/budget.ts';
import { callCap } from '../../../src/guards/call-cap.ts';
import { createLeash } from '../../../src/leash.ts';
import { memoryStore } from '../../../src/stores/memory.ts';
import { type PostgresClient, postgresStore } from '../../../src/stores/postgres.ts';
import type { Line, Reserve, Settle, Store } from '../../../src/stores/store.ts';
import { postgresUrl } from '../../helpers/databases.ts';
import { PostgresSchema } from '../../helpers/postgres.ts';

const MAX = Number.MAX_SAFE_INTEGER;
const client: PostgresClient = { query: async () => ({ rows: [] }) };

describe('postgresStore', () => {
  it.each([
    { options: null, error: TypeError, says: 'postgresStore expects an options object, got null' },
    {
      options: {},
      error: TypeError,
      says: '`postgresStore.client` must have query(text, values), as a Pool of pg has',
    },
    {
      options: { client: () => [] },
      error: TypeError,
      says: 'rows: await sql.unsafe(text, values)',
    },
    { options: { client, prefix: 'x' }, error: TypeError, says: 'unknown option `prefix`' },
    { options: { client, timeoutMs: 0 }, error: RangeError, says: '`postgresStore.timeoutMs`' },
    { options: { client, timeoutMs: 2 ** 31 }, error: RangeError, says: '`postgresStore.timeoutMs`' },
    { options: { client, timeoutMs: '2s' }, error: TypeError, says: '`postgresStore.timeoutMs`' },
    { options: { client, forgetAfter: 'week' }, error: TypeError, says: '`postgresStore.forgetAfter`' },
    { options: { client, forgetAfter: 0 }, error: RangeError, says: '`postgresStore.forgetAfter`' },
  ])('refuses $options', ({ options, error, says }) => {
    expect(() => postgresStore(options as never)).toThrow(error);
    expect(() => postgresStore(options as never)).toThrow(says);
  });

  it('takes what pg has as it is', () => {
    const pool = new pg.Pool();
    const single = new pg.Client();
    for (const each of [pool, single]) expect(postgresStore({ client: each })).toBeDefined();
  });

  it.each([Number.NaN, -1, 1.5, Number.POSITIVE_INFINITY])(
    'refuses to sweep %d holds, and asks nothing',
    async (limit) => {
      let asked = 0;
      const query = async () => {
        if (asked++ > 2) throw new Error('it goes on');
        return { rows: [{ answer: '[]' }] };
      };
      await expect(postgresStore({ client: { query } }).sweep(limit)).rejects.toThrow(RangeError);
      expect(asked).toBe(0);
    },
  );

  const names: readonly { name: string; text: unknown; error: typeof Error }[] = [
    { name: 'U+0000', text: 'a\0b', error: RangeError },
    { name: 'half a character', text: 'a\ud800', error: RangeError },
    { name: 'more than an index takes', text: '€'.repeat(801), error: RangeError },
    { name: 'no text', text: 5, error: TypeError },
  ];
  it.each(names)('refuses $name as a name, and asks nothing', async ({ text, error }) => {
    let asked = 0;
    const store = postgresStore({ client: { query: async () => ({ rows: [asked++] }) } });
    const line = {
      scope: 's',
      generation: 'g',
      meter: 'm',
      span: { kind: 'total' },
      cap: 1,
      amount: 1,
      book: 'settle',
    };
    const item = { id: 'r', lines: [line], leaseMs: 1 };
    const ways = [
      () => store.open([text as string]),
      () => store.read([text as string]),
      () => store.shut(text as string),
      () => store.stop(text as string),
      () => store.resume(text as string),
      () => store.settle([{ id: text as string, actual: 'void' }]),
      () => store.reserve([{ ...item, id: text } as Reserve]),
      () => store.reserve([{ ...item, onto: text } as Reserve]),
      () => store.reserve([{ ...item, lines: [{ ...line, scope: text }] } as Reserve]),
      () => store.reserve([{ ...item, lines: [{ ...line, generation: text }] } as Reserve]),
    ];
    for (const way of ways) await expect(way()).rejects.toThrow(error);
    expect(asked).toBe(0);
  });

  it.each([1, 'true', {}, false, undefined])('takes %j for no force', async (force) => {
    const asked: string[][] = [];
    const query = async (_: string, values: string[]) => {
      asked.push(values);
      return { rows: [{ answer: '[{"ok":false,"why":"terminal","line":-1,"nowMs":1}]' }] };
    };
    await postgresStore({ client: { query } }).reserve([{ id: 'r', lines: [], leaseMs: 1, force } as Reserve]);
    expect(JSON.parse(asked[0]?.[1] ?? '').items[0]).not.toHaveProperty('force');
  });

  it.each([0, -1, 0.5, Number.NaN, 2 ** 53])('refuses a rolling span of %d', async (ms) => {
    for (const span of [
      { kind: 'rolling', ms, stepMs: 1 },
      { kind: 'rolling', ms: 1, stepMs: ms },
    ] as const) {
      const line: Line = { scope: 's', generation: 'g', meter: 'm', span, cap: 1, amount: 1, book: 'settle' };
      const reserved = postgresStore({ client }).reserve([{ id: 'r', lines: [line], leaseMs: 1 }]);
      await expect(reserved).rejects.toThrow(RangeError);
    }
  });
});

describe.skipIf(postgresUrl === undefined)('postgresStore on PostgreSQL', () => {
  let schema: PostgresSchema;
  let store: Store;
  beforeAll(async () => {
    schema = await PostgresSchema.create();
    store = postgresStore({ client: schema.pool, schema: schema.name, timeoutMs: 20_000 });
  });
  afterAll(() => schema.drop());

  const line = (scope: string, generation: string, other: Partial<Line> = {}): Line => {
    return { scope, generation, meter: 'usd', span: { kind: 'total' }, cap: 10, amount: 1, book: 'settle', ...other };
  };

  it('goes by the clock of the server', async () => {
    const generation = (await store.open(['s']))['s'] as string;
    const span = { kind: 'calendar', startMs: 0, endMs: 1 } as const;
    const [decision] = await store.reserve([{ id: 'stale', lines: [line('s', generation, { span })], leaseMs: 1 }]);
    const { nowMs } = decision as { nowMs: number };
    expect(Number.isInteger(nowMs)).toBe(true);
    expect(Math.abs(nowMs - Date.now())).toBeLessThan(60_000);
  });

  it('takes what was added to a hold for no hold, as the memory store does', async () => {
    for (const each of [store, memoryStore()]) {
      const generation = (await each.open(['onto']))['onto'] as string;
      const reserve = async (id: string, onto?: string): Promise<unknown> =>
        (await each.reserve([{ id, lines: [line('onto', generation)], leaseMs: 60_000, onto }]))[0];
      const end = async (id: string, actual: Settle['actual']): Promise<unknown> =>
        (await each.settle([{ id, actual }]))[0];
      await reserve('hold');
      for (const id of ['x1', 'x2', 'x3']) expect(await reserve(id, 'hold')).toMatchObject({ ok: true });
      expect(await end('x1', [7, 7, 7])).toEqual({ state: 'unknown', first: true, overrun: [] });
      expect(await end('x1', 'void')).toMatchObject({ state: 'void', first: false });
      expect(await reserve('x1', 'hold')).toMatchObject({ ok: false, why: 'terminal' });
      expect(await reserve('y', 'x2')).toMatchObject({ ok: false, why: 'terminal' });
      expect(await end('hold', [1, 1, 1, 1])).toMatchObject({ state: 'settled', first: true });
      await expect(async () => end('hold', [1])).rejects.toThrow(RangeError);
      expect(await end('x1', 'void')).toMatchObject({ state: 'void', first: false });
      expect(await reserve('x2', 'hold')).toMatchObject({ ok: true, repeat: 'settled' });
      expect(await end('x2', [7, 7, 7])).toMatchObject({ state: 'unknown', first: true });
      expect(await each.read(['onto'])).toEqual({ onto: { usd: { used: 4, held: 0 } } });
    }
  });

  it('sweeps as many as it is asked, and refuses a limit that is none', async () => {
    const generation = (await store.open(['swept']))['swept'] as string;
    const ids = Array.from({ length: 600 }, (_, i) => `swept ${i}`);
    await store.reserve(ids.map((id) => ({ id, lines: [line('swept', generation, { cap: 1_000 })], leaseMs: 0 })));
    expect(await store.sweep(300)).toHaveLength(300);
    expect(await store.sweep(MAX)).toHaveLength(300);
    expect(await store.read(['swept'])).toEqual({ swept: { usd: { used: 600, held: 0 } } });
    for (const limit of [-1, Number.NaN, 0.5]) await expect(store.sweep(limit)).rejects.toThrow('`limit` must be');
  });

  it('never leaves a calendar window that has begun for one that began earlier', async () => {
    const generation = (await store.open(['days']))['days'] as string;
    const now = Date.now();
    const ask = async (id: string, startMs: number, amount: number): Promise<unknown> => {
      const span = { kind: 'calendar', startMs, endMs: now + 1e8 } as const;
      const lines = [line('days', generation, { span, amount, book: 'reserve' })];
      return (await store.reserve([{ id: `days ${id}`, lines, leaseMs: 60_000 }]))[0];
    };
    expect(await ask('1', now - 1e8, 6)).toMatchObject({ ok: true, left: [4] });
    expect(await ask('2', now - 2e8, 3)).toMatchObject({ ok: true, left: [1] });
    expect(await ask('3', now - 5e7, 9)).toMatchObject({ ok: true, left: [1] });
    expect(await ask('4', now - 1e8, 2)).toMatchObject({ ok: false, why: 'exhausted', left: 1 });
  });

  it('takes the longest names, and any number of characters in the name of a counter', async () => {
    const scope = '€'.repeat(800);
    const meter = '\u{1f4b6}'.repeat(2_000);
    const generation = (await store.open([scope]))[scope] as string;
    const id = '\u{1f4b6}'.repeat(400);
    const item = { id, lines: [line(scope, generation, { meter })], leaseMs: 1 };
    expect(await store.reserve([item])).toMatchObject([{ ok: true }]);
    expect(await store.reserve([item])).toMatchObject([{ ok: true, repeat: 'held' }]);
    expect(await store.read([scope])).toEqual({ [scope]: { [meter]: { used: 0, held: 1 } } });
    expect(await store.sweep(1)).toEqual([{ id }]);
  });

  it('is exact, and full where it is, near 2 ** 53 in every window', async () => {
    const now = Date.now();
    for (const span of [
      { kind: 'total' },
      { kind: 'rolling', ms: 86_400_000, stepMs: 240_000 },
      { kind: 'calendar', startMs: now - 1e8, endMs: now + 1e8 },
    ] as const) {
      const scope = `big ${span.kind}`;
      const generation = (await store.open([scope]))[scope] as string;
      const big = (amount: number): Line[] => [line(scope, generation, { span, cap: MAX, amount })];
      const ask = async (id: string, amount: number): Promise<unknown> =>
        (await store.reserve([{ id: `${scope} ${id}`, lines: big(amount), leaseMs: 60_000 }]))[0];
      expect(await ask('1', MAX - 6)).toMatchObject({ ok: true, left: [6] });
      expect(await ask('2', 3)).toMatchObject({ ok: true, left: [3] });
      expect(await ask('3', 4)).toMatchObject({ ok: false, why: 'in_flight', left: 3 });
      expect(await store.settle([{ id: `${scope} 1`, actual: [MAX - 7] }])).toMatchObject([{ overrun: [] }]);
      expect(await ask('4', 8)).toMatchObject({ ok: false, why: 'exhausted', left: 4 });
      expect(await store.settle([{ id: `${scope} 2`, actual: [MAX] }])).toMatchObject([{ overrun: [MAX - 3] }]);
      expect(await ask('5', 1)).toMatchObject({ ok: false, why: 'exhausted', left: 0 });
      expect(await store.read([scope])).toEqual({ [scope]: { usd: { used: MAX, held: 0 } } });
    }
  });

  it('has numbers that the database refuses by itself', async () => {
    const generation = (await store.open(['raw']))['raw'] as string;
    const request = (change: object): string[] => {
      const item = {
        op: 'reserve',
        hold: 1,
        digest: 'd',
        lease_ms: 1,
        lines: [1],
        caps: [5],
        amounts: [1],
        booked: [false],
      };
      const lines = [{ meter: 1, scope: 1, generation, name: 'usd', kind: 'total' }];
      const keep = { ends: 1, voids: 1, shut: 1, scopes: 1 };
      const asked = { ids: ['raw'], closing: 0, scopes: ['raw'], lines, items: [{ ...item, ...change }], keep };
      return ['decide', JSON.stringify(asked), '2000'];
    };
    const ask = (change: object): Promise<unknown> =>
      schema.pool.query(`CALL ${schema.name}.ask($1::text, $2::text, $3::text, NULL)`, request(change));
    for (const bad of [-1, 0.5, 2 ** 53, 'x', 1e300]) {
      for (const change of [{ amounts: [bad] }, { caps: [bad] }, { lease_ms: bad }, { keep_ms: bad }]) {
        await expect(ask(change)).rejects.toThrow();
      }
    }
    expect(await store.read(['raw'])).toEqual({ raw: {} });
    await ask({});
    await expect(ask({ op: 'end', ending: 'settled', actual: [-1] })).rejects.toThrow();
    expect(await store.read(['raw'])).toEqual({ raw: { usd: { used: 0, held: 1 } } });
  });

  it('lets sessions share a budget, whose sum is exact', async () => {
    const leashes = Array.from({ length: 5 }, () =>
      createLeash({ guards: [budget({ usd: 1, scope: 'org:acme', per: 'day' }), callCap(50)], store, stopOn: 'none' }),
    );
    const pay = leashes.map((leash) =>
      leash.wrap('pay', async (amount: number) => amount, { cost: (amount) => ({ usd: amount }) }),
    );
    const calls = Array.from({ length: 50 }, (_, i) => pay[i % 5]?.(0.03));
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(33);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'BUDGET_EXCEEDED' });
    }
    const counters = (await store.read(['shared:org:acme']))['shared:org:acme'] ?? {};
    expect(Object.values(counters)).toEqual([{ used: 990_000_000, held: 0 }]);
    for (const leash of leashes) await leash.close();
  });
});
