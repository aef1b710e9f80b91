import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('corpus/', import.meta.url));

export interface Seed {
  readonly file: string;
  readonly bytes: Buffer;
}

/** The committed inputs of a target. */
export function seedsOf(target: string): readonly Seed[] {
  const folder = `${FOLDER}${target}`;
  return readdirSync(folder)
    .sort()
    .map((file) => ({ file, bytes: readFileSync(`${folder}/${file}`) }));
}

/** Adds an input to the corpus. @returns its path, from where the command was called. */
export function addSeed(target: string, kind: 'found' | 'kept', input: Uint8Array): string {
  const folder = `${FOLDER}${target}`;
  mkdirSync(folder, { recursive: true });
  const path = `${folder}/${kind}-${createHash('sha256').update(input).digest('hex').slice(0, 12)}`;
  writeFileSync(path, input);
  return relative(process.cwd(), path);
}
