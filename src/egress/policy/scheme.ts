/** How a request travels. `ws` and `wss` URLs are requests of `http` and `https`. */
export type Scheme = 'http' | 'https';

export const DEFAULT_PORT: Readonly<Record<Scheme, number>> = { http: 80, https: 443 };

const BY_PROTOCOL: ReadonlyMap<string, Scheme> = new Map([
  ['http:', 'http'],
  ['https:', 'https'],
  ['ws:', 'http'],
  ['wss:', 'https'],
]);

/** @param protocol as a parsed URL has it. Undefined for what is no HTTP. */
export function schemeOf(protocol: string): Scheme | undefined {
  return BY_PROTOCOL.get(protocol);
}

/** The port of a parsed URL, which has none where it is the usual one. */
export function portOf(scheme: Scheme, port: string): number {
  return port === '' ? DEFAULT_PORT[scheme] : Number(port);
}
