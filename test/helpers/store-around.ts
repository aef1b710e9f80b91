import { memoryStore } from '../../src/stores/memory.ts';
import type { Store } from '../../src/stores/store.ts';

/** How a question gets to a store and its answer comes back. */
export type Send = <T>(method: keyof Store, action: () => T | Promise<T>) => T | Promise<T>;

/** A store that is reached through `send`. */
export function storeThrough(send: Send, store: Store = memoryStore()): Store {
  return {
    open: (...args) => send('open', () => store.open(...args)),
    reserve: (...args) => send('reserve', () => store.reserve(...args)),
    settle: (...args) => send('settle', () => store.settle(...args)),
    read: (...args) => send('read', () => store.read(...args)),
    sweep: (...args) => send('sweep', () => store.sweep(...args)),
    shut: (...args) => send('shut', () => store.shut(...args)),
    stop: (...args) => send('stop', () => store.stop(...args)),
    resume: (...args) => send('resume', () => store.resume(...args)),
  };
}

/** A store with some of its methods replaced. */
export function storeWith(parts: Partial<Store>, store: Store = memoryStore()): Store {
  return { ...storeThrough((_, action) => action(), store), ...parts };
}

/** A store that is asked one thing at a time, whatever its callers do. */
export function inTurn(store: Store): Store {
  let last: Promise<unknown> = Promise.resolve();
  const send = <T>(_: keyof Store, action: () => T | Promise<T>): Promise<T> => {
    const answer = last.then(action);
    last = answer.catch(() => undefined);
    return answer;
  };
  return storeThrough(send, store);
}
