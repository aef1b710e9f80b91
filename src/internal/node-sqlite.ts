import { writeFileSync } from 'node:fs';
import type * as NodeSqlite from 'node:sqlite';

/**
 * Loaded when it is needed: some runtimes do not have it, some warn.
 *
 * @throws {Error} this runtime has no `node:sqlite`.
 */
export function nodeSqlite(): typeof NodeSqlite {
  const found = process.getBuiltinModule('node:sqlite');
  if (found === undefined) throw new Error('leashkit/sqlite needs node:sqlite, which Node has from 22.13 on');
  return found;
}

/** @throws {RangeError} the path of no file. */
export function checkDatabasePath(where: string, path: string, instead: string): void {
  if (path === '') throw new RangeError(`${where} expects a path, got ''`);
  if (path === ':memory:') {
    throw new RangeError(`${where} expects a path: an in-memory database is gone when it is closed, ${instead}`);
  }
}

/** Where there is no file yet, one is made that its owner alone can read. What SQLite puts beside it is as private. */
export function makePrivate(path: string): void {
  try {
    writeFileSync(path, '', { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
