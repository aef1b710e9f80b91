import { memoryStore } from '../../src/stores/memory.ts';
import type { Store } from '../../src/stores/store.ts';

/** A memory store whose every answer comes later. */
export function lateStore(store: Store = memoryStore()): Store {
  return {
    open: async (scopes) => store.open(scopes),
    reserve: async (batch) => store.reserve(batch),
    settle: async (batch) => store.settle(batch),
    read: async (scopes) => store.read(scopes),
    sweep: async (limit) => store.sweep(limit),
    shut: async (scope) => store.shut(scope),
  };
}
