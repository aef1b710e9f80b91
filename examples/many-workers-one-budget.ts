// Eight processes and one budget in a SQLite file. Two are killed in the middle of a call: what they held counts as spent.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { budget, createLeash, findLeashError } from 'leashkit';
import { sqliteStore } from 'leashkit/sqlite';

const folder = mkdtempSync(join(tmpdir(), 'leashkit-example-'));
const path = join(folder, 'budgets.sqlite');
const start = (...args: string[]): ChildProcess =>
  fork(join(import.meta.dirname, 'many-workers-one-budget/worker.ts'), [path, ...args], { stdio: 'inherit' });

const hanging = [start('hangs'), start('hangs')];
await Promise.all(hanging.map((worker) => once(worker, 'message')));
for (const worker of hanging) worker.kill('SIGKILL');
console.log('2 workers were killed in a call of $0.10 each');

const answers = await Promise.all([1, 2, 3, 4, 5, 6].map(() => once(start(), 'message')));
const reports = answers.map(([report]) => report as { ran: number; refused: string });
console.log(`6 workers made ${reports.reduce((all, { ran }) => all + ran, 0)} calls in all, then each was refused:`);
console.log([...new Set(reports.map(({ refused }) => refused))].join(', '));

// #region watch
const store = sqliteStore(path);
const watch = createLeash({ guards: [budget({ usd: 1, scope: 'org:acme' })], store });
while ((await watch.usage()).limits[0]?.held !== '0') {
  // Leases of running calls are renewed: what has ended belonged to the dead.
  await store.sweep(100);
  await sleep(100);
}
console.log(`spent $${(await watch.usage()).limits[0]?.spent} when the leases of the killed have ended`);

await watch.stop('the invoice looks wrong', { scope: 'org:acme' });
// #endregion
const late = createLeash({ guards: [budget({ usd: 100, scope: 'org:acme' })], store });
const refused = await late.run({ tool: 'search', cost: '$0.10' }, () => 1).catch(findLeashError);
console.log(`and after the kill switch: ${(refused as { code: string }).code}`);
await late.close();
await watch.close();
await store.close();
rmSync(folder, { recursive: true });

// Output:
// 2 workers were killed in a call of $0.10 each
// 6 workers made 8 calls in all, then each was refused:
// BUDGET_EXCEEDED
// spent $1 when the leases of the killed have ended
// and after the kill switch: SESSION_STOPPED
