import { invariant } from '../internal/invariant.ts';
import type { MaybePromise } from '../internal/maybe-promise.ts';
import { ownWork } from '../internal/own-work.ts';
import type { Key, RootSigner } from './key.ts';
import { certify, generateSessionKey, keyId, rawPublicKey } from './keys.ts';
import { keyFields, LogSigner } from './signing.ts';

/** What is signed: the log from time to time, after every event, or nothing. */
export type SignMode = 'checkpoint' | 'each' | 'none';

const EVERY_LINES = 256;
const EVERY_MS = 1_000;

export interface CheckpointsInit {
  readonly mode: Exclude<SignMode, 'none'>;
  readonly origin: string;
  /** How many checkpoints a key signs; infinite: one key signs all. */
  readonly rotateEvery: number;
  readonly onCheckpoint: ((note: string) => void) | undefined;
}

/** When a log is signed, and with which key: every 256 lines, every second in which there were new ones, at the close. */
export class Checkpoints {
  readonly #init: CheckpointsInit;
  readonly #due: () => void;
  readonly #signer: LogSigner;
  #key: Key | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Lines since the last checkpoint that somebody may want to rely on. */
  #fresh = 0;
  #signed = 0;

  /** @param due writes a checkpoint. */
  constructor(init: CheckpointsInit, due: () => void) {
    this.#init = init;
    this.#due = due;
    const key = generateSessionKey().privateKey;
    this.#key = key;
    this.#signer = new LogSigner({ key, origin: init.origin });
  }

  /** Base64 of the session key. */
  get publicKey(): string {
    return this.#signer.publicKey;
  }

  /** What proof tokens call it: the id that a C2SP note gives it, in hex. */
  get keyId(): string {
    return keyId(this.#init.origin, rawPublicKey(this.key)).toString('hex');
  }

  /** Its private half, for proof tokens. */
  get key(): Key {
    invariant(this.#key !== undefined, 'the key of the log was destroyed');
    return this.#key;
  }

  certify(signer: RootSigner | undefined): MaybePromise<string> | undefined {
    return signer === undefined ? undefined : certify(signer, this.#init.origin, this.publicKey);
  }

  /** Takes the hash of an event's line that is sure to be written. */
  push(hash: string): void {
    this.#signer.push(hash);
    this.#fresh++;
    if (this.#init.mode === 'each' || this.#fresh >= EVERY_LINES) this.#due();
    else this.#timer ??= setTimeout(() => this.#onTime(), EVERY_MS).unref();
  }

  /** Takes the hash of a line that belongs to the signing itself, and waits for no signature of its own. */
  pushQuietly(hash: string): void {
    this.#signer.push(hash);
  }

  #onTime(): void {
    this.#timer = undefined;
    if (this.#fresh > 0) this.#due();
  }

  /** The line that signs all before it. */
  line(head: string, seq: number, prev: string): string {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#fresh = 0;
    this.#signed++;
    return this.#signer.checkpointLine(head, seq, prev);
  }

  /** Tells of the last checkpoint, once its line is on its way. */
  tell(): void {
    const { onCheckpoint } = this.#init;
    if (onCheckpoint === undefined) return;
    try {
      ownWork(() => onCheckpoint(this.#signer.note()));
    } catch (error) {
      // Whoever keeps heads elsewhere must not stop the log.
      const name = error instanceof Error ? error.name : typeof error;
      process.emitWarning(`onCheckpoint threw ${name}`, 'LeashAuditWarning');
    }
  }

  /** When a key has signed often enough: the fields of the line that names the next one. The old key is forgotten. */
  rotate(): string | undefined {
    if (this.#signed % this.#init.rotateEvery !== 0) return undefined;
    const next = generateSessionKey().privateKey;
    this.#key = next;
    return keyFields(this.#signer.rotate(next));
  }

  destroy(): void {
    clearTimeout(this.#timer);
    this.#key = undefined;
    this.#signer.destroy();
  }
}
