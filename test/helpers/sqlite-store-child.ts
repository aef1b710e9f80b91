/** Spends from a SQLite store, several calls at a time, until its cap is reached, and notes each unit that was settled. */
import { once } from 'node:events';
import { openSync, writeSync } from 'node:fs';
import { sqliteStore } from '../../src/stores/sqlite.ts';
import type { Line } from '../../src/stores/store.ts';

const [path = '', generation = '', cap = '0', parallel = '1', notes = ''] = process.argv.slice(2);
const store = sqliteStore(path, { busyTimeoutMs: 10_000 });
const at = { scope: 'a', generation, span: { kind: 'total' }, cap: Number(cap) } as const;
const lines: readonly Line[] = [
  { ...at, meter: 'usd', amount: 2, book: 'settle' },
  { ...at, meter: 'calls', amount: 1, book: 'reserve' },
];
// A file has at once what is written to it; what is on its way to another process goes with a kill.
const file = openSync(notes, 'a');

let longestMs = 0;
async function spend(): Promise<void> {
  for (;;) {
    const begun = performance.now();
    const id = crypto.randomUUID();
    const [decision] = await store.reserve([{ id, lines, leaseMs: 600_000 }]);
    longestMs = Math.max(longestMs, performance.now() - begun);
    if (decision?.ok === true) {
      await store.settle([{ id, actual: [2, 1] }]);
      writeSync(file, '$$');
    } else if (decision?.why === 'exhausted') return;
  }
}

await store.read(['a']);
process.stdout.write('ready');
await once(process.stdin, 'data');
await Promise.all(Array.from({ length: Number(parallel) }, spend));
await store.close();
process.stdout.write(` ${Math.ceil(longestMs)}`);
process.exit();
