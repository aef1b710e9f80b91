import { describe, expect, it } from 'vitest';
import type { Line, Store } from '../../../src/stores/store.ts';
import { type Backend, freshStores, type Space } from '../../helpers/backends/backend.ts';
import { durableBackends } from '../../helpers/backends.ts';
import { FakeClock } from '../../helpers/clock.ts';

const SESSIONS = 10_000;
const AT_ONCE = 64;
const LEASE_MS = 300_000;
const HOUR_MS = 3_600_000;

/** A session: a scope of its own with a call that runs. */
async function open(store: Store, session: number): Promise<void> {
  const scope = `session ${session}`;
  const generations = await store.open([scope, 'everybody'], 'temporary');
  const lines = [scope, 'everybody'].map((each): Line => {
    const generation = generations[each] ?? '';
    return { scope: each, generation, meter: 'usd', span: { kind: 'total' }, cap: 1e9, amount: 10, book: 'settle' };
  });
  const hour: Line = {
    ...(lines[0] as Line),
    meter: 'calls/1h',
    span: { kind: 'rolling', ms: HOUR_MS, stepMs: 10_000 },
    amount: 1,
    book: 'reserve',
  };
  const [decision] = await store.reserve([{ id: scope, lines: [...lines, hour], leaseMs: LEASE_MS }]);
  expect(decision).toMatchObject({ ok: true });
}

async function close(store: Store, session: number): Promise<void> {
  const [settled] = await store.settle([{ id: `session ${session}`, actual: [7, 7, 1] }]);
  expect(settled).toMatchObject({ state: 'settled', first: true });
  await store.shut(`session ${session}`);
}

async function forAll(action: (session: number) => Promise<void>): Promise<void> {
  for (let first = 0; first < SESSIONS; first += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, SESSIONS - first) }, (_, i) => action(first + i)));
  }
}

function remainsOf({ remains }: Backend, space: Space): Promise<number> {
  return remains?.(space) ?? Promise.resolve(0);
}

/** Sweeps until nothing goes any more, and tells what is left. */
async function lookedAfter(backend: Backend, space: Space, store: Store): Promise<number> {
  let remains = await remainsOf(backend, space);
  for (;;) {
    for (let i = 0; i < 50; i++) await store.sweep(256);
    const now = await remainsOf(backend, space);
    if (now === remains) return now;
    remains = now;
  }
}

describe.each(durableBackends)(`${SESSIONS} sessions on $name`, (backend) => {
  it.each(['abandoned', 'closed'])('leave nothing behind after their time: %s', async (how) => {
    const clock = new FakeClock(Date.UTC(2026, 10, 20, 12), Date.UTC(2026, 10, 20, 12));
    const {
      space,
      stores: [store],
      close: end,
    } = await freshStores(backend, 1, { clock });
    if (store === undefined) return;
    try {
      const generation = await store.open(['kept']);
      const empty = await remainsOf(backend, space);
      await forAll((session) => open(store, session));
      const most = await remainsOf(backend, space);
      expect(most).toBeGreaterThan(SESSIONS);
      if (how === 'closed') await forAll((session) => close(store, session));
      // Days in which somebody looks after what has ended, as any session does.
      const passed: string[] = [];
      let hours = 0;
      for (const until of [0.1, 0.2, 1.5, 25, 167, 169, 200]) {
        // Not forgotten before its time: what is lost is refused.
        if (until === 169 && how === 'abandoned') expect(await remainsOf(backend, space)).toBeGreaterThan(SESSIONS);
        const ms = (until - hours) * HOUR_MS;
        clock.advance(ms);
        await backend.age?.(space, ms);
        hours = until;
        passed.push(`${hours} h: ${await lookedAfter(backend, space, store)}`);
      }
      console.log(
        `${backend.name}, ${how}: ${empty} at first, ${most} with all of them, then after ${passed.join(', ')}`,
      );
      expect(await store.open(['kept'])).toEqual(generation);
      expect(await remainsOf(backend, space)).toBe(empty);
    } finally {
      await end();
    }
  });
});
