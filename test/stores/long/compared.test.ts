import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { freshStores } from '../../helpers/backends/backend.ts';
import { backends } from '../../helpers/backends.ts';
import { sameAsMemory } from '../../helpers/compared-stores.ts';

const FOR_MS = 15_000;

describe('a store compared with the memory store, for a while', () => {
  it.each(backends)('is the same: $name', async (backend) => {
    const law = sameAsMemory((clock) => freshStores(backend, 1, { clock }));
    const result = await fc.check(law, {
      numRuns: 100_000,
      interruptAfterTimeLimit: FOR_MS,
      markInterruptAsFailure: false,
    });
    console.log(`${backend.name}: ${result.numRuns} tries, seed ${result.seed}`);
    expect(result.failed, fc.defaultReportMessage(result)).toBe(false);
    expect(result.numRuns).toBeGreaterThan(100);
  });
});
