import { checkInteger, checkName, checkOptions, shown } from '../internal/options.ts';
import { type Amount, formatUnits, parseRate } from '../money.ts';
import type { Price } from './price.ts';
import { isPlausible, type TokenUsage } from './token-usage.ts';

/** USD per million tokens, exact to 1e-9 USD and rounded up beyond. Zero is written out: nothing is free by omission. */
export interface TokenRates {
  /** Input that no cache had. */
  readonly inputPerMTok: Amount;
  /** Output, with reasoning. */
  readonly outputPerMTok: Amount;
  /** Input read from a cache. Default: `inputPerMTok`. */
  readonly cacheReadPerMTok?: Amount;
  /**
   * Input written to a cache: the price of the longest retention in use. Without it a request that writes to a cache has
   * no price; where writing costs no more than reading input, say so by the same amount.
   */
  readonly cacheWritePerMTok?: Amount;
}

/** Rates of requests from a length on. */
export interface LongContextRates extends TokenRates {
  /** The rates hold for the whole of a request with more input tokens than this. Integer >= 1. */
  readonly overInputTokens: number;
}

/** What one model costs, and its other names. */
export interface ModelRates extends TokenRates {
  /** Rates for long requests, where the provider has such. Default: none. */
  readonly longContext?: LongContextRates | readonly LongContextRates[];
  /**
   * Other exact model ids with these rates, such as `'gpt-5-2025-08-07'`, or a gateway's `'openai/gpt-5'`. Dated ids are
   * not guessed: one may cost more than the name without its date.
   */
  readonly aliases?: readonly string[];
}

export interface PriceTableOptions {
  /**
   * The providers whose models these are: others have no price. `'openai'` is `'openai'` and `'openai.responses'`, which
   * the AI SDK says, and nothing else that begins so. Default: any, also one that is not told.
   */
  readonly providers?: readonly string[];
}

const RATES = ['inputPerMTok', 'outputPerMTok', 'cacheReadPerMTok', 'cacheWritePerMTok'];

/** Nano-USD per million tokens. */
interface Rates {
  readonly over: number;
  readonly input: bigint;
  readonly output: bigint;
  readonly cacheRead: bigint;
  readonly cacheWrite: bigint | undefined;
}

/**
 * Prices of your own, by exact model id.
 *
 * A request costs the exact sum of its tokens at their rates, rounded up once to 1e-9 USD. There is no price for a model
 * or a provider that is not listed, for usage that cannot be true, and for an amount past $9007199.254740991.
 *
 * @throws {TypeError} an unknown key, a missing rate or a wrong type; @throws {RangeError} NaN, a negative or infinite
 * rate, or an id that is listed twice. The message names the model and the key.
 */
export function priceTable(models: Readonly<Record<string, ModelRates>>, options: PriceTableOptions = {}): Price {
  if (typeof models !== 'object' || models === null || Array.isArray(models)) {
    throw new TypeError(`priceTable expects an object of rates by model id, got ${shown(models)}`);
  }
  checkOptions('priceTable', options, ['providers']);
  const providers = readNames('priceTable.providers', options.providers);
  const table = new Map<string, readonly Rates[]>();
  for (const [modelId, rates] of Object.entries(models)) {
    const where = `priceTable['${modelId}']`;
    const tiers = readModel(where, rates);
    for (const id of [modelId, ...(readNames(`${where}.aliases`, rates.aliases) ?? [])]) {
      if (table.has(checkName(`${where} or its alias`, id))) throw new RangeError(`priceTable lists '${id}' twice`);
      table.set(id, tiers);
    }
  }
  return (usage, model) => {
    if (providers !== undefined && !isProvider(providers, model.provider)) return undefined;
    const tiers = table.get(model.modelId);
    if (tiers === undefined || !isPlausible(usage)) return undefined;
    const rates = tiers.find(({ over }) => usage.inputTokens > over);
    return rates === undefined ? undefined : costOf(usage, rates);
  };
}

function isProvider(providers: readonly string[], provider: string | undefined): boolean {
  return providers.some((name) => provider === name || provider?.startsWith(`${name}.`));
}

function costOf(usage: TokenUsage, rates: Rates): { readonly usd: string } | undefined {
  const { inputTokens, outputTokens, cacheReadTokens = 0, cacheWriteTokens = 0 } = usage;
  if (cacheWriteTokens > 0 && rates.cacheWrite === undefined) return undefined;
  const sum =
    BigInt(inputTokens - cacheReadTokens - cacheWriteTokens) * rates.input +
    BigInt(cacheReadTokens) * rates.cacheRead +
    BigInt(cacheWriteTokens) * (rates.cacheWrite ?? 0n) +
    BigInt(outputTokens) * rates.output;
  const units = (sum + 999_999n) / 1_000_000n;
  return units > Number.MAX_SAFE_INTEGER ? undefined : { usd: formatUnits('usd', Number(units)) };
}

/** Longest requests first; the last of them holds for all. */
function readModel(where: string, rates: ModelRates): readonly Rates[] {
  checkOptions(where, rates, [...RATES, 'longContext', 'aliases']);
  const { longContext = [] } = rates;
  const long: readonly LongContextRates[] = Array.isArray(longContext) ? longContext : [longContext];
  const tiers = long.map((tier, i) => {
    const name = `${where}.longContext${long === longContext ? `[${i}]` : ''}`;
    checkOptions(name, tier, [...RATES, 'overInputTokens']);
    return readRates(name, tier, checkInteger(`${name}.overInputTokens`, tier.overInputTokens, 1));
  });
  if (new Set(tiers.map(({ over }) => over)).size !== tiers.length) {
    throw new RangeError(`\`${where}.longContext\` has the same \`overInputTokens\` twice`);
  }
  return [...tiers.sort((a, b) => b.over - a.over), readRates(where, rates, 0)];
}

function readRates(where: string, rates: TokenRates, over: number): Rates {
  const rate = (key: keyof TokenRates): bigint => BigInt(parseRate(`${where}.${key}`, 'usd', rates[key]));
  return {
    over,
    input: rate('inputPerMTok'),
    output: rate('outputPerMTok'),
    cacheRead: rate(rates.cacheReadPerMTok === undefined ? 'inputPerMTok' : 'cacheReadPerMTok'),
    cacheWrite: rates.cacheWritePerMTok === undefined ? undefined : rate('cacheWritePerMTok'),
  };
}

function readNames(option: string, names: unknown): readonly string[] | undefined {
  if (names === undefined) return undefined;
  if (!Array.isArray(names)) throw new TypeError(`\`${option}\` must be an array of names, got ${shown(names)}`);
  return Array.from(names, (name, i) => checkName(`${option}[${i}]`, name));
}
