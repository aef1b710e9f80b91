import { resolve } from 'node:path';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { checkDatabasePath, makePrivate, nodeSqlite } from '../internal/node-sqlite.ts';
import { checkOneOf, checkOptions, shown } from '../internal/options.ts';
import { failed } from './failure.ts';
import type { AuditSink } from './sink.ts';
import { readWritten } from './written-lines.ts';

export interface SqliteSinkOptions {
  /**
   * What recorded lines survive: `'process'` its death (`synchronous = NORMAL`), `'power'` a loss of power too (`FULL`,
   * some ten times slower). Only with a path: a connection of your own keeps its settings. Default: `'process'`.
   */
  readonly durability?: 'process' | 'power';
}

/** How long a write waits, in the calling thread, while another connection holds the database. */
const BUSY_MS = 2_000;
const CHUNK = 65_536;

const TABLE = `CREATE TABLE IF NOT EXISTS leash_log (
  log TEXT NOT NULL, seq INTEGER NOT NULL, line TEXT NOT NULL, PRIMARY KEY (log, seq)
) STRICT, WITHOUT ROWID`;

/**
 * Keeps the log in the table `leash_log (log, seq, line)` of a SQLite database, by `node:sqlite` (Node >= 22.13). Each write is
 * one transaction: all of its lines or none. A line with a number that its log has already is refused.
 *
 * A path is opened in WAL mode when the first session opens, made with mode 0600 where there is no file, and closed with
 * the last session; sessions and processes may share it. A `DatabaseSync` of your own stays as it is and open, and must not
 * be in a transaction when a session writes. `sqliteLines` reads the log back.
 *
 * @throws {TypeError | RangeError} neither a path nor a database, an unknown option, an in-memory database by path;
 * @throws {Error} this runtime has no `node:sqlite`.
 */
export function sqliteSink(database: string | DatabaseSync, options: SqliteSinkOptions = {}): AuditSink {
  checkSource('sqliteSink', database);
  checkOptions('sqliteSink', options, ['durability']);
  const { durability } = options;
  if (durability !== undefined && typeof database !== 'string') {
    throw new TypeError('`sqliteSink.durability` is for a path: a connection of your own keeps its settings');
  }
  if (durability !== undefined) checkOneOf('sqliteSink.durability', durability, ['process', 'power']);
  if (typeof database === 'string') nodeSqlite();
  return new SqliteSink(
    typeof database === 'string' ? resolve(database) : database,
    durability === 'power' ? 'FULL' : 'NORMAL',
  );
}

/**
 * The lines of `sqliteSink` as bytes, in chunks of whole lines, each line with its LF: what a file of them would hold.
 * Logs come one after the other, ordered by id, each in order.
 *
 * @param log reads this log alone. Default: all.
 * @throws {TypeError | RangeError} as `sqliteSink`; while reading: what SQLite throws, for instance when there is no such
 * database.
 */
export function sqliteLines(database: string | DatabaseSync, log?: string): AsyncIterable<Uint8Array> {
  checkSource('sqliteLines', database);
  if (log !== undefined && typeof log !== 'string') {
    throw new TypeError(`sqliteLines expects the id of a log, got ${shown(log)}`);
  }
  return readLines(typeof database === 'string' ? resolve(database) : database, log);
}

async function* readLines(source: string | DatabaseSync, log: string | undefined): AsyncGenerator<Uint8Array> {
  const database = typeof source === 'string' ? new (nodeSqlite().DatabaseSync)(source, { readOnly: true }) : source;
  try {
    const where = log === undefined ? '' : 'WHERE log = ?';
    const rows = database.prepare(`SELECT line FROM leash_log ${where} ORDER BY log, seq`);
    let chunk = '';
    for (const { line } of rows.iterate(...(log === undefined ? [] : [log]))) {
      chunk += `${line}\n`;
      if (chunk.length < CHUNK) continue;
      yield Buffer.from(chunk);
      chunk = '';
    }
    if (chunk !== '') yield Buffer.from(chunk);
  } finally {
    if (typeof source === 'string') database.close();
  }
}

function checkSource(where: string, source: unknown): void {
  if (typeof source === 'string') {
    checkDatabasePath(where, source, 'hand one over open');
  } else if (typeof (source as Partial<DatabaseSync> | null | undefined)?.prepare !== 'function') {
    throw new TypeError(`${where} expects a path or a DatabaseSync, got ${shown(source)}`);
  }
}

interface Statements {
  readonly begin: StatementSync;
  readonly insert: StatementSync;
  readonly commit: StatementSync;
}

class SqliteSink implements AuditSink {
  readonly name = 'sqlite';
  readonly #source: string | DatabaseSync;
  readonly #synchronous: 'NORMAL' | 'FULL';
  #database: DatabaseSync | undefined;
  #statements: Statements | undefined;

  constructor(source: string | DatabaseSync, synchronous: 'NORMAL' | 'FULL') {
    this.#source = source;
    this.#synchronous = synchronous;
  }

  write(text: string, first: number, last: number): void {
    const { log, lines } = readWritten(text, first, last);
    const { begin, insert, commit } = this.#prepare();
    let begun = false;
    try {
      begin.run();
      begun = true;
      for (const [i, line] of lines.entries()) insert.run(log, first + i, line);
      commit.run();
    } catch (error) {
      // Those of a connection that was closed and opened again meanwhile would fail for ever.
      this.#statements = undefined;
      if (begun) this.#rollBack();
      throw error;
    }
  }

  #prepare(): Statements {
    if (this.#statements !== undefined) return this.#statements;
    const database = this.#open();
    database.exec(TABLE);
    this.#statements = {
      // Takes the lock at once, and fails inside a transaction of somebody else, whose end could undo the lines.
      begin: database.prepare('BEGIN IMMEDIATE'),
      insert: database.prepare('INSERT INTO leash_log (log, seq, line) VALUES (?, ?, ?)'),
      commit: database.prepare('COMMIT'),
    };
    return this.#statements;
  }

  #open(): DatabaseSync {
    if (this.#database !== undefined) return this.#database;
    if (typeof this.#source !== 'string') {
      this.#database = this.#source;
      return this.#source;
    }
    // The log tells who did what.
    makePrivate(this.#source);
    const database = new (nodeSqlite().DatabaseSync)(this.#source);
    try {
      database.exec(`PRAGMA busy_timeout = ${BUSY_MS}; PRAGMA journal_mode = WAL`);
      database.exec(`PRAGMA synchronous = ${this.#synchronous}`);
    } catch (error) {
      database.close();
      throw error;
    }
    this.#database = database;
    return database;
  }

  #rollBack(): void {
    try {
      this.#database?.exec('ROLLBACK');
    } catch {
      // SQLite has rolled back by itself, or the connection is gone, and the transaction with it.
    }
  }

  /** Moves everything out of the WAL into the database and syncs both. */
  async sync(): Promise<void> {
    const row: { readonly busy?: unknown } | undefined = this.#database?.prepare('PRAGMA wal_checkpoint(FULL)').get();
    if (row?.busy === 1) {
      throw failed('SQLITE_BUSY', 'the database is in use');
    }
  }

  close(): void {
    const database = this.#database;
    this.#database = undefined;
    this.#statements = undefined;
    if (typeof this.#source === 'string') database?.close();
  }
}
