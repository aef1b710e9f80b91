import { Cluster, Redis } from 'ioredis';
import { createClient, createClientPool, createCluster, createSentinel } from 'redis';
import { fromIoredis, fromNodeRedis, type RedisClient, redisStore } from '../../src/stores/redis.ts';

/** Clients of both packages are what the store takes, without a cast. */
export const clients: readonly RedisClient[] = [
  fromIoredis(new Redis()),
  fromIoredis(new Cluster([])),
  fromNodeRedis(createClient()),
  fromNodeRedis(createClient({ RESP: 3 })),
  fromNodeRedis(createClientPool()),
  fromNodeRedis(createCluster({ rootNodes: [] })),
  fromNodeRedis(createSentinel({ name: 'main', sentinelRootNodes: [] })),
];

// @ts-expect-error: a client of the one package is none of the other.
fromNodeRedis(new Redis());
// @ts-expect-error: the client itself lacks what makes it one of the store.
redisStore({ client: createClient() });
