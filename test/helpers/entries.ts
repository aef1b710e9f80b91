import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** What a program can import of the package. */
export interface Entry {
  /** `'leashkit'`, `'leashkit/ajv'` … */
  readonly specifier: string;
  /** Of its files in dist: `'index'`, `'ajv'` … */
  readonly name: string;
}

/** By `exports` of the manifest, in its order. */
export function readEntries(): readonly Entry[] {
  const { name, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    readonly name: string;
    readonly exports: Readonly<Record<string, string | object>>;
  };
  const subpaths = Object.keys(exports).filter((subpath) => typeof exports[subpath] !== 'string');
  return subpaths.map((subpath) => ({ specifier: `${name}${subpath.slice(1)}`, name: subpath.slice(2) || 'index' }));
}
