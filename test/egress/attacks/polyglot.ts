import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type RequestListener,
} from 'node:http';
import { createServer as createHttp2Server, type ServerHttp2Session } from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { Certificate } from '../../helpers/certificate.ts';

/** What a server does with everything that clients may say to it. */
export interface Answers {
  connection?(socket: Socket): void;
  /** HTTP/1 and HTTP/2. */
  readonly request: RequestListener;
  /** WebSockets and other upgrades of HTTP/1. */
  upgrade(request: IncomingMessage, socket: Socket): void;
  tunnel(authority: string, socket: Socket): void;
  secure?(servername: string, socket: TLSSocket): void;
}

/** One port for HTTP/1 and HTTP/2, both in clear and under TLS: the first byte tells. */
export function createPolyglot(certificate: Certificate, answers: Answers): Server {
  const http = createHttp(answers);
  const http2 = createHttp2Server();
  http2.on('request', answers.request as never);
  http2.on('session', (session: ServerHttp2Session) => session.on('error', () => {}));
  http2.on('sessionError', () => {});
  const tls = createTlsServer({ ...certificate, ALPNProtocols: ['h2', 'http/1.1'] }, (socket) => {
    socket.on('error', () => {});
    answers.secure?.(socket.servername || '', socket);
    (socket.alpnProtocol === 'h2' ? http2 : http).emit('connection', socket);
  });
  tls.on('tlsClientError', () => {});
  return createServer((socket) => {
    socket.on('error', () => {});
    answers.connection?.(socket);
    socket.once('data', (first: Buffer) => {
      // SOCKS 5, whose client is told that no method of authentication will do.
      if (first[0] === 5) return void socket.end(Buffer.of(5, 0xff));
      socket.pause();
      const speaks = first[0] === 0x16 ? tls : first.toString('latin1', 0, 3) === 'PRI' ? http2 : http;
      socket.unshift(first);
      speaks.emit('connection', socket);
      process.nextTick(() => socket.resume());
    });
  });
}

function createHttp({ request, upgrade, tunnel }: Answers): HttpServer {
  const server = createHttpServer({ keepAliveTimeout: 60_000 }, request);
  server.on('upgrade', (request, socket) => upgrade(request, socket as Socket));
  server.on('connect', ({ url = '' }, socket) => tunnel(url, socket as Socket));
  server.on('clientError', (_, socket) => void socket.destroy());
  return server;
}
