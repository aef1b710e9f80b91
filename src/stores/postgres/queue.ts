import { type Database, strange } from './database.ts';
import { type Batch, decideRequest, type Keep } from './request.ts';

/** One question is of about this many items; what one caller asks together is never divided. */
const MAX_ITEMS = 64;
/** What is asked while so many questions are under way goes together once one of them is answered. */
const MAX_IN_FLIGHT = 4;

/** What one caller asks together. */
interface Call {
  readonly batch: Batch;
  readonly size: number;
  readonly resolve: (answers: readonly unknown[]) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
  waits: boolean;
}

/** Makes one question of what is asked in the same tick, or while other questions are under way. */
export class Queue {
  readonly #database: Database;
  readonly #keep: Keep;
  readonly #waiting = new Set<Call>();
  readonly #inFlight = new Set<readonly Call[]>();
  #isScheduled = false;

  constructor(database: Database, keep: Keep) {
    this.#database = database;
    this.#keep = keep;
  }

  /** An answer for each item, in their order. @throws {Error} as `Database` does. */
  ask(batch: Batch): Promise<readonly unknown[]> {
    const size = 'settle' in batch ? batch.settle.length : batch.reserve.length;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#giveUp(call), this.#database.timeoutMs);
      const call: Call = { batch, size, resolve, reject, timer, waits: true };
      this.#waiting.add(call);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      while (this.#waiting.size > 0 && this.#inFlight.size < MAX_IN_FLIGHT) void this.#send(this.#next());
    });
  }

  #next(): readonly Call[] {
    const calls: Call[] = [];
    let items = 0;
    for (const call of this.#waiting) {
      if (items > 0 && items + call.size > MAX_ITEMS) break;
      this.#waiting.delete(call);
      calls.push(call);
      items += call.size;
    }
    return calls;
  }

  async #send(calls: readonly Call[]): Promise<void> {
    this.#inFlight.add(calls);
    try {
      const request = decideRequest(
        calls.map(({ batch }) => batch),
        this.#keep,
      );
      const waits = (): boolean => calls.some((call) => call.waits);
      const answers = await this.#database.attempt('decide', request, waits);
      const items = calls.reduce((sum, { size }) => sum + size, 0);
      if (!Array.isArray(answers) || answers.length !== items) throw strange();
      let first = 0;
      for (const { size, resolve } of calls) {
        resolve(answers.slice(first, first + size));
        first += size;
      }
    } catch (error) {
      for (const { reject } of calls) reject(error);
    } finally {
      for (const { timer } of calls) clearTimeout(timer);
      this.#inFlight.delete(calls);
      this.#schedule();
    }
  }

  /** What nobody waits for any more is in nobody's way. */
  #giveUp(call: Call): void {
    call.waits = false;
    call.reject(this.#database.late());
    this.#waiting.delete(call);
    for (const calls of this.#inFlight) if (calls.every(({ waits }) => !waits)) this.#inFlight.delete(calls);
    this.#schedule();
  }
}
