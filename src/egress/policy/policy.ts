import { ALLOW, type Target, type Verdict } from '../../guard.ts';
import { TextCache } from '../../internal/text-cache.ts';
import { type AddressPolicy, type ClosedRange, createAddressPolicy } from './address-policy.ts';
import { denialOf } from './denial.ts';
import { canonicalHost, formatHost, type Host, inUrl, MAX_HOST_LENGTH, withoutDot } from './host.ts';
import { isConditional, judgeAt, judgePlace, mayOpen, type Place, type PolicyRules } from './place.ts';
import type { Rule } from './rule.ts';
import { portOf, type Scheme, schemeOf } from './scheme.ts';

/** An HTTP request as a client is about to send it. */
export interface RequestTarget {
  readonly scheme: Scheme;
  /** As the client has it, in any spelling; IPv6 with or without brackets. */
  readonly host: string;
  readonly port: number;
  /** Undefined where nobody knows it. */
  readonly method?: string | undefined;
  /** From `/` on, with its query, as it is sent. Undefined where nobody knows it. */
  readonly path?: string | undefined;
}

/** A TCP connection. */
export interface SocketTarget {
  /** As `net.connect` was given it. */
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /**
   * Whether it carries nothing but requests that are judged one by one: then rules with methods or a path open it too, and
   * without TLS it is http. Default: false. It may carry anything, also TLS that the socket knows nothing of.
   */
  readonly judged?: boolean;
}

/**
 * What may be reached, decided from rules alone: nothing is resolved and nothing is sent. It never changes; other rules are
 * another policy.
 */
export interface EgressPolicy {
  /** For the addresses that allowed names resolve to. */
  readonly addresses: AddressPolicy;
  /** @param method undefined where nobody knows it. */
  judgeUrl(url: string, method: string | undefined): Verdict;
  judgeRequest(request: RequestTarget): Verdict;
  /** Whether a rule opens this host and port to a connection. */
  judgeSocket(socket: SocketTarget): Verdict;
  /** Whether some rule could allow this host, over whatever scheme and port; no other name is worth a DNS query. */
  mayResolve(name: string): boolean;
}

/** An agent may invent hosts without end. */
const MAX_CACHED = 1_000;
const MAX_SCHEME_LENGTH = 32;
const MAX_PORT = 65_535;

/**
 * 1. What is no URL, holds credentials, or points to a host that DNS cannot hold: `bad-host`. A scheme other than http,
 *    https, ws and wss: `scheme`.
 * 2. A deny rule that matches: the reason is the last thing that it names, of host (`host-not-allowed`), scheme, port,
 *    method, path. A rule with methods matches an unknown method, one with a path also what servers may take for it.
 * 3. No allow rule that matches: the reason is the first thing that differs from the nearest one, in the order host
 *    (`host-not-allowed`), scheme, port, method, path; the nearest is the one that agrees longest. A rule with methods
 *    does not match an unknown method, one with a path no pathname that servers read in different ways.
 * 4. An address that is not public, in a URL or a connection: `address:` and its class, unless `addresses` lists it, or an
 *    allow rule that matches holds no other addresses than some of the same special-purpose block.
 */
export function createPolicy(rules: PolicyRules): EgressPolicy {
  const byOrigin = new TextCache<Place>();
  /** By host as clients spell it, then by port. */
  const byHost = { http: new Map<string, Map<number, Place>>(), https: new Map<string, Map<number, Place>>() };
  let places = 0;

  const placeOfUrl = (url: URL, scheme: Scheme): Place => {
    const known = byOrigin.get(url.origin);
    if (known !== undefined) return known;
    return byOrigin.keep(url.origin, judgePlace(rules, canonicalHost(url.hostname), scheme, scheme, targetOf(url)));
  };

  const placeOfRequest = (scheme: Scheme, text: string, port: number): Place => {
    const host = canonicalHost(text);
    const place = judgePlace(rules, host, scheme, scheme, targetAt(scheme, host, port));
    // What is no host may be of any length.
    if (host === undefined) return place;
    if (places >= MAX_CACHED) {
      byHost.http.clear();
      byHost.https.clear();
      places = 0;
    }
    places++;
    const ports = byHost[scheme].get(text) ?? new Map<number, Place>();
    byHost[scheme].set(text, ports.set(port, place));
    return place;
  };

  return Object.freeze({
    addresses: createAddressPolicy(rules.addresses, rules.deny.flatMap(closedRanges)),

    judgeUrl(text: string, method: string | undefined): Verdict {
      const url = parseUrl(text);
      if (url === undefined) return denialOf('bad-host', undefined);
      // Before the cache is asked: a blob URL has the origin of the page that made it.
      const scheme = schemeOf(url.protocol);
      if (scheme === undefined) return denialOf('scheme', targetOf(url));
      if (url.username !== '' || url.password !== '') return denialOf('bad-host', targetOf(url));
      return judgeAt(placeOfUrl(url, scheme), method, url.pathname);
    },

    judgeRequest({ scheme, host, port, method, path }: RequestTarget): Verdict {
      if (scheme !== 'http' && scheme !== 'https') return denialOf('scheme', undefined);
      return judgeAt(byHost[scheme].get(host)?.get(port) ?? placeOfRequest(scheme, host, port), method, path);
    },

    judgeSocket({ host: text, port, tls, judged = false }: SocketTarget): Verdict {
      const host = canonicalHost(text);
      const scheme = tls ? 'https' : 'http';
      const carried = tls || judged ? scheme : undefined;
      const place = judgePlace(rules, host, scheme, carried, targetAt(tls ? 'tls' : 'tcp', host, port));
      return judged ? (place.verdict ?? ALLOW) : judgeAt(place, undefined, undefined);
    },

    mayResolve(name: string): boolean {
      const host = canonicalHost(name);
      return host !== undefined && mayOpen(rules, host);
    },
  });
}

function parseUrl(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

/**
 * An address that is denied is denied to names too. Rules that name more than a port speak of what is not known any more
 * when a name has been resolved, and hold for literals alone.
 */
function closedRanges(rule: Rule): readonly ClosedRange[] {
  const { pattern, scheme, port } = rule.host;
  return pattern.kind === 'range' && scheme === undefined && !isConditional(rule)
    ? [{ range: pattern.range, port }]
    : [];
}

/** Of a parsed URL, without path and query, cut to what a log field may hold. */
export function targetOf({ protocol, hostname, port }: URL): Target {
  const scheme = protocol.slice(0, -1);
  const host = withoutDot(hostname);
  const judged = schemeOf(protocol);
  return Object.freeze({
    scheme: scheme.slice(0, MAX_SCHEME_LENGTH),
    host: host.slice(0, MAX_HOST_LENGTH),
    port: judged === undefined ? Number(port) : portOf(judged, port),
  });
}

/** Port 0 for what is no port: no rule allows it. Undefined without a host: what came instead may hold anything. */
function targetAt(scheme: string, host: Host | undefined, port: number): Target | undefined {
  if (host === undefined) return undefined;
  const known = Number.isInteger(port) && port > 0 && port <= MAX_PORT;
  return Object.freeze({ scheme, host: inUrl(formatHost(host)), port: known ? port : 0 });
}
