import { isLimit, limitsIn, modelIn, type ProviderParameters } from './provider-parameters.ts';

/** A chat model of LangChain, or what `bindTools` and `withConfig` make of one, as far as the leash knows it. */
export interface ChatModel {
  invoke(messages: unknown, config?: unknown): PromiseLike<unknown>;
  bindTools?(tools: unknown, settings?: unknown): ChatModel;
  /** What the provider is going to be sent, but for the messages. */
  invocationParams?(options: unknown): unknown;
  getLsParams?(options: unknown): unknown;
}

/** A request that a chat model is about to send. */
export interface ChatRequest {
  readonly provider: string | undefined;
  readonly modelId: string;
  /** All that is sent beside the messages, in the provider's words. */
  readonly parameters: ProviderParameters;
  /** The largest number of output tokens that it asks for; undefined where it leaves that to the provider. */
  readonly maxOutputTokens: number | undefined;
  /** The same request for so many output tokens; undefined where nobody can tell that the provider would get the number. */
  limitedTo(count: number): ChatSender | undefined;
}

interface ChatSender {
  readonly model: ChatModel;
  /** What `invoke` needs beside its configuration. */
  readonly options: ProviderParameters;
}

/** @param model with its tools bound. */
export function chatRequest(model: ChatModel, config: ProviderParameters): ChatRequest {
  const binding = model as { bound?: ChatModel; kwargs?: object; config?: object; configFactories?: unknown };
  const chat = binding.bound ?? model;
  const { defaultOptions } = chat as { defaultOptions?: object };
  const options = { ...defaultOptions, ...binding.config, ...binding.kwargs, ...config };
  const parameters = parametersOf(chat, options);
  const { ls_provider, ls_model_name, ls_max_tokens } = Object(chat.getLsParams?.(options)) as ProviderParameters;
  const { model: name = chat.constructor.name } = chat as { model?: unknown };
  const limits = [...limitsIn(parameters), ls_max_tokens].filter(isLimit);
  return {
    provider: typeof ls_provider === 'string' ? ls_provider : undefined,
    // What is sent: `modelKwargs` may name another than the model has.
    modelId: modelIn(parameters) ?? String(ls_model_name ?? name),
    parameters,
    maxOutputTokens: limits.length === 0 ? undefined : Math.max(...limits),
    limitedTo(count) {
      const limits = (of: ChatModel, more: ProviderParameters): boolean => {
        const sent = limitsIn(parametersOf(of, { ...options, ...more }));
        return sent.length > 0 && sent.every((limit) => limit === count);
      };
      const option = { maxOutputTokens: count };
      if (limits(chat, option)) return { model, options: option };
      const limited = withLimit(chat, count);
      if (!limits(limited, {})) return undefined;
      if (binding.bound === undefined) return { model: limited, options: {} };
      const { kwargs, config: bindingConfig, configFactories } = binding;
      const Binding = model.constructor as new (parts: object) => ChatModel;
      return { model: new Binding({ bound: limited, kwargs, config: bindingConfig, configFactories }), options: {} };
    },
  };
}

function parametersOf(chat: ChatModel, options: ProviderParameters): ProviderParameters {
  return Object(chat.invocationParams?.(options));
}

/** The model with another limit, and with it the models that it is made of: ChatOpenAI has one for each of two APIs. */
function withLimit<Model extends object>(model: Model, count: number, made = new Map<object, object>()): Model {
  const known = made.get(model);
  if (known !== undefined) return known as Model;
  const limited: Model = Object.create(model, { maxTokens: { value: count }, maxOutputTokens: { value: count } });
  made.set(model, limited);
  for (const [name, part] of Object.entries(model)) {
    if (typeof part?.invocationParams !== 'function') continue;
    Object.defineProperty(limited, name, { value: withLimit(part, count, made) });
  }
  return limited;
}
