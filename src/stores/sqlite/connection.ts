import { statSync } from 'node:fs';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { makePrivate, nodeSqlite } from '../../internal/node-sqlite.ts';
import { prepareSchema } from './schema.ts';
import { Statements } from './statements.ts';

/** What survives: the death of the process (`NORMAL`), or a loss of power too (`FULL`). */
export type Synchronous = 'NORMAL' | 'FULL';

/** One connection to the file, for one transaction after the other. */
export class Connection {
  readonly statements: Statements;
  readonly #path: string;
  readonly #file: string;
  readonly #database: DatabaseSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;

  /** @throws what SQLite throws: busy (`isBusy`), no database, a directory, no right to write, ... */
  constructor(path: string, synchronous: Synchronous) {
    this.#path = path;
    makePrivate(path);
    const file = fileAt(path);
    const database = new (nodeSqlite().DatabaseSync)(path);
    try {
      // Nobody waits in the calling thread: SQLite's own wait is long, blocks the process, and lets others starve.
      database.exec('PRAGMA busy_timeout = 0');
      database.exec('PRAGMA foreign_keys = ON');
      const mode = database.prepare('PRAGMA journal_mode = WAL').get()?.['journal_mode'];
      if (mode !== 'wal') throw new Error('the database cannot be put into WAL mode: is its file system a local one?');
      database.exec(`PRAGMA synchronous = ${synchronous}`);
      prepareSchema(database);
      this.#file = file ?? '';
      this.#database = database;
      this.#checkFile();
      // Takes the lock for writing at once: what is read is what is decided on.
      this.#begin = database.prepare('BEGIN IMMEDIATE');
      this.#commit = database.prepare('COMMIT');
      this.statements = new Statements(database);
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** @throws {Error} the file is not there any more; what SQLite throws, `isBusy` when it is locked. */
  begin(): void {
    this.#checkFile();
    this.#begin.run();
  }

  /** The connection would go on with a file that nobody finds any more, and count beside those who open a new one. */
  #checkFile(): void {
    if (fileAt(this.#path) !== this.#file) throw new Error('the file of the store was deleted or replaced');
  }

  commit(): void {
    this.#commit.run();
  }

  /** Undoes what was not committed. */
  close(): void {
    this.#database.close();
  }
}

function fileAt(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? undefined : `${found.dev} ${found.ino}`;
}

const SQLITE_BUSY = 5;

/** Whether somebody else holds the lock. */
export function isBusy(error: unknown): boolean {
  const { errcode } = error as { readonly errcode?: unknown };
  // The extended codes have more above the lowest byte.
  return typeof errcode === 'number' && (errcode & 0xff) === SQLITE_BUSY;
}
