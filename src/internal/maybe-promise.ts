/** A value now, or a promise of it: guards, stores and sinks may be either, and stay synchronous when they can. */
export type MaybePromise<T> = T | Promise<T>;

export function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    typeof (value as { then?: unknown }).then === 'function'
  );
}

/** Runs `next` at once on a value and later on a promise, so that one description serves both kinds of part. */
export function after<T, R>(value: T | PromiseLike<T>, next: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return isPromiseLike(value) ? Promise.resolve(value).then(next) : next(value);
}

/** Does what nobody waits for, and whose failure shows elsewhere or not at all. */
export function quietly(work: () => unknown): void {
  try {
    const done = work();
    if (isPromiseLike(done)) done.then(undefined, () => {});
  } catch {}
}
