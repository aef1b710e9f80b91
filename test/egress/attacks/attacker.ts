import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { IncomingMessage, RequestListener } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Certificate } from '../../helpers/certificate.ts';
import type { Contact } from './attack.ts';
import { noSuchName } from './dns-message.ts';
import { createPolyglot } from './polyglot.ts';

/** https://www.rfc-editor.org/rfc/rfc6455#section-1.3 */
const WEBSOCKET = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

type Response = Parameters<RequestListener>[1];

/** Listens on an address; on a free port if none is given. */
export async function listen(server: Server, address: string, port = 0): Promise<number> {
  server.listen(port, address);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** A server that answers everything it is asked, and reports all of it. */
export function createAttacker(certificate: Certificate, seen: (contact: Contact) => void): Server {
  return createPolyglot(certificate, {
    connection: () => seen('connection'),
    request: (request, response) => {
      seen('request');
      answerWith('evil', request, response);
    },
    upgrade: (request, socket) => {
      seen('upgrade');
      acceptUpgrade(request, socket);
    },
    tunnel: (_, socket) => {
      seen('tunnel');
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    },
  });
}

/** A text, or one event where events are wanted. */
export function answerWith(text: string, request: IncomingMessage, response: Response): void {
  request.resume();
  if (request.headers.accept === 'text/event-stream') {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`data: ${text}\n\n`);
  } else {
    response.end(text);
  }
}

export function acceptUpgrade({ headers }: IncomingMessage, socket: Socket): void {
  socket.on('error', () => {});
  const key = headers['sec-websocket-key'];
  const accept = key === undefined ? [] : [`Sec-WebSocket-Accept: ${sha1(key + WEBSOCKET)}`];
  const head = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade', ...accept];
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
}

function sha1(text: string): string {
  return createHash('sha1').update(text).digest('base64');
}

/** A unix socket of the attacker's. */
export async function listenPipe(path: string, seen: (contact: Contact) => void): Promise<void> {
  const server = createServer((socket) => {
    seen('pipe');
    socket.on('error', () => {});
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'));
  });
  server.listen(path);
  await once(server, 'listening');
}

/** Takes every packet, and answers what may be a DNS query. */
export async function listenUdp(
  family: 'udp4' | 'udp6',
  address: string,
  seen: (contact: Contact) => void,
): Promise<number> {
  const socket = createSocket(family);
  socket.on('message', (packet, from) => {
    seen('packet');
    if (packet.length > 17) socket.send(noSuchName(packet), from.port, from.address);
  });
  socket.bind(0, address);
  await once(socket, 'listening');
  return socket.address().port;
}
