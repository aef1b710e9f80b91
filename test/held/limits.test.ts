import { AsyncResource, createHook } from 'node:async_hooks';
import { spawnSync as spawnSyncBefore } from 'node:child_process';
import { channel } from 'node:diagnostics_channel';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { type ClientRequest, request as requestHttp } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { createRequire } from 'node:module';
import { type AddressInfo, connect, createServer } from 'node:net';
import { Readable } from 'node:stream';
import { Worker as WorkerNow } from 'node:worker_threads';
import * as undici8 from 'undici';
import * as undici7 from 'undici-7';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findLeashError } from '../../src/errors.ts';
import { holdWith } from '../helpers/held-leash.ts';
import { type Place, startPlace } from '../helpers/places.ts';

/** What code can do that lets go of its context, and how far it gets. What is not held here is in the README. */

const kept = createRequire(import.meta.url)('node:child_process') as typeof import('node:child_process');
const { spawnSync: keptSpawnSync } = kept;
const KeptWorker = createRequire(import.meta.url)('node:worker_threads').Worker as typeof WorkerNow;

let place: Place;
beforeAll(async () => {
  place = await startPlace({
    respond: (request, response) => {
      if (request.url === '/last') {
        response.setHeader('connection', 'close');
        return void setTimeout(() => response.end('last'), 20);
      }
      if (request.url !== '/late') return void response.end(request.url);
      response.flushHeaders();
      setTimeout(() => response.end('late'), 20);
    },
  });
});
afterAll(() => place[Symbol.asyncDispose]());

const none = () => holdWith({ allow: [] });
const url = (path: string): string => `http://127.0.0.1:${place.port}/${path}`;
const reason = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'ok',
    (error) => (findLeashError(error) as { reason?: string } | undefined)?.reason ?? error,
  );
const read = async (answer: Promise<{ body: { text(): Promise<string> } }>): Promise<string> =>
  (await answer).body.text();

describe('a pool of connections with a limit, which code outside of the leash uses too', () => {
  const queued = async (Pool: typeof undici7.Pool): Promise<unknown> => {
    await using held = none();
    const pool = new Pool(`http://127.0.0.1:${place.port}`, { connections: 1, pipelining: 1 });
    const outside = read(pool.request({ path: '/outside', method: 'GET' }));
    const inside = held.call(() => reason(read(pool.request({ path: '/inside', method: 'GET' }))));
    await outside;
    const answer = await inside;
    await pool.close();
    return answer;
  };

  it('of undici 7 takes a request that waits for one of whoever was first', async () => {
    expect(await queued(undici7.Pool)).toBe('ok');
  });

  it('of undici 8 does not', async () => {
    expect(await queued(undici8.Pool as unknown as typeof undici7.Pool)).toBe('host-not-allowed');
  });

  const afterEnd = async (Pool: typeof undici7.Pool): Promise<unknown> => {
    const held = holdWith({ allow: [`http://127.0.0.1:${place.port}`] });
    const pool = new Pool(`http://127.0.0.1:${place.port}`, { connections: 1, pipelining: 1 });
    await held.call(() => read(pool.request({ path: '/inside', method: 'GET' })));
    await held.leash.close();
    const outside = ['/1', '/2'].map((path) => reason(read(pool.request({ path, method: 'GET' }))));
    const answers = await Promise.all(outside);
    await pool.close();
    return answers;
  };

  it('of undici 7 refuses code outside what waited for a connection of a leash that has ended', async () => {
    expect(await afterEnd(undici7.Pool)).toEqual(['revoked', 'revoked']);
  });

  it('of undici 8 does not refuse it', async () => {
    expect(await afterEnd(undici8.Pool as unknown as typeof undici7.Pool)).toEqual(['ok', 'ok']);
  });

  it('is connected anew for code outside as code of the call whose connection was closed', async () => {
    const held = holdWith({ allow: [`http://127.0.0.1:${place.port}`] });
    const client = new undici8.Client(`http://127.0.0.1:${place.port}`);
    const inside = held.call(() => read(client.request({ path: '/last', method: 'GET' })));
    await new Promise<void>((resolve) => client.once('connect', () => resolve()));
    const outside = reason(read(client.request({ path: '/outside', method: 'GET' })));
    await Promise.all([held.leash.close(), inside]);
    expect(await outside).toBe('revoked');
    expect(await reason(read(client.request({ path: '/later', method: 'GET' })))).toBe('ok');
    await client.close();
  });
});

describe('listeners of a body run as code of who asked, on whosever connection', () => {
  const listened = async (
    request: typeof undici7.request,
    dispatcher: undici7.Dispatcher,
    where: 'inside' | 'outside',
  ) => {
    await using held = holdWith({ allow: [`http://127.0.0.1:${place.port}`] });
    const other = await startPlace();
    const warm = () => read(request(url('warm'), { dispatcher }));
    const listen = () =>
      new Promise((resolve, reject) => {
        request(url('late'), { dispatcher }).then(({ body }) => {
          body.once('data', () => resolve(reason(fetch(`http://127.0.0.1:${other.port}/`))));
        }, reject);
      });
    // One opens the connection, the other listens on it.
    if (where === 'inside') await warm();
    else await held.call(warm);
    const answer = await (where === 'inside' ? held.call(listen) : listen());
    await other[Symbol.asyncDispose]();
    return answer;
  };

  it.each([
    ['undici 7', undici7.request, () => new undici7.Agent({ connections: 1 })],
    [
      'undici 8',
      undici8.request as unknown as typeof undici7.request,
      () => new undici8.Agent({ connections: 1 }) as never,
    ],
  ])('%s', async (_, request, agent) => {
    const [inside, outside] = [agent() as undici7.Agent, agent() as undici7.Agent];
    // A leashed listener on a connection of nobody's, and nobody's on one of a leash.
    expect(await listened(request, inside, 'inside')).toBe('port');
    expect(await listened(request, outside, 'outside')).toBe('ok');
    await Promise.all([inside.close(), outside.close()]);
  });

  it('so does what waits for it with a promise', async () => {
    await using held = none();
    const agent = new undici8.Agent({ connections: 1 });
    const warm = read(undici8.request(url('late'), { dispatcher: agent }));
    const answer = await held.call(async () => {
      await warm;
      return reason(fetch(url('x')));
    });
    expect(answer).toBe('host-not-allowed');
    await agent.close();
  });
});

describe('a request that waits for a connection of code outside of the leash', () => {
  type Go = () => Promise<unknown>;
  const bodies: Readonly<Record<string, (go: Go) => unknown>> = {
    generator: async function* (go) {
      yield String(await go());
    },
    'frozen iterable': (go) => {
      let next = async () => {
        next = async () => ({ done: true, value: '' });
        return { done: false, value: String(await go()) };
      };
      return Object.freeze({ [Symbol.asyncIterator]: () => Object.freeze({ next: () => next() }) });
    },
    stream: (go) => {
      const stream = new Readable({
        read() {
          this._read = () => {};
          void go().then((answer) => {
            stream.push(String(answer));
            stream.push(null);
          });
        },
      });
      return stream;
    },
    'web stream': (go) =>
      new ReadableStream(
        {
          pull: async (controller) => {
            controller.enqueue(new TextEncoder().encode(String(await go())));
            controller.close();
          },
        },
        { highWaterMark: 0 },
      ),
  };
  const copies = [
    ['undici 7', undici7.Client],
    ['undici 8', undici8.Client as unknown as typeof undici7.Client],
  ] as const;
  /** Busy with what nobody holds. */
  const busy = (Client: typeof undici7.Client): undici7.Client => {
    const client = new Client(`http://127.0.0.1:${place.port}`);
    read(client.request({ path: '/late', method: 'GET' })).catch(() => {});
    return client;
  };

  describe.each(copies)('%s', (_, Client) => {
    it.each(Object.keys(bodies))('has its %s read as code of who asked', async (kind) => {
      await using held = holdWith({ allow: [`http://127.0.0.1:${place.port}`] });
      await using other = await startPlace();
      const client = busy(Client);
      let told: unknown;
      const go = async (): Promise<unknown> => {
        told = await reason(fetch(`http://127.0.0.1:${other.port}/`));
        return told;
      };
      await held.call(() => read(client.request({ path: '/', method: 'POST', body: bodies[kind]?.(go) as Readable })));
      expect(told).toBe('port');
      await client.close();
    });

    it('has its handler told of the start, and of the end without one, as code of who asked', async () => {
      await using held = holdWith({ allow: [`http://127.0.0.1:${place.port}`] });
      await using other = await startPlace();
      const go = () => reason(fetch(`http://127.0.0.1:${other.port}/`));
      const told = (client: undici7.Client, names: readonly string[]) =>
        held.call(
          () =>
            new Promise((resolve) => {
              const silent = [
                'onRequestStart',
                'onResponseStart',
                'onResponseData',
                'onResponseEnd',
                'onResponseError',
              ];
              const handler = Object.fromEntries(silent.map((name) => [name, () => {}]));
              for (const name of names) handler[name] = () => resolve(go());
              client.dispatch({ path: '/', method: 'GET' }, handler);
            }),
        );
      const started = busy(Client);
      expect(await told(started, ['onRequestStart'])).toBe('port');
      await started.close();
      const ended = busy(Client);
      const answer = told(ended, ['onResponseError']);
      void ended.destroy();
      expect(await answer).toBe('port');
    });
  });
});

it('dns.lookup gives an address back as the platform does, whatever family was asked for', async () => {
  await using held = none();
  const asked = ['127.0.0.1', '::1'].flatMap((address) => [4, 6].map((family) => [address, { family }] as const));
  const all = () => Promise.all(asked.map(([address, options]) => lookup(address, options)));
  expect(await held.call(all)).toEqual(await all());
});

it('a handle below sockets connects to what it likes, once async_hooks has shown one', async () => {
  await using held = holdWith({ allow: [`http://127.0.0.1:${place.port}`] });
  await using other = await startPlace();
  const kinds = new Map<string, new (kind?: number) => { connect(...args: unknown[]): number; oncomplete: unknown }>();
  const hook = createHook({ init: (_, type, __, resource) => void kinds.set(type, resource.constructor as never) });
  const status = await held.call(async () => {
    hook.enable();
    const socket = requestHttp(url('x'), { agent: false }).end();
    await once(socket, 'response');
    hook.disable();
    const [Handle, Connecting] = [kinds.get('TCPWRAP'), kinds.get('TCPCONNECTWRAP')];
    if (Handle === undefined || Connecting === undefined) return undefined;
    const connecting = new Connecting();
    return new Promise((resolve) => {
      connecting.oncomplete = resolve;
      new Handle(0).connect(connecting, '127.0.0.1', other.port);
    });
  });
  expect(status).toBe(0);
  expect(held.said()).toHaveLength(1);
});

describe('what was bound before the call', () => {
  it('runs as code of where it was bound', async () => {
    await using held = none();
    const resource = new AsyncResource('bound');
    const go = AsyncResource.bind(() => reason(fetch(url('x'))));
    expect(await held.call(() => go())).toBe('ok');
    expect(await held.call(() => resource.runInAsyncScope(() => reason(fetch(url('x')))))).toBe('ok');
  });

  it("does not with enforce: 'process'", async () => {
    const go = AsyncResource.bind(() => reason(fetch(url('x'))));
    await using held = holdWith({ allow: [], enforce: 'process' });
    expect(await held.call(() => go())).toBe('host-not-allowed');
  });

  it('is still written to, if it was connected', async () => {
    const got: string[] = [];
    const server = createServer((socket) => socket.on('data', (data) => got.push(String(data)))).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    await once(socket, 'connect');
    await using held = none();
    await held.call(() => new Promise<void>((resolve) => void socket.write('hello', () => resolve())));
    socket.destroy();
    await once(socket, 'close');
    expect(held.said()).toEqual([]);
    server.close();
  });

  it('is still asked, if it is a session of HTTP/2', async () => {
    const server = createHttp2Server((_, response) => response.end('ok')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await once(session, 'connect');
    await using held = none();
    const [head] = await held.call(() => once(session.request({ ':path': '/' }).end(), 'response'));
    expect(head).toMatchObject({ ':status': 200 });
    expect(held.said()).toEqual([]);
    session.destroy();
    server.close();
  });
});

describe('what a module in CommonJS took before there was a leash', () => {
  it('is no process that starts', async () => {
    await using held = none();
    expect(await reason(held.call(() => keptSpawnSync('true')))).toBe('child-process');
    expect(await reason(held.call(() => spawnSyncBefore('true')))).toBe('child-process');
    await using open = holdWith({ allow: [], childProcess: 'allow' });
    expect(await open.call(() => keptSpawnSync('true').status)).toBe(0);
    expect(open.said()).toEqual(['ok child-process :0']);
  });

  it('is a worker that is ended as it starts', async () => {
    await using held = none();
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    let reached = 0;
    server.on('connection', () => reached++);
    const { port } = server.address() as AddressInfo;
    const body = `require('node:net').connect(${port}, '127.0.0.1')`;
    expect(KeptWorker).not.toBe(WorkerNow);
    await held.call(() =>
      once(
        new KeptWorker(body, { eval: true }).on('error', () => {}),
        'exit',
      ),
    );
    expect(held.said()).toEqual(['denied worker :0 worker']);
    expect(reached).toBe(0);
    server.close();
  });
});

it.each([
  [
    'has handed its connection over',
    (request: ClientRequest) => {
      request.setHeader('connection', 'upgrade');
      request.setHeader('upgrade', 'websocket');
      request.on('upgrade', (_, socket) => socket.destroy()).end();
    },
  ],
  ['was aborted before it had a connection', (request: ClientRequest) => request.abort()],
])('a connection beside a request that %s is not', async (_, end) => {
  await using held = holdWith({ allow: [`http://127.0.0.1:${place.port}`] });
  const answer = await held.call(async () => {
    const request = requestHttp(url('x'));
    end(request);
    await once(request, 'close');
    return reason(once(connect(place.port, '127.0.0.1'), 'connect'));
  });
  expect(answer).toBe('scheme');
  expect(held.said()).toHaveLength(2);
});

it('a connection beside a request that is under way to the same place is taken for one of it', async () => {
  const late = url('late');
  await using held = holdWith({ allow: [`http://127.0.0.1:${place.port}`] });
  const answer = await held.call(async () => {
    const pending = fetch(late);
    const socket = connect(place.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.destroy();
    return (await pending).text();
  });
  expect(answer).toBe('late');
  expect(held.said()).toHaveLength(1);
  // Or if it is told to be that of undici, which connects anew when a request was given up.
  const announced = held.call(async () => {
    const connectParams = { hostname: '127.0.0.1', protocol: 'http:', port: String(place.port) };
    channel('undici:client:beforeConnect').publish({ connectParams });
    const socket = connect(place.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.destroy();
  });
  expect(await reason(announced)).toBe('ok');
  // With no request under way it is refused.
  const alone = held.call(() => once(connect(place.port, '127.0.0.1'), 'connect'));
  expect(await reason(alone)).toBe('scheme');
});
