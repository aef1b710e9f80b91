import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { promisedBy, regionOf } from '../helpers/example.ts';
import { anchorsIn, fencesIn, linksIn, PAGES, tableIn, textOfPage } from '../helpers/pages.ts';

const root = join(import.meta.dirname, '../..');
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { readonly scripts: object };

/** What a reader may type, and whether it is there. */
function isCommand(line: string): boolean {
  const [, rest = ''] = /^npx --package leashkit leash (.+)$/.exec(line) ?? [];
  if (rest !== '') return isLeashCommand(rest);
  const [, example] = /^npx node (examples\/\S+)$/.exec(line) ?? [];
  if (example !== undefined) return existsSync(join(root, example));
  return line.split(' && ').every((part) => {
    const [, script] = /^npm (?:run )?(\S+)$/.exec(part) ?? [];
    return (
      part === 'npm install leashkit' || script === 'ci' || (script !== undefined && Object.hasOwn(scripts, script))
    );
  });
}

function isLeashCommand(line: string): boolean {
  const [command = '', ...rest] = line.split(' ');
  const help = execFileSync(process.execPath, [join(root, 'dist/cli.js'), command, '--help'], { encoding: 'utf8' });
  return rest.filter((word) => word.startsWith('-')).every((option) => help.includes(`${option} `));
}

describe.each(PAGES)('%s', (page) => {
  it.each(fencesIn(page))('shows what is there, and nothing else: $language $source', ({ language, source, code }) => {
    if (language === 'sh') {
      for (const line of code.split('\n')) expect(line).toSatisfy(isCommand);
      return;
    }
    expect(source, `a fence names no source:\n${code}`).toBeDefined();
    const [file = '', region] = (source as string).split('#');
    expect(language).toBe(region === undefined ? 'text' : 'ts');
    expect(code).toBe(region === undefined ? promisedBy(file).join('\n') : regionOf(file, region));
  });

  it('leads somewhere with every link', () => {
    const dead = linksIn(page).filter(({ path, anchor }) => {
      if (!existsSync(join(root, path))) return true;
      return anchor !== undefined && !(path.endsWith('.md') && anchorsIn(path).includes(anchor));
    });
    expect(dead.map(({ target }) => target)).toEqual([]);
  });

  it('has no heading twice, so that a link leads to one', () => {
    const anchors = anchorsIn(page);
    expect([...new Set(anchors)]).toEqual(anchors);
  });
});

describe('src/audit/README.md', () => {
  it('has every command, and what it says of itself', () => {
    const help = execFileSync(process.execPath, [join(root, 'dist/cli.js'), '--help'], { encoding: 'utf8' });
    const [, list = ''] = /^Commands:\n([\s\S]*?)\n\n/m.exec(help) ?? [];
    const commands = list.split('\n').map((line) => line.trim().split(/ {2,}/));
    const rows = tableIn('src/audit/README.md', '| `leash` |');
    expect(rows.map(([name = '']) => name)).toEqual(commands.map(([name = '']) => `\`${name}\``));
    for (const [i, [, summary]] of commands.entries()) expect(rows[i]?.[1]).toContain(summary);
  });
});

describe('README.md', () => {
  const lines = textOfPage('README.md').split('\n');

  it('has its first code within the first forty lines', () => {
    expect(lines.findIndex((line) => line.startsWith('```ts'))).toBeLessThan(40);
  });

  it('is a page to read from the top to its end: what is looked up stands on the others, and it leads to all of them', () => {
    expect(lines.length).toBeLessThan(500);
    const led = new Set(linksIn('README.md').map(({ path }) => path));
    expect(PAGES.filter((page) => page !== 'README.md' && !led.has(page))).toEqual([]);
  });
});
