import { describe, expect, it } from 'vitest';
import { examplesIn, expectPrintsWhatItSays, sourceOf } from '../../helpers/example.ts';

describe.each(examplesIn('clients'))('examples/%s', (example) => {
  it('is short enough to be read: 80 lines', () => {
    expect(sourceOf(example).trimEnd().split('\n').length).toBeLessThanOrEqual(80);
  });

  it('prints what it says', () => expectPrintsWhatItSays(example));
});
