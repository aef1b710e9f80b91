import type { Denial, Target } from '../../guard.ts';
import type { AddressReason } from './address-policy.ts';

/** Why something may not be reached. */
export type EgressReason =
  | AddressReason
  | 'host-not-allowed'
  | 'scheme'
  | 'port'
  | 'method'
  | 'path'
  | 'request-target'
  | 'connect-method'
  | 'host-header-mismatch'
  | 'servername-mismatch'
  | 'unix-socket'
  | 'dns-query'
  | 'udp'
  | 'child-process'
  | 'worker'
  | 'process-binding'
  | 'revoked';

/** The schemes of targets: those of URLs, and of sockets that carry something else. */
const SCHEMES: ReadonlySet<string | undefined> = new Set(['http', 'https', 'ws', 'wss', 'tcp', 'tls']);

const PROXIES = 'proxies of the environment are not used inside a leash: set egress({ proxy }) and use leash.fetch';

/** What a proxy of the environment is refused with. @param variable what names it. */
export function environmentProxyMessage(variable: string): string {
  return `${variable} names a proxy; ${PROXIES}`;
}

/** A client of somebody else's, where the leash has a proxy; or one of a leash, in a call of another with another proxy. */
export function unroutedDenial(target: Target, hasProxy: boolean): Denial {
  const message = hasProxy
    ? `host ${target.host} is reached by the proxy of the leash alone: use leash.fetch, or leashDispatcher of leashkit/undici`
    : `host ${target.host} is not reached by a proxy that this leash does not have`;
  return Object.freeze({ ...denialOf('host-not-allowed', target), message });
}

export function denialOf(reason: EgressReason, target: Target | undefined): Denial {
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
      return SCHEMES.has(target?.scheme)
        ? `host ${host} is not allowed over ${target?.scheme}`
        : 'only http and https URLs are allowed';
    case 'port':
      return `host ${host} is not allowed on port ${target?.port}`;
    case 'method':
      return `host ${host} is not allowed with this HTTP method`;
    case 'path':
      return `this path on host ${host} is not allowed`;
    case 'request-target':
      return `the target of a request must be a path; ${PROXIES}`;
    case 'connect-method':
      return `the HTTP method CONNECT is not allowed; ${PROXIES}`;
    case 'host-header-mismatch':
      return `the Host header is not that of host ${host}`;
    case 'servername-mismatch':
      return `the TLS server name is not that of host ${host}`;
    case 'unix-socket':
      return 'Unix sockets are not allowed';
    case 'dns-query':
      return 'this DNS query is not allowed';
    case 'udp':
      return 'UDP is not allowed';
    case 'child-process':
      return 'child processes are not allowed';
    case 'worker':
      return 'worker threads are not allowed';
    case 'process-binding':
      return 'bindings of the runtime are not allowed';
    case 'revoked':
      return 'the network was closed';
    default:
      return `host ${host} leads to an address that is not allowed (${reason.slice('address:'.length)})`;
  }
}
