import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryStore } from '../../src/stores/memory.ts';
import { freshStores } from '../helpers/backends/backend.ts';
import { backends } from '../helpers/backends.ts';
import { sameAsMemory } from '../helpers/compared-stores.ts';
import { lateStore } from '../helpers/late-store.ts';
import { wrongStores } from '../helpers/wrong-stores.ts';

describe('a store compared with the memory store', () => {
  it('is the same when it is one', async () => {
    const law = sameAsMemory((clock) => ({ stores: [lateStore(memoryStore({ clock }))], close() {} }));
    await fc.assert(law, { numRuns: 300 });
  });

  it.each(wrongStores)('is noticed when it $name', async ({ make }) => {
    const { failed, numRuns } = await fc.check(
      sameAsMemory((clock) => ({ stores: [make(clock)], close() {} })),
      { numRuns: 5_000, endOnFailure: true },
    );
    expect(failed, `${numRuns} tries`).toBe(true);
  });

  it.each(backends)('is the same: $name', async (backend) => {
    const law = sameAsMemory((clock) => freshStores(backend, 1, { clock }));
    await fc.assert(law, { numRuns: 60 });
  });
});
