import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryStore } from '../../src/stores/memory.ts';
import { backends } from '../helpers/backends.ts';
import { sameAsMemory } from '../helpers/compared-stores.ts';
import { lateStore } from '../helpers/late-store.ts';
import { alone, expectLaw } from '../helpers/tries.ts';
import { wrongStores } from '../helpers/wrong-stores.ts';

describe('a store compared with the memory store', () => {
  it('is the same when it is one', async () => {
    await fc.assert(sameAsMemory(alone((clock) => lateStore(memoryStore({ clock })))), { numRuns: 300 });
  });

  it.each(wrongStores)('is noticed when it $name', async ({ make }) => {
    const { failed, numRuns } = await fc.check(sameAsMemory(alone(make)), { numRuns: 5_000, endOnFailure: true });
    expect(failed, `${numRuns} tries`).toBe(true);
  });

  it.each(backends)('is the same: $name', async (backend) => {
    await expectLaw(backend, sameAsMemory, { stores: 1, forMs: 1_500, most: 100, least: 2 });
  });
});
