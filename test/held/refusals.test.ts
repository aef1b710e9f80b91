import { exec, execFile, fork, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import dns, { promises as dnsPromises, lookup, Resolver, resolve4 } from 'node:dns';
import { once } from 'node:events';
import { Agent, get as getHttp, request as requestHttp } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { get as getHttps } from 'node:https';
import { register } from 'node:module';
import { type AddressInfo, connect, createServer, type LookupFunction } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Worker } from 'node:worker_threads';
import * as undici8 from 'undici';
import * as undici7 from 'undici-7';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type EgressDeniedError, findLeashError } from '../../src/errors.ts';
import { egress } from '../../src/guards/egress.ts';
import { createLeash } from '../../src/leash.ts';
import { holdWith } from '../helpers/held-leash.ts';
import { httpGet } from '../helpers/http-get.ts';
import { type Place, startPlace } from '../helpers/places.ts';

/** Nothing may come out anywhere else than where the caller looks. */
const stray: unknown[] = [];
const note = (error: unknown): void => void stray.push(error);
process.on('unhandledRejection', (error) => note({ rejected: error }));
process.on('uncaughtException', note);
afterAll(() => {
  process.removeAllListeners('unhandledRejection');
  process.off('uncaughtException', note);
});
afterEach(async () => {
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(stray.splice(0)).toEqual([]);
});

let place: Place;
beforeAll(async () => {
  place = await startPlace({
    respond: (request, response) => {
      const to = new URL(request.url ?? '', 'http://x').searchParams.get('to');
      if (to === null) response.end('ok');
      else response.writeHead(302, { location: to }).end();
    },
  });
});
afterAll(() => place[Symbol.asyncDispose]());

const url = (host: string): string => `http://${host}:${place.port}/`;
const held = () =>
  holdWith({
    allow: [`http://a.test:${place.port}`, `http://private.test:${place.port}`],
    resolver: (host) => [host === 'private.test' ? '10.0.0.1' : '127.0.0.1'],
  });

/** What a call is told: where the refusal is, and which. */
async function told(body: () => unknown): Promise<Record<string, unknown>> {
  await using leash = held();
  const before = place.connections();
  const error = await leash.call(body).then(
    (value) => expect.unreachable(`it was not refused: ${String(value)}`),
    (thrown: unknown) => thrown,
  );
  const found = findLeashError(error) as EgressDeniedError | undefined;
  expect(found).toMatchObject({ code: 'EGRESS_DENIED', tool: 't', guard: 'egress' });
  expect(place.connections()).toBe(before);
  expect(leash.lines().filter(({ kind }) => kind === 'egress_denied')).toHaveLength(1);
  const { host, reason } = found as EgressDeniedError;
  return { host, reason, ...(found === error ? {} : { cause: (error as Error).cause === found }) };
}

/** The refusal of `b.test` itself, or as the cause of what a client throws. */
const ITSELF = { host: 'b.test', reason: 'host-not-allowed' };
const AS_CAUSE = { ...ITSELF, cause: true };

const failed = (emitter: NodeJS.EventEmitter): Promise<never> =>
  once(emitter, 'error').then(([error]) => {
    throw error;
  });
const calledBack = (ask: (callback: (error: unknown) => void) => unknown): Promise<never> =>
  new Promise((_, reject) => {
    ask(reject);
  });
const text = async (answer: Promise<{ body: { text(): Promise<string> } }>) => (await answer).body.text();

describe('a denial is found', () => {
  const cases: readonly [string, object, () => unknown][] = [
    ['fetch', AS_CAUSE, () => fetch(url('b.test'))],
    ['fetch of a Request with a body', AS_CAUSE, () => fetch(new Request(url('b.test'), { method: 'PUT', body: 'x' }))],
    [
      'fetch with a stream as its body',
      AS_CAUSE,
      () => fetch(url('b.test'), { method: 'PUT', body: new Blob(['x']).stream(), duplex: 'half' }),
    ],
    ['undici 8 request', ITSELF, () => undici8.request(url('b.test'))],
    ['undici 8 fetch', AS_CAUSE, () => undici8.fetch(url('b.test'))],
    ['undici 8 stream', ITSELF, () => undici8.stream(url('b.test'), { method: 'GET' }, () => expect.unreachable())],
    [
      'undici 8 pipeline',
      ITSELF,
      () => failed(undici8.pipeline(url('b.test'), { method: 'GET' }, () => expect.unreachable()).end()),
    ],
    ['undici 8 upgrade', ITSELF, () => undici8.upgrade(url('b.test'))],
    ['undici 7 request', ITSELF, () => undici7.request(url('b.test'))],
    ['undici 7 fetch', AS_CAUSE, () => undici7.fetch(url('b.test'))],
    ['undici 7 stream', ITSELF, () => undici7.stream(url('b.test'), { method: 'GET' }, () => expect.unreachable())],
    [
      'undici 7 pipeline',
      ITSELF,
      () => failed(undici7.pipeline(url('b.test'), { method: 'GET' }, () => expect.unreachable()).end()),
    ],
    ['undici 7 upgrade', ITSELF, () => undici7.upgrade(url('b.test'))],
    ["'error' of http.get", ITSELF, () => failed(getHttp(url('b.test')))],
    ["'error' of http.get without an agent", ITSELF, () => failed(getHttp(url('b.test'), { agent: false }))],
    ["'error' of https.get", ITSELF, () => failed(getHttps('https://b.test/'))],
    ["'error' of net.connect", ITSELF, () => failed(connect(place.port, 'b.test'))],
    ["'error' of tls.connect", ITSELF, () => failed(connectTls(place.port, 'b.test'))],
    ["'error' of http2.connect", ITSELF, () => failed(connectHttp2('https://b.test/'))],
    ['the callback of dns.lookup', ITSELF, () => calledBack((callback) => lookup('b.test', callback))],
    ['dns.promises.lookup', ITSELF, () => dnsPromises.lookup('b.test')],
    [
      'the callback of dns.resolve4',
      { host: '', reason: 'dns-query' },
      () => calledBack((callback) => resolve4('a.test', callback)),
    ],
    [
      'the callback of a Resolver',
      { host: '', reason: 'dns-query' },
      () => calledBack((callback) => new Resolver().resolveAny('a.test', callback)),
    ],
    ['dns.promises.resolve', { host: '', reason: 'dns-query' }, () => dnsPromises.resolve('a.test', 'TXT')],
    [
      'the callback of a datagram',
      { host: '', reason: 'udp' },
      () => calledBack((callback) => createSocket('udp4').send('x', 9, '127.0.0.1', callback)),
    ],
    [
      "'error' of a datagram",
      { host: '', reason: 'udp' },
      () => {
        const socket = createSocket('udp4');
        socket.send('x', 9, '127.0.0.1');
        return failed(socket);
      },
    ],
    [
      "'error' of a datagram socket that connects",
      { host: '', reason: 'udp' },
      () => {
        const socket = createSocket('udp4');
        socket.connect(9, '127.0.0.1');
        return failed(socket);
      },
    ],
    ['what spawn throws', { host: '', reason: 'child-process' }, () => spawn('true')],
    ['what exec throws', { host: '', reason: 'child-process' }, () => exec('true')],
    ['what execFile throws', { host: '', reason: 'child-process' }, () => execFile('true')],
    ['what fork throws', { host: '', reason: 'child-process' }, () => fork('true')],
    ['what module.register throws', { host: '', reason: 'worker' }, () => register('data:text/javascript,')],
    [
      'what process.binding throws',
      { host: '', reason: 'process-binding' },
      () => (process as unknown as { binding(name: string): unknown }).binding('tcp_wrap'),
    ],
    ['what new Worker throws', { host: '', reason: 'worker' }, () => new Worker('', { eval: true })],
    [
      'an address, from fetch',
      { host: 'private.test', reason: 'address:private', cause: true },
      () => fetch(url('private.test')),
    ],
    [
      'an address, from http.get',
      { host: 'private.test', reason: 'address:private' },
      () => failed(getHttp(url('private.test'))),
    ],
    [
      'an address, from undici 8',
      { host: 'private.test', reason: 'address:private' },
      () => undici8.request(url('private.test')),
    ],
    [
      'an address, from undici 7',
      { host: 'private.test', reason: 'address:private' },
      () => undici7.request(url('private.test')),
    ],
    [
      'an address, from dns.lookup',
      { host: 'private.test', reason: 'address:private' },
      () => calledBack((callback) => lookup('private.test', callback)),
    ],
  ];
  it.each(cases)('%s', async (_, expected, body) => {
    expect(await told(body)).toEqual(expected);
  });

  it('WebSocket tells nobody why, but fails', async () => {
    await using leash = held();
    const event = await leash.call(
      async () => (await once(new WebSocket(url('b.test').replace('http', 'ws')), 'error'))[0],
    );
    expect(event).toMatchObject({ type: 'error' });
    expect(leash.said()).toEqual([`denied http b.test:${place.port} host-not-allowed`]);
  });
});

describe.each([
  ['undici 7', undici7],
  ['undici 8', undici8 as unknown as typeof undici7],
])('under interceptors of %s', (_, { Agent, request, interceptors }) => {
  const composed: readonly [string, () => undici7.Dispatcher][] = [
    ['redirect', () => new Agent().compose(interceptors.redirect({ maxRedirections: 5 }))],
    ['retry', () => new Agent().compose(interceptors.retry({ maxRetries: 2, minTimeout: 1, maxTimeout: 2 }))],
    // It asks by itself, so that the request is one to an address, which no rule allows.
    [
      'dns',
      () =>
        new Agent().compose(
          interceptors.dns({
            lookup: (_, __, callback) => callback(null, [{ address: '127.0.0.1', family: 4, ttl: 9 }]),
          }),
        ),
    ],
    ['cache', () => new Agent().compose(interceptors.cache())],
    ['dump', () => new Agent().compose(interceptors.dump())],
    ['responseError', () => new Agent().compose(interceptors.responseError())],
    [
      'all',
      () =>
        new Agent().compose(
          interceptors.redirect({ maxRedirections: 5 }),
          interceptors.retry({ minTimeout: 1 }),
          interceptors.cache(),
        ),
    ],
  ];

  it.each(composed)('%s: a denial arrives', async (name, dispatcher) => {
    await using leash = held();
    const error = await leash
      .call(() => request(url('b.test'), { dispatcher: dispatcher() }))
      .catch((thrown: unknown) => thrown);
    expect(findLeashError(error)).toMatchObject({ code: 'EGRESS_DENIED', reason: 'host-not-allowed' });
    const host = name === 'dns' ? '127.0.0.1' : 'b.test';
    expect(leash.said()).toContain(`denied http ${host}:${place.port} host-not-allowed`);
  });

  it.each(composed.filter(([name]) => name !== 'dns'))('%s: what is allowed arrives', async (_, dispatcher) => {
    await using leash = held();
    expect(await leash.call(() => text(request(url('a.test'), { dispatcher: dispatcher() })))).toBe(
      _ === 'dump' ? '' : 'ok',
    );
    expect(leash.said()).toEqual([`ok http a.test:${place.port} 127.0.0.1`]);
  });

  it('redirect: the second hop is denied', async () => {
    await using leash = held();
    const dispatcher = new Agent().compose(interceptors.redirect({ maxRedirections: 5 }));
    const to = encodeURIComponent(url('b.test'));
    const error = await leash
      .call(() => request(`${url('a.test')}?to=${to}`, { dispatcher }))
      .catch((thrown: unknown) => thrown);
    expect(findLeashError(error)).toMatchObject({ code: 'EGRESS_DENIED', host: 'b.test' });
    expect(leash.said()).toEqual([
      `ok http a.test:${place.port} 127.0.0.1`,
      `denied http b.test:${place.port} host-not-allowed`,
    ]);
  });
});

it('fetch is denied the second hop of a redirect', async () => {
  await using leash = held();
  const to = encodeURIComponent(url('b.test'));
  const error = await leash.call(() => fetch(`${url('a.test')}?to=${to}`)).catch((thrown: unknown) => thrown);
  expect(findLeashError(error)).toMatchObject({ code: 'EGRESS_DENIED', host: 'b.test' });
});

describe('what contradicts the URL', () => {
  const cases: readonly [string, string, () => unknown][] = [
    ['a Host header of http', 'host-header-mismatch', () => httpGet(url('a.test'), { headers: { host: 'b.test' } })],
    [
      'one among raw headers',
      'host-header-mismatch',
      () => httpGet(url('a.test'), { headers: ['Host', 'b.test'] as never }),
    ],
    [
      'one that is set later',
      'host-header-mismatch',
      () => {
        const request = requestHttp(url('a.test'));
        request.setHeader('host', 'b.test');
        return failed(request.end());
      },
    ],
    [
      'a path that is set later',
      'request-target',
      () => {
        const request = requestHttp(url('a.test'));
        request.path = 'http://b.test/';
        return failed(request.end());
      },
    ],
    [
      'an absolute path',
      'request-target',
      () => failed(getHttp({ host: 'a.test', port: place.port, path: 'http://b.test/' })),
    ],
    [
      'CONNECT of http',
      'connect-method',
      () => failed(getHttp({ host: 'a.test', port: place.port, method: 'CONNECT', path: 'b.test:80' })),
    ],
    [
      'a Host header of undici 8',
      'host-header-mismatch',
      () => undici8.request(url('a.test'), { headers: { host: 'b.test' } }),
    ],
    [
      'a Host header of undici 7',
      'host-header-mismatch',
      () => undici7.request(url('a.test'), { headers: { host: 'b.test' } }),
    ],
    ['CONNECT of undici 8', 'connect-method', () => undici8.connect(url('a.test'))],
    ['CONNECT of undici 7', 'connect-method', () => undici7.connect(url('a.test'))],
    [
      'a connector that goes elsewhere',
      'request-target',
      () =>
        undici8.request(url('a.test'), {
          dispatcher: new undici8.Agent({
            connect: (_, callback) => {
              setImmediate(callback, null, warm as never);
            },
          }),
        }),
    ],
  ];
  let warm: import('node:net').Socket;
  beforeAll(async () => {
    warm = connect(place.port, '127.0.0.1');
    await once(warm, 'connect');
  });
  afterAll(() => void warm.destroy());

  it.each(cases)('%s', async (_, reason, body) => {
    await using leash = held();
    const asked = place.asked.length;
    const error = await leash.call(body).catch((thrown: unknown) => thrown);
    expect(findLeashError(error)).toMatchObject({ code: 'EGRESS_DENIED', reason, host: 'a.test' });
    expect(place.asked.length).toBe(asked);
    expect(leash.said()).toEqual([`denied http a.test:${place.port} ${reason}`]);
  });

  it('a socket of http that leads elsewhere', async () => {
    await using leash = held();
    const asked = place.asked.length;
    const elsewhere = connect(place.port, '127.0.0.1');
    await once(elsewhere, 'connect');
    const get = () => httpGet(url('a.test'), { createConnection: () => elsewhere });
    const error = await leash.call(get).catch((thrown: unknown) => thrown);
    expect(findLeashError(error)).toMatchObject({ reason: 'request-target' });
    expect(place.asked.length).toBe(asked);
  });

  it.each([
    ['undici 7', undici7.request],
    ['undici 8', undici8.request as unknown as typeof undici7.request],
  ])('a header that is added behind the back of %s', async (_, request) => {
    await using leash = held();
    const add = (message: unknown): void =>
      (message as { request: { addHeader(name: string, value: string): void } }).request.addHeader('host', 'b.test');
    const asked = place.asked.length;
    const error = await leash
      .call(() => {
        subscribe('undici:request:create', add);
        const answer = request(url('a.test'));
        unsubscribe('undici:request:create', add);
        return answer;
      })
      .catch((thrown: unknown) => thrown);
    expect(findLeashError(error)).toMatchObject({ reason: 'host-header-mismatch' });
    expect(place.asked.length).toBe(asked);
  });

  it('a servername of TLS', async () => {
    const options = { allow: ['https://a.test:9'], rawSockets: 'allow', resolver: () => ['127.0.0.1'] } as const;
    await using leash = holdWith({ ...options, addresses: { allow: ['127.0.0.0/8'] } });
    const dial = () => failed(connectTls({ host: 'a.test', port: 9, servername: 'b.test' }));
    await expect(leash.call(dial)).rejects.toMatchObject({ reason: 'servername-mismatch' });
    const get = () => httpGet('https://a.test:9/', { servername: 'b.test', agent: false } as object);
    await expect(leash.call(get)).rejects.toMatchObject({ reason: 'servername-mismatch' });
    expect(leash.said()).toEqual([
      'denied tls a.test:9 servername-mismatch',
      'denied tls a.test:9 servername-mismatch',
    ]);
  });

  it('the same host and its port in the header is none', async () => {
    await using leash = held();
    const headers = { host: `A.TEST:${place.port}` };
    expect(await leash.call(() => httpGet(url('a.test'), { headers }))).toBe('ok');
    expect(await leash.call(() => text(undici8.request(url('a.test'), { headers })))).toBe('ok');
  });
});

it('a callback that throws is an uncaught exception, as without a leash', async () => {
  await using leash = held();
  await leash.call(async () => {
    lookup('b.test', () => {
      throw new Error('mine');
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
  });
  expect(stray.splice(0)).toMatchObject([{ message: 'mine' }]);
});

it('a question without a callback throws', async () => {
  await using leash = held();
  await expect(leash.call(() => (dns.resolve4 as unknown as (name: string) => void)('a.test'))).rejects.toMatchObject({
    reason: 'dns-query',
  });
});

describe.each([
  ['undici 7', undici7],
  ['undici 8', undici8 as unknown as typeof undici7],
])('a refusal of %s', (_, { Agent, request }) => {
  it('costs no connection', async () => {
    await using leash = holdWith({
      allow: [{ host: `http://a.test:${place.port}`, methods: ['GET'] }],
      addresses: { allow: ['127.0.0.0/8'] },
      resolver: () => ['127.0.0.1'],
    });
    const dispatcher = new Agent({ connections: 1 });
    const before = place.connections();
    await leash.call(async () => {
      for (let i = 0; i < 3; i++) {
        await text(request(url('a.test'), { dispatcher }));
        const refused = request(url('a.test'), { dispatcher, method: 'PUT', body: 'x' });
        await expect(refused).rejects.toMatchObject({ reason: 'method' });
      }
    });
    expect(place.connections() - before).toBe(1);
    await dispatcher.close();
  });
});

describe('a place that does not answer', () => {
  const refusing = async (): Promise<number> => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    return port;
  };
  const clients: readonly [string, (url: string) => Promise<unknown>][] = [
    ['fetch', (to) => fetch(to)],
    ['http', (to) => httpGet(to)],
    ['undici 8', (to) => undici8.request(to)],
    ['undici 7', (to) => undici7.request(to)],
  ];
  it.each(clients)('%s: one event without an address, and nothing stays open', async (_, get) => {
    const port = await refusing();
    await using leash = holdWith({
      allow: [`http://a.test:${port}`],
      addresses: { allow: ['127.0.0.0/8'] },
      resolver: () => ['127.0.0.1'],
    });
    await expect(leash.call(() => get(`http://a.test:${port}/`))).rejects.toSatisfy(
      (error) => findLeashError(error) === undefined,
    );
    expect(leash.said()).toEqual([`ok http a.test:${port}`]);
    await expect(leash.call(() => once(connect(port, 'a.test'), 'connect'))).rejects.toMatchObject({
      reason: 'scheme',
    });
  });
});

describe('what cannot be put on record', () => {
  it('is not reached', async () => {
    let full = false;
    const sink = {
      name: 'filling',
      write: () => {
        if (full) throw new Error('full');
      },
    };
    const guard = egress({
      allow: [`http://a.test:${place.port}`],
      addresses: { allow: ['127.0.0.0/8'] },
      resolver: () => ['127.0.0.1'],
      rawSockets: 'allow',
      childProcess: 'allow',
      udp: 'allow',
    });
    const leash = createLeash({ guards: [guard], audit: { sink, sign: 'none' } });
    const asked = place.asked.length;
    const codes = await leash.run({ tool: 't', args: {} }, async () => {
      full = true;
      const tries = [
        () => fetch(url('a.test')),
        () => httpGet(url('a.test'), { agent: false }),
        () => undici8.request(url('a.test'), { dispatcher: new undici8.Agent() }),
        () => undici7.request(url('a.test'), { dispatcher: new undici7.Agent() }),
        () => once(connect(place.port, 'a.test'), 'close'),
        () => dnsPromises.lookup('a.test'),
        () => calledBack((callback) => createSocket('udp4').send('x', 9, '127.0.0.1', callback)),
        async () => spawn('true'),
      ];
      const all = [];
      for (const attempt of tries)
        all.push(
          await attempt().then(
            () => 'ok',
            (error: unknown) => findLeashError(error)?.code,
          ),
        );
      full = false;
      return all;
    });
    expect(codes).toEqual(Array(8).fill('AUDIT_UNAVAILABLE'));
    expect(place.asked.length).toBe(asked);
    await leash.close();
  });
});

it('an agent opens the connection of a request that waited as that of its own call', async () => {
  const agent = new Agent({ maxSockets: 1 });
  await using one = held();
  await using two = holdWith({ allow: [`http://a.test:${place.port}`], addresses: {} });
  const lookup: LookupFunction = (_, __, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]);
  const get = () => httpGet(url('a.test'), { agent, lookup });
  const reason = (work: Promise<string>) =>
    work.catch((error: unknown) => (findLeashError(error) as EgressDeniedError | undefined)?.reason);
  const answers = await Promise.all([
    one.call(get),
    get(),
    reason(two.call(get)),
    one.call(get),
    reason(two.call(get)),
    get(),
  ]);
  expect(answers).toEqual(['ok', 'ok', 'address:loopback', 'ok', 'address:loopback', 'ok']);
  expect([one.said().length, two.said().length]).toEqual([2, 2]);
  agent.destroy();
});
