/** Spends from a SQLite store, several calls at a time, until its cap is reached, and tells of each that was settled. */
import { once } from 'node:events';
import { sqliteStore } from '../../src/stores/sqlite.ts';
import type { Line } from '../../src/stores/store.ts';

const [path = '', generation = '', cap = '0', parallel = '1'] = process.argv.slice(2);
const store = sqliteStore(path, { busyTimeoutMs: 10_000 });
const line: Line = {
  scope: 'a',
  generation,
  meter: 'usd',
  span: { kind: 'total' },
  cap: Number(cap),
  amount: 2,
  book: 'settle',
};
const calls: Line = { ...line, meter: 'calls', amount: 1, book: 'reserve' };

let longestMs = 0;
async function spend(): Promise<void> {
  for (;;) {
    const begun = performance.now();
    const id = crypto.randomUUID();
    const [decision] = await store.reserve([{ id, lines: [line, calls], leaseMs: 600_000 }]);
    longestMs = Math.max(longestMs, performance.now() - begun);
    if (decision?.ok !== true) {
      if (decision?.why === 'exhausted') return;
      continue;
    }
    await store.settle([{ id, actual: [2, 1] }]);
    process.stdout.write('2');
  }
}

await store.read(['a']);
process.stdout.write('ready ');
await once(process.stdin, 'data');
await Promise.all(Array.from({ length: Number(parallel) }, spend));
await store.close();
process.stdout.write(` ${Math.ceil(longestMs)}`);
process.exit();
