/**
 * What the store needs of a connection to Redis or Valkey: two commands. `fromIoredis` and `fromNodeRedis` make one; for any
 * other client it is written in three lines.
 */
export interface RedisClient {
  /** `EVALSHA sha1 <number of keys> ...keys ...args`; rejects with what the server said, such as `NOSCRIPT ...`. */
  evalsha(sha1: string, keys: string[], args: string[]): Promise<unknown>;
  /** `EVAL script <number of keys> ...keys ...args`. */
  eval(script: string, keys: string[], args: string[]): Promise<unknown>;
}

/** The part of a client of ioredis or iovalkey, or of a cluster of theirs, that is used. */
export interface IoredisLike {
  evalsha(sha1: string, numberOfKeys: number, ...keysAndArgs: string[]): Promise<unknown>;
  eval(script: string, numberOfKeys: number, ...keysAndArgs: string[]): Promise<unknown>;
}

/** The part of a client of node-redis, or of a cluster or pool of its, that is used. */
export interface NodeRedisLike {
  evalSha(sha1: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
}

/** A client or cluster of ioredis or iovalkey. */
export function fromIoredis(client: IoredisLike): RedisClient {
  return {
    evalsha: (sha1, keys, args) => client.evalsha(sha1, keys.length, ...keys, ...args),
    eval: (script, keys, args) => client.eval(script, keys.length, ...keys, ...args),
  };
}

/** A client, cluster or pool of the package `redis` (node-redis). */
export function fromNodeRedis(client: NodeRedisLike): RedisClient {
  return {
    evalsha: (sha1, keys, args) => client.evalSha(sha1, { keys, arguments: args }),
    eval: (script, keys, args) => client.eval(script, { keys, arguments: args }),
  };
}
