// One worker of a fleet: spends from the budget of all until it is refused. Or hangs in a call, if it was told to.
import { setTimeout as sleep } from 'node:timers/promises';
import { budget, createLeash, findLeashError } from 'leashkit';
import { sqliteStore } from 'leashkit/sqlite';

const [path = '', hangs] = process.argv.slice(2);

// #region worker
const leash = createLeash({
  guards: [budget({ usd: 1, scope: 'org:acme' })],
  store: sqliteStore(path),
});
const search = leash.wrap('search', callProvider, { cost: '$0.10', leaseMs: 1_000 });
// #endregion

async function callProvider(): Promise<void> {
  if (hangs === 'hangs') {
    process.send?.('in a call');
    await sleep(3_600_000);
  }
}

let ran = 0;
try {
  for (;;) {
    await search();
    ran++;
  }
} catch (error) {
  process.send?.({ ran, refused: findLeashError(error)?.code });
}
process.disconnect();
