import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkPublicKey, decodeBase64url, decodeText, isKeyId, splitToken, TokenError } from '../../src/audit/token.ts';

describe('decodeBase64url', () => {
  it('is the inverse of the encoding', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(decodeBase64url(Buffer.from(bytes).toString('base64url'))).toEqual(Buffer.from(bytes));
      }),
    );
  });

  it('takes one text for any bytes, and no other', () => {
    const text = fc.oneof(fc.stringMatching(/^[A-Za-z0-9_+/= -]{0,8}$/), fc.string({ maxLength: 8 }));
    fc.assert(
      fc.property(text, (given) => {
        const right = Buffer.from(given, 'base64url').toString('base64url') === given;
        if (right) expect(decodeBase64url(given).toString('base64url')).toBe(given);
        else expect(() => decodeBase64url(given)).toThrow(TokenError);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    { name: 'padding', text: 'AA==' },
    { name: 'one character alone', text: 'A' },
    { name: 'five characters', text: 'AAAAA' },
    { name: 'four stray bits', text: 'AB' },
    { name: 'two stray bits', text: 'AAB' },
    { name: 'plus', text: 'AA+A' },
    { name: 'slash', text: 'AA/A' },
    { name: 'a space', text: 'AA AA' },
    { name: 'a line feed at the end', text: 'AAAA\n' },
    { name: 'a letter that is none of the alphabet', text: 'AAAé' },
  ])('refuses $name', ({ text }) => {
    expect(() => decodeBase64url(text)).toThrow(TokenError);
  });
});

describe('decodeText', () => {
  it('keeps a BOM, which is content like any other', () => {
    expect(decodeText(Buffer.from('\ufeffa'))).toBe('\ufeffa');
  });

  it.each([
    { name: 'a lone byte of a pair', bytes: [0xc3] },
    { name: 'an overlong slash', bytes: [0xc0, 0xaf] },
    { name: 'half of a surrogate pair', bytes: [0xed, 0xa0, 0x80] },
    { name: 'a code point that does not exist', bytes: [0xf4, 0x90, 0x80, 0x80] },
  ])('refuses $name', ({ bytes }) => {
    expect(() => decodeText(Uint8Array.from(bytes))).toThrow(TokenError);
  });
});

describe('splitToken', () => {
  it('takes 16 384 characters and no more', () => {
    expect(splitToken('a'.repeat(16_384))).toHaveLength(1);
    expect(() => splitToken('a'.repeat(16_385))).toThrow(TokenError);
  });
});

describe('isKeyId', () => {
  it.each(['f3a1b2c4', 'leash.local+f3a1b2c4+AbC/=', 'https://shop.example/keys~1', 'k'.repeat(128)])(
    'takes %s',
    (id) => {
      expect(isKeyId(id)).toBe(true);
    },
  );

  it.each(['', 'k'.repeat(129), 'a b', 'a"', 'a\\', 'a\n', 'é', '\0', 1, null, undefined, ['a']])(
    'refuses %j',
    (id) => {
      expect(isKeyId(id)).toBe(false);
    },
  );
});

describe('checkPublicKey', () => {
  it('gives back the public half of an Ed25519 key', () => {
    const { publicKey } = generateKeyPairSync('ed25519');
    expect(checkPublicKey(publicKey)).toBe(publicKey);
  });

  it.each<{ name: string; key: KeyObject | undefined }>([
    { name: 'the private half', key: generateKeyPairSync('ed25519').privateKey },
    { name: 'another curve', key: generateKeyPairSync('ed448').publicKey },
    { name: 'nothing', key: undefined },
  ])('refuses $name', ({ key }) => {
    expect(() => checkPublicKey(key as KeyObject)).toThrow(new TypeError('not an Ed25519 public key'));
  });
});

describe('TokenError', () => {
  it('says what is wrong, and nothing of the token', () => {
    expect(new TokenError('signature')).toMatchObject({ reason: 'signature', message: 'token: signature' });
  });
});
