import { AssertionError } from 'node:assert';
import { findLeashError } from '../errors.ts';
import { after, type MaybePromise } from '../internal/maybe-promise.ts';
import type { AnyCode, ExpectedDenial } from './denial.ts';
import { judge, outcomeOf, type Refusable } from './expect-denied.ts';
import type { ExpectedDenials, RecordingSink } from './recording-sink.ts';

/** What `expect.extend` of Vitest and Jest wants of a matcher. */
export interface MatcherResult {
  readonly pass: boolean;
  readonly message: () => string;
  readonly actual?: unknown;
  readonly expected?: unknown;
}

/**
 * For the types of Vitest, in a file of your tests: `declare module 'vitest'` with
 * `interface Matchers<R extends void | Promise<void>, T> extends LeashMatchers {}` (before Vitest 5 `Matchers<T>`).
 */
export interface LeashMatchers {
  /** As `expectDenied`, of a promise, a stream, a function that makes one, or an error behind `.rejects`. */
  toBeDenied(code: AnyCode, expected?: ExpectedDenial): Promise<void>;
  /** As `recordingSink().expectDenied`. */
  toHaveDenied(code: AnyCode, expected?: ExpectedDenials): void;
  /** As `recordingSink().expectRan`. */
  toHaveRan(tool: string, times: number): void;
}

/** For `expect.extend(leashMatchers)`: `toBeDenied` of a call, `toHaveDenied` and `toHaveRan` of a recording sink. */
export const leashMatchers: {
  toBeDenied(received: unknown, code: AnyCode, expected?: ExpectedDenial): MaybePromise<MatcherResult>;
  toHaveDenied(received: RecordingSink, code: AnyCode, expected?: ExpectedDenials): MatcherResult;
  toHaveRan(received: RecordingSink, tool: string, times: number): MatcherResult;
} = {
  toBeDenied(received, code, expected = {}) {
    const isError = received instanceof Error || findLeashError(received) !== undefined;
    const outcome = isError ? { error: received } : outcomeOf(received as Refusable);
    return after(outcome, (ended) => {
      const { error, message, ...compared } = judge(ended, code, expected);
      const refused = error === undefined ? message : `expected another outcome than ${error.code}: ${error.message}`;
      return { pass: error !== undefined, message: () => refused, ...compared };
    });
  },
  toHaveDenied(received, code, expected) {
    return resultOf(received, () => received.expectDenied(code, expected));
  },
  toHaveRan(received, tool, times) {
    return resultOf(received, () => received.expectRan(tool, times));
  },
};

function resultOf(sink: RecordingSink, expectation: () => unknown): MatcherResult {
  try {
    expectation();
    return { pass: true, message: () => `expected otherwise.\nThe log:\n${sink}` };
  } catch (error) {
    if (!(error instanceof AssertionError)) throw error;
    const { message, actual, expected } = error;
    return { pass: false, message: () => message, actual, expected };
  }
}
