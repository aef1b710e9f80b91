import { checkName, checkOneOf, checkOptions, shown } from '../internal/options.ts';
import { formatUnits, type Money, parseMoney } from '../money.ts';
import type { Price, PricedModel } from './price.ts';
import { isPlausible, type TokenUsage } from './token-usage.ts';

/** What `calcPrice` of `@pydantic/genai-prices` answers, as far as it is read here. */
export interface GenaiPrice {
  readonly input_price: number;
  readonly output_price: number;
  readonly total_price: number;
  readonly model: { readonly id: string; readonly match: object };
  readonly provider: { readonly id: string; readonly provider_match?: object | undefined };
}

/** `calcPrice` of `@pydantic/genai-prices`. */
export type CalcPrice = (
  usage: Record<string, number>,
  modelId: string,
  options?: { providerId?: string },
) => GenaiPrice | null | undefined;

/** How far `fromGenaiPrices` takes a model id for one that is listed. */
export interface GenaiPricesOptions {
  /**
   * `'exact'`: model and provider have one of the names that genai-prices lists for them, in whatever case. `'fuzzy'`:
   * what genai-prices takes them for, so that a new `claude-sonnet-5-5` costs what `claude-sonnet-5` does. Default: `'exact'`.
   */
  readonly match?: 'exact' | 'fuzzy';
  /** Model ids that genai-prices does not list, and the one to price in their place: dated ids, deployments. Default: none. */
  readonly aliases?: Readonly<Record<string, string>>;
  /**
   * Providers that genai-prices calls otherwise: `{ 'amazon-bedrock': 'aws' }`. Others are looked up by what stands before
   * the first dot, `'openai'` for the AI SDK's `'openai.responses'`. Default: none.
   */
  readonly providers?: Readonly<Record<string, string>>;
  /** Providers such as gateways whose model ids begin with the provider, `'openai/gpt-5'`: that one is priced. Default: none. */
  readonly gateways?: readonly string[];
  /** How long what is written to a cache lives: an hour costs more than five minutes at Anthropic. Default: `'5m'`. */
  readonly cacheRetention?: '5m' | '1h';
}

const OPTIONS = ['match', 'aliases', 'providers', 'gateways', 'cacheRetention'];

/**
 * List prices of `@pydantic/genai-prices`, whose `calcPrice` is passed in: this package does not depend on it.
 *
 * There is no price where it finds none or throws, where it took one model or provider for another (`match`), and where
 * tokens would cost nothing: it lists models of which it does not know the price too. Amounts are rounded up to 1e-9 USD.
 * Where no provider is told, it is the one that the model's name belongs to.
 *
 * @throws {TypeError} `calcPrice` is no function, an unknown option or a wrong type; @throws {RangeError} an empty name.
 */
export function fromGenaiPrices(calcPrice: CalcPrice, options: GenaiPricesOptions = {}): Price {
  if (typeof calcPrice !== 'function') {
    throw new TypeError(`fromGenaiPrices expects calcPrice of @pydantic/genai-prices, got ${shown(calcPrice)}`);
  }
  checkOptions('fromGenaiPrices', options, OPTIONS);
  const exact = checkOneOf('fromGenaiPrices.match', options.match ?? 'exact', ['exact', 'fuzzy']) === 'exact';
  const aliases = readMap('fromGenaiPrices.aliases', options.aliases);
  const providers = readMap('fromGenaiPrices.providers', options.providers);
  const gateways = readGateways(options.gateways);
  const retention = checkOneOf('fromGenaiPrices.cacheRetention', options.cacheRetention ?? '5m', ['5m', '1h']);
  return (usage, model) => {
    if (!isPlausible(usage)) return undefined;
    const { provider, modelId } = gateways.has(model.provider) ? behindGateway(model.modelId) : model;
    const providerId = provider === undefined ? undefined : (providers.get(provider) ?? provider.split('.', 1)[0]);
    const id = aliases.get(modelId) ?? modelId;
    if (providerId === '' || id === '') return undefined;
    try {
      const found = calcPrice(genaiUsage(usage, retention), id, providerId === undefined ? {} : { providerId });
      if (found === null || found === undefined) return undefined;
      return exact && !isNamed(found, id, providerId) ? undefined : moneyOf(found, usage);
    } catch {
      // Also what it answers may be of another kind than its types say, in another version.
      return undefined;
    }
  };
}

/** No count is undefined here: genai-prices takes that for 0. */
function genaiUsage(usage: TokenUsage, retention: '5m' | '1h'): Record<string, number> {
  const { inputTokens, outputTokens, cacheReadTokens = 0, cacheWriteTokens = 0 } = usage;
  return {
    input_tokens: inputTokens,
    output_tokens: outputTokens,
    cache_read_tokens: cacheReadTokens,
    cache_write_tokens: cacheWriteTokens,
    ...(retention === '1h' ? { cache_write_1h_tokens: cacheWriteTokens } : undefined),
  };
}

function moneyOf(found: GenaiPrice, usage: TokenUsage): Money | undefined {
  if (!(found.input_price > 0) || (usage.outputTokens > 0 && !(found.output_price > 0))) return undefined;
  const { usd } = parseMoney('total_price', { usd: found.total_price });
  return usd > 0 ? { usd: formatUnits('usd', usd) } : undefined;
}

function isNamed({ model, provider }: GenaiPrice, modelId: string, providerId: string | undefined): boolean {
  return (
    isListed(modelId, model.id, model.match) &&
    (providerId === undefined || isListed(providerId, provider.id, provider.provider_match))
  );
}

/** The name is the id, or one that the rules ask for as a whole. */
function isListed(name: string, id: string, rule: object | undefined): boolean {
  return [id, ...wholeNames(rule)].some((listed) => listed.toLowerCase() === name.toLowerCase());
}

function wholeNames(rule: object | undefined): readonly string[] {
  const { equals, or } = (rule ?? {}) as { readonly equals?: string; readonly or?: readonly object[] };
  return equals === undefined ? (or ?? []).flatMap(wholeNames) : [equals];
}

function behindGateway(modelId: string): PricedModel {
  const slash = modelId.indexOf('/');
  // Without a provider before it nothing is priced.
  return { provider: modelId.slice(0, Math.max(slash, 0)), modelId: modelId.slice(slash + 1) };
}

function readMap(option: string, names: unknown = {}): ReadonlyMap<string, string> {
  if (typeof names !== 'object' || names === null || Array.isArray(names)) {
    throw new TypeError(`\`${option}\` must be an object of names, got ${shown(names)}`);
  }
  return new Map(Object.entries(names).map(([name, to]) => [name, checkName(`${option}['${name}']`, to)]));
}

function readGateways(gateways: unknown = []): ReadonlySet<unknown> {
  if (!Array.isArray(gateways)) {
    throw new TypeError(`\`fromGenaiPrices.gateways\` must be an array of providers, got ${shown(gateways)}`);
  }
  return new Set(Array.from(gateways, (name, i) => checkName(`fromGenaiPrices.gateways[${i}]`, name)));
}
