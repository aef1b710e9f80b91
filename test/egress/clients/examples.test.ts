import { describe, it } from 'vitest';
import { examplesIn, expectPrintsWhatItSays } from '../../helpers/example.ts';

describe.each(examplesIn('clients'))('examples/%s', (example) => {
  it('prints what it says', () => expectPrintsWhatItSays(example));
});
