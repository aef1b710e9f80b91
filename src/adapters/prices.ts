/** What requests to models cost: nothing here knows a price that it was not given. */

export {
  type CalcPrice,
  fromGenaiPrices,
  type GenaiPrice,
  type GenaiPricesOptions,
} from '../prices/genai-prices.ts';
export { normalizeUsage } from '../prices/normalize-usage.ts';
export type { Price, PricedModel } from '../prices/price.ts';
export {
  type LongContextRates,
  type ModelRates,
  type PriceTableOptions,
  priceTable,
  type TokenRates,
} from '../prices/price-table.ts';
export type { TokenUsage } from '../prices/token-usage.ts';
