import { checkInteger, checkOneOf, shown } from '../../internal/options.ts';
import type { Leash } from '../../leash-contract.ts';
import { type ExactMoney, formatUnits, type Money, parseMoney } from '../../money.ts';
import type { Price, PricedModel } from '../../prices/price.ts';
import type { TokenUsage } from '../../prices/token-usage.ts';
import type { Hold } from '../../session/hold.ts';
import type { Cost } from '../../session/tool.ts';

/** What a request to a model is going to be, in the words of no framework. */
export interface ModelRequest {
  readonly model: PricedModel;
  /** An upper bound of the tokens of the prompt, >= 1. @throws {TypeError} nobody can know. */
  readonly inputTokens: () => number;
  /** The largest number of output tokens that the request asks for; undefined where it leaves that to the provider. */
  readonly maxOutputTokens: number | undefined;
  /** That number cannot be changed any more: all of it must fit. Default: false. */
  readonly fixed?: boolean;
  /** Reasoning within that number, which the provider refuses to take for all of it. Default: 0. */
  readonly reasoningTokens?: number;
  /** Tokens that the provider may bill as output beyond that number. @throws {TypeError} nobody can know. */
  readonly extraOutputTokens: () => number;
}

export interface ModelCallOptions {
  /** The largest number of output tokens of a request that names none, under a budget. Integer >= 1. Default: 4096. */
  readonly maxOutputTokens?: number | undefined;
  /**
   * The request failed: `'forfeit'` keeps the estimate as spent, since nobody knows what was billed; `'refund'` frees it.
   * Default: `'forfeit'`.
   */
  readonly onError?: 'forfeit' | 'refund' | undefined;
}

/** @throws {TypeError | RangeError} an option. */
export function checkModelCallOptions(
  where: string,
  options: ModelCallOptions & { readonly inputTokens?: unknown },
): void {
  const { inputTokens, maxOutputTokens, onError } = options;
  if (inputTokens !== undefined && typeof inputTokens !== 'function') {
    throw new TypeError(`\`${where}.inputTokens\` must be a function, got ${shown(inputTokens)}`);
  }
  if (maxOutputTokens !== undefined) checkInteger(`${where}.maxOutputTokens`, maxOutputTokens, 1);
  if (onError !== undefined) checkOneOf(`${where}.onError`, onError, ['forfeit', 'refund']);
}

/** @param what the price, in the words of the message. @throws {TypeError} it is none. */
export function checkPrice(what: string, price: unknown): void {
  if (price === 'free' || typeof price === 'function') return;
  throw new TypeError(`${what} must be a function or 'free', got ${shown(price)}`);
}

/** An admitted request. It ends once; later endings do nothing. */
export interface ModelCall {
  /** What to send as the largest number of output tokens; undefined: what the request says. */
  readonly maxOutputTokens: number | undefined;
  /** The model has answered. Without a usage, or one that has no price, the estimate is what was spent. */
  settle(usage: TokenUsage | undefined): Promise<void>;
  /** The request failed. Never rejects: its error is the one to tell. */
  fail(): Promise<void>;
  /** It was not sent after all, and nothing was spent. Never rejects. */
  unsent(): Promise<void>;
  /** The answer was cut short, and its usage will never be known: the estimate is what was spent. Never rejects. */
  cut(): Promise<void>;
}

const DEFAULT_MAX_OUTPUT_TOKENS = 4096;

/** No request is cut down below this: some providers refuse smaller numbers, and less is hardly an answer. */
const LEAST_OUTPUT_TOKENS = 16;

/**
 * Lets a request to a model begin, or refuses it. What it may cost at most is held first: the price of the prompt and of
 * as many output tokens as it asks for, or of as many as the budgets still buy where that is less.
 *
 * @throws {LeashError} the session has ended (the denial that ended it), or no budget has room.
 * @throws {TypeError | RangeError} what it may cost cannot be told; on record.
 */
export async function beginModelCall(
  leash: Leash,
  price: Price | 'free',
  request: ModelRequest,
  options: ModelCallOptions = {},
): Promise<ModelCall> {
  const { provider, modelId } = request.model;
  const note = (provider === undefined ? modelId : `${provider}/${modelId}`).slice(0, 256).toWellFormed();
  if (price === 'free') return admitted(await hold(leash, 'free', note), 'free', undefined, () => 'free', options);
  const room = await roomIn(leash);
  let bound: Bound | undefined;
  const held = await hold(
    leash,
    () => {
      bound = boundOf(price, request, room, options.maxOutputTokens ?? DEFAULT_MAX_OUTPUT_TOKENS);
      return bound.cost;
    },
    note,
  );
  const { cost, maxOutputTokens } = bound as unknown as Bound;
  const costOf = (usage: TokenUsage): Money | undefined => {
    const money = price(usage, request.model);
    if (money !== undefined) exactly(request.model, money);
    return money;
  };
  return admitted(held, cost, maxOutputTokens, costOf, options);
}

async function hold(leash: Leash, estimate: Cost | (() => Cost), note: string): Promise<Hold> {
  try {
    return await leash.hold(estimate, note);
  } catch (error) {
    // Why the session has ended says more than that it has.
    throw leash.breach ?? error;
  }
}

function admitted(
  held: Hold,
  estimate: Cost,
  maxOutputTokens: number | undefined,
  costOf: (usage: TokenUsage) => Cost | undefined,
  { onError = 'forfeit' }: ModelCallOptions,
): ModelCall {
  return {
    maxOutputTokens,
    async settle(usage) {
      let actual: Cost | undefined;
      try {
        if (usage !== undefined) actual = costOf(usage);
      } catch {
        // It had a price for the estimate: that is kept.
      }
      await held.settle(actual ?? estimate);
    },
    fail: () => settled(() => (onError === 'refund' ? held.release() : held.settle(estimate))),
    unsent: () => settled(() => held.release()),
    cut: () => settled(() => held.settle(estimate)),
  };
}

async function settled(work: () => unknown): Promise<void> {
  try {
    await work();
  } catch {}
}

/** What is left in every unit for spend that is no tool call. */
async function roomIn(leash: Leash): Promise<ExactMoney> {
  const room = { usd: Number.POSITIVE_INFINITY, sat: Number.POSITIVE_INFINITY };
  const { limits } = await leash.usage();
  for (const { unit, tools, observes, remaining } of limits) {
    if (unit === 'call' || tools !== undefined || observes) continue;
    const left = String(remaining).startsWith('-')
      ? 0
      : parseMoney('what is left', { [unit]: remaining }, 'down')[unit];
    room[unit] = Math.min(room[unit], left);
  }
  return room;
}

interface Bound {
  readonly cost: Money;
  readonly maxOutputTokens: number | undefined;
}

function boundOf(price: Price, request: ModelRequest, room: ExactMoney, byDefault: number): Bound {
  const inputTokens = checkInteger('inputTokens', request.inputTokens(), 1);
  const extra = checkInteger('reasoningTokens', request.extraOutputTokens(), 0);
  const { reasoningTokens: within = 0, maxOutputTokens = byDefault + within } = request;
  const wanted = checkInteger('maxOutputTokens', maxOutputTokens, 1);
  const costOf = (output: number): ExactMoney =>
    most(price, request.model, { inputTokens, outputTokens: output + extra });
  const fits = (output: number): boolean => {
    const { usd, sat } = costOf(output);
    return usd <= room.usd && sat <= room.sat;
  };
  const limited = Number.isFinite(room.usd) || Number.isFinite(room.sat);
  const least = request.fixed === true ? wanted : Math.min(wanted, LEAST_OUTPUT_TOKENS + within);
  const allowed = largestThatFits(least, wanted, fits);
  const { usd, sat } = costOf(allowed);
  const cost = { usd: formatUnits('usd', usd), sat: formatUnits('sat', sat) };
  return { cost, maxOutputTokens: limited ? allowed : undefined };
}

/** Between the two, or the smaller one where not even that fits: the leash has to say so. */
function largestThatFits(least: number, most: number, fits: (count: number) => boolean): number {
  if (fits(most)) return most;
  let low = least;
  let high = most;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/**
 * The most that so many tokens can cost: nobody knows before whether the provider reads or writes its cache. A price that
 * knows nothing of caches is not asked for more than it knows.
 */
function most(price: Price, model: PricedModel, usage: TokenUsage): ExactMoney {
  const { inputTokens } = usage;
  const plain = price(usage, model);
  if (plain === undefined) throw unpricedModel(model);
  let usd = 0;
  let sat = 0;
  for (const money of [
    plain,
    price({ ...usage, cacheReadTokens: inputTokens }, model),
    price({ ...usage, cacheWriteTokens: inputTokens }, model),
  ]) {
    if (money === undefined) continue;
    const cost = exactly(model, money);
    usd = Math.max(usd, cost.usd);
    sat = Math.max(sat, cost.sat);
  }
  return { usd, sat };
}

/** @throws {TypeError | RangeError} the price is no money. */
function exactly({ modelId }: PricedModel, money: Money): ExactMoney {
  return parseMoney(`the price of model "${modelId}"`, money);
}

function unpricedModel({ provider, modelId }: PricedModel): TypeError {
  const of = provider === undefined ? '' : ` of provider "${provider}"`;
  return new TypeError(
    `model "${modelId}"${of} has no price: add it to the prices, or say 'free' where it costs nothing`,
  );
}
