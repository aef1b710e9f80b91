import { createHash } from 'node:crypto';
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type Certificate, selfSigned } from './certificate.ts';

export interface Place extends AsyncDisposable {
  readonly port: number;
  /** What requests asked for: `a.test:80/path`, by their `Host` header. */
  readonly asked: string[];
  /** TCP connections so far. */
  readonly connections: () => number;
}

export const certificate: Certificate = selfSigned(['a.test', 'b.test', 'localhost'], ['127.0.0.1']);

export interface PlaceOptions {
  readonly respond?: RequestListener;
  /** Of loopback. */
  readonly address?: string;
}

/** An HTTP server on loopback that takes WebSockets too. It answers with the path that it was asked for. */
export function startPlace(options: PlaceOptions = {}): Promise<Place> {
  return listen(createHttpServer({ keepAliveTimeout: 60_000 }), options);
}

export function startSecurePlace(options: PlaceOptions = {}): Promise<Place> {
  return listen(createHttpsServer({ ...certificate, keepAliveTimeout: 60_000 }), options);
}

async function listen(
  server: Server,
  { respond = (request, response) => void response.end(request.url), address = '127.0.0.1' }: PlaceOptions,
): Promise<Place> {
  const asked: string[] = [];
  const open = new Set<Duplex>();
  let connections = 0;
  server.on('request', (request, response) => {
    asked.push(`${request.headers.host}${request.url}`);
    request.resume();
    respond(request, response);
  });
  server.on('connection', (socket) => {
    connections++;
    open.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
  });
  server.on('upgrade', (request, socket) => {
    asked.push(`${request.headers.host}${request.url}`);
    socket.write(acceptWebSocket(request.headers['sec-websocket-key'] ?? ''));
    // A close frame for whatever frame comes.
    socket.once('data', () => socket.end(Buffer.of(0x88, 0x02, 0x03, 0xe8)));
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    connections: () => connections,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

/** RFC 6455 §4.2.2. */
function acceptWebSocket(key: string): string {
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  return [
    'HTTP/1.1 101 Switching Protocols',
    'upgrade: websocket',
    'connection: upgrade',
    `sec-websocket-accept: ${accept}`,
    '',
    '',
  ].join('\r\n');
}
