import { createHash } from 'node:crypto';

/**
 * A reader of `leash-log/1` for tests. It is written from the format's description and shares no code with the writer,
 * so that the two agree on the bytes or not at all. Signatures are not looked at.
 */

type ProblemCode = 'E_FORMAT' | 'E_CHAIN' | 'E_SEQ' | 'E_AFTER_CLOSE' | 'E_FOREIGN' | 'E_TRUNCATED';

interface Problem {
  /** From 1, in the file; the line after the last one where something is missing. */
  readonly line: number;
  readonly code: ProblemCode;
  readonly what: string;
}

/** One line; the keys that tests ask for by name, the others are there too. */
export interface LogEvent {
  readonly v: number;
  readonly log: string;
  readonly seq: number;
  readonly ts: string;
  readonly kind: string;
  readonly prev: string;
  readonly origin?: string;
  readonly agent?: string;
  readonly hash?: string;
  readonly key?: string;
  readonly size?: number;
  readonly parent?: { readonly log: string; readonly seq: number; readonly hash: string };
  readonly call?: string;
  readonly tool?: string;
  readonly args?: string;
  readonly code?: string;
  readonly reason?: string;
  readonly observed?: 1;
  readonly usd?: string;
  readonly calls?: number;
  readonly denied?: number;
  readonly bytes?: number;
  readonly sha256?: string;
}

export interface LogState {
  readonly id: string;
  readonly events: readonly LogEvent[];
  readonly closed: boolean;
  /** Hash of the last line: what the next one would carry as `prev`. */
  readonly head: string;
}

interface Fragment {
  readonly bytes: number;
  readonly sha256: string;
}

export interface Report {
  /** Nothing is wrong. An open log and a torn tail are no fault of their own. */
  readonly ok: boolean;
  /** The first one in the file. */
  readonly problem: Problem | undefined;
  readonly logs: readonly LogState[];
  /** Lines that are no events, each vouched for by a later `log_recovered`. */
  readonly fragments: readonly Fragment[];
  /** What stands after the last LF. */
  readonly torn: Fragment | undefined;
  /** Nothing is wrong, nothing is torn, and every log is closed. */
  readonly complete: boolean;
}

/** For every log that must be there, the hash of its last line. Other logs are foreign. */
export type Heads = Readonly<Record<string, string>>;

/** The table of the format: keys between `"kind"` and `"prev"`, in their order. */
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
};

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const HEX = /^[0-9a-f]{64}$/;
const BASE64 = /^(?:[\w+/]{4})*(?:[\w+/]{2}==|[\w+/]{3}=)?$/;
const DECIMAL = /^(?:0|[1-9]\d*)(?:\.\d*[1-9])?$/;
const ZEROS = '0'.repeat(64);

const matches =
  (pattern: RegExp) =>
  (value: unknown): boolean =>
    typeof value === 'string' && pattern.test(value);
const oneOf =
  (...values: readonly unknown[]) =>
  (value: unknown): boolean =>
    values.includes(value);
const count = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const text = (value: unknown): boolean => typeof value === 'string';
const record = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);
const reference = (value: unknown, keys: string): boolean =>
  record(value) && Object.keys(value as object).join(' ') === keys && allValid(value as Record<string, unknown>);

const VALUES: Readonly<Record<string, (value: unknown) => boolean>> = {
  log: matches(UUID),
  seq: count,
  size: count,
  ts: (value) =>
    text(value) && !Number.isNaN(Date.parse(value as string)) && new Date(value as string).toISOString() === value,
  prev: matches(HEX),
  hash: (value) => oneOf('s1', 'h1', 'sha256')(value) || matches(HEX)(value),
  origin: text,
  lib: matches(/^leashkit\/\d+\.\d+\.\d+\S*$/),
  agent: text,
  session: text,
  mode: oneOf('enforce', 'observe'),
  guards: matches(HEX),
  egress: (value) =>
    record(value) &&
    /^enforce( leash)?( fetch)?( ws)?( http)?( https)?( net)?( tls)?( http2)?( udp)?( lookup)?( dns)?( child)?( worker)?( unix)?( binding)?$/.test(
      Object.keys(value as object).join(' '),
    ) &&
    Object.entries(value as object).every(([key, state]) =>
      oneOf(...(key === 'enforce' ? ['declared', 'scope', 'process'] : ['held', 'refused', 'open', 'unheld']))(state),
    ),
  key: matches(BASE64),
  cert: matches(BASE64),
  root: matches(BASE64),
  sig: matches(BASE64),
  parent: (value) => reference(value, 'log seq hash'),
  prior: (value) => Array.isArray(value) && value.every((head) => reference(head, 'log size hash')),
  call: matches(UUID),
  tool: text,
  args: matches(/^(?:s1|h1|sha256):[0-9a-f]{64}$/),
  usd: (value) => matches(DECIMAL)(value) && matches(/^\d+(?:\.\d{1,9})?$/)(value),
  sat: (value) => matches(DECIMAL)(value) && matches(/^\d+(?:\.\d{1,3})?$/)(value),
  us: count,
  error: matches(/^[\w$]{1,64}$/),
  overrun: oneOf(1),
  observed: oneOf(1),
  guard: text,
  code: matches(/^[A-Z][A-Z0-9_]{0,63}$/),
  reason: text,
  unit: oneOf('usd', 'sat'),
  cap: matches(DECIMAL),
  requested: matches(DECIMAL),
  remaining: (value) => matches(/^-?[\d.]+$/)(value) && matches(DECIMAL)((value as string).replace('-', '')),
  scheme: text,
  host: text,
  addr: text,
  port: (value) => count(value) && (value as number) <= 65_535,
  note: text,
  count,
  from: count,
  to: count,
  bytes: (value) => count(value) && value !== 0,
  sha256: matches(HEX),
  calls: count,
  denied: count,
  x: record,
};

function allValid(values: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(values).every(([key, value]) => VALUES[key]?.(value));
}

/** Integers and strings only, at any depth; strings short and well-formed. */
function plain(value: unknown): boolean {
  if (typeof value === 'string') return value.length <= 256 && value.isWellFormed();
  if (typeof value === 'number') return Number.isSafeInteger(value);
  return typeof value === 'object' && value !== null && Object.values(value).every(plain);
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The event of a line, or what makes it none. */
function readLine(bytes: Uint8Array): LogEvent | string {
  let line: string;
  let event: LogEvent;
  try {
    line = decoder.decode(bytes);
    event = JSON.parse(line);
  } catch {
    return 'no JSON in UTF-8';
  }
  if (!record(event)) return 'no object';
  // Whitespace, escapes, doubled keys and other spellings of a number all come out differently.
  if (JSON.stringify(event) !== line) return 'not the one way to write it';
  if (!plain(event)) return 'more than integers and short strings';
  const layout = Object.hasOwn(LAYOUT, event.kind) ? LAYOUT[event.kind] : undefined;
  if (event.v !== 1 || layout === undefined) return 'unknown version or kind';
  const head = event.kind === 'checkpoint' ? 'log seq kind' : 'log seq ts kind';
  const keys = Object.keys(event);
  for (const key of `v ${head} ${layout} prev`.split(' ')) {
    if (keys[0] === key.replace('?', '')) keys.shift();
    else if (!key.endsWith('?')) return `no "${key}" where it belongs`;
  }
  if (keys.length > 0) return `"${keys[0]}" where it does not belong`;
  const { v: _, kind: __, ...values } = event;
  for (const [key, value] of Object.entries(values)) if (!VALUES[key]?.(value)) return `the value of "${key}"`;
  return event;
}

export function lineHashOf(bytes: Uint8Array | string): string {
  return createHash('sha256').update('\0').update(bytes).digest('hex');
}

function fragmentOf(bytes: Uint8Array): Fragment {
  return { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}

interface OpenLog {
  readonly id: string;
  readonly events: LogEvent[];
  closed: boolean;
  head: string;
  broken: boolean;
  hashMode: unknown;
  signed: boolean;
}

/** What is wrong with the event as the next one of its log. */
function nextProblem(log: OpenLog, event: LogEvent): Omit<Problem, 'line'> | undefined {
  if (log.closed || (log.events.at(-1)?.kind === 'session_close' && event.kind !== 'checkpoint')) {
    return { code: 'E_AFTER_CLOSE', what: 'the log is closed' };
  }
  if (event.seq !== log.events.length) return { code: 'E_SEQ', what: `expected seq ${log.events.length}` };
  if (event.prev !== log.head) return { code: 'E_CHAIN', what: 'prev is not the hash of the line before' };
  const wrong = (what: string): Omit<Problem, 'line'> => ({ code: 'E_FORMAT', what });
  if ((event.kind === 'session_open') !== (event.seq === 0)) return wrong('one session_open, first');
  if (event.kind === 'session_open') {
    log.hashMode = event.hash;
    log.signed = event.key !== undefined;
    if (HEX.test(String(event.hash))) return wrong('hash mode');
    if (!event.origin?.endsWith(`/${log.id}`)) return wrong('origin');
  }
  if ((event.kind === 'checkpoint' || event.kind === 'key_rotated') && !log.signed) return wrong('no key');
  if (event.kind === 'checkpoint' && event.size !== event.seq) return wrong('a checkpoint covers all before it');
  if (event.args !== undefined && !event.args.startsWith(`${log.hashMode}:`)) return wrong('another hash mode');
  return undefined;
}

/** Reads a file of one or several logs. */
export function readLogs(file: Uint8Array | string, heads?: Heads): Report {
  const bytes = typeof file === 'string' ? Buffer.from(file) : Buffer.from(file.buffer, file.byteOffset, file.length);
  const lines: Buffer[] = [];
  let start = 0;
  for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, start)) {
    lines.push(bytes.subarray(start, end));
    start = end + 1;
  }
  const torn = start < bytes.length ? fragmentOf(bytes.subarray(start)) : undefined;
  const problems: Problem[] = [];
  const logs = new Map<string, OpenLog>();
  const hashes = new Map<string, string>();
  const unvouched = new Map<number, Fragment & { readonly what: string }>();
  const fragments: Fragment[] = [];

  lines.forEach((line, index) => {
    const at = index + 1;
    const event = readLine(line);
    if (typeof event === 'string') {
      unvouched.set(at, { ...fragmentOf(line), what: event });
      return;
    }
    let log = logs.get(event.log);
    if (log === undefined) {
      log = {
        id: event.log,
        events: [],
        closed: false,
        head: ZEROS,
        broken: false,
        hashMode: undefined,
        signed: false,
      };
      logs.set(event.log, log);
    }
    if (log.broken) return;
    const problem = nextProblem(log, event) ?? parentProblem(event, hashes) ?? recoveryProblem(event, lines, index);
    if (problem !== undefined) {
      problems.push({ line: at, ...problem });
      log.broken = true;
      return;
    }
    log.events.push(event);
    // The end of a log that is signed is the checkpoint behind its close.
    const before = log.events.at(-2)?.kind;
    log.closed =
      event.kind === (log.signed ? 'checkpoint' : 'session_close') && (!log.signed || before === 'session_close');
    log.head = lineHashOf(line);
    hashes.set(`${log.id} ${event.seq}`, log.head);
    if (event.kind !== 'log_recovered') return;
    for (const [line, fragment] of unvouched) {
      if (fragment.sha256 !== event.sha256) continue;
      unvouched.delete(line);
      fragments.push({ bytes: fragment.bytes, sha256: fragment.sha256 });
    }
  });

  for (const [line, { what }] of unvouched) problems.push({ line, code: 'E_FORMAT', what });
  problems.push(...headProblems(logs, heads, lines.length + 1));
  problems.sort((a, b) => a.line - b.line);
  const problem = problems[0];
  const ok = problem === undefined;
  const complete = ok && torn === undefined && [...logs.values()].every(({ closed }) => closed);
  return { ok, problem, logs: [...logs.values()], fragments, torn, complete };
}

/** A child names the line that opened it; where that log is in the same file, the line stands before it. */
function parentProblem(event: LogEvent, hashes: ReadonlyMap<string, string>): Omit<Problem, 'line'> | undefined {
  const { parent } = event;
  if (parent === undefined || !hashes.has(`${parent.log} 0`)) return undefined;
  if (hashes.get(`${parent.log} ${parent.seq}`) === parent.hash) return undefined;
  return { code: 'E_CHAIN', what: 'the parent is another line' };
}

/** What a log says that it found torn is there. */
function recoveryProblem(event: LogEvent, lines: readonly Buffer[], index: number): Omit<Problem, 'line'> | undefined {
  if (event.kind !== 'log_recovered') return undefined;
  const { bytes, sha256 } = event;
  const found = lines.slice(0, index).some((line) => line.length === bytes && fragmentOf(line).sha256 === sha256);
  return found ? undefined : { code: 'E_FORMAT', what: 'the torn line is not there' };
}

function headProblems(logs: ReadonlyMap<string, OpenLog>, heads: Heads | undefined, line: number): readonly Problem[] {
  if (heads === undefined) return [];
  const problems: Problem[] = [];
  for (const [id, head] of Object.entries(heads)) {
    if (logs.get(id)?.head !== head) problems.push({ line, code: 'E_TRUNCATED', what: `log ${id} ends elsewhere` });
  }
  for (const id of logs.keys()) {
    if (!Object.hasOwn(heads, id)) problems.push({ line, code: 'E_FOREIGN', what: `log ${id} was not expected` });
  }
  return problems;
}

/** The heads of a file that is known to be right. */
export function headsOf(report: Report): Heads {
  return Object.fromEntries(report.logs.map(({ id, head }) => [id, head]));
}
