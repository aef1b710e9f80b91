import { expect, it } from 'vitest';
import { examplesIn, expectPrintsWhatItSays } from '../../helpers/example.ts';

it('examples/isolated.ts prints what it says', async () => {
  expect(examplesIn()).toContain('isolated.ts');
  await expectPrintsWhatItSays('isolated.ts');
});
