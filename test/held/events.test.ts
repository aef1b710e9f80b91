import { exec, execFile, execFileSync, execSync, fork, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { promises as dnsPromises, lookup, Resolver } from 'node:dns';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { Agent, createServer } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { Agent as HttpsAgent } from 'node:https';
import { type AddressInfo, connect, createServer as createNetServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { Worker } from 'node:worker_threads';
import * as undici8 from 'undici';
import * as undici7 from 'undici-7';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { findLeashError } from '../../src/errors.ts';
import { type EgressOptions, egress } from '../../src/guards/egress.ts';
import { type HeldLeash, holdWith } from '../helpers/held-leash.ts';
import { httpGet, openWebSocket } from '../helpers/http-get.ts';
import { certificate, type Place, startPlace, startSecurePlace } from '../helpers/places.ts';

const { cert: ca } = certificate;
let plain: Place;
let secure: Place;

beforeAll(async () => {
  [plain, secure] = await Promise.all([startPlace(), startSecurePlace()]);
});
afterAll(async () => {
  await Promise.all([plain[Symbol.asyncDispose](), secure[Symbol.asyncDispose]()]);
});

const http = (host: string): string => `http://${host}:${plain.port}/secret-path?secret=query`;
const https = (host: string): string => `https://${host}:${secure.port}/secret-path?secret=query`;

/** What the log says after a call, with ports by name. A line that comes late comes with the end of the leash. */
async function saidOf(held: HeldLeash, body: () => unknown): Promise<readonly string[]> {
  await held.call(async () => {
    await Promise.resolve(body()).catch((error: unknown) => {
      if (findLeashError(error) === undefined) throw error;
    });
    await new Promise((resolve) => setTimeout(resolve, 5));
  });
  await held.leash.close();
  const lines = held.lines();
  for (const line of lines) {
    expect(line.tool).toBe('t');
    expect(line.call).toMatch(/^[0-9a-f-]{36}$/);
  }
  expect(held.sink.lines.join()).not.toContain('secret');
  return held.said().map((text) => text.replace(`:${plain.port}`, ':plain').replace(`:${secure.port}`, ':secure'));
}

const rules = (): EgressOptions => ({
  allow: [`http://a.test:${plain.port}`, `https://a.test:${secure.port}`, `http://private.test:${plain.port}`],
  resolver: (host) => [host === 'private.test' ? '10.0.0.1' : '127.0.0.1'],
});

const text = async (answer: PromiseLike<{ body: { text(): Promise<string> } }>): Promise<string> =>
  (await answer).body.text();

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
  });
}

interface Way {
  readonly name: string;
  readonly secure?: boolean;
  get(url: string): unknown;
}

const ways: readonly Way[] = [
  { name: 'fetch', get: async (url) => (await fetch(url)).text() },
  {
    name: 'fetch of a Request',
    get: async (url) => (await fetch(new Request(url, { method: 'POST', body: 'x' }))).text(),
  },
  {
    name: 'fetch with a dispatcher',
    get: async (url) => (await fetch(url, { dispatcher: new undici7.Agent() as never })).text(),
  },
  { name: 'WebSocket', get: (url) => openWebSocket(url.replace('http', 'ws')).catch(() => 'refused') },
  { name: 'undici 8 request', get: (url) => text(undici8.request(url)) },
  { name: 'undici 8 fetch', get: async (url) => (await undici8.fetch(url)).text() },
  {
    name: 'undici 8 Client',
    get: (url) => text(new undici8.Client(new URL(url).origin).request({ path: '/', method: 'GET' })),
  },
  {
    name: 'undici 8 Pool',
    get: (url) => text(new undici8.Pool(new URL(url).origin, { connections: 1 }).request({ path: '/', method: 'GET' })),
  },
  {
    name: 'undici 8 RetryAgent',
    get: (url) => text(undici8.request(url, { dispatcher: new undici8.RetryAgent(new undici8.Agent()) })),
  },
  { name: 'undici 7 request', get: (url) => text(undici7.request(url)) },
  { name: 'undici 7 fetch', get: async (url) => (await undici7.fetch(url)).text() },
  {
    name: 'undici 7 Client',
    get: (url) => text(new undici7.Client(new URL(url).origin).request({ path: '/', method: 'GET' })),
  },
  {
    name: 'undici 7 Pool',
    get: (url) => text(new undici7.Pool(new URL(url).origin, { connections: 1 }).request({ path: '/', method: 'GET' })),
  },
  { name: 'http with the global agent', get: (url) => httpGet(url) },
  { name: 'http without an agent', get: (url) => httpGet(url, { agent: false }) },
  {
    name: 'http with an agent that keeps connections',
    get: (url) => httpGet(url, { agent: new Agent({ keepAlive: true }) }),
  },
  {
    name: 'http with a socket of its own',
    get: (url) => httpGet(url, { createConnection: (options) => connect(options as never) }),
  },
  { name: 'https with the global agent', secure: true, get: (url) => httpGet(url, { ca }) },
  { name: 'https without an agent', secure: true, get: (url) => httpGet(url, { ca, agent: false }) },
  { name: 'https with an agent', secure: true, get: (url) => httpGet(url, { agent: new HttpsAgent({ ca }) }) },
  {
    name: 'undici 8 over TLS',
    secure: true,
    get: (url) => text(undici8.request(url, { dispatcher: new undici8.Agent({ connect: { ca } }) })),
  },
  {
    name: 'undici 7 over TLS',
    secure: true,
    get: (url) => text(undici7.request(url, { dispatcher: new undici7.Agent({ connect: { ca } }) })),
  },
  {
    name: 'fetch over TLS',
    secure: true,
    get: async (url) => (await fetch(url, { dispatcher: new undici7.Agent({ connect: { ca } }) as never })).text(),
  },
];

describe.each(['deny', 'allow'] as const)('a request, with rawSockets: %o', (rawSockets) => {
  it.each(ways)('$name: one event if it is allowed', async ({ secure: tls, get }) => {
    const url = tls ? https('a.test') : http('a.test');
    const scheme = tls ? 'https' : 'http';
    const said = await saidOf(holdWith({ ...rules(), rawSockets }), () => get(url));
    expect(said).toEqual([`ok ${scheme} a.test:${tls ? 'secure' : 'plain'} 127.0.0.1`]);
  });

  it.each(ways)('$name: one event if its host is not allowed', async ({ secure: tls, get }) => {
    const url = tls ? https('b.test') : http('b.test');
    const before = plain.connections() + secure.connections();
    const said = await saidOf(holdWith({ ...rules(), rawSockets }), () => get(url));
    expect(said).toEqual([`denied ${tls ? 'https' : 'http'} b.test:${tls ? 'secure' : 'plain'} host-not-allowed`]);
    expect(plain.connections() + secure.connections()).toBe(before);
  });
});

it.each(ways.filter((way) => !way.secure))('$name: one event if the address is not allowed', async ({ get }) => {
  const said = await saidOf(holdWith(rules()), () => get(http('private.test')));
  expect(said).toEqual(['denied dns private.test:plain 10.0.0.1 address:private']);
});

describe('a request that is given up is one event, though undici connects anew by itself', () => {
  // Later versions do not.
  const anew = (options?: undici7.Agent.Options) => new undici7.Agent(options);
  const givenUp: readonly {
    name: string;
    secure?: boolean;
    go(held: HeldLeash, url: string, end: AbortController): unknown;
  }[] = [
    { name: 'fetch', go: (_, url, { signal }) => fetch(url, { signal, dispatcher: anew() as never }) },
    {
      name: 'leash.fetch',
      go: ({ leash }, url, { signal }) => leash.fetch(url, { signal, dispatcher: anew() as never }),
    },
    {
      name: 'undici 7 request',
      go: (_, url, { signal }) => undici7.request(url, { signal, dispatcher: anew() }),
    },
    {
      name: 'undici 7 over TLS',
      secure: true,
      go: (_, url, { signal }) => undici7.request(url, { signal, dispatcher: anew({ connect: { ca } }) }),
    },
  ];

  it.each(givenUp)('$name', async ({ secure: tls, go }) => {
    await using server = await (tls ? startSecurePlace : startPlace)({
      respond: (_, response) => response.flushHeaders(),
    });
    const origin = `${tls ? 'https' : 'http'}://a.test:${server.port}`;
    await using held = holdWith({ allow: [origin] }, { stopOn: ['EGRESS_DENIED'] });
    const end = new AbortController();
    await held.call(async () => {
      await go(held, origin, end);
      end.abort();
    });
    await vi.waitFor(() => expect(server.connections()).toBe(2));
    expect([held.said(), held.leash.breach]).toEqual([[`ok ${origin.replace('://', ' ')} 127.0.0.1`], undefined]);
    // A connection that undici does not make is one that nobody has asked for.
    const raw = held.call(() => once(connect(server.port, 'a.test'), 'connect'));
    await expect(raw).rejects.toMatchObject({ reason: 'scheme' });
  });
});

it('two requests on one connection are two events', async () => {
  const agent = new Agent({ keepAlive: true });
  const pool = new undici8.Agent({ connections: 1 });
  const before = plain.connections();
  const said = await saidOf(holdWith(rules()), async () => {
    await httpGet(http('a.test'), { agent });
    await new Promise(setImmediate);
    await httpGet(http('a.test'), { agent });
    await text(undici8.request(http('a.test'), { dispatcher: pool }));
    await text(undici8.request(http('a.test'), { dispatcher: pool }));
  });
  expect(said).toEqual(Array(4).fill('ok http a.test:plain 127.0.0.1'));
  expect(plain.connections() - before).toBe(2);
  agent.destroy();
  await pool.close();
});

describe('what is no HTTP request', () => {
  const raw: readonly { readonly name: string; readonly scheme: string; open(host: string): unknown }[] = [
    { name: 'net.connect', scheme: 'tcp', open: (host) => connected(connect(plain.port, host)) },
    {
      name: 'Socket.connect',
      scheme: 'tcp',
      open: (host) => connected(new Socket().connect({ host, port: plain.port })),
    },
    { name: 'tls.connect', scheme: 'tls', open: (host) => connected(connectTls({ host, port: secure.port, ca })) },
    {
      name: 'http2.connect',
      scheme: 'tls',
      open: (host) => {
        const session = connectHttp2(`https://${host}:${secure.port}`, { ca });
        return new Promise<void>((resolve, reject) => {
          // The server speaks HTTP/1 only; it was reached.
          session.on('error', (error) => (findLeashError(error) === undefined ? resolve() : reject(error)));
          session.on('connect', () => session.destroy());
          session.on('close', resolve);
        });
      },
    },
  ];
  const portOf = (scheme: string): string => (scheme === 'tls' ? 'secure' : 'plain');

  it.each(raw)('$name is refused', async ({ scheme, open }) => {
    const before = plain.connections() + secure.connections();
    expect(await saidOf(holdWith(rules()), () => open('a.test'))).toEqual([
      `denied ${scheme} a.test:${portOf(scheme)} scheme`,
    ]);
    expect(plain.connections() + secure.connections()).toBe(before);
  });

  it.each(raw)("$name is held with rawSockets: 'allow'", async ({ scheme, open }) => {
    const options = { ...rules(), rawSockets: 'allow' } as const;
    expect(await saidOf(holdWith(options), () => open('a.test'))).toEqual([
      `ok ${scheme} a.test:${portOf(scheme)} 127.0.0.1`,
    ]);
    expect(await saidOf(holdWith(options), () => open('b.test'))).toEqual([
      `denied ${scheme} b.test:${portOf(scheme)} host-not-allowed`,
    ]);
  });

  it('a connection is not that of a request to another port, or of one that has ended', async () => {
    const said = await saidOf(holdWith(rules()), async () => {
      const pending = fetch(http('a.test'));
      await expect(connected(connect(secure.port, 'a.test'))).rejects.toThrow('not allowed');
      await (await pending).text();
      await openWebSocket(http('a.test').replace('http', 'ws'));
      await new Promise<void>((resolve, reject) => {
        httpGet(http('a.test')).then(() => resolve(), reject);
      });
      await expect(connected(connect(plain.port, 'a.test'))).rejects.toThrow('not allowed');
    });
    expect(said.filter((line) => line.startsWith('denied'))).toEqual([
      'denied tcp a.test:secure port',
      'denied tcp a.test:plain scheme',
    ]);
  });

  const questions: readonly [string, (host: string) => unknown][] = [
    [
      'dns.lookup',
      (host) =>
        new Promise((resolve, reject) => lookup(host, (error, address) => (error ? reject(error) : resolve(address)))),
    ],
    [
      'dns.lookup with all',
      (host) =>
        new Promise((resolve, reject) =>
          lookup(host, { all: true }, (error, all) => (error ? reject(error) : resolve(all))),
        ),
    ],
    ['dns.promises.lookup', (host) => dnsPromises.lookup(host)],
  ];
  it.each(questions)('%s of a name that may be reached', async (_, ask) => {
    expect(await saidOf(holdWith(rules()), () => ask('a.test'))).toEqual(['ok dns a.test:0']);
    expect(await saidOf(holdWith(rules()), () => ask('b.test'))).toEqual(['denied dns b.test:0 host-not-allowed']);
    expect(await saidOf(holdWith(rules()), () => ask('private.test'))).toEqual([
      'denied dns private.test:0 10.0.0.1 address:private',
    ]);
    // An address is no question.
    expect(await saidOf(holdWith(rules()), () => ask('127.0.0.1'))).toEqual([]);
  });

  const refusedQuestions: readonly [string, () => unknown][] = [
    ['dns.promises.resolve4', () => dnsPromises.resolve4('a.test')],
    [
      'Resolver.resolveTxt',
      () =>
        new Promise((resolve, reject) =>
          new Resolver().resolveTxt('a.test', (error) => (error ? reject(error) : resolve(undefined))),
        ),
    ],
    ['promises.Resolver.reverse', () => new dnsPromises.Resolver().reverse('127.0.0.1')],
    ['lookupService', () => dnsPromises.lookupService('127.0.0.1', 80)],
  ];
  it.each(refusedQuestions)('%s is refused, whatever it asks for', async (_, ask) => {
    expect(await saidOf(holdWith(rules()), ask)).toEqual(['denied dns-query :0 dns-query']);
  });

  it('a datagram', async () => {
    const server = createSocket('udp4');
    const got: string[] = [];
    server.on('message', (message) => got.push(String(message)));
    server.bind(0, '127.0.0.1');
    await once(server, 'listening');
    const send = () =>
      new Promise((resolve, reject) => {
        const socket = createSocket('udp4');
        socket.send('hello', server.address().port, '127.0.0.1', (error) => {
          socket.close();
          if (error) reject(error);
          else resolve(undefined);
        });
      });
    expect(await saidOf(holdWith(rules()), send)).toEqual(['denied udp :0 udp']);
    expect(got).toEqual([]);
    expect(
      await saidOf(holdWith({ ...rules(), udp: 'allow' }), async () => {
        const arrived = once(server, 'message');
        await send();
        await arrived;
      }),
    ).toEqual(['ok udp :0']);
    expect(got).toEqual(['hello']);

    // Those that wait until the socket is bound are one event each, and so are those that do not.
    const several = createSocket('udp4');
    const held = holdWith({ ...rules(), udp: 'allow' });
    const { port } = server.address();
    const done = (): Promise<unknown> => new Promise((resolve) => several.send('x', port, '127.0.0.1', resolve));
    expect(
      await saidOf(held, async () => {
        await Promise.all([done(), done()]);
        await done();
      }),
    ).toEqual(Array(3).fill('ok udp :0'));

    // One that was refused counts for nothing, and one that waits when the session ends stays.
    const shared = createSocket('udp4');
    const sendTo = (): Promise<unknown> => new Promise((resolve) => shared.send('x', port, '127.0.0.1', resolve));
    await saidOf(holdWith(rules()), sendTo);
    shared.bind(0, '127.0.0.1');
    await once(shared, 'listening');
    expect(await saidOf(holdWith({ ...rules(), udp: 'allow' }), sendTo)).toEqual(['ok udp :0']);
    const stopped = holdWith({ ...rules(), udp: 'allow' });
    const late = createSocket('udp4');
    const told = await stopped.call(() => {
      const answer = new Promise((resolve) => late.send('late', port, '127.0.0.1', resolve));
      stopped.leash.stop('enough');
      return answer.then((error) => (error as { reason?: string } | undefined)?.reason);
    });
    expect(told).toBe('revoked');
    expect(got).not.toContain('late');
    for (const socket of [several, shared, late, server]) socket.close();
  });

  const node = process.execPath;
  const ended = (child: NodeJS.EventEmitter): Promise<unknown> => once(child, 'close');
  const children: readonly [string, () => unknown][] = [
    ['spawn', () => ended(spawn(node, ['-v']))],
    ['exec', () => ended(exec(`${node} -v`))],
    ['execFile', () => ended(execFile(node, ['-v']))],
    ['fork', () => ended(fork('-v', { execArgv: [], silent: true, execPath: node }))],
    ['spawnSync', () => spawnSync(node, ['-v'])],
    ['execSync', () => execSync(`${node} -v`)],
    ['execFileSync', () => execFileSync(node, ['-v'])],
  ];
  it.each(children)('a child process by %s', async (_, run) => {
    const start = async (): Promise<unknown> => run();
    expect(await saidOf(holdWith(rules()), start)).toEqual(['denied child-process :0 child-process']);
    expect(await saidOf(holdWith({ ...rules(), childProcess: 'allow' }), start)).toEqual(['ok child-process :0']);
  });

  it('a worker', async () => {
    const start = async (): Promise<void> => void (await once(new Worker('', { eval: true }), 'exit'));
    expect(await saidOf(holdWith(rules()), start)).toEqual(['denied worker :0 worker']);
    expect(await saidOf(holdWith({ ...rules(), workers: 'allow' }), start)).toEqual(['ok worker :0']);
  });

  it('a binding of the runtime', async () => {
    const bind = async (): Promise<void> => (process as unknown as { binding(name: string): void }).binding('tcp_wrap');
    expect(await saidOf(holdWith(rules()), bind)).toEqual(['denied process-binding :0 process-binding']);
  });

  describe('a unix socket', () => {
    const path = join(tmpdir(), `leash-${process.pid}-secret.sock`);
    const server = createServer((_, response) => void response.end('unix'));
    beforeAll(() => new Promise<void>((resolve) => server.listen(path, resolve)));
    afterAll(() => {
      server.close();
      rmSync(path, { force: true });
    });
    const open = () => connected(connect(path));

    it('is refused', async () => {
      expect(await saidOf(holdWith(rules()), open)).toEqual(['denied unix-socket :0 unix-socket']);
      const request = () => httpGet('http://a.test/', { socketPath: path });
      const refused = await saidOf(holdWith({ ...rules(), allow: ['http://a.test'] }), request);
      expect(refused).toEqual(['denied unix-socket :0 unix-socket']);
    });

    it('is let out where its path is listed', async () => {
      const options = { ...rules(), allow: ['http://a.test'], unix: [path] };
      expect(await saidOf(holdWith(options), open)).toEqual(['ok unix-socket :0']);
      expect(await saidOf(holdWith({ ...options, unix: [`${path}x`] }), open)).toEqual([
        'denied unix-socket :0 unix-socket',
      ]);
      const request = () => httpGet('http://a.test/', { socketPath: path, agent: false });
      expect(await saidOf(holdWith(options), request)).toEqual(['ok unix-socket :0', 'ok http a.test:80']);
    });

    it('that is open already is nothing to a session that may not go there', async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const client = new undici8.Client('http://a.test', { socketPath: path });
      const gets = async () => {
        await httpGet('http://a.test/', { socketPath: path, agent });
        await text(client.request({ path: '/', method: 'GET' }));
      };
      const ways = { ...rules(), allow: ['http://a.test'] };
      const allowed = ['ok unix-socket :0', 'ok http a.test:80'];
      expect(await saidOf(holdWith({ ...ways, unix: [path] }), gets)).toEqual([...allowed, ...allowed]);
      expect(await saidOf(holdWith({ ...ways, unix: [path] }), gets)).toEqual([...allowed, ...allowed]);
      const other = holdWith(ways);
      expect(await saidOf(other, () => httpGet('http://a.test/', { socketPath: path, agent }))).toEqual([
        'denied unix-socket :0 unix-socket',
      ]);
      expect(await saidOf(holdWith(ways), () => text(client.request({ path: '/', method: 'GET' })))).toEqual([
        'denied unix-socket :0 unix-socket',
      ]);
      // Nor to one of whose guards one may, and holds code outside of the call too.
      const both = holdWith(ways, { guards: [egress({ ...ways, unix: [path], enforce: 'process' }), egress(ways)] });
      await httpGet('http://a.test/', { socketPath: path, agent });
      await expect(both.call(() => httpGet('http://a.test/', { socketPath: path, agent }))).rejects.toThrow('Unix');
      await both.leash.close();
      agent.destroy();
      await client.close();
    });
  });

  it('a server may listen, for it reaches nobody', async () => {
    const said = await saidOf(holdWith(rules()), async () => {
      const server = createNetServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      server.close();
    });
    expect(said).toEqual([]);
  });
});

it.each([
  ['[::1]', '::1'],
  ['[0:0::1]', '::1'],
  ['127.1', '127.0.0.1'],
])('an address in a URL, %s, has one form in the log', async (host, address) => {
  const server = createServer((_, response) => void response.end('ok')).listen(0, address);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `http://${host}:${port}/`;
  const reach = async () => {
    await (await fetch(url)).text();
    await text(undici8.request(url));
    await httpGet(url);
    await connected(connect(port, host.replace(/[[\]]/g, '')));
  };
  const name = address.includes(':') ? `[${address}]` : address;
  const open = holdWith({ allow: [`http://${name}:${port}`], rawSockets: 'allow' });
  const schemes = ['http', 'http', 'http', 'tcp'];
  expect(await saidOf(open, reach)).toEqual(schemes.map((scheme) => `ok ${scheme} ${name}:${port} ${address}`));
  for (const use of [() => fetch(url), () => httpGet(url, { agent: false })]) {
    expect(await saidOf(holdWith({ allow: [] }), use)).toEqual([`denied http ${name}:${port} host-not-allowed`]);
    const mismatch = () => httpGet(url, { headers: { host: 'b.test' } });
    const rules = { allow: [`http://${name}:${port}`] };
    expect(await saidOf(holdWith(rules), mismatch)).toEqual([`denied http ${name}:${port} host-header-mismatch`]);
  }
  server.close();
  server.closeAllConnections();
});
