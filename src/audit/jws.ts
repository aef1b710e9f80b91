import type { Key } from './key.ts';
import { checkPrivateKey, sign, verify } from './keys.ts';
import {
  checkPublicKey,
  decodeBase64url,
  decodeText,
  isKeyId,
  SIGNATURE_BYTES,
  splitToken,
  TokenError,
} from './token.ts';

/** The members of the protected header that differ between tokens. */
export interface JwsHeader {
  /** Key id: 1 to 128 characters of `A-Z a-z 0-9 . _ ~ : + / = @ -`. */
  readonly kid: string;
  /** Explicit type (RFC 8725 §3.11): lower-case letters, digits, `.`, `+` and `-`, at most 64. */
  readonly typ: string;
}

/**
 * The one header that is written and read, to the byte. What is not written here is therefore refused: another `alg`
 * (with `none`, and with the `EdDSA` that RFC 9864 replaced by `Ed25519`), `crit`, `b64`, embedded keys, a member twice.
 */
const HEADER = /^\{"alg":"Ed25519","kid":"([^"\\]{1,128})","typ":"([a-z0-9.+-]{1,64})"\}$/;

function headerText({ kid, typ }: JwsHeader): string {
  return `{"alg":"Ed25519","kid":"${kid}","typ":"${typ}"}`;
}

/**
 * A JWS in compact form (RFC 7515) with Ed25519 (RFC 8037, RFC 9864).
 *
 * @throws {TypeError} no Ed25519 private key, or a header that cannot be read again.
 */
export function signJws(key: Key, header: JwsHeader, payload: string): string {
  checkPrivateKey('key', key);
  const text = headerText(header);
  if (!HEADER.test(text) || !isKeyId(header.kid))
    throw new TypeError('`kid` or `typ` has a character that is not allowed');
  const input = `${Buffer.from(text).toString('base64url')}.${Buffer.from(payload).toString('base64url')}`;
  return `${input}.${sign(key, Buffer.from(input)).toString('base64url')}`;
}

/**
 * The payload of a compact JWS, once the signature is good.
 *
 * @param keyFor chooses the key by the header, or throws. It sees the header before anything is authentic.
 * @throws {TokenError} not three parts of canonical base64url, any header but the one that `signJws` writes, too long,
 * or not signed by that key.
 */
export function verifyJws(token: unknown, keyFor: (header: JwsHeader) => Key): string {
  const [head, body, end, ...more] = splitToken(token);
  if (head === undefined || body === undefined || end === undefined || more.length > 0)
    throw new TokenError('malformed');
  const [, kid, typ] = HEADER.exec(decodeText(decodeBase64url(head))) ?? [];
  if (!isKeyId(kid) || typ === undefined) throw new TokenError('malformed');
  const message = decodeBase64url(body);
  const signature = decodeBase64url(end);
  if (signature.length !== SIGNATURE_BYTES) throw new TokenError('malformed');
  const key = checkPublicKey(keyFor({ kid, typ }));
  if (!verify(key, Buffer.from(`${head}.${body}`), signature)) throw new TokenError('signature');
  return decodeText(message);
}
