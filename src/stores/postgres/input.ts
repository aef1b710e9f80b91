import type { Line, Reserve, Settle } from '../store.ts';
import { checkLine, checkReserve, checkSettle, checkText } from '../store-input.ts';

/** An index of PostgreSQL takes no more than about 2 700 bytes. */
const MAX_INDEXED = 800;
const MAX_METER = 100_000;

/** What the caller does with its objects later does not matter: what was checked is sent. @throws {TypeError | RangeError} */
export function checkedReserve(batch: readonly Reserve[]): readonly Reserve[] {
  return batch.map((item) => {
    const { id, onto, leaseMs, keepMs } = item;
    const force = item.force === true ? true : undefined;
    const lines = item.lines.map(({ span, ...line }): Line => ({ ...line, span: { ...span } }));
    const copy: Reserve = { id, lines, leaseMs, onto, keepMs, force };
    checkReserve(copy);
    checkSqlText('the id of a reservation', id);
    if (onto !== undefined) checkSqlText('the id of a hold', onto);
    for (const line of lines) {
      checkLine(line);
      checkLength('the scope of a line', line.scope, MAX_INDEXED);
      checkLength('the generation of a line', line.generation, MAX_INDEXED);
      checkLength('the meter of a line', line.meter, MAX_METER);
    }
    return copy;
  });
}

/** @throws {TypeError | RangeError} */
export function checkedSettle(batch: readonly Settle[]): readonly Settle[] {
  return batch.map(({ id, actual }) => {
    const copy = { id, actual: Array.isArray(actual) ? [...actual] : actual } as Settle;
    checkSqlText('the id of a settlement', id);
    checkSettle(copy, undefined);
    return copy;
  });
}

/** @throws {TypeError | RangeError} no name that PostgreSQL can hold. */
export function checkSqlText(what: string, text: unknown): void {
  checkText(what, text);
  checkLength(what, text as string, MAX_INDEXED);
}

function checkLength(what: string, text: string, max: number): void {
  if (text.length > max || text.includes('\0')) {
    throw new RangeError(`${what} must be at most ${max} characters without U+0000`);
  }
}
