/** The most that a timer takes; above, it fires at once. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;

export interface Deadline {
  readonly ms: number;
  /** Makes the error of an answer that did not come in time. */
  readonly late: () => unknown;
  /** Whether the process is kept alive to see it. */
  readonly keepsAlive: boolean;
}

/** An answer, or the failure of whoever does not give one in time. */
export function before<T>({ ms, late, keepsAlive }: Deadline, answer: PromiseLike<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), Math.min(ms, MAX_TIMER_MS));
    if (!keepsAlive) timer.unref();
    answer.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}
