import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { countReached, judgeLeashed, judgeOpen } from './attacks/judge.ts';
import { ablations, attacks, concernsUndici, heldOnlyBy, idsOf } from './attacks/list.ts';
import { runAttacks } from './attacks/run.ts';

/** Each test is a process that runs the whole list, or what of it the test is about; `egress/matrix` runs all everywhere. */
const LIMIT_MS = 180_000;

const library = new URL('../../src/index.ts', import.meta.url).href;
const [undici7, undici8] = ['undici-7', 'undici'].map((name) => fileURLToPath(import.meta.resolve(name)));

const ofUndici = idsOf(attacks.filter(concernsUndici));

describe('the list of attacks', () => {
  it('has at least 120, each under a name of its own', () => {
    expect(new Set(idsOf(attacks)).size).toBe(attacks.length);
    expect(attacks.filter(({ expected }) => expected !== 'answers').length).toBeGreaterThanOrEqual(120);
  });

  it('shows of each that reaches the attacker what holds it', () => {
    const shown = new Set(ablations.flatMap(heldOnlyBy));
    const attacking = attacks.filter(({ control, expected }) => control === 'reaches' && expected !== 'answers');
    const held = attacking.filter(({ expected }) => expected !== 'reaches');
    expect(idsOf(held.filter((attack) => !shown.has(attack)))).toEqual([]);
  });
});

describe('without a leash', () => {
  it.each([
    { name: 'undici 8', undici: undici8, only: undefined, least: 400 },
    { name: 'undici 7', undici: undici7, only: ofUndici, least: 200 },
  ])('the attacks reach the attacker, with $name', { timeout: LIMIT_MS }, async ({ undici, only, least }) => {
    const report = await runAttacks({ undici, only });
    expect(judgeOpen(attacks, report)).toEqual([]);
    expect(countReached(attacks, report)).toBeGreaterThanOrEqual(least);
  });
});

describe('under a leash', () => {
  it.each([
    { name: 'without undici from npm' },
    { name: 'with undici 8 loaded before it', undici: undici8, order: 'before' as const },
    { name: 'with undici 8 loaded after it', undici: undici8, order: 'after' as const, only: ofUndici },
    { name: 'with undici 7 loaded before it', undici: undici7, order: 'before' as const, only: ofUndici },
    { name: 'with undici 7 loaded after it', undici: undici7, order: 'after' as const, only: ofUndici },
  ])('no attack reaches the attacker, $name', { timeout: LIMIT_MS }, async ({ name, ...options }) => {
    const report = await runAttacks({ library, ...options });
    expect(judgeLeashed(attacks, report)).toEqual([]);
    expect(report.results.length).toBeGreaterThan(200);
  });
});
