import { describe, expect, it } from 'vitest';
import { type Backend, backends, naiveBackends } from '../../helpers/backends.ts';
import { type Account, type ChaosOptions, closeAccounts, runChaos, spentByCounter } from '../../helpers/chaos.ts';

const CAP = 2_000;

function optionsFor(as: ChaosOptions['as'], forMs: number): Omit<ChaosOptions, 'space'> {
  return { as, cap: CAP, leaseMs: 1_000, processes: 8, loops: 8, forMs };
}

const sum = (accounts: readonly Account[], of: 'spent' | 'used' | 'forfeited' | 'forfeitedSpent'): number =>
  accounts.reduce((all, account) => all + account[of], 0);

const isWallet = ({ scope, meter }: Account): boolean => scope.includes('wallet') && meter.startsWith('usd');

async function inSpace<T>(
  backend: Backend,
  action: (space: Awaited<ReturnType<Backend['create']>>) => Promise<T>,
): Promise<T> {
  const space = await backend.create();
  try {
    return await action(space);
  } finally {
    await backend.destroy(space);
  }
}

describe('8 processes x 8 loops, one killed every 150 to 400 ms', () => {
  it.each(naiveBackends)('overspend on $name', async (backend) => {
    if (backend.missing !== undefined) return;
    await inSpace(backend, async (space) => {
      const { kills, entries } = await runChaos({ space, ...optionsFor('store', 3_000) });
      const wallets = [...spentByCounter(entries).values()].filter(isWallet);
      const over = wallets.filter(({ spent }) => spent > CAP);
      console.log(`${backend.name}: ${kills} kills, ${over.length} of ${wallets.length} wallets overspent`);
      expect(over.length).toBeGreaterThan(0);
    });
  });

  describe.each(backends)('$name', (backend) => {
    it.skipIf(backend.missing).each([
      { as: 'store', unit: 1 },
      { as: 'leash', unit: 1_000_000 },
    ] as const)('never overspend, and the store explains every unit: $as', async ({ as, unit }) => {
      await inSpace(backend, async (space) => {
        const { kills, entries } = await runChaos({ space, ...optionsFor(as, 7_000) });
        const { store, close } = await backend.open(space);
        try {
          const accounts = await closeAccounts(store, entries, 20_000);
          const wallets = accounts.filter(isWallet);
          const [spent, used] = [sum(wallets, 'spent'), sum(wallets, 'used')];
          const unspent = sum(wallets, 'forfeited') - sum(wallets, 'forfeitedSpent');
          console.log(
            [
              `${backend.name} (${as}): ${kills} kills, ${wallets.length} wallets`,
              `spent ${spent / unit} of ${wallets.length * CAP}`,
              `store used ${used / unit}`,
              `forfeited and not spent ${unspent / unit}`,
              `unexplained ${(used - spent - unspent) / unit}`,
            ].join(', '),
          );
          expect(kills).toBeGreaterThan(10);
          for (const account of accounts) {
            const { spent, settled, forfeited, forfeitedSpent, used, held } = account;
            const shown = JSON.stringify(account);
            // Whatever was spent is in a hold that was settled or forfeited, and both are booked: nothing else is.
            expect(spent, shown).toBe(settled + forfeitedSpent);
            expect([used, held], shown).toEqual([settled + forfeited, 0]);
          }
          for (const { spent, used } of wallets) {
            expect(spent).toBeLessThanOrEqual(used);
            expect(used).toBeLessThanOrEqual(CAP * unit);
          }
        } finally {
          await close();
        }
      });
    });
  });
});
