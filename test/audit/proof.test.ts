import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { jwtVerify, SignJWT } from 'jose';
import { PublicProtocol } from 'paseto';
import { ImportPublicKeyFactory, ImportSecretKeyFactory, SignFactory, VerifyFactory } from 'paseto/v4/public';
import { describe, expect, it } from 'vitest';
import {
  ProofInvalidError,
  type ProofReason,
  proofKey,
  signProof,
  type VerifyProofOptions,
  verifyProof,
} from '../../src/audit/proof.ts';
import { findLeashError, isLeashError, LeashError } from '../../src/errors.ts';
import { canonicalJson, snapshotJson } from '../../src/internal/canonical-json.ts';
import {
  args,
  FORMATS,
  fieldsOf,
  footer,
  KEY,
  LOG,
  NOW,
  other,
  pair,
  prove,
  reason,
  sealed,
  subject,
  verify,
} from '../helpers/proof.ts';

describe.each(FORMATS)('signProof and verifyProof (%s)', (format) => {
  it('tells the relying party who was allowed to call what, and where the log says so', async () => {
    const claims = await verify(prove(format), { args });
    const { args: _, ...said } = subject;
    expect(claims).toEqual({
      ...said,
      v: 1,
      purpose: 'leash-proof',
      dec: 'allow',
      iat: format === 'jws' ? NOW - 250 : NOW,
      exp: format === 'jws' ? NOW + 60_750 : NOW + 60_000,
      jti: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
      ah: expect.stringMatching(/^s1:[0-9a-f]{64}$/),
      as: expect.stringMatching(/^[A-Za-z0-9+/]{22}==$/),
    });
  });

  it('commits to the arguments as anyone can compute it', async () => {
    const { ah, as } = await verify(prove(format));
    const hash = createHash('sha256').update(Buffer.from(as, 'base64')).update(subject.args).digest('hex');
    expect(ah).toBe(`s1:${hash}`);
  });

  it('makes two proofs of one call that have nothing random in common', async () => {
    const [a, b] = await Promise.all([verify(prove(format)), verify(prove(format))]);
    expect(a.jti).not.toBe(b.jti);
    expect(a.as).not.toBe(b.as);
    expect(a.ah).not.toBe(b.ah);
  });

  it('takes keys as a map, and finds the key by its id alone', async () => {
    const keys = new Map([
      ['other', other.raw.toString('base64')],
      [KEY.kid, KEY.publicKey],
    ]);
    expect(await reason(prove(format), { keys })).toBe('verified');
    expect(await reason(prove(format, { keyId: 'other' }), { keys })).toBe('signature');
    expect(await reason(prove(format, { keyId: 'toString' }), { keys })).toBe('key-unknown');
  });

  it.each([
    { name: 'no key at all', keys: [], is: 'key-unknown' },
    { name: 'the right key under another id', keys: [{ ...KEY, kid: 'f3a1b2c5' }], is: 'key-unknown' },
    { name: 'an id in another case', keys: [{ ...KEY, kid: 'F3A1B2C4' }], is: 'key-unknown' },
    {
      name: 'another key under the id, the right one beside it',
      keys: [
        { kid: KEY.kid, publicKey: other.raw.toString('base64') },
        { ...KEY, kid: 'x' },
      ],
      is: 'signature',
    },
  ])('is refused with $name', async ({ keys, is }) => {
    expect(await reason(prove(format), { keys })).toBe(is);
  });

  it.each([
    { name: 'another one', audience: 'https://bank.example' },
    { name: 'a trailing slash', audience: `${subject.aud}/` },
    { name: 'another case', audience: 'https://SHOP.example' },
    { name: 'a part of it', audience: 'https://shop' },
  ])('is refused by an audience it is not for: $name', async ({ audience }) => {
    expect(await reason(prove(format), { audience })).toBe('audience');
  });

  it('is good before its expiry and not at it', async () => {
    const token = prove(format, { now: () => NOW - 250, ttlMs: 2_000 });
    const end = NOW - 250 + 2_000;
    expect(await reason(token, { now: () => NOW - 250 })).toBe('verified');
    expect(await reason(token, { now: () => end - 1 })).toBe('verified');
    expect(await reason(token, { now: () => end })).toBe('expired');
    expect(await reason(token, { now: () => end + 499, leewayMs: 500 })).toBe('verified');
    expect(await reason(token, { now: () => end + 500, leewayMs: 500 })).toBe('expired');
  });

  it('is not good before its issue', async () => {
    const token = prove(format, { now: () => NOW - 250 });
    expect(await reason(token, { now: () => NOW - 251 })).toBe('not-yet-valid');
    expect(await reason(token, { now: () => NOW - 1_250, leewayMs: 999 })).toBe('not-yet-valid');
    expect(await reason(token, { now: () => NOW - 1_250, leewayMs: 1_000 })).toBe('verified');
  });

  it.each([
    {
      name: 'another order of keys',
      given: { nested: { a: true, b: [1, 2, { z: null }] }, to: 'acct_€', cents: 1_250 },
    },
    {
      name: 'a number in another spelling',
      given: JSON.parse('{"cents":1250.0,"to":"acct_\\u20ac","nested":{"a":true,"b":[1e0,2,{"z":null}]}}'),
    },
    { name: 'a property that is undefined', given: { ...args, note: undefined } },
    { name: 'an object without a prototype', given: Object.assign(Object.create(null), args) },
  ])('is about equal arguments: $name', async ({ given }) => {
    expect(await reason(prove(format), { args: given })).toBe('verified');
  });

  it.each([
    { name: 'another value', given: { ...args, cents: 1_251 } },
    { name: 'text for a number', given: { ...args, cents: '1250' } },
    { name: 'one property more', given: { ...args, note: null } },
    { name: 'one property less', given: { cents: 1_250, to: 'acct_€' } },
    { name: 'another order in an array', given: { ...args, nested: { ...args.nested, b: [2, 1, { z: null }] } } },
    { name: 'an array around it', given: [args] },
    { name: 'undefined, where something was to be checked', given: undefined },
    { name: 'null', given: null },
    { name: 'what is no JSON', given: { ...args, cents: Number.NaN } },
    { name: 'a Map', given: new Map(Object.entries(args)) },
    {
      name: 'a getter that throws',
      given: Object.defineProperty({}, 'cents', {
        enumerable: true,
        get: () => {
          throw new Error('secret');
        },
      }),
    },
    { name: 'the text of the arguments', given: subject.args },
  ])('is not about other arguments: $name', async ({ given }) => {
    expect(await reason(prove(format), { args: given })).toBe('args-mismatch');
  });

  it('is about whatever JSON a call may have', async () => {
    const value = fc.jsonValue() as fc.Arbitrary<unknown>;
    await fc.assert(
      fc.asyncProperty(value, value, async (mine, theirs) => {
        const text = canonicalJson(snapshotJson(mine));
        const token = prove(format, { claims: { ...subject, args: text } });
        expect(await reason(token, { args: JSON.parse(JSON.stringify(mine)) })).toBe('verified');
        const same = canonicalJson(snapshotJson(theirs)) === text;
        expect(await reason(token, { args: theirs })).toBe(same ? 'verified' : 'args-mismatch');
      }),
      { numRuns: 60 },
    );
  });

  it('is refused after any change of a claim without the key', async () => {
    const token = prove(format);
    const fields = fieldsOf(token);
    const first = token.startsWith('v4.') ? 10 : token.indexOf('.') + 1;
    const end = token.indexOf('.', first);
    for (const claim of Object.keys(fields)) {
      const value = fields[claim];
      const changed = {
        ...fields,
        [claim]: typeof value === 'number' ? value + 1 : `${value}`.replace(/.$/, (c) => (c === '1' ? '2' : '1')),
      };
      const payload = Buffer.from(canonicalJson(changed));
      const tail =
        format === 'paseto' ? Buffer.from(token.slice(first, end), 'base64url').subarray(-64) : Buffer.alloc(0);
      const body = Buffer.concat([payload, tail]).toString('base64url');
      expect(await reason(`${token.slice(0, first)}${body}${token.slice(end)}`), claim).toBe('signature');
    }
  });

  it('never verifies after random changes of its bytes', async () => {
    const token = prove(format);
    const change = fc.record({
      at: fc.nat(token.length - 1),
      remove: fc.integer({ min: 0, max: 3 }),
      insert: fc.oneof(fc.string({ unit: 'binary', maxLength: 3 }), fc.stringMatching(/^[A-Za-z0-9_.=-]{0,3}$/)),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        let text = token;
        for (const { at, remove, insert } of changes) text = text.slice(0, at) + insert + text.slice(at + remove);
        fc.pre(text !== token);
        expect(await reason(text)).not.toBe('verified');
      }),
      { numRuns: 1_500 },
    );
  });

  it('never verifies after one bit of it changed', async () => {
    const token = Buffer.from(prove(format));
    for (let at = 0; at < token.length; at++) {
      const flipped = Buffer.from(token);
      flipped[at] = (flipped[at] as number) ^ (1 << (at % 8));
      expect(await reason(flipped.toString('latin1')), String(at)).not.toBe('verified');
    }
  });

  it('never verifies when it is cut or continued', async () => {
    const token = prove(format);
    for (let length = 0; length < token.length; length++) {
      expect(await reason(token.slice(0, length)), String(length)).not.toBe('verified');
      expect(await reason(token.slice(length + 1)), String(length)).not.toBe('verified');
    }
    for (const more of ['.', '=', 'A', 'AA', 'AAAA', '\n', ' ', '\0', '.e30', token]) {
      expect(await reason(token + more)).not.toBe('verified');
      expect(await reason(more + token)).not.toBe('verified');
    }
  });

  it.each([
    { name: 'undefined', token: undefined },
    { name: 'null', token: null },
    { name: 'a number', token: 1 },
    { name: 'an object', token: {} },
    { name: 'a String object', token: Object('v4.public.e30') },
    { name: 'an empty text', token: '' },
    {
      name: 'a hundred million characters',
      token: format === 'paseto' ? `v4.public.${'A'.repeat(1e8)}` : 'e.'.repeat(5e7),
    },
  ])('refuses $name as malformed', async ({ token }) => {
    expect(await reason(token)).toBe('malformed');
  });

  it('shows nothing of the token or of what was expected in an error', async () => {
    const secret = 'geheim-4711';
    const claims = { ...subject, aud: secret, sub: secret, tool: secret, iss: `${secret}/${LOG}` };
    const token = prove(format, { claims });
    const tries: Promise<unknown>[] = [
      verify(token),
      verify(token, { audience: `${secret}!` }),
      verify(token, { audience: secret, args: { card: secret } }),
      verify(token, { audience: secret, now: () => NOW + 1e6 }),
      verify(token, { audience: secret, now: () => NOW - 1e6 }),
      verify(token, { audience: secret, keys: [] }),
      verify(`${token}${secret}`),
      verify(sealed(format, `{"purpose":"${secret}"}`)),
    ];
    for (const attempt of tries) {
      const error: unknown = await attempt.then(
        () => undefined,
        (thrown) => thrown,
      );
      expect(error).toBeInstanceOf(ProofInvalidError);
      const shown = inspect(error, { depth: 9, showHidden: true }) + JSON.stringify(error);
      expect(shown).not.toContain(secret);
      expect(shown).not.toContain(token.slice(0, 20));
      expect(shown).not.toContain(KEY.kid);
      expect((error as Error).cause).toBeUndefined();
    }
  });
});

describe('signProof', () => {
  it('makes PASETO unless told otherwise, and starts now', async () => {
    const token = signProof({ key: pair.privateKey, keyId: KEY.kid, claims: subject });
    expect(token).toMatch(/^v4\.public\./);
    const { iat, exp } = await verifyProof(token, { keys: [KEY], audience: subject.aud });
    expect(Math.abs(iat - Date.now())).toBeLessThan(60_000);
    expect(exp - iat).toBe(60_000);
  });

  it.each([
    {
      name: 'an unknown format',
      message: "`call.proof.format` must be 'paseto' or 'jws', got 'jwt'",
      change: { format: 'jwt' as never },
      error: TypeError,
    },
    {
      name: 'a life of nothing',
      message: '`call.proof.ttlMs` must be an integer >= 1, got ',
      change: { ttlMs: 0 },
      error: RangeError,
    },
    {
      name: 'a negative life',
      message: '`call.proof.ttlMs` must be an integer >= 1, got ',
      change: { ttlMs: -1 },
      error: RangeError,
    },
    {
      name: 'a life beyond five minutes',
      message: '`call.proof.ttlMs` must be at most 300000, got 300001',
      change: { ttlMs: 300_001 },
      error: RangeError,
    },
    {
      name: 'a life without end',
      message: '`call.proof.ttlMs` must be an integer >= 1, got ',
      change: { ttlMs: Number.POSITIVE_INFINITY },
      error: RangeError,
    },
    {
      name: 'a life of NaN',
      message: '`call.proof.ttlMs` must be an integer >= 1, got ',
      change: { ttlMs: Number.NaN },
      error: RangeError,
    },
    {
      name: 'a broken life',
      message: '`call.proof.ttlMs` must be an integer >= 1, got ',
      change: { ttlMs: 1.5 },
      error: RangeError,
    },
    {
      name: 'a life in text',
      message: '`call.proof.ttlMs` must be an integer >= 1, got ',
      change: { ttlMs: '1m' as never },
      error: TypeError,
    },
    {
      name: 'no key id',
      message: '`signProof.keyId` must be 1 to 128 characters of A-Z a-z 0-9 . _ ~ : + / = @ -',
      change: { keyId: undefined as never },
      error: TypeError,
    },
    {
      name: 'a key id with a quote',
      message: '`signProof.keyId` must be 1 to 128 characters of A-Z a-z 0-9 . _ ~ : + / = @ -',
      change: { keyId: 'a","typ":"x' },
      error: TypeError,
    },
    {
      name: 'a key id of 129 characters',
      message: '`signProof.keyId` must be 1 to 128 characters of A-Z a-z 0-9 . _ ~ : + / = @ -',
      change: { keyId: 'k'.repeat(129) },
      error: TypeError,
    },
    {
      name: 'a public key',
      message: '`key` must be an Ed25519 private KeyObject',
      change: { key: pair.publicKey },
      error: TypeError,
    },
    {
      name: 'another curve',
      message: '`key` must be an Ed25519 private KeyObject',
      change: { key: generateKeyPairSync('ed448').privateKey },
      error: TypeError,
    },
    {
      name: 'no key',
      message: '`key` must be an Ed25519 private KeyObject',
      change: { key: undefined as unknown as KeyObject },
      error: TypeError,
    },
    {
      name: 'a clock of NaN',
      message: '`signProof.now` must return epoch milliseconds, got NaN',
      change: { now: () => Number.NaN },
      error: RangeError,
    },
    {
      name: 'a clock that is a number',
      message: '`signProof.now` must be a function, got a number',
      change: { now: NOW as never },
      error: TypeError,
    },
    {
      name: 'an unknown option',
      message: 'signProof: unknown option `audience`',
      change: { audience: 'x' } as never,
      error: TypeError,
    },
    {
      name: 'arguments that are no text',
      message: '`signProof.claims.args` must be canonical JSON as text',
      change: { claims: { ...subject, args: {} as never } },
      error: TypeError,
    },
    {
      name: 'arguments that could be bytes',
      message: '`signProof.claims.args` must be canonical JSON as text',
      change: { claims: { ...subject, args: [1, 2] as never } },
      error: TypeError,
    },
    {
      name: 'an audience that is empty',
      message: 'the claim `aud` of a proof cannot have this value',
      change: { claims: { ...subject, aud: '' } },
      error: TypeError,
    },
    {
      name: 'an audience that is too long',
      message: 'the claim `aud` of a proof cannot have this value',
      change: { claims: { ...subject, aud: 'a'.repeat(257) } },
      error: TypeError,
    },
    {
      name: 'an audience with half a character',
      message: 'the claim `aud` of a proof cannot have this value',
      change: { claims: { ...subject, aud: '\ud800' } },
      error: TypeError,
    },
    {
      name: 'no audience',
      message: 'the claim `aud` of a proof cannot have this value',
      change: { claims: { ...subject, aud: undefined as never } },
      error: TypeError,
    },
    {
      name: 'a list of audiences',
      message: 'the claim `aud` of a proof cannot have this value',
      change: { claims: { ...subject, aud: [subject.aud] as never } },
      error: TypeError,
    },
    {
      name: 'a hash in capitals',
      message: 'the claim `h` of a proof cannot have this value',
      change: { claims: { ...subject, h: 'AB'.repeat(32) } },
      error: TypeError,
    },
    {
      name: 'a seq of NaN',
      message: 'the claim `seq` of a proof cannot have this value',
      change: { claims: { ...subject, seq: Number.NaN } },
      error: TypeError,
    },
    {
      name: 'a claim more',
      message: 'the claim `admin` of a proof cannot have this value',
      change: { claims: { ...subject, admin: true } as never },
      error: TypeError,
    },
  ])('refuses $name, in either format', ({ change, error, message }) => {
    for (const format of FORMATS) {
      expect(() => prove(format, change)).toThrow(error);
      expect(() => prove(format, change)).toThrow(message);
      expect(() => prove(format, change)).not.toThrow(LeashError);
    }
  });

  it('lets no claim of the caller replace one of its own', async () => {
    const claims = { ...subject, dec: 'deny', v: 9, purpose: 'leash-session', jti: '1', ah: 's1:', as: '' } as never;
    for (const format of FORMATS) expect(await reason(prove(format, { claims }), { args })).toBe('verified');
  });
});

describe('verifyProof', () => {
  const token = prove('paseto');

  it.each([
    {
      name: 'no keys',
      message: '`verifyProof.keys` must be a list or a Map, got undefined',
      change: { keys: undefined as never },
    },
    {
      name: 'keys in a record',
      message: '`verifyProof.keys` must be a list or a Map, got an object',
      change: { keys: { [KEY.kid]: KEY.publicKey } as never },
    },
    {
      name: 'a key without an id',
      message: '`verifyProof.keys` has an entry without a key id',
      change: { keys: [{ publicKey: KEY.publicKey } as never] },
    },
    {
      name: 'a hole in the keys',
      message: '`verifyProof.keys` has an entry without a key id',
      change: { keys: [undefined as never] },
    },
    {
      name: 'two keys with one id',
      message: '`verifyProof.keys` has two entries with one key id',
      change: { keys: [KEY, { ...KEY, publicKey: other.raw.toString('base64') }] },
    },
    {
      name: 'a key of 31 bytes',
      message:
        'a key of `verifyProof.keys` must be the 32 bytes of an Ed25519 public key in base64, none of small order',
      change: { keys: [{ ...KEY, publicKey: Buffer.alloc(31, 7).toString('base64') }] },
    },
    {
      name: 'a key in base64url',
      message:
        'a key of `verifyProof.keys` must be the 32 bytes of an Ed25519 public key in base64, none of small order',
      change: { keys: [{ ...KEY, publicKey: pair.raw.toString('base64url') }] },
    },
    {
      name: 'a key in hex',
      message:
        'a key of `verifyProof.keys` must be the 32 bytes of an Ed25519 public key in base64, none of small order',
      change: { keys: [{ ...KEY, publicKey: pair.raw.toString('hex') }] },
    },
    {
      name: 'a bad key that is not even asked for',
      message:
        'a key of `verifyProof.keys` must be the 32 bytes of an Ed25519 public key in base64, none of small order',
      change: { keys: [KEY, { kid: 'x', publicKey: '' }] },
    },
    {
      name: 'a bad key in a map',
      message:
        'a key of `verifyProof.keys` must be the 32 bytes of an Ed25519 public key in base64, none of small order',
      change: { keys: new Map([[KEY.kid, 'x']]) },
    },
    {
      name: 'a key of small order',
      message:
        'a key of `verifyProof.keys` must be the 32 bytes of an Ed25519 public key in base64, none of small order',
      change: { keys: [{ ...KEY, publicKey: Buffer.of(1, ...Array(31).fill(0)).toString('base64') }] },
    },
    {
      name: 'no audience',
      message: '`verifyProof.audience` must be a string, got undefined',
      change: { audience: undefined as never },
    },
    {
      name: 'a list of audiences',
      message: '`verifyProof.audience` must be a string, got an array',
      change: { audience: [subject.aud] as never },
    },
    {
      name: 'a pattern for an audience',
      message: '`verifyProof.audience` must be a string, got an object',
      change: { audience: /./ as never },
    },
    {
      name: 'a store that is undefined',
      message: '`verifyProof.seen` must have a method `take`, got undefined',
      change: { seen: undefined as never },
    },
    {
      name: 'a store that cannot take',
      message: '`verifyProof.seen` must have a method `take`, got an object',
      change: { seen: new Set() as never },
    },
    {
      name: 'leeway in text',
      message: '`verifyProof.leewayMs` must be an integer >= 0, got ',
      change: { leewayMs: '1s' as never },
    },
    {
      name: 'a clock that is a number',
      message: '`verifyProof.now` must be a function, got a number',
      change: { now: NOW as never },
    },
    {
      name: 'an unknown option',
      message: 'verifyProof: unknown option `audiences`',
      change: { audiences: ['x'] } as never,
    },
  ])('says that it is used wrongly, whatever the token: $name', async ({ change, message }) => {
    await expect(verify(token, change)).rejects.toThrow(TypeError);
    await expect(verify(token, change)).rejects.toThrow(message);
    if (change.keys === undefined) await expect(verify('', change)).rejects.toThrow(TypeError);
  });

  it.each([
    {
      name: 'an empty audience',
      message: '`verifyProof.audience` must be 1 to 256 characters',
      change: { audience: '' },
    },
    {
      name: 'negative leeway',
      message: '`verifyProof.leewayMs` must be an integer >= 0, got ',
      change: { leewayMs: -1 },
    },
    {
      name: 'leeway of NaN',
      message: '`verifyProof.leewayMs` must be an integer >= 0, got ',
      change: { leewayMs: Number.NaN },
    },
    {
      name: 'leeway without end',
      message: '`verifyProof.leewayMs` must be an integer >= 0, got ',
      change: { leewayMs: Number.POSITIVE_INFINITY },
    },
    {
      name: 'leeway beyond five minutes',
      message: '`verifyProof.leewayMs` must be at most 300000, got 300001',
      change: { leewayMs: 300_001 },
    },
    {
      name: 'a clock of NaN',
      message: '`verifyProof.now` must return epoch milliseconds, got NaN',
      change: { now: () => Number.NaN },
    },
    {
      name: 'a clock of text',
      message: '`verifyProof.now` must return epoch milliseconds, got a string',
      change: { now: () => '2026' as never },
    },
  ])('says that it is used wrongly: $name', async ({ change, message }) => {
    await expect(verify(token, change)).rejects.toThrow(RangeError);
    await expect(verify(token, change)).rejects.toThrow(message);
  });

  it('checks arguments and a store that options inherit', async () => {
    const inherited = (more: object): VerifyProofOptions =>
      Object.assign(Object.create(more), { keys: [KEY], audience: subject.aud, now: () => NOW });
    await expect(verifyProof(token, inherited({ args: {} }))).rejects.toMatchObject({ reason: 'args-mismatch' });
    await expect(verifyProof(token, inherited({ seen: undefined }))).rejects.toThrow(TypeError);
  });

  it('does not accept a forgery that a key of small order would accept for any text', async () => {
    const identity = Buffer.of(1, ...Array(31).fill(0));
    const signature = Buffer.concat([identity, Buffer.alloc(32)]);
    const payload = Buffer.from(canonicalJson(fieldsOf(token)));
    const forged = `v4.public.${Buffer.concat([payload, signature]).toString('base64url')}.${Buffer.from(footer()).toString('base64url')}`;
    const keys = new Map([[KEY.kid, identity.toString('base64')]]);
    await expect(verify(forged, { keys })).rejects.toThrow(/small order/);
  });
});

describe('proofKey', () => {
  const origin = `leash.local/${LOG}`;

  it('is the key of a session under the id that its proofs name', async () => {
    const key = proofKey(origin, KEY.publicKey);
    expect(key.publicKey).toBe(KEY.publicKey);
    expect(key.kid).toMatch(/^[0-9a-f]{8}$/);
    expect(proofKey(`${origin}x`, KEY.publicKey).kid).not.toBe(key.kid);
    expect(await reason(prove('paseto', { keyId: key.kid }), { keys: [key] })).toBe('verified');
  });

  it.each([
    { name: 'no origin', from: '', key: KEY.publicKey, message: '`proofKey.origin` must be 1 to 256 characters' },
    {
      name: 'no key',
      from: origin,
      key: 'x',
      message: '`proofKey.publicKey` must be base64 of an Ed25519 public key',
    },
    {
      name: 'a weak key',
      from: origin,
      key: Buffer.alloc(32).toString('base64'),
      message: '`proofKey.publicKey` must be base64 of an Ed25519 public key',
    },
  ])('refuses $name', ({ from, key, message }) => {
    expect(() => proofKey(from, key)).toThrow(RangeError);
    expect(() => proofKey(from, key)).toThrow(message);
  });
});

describe('ProofInvalidError', () => {
  it('is one of the family, with a code and a reason', () => {
    const error = new ProofInvalidError('audience');
    expect(error.name).toBe('ProofInvalidError');
    expect(isLeashError(error)).toBe(true);
    expect(error).toBeInstanceOf(LeashError);
    expect(error.toJSON()).toEqual({
      name: 'ProofInvalidError',
      code: 'PROOF_INVALID',
      reason: 'audience',
      message: 'the proof is refused: it is for another audience',
    });
    expect(findLeashError(new Error('wrapped', { cause: error }))).toBe(error);
    expect(Object.keys(error)).not.toContain('name');
  });

  it.each<[ProofReason, string]>([
    ['malformed', 'it is no well-formed proof token'],
    ['key-unknown', 'it names a key that is not among the trusted ones'],
    ['signature', 'its signature does not verify'],
    ['purpose', 'it is a token of another purpose'],
    ['version', 'its version is not known'],
    ['audience', 'it is for another audience'],
    ['expired', 'it has expired'],
    ['not-yet-valid', 'it was issued in the future'],
    ['args-mismatch', 'it is not about these arguments'],
    ['replayed', 'it was used before'],
  ])('says of %s: %s', (is, message) => {
    expect(new ProofInvalidError(is)).toMatchObject({ reason: is, message: `the proof is refused: ${message}` });
  });
});

describe('other implementations', () => {
  const v4 = new PublicProtocol(SignFactory, VerifyFactory, ImportPublicKeyFactory, ImportSecretKeyFactory);
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

  it('verify a PASETO proof', async () => {
    const key = await v4.ImportPublicKey(`k4.public.${pair.raw.toString('base64url')}`);
    const { claims, footer: found } = await v4.Verify(key, prove('paseto'), {
      implicitAssertion: bytes('leash-proof'),
      audience: subject.aud,
      issuer: subject.iss,
      subject: subject.sub,
      now: new Date(NOW),
      maxTokenAge: 60,
      requiredClaims: ['jti', 'ah', 'as', 'log', 'seq', 'h', 'pol', 'dec', 'v', 'purpose'],
    });
    expect(claims).toMatchObject({ tool: subject.tool, exp: new Date(NOW + 60_000).toISOString() });
    expect(new TextDecoder().decode(found)).toBe(footer());
    await expect(v4.Verify(key, prove('paseto'), { now: new Date(NOW) })).rejects.toThrow();
  });

  it('sign a PASETO proof', async () => {
    const key = await v4.ImportSecretKey(`k4.secret.${Buffer.concat([pair.seed, pair.raw]).toString('base64url')}`);
    const fields = fieldsOf(prove('paseto')) as Record<string, string | number>;
    const signed = await v4.Sign(key, fields as { exp: string }, {
      footer: bytes(footer()),
      implicitAssertion: bytes('leash-proof'),
      now: new Date(NOW),
    });
    expect(await reason(signed, { args })).toBe('verified');
  });

  it('verify a JWS proof', async () => {
    const { payload, protectedHeader } = await jwtVerify(prove('jws'), pair.publicKey, {
      algorithms: ['Ed25519'],
      typ: 'leash-proof+jwt',
      audience: subject.aud,
      issuer: subject.iss,
      subject: subject.sub,
      maxTokenAge: 61,
      currentDate: new Date(NOW),
      requiredClaims: ['jti', 'ah', 'as', 'log', 'seq', 'h', 'pol', 'dec', 'v', 'purpose'],
    });
    expect(payload).toMatchObject({ tool: subject.tool, iat: (NOW - 250) / 1_000 });
    expect(protectedHeader).toEqual({ alg: 'Ed25519', kid: KEY.kid, typ: 'leash-proof+jwt' });
    await expect(jwtVerify(prove('jws'), other.publicKey, { currentDate: new Date(NOW) })).rejects.toThrow();
  });

  it('sign a JWS proof', async () => {
    const signed = await new SignJWT(fieldsOf(prove('jws')))
      .setProtectedHeader({ alg: 'Ed25519', kid: KEY.kid, typ: 'leash-proof+jwt' })
      .sign(pair.privateKey);
    expect(await reason(signed, { args })).toBe('verified');
  });
});
