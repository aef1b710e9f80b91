import type { Line, Reserve, Settle } from '../store.ts';
import { checkReserve, checkSettle } from '../store-input.ts';

/** An index of PostgreSQL takes no more than about 2 700 bytes. */
const MAX_TEXT = 800;

/** What the caller does with its objects later does not matter: what was checked is sent. @throws {TypeError | RangeError} */
export function checkedReserve(batch: readonly Reserve[]): readonly Reserve[] {
  return batch.map((item) => {
    const { id, onto, leaseMs, keepMs, force } = item;
    const lines = item.lines.map(({ span, ...line }): Line => ({ ...line, span: { ...span } }));
    const copy: Reserve = { id, lines, leaseMs, onto, keepMs, force };
    checkReserve(copy);
    checkText('the id of a reservation', id);
    if (onto !== undefined) checkText('the id of a hold', onto);
    for (const line of lines) checkLine(line);
    return copy;
  });
}

/** @throws {TypeError | RangeError} */
export function checkedSettle(batch: readonly Settle[]): readonly Settle[] {
  return batch.map(({ id, actual }) => {
    const copy = { id, actual: Array.isArray(actual) ? [...actual] : actual } as Settle;
    checkText('the id of a settlement', id);
    checkSettle(copy, undefined);
    return copy;
  });
}

/** @throws {TypeError | RangeError} no name that PostgreSQL can hold. */
export function checkText(what: string, text: unknown, max: number = MAX_TEXT): void {
  if (typeof text !== 'string') throw new TypeError(`${what} must be a string`);
  if (text.length > max || !text.isWellFormed() || text.includes('\0')) {
    throw new RangeError(`${what} must be well-formed Unicode without U+0000, of at most ${max} characters`);
  }
}

function checkLine({ scope, generation, meter, span }: Line): void {
  checkText('a scope', scope);
  checkText('a generation', generation);
  // No index has it.
  checkText('a meter', meter, 100_000);
  if (span.kind !== 'rolling') return;
  for (const ms of [span.ms, span.stepMs]) {
    if (!Number.isSafeInteger(ms) || ms < 1) throw new RangeError('a rolling span must be of safe integers >= 1');
  }
}
