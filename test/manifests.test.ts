import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

/** Of the package, and of what it is tested and measured with, apart from it so that its install stays small. */
const FOLDERS = [
  '.',
  'bench/peers',
  'test/consumers',
  'test/egress/clients',
  'test/egress/matrix',
  'test/frameworks',
  'test/isolated',
];

const read = (folder: string, file: string): string =>
  readFileSync(join(import.meta.dirname, '..', folder, file), 'utf8');

function devDependenciesOf(folder: string): Readonly<Record<string, string>> {
  return (JSON.parse(read(folder, 'package.json')) as { devDependencies: Record<string, string> }).devDependencies;
}

describe.each(FOLDERS)('the manifest in %s', (folder) => {
  it('pins every version, so that a test means the same tomorrow', () => {
    for (const [name, version] of Object.entries(devDependenciesOf(folder))) {
      if (version !== 'file:../..') expect(version, name).toMatch(/^(npm:@?[\w/-]+@)?\d+\.\d+\.\d+$/);
    }
  });

  it('has a lockfile that names no registry', () => {
    const resolved = [...read(folder, 'package-lock.json').matchAll(/"resolved": "([^"]+)"/g)].map(([, from]) => from);
    expect(resolved.filter((from) => from !== '../..')).toEqual([]);
  });
});

it('frameworks are tested with what the package is built and tested with', () => {
  const root = devDependenciesOf('.');
  for (const [name, version] of Object.entries(devDependenciesOf('test/frameworks'))) {
    expect(root[name] ?? version, name).toBe(version);
  }
});
