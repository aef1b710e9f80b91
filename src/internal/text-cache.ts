const MAX_ENTRIES = 1_000;
const MAX_KEY_LENGTH = 300;

/**
 * What was worked out for a text. Agents may invent texts without end, and endless ones: it holds at most 1,000, none of
 * more than 300 characters, and starts anew when it is full.
 */
export class TextCache<V> {
  readonly #known = new Map<string, V>();

  get(text: string): V | undefined {
    return this.#known.get(text);
  }

  /** @returns the value, for the caller to hand on. */
  keep(text: string, value: V): V {
    if (text.length > MAX_KEY_LENGTH) return value;
    if (this.#known.size >= MAX_ENTRIES) this.#known.clear();
    this.#known.set(text, value);
    return value;
  }
}
