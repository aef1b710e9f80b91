import { checkOptions, kindOf } from '../../internal/options.ts';
import type { Leash } from '../../leash-contract.ts';
import { viewOf, withMembers } from '../framework/members.ts';
import { leashedOnce } from '../framework/once.ts';
import { eitherSignal } from '../framework/signal.ts';
import { TERMS, type ToolTerms } from '../framework/tool-body.ts';
import { HeldTools, type McpArguments } from './held-tools.ts';
import { asksForInput, carriesAnswer } from './tool-call.ts';

/** A server of MCP tools: `McpServer` of `@modelcontextprotocol/sdk` or of `@modelcontextprotocol/server`. */
export interface McpToolServer {
  registerTool(...params: never[]): unknown;
}

export interface LeashServerOptions extends ToolTerms<Readonly<Record<string, McpArguments>>> {}

type AnyFunction = (...params: unknown[]) => unknown;

/**
 * An MCP server under the leash: the handler of a tool that is registered through what this returns is entered after
 * every guard allowed the call, with the arguments that the server has parsed, as they were checked. A refused call is
 * answered with `isError` and the message, as the server does with what handlers throw. The end of the session aborts the
 * signal that handlers see. A call whose handler asks for input is entered again with the answer and is still one call.
 * One that its client cancels while it is decided on is not entered, and has failed.
 *
 * Register tools through the server that this returns, `registerTool`, `tool` or `experimental.tasks.registerToolTask`;
 * what is registered otherwise is not held. A server that this leash holds already stays as it is.
 *
 * @throws {TypeError | RangeError} no server, one with tools already, or options that the leash cannot hold; registering
 * a tool throws as `leash.wrap`.
 */
export function leashServer<Server extends McpToolServer>(
  leash: Leash,
  server: Server,
  options: LeashServerOptions = {},
): Server {
  checkOptions('leashServer', options, TERMS);
  if (typeof (server as McpToolServer | undefined)?.registerTool !== 'function') {
    throw new TypeError(`leashServer expects an MCP server with \`registerTool\`, got ${kindOf(server)}`);
  }
  return leashedOnce(leash, server, () => {
    // Of both versions; an older one without it is taken for empty.
    const { _registeredTools: registered } = server as { readonly _registeredTools?: object };
    const [first] = Object.keys(registered ?? {});
    if (first !== undefined) {
      throw new TypeError(
        `the server has tool "${first}" already, which the leash does not hold: register tools through what leashServer returns`,
      );
    }
    const tools = new HeldTools('leashServer', leash, options);
    return viewOf(server, members(leash, server as unknown as Record<string, unknown>, tools));
  });
}

type Hold = (tool: ServedTool, given: unknown) => unknown;

function members(leash: Leash, server: Record<string, unknown>, tools: HeldTools): Record<string, unknown> {
  /** The method, whose first parameter names the tool that the one at `index` runs. */
  const registering = (target: object, method: unknown, index: number, hold: Hold): AnyFunction => {
    return (...params) => {
      const tool = new ServedTool(leash, tools, params[0] as string);
      const held = params.with(index, hold(tool, params.at(index)));
      return tool.registered(Reflect.apply(method as AnyFunction, target, held) as object);
    };
  };
  const handler: Hold = (tool, given) => tool.hold(given);
  const held: Record<string, unknown> = { registerTool: registering(server, server['registerTool'], 2, handler) };
  if (typeof server['tool'] === 'function') held['tool'] = registering(server, server['tool'], -1, handler);
  if (!('experimental' in server)) return held;
  return Object.defineProperty(held, 'experimental', {
    enumerable: true,
    get() {
      const experimental = server['experimental'] as { readonly tasks?: { readonly registerToolTask?: unknown } };
      const { tasks } = experimental;
      if (typeof tasks?.registerToolTask !== 'function') return experimental;
      const registerToolTask = registering(tasks, tasks.registerToolTask, 2, (tool, given) => tool.holdTask(given));
      return viewOf(experimental, { tasks: viewOf(tasks, { registerToolTask }) });
    },
  });
}

/** A tool of the server, and the handler that it has at the time. */
class ServedTool {
  readonly #leash: Leash;
  readonly #tools: HeldTools;
  #name: string;

  /** @throws {TypeError | RangeError} as `leash.wrap`. */
  constructor(leash: Leash, tools: HeldTools, name: string) {
    this.#leash = leash;
    this.#tools = tools;
    this.#name = name;
    tools.declare(name);
  }

  hold(handler: unknown): AnyFunction {
    if (typeof handler !== 'function') {
      throw new TypeError(`the handler of tool "${this.#name}" must be a function, got ${kindOf(handler)}`);
    }
    return (...params) => {
      // Without an `inputSchema` a handler gets the context alone.
      const [args, context] = params.length > 1 ? params : [{}, params[0]];
      return this.#tools.call(this.#name, args, isAnswered(context), async (checked) => {
        throwIfGone(context);
        const seen = withSignal(context, this.#leash.signal);
        const value: unknown = await (params.length > 1 ? handler(checked, seen) : handler(seen));
        return { value, asks: asksForInput(value) };
      });
    };
  }

  /** Of a tool that runs as a task, what starts the task is the call. */
  holdTask(handler: unknown): object {
    const task = handler as { readonly createTask?: unknown };
    const { createTask } = task;
    return withMembers(task, {
      createTask: this.hold(typeof createTask === 'function' ? createTask.bind(task) : createTask),
    });
  }

  /** What the server gives for the tool, where another handler or name is held too. */
  registered(tool: object): object {
    const { update } = tool as { readonly update?: AnyFunction };
    if (typeof update !== 'function') return tool;
    return viewOf(tool, {
      update: (updates: { readonly name?: string | null; readonly callback?: unknown }) => {
        const { name, callback } = updates;
        if (typeof name === 'string') this.#tools.declare(name);
        const held = callback === undefined ? updates : withMembers(updates, { callback: this.hold(callback) });
        Reflect.apply(update, tool, [held]);
        if (typeof name === 'string') this.#name = name;
      },
      // Not to be set: what runs the tool is changed by `update`.
      get handler() {
        return Reflect.get(tool, 'handler');
      },
      get executor() {
        return Reflect.get(tool, 'executor');
      },
    });
  }
}

interface HandlerContext {
  /** Of SDK 1. */
  readonly signal?: unknown;
  /** Of SDK 2. */
  readonly mcpReq?: {
    readonly signal?: unknown;
    readonly inputResponses?: unknown;
    readonly requestState?: () => unknown;
  };
}

function isAnswered(context: unknown): boolean {
  const { mcpReq } = context as HandlerContext;
  return carriesAnswer(mcpReq?.inputResponses, mcpReq?.requestState?.());
}

/** The client may have cancelled the call while it was decided on: nobody would have what its handler gives. */
function throwIfGone(context: unknown): void {
  const { signal, mcpReq } = context as HandlerContext;
  for (const own of [signal, mcpReq?.signal]) (own as AbortSignal | undefined)?.throwIfAborted();
}

function withSignal(context: unknown, signal: AbortSignal): unknown {
  const { signal: own, mcpReq } = context as HandlerContext;
  const members: Record<string, unknown> = {};
  if (own !== undefined) members['signal'] = eitherSignal(own, signal);
  if (mcpReq !== undefined) {
    members['mcpReq'] = withMembers(mcpReq, { signal: eitherSignal(mcpReq.signal, signal) });
  }
  return withMembers(context as object, members);
}
