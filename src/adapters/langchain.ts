import { isLeashError } from '../errors.ts';
import { checkOneOf, checkOptions } from '../internal/options.ts';
import type { Leash } from '../leash-contract.ts';
import type { Price } from '../prices/price.ts';
import type { ToolOptions } from '../session/tool.ts';
import { type ChatModelOptions, leashChatModel } from './framework/chat-model.ts';
import { denialIn } from './framework/denial.ts';
import { withMembers } from './framework/members.ts';
import { checkModelCallOptions, checkPrice } from './framework/model-call.ts';
import { leashedOnce } from './framework/once.ts';
import { withSignal } from './framework/signal.ts';
import { type AnyFunction, leashBody, type ToolTerms } from './framework/tool-body.ts';
import { leashToolList, toolName } from './framework/tool-list.ts';
import { readUnguarded } from './framework/unguarded.ts';

export type { Price, PricedModel } from '../prices/price.ts';
export type { TokenUsage } from '../prices/token-usage.ts';

type FuncOf<Tool> = Tool extends { readonly func: infer Func } ? Extract<Func, AnyFunction> : never;

/** What the body of a tool gets, after the framework has parsed it; `never` where the tool's type does not tell. */
export type InputOf<Tool> = [FuncOf<Tool>] extends [never]
  ? never
  : FuncOf<Tool> extends (input: infer Input, ...more: never[]) => unknown
    ? Input
    : never;

/** What the body of a tool returns; of one that streams, what its generator returns. */
export type OutputOf<Tool> =
  FuncOf<Tool> extends (...params: never[]) => infer Result ? Awaited<Exclude<Result, AsyncIterable<unknown>>> : never;

type NameOf<Tool> = Tool extends { readonly name: infer Name extends string } ? Name : never;

/** The inputs of tools by name. Where a tool's type does not tell its name, a function of its input has to say its type. */
export type InputsOf<Tools extends readonly object[]> = {
  readonly [Name in NameOf<Tools[number]>]: string extends Name
    ? never
    : InputOf<Extract<Tools[number], { readonly name: Name }>>;
};

export interface LeashToolsOptions<Tools extends readonly object[]> extends ToolTerms<InputsOf<Tools>> {
  /**
   * Tools without a body of their own, which the leash therefore cannot hold: those that the provider runs. Name them, or
   * their `type` where they have no name, or say `'all'`, to let them pass. Default: none, so that such a tool is an error.
   */
  readonly unguarded?: readonly string[] | 'all' | undefined;
}

/**
 * One tool under the leash: its body is asked for only after every guard allowed the call, with the input that the
 * framework has parsed. Everything else of the tool, and its type, stays as it was. A tool that this leash holds already
 * stays as it is.
 *
 * @param options as those of `leash.wrap`; `cost` and the others get the parsed input.
 * @throws {TypeError} the tool has no body that could be held, or as `leash.wrap`.
 */
export function leashTool<Tool extends { readonly name: string }, Args = InputOf<Tool>>(
  leash: Leash,
  tool: Tool,
  options: ToolOptions<[input: InputOf<Tool>, ...context: unknown[]], OutputOf<Tool>, Args> = {},
): Tool {
  const name = toolName(tool);
  const { _call: body, func } = tool as { _call?: unknown; func?: unknown };
  if (typeof body !== 'function') {
    throw new TypeError(
      `tool "${name}" has no \`_call\` that the leash could hold: make it with tool(), or let it pass with \`unguarded\``,
    );
  }
  return leashedOnce(leash, tool, () => {
    const held = (own: unknown) => heldBody(leash, name, tool, own, options as unknown as ToolOptions);
    // `_call` calls `func`; so may others.
    const members = typeof func === 'function' ? { _call: held(body), func: held(func) } : { _call: held(body) };
    return withMembers(tool, members, 'view');
  });
}

function heldBody(leash: Leash, name: string, tool: object, own: unknown, options: ToolOptions): AnyFunction {
  const body = leashBody(leash, name, tool, own, options) as (...params: unknown[]) => unknown;
  return (input: unknown, runManager: unknown, config: unknown, ...more: unknown[]) => {
    return body(input, runManager, withSignal(config, 'signal', stopSignal(leash)), ...more);
  };
}

const stopSignals = new WeakMap<Leash, AbortSignal>();

/**
 * Aborts when the session is stopped by hand. Not the signal of the leash: the framework's tools give up their promise when
 * the signal aborts, while their body runs on. Calls that were let in beside the one that broke the session would be told
 * as failed, and are not.
 */
function stopSignal(leash: Leash): AbortSignal {
  const known = stopSignals.get(leash);
  if (known !== undefined) return known;
  const { signal } = leash;
  const controller = new AbortController();
  const onAbort = (): void => {
    if (isLeashError(signal.reason) && signal.reason.code.startsWith('SESSION_')) controller.abort(signal.reason);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  stopSignals.set(leash, controller.signal);
  return controller.signal;
}

/**
 * The tools of an agent, or of a node of a graph, under the leash.
 *
 * A refused call throws, and both hand the error to the model and go on: `leashMiddleware` ends an agent, and
 * `{ signal: leash.signal }` in the configuration of a run ends any.
 *
 * @throws {TypeError} no array of tools, a tool that cannot be held and is not `unguarded`, a name in the options that is
 * no tool's, or as `leash.wrap`.
 */
export function leashTools<Tools extends readonly object[]>(
  leash: Leash,
  tools: readonly [...Tools],
  options: LeashToolsOptions<NoInfer<Tools>> = {},
): Tools {
  return leashToolList(tools, options, isHoldable, (tool, terms) =>
    leashTool(leash, tool as { readonly name: string }, terms as object),
  );
}

function isHoldable(tool: object): boolean {
  return typeof (tool as { _call?: unknown })._call === 'function';
}

export interface LeashMiddlewareOptions extends ChatModelOptions {
  /**
   * What the tokens of the agent's model cost, or `'free'` to count nothing. A model without a price is refused before its
   * first request is sent.
   */
  readonly price: Price | 'free';
  /**
   * The session has ended, or a request to the model was refused. `'end'`: the agent ends as if it had answered, and its
   * last message says why. `'throw'`: it ends with the error, in which `findLeashError` finds the refusal. `'continue'`:
   * it goes on, until a request to the model is refused, which throws; for leashes whose refusals end nothing, by
   * `stopOn: 'none'`. In all three a refused tool call is told to the model. Default: `'end'`.
   */
  readonly onBreach?: 'end' | 'throw' | 'continue' | undefined;
  /** As in `leashTools`, for the tools that the agent has when it asks its model. Default: none. */
  readonly unguarded?: readonly string[] | 'all' | undefined;
}

/** What `createAgent` takes as a middleware, as far as the leash is one. */
export interface LeashMiddleware {
  readonly name: 'leash';
  /** For the types of the framework alone: it adds nothing to an agent's state, context or tools. */
  readonly '~middlewareTypes'?: {
    Schema: undefined;
    ContextSchema: undefined;
    FullContext: unknown;
    Tools: readonly [];
    StreamTransformers: readonly [];
  };
  readonly beforeModel: { canJumpTo: ['end']; hook: () => { jumpTo: 'end' } | undefined };
  readonly wrapToolCall: <Request extends object, Result>(
    request: Request,
    handler: (request: Request) => PromiseLike<Result> | Result,
  ) => Promise<Result>;
  readonly wrapModelCall: <Request extends object, Result>(
    request: Request,
    handler: (request: Request) => PromiseLike<Result> | Result,
  ) => Promise<Result>;
}

/**
 * An agent of `createAgent` under the leash: its tools, also those that `leashTools` does not hold yet, and its model.
 * Stands last in `middleware`, so that every try of the others comes by here. What others ask models of their own, such as
 * one that summarizes, does not: `leash.hold` or `leash.charge` counts that.
 *
 * No request to the model is sent after the session has ended, nor one that no budget can pay. Before a request the most
 * that it can cost is held: the price of its prompt, and of as many output tokens as the model asks for, or of as many as
 * the budgets still buy where that is less and the number can be changed. Afterwards the reported usage is booked. A
 * request that fails, is cancelled, or is answered without usage counts as the whole estimate. The end of the session
 * aborts requests under way. What a model sends again by itself counts once, with its last try alone: where one that was
 * given up may be billed, as after a `timeout`, make the model with `maxRetries: 0` and let `modelRetryMiddleware` do it.
 *
 * @throws {TypeError | RangeError} an option.
 */
export function leashMiddleware(leash: Leash, options: LeashMiddlewareOptions): LeashMiddleware {
  const { price, onBreach = 'end', unguarded, ...modelOptions } = readOptions(options);
  const mayPass = readUnguarded('leashMiddleware', unguarded);
  const held = new WeakMap<object, object>();
  const hold = (tool: { readonly name: string }): object => {
    const known = held.get(tool);
    if (known !== undefined) return known;
    if (mayPass(toolName(tool)) && !isHoldable(tool)) return tool;
    const made = leashTool(leash, tool);
    held.set(tool, made);
    return made;
  };
  return {
    name: 'leash',
    beforeModel: {
      canJumpTo: ['end'],
      hook() {
        const { breach } = leash;
        if (breach === undefined || onBreach === 'continue') return undefined;
        if (onBreach === 'throw') throw breach;
        return { jumpTo: 'end', messages: [{ role: 'assistant', content: breach.message }] };
      },
    },
    async wrapToolCall(request, handler) {
      const { tool, toolCall } = request as { tool?: { readonly name: string }; toolCall?: { readonly name: string } };
      try {
        return await handler(tool === undefined ? request : { ...request, tool: hold(tool) });
      } catch (error) {
        const denial = denialIn(error);
        if (denial === undefined) throw asToolError(error);
        const invoke = async (): Promise<string> => denial.message;
        const told = await handler({ ...request, tool: { name: toolCall?.name, invoke } });
        return Object.assign(told as object, { status: 'error' }) as typeof told;
      }
    },
    async wrapModelCall(request, handler) {
      const { model, tools } = request as { model?: unknown; tools?: readonly { readonly name: string }[] };
      for (const tool of tools ?? []) hold(tool);
      try {
        return await handler({ ...request, model: leashChatModel(model, { leash, price, options: modelOptions }) });
      } catch (error) {
        const denial = denialIn(error);
        if (denial === undefined || onBreach !== 'end') throw error;
        return answer(denial.message) as never;
      }
    },
  };
}

const MIDDLEWARE_OPTIONS = ['price', 'onBreach', 'unguarded', 'inputTokens', 'maxOutputTokens', 'onError'];

function readOptions(options: LeashMiddlewareOptions): LeashMiddlewareOptions {
  checkOptions('leashMiddleware', options, MIDDLEWARE_OPTIONS);
  checkModelCallOptions('leashMiddleware', options);
  const { price, onBreach } = options;
  checkPrice('`leashMiddleware.price`', price);
  if (onBreach !== undefined) checkOneOf('leashMiddleware.onBreach', onBreach, ['end', 'throw', 'continue']);
  return options;
}

/**
 * An agent without a middleware around its tools tells the model of their errors, and one with any ends by them. So that
 * it goes on as it did, the error gets the mark of those that are told, and stays the same for middlewares around this.
 */
function asToolError(error: unknown): unknown {
  if (error instanceof Error && !('~brand' in error) && Object.isExtensible(error)) {
    Object.defineProperty(error, '~brand', { value: 'ToolInvocationError', configurable: true });
  }
  return error;
}

/** What the framework takes for the model's last answer, and makes a message of. */
function answer(content: string): object {
  return { [Symbol.for('langchain.message')]: true, type: 'ai', content, tool_calls: [], lc_kwargs: {} };
}
