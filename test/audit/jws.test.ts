import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { CompactSign, compactVerify, jwtVerify, SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { signJws, verifyJws } from '../../src/audit/jws.ts';
import { TokenError } from '../../src/audit/token.ts';
import { keyPair } from '../helpers/ed25519.ts';

const pair = keyPair();
const other = keyPair();
const header = { kid: 'key-1', typ: 'leash-proof+jwt' };
const token = signJws(pair.privateKey, header, '{"a":1}');
const [head = '', body = '', end = ''] = token.split('.');

function verify(text: unknown, key: KeyObject = pair.publicKey): string {
  try {
    return verifyJws(text, () => key);
  } catch (error) {
    if (error instanceof TokenError) return error.reason;
    throw error;
  }
}

const base64url = (text: string | Buffer): string => Buffer.from(text as string).toString('base64url');

/** A token with any header and payload, signed by the right key. */
function forge(headerText: string | Buffer, payload: string | Buffer = '{"a":1}'): string {
  const input = `${base64url(headerText)}.${base64url(payload)}`;
  return `${input}.${sign(null, Buffer.from(input), pair.privateKey).toString('base64url')}`;
}

describe('signJws', () => {
  it('writes three parts and one header', () => {
    expect(Buffer.from(head, 'base64url').toString()).toBe('{"alg":"Ed25519","kid":"key-1","typ":"leash-proof+jwt"}');
    expect(Buffer.from(body, 'base64url').toString()).toBe('{"a":1}');
    expect(Buffer.from(end, 'base64url')).toHaveLength(64);
  });

  it.each([
    { name: 'an empty key id', change: { kid: '' } },
    { name: 'a key id that is too long', change: { kid: 'k'.repeat(129) } },
    { name: 'a quote in the key id', change: { kid: 'a","crit":["b' } },
    { name: 'a line feed in the key id', change: { kid: 'a\n' } },
    { name: 'an empty type', change: { typ: '' } },
    { name: 'a quote in the type', change: { typ: 'a","b64":false,"c":"d' } },
    { name: 'a type in capitals', change: { typ: 'JWT' } },
  ])('refuses to write $name', ({ change }) => {
    expect(() => signJws(pair.privateKey, { ...header, ...change }, '{}')).toThrow(
      new TypeError('`kid` or `typ` has a character that is not allowed'),
    );
  });

  it.each([
    { name: 'the public half', key: pair.publicKey },
    { name: 'another curve', key: generateKeyPairSync('ed448').privateKey },
    { name: 'RSA', key: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey },
  ])('wants an Ed25519 private key, not $name', ({ key }) => {
    expect(() => signJws(key, header, '{}')).toThrow(new TypeError('`key` must be an Ed25519 private KeyObject'));
  });
});

describe('verifyJws', () => {
  it('gives the payload, and shows the header to the choice of the key', () => {
    let seen: unknown;
    const payload = verifyJws(token, (found) => {
      seen = found;
      return pair.publicKey;
    });
    expect(payload).toBe('{"a":1}');
    expect(seen).toEqual(header);
  });

  it('takes a token that was signed over the same bytes by somebody else', () => {
    expect(verify(forge('{"alg":"Ed25519","kid":"key-1","typ":"leash-proof+jwt"}'))).toBe('{"a":1}');
  });

  it.each([
    { name: 'alg none', text: forge('{"alg":"none","kid":"key-1","typ":"leash-proof+jwt"}') },
    { name: 'alg none without a signature', text: `${base64url('{"alg":"none"}')}.${body}.` },
    { name: 'alg EdDSA', text: forge('{"alg":"EdDSA","kid":"key-1","typ":"leash-proof+jwt"}') },
    { name: 'alg in another case', text: forge('{"alg":"ed25519","kid":"key-1","typ":"leash-proof+jwt"}') },
    { name: 'alg HS256', text: forge('{"alg":"HS256","kid":"key-1","typ":"leash-proof+jwt"}') },
    {
      name: 'alg twice, the first one good',
      text: forge('{"alg":"Ed25519","alg":"none","kid":"key-1","typ":"leash-proof+jwt"}'),
    },
    {
      name: 'alg twice, the last one good',
      text: forge('{"alg":"none","alg":"Ed25519","kid":"key-1","typ":"leash-proof+jwt"}'),
    },
    { name: 'kid twice', text: forge('{"alg":"Ed25519","kid":"key-2","kid":"key-1","typ":"leash-proof+jwt"}') },
    {
      name: 'typ twice',
      text: forge('{"alg":"Ed25519","kid":"key-1","typ":"leash-proof+jwt","typ":"leash-proof+jwt"}'),
    },
    { name: 'crit', text: forge('{"alg":"Ed25519","crit":["exp"],"exp":1,"kid":"key-1","typ":"leash-proof+jwt"}') },
    { name: 'an empty crit', text: forge('{"alg":"Ed25519","crit":[],"kid":"key-1","typ":"leash-proof+jwt"}') },
    {
      name: 'b64 false',
      text: forge('{"alg":"Ed25519","b64":false,"crit":["b64"],"kid":"key-1","typ":"leash-proof+jwt"}'),
    },
    {
      name: 'b64 false without crit',
      text: forge('{"alg":"Ed25519","b64":false,"kid":"key-1","typ":"leash-proof+jwt"}'),
    },
    { name: 'b64 true', text: forge('{"alg":"Ed25519","b64":true,"kid":"key-1","typ":"leash-proof+jwt"}') },
    { name: 'a key of its own', text: forge('{"alg":"Ed25519","jwk":{},"kid":"key-1","typ":"leash-proof+jwt"}') },
    { name: 'an unknown member', text: forge('{"alg":"Ed25519","kid":"key-1","typ":"leash-proof+jwt","x":1}') },
    { name: 'no kid', text: forge('{"alg":"Ed25519","typ":"leash-proof+jwt"}') },
    { name: 'a kid that is no string', text: forge('{"alg":"Ed25519","kid":1,"typ":"leash-proof+jwt"}') },
    { name: 'a kid with an escape', text: forge('{"alg":"Ed25519","kid":"key\\u002d1","typ":"leash-proof+jwt"}') },
    {
      name: 'a kid with a character that is not allowed',
      text: forge('{"alg":"Ed25519","kid":"key 1","typ":"leash-proof+jwt"}'),
    },
    { name: 'no typ', text: forge('{"alg":"Ed25519","kid":"key-1"}') },
    { name: 'another order', text: forge('{"kid":"key-1","alg":"Ed25519","typ":"leash-proof+jwt"}') },
    { name: 'white space in the header', text: forge('{"alg":"Ed25519", "kid":"key-1","typ":"leash-proof+jwt"}') },
    { name: 'a line feed behind the header', text: forge('{"alg":"Ed25519","kid":"key-1","typ":"leash-proof+jwt"}\n') },
    { name: 'a BOM before the header', text: forge('\ufeff{"alg":"Ed25519","kid":"key-1","typ":"leash-proof+jwt"}') },
    { name: 'a header that is no object', text: forge('[]') },
    { name: 'a header that is no JSON', text: forge('{') },
    { name: 'a header that is no UTF-8', text: forge(Buffer.of(0x7b, 0xff)) },
    {
      name: 'a payload that is no UTF-8',
      text: forge('{"alg":"Ed25519","kid":"key-1","typ":"leash-proof+jwt"}', Buffer.of(0xff)),
    },
    { name: 'nothing', text: '' },
    { name: 'undefined', text: undefined },
    { name: 'an object', text: { payload: body, protected: head, signature: end } },
    { name: 'two parts', text: `${head}.${body}` },
    { name: 'four parts', text: `${token}.` },
    { name: 'five parts', text: `${head}.${body}.${end}.${body}.${end}` },
    { name: 'an empty header', text: `.${body}.${end}` },
    { name: 'an empty signature', text: `${head}.${body}.` },
    {
      name: 'a signature of 63 bytes',
      text: `${head}.${body}.${base64url(Buffer.from(end, 'base64url').subarray(1))}`,
    },
    { name: 'a signature of 65 bytes', text: `${token}AA` },
    { name: 'padding', text: `${token}==` },
    { name: 'stray bits behind the payload', text: `${head}.${body.slice(0, -1)}R.${end}` },
    { name: 'the JSON form', text: JSON.stringify({ payload: body, protected: head, signature: end }) },
    {
      name: 'a header that is too long',
      text: forge(`{"alg":"Ed25519","kid":"key-1","typ":"leash-proof+jwt"}${' '.repeat(600)}`),
    },
    { name: 'fifty million dots', text: '.'.repeat(50_000_000) },
    {
      name: 'a payload that is too long',
      text: forge('{"alg":"Ed25519","kid":"key-1","typ":"leash-proof+jwt"}', 'x'.repeat(13_000)),
    },
  ])('refuses $name as malformed', ({ text }) => {
    expect(verify(text)).toBe('malformed');
  });

  it.each([
    { name: 'another key', text: token, key: other.publicKey },
    { name: 'a detached payload', text: `${head}..${end}`, key: pair.publicKey },
    { name: 'another payload', text: `${head}.${base64url('{"a":2}')}.${end}`, key: pair.publicKey },
    {
      name: 'another key id',
      text: `${base64url('{"alg":"Ed25519","kid":"key-2","typ":"leash-proof+jwt"}')}.${body}.${end}`,
      key: pair.publicKey,
    },
    {
      name: 'another type',
      text: `${base64url('{"alg":"Ed25519","kid":"key-1","typ":"leash-session+jwt"}')}.${body}.${end}`,
      key: pair.publicKey,
    },
  ])('refuses $name by the signature', ({ text, key }) => {
    expect(verify(text, key)).toBe('signature');
  });

  it('reads a payload in one spelling only', () => {
    // Seven bytes leave four bits of the last character over: "fQ" and "fR" are one byte.
    expect(body.endsWith('Q')).toBe(true);
    expect(Buffer.from(`${body.slice(0, -1)}R`, 'base64url').toString()).toBe('{"a":1}');
  });

  it.each([
    { name: 'the private half', key: pair.privateKey },
    { name: 'another curve', key: generateKeyPairSync('ed448').publicKey },
    { name: 'nothing', key: undefined as unknown as KeyObject },
  ])('wants an Ed25519 public key, not $name', ({ key }) => {
    expect(() => verifyJws(token, () => key)).toThrow(TypeError);
  });
});

describe('another implementation of JWS', () => {
  const claims = { aud: 'shop', data: 'é€😀"\\', n: 7 };

  it('verifies what is signed here', async () => {
    const signed = signJws(pair.privateKey, header, JSON.stringify(claims));
    const { payload, protectedHeader } = await compactVerify(signed, pair.publicKey, { algorithms: ['Ed25519'] });
    expect(JSON.parse(new TextDecoder().decode(payload))).toEqual(claims);
    expect(protectedHeader).toEqual({ alg: 'Ed25519', ...header });
    const read = await jwtVerify(signed, pair.publicKey, { typ: 'leash-proof+jwt', audience: 'shop' });
    expect(read.payload).toEqual(claims);
    await expect(compactVerify(signed, other.publicKey)).rejects.toThrow();
  });

  it('signs what verifies here, to the byte', async () => {
    const signed = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'Ed25519', kid: header.kid, typ: header.typ })
      .sign(pair.privateKey);
    expect(JSON.parse(verify(signed))).toEqual(claims);
    expect(signed).toBe(signJws(pair.privateKey, header, JSON.stringify(claims)));
  });

  it.each([
    { name: 'EdDSA', head: { alg: 'EdDSA', kid: 'key-1', typ: 'leash-proof+jwt' } },
    {
      name: 'members that the signer had to understand',
      head: { alg: 'Ed25519', b64: true, crit: ['b64'], kid: 'key-1', typ: 'leash-proof+jwt' },
    },
  ])('signs with $name what does not verify here', async ({ head: protectedHeader }) => {
    const signed = await new CompactSign(Buffer.from('{}')).setProtectedHeader(protectedHeader).sign(pair.privateKey);
    await expect(compactVerify(signed, pair.publicKey)).resolves.toBeDefined();
    expect(verify(signed)).toBe('malformed');
  });
});
