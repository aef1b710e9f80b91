/** Chance that can be had again: the same seed gives the same numbers. */
export class SeededRandom {
  #state: number;

  /** @param seed any text; streams of different names have nothing to do with one another. */
  constructor(seed: string) {
    // FNV-1a, so that near seeds are far apart.
    let hash = 0x811c9dc5;
    for (let i = 0; i < seed.length; i++) hash = Math.imul(hash ^ seed.charCodeAt(i), 0x01000193);
    this.#state = hash >>> 0;
  }

  /** From 0 to 1, without 1: mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** From `from` to `to`, both included. */
  integer(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  /** Whether something happens that does once in `oneIn` times. */
  happens(oneIn: number): boolean {
    return this.next() * oneIn < 1;
  }

  pick<T>(of: readonly T[]): T {
    return of[this.integer(0, of.length - 1)] as T;
  }
}
