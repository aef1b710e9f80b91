import { kindOf } from '../internal/options.ts';
import type { Leash } from '../leash-contract.ts';
import type { ToolOptions } from '../session/tool.ts';
import { toldOf } from './framework/denial.ts';
import { jsonArguments } from './framework/json-arguments.ts';
import { withMembers } from './framework/members.ts';
import { leashedOnce } from './framework/once.ts';

/** What the function of a tool gets: what its `parse` or its schema makes of its arguments, or their text. */
export type InputOf<Tool> = Tool extends { readonly $callback: ((input: infer Input) => unknown) | undefined }
  ? Input
  : Tool extends { readonly function: { function(input: infer Input, ...more: never[]): unknown } }
    ? Input
    : never;

/**
 * A tool of `runTools` under the leash: its function is called only after every guard allowed the call. Everything else
 * of the tool, and its type, stays as it was. A tool that this leash holds already stays as it is.
 *
 * A refused call is told to the model. The one that ends the session, and all after it, end the run with that error.
 *
 * @param options as those of `leash.wrap`; `cost` and the others get the arguments that the tool parses, or what JSON says
 * them to be where it parses none.
 * @throws {TypeError} no such tool, or as `leash.wrap`.
 */
export function leashRunnable<Tool extends object, Args = InputOf<Tool>>(
  leash: Leash,
  tool: Tool,
  options: ToolOptions<[input: InputOf<Tool>, ...context: unknown[]], unknown, Args> = {},
): Tool {
  const { function: declared, $callback } = Object(tool);
  // Of what `zodFunction` makes the runner calls `$callback`.
  const body = $callback ?? declared?.function;
  if (typeof body !== 'function') {
    throw new TypeError(`leashRunnable expects a tool of runTools with a function of its own, got ${kindOf(body)}`);
  }
  return leashedOnce(leash, tool, () => {
    const name: string = declared.name || body.name;
    const terms = { ...options, args: options.args ?? jsonArguments } as ToolOptions<unknown[]>;
    const held = leash.wrap<unknown[], unknown>(name, body.bind(declared), terms);
    const run = async (...params: unknown[]): Promise<unknown> => {
      try {
        return await held(...params);
      } catch (error) {
        return toldOf(leash, error);
      }
    };
    if ($callback !== undefined) return withMembers(tool, { $callback: run });
    return withMembers(tool, { function: withMembers(declared, { name, function: run }) });
  });
}
