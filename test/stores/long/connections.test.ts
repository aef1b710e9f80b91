import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { quietly } from '../../../src/internal/maybe-promise.ts';
import type { Line, Store } from '../../../src/stores/store.ts';
import type { Backend } from '../../helpers/backends/backend.ts';
import { backends } from '../../helpers/backends.ts';
import { closeAccounts } from '../../helpers/chaos.ts';
import { type Entry, recordedStore } from '../../helpers/chaos-ledger.ts';
import { FaultyProxy } from '../../helpers/faulty-proxy.ts';

const FOR_MS = 4_000;
const CAP = 500;
const TIMEOUT_MS = 150;
const STORES = 6;
const LOOPS = 6;

const random = (most: number): number => Math.floor(Math.random() * (most + 1));

/** What callers have seen. */
interface Seen {
  calls: number;
  failed: number;
  settledAgain: number;
}

/** Spends wallet after wallet through connections that break, as sessions do: who hears nothing does not run. */
async function spend(
  store: Store,
  wallets: { index: number },
  entries: Entry[],
  seen: Seen,
  until: number,
): Promise<void> {
  let most = 40;
  while (performance.now() < until) {
    const { index } = wallets;
    const scope = `wallet ${index}`;
    const id = crypto.randomUUID();
    const estimate = 1 + random(most - 1);
    seen.calls++;
    try {
      const generation = (await store.open([scope]))[scope] ?? '';
      const line: Line = {
        scope,
        generation,
        meter: 'usd',
        span: { kind: 'total' },
        cap: CAP,
        amount: estimate,
        book: 'settle',
      };
      const [decision] = await store.reserve([{ id, lines: [line], leaseMs: 1_000 }]);
      if (decision?.ok !== true) {
        const left = decision !== undefined && 'left' in decision ? decision.left : 0;
        if (left < 1) wallets.index = Math.max(wallets.index, index + 1);
        most = left < 1 ? 40 : Math.min(40, left);
        continue;
      }
    } catch {
      seen.failed++;
      quietly(() => store.settle([{ id, actual: 'void' }]));
      // A store may say at once that it does not ask a server which does not answer.
      await pause(random(20));
      continue;
    }
    await pause(random(5));
    const cost = random(3) > 0 ? estimate : random(estimate);
    entries.push(['spent', id, cost]);
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        await store.settle([{ id, actual: [cost] }]);
        break;
      } catch {
        seen.settledAgain++;
      }
    }
  }
}

async function throughBrokenConnections(backend: Backend): Promise<void> {
  const space = await backend.create();
  const proxy = await FaultyProxy.start(backend.port?.(space) as number, 3 * TIMEOUT_MS);
  const open = await Promise.all(
    Array.from({ length: STORES }, () => backend.open(space, { through: { port: proxy.port, timeoutMs: TIMEOUT_MS } })),
  );
  try {
    const entries: Entry[] = [];
    const seen: Seen = { calls: 0, failed: 0, settledAgain: 0 };
    const wallets = { index: 0 };
    const until = performance.now() + FOR_MS;
    proxy.break({ cut: 0.02, late: 0.05, stuck: 0.01 });
    await Promise.all(
      open.flatMap(({ store }) => {
        const recorded = recordedStore(store, { write: (entry) => void entries.push(entry) });
        return Array.from({ length: LOOPS }, () => spend(recorded, wallets, entries, seen, until));
      }),
    );
    proxy.break(undefined);
    const direct = await backend.open(space);
    try {
      const accounts = await closeAccounts(direct.store, entries, 20_000);
      const sum = (of: 'spent' | 'used' | 'forfeited' | 'forfeitedSpent'): number =>
        accounts.reduce((all, account) => all + account[of], 0);
      console.log(
        [
          `${backend.name}: ${JSON.stringify(proxy.done)}, ${JSON.stringify(seen)}`,
          `${accounts.length} wallets, spent ${sum('spent')}, store used ${sum('used')}, forfeited and not spent ${sum('forfeited') - sum('forfeitedSpent')}`,
        ].join(', '),
      );
      for (const account of accounts) {
        const { spent, settled, forfeited, forfeitedSpent, used } = account;
        const shown = JSON.stringify(account);
        expect(spent, shown).toBe(settled + forfeitedSpent);
        expect(used, shown).toBe(settled + forfeited);
        expect(used, shown).toBeLessThanOrEqual(CAP);
      }
      expect(Math.min(...Object.values(proxy.done), seen.failed, seen.settledAgain)).toBeGreaterThan(3);
      // Once nothing breaks any more, every store answers again.
      for (const { store } of open) {
        await expect
          .poll(async () => Object.keys(await store.read(['wallet 0'])), { timeout: 10_000 })
          .toEqual(['wallet 0']);
      }
    } finally {
      await direct.close();
    }
  } finally {
    await Promise.all(open.map(({ close }) => close()));
    await proxy.close();
    await backend.destroy(space);
  }
}

describe('connections that break, hang and come back', () => {
  it.each(backends.filter(({ port }) => port !== undefined))('cost nobody anything on $name', throughBrokenConnections);
});
