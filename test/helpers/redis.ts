import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import type { Clock } from '../../src/internal/clock.ts';
import { fromIoredis, fromNodeRedis, type RedisClient } from '../../src/stores/redis.ts';

/** A connection of one of the packages, and what every test needs of it. */
export interface TestClient {
  readonly client: RedisClient;
  command(...words: string[]): Promise<unknown>;
  close(): void;
}

export type Connect = (url: string) => Promise<TestClient>;

export const CLIENTS: readonly { readonly name: string; readonly connect: Connect }[] = [
  { name: 'ioredis', connect: connectIoredis },
  { name: 'node-redis, RESP2', connect: (url) => connectNodeRedis(url, 2) },
  { name: 'node-redis, RESP3', connect: (url) => connectNodeRedis(url, 3) },
];

export async function connectIoredis(url: string): Promise<TestClient> {
  const redis = new Redis(url, { lazyConnect: true });
  // Servers that tests end are missed by their clients.
  redis.on('error', () => {});
  await redis.connect();
  return {
    client: fromIoredis(redis),
    command: (word, ...words) => redis.call(word as string, ...words),
    close: () => redis.disconnect(),
  };
}

async function connectNodeRedis(url: string, protocol: 2 | 3): Promise<TestClient> {
  const redis = createClient({ url, RESP: protocol });
  redis.on('error', () => {});
  await redis.connect();
  return {
    client: fromNodeRedis(redis),
    command: (...words) => redis.sendCommand(words),
    close: () => redis.destroy(),
  };
}

export function randomPrefix(): string {
  return `test-${randomUUID()}`;
}

const TIME = "redis.call('TIME')";

/** The same connection to a server whose time is what `wallOf` tells, in epoch ms. */
export function atTime(connection: TestClient, prefix: string, wallOf: () => number): RedisClient {
  const key = `leash:{${prefix}}:test-time`;
  const texts = new Map<string, string>();
  return {
    evalsha: (sha1, keys, args) => {
      const text = texts.get(sha1);
      if (text === undefined) return Promise.reject(new Error('NOSCRIPT of this test'));
      return run(text, keys, args);
    },
    eval: (text, keys, args) => {
      if (text.split(TIME).length !== 2) throw new Error('a script asks for the time once');
      const timed = text.replace(TIME, `redis.call('HMGET', '${key}', 's', 'us')`);
      return run(timed, keys, args);
    },
  };
  function run(text: string, keys: string[], args: string[]): Promise<unknown> {
    const ms = Math.floor(wallOf());
    // Commands of one connection are carried out in order.
    const set = connection.command(
      'HSET',
      key,
      's',
      String(Math.floor(ms / 1_000)),
      'us',
      String((ms % 1_000) * 1_000),
    );
    const answer = connection.client.eval(text, keys, args);
    return Promise.all([set, answer]).then(([, told]) => told);
  }
}

/**
 * One clock out of two: it moves by what either has moved since it was looked at last. Tests set one of them, or both by the
 * same.
 */
export function oneClock(clock: Clock): () => number {
  let [now, wall] = [clock.now(), clock.wall()];
  let time = wall;
  return () => {
    const [byNow, byWall] = [clock.now() - now, clock.wall() - wall];
    now += byNow;
    wall += byWall;
    time += Math.abs(byNow) > Math.abs(byWall) ? byNow : byWall;
    return time;
  };
}

/** All keys of a prefix. */
export async function keysOf(connection: TestClient, prefix: string): Promise<string[]> {
  const keys = (await connection.command('KEYS', `leash:{${prefix}}:*`)) as string[];
  return keys.filter((key) => !key.endsWith(':test-time')).sort();
}

export async function forget(connection: TestClient, prefix: string): Promise<void> {
  const keys = await keysOf(connection, prefix);
  if (keys.length > 0) await connection.command('DEL', ...keys);
}
