import type { Line, Reserve } from '../store.ts';
import { checkReserve } from '../store-input.ts';

/** A name that SQLite can keep: what is no Unicode would become another one. */
export function checkText(what: string, text: unknown): void {
  if (typeof text !== 'string') throw new TypeError(`${what} must be a string`);
  if (!text.isWellFormed()) throw new RangeError(`${what} must be well-formed Unicode`);
}

export function checkItem(item: Reserve): void {
  checkReserve(item);
  checkText('the id of a reservation', item.id);
  if (item.onto !== undefined) checkText('`onto`', item.onto);
  for (const line of item.lines) checkLine(line);
}

function checkLine({ scope, meter, span, book }: Line): void {
  checkText('the scope of a line', scope);
  checkText('the meter of a line', meter);
  if (book !== 'reserve' && book !== 'settle') throw new TypeError("`book` must be 'reserve' or 'settle'");
  if (span.kind === 'rolling') {
    for (const ms of [span.ms, span.stepMs]) {
      if (!Number.isSafeInteger(ms) || ms < 1) throw new RangeError('a rolling span has whole milliseconds >= 1');
    }
  } else if (span.kind !== 'total' && span.kind !== 'calendar') {
    throw new TypeError("`span.kind` must be 'total', 'rolling' or 'calendar'");
  }
}
