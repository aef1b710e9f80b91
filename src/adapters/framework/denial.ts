import { findLeashError, type LeashError } from '../../errors.ts';
import type { Leash } from '../../leash-contract.ts';

/** A refusal, of whichever leash, in what a framework made of it. Undefined for all that went wrong otherwise. */
export function denialIn(error: unknown): LeashError | undefined {
  const found = findLeashError(error);
  return found !== undefined && 'guard' in found ? found : undefined;
}

/**
 * What to tell the model of a refused call, for frameworks that end with what a tool throws.
 *
 * @throws why the session has ended, where it has; the error, where it is no refusal.
 */
export function toldOf(leash: Leash, error: unknown): string {
  // Also of a tool that broke off because the session has ended.
  if (leash.breach !== undefined) throw leash.breach;
  const denial = denialIn(error);
  if (denial === undefined) throw error;
  if (denial.code.startsWith('SESSION_')) throw denial;
  return denial.message;
}
