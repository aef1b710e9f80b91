import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';

describe('under node:test', () => {
  let output = '';
  let status: number | null = null;

  beforeAll(() => {
    const file = join(import.meta.dirname, 'under-node-test.ts');
    const args = ['--test', '--test-reporter=spec', file];
    // A runner inside a runner would report to it.
    const { NODE_TEST_CONTEXT: _, FORCE_COLOR: __, ...env } = process.env;
    ({ stdout: output, status } = spawnSync(process.execPath, args, { encoding: 'utf8', env }));
  });

  it('passes what should, and fails what should', () => {
    expect(output).toMatch(/✔ an agent in a loop is stopped/);
    expect(output).toMatch(/ℹ pass 1\nℹ fail 3\n/);
    expect(status).toBe(1);
  });

  it.each([
    `AssertionError [ERR_ASSERTION]: expected BUDGET_EXCEEDED, but the call ran and gave 'a'`,
    'AssertionError [ERR_ASSERTION]: expected CALL_CAP_REACHED of tool "pay", but it was CALL_CAP_REACHED of tool "search" by guard "call-cap" (exhausted): Tool "search" was refused',
    'AssertionError [ERR_ASSERTION]: expected CALL_CAP_REACHED of tool "search", got none.',
    '1 tool_start     search',
  ])('says %s', (text) => {
    expect(output).toContain(text);
  });

  it('points at the line of the test, and not at what it calls', () => {
    expect(output).not.toContain('src/testing/');
    expect(output.match(/under-node-test\.ts:\d+:\d+\)/g)?.length).toBeGreaterThanOrEqual(3);
  });
});
