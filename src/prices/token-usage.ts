/** The tokens of one request to a model. */
export interface TokenUsage {
  /** All of the input: with what was read from a cache, and with what was written to one. */
  readonly inputTokens: number;
  /** All of the output, with reasoning. */
  readonly outputTokens: number;
  /** Of `inputTokens`: read from a cache. */
  readonly cacheReadTokens?: number | undefined;
  /** Of `inputTokens`: written to a cache. */
  readonly cacheWriteTokens?: number | undefined;
  /** Of `outputTokens`: reasoning. */
  readonly reasoningTokens?: number | undefined;
}

/** Counts that can be true: safe integers >= 0, some input, and no part greater than its whole. */
export function isPlausible(usage: TokenUsage): boolean {
  const { inputTokens, outputTokens, cacheReadTokens = 0, cacheWriteTokens = 0, reasoningTokens = 0 } = usage;
  return (
    [inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens].every(isCount) &&
    // No request has an empty input: where a provider told nothing, frameworks write 0.
    inputTokens > 0 &&
    cacheReadTokens + cacheWriteTokens <= inputTokens &&
    reasoningTokens <= outputTokens
  );
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
