import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Dispatcher } from 'undici';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { memorySink } from '../../../src/audit/memory-sink.ts';
import { findLeashError } from '../../../src/errors.ts';
import { callCap } from '../../../src/guards/call-cap.ts';
import { egress } from '../../../src/guards/egress.ts';
import { createLeash } from '../../../src/leash.ts';
import { type HeldLeash, heldBy, holdWith, onLoopback } from '../../helpers/held-leash.ts';
import { rejection } from '../../helpers/refused.ts';
import type { Copy } from './copy.ts';

/** What becomes of connections when a leash is over, and of clients that are made or used then. */
export function endsWithItsLeash({ undici, adapter }: Copy): void {
  const server = createServer((request, response) => {
    if (request.url === '/open') response.write('begun', () => waiting.push(response));
    else if (request.url === '/hang') waiting.push(response);
    else response.end('done');
  });
  let waiting: ServerResponse[] = [];
  let sockets: Socket[] = [];
  let base: string;
  server.on('connection', (socket) => sockets.push(socket));
  beforeEach(async () => {
    sockets = [];
    waiting = [];
    if (server.listening) return;
    await once(server.listen(0, '127.0.0.1'), 'listening');
    server.unref();
    base = `http://a.test:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
  });

  const rules = () => ({ allow: [base], resolver: onLoopback, addresses: { allow: ['127.0.0.0/8'] } });
  const ask = (path: string, dispatcher: Dispatcher) => undici.request(`${base}${path}`, { dispatcher });
  const answered = async (path: string, dispatcher: Dispatcher): Promise<string> =>
    (await ask(path, dispatcher)).body.text();
  const allClosed = (): Promise<unknown> =>
    Promise.all(sockets.map((socket) => (socket.destroyed ? undefined : once(socket, 'close'))));

  const endings: readonly { readonly name: string; end(held: HeldLeash): unknown; readonly reason: string }[] = [
    { name: 'stop', end: ({ leash }) => leash.stop('enough'), reason: 'SESSION_STOPPED' },
    { name: 'close', end: ({ leash }) => leash.close(), reason: 'SESSION_CLOSED' },
    { name: 'a breach', end: (held) => rejection(held.call(() => 1)), reason: 'CALL_CAP_REACHED' },
  ];

  function capped(): HeldLeash {
    const sink = memorySink();
    return heldBy(createLeash({ guards: [egress(rules()), callCap(0)], audit: { sink, sign: 'none' } }), sink);
  }

  describe.each(endings)('$name', ({ end, reason }) => {
    it('closes idle connections, busy ones, and those that wait for an answer', async () => {
      const held = capped();
      const dispatcher = adapter.leashDispatcher(held.leash);
      const fetch = adapter.leashFetch(held.leash);
      expect(await answered('/', dispatcher)).toBe('done');
      expect(await (await fetch(base)).text()).toBe('done');
      const { body } = await ask('/open', dispatcher);
      const streaming = rejection(body.text());
      const hanging = rejection(ask('/hang', dispatcher));
      const fetching = rejection(fetch(`${base}/hang`));
      while (waiting.length < 3) await new Promise(setImmediate);
      await end(held);
      await allClosed();
      for (const error of await Promise.all([streaming, hanging, fetching])) {
        expect(findLeashError(error)?.code).toBe(reason);
      }
      await held.leash.close();
    });

    it('refuses the next request, without a connection', async () => {
      const held = capped();
      const dispatcher = adapter.leashDispatcher(held.leash);
      const intercepted = new undici.Agent().compose(adapter.leashInterceptor(held.leash));
      const fetch = adapter.leashFetch(held.leash);
      await end(held);
      for (const request of [() => ask('/', dispatcher), () => ask('/', intercepted), () => fetch(base)]) {
        const error = findLeashError(await rejection(request()));
        expect(error).toMatchObject({ code: 'EGRESS_DENIED', reason: 'revoked', host: 'a.test' });
        expect(error?.message).toMatch(/the network was closed\. Do not retry\.$/);
      }
      expect(sockets).toEqual([]);
      await held.leash.close();
    });

    it('leaves clients that are made afterwards nothing to reach', async () => {
      const held = capped();
      await end(held);
      const dispatcher = adapter.leashDispatcher(held.leash);
      expect(dispatcher).toHaveProperty('destroyed', true);
      expect(findLeashError(await rejection(ask('/', dispatcher)))).toMatchObject({ reason: 'revoked' });
      expect(findLeashError(await rejection(adapter.leashFetch(held.leash)(base)))).toMatchObject({
        reason: 'revoked',
      });
      await held.leash.close();
    });
  });

  it('ends with the parent of its leash', async () => {
    await using held = holdWith(rules());
    const child = held.leash.child({ guards: [] });
    const dispatcher = adapter.leashDispatcher(child);
    expect(await answered('/', dispatcher)).toBe('done');
    held.leash.stop('enough');
    await allClosed();
    expect(findLeashError(await rejection(ask('/', dispatcher)))).toMatchObject({ reason: 'revoked' });
  });

  it('stays with its leash where a sibling ends', async () => {
    await using held = holdWith(rules());
    const [one, two] = [held.leash.child({ guards: [] }), held.leash.child({ guards: [] })];
    const dispatcher = adapter.leashDispatcher(two);
    expect(await answered('/', dispatcher)).toBe('done');
    await one.close();
    await new Promise(setImmediate);
    expect(await answered('/', dispatcher)).toBe('done');
    expect(sockets).toHaveLength(1);
  });

  describe('by itself', () => {
    it('is closed when what it sends has been answered', async () => {
      await using held = holdWith(rules());
      const dispatcher = adapter.leashDispatcher(held.leash);
      const answer = answered('/', dispatcher);
      expect(dispatcher).toMatchObject({ closed: false, destroyed: false });
      const closed = dispatcher.close();
      expect(await answer).toBe('done');
      await closed;
      expect(dispatcher).toMatchObject({ closed: true, destroyed: true });
      await expect(ask('/', dispatcher)).rejects.toMatchObject({ code: /^UND_ERR_(CLOSED|DESTROYED)$/ });
    });

    it('is destroyed with an error, or with none', async () => {
      await using held = holdWith(rules());
      const first = adapter.leashDispatcher(held.leash);
      const waits = rejection(ask('/hang', first));
      const why = new Error('why');
      await first.destroy(why);
      expect(await waits).toBe(why);
      await adapter.leashDispatcher(held.leash).destroy();
    });

    it('tells callbacks', async () => {
      await using held = holdWith(rules());
      await new Promise<void>((resolve) => adapter.leashDispatcher(held.leash).close(resolve));
      await new Promise<void>((resolve) => adapter.leashDispatcher(held.leash).destroy(resolve));
      await new Promise<void>((resolve) => adapter.leashDispatcher(held.leash).destroy(new Error('why'), resolve));
    });

    it('tells of its connections, and hands out none of its pools', async () => {
      await using held = holdWith(rules());
      const dispatcher = adapter.leashDispatcher(held.leash, { connections: 1 });
      const events: unknown[] = [];
      dispatcher.on('connect', (origin, targets) => events.push(['connect', String(origin), targets]));
      dispatcher.on('disconnect', (origin, targets) => events.push(['disconnect', String(origin), targets]));
      expect(await answered('/', dispatcher)).toBe('done');
      await dispatcher.destroy();
      await allClosed();
      expect(events).toEqual([
        ['connect', `${base}/`, [dispatcher]],
        ['disconnect', `${base}/`, [dispatcher]],
      ]);
    });
  });
}
