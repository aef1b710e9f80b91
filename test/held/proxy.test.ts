import { promises as dns } from 'node:dns';
import { connect } from 'node:net';
import * as undici8 from 'undici';
import * as undici7 from 'undici-7';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { findLeashError } from '../../src/errors.ts';
import { type EgressOptions, egress } from '../../src/guards/egress.ts';
import { createLeash } from '../../src/leash.ts';
import { holdWith } from '../helpers/held-leash.ts';
import { httpGet, openWebSocket } from '../helpers/http-get.ts';
import { type Place, startPlace } from '../helpers/places.ts';
import { startProxy, type TestProxy } from '../helpers/proxy.ts';
import { rejection, thrownBy } from '../helpers/refused.ts';

let place: Place;
let proxy: TestProxy;
beforeAll(async () => {
  [place, proxy] = await Promise.all([
    startPlace({
      respond: (request, response) => {
        const to = new URL(request.url ?? '', 'http://host').searchParams.get('to');
        if (to === null) response.end(request.url);
        else response.writeHead(302, { location: to }).end();
      },
    }),
    startProxy(),
  ]);
});
afterAll(async () => {
  await Promise.all([place, proxy].map((server) => server[Symbol.asyncDispose]()));
});
afterEach(() => {
  proxy.asked.length = 0;
  proxy.credentials.length = 0;
});

const url = (host: string, path = '/x'): string => `http://${host}:${place.port}${path}`;

/** Whoever asks for a name would be told: no address is allowed here. */
function rules(more: Partial<EgressOptions> = {}): EgressOptions {
  return {
    allow: [`http://a.test:${place.port}`, { host: `http://path.test:${place.port}`, path: '/in', methods: ['GET'] }],
    proxy: proxy.origin.replace('//', '//secretuser:secretpass@'),
    resolver: () => expect.unreachable('a name was asked for'),
    addresses: {},
    ...more,
  };
}

const short = (said: readonly string[]): readonly string[] => said.map((text) => text.replace(`:${place.port}`, ''));

describe('leash.fetch by a proxy', () => {
  it.each(['declared', 'scope'] as const)('goes by a tunnel, with enforce: %o', async (enforce) => {
    const held = holdWith(rules({ enforce }));
    const text = async (): Promise<string> => (await held.leash.fetch(url('a.test'))).text();
    expect(await text()).toBe('/x');
    expect(await held.call(text)).toBe('/x');
    await held.leash.close();
    expect(new Set(proxy.asked)).toEqual(new Set([`CONNECT a.test:${place.port}`]));
    expect(new Set(proxy.credentials)).toEqual(
      new Set([`Basic ${Buffer.from('secretuser:secretpass').toString('base64')}`]),
    );
    expect(place.asked.at(-1)).toBe(`a.test:${place.port}/x`);
    // The address that was dialled is that of the proxy.
    expect(short(held.said())).toEqual(['ok http a.test', 'ok http a.test']);
    expect(held.lines().map(({ tool }) => tool)).toEqual([undefined, 't']);
    expect(held.sink.lines.join()).not.toMatch(/secret|c2VjcmV0/);
    expect(JSON.stringify(held.leash.egress.coverage())).not.toContain('secret');
  });

  it('goes by a tunnel where all code of the process is held', async () => {
    // Which that of the proxy is too, so that it cannot lead on.
    await using refusing = await startProxy({ connected: (_, socket) => socket.end('HTTP/1.1 502 no\r\n\r\n') });
    await using held = holdWith(rules({ proxy: refusing.origin, enforce: 'process' }));
    const error = await rejection(held.leash.fetch(url('a.test')));
    expect(String(error.cause)).toMatch(/refused a tunnel with status 502$/);
    expect(await rejection(httpGet(`${refusing.origin}/`))).toMatchObject({ code: 'EGRESS_DENIED' });
  });

  const refusals: readonly [string, () => string, RequestInit, string][] = [
    ['a name', () => url('b.test'), {}, 'host-not-allowed'],
    ['a port', () => 'http://a.test/x', {}, 'port'],
    ['a scheme', () => url('a.test').replace('http', 'https'), {}, 'scheme'],
    ['a path', () => url('path.test', '/out'), {}, 'path'],
    ['a method', () => url('path.test', '/in'), { method: 'POST' }, 'method'],
    ['an address', () => url('127.0.0.1'), {}, 'host-not-allowed'],
  ];
  it.each(refusals)('refuses %s before it asks the proxy', async (_, target, init, reason) => {
    await using held = holdWith(rules());
    const before = proxy.connections();
    const error = await rejection(held.leash.fetch(target(), init));
    expect(error).toMatchObject({ code: 'EGRESS_DENIED', reason });
    expect(proxy.connections()).toBe(before);
  });

  it('asks again at every hop', async () => {
    const held = holdWith(rules());
    const hop = (to: string): string => url('a.test', `/?to=${encodeURIComponent(to)}`);
    expect(await (await held.leash.fetch(hop(url('path.test', '/in')))).text()).toBe('/in');
    expect(await rejection(held.leash.fetch(hop(url('b.test'))))).toMatchObject({ reason: 'host-not-allowed' });
    await held.leash.close();
    expect(new Set(proxy.asked)).toEqual(new Set([`CONNECT a.test:${place.port}`, `CONNECT path.test:${place.port}`]));
  });

  it('fails where the proxy refuses, and says so without credentials', async () => {
    await using refusing = await startProxy({ connected: (_, socket) => socket.end('HTTP/1.1 407 no\r\n\r\n') });
    await using held = holdWith(rules({ proxy: refusing.origin.replace('//', '//secretuser:secretpass@') }));
    const error = await rejection(held.leash.fetch(url('a.test')));
    expect(error).toBeInstanceOf(TypeError);
    expect(String(error.cause)).toBe(
      `Error: the proxy of the leash, ${refusing.origin}, refused a tunnel with status 407`,
    );
    expect(refusing.asked).toEqual([`CONNECT a.test:${place.port}`]);
  });

  it('has its tunnels closed with the leash', async () => {
    await using own = await startProxy();
    await using held = holdWith(rules({ proxy: own.origin }));
    await (await held.leash.fetch(url('a.test'))).text();
    expect(own.open.size).toBe(1);
    held.leash.stop('enough');
    while (own.open.size > 0) await new Promise(setImmediate);
  });
});

describe('other clients of a leash with a proxy', () => {
  const clients: readonly { readonly name: string; readonly scheme: string; get(): unknown }[] = [
    { name: 'fetch', scheme: 'http', get: () => fetch(url('a.test')) },
    { name: 'WebSocket', scheme: 'http', get: () => openWebSocket(url('a.test').replace('http', 'ws')) },
    { name: 'node:http', scheme: 'http', get: () => httpGet(url('a.test')) },
    { name: 'undici 8', scheme: 'http', get: () => undici8.request(url('a.test')) },
    { name: 'undici 7', scheme: 'http', get: () => undici7.request(url('a.test')) },
    {
      name: 'leash.fetch with a dispatcher of its own',
      scheme: 'http',
      get: () => current().fetch(url('a.test'), { dispatcher: new undici7.Agent() as never }),
    },
  ];
  let leash: ReturnType<typeof holdWith>['leash'];
  const current = () => leash;

  it.each(clients)('are refused, and told what to use: $name', async ({ name, scheme, get }) => {
    const held = holdWith(rules());
    leash = held.leash;
    const before = [place.connections(), proxy.connections()];
    const error = await rejection(held.call(async () => await get()));
    if (!name.startsWith('WebSocket')) {
      expect(findLeashError(error)).toMatchObject({
        code: 'EGRESS_DENIED',
        reason: 'host-not-allowed',
        host: 'a.test',
      });
      expect(findLeashError(error)?.message).toContain(
        'host a.test is reached by the proxy of the leash alone: use leash.fetch, or leashDispatcher of leashkit/undici',
      );
    }
    await held.leash.close();
    expect(short(held.said())).toEqual([`denied ${scheme} a.test host-not-allowed`]);
    expect([place.connections(), proxy.connections()]).toEqual(before);
  });

  it('are refused the proxy itself', async () => {
    await using held = holdWith(rules());
    const dispatcher = new undici8.ProxyAgent({ uri: proxy.origin, proxyTunnel: true });
    const before = proxy.connections();
    const error = await rejection(held.call(() => undici8.request(url('a.test'), { dispatcher })));
    expect(findLeashError(error)).toMatchObject({ code: 'EGRESS_DENIED', reason: 'host-not-allowed' });
    expect(proxy.connections()).toBe(before);
  });

  it('connect to nothing, also where a request of the leash is under way', async () => {
    await using held = holdWith(rules({ rawSockets: 'allow' }));
    const reasons = await held.call(async () => {
      const pending = held.leash.fetch(url('a.test')).then((answer) => answer.text());
      const raw = new Promise((_, reject) => connect(place.port, 'a.test').on('error', reject));
      const toProxy = new Promise((_, reject) => connect(proxy.port, '127.0.0.1').on('error', reject));
      const name = dns.lookup('a.test');
      const settled = await Promise.allSettled([raw, toProxy, name]);
      expect(await pending).toBe('/x');
      return settled.map((result) => (result.status === 'rejected' ? findLeashError(result.reason)?.message : result));
    });
    expect(reasons).toEqual([
      expect.stringContaining('is reached by the proxy of the leash alone'),
      expect.stringContaining('host 127.0.0.1 is not allowed'),
      expect.stringContaining('is reached by the proxy of the leash alone'),
    ]);
  });

  it('are left alone outside of calls, and where only what is declared is held', async () => {
    await using held = holdWith(rules({ enforce: 'declared' }));
    const bare = `http://127.0.0.1:${place.port}/x`;
    expect(await held.call(async () => (await fetch(bare)).text())).toBe('/x');
    await using scoped = holdWith(rules());
    await scoped.call(async () => (await scoped.leash.fetch(url('a.test'))).text());
    expect(await (await fetch(bare)).text()).toBe('/x');
  });

  it('are refused in the coverage', async () => {
    await using held = holdWith(rules({ rawSockets: 'allow' }));
    const { entries } = held.leash.egress.selfTest();
    expect(entries).toMatchObject({
      'leash.fetch': 'held',
      fetch: 'refused',
      'node:http': 'refused',
      'node:net': 'refused',
    });
    expect(entries).toMatchObject({ WebSocket: 'refused', 'dns.lookup': 'refused' });
  });

  it('are told of as they are where the leash observes', async () => {
    const held = holdWith(rules({ resolver: () => ['127.0.0.1'], addresses: { allow: ['127.0.0.0/8'] } }), {
      mode: 'observe',
    });
    expect(await held.call(async () => (await fetch(url('a.test'))).text())).toBe('/x');
    expect(await held.call(async () => (await held.leash.fetch(url('a.test'))).text())).toBe('/x');
    await held.leash.close();
    const said = short(held.said());
    expect(said[0]).toBe('denied? http a.test host-not-allowed');
    expect(said.at(-1)).toBe('ok http a.test');
    expect(proxy.asked).toEqual([`CONNECT a.test:${place.port}`]);
  });
});

describe('the proxy of a leash', () => {
  const guard = (text: string | undefined) =>
    egress({ allow: [url('a.test', '')], ...(text === undefined ? {} : { proxy: text }) });

  it.each([
    {
      name: 'guards with two proxies',
      make: () => createLeash({ guards: [guard('http://one.test'), guard('http://two.test')] }),
    },
    {
      name: 'guards with other credentials',
      make: () => createLeash({ guards: [guard('http://secret:a@one.test'), guard('http://secret:b@one.test')] }),
    },
    {
      name: 'a child with another',
      make: () => createLeash({ guards: [guard('http://one.test')] }).child({ guards: [guard('http://two.test')] }),
    },
    {
      name: 'a child with one where its parent has none',
      make: () => createLeash({ guards: [guard(undefined)] }).child({ guards: [guard('http://one.test')] }),
    },
  ])('is one: not $name', ({ make }) => {
    const error = thrownBy(make);
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toBe(
      '`egress.proxy` must be the same in all guards of a leash, and in a child that of its parent',
    );
  });

  it('is that of a child too', async () => {
    const held = holdWith(rules());
    const inherits = held.leash.child({ guards: [guard(undefined)] });
    const repeats = held.leash.child({ guards: [egress(rules())] });
    const bare = held.leash.child({ guards: [] });
    for (const child of [inherits, repeats, bare]) {
      proxy.asked.length = 0;
      expect(await (await child.fetch(url('a.test'))).text()).toBe('/x');
      expect(proxy.asked).toEqual([`CONNECT a.test:${place.port}`]);
      expect(await rejection(child.run({ tool: 't' }, () => fetch(url('a.test'))))).toMatchObject({
        message: 'fetch failed',
      });
    }
    await held.leash.close();
  });

  it('may be that of a child alone where its parent has no say', async () => {
    const parent = createLeash({ guards: [] });
    const child = parent.child({ guards: [egress(rules())] });
    expect(await (await child.fetch(url('a.test'))).text()).toBe('/x');
    await parent.close();
  });

  it.each([
    { name: 'has none', inner: () => rules(), outer: () => rules({ proxy: undefined as never }) },
    { name: 'has another', inner: () => rules(), outer: () => rules({ proxy: 'http://other.test' }) },
  ])('is not used in a call of another leash that $name', async ({ inner, outer }) => {
    await using one = holdWith(inner());
    await using two = holdWith(outer());
    const error = await rejection(two.call(async () => one.leash.fetch(url('a.test'))));
    expect(error).toMatchObject({ code: 'EGRESS_DENIED', reason: 'host-not-allowed', tool: 't' });
    expect(proxy.asked).toEqual([]);
  });

  it('is not passed by in a call of a leash that has one', async () => {
    await using inner = holdWith({ allow: [url('a.test', '')] });
    await using outer = holdWith(rules());
    const before = place.connections();
    const error = await rejection(outer.call(async () => inner.leash.fetch(url('a.test'))));
    expect(error).toMatchObject({ code: 'EGRESS_DENIED', reason: 'host-not-allowed', tool: 't' });
    expect(place.connections()).toBe(before);
  });

  it('serves two leashes that have the same one', async () => {
    await using inner = holdWith(rules());
    await using outer = holdWith(rules());
    expect(await outer.call(async () => (await inner.leash.fetch(url('a.test'))).text())).toBe('/x');
    expect(short(inner.said())).toEqual(['ok http a.test']);
    expect(short(outer.said())).toEqual(['ok http a.test']);
  });
});
