import fc from 'fast-check';
import { expect } from 'vitest';
import type { Clock } from '../../src/internal/clock.ts';
import type { Store } from '../../src/stores/store.ts';
import { type Backend, freshStores, type OpenStores } from './backends/backend.ts';
import { SwitchedClock } from './clock.ts';

/** Of one space. */
export type Stores = Pick<OpenStores, 'stores' | 'close'>;

/** Gives stores of one empty space, which go by the clock, for each try. */
export type Fresh = (clock: Clock) => Stores | Promise<Stores>;

/** A store of this process. */
export function alone<C extends Clock>(make: (clock: C) => Store): (clock: C) => Stores {
  return (clock) => ({ stores: [make(clock)], close: async () => undefined });
}

/** Stores for one try after the other, each of which begins with nothing. */
class Tries {
  readonly #backend: Backend;
  readonly #count: number;
  readonly #clock: SwitchedClock = new SwitchedClock();
  #kept: OpenStores | undefined;

  constructor(backend: Backend, count: number) {
    this.#backend = backend;
    this.#count = count;
  }

  async next(clock: Clock): Promise<Pick<OpenStores, 'stores' | 'close'>> {
    this.#clock.by = clock;
    const { empty } = this.#backend;
    if (empty === undefined) return freshStores(this.#backend, this.#count, { clock });
    if (this.#kept === undefined) this.#kept = await freshStores(this.#backend, this.#count, { clock: this.#clock });
    else await empty(this.#kept.space);
    return { stores: this.#kept.stores, close: async () => undefined };
  }

  async close(): Promise<void> {
    await this.#kept?.close();
  }
}

/** How long to look for something that breaks a law. */
export interface Limits {
  /** Of one space. */
  readonly stores: number;
  readonly forMs: number;
  readonly most: number;
  readonly least: number;
}

/** Tries a law on a backend. What breaks it is told with seed and path. */
export async function expectLaw<T>(
  backend: Backend,
  law: (fresh: Fresh) => fc.IAsyncProperty<T>,
  { stores, forMs, most, least }: Limits,
): Promise<fc.RunDetails<T>> {
  const tries = new Tries(backend, stores);
  try {
    const result = await fc.check(
      law((clock) => tries.next(clock)),
      { numRuns: most, interruptAfterTimeLimit: forMs, markInterruptAsFailure: false },
    );
    if (result.failed) throw new Error(fc.defaultReportMessage(result), { cause: result.errorInstance });
    expect(result.numRuns).toBeGreaterThanOrEqual(least);
    return result;
  } finally {
    await tries.close();
  }
}
