import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, afterEach, beforeAll, beforeEach, vi } from 'vitest';
import { type SqliteStore, type SqliteStoreOptions, sqliteStore } from '../../src/stores/sqlite.ts';
import type { Decision, Line, Reserve, Settle, Settled } from '../../src/stores/store.ts';
import { FakeClock } from './clock.ts';

/** Paths for databases, each of its own, in a folder that goes with the tests. */
export function databasePaths(): () => string {
  let directory: string;
  let files = 0;
  beforeAll(() => {
    // Many tests make a file each, and a disk takes its time for that.
    directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'leashkit-sqlite-store-'));
  });
  afterAll(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return () => join(directory, `${++files}.sqlite`);
}

/** For each test a store in a file of its own with the scope `a`, and short words for what is done with it. */
export class SqliteKit {
  path = '';
  clock: FakeClock = new FakeClock();
  store!: SqliteStore;
  generation = '';
  #opened: SqliteStore[] = [];

  constructor() {
    const newPath = databasePaths();
    beforeEach(async () => {
      this.path = newPath();
      this.clock = new FakeClock();
      this.store = this.open();
      this.generation = (await this.store.open(['a']))['a'] as string;
    });
    afterEach(async () => {
      await Promise.all(this.#opened.splice(0).map((store) => store.close()));
    });
  }

  /** Another store on the same file, which is closed after the test. */
  readonly open = (options: SqliteStoreOptions = {}): SqliteStore => {
    const opened = sqliteStore(this.path, { clock: this.clock, ...options });
    this.#opened.push(opened);
    return opened;
  };

  readonly reopen = async (options?: SqliteStoreOptions): Promise<void> => {
    await this.store.close();
    this.store = this.open(options);
  };

  readonly line = (amount: number, more: Partial<Line> = {}): Line => {
    const { generation } = this;
    return { scope: 'a', generation, meter: 'usd', span: { kind: 'total' }, cap: 100, amount, book: 'settle', ...more };
  };

  readonly item = (id: string, lines: readonly Line[] | number, more: Partial<Reserve> = {}): Reserve => {
    return { id, lines: typeof lines === 'number' ? [this.line(lines)] : lines, leaseMs: 60_000, ...more };
  };

  readonly reserve = async (...args: Parameters<SqliteKit['item']>): Promise<Decision> =>
    (await this.store.reserve([this.item(...args)]))[0] as Decision;

  readonly settle = async (id: string, actual: Settle['actual']): Promise<Settled> =>
    (await this.store.settle([{ id, actual }]))[0] as Settled;

  readonly usd = async (store: SqliteStore = this.store): Promise<unknown> => (await store.read(['a']))['a']?.['usd'];

  /** The rows of the file, as another program sees them. */
  readonly rows = (sql: string): readonly Record<string, unknown>[] => {
    const database = new DatabaseSync(this.path, { readOnly: true });
    try {
      return database
        .prepare(sql)
        .all()
        .map((row) => ({ ...row }));
    } finally {
      database.close();
    }
  };

  /** How many rows each table of the store has. */
  readonly counts = (): Readonly<Record<string, number>> => {
    const tables = ['scope', 'counter', 'step', 'hold', 'extension'];
    const counted = tables.map((table) => `(SELECT count(*) FROM leash_${table}) AS ${table}`);
    return this.rows(`SELECT ${counted.join(', ')}`)[0] as Record<string, number>;
  };

  /** The connection of the store, which it makes anew. */
  readonly connection = async (options?: SqliteStoreOptions): Promise<DatabaseSync> => {
    const prepared = vi.spyOn(DatabaseSync.prototype, 'prepare');
    try {
      await this.reopen(options);
      await this.store.read([]);
      return prepared.mock.contexts[0] as DatabaseSync;
    } finally {
      prepared.mockRestore();
    }
  };
}
