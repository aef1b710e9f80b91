import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { freshStores } from '../../helpers/backends/backend.ts';
import { backends } from '../../helpers/backends.ts';
import { survivesFaults, type Tally } from '../../helpers/faulty-callers.ts';

const FOR_MS = 8_000;

describe('a bad network between callers and a store, for a while', () => {
  it.each(backends)('is survived by $name', async (backend) => {
    const all: Record<string, number> = {};
    const add = (tally: Tally): void => {
      for (const [what, count] of Object.entries(tally)) all[what] = (all[what] ?? 0) + count;
    };
    const law = survivesFaults((clock) => freshStores(backend, 2, { clock }), add);
    const result = await fc.check(law, {
      numRuns: 100_000,
      interruptAfterTimeLimit: FOR_MS,
      markInterruptAsFailure: false,
    });
    console.log(`${backend.name}: ${result.numRuns} tries, seed ${result.seed}, ${JSON.stringify(all)}`);
    expect(result.failed, fc.defaultReportMessage(result)).toBe(false);
    expect(result.numRuns).toBeGreaterThan(50);
  });
});
