import { checkOneOf, checkOptions, shown } from '../../internal/options.ts';
import {
  type Address,
  type AddressRange,
  formatAddress,
  formatRange,
  inRange,
  isSingle,
  isWithin,
  parseAddress,
  parseRange,
} from './address.ts';
import { type AddressClass, classOf, isMetadata } from './address-class.ts';
import { canonicalHost } from './host.ts';
import { checkPrefixes, ipv4In, WELL_KNOWN_PREFIX } from './nat64.ts';

/** Which addresses the names that `egress` allows may lead to: `addresses` of its options. */
export interface EgressAddressOptions {
  /**
   * Addresses and CIDR ranges that may be reached although they are not public: `'10.1.2.0/24'`, `'::1'`. It opens them to
   * the names that `allow` holds, not to other names. Metadata services of clouds (`169.254.169.254` and their like) are
   * opened by their own address alone, never by a range. Default: none.
   */
  readonly allow?: readonly string[];
  /**
   * Prefixes of a NAT64 (RFC 6052: /32, /40, /48, /56, /64 or /96), behind which IPv4 addresses stand; they are judged as
   * the IPv4 address that they carry. `true`: `64:ff9b::/96`. Default: `false`, and `64:ff9b::/96` is refused.
   */
  readonly nat64?: boolean | readonly string[];
  /**
   * What becomes of a name with several addresses of which some are refused. `'deny'`: the name is refused; `'filter'`:
   * the others are used. Default: `'deny'`.
   */
  readonly onMixed?: 'deny' | 'filter';
}

/** Which addresses may be reached, whatever name led there. */
export interface AddressRules {
  readonly allow: readonly AddressRange[];
  readonly nat64: readonly AddressRange[];
  readonly onMixed: 'deny' | 'filter';
}

/** @throws {TypeError} @throws {RangeError} with the option's name; what is not canonical is printed as it should be. */
export function parseAddressRules(option: string, options: unknown = {}): AddressRules {
  checkOptions(`\`${option}\``, options, ['allow', 'nat64', 'onMixed']);
  const {
    allow = [],
    nat64 = false,
    onMixed = 'deny',
  } = options as Partial<Record<keyof EgressAddressOptions, unknown>>;
  const prefixes = nat64 === true ? [WELL_KNOWN_PREFIX] : nat64 === false ? [] : nat64;
  const rules = {
    allow: parseRanges(`${option}.allow`, allow),
    nat64: parseRanges(`${option}.nat64`, prefixes),
    onMixed: checkOneOf(`${option}.onMixed`, onMixed, ['deny', 'filter']),
  };
  checkPrefixes(`${option}.nat64`, rules.nat64);
  for (const [i, range] of rules.allow.entries()) {
    if (rules.nat64.some((prefix) => isWithin(range, prefix))) {
      throw new RangeError(
        `\`${option}.allow[${i}]\` is behind a prefix of \`nat64\`: list the IPv4 address that it carries, got '${formatRange(range)}'`,
      );
    }
  }
  return rules;
}

/** As JSON in an order of its own, and the same for all ways to write the same rules. */
export function formatAddressRules({ allow, nat64, onMixed }: AddressRules): object {
  const texts = (ranges: readonly AddressRange[]): readonly string[] => [...new Set(ranges.map(formatRange))].sort();
  return { allow: texts(allow), nat64: texts(nat64), onMixed };
}

/**
 * Where a packet to this address arrives: its IPv4 address if it stands behind a NAT64, else itself. Undefined behind a
 * NAT64 in a form that RFC 6052 does not have.
 */
export function reached({ nat64 }: AddressRules, address: Address): Address | undefined {
  const prefix = nat64.find((each) => inRange(each, address));
  return prefix === undefined || isMetadata(address) ? address : ipv4In(prefix, address);
}

/** The class for which an address is refused; undefined when it may be reached. */
export function refusedClass(rules: AddressRules, address: Address): AddressClass | undefined {
  const goal = reached(rules, address);
  if (goal === undefined) return 'nat64';
  const found = classOf(goal);
  if (found === 'public') return undefined;
  const opens = rules.allow.some((range) => inRange(range, goal) && (found !== 'cloud-metadata' || isSingle(range)));
  return opens ? undefined : found;
}

function parseRanges(option: string, texts: unknown): readonly AddressRange[] {
  if (!Array.isArray(texts)) {
    throw new TypeError(`\`${option}\` must be an array of addresses and CIDR ranges, got ${shown(texts)}`);
  }
  // Unlike map(), Array.from() does not step over holes.
  return Array.from(texts, (text: unknown, i) => parseAddressRange(`${option}[${i}]`, text));
}

function parseAddressRange(option: string, text: unknown): AddressRange {
  const problem = `\`${option}\` must be an address or a CIDR range, got ${shown(text)}`;
  const [, host = '', bits] = (typeof text === 'string' && /^([^/]*)(?:\/(\d+))?$/.exec(text)) || [];
  const found = canonicalHost(host);
  if (found?.kind !== 'address') throw new TypeError(problem);
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  const exact = parseAddress(bare) === undefined ? formatAddress(found.address) : bare;
  const range = parseRange(exact, bits === undefined ? undefined : Number(bits));
  if (range === undefined) throw new RangeError(`${problem}: the prefix is longer than the address`);
  const canonical = `${formatAddress(range.first)}${bits === undefined ? '' : `/${range.bits}`}`;
  if (canonical !== text) {
    throw new TypeError(`\`${option}\` must be written in its canonical form '${canonical}', got ${shown(text)}`);
  }
  return range;
}
