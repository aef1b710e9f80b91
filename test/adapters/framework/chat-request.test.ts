import { describe, expect, it } from 'vitest';
import { type ChatModel, chatRequest } from '../../../src/adapters/framework/chat-request.ts';

const answer = async (): Promise<string> => 'x';

/** As ChatAnthropic: one object, and a binding around it for its tools. */
class Simple implements ChatModel {
  model = 'claude';
  maxTokens: number | undefined;
  readonly #sent: object;

  constructor(maxTokens?: number, sent: object = {}) {
    this.maxTokens = maxTokens;
    this.#sent = sent;
  }

  // A private field would fail on a copy.
  static of(maxTokens?: number, sent: object = {}): Simple {
    const made = new Simple(maxTokens, sent);
    return Object.assign(made, { sent, describe: () => made.#sent });
  }

  invoke = answer;

  invocationParams(options: object): object {
    const { tools } = options as { tools?: unknown };
    return { model: this.model, max_tokens: this.maxTokens, tools, ...(this as { sent?: object }).sent };
  }

  getLsParams(options: object): object {
    const { max_tokens } = this.invocationParams(options) as { max_tokens?: number };
    return { ls_provider: 'anthropic', ls_model_name: this.model, ls_max_tokens: max_tokens };
  }
}

class Binding {
  readonly bound: ChatModel;
  readonly kwargs: object | undefined;
  readonly config: object | undefined;

  constructor({ bound, kwargs, config }: { bound: ChatModel; kwargs?: object; config?: object }) {
    this.bound = bound;
    this.kwargs = kwargs;
    this.config = config;
  }

  invoke = answer;
}

/** As ChatOpenAI: a model for each of two APIs, and options in the model itself. */
class Twofold implements ChatModel {
  readonly completions: Simple;
  readonly defaultOptions: { readonly tools?: unknown };

  constructor(maxTokens?: number, defaultOptions = {}) {
    this.completions = Simple.of(maxTokens);
    this.defaultOptions = defaultOptions;
  }

  invoke = answer;

  invocationParams(options: object): object {
    return this.completions.invocationParams(options);
  }
}

/** As ChatGoogle: the limit is an option of each call. */
class ByOption implements ChatModel {
  readonly params: { readonly maxOutputTokens?: number };

  constructor(maxOutputTokens?: number) {
    this.params = maxOutputTokens === undefined ? {} : { maxOutputTokens };
  }

  invoke = answer;

  invocationParams({ maxOutputTokens = this.params.maxOutputTokens }: { maxOutputTokens?: number }): object {
    return { generationConfig: { maxOutputTokens } };
  }
}

/** What `limited` would send at most. */
function limitOf({ model, options }: { model: ChatModel; options: object }): unknown {
  const { bound = model } = model as { bound?: ChatModel };
  const sent = bound.invocationParams?.(options) as {
    max_tokens?: number;
    generationConfig?: { maxOutputTokens: number };
  };
  return sent.max_tokens ?? sent.generationConfig?.maxOutputTokens;
}

const tools = [{ name: 'search', input_schema: {} }];

describe('a request of a chat model', () => {
  it.each([
    { name: 'one object', of: (limit?: number) => Simple.of(limit) },
    { name: 'a binding', of: (limit?: number) => new Binding({ bound: Simple.of(limit), kwargs: { tools } }) },
    { name: 'a model of models', of: (limit?: number) => new Twofold(limit, { tools }) },
    { name: 'one whose limit is an option', of: (limit?: number) => new ByOption(limit) },
    { name: 'a binding of such', of: (limit?: number) => new Binding({ bound: new ByOption(limit) }) },
  ])('of $name asks for what the model says, or for less, and leaves the model alone', ({ of }) => {
    for (const limit of [undefined, 500]) {
      const model = of(limit) as ChatModel;
      const request = chatRequest(model, {});
      expect(request.maxOutputTokens).toBe(limit);
      const limited = request.limitedTo(42);
      expect(limited === undefined ? undefined : limitOf(limited)).toBe(42);
      expect(chatRequest(model, {}).maxOutputTokens).toBe(limit);
      expect(limited?.model.constructor).toBe(model.constructor);
    }
  });

  it('can be limited where the parts of a model know one another', () => {
    const model = Object.assign(Simple.of(5), { parent: undefined as unknown });
    model.parent = model;
    expect(chatRequest(model, {}).limitedTo(3)?.model).toMatchObject({ maxTokens: 3, parent: { maxTokens: 3 } });
  });

  it('keeps all that a binding has when it is limited', () => {
    const model = new Binding({ bound: Simple.of(5), kwargs: { tools }, config: { tags: ['x'] } });
    const limited = chatRequest(model, {}).limitedTo(3)?.model;
    expect(limited).toMatchObject({ kwargs: { tools }, config: { tags: ['x'] } });
  });

  it.each([
    { name: 'says another number than it is told', model: Simple.of(5, { max_tokens: 7 }), limit: 7 },
    { name: 'has a limit beside it', model: Simple.of(5, { extra_body: { max_tokens: 9 } }), limit: 9 },
    { name: 'says nothing', model: { invoke: answer } as ChatModel, limit: undefined },
    {
      name: 'says it to a tracer alone',
      model: { invoke: answer, getLsParams: () => ({ ls_max_tokens: 8 }) },
      limit: 8,
    },
  ])('of one that $name cannot be limited', ({ model, limit }) => {
    const request = chatRequest(model, {});
    expect([request.maxOutputTokens, request.limitedTo(3)]).toEqual([limit, undefined]);
  });

  it.each([
    { sent: { max_tokens: 5 } },
    { sent: { max_completion_tokens: 5 } },
    { sent: { max_output_tokens: 5 } },
    { sent: { maxTokens: 5 } },
    { sent: { maxOutputTokens: 5 } },
    { sent: { inferenceConfig: { maxTokens: 5 } } },
    { sent: { generationConfig: { maxOutputTokens: 5 } } },
    { sent: { max_tokens: 5, max_completion_tokens: 4 } },
  ])('is read in the words of its provider: $sent', ({ sent }) => {
    expect(chatRequest(Simple.of(undefined, sent), {}).maxOutputTokens).toBe(5);
  });

  it.each([-1, 0, 1.5, '5', null, Number.NaN])('takes %j for no limit', (max_tokens) => {
    expect(chatRequest(Simple.of(undefined, { max_tokens }), {}).maxOutputTokens).toBeUndefined();
  });

  it.each([
    { where: 'tools', sent: { tools: [{ max_tokens: 5 }] } },
    { where: 'schemas', sent: { response_format: { schema: { type: 'object', properties: { max_tokens: 5 } } } } },
    { where: 'reasoning', sent: { reasoning: { max_tokens: 5 } } },
  ])('takes no number inside of $where for its limit', ({ sent }) => {
    expect(chatRequest(Simple.of(undefined, sent), {}).maxOutputTokens).toBeUndefined();
  });

  it.each([
    { name: 'what it tells tracers', model: Simple.of(), provider: 'anthropic', modelId: 'claude' },
    {
      name: 'its own name',
      model: Object.assign(new ByOption(), { model: 'gemini' }),
      provider: undefined,
      modelId: 'gemini',
    },
    { name: 'what it sends', model: Simple.of(5, { model: 'opus' }), provider: 'anthropic', modelId: 'opus' },
    { name: 'its class', model: new ByOption(), provider: undefined, modelId: 'ByOption' },
  ])('is named by $name', ({ model, provider, modelId }) => {
    expect(chatRequest(model, {})).toMatchObject({ provider, modelId });
  });
});
