import { isLeashError } from '../../errors.ts';
import type { Leash } from '../../leash-contract.ts';

/** What a refusal tells Claude, and those who run it. */
export interface ToldRefusal {
  readonly toModel: string;
  /** Why the agent has to end; undefined where it may go on with something else. */
  readonly stopReason: string | undefined;
}

/** @param error what kept a call from being allowed. */
export function toldRefusal(leash: Leash, error: unknown): ToldRefusal {
  if (isLeashError(error)) {
    const ended = leash.signal.aborted || error.code.startsWith('SESSION_');
    return { toModel: error.message, stopReason: ended ? error.message : undefined };
  }
  // A mistake of the developer's, in what the leash was told of the tool: Claude could only go on with the next one.
  const why = error instanceof Error ? error.message : 'unknown';
  return { toModel: 'The leash could not decide on the call. Do not retry.', stopReason: `leashkit: ${why}` };
}
