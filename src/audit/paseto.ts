import type { Key } from './key.ts';
import { checkPrivateKey, sign, verify } from './keys.ts';
import { checkPublicKey, decodeBase64url, decodeText, SIGNATURE_BYTES, splitToken, TokenError } from './token.ts';

const HEADER = 'v4.public.';
/** Read before anything is known to be authentic. */
const MAX_FOOTER_BYTES = 512;

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** PASETO's pre-authentication encoding: counts and lengths in front, so no two lists of pieces make the same bytes. */
export function preAuthEncode(pieces: readonly Uint8Array[]): Buffer {
  return Buffer.concat([uint64(pieces.length), ...pieces.flatMap((piece) => [uint64(piece.length), piece])]);
}

function signedBytes(payload: Uint8Array, footer: Uint8Array, implicit: string): Buffer {
  return preAuthEncode([Buffer.from(HEADER), payload, footer, Buffer.from(implicit)]);
}

/**
 * A PASETO v4.public token: `payload` and `footer` in the clear, both signed, and with them `implicit`, which the token
 * does not carry and the verifier has to know.
 *
 * @throws {TypeError} no Ed25519 private key.
 */
export function signPaseto(key: Key, payload: string, footer = '', implicit = ''): string {
  checkPrivateKey('key', key);
  const message = Buffer.from(payload);
  const end = Buffer.from(footer);
  const signature = sign(key, signedBytes(message, end, implicit));
  const body = HEADER + Buffer.concat([message, signature]).toString('base64url');
  return end.length === 0 ? body : `${body}.${end.toString('base64url')}`;
}

/**
 * The payload of a v4.public token, once the signature is good.
 *
 * @param keyFor chooses the key by the footer ('' where there is none), or throws. It sees the footer before anything is
 * authentic: at most 512 bytes of UTF-8, which it must not trust beyond the choice of a key.
 * @throws {TokenError} not this version and purpose, not canonical base64url, too long, or not signed by that key over
 * this footer and `implicit`.
 */
export function verifyPaseto(token: unknown, keyFor: (footer: string) => Key, implicit = ''): string {
  const parts = splitToken(token);
  const [version, purpose, body, end] = parts;
  if (parts.length > 4 || `${version}.${purpose}.` !== HEADER || body === undefined || end === '') {
    throw new TokenError('malformed');
  }
  const bytes = decodeBase64url(body);
  const footer = decodeBase64url(end ?? '');
  if (bytes.length < SIGNATURE_BYTES || footer.length > MAX_FOOTER_BYTES) throw new TokenError('malformed');
  const message = bytes.subarray(0, -SIGNATURE_BYTES);
  const key = checkPublicKey(keyFor(decodeText(footer)));
  const signature = bytes.subarray(-SIGNATURE_BYTES);
  if (!verify(key, signedBytes(message, footer, implicit), signature)) throw new TokenError('signature');
  return decodeText(message);
}
