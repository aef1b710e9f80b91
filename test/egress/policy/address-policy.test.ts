import { describe, expect, it } from 'vitest';
import type { AddressVerdict } from '../../../src/egress/policy/address-policy.ts';
import type { EgressAddressOptions } from '../../../src/egress/policy/address-rules.ts';
import type { EgressRule } from '../../../src/egress/policy/rule.ts';
import { policy } from '../../helpers/egress-policy.ts';

function judge(
  options: EgressAddressOptions,
  address: string,
  deny: readonly EgressRule[] = [],
  port?: number,
): string {
  const verdict: AddressVerdict = policy([], deny, options).addresses.judge(address, port);
  return verdict.allow ? 'allow' : verdict.reason;
}

describe('judge', () => {
  it.each([
    ['8.8.8.8', 'allow'],
    ['2a00:1450:4001:81b::200e', 'allow'],
    ['::ffff:8.8.8.8', 'allow'],
    ['127.0.0.1', 'address:loopback'],
    ['::1', 'address:loopback'],
    ['::ffff:7f00:1', 'address:loopback'],
    ['0.0.0.0', 'address:unspecified'],
    ['::', 'address:unspecified'],
    ['10.1.2.3', 'address:private'],
    ['fd00::1', 'address:private'],
    ['100.64.0.1', 'address:shared'],
    ['169.254.1.1', 'address:link-local'],
    ['fe80::1', 'address:link-local'],
    ['169.254.169.254', 'address:cloud-metadata'],
    ['::ffff:a9fe:a9fe', 'address:cloud-metadata'],
    ['168.63.129.16', 'address:cloud-metadata'],
    ['fd00:ec2::254', 'address:cloud-metadata'],
    ['224.0.0.1', 'address:multicast'],
    ['255.255.255.255', 'address:broadcast'],
    ['192.0.2.1', 'address:documentation'],
    ['198.18.0.1', 'address:benchmarking'],
    ['192.88.99.1', 'address:anycast'],
    ['64:ff9b::808:808', 'address:nat64'],
    ['2002:808:808::1', 'address:transition'],
    ['4000::1', 'address:reserved'],
    ['', 'bad-host'],
    ['localhost', 'bad-host'],
    ['127.1', 'bad-host'],
    ['0x7f.0.0.1', 'bad-host'],
    ['[::1]', 'bad-host'],
    ['8.8.8.8.', 'bad-host'],
    ['8.8.8.8 ', 'bad-host'],
    ['fe80::1%eth0', 'bad-host'],
    ['2a00::1%eth0', 'bad-host'],
  ])('says of %s by default: %s', (address, expected) => {
    expect(judge({}, address)).toBe(expected);
  });

  it.each([
    ['127.0.0.1', 'allow'],
    ['127.255.0.1', 'allow'],
    ['::ffff:127.0.0.1', 'allow'],
    ['::1', 'allow'],
    ['::2', 'address:transition'],
    ['10.1.2.3', 'allow'],
    ['10.1.3.3', 'address:private'],
    ['100.64.1.1', 'allow'],
    ['fd00::1', 'allow'],
    ['fdff::1', 'allow'],
    ['fc00::1', 'address:private'],
    ['64:ff9b::a01:203', 'address:nat64'],
    // Metadata is not opened by what is around it, and not in other clothes.
    ['100.100.100.200', 'address:cloud-metadata'],
    ['fd00:ec2::254', 'address:cloud-metadata'],
    ['fd20:ce::254', 'address:cloud-metadata'],
    ['fd00::5efe:a9fe:a9fe', 'address:cloud-metadata'],
    // One that is named is.
    ['169.254.169.254', 'allow'],
    ['::ffff:a9fe:a9fe', 'allow'],
    ['fd00:42::42', 'allow'],
    ['168.63.129.16', 'allow'],
    ['169.254.170.2', 'address:cloud-metadata'],
    ['169.254.169.253', 'address:link-local'],
    ['64:ff9b::a9fe:a9fe', 'address:cloud-metadata'],
    ['2002:a9fe:a9fe::', 'address:cloud-metadata'],
  ])('says of %s where addresses are listed: %s', (address, expected) => {
    const allow = [
      ...['127.0.0.0/8', '::1', '10.1.2.0/24', '100.64.0.0/10', 'fd00::/8'],
      ...['169.254.169.254', 'fd00:42::42/128', '168.63.129.16/32'],
    ];
    expect(judge({ allow }, address)).toBe(expected);
  });

  it('opens everything but metadata to the widest ranges', () => {
    const allow = ['0.0.0.0/0', '::/0'];
    for (const address of ['127.0.0.1', '10.0.0.1', '255.255.255.255', '::', 'ff02::1', '4000::1', '64:ff9b::7f00:1']) {
      expect(judge({ allow }, address), address).toBe('allow');
    }
    const metadata = ['169.254.169.254', '168.63.129.16', '::ffff:a9fe:a9fe', 'fd00:ec2::254', '64:ff9b::a9fe:a9fe'];
    for (const address of [...metadata, '2002:a9fe:a9fe::', '::a9fe:a9fe', 'fe80::a9fe:a9fe']) {
      expect(judge({ allow }, address), address).toBe('address:cloud-metadata');
    }
    expect(judge({ allow: ['0.0.0.0/0'] }, '::1')).toBe('address:loopback');
    expect(judge({ allow: ['::/0'] }, '127.0.0.1')).toBe('address:loopback');
  });

  it.each([
    ['64:ff9b::8.8.8.8', 'allow'],
    ['64:ff9b::808:808', 'allow'],
    ['64:ff9b::127.0.0.1', 'address:loopback'],
    ['64:ff9b::a9fe:a9fe', 'address:cloud-metadata'],
    ['64:ff9b::c000:c0', 'address:cloud-metadata'],
    ['64:ff9b::a83f:8110', 'address:cloud-metadata'],
    ['64:ff9b::', 'address:unspecified'],
    ['64:ff9b::a01:203', 'allow'],
    ['64:ff9b::a01:303', 'address:private'],
    ['64:ff9b:1::808:808', 'address:nat64'],
    ['64:ff9b::1:808:808', 'address:reserved'],
    ['::ffff:808:808', 'allow'],
    ['::808:808', 'address:transition'],
  ])('says of %s behind the well-known prefix: %s', (address, expected) => {
    expect(judge({ nat64: true, allow: ['10.1.2.0/24'] }, address)).toBe(expected);
  });

  /** https://www.rfc-editor.org/rfc/rfc6052#section-2.4, and the same for other addresses. */
  it.each([
    ['2001:db8::/32', '2001:db8:c000:221::', '2001:db8:808:808::', '2001:db8:a9fe:a9fe::', '2001:db8:808:808::1'],
    [
      '2001:db8:100::/40',
      '2001:db8:1c0:2:21::',
      '2001:db8:108:808:8::',
      '2001:db8:1a9:fea9:fe::',
      '2001:db8:108:808:108::',
    ],
    [
      '2001:db8:122::/48',
      '2001:db8:122:c000:2:2100::',
      '2001:db8:122:808:8:800::',
      '2001:db8:122:a9fe:a9:fe00::',
      '2001:db8:122:808:8:801::',
    ],
    [
      '2001:db8:122:300::/56',
      '2001:db8:122:3c0:0:221::',
      '2001:db8:122:308:8:808::',
      '2001:db8:122:3a9:fe:a9fe::',
      '2001:db8:122:308:108:808::',
    ],
    [
      '2001:db8:122:344::/64',
      '2001:db8:122:344:c0:2:2100::',
      '2001:db8:122:344:8:808:800::',
      '2001:db8:122:344:a9:fea9:fe00::',
      '2001:db8:122:344:8:808:800:1',
    ],
    [
      '2001:db8:122:344::/96',
      '2001:db8:122:344::192.0.2.33',
      '2001:db8:122:344::808:808',
      '2001:db8:122:344::a9fe:a9fe',
      undefined,
    ],
  ])('reads the IPv4 address behind %s', (prefix, documentation, open, metadata, malformed) => {
    const options = { nat64: [prefix], allow: ['192.0.2.33', '::/0'] };
    expect(judge({ nat64: [prefix] }, documentation)).toBe('address:documentation');
    expect(judge(options, documentation)).toBe('allow');
    expect(judge(options, open)).toBe('allow');
    expect(judge(options, metadata)).toBe('address:cloud-metadata');
    if (malformed !== undefined) expect(judge(options, malformed)).toBe('address:nat64');
  });

  it('does not take the address of a metadata service for a prefix and something behind it', () => {
    expect(judge({ nat64: ['fd00:ec2::/96'], allow: ['0.0.0.0/0'] }, 'fd00:ec2::254')).toBe('address:cloud-metadata');
  });

  it('refuses what a deny rule closes, whatever else opens it', () => {
    const deny = ['203.0.113.0/24', '8.8.8.0/24', '1.1.1.1:853', '2a00:1450::/32', '10.1.2.3'];
    const options = { allow: ['203.0.113.0/24', '10.0.0.0/8'], nat64: true };
    for (const address of [
      '8.8.8.8',
      '::ffff:808:808',
      '64:ff9b::808:808',
      '203.0.113.7',
      '2a00:1450::1',
      '10.1.2.3',
    ]) {
      expect(judge(options, address, deny, 443), address).toBe('address:denied');
    }
    expect(judge(options, '8.8.9.8', deny, 443)).toBe('allow');
    expect(judge(options, '10.1.2.4', deny, 443)).toBe('allow');
    expect(judge(options, '64:ff9b::404:404', ['64:ff9b::/96'], 443)).toBe('address:denied');
    // Closed on one port; all are where nobody knows the port.
    expect(judge(options, '1.1.1.1', deny, 443)).toBe('allow');
    expect(judge(options, '1.1.1.1', deny, 853)).toBe('address:denied');
    expect(judge(options, '1.1.1.1', deny)).toBe('address:denied');
    // The class is told first, and rules with a scheme, method or path are for literals.
    expect(judge({}, '10.1.2.3', deny)).toBe('address:private');
    const partly = [
      'http://8.8.8.8',
      { host: '8.8.4.4', methods: ['GET'] },
      { host: '8.8.4.4', path: '/v1' },
      'dns.google',
    ];
    for (const address of ['8.8.8.8', '8.8.4.4']) expect(judge({}, address, partly)).toBe('allow');
  });

  it('does not let rules for literals open anything to names', () => {
    const allow = ['http://127.0.0.1:8080', '10.1.2.0/24', 'http://localhost:8080', '169.254.169.254'];
    const { addresses } = policy(allow);
    for (const address of ['127.0.0.1', '10.1.2.3', '169.254.169.254']) {
      expect(addresses.judge(address, 8080).allow, address).toBe(false);
    }
  });

  it.each([undefined, null, 8, ['8.8.8.8'], { toString: () => '8.8.8.8' }])('refuses %o, which is no text', (value) => {
    expect(judge({}, value as string)).toBe('bad-host');
  });
});

describe('judgeAll', () => {
  const answer = (onMixed: 'deny' | 'filter', addresses: readonly string[], deny: readonly EgressRule[] = []) => {
    const verdict = policy([], deny, { onMixed, allow: ['10.1.2.0/24'] }).addresses.judgeAll(addresses, 443);
    return verdict.allow ? verdict.addresses.map(({ address, family }) => `${address} ${family}`) : verdict.reason;
  };

  it.each([
    { given: ['8.8.8.8'], deny: ['8.8.8.8 4'], filter: ['8.8.8.8 4'] },
    {
      given: ['2A00:1450::0001', '8.8.8.8', '::ffff:1.1.1.1'],
      deny: ['2a00:1450::1 6', '8.8.8.8 4', '1.1.1.1 4'],
      filter: ['2a00:1450::1 6', '8.8.8.8 4', '1.1.1.1 4'],
    },
    { given: ['10.1.2.3', '8.8.8.8'], deny: ['10.1.2.3 4', '8.8.8.8 4'], filter: ['10.1.2.3 4', '8.8.8.8 4'] },
    { given: ['8.8.8.8', '127.0.0.1'], deny: 'address:loopback', filter: ['8.8.8.8 4'] },
    { given: ['127.0.0.1', '8.8.8.8'], deny: 'address:loopback', filter: ['8.8.8.8 4'] },
    { given: ['8.8.8.8', '::ffff:a9fe:a9fe', '::1'], deny: 'address:cloud-metadata', filter: ['8.8.8.8 4'] },
    { given: ['::1', '127.0.0.1', '10.0.0.1'], deny: 'address:loopback', filter: 'address:loopback' },
    { given: ['10.0.0.1', '::1'], deny: 'address:private', filter: 'address:private' },
    { given: ['8.8.8.8', '9.9.9.9'], deny: 'address:denied', filter: ['8.8.8.8 4'] },
    { given: [], deny: 'bad-host', filter: 'bad-host' },
    { given: [''], deny: 'bad-host', filter: 'bad-host' },
    { given: ['8.8.8.8', 'fe80::1%eth0'], deny: 'bad-host', filter: 'bad-host' },
    { given: ['8.8.8.8', '127.1'], deny: 'bad-host', filter: 'bad-host' },
    { given: ['8.8.8.8', 'evil.test'], deny: 'bad-host', filter: 'bad-host' },
    { given: ['127.0.0.1', 'evil.test'], deny: 'address:loopback', filter: 'bad-host' },
    { given: ['8.8.8.8', undefined], deny: 'bad-host', filter: 'bad-host' },
    { given: ['8.8.8.8', { address: '8.8.8.8', family: 4 }], deny: 'bad-host', filter: 'bad-host' },
  ])('judges $given', ({ given, deny, filter }) => {
    expect(answer('deny', given as string[], ['9.9.9.9'])).toEqual(deny);
    expect(answer('filter', given as string[], ['9.9.9.9'])).toEqual(filter);
  });
});
