import { AsyncResource } from 'node:async_hooks';
import type { Socket } from 'node:net';
import { TextCache } from '../../internal/text-cache.ts';
import { portOf, schemeOf } from '../policy/scheme.ts';
import { bindBody, bindMethods } from './async-context.ts';
import { OpenRequest } from './open-request.ts';
import { type Origin, originAt } from './origin.ts';
import { listen, type Restore } from './replace.ts';
import type { CurrentScope } from './scope.ts';
import { diallerOf, goesUndici } from './sockets.ts';
import { HANDLER_METHODS } from './undici-handler.ts';

const OPEN = Symbol('leashkit.open-request');
const REFUSED = Symbol('leashkit.refused');
const CONTEXT = Symbol('leashkit.context');

/** What a request is told on its way, and hands on. */
const ANSWERS = [...HANDLER_METHODS, 'onBodySent', 'onRequestSent', 'onResponseStarted'];

/** Those that may come before a connection is known, or without one. */
const EARLY_ANSWERS = ['onConnect', 'onRequestStart', 'onError', 'onResponseError'];

/** A request of undici 5 to 8, of which only `origin`, `path`, `method` and `headers` are documented. */
interface Request {
  readonly origin?: unknown;
  readonly path?: unknown;
  readonly method?: unknown;
  readonly host?: unknown;
  readonly servername?: unknown;
  body?: unknown;
  [OPEN]?: OpenRequest;
  [CONTEXT]?: AsyncResource;
  [REFUSED]?: Error;
  readonly upgrade?: unknown;
  /** undici 8. */
  onResponseError?(error: Error): void;
  /** undici 5 to 7. */
  onError?(error: Error): void;
}

interface Message {
  readonly request: Request;
  readonly headers?: unknown;
  readonly socket?: Socket;
  readonly error?: unknown;
}

/** Where a client connects. */
type ConnectParams = Readonly<Record<'hostname' | 'protocol' | 'port', string>>;

/**
 * Requests of every copy of undici in the process, that of the runtime's `fetch`, `WebSocket` and `EventSource` included,
 * through whatever dispatcher: each copy publishes on the same channels.
 */
export function holdUndiciRequests(current: CurrentScope): Restore {
  const refuse = (request: Request, error: Error): void => {
    request[REFUSED] = error;
    // Nobody may throw into a channel: the request would go on.
    try {
      if (typeof request.onResponseError === 'function') request.onResponseError(error);
      else request.onError?.(error);
    } catch {}
  };
  const listeners: Record<string, (message: unknown) => void> = {
    'undici:request:create': (message) => {
      const scope = current();
      const { request } = message as Message;
      const context = new AsyncResource('leashkit.request');
      request[CONTEXT] = context;
      if (scope === undefined) return;
      const statement = { method: String(request.method), path: String(request.path), host: textOf(request.host) };
      const opened = OpenRequest.begin(scope, originOf(String(request.origin)), statement, textOf(request.servername));
      if (opened instanceof Error) {
        refuse(request, opened);
        return;
      }
      request[OPEN] = opened;
      bindMethods(request, EARLY_ANSWERS, context);
      request.body = bindBody(request.body, context);
    },
    // Headers are about to be written. Whoever could not be told above is stopped here.
    'undici:client:sendHeaders': (message) => {
      const { request, headers, socket } = message as Required<Message>;
      const earlier = request[REFUSED];
      const opened = request[OPEN];
      const error = earlier ?? opened?.statingHead(String(headers)) ?? opened?.sending(socket);
      if (error === undefined) {
        // Nobody tells how that one ends: the connection is the client's from here on.
        if (request.upgrade) opened?.ended(undefined);
        const context = request[CONTEXT];
        if (context !== undefined && diallerOf(socket) !== opened?.scope) {
          bindMethods(request, ANSWERS, context);
          // Of held code it has been bound from the start.
          if (opened === undefined) bindBody(request.body, context);
        }
        return;
      }
      if (earlier === undefined) refuse(request, error);
      socket.destroy(error);
    },
    'undici:client:beforeConnect': (message) => {
      const { hostname, protocol, port } = (message as { connectParams: ConnectParams }).connectParams;
      const scheme = schemeOf(protocol) ?? 'http';
      goesUndici(originAt(scheme, hostname, portOf(scheme, port)).place);
    },
    'undici:request:trailers': (message) => (message as Message).request[OPEN]?.ended(undefined),
    'undici:request:error': (message) => {
      const { request, error } = message as Message;
      request[OPEN]?.ended(error);
    },
  };
  return listen(listeners);
}

function textOf(value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : String(value);
}

const NOWHERE = originAt('http', '', 0);
const origins = new TextCache<Origin>();

function originOf(text: string): Origin {
  return origins.get(text) ?? origins.keep(text, readOrigin(text));
}

function readOrigin(text: string): Origin {
  try {
    const { protocol, hostname, port } = new URL(text);
    const scheme = schemeOf(protocol) ?? 'http';
    return originAt(scheme, hostname, portOf(scheme, port));
  } catch {
    return NOWHERE;
  }
}
