import fc from 'fast-check';
import type { Store } from '../../src/stores/store.ts';
import { type Send, storeThrough } from './store-around.ts';

/**
 * What becomes of one question. `slow`: nobody knows whether the asker or its patience is first. Every question and every
 * answer is under way for a while, in which others overtake it.
 */
export type Fault = 'none' | 'slow' | 'request lost' | 'reply lost' | 'twice';

const FAULTS: readonly Fault[] = ['slow', 'request lost', 'reply lost', 'twice'];

export const faults: fc.Arbitrary<readonly Fault[]> = fc.array(
  fc.oneof({ weight: 3, arbitrary: fc.constant<Fault>('none') }, { weight: 2, arbitrary: fc.constantFrom(...FAULTS) }),
  { maxLength: 60, size: 'max' },
);

/** A network between callers and stores, in which everything happens in the order of the scheduler. */
export class FaultyWire {
  readonly tried: Record<Fault, number> = { none: 0, slow: 0, 'request lost': 0, 'reply lost': 0, twice: 0 };
  readonly #scheduler: fc.Scheduler;
  readonly #faults: Fault[];
  readonly #arrived = new Set<Promise<unknown>>();

  constructor(scheduler: fc.Scheduler, faults: readonly Fault[]) {
    this.#scheduler = scheduler;
    this.#faults = [...faults];
  }

  /** The store at the other end. A caller that waits for too long is rejected. */
  to(store: Store): Store {
    return storeThrough(this.#send, store);
  }

  readonly #send: Send = (method, action) => {
    const fault = this.#faults.shift() ?? 'none';
    this.tried[fault]++;
    return new Promise((resolve, reject) => {
      if (fault !== 'none' && fault !== 'twice') {
        void this.#moment(`${method} takes too long`).then(() => reject(new Error(`${method} took too long`)));
      }
      if (fault === 'request lost') return;
      for (let copy = 0; copy < (fault === 'twice' ? 2 : 1); copy++) {
        void this.#moment(`${method} arrives`).then(async () => {
          const answer = Promise.resolve(action());
          this.#arrived.add(answer);
          const done = (): unknown => this.#arrived.delete(answer);
          answer.then(done, done);
          const settled = await answer.then(
            (value) => () => resolve(value),
            (error) => () => reject(error),
          );
          if (fault === 'reply lost') return;
          await this.#moment(`${method} is answered`);
          settled();
        });
      }
    });
  };

  #moment(label: string): Promise<void> {
    return this.#scheduler.schedule(Promise.resolve(), label);
  }

  /** Nothing else happens before what has arrived is done: a store's own pace decides nothing. */
  async quiet(): Promise<void> {
    do {
      await Promise.allSettled(this.#arrived);
      await new Promise(setImmediate);
    } while (this.#arrived.size > 0);
  }
}
