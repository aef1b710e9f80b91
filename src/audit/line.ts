import { MAX_DEPTH } from '../internal/canonical-json.ts';
import { hasDuplicateKey } from './duplicate-key.ts';
import { type EventKind, MAX_PRIOR } from './event.ts';

/** What is wrong with a log, by the first thing that shows it. */
export type VerifyCode =
  /** The line is no line of `leash-log/1`, or not in its one spelling. */
  | 'E_FORMAT'
  /** An object of the line has a key twice: two readers may see two values. */
  | 'E_DUPKEY'
  /** `prev` is not the hash of the line before, or a line is not the one that another log names. */
  | 'E_CHAIN'
  /** `seq` is not the next number: a line is missing, doubled or moved. */
  | 'E_SEQ'
  /** A checkpoint's size or root, or an expected head, is not what the lines amount to. */
  | 'E_ROOT'
  /** The signature of a checkpoint does not hold. */
  | 'E_SIG'
  /** A session key has no certificate, or none of a key that is trusted. */
  | 'E_CERT'
  /** A key is missing where one is needed, or may not be used. */
  | 'E_KEY'
  /** A line follows the end of its log. */
  | 'E_AFTER_CLOSE'
  /** A log calls itself by the id of another. */
  | 'E_FOREIGN'
  /** Lines that must be there are not: the end of a log was cut off. */
  | 'E_TRUNCATED';

/** A line as it was read: it has the keys of its kind, with values of the right form. */
export interface LogLine {
  readonly log: string;
  readonly seq: number;
  readonly kind: string;
  readonly prev: string;
  readonly args?: string;
  readonly origin?: string;
  readonly hash?: string;
  readonly key?: string;
  readonly cert?: string;
  readonly parent?: { readonly log: string; readonly seq: number; readonly hash: string };
  readonly prior?: readonly { readonly log: string; readonly size: number; readonly hash: string }[];
  readonly bytes?: number;
  readonly sha256?: string;
  readonly size?: number;
  readonly root?: string;
  readonly sig?: string;
}

/** The table of the format: the keys between `kind` and `prev` in their order, `?` where one may be absent. */
const LAYOUT: Readonly<Record<string, string>> = {
  session_open: 'origin lib agent session mode hash guards egress? key? cert? parent? prior?',
  tool_start: 'call tool args usd? sat? x?',
  tool_ok: 'call tool us usd? sat? overrun? x?',
  tool_error: 'call tool us error usd? sat? overrun? x?',
  tool_denied: 'call tool args? guard code reason? observed? x?',
  budget_denied: 'call tool args? guard code unit cap requested remaining reason observed? x?',
  egress_ok: 'call? tool? scheme host port addr? code? reason? observed? x?',
  egress_denied: 'call? tool? scheme host port addr? code? reason? observed? x?',
  charge: 'call? note? usd? sat? x?',
  kill_switch: 'reason',
  key_rotated: 'key cert',
  events_dropped: 'count from to',
  log_recovered: 'bytes sha256',
  session_close: 'reason calls denied usd? sat?',
  checkpoint: 'size root sig',
} satisfies Readonly<Record<EventKind | 'checkpoint', string>>;

/** Kinds that come by the thousand and change nothing but the chain. */
const PLAIN: ReadonlySet<string> = new Set([
  'tool_start',
  'tool_ok',
  'tool_error',
  'tool_denied',
  'budget_denied',
  'egress_ok',
  'egress_denied',
  'charge',
]);

const MAX_TEXT = 256;
const HEX = '[0-9a-f]{64}';
const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const DECIMAL = '(?:0|[1-9][0-9]*)(?:\\.[0-9]*[1-9])?';
/** Of 32 and of 64 bytes, with no bit set that no byte has. */
const BASE64_32 = '[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=';
const BASE64_64 = '[A-Za-z0-9+/]{85}[AQgw]==';

/** How the value of a key is spelled, where that says it all; the others are below. */
const SPELLED: Readonly<Record<string, string>> = {
  log: `"${UUID}"`,
  prev: `"${HEX}"`,
  lib: '"leashkit/[0-9A-Za-z.+-]{1,64}"',
  mode: '"(?:enforce|observe)"',
  hash: '"(?:s1|h1|sha256)"',
  guards: `"${HEX}"`,
  sha256: `"${HEX}"`,
  key: `"${BASE64_32}"`,
  root: `"${BASE64_32}"`,
  cert: `"${BASE64_64}"`,
  sig: `"${BASE64_64}"`,
  args: `"(?:s1|h1|sha256):${HEX}"`,
  usd: `"${DECIMAL}"`,
  sat: `"${DECIMAL}"`,
  cap: `"${DECIMAL}"`,
  requested: `"${DECIMAL}"`,
  remaining: `"-?${DECIMAL}"`,
  unit: '"(?:usd|sat)"',
  overrun: '1',
  observed: '1',
};

/** What becomes of code that leaves by each entry point; an entry point that a runtime does not have is left out. */
const EGRESS = 'leash fetch ws http https net tls http2 udp lookup dns child worker unix binding'.split(' ');
const ENFORCE: readonly unknown[] = ['declared', 'scope', 'process'];
const STATES: readonly unknown[] = ['held', 'refused', 'open', 'unheld'];

const INTEGERS: ReadonlySet<string> = new Set('seq us port count from to bytes calls denied size'.split(' '));

const spellings: ReadonlyMap<string, RegExp> = new Map(
  Object.entries(SPELLED).map(([key, spelling]) => [key, new RegExp(`^${spelling}$`)]),
);

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value.length <= MAX_TEXT && value.isWellFormed();
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isEgress(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { enforce, ...entries } = value;
  const present = ['enforce', ...EGRESS].filter((key) => Object.hasOwn(value, key));
  return (
    Object.keys(value).join(' ') === present.join(' ') &&
    ENFORCE.includes(enforce) &&
    Object.values(entries).every((state) => STATES.includes(state))
  );
}

/** Exactly these keys, in this order, with the values that they must have. */
function isReference(value: unknown, layout: string): boolean {
  if (!isRecord(value) || Object.keys(value).join(' ') !== layout) return false;
  return Object.entries(value).every(([key, part]) => {
    // Here `hash` is the hash of a line and no way to hash.
    if (key === 'hash') return typeof part === 'string' && spellings.get('prev')?.test(`"${part}"`);
    // A log without lines has no last one to name.
    return isValid(key, part) && (key !== 'size' || part !== 0);
  });
}

/**
 * Whether all parts of a value are as they must be, the names of all keys well-formed, and nothing deeper than a call's
 * arguments can be: how deep a reader can go is different for each.
 */
function everyPart(value: unknown, isRight: (part: unknown) => boolean, depth = 0): boolean {
  if (typeof value !== 'object' || value === null) return isRight(value);
  if (depth === MAX_DEPTH) return false;
  return Object.entries(value).every(([key, part]) => key.isWellFormed() && everyPart(part, isRight, depth + 1));
}

/** `raw` holds a call's arguments as they were, so any JSON may stand there; else `x` has strings and integers. */
function isApplication(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { raw, ...rest } = value;
  return (
    everyPart(rest, (part) => isText(part) || Number.isSafeInteger(part)) &&
    everyPart(raw, (part) => typeof part !== 'string' || part.isWellFormed())
  );
}

function isValid(key: string, value: unknown): boolean {
  const spelling = spellings.get(key);
  if (spelling !== undefined) return spelling.test(JSON.stringify(value)) && (value === 1 || isText(value));
  if (INTEGERS.has(key)) return isCount(value) && (key !== 'port' || (value as number) <= 65_535);
  switch (key) {
    case 'ts':
      return typeof value === 'string' && isTimestamp(value);
    case 'egress':
      return isEgress(value);
    case 'parent':
      return isReference(value, 'log seq hash');
    case 'prior':
      return (
        Array.isArray(value) && value.length <= MAX_PRIOR && value.every((head) => isReference(head, 'log size hash'))
      );
    case 'x':
      return isApplication(value);
    default:
      return isText(value);
  }
}

const TIMESTAMP = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;

/** UTC to the millisecond, of a day that there is. */
function isTimestamp(text: string): boolean {
  if (!TIMESTAMP.test(text)) return false;
  // All months have 28 days, and only for more the calendar has to be asked.
  return text.slice(8, 10) <= '28' || new Date(text).toISOString() === text;
}

/** The keys of a line, in order: which must be there, and which may. */
function keysOf(kind: string): readonly string[] {
  return `v log seq ${kind === 'checkpoint' ? '' : 'ts '}kind ${LAYOUT[kind]} prev`.split(' ');
}

const layouts: ReadonlyMap<string, readonly string[]> = new Map(Object.keys(LAYOUT).map((k) => [k, keysOf(k)]));

/**
 * Reads one line, given without its LF, or says what makes it none. Its bytes must be the ones that the format's key
 * order and the JSON quoter give for what it says: no space, escape, second spelling of a number or doubled key passes.
 */
export function parseLine(text: string): LogLine | VerifyCode {
  try {
    const line: unknown = JSON.parse(text);
    if (!isRecord(line) || JSON.stringify(line) !== text) return hasDuplicateKey(text) ? 'E_DUPKEY' : 'E_FORMAT';
    return hasLayout(line) ? (line as unknown as LogLine) : 'E_FORMAT';
  } catch {
    // No JSON, or nested so deep that nobody can read it.
    return 'E_FORMAT';
  }
}

function hasLayout(line: Record<string, unknown>): boolean {
  const { v, kind } = line;
  const layout = typeof kind === 'string' ? layouts.get(kind) : undefined;
  if (layout === undefined || v !== 1) return false;
  const keys = Object.keys(line);
  let at = 0;
  for (const key of layout) {
    const optional = key.endsWith('?');
    const name = optional ? key.slice(0, -1) : key;
    if (keys[at] !== name) {
      if (optional) continue;
      return false;
    }
    if (name !== 'v' && name !== 'kind' && !isValid(name, line[name])) return false;
    at++;
  }
  return at === keys.length;
}

/** `,"ts":"` */
const BEFORE_TIME = 7;
/** `2026-11-20T04:34:13.` */
const SECOND = 20;
/** `","kind":"charge","note":""`: the least that stands around a text between the `ts` and the `prev` of a plain line. */
const AROUND_TEXT = 27;
/** `,"ts":"`, 24 characters, a text as long as one may be with what stands around it, and `,"prev":"`. */
const MAX_PLAIN = BEFORE_TIME + SECOND + 4 + AROUND_TEXT + MAX_TEXT + 9;
/** Up to 15 digits: every such number is a safe integer. */
const INTEGER = '(?:0|[1-9][0-9]{0,14})';
/** Without anything that is escaped or has more than one byte. */
const TEXT = '"[ !#-\\[\\]-\\x7f]*"';

/**
 * Knows the lines that make up most of a log at a glance. It matches nothing that `parseLine` refuses, and leaves what
 * it does not know to it: other kinds, `x`, texts that are long, have escapes or characters of several bytes.
 */
export class PlainLines {
  readonly #pattern: RegExp;
  /** The last second that was right: the next one is nearly always the same. */
  #second: string | undefined;

  /** @param hashMode how the log hashes arguments. */
  constructor(hashMode: string) {
    const kinds = [...PLAIN].map((kind) => {
      const fields = (LAYOUT[kind] as string).split(' ').filter((key) => key !== 'x?');
      return `${kind}"${fields.map((key) => fieldPattern(key, hashMode)).join('')}`;
    });
    this.#pattern = new RegExp(`[0-9]{3}Z","kind":"(?:${kinds.join('|')}),"prev":"`, 'y');
  }

  /** Whether a text has from `start`, where `seq` ends, to `end`, where the value of `prev` starts, what a line has there. */
  matches(text: string, start: number, end: number): boolean {
    if (end - start > MAX_PLAIN || !text.startsWith(',"ts":"', start)) return false;
    const at = start + BEFORE_TIME;
    if (this.#second === undefined || !text.startsWith(this.#second, at)) {
      if (!isTimestamp(text.slice(at, at + SECOND + 4))) return false;
      this.#second = text.slice(at, at + SECOND);
    }
    const pattern = this.#pattern;
    pattern.lastIndex = at + SECOND;
    return pattern.test(text) && pattern.lastIndex === end;
  }
}

function fieldPattern(key: string, hashMode: string): string {
  const optional = key.endsWith('?');
  const name = optional ? key.slice(0, -1) : key;
  let value = SPELLED[name] ?? TEXT;
  // Written out, it is compared in a third less time than as a class that is repeated.
  if (name === 'args') value = `"${hashMode}:${'[0-9a-f]'.repeat(64)}"`;
  // A port of four digits is one; of five it may be none.
  else if (name === 'port') value = '(?:0|[1-9][0-9]{0,3})';
  else if (INTEGERS.has(name)) value = INTEGER;
  return optional ? `(?:,"${name}":${value})?` : `,"${name}":${value}`;
}
