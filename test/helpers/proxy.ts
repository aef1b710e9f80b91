import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { certificate } from './places.ts';

export interface TestProxy extends AsyncDisposable {
  /** Without credentials. */
  readonly origin: string;
  readonly port: number;
  /** What it was asked for: `CONNECT a.test:80`, or another method with its target. */
  readonly asked: string[];
  /** `Proxy-Authorization` of each request. */
  readonly credentials: (string | undefined)[];
  /** TCP connections so far. */
  readonly connections: () => number;
  /** Connections that are open. */
  readonly open: ReadonlySet<Duplex>;
}

export interface ProxyOptions {
  readonly secure?: boolean;
  /** In place of a tunnel. */
  readonly connected?: (request: IncomingMessage, socket: Duplex) => void;
}

/** A proxy on loopback that takes every name for 127.0.0.1, and forwards nothing but tunnels. */
export async function startProxy({ secure = false, connected = tunnel }: ProxyOptions = {}): Promise<TestProxy> {
  const asked: string[] = [];
  const credentials: (string | undefined)[] = [];
  const open = new Set<Duplex>();
  let connections = 0;
  const server = secure ? createHttpsServer(certificate) : createServer();
  const note = ({ method, url, headers }: IncomingMessage): void => {
    asked.push(`${method} ${url}`);
    credentials.push(headers['proxy-authorization']);
  };
  server.on('request', (request, response) => {
    note(request);
    response.writeHead(501).end();
  });
  server.on('connect', (request, socket) => {
    note(request);
    socket.on('error', () => {});
    connected(request, socket);
  });
  server.on(secure ? 'secureConnection' : 'connection', (socket: Duplex) => {
    connections++;
    open.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `${secure ? 'https' : 'http'}://${secure ? 'localhost' : '127.0.0.1'}:${port}`,
    port,
    asked,
    credentials,
    connections: () => connections,
    open,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

function tunnel(request: IncomingMessage, socket: Duplex): void {
  const port = Number(/:(\d+)$/.exec(request.url ?? '')?.[1]);
  const target = connect(port, '127.0.0.1', () => {
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    target.pipe(socket).pipe(target);
  });
  target.on('error', () => socket.destroy());
  target.on('close', () => socket.destroy());
  socket.on('close', () => target.destroy());
}
