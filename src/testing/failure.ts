import { AssertionError } from 'node:assert';

export interface Failure {
  readonly message: string;
  /** What runners show the difference of. */
  readonly actual: unknown;
  readonly expected: unknown;
  readonly cause?: unknown;
}

/** @param from the function that the test called: the stack begins above it. */
export function failure({ cause, ...rest }: Failure, from: (...args: never[]) => unknown): AssertionError {
  const error = new AssertionError({ ...rest, operator: from.name, stackStartFn: from as () => void });
  if (cause !== undefined) error.cause = cause;
  return error;
}
