import { shown } from '../../internal/options.ts';
import { type AddressRange, formatAddress, inRange, isSingle, parseRange } from './address.ts';
import { isSpecial } from './address-class.ts';
import { canonicalHost, type Host } from './host.ts';
import { DEFAULT_PORT, type Scheme } from './scheme.ts';

/** Which hosts a rule speaks of. */
type Pattern =
  | { readonly kind: 'name'; readonly name: string }
  /** One or more labels in front of `base`, never `base` itself. */
  | { readonly kind: 'subdomains'; readonly base: string }
  | { readonly kind: 'range'; readonly range: AddressRange };

export interface HostRule {
  readonly pattern: Pattern;
  /** Undefined: both. */
  readonly scheme: Scheme | undefined;
  /** Undefined: all of them. */
  readonly port: number | undefined;
}

/**
 * What a rule means where it names no scheme or no port. `'secure'`: https, and the port that is usual for the scheme;
 * for rules that open. `'every'`: all of them; for rules that close, since a carve-out that left the other ports of the
 * same host open would be none.
 */
export type Unsaid = 'secure' | 'every';

/** The parts of a rule as they were written. */
interface Parts {
  readonly scheme: Scheme | undefined;
  /** IPv6 in brackets, whether or not it was written so. */
  readonly host: string;
  readonly bits: number | undefined;
  readonly port: number | undefined;
  readonly bare: boolean;
}

/**
 * Reads `[scheme://]host[:port]`, where host is a name, `*.` and a name of two labels or more, an address, or a CIDR
 * range: `10.1.2.0/24`, `2001:db8::/32`. IPv6 beside a scheme or a port stands in brackets: `[2001:db8::]/32:8443`.
 *
 * A rule must be what the URL parser makes of it, letter for letter, so that a reader sees what is compared: ASCII, lower
 * case, `xn--` labels, dotted decimal, no bit set behind a CIDR prefix, no trailing dot.
 *
 * @throws {TypeError} no such rule, or not in its canonical form, which the message prints.
 * @throws {RangeError} a port above 65535 or a prefix longer than the address.
 */
export function parseHostRule(option: string, text: unknown, unsaid: Unsaid): HostRule {
  if (typeof text !== 'string') throw new TypeError(`\`${option}\` must be a string, got ${shown(text)}`);
  const parts = split(option, text);
  const pattern = readPattern(option, text, parts);
  const canonical = write(parts.scheme, written(pattern, parts), parts.port);
  if (canonical !== text) {
    throw new TypeError(`\`${option}\` must be written in its canonical form '${canonical}', got ${shown(text)}`);
  }
  const scheme = parts.scheme ?? (unsaid === 'secure' ? 'https' : undefined);
  const port = parts.port ?? (unsaid === 'secure' && scheme !== undefined ? DEFAULT_PORT[scheme] : undefined);
  return { pattern, scheme, port };
}

/** The rule with everything that it says spelled out; what it leaves open is left out. */
export function formatHostRule({ pattern, scheme, port }: HostRule): string {
  return write(scheme, written(pattern, { bare: false, bits: undefined }), port);
}

export function matchesHost({ pattern }: HostRule, host: Host): boolean {
  switch (pattern.kind) {
    case 'name':
      return host.kind === 'name' && host.name === pattern.name;
    case 'subdomains':
      return host.kind === 'name' && host.name.endsWith(`.${pattern.base}`);
    case 'range':
      return host.kind === 'address' && inRange(pattern.range, host.address);
  }
}

/**
 * Whether an address that is refused for its class is opened by the rule that holds it. It was meant where the rule speaks
 * of one special-purpose block and nothing else: `0.0.0.0/0` is the public internet.
 *
 * @param alone for addresses that only a rule of one address may open.
 */
export function opensRefused({ pattern }: HostRule, alone: boolean): boolean {
  if (pattern.kind !== 'range') return false;
  return isSingle(pattern.range) || (!alone && isSpecial(pattern.range));
}

function split(option: string, text: string): Parts {
  const [, scheme, place = ''] = /^(?:([a-z][a-z\d+.-]*):\/\/)?(.*)$/is.exec(text) ?? [];
  if (scheme !== undefined && !['http', 'https'].includes(scheme.toLowerCase())) {
    throw new TypeError(`\`${option}\` may name http:// (also for ws) or https:// (also for wss), got ${shown(text)}`);
  }
  const bare = /^([\da-f.]*:[\da-f.]*:[\da-f:.]*)(?:\/(\d+))?$/i.exec(place);
  const match = bare ?? /^(\[[^\]]*\]|[^:/[\]\s\\@?#]+)(?:\/(\d+))?(?::(\d+))?$/.exec(place);
  if (match === null) {
    const hint = place.includes('/') && !place.startsWith('/') ? ': a path goes into { host, path }' : '';
    throw new TypeError(`\`${option}\` must be a host, an address or a CIDR range${hint}, got ${shown(text)}`);
  }
  if (bare !== null && scheme !== undefined) {
    throw new TypeError(`\`${option}\` must hold IPv6 in brackets when it names a scheme, got ${shown(text)}`);
  }
  const port = match[3] === undefined ? undefined : Number(match[3]);
  if (port !== undefined && !(port >= 1 && port <= 65_535)) {
    throw new RangeError(`\`${option}\` must name a port from 1 to 65535, got ${shown(text)}`);
  }
  return {
    scheme: scheme?.toLowerCase() as Scheme | undefined,
    host: bare === null ? (match[1] ?? '') : `[${match[1]}]`,
    bits: match[2] === undefined ? undefined : Number(match[2]),
    port,
    bare: bare !== null,
  };
}

function readPattern(option: string, text: string, { host, bits }: Parts): Pattern {
  const wildcard = host.startsWith('*.');
  const base = wildcard ? host.slice(2) : host;
  if (base.includes('*')) {
    throw new TypeError(
      `\`${option}\` may hold \`*\` only as its whole first label, '*.example.com', got ${shown(text)}`,
    );
  }
  const hostname = canonicalHostname(base);
  const found = hostname === undefined ? undefined : canonicalHost(hostname);
  if (hostname === undefined || found === undefined) {
    throw new TypeError(`\`${option}\` must be a host, an address or a CIDR range, got ${shown(text)}`);
  }
  if (found.kind === 'name') {
    if (bits !== undefined) {
      throw new TypeError(`\`${option}\` is a host and a path: a path goes into { host, path }, got ${shown(text)}`);
    }
    if (!wildcard) return { kind: 'name', name: found.name };
    if (found.name.includes('.')) return { kind: 'subdomains', base: found.name };
  } else if (!wildcard) {
    const range = parseRange(hostname.replace(/^\[(.*)\]$/, '$1'), bits);
    if (range !== undefined) return { kind: 'range', range };
    throw new RangeError(`\`${option}\` must have a prefix of at most as many bits as the address, got ${shown(text)}`);
  }
  throw new TypeError(`\`${option}\` must have a name of two labels or more behind \`*.\`, got ${shown(text)}`);
}

/** What the URL parser makes of a host; undefined when it refuses it. */
function canonicalHostname(host: string): string | undefined {
  try {
    return new URL(`http://${host}/`).hostname;
  } catch {
    return undefined;
  }
}

/** The pattern as text. An address shows the prefix that makes it a range, or that was written. */
function written(pattern: Pattern, { bare, bits }: Pick<Parts, 'bare' | 'bits'>): string {
  switch (pattern.kind) {
    case 'name':
      return pattern.name;
    case 'subdomains':
      return `*.${pattern.base}`;
    case 'range': {
      const { first, bits: prefix } = pattern.range;
      const address = formatAddress(first);
      const whole = bits === undefined && prefix === first.length * 8;
      return `${first.length === 16 && !bare ? `[${address}]` : address}${whole ? '' : `/${prefix}`}`;
    }
  }
}

function write(scheme: Scheme | undefined, host: string, port: number | undefined): string {
  return `${scheme === undefined ? '' : `${scheme}://`}${host}${port === undefined ? '' : `:${port}`}`;
}
