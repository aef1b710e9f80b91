import { failed } from './failure.ts';

/** A sink or a signer that never answers is one that failed. `who` is named in the error. */
export function inTime<T>(answer: PromiseLike<T>, timeoutMs: number, who: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(failed('ETIMEDOUT', `${who} did not answer in time`)), timeoutMs);
    answer.then(
      (value) => {
        clearTimeout(late);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(late);
        reject(error);
      },
    );
  });
}
