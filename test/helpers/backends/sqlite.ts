import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { systemClock } from '../../../src/internal/clock.ts';
import type { Backend } from './backend.ts';

/** A disk takes its time for each new file, and no test cuts the power. */
const FOLDER = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

export const sqlite: Backend = {
  name: 'SQLite',
  engine: 'SQLite',
  missing: undefined,
  create: async () => {
    const folder = mkdtempSync(join(FOLDER, 'leashkit-space-'));
    return { backend: 'SQLite', name: join(folder, 'store.sqlite') };
  },
  open: async ({ name }, { clock = systemClock } = {}) => {
    const { sqliteStore } = await import('../../../src/stores/sqlite.ts');
    const store = sqliteStore(name, { clock });
    return { store, close: () => store.close() };
  },
  destroy: async ({ name }) => rmSync(dirname(name), { recursive: true }),
  remains: async ({ name }) => {
    const { DatabaseSync } = await import('node:sqlite');
    const database = new DatabaseSync(name);
    try {
      const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
      const own = tables.map((table) => String(table['name'])).filter((table) => table.startsWith('leash_'));
      const rows = own.map((table) => database.prepare(`SELECT count(*) AS rows FROM ${table}`).get()?.['rows']);
      return rows.reduce<number>((all, count) => all + Number(count), 0);
    } finally {
      database.close();
    }
  },
};
