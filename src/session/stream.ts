import { quietly } from '../internal/maybe-promise.ts';

/** The call that a stream is: each step runs within it, and the first ending that is told is its only one. */
export interface StreamLife {
  /** Runs one step of the stream as a part of its call. */
  within<R>(step: () => R): R;
  readonly signal: AbortSignal;
  ended(value: unknown): unknown;
  failed(error: unknown): unknown;
  /** The consumer stopped early. */
  returned(): unknown;
  /** The signal ended it. */
  aborted(reason: unknown): unknown;
}

export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    typeof (value as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator] === 'function'
  );
}

export function isAsyncGeneratorFunction(value: unknown): boolean {
  return Object.prototype.toString.call(value) === '[object AsyncGeneratorFunction]';
}

type Step = 'next' | 'return' | 'throw';

/**
 * The same iterable, whose steps run inside its call and whose end settles it. Everything else of the object is as it
 * was; methods see the object itself as `this`, so that private fields work.
 */
export function guardStream<S extends AsyncIterable<unknown>>(source: S, life: StreamLife): S {
  const guarded = new GuardedStream(life);
  const own = source as unknown as AsyncIterator<unknown>;
  // A proxy has to show a frozen method of its target as it is, so the target must not be what is frozen.
  const proxy: S = new Proxy(hasFrozenParts(source) ? (Object.create(source) as S) : source, {
    getPrototypeOf: () => Reflect.getPrototypeOf(source),
    get(_, key) {
      if (key === Symbol.asyncIterator) {
        return () => {
          const iterator = guarded.begin(source);
          // A generator is its own iterator, and stays it.
          return (iterator as unknown) === source ? proxy : guarded.iterator(iterator);
        };
      }
      if (key === Symbol.asyncDispose && typeof own.return === 'function') {
        return async () => void (await guarded.step(own, 'return', []));
      }
      const value: unknown = Reflect.get(source, key, source);
      if (typeof value !== 'function' || key === 'constructor') return value;
      if (key === 'next' || key === 'return' || key === 'throw') {
        return (...args: unknown[]) => guarded.step(own, key, args);
      }
      return value.bind(source);
    },
  });
  return proxy;
}

function hasFrozenParts(source: object): boolean {
  return Object.values(Object.getOwnPropertyDescriptors(source)).some(
    ({ configurable, writable }) => configurable === false && writable === false,
  );
}

class GuardedStream {
  readonly #life: StreamLife;
  readonly #waiting = new Set<(reason: unknown) => void>();
  #begun = false;
  #source: AsyncIterator<unknown> | undefined;
  #over = false;
  /** Set once the call was aborted; every later step rejects with it. */
  #aborted: { readonly reason: unknown } | undefined;
  readonly #onAbort = (): void => this.#abort();

  constructor(life: StreamLife) {
    this.#life = life;
    if (life.signal.aborted) this.#abort();
    else life.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** A stream that cannot be begun has failed; one that is read already goes on, whatever a second reader is told. */
  begin(source: AsyncIterable<unknown>): AsyncIterator<unknown> {
    try {
      const iterator = this.#life.within(() => source[Symbol.asyncIterator]());
      this.#begun = true;
      return iterator;
    } catch (error) {
      if (!this.#begun) quietly(() => this.#finish(() => this.#life.failed(error)));
      throw error;
    }
  }

  iterator(source: AsyncIterator<unknown>): AsyncIterator<unknown> & AsyncIterable<unknown> & AsyncDisposable {
    const iterator = {
      next: (...args: unknown[]) => this.step(source, 'next', args),
      return: (...args: unknown[]) => this.step(source, 'return', args),
      throw: (...args: unknown[]) => this.step(source, 'throw', args),
      [Symbol.asyncIterator]: () => iterator,
      [Symbol.asyncDispose]: async () => void (await this.step(source, 'return', [])),
    };
    return iterator;
  }

  step(source: AsyncIterator<unknown>, step: Step, args: unknown[]): Promise<IteratorResult<unknown>> {
    this.#begun = true;
    this.#source = source;
    if (this.#aborted !== undefined && step === 'next') return Promise.reject(this.#aborted.reason);
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject);
      this.#advance(source, step, args).then(
        (result) => {
          this.#waiting.delete(reject);
          resolve(result);
        },
        (error) => {
          this.#waiting.delete(reject);
          reject(error);
        },
      );
    });
  }

  async #advance(source: AsyncIterator<unknown>, step: Step, args: unknown[]): Promise<IteratorResult<unknown>> {
    let result: IteratorResult<unknown>;
    let over: boolean;
    let last: unknown;
    try {
      const method = source[step] as ((...given: unknown[]) => Promise<IteratorResult<unknown>>) | undefined;
      if (method === undefined) {
        if (step === 'throw') throw args[0];
        result = { done: true, value: args[0] };
      } else result = await this.#life.within(() => method.apply(source, args));
      if (Object(result) !== result) throw new TypeError('the stream gave no iterator result');
      over = Boolean(result.done);
      if (over && step !== 'return') last = result.value;
    } catch (error) {
      return this.#fail(error);
    }
    if (over) await this.#finish(() => (step === 'return' ? this.#life.returned() : this.#life.ended(last)));
    return result;
  }

  async #fail(error: unknown): Promise<never> {
    // The stream's own error goes on, whatever becomes of the bookkeeping.
    await this.#finish(() => this.#life.failed(error)).catch(() => {});
    throw error;
  }

  async #finish(tell: () => unknown): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#life.signal.removeEventListener('abort', this.#onAbort);
    await tell();
  }

  #abort(): void {
    const { reason } = this.#life.signal;
    this.#aborted = { reason };
    if (!this.#over) {
      this.#over = true;
      // What is thrown to a signal ends the process, and those who wait are to hear of the end all the same.
      quietly(() => this.#life.aborted(reason));
    }
    for (const reject of this.#waiting) reject(reason);
    this.#waiting.clear();
    const source = this.#source;
    // Lets the tool's own `finally` run; what it says no longer matters to anyone.
    if (source !== undefined) quietly(() => this.#life.within(() => source.return?.()));
  }
}

/** A stream that is there before it is known whether it may start. */
export function pendingStream(start: Promise<AsyncIterable<unknown>>): AsyncGenerator<unknown, unknown, unknown> {
  start.catch(() => {});
  let iterator: Promise<AsyncIterator<unknown>> | undefined;
  const begin = (): Promise<AsyncIterator<unknown>> => {
    iterator ??= start.then((source) => source[Symbol.asyncIterator]());
    return iterator;
  };
  const stream: AsyncGenerator<unknown, unknown, unknown> = {
    next: async (...args) => (await begin()).next(...args),
    return: async (value) => (await (await begin()).return?.(value)) ?? { done: true, value },
    throw: async (error) => {
      const source = await begin();
      if (source.throw !== undefined) return source.throw(error);
      throw error;
    },
    [Symbol.asyncIterator]: () => stream,
    [Symbol.asyncDispose]: async () => void (await stream.return(undefined)),
  };
  return stream;
}

/**
 * A rejected promise that a caller who expects a stream may also iterate: a refused call of a tool of either kind
 * fails with the refusal, not with "is not async iterable".
 */
export function refusedResult(error: unknown): Promise<never> {
  const refused = Promise.reject(error);
  return Object.defineProperty(refused, Symbol.asyncIterator, { value: () => pendingStream(refused) });
}
