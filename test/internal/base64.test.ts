import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeBase64, encodeBase64 } from '../../src/internal/base64.ts';

describe('encodeBase64', () => {
  // The examples of RFC 4648 §10.
  it.each([
    ['', ''],
    ['f', 'Zg=='],
    ['fo', 'Zm8='],
    ['foo', 'Zm9v'],
    ['foob', 'Zm9vYg=='],
    ['fooba', 'Zm9vYmE='],
    ['foobar', 'Zm9vYmFy'],
  ])('writes %j as %j', (plain, encoded) => {
    expect(encodeBase64(Buffer.from(plain))).toBe(encoded);
    expect(decodeBase64(encoded)).toEqual(Buffer.from(plain));
  });

  it('writes the bytes of a view alone, with the standard alphabet', () => {
    expect(encodeBase64(new Uint8Array([9, 0xfb, 0xff, 0xbf, 9]).subarray(1, 4))).toBe('+/+/');
  });
});

describe('decodeBase64', () => {
  it.each([
    { name: 'the URL alphabet', text: '-_-_' },
    { name: 'missing padding', text: 'Zg' },
    { name: 'half of the padding', text: 'Zg=' },
    { name: 'too much padding', text: 'Zm9v=' },
    { name: 'padding alone', text: '====' },
    { name: 'padding in the middle', text: 'Zg==Zg==' },
    { name: 'bits that no byte has', text: 'Zh==' },
    { name: 'bits that no byte has, of two bytes', text: 'Zm9=' },
    { name: 'a line break', text: 'Zm9v\nYmFy' },
    { name: 'a line break at the end', text: 'Zm9v\n' },
    { name: 'white space', text: ' Zm9v' },
    { name: 'a character of no alphabet', text: 'Zm9v!' },
    { name: 'characters that look the same', text: 'Ζm9v' },
    { name: 'one character', text: 'Z' },
  ])('refuses $name', ({ text }) => {
    expect(decodeBase64(text)).toBeUndefined();
  });

  it('gives back what was written', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(decodeBase64(encodeBase64(bytes))).toEqual(Buffer.from(bytes));
      }),
    );
  });

  it('reads a text only if writing it gives that text again', () => {
    const text = fc.string({ unit: fc.constantFrom(...'AZaz09+/-_= \n') });
    fc.assert(
      fc.property(text, (text) => {
        const bytes = decodeBase64(text);
        expect(bytes === undefined || encodeBase64(bytes) === text).toBe(true);
      }),
    );
  });
});
