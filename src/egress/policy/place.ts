import { ALLOW, type Target, type Verdict } from '../../guard.ts';
import { type AddressRules, reached, refusedClass } from './address-rules.ts';
import { denialOf, type EgressReason } from './denial.ts';
import type { Host } from './host.ts';
import { type HostRule, matchesHost, opensRefused } from './host-rule.ts';
import type { Rule } from './rule.ts';
import type { Scheme } from './scheme.ts';
import { isAmbiguous, isBelow, mayBeBelow } from './url-path.ts';

export interface PolicyRules {
  readonly allow: readonly Rule[];
  readonly deny: readonly Rule[];
  readonly addresses: AddressRules;
}

/** What the rules say of one host, scheme and port, before method and path are looked at. */
export interface Place {
  readonly target: Target | undefined;
  /** Settled for every method and path. */
  readonly verdict: Verdict | undefined;
  /** The rules that speak of this place. */
  readonly allow: readonly Rule[];
  readonly deny: readonly Rule[];
}

const SLASH = 0x2f;

/** @param carried the scheme that deny rules are compared with; undefined: it may be any. */
export function judgePlace(
  { allow, deny, addresses }: PolicyRules,
  host: Host | undefined,
  scheme: Scheme,
  carried: Scheme | undefined,
  target: Target | undefined,
): Place {
  const refuse = (reason: EgressReason): Place => {
    return { target, verdict: denialOf(reason, target), allow: [], deny: [] };
  };
  if (host === undefined || target === undefined) return refuse('bad-host');
  const { port } = target;

  const address = host.kind === 'address' ? host.address : undefined;
  const goal = address === undefined ? undefined : reached(addresses, address);
  const hosts: Host[] = goal === undefined || goal === address ? [host] : [host, { kind: 'address', address: goal }];
  const denied = deny.filter((rule) =>
    hosts.some((each) => differenceOf(rule.host, each, carried, port) === undefined),
  );
  const closed = denied.find((rule) => !isConditional(rule));
  if (closed !== undefined) return refuse(lastNamed(closed));

  const differences = allow.map((rule) => differenceOf(rule.host, host, scheme, port));
  const matching = allow.filter((_, i) => differences[i] === undefined);
  if (matching.length === 0) return refuse(nearest(differences));

  const refused = address === undefined ? undefined : refusedClass(addresses, address);
  const alone = refused === 'cloud-metadata' || goal !== address;
  const allowed = refused === undefined ? matching : matching.filter((rule) => opensRefused(rule.host, alone));
  if (refused !== undefined && allowed.length === 0) return refuse(`address:${refused}`);
  const open = allowed.some((rule) => !isConditional(rule));
  return { target, verdict: open && denied.length === 0 ? ALLOW : undefined, allow: allowed, deny: denied };
}

/** @param path the request target, with its query. It and `method` are undefined where nobody knows them. */
export function judgeAt(place: Place, method: string | undefined, path: string | undefined): Verdict {
  const { verdict, target } = place;
  if (verdict?.allow === false) return verdict;
  if (method?.length === 7 && upperCase(method) === 'CONNECT') return denialOf('connect-method', target);
  if (path !== undefined && path.charCodeAt(0) !== SLASH) return denialOf('request-target', target);
  return verdict ?? judgeConditions(place, upperCase(method), path?.replace(/\?.*$/s, ''));
}

/** Whether an allow rule speaks of this host with some scheme and port that no deny rule closes. */
export function mayOpen({ allow, deny }: PolicyRules, host: Host): boolean {
  return allow.some(({ host: opening }) => {
    const closes = (rule: Rule): boolean =>
      !isConditional(rule) && differenceOf(rule.host, host, opening.scheme, opening.port) === undefined;
    return matchesHost(opening, host) && !deny.some(closes);
  });
}

export function isConditional({ methods, path }: Rule): boolean {
  return methods !== undefined || path !== undefined;
}

function judgeConditions(
  { target, allow, deny }: Place,
  method: string | undefined,
  pathname: string | undefined,
): Verdict {
  const ambiguous = pathname === undefined || isAmbiguous(pathname);
  const closed = deny.find(
    ({ methods, path }) =>
      (methods === undefined || method === undefined || methods.includes(method)) &&
      (path === undefined || ambiguous || mayBeBelow(pathname, path)),
  );
  if (closed !== undefined) return denialOf(lastNamed(closed), target);
  const speaking = allow.filter(
    ({ methods }) => methods === undefined || (method !== undefined && methods.includes(method)),
  );
  if (speaking.length === 0) return denialOf('method', target);
  const open = speaking.some(({ path }) => path === undefined || (!ambiguous && isBelow(pathname, path)));
  return open ? ALLOW : denialOf('path', target);
}

/** The first thing in which a rule differs from a place; undefined when it speaks of that very place. */
function differenceOf(
  rule: HostRule,
  host: Host,
  scheme: Scheme | undefined,
  port: number | undefined,
): EgressReason | undefined {
  if (!matchesHost(rule, host)) return 'host-not-allowed';
  if (rule.scheme !== undefined && scheme !== undefined && rule.scheme !== scheme) return 'scheme';
  return rule.port !== undefined && rule.port !== port ? 'port' : undefined;
}

function nearest(differences: readonly (EgressReason | undefined)[]): EgressReason {
  return differences.includes('port') ? 'port' : differences.includes('scheme') ? 'scheme' : 'host-not-allowed';
}

function lastNamed({ host, methods, path }: Rule): EgressReason {
  if (path !== undefined) return 'path';
  if (methods !== undefined) return 'method';
  return host.port !== undefined ? 'port' : host.scheme !== undefined ? 'scheme' : 'host-not-allowed';
}

/** Only ASCII letters change, so that no other letter becomes one. */
function upperCase(method: string): string;
function upperCase(method: string | undefined): string | undefined;
function upperCase(method: string | undefined): string | undefined {
  return method?.replace(/[a-z]+/g, (letters) => letters.toUpperCase());
}
