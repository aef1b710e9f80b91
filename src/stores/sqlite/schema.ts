import type { DatabaseSync } from 'node:sqlite';

/** Counted in a table of its own: `user_version` belongs to the whole file, which an audit log may share. */
const VERSION = 1;

const units = (column: string): string =>
  `${column} INTEGER NOT NULL CHECK (${column} BETWEEN 0 AND ${Number.MAX_SAFE_INTEGER})`;

const TABLES = `
CREATE TABLE leash_store (version INTEGER NOT NULL) STRICT;
INSERT INTO leash_store VALUES (${VERSION});

-- Of a scope that may be forgotten: after how long without a use, and when to look for that. NULL: never.
CREATE TABLE leash_scope (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  generation TEXT NOT NULL,
  stopped INTEGER NOT NULL,
  shut INTEGER NOT NULL,
  time_ms INTEGER NOT NULL,
  forget_ms INTEGER,
  due_ms INTEGER
) STRICT;
CREATE INDEX leash_scope_due ON leash_scope (due_ms) WHERE due_ms IS NOT NULL;

-- No id is given twice: a hold may name a counter that is gone.
CREATE TABLE leash_counter (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  scope INTEGER NOT NULL REFERENCES leash_scope ON DELETE CASCADE,
  meter TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('total', 'rolling', 'calendar')),
  ${units('held')},
  ${units('booked')},
  window_ms INTEGER,
  step_ms INTEGER,
  start_ms REAL,
  end_ms REAL,
  late_ms INTEGER,
  UNIQUE (scope, meter)
) STRICT;

CREATE TABLE leash_step (
  counter INTEGER NOT NULL REFERENCES leash_counter ON DELETE CASCADE,
  step INTEGER NOT NULL,
  ${units('units')},
  PRIMARY KEY (counter, step)
) STRICT, WITHOUT ROWID;

-- lines: [[counter, scope, meter, amount, book, mark], ...], of which the first so many were requested at first.
-- due_ms: while it is held the end of its lease, then when it may be forgotten.
CREATE TABLE leash_hold (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL CHECK (state IN ('held', 'settled', 'void', 'forfeited')),
  requested INTEGER NOT NULL,
  lines TEXT NOT NULL,
  corrected INTEGER NOT NULL,
  keep_ms INTEGER NOT NULL,
  due_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX leash_hold_open ON leash_hold (due_ms) WHERE state = 'held';
CREATE INDEX leash_hold_ended ON leash_hold (due_ms) WHERE state <> 'held';

-- A reservation that was added to a hold: so many of its lines, from the first on.
CREATE TABLE leash_extension (
  name TEXT PRIMARY KEY,
  hold INTEGER NOT NULL REFERENCES leash_hold ON DELETE CASCADE,
  first INTEGER NOT NULL,
  requested INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX leash_extension_hold ON leash_extension (hold);
`;

/**
 * Makes the tables where there are none. One transaction: others see all of them or none. After an error the connection
 * must be closed.
 *
 * @throws {Error} the tables are of a version that this one does not know.
 */
export function prepareSchema(database: DatabaseSync): void {
  if (isPrepared(database)) return;
  database.exec('BEGIN IMMEDIATE');
  if (!isPrepared(database)) database.exec(TABLES);
  database.exec('COMMIT');
}

function isPrepared(database: DatabaseSync): boolean {
  if (database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'leash_store'").get() === undefined) return false;
  const version = database.prepare('SELECT version FROM leash_store').get()?.['version'];
  if (version === VERSION) return true;
  throw new Error(`the tables of the store are of version ${version ?? 'unknown'}, and this leashkit knows ${VERSION}`);
}
