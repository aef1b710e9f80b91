import { type Address, type AddressRange, inRange, isWithin, parseRange } from './address.ts';

/**
 * What kind of place an address is.
 *
 * - `'public'`: anywhere on the internet; all others are refused unless they are listed.
 * - `'loopback'`, `'link-local'`, `'multicast'`, `'broadcast'`, `'documentation'`, `'benchmarking'`: as IANA calls them.
 * - `'private'`: RFC 1918, unique local (`fc00::/7`), and what was site-local (`fec0::/10`).
 * - `'shared'`: between a carrier and its customers, `100.64.0.0/10`.
 * - `'unspecified'`: `::` and `0.0.0.0/8`, which reach the host itself.
 * - `'cloud-metadata'`: where a cloud tells its machines who they are and hands out their credentials.
 * - `'anycast'`: given to one service wherever it runs: AS112, AMT and 6to4 relays.
 * - `'nat64'`: IPv4 behind a translator, `64:ff9b::/96` and `64:ff9b:1::/48`.
 * - `'transition'`: IPv6 that stands for an IPv4 address: 6to4, Teredo, ISATAP, IPv4-compatible, IPv4-translated.
 * - `'reserved'`: all else that is not global unicast, and protocol assignments.
 */
export type AddressClass =
  | 'public'
  | 'loopback'
  | 'private'
  | 'shared'
  | 'link-local'
  | 'unspecified'
  | 'cloud-metadata'
  | 'multicast'
  | 'broadcast'
  | 'documentation'
  | 'benchmarking'
  | 'anycast'
  | 'nat64'
  | 'transition'
  | 'reserved';

/**
 * https://www.iana.org/assignments/iana-ipv4-special-registry, multicast, and of
 * https://www.iana.org/assignments/iana-ipv6-special-registry and https://www.iana.org/assignments/ipv6-address-space what
 * has a class of its own: outside of `2000::/3` all else is reserved.
 */
const BLOCKS: readonly (readonly [string, AddressClass])[] = [
  ['0.0.0.0/8', 'unspecified'],
  ['10.0.0.0/8', 'private'],
  ['100.64.0.0/10', 'shared'],
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link-local'],
  ['172.16.0.0/12', 'private'],
  ['192.0.0.0/24', 'reserved'],
  ['192.0.2.0/24', 'documentation'],
  ['192.31.196.0/24', 'anycast'],
  ['192.52.193.0/24', 'anycast'],
  ['192.88.99.0/24', 'anycast'],
  ['192.168.0.0/16', 'private'],
  ['192.175.48.0/24', 'anycast'],
  ['198.18.0.0/15', 'benchmarking'],
  ['198.51.100.0/24', 'documentation'],
  ['203.0.113.0/24', 'documentation'],
  ['224.0.0.0/4', 'multicast'],
  ['240.0.0.0/4', 'reserved'],
  ['255.255.255.255/32', 'broadcast'],
  ['::/128', 'unspecified'],
  ['::1/128', 'loopback'],
  ['::/96', 'transition'],
  ['::ffff:0:0:0/96', 'transition'],
  ['64:ff9b::/96', 'nat64'],
  ['64:ff9b:1::/48', 'nat64'],
  ['100::/64', 'reserved'],
  ['100:0:0:1::/64', 'reserved'],
  ['2001::/23', 'reserved'],
  ['2001::/32', 'transition'],
  ['2001:2::/48', 'benchmarking'],
  ['2001:3::/32', 'anycast'],
  ['2001:4:112::/48', 'anycast'],
  ['2001:db8::/32', 'documentation'],
  ['2002::/16', 'transition'],
  ['2620:4f:8000::/48', 'anycast'],
  ['3fff::/20', 'documentation'],
  ['5f00::/16', 'reserved'],
  ['fc00::/7', 'private'],
  ['fe80::/10', 'link-local'],
  ['fec0::/10', 'private'],
  ['ff00::/8', 'multicast'],
];

/** No registry has these. */
const METADATA = [
  '169.254.169.254', // nearly all clouds
  '169.254.170.2', // AWS ECS task credentials
  '169.254.170.23', // AWS EKS Pod Identity
  '169.254.0.23', // Tencent
  '169.254.10.10', // Tencent
  '169.254.42.42', // Scaleway
  '100.100.100.200', // Alibaba
  '168.63.129.16', // Azure, a public address
  '192.0.0.192', // Oracle
  'fd00:ec2::254', // AWS
  'fd00:ec2::23', // AWS EKS Pod Identity
  'fd20:ce::254', // Google
  'fd00:c1::a9fe:a9fe', // Oracle
  'fd00:100::100:200', // Alibaba
  'fd00:42::42', // Scaleway
  'fd00:a9fe:a9fe::1', // Akamai
  'fe80::a9fe:a9fe', // OpenStack
];

interface Block {
  readonly range: AddressRange;
  readonly class: AddressClass;
}

const GLOBAL_UNICAST = rangeOf('2000::/3');
const blocks: readonly Block[] = BLOCKS.map(([text, name]) => ({ range: rangeOf(text), class: name }));
const metadata: readonly Address[] = METADATA.map((text) => rangeOf(text).first);
const byFirstByte = makeIndex();

export function classOf(address: Address): AddressClass {
  const found = listedClass(address);
  if (address.length === 4) return found ?? 'public';
  const plain = found ?? (inRange(GLOBAL_UNICAST, address) ? 'public' : 'reserved');
  if (plain !== 'transition' && plain !== 'nat64' && !isIsatap(address)) return plain;
  if (carriesMetadata(address)) return 'cloud-metadata';
  return plain === 'public' ? 'transition' : plain;
}

/** An address that clouds publish for it, and not one that leads to such an address in another form. */
export function isMetadata(address: Address): boolean {
  return metadata.some((each) => each.length === address.length && each.every((byte, i) => byte === address[i]));
}

/** Whether all addresses of the range belong to the same special-purpose block. */
export function isSpecial(range: AddressRange): boolean {
  return blocks.some((block) => isWithin(range, block.range));
}

function listedClass(address: Address): AddressClass | undefined {
  const near = byFirstByte[bucket(address)] as readonly Block[];
  for (const block of near) if (inRange(block.range, address)) return block.class;
  return undefined;
}

/** The blocks that may hold an address, the smallest first: for most addresses there is none. */
function makeIndex(): readonly (readonly Block[])[] {
  const index: Block[][] = Array.from({ length: 512 }, () => []);
  const named = metadata.map((first): Block => ({ range: { first, bits: first.length * 8 }, class: 'cloud-metadata' }));
  for (const block of [...named, ...blocks].sort((a, b) => b.range.bits - a.range.bits)) {
    const { first, bits } = block.range;
    const start = bucket(first);
    for (let i = start; i < start + 2 ** Math.max(0, 8 - bits); i++) index[i]?.push(block);
  }
  return index;
}

function bucket(address: Address): number {
  return (address.length === 4 ? 0 : 256) + (address[0] as number);
}

/** RFC 5214 §6.1: the interface identifier says that IPv4 follows, under any prefix. */
function isIsatap(address: Address): boolean {
  const local = (address[8] as number) & 0xfd;
  return local === 0 && address[9] === 0 && address[10] === 0x5e && address[11] === 0xfe;
}

/**
 * Each mechanism puts IPv4 at another place: at any byte, around byte 8 (RFC 6052 §2.2), inverted (RFC 4380 §4). What is
 * found too much was refused anyway.
 */
function carriesMetadata(address: Address): boolean {
  const readings = [address, address.toSpliced(8, 1), address.map((byte) => byte ^ 0xff)];
  return readings.some((bytes) => bytes.some((_, i) => isMetadata(bytes.slice(i, i + 4))));
}

function rangeOf(text: string): AddressRange {
  const [address = '', bits] = text.split('/');
  return parseRange(address, bits === undefined ? undefined : Number(bits)) as AddressRange;
}
