import type { RequestListener, ServerResponse } from 'node:http';
import type { Dispatcher } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findLeashError } from '../../../src/errors.ts';
import { type HeldLeash, holdWith, onLoopback } from '../../helpers/held-leash.ts';
import { type Place, startPlace } from '../../helpers/places.ts';
import type { Copy } from './copy.ts';

/** `/to?<url>` leads there; `/busy` is that twice, and then no more; `/wait` waits. */
function responder(waiting: ServerResponse[]): RequestListener {
  let busy = 2;
  return (request, response) => {
    const { pathname, search } = new URL(request.url ?? '', 'http://host');
    if (pathname === '/wait') waiting.push(response);
    else if (pathname === '/to') response.writeHead(302, { location: search.slice(1) }).end();
    else if (pathname === '/busy' && busy-- > 0) response.writeHead(503).end();
    else response.writeHead(200, { 'cache-control': 'max-age=60' }).end(pathname);
  };
}

/** What is composed with a leash, outside of it and inside. */
export function isHeldWhenComposed({ undici, adapter }: Copy): void {
  const { interceptors } = undici;
  let place: Place;
  let held: HeldLeash;
  const asked: string[] = [];
  const waiting: ServerResponse[] = [];
  beforeAll(async () => {
    place = await startPlace({ respond: responder(waiting) });
  });
  afterAll(() => place[Symbol.asyncDispose]());

  const base = (host: string): string => `http://${host}:${place.port}`;

  type Compose = (parts: { readonly leashed: Dispatcher; readonly agent: Dispatcher }) => Dispatcher;

  async function outcome(compose: Compose, url: string, times = 1) {
    held = holdWith({
      allow: [base('a.test')],
      resolver: (host) => {
        asked.push(host);
        return onLoopback();
      },
    });
    asked.length = 0;
    const connections = place.connections();
    const agent = new undici.Agent();
    const dispatcher = compose({ leashed: adapter.leashDispatcher(held.leash), agent });
    const results: string[] = [];
    for (let i = 0; i < times; i++) {
      const result = await undici.request(url, { dispatcher }).then(
        async ({ body }) => body.text(),
        (error: Error) => (findLeashError(error) as { reason?: string } | undefined)?.reason ?? error.message,
      );
      results.push(result);
    }
    await held.leash.close();
    await agent.close();
    const said = held.said().map((text) => text.replace(`:${place.port}`, ''));
    return { results, said, asked: [...asked], connected: place.connections() - connections };
  }

  const OK = 'ok http a.test 127.0.0.1';
  const DENIED = 'denied http b.test host-not-allowed';
  const redirect = () => interceptors.redirect({ maxRedirections: 5 });
  const retry = () => interceptors.retry({ minTimeout: 1, maxTimeout: 1, maxRetries: 3 });

  const outside: readonly { readonly name: string; compose: Compose }[] = [
    { name: 'redirect', compose: ({ leashed }) => leashed.compose(redirect()) },
    { name: 'retry', compose: ({ leashed }) => leashed.compose(retry()) },
    { name: 'cache', compose: ({ leashed }) => leashed.compose(interceptors.cache()) },
    { name: 'responseError', compose: ({ leashed }) => leashed.compose(interceptors.responseError()) },
    { name: 'decompress', compose: ({ leashed }) => leashed.compose(interceptors.decompress()) },
    { name: 'dump', compose: ({ leashed }) => leashed.compose(interceptors.dump()) },
    { name: 'deduplicate', compose: ({ leashed }) => leashed.compose(interceptors.deduplicate()) },
    {
      name: 'all of them',
      compose: ({ leashed }) =>
        leashed.compose([redirect(), retry(), interceptors.cache(), interceptors.decompress(), interceptors.dump()]),
    },
    { name: 'RetryAgent', compose: ({ leashed }) => new undici.RetryAgent(leashed, { maxRetries: 3, minTimeout: 1 }) },
    {
      name: 'an interceptor of its own',
      compose: ({ leashed }) => leashed.compose((dispatch) => (options, handler) => dispatch(options, handler)),
    },
    {
      name: 'an interceptor that waits',
      compose: ({ leashed }) =>
        leashed.compose((dispatch) => (options, handler) => {
          setImmediate(() => dispatch(options, handler));
          return true;
        }),
    },
  ];

  describe('outside of leashDispatcher', () => {
    it.each(outside)('$name lets through what is allowed', async ({ name, compose }) => {
      const seen = await outcome(compose, `${base('a.test')}/x`);
      const results = name === 'dump' || name === 'all of them' ? [''] : ['/x'];
      expect(seen).toEqual({ results, said: [OK], asked: ['a.test'], connected: 1 });
    });

    it.each(outside)('$name gets the refusal of what is not, once', async ({ compose }) => {
      const seen = await outcome(compose, `${base('b.test')}/x`);
      expect(seen).toEqual({ results: ['host-not-allowed'], said: [DENIED], asked: [], connected: 0 });
    });

    it('a redirect is a request of its own', async () => {
      const compose: Compose = ({ leashed }) => leashed.compose(redirect());
      expect(await outcome(compose, `${base('a.test')}/to?${base('b.test')}/`)).toEqual({
        results: ['host-not-allowed'],
        said: [OK, DENIED],
        asked: ['a.test'],
        connected: 1,
      });
      const two = await outcome(compose, `${base('a.test')}/to?${base('a.test')}/end`);
      expect(two).toMatchObject({ results: ['/end'], said: [OK, OK] });
    });

    it('a retry is a request of its own', async () => {
      const seen = await outcome(({ leashed }) => leashed.compose(retry()), `${base('a.test')}/busy`);
      expect(seen).toMatchObject({ results: ['/busy'], said: [OK, OK, OK] });
    });

    it('what comes out of a cache is no request', async () => {
      const seen = await outcome(({ leashed }) => leashed.compose(interceptors.cache()), `${base('a.test')}/cached`, 3);
      expect(seen).toMatchObject({ results: Array(3).fill('/cached'), said: [OK], connected: 1 });
    });

    it('names that dns has resolved are addresses, which the rules do not name', async () => {
      const lookup = (_: unknown, __: unknown, done: (error: null, answers: readonly object[]) => void): void =>
        done(null, [{ address: '127.0.0.1', family: 4, ttl: 10 }]);
      const compose: Compose = ({ leashed }) => leashed.compose(interceptors.dns({ lookup } as never));
      const seen = await outcome(compose, `${base('a.test')}/x`);
      const said = ['denied http 127.0.0.1 host-not-allowed'];
      expect(seen).toEqual({ results: ['host-not-allowed'], said, asked: [], connected: 0 });
    });
  });

  describe('leashInterceptor', () => {
    const within = ({ agent }: { readonly agent: Dispatcher }, ...others: Dispatcher.DispatcherComposeInterceptor[]) =>
      agent.compose(adapter.leashInterceptor(held.leash), ...others);
    const away = (): string => `${base('a.test')}/to?${base('b.test')}/`;

    it('sees every hop where it comes first', async () => {
      expect(await outcome((parts) => within(parts, redirect(), retry()), away())).toEqual({
        results: ['host-not-allowed'],
        said: [OK, DENIED],
        asked: ['a.test'],
        connected: 1,
      });
    });

    it('does not see what stands inside of it, which is held below where it connects anew', async () => {
      const wrong: Compose = ({ agent }) => agent.compose(redirect(), adapter.leashInterceptor(held.leash));
      expect(await outcome(wrong, away())).toMatchObject({ results: ['host-not-allowed'], said: [OK, DENIED] });
    });

    it('refuses at once what a pool would keep waiting', async () => {
      await using leashed = holdWith({ allow: [base('a.test')] });
      const lookup = (_: string, __: object, done: (error: null, answers: object[]) => void): void =>
        done(null, [{ address: '127.0.0.1', family: 4 }]);
      const agent = new undici.Agent({ connections: 1, connect: { lookup: lookup as never } });
      const dispatcher = agent.compose(adapter.leashInterceptor(leashed.leash));
      const first = undici.request(`${base('a.test')}/wait`, { dispatcher: agent });
      while (waiting.length === 0) await new Promise(setImmediate);
      const games = [
        { headers: { host: `b.test:${place.port}` } },
        { servername: 'b.test' },
        { method: 'CONNECT' },
        { path: `${base('b.test')}/` },
        { origin: base('b.test') },
      ];
      const errors = games.map((game) => {
        const options = { origin: base('a.test'), path: '/', method: 'GET', ...game } as const;
        return new Promise<Error>((resolve) =>
          dispatcher.dispatch(options, {
            onError: resolve,
            onResponseError: (_: unknown, e: Error) => resolve(e),
          } as never),
        );
      });
      const reasons = (await Promise.all(errors)).map((error) => (error as { reason?: string }).reason);
      const mismatches = ['host-header-mismatch', 'servername-mismatch'];
      expect(reasons).toEqual([...mismatches, 'connect-method', 'request-target', 'host-not-allowed']);
      waiting.splice(0)[0]?.end();
      await (await first).body.text();
      await agent.close();
    });

    it('goes by where its dispatcher is bound to', async () => {
      await using leashed = holdWith({ allow: [base('a.test')] });
      const passed: unknown[] = [];
      const interceptor = adapter.leashInterceptor(leashed.leash) as (...args: unknown[]) => Dispatcher.Dispatch;
      const ask = (bound: unknown, origin?: string): Promise<unknown> =>
        new Promise((resolve) => {
          const dispatch = interceptor(({ origin: to }: { origin: string }) => {
            passed.push(to);
            resolve(undefined);
            return true;
          }, bound);
          const options = { path: '/', method: 'GET', ...(origin === undefined ? {} : { origin }) } as const;
          dispatch(options, {
            onError: resolve,
            onResponseError: (_: unknown, error: Error) => resolve(error),
          } as never);
        });
      expect(await ask(base('b.test'), base('a.test'))).toMatchObject({ reason: 'host-not-allowed' });
      expect(passed).toEqual([]);
      await ask(base('a.test'), base('b.test'));
      await ask(base('a.test'));
      await ask(null, base('a.test'));
      await ask(undefined, base('a.test'));
      expect(passed).toEqual(Array(4).fill(base('a.test')));
    });

    it('knows the address of a connection that was opened under no leash', async () => {
      const lookup = (_: string, __: object, done: (error: null, answers: object[]) => void): void =>
        done(null, [{ address: '127.0.0.1', family: 4 }]);
      const agent = new undici.Agent({ connect: { lookup: lookup as never } });
      await (await undici.request(`${base('a.test')}/`, { dispatcher: agent })).body.text();
      await new Promise(setImmediate);
      await using narrow = holdWith({ allow: [base('a.test')], addresses: {} });
      const dispatcher = agent.compose(adapter.leashInterceptor(narrow.leash));
      const error: unknown = await undici.request(`${base('a.test')}/`, { dispatcher }).catch((e: unknown) => e);
      expect(findLeashError(error)).toMatchObject({ reason: 'address:loopback' });
      await agent.close();
    });

    it('tells undici that it dispatches', async () => {
      await using leashed = holdWith({ allow: [] });
      const dispatch = adapter.leashInterceptor(leashed.leash)(() => true);
      expect(dispatch).toHaveLength(2);
    });

    it('passes the handler on as it is', async () => {
      await using leashed = holdWith({ allow: ['http://a.test'] });
      const passed: unknown[] = [];
      const dispatch = adapter.leashInterceptor(leashed.leash)((_, handler) => {
        passed.push(handler);
        return true;
      });
      const handler = Object.freeze({ onError: () => {}, onResponseError: () => {} });
      expect(dispatch({ origin: 'http://a.test', path: '/', method: 'GET' }, handler)).toBe(true);
      expect(passed).toEqual([handler]);
      expect(passed[0]).toBe(handler);
    });
  });
}
