import { checkTools, kindOf, shown } from '../../internal/options.ts';

/** What guards and the log call a tool; one of a provider may have its type alone. @throws {TypeError} no tool. */
export function toolName(tool: unknown): string {
  const { name, type } = Object(tool) as { name?: unknown; type?: unknown };
  const found = name ?? type;
  if (typeof found === 'string') return found;
  throw new TypeError(
    `leashTools expects tools with a \`name\`, or of a provider with a \`type\`, got ${kindOf(tool)}`,
  );
}

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
