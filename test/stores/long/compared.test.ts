import { describe, it } from 'vitest';
import { durableBackends } from '../../helpers/backends.ts';
import { sameAsMemory } from '../../helpers/compared-stores.ts';
import { expectLaw } from '../../helpers/tries.ts';

describe('a store compared with the memory store, for a while', () => {
  it.each(durableBackends)('is the same: $name', async (backend) => {
    const limits = { stores: 1, forMs: 15_000, most: 100_000, least: 20 };
    const { numRuns, seed } = await expectLaw(backend, sameAsMemory, limits);
    console.log(`${backend.name}: ${numRuns} tries, seed ${seed}`);
  });
});
