import { BlockList } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AddressRange, formatAddress, parseAddress, parseRange } from '../../../src/egress/policy/address.ts';
import { type AddressClass, classOf, isMetadata, isSpecial } from '../../../src/egress/policy/address-class.ts';

/** Read from the registries of IANA and the documents that they cite, each block by its edges. */
const VECTORS: readonly (readonly [AddressClass, ...string[]])[] = [
  // https://www.iana.org/assignments/iana-ipv4-special-registry
  ['unspecified', '0.0.0.0', '0.0.0.1', '0.255.255.255'],
  ['private', '10.0.0.0', '10.1.2.3', '10.255.255.255'],
  ['shared', '100.64.0.0', '100.100.100.199', '100.100.100.201', '100.127.255.255'],
  ['loopback', '127.0.0.0', '127.0.0.1', '127.1.1.1', '127.255.255.255'],
  ['link-local', '169.254.0.0', '169.254.169.253', '169.254.169.255', '169.254.170.1', '169.254.255.255'],
  ['private', '172.16.0.0', '172.17.0.1', '172.31.255.255'],
  ['reserved', '192.0.0.0', '192.0.0.8', '192.0.0.9', '192.0.0.10', '192.0.0.170', '192.0.0.171', '192.0.0.255'],
  ['documentation', '192.0.2.0', '192.0.2.255'],
  ['anycast', '192.31.196.0', '192.31.196.255', '192.52.193.0', '192.52.193.255'],
  ['anycast', '192.88.99.0', '192.88.99.2', '192.88.99.255', '192.175.48.0', '192.175.48.255'],
  ['private', '192.168.0.0', '192.168.1.1', '192.168.255.255'],
  ['benchmarking', '198.18.0.0', '198.19.255.255'],
  ['documentation', '198.51.100.0', '198.51.100.255', '203.0.113.0', '203.0.113.255'],
  // https://www.iana.org/assignments/multicast-addresses
  ['multicast', '224.0.0.0', '224.0.0.1', '224.0.0.251', '233.252.0.1', '239.255.255.250', '239.255.255.255'],
  ['reserved', '240.0.0.0', '240.0.0.1', '255.255.255.254'],
  ['broadcast', '255.255.255.255'],
  // Published by the clouds.
  ['cloud-metadata', '169.254.169.254', '169.254.170.2', '169.254.170.23', '169.254.0.23', '169.254.10.10'],
  ['cloud-metadata', '169.254.42.42', '100.100.100.200', '168.63.129.16', '192.0.0.192'],
  ['cloud-metadata', 'fd00:ec2::254', 'fd00:ec2::23', 'fd20:ce::254', 'fd00:c1::a9fe:a9fe', 'fd00:100::100:200'],
  ['cloud-metadata', 'fd00:42::42', 'fd00:a9fe:a9fe::1', 'fe80::a9fe:a9fe'],
  // Their neighbours, and those of the blocks.
  ['public', '1.0.0.0', '1.1.1.1', '8.8.8.8', '9.255.255.255', '11.0.0.0', '93.184.216.34', '100.63.255.255'],
  ['public', '100.128.0.0', '126.255.255.255', '128.0.0.0', '168.63.129.15', '168.63.129.17', '169.253.255.255'],
  ['public', '169.255.0.0', '172.15.255.255', '172.32.0.0', '191.255.255.255', '192.0.1.0', '192.0.1.255', '192.0.3.0'],
  ['public', '192.31.195.255', '192.31.197.0', '192.52.192.255', '192.52.194.0', '192.88.98.255', '192.88.100.0'],
  ['public', '192.167.255.255', '192.169.0.0', '192.175.47.255', '192.175.49.0', '198.17.255.255', '198.20.0.0'],
  ['public', '198.51.99.255', '198.51.101.0', '203.0.112.255', '203.0.114.0', '223.255.255.255'],
  // RFC 4291 §2.5.5.2: judged as the IPv4 address, in both spellings.
  ['public', '::ffff:8.8.8.8', '::ffff:808:808', '::FFFF:808:808', '0:0:0:0:0:ffff:8.8.8.8'],
  ['loopback', '::ffff:127.0.0.1', '::ffff:7f00:1', '::fFFf:127.0.0.1', '0000:0000:0000:0000:0000:ffff:7f00:0001'],
  ['private', '::ffff:10.0.0.1', '::ffff:c0a8:101'],
  ['cloud-metadata', '::ffff:169.254.169.254', '::ffff:a9fe:a9fe', '::ffff:a83f:8110'],
  ['unspecified', '::ffff:0.0.0.0', '::ffff:0:0'],
  ['broadcast', '::ffff:255.255.255.255'],
  // https://www.iana.org/assignments/iana-ipv6-special-registry
  ['unspecified', '::', '0:0:0:0:0:0:0:0', '::0'],
  ['loopback', '::1', '0:0:0:0:0:0:0:1', '::0001', '0::1'],
  ['nat64', '64:ff9b::', '64:ff9b::8.8.8.8', '64:ff9b::7f00:1', '64:ff9b::ffff:ffff'],
  ['nat64', '64:ff9b:1::', '64:ff9b:1::808:808', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff'],
  ['reserved', '100::', '100::1', '100::ffff:ffff:ffff:ffff', '100:0:0:1::', '100:0:0:1:ffff:ffff:ffff:ffff'],
  ['transition', '2001::', '2001::1', '2001:0:4136:e378:8000:63bf:3fff:fdd2', '2001:0:ffff::'],
  ['reserved', '2001:1::1', '2001:1::2', '2001:1::3', '2001:10::', '2001:20::1', '2001:30::1', '2001:1ff:ffff::'],
  ['benchmarking', '2001:2::', '2001:2:0:ffff::'],
  ['reserved', '2001:2:1::', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff', '2001:4:111::', '2001:4:113::'],
  ['anycast', '2001:3::', '2001:3:ffff::1', '2001:4:112::', '2001:4:112::1', '2620:4f:8000::', '2620:4f:8000::42'],
  ['documentation', '2001:db8::', '2001:db8::1', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', '3fff::', '3fff:fff::1'],
  ['transition', '2002::', '2002:808:808::1', '2002:7f00:1::', '2002:c0a8:101::1', '2002:ffff:ffff::'],
  ['reserved', '5f00::', '5f00::1', '5f00:ffff::'],
  ['private', 'fc00::', 'fc00::1', 'fd00::1', 'fd00:ec2::253', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['link-local', 'fe80::', 'fe80::1', 'FE80::1', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  // https://www.iana.org/assignments/ipv6-address-space: was site-local, and what nobody has.
  ['private', 'fec0::', 'fec0::1', 'feff:ffff::1'],
  ['multicast', 'ff00::', 'ff02::1', 'ff0e::fb', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['reserved', '::1:0:0', '::1:0:0:0', '1::', '64:ff9a:ffff::', '64:ff9b:0:0:0:1::', '64:ff9b:2::', '64:ff9c::1'],
  ['reserved', '200::1', '400::1', '800::1', '1000::1', '1fff:ffff::1', '4000::1', '6000::1', '8000::1', 'a000::1'],
  ['reserved', 'c000::1', 'e000::1', 'f000::1', 'f800::1', 'fbff:ffff::1', 'fe00::1', 'fe7f:ffff::1'],
  // RFC 4291 §2.5.5.1 (IPv4-compatible), RFC 2765 §2.1 (IPv4-translated), RFC 5214 §6.1 (ISATAP, under any prefix).
  ['transition', '::2', '::127.0.0.1', '::7f00:1', '::8.8.8.8', '::ffff:ffff', '::10.0.0.1'],
  ['transition', '::ffff:0:127.0.0.1', '::ffff:0:7f00:1', '::ffff:0:808:808', '::ffff:0:ffff:ffff'],
  ['transition', '2a00:1450::5efe:7f00:1', '2606:4700::5efe:808:808', '2a00:1450::200:5efe:10.0.0.1'],
  ['private', 'fd00::5efe:7f00:1'],
  ['link-local', 'fe80::5efe:10.0.0.1', 'fe80::200:5efe:808:808'],
  // Metadata services in other clothes: compatible, translated, NAT64 in each length, 6to4, Teredo, ISATAP.
  ['cloud-metadata', '::169.254.169.254', '::a9fe:a9fe', '::ffff:0:169.254.169.254', '64:ff9b::a9fe:a9fe'],
  ['cloud-metadata', '64:ff9b::6464:64c8', '64:ff9b::a83f:8110', '64:ff9b:1::a9fe:a9fe', '64:ff9b:1:a9fe:a9:fe00::'],
  ['cloud-metadata', '64:ff9b:1:a9:fe:a9fe::', '64:ff9b:1:0:a9:fea9:fe00::', '2002:a9fe:a9fe::', '2002:a9fe:a9fe::1'],
  ['cloud-metadata', '2001:0:808:808::5601:5601', '2001:0:a9fe:a9fe::', '2a00:1450::5efe:a9fe:a9fe'],
  ['cloud-metadata', 'fe80::5efe:a9fe:a9fe', 'fd00::200:5efe:169.254.169.254'],
  // Global unicast, and where the exceptions end.
  ['public', '2000::', '2000::1', '2001:200::', '2001:4860:4860::8888', '2001:db7:ffff::', '2001:db9::'],
  ['public', '2001:ffff::', '2003::', '2600::', '2606:4700:4700::1111', '2620:4f:7fff:ffff::', '2620:4f:8001::'],
  ['public', '2a00:1450:4001:81b::200e', '3ffe:ffff::1', '3fff:1000::', '3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  [
    'public',
    '2a00:1450::5ffe:7f00:1',
    '2a00:1450::5efd:7f00:1',
    '2a00:1450::1:5efe:7f00:1',
    '2a00:1450::100:5efe:7f00:1',
    '2a00:a9fe:a9fe::1',
  ],
];

/** What is not public, blocks typed a second time for another engine. */
const BLOCKS = {
  ipv4: [
    '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24',
    '192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24',
    '203.0.113.0/24 224.0.0.0/4 240.0.0.0/4',
  ],
  ipv6: [
    '::/3 4000::/2 8000::/1', // all but 2000::/3
    '2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20',
  ],
};

/** What the registries hold for public: a service of a cloud, and IPv4 behind any prefix (ISATAP). */
const DIFFERENT = [
  '168.63.129.16',
  '::ffff:a83f:8110',
  '2a00:1450::5efe:7f00:1',
  '2606:4700::5efe:808:808',
  '2a00:1450::200:5efe:10.0.0.1',
  '2a00:1450::5efe:a9fe:a9fe',
];

function isIsatap(bytes: readonly number[]): boolean {
  return ['00005efe', '02005efe'].includes(Buffer.from(bytes.slice(8, 12)).toString('hex'));
}

const lists = new Map(
  (['ipv4', 'ipv6'] as const).map((family) => {
    const list = new BlockList();
    for (const block of BLOCKS[family].join(' ').split(' ')) {
      const [first = '', bits] = block.split('/');
      list.addSubnet(first, Number(bits), family);
    }
    return [family, list];
  }),
);

/** By its canonical form: a list of IPv6 blocks with `::/3` takes mapped addresses for some of its own. */
function isListed(bytes: readonly number[]): boolean | undefined {
  const family = bytes.length === 16 ? 'ipv6' : 'ipv4';
  return lists.get(family)?.check(formatAddress(bytes), family);
}

/** An address of 16 bytes that is more often than chance would have it near a block. */
const bytes6 = fc
  .tuple(
    fc.constantFrom('', '2001', '2002', '0064ff9b', '0064ff9b0001', '20010db8', '3fff', '26', '2620004f80', 'fe'),
    fc.constantFrom('', '00', '000000000000', '5efe', '02005efe'),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  )
  .map(([front, middle, rest]) => {
    const head = Buffer.from(front, 'hex');
    const tail = Buffer.from(middle, 'hex');
    const bytes = Buffer.from(rest);
    head.copy(bytes);
    tail.copy(bytes, 12 - tail.length);
    return [...bytes];
  });
const bytes4 = fc.oneof(
  fc.array(fc.nat(255), { minLength: 4, maxLength: 4 }),
  fc
    .tuple(
      fc.constantFrom(10, 100, 127, 168, 169, 172, 192, 198, 203, 223, 224, 240),
      fc.nat(255),
      fc.nat(255),
      fc.nat(255),
    )
    .map((bytes) => [...bytes]),
);

const classOfText = (text: string): AddressClass => classOf(parseAddress(text) ?? []);

describe('classOf', () => {
  it.each(VECTORS.flatMap(([expected, ...all]) => all.map((address) => ({ address, expected }))))(
    'takes $address for $expected',
    ({ address, expected }) => {
      expect(classOfText(address)).toBe(expected);
    },
  );

  it('has more than two hundred vectors, of every class', () => {
    expect(VECTORS.flatMap(([, ...all]) => all).length).toBeGreaterThan(200);
    const classes: Record<AddressClass, true> = {
      public: true,
      loopback: true,
      private: true,
      shared: true,
      'link-local': true,
      unspecified: true,
      'cloud-metadata': true,
      multicast: true,
      broadcast: true,
      documentation: true,
      benchmarking: true,
      anycast: true,
      nat64: true,
      transition: true,
      reserved: true,
    };
    expect(new Set(VECTORS.map(([expected]) => expected))).toEqual(new Set(Object.keys(classes)));
  });

  it('agrees with net.BlockList on what is public, but for what no registry knows', () => {
    const all = VECTORS.flatMap(([, ...addresses]) => addresses);
    const different = all.filter(
      (address) => isListed(parseAddress(address) ?? []) !== (classOfText(address) !== 'public'),
    );
    expect(different.sort()).toEqual(DIFFERENT.toSorted());
    for (const address of DIFFERENT) expect(classOfText(address), address).not.toBe('public');
  });

  it('agrees with net.BlockList on any address', () => {
    const seen = new Map<boolean, number>();
    fc.assert(
      fc.property(fc.oneof(bytes4, bytes6), (bytes) => {
        const refused = classOf(bytes) !== 'public';
        seen.set(refused, (seen.get(refused) ?? 0) + 1);
        expect(refused).toBe(isListed(bytes) === true || (bytes.length === 16 && isIsatap(bytes)));
      }),
      { numRuns: 10_000 },
    );
    for (const times of [seen.get(true), seen.get(false)]) expect(times).toBeGreaterThan(1_000);
  });

  it('takes an IPv4 address and its mapped forms for the same', () => {
    fc.assert(
      fc.property(bytes4, ([a = 0, b = 0, c = 0, d = 0]) => {
        const hex = `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
        const expected = classOfText(`${a}.${b}.${c}.${d}`);
        expect(classOfText(`::ffff:${a}.${b}.${c}.${d}`)).toBe(expected);
        expect(classOfText(`::ffff:${hex}`)).toBe(expected);
        expect(classOfText(`0:0:0:0:0:FFFF:${hex.toUpperCase()}`)).toBe(expected);
      }),
    );
  });
});

describe('isMetadata', () => {
  it.each([
    ['169.254.169.254', true],
    ['::ffff:169.254.169.254', true],
    ['fd00:ec2::254', true],
    ['169.254.169.253', false],
    // In another form, or with the same first bytes.
    ['64:ff9b::a9fe:a9fe', false],
    ['a9fe:a9fe::', false],
    ['253.0.14.194', false],
  ])('says of %s: %s', (address, expected) => {
    expect(isMetadata(parseAddress(address) ?? [])).toBe(expected);
  });
});

describe('isSpecial', () => {
  it.each([
    ['10.0.0.0', 8, true],
    ['10.1.2.0', 24, true],
    ['10.1.2.3', undefined, true],
    ['fd00::', 8, true],
    ['64:ff9b::', 96, true],
    ['10.0.0.0', 7, false],
    ['0.0.0.0', 0, false],
    ['8.8.8.8', undefined, false],
    ['2a00::', 16, false],
    ['::', 0, false],
  ])('says of %s/%s: %s', (first, bits, expected) => {
    expect(isSpecial(parseRange(first, bits) as AddressRange)).toBe(expected);
  });
});
