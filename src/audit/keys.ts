import {
  createPublicKey,
  generateKeyPairSync,
  hash,
  KeyObject,
  sign as signBytes,
  verify as verifyBytes,
} from 'node:crypto';
import { decodeBase64, encodeBase64 } from '../internal/base64.ts';
import { isPromiseLike, type MaybePromise } from '../internal/maybe-promise.ts';
import { shown } from '../internal/options.ts';
import type { Key, RootSigner } from './key.ts';

const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
/** The DER of an Ed25519 public key is this and the 32 bytes (RFC 8410 §4). */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

/** The y of every point of order 1, 2, 4 and 8, with the sign of x cleared. */
const SMALL_ORDER: ReadonlySet<string> = new Set([
  `01${'00'.repeat(31)}`,
  `ec${'ff'.repeat(30)}7f`,
  '00'.repeat(32),
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
]);

/**
 * Whether a key of 32 bytes verifies nothing at all: one of small order accepts one signature for any text, and one
 * with y >= 2^255 - 19 is a second spelling of another. Libraries, and versions of Node, differ in which they refuse,
 * so that one log would be right here and wrong there.
 */
function isWeak(raw: Uint8Array): boolean {
  const y = Buffer.from(raw);
  y[31] = (y[31] as number) & 0x7f;
  if (SMALL_ORDER.has(y.toString('hex'))) return true;
  return y[31] === 0x7f && y.subarray(1, 31).every((byte) => byte === 0xff) && (y[0] as number) >= 0xed;
}

/**
 * An Ed25519 public key from its 32 bytes (RFC 8032 §5.1.5).
 *
 * @throws {TypeError} not 32 bytes.
 * @throws {RangeError} a key of small order, or one with y >= 2^255 - 19.
 */
export function publicKeyFromRaw(raw: Uint8Array): Key {
  if (!(raw instanceof Uint8Array) || raw.length !== KEY_BYTES) {
    throw new TypeError(`an Ed25519 public key has ${KEY_BYTES} bytes`);
  }
  if (isWeak(raw)) throw new RangeError('the Ed25519 public key is of small order or not canonical');
  return createPublicKey({ key: Buffer.concat([SPKI, raw]), format: 'der', type: 'spki' });
}

/** The 32 bytes of an Ed25519 public key, or of the one that belongs to a private key. @throws {TypeError} other keys. */
export function rawPublicKey(key: Key): Buffer {
  if (!(key instanceof KeyObject) || key.asymmetricKeyType !== 'ed25519') throw new TypeError('not an Ed25519 key');
  const { x = '' } = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' });
  return Buffer.from(x, 'base64url');
}

/** The public half of a private key. */
export function publicHalf(key: Key): Key {
  return createPublicKey(key as KeyObject);
}

/** A public key as the log has it: base64 of its 32 bytes. `undefined` for any other text, and for a weak key. */
export function readPublicKey(text: string): Key | undefined {
  const raw = decodeBase64(text);
  return raw?.length !== KEY_BYTES || isWeak(raw) ? undefined : publicKeyFromRaw(raw);
}

/** The key of one session. */
export interface SessionKey {
  readonly privateKey: Key;
  /** Base64 of the 32 bytes of its public key. */
  readonly publicKey: string;
}

export function generateSessionKey(): SessionKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return { privateKey, publicKey: encodeBase64(rawPublicKey(publicKey)) };
}

/** @throws {TypeError} not the private half of an Ed25519 key. */
export function checkPrivateKey(option: string, key: unknown): Key {
  if (!(key instanceof KeyObject) || key.type !== 'private' || key.asymmetricKeyType !== 'ed25519') {
    throw new TypeError(`\`${option}\` must be an Ed25519 private KeyObject`);
  }
  return key;
}

/** Ed25519 signature, 64 bytes. */
export function sign(key: Key, bytes: Uint8Array): Buffer {
  return signBytes(null, bytes, key as KeyObject);
}

/** Never throws: a signature of another length is no signature. */
export function verify(key: Key, bytes: Uint8Array, signature: Uint8Array): boolean {
  return signature.length === SIGNATURE_BYTES && verifyBytes(null, bytes, key as KeyObject, signature);
}

/** The same on another thread. Never rejects. */
export function verifyAside(key: Key, bytes: Uint8Array, signature: Uint8Array): Promise<boolean> {
  return new Promise((resolve) => {
    if (signature.length !== SIGNATURE_BYTES) resolve(false);
    else verifyBytes(null, bytes, key as KeyObject, signature, (error, holds) => resolve(error === null && holds));
  });
}

/** @throws {TypeError} neither an Ed25519 private key nor a function. */
export function checkRootSigner(option: string, signer: unknown): RootSigner {
  if (typeof signer === 'function') return signer as RootSigner;
  if (signer instanceof KeyObject) return checkPrivateKey(option, signer);
  throw new TypeError(
    `\`${option}\` must be an Ed25519 private KeyObject or a function that signs, got ${shown(signer)}`,
  );
}

/** What a certificate signs. `origin` holds no LF, so the three lines cannot be read in another way. */
function certificateText(origin: string, publicKey: string): Buffer {
  return Buffer.from(`leash-log/1 session-key\n${origin}\n${publicKey}\n`);
}

/**
 * The certificate of a session key in base64: a promise where the signer is a function.
 *
 * @throws {TypeError} (or rejects) the signer gave anything but 64 bytes.
 */
export function certify(signer: RootSigner, origin: string, publicKey: string): MaybePromise<string> {
  const text = certificateText(origin, publicKey);
  const signature: unknown = typeof signer === 'function' ? signer(text) : sign(signer, text);
  return isPromiseLike(signature) ? Promise.resolve(signature).then(certificateOf) : certificateOf(signature);
}

function certificateOf(signature: unknown): string {
  if (!(signature instanceof Uint8Array) || signature.length !== SIGNATURE_BYTES) {
    throw new TypeError(`the signer must give the ${SIGNATURE_BYTES} bytes of an Ed25519 signature`);
  }
  return encodeBase64(signature);
}

/** Whether `by` certified the session key. Never throws. */
export function verifyCertificate(by: Key, origin: string, publicKey: string, certificate: string): boolean {
  const signature = decodeBase64(certificate);
  return signature !== undefined && verify(by, certificateText(origin, publicKey), signature);
}

/** How C2SP signed-note says that a key is Ed25519. */
const NOTE_ED25519 = 1;

/** A name for keys in notes: not empty, no white space, no plus sign, no control character (C2SP signed-note). */
export function isKeyName(name: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  return name.isWellFormed() && /^[^\s+\u0000-\u001f\u007f-\u009f]+$/u.test(name);
}

/** The first 4 bytes of SHA-256(name || LF || 0x01 || key): which key signed, not a proof of it (C2SP signed-note). */
export function keyId(name: string, raw: Uint8Array): Buffer {
  const named = Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(NOTE_ED25519), raw]);
  return Buffer.from(hash('sha256', named).slice(0, 8), 'hex');
}

/** A key of C2SP signed-note: what checks one signer of notes. */
export interface NoteKey {
  readonly name: string;
  readonly key: Key;
}

/** The text of such a key, `<name>+<id>+<key>`, as other tools of C2SP take it. @throws {RangeError} no name for a key. */
export function formatNoteKey({ name, key }: NoteKey): string {
  if (!isKeyName(name)) throw new RangeError('the name of a key must hold no white space and no plus sign');
  const raw = rawPublicKey(key);
  return `${name}+${keyId(name, raw).toString('hex')}+${encodeBase64(Buffer.concat([Buffer.of(NOTE_ED25519), raw]))}`;
}

/** @throws {RangeError} not the text of an Ed25519 key that may be used, or its id is of another key. */
export function parseNoteKey(text: string): NoteKey {
  const [, name = '', id = '', key = ''] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/s.exec(text) ?? [];
  const typed = decodeBase64(key);
  const raw = typed?.subarray(1);
  if (!isKeyName(name) || raw?.length !== KEY_BYTES || typed?.[0] !== NOTE_ED25519) {
    throw new RangeError('not the text of an Ed25519 note key, <name>+<id>+<key>');
  }
  if (keyId(name, raw).toString('hex') !== id) throw new RangeError('the id of the note key is of another key');
  return { name, key: publicKeyFromRaw(raw) };
}
