import { checkTimerMs } from '../internal/deadline.ts';
import { type Duration, parseDuration } from '../internal/duration.ts';
import { checkInteger, checkOneOf, checkOptions, shown } from '../internal/options.ts';
import type { RedisClient } from './redis/client.ts';
import { Connection } from './redis/connection.ts';
import { type Item, integerOf, readDecision, readSettled, reserveItem, settleItem } from './redis/items.ts';
import { Keys } from './redis/keys.ts';
import { Queue } from './redis/queue.ts';
import { MANAGE } from './redis/scripts.ts';
import { Shapes } from './redis/shapes.ts';
import { DEFAULT_FORGET_AFTER, SWEPT_AT_ONCE } from './retention.ts';
import type { Decision, Forfeited, Lifetime, Reading, Reserve, Settle, Settled, Store } from './store.ts';
import { checkReserve, checkSettle, checkText } from './store-input.ts';

export { fromIoredis, fromNodeRedis, type IoredisLike, type NodeRedisLike, type RedisClient } from './redis/client.ts';

export interface RedisStoreOptions {
  /** A connection, by `fromIoredis` or `fromNodeRedis`. It stays its owner's, who ends it. */
  readonly client: RedisClient;
  /** Keys are `leash:{prefix}:...`. 1 to 128 characters without braces. Stores with the same prefix are one. Default: `'default'`. */
  readonly prefix?: string;
  /** After how many ms a call without an answer rejects. Integer from 1 to 2^31 - 1. Default: 2 000. */
  readonly timeoutMs?: number;
  /**
   * Temporary scopes, such as a session's own, are forgotten when they were not used for so long. Of several stores that open
   * a scope the first one decides. Default: `'7d'`.
   */
  readonly forgetAfter?: Duration;
  /**
   * `'check'`: refuses at the first `open` a server that evicts keys when its memory is full, and one that does not let us see
   * it (`INFO memory`). `'never'` says that it was seen to. Default: `'check'`.
   */
  readonly eviction?: 'check' | 'never';
  /**
   * What `open` does on a server without the mark of `initialize`: `'create'` begins at nothing spent. `'refuse'` rejects, so that
   * a process which comes after a loss does not take it for the beginning. Default: `'create'`.
   */
  readonly ifEmpty?: 'create' | 'refuse';
}

/** Counted state in Redis or Valkey, shared by all processes that use the same prefix. */
export interface RedisStore extends Store {
  /** Marks the server as one that keeps this store's state, for `ifEmpty: 'refuse'`. Once, when a service is set up. */
  initialize(): Promise<void>;
}

const SWEPT_AT_OPEN = 8;
/** How often a store that is used sweeps within `forgetAfter`, and how many holds then at most. */
const SWEEPS = 8;
const SWEPT_IN_TIME = 4_096;
const MAX_ASKED = 4_096;
const UNKNOWN_ANSWER = 'Redis answered something else than the script';

/**
 * Keeps counted state in Redis 7 or later, or Valkey: one script call for each decision, and for all that are asked in the
 * same tick. All keys of a prefix are in one slot of a cluster.
 *
 * A process that had opened its scopes notices by their generations that the state was lost. One that starts afterwards finds
 * an empty server and cannot tell: see `ifEmpty`. What an answer promised survives what the server's persistence and
 * replication survive.
 *
 * A question that is not answered in time rejects, and a reservation that is made later all the same is given back. Clients
 * that keep commands while they are not connected only make that take longer (`enableOfflineQueue: false` of ioredis,
 * `disableOfflineQueue: true` of node-redis).
 *
 * @throws {TypeError | RangeError} an option that is none.
 */
export function redisStore(options: RedisStoreOptions): RedisStore {
  checkOptions('redisStore', options, ['client', 'prefix', 'timeoutMs', 'forgetAfter', 'eviction', 'ifEmpty']);
  const { client, prefix = 'default', timeoutMs = 2_000, forgetAfter = DEFAULT_FORGET_AFTER } = options;
  if (typeof client?.evalsha !== 'function' || typeof client.eval !== 'function') {
    throw new TypeError(
      `\`redisStore.client\` must be what fromIoredis() or fromNodeRedis() gives, got ${shown(client)}`,
    );
  }
  return new Redis(
    new Connection(client, checkTimerMs('redisStore.timeoutMs', timeoutMs)),
    new Keys(checkPrefix(prefix)),
    parseDuration('redisStore.forgetAfter', forgetAfter),
    checkOneOf('redisStore.eviction', options.eviction ?? 'check', ['check', 'never']) === 'check',
    checkOneOf('redisStore.ifEmpty', options.ifEmpty ?? 'create', ['create', 'refuse']) === 'refuse',
  );
}

function checkPrefix(prefix: unknown): string {
  if (typeof prefix !== 'string') throw new TypeError(`\`redisStore.prefix\` must be a string, got ${shown(prefix)}`);
  if (!/^[^{}]{1,128}$/u.test(prefix) || !prefix.isWellFormed()) {
    throw new RangeError(`\`redisStore.prefix\` must be 1 to 128 characters without braces, got ${shown(prefix)}`);
  }
  return prefix;
}

class Redis implements RedisStore {
  readonly #connection: Connection;
  readonly #queue: Queue;
  readonly #keys: Keys;
  readonly #shapes = new Shapes();
  readonly #forgetMs: number;
  /** Of each id the last reservation that was not answered: a late answer to an earlier one is no longer of interest. */
  readonly #asked = new Map<string, Item>();
  #checks: boolean;
  readonly #needsMarker: boolean;
  #sweepAt: number;

  constructor(connection: Connection, keys: Keys, forgetMs: number, checks: boolean, needsMarker: boolean) {
    this.#connection = connection;
    this.#queue = new Queue(connection, keys);
    this.#keys = keys;
    this.#forgetMs = forgetMs;
    this.#checks = checks;
    this.#needsMarker = needsMarker;
    this.#sweepAt = performance.now() + forgetMs / SWEEPS;
  }

  async open(scopes: readonly string[], lifetime: Lifetime = 'kept'): Promise<Readonly<Record<string, string>>> {
    const args = [
      this.#checks ? '1' : '0',
      this.#needsMarker ? '1' : '0',
      lifetime === 'temporary' ? String(this.#forgetMs) : '0',
      String(SWEPT_AT_OPEN),
      ...scopes.flatMap((scope) => [scope, crypto.randomUUID()]),
    ];
    const [word, ...generations] = await this.#manage('open', scopes, args);
    if (word !== 'opened') throw new Error(REFUSALS.get(word) ?? UNKNOWN_ANSWER);
    this.#checks = false;
    const tokens: Record<string, string> = Object.create(null);
    for (const [i, scope] of scopes.entries()) tokens[scope] = text(generations[i]);
    return tokens;
  }

  reserve(batch: readonly Reserve[]): Promise<readonly Decision[]> {
    for (const item of batch) checkReserve(item);
    if (batch.length === 0) return Promise.resolve([]);
    this.#sweepInTime();
    const items = batch.map((item) => reserveItem(item, this.#shapes));
    // Under a key that is kept it may be another call's, and spend that has happened stays.
    const own = items.filter((_, i) => {
      const { onto, keepMs, force } = batch[i] as Reserve;
      return onto === undefined && keepMs === undefined && force !== true;
    });
    for (const item of own) this.#askedLast(item);
    let last: readonly Item[] = [];
    return this.#queue.ask(
      items,
      (reply) => {
        const decisions = items.map(({ amounts }) => readDecision(reply, amounts.length));
        last = own.filter((item) => this.#asked.get(item.id) === item);
        for (const { id } of last) this.#asked.delete(id);
        return decisions;
      },
      (late) => this.#giveBack(last.filter((item) => isNew(late[items.indexOf(item)]))),
    );
  }

  /**
   * Time takes a hold on temporary scopes away when they could have been forgotten. Where one of them is used still it would
   * be held for ever, so what a dead process left there is counted as spent before.
   */
  #sweepInTime(): void {
    const now = performance.now();
    if (now < this.#sweepAt) return;
    this.#sweepAt = now + this.#forgetMs / SWEEPS;
    this.sweep(SWEPT_IN_TIME).catch(() => {});
  }

  #askedLast(item: Item): void {
    // Those whose answers were lost must not grow in number for ever.
    const [oldest] = this.#asked.keys();
    if (this.#asked.size >= MAX_ASKED) this.#asked.delete(oldest as string);
    this.#asked.set(item.id, item);
  }

  /** What was held after its caller had been told that it was not, and had not asked again. */
  #giveBack(late: readonly Item[]): void {
    const held = late.map(({ id }) => settleItem({ id, actual: 'void' }));
    if (held.length > 0) this.#queue.ask(held, (reply) => readSettled(reply, held)).catch(() => {});
  }

  settle(batch: readonly Settle[]): Promise<readonly Settled[]> {
    for (const item of batch) checkSettle(item, undefined);
    if (batch.length === 0) return Promise.resolve([]);
    const items = batch.map(settleItem);
    return this.#queue.ask(items, (reply) => readSettled(reply, items));
  }

  async read(scopes: readonly string[]): Promise<Readonly<Record<string, Readonly<Record<string, Reading>>>>> {
    const answer = await this.#manage('read', scopes, scopes);
    const readings: Record<string, Record<string, Reading>> = Object.create(null);
    for (const [i, scope] of scopes.entries()) {
      const [isThere, ...told] = answer[i] as readonly unknown[];
      if (integerOf(isThere) !== 1) continue;
      const meters: Record<string, Reading> = Object.create(null);
      for (let j = 0; j < told.length; j += 3) {
        meters[text(told[j])] = { used: integerOf(told[j + 1]), held: integerOf(told[j + 2]) };
      }
      readings[scope] = meters;
    }
    return readings;
  }

  async sweep(limit: number): Promise<readonly Forfeited[]> {
    checkInteger('limit', limit, 0);
    const forfeited: Forfeited[] = [];
    while (forfeited.length < limit) {
      const most = Math.min(limit - forfeited.length, SWEPT_AT_ONCE);
      const ids = await this.#manage('sweep', [], [String(most)]);
      for (const id of ids) forfeited.push({ id: text(id) });
      if (ids.length < most) break;
    }
    return forfeited;
  }

  async shut(scope: string): Promise<void> {
    await this.#manage('shut', [scope], [scope]);
  }

  async stop(scope: string): Promise<void> {
    await this.#manage('stop', [scope], [scope, crypto.randomUUID()]);
  }

  async resume(scope: string): Promise<void> {
    await this.#manage('resume', [scope], [scope]);
  }

  async initialize(): Promise<void> {
    await this.#manage('initialize', [], []);
  }

  async #manage(what: string, scopes: readonly string[], args: readonly string[]): Promise<readonly unknown[]> {
    for (const scope of scopes) checkText('a scope', scope);
    const { leases, marker } = this.#keys;
    const keys = [...leases, marker, ...scopes.map((scope) => this.#keys.scope(scope))];
    const answer = await this.#connection.ask(MANAGE, keys, [what, ...args]);
    if (!Array.isArray(answer)) throw new Error(UNKNOWN_ANSWER);
    return answer;
  }
}

function isNew(decision: Decision | undefined): boolean {
  return decision?.ok === true && decision.repeat === undefined;
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new Error(UNKNOWN_ANSWER);
  return value;
}

const REFUSALS: ReadonlyMap<unknown, string> = new Map([
  [
    'evicts',
    'This Redis may evict what is counted when its memory is full: set `maxmemory-policy noeviction`, or no `maxmemory`',
  ],
  [
    'unknown',
    "This Redis does not tell whether it evicts keys: allow INFO, or see to `maxmemory-policy noeviction` and set `eviction: 'never'`",
  ],
  ['empty', 'This Redis holds no state of this store: it was lost, or never made with `initialize()`'],
]);
