import { memoryStore } from '../../src/stores/memory.ts';
import type { Store } from '../../src/stores/store.ts';
import { backends } from '../helpers/backends.ts';
import { lateStore } from '../helpers/late-store.ts';
import { SeededRandom } from '../helpers/random.ts';
import { storeWith } from '../helpers/store-around.ts';
import { World } from './world.ts';

export interface Worlds {
  readonly worlds: readonly World[];
  close(): Promise<void>;
}

/** Those that are installed here, each reached in one way. */
const ENGINES = ['SQLite', 'Redis', 'PostgreSQL'];

/**
 * No answer of this store is ever lost, so that it forgets ends soon; here they are lost, and it is asked again. The same for
 * all, keyed ones too: no round is as long, and what is kept does not grow.
 */
export const KEEP_MS = 90_000;

function remembering(store: Store): Store {
  const reserve: Store['reserve'] = (batch) => store.reserve(batch.map((item) => ({ ...item, keepMs: KEEP_MS })));
  return storeWith({ reserve }, store);
}

export async function openWorlds(seed: string, folder: string): Promise<Worlds> {
  const random = (name: string): SeededRandom => new SeededRandom(`${seed} ${name}`);
  const worlds = [
    new World('memory', remembering(memoryStore()), true, random('memory'), folder),
    new World('memory later', lateStore(remembering(memoryStore())), false, random('memory later'), folder),
  ];
  const ends: (() => Promise<void>)[] = [];
  for (const engine of ENGINES) {
    const backend = backends.find((each) => each.engine === engine);
    if (backend === undefined) continue;
    const space = await backend.create();
    const { store, close } = await backend.open(space);
    worlds.push(new World(engine, store, false, random(engine), folder));
    ends.push(async () => {
      await close();
      await backend.destroy(space);
    });
  }
  return {
    worlds,
    close: async () => {
      for (const end of ends) await end();
    },
  };
}
