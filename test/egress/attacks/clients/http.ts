import http, { type ClientRequest, type RequestOptions } from 'node:http';
import https from 'node:https';
import { connect, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { type Attack, family, type Scene, type Site } from '../attack.ts';
import { answered, switched } from '../outcome.ts';
import { lying } from './dispatcher.ts';

const get = (target: string | URL | RequestOptions, options: RequestOptions = {}): Promise<string> => answered(typeof target === 'string' || target instanceof URL ? http.get(target, options) : http.get(target));
/** Host and port of a site as options. */
const to = ({ host, port }: Site): RequestOptions => ({ host, port });

/** Node takes the name in a Host header for the server's of TLS, in clear too, and hands it to the connection. */
const BOTH = { layers: ['http-requests', 'sockets'] } as const;

export const httpAttacks: readonly Attack[] = [
  ...family(
    'node:http',
    ['http-requests', 'sockets'],
    [
      ['get of a name', 'host-not-allowed', ({ evil }) => get(evil.http)],
      ['get of a URL object', 'host-not-allowed', ({ evil }) => get(new URL(evil.http))],
      ['get of an address', 'host-not-allowed', ({ evil }) => get(evil.address.http)],
      ['get of [::1]', 'host-not-allowed', ({ evil }) => get(evil.address6.http)],
      ['request', 'host-not-allowed', ({ evil }) => answered(http.request(evil.http, { method: 'POST' }))],
      ['a ClientRequest', 'host-not-allowed', ({ evil }) => answered(Reflect.construct(http.ClientRequest, [evil.http]))],
      ['host and port', 'host-not-allowed', ({ evil }) => get(to(evil))],
      ['hostname and port', 'host-not-allowed', ({ evil }) => get({ hostname: evil.host, port: evil.port })],
      ['hostname beside the allowed host', 'host-not-allowed', ({ evil, good }) => get({ host: good.host, hostname: evil.host, port: evil.port })],
      ['options over a URL of the allowed host', 'host-not-allowed', ({ evil, good }) => get(good.http, { hostname: evil.host, port: evil.port })],
      ['no agent', 'host-not-allowed', ({ evil }) => get(evil.http, { agent: false })],
      ['an agent of its own', 'host-not-allowed', ({ evil }) => get(evil.http, { agent: new http.Agent({ keepAlive: true }) })],
      ['an agent with one socket', 'host-not-allowed', ({ evil }) => get(evil.http, { agent: new http.Agent({ maxSockets: 1 }) })],
      ['upgrade', 'host-not-allowed', ({ evil }) => switched(http.get(evil.http, { headers: { connection: 'upgrade', upgrade: 'x' } }), 'upgrade')],
      ['expect: 100-continue', 'host-not-allowed', ({ evil }) => get(evil.http, { headers: { expect: '100-continue' } })],
      ['a Host header of the allowed host', 'host-not-allowed', ({ evil, good }) => get(evil.http, { headers: { host: good.authority } })],
      ['a Host header of the allowed host before an address', 'host-not-allowed', ({ evil, good }) => get(evil.address.http, { headers: { host: good.authority } })],
      ['no Host header', 'host-not-allowed', ({ evil }) => get(evil.http, { setHost: false, headers: { connection: 'close' } })],
      ['family 6', 'host-not-allowed', ({ evil }) => get({ host: '::1', port: evil.address6.port, family: 6 })],
      ['a local address', 'host-not-allowed', ({ evil }) => get(evil.http, { localAddress: '127.0.0.1' })],
      ['an octal host', 'host-not-allowed', ({ evil }) => get({ host: '0177.0.0.1', port: evil.port })],
      ['a host of one number', 'host-not-allowed', ({ evil }) => get({ host: '2130706433', port: evil.port })],
      ['a short host', 'host-not-allowed', ({ evil }) => get({ host: '127.1', port: evil.port })],
      ['an empty host', 'host-not-allowed', ({ evil }) => get({ host: '', port: evil.port })],
      ['no host', 'host-not-allowed', ({ evil }) => get({ port: evil.port })],
      ['a defaultPort', 'host-not-allowed', ({ evil }) => get({ host: evil.host, defaultPort: evil.port })],
      ['options that change when they are read', 'port', ({ evil, good }) => get(changing(good, evil))],
      ["an agent that is a proxy's", 'held', ({ evil, good }) => get(good.http, { agent: new http.Agent({ proxyEnv: { HTTP_PROXY: evil.http } } as object) }), { layers: ['sockets'], control: 'varies' }],
    ],
  ),
  ...family(
    'node:https',
    ['http-requests', 'sockets'],
    [
      ['get of a name', 'host-not-allowed', ({ evil }) => answered(https.get(evil.https))],
      ['get of an address', 'host-not-allowed', ({ evil }) => answered(https.get(evil.address.https))],
      ['an agent of its own', 'host-not-allowed', ({ evil }) => answered(https.get(evil.https, { agent: new https.Agent({ keepAlive: true }) }))],
      ["the allowed host's server name", 'host-not-allowed', ({ evil, good }) => answered(https.get(evil.https, { servername: good.host }))],
      ["the attacker's server name to the allowed host", 'servername-mismatch', ({ evil, good }) => answered(https.get(good.https, { servername: evil.host })), { layers: ['sockets'] }],
      ["the attacker's Host header to the allowed host", 'host-header-mismatch', ({ evil, good }) => answered(https.get(good.https, { headers: { host: evil.authority } }))],
    ],
  ),
  ...family(
    'node:http, to the allowed host that passes on',
    ['http-requests'],
    [
      ['a Host header', 'host-header-mismatch', ({ evil, good }) => get(good.http, { headers: { host: evil.authority } }), BOTH],
      ['a Host header in another case', 'host-header-mismatch', ({ evil, good }) => get(good.http, { headers: { HOST: evil.authority } }), BOTH],
      ['a Host header in a flat array', 'host-header-mismatch', ({ evil, good }) => get(good.http, { headers: ['Host', evil.authority] })],
      ['two Host headers', 'host-header-mismatch', ({ evil, good }) => get(good.http, { headers: ['Host', good.authority, 'Host', evil.authority] })],
      ['a Host header that is set later', 'host-header-mismatch', ({ evil, good }) => answered(http.request(good.http).setHeader('host', evil.authority))],
      ['a Host header that replaces another later', 'host-header-mismatch', ({ evil, good }) => answered(withHeader(http.request(good.http), evil))],
      ['a head that it hands to private functions', 'host-header-mismatch', written],
      ['an absolute request target', 'request-target', ({ evil, good }) => get({ ...to(good), path: `${evil.http}/` })],
      ['an absolute request target that is set later', 'request-target', ({ evil, good }) => answered(Object.assign(http.request(good.http), { path: `${evil.http}/` }))],
      ['CONNECT', 'connect-method', ({ evil, good }) => tunnelled(http.request({ ...to(good), method: 'CONNECT', path: evil.authority }))],
      ['CONNECT that is set later', 'request-target', ({ evil, good }) => tunnelled(Object.assign(http.request({ ...to(good), path: evil.authority }), { method: 'CONNECT' }))],
    ],
  ),
  ...family(
    'node:http, connecting elsewhere',
    ['sockets'],
    [
      ['createConnection of the request', 'host-not-allowed', ({ evil, good }) => get(good.http, { createConnection: () => connect(evil.port, '127.0.0.1') })],
      ['createConnection of an agent', 'host-not-allowed', ({ evil, good }) => get(good.http, { agent: agentTo(evil) })],
      ['an agent that is none', 'host-not-allowed', ({ evil, good }) => get(good.http, { agent: { addRequest: (request: ClientRequest) => void request.onSocket(connect(evil.port, '127.0.0.1')) } as never })],
      ['createConnection that calls back', 'host-not-allowed', ({ evil, good }) => get(good.http, { createConnection: callingBack(evil) })],
      ['a lookup that lies', 'held', ({ good }) => get(good.http, { lookup: lying('::1') })],
      ['a lookup that lies, of an agent', 'held', ({ good }) => get(good.http, { agent: new http.Agent({ lookup: lying('::1') }) })],
      ['socketPath', 'unix-socket', ({ evil }) => get({ socketPath: evil.path }), { layers: ['sockets'] }],
      ['socketPath beside the allowed host', 'unix-socket', ({ evil, good }) => get({ ...to(good), socketPath: evil.path }), { layers: ['sockets'] }],
      ['socketPath of an agent', 'unix-socket', ({ evil, good }) => get(good.http, { agent: new http.Agent({ socketPath: evil.path } as object) }), { layers: ['sockets'] }],
    ],
  ),
  ...family(
    'node:http, on a connection that was open before',
    ['http-requests'],
    [
      ['an agent of its own', 'host-not-allowed', (scene) => warm(scene, new http.Agent({ keepAlive: true }))],
      ['the global agent', 'host-not-allowed', (scene) => warm(scene, http.globalAgent)],
      ['TLS', 'host-not-allowed', warmTls],
      ['createConnection that gives the open socket', 'host-not-allowed', warmSocket],
      ['a Host header to the allowed host', 'host-header-mismatch', warmHeader],
      ['the response of the allowed host', 'host-not-allowed', (scene) => afterEvent(scene, 'response'), BOTH],
      ['the end of a response of the allowed host', 'host-not-allowed', (scene) => afterEvent(scene, 'end'), BOTH],
    ],
  ),
];

/** Options that name one host when they are read first, and another from then on. */
function changing(before: Site, after: Site): RequestOptions {
  let looked = 0;
  return {
    get host() {
      return looked++ === 0 ? before.host : after.host;
    },
    port: after.port,
  };
}

function withHeader(request: ClientRequest, { authority }: Site): ClientRequest {
  request.removeHeader('host');
  request.setHeaders(new Headers({ host: authority }));
  return request;
}

function written({ good, evil }: Scene): Promise<string> {
  const request = http.request(good.http) as ClientRequest & { _storeHeader(line: string, headers: object): void };
  request._storeHeader('GET / HTTP/1.1\r\n', { host: evil.authority });
  return answered(request);
}

function agentTo({ port }: Site): http.Agent {
  const agent = new http.Agent();
  return Object.assign(agent, { createConnection: () => connect(port, '127.0.0.1') });
}

function callingBack({ port }: Site): NonNullable<RequestOptions['createConnection']> {
  return (_, done) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => done(null, socket)).once('error', (error) => done(error, socket));
    return undefined;
  };
}

async function tunnelled(request: ClientRequest): Promise<void> {
  const socket = await switched(request, 'connect');
  await promisify((done: () => void) => socket.end('GET / HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n', done))();
}

async function warm({ evil, outside }: Scene, agent: http.Agent): Promise<string> {
  await outside(() => get(evil.http, { agent }));
  return get(evil.http, { agent });
}

async function warmTls({ evil, outside }: Scene): Promise<string> {
  const agent = new https.Agent({ keepAlive: true });
  await outside(() => answered(https.get(evil.https, { agent })));
  return answered(https.get(evil.https, { agent }));
}

async function warmSocket({ evil, outside }: Scene): Promise<string> {
  const socket = await outside(() => ready(connect(evil.port, '127.0.0.1')));
  return get(evil.http, { createConnection: () => socket });
}

async function warmHeader({ evil, good, outside }: Scene): Promise<string> {
  const agent = new http.Agent({ keepAlive: true });
  await outside(() => get(good.http, { agent }));
  return get(good.http, { agent, headers: { host: evil.authority } });
}

/** Callbacks of a connection, which code outside has opened. */
async function afterEvent({ evil, good, outside }: Scene, event: 'response' | 'end'): Promise<string> {
  const agent = new http.Agent({ keepAlive: true });
  await outside(() => get(good.http, { agent }));
  return new Promise((resolve, reject) => {
    const strike = (): void => void get(evil.http).then(resolve, reject);
    http.get(good.http, { agent }, (response) => {
      response.resume();
      if (event === 'response') strike();
      else response.once(event, strike);
    });
  });
}

async function ready(socket: Socket): Promise<Socket> {
  await promisify((done: () => void) => socket.once('connect', done))();
  return socket;
}
