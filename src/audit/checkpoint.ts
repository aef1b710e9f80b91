import { LeashError } from '../errors.ts';
import { decodeBase64, encodeBase64 } from '../internal/base64.ts';
import type { Key } from './key.ts';
import { isKeyName, keyId, type NoteKey, rawPublicKey, sign, verify, verifyAside } from './keys.ts';

/** What a checkpoint says: that the log of this origin has this length and this root. */
export interface Checkpoint {
  /** `<name>/<log>`. */
  readonly origin: string;
  /** How many lines it covers, from the first. */
  readonly size: number;
  /** Base64 of the RFC 6962 root over the hashes of these lines. */
  readonly root: string;
}

/** The text that is signed (C2SP tlog-checkpoint). */
export function checkpointBody({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${root}\n`;
}

/** Base64 of the Ed25519 signature over the body. */
export function signCheckpoint(key: Key, checkpoint: Checkpoint): string {
  return encodeBase64(sign(key, Buffer.from(checkpointBody(checkpoint))));
}

/** Whether the key signed the checkpoint; looked at on another thread. Never rejects. */
export function checkpointHolds(key: Key, checkpoint: Checkpoint, signature: string): Promise<boolean> {
  const bytes = decodeBase64(signature) ?? Buffer.alloc(0);
  return verifyAside(key, Buffer.from(checkpointBody(checkpoint)), bytes);
}

/** Hex, as hashes are chained, in base64, as checkpoints have them. */
export function rootText(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64');
}

/** What stands between a checkpoint's `seq` and its `prev`. It has no time: nobody hashes the last line of a log. */
export function checkpointFields(size: number, root: string, signature: string): string {
  return `,"kind":"checkpoint","size":${size},"root":"${root}","sig":"${signature}"`;
}

/** A note with one signature, by a key that bears the name of the origin (C2SP signed-note). */
export function checkpointNote(checkpoint: Checkpoint, key: Key, signature: string): string {
  const { origin } = checkpoint;
  const bytes = decodeBase64(signature) ?? Buffer.alloc(0);
  const signed = Buffer.concat([keyId(origin, rawPublicKey(key)), bytes]);
  return `${checkpointBody(checkpoint)}\n— ${origin} ${encodeBase64(signed)}\n`;
}

/** A note of which at least one known key signed the text. */
export interface OpenedNote {
  /** What was signed, with its last LF. */
  readonly text: string;
  /** The keys whose signatures hold, in the order of their lines. */
  readonly signedBy: readonly NoteKey[];
}

const ID_BYTES = 4;
const MAX_NOTE = 1_000_000;
const MAX_SIGNATURES = 100;
const SIGNATURE_LINE = /^— (\S+) (\S+)$/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROL = /[\u0000-\u0009\u000b-\u001f]/;

function invalid(what: string): LeashError {
  return new LeashError('NOTE_INVALID', `the note is not valid: ${what}`);
}

/**
 * Opens a C2SP signed note. Signatures of keys that are not in `keys` are passed over, as they must be; one that a known
 * key did not make spoils the note.
 *
 * @throws {LeashError} `NOTE_INVALID`: not a note, a known key's signature does not hold, or no known key signed.
 */
export function openNote(note: string, keys: readonly NoteKey[]): OpenedNote {
  if (note.length > MAX_NOTE || !note.isWellFormed() || CONTROL.test(note)) throw invalid('it is not a text');
  const split = note.lastIndexOf('\n\n');
  if (split === -1 || !note.endsWith('\n')) throw invalid('it has no signature');
  const text = note.slice(0, split + 1);
  const lines = note.slice(split + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw invalid('it has too many signatures');
  const signedBy: NoteKey[] = [];
  for (const line of lines) {
    const [, name = '', encoded = ''] = SIGNATURE_LINE.exec(line) ?? [];
    const bytes = decodeBase64(encoded);
    if (!isKeyName(name) || bytes === undefined || bytes.length <= ID_BYTES) {
      throw invalid('a signature line is malformed');
    }
    const id = bytes.subarray(0, ID_BYTES);
    const known = keys.find((key) => key.name === name && id.equals(keyId(name, rawPublicKey(key.key))));
    if (known === undefined || signedBy.includes(known)) continue;
    if (!verify(known.key, Buffer.from(text), bytes.subarray(ID_BYTES))) {
      throw invalid('a signature does not hold');
    }
    signedBy.push(known);
  }
  if (signedBy.length === 0) throw invalid('no known key signed it');
  return { text, signedBy };
}

const SIZE = /^(?:0|[1-9]\d{0,15})$/;
const ROOT_BYTES = 32;

/**
 * Reads the text of a checkpoint. Extension lines are refused: nobody who watches a log can check them.
 *
 * @throws {LeashError} `NOTE_INVALID`.
 */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin = '', digits = '', root = '', ...rest] = text.split('\n');
  const size = Number(digits);
  const exact = rest.length === 1 && rest[0] === '' && SIZE.test(digits) && Number.isSafeInteger(size);
  if (!exact || origin === '' || decodeBase64(root)?.length !== ROOT_BYTES) throw invalid('it is not a checkpoint');
  return { origin, size, root };
}

/** What a signed note says, without its signatures. */
export function textOfNote(note: string): string {
  return note.slice(0, note.indexOf('\n\n') + 1);
}
