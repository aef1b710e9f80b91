import { memoryStore } from '../../src/stores/memory.ts';
import type { Store } from '../../src/stores/store.ts';
import { storeThrough } from './store-around.ts';

/** A memory store whose every answer comes later. */
export function lateStore(store: Store = memoryStore()): Store {
  return storeThrough(async (_, action) => action(), store);
}
