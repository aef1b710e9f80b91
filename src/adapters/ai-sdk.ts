import { checkOptions, kindOf } from '../internal/options.ts';
import type { Leash } from '../leash-contract.ts';
import type { Price } from '../prices/price.ts';
import type { ToolOptions } from '../session/tool.ts';
import {
  type LanguageModel,
  type LeashModelOptions,
  leashLanguageModel,
  MODEL_OPTIONS,
} from './framework/language-model.ts';
import { withMembers } from './framework/members.ts';
import { leashedOnce } from './framework/once.ts';
import { leashBody, readTerms, TERMS, type ToolTerms } from './framework/tool-body.ts';
import { readUnguarded } from './framework/unguarded.ts';

export type { Price, PricedModel } from '../prices/price.ts';
export type { TokenUsage } from '../prices/token-usage.ts';
export type { LanguageModel, LeashModelOptions } from './framework/language-model.ts';
export type { PromptParts } from './framework/prompt-bound.ts';

type AnyExecute = (...params: never[]) => unknown;

/** The tool's `execute`, where it may have one. */
type ExecuteOf<T> = T extends { readonly execute?: infer Execute } ? Extract<Execute, AnyExecute> : never;

/** What the body of a tool gets, after the framework has parsed it. */
export type InputOf<T> = ExecuteOf<T> extends (input: infer Input, ...more: never[]) => unknown ? Input : never;

/** What the body of a tool returns; of one that streams, what its generator returns. */
export type OutputOf<T> =
  ExecuteOf<T> extends (...params: never[]) => infer Result ? Awaited<Exclude<Result, AsyncIterable<unknown>>> : never;

/** The inputs of tools by their keys. */
export type InputsOf<Tools extends object> = { readonly [Name in keyof Tools]: InputOf<Tools[Name]> };

export interface LeashToolsOptions<Tools extends object> extends ToolTerms<InputsOf<Tools>> {
  /**
   * Tools without an `execute` of their own, which the leash therefore cannot hold: those that the provider or the client
   * runs. Name them, or say `'all'`, to let them pass. Default: none, so that such a tool is an error.
   */
  readonly unguarded?: readonly (keyof Tools & string)[] | 'all' | undefined;
}

/** `price`, and the options of `leashTools` and `leashModel`. */
export interface WithLeashOptions<Tools extends object> extends LeashToolsOptions<Tools>, LeashModelOptions {
  /** As the third parameter of `leashModel`. Needed where the settings have a `model`. Default: none. */
  readonly price?: Price | 'free' | undefined;
}

/**
 * One tool under the leash: its `execute` runs only after every guard has allowed the call. Everything else of the tool,
 * and its type, stays as it was; a tool that streams still does. A tool that this leash holds already stays as it is.
 *
 * @param name what guards, errors and the log call it.
 * @param options as those of `leash.wrap`; `cost` and the others get the parsed input.
 * @throws {TypeError} the tool has no `execute` that could be held, or as `leash.wrap`.
 */
export function leashTool<Tool extends object, Args = InputOf<Tool>>(
  leash: Leash,
  name: string,
  tool: Tool,
  options: ToolOptions<[input: InputOf<Tool>, ...context: unknown[]], OutputOf<Tool>, Args> = {},
): Tool {
  const execute = bodyOf(name, tool);
  return leashedOnce(leash, tool, () => {
    if (execute === undefined) {
      throw new TypeError(
        `tool "${name}" has no \`execute\` that the leash could hold: the provider or the client runs it. Name it in \`unguarded\` of leashTools to let it pass`,
      );
    }
    return withMembers(tool, { execute: leashBody(leash, name, tool, execute, options as unknown as ToolOptions) });
  });
}

function bodyOf(name: string, tool: unknown): unknown {
  if (typeof tool !== 'object' || tool === null) {
    throw new TypeError(`tool "${name}" must be a tool object, got ${kindOf(tool)}`);
  }
  return (tool as { readonly execute?: unknown }).execute;
}

/**
 * The tools of an agent under the leash, each under its key in the record.
 *
 * @throws {TypeError} no record of tools, a tool that it inherits or does not enumerate, one without `execute` that is not
 * `unguarded`, a name in the options that is no tool's, or as `leash.wrap`.
 */
export function leashTools<Tools extends Readonly<Record<string, object>>>(
  leash: Leash,
  tools: Tools,
  options: LeashToolsOptions<NoInfer<Tools>> = {},
): Tools {
  checkOptions('leashTools', options, [...TERMS, 'unguarded']);
  if (typeof tools !== 'object' || tools === null || Array.isArray(tools)) {
    throw new TypeError(`leashTools expects a record of tools by name, got ${kindOf(tools)}`);
  }
  const names = Object.keys(tools);
  refuseHidden(tools, names);
  const termsOf = readTerms('leashTools', names, options);
  const mayPass = readUnguarded('leashTools', options.unguarded, names);
  const held = names.map((name) => {
    const tool = tools[name] as object;
    const passes = mayPass(name) && bodyOf(name, tool) === undefined;
    return [name, passes ? tool : leashTool(leash, name, tool, termsOf(name))];
  });
  return withMembers(tools, Object.fromEntries(held));
}

/** Frameworks look a tool up by the name that the model says, and find those that are not listed too. */
function refuseHidden(tools: object, names: readonly string[]): void {
  for (let owner = tools; owner !== null && owner !== Object.prototype; owner = Object.getPrototypeOf(owner)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
      if (names.includes(name) || typeof value === 'function') continue;
      throw new TypeError(
        `tool "${name}" must be an enumerable property of the record itself, for the leash to hold it`,
      );
    }
  }
}

/**
 * A condition for `stopWhen`: the agent ends after the step in which the leash has ended it. It replaces the framework's
 * own default, so combine it: `stopWhen: [isStepCount(20), leashStop(leash)]`.
 */
export function leashStop(leash: Leash): () => boolean {
  return () => leash.signal.aborted;
}

/**
 * A model under the leash: no request is sent after the session has ended, nor one that no budget can pay. Before a
 * request the most that it can cost is held: the price of its prompt, and of as many output tokens as it asks for, or of
 * as many as the budgets still buy where that is less; that number is what is sent as `maxOutputTokens`, in place of a
 * provider's own such as `maxCompletionTokens`. Afterwards the reported usage is booked. An answer that is streamed is
 * settled when it ends; one that fails, is cancelled, or comes without usage counts as the whole estimate. One that is
 * neither read to its end nor cancelled stays held until the session closes. The end of the session aborts requests under
 * way.
 *
 * Models of specification v2, v3 and v4 (AI SDK 5, 6 and 7, Mastra). A model that this leash holds already stays as it
 * is.
 *
 * @param price what its tokens cost, or `'free'` to count nothing. A model without a price is refused before its first
 * request is sent, and so is a request that names another model, or others to fall back on.
 * @throws {TypeError | RangeError} no model, no price, or an option.
 */
export function leashModel<Model extends LanguageModel>(
  leash: Leash,
  model: Model,
  price: Price | 'free',
  options: LeashModelOptions = {},
): Model {
  return leashLanguageModel(leash, model, price, options);
}

/** The tools in the settings of an agent or a call. */
export type ToolsIn<Settings> = Settings extends { readonly tools?: infer Tools }
  ? NonNullable<Tools> extends object
    ? NonNullable<Tools>
    : object
  : object;

/**
 * The settings of `generateText`, `streamText`, `ToolLoopAgent` and their like with everything in them under the leash:
 * `tools`, `model`, also one that `prepareStep` or `prepareCall` chooses, and `stopWhen` where there is one. Without
 * `stopWhen` the framework's own default stays, and the held model ends the run.
 *
 * The types of results stay exact. Callbacks among the settings see the outputs of tools as `any`, and TypeScript no
 * longer finds a misspelt setting: `leashTools`, `leashModel` and `leashStop` keep both.
 *
 * @throws {TypeError | RangeError} as `leashTools` and `leashModel`.
 */
export function withLeash<Settings extends object>(
  leash: Leash,
  settings: Settings,
  options: WithLeashOptions<ToolsIn<NoInfer<Settings>>> = {},
): Settings {
  checkOptions('withLeash', options, [...TERMS, 'unguarded', ...MODEL_OPTIONS, 'price']);
  return leashSettings(leash, settings, options as AnyOptions);
}

/** Also by the older name, which AI SDK 5 and 6 still take. */
const PREPARE_STEP = ['prepareStep', 'experimental_prepareStep'];

type AnyOptions = WithLeashOptions<Record<string, object>>;

function leashSettings<Settings extends object>(leash: Leash, settings: Settings, options: AnyOptions): Settings {
  const { costs, schemas, urls, unguarded, price, ...modelOptions } = options;
  const { tools, model, stopWhen, prepareCall } = settings as Readonly<Record<string, unknown>>;
  const held = (chosen: unknown): LanguageModel => {
    if (price === undefined) throw new TypeError("withLeash needs the `price` of the model, or 'free'");
    return leashModel(leash, chosen as LanguageModel, price, modelOptions);
  };
  const members: Record<string, unknown> = {};
  if (tools !== undefined) {
    members['tools'] = leashTools(leash, tools as Record<string, object>, { costs, schemas, urls, unguarded });
  }
  if (model !== undefined) members['model'] = held(model);
  if (stopWhen !== undefined) {
    members['stopWhen'] = [...(Array.isArray(stopWhen) ? stopWhen : [stopWhen]), leashStop(leash)];
  }
  for (const name of PREPARE_STEP) {
    const prepareStep = (settings as Readonly<Record<string, unknown>>)[name];
    if (typeof prepareStep !== 'function') continue;
    members[name] = async (...params: unknown[]) => {
      const step: { readonly model?: unknown } | undefined = await Reflect.apply(prepareStep, settings, params);
      return step?.model === undefined ? step : withMembers(step, { model: held(step.model) });
    };
  }
  if (typeof prepareCall === 'function') {
    members['prepareCall'] = async (...params: unknown[]) => {
      const call: object | undefined = await Reflect.apply(prepareCall, settings, params);
      return call === undefined ? call : leashSettings(leash, call, termsOf(call, options));
    };
  }
  return withMembers(settings, members);
}

/** A call may have some of the tools alone, or others. */
function termsOf(call: object, options: AnyOptions): AnyOptions {
  const { tools } = call as { readonly tools?: unknown };
  const { costs, schemas, urls, unguarded } = options;
  const has = (name: string): boolean => Object.hasOwn(Object(tools), name);
  const ofTools = <Terms extends object>(terms: Terms | undefined): Terms | undefined =>
    terms && (Object.fromEntries(Object.entries(terms).filter(([name]) => has(name))) as Terms);
  return {
    ...options,
    costs: ofTools(costs),
    schemas: ofTools(schemas),
    urls: ofTools(urls),
    unguarded: Array.isArray(unguarded) ? unguarded.filter(has) : unguarded,
  };
}
