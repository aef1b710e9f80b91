import type { Money } from '../money.ts';
import type { TokenUsage } from './token-usage.ts';

/** The model of a request, as its framework names it. */
export interface PricedModel {
  /** Such as `'openai'`, or `'openai.responses'` in the AI SDK; undefined where the framework does not tell. */
  readonly provider?: string | undefined;
  /** Such as `'gpt-5'`. */
  readonly modelId: string;
}

/**
 * What a request to a model costs. It is not told of service tiers, fast modes or regions, of tokens that are sound or
 * images, nor of searches: a price has to be that of those that are in use. Undefined is "nobody knows", which is refused
 * and never taken for nothing.
 *
 * Prices are functions, so they compose: `(usage, model) => own(usage, model) ?? listed(usage, model)`.
 */
export type Price = (usage: TokenUsage, model: PricedModel) => Money | undefined;
