import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import type { OutgoingRequest } from '../guard.ts';
import { OpenRequest } from './open-request.ts';
import type { Restore } from './replace.ts';
import { readHead } from './request-head.ts';
import type { CurrentScope } from './scope.ts';

/** A request of undici 5 to 8, of which only `origin`, `path`, `method` and `headers` are documented. */
interface Request {
  readonly origin?: unknown;
  readonly path?: unknown;
  readonly method?: unknown;
  readonly host?: unknown;
  readonly servername?: unknown;
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

/**
 * Requests of every copy of undici in the process, that of the runtime's `fetch`, `WebSocket` and `EventSource` included,
 * through whatever dispatcher: each copy publishes on the same channels.
 */
export function holdUndiciRequests(current: CurrentScope): Restore {
  const open = new WeakMap<Request, OpenRequest>();
  const refused = new WeakMap<Request, Error>();

  const refuse = (request: Request, error: Error): void => {
    refused.set(request, error);
    // Nobody may throw into a channel: the request would go on.
    try {
      if (typeof request.onResponseError === 'function') request.onResponseError(error);
      else request.onError?.(error);
    } catch {}
  };
  const listeners: Record<string, (message: unknown) => void> = {
    'undici:request:create': (message) => {
      const scope = current();
      if (scope === undefined) return;
      const { request } = message as Message;
      const opened = OpenRequest.begin(scope, outgoing(request), textOf(request.host), textOf(request.servername));
      if (opened instanceof Error) refuse(request, opened);
      else open.set(request, opened);
    },
    // Headers are about to be written. Whoever could not be told above is stopped here.
    'undici:client:sendHeaders': (message) => {
      const { request, headers, socket } = message as Required<Message>;
      const opened = open.get(request);
      const earlier = refused.get(request);
      const error = earlier ?? opened?.stating(readHead(String(headers))) ?? opened?.sending(socket);
      if (error === undefined) {
        // Nobody tells how that one ends: the connection is the client's from here on.
        if (request.upgrade) opened?.ended(undefined);
        return;
      }
      if (earlier === undefined) refuse(request, error);
      socket.destroy(error);
    },
    'undici:request:trailers': (message) => open.get((message as Message).request)?.ended(undefined),
    'undici:request:error': (message) => {
      const { request, error } = message as Message;
      open.get(request)?.ended(error);
    },
  };
  for (const [channel, listener] of Object.entries(listeners)) subscribe(channel, listener);
  return () => {
    for (const [channel, listener] of Object.entries(listeners)) unsubscribe(channel, listener);
  };
}

function textOf(value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : String(value);
}

const NOWHERE = { scheme: 'http', host: '', port: 0 } as const;
const MAX_ORIGINS = 1_000;
const origins = new Map<string, Pick<OutgoingRequest, 'scheme' | 'host' | 'port'>>();

function outgoing({ origin, method, path }: Request): OutgoingRequest {
  const text = String(origin);
  let place = origins.get(text);
  if (place === undefined) {
    place = readOrigin(text);
    if (origins.size >= MAX_ORIGINS) origins.clear();
    origins.set(text, place);
  }
  return { ...place, method: String(method), path: String(path) };
}

function readOrigin(text: string): Pick<OutgoingRequest, 'scheme' | 'host' | 'port'> {
  try {
    const { protocol, hostname, port } = new URL(text);
    const scheme = protocol === 'https:' || protocol === 'wss:' ? 'https' : 'http';
    return { scheme, host: hostname, port: port === '' ? (scheme === 'https' ? 443 : 80) : Number(port) };
  } catch {
    return NOWHERE;
  }
}
