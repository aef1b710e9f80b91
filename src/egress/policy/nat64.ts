import { type Address, type AddressRange, formatRange, inRange } from './address.ts';
import { classOf } from './address-class.ts';

/** https://www.rfc-editor.org/rfc/rfc6052#section-2.1 */
export const WELL_KNOWN_PREFIX = '64:ff9b::/96';
/** https://www.rfc-editor.org/rfc/rfc6052#section-2.2 */
const LENGTHS: readonly number[] = [32, 40, 48, 56, 64, 96];
/** Bits 64 to 71 are zero, and IPv4 stands before and behind them. */
const ZERO_BYTE = 8;

/** @throws {RangeError} no prefix that a translator can have, or two that share addresses. */
export function checkPrefixes(option: string, prefixes: readonly AddressRange[]): void {
  for (const [i, prefix] of prefixes.entries()) {
    const { first, bits } = prefix;
    const placed = ['nat64', 'public', 'private', 'documentation'].includes(classOf(first));
    if (!placed || !LENGTHS.includes(bits) || first[ZERO_BYTE] !== 0) {
      throw new RangeError(
        `\`${option}[${i}]\` must be a prefix of RFC 6052, '${WELL_KNOWN_PREFIX}' or one of /32, /40, /48, /56, /64 or /96 with zero bits 64 to 71, got '${formatRange(prefix)}'`,
      );
    }
    if (prefixes.some((other, j) => j !== i && inRange(other, first))) {
      throw new RangeError(`\`${option}[${i}]\` shares addresses with another prefix, got '${formatRange(prefix)}'`);
    }
  }
}

/** The IPv4 address that stands in an address of this prefix; undefined when the bits around it are not zero. */
export function ipv4In({ bits }: AddressRange, address: Address): Address | undefined {
  const start = bits / 8;
  const rest = start > ZERO_BYTE ? address.slice(start) : address.slice(start).toSpliced(ZERO_BYTE - start, 1);
  const sound = address[ZERO_BYTE] === 0 && rest.slice(4).every((byte) => byte === 0);
  return sound ? rest.slice(0, 4) : undefined;
}
