import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryStore } from '../../src/stores/memory.ts';
import type { Store } from '../../src/stores/store.ts';
import { backends } from '../helpers/backends.ts';
import { survivesFaults } from '../helpers/faulty-callers.ts';
import { alone, expectLaw } from '../helpers/tries.ts';
import { wrongStores } from '../helpers/wrong-stores.ts';

describe('a bad network between callers and a store', () => {
  it('makes nobody spend more than the cap, and leaks nothing after the lease', async () => {
    await fc.assert(survivesFaults(alone((clock) => memoryStore({ clock }))), { numRuns: 500 });
  });

  it.each([
    'books a repeat again',
    'has forgotten what came before it was asked for',
    'counts a void as spent',
    'gives back what it sweeps',
    'sweeps at the end of the world',
    'lets the last settle win',
    'books a unit too little',
  ])('shows a store that %s', async (name) => {
    const wrong = wrongStores.find((each) => each.name === name);
    const law = survivesFaults(alone((clock) => wrong?.make(clock) as Store));
    const { failed } = await fc.check(law, { numRuns: 2_000, endOnFailure: true });
    expect(failed).toBe(true);
  });

  it.each(backends)('is survived by $name', async (backend) => {
    await expectLaw(backend, survivesFaults, { stores: 2, forMs: 1_500, most: 50, least: 2 });
  });
});
