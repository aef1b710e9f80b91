import { kindOf } from '../../internal/options.ts';
import type { Leash } from '../../leash-contract.ts';
import type { ToolOptions } from '../../session/tool.ts';
import { withMembers } from '../framework/members.ts';
import { leashedOnce } from '../framework/once.ts';
import { type AnyFunction, leashBody } from '../framework/tool-body.ts';

/** What `tool()` gives: a tool that runs in this process. */
export interface ClaudeTool {
  readonly name: string;
  readonly handler: AnyFunction;
}

type InputOf<Tool extends ClaudeTool> = Tool['handler'] extends (input: infer Input, ...more: never[]) => unknown
  ? Input
  : never;

/**
 * One tool of `createSdkMcpServer` under the leash, whose handler runs inside the call: `currentCall()` finds it there. A
 * refused call is answered with `isError` and the message. A tool that this leash holds already stays as it is.
 *
 * `leashHooks` hold such tools too, as `mcp__server__name`. Under both a call counts twice.
 *
 * @param options as those of `leash.wrap`; `cost` and the others get the parsed input.
 * @throws {TypeError | RangeError} no tool, or as `leash.wrap`.
 */
export function leashTool<Tool extends ClaudeTool>(
  leash: Leash,
  tool: Tool,
  options: ToolOptions<[input: InputOf<Tool>, extra: unknown], unknown, InputOf<Tool>> = {},
): Tool {
  if (typeof tool !== 'object' || tool === null) {
    throw new TypeError(`leashTool expects a tool of \`tool()\`, got ${kindOf(tool)}`);
  }
  return leashedOnce(leash, tool, () =>
    withMembers(tool, {
      handler: leashBody(leash, tool.name, tool, tool.handler, options as unknown as ToolOptions),
    }),
  );
}
