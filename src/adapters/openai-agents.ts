import { checkName, checkOptions } from '../internal/options.ts';
import type { Leash } from '../leash-contract.ts';
import { normalizeUsage } from '../prices/normalize-usage.ts';
import type { Price, PricedModel } from '../prices/price.ts';
import { type AgentRequest, agentPromptBound, ownParameters, reasoningIds } from './framework/agent-request.ts';
import { toldOf } from './framework/denial.ts';
import { jsonArguments } from './framework/json-arguments.ts';
import { keptReasoning } from './framework/kept-reasoning.ts';
import { withMembers } from './framework/members.ts';
import {
  beginModelCall,
  checkModelCallOptions,
  checkPrice,
  type ModelCall,
  type ModelCallOptions,
} from './framework/model-call.ts';
import { leashedOnce } from './framework/once.ts';
import {
  checkOneAnswer,
  limitsIn,
  modelIn,
  namesLimit,
  reasoningIn,
  withoutLimits,
} from './framework/provider-parameters.ts';
import { settledAnswer } from './framework/settled-answer.ts';
import { settledIterable } from './framework/settled-iterable.ts';
import { eitherSignal, withSignal } from './framework/signal.ts';
import type { ToolTerms } from './framework/tool-body.ts';
import { leashToolList, toolName } from './framework/tool-list.ts';

export type { Price, PricedModel } from '../prices/price.ts';
export type { TokenUsage } from '../prices/token-usage.ts';
export type { AgentRequest } from './framework/agent-request.ts';

/** Functions get the arguments as JSON says them, before the tool has parsed them; their parameter has to say its type. */
export interface LeashToolsOptions extends ToolTerms<Readonly<Record<string, never>>> {
  /**
   * Tools that the leash cannot hold, because the provider runs them or the framework does: web search, computers, shells.
   * Name them, or say `'all'`, to let them pass. Default: none, so that such a tool is an error.
   */
  readonly unguarded?: readonly string[] | 'all' | undefined;
}

interface FunctionTool {
  readonly name: string;
  readonly outputSchema?: unknown;
  readonly invoke: (context: unknown, input: string, details?: unknown) => Promise<unknown>;
}

/**
 * The tools of an agent under the leash: a tool is invoked only after every guard allowed the call. Everything else of
 * the tools, and their type, stays as it was, but that `needsApproval` gets the arguments as JSON says them: defaults and
 * transforms of a schema are applied after it. A tool that this leash holds already stays as it is.
 *
 * Tools of `mcpServers` are not among them, and pass: give the agent `leashTools(leash, await getAllMcpTools(servers))` in
 * their place.
 *
 * The framework invokes an agent that is a tool anew when the run goes on after an approval inside of it: that is another
 * call. It finds such an approval again in the same process alone, not in a state that was written down.
 *
 * A refused call is told to the model. The one that ends the session, and all after it, end the run, with a
 * `ToolCallError` whose `error` is the refusal; so does every refusal of a tool with an `outputSchema`.
 *
 * @throws {TypeError} no array of tools, a tool that cannot be held and is not `unguarded`, a name in the options that is
 * no tool's, or as `leash.wrap`.
 */
export function leashTools<Tools extends readonly object[]>(
  leash: Leash,
  tools: readonly [...Tools],
  options: LeashToolsOptions = {},
): Tools {
  return leashToolList(tools, options, isHoldable, (tool, terms) => {
    if (isHoldable(tool)) return leashedOnce(leash, tool, () => holdTool(leash, tool, terms));
    throw new TypeError(
      `tool "${toolName(tool)}" has no \`invoke\` that the leash could hold: the provider or the framework runs it. Name it in \`unguarded\` of leashTools to let it pass`,
    );
  });
}

function isHoldable(tool: object): tool is FunctionTool {
  return typeof (tool as Partial<FunctionTool>).invoke === 'function';
}

function holdTool(leash: Leash, tool: FunctionTool, terms: object): FunctionTool {
  const invoke: (...params: [unknown, string, unknown]) => Promise<unknown> = tool.invoke.bind(tool);
  const held = leash.wrap(tool.name, invoke, { ...terms, args: (_, input) => jsonArguments(input) });
  return withMembers(tool, {
    async invoke(context: unknown, input: string, details?: unknown) {
      try {
        return await held(context, input, withSignal(details ?? {}, 'signal', leash.signal));
      } catch (error) {
        const told = toldOf(leash, error);
        // Text is no such output.
        if (tool.outputSchema !== undefined) throw error;
        return told;
      }
    },
  });
}

/** A model of the framework, as far as the leash knows it. */
export interface AgentModel {
  getResponse(...params: never[]): PromiseLike<unknown>;
  getStreamedResponse(...params: never[]): AsyncIterable<unknown>;
}

export interface LeashModelOptions extends ModelCallOptions {
  /**
   * For the price and the log. Default: what `OpenAIResponsesModel` has; of other models nobody can tell, nor of a prompt
   * that the provider keeps, where the agent names no model.
   */
  readonly modelId?: string | undefined;
  /** For the price and the log, such as `'openai'`. Default: none. */
  readonly provider?: string | undefined;
  /**
   * The tokens of a prompt at most, for a request that has files, tools of the provider or a conversation that it keeps or
   * sums up, or to hold less than one for each byte of the text. A number that turns out too small lets the budget be
   * overrun once. Default: one for each byte, and none for such a request, which is refused.
   */
  readonly inputTokens?: ((request: AgentRequest) => number) | undefined;
}

interface ModelRequest extends AgentRequest {
  readonly overridePromptModel?: unknown;
  readonly signal?: unknown;
}

/**
 * A model under the leash: no request is sent after the session has ended, nor one that no budget can pay; the run ends
 * with that error, as it is. Before a request the most that it can cost is held: the price of its prompt, and of as many
 * output tokens as it asks for, or of as many as the budgets still buy where that is less; that number is what is sent as
 * `maxTokens`. Afterwards the reported usage is booked. An answer that is streamed is settled when it ends; one that
 * fails, is cancelled, or comes without usage counts as the whole estimate. The end of the session aborts requests under
 * way. A model that this leash holds already stays as it is.
 *
 * What the client of the provider sends again by itself counts once, with its last try alone: where one that was given up
 * may be billed, as after a `timeout`, make the client with `maxRetries: 0`, and let `modelSettings.retry` do it.
 *
 * `OpenAIChatCompletionsModel` sends `maxTokens` as `max_tokens`, which reasoning models of OpenAI refuse: give them
 * `modelSettings.providerData.max_completion_tokens`, all of which is held, or use `OpenAIResponsesModel`.
 *
 * @param price what its tokens cost, or `'free'` to count nothing. A model without a price is refused before its first
 * request is sent.
 * @throws {TypeError | RangeError} no model, no price, no `modelId`, or an option.
 */
export function leashModel<Model extends AgentModel>(
  leash: Leash,
  model: Model,
  price: Price | 'free',
  options: LeashModelOptions = {},
): Model {
  const identified = readModel(model, price, options);
  return leashedOnce(leash, model, () => {
    const begin = (request: ModelRequest): Promise<ModelCall> => {
      const own = ownParameters(request);
      const limits = limitsIn(own);
      const { maxTokens } = request.modelSettings ?? {};
      return beginModelCall(
        leash,
        price,
        {
          model: { ...identified, modelId: modelIn(own) ?? identified.modelId },
          inputTokens: () => options.inputTokens?.(request) ?? agentPromptBound(request, keptReasoning),
          maxOutputTokens: limits.length === 0 ? maxTokens : Math.max(...limits, maxTokens ?? 0),
          fixed: limits.length > 0,
          reasoningTokens: reasoningIn(own),
          extraOutputTokens: () => {
            checkOneAnswer(own, 'leashModel');
            if (options.modelId === undefined && mayNameModel(request)) {
              throw new TypeError(
                'the prompt that the provider keeps may name another model: say which with the option `modelId` of leashModel',
              );
            }
            // The provider counts reasoning within that number.
            return 0;
          },
        },
        options,
      );
    };
    return withMembers(model, {
      async getResponse(request: ModelRequest) {
        const call = await begin(request);
        const sent = sentAs(request, call, leash);
        const response = await settledAnswer(call, sent.signal, () => model.getResponse(sent as never));
        remember(response);
        return response;
      },
      async *getStreamedResponse(request: ModelRequest) {
        const call = await begin(request);
        const sent = sentAs(request, call, leash);
        yield* settledIterable(() => model.getStreamedResponse(sent as never), {
          async part(event) {
            const { type, response } = Object(event) as { type?: unknown; response?: unknown };
            if (type !== 'response_done') return;
            await call.settle(normalizeUsage(response));
            remember(response);
          },
          ended: () => call.settle(undefined),
          unsent: () => call.unsent(),
          failed: () => call.fail(),
          cut: () => call.cut(),
          signal: sent.signal,
        });
      },
    });
  });
}

/** Where an agent names no model of its own, the one of its prompt is taken, and nobody is told of it. */
function mayNameModel({ prompt, overridePromptModel }: ModelRequest): boolean {
  return prompt !== undefined && overridePromptModel !== true;
}

function sentAs(request: ModelRequest, { maxOutputTokens }: ModelCall, leash: Leash): { readonly signal: AbortSignal } {
  const { modelSettings } = request;
  // One limit is enough: providers refuse requests with two.
  const own = ownParameters(request);
  const stays = maxOutputTokens === undefined || limitsIn(own).length > 0;
  // Such as null: it would be sent in place of the number.
  const others = namesLimit(own) ? { providerData: withoutLimits(own) } : {};
  const limited = stays ? modelSettings : { ...modelSettings, ...others, maxTokens: maxOutputTokens };
  return { ...request, modelSettings: limited, signal: eitherSignal(request.signal, leash.signal) } as never;
}

function remember(response: unknown): void {
  const usage = normalizeUsage(response);
  if (usage !== undefined)
    keptReasoning.remember(reasoningIds(Object(response).output), usage.reasoningTokens ?? usage.outputTokens);
}

const MODEL_OPTIONS = ['modelId', 'provider', 'inputTokens', 'maxOutputTokens', 'onError'];

function readModel(model: unknown, price: unknown, options: LeashModelOptions): PricedModel {
  if (typeof model === 'string') {
    throw new TypeError('leashModel expects a model, got its name: make one of it, with `getModel` of your provider');
  }
  const { getResponse, getStreamedResponse, _model } = Object(model) as Partial<AgentModel> & { _model?: unknown };
  if (typeof getResponse !== 'function' || typeof getStreamedResponse !== 'function') {
    throw new TypeError('leashModel expects a model with `getResponse` and `getStreamedResponse`');
  }
  checkOptions('leashModel', options, MODEL_OPTIONS);
  checkModelCallOptions('leashModel', options);
  const { provider } = options;
  const modelId = options.modelId ?? (typeof _model === 'string' ? _model : undefined);
  if (modelId === undefined && price !== 'free') {
    throw new TypeError('this model does not tell its id: leashModel needs the option `modelId`');
  }
  checkPrice(`the price of model "${modelId}"`, price);
  if (provider !== undefined) checkName('leashModel.provider', provider);
  return { provider, modelId: modelId === undefined ? 'model' : checkName('leashModel.modelId', modelId) };
}
