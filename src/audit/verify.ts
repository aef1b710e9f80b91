import { decodeBase64 } from '../internal/base64.ts';
import { checkInteger, checkOptions, shown } from '../internal/options.ts';
import { FileCheck } from './file-check.ts';
import type { Key } from './key.ts';
import { publicKeyFromRaw } from './keys.ts';
import type { VerifyCode } from './line.ts';
import { LineReader, readFile } from './line-reader.ts';
import type { Expectation, LogCheck, Trust } from './log-check.ts';
import { lookBack } from './look-back.ts';

/** What is known of a log from elsewhere: its root at some length, or the hash of one of its lines. */
export type LogHead =
  | {
      /** Id of the log. */
      readonly log: string;
      /** How many lines, from the first; >= 1, as a log without lines is the beginning of every log. */
      readonly size: number;
      /** Base64 of the root over them: the third line of a checkpoint. */
      readonly root: string;
    }
  | {
      readonly log: string;
      /** Number of the line, from 0. */
      readonly seq: number;
      /** Hex hash of it: what the next line carries as `prev`. */
      readonly hash: string;
    };

/** What `verifyLog` is to hold a log to, beside the log itself. */
export interface VerifyOptions {
  /**
   * Base64 of the raw 32-byte Ed25519 root keys. Every log must then have a session key that one of them certified. An
   * empty list trusts nobody, so no log passes. Default: certificates are not looked at.
   */
  readonly trust?: readonly string[];
  /**
   * Takes each log's session key as the log itself gives it. Somebody who writes the whole file anew passes too: this is
   * for a file that was in good hands so far. Not together with `trust`. Default: `false`.
   */
  readonly tofu?: boolean;
  /** What the source must hold, beyond what it says itself: the only way to see that the end of an open log is missing. Default: none. */
  readonly heads?: readonly LogHead[];
  /** Every log must be closed, and there must be one. Default: `false`. */
  readonly requireClosed?: boolean;
  /** Called with the bytes read so far, after each part of the source. Default: nobody. */
  readonly onProgress?: (bytes: number) => void;
}

/** What is known of one log of the source. */
export interface LogReport {
  /** Id of the log. */
  readonly log: string;
  /** `<name>/<log>`, as its first line says. */
  readonly origin: string;
  /** Nothing is wrong with its lines. Does not say that its key may be believed: see `trusted`. */
  readonly ok: boolean;
  readonly state: 'closed' | 'open';
  /** How many lines are right, from the first. */
  readonly events: number;
  /** How many lines, from the first, the last valid checkpoint covers. 0 for a log without a key. */
  readonly signedThrough: number;
  /** How many lines stand after the last checkpoint: no signature covers them, so whoever has the file can change them. */
  readonly unsigned: number;
  /** Its session key was certified by a key of `trust`, or `tofu` said to take it. Never for a log without a key. */
  readonly trusted: boolean;
  /** Base64 of the session key at the end; absent where the log is not signed. */
  readonly key?: string;
  /** Hash of the last line, and root over all lines: a head to compare a longer log with. Absent where not `ok`. */
  readonly hash?: string;
  readonly root?: string;
  readonly firstBadLine?: number;
  readonly code?: VerifyCode;
}

/** What `verifyLog` finds. */
export interface VerifyReport {
  /**
   * Nothing is wrong. Without `trust` this is about the lines alone: it shows that nobody changed them who had no key of
   * the log, not whose key that is (`logs[].trusted`).
   */
  readonly ok: boolean;
  /** `closed` where every log is, `torn-tail` where the last line has no LF. A source without a line is `open`. */
  readonly state: 'closed' | 'open' | 'torn-tail';
  /** How many lines are right, in all logs. */
  readonly events: number;
  /** How many of them signatures cover. */
  readonly signedThrough: number;
  /** From 1, in the source; the line after the last one where lines are missing. */
  readonly firstBadLine?: number;
  readonly code?: VerifyCode;
  /** In the order of their first lines. */
  readonly logs: readonly LogReport[];
  /** How many lines are the torn ends of earlier sessions, each put on record by the session after it. */
  readonly fragments: number;
  /** Ids of logs that others name as their parent or predecessor, and that the source does not hold. */
  readonly absent: readonly string[];
}

const KNOWN = ['trust', 'tofu', 'heads', 'requireClosed', 'onProgress'];
/** Signatures that may be under way while more is read. */
const UNSETTLED = 32;
const HASH = /^[0-9a-f]{64}$/;
const HASH_BYTES = 32;

export function readTrust(where: string, { trust, tofu }: Pick<VerifyOptions, 'trust' | 'tofu'>): Trust {
  if (tofu !== undefined && typeof tofu !== 'boolean') {
    throw new TypeError(`\`${where}.tofu\` must be a boolean, got ${shown(tofu)}`);
  }
  if (trust === undefined) return { onFirstUse: tofu === true };
  if (tofu === true) throw new TypeError(`\`${where}.tofu\` takes any key, \`${where}.trust\` only some: give one`);
  if (!Array.isArray(trust)) {
    throw new TypeError(`\`${where}.trust\` must be an array of base64 keys, got ${shown(trust)}`);
  }
  return { roots: Array.from(trust, (text, i) => readRoot(`${where}.trust[${i}]`, text)), onFirstUse: false };
}

function readRoot(option: string, text: unknown): Key {
  if (typeof text !== 'string') throw new TypeError(`\`${option}\` must be a base64 key, got ${shown(text)}`);
  const raw = decodeBase64(text);
  if (raw?.length !== HASH_BYTES) throw new RangeError(`\`${option}\` must be base64 of 32 bytes, got ${shown(text)}`);
  return publicKeyFromRaw(raw);
}

function readHeads(heads: unknown): ReadonlyMap<string, readonly Expectation[]> {
  const expected = new Map<string, Expectation[]>();
  if (heads === undefined) return expected;
  if (!Array.isArray(heads)) throw new TypeError(`\`verifyLog.heads\` must be an array, got ${shown(heads)}`);
  for (const [i, head] of heads.entries()) {
    const option = `verifyLog.heads[${i}]`;
    checkOptions(option, head, ['log', 'size', 'root', 'seq', 'hash']);
    const { log, size, root, seq, hash } = head as Record<string, unknown>;
    if (typeof log !== 'string') throw new TypeError(`\`${option}.log\` must be a string, got ${shown(log)}`);
    const [known, reads] = size === undefined ? [seq, hash] : [size, root];
    if (typeof reads !== 'string' || (size !== undefined && (seq !== undefined || hash !== undefined))) {
      throw new TypeError(`\`${option}\` must have either \`size\` and \`root\` or \`seq\` and \`hash\``);
    }
    let expectation: Expectation;
    if (size === undefined) {
      if (!HASH.test(reads)) throw new RangeError(`\`${option}.hash\` must be 64 hex digits, got ${shown(reads)}`);
      expectation = { size: checkInteger(`${option}.seq`, known, 0) + 1, hash: reads, code: 'E_ROOT' };
    } else {
      if (decodeBase64(reads)?.length !== HASH_BYTES) {
        throw new RangeError(`\`${option}.root\` must be base64 of 32 bytes, got ${shown(reads)}`);
      }
      expectation = { size: checkInteger(`${option}.size`, known, 1), root: reads, code: 'E_ROOT' };
    }
    expected.set(log, [...(expected.get(log) ?? []), expectation]);
  }
  return expected;
}

/** A path, or bytes in parts. */
export type LogSource = string | AsyncIterable<Uint8Array>;

/** Reads the source through a check; rejects with what went wrong with the source itself. */
export async function checkSource(
  source: LogSource,
  check: FileCheck,
  onProgress?: (bytes: number) => void,
): Promise<LineReader> {
  const reader = new LineReader(check.onLine);
  let read = 0;
  for await (const part of typeof source === 'string' ? readFile(source) : source) {
    if (!(part instanceof Uint8Array)) throw new TypeError('the source of a log must give bytes');
    reader.read(part);
    await check.settle(UNSETTLED);
    read += part.length;
    onProgress?.(read);
  }
  await check.settle(0);
  if (typeof source === 'string') await lookBack(source, check);
  return reader;
}

/**
 * Checks a file of `leash-log/1`, or the same bytes from elsewhere: every link, signature and spelling. Memory does not
 * grow with the length of a log. Nothing is ever re-written to be hashed: the bytes are hashed as they are.
 *
 * A report that is not ok names the first line that shows it. That the end of an open log is missing does not show, unless
 * `heads` or `requireClosed` say what must be there.
 *
 * A file is read again where a log names a line of another that had gone on: of bytes that come but once nobody can tell.
 *
 * @param source a path, or bytes in parts of any length. Lines of several logs may be mixed; each log is checked by itself.
 * @throws {TypeError} or {RangeError} an option that is none. A source that cannot be read rejects with its own error.
 */
export async function verifyLog(source: LogSource, options: VerifyOptions = {}): Promise<VerifyReport> {
  checkOptions('verifyLog', options, KNOWN);
  const { requireClosed = false, onProgress } = options;
  if (typeof requireClosed !== 'boolean') {
    throw new TypeError(`\`verifyLog.requireClosed\` must be a boolean, got ${shown(requireClosed)}`);
  }
  const check = new FileCheck(readTrust('verifyLog', options), readHeads(options.heads));
  const reader = await checkSource(source, check, onProgress);
  check.end(requireClosed, reader.held > 0);
  return reportOf(check, reader.held > 0);
}

function reportOf(check: FileCheck, torn: boolean): VerifyReport {
  const logs = [...check.logs.values()].map(logReport);
  const closed = logs.length > 0 && logs.every(({ state }) => state === 'closed');
  return {
    ok: check.bad === undefined,
    state: torn ? 'torn-tail' : closed ? 'closed' : 'open',
    events: logs.reduce((sum, { events }) => sum + events, 0),
    signedThrough: logs.reduce((sum, { signedThrough }) => sum + signedThrough, 0),
    ...(check.bad === undefined ? {} : { firstBadLine: check.bad.line, code: check.bad.code }),
    logs,
    fragments: check.fragments,
    absent: [...check.expected.keys()],
  };
}

function logReport(log: LogCheck): LogReport {
  const { id, origin, bad, closed, size, signedThrough, unsigned, trusted, publicKey, prev, root } = log;
  return {
    log: id,
    origin,
    ok: bad === undefined,
    state: closed && bad === undefined ? 'closed' : 'open',
    events: size,
    signedThrough,
    unsigned,
    trusted,
    ...(publicKey === undefined ? {} : { key: publicKey }),
    ...(bad === undefined ? { hash: prev, root } : { firstBadLine: bad.line, code: bad.code }),
  };
}
