import { memoryStore } from '../../src/stores/memory.ts';
import { backends } from '../helpers/backends.ts';
import { lateStore } from '../helpers/late-store.ts';
import type { SeededRandom } from '../helpers/random.ts';
import { SeededRandom as Seeded } from '../helpers/random.ts';
import { World } from './world.ts';

export interface Worlds {
  readonly worlds: readonly World[];
  close(): Promise<void>;
}

/** Those that are installed here, each reached in one way. */
const ENGINES = ['SQLite', 'Redis', 'PostgreSQL'];

export async function openWorlds(seed: string, folder: string): Promise<Worlds> {
  const random = (name: string): SeededRandom => new Seeded(`${seed} ${name}`);
  const worlds = [
    new World('memory', memoryStore(), true, random('memory'), folder),
    new World('memory later', lateStore(), false, random('memory later'), folder),
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
