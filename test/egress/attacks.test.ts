import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { countReached, judgeLeashed, judgeOpen } from './attacks/judge.ts';
import { ablations, attacks, heldOnlyBy } from './attacks/list.ts';
import { runAttacks } from './attacks/run.ts';

/** Each test is a process that runs the whole list, or what of it the test is about. */
const LIMIT_MS = 180_000;

const library = new URL('../../src/index.ts', import.meta.url).href;
const copies = ['undici-7', 'undici'].map((name) => ({
  name,
  undici: fileURLToPath(import.meta.resolve(name)),
}));

describe('the list of attacks', () => {
  it('has at least 120, each under a name of its own', () => {
    expect(new Set(attacks.map(({ id }) => id)).size).toBe(attacks.length);
    expect(attacks.filter(({ expected }) => expected !== 'answers').length).toBeGreaterThanOrEqual(120);
  });

  it('shows of each that reaches the attacker what holds it', () => {
    const shown = new Set(ablations.flatMap(heldOnlyBy));
    const attacking = attacks.filter(({ control, expected }) => control === 'reaches' && expected !== 'answers');
    const held = attacking.filter(({ expected }) => expected !== 'reaches');
    expect(held.map(({ id }) => id).filter((id) => !shown.has(id))).toEqual([]);
  });
});

describe('without a leash', () => {
  it.each(copies)('the attacks reach the attacker, with $name', { timeout: LIMIT_MS }, async ({ undici }) => {
    const report = await runAttacks({ undici });
    expect(judgeOpen(attacks, report)).toEqual([]);
    expect(countReached(attacks, report)).toBeGreaterThanOrEqual(85);
  });
});

describe('under a leash', () => {
  it('no attack reaches the attacker, without undici from npm', { timeout: LIMIT_MS }, async () => {
    expect(judgeLeashed(attacks, await runAttacks({ library }))).toEqual([]);
  });

  it.each(copies.flatMap((copy) => (['before', 'after'] as const).map((order) => ({ ...copy, order }))))(
    'no attack reaches the attacker, with $name loaded $order it',
    { timeout: LIMIT_MS },
    async ({ undici, order }) => {
      expect(judgeLeashed(attacks, await runAttacks({ library, undici, order }))).toEqual([]);
    },
  );
});

describe('under a leash with a part of it switched off', () => {
  it.each(copies.flatMap((copy) => ablations.map((off) => ({ ...copy, off, parts: off.join(', ') }))))(
    'what only $parts would hold reaches the attacker, with $name',
    { timeout: LIMIT_MS },
    async ({ undici, off }) => {
      const only = heldOnlyBy(off);
      const report = await runAttacks({ library, undici, off, only });
      expect(report.results.map(({ id }) => id)).toEqual(only);
      expect(judgeOpen(attacks, report)).toEqual([]);
    },
  );
});
