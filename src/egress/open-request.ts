import { findLeashError } from '../errors.ts';
import type { OutgoingRequest, Target } from '../guard.ts';
import { canonicalHost, formatHost } from './host.ts';
import { placeOf } from './passes.ts';
import type { Statement } from './request-head.ts';
import type { EgressScope } from './scope.ts';
import { refusalOfServername } from './servername.ts';
import { dialledHost, tunnelPlace, unixPathOf } from './sockets.ts';

/** What of a socket tells where it leads. */
interface SocketLike {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly encrypted?: boolean | undefined;
}

const DEFAULT_PORT = { http: 80, https: 443 } as const;

/** An HTTP request that was allowed, from then on until it has ended: what leaves must be what was judged. */
export class OpenRequest {
  readonly #scope: EgressScope;
  readonly #request: OutgoingRequest;
  readonly #host: string;
  readonly #place: string;
  #recorded = false;
  #ended = false;

  private constructor(scope: EgressScope, request: OutgoingRequest, host: string) {
    this.#scope = scope;
    this.#request = request;
    this.#host = host;
    this.#place = placeOf(request.scheme === 'https', host, request.port);
    scope.passes.open(this.#place);
  }

  /** Judges a request. The error is its refusal. */
  static begin(
    scope: EgressScope,
    request: OutgoingRequest,
    hostHeader: string | undefined,
    servername?: string | undefined,
  ): OpenRequest | Error {
    const name = nameOf(request);
    const error = refusalOf(scope, request, hostHeader === undefined ? [] : [hostHeader], servername);
    if (error === undefined) return new OpenRequest(scope, request, name);
    scope.passes.refuse(placeOf(request.scheme === 'https', name, request.port), error);
    return error;
  }

  /** Before headers leave: they say what was judged, whatever has been changed since. */
  stating({ method, path, host }: Statement): Error | undefined {
    const judged = this.#request;
    if (method !== judged.method || path !== judged.path) {
      const restated = { ...judged, method, path };
      const error = refusalOfForm(this.#scope, restated, this.#host) ?? this.#scope.request(restated);
      if (error !== undefined) return this.#refused(error);
    }
    return this.#refused(refusalOfHeader(this.#scope, judged, this.#host, host));
  }

  /** Before anything is written to a connected socket: it leads to where the request was allowed to go. */
  sending(socket: SocketLike & object): Error | undefined {
    const { verified } = this.#scope;
    const known = verified.get(socket);
    const address = socket.remoteAddress;
    if (known === undefined || known.place !== this.#place || known.address !== address) {
      const error = this.#verify(socket, address);
      if (error !== undefined) return this.#refused(error);
      if (address !== undefined) verified.set(socket, { place: this.#place, address });
    }
    // Of a tunnel that is the address of the proxy.
    return this.#record(tunnelPlace(socket) === undefined ? address : undefined);
  }

  #verify(socket: SocketLike & object, address: string | undefined): Error | undefined {
    const path = unixPathOf(socket);
    if (path !== undefined) return this.#verifyUnix(socket, path);
    const target = this.#target;
    const tunnel = tunnelPlace(socket);
    if (tunnel !== undefined) return tunnel === this.#place ? undefined : this.#scope.refuse('request-target', target);
    const { scheme, port } = this.#request;
    if (
      address === undefined ||
      socket.remotePort !== port ||
      (socket.encrypted === true) !== (scheme === 'https') ||
      dialledHost(socket) !== this.#host
    ) {
      const refusal = this.#scope.refuse('request-target', target);
      if (refusal !== undefined || address === undefined) return refusal;
    }
    // An address that stands in the URL was judged with the rule that allows it.
    return address === this.#host ? undefined : this.#scope.address({ ...target, addr: address }, address);
  }

  /** A connection in a pool may have been opened for a session that may go there. */
  #verifyUnix(socket: object, path: string): Error | undefined {
    const { unixSockets } = this.#scope.passes;
    if (unixSockets.has(socket)) return undefined;
    const error = this.#scope.way('unix-socket', path);
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
    this.#scope.passes.close(this.#place);
    // Its connection was refused, and that is on record.
    if (findLeashError(error) !== undefined) return;
    // It never got so far, but its name may have been asked for, and a connection may have been tried.
    this.#record(undefined);
  }

  #record(addr: string | undefined): Error | undefined {
    if (this.#recorded) return undefined;
    this.#recorded = true;
    return this.#scope.reached({ ...this.#target, addr });
  }

  get #target(): Target {
    return { scheme: this.#request.scheme, host: this.#host, port: this.#request.port };
  }
}

/**
 * What a scope says of a request, and of what stands beside it.
 *
 * @param hosts what is sent as `Host`, as often as it is.
 */
export function refusalOf(
  scope: EgressScope,
  request: OutgoingRequest,
  hosts: readonly string[],
  servername: unknown,
): Error | undefined {
  const name = nameOf(request);
  let error = refusalOfForm(scope, request, name) ?? scope.request(request);
  for (const host of hosts) error ??= refusalOfHeader(scope, request, name, host);
  return error ?? refusalOfServername(scope, targetOf(request, name), servername);
}

function nameOf({ host: text }: OutgoingRequest): string {
  const host = canonicalHost(text);
  return host === undefined ? text : formatHost(host);
}

function targetOf({ scheme, port }: OutgoingRequest, host: string): Target {
  return { scheme, host, port };
}

/** What no rule can allow: a tunnel, and a target that names another host than the one that is connected to. */
function refusalOfForm(scope: EgressScope, request: OutgoingRequest, host: string): Error | undefined {
  const target = targetOf(request, host);
  if (/^connect$/i.test(request.method)) {
    return scope.refuse('connect-method', target);
  }
  if (!request.path.startsWith('/')) {
    return scope.refuse('request-target', target);
  }
  return undefined;
}

function refusalOfHeader(
  scope: EgressScope,
  request: OutgoingRequest,
  host: string,
  header: string | undefined,
): Error | undefined {
  if (header === undefined || says(header, request, host)) return undefined;
  return scope.refuse('host-header-mismatch', targetOf(request, host));
}

/** RFC 9110 §7.2: the header holds host and port of the target; a port may be left out where it is usual. */
function says(header: string, { scheme, port }: OutgoingRequest, host: string): boolean {
  const [, name, digits] = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(header) ?? [];
  if (name === undefined) return false;
  const stated = digits === undefined || digits === '' ? DEFAULT_PORT[scheme] : Number(digits);
  const found = canonicalHost(name);
  return stated === port && found !== undefined && formatHost(found) === host;
}
