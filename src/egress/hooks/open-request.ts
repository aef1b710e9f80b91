import { findLeashError } from '../../errors.ts';
import type { OutgoingRequest } from '../../guard.ts';
import type { DispatchSnapshot } from './dispatch-snapshot.ts';
import type { Origin } from './origin.ts';
import { readHead, type Statement } from './request-head.ts';
import type { EgressScope } from './scope.ts';
import { refusalOfServername } from './servername.ts';
import { dialledHost, tunnelPlace, unixPathOf } from './sockets.ts';

/** What of a socket tells where it leads. */
interface SocketLike {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly encrypted?: boolean | undefined;
}

/** The first `Host` line of a head, and whether there is another. */
const HOSTS = /\nhost[ \t]*:[ \t]*([^\r\n]*)(?:[\s\S]*?\n(host)[ \t]*:)?/i;

/** An HTTP request that was allowed, from then on until it has ended: what leaves must be what was judged. */
export class OpenRequest {
  readonly scope: EgressScope;
  readonly #origin: Origin;
  readonly #method: string;
  readonly #path: string;
  #recorded = false;
  #ended = false;

  private constructor(scope: EgressScope, origin: Origin, method: string, path: string) {
    this.scope = scope;
    this.#origin = origin;
    this.#method = method;
    this.#path = path;
    scope.passes.open(origin.place);
  }

  /** Judges a request. The error is its refusal. */
  static begin(
    scope: EgressScope,
    origin: Origin,
    { method, path, host }: Statement,
    servername?: string | undefined,
  ): OpenRequest | Error {
    const error =
      judge(scope, origin, method, path) ??
      refusalOfHeader(scope, origin, host) ??
      refusalOfServername(scope, origin.target, servername);
    if (error === undefined) return new OpenRequest(scope, origin, method, path);
    scope.passes.refuse(origin.place, error);
    return error;
  }

  /** Before headers leave: they say what was judged, whatever has been changed since. */
  stating({ method, path, host }: Statement): Error | undefined {
    const origin = this.#origin;
    const changed = method !== this.#method || path !== this.#path;
    const error = changed ? judge(this.scope, origin, method, path) : undefined;
    return this.#refused(error ?? refusalOfHeader(this.scope, origin, host));
  }

  /** The same for the whole head as it is sent. */
  statingHead(head: string): Error | undefined {
    if (head.startsWith(`${this.#method} ${this.#path} HTTP/1.1\r\n`)) {
      const [, host, another] = HOSTS.exec(head) ?? [];
      if (another === undefined && (host === undefined || this.#origin.isNamedBy(host))) return undefined;
    }
    return this.stating(readHead(head));
  }

  /** Before anything is written to a connected socket: it leads to where the request was allowed to go. */
  sending(socket: SocketLike & object): Error | undefined {
    const { connections } = this.scope.verified;
    const { place } = this.#origin;
    const known = connections.get(socket);
    const address = socket.remoteAddress;
    if (known === undefined || known.place !== place || known.address !== address) {
      const error = this.#verify(socket, address);
      if (error !== undefined) return this.#refused(error);
      if (address !== undefined) connections.set(socket, { place, address });
    }
    // Of a tunnel that is the address of the proxy.
    return this.#record(tunnelPlace(socket) === undefined ? address : undefined);
  }

  #verify(socket: SocketLike & object, address: string | undefined): Error | undefined {
    const path = unixPathOf(socket);
    if (path !== undefined) return this.#verifyUnix(socket, path);
    const { scheme, host, port, target, place } = this.#origin;
    const tunnel = tunnelPlace(socket);
    if (tunnel !== undefined) return tunnel === place ? undefined : this.scope.refuse('request-target', target);
    if (
      address === undefined ||
      socket.remotePort !== port ||
      (socket.encrypted === true) !== (scheme === 'https') ||
      dialledHost(socket) !== host
    ) {
      const refusal = this.scope.refuse('request-target', target);
      if (refusal !== undefined || address === undefined) return refusal;
    }
    // An address that stands in the URL was judged with the rule that allows it.
    return address === host ? undefined : this.scope.address({ ...target, addr: address }, address);
  }

  /** A connection in a pool may have been opened for somebody who may go there. */
  #verifyUnix(socket: object, path: string): Error | undefined {
    const { unixSockets } = this.scope.verified;
    if (unixSockets.has(socket)) return undefined;
    const error = this.scope.leave('unix-socket', path);
    if (error === undefined) unixSockets.add(socket);
    return error;
  }

  /** What is on record as refused has not been reached. */
  #refused(error: Error | undefined): Error | undefined {
    if (error !== undefined) this.#recorded = true;
    return error;
  }

  /** @param error what it failed with, if it did. */
  ended(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.scope.passes.close(this.#origin.place);
    if (this.#recorded) return;
    // Its connection was refused, and that is on record.
    if (findLeashError(error) !== undefined) return;
    // It never got so far, but its name may have been asked for, and a connection may have been tried.
    this.#record(undefined);
  }

  #record(addr: string | undefined): Error | undefined {
    if (this.#recorded) return undefined;
    this.#recorded = true;
    return this.scope.reached({ ...this.#origin.target, addr });
  }
}

/** What a scope says of a request that is only asked for yet. */
export function refusalOf(scope: EgressScope, asked: DispatchSnapshot): Error | undefined {
  const { origin, misplaced, method, path, hosts, servername } = asked;
  let error = misplaced === undefined ? undefined : scope.refuse(misplaced.reason, misplaced.target);
  error ??= judge(scope, origin, method, path);
  for (const host of hosts) error ??= refusalOfHeader(scope, origin, host);
  return error ?? refusalOfServername(scope, origin.target, servername);
}

function judge(scope: EgressScope, { scheme, host, port }: Origin, method: string, path: string): Error | undefined {
  const request: OutgoingRequest = { scheme, host, port, method, path };
  return scope.request(request);
}

function refusalOfHeader(scope: EgressScope, origin: Origin, header: string | undefined): Error | undefined {
  if (header === undefined || origin.isNamedBy(header)) return undefined;
  return scope.refuse('host-header-mismatch', origin.target);
}
