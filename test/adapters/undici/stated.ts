import type { Dispatcher } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findLeashError } from '../../../src/errors.ts';
import type { Leash } from '../../../src/leash-contract.ts';
import { type HeldLeash, holdWith } from '../../helpers/held-leash.ts';
import { certificate, type Place, startPlace, startSecurePlace } from '../../helpers/places.ts';
import { rejection } from '../../helpers/refused.ts';
import type { Copy } from './copy.ts';

type Options = Dispatcher.DispatchOptions;

/** What a request says of itself, and games that can be played with it. */
export function isHeldToWhatItStates({ undici, adapter }: Copy): void {
  let plain: Place;
  let secure: Place;
  let held: HeldLeash;
  beforeAll(async () => {
    [plain, secure] = await Promise.all([startPlace(), startSecurePlace()]);
  });
  afterAll(async () => {
    await Promise.all([plain[Symbol.asyncDispose](), secure[Symbol.asyncDispose]()]);
  });

  const { cert: ca } = certificate;
  const ways: readonly { readonly way: string; dispatcher(leash: Leash): Dispatcher }[] = [
    { way: 'leashDispatcher', dispatcher: (leash) => adapter.leashDispatcher(leash, { tls: { ca } }) },
    {
      way: 'leashInterceptor',
      dispatcher: (leash) => new undici.Agent({ connect: { ca } }).compose(adapter.leashInterceptor(leash)),
    },
  ];

  /** What came of a request, and what the log says of it, with ports by name. */
  async function outcome(dispatcher: (leash: Leash) => Dispatcher, options: () => Options) {
    held = holdWith({ allow: [`http://a.test:${plain.port}`, `https://a.test:${secure.port}`], enforce: 'declared' });
    const before = plain.connections() + secure.connections();
    const result = await dispatcher(held.leash)
      .request(options() as Dispatcher.RequestOptions)
      .then(
        async ({ body }) => body.text(),
        (error: Error) =>
          (findLeashError(error) as { reason?: string } | undefined)?.reason ?? `${error.name}: ${error.message}`,
      );
    await held.leash.close();
    const said = held.said().map((text) => text.replace(`:${plain.port}`, '').replace(`:${secure.port}`, ''));
    return { result, said, connected: plain.connections() + secure.connections() - before };
  }

  const origin = (): string => `http://a.test:${plain.port}`;
  const to = (more: Record<string, unknown>): Options => ({ origin: origin(), path: '/x', method: 'GET', ...more });
  const host = (name = 'a.test'): string => `${name}:${plain.port}`;

  describe.each(ways)('by $way', ({ dispatcher }) => {
    const hosts: readonly { readonly name: string; headers(value: string): unknown }[] = [
      { name: 'a record', headers: (value) => ({ host: value }) },
      { name: 'a record in capitals', headers: (value) => ({ 'x-a': 'b', HOST: value }) },
      { name: 'a list', headers: (value) => ['x-a', 'b', 'Host', value] },
      { name: 'Headers', headers: (value) => new undici.Headers({ host: value }) },
      { name: 'built-in Headers', headers: (value) => new Headers({ host: value }) },
      { name: 'a Map', headers: (value) => new Map([['hOst', value]]) },
      {
        name: 'an iterator that runs once',
        *headers(value) {
          yield ['host', value];
        },
      },
    ];

    it.each(hosts)('takes the Host header of the host as $name', async ({ headers }) => {
      expect(await outcome(dispatcher, () => to({ headers: headers(host()) }))).toEqual({
        result: '/x',
        said: ['ok http a.test 127.0.0.1'],
        connected: 1,
      });
    });

    it.each(hosts)('refuses another Host header as $name', async ({ headers }) => {
      for (const value of [host('b.test'), 'a.test', `a.test:${plain.port + 1}`, 'a.test@b.test', '']) {
        expect(await outcome(dispatcher, () => to({ headers: headers(value) })), value).toEqual({
          result: 'host-header-mismatch',
          said: ['denied http a.test host-header-mismatch'],
          connected: 0,
        });
      }
    });

    it('sends headers that were read once', async () => {
      let reads = 0;
      const headers = {
        get host() {
          return host(reads++ === 0 ? 'a.test' : 'b.test');
        },
      };
      expect(await outcome(dispatcher, () => to({ headers }))).toMatchObject({ result: '/x', connected: 1 });
      expect(plain.asked.at(-1)).toBe(`${host()}/x`);
    });

    const targets: readonly {
      readonly name: string;
      options(): Options;
      readonly reason: string;
      readonly said: string | undefined;
    }[] = [
      {
        name: 'an absolute target',
        options: () => to({ path: `http://${host('b.test')}/` }),
        reason: 'request-target',
        said: 'denied http a.test request-target',
      },
      {
        name: 'an absolute target of its own host',
        options: () => to({ path: `${origin()}/` }),
        reason: 'request-target',
        said: 'denied http a.test request-target',
      },
      {
        name: 'credentials',
        options: () => to({ origin: `http://a.test:${plain.port}@${host('b.test')}` }),
        reason: 'bad-host',
        said: 'denied http b.test bad-host',
      },
      {
        name: 'no URL',
        options: () => to({ origin: 'http://a..test:x' }),
        reason: 'bad-host',
        said: 'denied http :0 bad-host',
      },
      {
        name: 'another scheme',
        options: () => to({ origin: 'ftp://a.test' }),
        reason: 'scheme',
        said: 'denied ftp a.test:0 scheme',
      },
      {
        name: 'another port',
        options: () => to({ origin: 'http://a.test' }),
        reason: 'port',
        said: 'denied http a.test:80 port',
      },
      {
        name: 'an empty label',
        options: () => to({ origin: `http://a..test:${plain.port}` }),
        reason: 'bad-host',
        // Of a host that is none nothing is on record but that it was refused.
        said: undefined,
      },
      {
        name: 'the address of the host',
        options: () => to({ origin: `http://127.1:${plain.port}` }),
        reason: 'host-not-allowed',
        said: 'denied http 127.0.0.1 host-not-allowed',
      },
    ];
    it.each(targets)('refuses $name', async ({ options, reason, said }) => {
      expect(await outcome(dispatcher, options)).toEqual({
        result: reason,
        said: said === undefined ? [] : [said],
        connected: 0,
      });
    });

    it.each([
      { name: 'in capitals', text: 'HTTP://A.TEST' },
      { name: 'with a trailing dot', text: 'http://a.test.' },
      { name: 'in full-width letters', text: 'http://ａ.test' },
    ])('knows the same host $name', async ({ text }) => {
      const seen = await outcome(dispatcher, () => to({ origin: `${text}:${plain.port}` }));
      expect(seen).toEqual({ result: '/x', said: ['ok http a.test 127.0.0.1'], connected: 1 });
    });

    it('sends where a URL led to when it was read', async () => {
      class TwoFaced extends URL {
        #reads = 0;
        override toString(): string {
          return `http://${host(this.#reads++ === 0 ? 'a.test' : 'b.test')}`;
        }
      }
      const origins = [new TwoFaced('http://b.test'), { toString: () => new TwoFaced('http://b.test').toString() }];
      for (const each of origins) {
        expect(await outcome(dispatcher, () => to({ origin: each }))).toMatchObject({ result: '/x', connected: 1 });
      }
    });

    it('refuses another name in TLS', async () => {
      const own = (more: object) => () => to({ origin: `https://a.test:${secure.port}`, ...more });
      expect(await outcome(dispatcher, own({}))).toEqual({
        result: '/x',
        said: ['ok https a.test 127.0.0.1'],
        connected: 1,
      });
      expect(await outcome(dispatcher, own({ servername: 'a.test' }))).toMatchObject({ result: '/x' });
      for (const servername of ['b.test', 'xa.test', 'localhost', 5, {}]) {
        expect(await outcome(dispatcher, own({ servername }))).toEqual({
          result: 'servername-mismatch',
          said: ['denied https a.test servername-mismatch'],
          connected: 0,
        });
      }
    });

    it.each([
      { name: 'no options', options: undefined, message: 'the options of a request must be an object' },
      { name: 'no origin', options: { path: '/', method: 'GET' }, message: 'a request needs an `origin`' },
      { name: 'no path', options: { origin: 'http://a.test', method: 'GET' }, message: 'the `path` of a request must' },
      { name: 'no method', options: { origin: 'http://a.test', path: '/' }, message: 'the `method` of a request must' },
      { name: 'odd headers', options: { headers: ['a'] }, message: 'a list of `headers` must hold names and values' },
      {
        name: 'headers of text',
        options: { headers: 'a: b' },
        message: 'the `headers` of a request must be an object',
      },
      { name: 'headers that are no pairs', options: { headers: new Set(['a']) }, message: 'iterable `headers` must' },
    ])('has $name for a mistake, and not for a refusal', async ({ options, message }) => {
      held = holdWith({ allow: [] });
      const given = options !== undefined && 'headers' in options ? to(options) : options;
      const error = await rejection(answerOf(dispatcher(held.leash), given as Options));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toContain(message);
      await held.leash.close();
      expect(held.said()).toEqual([]);
    });
  });

  it('refuses a tunnel', async () => {
    for (const { dispatcher } of ways) {
      await using leashed = holdWith({ allow: [origin()] });
      const tunnel = dispatcher(leashed.leash).connect({ origin: origin(), path: host('b.test') });
      expect(findLeashError(await rejection(tunnel))).toMatchObject({ reason: 'connect-method' });
      expect(leashed.said()).toEqual([`denied http ${host()} connect-method`]);
    }
  });

  it('reads every option once', async () => {
    await using leashed = holdWith({ allow: [origin()] });
    const options = {};
    const reads: string[] = [];
    for (const [name, value] of Object.entries(to({ headers: ['x-a', 'b'], servername: undefined, body: null }))) {
      const get = (): unknown => {
        reads.push(name);
        return value;
      };
      Object.defineProperty(options, name, { enumerable: true, get });
    }
    expect(await answerOf(adapter.leashDispatcher(leashed.leash), options as Options)).toBe('/x');
    expect(reads).toEqual(['origin', 'path', 'method', 'headers', 'servername', 'body']);
  });

  it('goes nowhere else for a dispatcher among the options', async () => {
    await using leashed = holdWith({ allow: [origin()] });
    const options = to({ dispatcher: new undici.Agent() });
    expect(await answerOf(adapter.leashDispatcher(leashed.leash), options)).toBe('/x');
    expect(leashed.said()).toEqual([`ok http ${host()} 127.0.0.1`]);
  });

  it('reads what is inherited, as undici does', async () => {
    await using leashed = holdWith({ allow: [origin()] });
    const dispatcher = adapter.leashDispatcher(leashed.leash);
    expect(await answerOf(dispatcher, Object.create(to({})) as Options)).toBe('/x');
    const other = Object.create(to({ headers: { host: host('b.test') } })) as Options;
    const error = await rejection(answerOf(dispatcher, other));
    expect(error).toMatchObject({ reason: 'host-header-mismatch' });
  });

  it('throws a refusal where no handler takes it', async () => {
    await using leashed = holdWith({ allow: [] });
    const bare = adapter.leashDispatcher(leashed.leash);
    for (const handler of [undefined, null, {}, 5]) {
      expect(() => bare.dispatch(to({}), handler as never)).toThrow(/host a\.test is not allowed/);
    }
  });

  it('an interceptor judges where its dispatcher is bound to, whatever a request says', async () => {
    await using leashed = holdWith({ allow: [origin()] });
    const interceptor = adapter.leashInterceptor(leashed.leash);
    const elsewhere = new undici.Pool(`http://b.test:${plain.port}`).compose(interceptor);
    const error = await rejection(elsewhere.request({ origin: origin(), path: '/', method: 'GET' }));
    expect(findLeashError(error)).toMatchObject({ reason: 'host-not-allowed', host: 'b.test' });
    const here = new undici.Pool(origin()).compose(interceptor);
    // undici 7 does not tell an interceptor.
    const told = 'Dispatcher1Wrapper' in undici;
    const answer = here.request({ path: '/x', method: 'GET' } as Dispatcher.RequestOptions);
    if (told) expect(await (await answer).body.text()).toBe('/x');
    else await expect(answer).rejects.toThrow('a request needs an `origin`');
    expect(await (await here.request({ origin: origin(), path: '/x', method: 'GET' })).body.text()).toBe('/x');
  });
}

/** What comes of a `dispatch`, with a handler for every version. */
function answerOf(dispatcher: Dispatcher, options: Dispatcher.DispatchOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    let body = '';
    const add = (chunk: Buffer): boolean => {
      body += chunk;
      return true;
    };
    dispatcher.dispatch(options, {
      onConnect: () => {},
      onHeaders: () => true,
      onData: add,
      onComplete: () => resolve(body),
      onError: reject,
      onRequestStart: () => {},
      onResponseStart: () => {},
      onResponseData: (_: unknown, chunk: Buffer) => void add(chunk),
      onResponseEnd: () => resolve(body),
      onResponseError: (_: unknown, error: Error) => reject(error),
    } as Dispatcher.DispatchHandler);
  });
}
