import { isPromiseLike, type MaybePromise } from '../internal/maybe-promise.ts';
import { type Amounts, addAmounts, NO_AMOUNTS } from './allowance.ts';

/** What the store has yet to be told. */
export interface Untold {
  /** What was spent and the store does not count; undefined where only room would be lost. */
  readonly unbooked: Amounts | undefined;
  /** Tries again. Never throws or rejects. @returns whether nothing is left to be told. */
  attempt(): MaybePromise<boolean>;
}

const RETRY_MS = 5_000;
/** Of what only gives room back: the lease does it too. */
const MAX_ROOM_ONLY = 1_000;

/**
 * What a store that failed has not been told: it is told when somebody asks the store something, every five seconds, and at
 * the close. One after the other, until one fails, which then waits behind all others.
 */
export class Backlog {
  readonly #untold = new Set<Untold>();
  /** What the store is being told for the first time, and may yet come here. */
  readonly #underWay = new Set<PromiseLike<unknown>>();
  #roomOnly = 0;
  #flushing: Promise<void> | undefined;
  #busy = false;
  #timer: NodeJS.Timeout | undefined;
  /** Spent, and never to be booked: the store no longer knows where. */
  #lost: Amounts = NO_AMOUNTS;

  get size(): number {
    return this.#untold.size;
  }

  /** Whether there is nothing for `drain` to do. */
  get isDone(): boolean {
    return this.#untold.size + this.#underWay.size === 0;
  }

  /** Whether something of it stands for what was spent. */
  get owes(): boolean {
    return this.#untold.size > this.#roomOnly || this.#lost !== NO_AMOUNTS;
  }

  get unbooked(): Amounts {
    let sum = this.#lost;
    for (const { unbooked } of this.#untold) if (unbooked !== undefined) sum = addAmounts(sum, unbooked);
    return sum;
  }

  keep(untold: Untold): void {
    if (untold.unbooked === undefined && this.#roomOnly >= MAX_ROOM_ONLY) return;
    if (untold.unbooked === undefined) this.#roomOnly++;
    this.#untold.add(untold);
    this.#schedule();
  }

  lose(amounts: Amounts): void {
    if (amounts.usd + amounts.sat + amounts.call > 0) this.#lost = addAmounts(this.#lost, amounts);
  }

  /** Lets `drain` wait for what nobody else waits for. */
  track(telling: MaybePromise<unknown>): void {
    if (!isPromiseLike(telling)) return;
    const told = (): unknown => this.#underWay.delete(telling);
    this.#underWay.add(telling);
    telling.then(told, told);
  }

  /** Tells what it can. */
  flush(): MaybePromise<void> {
    return this.#busy ? this.#flushing : this.#begin(false);
  }

  /** Tries everything once more, whatever fails. */
  async drain(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    while (this.#flushing !== undefined) await this.#flushing;
    await this.#begin(true);
  }

  #begin(all: boolean): MaybePromise<void> {
    this.#busy = true;
    const flushed = this.#tell(this.#untold.size, all);
    if (!isPromiseLike(flushed)) return this.#end();
    this.#flushing = flushed.then(() => this.#end());
    return this.#flushing;
  }

  #end(): void {
    this.#busy = false;
    this.#flushing = undefined;
    this.#schedule();
  }

  #tell(count: number, all: boolean): MaybePromise<void> {
    for (let left = count; left > 0; left--) {
      const [first] = this.#untold;
      if (first === undefined) return undefined;
      const done = first.attempt();
      if (isPromiseLike(done)) {
        return done.then((is) => (this.#told(first, is) || all ? this.#tell(left - 1, all) : undefined));
      }
      if (!this.#told(first, done) && !all) return undefined;
    }
    return undefined;
  }

  #told(untold: Untold, done: boolean): boolean {
    if (this.#untold.delete(untold)) {
      if (!done) this.#untold.add(untold);
      else if (untold.unbooked === undefined) this.#roomOnly--;
    }
    return done;
  }

  #schedule(): void {
    if (this.#untold.size === 0 || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.flush();
    }, RETRY_MS);
    this.#timer.unref();
  }
}
