import { isBusy } from './connection.ts';
import type { Database } from './database.ts';
import type { Transaction } from './transaction.ts';

/** What a caller asks for, with all the items that it has. */
export interface Question<T> {
  readonly size: number;
  /** Throws a TypeError or RangeError at misuse, which refuses this question alone; changes nothing. */
  check(transaction: Transaction): void;
  answer(transaction: Transaction): T;
}

interface Waiting {
  readonly question: Question<unknown>;
  readonly resolve: (answer: never) => void;
  readonly reject: (error: unknown) => void;
  readonly askedAt: number;
}

/** How many items one transaction decides, so that other processes have their turn. */
const GROUP = 64;
/** While somebody else has the lock: the longest step until it is tried again. */
const RETRY_MS = 5;

/**
 * Answers questions in the order in which they came, those of one turn of the event loop in one transaction. An answer is
 * given when it is committed; where that fails, every question of the transaction fails.
 */
export class GroupCommit {
  readonly #database: Database;
  readonly #busyTimeoutMs: number;
  #waiting: Waiting[] = [];
  #scheduled = false;
  #closed: Promise<void> | undefined;
  #whenIdle: (() => void) | undefined;

  constructor(database: Database, busyTimeoutMs: number) {
    this.#database = database;
    this.#busyTimeoutMs = busyTimeoutMs;
  }

  ask<T>(question: Question<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) throw new Error('the store was closed');
      this.#waiting.push({ question, resolve, reject, askedAt: performance.now() });
      this.#schedule();
    });
  }

  /** Answers what was asked, and no more. */
  close(): Promise<void> {
    this.#closed ??= this.#idle().then(() => this.#database.close());
    return this.#closed;
  }

  #idle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#scheduled) this.#whenIdle = resolve;
      else resolve();
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    const busy = this.#answerSome();
    if (busy !== undefined) this.#giveUpOn(busy);
    if (this.#waiting.length === 0) {
      this.#scheduled = false;
      this.#whenIdle?.();
    } else if (busy === undefined) setImmediate(() => this.#turn());
    else setTimeout(() => this.#turn(), Math.random() * RETRY_MS);
  }

  /** Answers the first questions. Somebody else has the lock: why, and nothing was done. */
  #answerSome(): unknown {
    let transaction: Transaction;
    try {
      transaction = this.#database.begin();
    } catch (error) {
      if (isBusy(error)) return error;
      this.#database.abandon();
      this.#reject(this.#waiting.splice(0), error);
      return undefined;
    }
    const group = this.#takeGroup();
    try {
      const answers = group.map((waiting) => answerTo(waiting, transaction));
      this.#database.commit(transaction);
      for (const give of answers) give();
    } catch (error) {
      this.#database.abandon();
      this.#reject(group, error);
    }
    return undefined;
  }

  #takeGroup(): readonly Waiting[] {
    let items = 0;
    let count = 0;
    for (const { question } of this.#waiting) {
      items += question.size;
      if (items > GROUP && count > 0) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  /** Rejects what has waited for too long. */
  #giveUpOn(busy: unknown): void {
    const now = performance.now();
    const first = this.#waiting.findIndex(({ askedAt }) => now - askedAt < this.#busyTimeoutMs);
    const given = this.#waiting.splice(0, first === -1 ? this.#waiting.length : first);
    const message = `another connection had the database of the store locked for ${this.#busyTimeoutMs} ms`;
    this.#reject(given, Object.assign(new Error(message, { cause: busy }), { code: 'SQLITE_BUSY' }));
  }

  #reject(all: readonly Waiting[], error: unknown): void {
    for (const { reject } of all) reject(error);
  }
}

/** What to do for one who asked, once all is committed. */
function answerTo({ question, resolve, reject }: Waiting, transaction: Transaction): () => void {
  try {
    question.check(transaction);
  } catch (error) {
    // After any other error SQLite may have ended the transaction already.
    if (error instanceof TypeError || error instanceof RangeError) return () => reject(error);
    throw error;
  }
  const answer = question.answer(transaction) as never;
  return () => resolve(answer);
}
