import type { Backend, OpenStore, Space } from './backends/backend.ts';
import { memory } from './backends/memory.ts';
import { naive } from './backends/naive.ts';
import { postgres } from './backends/postgres.ts';
import { redisBackends } from './backends/redis.ts';
import { sqlite } from './backends/sqlite.ts';

/** Every store that there is, on whatever it runs on. */
const all: readonly Backend[] = [memory, sqlite, ...redisBackends, postgres];

/** Those that can be tried here. The others are told of by test/with-databases.ts. */
export const backends: readonly Backend[] = all.filter(({ missing }) => missing === undefined);
/** One for each engine that keeps state longer than a process lives. */
export const durableBackends: readonly Backend[] = backends.filter(
  ({ engine, remains }, i) => remains !== undefined && backends.findIndex((other) => other.engine === engine) === i,
);
/** Those that are wrong on purpose. */
export const naiveBackends: readonly Backend[] = [naive].filter(({ missing }) => missing === undefined);

/** For another process, which knows the space by its text. */
export function openSpace(space: Space): Promise<OpenStore> {
  const backend = [...backends, ...naiveBackends].find(({ name }) => name === space.backend);
  if (backend === undefined) throw new TypeError(`there is no backend ${space.backend} here`);
  return backend.open(space);
}
