import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { currentCall } from '../../../src/call.ts';
import { findLeashError } from '../../../src/errors.ts';
import type { EgressOptions } from '../../../src/guards/egress.ts';
import { holdWith } from '../../helpers/held-leash.ts';
import { certificate, type Place, startPlace, startSecurePlace } from '../../helpers/places.ts';
import { startProxy, type TestProxy } from '../../helpers/proxy.ts';
import { rejection, thrownBy } from '../../helpers/refused.ts';
import { clientsOf } from './clients.ts';
import type { Copy } from './copy.ts';

/** Clients of a leash with a proxy. */
export function goesByItsProxy({ undici, adapter }: Copy): void {
  let place: Place;
  let secure: Place;
  let proxy: TestProxy;
  beforeAll(async () => {
    [place, secure, proxy] = await Promise.all([
      startPlace({
        respond: ({ url = '' }, response) => {
          if (url.endsWith('?events')) {
            response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: x\n\n');
          } else if (url === '/leave') {
            response.writeHead(307, { location: `http://b.test:${place.port}/` }).end();
          } else {
            response.end(url);
          }
        },
      }),
      startSecurePlace(),
      startProxy(),
    ]);
  });
  afterAll(async () => {
    await Promise.all([place, secure, proxy].map((server) => server[Symbol.asyncDispose]()));
  });
  afterEach(() => {
    proxy.asked.length = 0;
  });

  const rules = (more: Partial<EgressOptions> = {}): EgressOptions => ({
    allow: [`http://a.test:${place.port}`, `https://a.test:${secure.port}`],
    proxy: proxy.origin,
    resolver: () => expect.unreachable('a name was asked for'),
    addresses: {},
    ...more,
  });
  const url = (host = 'a.test', path = '/x'): string => `http://${host}:${place.port}${path}`;
  const short = (said: readonly string[]): readonly string[] => said.map((text) => text.replace(`:${place.port}`, ''));

  describe.each(clientsOf(undici))('$name', ({ mute, follows, get }) => {
    it.each([false, true])('goes by a tunnel, in a call: %o', async (inCall) => {
      const held = holdWith(rules());
      const dispatcher = adapter.leashDispatcher(held.leash);
      const run = (): Promise<string> => get(url(), dispatcher);
      expect(await (inCall ? held.call(run) : run())).toMatch(/^(\/x|x|upgraded|closed 1000)$/);
      await held.leash.close();
      expect(proxy.asked).toEqual([`CONNECT a.test:${place.port}`]);
      expect(short(held.said())).toEqual(['ok http a.test']);
    });

    it('is refused before the proxy is asked', async () => {
      const held = holdWith(rules());
      const before = proxy.connections();
      const error = await rejection(get(url('b.test'), adapter.leashDispatcher(held.leash)));
      if (!mute) expect(findLeashError(error)).toMatchObject({ reason: 'host-not-allowed' });
      await held.leash.close();
      expect(proxy.connections()).toBe(before);
      expect(short(held.said())).toEqual(['denied http b.test host-not-allowed']);
    });

    it.runIf(follows)('is refused a redirect', async () => {
      const held = holdWith(rules());
      const error = await rejection(get(url('a.test', '/leave'), adapter.leashDispatcher(held.leash)));
      expect(findLeashError(error)).toMatchObject({ reason: 'host-not-allowed', host: 'b.test' });
      await held.leash.close();
      expect(proxy.asked).toEqual([`CONNECT a.test:${place.port}`]);
    });
  });

  it.each([{ allowH2: true }, {}])('has TLS with the target, not with the proxy: %o', async (options) => {
    const held = holdWith(rules());
    const tls = { ca: certificate.cert };
    const dispatcher = adapter.leashDispatcher(held.leash, { ...options, tls });
    const target = `https://a.test:${secure.port}/x`;
    const answers = [1, 2, 3].map(async () => (await undici.request(target, { dispatcher })).body.text());
    expect(await Promise.all(answers)).toEqual(['/x', '/x', '/x']);
    const strict = adapter.leashDispatcher(held.leash);
    await expect(undici.request(target, { dispatcher: strict })).rejects.toMatchObject({
      code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
    });
    await held.leash.close();
    expect(new Set(proxy.asked)).toEqual(new Set([`CONNECT a.test:${secure.port}`]));
    expect(held.said().slice(0, 3)).toEqual(Array(3).fill(`ok https a.test:${secure.port}`));
  });

  it('uses a tunnel again for the same place, and for no other', async () => {
    const other = await startPlace();
    const held = holdWith(rules({ allow: [url('a.test', ''), `http://a.test:${other.port}`] }));
    const dispatcher = adapter.leashDispatcher(held.leash);
    for (const target of [url(), url(), `http://a.test:${other.port}/y`, url()]) {
      await (await undici.request(target, { dispatcher })).body.text();
      await new Promise(setImmediate);
    }
    expect(proxy.asked).toEqual([`CONNECT a.test:${place.port}`, `CONNECT a.test:${other.port}`]);
    expect(other.asked).toEqual([`a.test:${other.port}/y`]);
    await held.leash.close();
    await other[Symbol.asyncDispose]();
  });

  it.each([{ connections: 1 }, {}])('holds code that hears of an answer: %o', async (options) => {
    await using held = holdWith(rules());
    const dispatcher = adapter.leashDispatcher(held.leash, options);
    const strays: (readonly [string | undefined, Promise<unknown>])[] = [];
    const listen = async (): Promise<void> => {
      const { body } = await undici.request(url(), { dispatcher });
      await new Promise((resolve) => {
        body.on('data', () => {
          const stray = fetch(`http://127.0.0.1:${place.port}/stray`).then((answer) => answer.text());
          stray.catch(() => {});
          strays.push([currentCall()?.tool, stray]);
        });
        body.on('end', resolve);
      });
    };
    await Promise.all([listen(), held.call(listen), listen(), held.call(listen)]);
    expect(strays).toHaveLength(4);
    for (const [tool, stray] of strays) {
      if (tool === undefined) expect(await stray).toBe('/stray');
      else expect(findLeashError(await rejection(stray))).toMatchObject({ reason: 'host-not-allowed' });
    }
    expect(strays.map(([tool]) => tool).sort()).toEqual(['t', 't', undefined, undefined]);
  });

  it('holds code that hears of a connection', async () => {
    await using held = holdWith(rules());
    const dispatcher = adapter.leashDispatcher(held.leash);
    const strays: Promise<unknown>[] = [];
    await held.call(async () => {
      dispatcher.on('connect', () => strays.push(rejection(fetch(`http://127.0.0.1:${place.port}/stray`))));
      await (await undici.request(url(), { dispatcher })).body.text();
    });
    expect(strays).toHaveLength(1);
    expect(findLeashError(await strays[0])).toMatchObject({ reason: 'host-not-allowed', tool: 't' });
  });

  it.each([
    { name: 'refuses', connected: 'HTTP/1.1 403 no\r\n\r\n', message: /refused a tunnel with status 403$/ },
    { name: 'hangs up', connected: '', message: /could not be reached$/ },
  ])('fails every request where the proxy $name', async ({ connected, message }) => {
    await using failing = await startProxy({ connected: (_, socket) => socket.end(connected) });
    await using held = holdWith(rules({ proxy: failing.origin }));
    const dispatcher = adapter.leashDispatcher(held.leash, { connections: 1 });
    const requests = [1, 2, 3].map(() => rejection(undici.request(url(), { dispatcher })));
    for (const error of await Promise.all(requests)) expect(error.message).toMatch(message);
    expect(failing.asked).toHaveLength(3);
  });

  it('gives up on a proxy that says nothing', async () => {
    await using silent = await startProxy({ connected: () => {} });
    await using held = holdWith(rules({ proxy: silent.origin }));
    const dispatcher = adapter.leashDispatcher(held.leash, { connectTimeout: 50 });
    await expect(undici.request(url(), { dispatcher })).rejects.toThrow('did not answer in time');
  });

  it('is the way of leashFetch as well', async () => {
    await using held = holdWith(rules());
    expect(await (await adapter.leashFetch(held.leash)(url())).text()).toBe('/x');
    expect(proxy.asked).toEqual([`CONNECT a.test:${place.port}`]);
  });

  it('is none of leashInterceptor, whose connections are not its own', async () => {
    await using held = holdWith(rules());
    const error = thrownBy(() => adapter.leashInterceptor(held.leash));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toBe(
      'leashInterceptor cannot use egress({ proxy }): use leashDispatcher, which goes through it',
    );
  });

  it('has its tunnels closed with the leash', async () => {
    await using own = await startProxy();
    await using held = holdWith(rules({ proxy: own.origin }));
    await (await undici.request(url(), { dispatcher: adapter.leashDispatcher(held.leash) })).body.text();
    expect(own.open.size).toBe(1);
    held.leash.stop('enough');
    while (own.open.size > 0) await new Promise(setImmediate);
  });
}
