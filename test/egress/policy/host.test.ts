import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classOf } from '../../../src/egress/policy/address-class.ts';
import { canonicalHost, formatHost, inUrl } from '../../../src/egress/policy/host.ts';

/** What `net.connect` and `dns.lookup` may be given; undefined: refused. */
const HOSTS: readonly (readonly [string, string | undefined])[] = [
  // Names.
  ['localhost', 'localhost'],
  ['LOCALHOST', 'localhost'],
  ['LOCALHOST.', 'localhost'],
  ['Api.Stripe.Com', 'api.stripe.com'],
  ['api.stripe.com.', 'api.stripe.com'],
  ['api.stripe.com..', undefined],
  ['.api.stripe.com', undefined],
  ['api..stripe.com', undefined],
  ['.', undefined],
  ['..', undefined],
  ['', undefined],
  ['_sip._tcp.example.com', '_sip._tcp.example.com'],
  ['-a.example.com', '-a.example.com'],
  ['a-.example.com', 'a-.example.com'],
  ['xn--fa-hia.de', 'xn--fa-hia.de'],
  ['XN--FA-HIA.DE', 'xn--fa-hia.de'],
  ['xn--a', 'xn--a'],
  [`${'a'.repeat(63)}.test`, `${'a'.repeat(63)}.test`],
  [`${'a'.repeat(64)}.test`, undefined],
  [`a.${'a'.repeat(64)}`, undefined],
  ['a'.repeat(63), 'a'.repeat(63)],
  ['a'.repeat(64), undefined],
  ['1:'.repeat(50_000), undefined],
  [`${'a.'.repeat(124)}test`, `${'a.'.repeat(124)}test`],
  [`${'a.'.repeat(124)}test.`, `${'a.'.repeat(124)}test`],
  [`${'a.'.repeat(124)}tests`, `${'a.'.repeat(124)}tests`],
  [`${'a.'.repeat(124)}tested`, undefined],
  [`${'a.'.repeat(125)}test`, undefined],
  ['a'.repeat(100_000), undefined],
  // What has to be ASCII letters, digits, hyphens, underscores and dots.
  ['faß.de', undefined],
  ['ＬＯＣＡＬＨＯＳＴ', undefined],
  ['localhost。', undefined],
  ['loc\u00adalhost', undefined],
  ['loca\u212ahost', undefined], // a Kelvin sign, lower case k
  ['１２７.0.0.1', undefined],
  ['①②⑦.0.0.1', undefined],
  ['127。0。0。1', undefined],
  ['local host', undefined],
  [' localhost', undefined],
  ['localhost ', undefined],
  ['localhost\n', undefined],
  ['localhost\r\nx', undefined],
  ['localhost\t', undefined],
  ['localhost\0', undefined],
  ['localhost\0.evil.test', undefined],
  ['localhost%00', undefined],
  ['localhost%2e', undefined],
  ['%6cocalhost', undefined],
  ['user@localhost', undefined],
  ['@localhost', undefined],
  ['localhost/', undefined],
  ['localhost\\', undefined],
  ['localhost?', undefined],
  ['localhost#', undefined],
  ['localhost:80', undefined],
  ['http://localhost', undefined],
  ['*', undefined],
  ['*.example.com', undefined],
  ['a;b.test', undefined],
  ['a,b.test', undefined],
  ["a'b.test", undefined],
  ['a"b.test', undefined],
  ['a+b.test', undefined],
  ['a~b.test', undefined],
  ['a{b}.test', undefined],
  // IPv4 as resolvers read it.
  ['127.0.0.1', '127.0.0.1'],
  ['127.0.0.1.', '127.0.0.1'],
  ['127.0.0.1..', undefined],
  ['127.1', '127.0.0.1'],
  ['127.0.1', '127.0.0.1'],
  ['127.1.', '127.0.0.1'],
  ['2130706433', '127.0.0.1'],
  ['0x7f000001', '127.0.0.1'],
  ['0X7F000001', '127.0.0.1'],
  ['0x7f.1', '127.0.0.1'],
  ['0x7f.0x0.0x0.0x1', '127.0.0.1'],
  ['127.0.0.0x1', '127.0.0.1'],
  ['0177.0.0.1', '127.0.0.1'],
  ['017700000001', '127.0.0.1'],
  ['127.0.0.01', '127.0.0.1'],
  ['012.1.2.3', '10.1.2.3'],
  ['01200034567', '10.0.57.119'],
  ['000127.0.0.1', '87.0.0.1'],
  ['0', '0.0.0.0'],
  ['00', '0.0.0.0'],
  ['0x', '0.0.0.0'],
  ['0.0', '0.0.0.0'],
  ['4294967295', '255.255.255.255'],
  ['4294967296', undefined],
  ['127.0.0.256', undefined],
  ['256.0.0.1', undefined],
  ['127.0.0.09', undefined],
  ['08', undefined],
  ['1.2.3.4.5', undefined],
  ['example.1', undefined],
  ['example.0x1', undefined],
  ['1.2.3.x', '1.2.3.x'],
  ['0xg', '0xg'],
  ['1e1', '1e1'],
  ['-1', '-1'],
  ['127.0.0.1.example.com', '127.0.0.1.example.com'],
  ['127.0.0.1 ', undefined],
  ['127.0.0.1/8', undefined],
  ['127.0.0.1:80', undefined],
  // IPv6, bare and in brackets.
  ['::1', '::1'],
  ['[::1]', '::1'],
  ['[::1]:80', undefined],
  ['[::1', undefined],
  ['::1]', undefined],
  ['1::1]', undefined],
  ['[[::1]]', undefined],
  ['[]', undefined],
  ['::', '::'],
  [':', undefined],
  ['0:0:0:0:0:0:0:1', '::1'],
  ['::0001', '::1'],
  ['FE80::1', 'fe80::1'],
  ['fe80::1%eth0', undefined],
  ['[fe80::1%25eth0]', undefined],
  ['::1%0', undefined],
  ['::1.', undefined],
  ['::ffff:127.0.0.1', '127.0.0.1'],
  ['::ffff:7f00:1', '127.0.0.1'],
  ['[::ffff:7f00:1]', '127.0.0.1'],
  ['::FFFF:127.0.0.1', '127.0.0.1'],
  ['::127.0.0.1', '::7f00:1'],
  ['::ffff:127.1', undefined],
  ['::ffff:0x7f.0.0.1', undefined],
  ['[127.0.0.1]', undefined],
  ['[localhost]', undefined],
  ['1:2:3:4:5:6:7:8:9', undefined],
];

describe('canonicalHost', () => {
  it.each(HOSTS.map(([text, canonical]) => ({ text, canonical })))(
    'makes $canonical of $text',
    ({ text, canonical }) => {
      const host = canonicalHost(text);
      expect(host && formatHost(host)).toBe(canonical);
      expect(host?.kind).toBe(canonical === undefined ? undefined : /^[\d.]+$|:/.test(canonical) ? 'address' : 'name');
      if (canonical !== undefined) expect(canonicalHost(canonical)).toEqual(host);
    },
  );

  it.each([
    undefined,
    null,
    0,
    2130706433,
    true,
    ['localhost'],
    new URL('http://localhost'),
    { toString: () => 'localhost' },
  ])('is undefined for %o, which is no text', (value) => {
    expect(canonicalHost(value as string)).toBeUndefined();
  });

  /** One address in one of the forms that URLs have for it. */
  const numbers = fc
    .tuple(
      fc.nat(0xffff_ffff),
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.constantFrom(8, 10, 16), { minLength: 4, maxLength: 4 }),
    )
    .map(([value, parts, bases]) => {
      const last = value % 256 ** (5 - parts);
      const values = [...[24, 16, 8].slice(0, parts - 1).map((shift) => Math.floor(value / 2 ** shift) % 256), last];
      const canonical = [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
      const prefix: Record<number, string> = { 8: '0', 10: '', 16: '0x' };
      const text = values.map((part, i) => `${prefix[bases[i] ?? 10]}${part.toString(bases[i])}`).join('.');
      return { text, canonical };
    });
  const disguise = fc.constantFrom(
    (text: string) => text,
    (text: string) => `${text}.`,
    (text: string) => text.toUpperCase(),
    (text: string) => text.replace(/[0-9]/g, (digit) => String.fromCharCode(0xff10 + Number(digit))),
    (text: string) => text.replaceAll('.', '。'),
    (text: string) => text.replace(/^./, (first) => `%${first.charCodeAt(0).toString(16)}`),
    (text: string) => text.replace(/(?<=.)/, '\u00ad'),
  );
  const groups = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 }).map((values) => {
    const hex = (pad: number) => values.map((value) => value.toString(16).padStart(pad, '0')).join(':');
    const [e = 0, f = 0] = values.slice(6);
    const dotted = [e >> 8, e & 255, f >> 8, f & 255].join('.');
    const spellings = [hex(1), hex(4), hex(4).toUpperCase(), `${hex(1).split(':').slice(0, 6).join(':')}:${dotted}`];
    return { spellings, canonical: new URL(`http://[${hex(1)}]/`).hostname };
  });

  function classOfHost(text: string): string | undefined {
    const host = canonicalHost(text);
    return host?.kind === 'address' ? classOf(host.address) : undefined;
  }

  it('gives every spelling of an IPv4 address the class of its canonical form, in a URL and below', () => {
    fc.assert(
      fc.property(numbers, disguise, ({ text, canonical }, change) => {
        const spelled = change(text);
        const { hostname } = new URL(`http://${spelled}/`);
        expect(hostname).toBe(canonical);
        expect(classOfHost(hostname)).toBe(classOfHost(canonical));
        expect(classOfHost(canonical)).toBeDefined();
        // Below URL level the same, or nothing.
        expect(canonicalHost(spelled)).toEqual(/^[\w.]+$/.test(spelled) ? canonicalHost(canonical) : undefined);
      }),
      { numRuns: 5_000 },
    );
  });

  it('gives every spelling of an IPv6 address the class of its canonical form, in a URL and below', () => {
    fc.assert(
      fc.property(groups, ({ spellings, canonical }) => {
        for (const text of spellings) {
          expect(new URL(`http://[${text}]/`).hostname).toBe(canonical);
          for (const form of [text, `[${text}]`]) expect(canonicalHost(form)).toEqual(canonicalHost(canonical));
        }
        expect(classOfHost(canonical)).toBeDefined();
      }),
      { numRuns: 2_000 },
    );
  });

  it('has one form that it does not change any more', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'a',
        'B',
        '.',
        '-',
        '_',
        '0',
        '1',
        '127',
        '0x',
        '08',
        '::',
        ':',
        'ffff',
        '[',
        ']',
        '%',
        '@',
        '*',
        'ß',
        ' ',
      ),
      fc.string({ unit: 'binary', maxLength: 1 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const host = canonicalHost(pieces.join(''));
        if (host === undefined) return;
        const text = formatHost(host);
        expect(canonicalHost(text)).toEqual(host);
        expect(text).toMatch(/^[a-z\d_.:-]+$/);
        // What is taken for a name is one to the URL parser and its resolver too.
        if (host.kind === 'name' && !text.includes('xn--')) expect(new URL(`http://${text}/`).hostname).toBe(text);
      }),
      { numRuns: 20_000 },
    );
  });
});

describe('inUrl', () => {
  it.each([
    ['a.test', 'a.test'],
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '[::1]'],
    ['2001:db8::1', '[2001:db8::1]'],
    ['[::1]', '[::1]'],
    ['', ''],
  ])('writes %j as %j', (host, written) => {
    expect(inUrl(host)).toBe(written);
  });
});
