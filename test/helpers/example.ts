import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'vitest';

const directory = join(import.meta.dirname, '../../examples');

/** The examples of a folder that this Node is new enough for, as names below `examples`. */
export function examplesIn(folder = ''): string[] {
  const names = readdirSync(join(directory, folder)).filter(
    (name) => name.endsWith('.ts') && suits(join(folder, name)),
  );
  return names.map((name) => (folder === '' ? name : `${folder}/${name}`));
}

function suits(example: string): boolean {
  const [, major = '0'] = /^\/\/ .*\bNeeds Node (\d+)\.$/m.exec(sourceOf(example)) ?? [];
  return Number.parseInt(process.versions.node, 10) >= Number(major);
}

export function sourceOf(example: string): string {
  return readFileSync(join(directory, example), 'utf8');
}

/** What an example says that it prints. */
export function promisedBy(example: string): string[] {
  const [, output] = sourceOf(example).split('\n// Output:\n');
  if (output === undefined) throw new Error(`${example} does not say what it prints`);
  return output
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/^\/\/ ?/, ''));
}

async function run(example: string): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const cwd = mkdtempSync(join(tmpdir(), 'leashkit-example-'));
  try {
    return await promisify(execFile)(process.execPath, [join(directory, example)], { cwd });
  } finally {
    rmSync(cwd, { recursive: true });
  }
}

/** Runs an example and compares. */
export async function expectPrintsWhatItSays(example: string): Promise<void> {
  const { stdout, stderr } = await run(example);
  const printed = stdout.trimEnd().split('\n');
  const expected = promisedBy(example);
  expect(stderr).toBe('');
  expect(printed).toHaveLength(expected.length);
  for (const [i, line] of expected.entries()) {
    // An ellipsis stands for what differs from run to run.
    const [before = '', after] = line.split('…');
    if (after === undefined) expect(printed[i]).toBe(line);
    else
      expect(printed[i]?.startsWith(before) && printed[i]?.endsWith(after), `${printed[i]} is not ${line}`).toBe(true);
  }
}
