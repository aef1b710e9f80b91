import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { type SqliteStore, sqliteStore } from '../../src/stores/sqlite.ts';
import { storeContract } from '../helpers/store-contract.ts';

let directory: string;
let files = 0;
beforeAll(() => {
  // Each test makes a file, and a disk takes its time for that.
  directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'leashkit-sqlite-store-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});
const newPath = (): string => join(directory, `${++files}.sqlite`);

storeContract('sqliteStore', (clock) => sqliteStore(newPath(), { clock }), {
  clock: true,
  async lose(store, clock) {
    await (store as SqliteStore).close();
    const path = join(directory, `${files}.sqlite`);
    rmSync(path);
    return sqliteStore(path, { clock });
  },
  dispose: (store) => (store as SqliteStore).close(),
});
