import { type Cells, naiveStore } from '../naive-store.ts';
import { type Backend, newSpace } from './backend.ts';
import { NO_POSTGRES, onPostgres, pgPool } from './postgres-server.ts';
import { ioredis, NO_REDIS, removeKeys } from './redis-server.ts';

/** Wrong on purpose: what does not notice is worth nothing. */

const naiveRedis: Backend = {
  name: 'naive on Redis',
  engine: 'Redis',
  missing: NO_REDIS,
  create: async () => newSpace('naive on Redis'),
  open: async ({ name }) => {
    const client = await ioredis();
    /** A hash for each first word. */
    const at = (key: string): [hash: string, field: string] => {
      const space = key.indexOf(' ');
      return [`${name} ${key.slice(0, space)}`, key.slice(space + 1)];
    };
    const cells: Cells = {
      get: async (key) => (await client.hget(...at(key))) ?? undefined,
      set: async (key, value) => void (await client.hset(...at(key), value)),
      add: async (key, amount) => void (await client.hincrby(...at(key), amount)),
      remove: async (key) => void (await client.hdel(...at(key))),
      list: async (prefix) => {
        const [hash] = at(prefix);
        const keys = (await client.hkeys(hash)).map((field) => `${hash.slice(name.length + 1)} ${field}`);
        return keys.filter((key) => key.startsWith(prefix));
      },
    };
    return { store: naiveStore(cells), close: async () => void (await client.quit()) };
  },
  destroy: ({ name }) => removeKeys(name),
};

const naivePostgres: Backend = {
  name: 'naive on PostgreSQL',
  engine: 'PostgreSQL',
  missing: NO_POSTGRES,
  create: async () => {
    const space = newSpace('naive on PostgreSQL');
    await onPostgres((client) =>
      client.query(`CREATE TABLE ${space.name} (key text COLLATE "C" PRIMARY KEY, value text NOT NULL)`),
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
        const { rows } = await client.query(`SELECT key FROM ${name} WHERE key >= $1 AND key < $2`, [
          prefix,
          `${prefix}\u{10ffff}`,
        ]);
        return rows.map(({ key }) => key);
      },
    };
    return { store: naiveStore(cells), close: () => client.end() };
  },
  destroy: async ({ name }) => void (await onPostgres((client) => client.query(`DROP TABLE ${name}`))),
};

export const naiveBackends: readonly Backend[] = [naiveRedis, naivePostgres];
