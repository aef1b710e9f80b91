import { redisStore } from '../../../src/stores/redis.ts';
import { redisUrl } from '../databases.ts';
import { atTime, CLIENTS, type Connect } from '../redis.ts';
import { type Backend, newSpace } from './backend.ts';
import { ageKeys, keysOf, NO_REDIS, removeKeys } from './redis-server.ts';

export const redisBackends: readonly Backend[] = CLIENTS.map(({ name, connect }) =>
  redisBackend(`Redis by ${name}`, connect),
);

function redisBackend(name: string, connect: Connect): Backend {
  return {
    name,
    engine: 'Redis',
    missing: NO_REDIS,
    create: async () => newSpace(name),
    open: async ({ name: prefix }, { clock, through } = {}) => {
      const url = new URL(redisUrl as string);
      if (through !== undefined) url.port = String(through.port);
      const connection = await connect(url.href);
      const client = clock === undefined ? connection.client : atTime(connection, prefix, () => clock.wall());
      const store = redisStore({ client, prefix, ...(through && { timeoutMs: through.timeoutMs }) });
      return { store, close: async () => connection.close() };
    },
    destroy: ({ name: prefix }) => removeKeys(prefix),
    empty: ({ name: prefix }) => removeKeys(prefix),
    port: () => Number(new URL(redisUrl as string).port),
    remains: async ({ name: prefix }) => (await keysOf(prefix)).filter((key) => !key.endsWith(':test-time')).length,
    age: ({ name: prefix }, ms) => ageKeys(prefix, ms),
  };
}
