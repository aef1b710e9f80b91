/** A signal that aborts with the first of the two. `given` is a framework's: there may be none. */
export function eitherSignal(given: unknown, signal: AbortSignal): AbortSignal {
  if (given === undefined || given === null) return signal;
  return given instanceof AbortSignal ? AbortSignal.any([given, signal]) : (given as AbortSignal);
}

/** The work, or a rejection with the reason of the signal, whichever is first: not all work heeds its signal. */
export function unlessAborted<T>(work: PromiseLike<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    const over = (): void => signal.removeEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject);
    work.then(over, over);
  });
}
