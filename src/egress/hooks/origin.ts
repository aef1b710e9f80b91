import type { Target } from '../../guard.ts';
import { TextCache } from '../../internal/text-cache.ts';
import { canonicalHost, formatHost, inUrl } from '../policy/host.ts';
import { DEFAULT_PORT, type Scheme } from '../policy/scheme.ts';
import { placeOf } from './passes.ts';

/** Where requests go, worked out once for all of them. */
export class Origin {
  readonly scheme: Scheme;
  /** In canonical form; as it came where there is none, which every policy refuses. */
  readonly host: string;
  readonly port: number;
  readonly target: Target;
  /** Key of the connections that serve it. */
  readonly place: string;
  /** What a `Host` header says of it (RFC 9110 §7.2). */
  readonly authority: string;

  constructor(scheme: Scheme, text: string, port: number) {
    const host = canonicalHost(text);
    this.scheme = scheme;
    this.host = host === undefined ? text : formatHost(host);
    this.port = port;
    this.target = Object.freeze({ scheme, host: this.host, port });
    this.place = placeOf(scheme === 'https', this.host, port);
    const name = inUrl(this.host);
    this.authority = port === DEFAULT_PORT[scheme] ? name : `${name}:${port}`;
  }

  /** Whether a `Host` header names this origin. A port may be left out where it is usual. */
  isNamedBy(header: string): boolean {
    if (header === this.authority) return true;
    const [, name, digits] = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(header) ?? [];
    if (name === undefined) return false;
    const port = digits === undefined || digits === '' ? DEFAULT_PORT[this.scheme] : Number(digits);
    const host = canonicalHost(name);
    return port === this.port && host !== undefined && formatHost(host) === this.host;
  }
}

const known = { http: new TextCache<Origin>(), https: new TextCache<Origin>() };

/** @param host in any spelling. */
export function originAt(scheme: Scheme, host: string, port: number): Origin {
  const key = `${host}:${port}`;
  const origins = known[scheme];
  return origins.get(key) ?? origins.keep(key, new Origin(scheme, host, port));
}
