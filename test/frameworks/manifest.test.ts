import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const read = (path: string): string => readFileSync(join(import.meta.dirname, path), 'utf8');
const manifest = JSON.parse(read('package.json')) as { readonly devDependencies: Readonly<Record<string, string>> };
const root = JSON.parse(read('../../package.json')) as typeof manifest;

describe('the manifest of the frameworks', () => {
  it('pins every version, so that a test means the same tomorrow', () => {
    for (const [name, version] of Object.entries(manifest.devDependencies)) {
      if (name !== 'leashkit') expect(version, name).toMatch(/^(npm:@?[\w/-]+@)?\d+\.\d+\.\d+$/);
    }
  });

  it('agrees with the root about what both have', () => {
    for (const [name, version] of Object.entries(root.devDependencies)) {
      expect(manifest.devDependencies[name] ?? version, name).toBe(version);
    }
  });

  it('has a lockfile that names no registry', () => {
    const resolved = [...read('package-lock.json').matchAll(/"resolved": "([^"]+)"/g)].map(([, place]) => place);
    expect(resolved).toEqual(['../..']);
  });
});
