import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import { fromIoredis, fromNodeRedis, redisStore } from 'leashkit/redis';
import { RateLimiterRedis } from 'rate-limiter-flexible';
import { createClient } from 'redis';
import type { Goal, Group, Subject } from './measure.ts';
import { awaitedCycle, inFlight } from './three-limits.ts';

const ON_IOREDIS = 'leashkit Redis store (ioredis)';
/** The least that a script call can cost. */
const NOTHING = 'return 1';

/** @param url a Redis of the bench's own: everything in it is flushed. */
export async function redisGroups(url: string): Promise<{ readonly groups: readonly Group[]; close(): Promise<void> }> {
  const client = new Redis(url);
  await client.flushall();
  const nodeRedis = createClient({ url });
  await nodeRedis.connect();
  const points = Number.MAX_SAFE_INTEGER;
  const limiter = (keyPrefix: string, duration: number): RateLimiterRedis =>
    new RateLimiterRedis({ storeClient: client, keyPrefix, points, duration });
  const calls = limiter('calls', 0);
  const money = limiter('money', 0);
  const rate = limiter('rate', 1);
  const sha = createHash('sha1').update(NOTHING).digest('hex');
  await client.eval(NOTHING, 0);
  const twice = (command: () => Promise<unknown>) => async (): Promise<void> => {
    await command();
    await command();
  };

  const group = (parallel: number, goal?: Goal): Group => {
    const subject = (name: string, cycle: () => Promise<unknown>): Subject => {
      return { name, run: (rounds) => inFlight(rounds, parallel, cycle) };
    };
    return {
      id: `redis-${parallel}`,
      title: `Reserve and settle of three limits in Redis, ${parallel} in flight`,
      ...(goal === undefined ? {} : { goal }),
      subjects: async () => [
        subject('three rate-limiter-flexible Redis limiters at once, then a reward (ioredis)', async () => {
          await Promise.all([calls.consume('bench', 1), money.consume('bench', 180_000), rate.consume('bench', 1)]);
          await money.reward('bench', 30_000);
        }),
        subject(
          ON_IOREDIS,
          await awaitedCycle(
            redisStore({ client: fromIoredis(client), prefix: `io${parallel}`, timeoutMs: 60_000 }),
            'h',
          ),
        ),
        subject(
          'leashkit Redis store (node-redis)',
          await awaitedCycle(
            redisStore({ client: fromNodeRedis(nodeRedis), prefix: `node${parallel}`, timeoutMs: 60_000 }),
            'h',
          ),
        ),
        subject(
          'limit: two EVALSHA of an empty script, one after the other (ioredis)',
          twice(() => client.evalsha(sha, 0)),
        ),
        subject(
          'limit: two PING, one after the other (ioredis)',
          twice(() => client.ping()),
        ),
      ],
    };
  };
  const groups = [group(1), group(50, { of: ON_IOREDIS, ratio: 3 }), group(500, { of: ON_IOREDIS, ratio: 5 })];
  return {
    groups,
    close: async () => {
      client.disconnect();
      await nodeRedis.close();
    },
  };
}
