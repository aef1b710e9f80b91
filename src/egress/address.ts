/** The bytes of an IP address, 4 or 16 of them. IPv4-mapped IPv6 addresses are held as the 4 bytes that they carry. */
export type Address = readonly number[];

/** All addresses of `first.length` bytes whose leading `bits` are those of `first`; its other bits are 0. */
export interface AddressRange {
  readonly first: Address;
  readonly bits: number;
}

const MAPPED_BITS = 96;

/** `hostname` as a WHATWG URL serialises it, IPv6 in brackets; undefined when it is a name. */
export function parseAddress(hostname: string): Address | undefined {
  const bytes = parseBytes(hostname);
  return bytes !== undefined && isMapped(bytes) ? bytes.slice(12) : bytes;
}

/** The range that starts at `hostname`; undefined when that is a name, or `bits` are more than the address has. */
export function parseRange(hostname: string, bits: number | undefined): AddressRange | undefined {
  const bytes = parseBytes(hostname);
  if (bytes === undefined) return undefined;
  const length = bits ?? bytes.length * 8;
  if (length > bytes.length * 8) return undefined;
  const first = bytes.map((byte, i) => byte & leadingOnes(length - 8 * i));
  // A range wider than the mapped addresses does not start with their prefix, and is one of IPv6 alone.
  return isMapped(first) ? { first: first.slice(12), bits: length - MAPPED_BITS } : { first, bits: length };
}

export function inRange(range: AddressRange, address: Address): boolean {
  return (
    range.first.length === address.length &&
    range.first.every((byte, i) => byte === ((address[i] ?? 0) & leadingOnes(range.bits - 8 * i)))
  );
}

/** Dotted decimal, or RFC 5952 without brackets. */
export function formatAddress(address: Address): string {
  if (address.length === 4) return address.join('.');
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((address[2 * i] ?? 0) * 256 + (address[2 * i + 1] ?? 0)).toString(16),
  );
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1);
}

/** A byte with its `count` leading bits set; all for 8 and more, none for 0 and less. */
function leadingOnes(count: number): number {
  return count >= 8 ? 0xff : count <= 0 ? 0 : (0xff << (8 - count)) & 0xff;
}

function isMapped(bytes: Address): boolean {
  return (
    bytes.length === 16 && bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
  );
}

/** The URL parser has already reduced every other spelling to these two; nothing else is looked for here. */
function parseBytes(hostname: string): Address | undefined {
  if (/^\d{1,3}(?:\.\d{1,3}){3}$/.test(hostname)) {
    const bytes = hostname.split('.').map(Number);
    return bytes.every((byte) => byte <= 0xff) ? bytes : undefined;
  }
  if (!/^\[[\da-f:]+\]$/.test(hostname)) return undefined;
  const [head = '', tail] = hostname.slice(1, -1).split('::');
  const front = groupsOf(head);
  const back = tail === undefined ? [] : groupsOf(tail);
  const gap = 8 - front.length - back.length;
  if (tail === undefined ? gap !== 0 : gap < 0) return undefined;
  return [...front, ...Array<number>(gap).fill(0), ...back].flatMap((group) => [group >> 8, group & 0xff]);
}

function groupsOf(text: string): readonly number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}
