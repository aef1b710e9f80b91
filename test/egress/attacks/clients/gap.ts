import { AsyncLocalStorage } from 'node:async_hooks';
import { EventEmitter, once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { type Attack, family, type Scene } from '../attack.ts';
import { answered, connected, session, text } from '../outcome.ts';

/** From before there was a call. */
const snapshot = AsyncLocalStorage.snapshot();

/**
 * What is not held: each of these reaches the attacker under the leash too. A row that does so no longer is good news, and
 * moves to the others.
 */
export const gaps: readonly Attack[] = family(
  'not held',
  [],
  [
    ['a snapshot of the context outside', 'reaches', ({ evil }) => snapshot(() => text(fetch(evil.http)))],
    ['an event that code outside fires', 'reaches', firedOutside],
    ['a connect that was taken before', 'reaches', ({ early, evil }) => connected(Reflect.apply(early.connect, new net.Socket(), [evil.port, '127.0.0.1']))],
    ['a socket that was connected before', 'reaches', saidBefore],
    ['an HTTP/2 session that was open before', 'reaches', askedBefore],
    ['a request whose destroy it has replaced, to the allowed host that passes on', 'reaches', undying],
    ['another :authority to the allowed host that passes on', 'reaches', ({ evil, good }) => session(http2.connect(good.http), { ':authority': evil.authority }), { raw: true }],
    ['another server name in a connection to the allowed host that passes on', 'reaches', ({ evil, good }) => connected(tls.connect({ socket: net.connect(good.port, good.host), servername: evil.host }), 'secureConnect'), { raw: true }],
    ['words of its own to the allowed host that passes on', 'reaches', spoken, { raw: true }],
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

async function saidBefore({ evil, outside }: Scene): Promise<void> {
  const socket = await outside(async () => {
    const open = net.connect(evil.port, '127.0.0.1');
    await once(open, 'connect');
    return open;
  });
  await new Promise<void>((resolve) => socket.end('GET / HTTP/1.0\r\n\r\n', resolve));
}

async function askedBefore({ evil, outside }: Scene): Promise<void> {
  const client = await outside(async () => {
    const open = http2.connect(evil.http);
    await once(open, 'connect');
    return open;
  });
  await session(client);
}

/** What is refused after it was made is destroyed. */
function undying({ good, evil }: Scene): Promise<string> {
  const request = http.request(good.http).setHeader('host', evil.authority);
  return answered(Object.assign(request, { destroy: () => request }));
}

/** A request that no client of HTTP has made. */
async function spoken({ good, evil }: Scene): Promise<void> {
  const socket = net.connect(good.port, good.host).resume();
  const closed = once(socket, 'close');
  socket.end(`GET ${evil.http}/ HTTP/1.1\r\nHost: ${evil.authority}\r\nConnection: close\r\n\r\n`);
  await closed;
}
