import { AsyncResource } from 'node:async_hooks';
import type { ClientRequest } from 'node:http';
import type { Socket } from 'node:net';
import { DEFAULT_PORT } from '../policy/scheme.ts';
import { bindEmitter } from './async-context.ts';
import { OpenRequest } from './open-request.ts';
import { originAt } from './origin.ts';
import { listen, type Restore, replace, together } from './replace.ts';
import { readHead, type Statement } from './request-head.ts';
import type { CurrentScope, EgressScope } from './scope.ts';
import { diallerOf } from './sockets.ts';

const OPEN = Symbol('leashkit.open-request');
const PORT = Symbol('leashkit.port');

/** What of a request the platform's types leave out. */
interface Request extends ClientRequest {
  /** The head as it will be sent, once it is fixed. */
  readonly _header?: string | null;
  [OPEN]?: OpenRequest;
  /** What it is to connect to, as its agent was told: the `Host` header may say something else. */
  [PORT]?: number;
}

/** Requests of `node:http` and `node:https`, whatever agent and library they come from. */
export function holdHttpRequests(current: CurrentScope): Restore {
  const listeners: Record<string, (message: unknown) => void> = {
    'http.client.request.created': (message) => {
      const scope = current();
      if (scope !== undefined) hold(scope, (message as { request: Request }).request);
    },
    'http.client.response.finish': (message) => (message as { request: Request }).request[OPEN]?.ended(undefined),
    'http.client.request.error': (message) => {
      const { request, error } = message as { request: Request; error: unknown };
      request[OPEN]?.ended(error);
    },
  };
  const { Agent, OutgoingMessage } = process.getBuiltinModule('node:http');
  const restores = [
    listen(listeners),
    replace(Agent.prototype as unknown as Record<string, unknown>, 'addRequest', (original) => {
      return function addRequest(this: unknown, ...args: unknown[]): unknown {
        if (current() !== undefined) {
          const [request, options, port] = args;
          (request as Request)[PORT] = Number(Object(options).port ?? port);
        }
        return Reflect.apply(original, this, args);
      };
    }),
    // An agent with a limit opens the connection of a request that waited when some other request has ended.
    replace(Agent.prototype as unknown as Record<string, unknown>, 'createSocket', (original) => {
      return function createSocket(this: unknown, ...args: unknown[]): unknown {
        const create = (): unknown => Reflect.apply(original, this, args);
        const waited = contextOf(args[0]);
        return waited === undefined ? create() : waited.runInAsyncScope(create);
      };
    }),
    // Method, path and headers can be set until the head is fixed, by whomever.
    replace(OutgoingMessage.prototype as unknown as Record<string, unknown>, '_storeHeader', (original) => {
      return function _storeHeader(this: unknown, ...args: unknown[]): unknown {
        const stored = Reflect.apply(original, this, args);
        const { [OPEN]: opened, _header: head } = this as Request;
        const error = opened === undefined ? undefined : opened.statingHead(String(head));
        if (error !== undefined) (this as Request).destroy(error);
        return stored;
      };
    }),
    replace(Agent.prototype as unknown as Record<string, unknown>, 'reuseSocket', (original) => {
      return function reuseSocket(this: unknown, ...args: unknown[]): unknown {
        const [socket, request] = args as [Socket, Request];
        // What is held looks at its socket by itself.
        if (current() === undefined && diallerOf(socket) !== undefined) {
          bindEmitter(request, new AsyncResource('leashkit.request'));
        }
        return Reflect.apply(original, this, args);
      };
    }),
  ];
  return together(restores);
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
  const statement = stated(request);
  const scheme = request.protocol === 'https:' ? 'https' : 'http';
  const port = request[PORT] ?? portOf(statement.host) ?? DEFAULT_PORT[scheme];
  const opened = OpenRequest.begin(scope, originAt(scheme, request.host, port), statement);
  if (opened instanceof Error) {
    request.destroy(opened);
    return;
  }
  request[OPEN] = opened;
  // Also where nobody tells how it ended: it was aborted without a word, or its connection is the client's from here on.
  request.once('close', () => opened.ended(undefined));
  const context = new AsyncResource('leashkit.request');
  request.once('socket', (socket: Socket) => {
    if (!socket.connecting && diallerOf(socket) !== scope) bindEmitter(request, context);
    const verify = (): void => {
      // Its connection was refused, and that is on record.
      if (socket.destroyed) return;
      const error = opened.sending(socket);
      if (error !== undefined) request.destroy(error);
    };
    if (socket.connecting) socket.once('connect', verify);
    else verify();
  });
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
