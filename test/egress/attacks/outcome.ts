import type { ChildProcess } from 'node:child_process';
import { type EventEmitter, once } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { ClientHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';

/** How each kind of client says that it is done: promises that reject with the error that the client shows. */

/** The first of the events; rejects with `error`, and if `close` comes before. */
async function first(emitter: EventEmitter, event: string): Promise<unknown> {
  const cancel = new AbortController();
  const ended = once(emitter, 'close', { signal: cancel.signal }).then(() => {
    throw new Error(`closed before '${event}'`);
  });
  try {
    return (await Promise.race([once(emitter, event, { signal: cancel.signal }), ended]))[0];
  } finally {
    ended.catch(() => {});
    cancel.abort();
    // Errors after the first are nobody's.
    emitter.on('error', () => {});
  }
}

/** A connection, which then says something. */
export async function connected(socket: Socket, event = 'connect'): Promise<void> {
  await first(socket, event);
  await new Promise<void>((resolve) => {
    socket.end('GET / HTTP/1.0\r\n\r\n', resolve);
  });
}

/** The response to a request, read to its end. */
export async function answered(request: ClientRequest): Promise<string> {
  request.end();
  const response = (await first(request, 'response')) as IncomingMessage;
  const chunks = await response.setEncoding('utf8').toArray();
  return chunks.join('');
}

/** A request that leads to a tunnel or to another protocol. */
export async function switched(request: ClientRequest, event: 'connect' | 'upgrade'): Promise<Socket> {
  request.end();
  await first(request, event);
  return request.socket as Socket;
}

/** A request on an HTTP/2 session. */
export async function session(client: ClientHttp2Session, headers: Record<string, string> = {}): Promise<void> {
  const stream = client.request(headers).resume();
  try {
    await Promise.race([first(client, 'error'), first(stream, 'end')]);
  } finally {
    client.destroy();
  }
}

interface Events {
  addEventListener(
    type: string,
    listener: (event: { readonly error?: unknown }) => void,
    options: { once: true },
  ): void;
  close(): void;
}

/** A WebSocket or an EventSource. */
export function opened(events: Events): Promise<void> {
  return new Promise((resolve, reject) => {
    const open = (): void => {
      events.close();
      resolve();
    };
    const failed = ({ error }: { readonly error?: unknown }): void => {
      // An EventSource would try again.
      events.close();
      reject(error ?? new Error('failed without a reason'));
    };
    events.addEventListener('open', open, { once: true });
    events.addEventListener('error', failed, { once: true });
  });
}

export async function exited(child: ChildProcess): Promise<void> {
  await first(child, 'exit');
}

/** Reads a body to its end, as an allowed request would. */
export async function text(response: Promise<{ text(): Promise<string> }>): Promise<string> {
  return (await response).text();
}
