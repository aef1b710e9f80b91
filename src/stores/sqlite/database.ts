import type { Clock } from '../../internal/clock.ts';
import { shown } from '../../internal/options.ts';
import { Connection, type Synchronous } from './connection.ts';
import { Transaction } from './transaction.ts';

/** How much of what is over one transaction deletes: more than one can add. */
const FORGOTTEN_HOLDS = 128;
const FORGOTTEN_SCOPES = 16;
/** How often it looks for that, in ms, while it finds nothing. */
const FORGET_EVERY_MS = 250;

/** The database at a path: connected when it is needed, and anew after a failure. */
export class Database {
  readonly #path: string;
  readonly #synchronous: Synchronous;
  readonly #clock: Pick<Clock, 'wall'>;
  #connection: Connection | undefined;
  #forgotAllAt = Number.NEGATIVE_INFINITY;

  constructor(path: string, synchronous: Synchronous, clock: Pick<Clock, 'wall'>) {
    this.#path = path;
    this.#synchronous = synchronous;
    this.#clock = clock;
  }

  /** @throws what `Connection` throws; after anything but busy it must be abandoned. */
  begin(): Transaction {
    this.#connection ??= new Connection(this.#path, this.#synchronous);
    this.#connection.begin();
    return new Transaction(this.#connection.statements, this.#time());
  }

  #time(): number {
    const time = Math.floor(this.#clock.wall());
    if (Number.isSafeInteger(time) && time >= 0) return time;
    throw new RangeError(`the clock of the store must tell epoch ms, got ${shown(time)}`);
  }

  commit({ rows, time }: Transaction): void {
    rows.flush();
    // Either way: the clock may have been set back.
    if (Math.abs(time - this.#forgotAllAt) >= FORGET_EVERY_MS) {
      if (rows.forget(FORGOTTEN_HOLDS, FORGOTTEN_SCOPES)) this.#forgotAllAt = time;
    }
    this.#connection?.commit();
  }

  /** Undoes what was begun. What a connection is good for after a failure is not known: the next one is a new one. */
  abandon(): void {
    try {
      this.close();
    } catch {
      // It is gone all the same.
    }
  }

  close(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.close();
  }
}
