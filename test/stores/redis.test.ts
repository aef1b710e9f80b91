import { afterAll, beforeAll, describe } from 'vitest';
import type { RedisClient } from '../../src/stores/redis.ts';
import { redisStore } from '../../src/stores/redis.ts';
import { redisUrl } from '../helpers/databases.ts';
import { atTime, CLIENTS, forget, oneClock, randomPrefix, type TestClient } from '../helpers/redis.ts';
import { storeContract } from '../helpers/store-contract.ts';

describe.skipIf(redisUrl === undefined).each(CLIENTS)('redisStore, $name', ({ name, connect }) => {
  let connection: TestClient;
  let prefix = '';
  beforeAll(async () => {
    connection = await connect(redisUrl as string);
  });
  afterAll(() => connection.close());

  storeContract(
    `redisStore on ${name}`,
    (clock) => {
      prefix = randomPrefix();
      const client: RedisClient = atTime(connection, prefix, oneClock(clock));
      return redisStore({ client, prefix });
    },
    {
      clock: true,
      runs: 10,
      lose: async (store) => {
        await forget(connection, prefix);
        return store;
      },
      dispose: () => forget(connection, prefix),
    },
  );
});
