import { resolve } from 'node:path';
import { type Clock, systemClock } from '../internal/clock.ts';
import { type Duration, parseDuration } from '../internal/duration.ts';
import { checkDatabasePath, nodeSqlite } from '../internal/node-sqlite.ts';
import { checkInteger, checkOneOf, checkOptions, shown } from '../internal/options.ts';
import { DEFAULT_FORGET_AFTER } from './retention.ts';
import { Database } from './sqlite/database.ts';
import { GroupCommit } from './sqlite/group-commit.ts';
import type { Transaction } from './sqlite/transaction.ts';
import type { Decision, Forfeited, Lifetime, Reading, Reserve, Settle, Settled, Store } from './store.ts';
import { checkLine, checkReserve, checkText } from './store-input.ts';

export interface SqliteStoreOptions {
  /**
   * What an answer survives: `'process'` the death of the process (`synchronous = NORMAL`), `'power'` a loss of power too
   * (`FULL`: each transaction waits for the disk). Default: `'process'`.
   */
  readonly durability?: 'process' | 'power';
  /** Its `wall()` is the store's one clock, for windows, leases and calendars. Default: `Date.now()`. */
  readonly clock?: Clock;
  /** For how long a call waits, in ms, while others have the database locked; then it rejects. Integer >= 0. Default: 2 000. */
  readonly busyTimeoutMs?: number;
  /**
   * How long after its last use a scope is forgotten that was opened as `'temporary'`. Of several stores that have opened it
   * the longest decides. Default: `'7d'`.
   */
  readonly forgetAfter?: Duration;
}

/** A store in a file. */
export interface SqliteStore extends Store {
  /** Answers what was asked and closes the file. Whatever is asked later is rejected. */
  close(): Promise<void>;
}

/** How many holds of dead processes are looked after when a scope is made. */
const SWEPT_AT_OPEN = 16;

/**
 * Counted state in a SQLite file, by `node:sqlite` (Node >= 22.13): for one machine and all of its processes that name the same
 * path, over restarts and crashes. A network file system is not for it.
 *
 * The file is opened in WAL mode at the first call and made with mode 0600 where there is none; an audit log may share it. Calls of
 * the same turn of the event loop are one transaction. A database that is locked for too long, full, read-only, corrupt,
 * deleted or of a newer version rejects, so that sessions deny.
 *
 * @throws {TypeError | RangeError} no path of a file, or an option that is none; @throws {Error} this runtime has no `node:sqlite`.
 */
export function sqliteStore(path: string, options: SqliteStoreOptions = {}): SqliteStore {
  if (typeof path !== 'string') throw new TypeError(`sqliteStore expects a path, got ${shown(path)}`);
  checkDatabasePath('sqliteStore', path, 'use memoryStore()');
  checkOptions('sqliteStore', options, ['durability', 'clock', 'busyTimeoutMs', 'forgetAfter']);
  const {
    durability = 'process',
    clock = systemClock,
    busyTimeoutMs = 2_000,
    forgetAfter = DEFAULT_FORGET_AFTER,
  } = options;
  checkOneOf('sqliteStore.durability', durability, ['process', 'power']);
  checkInteger('sqliteStore.busyTimeoutMs', busyTimeoutMs, 0);
  const forgetAfterMs = parseDuration('sqliteStore.forgetAfter', forgetAfter);
  nodeSqlite();
  const database = new Database(resolve(path), durability === 'power' ? 'FULL' : 'NORMAL', clock);
  return new FileStore(new GroupCommit(database, busyTimeoutMs), forgetAfterMs);
}

class FileStore implements SqliteStore {
  readonly #queue: GroupCommit;
  readonly #forgetAfterMs: number;

  constructor(queue: GroupCommit, forgetAfterMs: number) {
    this.#queue = queue;
    this.#forgetAfterMs = forgetAfterMs;
  }

  open(scopes: readonly string[], lifetime: Lifetime = 'kept'): Promise<Readonly<Record<string, string>>> {
    return this.#queue.ask({
      size: scopes.length,
      check() {
        for (const scope of scopes) checkText('a scope', scope);
        checkOneOf('lifetime', lifetime, ['kept', 'temporary']);
      },
      answer: (transaction) => {
        const { rows, time } = transaction;
        const generations: Record<string, string> = Object.create(null);
        let made = false;
        for (const id of scopes) {
          const known = rows.get(id);
          known?.opened(time, this.#forgetAfterMs);
          made ||= known === undefined;
          const scope = known ?? rows.addScope(id, lifetime === 'temporary' ? this.#forgetAfterMs : null);
          generations[id] = scope.generation;
        }
        if (made) forfeitEnded(transaction, SWEPT_AT_OPEN);
        return generations;
      },
    });
  }

  reserve(batch: readonly Reserve[]): Promise<readonly Decision[]> {
    return this.#queue.ask({
      size: batch.length,
      check() {
        for (const item of batch) checkItem(item);
      },
      answer: ({ ledger }) => ledger.reserve(batch),
    });
  }

  settle(batch: readonly Settle[]): Promise<readonly Settled[]> {
    return this.#queue.ask({
      size: batch.length,
      check({ ledger }) {
        for (const { id } of batch) checkText('the id of a settlement', id);
        ledger.checkSettle(batch);
      },
      answer: ({ ledger }) => ledger.settle(batch),
    });
  }

  read(scopes: readonly string[]): Promise<Readonly<Record<string, Readonly<Record<string, Reading>>>>> {
    return this.#queue.ask({
      size: scopes.length,
      check() {
        for (const scope of scopes) checkText('a scope', scope);
      },
      answer({ rows, ledger }) {
        const readings: Record<string, Record<string, Reading>> = Object.create(null);
        for (const id of scopes) {
          const scope = rows.get(id);
          if (scope === undefined) continue;
          const moment = ledger.moment(scope);
          const meters: Record<string, Reading> = Object.create(null);
          for (const { name, meter } of rows.countersOf(scope)) {
            meters[name] = { used: meter.used(moment), held: meter.held };
          }
          readings[id] = meters;
        }
        return readings;
      },
    });
  }

  sweep(limit: number): Promise<readonly Forfeited[]> {
    return this.#queue.ask({
      size: 1,
      check() {
        checkInteger('limit', limit, 0);
      },
      answer: (transaction) => forfeitEnded(transaction, limit),
    });
  }

  shut(scope: string): Promise<void> {
    return this.#queue.ask({
      size: 1,
      check: () => checkText('a scope', scope),
      answer({ rows }) {
        const known = rows.get(scope);
        if (known !== undefined && !known.shut) rows.shut(known);
      },
    });
  }

  stop(scope: string): Promise<void> {
    return this.#queue.ask({
      size: 1,
      check: () => checkText('a scope', scope),
      answer({ rows }) {
        (rows.get(scope) ?? rows.addScope(scope, null)).stopped = true;
      },
    });
  }

  resume(scope: string): Promise<void> {
    return this.#queue.ask({
      size: 1,
      check: () => checkText('a scope', scope),
      answer({ rows }) {
        const known = rows.get(scope);
        if (known !== undefined) known.stopped = false;
      },
    });
  }

  close(): Promise<void> {
    return this.#queue.close();
  }
}

function checkItem(item: Reserve): void {
  checkReserve(item);
  checkText('the id of a reservation', item.id);
  if (item.onto !== undefined) checkText('the id of a hold', item.onto);
  for (const line of item.lines) checkLine(line);
}

function forfeitEnded({ rows, ledger }: Transaction, limit: number): readonly Forfeited[] {
  return rows.endedLeases(limit).map(([id, hold]) => {
    ledger.forfeit(id, hold);
    return { id };
  });
}
