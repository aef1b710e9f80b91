import { describe, expect, it } from 'vitest';
import { signJws } from '../../src/audit/jws.ts';
import { signPaseto } from '../../src/audit/paseto.ts';
import { type ProofFormat, writeClaims } from '../../src/audit/proof-claims.ts';
import { canonicalJson } from '../../src/internal/canonical-json.ts';
import {
  altered,
  args,
  type Fields,
  FORMATS,
  fieldsOf,
  footer,
  KEY,
  LOG,
  NOW,
  pair,
  prove,
  reason,
  sealed,
  subject,
  verify,
} from '../helpers/proof.ts';

describe.each(FORMATS)('the claims of a proof (%s)', (format) => {
  it('lives five minutes at the most', async () => {
    const { iat, exp } = await verify(prove(format, { ttlMs: 300_000 }));
    expect(exp - iat).toBe(300_000);
    const write = (ms: number): unknown => (format === 'jws' ? ms / 1_000 : new Date(ms).toISOString());
    expect(await reason(altered(format, { exp: write(iat + 301_000) }))).toBe('malformed');
    expect(await reason(altered(format, { exp: write(iat) }))).toBe('malformed');
    expect(await reason(altered(format, { exp: write(iat - 1_000) }))).toBe('malformed');
  });

  it.each([
    ...['ah', 'as', 'aud', 'dec', 'exp', 'h', 'iat', 'iss', 'jti', 'log', 'pol', 'seq', 'sub', 'tool'].flatMap(
      (claim) => [
        { name: `${claim} missing`, change: { [claim]: undefined }, is: 'malformed' },
        { name: `${claim} null`, change: { [claim]: null }, is: 'malformed' },
        { name: `${claim} an array`, change: { [claim]: ['x'] }, is: 'malformed' },
        { name: `${claim} true`, change: { [claim]: true }, is: 'malformed' },
        { name: `${claim} empty`, change: { [claim]: '' }, is: 'malformed' },
      ],
    ),
    ...[
      { claim: 'ah', right: `s1:${'ab'.repeat(32)}` },
      { claim: 'h', right: 'ab'.repeat(32) },
      { claim: 'jti', right: LOG },
      { claim: 'log', right: LOG },
      { claim: 'pol', right: 'ab'.repeat(32) },
    ].flatMap(({ claim, right }) => [
      { name: `${claim} in a list`, change: { [claim]: [right] }, is: 'malformed' },
      { name: `${claim} with something in front`, change: { [claim]: `0${right}` }, is: 'malformed' },
      { name: `${claim} with something behind`, change: { [claim]: `${right}0` }, is: 'malformed' },
    ]),
    { name: 'a denial', change: { dec: 'deny' }, is: 'malformed' },
    { name: 'a plain hash of the arguments', change: { ah: `sha256:${'ab'.repeat(32)}` }, is: 'malformed' },
    { name: 'a commitment in capitals', change: { ah: `s1:${'AB'.repeat(32)}` }, is: 'malformed' },
    { name: 'a salt of 15 bytes', change: { as: Buffer.alloc(15).toString('base64') }, is: 'malformed' },
    { name: 'a salt in base64url', change: { as: Buffer.alloc(16, 0xff).toString('base64url') }, is: 'malformed' },
    { name: 'a salt with stray bits', change: { as: `${'A'.repeat(21)}B==` }, is: 'malformed' },
    { name: 'a hash of 63 digits', change: { h: 'a'.repeat(63) }, is: 'malformed' },
    { name: 'a policy hash of 65 digits', change: { pol: 'a'.repeat(65) }, is: 'malformed' },
    { name: 'a policy hash in capitals', change: { pol: 'AB'.repeat(32) }, is: 'malformed' },
    { name: 'a log that is no UUID', change: { log: LOG.toUpperCase() }, is: 'malformed' },
    { name: 'an id that is no UUID', change: { jti: '1' }, is: 'malformed' },
    { name: 'a negative seq', change: { seq: -1 }, is: 'malformed' },
    { name: 'a broken seq', change: { seq: 1.5 }, is: 'malformed' },
    { name: 'a seq beyond exact numbers', change: { seq: 2 ** 53 }, is: 'malformed' },
    { name: 'an audience of 257 characters', change: { aud: 'a'.repeat(257) }, is: 'malformed' },
    { name: 'an audience that is a list', change: { aud: [subject.aud] }, is: 'malformed' },
    { name: 'an origin of 301 characters', change: { iss: 'a'.repeat(301) }, is: 'malformed' },
    { name: 'a claim more', change: { nbf: 0 }, is: 'malformed' },
    { name: 'a claim more that limits the proof', change: { max_uses: 1 }, is: 'malformed' },
    { name: 'a claim more that is empty', change: { '': '' }, is: 'malformed' },
    { name: 'a claim __proto__', change: JSON.parse('{"__proto__":{"dec":"allow"}}'), is: 'malformed' },
    { name: 'a later version', change: { v: 2 }, is: 'version' },
    { name: 'an earlier version', change: { v: 0 }, is: 'version' },
    { name: 'a version that is text', change: { v: '1' }, is: 'malformed' },
    { name: 'no version', change: { v: undefined }, is: 'malformed' },
    { name: 'a version that is broken', change: { v: 1.5 }, is: 'malformed' },
    { name: 'the purpose of a session', change: { purpose: 'leash-session' }, is: 'purpose' },
    { name: 'the purpose of an approval', change: { purpose: 'leash-approval' }, is: 'purpose' },
    { name: 'no purpose', change: { purpose: undefined }, is: 'purpose' },
  ])('is refused though the key signed it: $name', async ({ change, is }) => {
    const token = altered(format, change);
    expect(await reason(token)).toBe(is);
    expect(await reason(token, { args })).toBe(is);
  });

  it.each([
    { name: 'text for a time', value: 'tomorrow' },
    { name: 'another zone', value: '2026-11-20T13:00:59.000+01:00' },
    { name: 'no milliseconds', value: '2026-11-20T12:00:59Z' },
    { name: 'a lower-case z', value: '2026-11-20T12:00:59.000z' },
    { name: 'a space for the T', value: '2026-11-20 12:00:59.000Z' },
    { name: 'a day that does not exist', value: '2026-11-31T12:00:59.000Z' },
    { name: 'a broken number of seconds', value: NOW / 1_000 + 59 },
    { name: 'milliseconds', value: NOW + 59_000 },
    { name: 'Infinity in text', value: 'Infinity' },
    {
      name: format === 'jws' ? 'the time of the other format' : 'the number of the other format',
      value: format === 'jws' ? new Date(NOW + 59_000).toISOString() : (NOW - 250) / 1_000 + 59,
    },
  ])('is refused with an expiry in another spelling: $name', async ({ value }) => {
    expect(await reason(altered(format, { exp: value }))).toBe('malformed');
  });

  it.each([
    { name: 'white space', edit: (text: string) => text.replace(',', ', ') },
    { name: 'a line feed at the end', edit: (text: string) => `${text}\n` },
    { name: 'a claim twice, the first one good', edit: (text: string) => text.replace('"seq":5', '"seq":5,"seq":6') },
    { name: 'a claim twice, the last one good', edit: (text: string) => text.replace('"seq":5', '"seq":6,"seq":5') },
    { name: 'a claim twice, both the same', edit: (text: string) => text.replace('"seq":5', '"seq":5,"seq":5') },
    { name: 'a number with a fraction of zero', edit: (text: string) => text.replace('"seq":5', '"seq":5.0') },
    { name: 'a number with an exponent', edit: (text: string) => text.replace('"seq":5', '"seq":5e0') },
    { name: 'minus zero', edit: (text: string) => text.replace('"seq":5', '"seq":-0') },
    { name: 'an escape', edit: (text: string) => text.replace('shopper', '\\u0073hopper') },
    { name: 'an escaped name', edit: (text: string) => text.replace('"seq"', '"s\\u0065q"') },
    { name: 'another order', edit: (text: string) => text.replace(/^\{("ah":"[^"]*"),(.*)\}$/, '{$2,$1}') },
    { name: 'something behind', edit: (text: string) => `${text}{}` },
    { name: 'a BOM', edit: (text: string) => `\ufeff${text}` },
    { name: 'an array', edit: (text: string) => `[${text}]` },
    { name: 'nothing', edit: () => '' },
    { name: 'deep nesting', edit: () => `${'['.repeat(5_000)}${']'.repeat(5_000)}` },
  ])('is refused with a payload in another spelling: $name', async ({ edit }) => {
    const text = canonicalJson(fieldsOf(prove(format)));
    expect(await reason(sealed(format, text))).toBe('verified');
    expect(edit(text)).not.toBe(text);
    const is = edit(text).startsWith('[') ? /malformed|purpose/ : /malformed/;
    expect(await reason(sealed(format, edit(text)))).toMatch(is);
  });

  it.each([
    { name: 'null', payload: 'null' },
    { name: 'a number', payload: '1' },
    { name: 'text', payload: '"leash-proof"' },
  ])('is refused with a payload that is $name', async ({ payload }) => {
    expect(await reason(sealed(format, payload))).toBe('malformed');
  });

  it('may be about the first line of a log', async () => {
    expect((await verify(altered(format, { seq: 0 }))).seq).toBe(0);
  });

  it.each(['ah', 'as', 'aud', 'h', 'iss', 'jti', 'log', 'pol', 'seq', 'sub', 'tool', 'nbf'])(
    'is not written with a claim that no verifier takes: %s',
    (claim) => {
      const { v, purpose, dec, iat, exp, ...right } = fieldsOf(prove(format));
      expect(() => writeClaims(format, right as never, NOW, 1_000)).not.toThrow();
      expect(() => writeClaims(format, { ...right, [claim]: '' } as never, NOW, 1_000)).toThrow(
        new TypeError(`the claim \`${claim}\` of a proof cannot have this value`),
      );
    },
  );

  it('holds the longest values that it may have', async () => {
    const long = '\u0001'.repeat(256);
    const claims = {
      ...subject,
      iss: '\u0001'.repeat(300),
      sub: long,
      aud: long,
      tool: long,
      seq: Number.MAX_SAFE_INTEGER,
    };
    const kid = 'k'.repeat(128);
    const token = prove(format, { claims, keyId: kid });
    expect(await reason(token, { keys: [{ ...KEY, kid }], audience: long, args })).toBe('verified');
  });
});

describe('a token of another purpose', () => {
  const fields = (format: ProofFormat): Fields => fieldsOf(prove(format));
  const text = (format: ProofFormat, purpose = 'leash-proof'): string => canonicalJson({ ...fields(format), purpose });

  it.each(['leash-session', 'leash-approval', 'leash', 'leash-proof2'])(
    'never stands for a proof: %s',
    async (purpose) => {
      // As such a token would be: everywhere its own purpose.
      const session = signPaseto(pair.privateKey, text('paseto', purpose), footer(KEY.kid, purpose), purpose);
      expect(await reason(session)).toBe('purpose');
      const jwt = signJws(pair.privateKey, { kid: KEY.kid, typ: `${purpose}+jwt` }, text('jws', purpose));
      expect(await reason(jwt)).toBe('purpose');
      // And with the purpose of a proof in all places but one.
      const claim = signPaseto(pair.privateKey, text('paseto', purpose), footer(), 'leash-proof');
      expect(await reason(claim)).toBe('purpose');
      const foot = signPaseto(pair.privateKey, text('paseto'), footer(KEY.kid, purpose), 'leash-proof');
      expect(await reason(foot)).toBe('purpose');
      const implicit = signPaseto(pair.privateKey, text('paseto'), footer(), purpose);
      expect(await reason(implicit)).toBe('signature');
      const typ = signJws(pair.privateKey, { kid: KEY.kid, typ: `${purpose}+jwt` }, text('jws'));
      expect(await reason(typ)).toBe('purpose');
    },
  );

  it.each([
    { name: 'a plain JWT', token: signJws(pair.privateKey, { kid: KEY.kid, typ: 'jwt' }, text('jws')), is: 'purpose' },
    {
      name: 'the type of PASETO in a JWS',
      token: signJws(pair.privateKey, { kid: KEY.kid, typ: 'leash-proof' }, text('jws')),
      is: 'purpose',
    },
    {
      name: 'the type of JWS in PASETO',
      token: signPaseto(pair.privateKey, text('paseto'), footer(KEY.kid, 'leash-proof+jwt'), 'leash-proof'),
      is: 'purpose',
    },
    { name: 'the claims of PASETO in a JWS', token: sealed('jws', text('paseto')), is: 'malformed' },
    { name: 'the claims of a JWS in PASETO', token: sealed('paseto', text('jws')), is: 'malformed' },
    { name: 'no implicit assertion', token: signPaseto(pair.privateKey, text('paseto'), footer()), is: 'signature' },
    { name: 'no footer', token: signPaseto(pair.privateKey, text('paseto'), '', 'leash-proof'), is: 'malformed' },
    {
      name: 'a footer with one member more',
      token: signPaseto(
        pair.privateKey,
        text('paseto'),
        `{"kid":"${KEY.kid}","typ":"leash-proof","x":1}`,
        'leash-proof',
      ),
      is: 'malformed',
    },
    ...[`${footer()} `, `${footer()}\n`, ` ${footer()}`, `[${footer()}]`].map((end) => ({
      name: `the footer ${JSON.stringify(end)}`,
      token: signPaseto(pair.privateKey, text('paseto'), end, 'leash-proof'),
      is: 'malformed',
    })),
    {
      name: 'a footer with a member twice',
      token: signPaseto(
        pair.privateKey,
        text('paseto'),
        `{"kid":"x","kid":"${KEY.kid}","typ":"leash-proof"}`,
        'leash-proof',
      ),
      is: 'malformed',
    },
    {
      name: 'a footer in another order',
      token: signPaseto(pair.privateKey, text('paseto'), `{"typ":"leash-proof","kid":"${KEY.kid}"}`, 'leash-proof'),
      is: 'malformed',
    },
    {
      name: 'a footer with white space',
      token: signPaseto(pair.privateKey, text('paseto'), `{"kid": "${KEY.kid}","typ":"leash-proof"}`, 'leash-proof'),
      is: 'malformed',
    },
    {
      name: 'a footer with an escape',
      token: signPaseto(pair.privateKey, text('paseto'), `{"kid":"\\u0066","typ":"leash-proof"}`, 'leash-proof'),
      is: 'malformed',
    },
    {
      name: 'a footer that is text',
      token: signPaseto(pair.privateKey, text('paseto'), KEY.kid, 'leash-proof'),
      is: 'malformed',
    },
    {
      name: 'a footer with a key id that none can have',
      token: signPaseto(pair.privateKey, text('paseto'), footer('a b'), 'leash-proof'),
      is: 'malformed',
    },
    {
      name: 'a footer that is deep',
      token: signPaseto(pair.privateKey, text('paseto'), '['.repeat(500), 'leash-proof'),
      is: 'malformed',
    },
  ])('never stands for a proof: $name', async ({ token, is }) => {
    expect(await reason(token)).toBe(is);
  });
});
