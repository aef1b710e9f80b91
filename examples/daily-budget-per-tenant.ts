// Many requests of many tenants: one budget a day for each tenant, whichever request or process spends it.
import { type BudgetExceededError, budget, createLeash, findLeashError, type Leash, memoryStore } from 'leashkit';
import { fakeClock } from 'leashkit/testing';

const clock = fakeClock({ wall: Date.parse('2026-03-02T09:00:00+01:00') }); // so that this runs as on one morning
const store = memoryStore({ clock }); // for one process; for several sqliteStore, redisStore or postgresStore

// #region tenant
/** The leash of one request. What it spends counts for its tenant, and stays counted when it is closed. */
function leashFor(tenant: string): Leash {
  const perDay = budget({ usd: 1, per: 'day', timeZone: 'Europe/Berlin', scope: `tenant:${tenant}` });
  return createLeash({ agent: tenant, guards: [perDay, budget({ usd: '0.50' })], store, clock });
}
// #endregion

async function request(tenant: string): Promise<void> {
  const leash = leashFor(tenant);
  const search = leash.wrap('search', async () => 'found', { cost: '$0.20' });
  try {
    await search();
    await search();
    console.log(`${tenant}: done`);
  } catch (error) {
    const { limit, remaining, resetsAt = 0 } = findLeashError(error) as BudgetExceededError;
    console.log(`${tenant}: ${limit} has $${remaining} left until ${new Date(resetsAt).toISOString()}`);
  } finally {
    await leash.close();
  }
}

for (const tenant of ['acme', 'acme', 'acme', 'globex']) await request(tenant);
clock.advance('24h');
await request('acme');

// Output:
// acme: done
// acme: done
// acme: usd/day@Europe/Berlin has $0 left until 2026-03-02T23:00:00.000Z
// globex: done
// acme: done
