import { memoryStore, type StoreDecision } from 'leashkit';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Group, Subject } from './measure.ts';

const MAX = Number.MAX_SAFE_INTEGER;

/** Reserve and settle of a call cap, a budget and a rate limit. */
async function cycleOfThree(): Promise<() => void> {
  const store = memoryStore();
  const generation = (await store.open(['session:bench']))['session:bench'] as string;
  const at = { scope: 'session:bench', generation };
  const lines = [
    { ...at, meter: 'call/session', span: { kind: 'total' }, cap: MAX, amount: 1, book: 'reserve' },
    { ...at, meter: 'usd/session', span: { kind: 'total' }, cap: MAX, amount: 180_000, book: 'settle' },
    { ...at, meter: 'call/1s', span: { kind: 'rolling', ms: 1000, stepMs: 3 }, cap: MAX, amount: 1, book: 'reserve' },
  ] as const;
  let id = 0;
  return () => {
    const hold = `h${++id}`;
    const [decision] = store.reserve([{ id: hold, lines, leaseMs: 300_000 }]) as readonly StoreDecision[];
    if (!decision?.ok) throw new Error('refused');
    store.settle([{ id: hold, actual: [1, 150_000, 1] }]);
  };
}

/** As a session uses it: the memory store answers at once, and nothing is awaited. */
async function asUsed(): Promise<Subject> {
  const cycle = await cycleOfThree();
  return {
    name: 'leashkit memory store, as a session uses it',
    async run(rounds) {
      for (let i = 0; i < rounds; i++) cycle();
    },
  };
}

/** With two promises in each cycle, for callers who await every store alike. */
async function awaited(parallel: number): Promise<Subject> {
  const cycle = await cycleOfThree();
  return {
    name: 'leashkit memory store, behind an async function',
    run: (rounds) =>
      inParallel(rounds, parallel, async () => {
        await undefined;
        cycle();
        await undefined;
      }),
  };
}

/** The same three counters with rate-limiter-flexible: three consumes, and a reward for what was not spent. */
function limiters(parallel: number): Subject {
  const calls = new RateLimiterMemory({ points: MAX, duration: 0 });
  const money = new RateLimiterMemory({ points: MAX, duration: 0 });
  const rate = new RateLimiterMemory({ points: MAX, duration: 1 });
  const cycle = async (): Promise<void> => {
    await Promise.all([calls.consume('bench', 1), money.consume('bench', 180_000), rate.consume('bench', 1)]);
    await money.reward('bench', 30_000);
  };
  return {
    name: 'three rate-limiter-flexible memory limiters + reward',
    run: (rounds) => inParallel(rounds, parallel, cycle),
  };
}

async function inParallel(rounds: number, parallel: number, cycle: () => Promise<void>): Promise<void> {
  for (let left = rounds; left > 0; left -= parallel) {
    if (parallel === 1) await cycle();
    else await Promise.all(Array.from({ length: Math.min(parallel, left) }, cycle));
  }
}

export function memoryStoreGroup(parallel: number): Group {
  return {
    title: `Reserve and settle of three limits in memory, ${parallel} in flight`,
    target: 'leashkit >= 2 of three rate-limiter-flexible limiters',
    subjects: async () => [limiters(parallel), await asUsed(), await awaited(parallel)],
  };
}
