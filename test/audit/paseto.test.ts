import { createSecretKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { PublicProtocol } from 'paseto';
import { ImportPublicKeyFactory, ImportSecretKeyFactory, SignFactory, VerifyFactory } from 'paseto/v4/public';
import { describe, expect, it } from 'vitest';
import { preAuthEncode, signPaseto, verifyPaseto } from '../../src/audit/paseto.ts';
import { TokenError } from '../../src/audit/token.ts';
import { keyPair } from '../helpers/ed25519.ts';

interface Vector {
  readonly name: string;
  readonly 'expect-fail': boolean;
  readonly 'public-key'?: string;
  readonly 'secret-key-seed'?: string;
  readonly token: string;
  readonly payload: string | null;
  readonly footer: string;
  readonly 'implicit-assertion': string;
}

const { tests } = JSON.parse(readFileSync(new URL('../vectors/paseto-v4-public.json', import.meta.url), 'utf8')) as {
  tests: readonly Vector[];
};
const good = tests.filter((vector) => !vector['expect-fail']);
const bad = tests.filter((vector) => vector['expect-fail']);

const pair = keyPair(Buffer.from(good[0]?.['secret-key-seed'] ?? '', 'hex'));
const other = keyPair();

function reasonOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof TokenError) return error.reason;
    throw error;
  }
  return 'verified';
}

describe('the official vectors of v4.public', () => {
  it('are all there', () => {
    expect(tests.map(({ name }) => name)).toEqual(['4-S-1', '4-S-2', '4-S-3', '4-F-1', '4-F-2', '4-F-3', '4-F-4']);
  });

  it.each(good)('$name is what signing gives, and verifies', (vector) => {
    expect(pair.raw.toString('hex')).toBe(vector['public-key']);
    const { token, payload, footer } = vector;
    const implicit = vector['implicit-assertion'];
    expect(signPaseto(pair.privateKey, payload as string, footer, implicit)).toBe(token);
    let seen: string | undefined;
    const read = verifyPaseto(
      token,
      (found) => {
        seen = found;
        return pair.publicKey;
      },
      implicit,
    );
    expect(read).toBe(payload);
    expect(seen).toBe(footer);
  });

  it.each(good)('$name does not verify with another implicit assertion, footer or key', (vector) => {
    const { token, footer } = vector;
    const implicit = vector['implicit-assertion'];
    expect(reasonOf(() => verifyPaseto(token, () => pair.publicKey, `${implicit} `))).toBe('signature');
    expect(reasonOf(() => verifyPaseto(token, () => other.publicKey, implicit))).toBe('signature');
    const moved = `${token.split('.').slice(0, 3).join('.')}.${Buffer.from(`${footer} `).toString('base64url')}`;
    expect(reasonOf(() => verifyPaseto(moved, () => pair.publicKey, implicit))).toBe('signature');
  });

  it.each(bad)('$name does not verify', (vector) => {
    const reason = reasonOf(() => verifyPaseto(vector.token, () => pair.publicKey, vector['implicit-assertion']));
    expect(reason).toBe(vector.name === '4-F-2' ? 'signature' : 'malformed');
  });
});

describe('preAuthEncode', () => {
  const le = (n: number): string => Buffer.of(n, 0, 0, 0, 0, 0, 0, 0).toString('hex');

  it.each([
    { name: 'no piece', pieces: [], hex: le(0) },
    { name: 'one empty piece', pieces: [''], hex: le(1) + le(0) },
    { name: 'two empty pieces', pieces: ['', ''], hex: le(2) + le(0) + le(0) },
    { name: 'test', pieces: ['test'], hex: `${le(1)}${le(4)}74657374` },
    { name: 'a piece of 300 bytes', pieces: ['a'.repeat(300)], hex: `${le(1)}2c01000000000000${'61'.repeat(300)}` },
  ])('encodes $name as the specification does', ({ pieces, hex }) => {
    expect(preAuthEncode(pieces.map((piece) => Buffer.from(piece))).toString('hex')).toBe(hex);
  });

  it('makes the same bytes of the same pieces only', () => {
    const list = fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 5 });
    fc.assert(
      fc.property(list, list, (a, b) => {
        const same = a.length === b.length && a.every((piece, i) => Buffer.compare(piece, b[i] as Uint8Array) === 0);
        expect(preAuthEncode(a).equals(preAuthEncode(b))).toBe(same);
      }),
    );
  });
});

describe('verifyPaseto', () => {
  const token = signPaseto(pair.privateKey, '{"a":1}', 'foot', 'implied');
  const [, , body = '', foot = ''] = token.split('.');
  const verify = (text: unknown): string => reasonOf(() => verifyPaseto(text, () => pair.publicKey, 'implied'));
  /** Bytes of the body and what stands behind them, signed as they are. */
  const forge = (message: Buffer, footer: Buffer): string => {
    const signature = sign(
      null,
      preAuthEncode([Buffer.from('v4.public.'), message, footer, Buffer.from('implied')]),
      pair.privateKey,
    );
    return `v4.public.${Buffer.concat([message, signature]).toString('base64url')}.${footer.toString('base64url')}`;
  };

  it('reads what signPaseto wrote', () => {
    expect(verifyPaseto(token, () => pair.publicKey, 'implied')).toBe('{"a":1}');
  });

  it.each([
    { name: 'nothing', text: '' },
    { name: 'undefined', text: undefined },
    { name: 'an object with split', text: { length: 3, split: () => token.split('.') } },
    { name: 'a header alone', text: 'v4.public.' },
    { name: 'a header without its last dot', text: 'v4.public' },
    { name: 'another version', text: token.replace('v4', 'v3') },
    { name: 'another case', text: token.replace('v4.public', 'V4.public') },
    { name: 'another purpose', text: token.replace('public', 'local') },
    { name: 'white space in front', text: ` ${token}` },
    { name: 'a line feed behind', text: `${token}\n` },
    { name: 'an empty footer that is spelled', text: `v4.public.${body}.` },
    { name: 'one part more', text: `${token}.` },
    { name: 'one part more with something in it', text: `${token}.Zm9v` },
    { name: 'no room for a signature', text: `v4.public.${Buffer.alloc(63).toString('base64url')}.${foot}` },
    { name: 'padding', text: `v4.public.${body}.${foot}==` },
    { name: 'stray bits behind the footer', text: `v4.public.${body}.Zm9vdB` },
    {
      name: 'the other alphabet',
      text: `v4.public.${Buffer.from(body, 'base64url').toString('base64').replace(/=+$/, '')}.+/`,
    },
    { name: 'white space inside', text: `v4.public.${body.slice(0, 8)} ${body.slice(8)}.${foot}` },
    { name: 'a character that is no base64', text: `v4.public.${body.slice(0, 8)}é${body.slice(9)}.${foot}` },
    { name: 'a payload that is no UTF-8', text: forge(Buffer.of(0xff, 0xfe), Buffer.from('foot')) },
    { name: 'a footer that is no UTF-8', text: forge(Buffer.from('{}'), Buffer.of(0x66, 0xff)) },
    { name: 'a footer that is too long', text: forge(Buffer.from('{}'), Buffer.alloc(513, 0x61)) },
  ])('refuses $name as malformed', ({ text }) => {
    expect(verify(text)).toBe('malformed');
  });

  it('takes a footer of 512 bytes, and shows it to the choice of the key', () => {
    expect(verify(forge(Buffer.from('{}'), Buffer.alloc(512, 0x61)))).toBe('verified');
  });

  it('refuses the second spelling of the same bytes', () => {
    // 67 bytes leave four bits of the last character over.
    const longer = signPaseto(pair.privateKey, 'abc', '', 'implied');
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const twin = longer.slice(0, -1) + alphabet[alphabet.indexOf(longer.at(-1) as string) + 1];
    expect(twin).not.toBe(longer);
    expect(Buffer.from(twin.slice(10), 'base64url').equals(Buffer.from(longer.slice(10), 'base64url'))).toBe(true);
    expect(verify(longer)).toBe('verified');
    expect(verify(twin)).toBe('malformed');
  });

  it('never looks into a token that is too long', () => {
    const huge = signPaseto(pair.privateKey, 'x'.repeat(13_000), '', 'implied');
    expect(verify(huge)).toBe('malformed');
    expect(verify(`v4.public.${'A'.repeat(50_000_000)}`)).toBe('malformed');
    expect(verify('.'.repeat(50_000_000))).toBe('malformed');
  });

  it('lets the choice of the key refuse, before any signature is looked at', () => {
    const refusal = new Error('no such key');
    const choose = (): KeyObject => {
      throw refusal;
    };
    expect(() => verifyPaseto(token, choose, 'implied')).toThrow(refusal);
  });

  it.each([
    { name: 'the private half', key: pair.privateKey },
    { name: 'another curve', key: generateKeyPairSync('ed448').publicKey },
    { name: 'an elliptic curve', key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey },
    { name: 'a shared secret', key: createSecretKey(Buffer.alloc(32)) },
    { name: 'nothing', key: undefined as unknown as KeyObject },
  ])('wants an Ed25519 public key, not $name', ({ key }) => {
    expect(() => verifyPaseto(token, () => key, 'implied')).toThrow(TypeError);
  });
});

describe('signPaseto', () => {
  it.each([
    { name: 'the public half', key: pair.publicKey },
    { name: 'another curve', key: generateKeyPairSync('ed448').privateKey },
    { name: 'a string', key: 'k4.secret.x' as unknown as KeyObject },
  ])('wants an Ed25519 private key, not $name', ({ key }) => {
    expect(() => signPaseto(key, '{}')).toThrow(new TypeError('`key` must be an Ed25519 private KeyObject'));
  });

  it.each(['{}', ''])('writes %j without a footer and an implicit assertion where none is given', (payload) => {
    const token = signPaseto(pair.privateKey, payload);
    expect(token.split('.')).toHaveLength(3);
    expect(token).toBe(signPaseto(pair.privateKey, payload, '', ''));
    for (const implicit of [undefined, '']) {
      expect(verifyPaseto(token, () => pair.publicKey, implicit)).toBe(payload);
    }
  });
});

describe('another implementation of v4.public', () => {
  const v4 = new PublicProtocol(SignFactory, VerifyFactory, ImportPublicKeyFactory, ImportSecretKeyFactory);
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  const claims = { sub: 'agent', data: 'é€😀"\\', n: 7, exp: '2039-01-01T00:00:00.000Z' };

  it('verifies what is signed here', async () => {
    const key = await v4.ImportPublicKey(`k4.public.${pair.raw.toString('base64url')}`);
    const signed = signPaseto(pair.privateKey, JSON.stringify(claims), '{"kid":"1"}', 'implied');
    const read = await v4.Verify(key, signed, { implicitAssertion: bytes('implied'), footer: bytes('{"kid":"1"}') });
    expect(read.claims).toEqual(claims);
    await expect(v4.Verify(key, signed, { implicitAssertion: bytes('other') })).rejects.toThrow();
  });

  it('signs what verifies here', async () => {
    const secret = Buffer.concat([pair.seed, pair.raw]).toString('base64url');
    const key = await v4.ImportSecretKey(`k4.secret.${secret}`);
    const options = { footer: bytes('{"kid":"1"}'), implicitAssertion: bytes('implied'), addIssuedAt: false };
    const signed = await v4.Sign(key, claims, options);
    expect(JSON.parse(verifyPaseto(signed, () => pair.publicKey, 'implied'))).toEqual(claims);
    // Ed25519 is deterministic, so the two agree to the byte.
    expect(signed).toBe(signPaseto(pair.privateKey, JSON.stringify(claims), '{"kid":"1"}', 'implied'));
    expect(reasonOf(() => verifyPaseto(signed, () => pair.publicKey))).toBe('signature');
  });
});
