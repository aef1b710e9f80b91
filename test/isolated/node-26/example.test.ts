import { expect, it } from 'vitest';
import { examplesIn, expectPrintsWhatItSays } from '../../helpers/example.ts';

it('examples/untrusted-code.ts prints what it says', async () => {
  expect(examplesIn()).toContain('untrusted-code.ts');
  await expectPrintsWhatItSays('untrusted-code.ts');
});
