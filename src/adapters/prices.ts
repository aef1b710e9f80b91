import type { Money } from '../money.ts';

/** What a model request has used, whatever its provider calls it. */
export interface TokenUsage {
  /** All tokens of the prompt, those read from and written to a cache among them. */
  readonly inputTokens: number;
  /** All tokens that the model wrote, its reasoning among them. */
  readonly outputTokens: number;
  readonly cacheReadTokens?: number | undefined;
  readonly cacheWriteTokens?: number | undefined;
  readonly reasoningTokens?: number | undefined;
}

/** What a use of a model costs; undefined where nobody knows, which is refused and never free. */
export type Price = (
  usage: TokenUsage,
  model: { readonly provider?: string | undefined; readonly modelId: string },
) => Money | undefined;

/** What a provider or framework reported, as `TokenUsage`; undefined where a count is missing or none. */
export function normalizeUsage(raw: unknown): TokenUsage | undefined {
  if (typeof raw !== 'object' || raw === null) return undefined;
  const {
    inputTokens: input,
    outputTokens: output,
    cachedInputTokens,
    reasoningTokens,
  } = raw as Record<string, unknown>;
  const { total: inputTotal = input, cacheRead = cachedInputTokens, cacheWrite } = Object(input);
  const { total: outputTotal = output, reasoning = reasoningTokens } = Object(output);
  if (!isCount(inputTotal) || !isCount(outputTotal)) return undefined;
  return {
    inputTokens: inputTotal,
    outputTokens: outputTotal,
    cacheReadTokens: isCount(cacheRead) ? cacheRead : undefined,
    cacheWriteTokens: isCount(cacheWrite) ? cacheWrite : undefined,
    reasoningTokens: isCount(reasoning) ? reasoning : undefined,
  };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
