import { describe, expect, it } from 'vitest';
import { countReached, judgeLeashed, judgeOpen } from '../attacks/judge.ts';
import { runAttacks } from '../attacks/run.ts';
import { attacks } from './list.ts';

const LIMIT_MS = 60_000;
const list = new URL('list.ts', import.meta.url).href;
/** What is published. */
const library = new URL('../../../dist/index.js', import.meta.url).href;

describe('HTTP clients from npm', () => {
  it('are at least twelve', () => {
    expect(new Set(attacks.map(({ client }) => client)).size).toBeGreaterThanOrEqual(12);
  });

  it('reach whatever they are asked for without a leash', { timeout: LIMIT_MS }, async () => {
    const report = await runAttacks({ list });
    expect(judgeOpen(attacks, report)).toEqual([]);
    expect(countReached(attacks, report)).toBe(attacks.filter(({ expected }) => expected !== 'answers').length);
  });

  it.each([
    { order: 'after', listFirst: false },
    { order: 'before', listFirst: true },
  ])(
    'are held under a leash that they know nothing of, loaded $order it',
    { timeout: LIMIT_MS },
    async ({ listFirst }) => {
      expect(judgeLeashed(attacks, await runAttacks({ list, library, listFirst }))).toEqual([]);
    },
  );
});
