import { before } from '../internal/deadline.ts';

/** An error whose code the audit log can tell; its message holds nothing of what was written or answered. */
export function failed(code: string, message: string, cause?: unknown): Error {
  return Object.assign(new Error(message, cause === undefined ? undefined : { cause }), { code });
}

/** The system's word for what went wrong, when it is one; never a message, which may hold anything. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(code) ? code : undefined;
}

/** The same as ` (ENOSPC)`, for the middle of a sentence. */
export function codeWord(error: unknown): string {
  const code = codeOf(error);
  return code === undefined ? '' : ` (${code})`;
}

/** A sink or a signer that never answers is one that failed. `who` is named in the error. */
export function inTime<T>(answer: PromiseLike<T>, timeoutMs: number, who: string): Promise<T> {
  const late = (): Error => failed('ETIMEDOUT', `${who} did not answer in time`);
  return before({ ms: timeoutMs, late, keepsAlive: true }, answer);
}
