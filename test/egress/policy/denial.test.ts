import { describe, expect, it } from 'vitest';
import {
  denialOf,
  type EgressReason,
  environmentProxyMessage,
  unroutedDenial,
} from '../../../src/egress/policy/denial.ts';
import type { Target } from '../../../src/guard.ts';

const TARGET: Target = Object.freeze({ scheme: 'https', host: 'a.test', port: 443 });
const PROXIES = 'proxies of the environment are not used inside a leash: set egress({ proxy }) and use leash.fetch';

describe('denialOf', () => {
  it.each<[EgressReason, string]>([
    ['bad-host', 'the URL is malformed, holds credentials, or has no valid host'],
    ['host-not-allowed', 'host a.test is not allowed'],
    ['scheme', 'host a.test is not allowed over https'],
    ['port', 'host a.test is not allowed on port 443'],
    ['method', 'host a.test is not allowed with this HTTP method'],
    ['path', 'this path on host a.test is not allowed'],
    ['request-target', `the target of a request must be a path; ${PROXIES}`],
    ['connect-method', `the HTTP method CONNECT is not allowed; ${PROXIES}`],
    ['host-header-mismatch', 'the Host header is not that of host a.test'],
    ['servername-mismatch', 'the TLS server name is not that of host a.test'],
    ['unix-socket', 'Unix sockets are not allowed'],
    ['dns-query', 'this DNS query is not allowed'],
    ['udp', 'UDP is not allowed'],
    ['child-process', 'child processes are not allowed'],
    ['worker', 'worker threads are not allowed'],
    ['process-binding', 'bindings of the runtime are not allowed'],
    ['revoked', 'the network was closed'],
    ['address:loopback', 'host a.test leads to an address that is not allowed (loopback)'],
    ['address:denied', 'host a.test leads to an address that is not allowed (denied)'],
  ])('says of %s: %s', (reason, message) => {
    const denial = denialOf(reason, TARGET);
    expect(denial).toEqual({ allow: false, code: 'EGRESS_DENIED', reason, message, target: TARGET });
    expect(Object.isFrozen(denial)).toBe(true);
  });

  it.each([
    ...['http', 'https', 'ws', 'wss', 'tcp', 'tls'].map((scheme) => ({
      scheme,
      message: `host a.test is not allowed over ${scheme}`,
    })),
    ...['ftp', 'javascript', ''].map((scheme) => ({ scheme, message: 'only http and https URLs are allowed' })),
    { scheme: undefined, message: 'only http and https URLs are allowed' },
  ])('names the scheme only where it is one of those that are judged: $scheme', ({ scheme, message }) => {
    const target = scheme === undefined ? undefined : { ...TARGET, scheme };
    expect(denialOf('scheme', target)).toMatchObject({ message, target });
  });
});

describe('what is refused for a proxy', () => {
  it('says which variable names one', () => {
    expect(environmentProxyMessage('HTTPS_PROXY')).toBe(`HTTPS_PROXY names a proxy; ${PROXIES}`);
  });

  it.each([
    {
      hasProxy: true,
      message:
        'host a.test is reached by the proxy of the leash alone: use leash.fetch, or leashDispatcher of leashkit/undici',
    },
    { hasProxy: false, message: 'host a.test is not reached by a proxy that this leash does not have' },
  ])('says how the host is reached, the leash having a proxy: $hasProxy', ({ hasProxy, message }) => {
    const denial = unroutedDenial(TARGET, hasProxy);
    expect(denial).toEqual({
      allow: false,
      code: 'EGRESS_DENIED',
      reason: 'host-not-allowed',
      message,
      target: TARGET,
    });
    expect(Object.isFrozen(denial)).toBe(true);
  });
});
