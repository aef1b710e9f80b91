import { once } from 'node:events';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type PostgresClient, postgresMigration, postgresStore } from '../../../src/stores/postgres.ts';
import type { Line, Reserve, Store } from '../../../src/stores/store.ts';
import { type DatabaseServer, postgresFolder, postgresUrl, startPostgres } from '../../helpers/databases.ts';
import { PostgresSchema } from '../../helpers/postgres.ts';

const SECRETS = ['s3cret-scope', 's3cret-hold', 's3cret-meter', 'hunter2', '4242', 'postgres://', '127.0.0.1'];
const SCOPE = 's3cret-scope';

function item(id: string, generation: string | undefined, amount = 4_242): Reserve {
  const span = { kind: 'total' } as const;
  const line: Line = {
    scope: SCOPE,
    generation: generation ?? '',
    meter: 's3cret-meter',
    span,
    cap: 10_000,
    amount,
    book: 'settle',
  };
  return { id: `s3cret-hold ${id}`, lines: [line], leaseMs: 60_000 };
}

async function rejection(answer: unknown): Promise<Error> {
  return Promise.resolve(answer).then(
    () => expect.unreachable('it was answered'),
    (error: Error) => error,
  );
}

/** A failure that a person can act on, and that holds nothing that was asked or where. */
async function expectFailure(answer: unknown, message: RegExp): Promise<void> {
  const error = await rejection(answer);
  expect(error.message).toMatch(message);
  expect(error.cause).toBeUndefined();
  const told = `${error.stack} ${JSON.stringify({ ...error })} ${Object.values(error)}`.replaceAll(/\n +at .*/g, '');
  for (const secret of SECRETS) expect(told).not.toContain(secret);
}

/** Each way to ask a store, which fails. */
function asking(store: Store, generation?: string): readonly (() => unknown)[] {
  return [
    () => store.open([SCOPE]),
    () => store.reserve([item('x', generation)]),
    () => store.settle([{ id: 's3cret-hold x', actual: [4_242] }]),
    () => store.read([SCOPE]),
    () => store.sweep(1),
    () => store.shut(SCOPE),
    () => store.stop(SCOPE),
    () => store.resume(SCOPE),
  ];
}

describe('postgresStore through a client that does not answer', () => {
  /** Answers when it is told to. */
  class Silent implements PostgresClient {
    readonly asked: { readonly values: readonly string[]; readonly answer: (answer: unknown) => void }[] = [];
    query(_text: string, values: string[]): Promise<{ rows: readonly unknown[] }> {
      return new Promise((resolve) => {
        const answer = (given: unknown): void => resolve({ rows: [{ answer: JSON.stringify(given) }] });
        this.asked.push({ values, answer });
      });
    }
  }
  let client: Silent;
  let store: Store;
  const tick = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);
  const reserve = (id: string): Promise<unknown> => {
    const answer = Promise.resolve(store.reserve([item(id, 'g')]));
    answer.catch(() => {});
    return answer;
  };

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] });
    client = new Silent();
    store = postgresStore({ client, timeoutMs: 500 });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('rejects after its time, and looks at no later answer', async () => {
    const failures = asking(store).map((ask) => expectFailure(ask(), /^PostgreSQL did not answer within 500 ms$/));
    await vi.advanceTimersByTimeAsync(500);
    await Promise.all(failures);
    for (const { answer } of client.asked) answer([{ ok: true, left: [0] }]);
    await tick();
  });

  it('asks no more of what nobody waits for, and later calls go their way', async () => {
    for (const id of ['r1', 'r2', 'r3', 'r4']) {
      void reserve(id);
      await tick();
    }
    expect(client.asked).toHaveLength(4);
    const waiting = reserve('never sent');
    await vi.advanceTimersByTimeAsync(499);
    const later = reserve('later');
    await vi.advanceTimersByTimeAsync(2);
    await expectFailure(waiting, /did not answer/);
    const { values, answer } = client.asked.at(-1) as Silent['asked'][number];
    expect(values[1]).toContain('later');
    answer([{ ok: true, left: [1] }]);
    expect(await later).toEqual([{ ok: true, repeat: undefined, left: [1] }]);
    expect(client.asked.some(({ values: each }) => each[1]?.includes('never sent'))).toBe(false);
  });

  it('lets no more than 64 queries wait in the client, but tries one more each half minute', async () => {
    for (let i = 0; i < 100; i++) {
      void reserve(`r${i}`);
      await vi.advanceTimersByTimeAsync(500);
    }
    expect(client.asked).toHaveLength(64);
    const failed = expectFailure(reserve('x'), /^PostgreSQL has not answered 64 earlier queries$/);
    await tick();
    await failed;
    await vi.advanceTimersByTimeAsync(30_000);
    const again = reserve('y');
    await tick();
    expect(client.asked).toHaveLength(65);
    for (const { answer } of client.asked) answer([{ ok: true, left: [1] }]);
    expect(await again).toMatchObject([{ ok: true }]);
    void reserve('z');
    await tick();
    expect(client.asked).toHaveLength(66);
  });

  it('sends whatever is asked at once, as long as it is answered in time', async () => {
    const readings = Array.from({ length: 100 }, () => store.read(['a']));
    await vi.advanceTimersByTimeAsync(499);
    expect(client.asked).toHaveLength(100);
    for (const { answer } of client.asked) answer({ a: {} });
    expect(await Promise.all(readings)).toEqual(Array(100).fill({ a: {} }));
  });

  it('tries again what others were in the way of, with the same ids, and not for ever', async () => {
    const sent: string[] = [];
    let failing = 3;
    const flaky: PostgresClient = {
      query: async (_, values) => {
        sent.push(values[1] as string);
        if (failing-- > 0) throw Object.assign(new Error('s3cret-scope'), { code: failing === 1 ? '40P01' : '40001' });
        return { rows: [{ answer: '[{"ok":true,"left":[1]}]' }] };
      },
    };
    store = postgresStore({ client: flaky, timeoutMs: 500 });
    const answer = reserve('r');
    await vi.advanceTimersByTimeAsync(400);
    expect(await answer).toMatchObject([{ ok: true }]);
    expect(sent).toHaveLength(4);
    expect(new Set(sent).size).toBe(1);
    failing = Number.POSITIVE_INFINITY;
    const failed = expectFailure(reserve('s'), /\(40001\): others were in the way each time$/);
    await vi.advanceTimersByTimeAsync(400);
    await failed;
    expect(sent).toHaveLength(4 + 6);
  });

  it.each([
    { name: 'no rows', rows: undefined },
    { name: 'no row', rows: [] },
    { name: 'another row', rows: [{ other: 1 }] },
    { name: 'no JSON', rows: [{ answer: '{s3cret-scope' }] },
    { name: 'something else', rows: [{ answer: 7 }] },
    { name: 'no list', rows: [{ answer: '7' }] },
    { name: 'too short a list', rows: [{ answer: '[]' }] },
    { name: 'nothing', rows: [{ answer: null }] },
  ])('rejects where a client answers with $name', async ({ rows }) => {
    store = postgresStore({ client: { query: async () => ({ rows: rows as unknown[] }) }, timeoutMs: 500 });
    const failed = expectFailure(reserve('r'), /^PostgreSQL, or the client, answered something else than was asked$/);
    await tick();
    await failed;
  });

  it('rejects where a client throws at once, or throws something else', async () => {
    for (const thrown of [new Error('s3cret-scope'), 's3cret-scope', undefined, { code: 'pass word: hunter2' }]) {
      const query = (): never => {
        throw thrown;
      };
      store = postgresStore({ client: { query }, timeoutMs: 500 });
      const failed = expectFailure(reserve('r'), /^PostgreSQL failed, and its client gave no code$/);
      await tick();
      await failed;
    }
  });
});

describe.skipIf(postgresUrl === undefined)('postgresStore when PostgreSQL fails', () => {
  let schema: PostgresSchema;
  let store: Store;
  let generation: string;
  const pools: pg.Pool[] = [];

  function connect(settings: pg.PoolConfig = {}, url: string = postgresUrl as string): pg.Pool {
    const pool = new pg.Pool({ connectionString: url, max: 2, ...settings });
    pool.on('error', () => {});
    pools.push(pool);
    return pool;
  }
  const held = async (): Promise<number | undefined> => (await store.read([SCOPE]))[SCOPE]?.['s3cret-meter']?.held;
  /** Resolves when a query waits for a lock; tells which process it is. */
  async function waiting(): Promise<number> {
    for (;;) {
      const { rows } = await schema.pool.query(
        `SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%${schema.name}%'`,
      );
      if (rows.length > 0) return rows[0].pid;
    }
  }
  /** Holds the lock of the scope while something is done. */
  async function whileLocked<T>(action: (locker: pg.PoolClient) => Promise<T>): Promise<T> {
    const locker = await schema.pool.connect();
    try {
      await locker.query(`BEGIN; UPDATE ${schema.name}.scopes SET seen_ms = seen_ms`);
      return await action(locker);
    } finally {
      await locker.query('ROLLBACK');
      locker.release();
    }
  }

  beforeAll(async () => {
    schema = await PostgresSchema.create();
  });
  beforeEach(async () => {
    await schema.empty();
    store = postgresStore({ client: schema.pool, schema: schema.name });
    generation = (await store.open([SCOPE]))[SCOPE] as string;
    await store.reserve([item('open', generation, 10)]);
  });
  afterAll(async () => {
    await Promise.all(pools.map((pool) => pool.end()));
    await schema.drop();
  });

  it('gives up a lock that is not free in time, so that the connection is', async () => {
    const client = connect({ max: 1 });
    const hasty = postgresStore({ client, schema: schema.name, timeoutMs: 150 });
    await whileLocked(async () => {
      await expectFailure(hasty.reserve([item('r', generation)]), /did not answer within|\(55P03\)/);
      await client.query('SELECT');
    });
    expect(await hasty.settle([{ id: 's3cret-hold r', actual: 'void' }])).toMatchObject([{ state: 'unknown' }]);
    expect(await hasty.reserve([item('r', generation)])).toMatchObject([{ ok: false, why: 'terminal' }]);
    expect(await held()).toBe(10);
  });

  it('forfeits no hold whose lease was renewed while the sweep waited for its scope', async () => {
    await schema.pool.query(`UPDATE ${schema.name}.holds SET due_ms = 0`);
    const sweeping = await whileLocked(async (locker) => {
      const swept = postgresStore({ client: connect(), schema: schema.name, timeoutMs: 20_000 }).sweep(10);
      await waiting();
      await locker.query(`UPDATE ${schema.name}.holds SET due_ms = ${2 ** 52}; COMMIT`);
      return { swept };
    });
    expect(await sweeping.swept).toEqual([]);
    expect(await held()).toBe(10);
  });

  it('holds nothing that was refused and arrives later', async () => {
    let deliver: () => void = () => {};
    const slow = postgresStore({
      client: {
        query: async (text, values) => {
          const arrives = new Promise<void>((resolve) => {
            deliver = resolve;
          });
          if (values[1]?.includes('"reserve"')) await arrives;
          return schema.pool.query(text, values);
        },
      },
      schema: schema.name,
      timeoutMs: 50,
    });
    await expectFailure(slow.reserve([item('late', generation)]), /did not answer/);
    expect(await slow.settle([{ id: 's3cret-hold late', actual: 'void' }])).toMatchObject([{ state: 'unknown' }]);
    deliver();
    expect(await store.reserve([item('late', generation)])).toMatchObject([{ ok: false, why: 'terminal' }]);
    expect(await held()).toBe(10);
  });

  it('rejects what was under way on a connection that is ended, and goes on with another one', async () => {
    const own = postgresStore({ client: connect(), schema: schema.name, timeoutMs: 20_000 });
    await whileLocked(async () => {
      const failed = expectFailure(own.reserve([item('r', generation)]), /\(57P01\): the connection was ended$/);
      await schema.pool.query('SELECT pg_terminate_backend($1)', [await waiting()]);
      await failed;
    });
    expect(await held()).toBe(10);
    expect(await own.settle([{ id: 's3cret-hold r', actual: 'void' }])).toMatchObject([{ state: 'unknown' }]);
    expect(await own.reserve([item('s', generation)])).toMatchObject([{ ok: true }]);
  });

  it('works with one connection for all', async () => {
    const one = postgresStore({ client: connect({ max: 1 }), schema: schema.name, timeoutMs: 20_000 });
    const call = async (i: number): Promise<void> => {
      await one.reserve([item(`r${i}`, generation, 3)]);
      await one.settle([{ id: `s3cret-hold r${i}`, actual: [2] }]);
    };
    await Promise.all(Array.from({ length: 100 }, (_, i) => call(i)));
    expect(await one.read([SCOPE])).toEqual({ [SCOPE]: { 's3cret-meter': { used: 200, held: 10 } } });
  });

  it.each([
    {
      name: 'writing is not allowed',
      options: '-c default_transaction_read_only=on',
      says: /\(25006\): writing is not/,
    },
    { name: 'statements are cancelled', options: '-c statement_timeout=1', says: /\(57014\): the statement was canc/ },
  ])('rejects where $name', async ({ options, says }) => {
    const refused = postgresStore({ client: connect({ options }), schema: schema.name });
    // Some are over before a millisecond is.
    await whileLocked(async () => {
      for (const ask of asking(refused, generation).slice(1, 3)) await expectFailure(ask(), says);
    });
  });

  it('rejects inside a transaction of somebody else, which could undo the answer', async () => {
    const client = await connect().connect();
    const inside = postgresStore({ client, schema: schema.name });
    for (const ask of asking(inside, generation)) {
      await client.query('BEGIN');
      await expectFailure(ask(), /\(2D000\): the client is inside a transaction: give the store a pool/);
      await client.query('ROLLBACK');
    }
    client.release();
  });

  it('needs the rights that are documented and no more', async () => {
    const role = `${schema.name}_app`;
    await schema.pool.query(`CREATE ROLE ${role} LOGIN PASSWORD 'hunter2'`);
    // As where default privileges were taken away.
    await schema.pool.query(`REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA ${schema.name} FROM PUBLIC`);
    const url = new URL(postgresUrl as string);
    url.username = role;
    url.password = 'hunter2';
    const other = postgresStore({ client: connect({}, url.href), schema: schema.name });
    for (const ask of asking(other, generation)) {
      await expectFailure(ask(), /\(42501\): the role lacks a right: see the GRANTs that postgresMigration names/);
    }
    await schema.pool.query(`GRANT USAGE ON SCHEMA ${schema.name} TO ${role}`);
    await expectFailure(other.reserve([item('x', generation)]), /\(42501\)/);
    await schema.pool.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema.name} TO ${role}`);
    await expectFailure(other.reserve([item('x', generation)]), /\(42501\)/);
    await schema.pool.query(`GRANT EXECUTE ON ALL ROUTINES IN SCHEMA ${schema.name} TO ${role}`);
    for (const ask of asking(other, generation)) await ask();
    await other.open(['another'], 'temporary');
    await schema.pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });

  it('knows nothing of a schema that was dropped, and never takes it for nothing spent', async () => {
    await schema.pool.query(`DROP SCHEMA ${schema.name} CASCADE`);
    const command = new RegExp(`apply what \`leash migration postgres --schema ${schema.name}\` prints$`);
    for (const ask of asking(store, generation)) await expectFailure(ask(), command);
    await expectFailure(postgresStore({ client: schema.pool, schema: schema.name }).open([SCOPE]), command);
    await schema.pool.query(postgresMigration({ schema: schema.name }));
    expect(await store.reserve([item('r', generation)])).toMatchObject([{ ok: false, why: 'state_lost', line: 0 }]);
    expect(await store.reserve([item('open', generation, 10)])).toMatchObject([{ ok: false, why: 'state_lost' }]);
    expect(await store.read([SCOPE])).toEqual({});
    expect((await store.open([SCOPE]))[SCOPE]).not.toBe(generation);
  });

  it('sends nothing where nothing listens', async () => {
    const server = (await import('node:net')).createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    server.close();
    const nowhere = postgresStore({ client: connect({}, `postgres://app:hunter2@127.0.0.1:${port}/x`) });
    for (const ask of asking(nowhere, generation)) {
      await expectFailure(ask(), /\(ECONNREFUSED\): nothing listens where the client connects to$/);
    }
  });

  describe.skipIf(postgresFolder() === undefined)('on a server that is killed', () => {
    let server: DatabaseServer;
    beforeAll(async () => {
      server = await startPostgres();
    }, 60_000);
    afterAll(() => server.stop());

    it('rejects while it is away, and goes on with what it knew', async () => {
      const client = connect({}, server.url);
      await client.query(postgresMigration());
      const away = postgresStore({ client });
      const token = (await away.open([SCOPE]))[SCOPE] as string;
      await away.reserve([item('r1', token, 30), item('r2', token, 40)]);
      await away.settle([{ id: 's3cret-hold r1', actual: [25] }]);
      await server.kill('SIGQUIT');
      for (const ask of asking(away, token)) await rejection(ask());
      await server.restart();
      expect(await away.read([SCOPE])).toEqual({ [SCOPE]: { 's3cret-meter': { used: 25, held: 40 } } });
      expect(await away.reserve([item('r1', token, 30)])).toMatchObject([{ ok: true, repeat: 'settled' }]);
      expect((await away.open([SCOPE]))[SCOPE]).toBe(token);
    }, 60_000);
  });
});
