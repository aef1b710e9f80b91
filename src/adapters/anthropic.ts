import { kindOf } from '../internal/options.ts';
import type { Leash } from '../leash-contract.ts';
import type { ToolOptions } from '../session/tool.ts';
import { withMembers } from './framework/members.ts';
import { leashedOnce } from './framework/once.ts';
import { withSignal } from './framework/signal.ts';
import { type AnyFunction, leashBody } from './framework/tool-body.ts';

/** A tool for `client.beta.messages.toolRunner`, as `betaTool` and `betaZodTool` make it. */
export interface RunnableTool {
  readonly name: string;
  readonly run: AnyFunction;
}

type InputOf<Tool extends RunnableTool> = Tool['run'] extends (input: infer Input, ...more: never[]) => unknown
  ? Input
  : never;

/**
 * A tool under the leash: its `run` is asked for only after every guard allowed the call. The runner tells the model why
 * a call was refused and goes on, so give it `{ signal: leash.signal }` too: it ends with an `APIUserAbortError` before its
 * next request, and `leash.breach` has the reason. A tool that this leash holds already stays as it is.
 *
 * @param options as those of `leash.wrap`; `cost` and the others get the parsed input.
 * @throws {TypeError | RangeError} no tool, or as `leash.wrap`.
 */
export function leashRunnable<Tool extends RunnableTool>(
  leash: Leash,
  tool: Tool,
  options: ToolOptions<
    [input: InputOf<Tool>, ...context: unknown[]],
    Awaited<ReturnType<Tool['run']>>,
    InputOf<Tool>
  > = {},
): Tool {
  if (typeof tool !== 'object' || tool === null) {
    throw new TypeError(`leashRunnable expects a tool with \`run\`, got ${kindOf(tool)}`);
  }
  return leashedOnce(leash, tool, () => {
    const held = leashBody(leash, tool.name, tool, tool.run, options as unknown as ToolOptions) as (
      ...params: unknown[]
    ) => unknown;
    const run = (input: unknown, context: unknown, ...more: unknown[]): unknown =>
      held(input, withSignal(context, 'signal', leash.signal), ...more);
    return withMembers(tool, { run });
  });
}
