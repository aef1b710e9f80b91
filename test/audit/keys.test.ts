import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  certify,
  checkRootSigner,
  formatNoteKey,
  generateSessionKey,
  isKeyName,
  keyId,
  parseNoteKey,
  publicKeyFromRaw,
  rawPublicKey,
  readPublicKey,
  sign,
  verify,
  verifyAside,
  verifyCertificate,
} from '../../src/audit/keys.ts';

function read<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8')) as T;
}

const ed25519 = read<{
  readonly lowOrder: readonly { readonly key: string; readonly what: string }[];
  readonly publicKey: string;
  readonly signatures: readonly {
    readonly tcId: number;
    readonly what: string;
    readonly message: string;
    readonly signature: string;
    readonly valid: boolean;
  }[];
}>('ed25519');
const notes = read<{
  readonly peter: { readonly vkey: string; readonly seed: string };
  readonly enoch: { readonly vkey: string };
  readonly badKeys: readonly string[];
}>('signed-note');

const P = 2n ** 255n - 19n;
const hex = (text: string): Buffer => Buffer.from(text, 'hex');

/** The 32 bytes of a y and the sign of x. */
function encoded(y: bigint, sign = 0): Buffer {
  return hex((y + (BigInt(sign) << 255n)).toString(16).padStart(64, '0')).reverse();
}

function yOf(bytes: Buffer): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`) % 2n ** 255n;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let b = base % P, e = exponent; e > 0n; e >>= 1n, b = (b * b) % P) if (e & 1n) result = (result * b) % P;
  return result;
}

const inverse = (n: bigint): bigint => power(((n % P) + P) % P, P - 2n);
const D = (((-121_665n * inverse(121_666n)) % P) + P) % P;

type Point = readonly [x: bigint, y: bigint];

/** The addition law of the curve -x² + y² = 1 + dx²y². */
function add([x1, y1]: Point, [x2, y2]: Point): Point {
  const product = (D * x1 * x2 * y1 * y2) % P;
  const x = ((x1 * y2 + x2 * y1) * inverse(1n + product)) % P;
  const y = ((y1 * y2 + x1 * x2) * inverse(1n - product)) % P;
  return [(x + P) % P, (y + P) % P];
}

/** The points with this y. */
function pointsAt(y: bigint): Point[] {
  const square = ((((y * y - 1n) % P) + P) * inverse(D * y * y + 1n)) % P;
  for (const root of [1n, power(2n, (P - 1n) / 4n)]) {
    const x = (power(square, (P + 3n) / 8n) * root) % P;
    if ((x * x) % P === square)
      return [
        [x, y],
        [(P - x) % P, y],
      ];
  }
  return [];
}

function order(point: Point): number {
  let sum: Point = point;
  for (let n = 1; n <= 8; n++, sum = add(sum, point)) if (sum[0] === 0n && sum[1] === 1n) return n;
  return Number.POSITIVE_INFINITY;
}

describe('publicKeyFromRaw', () => {
  it.each(ed25519.lowOrder)('refuses $key, $what', ({ key }) => {
    expect(() => publicKeyFromRaw(hex(key))).toThrow(
      new RangeError('the Ed25519 public key is of small order or not canonical'),
    );
    expect(readPublicKey(hex(key).toString('base64'))).toBeUndefined();
  });

  it('refuses all eight points whose order divides 8, by the addition law of the curve', () => {
    const ys = new Set(ed25519.lowOrder.map(({ key }) => yOf(hex(key))).filter((y) => y < P));
    const points = new Map([...ys].flatMap(pointsAt).map((point) => [point.join(), point]));
    expect([...points.values()].map(order).sort()).toEqual([1, 2, 4, 4, 8, 8, 8, 8]);
    for (const [x, y] of points.values())
      expect(() => publicKeyFromRaw(encoded(y, Number(x % 2n)))).toThrow(RangeError);
  });

  it('refuses every y that is a second spelling of another', () => {
    for (let y = P; y < 2n ** 255n; y++) {
      for (const sign of [0, 1]) expect(() => publicKeyFromRaw(encoded(y, sign))).toThrow(RangeError);
    }
  });

  it('takes the ys beside those, and those that only begin or end like them', () => {
    const begun = 0x7fn << 248n;
    for (const y of [2n, 3n, P - 2n, P - 3n, begun + 0xeen, begun + 0xffeen, begun - 1n, 2n ** 247n - 1n])
      expect(publicKeyFromRaw(encoded(y)).asymmetricKeyType).toBe('ed25519');
  });

  it.each([0, 31, 33, 64])('refuses %i bytes', (length) => {
    expect(() => publicKeyFromRaw(Buffer.alloc(length, 7))).toThrow(
      new TypeError('an Ed25519 public key has 32 bytes'),
    );
  });

  it('refuses what is no bytes', () => {
    expect(() => publicKeyFromRaw('A'.repeat(32) as unknown as Uint8Array)).toThrow(TypeError);
  });

  it('takes honest keys, and gives their bytes back', () => {
    for (let i = 0; i < 200; i++) {
      const { publicKey, privateKey } = generateSessionKey();
      const key = readPublicKey(publicKey) as KeyObject;
      expect(rawPublicKey(key).toString('base64')).toBe(publicKey);
      expect(rawPublicKey(privateKey).toString('base64')).toBe(publicKey);
    }
  });
});

describe('readPublicKey', () => {
  it.each([
    { name: 'no base64', text: '!' },
    { name: 'too few bytes', text: Buffer.alloc(31, 7).toString('base64') },
    { name: 'too many bytes', text: Buffer.alloc(33, 7).toString('base64') },
    { name: 'the URL alphabet', text: Buffer.alloc(32, 0xfb).toString('base64url') },
    { name: 'bits that no byte has', text: `${Buffer.alloc(32, 7).toString('base64').slice(0, 42)}d=` },
  ])('refuses $name', ({ text }) => {
    expect(readPublicKey(text)).toBeUndefined();
  });
});

describe('rawPublicKey', () => {
  it('refuses keys of another kind', () => {
    const { publicKey } = generateKeyPairSync('x25519');
    for (const key of [publicKey, {} as KeyObject]) {
      expect(() => rawPublicKey(key)).toThrow(new TypeError('not an Ed25519 key'));
    }
  });
});

describe('verify', () => {
  const key = publicKeyFromRaw(hex(ed25519.publicKey));

  it.each(ed25519.signatures)('gives $valid for Wycheproof $tcId: $what', async ({ message, signature, valid }) => {
    expect(verify(key, hex(message), hex(signature))).toBe(valid);
    expect(await verifyAside(key, hex(message), hex(signature))).toBe(valid);
  });

  it('refuses a key of another kind without throwing', async () => {
    const signature = Buffer.alloc(64);
    const { publicKey } = generateKeyPairSync('x25519');
    expect(await verifyAside(publicKey, Buffer.from('x'), signature)).toBe(false);
  });
});

const ORIGIN = 'test.local/0c6d3b1f-9c11-4a0b-9f8d-0c6d3b1f9c11';

describe('certify', () => {
  const root = generateKeyPairSync('ed25519');
  const { publicKey } = generateSessionKey();
  const text = `leash-log/1 session-key\n${ORIGIN}\n${publicKey}\n`;

  it('signs the three lines with a root key, at once', () => {
    const certificate = certify(root.privateKey, ORIGIN, publicKey) as string;
    expect(verify(root.publicKey, Buffer.from(text), Buffer.from(certificate, 'base64'))).toBe(true);
    expect(verifyCertificate(root.publicKey, ORIGIN, publicKey, certificate)).toBe(true);
  });

  it('asks a function for the signature', async () => {
    const asked: string[] = [];
    const signer = async (bytes: Uint8Array): Promise<Uint8Array> => {
      asked.push(Buffer.from(bytes).toString());
      return new Uint8Array(sign(root.privateKey, bytes));
    };
    const certificate = await certify(signer, ORIGIN, publicKey);
    expect(asked).toEqual([text]);
    expect(verifyCertificate(root.publicKey, ORIGIN, publicKey, certificate)).toBe(true);
  });

  it.each([
    { name: 'too few bytes', given: Buffer.alloc(63) },
    { name: 'a text', given: 'A'.repeat(64) },
    { name: 'nothing', given: undefined },
  ])('rejects where a function gives $name', async ({ given }) => {
    const signer = async (): Promise<Uint8Array> => given as Uint8Array;
    await expect(certify(signer, ORIGIN, publicKey)).rejects.toThrow(
      new TypeError('the signer must give the 64 bytes of an Ed25519 signature'),
    );
  });

  it('rejects with what a function rejects with', async () => {
    const signer = async (): Promise<Uint8Array> => {
      throw new Error('the KMS is away');
    };
    await expect(certify(signer, ORIGIN, publicKey)).rejects.toThrow('the KMS is away');
  });
});

describe('verifyCertificate', () => {
  const root = generateKeyPairSync('ed25519');
  const { publicKey } = generateSessionKey();
  const certificate = certify(root.privateKey, ORIGIN, publicKey) as string;

  it.each([
    { name: 'another origin', origin: `${ORIGIN}x`, key: publicKey, certificate },
    { name: 'another key', origin: ORIGIN, key: generateSessionKey().publicKey, certificate },
    { name: 'no certificate', origin: ORIGIN, key: publicKey, certificate: '' },
    { name: 'a second spelling', origin: ORIGIN, key: publicKey, certificate: certificate.replace(/.==$/, 'B==') },
    { name: 'missing padding', origin: ORIGIN, key: publicKey, certificate: certificate.replace('==', '') },
  ])('refuses $name', ({ origin, key, certificate }) => {
    expect(verifyCertificate(root.publicKey, origin, key, certificate)).toBe(false);
  });

  it('refuses another root', () => {
    const { publicKey: other } = generateKeyPairSync('ed25519');
    expect(verifyCertificate(other, ORIGIN, publicKey, certificate)).toBe(false);
  });
});

describe('checkRootSigner', () => {
  it('takes a private key and a function', () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const signer = async (): Promise<Uint8Array> => Buffer.alloc(64);
    expect(checkRootSigner('signer', privateKey)).toBe(privateKey);
    expect(checkRootSigner('signer', signer)).toBe(signer);
  });

  it.each([
    { name: 'a public key', signer: generateKeyPairSync('ed25519').publicKey },
    { name: 'a key of another kind', signer: generateKeyPairSync('x25519').privateKey },
    { name: 'a PEM', signer: '-----BEGIN PRIVATE KEY-----', wanted: ' or a function that signs, got ' },
    { name: 'null', signer: null, wanted: ' or a function that signs, got null' },
  ])('refuses $name', ({ signer, wanted = '' }) => {
    expect(() => checkRootSigner('audit.signer', signer)).toThrow(`must be an Ed25519 private KeyObject${wanted}`);
    expect(() => checkRootSigner('audit.signer', signer)).toThrow(TypeError);
    expect(() => checkRootSigner('audit.signer', signer)).toThrow('`audit.signer`');
  });

  it('shows no key in its message', () => {
    expect(() => checkRootSigner('audit.signer', 'k'.repeat(200))).toThrow(/^.{0,200}$/);
  });
});

describe('the keys of notes', () => {
  const { vkey, seed } = notes.peter;

  it.each([notes.peter, notes.enoch])('are read and written as the reference does: $vkey', ({ vkey }) => {
    const key = parseNoteKey(vkey);
    expect(vkey.startsWith(`${key.name}+`)).toBe(true);
    expect(formatNoteKey(key)).toBe(vkey);
    expect(keyId(key.name, rawPublicKey(key.key)).toString('hex')).toBe(vkey.split('+')[1]);
  });

  it('are what the reference makes of the seed', () => {
    const raw = Buffer.from(seed, 'base64').subarray(1);
    const pkcs8 = Buffer.concat([hex('302e020100300506032b657004220420'), raw]);
    const key = createPublicKey(createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }));
    expect(formatNoteKey({ name: 'PeterNeumann', key })).toBe(vkey);
  });

  it.each(notes.badKeys)('refuse %s, as the reference does', (text) => {
    expect(() => parseNoteKey(text)).toThrow(RangeError);
  });

  /** The text of a key whose id is right. */
  const textOfKey = (name: string, raw: Buffer, type = 1): string =>
    `${name}+${keyId(name, raw).toString('hex')}+${Buffer.concat([Buffer.of(type), raw]).toString('base64')}`;
  const right = Buffer.from(seed, 'base64').subarray(1);
  const none = 'not the text of an Ed25519 note key, <name>+<id>+<key>';
  it.each([
    { name: 'nothing', text: '', message: none },
    { name: 'something in front', text: `a+${vkey}`, message: none },
    { name: 'a name with a space', text: textOfKey('a b', right), message: none },
    { name: 'a key of 31 bytes', text: textOfKey('a', right.subarray(1)), message: none },
    { name: 'a key of 33 bytes', text: textOfKey('a', Buffer.concat([right, Buffer.of(1)])), message: none },
    { name: 'another kind', text: textOfKey('a', right, 2), message: none },
    {
      name: 'the id of another key',
      text: vkey.replace(/\+[0-9a-f]{8}\+/, '+00000000+'),
      message: 'the id of the note key is of another key',
    },
  ])('refuse $name', ({ text, message }) => {
    expect(() => parseNoteKey(text)).toThrow(new RangeError(message));
  });

  it('are not written under a name that cannot be read again', () => {
    const { key } = parseNoteKey(vkey);
    for (const name of ['', 'a b', 'a+b', 'a\nb']) {
      expect(() => formatNoteKey({ name, key })).toThrow(
        new RangeError('the name of a key must hold no white space and no plus sign'),
      );
    }
  });

  it('refuse every part of a key, and every key with a character changed', () => {
    for (let i = 0; i <= vkey.length; i++) {
      for (let j = i + 1; j <= vkey.length; j++) {
        if (j - i < vkey.length) expect(() => parseNoteKey(vkey.slice(i, j))).toThrow(RangeError);
      }
    }
    for (let i = 0; i < vkey.length; i++) {
      const changed = vkey.slice(0, i) + String.fromCharCode(vkey.charCodeAt(i) + 1) + vkey.slice(i + 1);
      expect(() => parseNoteKey(changed)).toThrow(RangeError);
    }
  });

  it('refuse a weak key whose id is right', () => {
    for (const { key } of ed25519.lowOrder) {
      const id = keyId('weak', hex(key)).toString('hex');
      const text = `weak+${id}+${Buffer.concat([Buffer.of(1), hex(key)]).toString('base64')}`;
      expect(() => parseNoteKey(text)).toThrow(RangeError);
    }
  });

  it.each([
    { name: 'example.com/log', is: true },
    { name: 'ä', is: true },
    { name: '', is: false },
    { name: 'a b', is: false },
    { name: 'a\u00a0b', is: false },
    { name: 'a\u2028b', is: false },
    { name: 'a\nb', is: false },
    { name: 'a+b', is: false },
    { name: 'a\u0007b', is: false },
    { name: 'a\u007fb', is: false },
    { name: '\ud800', is: false },
  ])('have the name $name: $is', ({ name, is }) => {
    expect(isKeyName(name)).toBe(is);
  });
});
