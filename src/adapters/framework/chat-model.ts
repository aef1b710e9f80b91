import type { Leash } from '../../leash-contract.ts';
import type { Price } from '../../prices/price.ts';
import { chatPromptBound } from './chat-prompt.ts';
import { type ChatModel, type ChatRequest, chatRequest } from './chat-request.ts';
import { withMembers } from './members.ts';
import { beginModelCall, type ModelCall, type ModelCallOptions } from './model-call.ts';
import { checkOneAnswer, reasoningIn } from './provider-parameters.ts';
import { settledAnswer } from './settled-answer.ts';
import { eitherSignal } from './signal.ts';

export interface ChatModelOptions extends ModelCallOptions {
  /**
   * The tokens of a prompt at most, for a request that has files or tools of the provider, or that it searches for or
   * sums up, or to hold less than one for each byte of the text. Gets the messages, and what else the provider is sent.
   * A number that turns out too small lets the budget be overrun once. Default: one for each byte, and none for such a
   * request, which is refused.
   */
  readonly inputTokens?:
    | ((messages: readonly unknown[], parameters: Readonly<Record<string, unknown>>) => number)
    | undefined;
}

interface Terms {
  readonly leash: Leash;
  readonly price: Price | 'free';
  readonly options: ChatModelOptions;
}

/**
 * The model of LangChain under the leash, for an agent that binds its tools and then invokes it: each request is let
 * begin before it is sent and settled when it has ended. Streams are the same requests: agents invoke, whoever listens.
 *
 * @throws {TypeError} no chat model that can be given tools.
 */
export function leashChatModel<Model>(model: Model, terms: Terms): Model {
  const { bound, bindTools } = Object(model) as { bound?: unknown; bindTools?: unknown };
  // What `withConfig` makes of a model. Agents bind tools to what is in it.
  if (typeof bound === 'object' && bound !== null) {
    return withMembers(model as object, { bound: leashChatModel(bound, terms) }, 'view') as Model;
  }
  if (typeof bindTools !== 'function') {
    throw new TypeError('leashMiddleware expects an agent whose model is a chat model with `bindTools`');
  }
  const chat = model as ChatModel & Model;
  const held = (tools?: readonly unknown[], settings?: unknown): Model =>
    withMembers(chat, {
      invoke: (messages: unknown, config?: object) => ask(chat, tools, settings, messages, { ...config }, terms),
      bindTools: held,
    });
  return held();
}

async function ask(
  model: ChatModel,
  tools: readonly unknown[] | undefined,
  settings: unknown,
  messages: unknown,
  config: Readonly<Record<string, unknown>>,
  terms: Terms,
): Promise<unknown> {
  const { leash } = terms;
  // A model that was named, as in `createAgent({ model: 'openai:gpt-5' })`, is made when it is known how it is configured.
  const { _getModelInstance: make } = model as { _getModelInstance?: unknown };
  const made: ChatModel = typeof make === 'function' ? await Reflect.apply(make, model, [config]) : model;
  const bound = tools === undefined ? made : (made.bindTools?.(tools, settings) as ChatModel);
  const request = chatRequest(bound, config);
  const call = await begin(request, messages, tools?.length ?? 0, terms);
  const { maxOutputTokens = request.maxOutputTokens } = call;
  const limited =
    maxOutputTokens === request.maxOutputTokens ? undefined : request.limitedTo(maxOutputTokens as number);
  const sender = limited ?? { model: bound, options: {} };
  const signal = eitherSignal(config['signal'], leash.signal);
  return settledAnswer(call, signal, () => sender.model.invoke(messages, { ...config, ...sender.options, signal }));
}

function begin(request: ChatRequest, messages: unknown, tools: number, terms: Terms): Promise<ModelCall> {
  const { leash, price, options } = terms;
  const { provider, modelId, parameters, maxOutputTokens } = request;
  // Of another number than it has one can see whether it is taken.
  const another = (maxOutputTokens ?? 0) + 1;
  const fixed = price !== 'free' && request.limitedTo(another) === undefined;
  return beginModelCall(
    leash,
    price,
    {
      model: { provider, modelId },
      inputTokens: () => {
        const listed = Array.isArray(messages) ? messages : [messages];
        return options.inputTokens?.(listed, parameters) ?? chatPromptBound(messages, request, tools);
      },
      maxOutputTokens,
      fixed,
      reasoningTokens: reasoningIn(parameters),
      extraOutputTokens: () => {
        if (fixed && maxOutputTokens === undefined) {
          throw new TypeError(
            `nobody can tell how many tokens model "${modelId}" answers with at most: say so where it is made, with \`maxTokens\` or what it calls that`,
          );
        }
        checkOneAnswer(parameters, 'leashMiddleware');
        return 0;
      },
    },
    options,
  );
}
