import { before } from '../internal/deadline.ts';
import { failed } from './failure.ts';

/** A sink or a signer that never answers is one that failed. `who` is named in the error. */
export function inTime<T>(answer: PromiseLike<T>, timeoutMs: number, who: string): Promise<T> {
  const late = (): Error => failed('ETIMEDOUT', `${who} did not answer in time`);
  return before({ ms: timeoutMs, late, keepsAlive: true }, answer);
}
