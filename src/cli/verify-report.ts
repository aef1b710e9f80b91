import type { VerifyCode } from '../audit/line.ts';
import type { LogHead, LogReport, VerifyReport } from '../audit/verify.ts';
import { visible } from './escape.ts';
import type { Terminal } from './terminal.ts';
import { FIRST_USE, UNTRUSTED } from './trust.ts';

export interface Verified {
  readonly file: string;
  readonly report: VerifyReport;
}

export interface Given {
  readonly heads: readonly LogHead[];
  readonly tofu: boolean;
}

/** Something that a check of the file cannot show, though nothing is wrong. */
export interface NotProven {
  readonly what:
    | 'unsigned'
    | 'untrusted-key'
    | 'first-use'
    | 'unsigned-tail'
    | 'open-end'
    | 'torn-tail'
    | 'absent-log'
    | 'no-log';
  /** Id of the log that it is about; absent where it is about the file. */
  readonly log?: string;
  readonly text: string;
}

/** What each code means. */
export const WRONG: Readonly<Record<VerifyCode, string>> = {
  E_FORMAT: 'the line is none of the format',
  E_DUPKEY: 'the line has a key twice',
  E_CHAIN: 'the line does not follow from the one before',
  E_SEQ: 'a line is missing, doubled or moved',
  E_ROOT: 'the lines are not those that were signed or expected',
  E_SIG: 'the signature of a checkpoint does not hold',
  E_CERT: 'no trusted key certified the session key',
  E_KEY: 'a key is missing, or may not be used',
  E_AFTER_CLOSE: 'a line follows the end of its log',
  E_FOREIGN: 'the log calls itself by the id of another',
  E_TRUNCATED: 'lines that must be there are missing',
};

/** What the report does not say, for people and for programs. What is wrong is not told again. */
export function notProven(report: VerifyReport, given: Given): readonly NotProven[] {
  const list = report.logs.filter(({ ok }) => ok).flatMap((log) => notProvenOf(log, given));
  if (report.ok && report.logs.length === 0) {
    list.push({ what: 'no-log', text: 'the file holds no log: whether it ever held one does not show' });
  }
  if (report.state === 'torn-tail') {
    list.push({ what: 'torn-tail', text: 'the last line has no end: it is not checked, and nobody signed it' });
  }
  for (const log of report.absent) {
    // A log that a head names is not merely absent: its lines are missing.
    if (given.heads.some((head) => head.log === log)) continue;
    list.push({ what: 'absent-log', log, text: `log ${visible(log)} is named by another, and is not in this file` });
  }
  return list;
}

function notProvenOf(report: LogReport, { heads, tofu }: Given): NotProven[] {
  const { log, key, trusted, unsigned, state, events } = report;
  const list: NotProven[] = [];
  const add = (what: NotProven['what'], text: string) => list.push({ what, log, text });
  if (key === undefined) add('unsigned', 'it is not signed: whoever has the file can write all of it anew');
  else if (!trusted) add('untrusted-key', UNTRUSTED);
  else if (tofu) add('first-use', FIRST_USE);
  if (key !== undefined && unsigned > 0) {
    const lines = unsigned === 1 ? 'the last line is' : `the last ${unsigned} lines are`;
    add('unsigned-tail', `${lines} covered by no signature: whoever has the file can change them`);
  }
  if (state === 'open') {
    const known = heads.filter((head) => head.log === log).map((head) => ('size' in head ? head.size : head.seq + 1));
    const beyond = known.length === 0 ? '' : ` behind line ${Math.max(...known)} of it`;
    add('open-end', `it is not closed: that no line was cut off its end${beyond} does not show (${events} are there)`);
  }
  return list;
}

/** A file's report for people. */
export function verifiedText(
  terminal: Terminal,
  { file, report }: Verified,
  given: Given & { readonly requireClosed: boolean },
): string {
  const { ok, state, events, signedThrough, firstBadLine, code, logs, fragments } = report;
  const counts = `${count(events, 'event')}, ${signedThrough === 0 ? 'none' : signedThrough} signed`;
  const lacking = given.requireClosed && state !== 'closed';
  const verdict = !ok
    ? terminal.paint('red', `WRONG at line ${firstBadLine} (${code}: ${WRONG[code as VerifyCode]})`)
    : lacking
      ? terminal.paint('yellow', 'NOT CLOSED')
      : terminal.paint('green', 'ok');
  let text = `${visible(file)}: ${verdict}, ${state}, ${counts}\n`;
  for (const log of logs) {
    const { origin, events: lines, signedThrough: through } = log;
    const end = log.ok ? log.state : `wrong at line ${log.firstBadLine} (${log.code})`;
    const named = origin === '' ? log.log : origin;
    text += `  ${visible(named)}: ${end}, ${count(lines, 'line')}, signed through ${through}\n`;
  }
  if (fragments > 0) text += `  ${count(fragments, 'torn line')} of earlier sessions, put on record by the next\n`;
  const open = notProven(report, given);
  if (open.length > 0) text += `  ${terminal.paint('yellow', 'Not proven:')}\n`;
  for (const { log, text: sentence } of open) {
    // Where there is but one log everybody knows which is meant.
    const about = logs.length > 1 && log !== undefined ? `${visible(log)}: ` : '';
    text += `  - ${about}${sentence}\n`;
  }
  return text;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
