import { kindOf } from '../internal/options.ts';
import type { Leash } from '../leash-contract.ts';
import type { ToolOptions } from '../tool.ts';
import { toldOf } from './framework/denial.ts';
import { jsonArguments } from './framework/json-arguments.ts';
import { withMembers } from './framework/members.ts';
import { leashedOnce } from './framework/once.ts';
import type { AnyFunction } from './framework/tool-body.ts';

type FunctionOf<Tool> = Tool extends { readonly function: { readonly function: infer Body } }
  ? Extract<Body, AnyFunction>
  : never;

/** What the function of a tool gets: the text of its arguments, or what its `parse` makes of it. */
export type InputOf<Tool> = FunctionOf<Tool> extends (input: infer Input, ...more: never[]) => unknown ? Input : never;

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
  const { function: declared, $callback } = tool as {
    function?: { name?: string; function?: unknown };
    $callback?: unknown;
  };
  // Of what `zodFunction` makes the runner calls `$callback`.
  const body = $callback ?? declared?.function;
  if (typeof declared !== 'object' || typeof body !== 'function') {
    throw new TypeError(`leashRunnable expects a tool of runTools with a function of its own, got ${kindOf(body)}`);
  }
  return leashedOnce(leash, tool, () => {
    const name = declared.name || body.name;
    const args = options.args ?? jsonArguments;
    const held = leash.wrap(
      name,
      body as (...params: unknown[]) => unknown,
      { ...options, args } as ToolOptions<unknown[]>,
    );
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
