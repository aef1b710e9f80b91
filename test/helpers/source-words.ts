import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const src = fileURLToPath(new URL('../../src', import.meta.url));
const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
const all = files.map((file) => readFileSync(join(src, file), 'utf8')).join('\n');

/** The words of a union of literals, and of the unions that it names; a template stands for each of its words. */
export function unionWords(name: string): readonly string[] {
  const [, union] = new RegExp(`^export type ${name} =([^;]*);`, 'm').exec(all) ?? [];
  if (union === undefined) throw new Error(`src has no exported union ${name}`);
  return membersOf(union.replaceAll(/\/\*\*.*?\*\//gs, ''));
}

function membersOf(union: string): readonly string[] {
  const [template, before = '', inner = ''] = /`([^`$]*)\$\{([^}]*)\}`/.exec(union) ?? [];
  if (template !== undefined) {
    const rest = union.replace(template, '');
    return [...membersOf(inner).map((word) => `${before}${word}`), ...membersOf(rest)];
  }
  return union.split('|').flatMap((member) => {
    const text = member.trim();
    const [, word] = /^'([^']*)'$/.exec(text) ?? [];
    return word !== undefined ? [word] : /^[A-Z]\w*$/.test(text) ? unionWords(text) : [];
  });
}

/** What a pattern finds anywhere in the sources, as its groups. */
export function foundInSources(pattern: RegExp): readonly (readonly string[])[] {
  return [...all.matchAll(pattern)].map(([, ...groups]) => groups.map((group) => group ?? ''));
}
