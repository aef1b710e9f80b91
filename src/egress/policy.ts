import { ALLOW, type Denial, type Target, type Verdict } from '../guard.ts';
import { type Host, MAX_HOST_LENGTH, readHost, withoutDot } from './host.ts';
import { DEFAULT_PORT, type HostRule, matchesHost, type Scheme } from './host-rule.ts';
import type { Rule } from './rule.ts';
import { isAmbiguous, isBelow, mayBeBelow } from './url-path.ts';

/** Why a URL may not be reached. */
export type EgressReason = 'host-not-allowed' | 'bad-host' | 'scheme' | 'port' | 'method' | 'path';

/** Whether a URL may be reached with a method; undefined where nobody knows the method. */
export type EgressPolicy = (url: string, method: string | undefined) => Verdict;

/** What the rules say of one origin, before method and path are looked at. */
interface Place {
  readonly target: Target;
  /** Settled for every method and path. */
  readonly verdict: Verdict | undefined;
  readonly allow: readonly Rule[];
  readonly deny: readonly Rule[];
}

const SCHEMES: ReadonlyMap<string, Scheme> = new Map([
  ['http:', 'http'],
  ['https:', 'https'],
  ['ws:', 'http'],
  ['wss:', 'https'],
]);

/** An agent may invent origins without end. */
const MAX_CACHED = 1_000;
const MAX_SCHEME_LENGTH = 32;

/**
 * Decides from rules alone: nothing is resolved and nothing is sent.
 *
 * 1. What is no URL, holds credentials, or points to a host that DNS cannot hold: `bad-host`. A scheme other than http,
 *    https, ws and wss: `scheme`.
 * 2. A deny rule that matches: the reason is the last thing that it names, of host (`host-not-allowed`), scheme, port,
 *    method, path. A rule with methods matches an unknown method, one with a path also what servers may take for it.
 * 3. An allow rule that matches.
 * 4. Otherwise the reason is the first thing that differs from the nearest allow rule, in the order host
 *    (`host-not-allowed`), scheme, port, method, path; the nearest is the one that agrees longest. A rule with methods
 *    does not match an unknown method, one with a path no pathname that servers read in different ways.
 */
export function createPolicy(allow: readonly Rule[], deny: readonly Rule[]): EgressPolicy {
  const places = new Map<string, Place>();
  return (url, method) => {
    let parsed: URL;
    try {
      parsed = new URL(url);
    } catch {
      return refuse('bad-host', undefined);
    }
    // Before the cache is asked: a blob URL has the origin of the page that made it.
    const scheme = SCHEMES.get(parsed.protocol);
    if (scheme === undefined) return refuse('scheme', targetOf(parsed));
    if (parsed.username !== '' || parsed.password !== '') return refuse('bad-host', targetOf(parsed));
    let place = places.get(parsed.origin);
    if (place === undefined) {
      place = judgePlace(allow, deny, scheme, targetOf(parsed), parsed.hostname);
      if (places.size >= MAX_CACHED) places.clear();
      places.set(parsed.origin, place);
    }
    return place.verdict ?? judgeRequest(place, upperCase(method), parsed.pathname);
  };
}

function judgePlace(
  allow: readonly Rule[],
  deny: readonly Rule[],
  scheme: Scheme,
  target: Target,
  hostname: string,
): Place {
  const settled = (verdict: Verdict): Place => ({ target, verdict, allow: [], deny: [] });
  const host = readHost(hostname);
  if (host === undefined) return settled(refuse('bad-host', target));
  const difference = ({ place }: Rule) => differenceOf(place, host, scheme, target.port);

  const denied = deny.filter((rule) => difference(rule) === undefined);
  const closed = denied.find((rule) => !isConditional(rule));
  if (closed !== undefined) return settled(refuse(lastNamed(closed), target));

  const differences = allow.map(difference);
  const allowed = allow.filter((_, i) => differences[i] === undefined);
  if (allowed.length === 0) return settled(refuse(nearest(differences), target));
  const open = allowed.some((rule) => !isConditional(rule));
  return { target, verdict: open && denied.length === 0 ? ALLOW : undefined, allow: allowed, deny: denied };
}

function judgeRequest({ target, allow, deny }: Place, method: string | undefined, pathname: string): Verdict {
  const ambiguous = isAmbiguous(pathname);
  const closed = deny.find(
    ({ methods, path }) =>
      (methods === undefined || method === undefined || methods.includes(method)) &&
      (path === undefined || ambiguous || mayBeBelow(pathname, path)),
  );
  if (closed !== undefined) return refuse(lastNamed(closed), target);
  const speaking = allow.filter(
    ({ methods }) => methods === undefined || (method !== undefined && methods.includes(method)),
  );
  if (speaking.length === 0) return refuse('method', target);
  const open = speaking.some(({ path }) => path === undefined || (!ambiguous && isBelow(pathname, path)));
  return open ? ALLOW : refuse('path', target);
}

/** The first thing in which a rule differs from where the URL points; undefined when it speaks of that very place. */
function differenceOf(rule: HostRule, host: Host, scheme: Scheme, port: number): EgressReason | undefined {
  if (!matchesHost(rule, host)) return 'host-not-allowed';
  if (rule.scheme !== undefined && rule.scheme !== scheme) return 'scheme';
  return rule.port !== undefined && rule.port !== port ? 'port' : undefined;
}

function nearest(differences: readonly (EgressReason | undefined)[]): EgressReason {
  return differences.includes('port') ? 'port' : differences.includes('scheme') ? 'scheme' : 'host-not-allowed';
}

function lastNamed({ place, methods, path }: Rule): EgressReason {
  if (path !== undefined) return 'path';
  if (methods !== undefined) return 'method';
  return place.port !== undefined ? 'port' : place.scheme !== undefined ? 'scheme' : 'host-not-allowed';
}

function isConditional({ methods, path }: Rule): boolean {
  return methods !== undefined || path !== undefined;
}

/** Only ASCII letters change, so that no other letter becomes one. */
function upperCase(method: string | undefined): string | undefined {
  return method?.replace(/[a-z]+/g, (letters) => letters.toUpperCase());
}

/** Of a parsed URL, without path and query, cut to what a log field may hold. */
export function targetOf({ protocol, hostname, port }: URL): Target {
  const scheme = protocol.slice(0, -1);
  const host = withoutDot(hostname);
  const judged = SCHEMES.get(protocol);
  return Object.freeze({
    scheme: scheme.slice(0, MAX_SCHEME_LENGTH),
    host: host.slice(0, MAX_HOST_LENGTH),
    port: port !== '' ? Number(port) : judged === undefined ? 0 : DEFAULT_PORT[judged],
  });
}

function refuse(reason: EgressReason, target: Target | undefined): Denial {
  return Object.freeze({ allow: false, code: 'EGRESS_DENIED', reason, message: messageOf(reason, target), target });
}

/** Safe to show a model. The host is named only where it was well formed; a path, a query or a method never is. */
function messageOf(reason: EgressReason, target: Target | undefined): string {
  const host = target?.host ?? '';
  switch (reason) {
    case 'bad-host':
      return 'the URL is malformed, holds credentials, or has no valid host';
    case 'host-not-allowed':
      return `host ${host} is not allowed`;
    case 'scheme':
      return SCHEMES.has(`${target?.scheme}:`)
        ? `host ${host} is not allowed over ${target?.scheme}`
        : 'only http and https URLs are allowed';
    case 'port':
      return `host ${host} is not allowed on port ${target?.port}`;
    case 'method':
      return `host ${host} is not allowed with this HTTP method`;
    case 'path':
      return `this path on host ${host} is not allowed`;
  }
}
