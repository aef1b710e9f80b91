import type { Target } from '../../guard.ts';
import { canonicalHost, formatHost } from '../policy/host.ts';
import type { EgressScope } from './scope.ts';

/** The name that TLS shows and checks is the host that was judged; for an address there is none. */
export function refusalOfServername(scope: EgressScope, target: Target, servername: unknown): Error | undefined {
  if (servername === undefined || servername === null || servername === '') return undefined;
  const host = typeof servername === 'string' ? canonicalHost(servername) : undefined;
  if (host !== undefined && formatHost(host) === target.host) return undefined;
  return scope.refuse('servername-mismatch', target);
}
