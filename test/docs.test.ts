import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const examples = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.ts'));
const read = (name: string): string => readFileSync(join(root, 'examples', name), 'utf8');

/** The lines between `// #region <name>` and its end, without their common indent. */
function region(file: string, name: string): string {
  const lines = read(file).split('\n');
  const start = lines.indexOf(`// #region ${name}`);
  const end = lines.indexOf('// #endregion', start);
  if (start === -1 || end === -1) throw new Error(`${file} has no region ${name}`);
  return lines.slice(start + 1, end).join('\n');
}

/** What an example says that it prints. */
function promised(file: string): string[] {
  const [, output] = read(file).split('\n// Output:\n');
  if (output === undefined) throw new Error(`${file} does not say what it prints`);
  return output
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/^\/\/ ?/, ''));
}

/** The Node that an example says it needs: this one, unless it names another. */
function runtimeOf(file: string): string {
  const [, major] = /^\/\/ .*\bNeeds Node (\d+)\.$/m.exec(read(file)) ?? [];
  return major === undefined ? process.execPath : join(root, `node_modules/node-${major}/bin/node`);
}

/** Fences as `[info, code]`. */
const fences = [...readme.matchAll(/^```(\S*)([^\n]*)\n([\s\S]*?)^```$/gm)].map((match) => ({
  language: match[1] as string,
  source: /source="([^"]+)"/.exec(match[2] as string)?.[1],
  code: (match[3] as string).trimEnd(),
}));

describe('README', () => {
  const code = fences.filter(({ language }) => language === 'ts');

  it('shows code', () => {
    expect(code.length).toBeGreaterThan(4);
  });

  it.each(code)('shows code of an example as it is: $source', ({ source, code }) => {
    const [file, name] = (source ?? '').split('#');
    if (file === undefined || name === undefined) throw new Error(`a fence names no source:\n${code}`);
    expect(code).toBe(region(file, name));
  });

  it.each(fences.filter(({ language }) => language === 'text'))(
    'shows output as it is: $source',
    ({ source, code }) => {
      if (source === undefined) throw new Error(`a fence names no source:\n${code}`);
      expect(code).toBe(promised(source).join('\n'));
    },
  );

  it('has its first code within the first forty lines', () => {
    expect(readme.split('\n').findIndex((line) => line.startsWith('```ts'))).toBeLessThan(40);
  });
});

describe('examples', () => {
  it.each(examples)('%s prints what it says', async (file) => {
    const cwd = mkdtempSync(join(tmpdir(), 'leashkit-example-'));
    const { stdout, stderr } = await promisify(execFile)(runtimeOf(file), [join(root, 'examples', file)], { cwd });
    const printed = stdout.trimEnd().split('\n');
    const expected = promised(file);
    expect(stderr).toBe('');
    expect(printed).toHaveLength(expected.length);
    for (const [i, line] of expected.entries()) {
      // An ellipsis stands for what differs from run to run.
      const [before = '', after] = line.split('…');
      if (after === undefined) expect(printed[i]).toBe(line);
      else
        expect(printed[i]?.startsWith(before) && printed[i]?.endsWith(after), `${printed[i]} is not ${line}`).toBe(
          true,
        );
    }
  });

  it('isolated.ts says on an older Node that nothing was started, and what to do', async () => {
    const node = join(root, 'node_modules/node/bin/node');
    const { stdout } = await promisify(execFile)(node, [join(root, 'examples/isolated.ts')]);
    expect(stdout).toMatch(/^isolated\(\) needs Node >= 26, .+ Run the program with Node 26 or later, or .+\n$/);
  });
});
