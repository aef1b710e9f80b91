import { checkOptions, kindOf } from '../../internal/options.ts';
import type { ToolOptions } from '../../session/tool.ts';
import { readTerms, TERMS, type Terms } from './tool-body.ts';
import { readUnguarded } from './unguarded.ts';

interface ListOptions extends Terms {
  readonly unguarded?: unknown;
}

/**
 * The tools of an array under the leash, of frameworks whose tools say their names themselves.
 *
 * @param hold one tool under the leash; throws for one that the leash cannot hold.
 * @throws {TypeError} no array of tools, one that cannot be held and is not `unguarded`, or a name in the options that is no
 * tool's.
 */
export function leashToolList<Tools extends readonly object[]>(
  tools: readonly [...Tools],
  options: ListOptions,
  isHoldable: (tool: object) => boolean,
  hold: (tool: object, terms: ToolOptions) => object,
): Tools {
  checkOptions('leashTools', options, [...TERMS, 'unguarded']);
  if (!Array.isArray(tools)) throw new TypeError(`leashTools expects an array of tools, got ${kindOf(tools)}`);
  const names = tools.map(toolName);
  const termsOf = readTerms('leashTools', names, options);
  const mayPass = readUnguarded('leashTools', options.unguarded, names);
  return tools.map((tool: object, i) => {
    const name = names[i] as string;
    return mayPass(name) && !isHoldable(tool) ? tool : hold(tool, termsOf(name));
  }) as object as Tools;
}

/** What guards and the log call a tool; one of a provider may have its type alone. @throws {TypeError} no tool. */
export function toolName(tool: unknown): string {
  const { name, type } = Object(tool) as { name?: unknown; type?: unknown };
  const found = name ?? type;
  if (typeof found === 'string') return found;
  throw new TypeError(
    `leashTools expects tools with a \`name\`, or of a provider with a \`type\`, got ${kindOf(tool)}`,
  );
}
