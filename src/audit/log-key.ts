import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { decodeBase64, encodeBase64 } from '../internal/base64.ts';
import { kindOf } from '../internal/options.ts';

/** The environment variable that holds the log key in base64, where no option gives one. */
export const LOG_KEY_VARIABLE = 'LEASH_AUDIT_KEY';

const BYTES = 32;
const MIN_BYTES = 16;
const WAIT_MS = 20;
/** A file that is empty for longer was left so by a process that died. */
const MAX_WAITS = 25;

/** Where a log key comes from: the bytes, a file that only its owner can read, or nothing for the environment. */
export type LogKey = Uint8Array | { readonly file: string };

/**
 * The key from which salts and keyed hashes of arguments are made.
 *
 * A file is made with 32 random bytes in base64 and mode 0600 where it does not exist; keep it apart from the log.
 * Without an option the key is that of `LEASH_AUDIT_KEY`; without that it is random and dies with the session: nobody
 * can open an event then, and nobody has to.
 *
 * @throws {TypeError} neither bytes nor a file; @throws {RangeError} fewer than 16 bytes, no base64, or a file that others
 * than its owner can read. Messages never show the key.
 */
export function readLogKey(option: string, key: LogKey | undefined): Uint8Array {
  if (key === undefined) {
    const text = process.env[LOG_KEY_VARIABLE];
    return text === undefined || text === '' ? randomBytes(BYTES) : decode(`the variable ${LOG_KEY_VARIABLE}`, text);
  }
  if (key instanceof Uint8Array) return longEnough(`\`${option}\``, Uint8Array.from(key));
  const file: unknown = typeof key === 'object' && key !== null ? key.file : undefined;
  if (typeof file !== 'string' || file === '') {
    // Not what it is: it may be the key, as text.
    throw new TypeError(`\`${option}\` must be bytes or { file: path }, got ${kindOf(key)}`);
  }
  return readKeyFile(`the file of \`${option}\``, file);
}

/** What the file of a new log key holds. */
export function newLogKey(): string {
  return `${encodeBase64(randomBytes(BYTES))}\n`;
}

function readKeyFile(where: string, path: string): Uint8Array {
  try {
    writeFileSync(path, newLogKey(), { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const descriptor = openSync(path, 'r');
  try {
    // Windows has no such bits; there the file's own rights hold.
    if (process.platform !== 'win32' && (fstatSync(descriptor).mode & 0o077) !== 0) {
      throw new RangeError(`${where} can be read by others than its owner: set its mode to 0600`);
    }
    return decode(where, textOf(descriptor).trim());
  } finally {
    closeSync(descriptor);
  }
}

/** A file that another process has just made has its key a moment later. */
function textOf(descriptor: number): string {
  for (let waits = 0; ; waits++) {
    const text = readFileSync(descriptor, 'utf8');
    if (text !== '' || waits === MAX_WAITS) return text;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT_MS);
  }
}

function decode(where: string, text: string): Uint8Array {
  const bytes = decodeBase64(text);
  if (bytes === undefined) throw new RangeError(`${where} must hold a log key in base64`);
  return longEnough(where, Uint8Array.from(bytes));
}

function longEnough(where: string, key: Uint8Array): Uint8Array {
  if (key.length < MIN_BYTES) throw new RangeError(`${where} must hold at least ${MIN_BYTES} bytes`);
  return key;
}
