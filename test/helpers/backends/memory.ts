import type { Clock } from '../../../src/internal/clock.ts';
import { memoryStore } from '../../../src/stores/memory.ts';
import type { Reserve, Store } from '../../../src/stores/store.ts';
import { SwitchedClock } from '../clock.ts';
import { connectStore, type ServedStore, serveStore } from '../served-store.ts';
import { storeWith } from '../store-around.ts';
import type { Backend } from './backend.ts';

const serving = new Map<string, ServedStore & { readonly clock: SwitchedClock }>();

/** A store of this process, which others reach by a port. */
export function servedBackend(make: (clock: Clock) => Store): Backend {
  return {
    name: 'memory',
    engine: 'memory',
    missing: undefined,
    create: async () => {
      const clock: SwitchedClock = new SwitchedClock();
      const served = await serveStore(make(clock));
      serving.set(String(served.port), { ...served, clock });
      return { backend: 'memory', name: String(served.port) };
    },
    open: async ({ name }, { clock, through } = {}) => {
      const served = serving.get(name);
      if (clock !== undefined && served !== undefined) served.clock.by = clock;
      return connectStore(through?.port ?? Number(name), through?.timeoutMs);
    },
    destroy: async ({ name }) => {
      await serving.get(name)?.close();
      serving.delete(name);
    },
    port: ({ name }) => Number(name),
  };
}

/** Ends are remembered for as long as other stores do by themselves. */
function kept(item: Reserve): Reserve {
  return { ...item, keepMs: item.keepMs ?? 300_000 };
}

/** What is right here must not be found wrong. */
export const memory: Backend = servedBackend((clock) => {
  const store = memoryStore({ clock });
  return storeWith({ reserve: (batch) => store.reserve(batch.map(kept)) }, store);
});
