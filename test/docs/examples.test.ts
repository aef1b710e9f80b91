import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { examplesAnywhere, examplesIn, expectPrintsWhatItSays, promisedBy, sourceOf } from '../helpers/example.ts';
import { linksIn, tableIn, wordsIn } from '../helpers/pages.ts';

const root = join(import.meta.dirname, '../..');

describe('examples', () => {
  it.each(examplesAnywhere())('%s is short enough to be read: 80 lines', (file) => {
    expect(sourceOf(file).trimEnd().split('\n').length).toBeLessThanOrEqual(80);
  });

  // Those of frameworks, clients and Node 26 run where these are installed.
  it.each(examplesIn())('%s prints what it says', (file) => expectPrintsWhatItSays(file));

  it('untrusted-code.ts says on an older Node that nothing was started, and what to do', async () => {
    const node = join(root, 'node_modules/node/bin/node');
    const { stdout } = await promisify(execFile)(node, [join(root, 'examples/untrusted-code.ts')]);
    expect(stdout).toMatch(/^isolated\(\) needs Node >= 26, .+ Run the program with Node 26 or later, or .+\n$/);
  });
});

describe('the gallery', () => {
  const rows = ['| the problem |', '| the framework |'].flatMap((head) => tableIn('examples/README.md', head));

  it.each(rows)('says what the example of %s prints', (_problem, link = '', printed = '') => {
    const [, file = ''] = /\(([^)]+)\)/.exec(link) ?? [];
    expect(promisedBy(file)).toContain(wordsIn(printed)[0]);
  });

  it('has every example', () => {
    const shown = new Set(linksIn('examples/README.md').map(({ path }) => path));
    const printing = examplesAnywhere().filter((file) => sourceOf(file).includes('\n// Output:\n'));
    expect(printing.filter((file) => !shown.has(join('examples', file)))).toEqual([]);
  });
});
