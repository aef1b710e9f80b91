import { type Address, parseAddress } from './address.ts';

/** Where a URL points: a DNS name without its trailing dot, or an address. */
export type Host =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'address'; readonly address: Address };

/** RFC 1035 §2.3.4, as text without the trailing dot. */
export const MAX_HOST_LENGTH = 253;
const MAX_LABEL_LENGTH = 63;

/** Letters, digits, hyphen (RFC 1123 §2.1), and the underscore, which names of services carry. */
const LABEL = /^[a-z\d_-]+$/;

/**
 * Reads the `hostname` of a parsed `http`, `https`, `ws` or `wss` URL; undefined when no such host can exist in DNS.
 *
 * The URL parser leaves much in a host that means something else to a resolver, a proxy or a rule: empty labels, `*`,
 * `;`, `,`, quotes. One trailing dot is the same DNS name and is dropped; after that an empty label is refused.
 */
export function readHost(hostname: string): Host | undefined {
  const address = parseAddress(hostname);
  if (address !== undefined) return { kind: 'address', address };
  const name = withoutDot(hostname);
  if (name.length > MAX_HOST_LENGTH) return undefined;
  const valid = name.split('.').every((label) => label.length <= MAX_LABEL_LENGTH && LABEL.test(label));
  return valid ? { kind: 'name', name } : undefined;
}

export function withoutDot(hostname: string): string {
  return hostname.endsWith('.') ? hostname.slice(0, -1) : hostname;
}
