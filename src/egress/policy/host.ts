import { type Address, formatAddress, parseAddress } from './address.ts';

/** Where a connection goes: a DNS name without its trailing dot, or an address. */
export type Host =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'address'; readonly address: Address };

/** RFC 1035 §2.3.4, as text without the trailing dot. */
export const MAX_HOST_LENGTH = 253;

/** Labels of letters, digits, hyphen (RFC 1123 §2.1), and the underscore, which names of services carry. */
const NAME = /^(?:[A-Za-z\d_-]{1,63}\.)*[A-Za-z\d_-]{1,63}$/;
/** https://url.spec.whatwg.org/#ends-in-a-number-checker: what resolvers read as IPv4 in octal, hex or with fewer parts. */
const NUMBER_LAST = /(?:^|\.)(?:\d+|0[xX][\dA-Fa-f]*)$/;

/**
 * The one form of a host that is compared, judged and dialled, from every place where a host comes from: the `hostname` of
 * a parsed URL, a rule, and what `net.connect`, `dns.lookup` and a lookup hook were given. Undefined for what is none.
 *
 * Below URL level nobody has made one text of it: `LOCALHOST.`, `127.1`, `0x7f.1`, `[::1]`, `::ffff:7f00:1` become what a
 * resolver would take them for. One trailing dot is the same DNS name and is dropped. Refused is what resolvers,
 * proxies and certificates read in different ways: empty labels, `*`, `@`, `%`, spaces, NUL, zones, labels of more than 63
 * characters, and anything beyond ASCII.
 */
export function canonicalHost(text: string): Host | undefined {
  if (typeof text !== 'string') return undefined;
  if (text.includes(':')) {
    const bracketed = text.startsWith('[') && text.endsWith(']');
    return hostOf(parseAddress(bracketed ? text.slice(1, -1) : text));
  }
  const name = withoutDot(text);
  if (name.length > MAX_HOST_LENGTH || !NAME.test(name)) return undefined;
  if (NUMBER_LAST.test(name)) return hostOf(parseAddress(name) ?? parseNumbers(name));
  return { kind: 'name', name: name.toLowerCase() };
}

/** As it is dialled: the name, dotted decimal, or RFC 5952 without brackets. */
export function formatHost(host: Host): string {
  return host.kind === 'name' ? host.name : formatAddress(host.address);
}

/** As it stands in a URL: IPv6 in brackets. */
export function inUrl(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

export function withoutDot(hostname: string): string {
  return hostname.endsWith('.') ? hostname.slice(0, -1) : hostname;
}

function hostOf(address: Address | undefined): Host | undefined {
  return address === undefined ? undefined : { kind: 'address', address };
}

/** `name` is nothing but labels, so the URL parser takes all of it for the host. */
function parseNumbers(name: string): Address | undefined {
  try {
    return parseAddress(new URL(`http://${name}/`).hostname);
  } catch {
    return undefined;
  }
}
