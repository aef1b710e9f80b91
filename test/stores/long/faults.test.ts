import { describe, it } from 'vitest';
import { durableBackends } from '../../helpers/backends.ts';
import { survivesFaults, type Tally } from '../../helpers/faulty-callers.ts';
import { expectLaw } from '../../helpers/tries.ts';

describe('a bad network between callers and a store, for a while', () => {
  it.each(durableBackends)('is survived by $name', async (backend) => {
    const all: Record<string, number> = {};
    const add = (tally: Tally): void => {
      for (const [what, count] of Object.entries(tally)) all[what] = (all[what] ?? 0) + count;
    };
    const limits = { stores: 2, forMs: 8_000, most: 100_000, least: 20 };
    const { numRuns, seed } = await expectLaw(backend, (fresh) => survivesFaults(fresh, add), limits);
    console.log(`${backend.name}: ${numRuns} tries, seed ${seed}, ${JSON.stringify(all)}`);
  });
});
