import { AsyncResource } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ClientRequest } from 'node:http';
import type { Socket } from 'node:net';
import { OpenRequest } from './open-request.ts';
import { type Restore, replace } from './replace.ts';
import { readHead, type Statement } from './request-head.ts';
import type { CurrentScope, EgressScope } from './scope.ts';

const CREATED = 'http.client.request.created';
const FAILED = 'http.client.request.error';

/** What of a request the platform's types leave out. */
interface Request extends ClientRequest {
  /** The head as it will be sent, once it is fixed. */
  readonly _header?: string | null;
  _implicitHeader(): void;
}

type Port = { readonly port?: unknown } | undefined;

/** What a request is to connect to, as its agent was told: the `Host` header may say something else. */
const ports = new WeakMap<object, number>();

const open = new WeakMap<object, OpenRequest>();

/** Requests of `node:http` and `node:https`, whatever agent and library they come from. */
export function holdHttpRequests(current: CurrentScope): Restore {
  const created = (message: unknown): void => {
    const scope = current();
    if (scope !== undefined) hold(scope, (message as { request: Request }).request);
  };
  const failed = (message: unknown): void => {
    const { request, error } = message as { request: Request; error: unknown };
    open.get(request)?.ended(error);
  };
  subscribe(CREATED, created);
  subscribe(FAILED, failed);
  const { Agent } = process.getBuiltinModule('node:http');
  const prototype = Agent.prototype as unknown as { addRequest: unknown; createSocket: unknown };
  const restoreAdd = replace(prototype, 'addRequest', (original) => {
    return function addRequest(this: unknown, ...args: unknown[]): unknown {
      const [request, options, legacyPort] = args;
      if (current() !== undefined) ports.set(request as object, Number((options as Port)?.port ?? legacyPort));
      return Reflect.apply(original, this, args);
    };
  });
  const restoreCreate = replace(prototype, 'createSocket', (original) => {
    // An agent with a limit opens the connection of a request that waited when some other request has ended.
    return function createSocket(this: unknown, ...args: unknown[]): unknown {
      const waited = contextOf(args[0]);
      const create = (): unknown => Reflect.apply(original, this, args);
      return waited === undefined ? create() : waited.runInAsyncScope(create);
    };
  });
  return () => {
    unsubscribe(CREATED, created);
    unsubscribe(FAILED, failed);
    restoreAdd();
    restoreCreate();
  };
}

/** The context that the platform keeps with a request that has to wait for a connection. */
function contextOf(request: unknown): AsyncResource | undefined {
  if (typeof request !== 'object' || request === null) return undefined;
  for (const key of Object.getOwnPropertySymbols(request)) {
    const value = (request as Record<symbol, unknown>)[key];
    if (value instanceof AsyncResource && key.description === 'requestAsyncResource') return value;
  }
  return undefined;
}

function hold(scope: EgressScope, request: Request): void {
  const { method, path, host } = stated(request);
  const scheme = request.protocol === 'https:' ? 'https' : 'http';
  const port = ports.get(request) ?? portOf(host) ?? (scheme === 'https' ? 443 : 80);
  const opened = OpenRequest.begin(scope, { scheme, host: request.host, port, method, path }, host);
  if (opened instanceof Error) {
    request.destroy(opened);
    return;
  }
  open.set(request, opened);
  request.once('close', () => opened.ended(undefined));
  request.once('socket', (socket: Socket) => {
    const verify = (): void => {
      // Its connection was refused, and that is on record.
      if (socket.destroyed) return;
      const error = opened.sending(socket);
      if (error !== undefined) request.destroy(error);
    };
    if (socket.connecting) socket.once('connect', verify);
    else verify();
  });
  const { _implicitHeader: fixHead } = request;
  // Method, path and headers can be set until the head is fixed.
  request._implicitHeader = function (this: Request): void {
    const error = opened.stating(stated(this));
    if (error !== undefined) this.destroy(error);
    fixHead.call(this);
  };
}

function stated(request: Request): Statement {
  const head = request._header;
  if (typeof head === 'string') return readHead(head);
  const host = request.getHeader('host');
  return { method: request.method, path: request.path, host: host === undefined ? undefined : String(host) };
}

/** Without an agent: the platform writes the port into the header where it is not the usual one. */
function portOf(host: string | undefined): number | undefined {
  const digits = /:(\d+)$/.exec(host ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}
