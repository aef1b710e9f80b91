import { type Cells, naiveStore } from '../naive-store.ts';
import { type Backend, newSpace } from './backend.ts';
import { ioredis, NO_REDIS, removeKeys } from './redis-server.ts';

/** Wrong on purpose: what does not notice is worth nothing. */
export const naive: Backend = {
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
