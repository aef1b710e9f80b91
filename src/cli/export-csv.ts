import { visible } from './escape.ts';
import type { LogEvent } from './read-log.ts';

const COLUMNS =
  'log seq ts kind call tool guard code reason error note us usd sat overrun observed unit cap requested remaining scheme host port addr args agent session calls denied prev'.split(
    ' ',
  );
/** What has no column of its own, as JSON. */
const REST = 'other';
const KNOWN: ReadonlySet<string> = new Set(['v', ...COLUMNS]);
/** With their full-width forms, which some spreadsheets take for the same. */
const FORMULA = /^[=+\-@\uff1d\uff0b\uff0d\uff20]/;

export const CSV_HEAD: string = `${[...COLUMNS, REST].join(',')}\r\n`;

/** An event as one record of RFC 4180. */
export function csvRow(event: LogEvent): string {
  const fields = event as unknown as Readonly<Record<string, unknown>>;
  const rest = Object.entries(fields).filter(([key]) => !KNOWN.has(key));
  const cells = COLUMNS.map((column) => csvCell(fields[column]));
  cells.push(rest.length === 0 ? '' : csvCell(JSON.stringify(Object.fromEntries(rest))));
  return `${cells.join(',')}\r\n`;
}

/** Text without control characters, that no spreadsheet takes for a formula. */
export function csvCell(value: unknown): string {
  if (value === undefined) return '';
  const text = visible(String(value));
  const cell = FORMULA.test(text) ? `'${text}` : text;
  return /[",]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
