import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { attacks } from './egress/attacks/list.ts';
import { examplesAnywhere, examplesIn, expectPrintsWhatItSays, promisedBy, sourceOf } from './helpers/example.ts';
import { renderNames } from './helpers/names.ts';

const root = join(import.meta.dirname, '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');

/** As GitHub makes anchors of headings. */
function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\- ]/gu, '')
    .replaceAll(' ', '-');
}

/** The lines between `// #region <name>` and its end, without their common indent. */
function region(file: string, name: string): string {
  const lines = sourceOf(file).split('\n');
  const start = lines.indexOf(`// #region ${name}`);
  const end = lines.indexOf('// #endregion', start);
  if (start === -1 || end === -1) throw new Error(`${file} has no region ${name}`);
  return lines.slice(start + 1, end).join('\n');
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
      expect(code).toBe(promisedBy(source).join('\n'));
    },
  );

  it('leads somewhere with every link', () => {
    const headings = [...readme.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => anchorOf(title));
    const links = [...readme.matchAll(/\]\((?!https:)([^)\s]+)\)/g)].map(([, target = '']) => target);
    expect(links.length).toBeGreaterThan(40);
    const dead = links.filter((target) =>
      target.startsWith('#') ? !headings.includes(target.slice(1)) : !existsSync(join(root, target)),
    );
    expect(dead).toEqual([]);
  });

  it('has its first code within the first forty lines', () => {
    expect(readme.split('\n').findIndex((line) => line.startsWith('```ts'))).toBeLessThan(40);
  });
});

describe('the list of names', () => {
  const [, list = ''] = /<!-- npm run names -->\n\n([\s\S]*)\n<!-- end of the names -->/.exec(readme) ?? [];

  it('is what `npm run names` writes', () => {
    expect(list).toBe(renderNames());
  });

  it('has a line of every value that can be imported, and of no other', async () => {
    const folds = list.split('<details>').slice(1);
    const named = folds.map((fold) => {
      const [values = ''] = fold.split('| type | |');
      return [
        /<code>(.+)<\/code>/.exec(fold)?.[1] ?? '',
        [...values.matchAll(/^\| `(\w+)` /gm)].map(([, name]) => name),
      ];
    });
    const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const exported = Object.entries<string | { readonly default: string }>(exports).flatMap(([subpath, target]) =>
      typeof target === 'string' ? [] : [{ subpath, file: join(root, target.default) }],
    );
    const imported = await Promise.all(
      exported.map(async ({ subpath, file }) => [
        `leashkit${subpath.slice(1)}`,
        Object.keys((await import(pathToFileURL(file).href)) as object).sort((a, b) => a.localeCompare(b, 'en')),
      ]),
    );
    expect(Object.fromEntries(named)).toEqual(Object.fromEntries(imported));
  });
});

describe('the ways out of a process', () => {
  const table = readme.slice(readme.indexOf('| way out of the process |'));
  const rows = table.slice(0, table.indexOf('\n\n')).split('\n').slice(2);
  const clients = new Set(attacks.map(({ client }) => client));

  it.each(rows.map((row) => row.split(' | ').map((cell) => cell.replace(/^\| | ?\|$/g, ''))))(
    'has tests of what it says of %s',
    (_way, _held, shown = '') => {
      for (const [, name = ''] of shown.matchAll(/`([^`]+)`/g)) expect(clients).toContain(name);
    },
  );

  it('are all in the table', () => {
    const shown = new Set(
      rows
        .join(' ')
        .match(/`[^`]+`/g)
        ?.map((name) => name.slice(1, -1)),
    );
    expect([...clients].filter((client) => client !== 'the allowed host' && !shown.has(client))).toEqual([]);
  });
});

describe('examples', () => {
  it.each(examplesAnywhere())('%s is short enough to be read: 80 lines', (file) => {
    expect(sourceOf(file).trimEnd().split('\n').length).toBeLessThanOrEqual(80);
  });

  it.each(examplesIn())('%s prints what it says', (file) => expectPrintsWhatItSays(file));

  it('untrusted-code.ts says on an older Node that nothing was started, and what to do', async () => {
    const node = join(root, 'node_modules/node/bin/node');
    const { stdout } = await promisify(execFile)(node, [join(root, 'examples/untrusted-code.ts')]);
    expect(stdout).toMatch(/^isolated\(\) needs Node >= 26, .+ Run the program with Node 26 or later, or .+\n$/);
  });
});
