import type { Store, StoreDecision } from 'leashkit';

const MAX = Number.MAX_SAFE_INTEGER;

/** What a call of a session asks of its store: a call cap, a budget and a rate limit, held and then settled. */
export interface Cycle {
  readonly hold: (id: string) => Parameters<Store['reserve']>[0];
  readonly end: (id: string) => Parameters<Store['settle']>[0];
}

export async function threeLimits(store: Store, scope: string = 'session:bench'): Promise<Cycle> {
  const generation = (await store.open([scope]))[scope] as string;
  const at = { scope, generation };
  const lines = [
    { ...at, meter: 'call/session', span: { kind: 'total' }, cap: MAX, amount: 1, book: 'reserve' },
    { ...at, meter: 'usd/session', span: { kind: 'total' }, cap: MAX, amount: 180_000, book: 'settle' },
    { ...at, meter: 'call/1s', span: { kind: 'rolling', ms: 1000, stepMs: 3 }, cap: MAX, amount: 1, book: 'reserve' },
  ] as const;
  return {
    hold: (id) => [{ id, lines, leaseMs: 300_000 }],
    end: (id) => [{ id, actual: [1, 150_000, 1] }],
  };
}

/** One call after the other, each awaited. */
export async function awaitedCycle(store: Store, prefix: string): Promise<() => Promise<void>> {
  const { hold, end } = await threeLimits(store);
  let count = 0;
  return async () => {
    const id = `${prefix}${++count}`;
    admitted(await store.reserve(hold(id)));
    await store.settle(end(id));
  };
}

export function admitted([decision]: readonly StoreDecision[]): void {
  if (decision?.ok !== true) throw new Error('refused');
}

/** Keeps `parallel` of them under way until `rounds` have been. */
export async function inFlight(rounds: number, parallel: number, cycle: () => Promise<unknown>): Promise<void> {
  let left = rounds;
  const loop = async (): Promise<void> => {
    while (left-- > 0) await cycle();
  };
  await Promise.all(Array.from({ length: Math.min(parallel, rounds) }, loop));
}
