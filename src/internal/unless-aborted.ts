/** The work, or a rejection with the reason of the signal, whichever is first: not all work heeds its signal. */
export function unlessAborted<T>(work: PromiseLike<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    const over = (): void => signal.removeEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    // Asked but once: work that begins when it is asked, as some thenables do, would be done twice.
    const done = Promise.resolve(work);
    done.then(resolve, reject);
    done.then(over, over);
  });
}
