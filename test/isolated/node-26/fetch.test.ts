import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findLeashError } from '../../../src/errors.ts';
import { egress } from '../../../src/guards/egress.ts';
import { type Isolated, isolated } from '../../../src/isolated/index.ts';
import { type HeldLeash, holdWith } from '../../helpers/held-leash.ts';
import { rejection } from '../../helpers/refused.ts';
import { hop, redirecting, startServer, type TestServer } from '../../helpers/server.ts';
import type * as Tools from './modules/tools.ts';

/** What comes for sure, however slow the machine. */
const EVENTUALLY = { timeout: 15_000 };
const MODULE = new URL('./modules/tools.ts', import.meta.url);

let good: TestServer;
let evil: TestServer;
let held: HeldLeash;
let worker: Isolated<typeof Tools>;

beforeAll(async () => {
  good = await startServer((request, response) => {
    if (request.url?.startsWith('/echo')) {
      response.setHeader('x-type', request.headers['content-type'] ?? 'none');
      response.setHeader('x-length', request.headers['content-length'] ?? 'none');
      response.end(`${good.hits.at(-1)?.body.length} bytes`);
    } else if (request.url?.startsWith('/says/')) {
      const [, , status, text = ''] = request.url.split('/');
      response.writeHead(Number(status), Buffer.from(decodeURIComponent(text)).toString('latin1'));
      response.end();
    } else {
      response.setHeader('set-cookie', ['a=1', 'b=2']);
      redirecting(request, response);
    }
  });
  evil = await startServer();
  held = holdWith({ allow: [good.origin, `http://named.test:${good.port}`] }, { stopOn: 'none' });
  worker = await isolated<typeof Tools>(MODULE, { leash: held.leash });
});
afterAll(async () => {
  await held.leash.close();
  await good.close();
  await evil.close();
});

/** What the log says from now on. */
function fromNowOn(): () => readonly string[] {
  const before = held.said().length;
  return () => held.said().slice(before);
}

describe('fetch in an isolated worker', () => {
  it('answers as the platform does', async () => {
    const answer = await worker.exports.get(`${good.origin}/path?query`);
    expect(answer).toMatchObject({
      status: 200,
      url: `${good.origin}/path?query`,
      redirected: false,
      type: 'basic',
      headers: { 'content-length': '2' },
      cookies: ['a=1', 'b=2'],
      text: 'ok',
    });
  });

  it.each([
    [999, 'Request denied', false],
    [600, '', false],
    [599, '', false],
    [299, '成功', true],
    [204, 'Rien à dire', true],
  ])(
    'tells a status that servers send, though no Response can be made with it: %i %s',
    async (status, statusText, ok) => {
      const answer = await worker.exports.get(`${good.origin}/says/${status}/${encodeURIComponent(statusText)}`);
      expect(answer).toMatchObject({ status, statusText, ok, text: '' });
    },
  );

  it('follows redirects, each hop judged', async () => {
    const said = fromNowOn();
    const answer = await held.call(() => worker.exports.get(`${good.origin}/chain/2`));
    expect(answer).toMatchObject({ status: 200, url: `${good.origin}/chain/0`, redirected: true });
    expect(said()).toEqual(Array(3).fill(`ok http 127.0.0.1:${good.port} 127.0.0.1`));
  });

  it('shows a redirect that is not to be followed', async () => {
    const url = hop(good.origin, 302, `${evil.origin}/`);
    const answer = await worker.exports.get(url, { redirect: 'manual' });
    expect(answer).toMatchObject({ status: 302, url, headers: { location: `${evil.origin}/` } });
    expect(await rejection(worker.exports.get(url, { redirect: 'error' }))).toMatchObject({ name: 'TypeError' });
  });

  it('is an event of the call and the tool in which the export was called', async () => {
    const before = held.lines().length;
    await held.call(() => worker.exports.get(`http://named.test:${good.port}/`));
    const [line] = held.lines().slice(before);
    expect(line).toMatchObject({ kind: 'egress_ok', tool: 't', host: 'named.test', addr: '127.0.0.1' });
    expect(line?.call).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('is an event of its own call, when many run at once', async () => {
    const before = held.lines().length;
    const calls = Array.from({ length: 20 }, (_, i) => {
      const { origin } = i % 2 === 0 ? evil : good;
      return held.leash.run({ tool: `t${i}`, args: {} }, () => worker.exports.get(`${origin}/${i}`));
    });
    await Promise.allSettled(calls);
    const lines = held.lines().slice(before);
    for (let i = 0; i < 20; i++) {
      const own = lines.filter(({ tool }) => tool === `t${i}`);
      expect(own.map(({ kind }) => kind)).toEqual([i % 2 === 0 ? 'egress_denied' : 'egress_ok']);
    }
    expect(new Set(lines.map(({ call }) => call)).size).toBe(20);
  });

  it('works outside of a leashed call under the same rules', async () => {
    const before = held.lines().length;
    await worker.exports.get(`${good.origin}/`);
    await rejection(worker.exports.get(`${evil.origin}/`));
    expect(held.lines().slice(before)).toMatchObject([
      { kind: 'egress_ok' },
      { kind: 'egress_denied', tool: 'leash.fetch', reason: 'port' },
    ]);
  });

  it.each([
    { name: 'a host that is not listed', url: () => `${evil.origin}/`, reason: 'port' },
    { name: 'a redirect to one', url: () => hop(good.origin, 307, `${evil.origin}/steal`), reason: 'port' },
    { name: 'a metadata address', url: () => 'http://169.254.169.254/latest', reason: 'host-not-allowed' },
    { name: 'another scheme', url: () => 'file:///etc/hosts', reason: 'scheme' },
    { name: 'a data URL', url: () => 'data:text/plain,x', reason: 'scheme' },
    { name: 'credentials', url: () => good.origin.replace('//', '//user:secret@'), reason: 'bad-host' },
  ])('is refused: $name', async ({ url, reason }) => {
    const error = await rejection(held.call(() => worker.exports.get(url())));
    expect(error).toMatchObject({ name: 'EgressDeniedError', code: 'EGRESS_DENIED', reason, tool: 't' });
    expect(findLeashError(error)).toBe(error);
    expect(evil.connections()).toBe(0);
    expect(held.lines().at(-1)).toMatchObject({ kind: 'egress_denied', tool: 't', reason });
  });

  it('tells the code what was refused, so that it may go on', async () => {
    const text = await worker.exports.getEither(`${evil.origin}/`, `${good.origin}/`);
    expect(text).toBe('EgressDeniedError EGRESS_DENIED, then ok');
  });

  it("has the leash's own error as the cause of what the code makes of it", async () => {
    const error = await rejection(held.call(() => worker.exports.wrapRefusal(`${evil.origin}/`)));
    expect(error).toMatchObject({ name: 'TypeError', message: 'the search failed' });
    expect(findLeashError(error)).toMatchObject({ code: 'EGRESS_DENIED', tool: 't', reason: 'port' });
  });

  it('fails as the platform does where nobody listens', async () => {
    const gone = await startServer();
    await gone.close();
    await using other = holdWith({ allow: [gone.origin] });
    await using lone = await isolated<typeof Tools>(MODULE, { leash: other.leash });
    const error = await rejection(lone.exports.get(`${gone.origin}/`));
    expect(error).toMatchObject({ name: 'TypeError', message: 'fetch failed' });
    expect(error.cause).toMatchObject({ message: expect.stringContaining('ECONNREFUSED') });
  });

  it('is judged by a child too, in whose call the export is called', async () => {
    const narrow = held.leash.child({ guards: [egress({ allow: [] })] });
    const run = narrow.run({ tool: 'narrow', args: {} }, () => worker.exports.get(`${good.origin}/narrow`));
    expect(findLeashError(await rejection(run))).toMatchObject({ code: 'EGRESS_DENIED', tool: 'narrow' });
    expect(good.hits.map(({ target }) => target)).not.toContain('/narrow');
    await narrow.close();
  });

  it.each([
    { kind: 'text', length: 4, type: 'text/plain;charset=UTF-8', whole: true },
    { kind: 'params', length: 3, type: 'application/x-www-form-urlencoded;charset=UTF-8', whole: true },
    { kind: 'bytes', length: 3, type: 'none', whole: true },
    { kind: 'blob', length: 4, type: 'text/x-blob', whole: true },
    { kind: 'request', length: 12, type: 'text/plain;charset=UTF-8', whole: true },
    { kind: 'large', length: 5 * 1024 * 1024, type: 'none', whole: false },
    { kind: 'large blob', length: 5 * 1024 * 1024, type: 'none', whole: false },
    { kind: 'stream', length: 3_000, type: 'none', whole: false },
    { kind: 'iterable', length: 6, type: 'none', whole: false },
  ] as const)('sends a body: $kind', async ({ kind, length, type, whole }) => {
    expect(await worker.exports.post(`${good.origin}/echo`, kind)).toBe(`${length} bytes`);
    const { headers } = good.hits.at(-1) as TestServer['hits'][number];
    expect(headers['content-type'] ?? 'none').toBe(type);
    expect(headers['content-length']).toBe(whole ? String(length) : undefined);
  });

  it('sends a form', async () => {
    await worker.exports.post(`${good.origin}/echo`, 'form');
    const { headers, body } = good.hits.at(-1) as TestServer['hits'][number];
    expect(headers['content-type']).toMatch(/^multipart\/form-data; boundary=/);
    expect(body).toContain('name="file"; filename="name.txt"');
  });

  it('sends a body again where a redirect asks for it, and cannot for a stream', async () => {
    const url = hop(good.origin, 307, `${good.origin}/echo`);
    expect(await worker.exports.post(url, 'text')).toBe('4 bytes');
    expect(await rejection(worker.exports.post(url, 'stream'))).toMatchObject({ message: 'fetch failed' });
  });

  it('fails with a body that is not made of bytes', async () => {
    expect(await rejection(worker.exports.postBroken(`${good.origin}/echo`))).toMatchObject({ name: 'TypeError' });
  });

  it('has a bound for URL and headers, which the code is told of', async () => {
    const long = 'a'.repeat(300_000);
    const message = 'a request of an isolated worker has at most 262144 characters of URL and headers';
    expect((await rejection(worker.exports.get(`${good.origin}/${long}`))).message).toBe(message);
    expect((await rejection(worker.exports.get(good.origin, { headers: { long } }))).message).toBe(message);
    const many = Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [`x-${i}`, '']));
    expect((await rejection(worker.exports.get(good.origin, { headers: many }))).message).toBe(message);
    expect((await worker.exports.get(good.origin)).text).toBe('ok');
  });

  it('takes no hash of the answer', async () => {
    const init = { integrity: 'sha256-AAAA' };
    expect((await rejection(worker.exports.get(`${good.origin}/`, init))).message).toMatch(/takes no `integrity`$/);
  });

  it('makes 64 requests at once, and no more', async () => {
    const answers = await worker.exports.fetchAllAtOnce(`${good.origin}/`, 80);
    expect(answers.filter((answer) => answer === 'ok')).toHaveLength(64);
    expect(answers.at(-1)).toBe('an isolated worker makes at most 64 requests at once');
    expect(await worker.exports.fetchAllAtOnce(`${good.origin}/`, 64)).toEqual(Array(64).fill('ok'));
  });
});

interface Slow {
  readonly origin: string;
}

async function slowServer(listener: Parameters<typeof createServer>[1]): Promise<Slow & AsyncDisposable> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function workerFor({
  origin,
}: Slow): Promise<AsyncDisposable & { readonly held: HeldLeash; readonly exports: Isolated<typeof Tools>['exports'] }> {
  const own = holdWith({ allow: [origin] }, { stopOn: 'none' });
  const { exports } = await isolated<typeof Tools>(MODULE, { leash: own.leash });
  return { held: own, exports, [Symbol.asyncDispose]: () => own.leash.close().then(() => {}) };
}

describe('bodies', () => {
  it('come piece by piece, and no faster than they are read', async () => {
    let written = 0;
    const closed = Promise.withResolvers<void>();
    await using slow = await slowServer((_, response) => {
      const fill = (): void => {
        while (written < 2 ** 30 && !response.destroyed) {
          written += 65_536;
          if (!response.write(Buffer.alloc(65_536))) return;
        }
      };
      response.on('drain', fill);
      response.on('close', () => closed.resolve());
      fill();
    });
    await using lone = await workerFor(slow);
    expect(await lone.exports.readSome(`${slow.origin}/`, 3)).toBeGreaterThan(0);
    await closed.promise;
    // What the kernel and the client hold; the gigabyte was never asked for.
    expect(written).toBeLessThan(2 ** 26);
  });

  it('arrive whole: 16 MiB', async () => {
    const length = 16 * 1024 * 1024;
    await using slow = await slowServer((_, response) => response.end(Buffer.alloc(length)));
    await using lone = await workerFor(slow);
    expect(await lone.exports.sumUp(`${slow.origin}/`)).toBe(length);
  });

  it('are taken from a stream no faster than the server takes them', async () => {
    await using slow = await slowServer((_, response) => response.writeHead(200).end('no'));
    await using lone = await workerFor(slow);
    expect(await lone.exports.upload(`${slow.origin}/`, 100_000)).toBeLessThan(1_000);
  });

  it('break off on both sides when the server breaks off', async () => {
    await using slow = await slowServer((_, response) => {
      response.write('begun');
      setImmediate(() => response.destroy());
    });
    await using lone = await workerFor(slow);
    expect(await rejection(lone.exports.sumUp(`${slow.origin}/`))).toMatchObject({ name: 'TypeError' });
  });
});

describe('requests end', () => {
  it.each(['before the answer', 'in the body'] as const)('when their signal aborts: %s', async (when) => {
    const arrived = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    await using slow = await slowServer((request, response) => {
      if (when === 'in the body') response.write('begun');
      arrived.resolve();
      request.socket.on('close', () => gone.resolve());
    });
    await using lone = await workerFor(slow);
    const [go, end] = [new AbortController(), new AbortController()];
    const aborting = lone.exports.abort(`${slow.origin}/`, when, go.signal, end.signal);
    await arrived.promise;
    go.abort();
    // While the call still runs.
    await gone.promise;
    end.abort();
    expect(await aborting).toBe('aborted: it was changed');
  });

  it('before they begin, when their signal is aborted', async () => {
    await using lone = await workerFor(good);
    const before = good.hits.length;
    const end = new AbortController();
    const aborting = lone.exports.abort(`${good.origin}/`, 'before', end.signal, end.signal);
    setImmediate(() => end.abort());
    expect(await aborting).toBe('aborted: it was changed');
    expect(good.hits.length).toBe(before);
  });

  it('when the leash ends', async () => {
    const gone = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    await using slow = await slowServer((request) => {
      arrived.resolve();
      request.socket.on('close', () => gone.resolve());
    });
    await using lone = await workerFor(slow);
    const leaving = lone.exports.get(`${slow.origin}/`);
    leaving.catch(() => {});
    await arrived.promise;
    await lone.held.leash.close();
    await gone.promise;
  });

  it('when their call has answered', async () => {
    const gone = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    await using slow = await slowServer((request) => {
      arrived.resolve();
      request.socket.on('close', () => gone.resolve());
    });
    await using lone = await workerFor(slow);
    const controller = new AbortController();
    const leaving = lone.exports.leaveWhen(`${slow.origin}/`, controller.signal);
    await arrived.promise;
    controller.abort();
    await leaving;
    await gone.promise;
    expect(await lone.exports.whatWasLeft()).toEqual(['the call that made this request has ended']);
  });

  it('before they begin, after their call', async () => {
    await using lone = await workerFor(good);
    const before = good.hits.length;
    await lone.exports.fetchAfterwards(`${good.origin}/`);
    await expect
      .poll(() => lone.exports.whatWasLeft(), EVENTUALLY)
      .toEqual([expect.stringMatching(/works while a call of an export runs/)]);
    expect(good.hits.length).toBe(before);
  });
});
