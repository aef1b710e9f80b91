import { checkInteger, checkOneOf } from '../internal/options.ts';
import type { Line, Reserve, Settle } from './store.ts';

/** Part of every store's contract (S6): a number that is no amount never reaches a counter. */
export function checkReserve({ id, lines, leaseMs, keepMs }: Reserve): void {
  if (typeof id !== 'string' || id === '') throw new TypeError('a reservation needs an id');
  checkUnits('leaseMs', leaseMs);
  if (keepMs !== undefined) checkUnits('keepMs', keepMs);
  for (let i = 0; i < lines.length; i++) {
    checkUnits('amount', (lines[i] as Line).amount);
    checkUnits('cap', (lines[i] as Line).cap);
  }
}

/** @param lines how many lines the hold has, where there is one. */
export function checkSettle({ actual }: Settle, lines: number | undefined): void {
  if (actual === 'void' || actual === 'forfeit') return;
  if (!Array.isArray(actual)) throw new TypeError("`actual` must be an array of units, 'void' or 'forfeit'");
  for (let i = 0; i < actual.length; i++) checkUnits('actual', actual[i]);
  if (lines !== undefined && actual.length !== lines) {
    throw new RangeError(`\`actual\` has ${actual.length} amounts for ${lines} lines`);
  }
}

function checkUnits(name: string, value: unknown): void {
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw new RangeError(`\`${name}\` must be a safe integer >= 0, got ${String(value)}`);
  }
}

/**
 * A name that leaves this process: of two texts that are no Unicode a server or a file makes one.
 *
 * @throws {TypeError | RangeError}
 */
export function checkText(what: string, text: unknown): void {
  if (typeof text !== 'string') throw new TypeError(`${what} must be a string`);
  if (!text.isWellFormed()) throw new RangeError(`${what} must be well-formed Unicode`);
}

const BOOKS = ['reserve', 'settle'] as const;
const SPANS = ['total', 'rolling', 'calendar'] as const;

/** All of a line that leaves this process but its units. @throws {TypeError | RangeError} */
export function checkLine({ scope, generation, meter, span, book }: Line): void {
  checkText('the scope of a line', scope);
  checkText('the generation of a line', generation);
  checkText('the meter of a line', meter);
  checkOneOf('book', book, BOOKS);
  const { kind } = (span ?? {}) as Partial<typeof span>;
  checkOneOf('span.kind', kind, SPANS);
  if (span.kind !== 'rolling') return;
  checkInteger('span.ms', span.ms, 1);
  checkInteger('span.stepMs', span.stepMs, 1);
}
