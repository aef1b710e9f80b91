import type { RequestListener } from 'node:http';
import type { Dispatcher } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EgressDeniedError, findLeashError } from '../../../src/errors.ts';
import type { EgressOptions } from '../../../src/guards/egress.ts';
import type { Leash } from '../../../src/leash-contract.ts';
import { type HeldLeash, holdWith } from '../../helpers/held-leash.ts';
import { type Place, startPlace } from '../../helpers/places.ts';
import { rejection } from '../../helpers/refused.ts';
import { clientsOf } from './clients.ts';
import type { Copy } from './copy.ts';

/** Answers with the path, as an event where that is asked for, and redirects to b.test. */
const respond: RequestListener = (request, response) => {
  const { url = '', headers } = request;
  const port = headers.host?.split(':')[1];
  if (url === '/leave') response.writeHead(307, { location: `http://b.test:${port}/` }).end();
  else if (url.endsWith('?events')) response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: x\n\n');
  else response.end(url);
};

/** Every client by every way of putting it under a leash. */
export function isHeld({ undici, adapter }: Copy): void {
  let place: Place;
  beforeAll(async () => {
    place = await startPlace({ respond });
  });
  afterAll(() => place[Symbol.asyncDispose]());

  const ways: readonly { readonly name: string; dispatcher(leash: Leash): Dispatcher }[] = [
    { name: 'leashDispatcher', dispatcher: (leash) => adapter.leashDispatcher(leash) },
    { name: 'leashInterceptor', dispatcher: (leash) => new undici.Agent().compose(adapter.leashInterceptor(leash)) },
  ];
  const clients = clientsOf(undici);
  const fits = (way: string, client: string): boolean => {
    // undici 8 takes handlers of older ones in `leashDispatcher` alone.
    const older = Number(process.versions['undici']?.split('.')[0]) < 8 && 'Dispatcher1Wrapper' in undici;
    return !(older && way === 'leashInterceptor' && client.includes('built-in'));
  };
  const rows = ways.flatMap((way) =>
    clients
      .filter((client) => fits(way.name, client.name))
      .flatMap((client) =>
        [false, true].map((inCall) => ({
          ...client,
          ...way,
          inCall,
          name: `${client.name} by ${way.name}${inCall ? ' in a call' : ''}`,
        })),
      ),
  );
  const asked: string[] = [];
  const rules = (): EgressOptions => ({
    allow: [
      `http://a.test:${place.port}`,
      `http://moves.test:${place.port}`,
      { host: `http://get.test:${place.port}`, methods: ['HEAD'] },
    ],
    resolver: (host) => {
      asked.push(host);
      return host === 'moves.test' ? ['127.0.0.1', '10.0.0.1'] : ['127.0.0.1'];
    },
  });
  const enforce = (inCall: boolean) => (inCall ? 'scope' : 'declared') as 'scope' | 'declared';

  async function outcome(held: HeldLeash, inCall: boolean, mute: boolean | undefined, get: () => Promise<string>) {
    const connections = place.connections();
    asked.length = 0;
    const result = await (inCall ? held.call(get) : get()).catch((error: unknown) => {
      const found = findLeashError(error);
      if (found === undefined && !mute) throw error;
      if (found !== undefined) expect(found).toBeInstanceOf(EgressDeniedError);
      return mute ? undefined : (found as EgressDeniedError).reason;
    });
    await held.leash.close();
    for (const line of held.lines()) {
      expect(line.tool).toBe(inCall ? 't' : line.kind === 'egress_ok' ? undefined : line.tool);
      if (inCall) expect(line.call).toBe(held.lines()[0]?.call);
    }
    const said = held.said().map((text) => text.replace(`:${place.port}`, ''));
    return { result, said, asked: [...asked], connected: place.connections() - connections };
  }

  describe('every client', () => {
    it.each(rows)('$name reaches what is allowed, and says so once', async ({ inCall, get, dispatcher }) => {
      const held = holdWith({ ...rules(), enforce: enforce(inCall) });
      const seen = await outcome(held, inCall, false, () =>
        get(`http://a.test:${place.port}/x`, dispatcher(held.leash)),
      );
      expect(seen.result).toMatch(/^(\/x|x|upgraded|closed 1000)$/);
      expect(seen).toMatchObject({ said: ['ok http a.test 127.0.0.1'], asked: ['a.test'], connected: 1 });
    });

    it.each(rows)('$name is refused a name that is not allowed', async ({ inCall, mute, get, dispatcher }) => {
      const held = holdWith({ ...rules(), enforce: enforce(inCall) });
      const url = `http://b.test:${place.port}/x`;
      const seen = await outcome(held, inCall, mute, () => get(url, dispatcher(held.leash)));
      const result = mute ? undefined : 'host-not-allowed';
      expect(seen).toEqual({ result, said: ['denied http b.test host-not-allowed'], asked: [], connected: 0 });
    });

    it.each(rows)('$name is refused an address that is not allowed', async ({ inCall, mute, get, dispatcher }) => {
      const held = holdWith({ ...rules(), enforce: enforce(inCall) });
      const url = `http://moves.test:${place.port}/x`;
      const seen = await outcome(held, inCall, mute, () => get(url, dispatcher(held.leash)));
      const result = mute ? undefined : 'address:private';
      const said = ['denied dns moves.test 10.0.0.1 address:private'];
      expect(seen).toEqual({ result, said, asked: ['moves.test'], connected: 0 });
    });

    it.each(rows)('$name is refused a method that is not allowed', async ({ inCall, mute, get, dispatcher }) => {
      const held = holdWith({ ...rules(), enforce: enforce(inCall) });
      const url = `http://get.test:${place.port}/x`;
      const seen = await outcome(held, inCall, mute, () => get(url, dispatcher(held.leash)));
      const result = mute ? undefined : 'method';
      expect(seen).toEqual({ result, said: ['denied http get.test method'], asked: [], connected: 0 });
    });

    it.each(rows.filter(({ follows }) => follows))(
      '$name is refused a redirect',
      async ({ inCall, get, dispatcher }) => {
        const held = holdWith({ ...rules(), enforce: enforce(inCall) });
        const url = `http://a.test:${place.port}/leave`;
        const seen = await outcome(held, inCall, false, () => get(url, dispatcher(held.leash)));
        const said = ['ok http a.test 127.0.0.1', 'denied http b.test host-not-allowed'];
        expect(seen).toEqual({ result: 'host-not-allowed', said, asked: ['a.test'], connected: 1 });
      },
    );
  });

  describe('leashFetch', () => {
    it.each([false, true])('is the fetch of its copy, in a call: %o', async (inCall) => {
      const held = holdWith({ ...rules(), enforce: enforce(inCall) });
      const fetch = adapter.leashFetch(held.leash);
      const base = `http://a.test:${place.port}`;
      const seen = await outcome(held, inCall, false, async () => {
        const answer = await fetch(`${base}/x`, { method: 'POST', body: 'y' });
        expect(answer).toBeInstanceOf(undici.Response);
        const text = await answer.text();
        await new Promise(setImmediate);
        await expect(rejection(fetch(`http://b.test:${place.port}/`))).resolves.toMatchObject({
          code: 'EGRESS_DENIED',
          reason: 'host-not-allowed',
        });
        expect(await rejection(fetch(`${base}/leave`))).toBeInstanceOf(EgressDeniedError);
        const other = { dispatcher: new undici.Agent() };
        await expect(fetch(base, other)).rejects.toThrow(/^leashFetch goes by connections of the leash/);
        return text;
      });
      expect(seen).toMatchObject({ result: '/x', asked: ['a.test'] });
      expect(seen.said).toEqual([
        'ok http a.test 127.0.0.1',
        'denied http b.test host-not-allowed',
        'ok http a.test 127.0.0.1',
        'denied http b.test host-not-allowed',
      ]);
    });

    it('has one set of connections for a leash, however often it is asked for', async () => {
      await using held = holdWith(rules());
      const before = place.connections();
      for (let i = 0; i < 3; i++) {
        await (await adapter.leashFetch(held.leash)(`http://a.test:${place.port}/`)).text();
        await new Promise(setImmediate);
      }
      expect(place.connections() - before).toBe(1);
    });
  });
}
