import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { judgeOpen } from './attacks/judge.ts';
import { ablations, attacks, concernsUndici, heldOnlyBy, idsOf } from './attacks/list.ts';
import { runAttacks } from './attacks/run.ts';

const library = new URL('../../src/index.ts', import.meta.url).href;
const [undici7, undici8] = ['undici-7', 'undici'].map((name) => fileURLToPath(import.meta.resolve(name)));

const sets = ablations.map((off) => ({ off, parts: off.join(', '), only: heldOnlyBy(off) }));
const withUndici7 = sets
  .map((set) => ({ ...set, only: set.only.filter(concernsUndici) }))
  .filter(({ only }) => only.length > 0);

it.each([
  ...sets.map((set) => ({ ...set, name: 'undici 8', undici: undici8 })),
  ...withUndici7.map((set) => ({ ...set, name: 'undici 7', undici: undici7 })),
])('what only $parts would hold reaches the attacker with that off, with $name', { timeout: 180_000 }, async (set) => {
  const only = idsOf(set.only);
  const report = await runAttacks({ library, undici: set.undici, off: set.off, only });
  expect(report.results.map(({ id }) => id)).toEqual(only);
  expect(judgeOpen(attacks, report)).toEqual([]);
});
