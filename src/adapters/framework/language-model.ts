import { checkInteger, checkOptions, kindOf, shown } from '../../internal/options.ts';
import type { Leash } from '../../leash-contract.ts';
import { normalizeUsage } from '../../prices/normalize-usage.ts';
import type { Price } from '../../prices/price.ts';
import { keptReasoning } from './kept-reasoning.ts';
import { withMembers } from './members.ts';
import {
  beginModelCall,
  checkModelCallOptions,
  checkPrice,
  type ModelCall,
  type ModelCallOptions,
} from './model-call.ts';
import { leashedOnce } from './once.ts';
import { type PromptParts, promptBound } from './prompt-bound.ts';
import { namedReasoning, toldReasoning } from './prompt-reasoning.ts';
import {
  checkOneAnswer,
  limitsIn,
  modelIn,
  namesLimit,
  ownOptions,
  reasoningIn,
  withoutLimits,
} from './provider-parameters.ts';
import { answerOf } from './settled-answer.ts';
import { settledStream } from './settled-stream.ts';
import { eitherSignal } from './signal.ts';

/** A model of the AI SDK's language model specification, as far as the leash knows it. */
export interface LanguageModel {
  /** `'v2'`, `'v3'` or `'v4'`. */
  readonly specificationVersion: string;
  readonly provider: string;
  readonly modelId: string;
  doGenerate(...params: never[]): PromiseLike<unknown>;
  doStream(...params: never[]): PromiseLike<unknown>;
}

export interface LeashModelOptions extends ModelCallOptions {
  /**
   * The tokens of a prompt at most: to hold less than one for each byte of its text, and for a request with files, with
   * tools that the provider runs, that it searches for or sums up, or that continues what the provider kept, which is
   * refused without. A number that turns out too small lets the budget be overrun once. Default: one for each
   * byte, and what OpenAI keeps of reasoning as its answer told; of an answer that did not come to this process nobody
   * knows.
   */
  readonly inputTokens?: ((request: PromptParts) => number) | undefined;
  /**
   * The tokens that the provider may spend on reasoning beyond `maxOutputTokens`. Integer >= 0. Needed for a request with
   * `reasoning`: OpenAI and Google count it in (0), Anthropic puts it on top for models with a thinking budget. Default:
   * the `budgetTokens` in the request's `providerOptions`, or the 1024 that Anthropic's provider takes without them.
   */
  readonly reasoningTokens?: number | undefined;
}

export const MODEL_OPTIONS = ['inputTokens', 'maxOutputTokens', 'reasoningTokens', 'onError'] as const;

const VERSIONS = ['v2', 'v3', 'v4'];

interface CallOptions extends PromptParts {
  readonly maxOutputTokens?: number | undefined;
  readonly abortSignal?: unknown;
  readonly reasoning?: unknown;
}

interface Answer {
  readonly content?: unknown;
  readonly usage?: unknown;
  readonly stream?: ReadableStream<unknown>;
}

/** @throws {TypeError | RangeError} no model, no price, or an option. */
export function leashLanguageModel<M extends LanguageModel>(
  leash: Leash,
  model: M,
  price: Price | 'free',
  options: LeashModelOptions = {},
): M {
  checkModel(model);
  checkPrice(`the price of model "${model.modelId}"`, price);
  checkModelOptions(options);
  return leashedOnce(leash, model, () => {
    const held = (method: 'doGenerate' | 'doStream') => (request: CallOptions) =>
      answer(leash, model, method, price, options, request);
    return withMembers(model, { doGenerate: held('doGenerate'), doStream: held('doStream') });
  });
}

function checkModel(model: unknown): void {
  if (typeof model === 'string') {
    throw new TypeError(`leashModel expects a model, got its name: make one of it, with gateway() or your provider`);
  }
  if (typeof model !== 'object' || model === null)
    throw new TypeError(`leashModel expects a model, got ${kindOf(model)}`);
  const { specificationVersion, modelId, doGenerate, doStream } = model as Partial<LanguageModel>;
  if (typeof modelId !== 'string' || typeof doGenerate !== 'function' || typeof doStream !== 'function') {
    throw new TypeError('leashModel expects a language model with `modelId`, `doGenerate` and `doStream`');
  }
  if (!VERSIONS.includes(specificationVersion as string)) {
    throw new TypeError(
      `leashModel knows models of specification v2, v3 and v4, got ${shown(specificationVersion)}: nobody would count what it uses`,
    );
  }
}

function checkModelOptions(options: LeashModelOptions): void {
  checkOptions('leashModel', options, MODEL_OPTIONS);
  checkModelCallOptions('leashModel', options);
  const { reasoningTokens } = options;
  if (reasoningTokens !== undefined) checkInteger('leashModel.reasoningTokens', reasoningTokens, 0);
}

async function answer(
  leash: Leash,
  model: LanguageModel,
  method: 'doGenerate' | 'doStream',
  price: Price | 'free',
  options: LeashModelOptions,
  request: CallOptions,
): Promise<unknown> {
  const { provider, modelId } = model;
  const call = await beginModelCall(
    leash,
    price,
    {
      model: { provider, modelId },
      inputTokens: () => (options.inputTokens ?? boundOf)(request),
      maxOutputTokens: wantedOutput(request),
      reasoningTokens: Math.max(0, ...ownOptions(request.providerOptions).map(reasoningIn)),
      extraOutputTokens: () => {
        for (const own of ownOptions(request.providerOptions)) {
          checkOneAnswer(own, 'leashModel');
          const named = modelIn(own) ?? modelId;
          // Whether it is sent is known to the provider alone.
          if (named !== modelId) {
            throw new TypeError(`leashModel knows requests to model "${modelId}", got one that may go to "${named}"`);
          }
        }
        return options.reasoningTokens ?? reasoningBeside(request);
      },
    },
    options,
  );
  const abortSignal = eitherSignal(request.abortSignal, leash.signal);
  const sent = { ...limitedTo(call.maxOutputTokens, request), abortSignal };
  let isStreamed = false;
  const given = await answerOf(call, abortSignal, async () => {
    const answered = (await model[method](sent as never)) as Answer;
    if (answered.usage !== undefined || answered.stream === undefined) return answered;
    isStreamed = true;
    return { ...answered, stream: settledStream(answered.stream, answerLife(call, abortSignal)) };
  });
  if (!isStreamed) await settle(call, given, given.content);
  return given;
}

function boundOf(request: PromptParts): number {
  return promptBound(request) + keptReasoning.tokensOf(namedReasoning(request));
}

/** @param parts of the answer, as far as they are reasoning. */
function settle(call: ModelCall, told: unknown, parts: unknown): Promise<void> {
  const usage = normalizeUsage(told);
  if (usage !== undefined) keptReasoning.remember(toldReasoning(parts), usage.reasoningTokens ?? usage.outputTokens);
  return call.settle(usage);
}

/** Providers take such a number among options of their own, too, and then before the other: OpenAI's `maxCompletionTokens`. */
function wantedOutput({ maxOutputTokens, providerOptions }: CallOptions): number | undefined {
  const limits = ownOptions(providerOptions).flatMap(limitsIn);
  return limits.length === 0 ? maxOutputTokens : Math.max(...limits, maxOutputTokens ?? 0);
}

/** The request for so many output tokens, with no other number for them. */
function limitedTo(maxOutputTokens: number | undefined, request: CallOptions): CallOptions {
  if (maxOutputTokens === undefined) return request;
  const { providerOptions } = request;
  if (!ownOptions(providerOptions).some((own) => namesLimit(own))) return { ...request, maxOutputTokens };
  const own = Object.entries(Object(providerOptions)).map(([provider, options]) => [
    provider,
    namesLimit(options) ? withoutLimits(options) : options,
  ]);
  return { ...request, maxOutputTokens, providerOptions: Object.fromEntries(own) };
}

function answerLife(call: ModelCall, signal: AbortSignal): Parameters<typeof settledStream>[1] {
  const reasoning: unknown[] = [];
  return {
    part(part) {
      const { type } = Object(part) as { type?: unknown };
      if (type === 'reasoning-start') reasoning.push(part);
      return type === 'finish' ? settle(call, part, reasoning) : undefined;
    },
    ended: () => call.settle(undefined),
    cut: () => call.cut(),
    signal,
  };
}

/** What Anthropic's provider puts on top for a thinking budget of no size. */
const DEFAULT_BUDGET = 1024;

interface Thinking {
  readonly type?: unknown;
  readonly budgetTokens?: unknown;
}

/** @throws {TypeError} the request wants reasoning, and nobody said how much of it is beyond `maxOutputTokens`. */
function reasoningBeside({ reasoning, providerOptions }: CallOptions): number {
  if (reasoning !== undefined && reasoning !== 'provider-default' && reasoning !== 'none') {
    throw new TypeError(
      'a request with `reasoning` needs the option `reasoningTokens` of leashModel: 0 where the provider counts it within `maxOutputTokens`',
    );
  }
  let tokens = 0;
  for (const own of ownOptions(providerOptions)) {
    for (const option of Object.values(own)) {
      const { type, budgetTokens = type === 'enabled' ? DEFAULT_BUDGET : 0 } = Object(option) as Thinking;
      if (typeof budgetTokens === 'number') tokens = Math.max(tokens, budgetTokens);
    }
  }
  return tokens;
}
