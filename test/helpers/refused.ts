import { expect } from 'vitest';
import type { LeashError } from '../../src/errors.ts';

/** What a promise was rejected with, or a call of a tool that answers at once. */
export function rejection(work: unknown): Promise<LeashError> {
  return Promise.resolve(work).then(
    () => expect.unreachable('it was not refused'),
    (error: LeashError) => error,
  );
}

export function thrownBy(action: () => unknown): LeashError {
  try {
    action();
  } catch (error) {
    return error as LeashError;
  }
  return expect.unreachable('it did not throw');
}
