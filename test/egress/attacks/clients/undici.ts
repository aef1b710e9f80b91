import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { connect } from 'node:net';
import { PassThrough } from 'node:stream';
import { finished } from 'node:stream/promises';
import type * as Undici from 'undici';
import { type Attack, family, type Scene } from '../attack.ts';
import { opened } from '../outcome.ts';
import { lying } from './dispatcher.ts';

const read = async (response: Promise<Undici.Dispatcher.ResponseData>): Promise<string> => (await response).body.text();
const get = { path: '/', method: 'GET' } as const;
/** A request over a dispatcher of the tool's own. */
const ask = (dispatcher: Undici.Dispatcher, options: object = {}): Promise<string> => read(dispatcher.request({ ...get, ...options } as Undici.Dispatcher.RequestOptions));

const BOTH = { layers: ['undici-requests', 'sockets'] } as const;

export const undiciAttacks: readonly Attack[] = [
  ...family(
    'undici',
    ['undici-requests', 'sockets'],
    [
      ['request', 'host-not-allowed', ({ undici, evil }) => read(undici.request(evil.http))],
      ['request over TLS', 'host-not-allowed', ({ undici, evil }) => read(undici.request(evil.https))],
      ['request to an address', 'host-not-allowed', ({ undici, evil }) => read(undici.request(evil.address.http))],
      ['request to [::1]', 'host-not-allowed', ({ undici, evil }) => read(undici.request(evil.address6.http))],
      ['request with the allowed host as user', 'host-not-allowed', ({ undici, good, evil }) => read(undici.request(`http://${good.host}@${evil.authority}`))],
      ['request with the allowed host in the Host header', 'host-not-allowed', ({ undici, good, evil }) => read(undici.request(evil.http, { headers: { host: good.authority } }))],
      ['stream', 'host-not-allowed', ({ undici, evil }) => undici.stream(evil.http, { method: 'GET' }, () => new PassThrough().resume())],
      ['pipeline', 'host-not-allowed', ({ undici, evil }) => piped(undici.pipeline(evil.http, { method: 'GET' }, ({ body }) => body))],
      ['upgrade', 'host-not-allowed', ({ undici, evil }) => undici.upgrade(evil.http, { protocol: 'websocket' }).then(({ socket }) => socket.destroy())],
      ['connect', 'host-not-allowed', ({ undici, evil }) => undici.connect(evil.http).then(({ socket }) => socket.destroy())],
      ['Client', 'host-not-allowed', ({ undici, evil }) => ask(new undici.Client(evil.http))],
      ['Client with HTTP/2', 'host-not-allowed', ({ undici, evil }) => ask(new undici.Client(evil.https, { allowH2: true }))],
      ['Client with pipelining', 'host-not-allowed', ({ undici, evil }) => ask(new undici.Client(evil.http, { pipelining: 10 }))],
      ['Pool', 'host-not-allowed', ({ undici, evil }) => ask(new undici.Pool(evil.http, { connections: 1 }))],
      ['BalancedPool', 'host-not-allowed', ({ undici, evil }) => ask(new undici.BalancedPool([evil.http]))],
      ['Agent', 'host-not-allowed', ({ undici, evil }) => ask(new undici.Agent(), { origin: evil.http })],
      ['RetryAgent', 'host-not-allowed', ({ undici, evil }) => ask(new undici.RetryAgent(new undici.Agent(), { maxRetries: 2, minTimeout: 1 }), { origin: evil.http })],
      ['MockAgent that lets through', 'host-not-allowed', ({ undici, evil }) => ask(lettingThrough(undici), { origin: evil.http })],
      ['RoundRobinPool', 'host-not-allowed', ({ undici, evil }) => ask(newer(undici, 'RoundRobinPool', evil.http)), { control: 'varies' }],
      ['H2CClient', 'host-not-allowed', ({ undici, evil }) => ask(newer(undici, 'H2CClient', evil.http)), { control: 'varies' }],
      ['dispatch with handlers of its own', 'host-not-allowed', dispatched],
      ['WebSocket', 'host-not-allowed', ({ undici, evil }) => opened(new undici.WebSocket(evil.ws)), { quiet: true }],
      ['WebSocket with an Agent', 'host-not-allowed', ({ undici, evil }) => opened(new undici.WebSocket(evil.ws, { dispatcher: new undici.Agent() })), { quiet: true }],
      ['WebSocketStream', 'host-not-allowed', ({ undici, evil }) => streamed(new undici.WebSocketStream(evil.ws)), { quiet: true }],
      ['EventSource', 'host-not-allowed', ({ undici, evil }) => opened(new undici.EventSource(evil.http)), { quiet: true }],
      ['EventSource with an Agent', 'host-not-allowed', ({ undici, evil }) => opened(new undici.EventSource(evil.http, { node: { dispatcher: new undici.Agent() } })), { quiet: true }],
      ['an origin that changes when it is read', 'host-not-allowed', ({ undici, good, evil }) => ask(new undici.Agent(), { origin: changingOrigin(good.http, evil.http) }), { control: 'dies' }],
    ],
    { npm: true },
  ),
  ...family(
    'undici, by way of a proxy',
    ['undici-requests', 'sockets'],
    [
      ["the attacker's, to the allowed host", 'host-not-allowed', ({ undici, good, evil }) => ask(new undici.ProxyAgent(evil.http), { origin: good.http })],
      ["the attacker's, without a tunnel", 'host-not-allowed', ({ undici, good, evil }) => ask(new undici.ProxyAgent({ uri: evil.http, proxyTunnel: false }), { origin: good.http })],
      ["the allowed host's, to the attacker", ['host-not-allowed', 'connect-method', 'request-target'], ({ undici, good, evil }) => ask(new undici.ProxyAgent(good.http), { origin: evil.http }), { layers: ['undici-requests'] }],
      ["the allowed host's, to the attacker over TLS", 'host-not-allowed', ({ undici, good, evil }) => ask(new undici.ProxyAgent(good.http), { origin: evil.https }), { layers: ['undici-requests'] }],
      ["the allowed host's, without a tunnel", 'request-target', ({ undici, good, evil }) => ask(new undici.ProxyAgent({ uri: good.http, proxyTunnel: false }), { origin: evil.http }), { layers: ['undici-requests'] }],
      ["the attacker's, over SOCKS", 'host-not-allowed', ({ undici, good, evil }) => ask(newer(undici, 'Socks5ProxyAgent', `socks5://${evil.authority}`), { origin: good.http }), { layers: ['sockets'], control: 'varies' }],
      ['CONNECT to the allowed host', 'connect-method', tunnelled, { layers: ['undici-requests'] }],
      ['CONNECT as a method', 'fails', ({ undici, good, evil }) => ask(new undici.Client(good.http), { method: 'CONNECT', path: evil.authority }), { layers: ['undici-requests'], control: 'dies' }],
      ['an absolute request target', 'request-target', ({ undici, good, evil }) => ask(new undici.Client(good.http), { path: `${evil.http}/` }), { layers: ['undici-requests'] }],
      ['an absolute request target, by Agent', 'request-target', ({ undici, good, evil }) => ask(new undici.Agent(), { origin: good.http, path: `${evil.http}/` }), { layers: ['undici-requests'] }],
    ],
    { npm: true },
  ),
  ...family(
    'undici, to the allowed host that passes on',
    ['undici-requests'],
    [
      ['a Host header', 'host-header-mismatch', ({ undici, good, evil }) => read(undici.request(good.http, { headers: { host: evil.authority } }))],
      ['a Host header in another case', 'host-header-mismatch', ({ undici, good, evil }) => read(undici.request(good.http, { headers: { HoSt: evil.authority } }))],
      ['a Host header in a flat array', 'host-header-mismatch', ({ undici, good, evil }) => read(undici.request(good.http, { headers: ['Host', evil.authority] }))],
      ['a Host header in an iterable', 'host-header-mismatch', ({ undici, good, evil }) => read(undici.request(good.http, { headers: new Map([['host', evil.authority]]) }))],
      ['a Host header in an iterable that changes', 'held', ({ undici, good, evil }) => read(undici.request(good.http, { headers: changingHeaders(evil.authority) })), { control: 'dies' }],
      ['a Host header on a Client', 'host-header-mismatch', ({ undici, good, evil }) => ask(new undici.Client(good.http), { headers: { host: evil.authority } })],
      ['a Host header over TLS', 'host-header-mismatch', ({ undici, good, evil }) => read(undici.request(good.https, { headers: { host: evil.authority } })), BOTH],
      ['a path that is set when the request was judged', 'request-target', (scene) => changed(scene, (request, { evil }) => Object.assign(request, { path: `${evil.http}/` }))],
      ['a host that is set when the request was judged', 'host-header-mismatch', (scene) => changed(scene, (request, { evil }) => Object.assign(request, { host: evil.authority }))],
      ['a Host header that is added when the request was judged', 'host-header-mismatch', (scene) => changed(scene, (request, { evil }) => request.addHeader('host', evil.authority))],
      ['another server name', 'servername-mismatch', ({ undici, good, evil }) => ask(new undici.Client(good.https, { connect: { servername: evil.host } })), { layers: ['sockets'] }],
      ['another server name for one request', 'servername-mismatch', ({ undici, good, evil }) => ask(new undici.Client(good.https), { servername: evil.host }), BOTH],
    ],
    { npm: true },
  ),
  ...family(
    'undici, connecting elsewhere',
    ['sockets'],
    [
      ['a connect function', 'host-not-allowed', ({ undici, good, evil }) => ask(new undici.Client(good.http, { connect: (_, done) => connectTo(evil.port, done) }))],
      ['a connect function of an Agent', 'host-not-allowed', ({ undici, good, evil }) => ask(new undici.Agent({ connect: (_, done) => connectTo(evil.port, done) }), { origin: good.http })],
      // Whatever it answers is not asked: the allowed host is what is dialled.
      ['a lookup that lies', 'held', ({ undici, good }) => ask(new undici.Client(good.http, { connect: { lookup: lying('::1') } }))],
      ['a lookup that lies at once', 'held', ({ undici, good }) => ask(new undici.Client(good.http, { connect: { lookup: lyingAtOnce as never } }))],
      ['a Host header of the allowed host before an address', 'host-not-allowed', ({ undici, good, evil }) => ask(new undici.Client(evil.address.http), { headers: { host: good.authority } }), BOTH],
      ['another local address', 'host-not-allowed', ({ undici, evil }) => ask(new undici.Client(evil.http, { localAddress: '127.0.0.1' })), BOTH],
      ['socketPath', 'unix-socket', ({ undici, good, evil }) => ask(new undici.Client(good.http, { socketPath: evil.path })), { layers: ['sockets'] }],
      ['socketPath for connect', 'unix-socket', ({ undici, good, evil }) => ask(new undici.Agent({ connect: { socketPath: evil.path } }), { origin: good.http }), { layers: ['sockets'] }],
    ],
    { npm: true },
  ),
  ...family(
    'undici, on a connection that was open before',
    ['undici-requests'],
    [
      ['Agent', 'host-not-allowed', (scene) => warm(scene, new scene.undici.Agent(), { origin: scene.evil.http })],
      ['Client', 'host-not-allowed', (scene) => warm(scene, new scene.undici.Client(scene.evil.http))],
      ['Pool', 'host-not-allowed', (scene) => warm(scene, new scene.undici.Pool(scene.evil.http, { connections: 1 }))],
      ['Client with HTTP/2', 'host-not-allowed', (scene) => warm(scene, new scene.undici.Client(scene.evil.https, { allowH2: true }))],
      [
        'the global dispatcher',
        'host-not-allowed',
        async ({ undici, evil, outside }) => {
          await outside(() => read(undici.request(evil.http)));
          return read(undici.request(evil.http));
        },
      ],
      ['a ProxyAgent', ['host-not-allowed', 'connect-method', 'request-target'], (scene) => warm(scene, new scene.undici.ProxyAgent(scene.good.http), { origin: scene.evil.http })],
      ['through a redirect', 'host-not-allowed', warmRedirect],
      ['the end of a body', 'host-not-allowed', (scene) => afterEvent(scene, 'end'), BOTH],
      ['a chunk of a body', 'host-not-allowed', (scene) => afterEvent(scene, 'data'), BOTH],
      ['a handler of its own', 'host-not-allowed', afterHandler],
      ['a Host header to the allowed host', 'host-header-mismatch', (scene) => warm(scene, new scene.undici.Client(scene.good.http), {}, { headers: { host: scene.evil.authority } })],
      ['an absolute request target to the allowed host', 'request-target', (scene) => warm(scene, new scene.undici.Client(scene.good.http), {}, { path: `${scene.evil.http}/` })],
    ],
    { npm: true },
  ),
  ...family(
    'undici with interceptors',
    ['undici-requests', 'sockets'],
    [
      ['redirect', 'host-not-allowed', (scene) => throughRedirect(scene, ({ redirect }) => [redirect({ maxRedirections: 3 })])],
      ['redirect inside retry, dns and cache', 'host-not-allowed', (scene) => throughRedirect(scene, ({ redirect, retry, dns, cache }) => [redirect({ maxRedirections: 3 }), retry({ minTimeout: 1 }), dns(), cache()])],
      // Without a leash too, some versions of undici never answer.
      ['redirect around cache, dns and retry', 'host-not-allowed', (scene) => throughRedirect(scene, ({ redirect, retry, dns, cache }) => [cache(), dns(), retry({ minTimeout: 1 }), redirect({ maxRedirections: 3 })]), { control: 'varies' }],
      ['retry', 'host-not-allowed', ({ undici, evil }) => ask(new undici.Agent().compose(undici.interceptors.retry({ maxRetries: 2, minTimeout: 1 })), { origin: evil.http })],
      ['dns', 'host-not-allowed', ({ undici, evil }) => ask(new undici.Agent().compose(undici.interceptors.dns()), { origin: evil.http })],
      ['dns with a lookup of its own', 'host-not-allowed', ({ undici, good }) => ask(new undici.Agent().compose(undici.interceptors.dns({ lookup: toLoopback6 })), { origin: good.http })],
      ['cache', 'host-not-allowed', ({ undici, evil }) => ask(new undici.Agent().compose(undici.interceptors.cache()), { origin: evil.http })],
      ['dump', 'host-not-allowed', ({ undici, evil }) => ask(new undici.Agent().compose(undici.interceptors.dump()), { origin: evil.http })],
      ['decompress', 'host-not-allowed', ({ undici, evil }) => ask(new undici.Agent().compose(undici.interceptors.decompress()), { origin: evil.http })],
      ['one of its own that leads elsewhere', 'host-not-allowed', ({ undici, good, evil }) => ask(new undici.Agent().compose(leadingTo(evil.http)), { origin: good.http })],
      ['one of its own that waits', 'host-not-allowed', ({ undici, evil }) => ask(new undici.Agent().compose(waiting), { origin: evil.http })],
    ],
    { npm: true },
  ),
];

function throughRedirect({ undici, good, evil }: Scene, compose: (interceptors: typeof Undici.interceptors) => Undici.Dispatcher.DispatcherComposeInterceptor[]): Promise<string> {
  const path = good.hop(302, evil.http).slice(good.http.length);
  return ask(new undici.Agent().compose(...compose(undici.interceptors)), { origin: good.http, path });
}

const toLoopback6: NonNullable<Undici.interceptors.DNSInterceptorOpts['lookup']> = (_, __, done) => {
  done(null, [{ address: '::1', family: 6, ttl: 1 }]);
};

function leadingTo(origin: string): Undici.Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) => dispatch({ ...options, origin }, handler);
}

const waiting: Undici.Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) => {
  setTimeout(() => dispatch(options, handler), 5);
  return true;
};

/** Changes a request where undici lets everybody see it, behind whoever looked at it before. */
async function changed(scene: Scene, change: (request: { addHeader(name: string, value: string): unknown }, scene: Scene) => unknown): Promise<string> {
  const listener = (message: unknown): void => void change((message as { request: Parameters<typeof change>[0] }).request, scene);
  subscribe('undici:request:create', listener);
  try {
    return await ask(new scene.undici.Client(scene.good.http));
  } finally {
    unsubscribe('undici:request:create', listener);
  }
}

/** A class that not every version has. */
function newer(undici: object, name: string, url: string): Undici.Dispatcher {
  return Reflect.construct((undici as Record<string, new (url: string) => Undici.Dispatcher>)[name] as never, [url]);
}

function lettingThrough(undici: typeof Undici): Undici.MockAgent {
  const agent = new undici.MockAgent();
  agent.enableNetConnect();
  return agent;
}

async function piped(duplex: NodeJS.ReadWriteStream): Promise<void> {
  duplex.end();
  (duplex as unknown as NodeJS.ReadStream).resume();
  await finished(duplex);
}

async function streamed(stream: Undici.WebSocketStream): Promise<void> {
  // Rejects beside the other.
  stream.closed.catch(() => {});
  await stream.opened;
  stream.close();
}

/** The handler that undici 7 and 8 both take. */
function dispatched({ undici, evil }: Scene): Promise<void> {
  return new Promise((resolve, reject) => {
    new undici.Agent().dispatch(
      { ...get, origin: evil.http },
      {
        onRequestStart: () => {},
        onResponseStart: () => {},
        onResponseData: () => {},
        onResponseEnd: () => resolve(),
        onResponseError: (_: unknown, error: Error) => reject(error),
      },
    );
  });
}

function connectTo(port: number, done: Undici.buildConnector.Callback): void {
  const socket = connect(port, '127.0.0.1');
  socket.once('connect', () => done(null, socket));
  socket.once('error', (error) => done(error, null));
}

function lyingAtOnce(_: string, options: { all?: boolean }, done: (...results: unknown[]) => void): void {
  if (options.all) done(null, [{ address: '::1', family: 6 }]);
  else done(null, '::1', 6);
}

async function tunnelled({ undici, good, evil }: Scene): Promise<void> {
  const { socket } = await new undici.Client(good.http).connect({ path: evil.authority });
  socket.end('GET / HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n');
  await finished(socket.resume());
}

/** The same request twice: as code that is outside, and in the call, on the connection that is now open. */
async function warm({ outside }: Scene, dispatcher: Undici.Dispatcher, options: object = {}, changed: object = {}): Promise<string> {
  await outside(() => ask(dispatcher, options));
  return ask(dispatcher, { ...options, ...changed });
}

/** Callbacks of a connection are called by it, and it knows the code alone that has opened it. */
async function afterEvent({ undici, good, evil, outside }: Scene, event: 'data' | 'end'): Promise<unknown> {
  const agent = new undici.Agent();
  await outside(() => ask(agent, { origin: good.http }));
  const { body } = await agent.request({ ...get, origin: good.http });
  return new Promise((resolve, reject) => {
    body.once(event, () => read(undici.request(evil.http)).then(resolve, reject)).resume();
  });
}

async function afterHandler({ undici, good, evil, outside }: Scene): Promise<unknown> {
  const agent = new undici.Agent();
  await outside(() => ask(agent, { origin: good.http }));
  return new Promise((resolve, reject) => {
    agent.dispatch(
      { ...get, origin: good.http },
      {
        onRequestStart: () => {},
        onResponseStart: () => {},
        onResponseData: () => {},
        onResponseEnd: () => void read(undici.request(evil.http)).then(resolve, reject),
        onResponseError: (_: unknown, error: Error) => reject(error),
      },
    );
  });
}

async function warmRedirect({ undici, good, evil, outside }: Scene): Promise<string> {
  const agent = new undici.Agent();
  await outside(() => Promise.all([good, evil].map(({ http }) => ask(agent, { origin: http }))));
  const path = good.hop(302, evil.http).slice(good.http.length);
  return ask(agent.compose(undici.interceptors.redirect({ maxRedirections: 3 })), { origin: good.http, path });
}

function changingOrigin(before: string, after: string): URL {
  let looked = 0;
  const next = (): string => (looked++ === 0 ? before : after);
  return Object.defineProperties(new URL(before), { origin: { get: next }, toString: { value: next } });
}

function changingHeaders(host: string): Iterable<[string, string]> {
  let looked = 0;
  return { [Symbol.iterator]: () => (looked++ === 0 ? [] : [['host', host] as [string, string]])[Symbol.iterator]() };
}
