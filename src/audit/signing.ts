import { encodeBase64 } from '../internal/base64.ts';
import { invariant } from '../internal/invariant.ts';
import { CompactRange } from '../internal/merkle.ts';
import { type Checkpoint, checkpointFields, checkpointNote, rootText, signCheckpoint } from './checkpoint.ts';
import type { Key } from './key.ts';
import { certify, checkPrivateKey, isKeyName, publicHalf, rawPublicKey } from './keys.ts';

export interface LogSignerInit {
  /** Private half of the session key. */
  readonly key: Key;
  /** `<name>/<log>`: names the log in checkpoints, and the key in notes. */
  readonly origin: string;
}

/** What `session_open` and `key_rotated` say of a session key. */
export interface KeyFields {
  /** Base64 of the 32 bytes. */
  readonly key: string;
  /** Base64 of the certificate. */
  readonly cert?: string | undefined;
}

/** In `session_open` between `guards` and `parent`; in `key_rotated` all there is. */
export function keyFields({ key, cert }: KeyFields): string {
  return `,"key":"${key}"${cert === undefined ? '' : `,"cert":"${cert}"`}`;
}

/**
 * Follows one log and signs its checkpoints: takes the hash of each line as it is written, and can say at any time what
 * all of them amount to. When to sign is for the log to say.
 */
export class LogSigner {
  readonly #origin: string;
  readonly #range: CompactRange = new CompactRange();
  #key: Key | undefined;
  #publicKey: Key;
  #last: { readonly checkpoint: Checkpoint; readonly signature: string; readonly key: Key } | undefined;

  /** @throws {TypeError} not an Ed25519 private key. @throws {RangeError} an origin that cannot name a key in a note. */
  constructor({ key, origin }: LogSignerInit) {
    if (!isKeyName(origin)) throw new RangeError('the origin of a log must hold no white space and no plus sign');
    this.#key = checkPrivateKey('key', key);
    this.#publicKey = publicHalf(key);
    this.#origin = origin;
  }

  /** Base64 of the public key that the next checkpoint is signed with. */
  get publicKey(): string {
    return encodeBase64(rawPublicKey(this.#publicKey));
  }

  /** Takes the next line, given as its `lineHash`. Every line counts, checkpoints too. */
  push(lineHash: string): void {
    this.#range.push(lineHash);
  }

  /**
   * The checkpoint that covers every line pushed so far, as a whole line without its LF; it is to be written next, and
   * its hash pushed.
   *
   * @param head `{"v":1,"log":"<uuid>","seq":`
   * @param prev hash of the line before.
   */
  checkpointLine(head: string, seq: number, prev: string): string {
    const { size } = this.#range;
    invariant(seq === size && size > 0, 'a checkpoint covers the lines before it');
    const key = this.#signingKey();
    const checkpoint = { origin: this.#origin, size, root: rootText(this.#range.root()) };
    const signature = signCheckpoint(key, checkpoint);
    this.#last = { checkpoint, signature, key: this.#publicKey };
    return `${head}${seq}${checkpointFields(size, checkpoint.root, signature)},"prev":"${prev}"}`;
  }

  /** The last checkpoint as a C2SP signed note, for somebody who keeps it elsewhere. */
  note(): string {
    const last = this.#last;
    invariant(last !== undefined, 'a note tells of a checkpoint that was made');
    return checkpointNote(last.checkpoint, last.key, last.signature);
  }

  /**
   * Signs with another key from the next checkpoint on. The old key certifies the new one, and is forgotten.
   *
   * @returns the fields of the `key_rotated` line, which is to be written next.
   * @throws {TypeError} not an Ed25519 private key.
   */
  rotate(nextKey: Key): KeyFields {
    const old = this.#signingKey();
    const next = checkPrivateKey('nextKey', nextKey);
    const publicKey = publicHalf(next);
    const key = encodeBase64(rawPublicKey(publicKey));
    const cert = certify(old, this.#origin, key) as string;
    this.#key = next;
    this.#publicKey = publicKey;
    return { key, cert };
  }

  /** Forgets the key: from here on nobody can sign for this log. Notes of what was signed can still be had. */
  destroy(): void {
    this.#key = undefined;
  }

  #signingKey(): Key {
    invariant(this.#key !== undefined, 'the key of the log was destroyed');
    return this.#key;
  }
}
