import type { Key } from './key.ts';

/** Why a signed token was not read: its form, or its signature. Never shown: `verifyProof` says it in its own error. */
export class TokenError extends Error {
  readonly reason: 'malformed' | 'signature';

  constructor(reason: 'malformed' | 'signature') {
    super(`token: ${reason}`);
    this.reason = reason;
  }
}

export const SIGNATURE_BYTES = 64;

const MAX_TOKEN = 16_384;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The dot-separated parts of a token of at most 16 384 characters. @throws {TokenError} no such text. */
export function splitToken(token: unknown): readonly string[] {
  if (typeof token !== 'string' || token.length > MAX_TOKEN) throw new TokenError('malformed');
  return token.split('.');
}

/**
 * Bytes of base64url without padding (RFC 4648 §5). There is one way to write them: another alphabet, padding, white
 * space and bits set behind the last byte are refused, so no token has a second spelling.
 *
 * @throws {TokenError} otherwise.
 */
export function decodeBase64url(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.toString('base64url') !== text) throw new TokenError('malformed');
  return bytes;
}

/** @throws {TokenError} no UTF-8. */
export function decodeText(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new TokenError('malformed');
  }
}

/** What a key id may be: nothing in it needs an escape in JSON, so a header or footer has one spelling. */
export function isKeyId(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9._~:+/=@-]{1,128}$/.test(value);
}

/** @throws {TypeError} no Ed25519 public key: a key of another curve would make another algorithm of the format. */
export function checkPublicKey(key: Key): Key {
  if (key?.type !== 'public' || key.asymmetricKeyType !== 'ed25519') throw new TypeError('not an Ed25519 public key');
  return key;
}
