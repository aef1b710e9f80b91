import { describe, expect, it } from 'vitest';
import { formatAddressRules, parseAddressRules } from '../../../src/egress/policy/address-rules.ts';

describe('parseAddressRules', () => {
  it('opens nothing by default', () => {
    const settings = { allow: [], nat64: [], onMixed: 'deny' };
    for (const options of [undefined, {}, { allow: [], nat64: false, onMixed: 'deny' }, { nat64: [] }]) {
      expect(formatAddressRules(parseAddressRules('addresses', options))).toEqual(settings);
    }
  });

  it('has settings that depend on what the rules mean alone', () => {
    const settings = (options: object) => formatAddressRules(parseAddressRules('addresses', options));
    const told = settings({ allow: ['10.1.2.3/32', '::1', 'fd00::/8'], nat64: true, onMixed: 'filter' });
    expect(told).toEqual({ allow: ['10.1.2.3', '::1', 'fd00::/8'], nat64: ['64:ff9b::/96'], onMixed: 'filter' });
    expect(
      settings({
        allow: ['fd00::/8', '::1/128', '10.1.2.3', '10.1.2.3/32'],
        nat64: ['64:ff9b::/96'],
        onMixed: 'filter',
      }),
    ).toEqual(told);
    expect(JSON.parse(JSON.stringify(told))).toEqual(told);
  });

  it.each([
    [
      '127.0.0.0/8',
      '10.0.0.0/8',
      '10.1.2.3',
      '10.1.2.3/32',
      '0.0.0.0/0',
      '::/0',
      '::1',
      '::1/128',
      'fd00::/8',
      '8.8.8.8',
    ],
    ['169.254.169.254', '169.254.169.254/32', 'fd00:ec2::254/128', '2001:db8::/33', '64:ff9b::/96', '::fffe:0:0/95'],
  ])('takes %s, %s and so on', (...allow) => {
    expect(() => parseAddressRules('addresses', { allow })).not.toThrow();
  });

  it.each([
    { text: '10.1.2.3/8', canonical: '10.0.0.0/8' },
    { text: '10.0.0.0/08', canonical: '10.0.0.0/8' },
    { text: '127.1', canonical: '127.0.0.1' },
    { text: '10.1/16', canonical: '10.0.0.0/16' },
    { text: '0x7f.0.0.1', canonical: '127.0.0.1' },
    { text: '0177.0.0.1', canonical: '127.0.0.1' },
    { text: '127.0.0.1.', canonical: '127.0.0.1' },
    { text: '[::1]', canonical: '::1' },
    { text: '[fd00::]/8', canonical: 'fd00::/8' },
    { text: '0:0:0:0:0:0:0:1', canonical: '::1' },
    { text: 'FD00::/8', canonical: 'fd00::/8' },
    { text: 'fd00::1/8', canonical: 'fd00::/8' },
    { text: '::127.0.0.1', canonical: '::7f00:1' },
    { text: '::ffff:10.1.2.3', canonical: '10.1.2.3' },
    { text: '::ffff:10.0.0.0/104', canonical: '10.0.0.0/8' },
    { text: '[::ffff:10.0.0.0]/104', canonical: '10.0.0.0/8' },
    { text: '::ffff:10.1.2.3/128', canonical: '10.1.2.3/32' },
    { text: '::ffff:0:0/96', canonical: '0.0.0.0/0' },
  ])('prints $canonical for $text', ({ text, canonical }) => {
    for (const option of ['allow', 'nat64'] as const) {
      expect(() => parseAddressRules('addresses', { [option]: ['64:ff9b::/96', text] })).toThrow(
        new TypeError(`\`addresses.${option}[1]\` must be written in its canonical form '${canonical}', got '${text}'`),
      );
    }
    expect(() => parseAddressRules('addresses', { allow: [canonical] })).not.toThrow();
  });

  it.each<{ name: string; options: unknown; error?: typeof TypeError | typeof RangeError; message: string }>([
    { name: 'null', options: null, message: '`addresses` expects an options object' },
    { name: 'an array', options: ['::1'], message: '`addresses` expects an options object' },
    { name: 'an unknown key', options: { allows: [] }, message: 'unknown option `allows`' },
    { name: 'allow null', options: { allow: null }, message: '`addresses.allow` must be an array' },
    { name: 'allow as a string', options: { allow: '::1' }, message: '`addresses.allow` must be an array' },
    {
      name: 'a hole',
      options: { allow: Array(1) },
      message: '`addresses.allow[0]` must be an address or a CIDR range',
    },
    ...[
      '',
      'localhost',
      'http://127.0.0.1',
      '127.0.0.1:80',
      '[::1]:80',
      '10.0.0.0/',
      '10.0.0.0/-1',
      '10.0.0.0/8/8',
      '10.0.0.0/255.0.0.0',
      '10.0.0.*',
      '*',
      '10.0.0.1 ',
      '1.2.3.4.5',
      '256.0.0.0/8',
      '１２７.0.0.1',
      'fe80::1%eth0',
      'fe80::%eth0/10',
      '::1%lo',
    ].map((text) => ({
      name: `allow '${text}'`,
      options: { allow: [text] },
      message: '`addresses.allow[0]` must be an address or a CIDR range',
    })),
    { name: 'a number', options: { allow: [2130706433] }, message: '`addresses.allow[0]` must be an address' },
    {
      name: 'a long prefix',
      options: { allow: ['10.0.0.0/33'] },
      error: RangeError,
      message: 'the prefix is longer than the address',
    },
    {
      name: 'a long IPv6 prefix',
      options: { allow: ['::/129'] },
      error: RangeError,
      message: 'the prefix is longer than the address',
    },
    { name: 'nat64 null', options: { nat64: null }, message: '`addresses.nat64` must be an array' },
    { name: 'nat64 as a string', options: { nat64: '64:ff9b::/96' }, message: '`addresses.nat64` must be an array' },
    ...[
      '10.0.0.0/32',
      '64:ff9b::/95',
      '64:ff9b::',
      '2a00::/24',
      '2a00:1450::/36',
      '2a00:1450::/44',
      '2a00:1450::/72',
      '2a00:1450::/128',
      '2a00:1450:0:0:100::/96',
      '::/96',
      '::/32',
      '::ffff:0:0:0/96',
      'fe80::/64',
      'ff00::/32',
      '2002:1::/32',
      '4000::/32',
    ].map((text) => ({
      name: `the prefix '${text}'`,
      options: { nat64: ['64:ff9b:1::/96', text] },
      error: RangeError,
      message: '`addresses.nat64[1]` must be a prefix of RFC 6052',
    })),
    {
      name: 'two prefixes that share addresses',
      options: { nat64: ['2a00:1450::/32', '2a00:1450:1::/48'] },
      error: RangeError,
      message: '`addresses.nat64[1]` shares addresses with another prefix',
    },
    {
      name: 'one prefix twice',
      options: { nat64: ['2a00:1450::/32', '2a00:1450::/32'] },
      error: RangeError,
      message: '`addresses.nat64[0]` shares addresses with another prefix',
    },
    {
      name: 'addresses behind a prefix',
      options: { allow: ['::1', '64:ff9b::a00:0/104'], nat64: true },
      error: RangeError,
      message: '`addresses.allow[1]` is behind a prefix of `nat64`',
    },
    { name: 'onMixed', options: { onMixed: 'allow' }, message: "`addresses.onMixed` must be 'deny' or 'filter'" },
    { name: 'onMixed null', options: { onMixed: null }, message: "`addresses.onMixed` must be 'deny' or 'filter'" },
  ])('does not take $name', ({ options, error = TypeError, message }) => {
    const parse = () => parseAddressRules('addresses', options);
    expect(parse).toThrow(error);
    expect(parse).toThrow(message);
  });
});
