import { type DispatchOptions, type DispatchSnapshot, readDispatch } from '../egress/hooks/dispatch-snapshot.ts';
import type { EgressScope } from '../egress/hooks/scope.ts';
import type { EgressProxy } from '../guard.ts';
import type { SessionClient } from './client.ts';

export interface Route {
  readonly client: SessionClient;
  /** The proxy that what is sent goes through. */
  readonly via: EgressProxy | undefined;
  /** Where everything goes, whatever a request says. */
  readonly bound: string | undefined;
}

/**
 * undici's `dispatch` under a leash: judges a request, and has it sent in this very step, unless the log is not open yet.
 *
 * @param handler of whatever version of undici. It is never wrapped, since they do not do that alike.
 */
export function dispatchUnder(
  { client, via, bound }: Route,
  given: unknown,
  handler: unknown,
  send: (judged: DispatchOptions, scope: EgressScope) => boolean,
): boolean {
  let snapshot: DispatchSnapshot;
  try {
    snapshot = readDispatch(given, bound);
  } catch (error) {
    return refuse(handler, error);
  }
  const decide = (): boolean => {
    const admitted = client.admit(snapshot, via);
    return admitted instanceof Error ? refuse(handler, admitted) : send(snapshot.options, admitted);
  };
  const { opening } = client;
  if (opening === undefined) return decide();
  // By then nobody is there to throw to.
  opening
    .then(decide)
    .catch((error: unknown) => refuse(handler, error))
    .catch(() => {});
  return true;
}

/** Tells a handler of undici 8 or of an older one. */
function refuse(handler: unknown, error: unknown): true {
  const { onResponseError, onError } = (handler ?? {}) as { onResponseError?: unknown; onError?: unknown };
  if (typeof onResponseError === 'function') onResponseError.call(handler, null, error);
  else if (typeof onError === 'function') onError.call(handler, error);
  else throw error;
  return true;
}
