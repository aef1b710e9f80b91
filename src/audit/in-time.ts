/** A sink or a signer that never answers is one that failed. `who` is named in the error. */
export function inTime<T>(answer: PromiseLike<T>, timeoutMs: number, who: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(
      () => reject(Object.assign(new Error(`${who} did not answer in time`), { code: 'ETIMEDOUT' })),
      timeoutMs,
    );
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
