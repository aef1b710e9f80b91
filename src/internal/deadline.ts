import { checkInteger } from './options.ts';

/** The most that a timer takes; above, it fires at once. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;

/** Milliseconds that a timer takes. @throws {TypeError} not a number; @throws {RangeError} no integer from 1 to 2^31 - 1. */
export function checkTimerMs(option: string, value: unknown): number {
  const ms = checkInteger(option, value, 1);
  if (ms <= MAX_TIMER_MS) return ms;
  throw new RangeError(`\`${option}\` must be at most ${MAX_TIMER_MS} ms, got ${ms}`);
}

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
    // Some thenables answer with one more, which may never answer, or throw.
    Promise.resolve(answer).then(
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
