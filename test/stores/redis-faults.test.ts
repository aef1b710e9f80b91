import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { MaybePromise } from '../../src/internal/maybe-promise.ts';
import { type RedisStore, type RedisStoreOptions, redisStore } from '../../src/stores/redis.ts';
import type { Decision, Line, Reserve, Settle } from '../../src/stores/store.ts';
import { type DatabaseServer, redisExecutable, startRedis } from '../helpers/databases.ts';
import { CLIENTS, type Connect, connectIoredis, type TestClient } from '../helpers/redis.ts';

/** Servers of a test's own, and connections to them. */
const opened: { close(): void }[] = [];
const started: DatabaseServer[] = [];
afterEach(async () => {
  for (const connection of opened.splice(0)) connection.close();
  await Promise.all(started.splice(0).map((server) => server.stop()));
});

async function serve(settings: Readonly<Record<string, string>> = {}): Promise<DatabaseServer> {
  const server = await startRedis(settings);
  started.push(server);
  return server;
}

async function connectTo(url: string, connect: Connect = connectIoredis): Promise<TestClient> {
  const connection = await connect(url);
  opened.push(connection);
  return connection;
}

const PREFIX = 'faults';
const SHARED = 'org';

/** A store with one scope, and short words for what is done with it. */
class Kit {
  readonly connection: TestClient;
  readonly store: RedisStore;
  generation = '';

  constructor(connection: TestClient, options: Partial<RedisStoreOptions> = {}) {
    this.connection = connection;
    this.store = redisStore({ client: connection.client, prefix: PREFIX, ...options });
  }

  async open(): Promise<this> {
    this.generation = (await this.store.open([SHARED]))[SHARED] as string;
    return this;
  }

  /** The same with little patience. */
  hasty(): Kit {
    const kit = new Kit(this.connection, { timeoutMs: 100 });
    kit.generation = this.generation;
    return kit;
  }

  /** The server knows the scripts from now on: those that are unknown are not sent again for a caller who has given up. */
  async warm(): Promise<this> {
    await this.settle('warm', 'void');
    return this;
  }

  item(id: string, amount: number, other: Partial<Reserve> = {}): Reserve {
    const { generation } = this;
    const line: Line = {
      scope: SHARED,
      generation,
      meter: 'usd',
      span: { kind: 'total' },
      cap: 100,
      amount,
      book: 'settle',
    };
    return { id, lines: [line], leaseMs: 60_000, ...other };
  }

  async reserve(id: string, amount: number, other: Partial<Reserve> = {}): Promise<Decision> {
    return (await this.store.reserve([this.item(id, amount, other)]))[0] as Decision;
  }

  async settle(id: string, actual: Settle['actual']): Promise<unknown> {
    return (await this.store.settle([{ id, actual }]))[0];
  }

  async counted(): Promise<readonly [used: number, held: number]> {
    const { used, held } = (await this.store.read([SHARED]))[SHARED]?.['usd'] ?? { used: 0, held: 0 };
    return [used, held];
  }
}

async function messageOf(action: MaybePromise<unknown>): Promise<string> {
  return Promise.resolve(action).then(
    () => 'no error',
    (error: Error) => error.message,
  );
}

/** Asks until the server answers: clients take their time to connect again. */
async function answered<T>(ask: () => Promise<T>): Promise<T> {
  return vi.waitFor(ask, { timeout: 10_000, interval: 20 });
}

describe.skipIf(redisExecutable() === undefined).each(CLIENTS)('redisStore by $name', ({ connect }) => {
  it('refuses after FLUSHALL, and tells a settlement that its hold is not known', async () => {
    const { url } = await serve();
    const kit = await new Kit(await connectTo(url, connect)).open();
    await kit.reserve('r1', 30);
    await kit.connection.command('FLUSHALL');
    expect(await kit.reserve('r2', 1)).toMatchObject({ ok: false, why: 'state_lost', line: 0 });
    expect(await kit.reserve('r3', 1, { force: true })).toMatchObject({ ok: false, why: 'state_lost' });
    expect(await kit.settle('r1', [30])).toMatchObject({ state: 'unknown', first: true });
  });

  it('refuses after a restart without persistence', async () => {
    const server = await serve();
    const kit = await new Kit(await connectTo(server.url, connect)).open();
    await kit.reserve('r1', 30);
    await server.kill();
    await server.restart();
    const decision = await answered(() => kit.reserve('r2', 1));
    expect(decision).toMatchObject({ ok: false, why: 'state_lost', line: 0 });
  });

  it('goes on where it was after a restart with an append-only file', async () => {
    const server = await serve({ appendonly: 'yes', appendfsync: 'always' });
    const kit = await new Kit(await connectTo(server.url, connect)).open();
    await kit.reserve('r1', 30);
    await kit.reserve('r2', 20);
    await kit.settle('r1', [25]);
    await server.kill();
    await server.restart();
    expect(await answered(() => kit.counted())).toEqual([25, 20]);
    expect(await kit.settle('r1', [99])).toMatchObject({ state: 'settled', first: false });
    expect(await kit.settle('r2', [21])).toEqual({ state: 'settled', first: true, overrun: [1] });
    expect(await kit.reserve('r3', 55)).toMatchObject({ ok: false, why: 'exhausted', left: 54 });
  });

  it('knows its scripts again after SCRIPT FLUSH', async () => {
    const { url } = await serve();
    const kit = await new Kit(await connectTo(url, connect)).open();
    await kit.reserve('r1', 30);
    await kit.connection.command('SCRIPT', 'FLUSH');
    const both = await Promise.all([kit.reserve('r2', 20), kit.settle('r1', [10])]);
    expect(both).toMatchObject([{ ok: true }, { state: 'settled', first: true }]);
    await kit.connection.command('SCRIPT', 'FLUSH');
    expect(await kit.counted()).toEqual([10, 20]);
  });

  it('rejects in time while the server is paused, and what arrives later holds nothing', async () => {
    const { url } = await serve();
    const [connection, other] = [await connectTo(url, connect), await connectTo(url)];
    const kit = await (await new Kit(connection).open()).warm();
    await other.command('CLIENT', 'PAUSE', '60000', 'WRITE');
    expect(await messageOf(kit.hasty().reserve('late', 30))).toBe('Redis did not answer within 100 ms');
    await other.command('CLIENT', 'UNPAUSE');
    const key = `leash:{${PREFIX}}:h:late`;
    // It was carried out, and given back: an id that was never reserved would be void for an hour.
    await vi.waitFor(async () => expect(await other.command('GET', key)).toBe('V'), { timeout: 5_000 });
    expect(Number(await other.command('PTTL', key))).toBeLessThanOrEqual(300_000);
    expect(await answered(() => kit.counted())).toEqual([0, 0]);
    expect(await kit.reserve('late', 30)).toMatchObject({ ok: false, why: 'terminal' });
    expect(await kit.reserve('next', 100)).toMatchObject({ ok: true });
  });

  it('does not send again, to a server that lacks the script, what nobody waits for any more', async () => {
    const { url } = await serve();
    const [connection, other] = [await connectTo(url, connect), await connectTo(url)];
    const kit = await new Kit(connection).open();
    await other.command('CLIENT', 'PAUSE', '60000', 'WRITE');
    expect(await messageOf(kit.hasty().reserve('late', 30))).toBe('Redis did not answer within 100 ms');
    await other.command('CLIENT', 'UNPAUSE');
    expect(await answered(() => kit.counted())).toEqual([0, 0]);
    expect(await kit.reserve('next', 100)).toMatchObject({ ok: true });
    expect(await other.command('EXISTS', `leash:{${PREFIX}}:h:late`)).toBe(0);
  });

  it('keeps what its caller gave back while the server was paused from being held', async () => {
    const { url } = await serve();
    const [connection, other] = [await connectTo(url, connect), await connectTo(url)];
    const kit = await (await new Kit(connection).open()).warm();
    await other.command('CLIENT', 'PAUSE', '60000', 'WRITE');
    // A key that is kept may be another call's: the store does not give it back by itself.
    const hasty = kit.hasty();
    expect(await messageOf(hasty.reserve('late', 30, { keepMs: 1_000 }))).toMatch(/did not answer/);
    expect(await messageOf(hasty.settle('late', 'void'))).toMatch(/did not answer/);
    await other.command('CLIENT', 'UNPAUSE');
    await vi.waitFor(async () => expect(await other.command('GET', `leash:{${PREFIX}}:h:late`)).toBe('V'), {
      timeout: 5_000,
    });
    expect(await answered(() => kit.counted())).toEqual([0, 0]);
  });
});

describe.skipIf(redisExecutable() === undefined)('redisStore', () => {
  const lost: readonly { readonly name: string; readonly other: Partial<Reserve> }[] = [
    { name: 'spend that has happened', other: { force: true } },
    { name: 'a key that is kept', other: { keepMs: 1_000 } },
  ];
  it.each(lost)('leaves $name where it is when its answer comes too late', async ({ other: more }) => {
    const { url } = await serve();
    const [connection, other] = [await connectTo(url), await connectTo(url)];
    const kit = await (await new Kit(connection).open()).warm();
    await other.command('CLIENT', 'PAUSE', '60000', 'WRITE');
    expect(await messageOf(kit.hasty().reserve('late', 30, more))).toBe('Redis did not answer within 100 ms');
    await other.command('CLIENT', 'UNPAUSE');
    expect(await answered(() => kit.counted())).toEqual([0, 30]);
    await kit.reserve('next', 1);
    expect(await kit.counted()).toEqual([0, 31]);
  });

  describe('where a key is of another type', () => {
    let kit: Kit;
    beforeEach(async () => {
      const { url } = await serve();
      kit = await new Kit(await connectTo(url)).open();
      await kit.reserve('open', 10);
    });
    const base = `leash:{${PREFIX}}:`;
    it('rejects an id whose key it is, alone and among others, and changes nothing', async () => {
      await kit.connection.command('LPUSH', `${base}h:bad`, 'x');
      expect(await messageOf(kit.reserve('bad', 1))).toBe('Redis could not be asked: WRONGTYPE');
      expect(await messageOf(kit.settle('bad', 'void'))).toBe('Redis could not be asked: WRONGTYPE');
      expect(await messageOf(kit.store.reserve([kit.item('r1', 5), kit.item('bad', 5)]))).toMatch(
        /^Redis could not be/,
      );
      expect(await kit.counted()).toEqual([0, 10]);
      expect(await kit.settle('r1', 'void')).toMatchObject({ state: 'unknown' });
    });
    it('rejects a scope whose key it is', async () => {
      await kit.connection.command('SET', `${base}s:other`, 'x');
      expect(await messageOf(kit.store.open(['other']))).toBe('Redis could not be asked: WRONGTYPE');
      const [line] = kit.item('r1', 5).lines;
      const lines = [line as Line, { ...(line as Line), scope: 'other' }];
      expect(await messageOf(kit.store.reserve([kit.item('r1', 5, { lines })]))).toMatch(/WRONGTYPE/);
      expect(await kit.counted()).toEqual([0, 10]);
    });
    it('rejects everything that has a lease where the leases are not, and has held nothing', async () => {
      await kit.connection.command('SET', `${base}x`, 'x');
      expect(await messageOf(kit.reserve('r1', 5))).toMatch(/WRONGTYPE/);
      expect(await messageOf(kit.settle('open', [7]))).toMatch(/WRONGTYPE/);
      expect(await kit.counted()).toEqual([0, 10]);
      await kit.connection.command('DEL', `${base}x`);
      expect(await kit.settle('open', [7])).toMatchObject({ state: 'settled', first: true });
    });
  });

  it('rejects when memory is full, and goes on when it is not', async () => {
    const { url } = await serve();
    const kit = await (await new Kit(await connectTo(url)).open()).warm();
    await kit.reserve('open', 10);
    await kit.connection.command('CONFIG', 'SET', 'maxmemory', '1');
    expect(await messageOf(kit.reserve('r1', 5))).toBe('Redis could not be asked: OOM');
    expect(await messageOf(kit.settle('open', [7]))).toBe('Redis could not be asked: OOM');
    expect(await messageOf(kit.store.open(['new']))).toBe('Redis could not be asked: OOM');
    await kit.connection.command('CONFIG', 'SET', 'maxmemory', '0');
    expect(await kit.counted()).toEqual([0, 10]);
    expect(await kit.settle('open', [7])).toMatchObject({ state: 'settled', first: true });
  });

  it('rejects on a replica', async () => {
    const [main, replica] = [await serve({ 'repl-diskless-sync-delay': '0' }), await serve()];
    const kit = await new Kit(await connectTo(main.url)).open();
    await kit.reserve('r1', 10);
    const there = new Kit(await connectTo(replica.url));
    there.generation = kit.generation;
    await there.connection.command('REPLICAOF', '127.0.0.1', String(main.port));
    await vi.waitFor(async () => expect(await there.connection.command('EXISTS', `leash:{${PREFIX}}:h:r1`)).toBe(1), {
      timeout: 10_000,
    });
    expect(await messageOf(there.store.open(['new']))).toBe('Redis could not be asked: READONLY');
    expect(await messageOf(there.reserve('r2', 1))).toBe('Redis could not be asked: READONLY');
  });

  it('keeps its keys in one slot of a cluster', async () => {
    const { url } = await serve({ 'cluster-enabled': 'yes' });
    const connection = await connectTo(url);
    await connection.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    await vi.waitFor(async () => expect(await connection.command('CLUSTER', 'INFO')).toMatch(/cluster_state:ok/), {
      timeout: 10_000,
    });
    const kit = await new Kit(connection).open();
    expect(await Promise.all([kit.reserve('r1', 30), kit.reserve('r2', 30, { leaseMs: 0 })])).toMatchObject([
      { ok: true },
      { ok: true },
    ]);
    expect(await kit.settle('r1', [20])).toMatchObject({ state: 'settled', first: true });
    expect(await kit.store.sweep(10)).toEqual([{ id: 'r2' }]);
    expect(await kit.counted()).toEqual([50, 0]);
    await kit.store.shut(SHARED);
    expect(await kit.reserve('r3', 1)).toMatchObject({ ok: false, why: 'closed' });
  });

  describe('on a server that may evict', () => {
    it.each([
      { maxmemory: '100mb', policy: 'allkeys-lru', opens: false },
      { maxmemory: '100mb', policy: 'volatile-ttl', opens: false },
      { maxmemory: '100mb', policy: 'noeviction', opens: true },
      { maxmemory: '0', policy: 'allkeys-lru', opens: true },
    ])('opens with maxmemory $maxmemory and $policy: $opens', async ({ maxmemory, policy, opens }) => {
      const { url } = await serve({ maxmemory, 'maxmemory-policy': policy });
      const kit = new Kit(await connectTo(url));
      for (let i = 0; i < 2; i++) {
        const message = await messageOf(kit.open());
        if (opens) expect(message).toBe('no error');
        else expect(message).toMatch(/may evict what is counted.*maxmemory-policy noeviction/);
      }
      expect(await kit.connection.command('EXISTS', `leash:{${PREFIX}}:s:${SHARED}`)).toBe(opens ? 1 : 0);
      const trusting = new Kit(kit.connection, { eviction: 'never' });
      expect(await messageOf(trusting.open())).toBe('no error');
    });

    it('wants to be told where it may not look', async () => {
      const { url, port } = await serve();
      const admin = await connectTo(url);
      await admin.command('ACL', 'SETUSER', 'agent', 'on', '>secret-of-test', '~leash:*', '+@all', '-@dangerous');
      const connection = await connectTo(`redis://agent:secret-of-test@127.0.0.1:${port}`);
      expect(await messageOf(new Kit(connection).open())).toMatch(/allow INFO.*eviction: 'never'/);
      const kit = await new Kit(connection, { eviction: 'never' }).open();
      expect(await kit.reserve('r1', 30)).toMatchObject({ ok: true, left: [70] });
    });
  });

  it('takes an empty server for a loss where it is told to, until somebody has made the store', async () => {
    const { url } = await serve();
    const connection = await connectTo(url);
    const kit = new Kit(connection, { ifEmpty: 'refuse' });
    expect(await messageOf(kit.open())).toMatch(/holds no state of this store.*initialize\(\)/);
    await kit.store.initialize();
    await kit.open();
    expect(await kit.reserve('r1', 10)).toMatchObject({ ok: true });
    await connection.command('FLUSHALL');
    const later = new Kit(connection, { ifEmpty: 'refuse' });
    expect(await messageOf(later.open())).toMatch(/holds no state/);
    // One that is not told begins anew.
    expect(await messageOf(new Kit(connection).open())).toBe('no error');
  });
});
