/** The bytes of an IP address, 4 or 16 of them. IPv4-mapped IPv6 addresses are held as the 4 bytes that they carry. */
export type Address = readonly number[];

/** All addresses of `first.length` bytes whose leading `bits` are those of `first`; its other bits are 0. */
export interface AddressRange {
  readonly first: Address;
  readonly bits: number;
}

const MAPPED_BITS = 96;
const DOT = 0x2e;
const COLON = 0x3a;

/**
 * Reads an address in one of the forms that Node writes and takes: four decimal numbers without leading zeros, or
 * RFC 4291 §2.2 without brackets. Undefined for anything else, a zone (`fe80::1%eth0`) included.
 */
export function parseAddress(text: string): Address | undefined {
  const bytes = readBytes(text);
  return bytes !== undefined && isMapped(bytes) ? bytes.slice(12) : bytes;
}

/** The range that starts at the address `text`; undefined when that is none, or `bits` are more than it has. */
export function parseRange(text: string, bits: number | undefined): AddressRange | undefined {
  const bytes = readBytes(text);
  if (bytes === undefined) return undefined;
  const length = bits ?? bytes.length * 8;
  if (length > bytes.length * 8) return undefined;
  const first = bytes.map((byte, i) => byte & leadingOnes(length - 8 * i));
  // A range wider than the mapped addresses does not start with their prefix, and is one of IPv6 alone.
  return isMapped(first) ? { first: first.slice(12), bits: length - MAPPED_BITS } : { first, bits: length };
}

export function inRange({ first, bits }: AddressRange, address: Address): boolean {
  if (first.length !== address.length) return false;
  for (let i = 0; 8 * i < bits; i++) {
    if (first[i] !== ((address[i] as number) & leadingOnes(bits - 8 * i))) return false;
  }
  return true;
}

/** Whether `inner` is a part of `outer`, or all of it. */
export function isWithin(inner: AddressRange, outer: AddressRange): boolean {
  return inner.bits >= outer.bits && inRange(outer, inner.first);
}

export function isSingle({ first, bits }: AddressRange): boolean {
  return bits === first.length * 8;
}

/** Dotted decimal, or RFC 5952 without brackets. */
export function formatAddress(address: Address): string {
  if (address.length === 4) return address.join('.');
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((address[2 * i] ?? 0) * 256 + (address[2 * i + 1] ?? 0)).toString(16),
  );
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1);
}

/** A range of one address without its prefix. */
export function formatRange(range: AddressRange): string {
  return isSingle(range) ? formatAddress(range.first) : `${formatAddress(range.first)}/${range.bits}`;
}

/** A byte with its `count` leading bits set; all for 8 and more, none for 0 and less. */
function leadingOnes(count: number): number {
  return count >= 8 ? 0xff : count <= 0 ? 0 : (0xff << (8 - count)) & 0xff;
}

function isMapped(bytes: Address): boolean {
  return (
    bytes.length === 16 && bytes[10] === 0xff && bytes[11] === 0xff && bytes.every((byte, i) => i >= 10 || byte === 0)
  );
}

function readBytes(text: string): number[] | undefined {
  return readDotted(text, 0) ?? (text.includes(':') ? readGroups(text) : undefined);
}

/** Reads one character at a time: this runs at every connection. */
function readDotted(text: string, from: number): number[] | undefined {
  const bytes = [0, 0, 0, 0];
  let index = 0;
  /** Of the number being read; -1 before its first digit. */
  let value = -1;
  for (let i = from; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (value === -1 || index === 3) return undefined;
      bytes[index++] = value;
      value = -1;
      continue;
    }
    const digit = code - 0x30;
    // A digit behind a leading zero would be octal to some.
    if (digit < 0 || digit > 9 || value === 0) return undefined;
    value = value === -1 ? digit : value * 10 + digit;
    if (value > 0xff) return undefined;
  }
  if (value === -1 || index !== 3) return undefined;
  bytes[3] = value;
  return bytes;
}

function readGroups(text: string): number[] | undefined {
  const bytes = Array<number>(16).fill(0);
  /** Bytes that were read. */
  let count = 0;
  /** How many of them stand before `::`; -1 until it comes. */
  let gap = -1;
  let i = 0;
  if (text.charCodeAt(0) === COLON) {
    if (text.charCodeAt(1) !== COLON) return undefined;
    gap = 0;
    i = 2;
  }
  while (i < text.length) {
    if (count === 16) return undefined;
    const start = i;
    let value = 0;
    for (; i < text.length && i - start < 4; i++) {
      const digit = hexDigit(text.charCodeAt(i));
      if (digit === -1) break;
      value = value * 16 + digit;
    }
    if (i === start) return undefined;
    if (text.charCodeAt(i) === DOT) {
      const tail = readDotted(text, start);
      if (tail === undefined || count > 12) return undefined;
      for (const byte of tail) bytes[count++] = byte;
      break;
    }
    bytes[count++] = value >> 8;
    bytes[count++] = value & 0xff;
    if (i === text.length) break;
    if (text.charCodeAt(i++) !== COLON) return undefined;
    if (text.charCodeAt(i) === COLON) {
      if (gap !== -1) return undefined;
      gap = count;
      i++;
    } else if (i === text.length) {
      return undefined;
    }
  }
  if (gap === -1) return count === 16 ? bytes : undefined;
  // `::` stands for one group at least.
  if (count === 16) return undefined;
  return [...bytes.slice(0, gap), ...Array<number>(16 - count).fill(0), ...bytes.slice(gap, count)];
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
