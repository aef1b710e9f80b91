import { uncountable } from './provider-parameters.ts';

const MAX_REMEMBERED = 16_384;

/** How many tokens reasoning had that requests name by its id alone, so that the provider reads what it has kept. */
export class KeptReasoning {
  readonly #tokens = new Map<string, number>();
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  /** @param tokens of all of an answer's reasoning. */
  remember(ids: Iterable<string>, tokens: number): void {
    for (const id of ids) this.#put(id, tokens);
  }

  /** @throws {TypeError} nobody was told, or too much was since. */
  tokensOf(ids: Iterable<string>): number {
    let sum = 0;
    for (const id of ids) {
      const tokens = this.#tokens.get(id);
      if (tokens === undefined) throw uncountable('what the provider kept of earlier requests', 'leashModel');
      this.#put(id, tokens);
      sum += tokens;
    }
    return sum;
  }

  /** What was needed last is forgotten last. */
  #put(id: string, tokens: number): void {
    this.#tokens.delete(id);
    this.#tokens.set(id, tokens);
    const [oldest] = this.#tokens.keys();
    if (this.#tokens.size > this.#most) this.#tokens.delete(oldest as string);
  }
}

/** Of all models: the next request may be another one's, or that of another copy of the same. */
export const keptReasoning: KeptReasoning = new KeptReasoning(MAX_REMEMBERED);
