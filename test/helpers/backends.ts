import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Clock, systemClock } from '../../src/internal/clock.ts';
import { memoryStore } from '../../src/stores/memory.ts';
import type { Reserve, Store } from '../../src/stores/store.ts';
import { postgresUrl, redisUrl } from './databases.ts';
import { type Cells, naiveStore } from './naive-store.ts';
import { connectStore, type ServedStore, serveStore } from './served-store.ts';
import { storeWith } from './store-around.ts';

/** Something that stores keep their state in, shared by all that are opened on it, here and in other processes. */
export interface Space {
  readonly backend: string;
  /** A prefix of keys, a schema or a path. */
  readonly name: string;
}

export interface OpenStore {
  readonly store: Store;
  close(): Promise<void>;
}

export interface OpenOptions {
  /** What it goes by, instead of its own: both sides of it tell the same time. */
  readonly clock?: Clock;
}

export interface Backend {
  readonly name: string;
  /** Why it cannot be tried here. */
  readonly missing: string | undefined;
  /** Set where it is wrong on purpose: a test that does not notice is worth nothing. */
  readonly naive?: true;
  create(): Promise<Space>;
  open(space: Space, options?: OpenOptions): Promise<OpenStore>;
  /** How many keys or rows there are. */
  remains(space: Space): Promise<number>;
  /** Lets time pass for what a database forgets by itself: a clock that was moved tells it nothing. */
  age?(space: Space, ms: number): Promise<void>;
  destroy(space: Space): Promise<void>;
}

const NO_REDIS = redisUrl === undefined ? 'no Redis: see scripts/with-databases.ts' : undefined;
const NO_POSTGRES = postgresUrl === undefined ? 'no PostgreSQL: see scripts/with-databases.ts' : undefined;

function named(backend: string): Space {
  return { backend, name: `leash_${crypto.randomUUID().replaceAll('-', '')}` };
}

const naiveRedis: Backend = {
  name: 'naive on Redis',
  missing: NO_REDIS,
  naive: true,
  create: async () => named('naive on Redis'),
  open: async ({ name }) => {
    const client = await ioredis();
    const cells: Cells = {
      get: async (key) => (await client.get(name + key)) ?? undefined,
      set: async (key, value) => void (await client.set(name + key, value)),
      add: async (key, amount) => void (await client.incrby(name + key, amount)),
      remove: async (key) => void (await client.unlink(name + key)),
      list: async (prefix) => (await client.keys(`${name}${prefix}*`)).map((key) => key.slice(name.length)),
    };
    return { store: naiveStore(cells), close: async () => void (await client.quit()) };
  },
  remains: redisKeys,
  destroy: removeRedisKeys,
};

const naivePostgres: Backend = {
  name: 'naive on PostgreSQL',
  missing: NO_POSTGRES,
  naive: true,
  create: async () => {
    const space = named('naive on PostgreSQL');
    await onPostgres((client) =>
      client.query(`CREATE TABLE ${space.name} (key text PRIMARY KEY, value text NOT NULL)`),
    );
    return space;
  },
  open: async ({ name }) => {
    const client = await pgPool();
    const put = `INSERT INTO ${name} AS cell VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value =`;
    const cells: Cells = {
      get: async (key) => (await client.query(`SELECT value FROM ${name} WHERE key = $1`, [key])).rows[0]?.value,
      set: async (key, value) => void (await client.query(`${put} $2`, [key, value])),
      add: async (key, amount) =>
        void (await client.query(`${put} cell.value::bigint + $2::bigint`, [key, String(amount)])),
      remove: async (key) => void (await client.query(`DELETE FROM ${name} WHERE key = $1`, [key])),
      list: async (prefix) => {
        const { rows } = await client.query(`SELECT key FROM ${name} WHERE starts_with(key, $1)`, [prefix]);
        return rows.map(({ key }) => key);
      },
    };
    return { store: naiveStore(cells), close: () => client.end() };
  },
  remains: async ({ name }) => {
    const { rows } = await onPostgres((client) => client.query(`SELECT count(*) FROM ${name}`));
    return Number(rows[0].count);
  },
  destroy: async ({ name }) => void (await onPostgres((client) => client.query(`DROP TABLE ${name}`))),
};

/** The memory store of this process; what is right here must not be found wrong. */
const memory: Backend = {
  name: 'memory',
  missing: undefined,
  create: async () => {
    const moved: MovedClock = new MovedClock();
    const store = memoryStore({ clock: moved });
    const served = await serveStore(storeWith({ reserve: (batch) => store.reserve(batch.map(kept)) }, store));
    serving.set(String(served.port), { ...served, moved });
    return { backend: 'memory', name: String(served.port) };
  },
  open: ({ name }, { clock } = {}) => {
    if (clock !== undefined) (serving.get(name) as { moved: MovedClock }).moved.by = clock;
    return connectStore(Number(name));
  },
  remains: async () => 0,
  destroy: async ({ name }) => {
    await serving.get(name)?.close();
    serving.delete(name);
  },
};

/** Remembered for as long as other stores do by themselves. */
function kept(item: Reserve): Reserve {
  return { ...item, keepMs: item.keepMs ?? 300_000 };
}

const serving = new Map<string, ServedStore & { readonly moved: MovedClock }>();

/** A disk takes its time for each new file, and no test cuts the power. */
const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

const sqlite: Backend = {
  name: 'SQLite',
  missing: undefined,
  create: async () => ({
    backend: 'SQLite',
    name: join(mkdtempSync(join(MEMORY, 'leashkit-space-')), 'store.sqlite'),
  }),
  open: async ({ name }, { clock = systemClock } = {}) => {
    const { sqliteStore } = await import('../../src/stores/sqlite.ts');
    const store = sqliteStore(name, { clock });
    return { store, close: () => store.close() };
  },
  remains: async ({ name }) => {
    const { DatabaseSync } = await import('node:sqlite');
    const database = new DatabaseSync(name);
    try {
      const tables = database
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'leash\\__%' ESCAPE '\\'")
        .all();
      const counts = tables.map(
        (table) => database.prepare(`SELECT count(*) AS rows FROM ${table['name']}`).get()?.['rows'],
      );
      return counts.reduce<number>((all, rows) => all + Number(rows), 0);
    } finally {
      database.close();
    }
  },
  destroy: async ({ name }) => rmSync(dirname(name), { recursive: true }),
};

/** Goes by another clock from some time on. */
class MovedClock implements Clock {
  by: Clock = systemClock;
  now(): number {
    return this.by.now();
  }
  wall(): number {
    return this.by.wall();
  }
}

/** Each is one line here and one description above. */
export const backends: readonly Backend[] = [memory, sqlite];

export const naiveBackends: readonly Backend[] = [naiveRedis, naivePostgres];

/** For another process, which knows the space by its text. */
export function openSpace(space: Space): Promise<OpenStore> {
  const backend = [...backends, ...naiveBackends].find(({ name }) => name === space.backend);
  if (backend === undefined) throw new TypeError(`no backend ${space.backend}`);
  return backend.open(space);
}

/** Stores of a space of their own, which goes with them. */
export async function freshStores(
  backend: Backend,
  count: number,
  options?: OpenOptions,
): Promise<{ readonly space: Space; readonly stores: readonly Store[]; close(): Promise<void> }> {
  const space = await backend.create();
  const open = await Promise.all(Array.from({ length: count }, () => backend.open(space, options)));
  return {
    space,
    stores: open.map(({ store }) => store),
    close: async () => {
      await Promise.all(open.map(({ close }) => close()));
      await backend.destroy(space);
    },
  };
}

async function ioredis() {
  const { Redis } = await import('ioredis');
  return new Redis(redisUrl as string);
}

/** One connection: what is asked at the same time waits for it. */
async function pgPool() {
  const { default: pg } = await import('pg');
  return new pg.Pool({ connectionString: postgresUrl, max: 1 });
}

async function onPostgres<T>(action: (client: Awaited<ReturnType<typeof pgPool>>) => Promise<T>): Promise<T> {
  const client = await pgPool();
  try {
    return await action(client);
  } finally {
    await client.end();
  }
}

async function redisKeys({ name }: Space): Promise<number> {
  const client = await ioredis();
  try {
    return (await client.keys(`*${name}*`)).length;
  } finally {
    await client.quit();
  }
}

async function removeRedisKeys({ name }: Space): Promise<void> {
  const client = await ioredis();
  try {
    const keys = await client.keys(`*${name}*`);
    for (let i = 0; i < keys.length; i += 1_000) await client.unlink(...keys.slice(i, i + 1_000));
  } finally {
    await client.quit();
  }
}
