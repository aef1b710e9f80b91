import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import { type Attack, family } from '../attack.ts';
import { answered, connected, opened, session, text } from '../outcome.ts';

/** No attacks: a leash that refuses everything would pass all others. */
export const allowed: readonly Attack[] = family(
  'the allowed host',
  [],
  [
    ['fetch', 'answers', ({ good }) => text(fetch(good.http))],
    ['fetch over TLS', 'answers', ({ good }) => text(fetch(good.https))],
    ['fetch of a Request', 'answers', ({ good }) => text(fetch(new Request(good.http, { method: 'POST', body: 'x' })))],
    ['fetch through a redirect', 'answers', ({ good }) => text(fetch(good.hop(302, good.https)))],
    ['fetch of a name in upper case with a dot', 'answers', ({ good }) => text(fetch(`http://${good.host.toUpperCase()}.:${good.port}`))],
    ['fetch, many at once', 'answers', ({ good }) => Promise.all(Array.from({ length: 10 }, () => text(fetch(good.http))))],
    ['fetch beside one that is refused', 'answers', ({ good, evil }) => Promise.all([text(fetch(good.http)), text(fetch(evil.http)).catch(() => {})])],
    ['WebSocket', 'answers', ({ good }) => opened(new WebSocket(good.ws))],
    ['node:http', 'answers', ({ good }) => answered(http.get(good.http))],
    ['node:http with a Host header of its own', 'answers', ({ good }) => answered(http.get(good.http, { headers: { host: good.authority } }))],
    ['node:http with an agent', 'answers', ({ good }) => answered(http.get(good.http, { agent: new http.Agent({ keepAlive: true, maxSockets: 1 }) }))],
    ['node:https', 'answers', ({ good }) => answered(https.get(good.https))],
    ['node:http2', 'answers', ({ good }) => session(http2.connect(good.http)), { raw: true }],
    ['node:http2 over TLS', 'answers', ({ good }) => session(http2.connect(good.https)), { raw: true }],
    ['node:net', 'answers', ({ good }) => connected(net.connect(good.port, good.host)), { raw: true }],
    ['node:tls', 'answers', ({ good }) => connected(tls.connect(good.port, good.host, { servername: good.host }), 'secureConnect'), { raw: true }],
    ['undici.request', 'answers', async ({ good, undici }) => (await undici.request(good.http)).body.text(), { npm: true }],
    ['undici.fetch', 'answers', ({ good, undici }) => text(undici.fetch(good.hop(302, good.https))), { npm: true }],
    ['an undici Client', 'answers', async ({ good, undici }) => (await new undici.Client(good.https).request({ path: '/', method: 'GET' })).body.text(), { npm: true }],
    ['an undici Client over HTTP/2', 'answers', async ({ good, undici }) => (await new undici.Client(good.https, { allowH2: true }).request({ path: '/', method: 'GET' })).body.text(), { npm: true }],
    ['undici with interceptors', 'answers', async ({ good, undici }) => (await new undici.Agent().compose(undici.interceptors.retry(), undici.interceptors.cache()).request({ origin: good.http, path: '/', method: 'GET' })).body.text(), { npm: true }],
  ],
  { goal: 'good' },
);
