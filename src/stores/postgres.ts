import { checkTimerMs } from '../internal/deadline.ts';
import { type Duration, parseDuration } from '../internal/duration.ts';
import { checkInteger, checkOneOf, checkOptions, shown } from '../internal/options.ts';
import { Database, type PostgresClient } from './postgres/database.ts';
import { checkedReserve, checkedSettle, checkSqlText } from './postgres/input.ts';
import { checkSchema, DEFAULT_SCHEMA } from './postgres/migration.ts';
import { Queue } from './postgres/queue.ts';
import type { Keep } from './postgres/request.ts';
import { DEFAULT_FORGET_AFTER, ENDED_MS, SHUT_MS, SWEPT_AT_ONCE, VOID_MS } from './retention.ts';
import type { Decision, Forfeited, Lifetime, Reading, Reserve, Settle, Settled, Store } from './store.ts';

export type { PostgresClient } from './postgres/database.ts';
export { type PostgresMigrationOptions, postgresMigration } from './postgres/migration.ts';

export interface PostgresStoreOptions {
  /**
   * A `Pool` of `pg`, a `Client` that nobody else uses, or any other client through the few lines that `PostgresClient`
   * shows. It stays the caller's, who ends it; a pool needs a listener of its `error` event, as ever.
   */
  readonly client: PostgresClient;
  /** Where the migration was applied. Default: `'leash'`. */
  readonly schema?: string;
  /** After how many ms a call without an answer rejects. Integer from 1 to 2^31 - 1. Default: 2 000. */
  readonly timeoutMs?: number;
  /**
   * How long after its last use a temporary scope, such as a session's own, is forgotten. Of several stores that use it the
   * longest decides. Default: `'7d'`.
   */
  readonly forgetAfter?: Duration;
}

/** How many holds of dead processes are looked after when scopes are opened. */
const SWEPT_AT_OPEN = 16;

/**
 * Counted state in PostgreSQL 13 or later: for a fleet, over restarts and crashes. `postgresMigration` makes the tables and
 * functions that it needs, and tells which rights.
 *
 * Each answer is one round trip and one transaction, at READ COMMITTED whatever the client's default; calls of the same turn of
 * the event loop share it. A server that is slow, gone, read-only or full, or a schema that is missing or of a later version,
 * rejects, so that sessions deny. What was answered survives what a commit survives: with `synchronous_commit = off`, or a
 * standby that lags and takes over, settled spend of the last moments can be lost.
 *
 * The client must not be inside a transaction, and one behind a pooler may be pooled by transaction or by session.
 *
 * @throws {TypeError | RangeError} no client, or an option that is none.
 */
export function postgresStore(options: PostgresStoreOptions): Store {
  checkOptions('postgresStore', options, ['client', 'schema', 'timeoutMs', 'forgetAfter']);
  const { client, schema = DEFAULT_SCHEMA, timeoutMs = 2_000, forgetAfter = DEFAULT_FORGET_AFTER } = options;
  if (typeof (client as Partial<PostgresClient> | null | undefined)?.query !== 'function') {
    throw new TypeError(
      `\`postgresStore.client\` must have query(text, values), as a Pool of pg has, got ${shown(client)}; ` +
        'for postgres.js: { query: async (text, values) => ({ rows: await sql.unsafe(text, values) }) }',
    );
  }
  checkSchema('postgresStore.schema', schema);
  checkTimerMs('postgresStore.timeoutMs', timeoutMs);
  const scopes = parseDuration('postgresStore.forgetAfter', forgetAfter);
  const keep: Keep = { ends: ENDED_MS, voids: VOID_MS, shut: SHUT_MS, scopes };
  return new PostgresStore(new Database(client, schema, timeoutMs), keep);
}

class PostgresStore implements Store {
  readonly #database: Database;
  readonly #queue: Queue;
  readonly #keep: Keep;

  constructor(database: Database, keep: Keep) {
    this.#database = database;
    this.#queue = new Queue(database, keep);
    this.#keep = keep;
  }

  async open(scopes: readonly string[], lifetime: Lifetime = 'kept'): Promise<Readonly<Record<string, string>>> {
    for (const scope of scopes) checkSqlText('a scope', scope);
    checkOneOf('lifetime', lifetime, ['kept', 'temporary']);
    const keep = this.#keep;
    const sweep = { limit: SWEPT_AT_OPEN, keep };
    const generations = await this.#database.ask('open', { scopes, lifetime, keep, sweep });
    return Object.assign(Object.create(null), generations);
  }

  async reserve(batch: readonly Reserve[]): Promise<readonly Decision[]> {
    const reserve = checkedReserve(batch);
    if (reserve.length === 0) return [];
    const decisions = (await this.#queue.ask({ reserve })) as readonly Decision[];
    return decisions.map((decision) =>
      decision.ok ? { ok: true, repeat: decision.repeat ?? undefined, left: decision.left } : decision,
    );
  }

  async settle(batch: readonly Settle[]): Promise<readonly Settled[]> {
    const settle = checkedSettle(batch);
    if (settle.length === 0) return [];
    const answers = (await this.#queue.ask({ settle })) as readonly (Settled | Mismatch)[];
    return answers.map((answer) => {
      if ('lines' in answer) {
        throw new RangeError(`\`actual\` has ${answer.amounts} amounts for ${answer.lines} lines`);
      }
      return { state: answer.state, first: answer.first, overrun: answer.overrun ?? [] };
    });
  }

  async read(scopes: readonly string[]): Promise<Readonly<Record<string, Readonly<Record<string, Reading>>>>> {
    for (const scope of scopes) checkSqlText('a scope', scope);
    const answer = await this.#database.ask('read', { scopes, keep: this.#keep });
    const readings: Record<string, Record<string, Reading>> = Object.create(null);
    for (const [scope, meters] of Object.entries(answer as Record<string, Record<string, Reading>>)) {
      readings[scope] = Object.assign(Object.create(null), meters);
    }
    return readings;
  }

  async sweep(limit: number): Promise<readonly Forfeited[]> {
    checkInteger('limit', limit, 0);
    const forfeited: Forfeited[] = [];
    for (let left = limit; ; left -= SWEPT_AT_ONCE) {
      const many = Math.min(left, SWEPT_AT_ONCE);
      const ids = (await this.#database.ask('sweep', { limit: many, keep: this.#keep })) as readonly string[];
      for (const id of ids) forfeited.push({ id });
      if (ids.length < many || many === left) return forfeited;
    }
  }

  async shut(scope: string): Promise<void> {
    await this.#change('shut', scope);
  }

  async stop(scope: string): Promise<void> {
    await this.#change('stop', scope);
  }

  async resume(scope: string): Promise<void> {
    await this.#change('resume', scope);
  }

  async #change(question: 'shut' | 'stop' | 'resume', scope: string): Promise<void> {
    checkSqlText('a scope', scope);
    await this.#database.ask(question, { scope, keep: this.#keep });
  }
}

/** The first answer to settlements of which one has as many amounts as its hold has lines. */
interface Mismatch {
  readonly amounts: number;
  readonly lines: number;
}
