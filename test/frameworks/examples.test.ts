import { describe, expect, it } from 'vitest';
import { examplesIn, expectPrintsWhatItSays, sourceOf } from '../helpers/example.ts';

describe('examples of frameworks', () => {
  const examples = examplesIn('frameworks');

  it('are short enough to be read: 80 lines', () => {
    for (const example of examples) expect(sourceOf(example).split('\n').length, example).toBeLessThanOrEqual(80);
  });

  it('print what they say', async () => {
    for (const example of examples) await expectPrintsWhatItSays(example);
  });
});
