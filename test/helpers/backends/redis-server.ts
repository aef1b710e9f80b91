import type { Redis } from 'ioredis';
import { redisUrl } from '../databases.ts';

export const NO_REDIS: string | undefined =
  redisUrl === undefined ? 'there is no Redis: see test/with-databases.ts' : undefined;

export async function ioredis(): Promise<Redis> {
  const { Redis } = await import('ioredis');
  return new Redis(redisUrl as string);
}

async function onRedis<T>(action: (client: Redis) => Promise<T>): Promise<T> {
  const client = await ioredis();
  try {
    return await action(client);
  } finally {
    await client.quit();
  }
}

/** With the name in them. */
export function keysOf(name: string): Promise<readonly string[]> {
  return onRedis((client) => client.keys(`*${name}*`));
}

export async function removeKeys(name: string): Promise<void> {
  await onRedis(async (client) => {
    const keys = await client.keys(`*${name}*`);
    for (let i = 0; i < keys.length; i += 1_000) await client.unlink(...keys.slice(i, i + 1_000));
  });
}

/** As if so much time had passed: what would have expired has, and the rest will sooner. */
export async function ageKeys(name: string, ms: number): Promise<void> {
  await onRedis(async (client) => {
    const keys = await client.keys(`*${name}*`);
    const left = await Promise.all(keys.map((key) => client.pttl(key)));
    await Promise.all(
      keys.map((key, i) => {
        const rest = (left[i] as number) - ms;
        if (left[i] === -1) return undefined;
        return rest <= 0 ? client.unlink(key) : client.pexpire(key, Math.ceil(rest));
      }),
    );
  });
}
