import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Goal } from './modules/ways-out.ts';

/** What an attacker wants to reach, on loopback, and what of it was reached. */
export interface Scene extends AsyncDisposable {
  readonly goal: Goal;
  /** In the order in which it was reached, also by what is still on its way. */
  contacts(): Promise<readonly string[]>;
}

const PRECIOUS = 'what must not change';

export async function openScene(): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), 'leashkit-isolated-'));
  const seen: string[] = [];
  const answer = (see: 'connection' | 'data', kind: string): Server =>
    createServer((socket) => {
      if (see === 'connection') seen.push(kind);
      socket.on('error', () => {});
      socket.on('data', () => {
        if (see === 'data') seen.push(kind);
        socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
      });
    });
  const tcp = answer('connection', 'tcp').listen(0, '127.0.0.1');
  const unix = answer('connection', 'unix').listen(join(folder, 'socket'));
  const database = answer('data', 'connection').listen(0, '127.0.0.1');
  const udp = createSocket('udp4').on('message', () => seen.push('udp'));
  udp.bind(0, '127.0.0.1');
  await Promise.all([tcp, unix, database, udp].map((server) => once(server, 'listening')));
  const connection = connect((database.address() as AddressInfo).port, '127.0.0.1');
  connection.on('error', () => {});
  await once(connection, 'connect');
  const secretFile = join(folder, 'secret.json');
  const newFile = join(folder, 'new');
  const logFile = join(folder, 'log');
  writeFileSync(secretFile, JSON.stringify({ secret: 'a secret' }));
  writeFileSync(logFile, PRECIOUS);
  const log = openSync(logFile, 'r+');
  return {
    goal: {
      port: (tcp.address() as AddressInfo).port,
      udpPort: udp.address().port,
      socketPath: join(folder, 'socket'),
      secretFile,
      newFile,
      connection: (connection as unknown as { readonly _handle: { readonly fd: number } })._handle.fd,
      log,
    },
    contacts: async () => {
      // Servers take what comes in order: when they have answered these, they have seen what came before.
      for (const server of [tcp, unix]) await knock(server);
      await knockByUdp(udp);
      const knocks = ['tcp', 'unix', 'udp'];
      return [
        ...seen.splice(0, seen.length).filter((kind, i, all) => !knocks.includes(kind) || all.lastIndexOf(kind) !== i),
        ...(existsSync(newFile) ? ['new file'] : []),
        ...(readFileSync(logFile, 'utf8') === PRECIOUS ? [] : ['log']),
      ];
    },
    async [Symbol.asyncDispose]() {
      connection.destroy();
      for (const server of [tcp, unix, database, udp]) server.close();
      closeSync(log);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function knock(server: Server): Promise<void> {
  const address = server.address() as AddressInfo | string;
  const socket = typeof address === 'string' ? connect(address) : connect(address.port, '127.0.0.1');
  socket.resume().write('knock');
  await once(socket, 'close');
}

async function knockByUdp(server: UdpSocket): Promise<void> {
  const arrived = once(server, 'message');
  const socket = createSocket('udp4');
  socket.send('knock', server.address().port, '127.0.0.1');
  await arrived;
  socket.close();
}
