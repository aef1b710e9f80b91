/** Counted state that a fleet shares, in Redis or Valkey. */

export {
  fromIoredis,
  fromNodeRedis,
  type IoredisLike,
  type NodeRedisLike,
  type RedisClient,
  type RedisStore,
  type RedisStoreOptions,
  redisStore,
} from '../stores/redis.ts';
