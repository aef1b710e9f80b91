import { describe, expect, it } from 'vitest';
import type { Line, Store } from '../../../src/stores/store.ts';
import type { Backend, Space } from '../../helpers/backends/backend.ts';
import { servedBackend } from '../../helpers/backends/memory.ts';
import { durableBackends, naiveBackends } from '../../helpers/backends.ts';
import { type Account, type ChaosOptions, closeAccounts, runChaos, spentByCounter } from '../../helpers/chaos.ts';
import { wrongStores } from '../../helpers/wrong-stores.ts';

const CAP = 2_000;

function optionsFor(space: Space, as: ChaosOptions['as'], forMs: number): ChaosOptions {
  return { space, as, cap: CAP, leaseMs: 1_000, processes: 8, loops: 8, forMs, kills: forMs / 500, wallets: 4 };
}

async function inSpace<T>(backend: Backend, action: (space: Space) => Promise<T>): Promise<T> {
  const space = await backend.create();
  try {
    return await action(space);
  } finally {
    await backend.destroy(space);
  }
}

/** What is left of a wallet can be spent, and not a unit more. */
async function expectRoom(store: Store, { scope, meter, used }: Account): Promise<void> {
  const generation = (await store.open([scope]))[scope] ?? '';
  const line = (amount: number): Line => {
    return { scope, generation, meter, span: { kind: 'total' }, cap: CAP, amount, book: 'settle' };
  };
  const [rest, more] = await store.reserve([
    { id: `${scope} rest`, lines: [line(CAP - used)], leaseMs: 600_000 },
    { id: `${scope} more`, lines: [line(1)], leaseMs: 600_000 },
  ]);
  expect(rest).toMatchObject({ ok: true, left: [0] });
  expect(more).toMatchObject({ ok: false, left: 0 });
}

/** What happened out there, and what the store makes of it when every lease has ended. */
async function accountsAfterChaos(
  backend: Backend,
  space: Space,
  as: ChaosOptions['as'],
  forMs: number,
): Promise<{ readonly kills: number; readonly failed: number; readonly accounts: readonly Account[] }> {
  const { kills, entries } = await runChaos(optionsFor(space, as, forMs));
  const { store, close } = await backend.open(space);
  try {
    const failed = entries.filter(([kind]) => kind === 'failed').length;
    const accounts = await closeAccounts(store, entries, 20_000);
    if (as === 'store') for (const wallet of accounts.filter(isWallet)) await expectRoom(store, wallet);
    return { kills, failed, accounts };
  } finally {
    await close();
  }
}

const isWallet = ({ scope, meter }: Account): boolean => scope.includes('wallet') && meter.startsWith('usd');

/** Whatever was spent is in a hold that was settled or forfeited, and both are booked: nothing else is. */
const isExplained = ({ spent, settled, forfeited, forfeitedSpent, used, held }: Account): boolean =>
  spent === settled + forfeitedSpent && used === settled + forfeited && held === 0;

describe('8 processes x 8 loops, one killed every 150 to 400 ms', () => {
  it.each(naiveBackends)('overspend on a store that checks first and acts then: $name', async (backend) => {
    await inSpace(backend, async (space) => {
      const { kills, entries } = await runChaos(optionsFor(space, 'store', 3_000));
      const wallets = [...spentByCounter(entries).values()].filter(isWallet);
      const over = wallets.filter(({ spent }) => spent > CAP);
      console.log(`${backend.name}: ${kills} kills, ${over.length} of ${wallets.length} wallets overspent`);
      expect(over.length).toBeGreaterThan(0);
    });
  });

  it.each(['gives back what it sweeps', 'books a unit too little'])('show a store that %s', async (name) => {
    const wrong = wrongStores.find((each) => each.name === name);
    const backend = servedBackend((clock) => wrong?.make(clock) as never);
    await inSpace(backend, async (space) => {
      const { accounts } = await accountsAfterChaos(backend, space, 'store', 2_000);
      expect(accounts.filter((account) => !isExplained(account)).length).toBeGreaterThan(0);
    });
  });

  describe.each(durableBackends)('$name', (backend) => {
    it.each([
      { as: 'store', unit: 1, forMs: 7_000 },
      { as: 'leash', unit: 1_000_000, forMs: 5_000 },
    ] as const)('never overspend, and the store explains every unit: $as', async ({ as, unit, forMs }) => {
      await inSpace(backend, async (space) => {
        const { kills, failed, accounts } = await accountsAfterChaos(backend, space, as, forMs);
        const wallets = accounts.filter(isWallet);
        const sum = (of: 'spent' | 'used' | 'forfeited' | 'forfeitedSpent'): number =>
          wallets.reduce((all, wallet) => all + wallet[of], 0) / unit;
        console.log(
          [
            `${backend.name} (${as}): ${kills} kills, ${wallets.length} wallets of ${CAP}`,
            `spent ${sum('spent')}, store used ${sum('used')}`,
            `forfeited and not spent ${sum('forfeited') - sum('forfeitedSpent')}`,
            `unanswered ${failed}`,
            `overspent ${wallets.filter(({ spent }) => spent > CAP * unit).length}`,
          ].join(', '),
        );
        expect(kills).toBeGreaterThanOrEqual(forMs / 500);
        expect(wallets.length).toBeGreaterThanOrEqual(4);
        expect(accounts.filter((account) => !isExplained(account))).toEqual([]);
        for (const { spent, used } of wallets) {
          expect(spent).toBeLessThanOrEqual(used);
          expect(used).toBeLessThanOrEqual(CAP * unit);
        }
      });
    });
  });
});
