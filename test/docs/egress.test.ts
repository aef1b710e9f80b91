import { describe, expect, it } from 'vitest';
import { attacks } from '../egress/attacks/list.ts';
import { tableIn, wordsIn } from '../helpers/pages.ts';

const rows = tableIn('src/egress/README.md', '| way out of the process |');
const clients = new Set(attacks.map(({ client }) => client));

describe('the ways out of a process', () => {
  it.each(rows)('has tests of what it says of %s', (_way, _held, shown = '') => {
    for (const name of wordsIn(shown)) expect(clients).toContain(name);
  });

  it('are all in the table', () => {
    const shown = new Set(wordsIn(rows.flat().join(' ')));
    expect([...clients].filter((client) => client !== 'the allowed host' && !shown.has(client))).toEqual([]);
  });
});
