import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type PostgresClient, postgresStore } from '../../../src/stores/postgres.ts';
import type { Line, Reserve, Store } from '../../../src/stores/store.ts';
import { postgresUrl } from '../../helpers/databases.ts';
import { PostgresSchema } from '../../helpers/postgres.ts';

interface Watched extends PostgresClient {
  readonly asked: string[];
  readonly codes: unknown[];
  /** No answer is told before it. */
  answers: Promise<void> | undefined;
}

/** Tells what a client was asked and which errors it met. */
function watched(client: PostgresClient): Watched {
  const asked: string[] = [];
  const codes: unknown[] = [];
  const made: Watched = {
    asked,
    codes,
    answers: undefined,
    query: async (text, values) => {
      asked.push(values[0] ?? text);
      try {
        const answer = await client.query(text, values);
        await made.answers;
        return answer;
      } catch (error) {
        codes.push((error as { code?: unknown }).code);
        throw error;
      }
    },
  };
  return made;
}

describe.skipIf(postgresUrl === undefined)('postgresStore', () => {
  let schema: PostgresSchema;
  let store: Store;
  let client: Watched;
  let tokens: Readonly<Record<string, string>>;
  const pools: pg.Pool[] = [];

  function connections(max: number, settings = ''): pg.Pool {
    const pool = new pg.Pool({ connectionString: postgresUrl, max, options: settings });
    pools.push(pool);
    return pool;
  }
  function line(scope: string, amount: number, other: Partial<Line> = {}): Line {
    const generation = tokens[scope] as string;
    return { scope, generation, meter: 'usd', span: { kind: 'total' }, cap: 1_000, amount, book: 'settle', ...other };
  }
  const item = (id: string, lines: readonly Line[], other: Partial<Reserve> = {}): Reserve => {
    return { id, lines, leaseMs: 60_000, ...other };
  };

  beforeAll(async () => {
    schema = await PostgresSchema.create();
  });
  beforeEach(async () => {
    await schema.empty();
    client = watched(schema.pool);
    store = postgresStore({ client, schema: schema.name, timeoutMs: 20_000 });
    tokens = await store.open(['a', 'b', 'c']);
    client.asked.length = 0;
  });
  afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.end())));
  afterAll(() => schema.drop());

  describe('what is asked in one tick', () => {
    const many = (prefix: string, count: number): Promise<unknown>[] =>
      Array.from({ length: count }, (_, i) => Promise.resolve(store.reserve([item(`${prefix}${i}`, [line('a', 1)])])));

    it('is one round trip, whatever it is of, and decided in order', async () => {
      const answers = await Promise.all([
        store.reserve([item('r1', [line('a', 600), line('b', 1)])]),
        store.reserve([item('r2', [line('a', 600)])]),
        store.settle([{ id: 'r1', actual: [300, 1] }]),
        store.reserve([item('r3', [line('a', 600)])]),
        store.settle([{ id: 'r3', actual: 'void' }]),
        store.settle([{ id: 'never', actual: 'void' }]),
      ]);
      expect(answers).toMatchObject([
        [{ ok: true, left: [400, 999] }],
        [{ ok: false, why: 'in_flight', left: 400 }],
        [{ state: 'settled', first: true }],
        [{ ok: true, left: [100] }],
        [{ state: 'void', first: true }],
        [{ state: 'unknown', first: true }],
      ]);
      expect(client.asked).toEqual(['decide']);
    });

    it('is at most 64 items a round trip, and what one caller asks is never divided', async () => {
      await Promise.all(many('r', 100));
      expect(client.asked).toHaveLength(2);
      await store.reserve(Array.from({ length: 100 }, (_, i) => item(`s${i}`, [line('b', 1)])));
      expect(client.asked).toHaveLength(3);
    });

    it('goes together once there are four under way', async () => {
      const { promise, resolve: answer } = Promise.withResolvers<void>();
      client.answers = promise;
      const first = many('first', 4 * 64);
      await new Promise(setImmediate);
      expect(client.asked).toHaveLength(4);
      const later: Promise<unknown>[] = [];
      for (let i = 0; i < 10; i++) {
        later.push(...many(`later${i}`, 1));
        await new Promise(setImmediate);
      }
      expect(client.asked).toHaveLength(4);
      answer();
      await Promise.all([...first, ...later]);
      expect(client.asked).toHaveLength(5);
    });

    it('lets one caller’s mistake be his alone', async () => {
      await store.reserve([item('r1', [line('a', 10)]), item('r2', [line('a', 10)]), item('r3', [line('a', 10)])]);
      client.asked.length = 0;
      const wrong = [
        { id: 'r2', actual: [5] },
        { id: 'r3', actual: [5, 5] },
      ];
      const answers = await Promise.allSettled([
        store.settle([{ id: 'r1', actual: [4] }]),
        store.settle(wrong),
        store.reserve([item('r4', [line('a', 7)])]),
        store.reserve([item('r5', [line('a', -1)])]),
        store.reserve([item('r\0', [line('a', 1)])]),
      ]);
      expect(answers.map(({ status }) => status)).toEqual([
        'fulfilled',
        'rejected',
        'fulfilled',
        'rejected',
        'rejected',
      ]);
      expect(answers[1]).toMatchObject({ reason: { message: '`actual` has 2 amounts for 1 lines' } });
      expect((answers[1] as { reason: unknown }).reason).toBeInstanceOf(RangeError);
      expect(client.asked).toEqual(['decide']);
      expect(await store.read(['a'])).toEqual({ a: { usd: { used: 4, held: 27 } } });
    });

    it('tells lines on one counter apart: by generation and by calendar window, and counts them together', async () => {
      const now = Date.now();
      const day = (offset: number): Partial<Line> => {
        const startMs = now + (offset - 0.5) * 86_400_000;
        return { meter: 'day', span: { kind: 'calendar', startMs, endMs: startMs + 86_400_000 } };
      };
      const answers = await Promise.all(
        [
          [line('a', 600, { generation: 'lost' })],
          [line('a', 600)],
          [line('a', 300), line('a', 300)],
          [line('b', 600, day(-1))],
          [line('b', 600, day(0))],
          [line('b', 600, day(0.1))],
        ].map((lines, i) => store.reserve([item(`r${i}`, lines)])),
      );
      expect(answers.flat()).toMatchObject([
        { ok: false, why: 'state_lost' },
        { ok: true, left: [400] },
        { ok: false, why: 'in_flight', line: 1, left: 100 },
        { ok: false, why: 'stale' },
        { ok: true, left: [400] },
        { ok: false, why: 'in_flight', left: 400 },
      ]);
      expect(client.asked).toEqual(['decide']);
    });

    it('is what it was then, whatever becomes of the objects', async () => {
      const lines = [line('a', 10)];
      const reserved = store.reserve([item('r1', lines)]);
      Object.assign(lines[0] as object, { amount: 0, cap: 0 });
      lines.push(line('b', 1));
      expect(await reserved).toMatchObject([{ ok: true, left: [990] }]);
      const actual = [10];
      const settled = store.settle([{ id: 'r1', actual }]);
      actual[0] = 0;
      await settled;
      expect(await store.read(['a', 'b'])).toEqual({ a: { usd: { used: 10, held: 0 } }, b: {} });
    });
  });

  describe('sixteen connections', () => {
    /** A store for each, so that nothing is batched. */
    function stores(settings = ''): { readonly all: readonly Store[]; readonly codes: unknown[] } {
      const through = watched(connections(16, settings));
      const all = Array.from({ length: 16 }, () =>
        postgresStore({ client: through, schema: schema.name, timeoutMs: 20_000 }),
      );
      return { all, codes: through.codes };
    }

    it('reserve crossing scopes in every order, and nobody waits in a circle or passes a cap', async () => {
      const { all, codes } = stores();
      const orders = ['abc', 'acb', 'bac', 'bca', 'cab', 'cba'];
      let admitted = 0;
      const call = async (each: Store, n: number): Promise<void> => {
        for (let i = 0; i < 12; i++) {
          const order = [...(orders[(n + i) % orders.length] as string)];
          const id = `${n} ${i}`;
          const [decision] = await each.reserve([
            item(
              id,
              order.map((scope) => line(scope, 9)),
            ),
          ]);
          if (!decision?.ok) continue;
          const voids = i % 4 === 0;
          if (!voids) admitted++;
          await each.settle([{ id, actual: voids ? 'void' : [9, 9, 9] }]);
        }
      };
      await Promise.all(all.map(call));
      expect(codes).toEqual([]);
      expect(admitted).toBeLessThanOrEqual(111);
      const counted = { usd: { used: admitted * 9, held: 0 } };
      expect(await store.read(['a', 'b', 'c'])).toEqual({ a: counted, b: counted, c: counted });
    });

    it.each(['read committed', 'repeatable read', 'serializable'])(
      'are right on one scope where the default is %s',
      async (isolation) => {
        const { all, codes } = stores(`-c default_transaction_isolation=${isolation.replace(' ', '\\ ')}`);
        const ask = (each: Store, n: number): unknown => each.reserve([item(`r${n}`, [line('a', 90)])]);
        const decisions = (await Promise.all(all.map(ask))) as { ok: boolean }[][];
        expect(decisions.filter(([decision]) => decision?.ok)).toHaveLength(11);
        await Promise.all(all.map((each, n) => each.settle([{ id: `r${n}`, actual: [10] }])));
        expect(codes).toEqual([]);
        expect(await store.read(['a'])).toEqual({ a: { usd: { used: 110, held: 0 } } });
      },
    );

    it('make one reservation of sixteen with one id, and one end', async () => {
      const { all, codes } = stores();
      for (let round = 0; round < 5; round++) {
        const id = `r${round}`;
        // Without a scope in common nothing is locked that would keep them apart.
        const decisions = (await Promise.all(all.map((each) => each.reserve([item(id, [])])))).flat();
        expect(decisions.filter((decision) => decision.ok && decision.repeat === undefined)).toHaveLength(1);
        expect(decisions.filter((decision) => decision.ok && decision.repeat === 'held')).toHaveLength(15);
        const ends = (await Promise.all(all.map((each) => each.settle([{ id, actual: 'void' }])))).flat();
        expect(ends.filter(({ first }) => first)).toHaveLength(1);
      }
      expect(codes.filter((code) => code !== '23505')).toEqual([]);
    });

    it('end a hold while it is extended into another scope', async () => {
      const { all } = stores();
      for (let round = 0; round < 10; round++) {
        const id = `r${round}`;
        await store.reserve([item(id, [line('a', 10)])]);
        const work = all.map(async (each, n): Promise<void> => {
          if (n < 8) await each.reserve([item(`${id} ${n}`, [line(n % 2 === 0 ? 'b' : 'c', 1)], { onto: id })]);
          else if (n === 8) await each.settle([{ id, actual: 'forfeit' }]);
          else await each.settle([{ id: `${id} ${n}`, actual: 'void' }]);
        });
        await Promise.all(work);
        const { a, b, c } = await store.read(['a', 'b', 'c']);
        expect(a?.['usd']).toEqual({ used: 10 * (round + 1), held: 0 });
        expect([b?.['usd']?.held ?? 0, c?.['usd']?.held ?? 0]).toEqual([0, 0]);
      }
    });

    it('open the same scopes at once, sweep the same holds at once, and each is done once', async () => {
      const { all, codes } = stores();
      const names = Array.from({ length: 20 }, (_, i) => `scope ${i}`);
      const orders = all.map((_, n) => (n % 2 === 0 ? names : [...names].reverse()));
      const opened = await Promise.all(all.map((each, n) => each.open(orders[n] as string[], 'temporary')));
      for (const each of opened) expect(each).toEqual(opened[0]);
      tokens = { ...tokens, ...opened[0] };
      const lines = (i: number): Line[] => [line('a', 1), line(names[i % 20] as string, 1)];
      await store.reserve(Array.from({ length: 60 }, (_, i) => item(`r${i}`, lines(i), { leaseMs: 0 })));
      const swept = (await Promise.all(all.map((each) => each.sweep(60)))).flat().map(({ id }) => id);
      expect(swept).toHaveLength(60);
      expect(new Set(swept).size).toBe(60);
      expect(codes).toEqual([]);
      expect(await store.read(['a'])).toEqual({ a: { usd: { used: 60, held: 0 } } });
    });
  });
});
