import { inspect } from 'node:util';
import {
  type AnyDenial,
  type DenialCode,
  type DeniedError,
  findLeashError,
  type LeashError,
  type LeashErrorCode,
  type SessionEndedCode,
  type SessionEndedError,
} from '../errors.ts';
import { isPromiseLike } from '../internal/maybe-promise.ts';
import { kindOf } from '../internal/options.ts';
import { type AnyCode, checkExpected, compared, described, type ExpectedDenial, matches } from './denial.ts';
import { type Failure, failure } from './failure.ts';

/** A call that is to be refused: its promise or stream, or a function that makes it. */
export type Refusable = PromiseLike<unknown> | AsyncIterable<unknown> | (() => unknown);

/** The error that has this code. */
export type ErrorOf<Code extends string> = Code extends SessionEndedCode
  ? SessionEndedError
  : Code extends AnyDenial['code']
    ? Extract<AnyDenial, { readonly code: Code }>
    : Code extends Exclude<LeashErrorCode, DenialCode>
      ? LeashError
      : DeniedError;

/**
 * Resolves to the refusal, for a look at its other fields. Works in every test runner. Looks through what frameworks wrap
 * around an error; a stream is read until it ends or refuses.
 *
 * @throws {AssertionError} the call ran, failed otherwise, or was refused with something else; with `actual` and `expected`.
 * @throws {TypeError} no call, no code, or an unknown key in `expected`.
 */
export async function expectDenied<const Code extends AnyCode>(
  call: Refusable,
  code: Code,
  expected: ExpectedDenial = {},
): Promise<ErrorOf<Code>> {
  const judged = judge(await outcomeOf(call), code, expected);
  if (judged.error === undefined) throw failure(judged, expectDenied);
  return judged.error as ErrorOf<Code>;
}

export type Outcome = { readonly value: unknown } | { readonly error: unknown };

/** @throws {TypeError} it is no call. */
export async function outcomeOf(call: Refusable): Promise<Outcome> {
  if (typeof call !== 'function' && !isPromiseLike(call) && !isAsyncIterable(call)) {
    throw new TypeError(`expectDenied expects a promise, a stream or a function that makes one, got ${kindOf(call)}`);
  }
  try {
    const value = await (typeof call === 'function' ? call() : call);
    if (isAsyncIterable(value)) for await (const _ of value);
    return { value };
  } catch (error) {
    return { error };
  }
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/** What is wrong with the outcome, unless there is the expected error. */
export interface Judgement extends Failure {
  readonly error: LeashError | undefined;
}

/** @throws {TypeError} no code, or an unknown key in `expected`. */
export function judge(outcome: Outcome, code: string, expected: ExpectedDenial): Judgement {
  if (typeof code !== 'string' || code === '') {
    throw new TypeError(`expectDenied expects a code such as 'BUDGET_EXCEEDED', got ${kindOf(code)}`);
  }
  checkExpected('expectDenied', expected);
  const wanted = { code, ...expected };
  const refusal = `expected ${described(wanted)}`;
  if (!('error' in outcome)) {
    const message = `${refusal}, but the call ran and gave ${brief(outcome.value)}`;
    return { error: undefined, message, actual: undefined, expected: wanted };
  }
  const { error: cause } = outcome;
  const error = findLeashError(cause);
  if (error === undefined) {
    const message = `${refusal}, but the call failed with something that is no refusal: ${brief(cause)}`;
    return { error, message, actual: undefined, expected: wanted, cause };
  }
  const actual = compared(error, wanted);
  const message = `${refusal}, but it was ${described(error)}: ${error.message}`;
  return { error: matches(error, wanted) ? error : undefined, message, actual, expected: wanted, cause };
}

function brief(value: unknown): string {
  const text = value instanceof Error ? `${value.name}: ${value.message}` : inspect(value, { depth: 1 });
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
