import { memoryStore } from '../../src/stores/memory.ts';
import type { Store } from '../../src/stores/store.ts';
import { FakeClock } from './clock.ts';
import { storeThrough } from './store-around.ts';

/**
 * What becomes of a question: it is answered; it gets nowhere; it is done, and the answer lost; nobody ever answers; the
 * answer is none.
 */
export type Fault = 'up' | 'down' | 'deaf' | 'mute' | 'nonsense';

export const FAULTS: readonly Fault[] = ['down', 'deaf', 'mute', 'nonsense'];

/** A memory store behind a line that fails as it is told, at once or later. */
export class FaultyLine {
  readonly clock: FakeClock = new FakeClock();
  readonly memory: Store = memoryStore({ clock: this.clock });
  readonly asked: (keyof Store)[] = [];
  readonly scopes: Set<string> = new Set();
  readonly late: boolean;
  fault: Fault = 'up';

  constructor(late = false) {
    this.late = late;
  }

  readonly store: Store = {
    ...storeThrough((method, action) => this.#send(method, action), this.memory),
    open: (scopes, lifetime) => {
      for (const scope of scopes) this.scopes.add(scope);
      return this.#send('open', () => this.memory.open(scopes, lifetime));
    },
  };

  #send<T>(method: keyof Store, action: () => T | Promise<T>): T | Promise<T> {
    this.asked.push(method);
    const { fault, late } = this;
    if (fault === 'mute') return new Promise(() => {});
    const answer = (): T | Promise<T> => {
      if (fault === 'down') throw new Error('redis://user:secret@db:6379 refused');
      const done = action();
      if (fault === 'deaf') throw new RangeError('connection reset');
      return fault === 'nonsense' ? (null as T) : done;
    };
    return late ? Promise.resolve().then(answer) : answer();
  }

  /** What the store has booked and holds: of every counter that somebody came to, by the unit in front of its name. */
  async counted(): Promise<Record<string, readonly [used: number, held: number]>> {
    const counted: Record<string, readonly [number, number]> = {};
    for (const [scope, meters] of Object.entries(await this.memory.read([...this.scopes]))) {
      for (const [meter, { used, held }] of Object.entries(meters)) {
        counted[`${scope.startsWith('shared:') ? scope : 'own'} ${meter}`] = [used, held];
      }
    }
    return counted;
  }
}
