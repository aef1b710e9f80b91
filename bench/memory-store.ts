import { memoryStore, type StoreDecision } from 'leashkit';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Group, Subject } from './measure.ts';
import { admitted, awaitedCycle, inFlight, threeLimits } from './three-limits.ts';

const AS_USED = 'leashkit memory store, as a session uses it';

/** As a session uses it: the memory store answers at once, and nothing is awaited. */
async function asUsed(): Promise<Subject> {
  const store = memoryStore();
  const { hold, end } = await threeLimits(store);
  let count = 0;
  return {
    name: AS_USED,
    async run(rounds) {
      for (let i = 0; i < rounds; i++) {
        const id = `h${++count}`;
        admitted(store.reserve(hold(id)) as readonly StoreDecision[]);
        store.settle(end(id));
      }
    },
  };
}

/** With two promises in each cycle, for callers who await every store alike. */
async function awaited(parallel: number): Promise<Subject> {
  const cycle = await awaitedCycle(memoryStore(), 'h');
  return {
    name: 'leashkit memory store, awaited',
    run: (rounds) => inFlight(rounds, parallel, cycle),
  };
}

/** The same three counters with rate-limiter-flexible: three consumes, and a reward for what was not spent. */
function limiters(parallel: number): Subject {
  const points = Number.MAX_SAFE_INTEGER;
  const calls = new RateLimiterMemory({ points, duration: 0 });
  const money = new RateLimiterMemory({ points, duration: 0 });
  const rate = new RateLimiterMemory({ points, duration: 1 });
  const cycle = async (): Promise<void> => {
    await Promise.all([calls.consume('bench', 1), money.consume('bench', 180_000), rate.consume('bench', 1)]);
    await money.reward('bench', 30_000);
  };
  return {
    name: 'three rate-limiter-flexible memory limiters + reward',
    run: (rounds) => inFlight(rounds, parallel, cycle),
  };
}

export function memoryStoreGroup(parallel: number): Group {
  return {
    id: `memory-${parallel}`,
    title: `Reserve and settle of three limits in memory, ${parallel} in flight`,
    goal: { of: AS_USED, ratio: 2 },
    subjects: async () => [limiters(parallel), await asUsed(), await awaited(parallel)],
  };
}
