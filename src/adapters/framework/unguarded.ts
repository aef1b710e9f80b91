import { checkTools, shown } from '../../internal/options.ts';

/**
 * Which tools may pass although the leash cannot hold them.
 *
 * @param names all tools there are; undefined where nobody knows yet.
 * @throws {TypeError | RangeError} no list of names, or one that is no tool's.
 */
export function readUnguarded(where: string, option: unknown, names?: readonly string[]): (name: string) => boolean {
  if (option === 'all') return () => true;
  if (option === undefined || (Array.isArray(option) && option.length === 0)) return () => false;
  if (!Array.isArray(option)) {
    throw new TypeError(`\`${where}.unguarded\` must be 'all' or an array of tool names, got ${shown(option)}`);
  }
  const listed = checkTools(`${where}.unguarded`, option) ?? [];
  const unknown = names === undefined ? undefined : listed.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new TypeError(`\`${where}.unguarded\` names ${shown(unknown)}, which is no tool`);
  return (name) => listed.includes(name);
}
