import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { sqliteStore } from 'leashkit/sqlite';
import type { Group, Subject } from './measure.ts';
import { awaitedCycle, inFlight } from './three-limits.ts';

/** Two transactions with one update each: the least that a cycle can cost where every call commits by itself. */
function twoTransactions(path: string, synchronous: 'NORMAL' | 'FULL'): () => Promise<void> {
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}`);
  database.exec('CREATE TABLE counter (name TEXT PRIMARY KEY, used INTEGER NOT NULL) STRICT');
  database.exec("INSERT INTO counter VALUES ('bench', 0)");
  const update = database.prepare("UPDATE counter SET used = used + ? WHERE name = 'bench'");
  const begin = database.prepare('BEGIN IMMEDIATE');
  const commit = database.prepare('COMMIT');
  const one = (units: number): void => {
    begin.run();
    update.run(units);
    commit.run();
  };
  return async () => {
    one(180_000);
    await undefined;
    one(-30_000);
  };
}

export function sqliteGroups(): { readonly groups: readonly Group[]; close(): Promise<void> } {
  const folder = mkdtempSync(join(tmpdir(), 'leashkit-bench-'));
  const stores: { close(): Promise<void> }[] = [];
  const group = (durability: 'process' | 'power', parallel: number): Group => ({
    id: `sqlite-${durability}-${parallel}`,
    title: `Reserve and settle of three limits in SQLite, durability '${durability}', ${parallel} in flight`,
    note: parallel === 1 ? 'One transaction at a time is what the disk gives.' : 'Calls of a tick share a commit.',
    subjects: async () => {
      const name = `${durability}-${parallel}`;
      const store = sqliteStore(join(folder, `${name}.sqlite`), { durability });
      stores.push(store);
      const bare = twoTransactions(join(folder, `${name}-bare.sqlite`), durability === 'power' ? 'FULL' : 'NORMAL');
      const subject = (title: string, cycle: () => Promise<unknown>, at: number): Subject => {
        return { name: title, run: (rounds) => inFlight(rounds, at, cycle) };
      };
      const cycle = await awaitedCycle(store, 'h');
      return [
        subject('bare node:sqlite, two transactions of one update each', bare, parallel),
        subject('leashkit SQLite store', cycle, parallel),
      ];
    },
  });
  return {
    groups: [group('process', 1), group('process', 50), group('power', 1), group('power', 50)],
    close: async () => {
      for (const store of stores) await store.close();
      rmSync(folder, { recursive: true });
    },
  };
}
