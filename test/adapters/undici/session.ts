import { generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { memorySink } from '../../../src/audit/memory-sink.ts';
import { currentCall } from '../../../src/call.ts';
import { findLeashError } from '../../../src/errors.ts';
import type { Guard } from '../../../src/guard.ts';
import { budget } from '../../../src/guards/budget.ts';
import { egress } from '../../../src/guards/egress.ts';
import { createLeash } from '../../../src/leash.ts';
import type { Leash } from '../../../src/leash-contract.ts';
import { heldBy, holdWith, onLoopback } from '../../helpers/held-leash.ts';
import { certificate, type Place, startPlace, startSecurePlace } from '../../helpers/places.ts';
import { rejection, thrownBy } from '../../helpers/refused.ts';
import type { Copy } from './copy.ts';

/** What the session of a client makes of it: modes, guards, the log, options. */
export function belongsToItsSession({ undici, adapter }: Copy): void {
  let place: Place;
  let base: string;
  beforeAll(async () => {
    place = await startPlace();
    base = `http://a.test:${place.port}`;
  });
  afterAll(() => place[Symbol.asyncDispose]());

  const rules = () => ({ allow: [base], resolver: onLoopback, addresses: { allow: ['127.0.0.0/8'] } });
  const elsewhere = (): string => `http://b.test:${place.port}`;
  const short = (said: readonly string[]): readonly string[] => said.map((text) => text.replace(`:${place.port}`, ''));

  describe('what is no leash of this package', () => {
    const { leashDispatcher, leashInterceptor, leashFetch } = adapter;
    it.each([
      { name: 'leashDispatcher', make: leashDispatcher },
      { name: 'leashInterceptor', make: leashInterceptor },
      { name: 'leashFetch', make: leashFetch },
    ])('$name does not take', ({ name, make }) => {
      const leash = createLeash({ guards: [egress(rules())] });
      for (const other of [undefined, null, 5, 'leash', {}, Object.create(leash), new Proxy(leash, {}), { ...leash }]) {
        const error = thrownBy(() => make(other as Leash));
        expect(error).toBeInstanceOf(TypeError);
        expect(error.message).toMatch(new RegExp(`^${name} expects a leash that createLeash of the same copy`));
      }
      const bare = thrownBy(() => make(createLeash({ guards: [budget({ usd: 1 })] })));
      expect(bare).toBeInstanceOf(TypeError);
      expect(bare.message).toBe(`${name} needs an egress guard in the leash: add egress({ allow: [...] })`);
    });
  });

  describe('options of leashDispatcher', () => {
    it.each([
      { name: 'connect', options: { connect: () => {} } },
      { name: 'factory', options: { factory: () => {} } },
      { name: 'socketPath', options: { socketPath: '/x' } },
      { name: 'localAddress', options: { localAddress: '127.0.0.1' } },
      { name: 'pipelining', options: { pipelining: 4 } },
      { name: 'servername', options: { tls: { servername: 'b.test' } } },
      { name: 'lookup', options: { tls: { lookup: () => {} } } },
      { name: 'host', options: { tls: { host: 'b.test' } } },
      { name: 'socket', options: { tls: { socket: {} } } },
      { name: 'rejectUnauthorized', options: { tls: { rejectUnauthorized: false } } },
      { name: 'checkServerIdentity', options: { tls: { checkServerIdentity: () => {} } } },
    ])('there is no $name', async ({ name, options }) => {
      await using held = holdWith(rules());
      const error = thrownBy(() => adapter.leashDispatcher(held.leash, options as never));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toContain(`unknown option \`${name}\``);
    });

    it.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '5s'])('hold no connectTimeout of %o', async (given) => {
      await using held = holdWith(rules());
      const error = thrownBy(() => adapter.leashDispatcher(held.leash, { connectTimeout: given as number }));
      expect(error).toBeInstanceOf(typeof given === 'number' ? RangeError : TypeError);
      expect(error.message).toMatch(/^`leashDispatcher\.connectTimeout` must be an integer >= 0, got /);
    });

    it('reach undici, which checks them', async () => {
      await using held = holdWith(rules());
      const { leash } = held;
      const bad = adapter.leashDispatcher(leash, { connections: -1 });
      await expect(undici.request(base, { dispatcher: bad })).rejects.toThrow('invalid connections');
      const small = adapter.leashDispatcher(leash, { maxResponseSize: 1 });
      const { body } = await undici.request(`${base}/long`, { dispatcher: small });
      await expect(body.text()).rejects.toMatchObject({ code: 'UND_ERR_RES_EXCEEDED_MAX_SIZE' });
    });

    it.each([{ allowH2: true }, { allowH2: false }, {}])('are for TLS too: %o', async (options) => {
      await using secure = await startSecurePlace();
      const url = `https://a.test:${secure.port}`;
      await using held = holdWith({ allow: [url] });
      const trusting = adapter.leashDispatcher(held.leash, { ...options, tls: { ca: certificate.cert } });
      expect(await (await undici.request(url, { dispatcher: trusting })).body.text()).toBe('/');
      const strict = adapter.leashDispatcher(held.leash, options);
      await expect(undici.request(url, { dispatcher: strict })).rejects.toThrow(/self[- ]signed/);
    });
  });

  it('says what a WebSocket and an EventSource may be sent', async () => {
    await using held = holdWith(rules());
    const dispatcher = adapter.leashDispatcher(held.leash) as unknown as Record<string, unknown>;
    const agent = new undici.Agent() as unknown as Record<string, unknown>;
    for (const name of ['webSocketOptions', 'eventSourceOptions']) {
      expect(dispatcher[name]).toEqual(agent[name]);
      expect(dispatcher[name]).toBeDefined();
    }
  });

  describe('a leash that observes', () => {
    it('lets everything through, and says what it would have refused', async () => {
      const held = holdWith({ ...rules(), addresses: {} }, { mode: 'observe' });
      const dispatcher = adapter.leashDispatcher(held.leash);
      for (const url of [base, elsewhere()]) {
        expect(await (await undici.request(url, { dispatcher })).body.text()).toBe('/');
      }
      await held.leash.close();
      expect(short(held.said())).toEqual([
        'denied? dns a.test 127.0.0.1 address:loopback',
        'denied? http a.test 127.0.0.1 address:loopback',
        'ok http a.test 127.0.0.1',
        'denied? http b.test host-not-allowed',
        'denied? dns b.test 127.0.0.1 address:loopback',
        'denied? http b.test 127.0.0.1 address:loopback',
        'ok http b.test 127.0.0.1',
      ]);
    });

    it('is asked beside one that does not', async () => {
      const held = holdWith(rules(), { mode: 'observe' });
      const child = held.leash.child({ guards: [egress({ ...rules(), allow: [elsewhere()] })], mode: 'enforce' });
      const dispatcher = adapter.leashDispatcher(child);
      expect(findLeashError(await rejection(undici.request(base, { dispatcher })))).toMatchObject({
        reason: 'host-not-allowed',
      });
      expect(await (await undici.request(elsewhere(), { dispatcher })).body.text()).toBe('/');
      await held.leash.close();
      expect(short(held.said())).toEqual([
        'denied http a.test host-not-allowed',
        'denied? http b.test host-not-allowed',
        'ok http b.test 127.0.0.1',
      ]);
    });
  });

  it.each(['declared', 'scope', 'process'] as const)(
    'holds with enforce: %o, and code under no leash as it says',
    async (enforce) => {
      const held = holdWith({ ...rules(), enforce });
      const dispatcher = adapter.leashDispatcher(held.leash);
      expect(await (await undici.request(base, { dispatcher })).body.text()).toBe('/');
      expect(findLeashError(await rejection(undici.request(elsewhere(), { dispatcher })))).toMatchObject({
        reason: 'host-not-allowed',
      });
      const bare = fetch(`http://127.0.0.1:${place.port}/`).then((answer) => answer.text());
      if (enforce === 'process') expect(findLeashError(await rejection(bare))).toMatchObject({ code: 'EGRESS_DENIED' });
      else expect(await bare).toBe('/');
      await held.leash.close();
    },
  );

  it('asks a guard of its own, which knows of URLs alone', async () => {
    const asked: string[] = [];
    const guard: Guard = {
      name: 'mine',
      reach(url, method) {
        asked.push(`${method} ${url}`);
        return url.endsWith('/no') ? { allow: false, code: 'MINE', reason: 'no' } : { allow: true };
      },
    };
    const sink = memorySink();
    const held = heldBy(createLeash({ guards: [guard], audit: { sink, sign: 'none' } }), sink);
    const dispatcher = adapter.leashDispatcher(held.leash);
    const own = `http://127.0.0.1:${place.port}`;
    expect(await (await undici.request(`${own}/yes`, { dispatcher })).body.text()).toBe('/yes');
    const error = findLeashError(await rejection(undici.request(`${own}/no`, { dispatcher, method: 'POST' })));
    expect(error).toMatchObject({ code: 'MINE', reason: 'no' });
    await held.leash.close();
    expect(new Set(asked)).toEqual(new Set([`GET ${own}/yes`, `POST ${own}/no`]));
  });

  describe('what a leash does for itself', () => {
    it('is held by the leash whose client it uses, and not by that of the call', async () => {
      const inner = holdWith({
        ...rules(),
        allow: [base, 'http://p.test'],
        resolver: (host) => [host === 'p.test' ? '10.0.0.1' : '127.0.0.1'],
      });
      const fetch = adapter.leashFetch(inner.leash);
      const dispatcher = new undici.Agent().compose(adapter.leashInterceptor(inner.leash));
      const reasons: unknown[] = [];
      const outer = holdWith({
        allow: ['http://c.test'],
        resolver: async () => {
          expect(await (await fetch(base)).text()).toBe('/');
          const refused = [
            fetch(elsewhere()),
            fetch('http://p.test/'),
            inner.leash.fetch('http://p.test/'),
            undici.request('http://p.test/', { dispatcher }),
          ];
          for (const error of await Promise.all(refused.map(rejection))) {
            reasons.push((error as { reason?: string }).reason);
          }
          return ['10.0.0.1'];
        },
      });
      await rejection(outer.call(() => globalThis.fetch('http://c.test/')));
      expect(reasons).toEqual(['host-not-allowed', ...Array(3).fill('address:private')]);
      await Promise.all([inner.leash.close(), outer.leash.close()]);
      expect(short(inner.said()).slice(0, 2)).toEqual([
        'ok http a.test 127.0.0.1',
        'denied http b.test host-not-allowed',
      ]);
      expect(outer.said()).toEqual(['denied dns c.test:80 10.0.0.1 address:private']);
    });

    it('is its own where a request of a client writes to the log', async () => {
      const written: unknown[] = [];
      const lines = memorySink();
      const sink = {
        ...lines,
        write: (text: string, first: number, last: number) => {
          void lines.write(text, first, last);
          if (text.includes('"egress_')) {
            written.push(globalThis.fetch(`http://127.0.0.1:${place.port}/log`).then((answer) => answer.text()));
          }
        },
      };
      const leash = createLeash({ guards: [egress(rules())], audit: { sink, sign: 'none' } });
      const dispatcher = adapter.leashDispatcher(leash);
      await leash.run({ tool: 't' }, async () => {
        await (await undici.request(base, { dispatcher })).body.text();
        await rejection(undici.request(elsewhere(), { dispatcher }));
      });
      expect(await Promise.all(written)).toEqual(['/log', '/log']);
      await leash.close();
    });
  });

  it('knows each call on a connection that serves many at once', async () => {
    const server = createSecureServer(certificate, (request, response) => void response.end(request.url));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const url = `https://a.test:${(server.address() as AddressInfo).port}`;
    let sessions = 0;
    server.on('session', () => sessions++);
    const held = holdWith({ allow: [{ host: url, path: '/in' }] });
    const options = { allowH2: true, connections: 1, tls: { ca: certificate.cert } };
    const dispatcher = adapter.leashDispatcher(held.leash, options);
    const listen = async (path: string): Promise<unknown> => {
      const { body } = await undici.request(`${url}${path}`, { dispatcher });
      return new Promise((resolve) => {
        body.on('data', (chunk: Buffer) => resolve([String(chunk), currentCall()?.tool]));
      });
    };
    expect(await listen('/in/0')).toEqual(['/in/0', undefined]);
    const calls = [1, 2, 3, 4].map((i) => held.leash.run({ tool: `t${i}` }, () => listen(`/in/${i}`)));
    const denied = rejection(held.leash.run({ tool: 'denied' }, () => listen('/out')));
    const host = rejection(undici.request(`${url}/in`, { dispatcher, headers: { host: 'b.test' } }));
    expect(await Promise.all(calls)).toEqual([1, 2, 3, 4].map((i) => [`/in/${i}`, `t${i}`]));
    expect(findLeashError(await denied)).toMatchObject({ reason: 'path', tool: 'denied' });
    expect(findLeashError(await host)).toMatchObject({ reason: 'host-header-mismatch' });
    await held.leash.close();
    expect(sessions).toBe(1);
    const allowed = held.lines().filter(({ kind }) => kind === 'egress_ok');
    expect(allowed.map(({ tool }) => tool).sort()).toEqual(['t1', 't2', 't3', 't4', undefined]);
    await new Promise<void>((resolve) => void server.close(() => resolve()));
  });

  describe('a log that is not open yet', () => {
    const { privateKey } = generateKeyPairSync('ed25519');

    function opening() {
      const asked: { readonly bytes: Uint8Array; resolve(signature: Uint8Array): void; reject(error: Error): void }[] =
        [];
      const signer = (bytes: Uint8Array): Promise<Uint8Array> =>
        new Promise((resolve, reject) => asked.push({ bytes, resolve, reject }));
      const sink = memorySink();
      const held = heldBy(createLeash({ guards: [egress(rules())], audit: { sink, signer } }), sink);
      return {
        held,
        open: () => {
          for (const { bytes, resolve } of asked.splice(0)) resolve(sign(null, bytes, privateKey));
        },
        fail: () => {
          for (const { reject } of asked.splice(0)) reject(new Error('no key'));
        },
      };
    }

    it('keeps requests waiting, and then sends or refuses them', async () => {
      const { held, open } = opening();
      const dispatcher = adapter.leashDispatcher(held.leash);
      const settled = vi.fn();
      const allowed = undici.request(base, { dispatcher }).then(({ body }) => body.text());
      const denied = rejection(undici.request(elsewhere(), { dispatcher }));
      void allowed.then(settled, settled);
      void denied.then(settled, settled);
      await new Promise(setImmediate);
      expect(settled).not.toHaveBeenCalled();
      open();
      expect(await allowed).toBe('/');
      expect(findLeashError(await denied)).toMatchObject({ reason: 'host-not-allowed' });
      await held.leash.close();
      expect(short(held.said()).toSorted()).toEqual([
        'denied http b.test host-not-allowed',
        'ok http a.test 127.0.0.1',
      ]);
    });

    it('fails them where it cannot be opened', async () => {
      const { held, fail } = opening();
      const dispatcher = adapter.leashDispatcher(held.leash);
      const waiting = rejection(undici.request(base, { dispatcher }));
      fail();
      expect(findLeashError(await waiting)).toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
      // A handler that can be told nothing leaves nobody waiting.
      dispatcher.dispatch({ origin: base, path: '/', method: 'GET' }, {});
      await new Promise(setImmediate);
      await held.leash.close().catch(() => {});
    });
  });

  describe('what the leash says of it', () => {
    it('coverage names the version, the self-test sends its canary again', async () => {
      await using held = holdWith(rules());
      const { egress: surface } = held.leash;
      expect(surface.coverage().dispatchers).toEqual([]);
      const before = place.connections();
      adapter.leashDispatcher(held.leash);
      adapter.leashInterceptor(held.leash);
      expect(surface.coverage().dispatchers).toEqual([expect.stringMatching(/^[78]\.\d+\.\d+$/)]);
      expect(surface.selfTest().dispatchers).toEqual(surface.coverage().dispatchers);
      expect(Object.isFrozen(surface.coverage().dispatchers)).toBe(true);
      expect(place.connections()).toBe(before);
      expect(held.said()).toEqual([]);
    });
  });
}
