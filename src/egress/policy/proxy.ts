import type { EgressProxy } from '../../guard.ts';
import { shown } from '../../internal/options.ts';
import { canonicalHost, formatHost } from './host.ts';
import { portOf } from './scheme.ts';

/** Shows its credentials to nobody who looks at it, or writes it somewhere. */
class ProxyServer implements EgressProxy {
  readonly origin: string;
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  readonly #authorization: string | undefined;

  constructor({ origin, protocol, port }: URL, host: string, authorization: string | undefined) {
    this.origin = origin;
    this.host = host;
    this.secure = protocol === 'https:';
    this.port = portOf(this.secure ? 'https' : 'http', port);
    this.#authorization = authorization;
    Object.freeze(this);
  }

  authorization(): string | undefined {
    return this.#authorization;
  }
}

/** @throws {TypeError} anything but the origin of an HTTP proxy, with or without credentials; the message has neither. */
export function parseProxy(option: string, text: unknown): EgressProxy {
  try {
    const proxy = typeof text === 'string' ? readProxy(new URL(text)) : undefined;
    if (proxy !== undefined) return proxy;
  } catch {}
  const got = typeof text === 'string' ? 'another text' : shown(text);
  throw new TypeError(`\`${option}\` must be an origin such as 'http://proxy.internal:3128', got ${got}`);
}

export function isSameProxy(one: EgressProxy | undefined, other: EgressProxy | undefined): boolean {
  return one?.origin === other?.origin && one?.authorization() === other?.authorization();
}

/** @throws {URIError} credentials that are no UTF-8. */
function readProxy(url: URL): EgressProxy | undefined {
  const host = canonicalHost(url.hostname);
  const isOrigin = url.pathname === '/' && url.search === '' && url.hash === '';
  if (host === undefined || !isOrigin || !/^https?:$/.test(url.protocol)) return undefined;
  return new ProxyServer(url, formatHost(host), basicCredentials(url));
}

/** RFC 7617 §2: a name holds no colon. */
function basicCredentials({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  const name = decodeURIComponent(username);
  if (name.includes(':')) throw new URIError('a user name with a colon');
  return `Basic ${Buffer.from(`${name}:${decodeURIComponent(password)}`).toString('base64')}`;
}
