// The stores of a fleet, on the clients that a service has anyway. They need servers: this is type-checked, and not run.
import { Redis } from 'ioredis';
import { budget, createLeash } from 'leashkit';
import { postgresStore } from 'leashkit/postgres';
import { fromIoredis, redisStore } from 'leashkit/redis';
import pg from 'pg';

const { REDIS_URL = '', DATABASE_URL } = process.env;
const guards = [budget({ usd: 100, per: 'day', scope: 'org:acme' })];

// #region redis
const onRedis = createLeash({
  guards,
  store: redisStore({ client: fromIoredis(new Redis(REDIS_URL)), prefix: 'agents' }),
});
// #endregion
await onRedis.close();

// #region postgres
const pool = new pg.Pool({ connectionString: DATABASE_URL });
pool.on('error', () => {}); // of a connection that nobody uses: the next call tells
const onPostgres = createLeash({ guards, store: postgresStore({ client: pool }) });
// #endregion
await onPostgres.close();
