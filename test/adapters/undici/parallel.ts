import type { Dispatcher } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { currentCall } from '../../../src/call.ts';
import { findLeashError } from '../../../src/errors.ts';
import type { Leash } from '../../../src/leash-contract.ts';
import { type HeldLeash, holdWith } from '../../helpers/held-leash.ts';
import { type Place, startPlace } from '../../helpers/places.ts';
import { rejection } from '../../helpers/refused.ts';
import type { Copy } from './copy.ts';

/** What is between leashes, and between the calls of one. */
export function keepsLeashesApart({ undici, adapter }: Copy): void {
  let place: Place;
  beforeAll(async () => {
    place = await startPlace({
      respond: (request, response) => {
        // The rest comes when whoever asked is listening.
        response.flushHeaders();
        setTimeout(() => response.end(request.url), 5);
      },
    });
  });
  afterAll(() => place[Symbol.asyncDispose]());

  const url = (host: string, path = '/'): string => `http://${host}:${place.port}${path}`;
  const allow = (): readonly string[] => ['a.test', 'b.test', 'c.test'].map((host) => `http://${host}:${place.port}`);
  const ask = async (to: string, dispatcher: Dispatcher): Promise<string> =>
    (await undici.request(to, { dispatcher })).body.text();
  const reasonOf = async (work: Promise<unknown>): Promise<unknown> =>
    (findLeashError(await rejection(work)) as { reason?: string } | undefined)?.reason;

  /** What a log says of each call: `<tool> ok http a.test 127.0.0.1`. */
  function byTool(held: HeldLeash): readonly string[] {
    const said = held.said();
    return held
      .lines()
      .map(({ tool }, i) => `${tool} ${said[i]?.replace(`:${place.port}`, '')}`)
      .sort();
  }

  const call = (leash: Leash, tool: string, body: () => Promise<unknown>): Promise<unknown> =>
    leash.run({ tool, args: {} }, body);

  it.each([{ connections: undefined }, { connections: 1 }])(
    'every one of four leashes and none has its own rules, requests and events: $connections connections',
    async ({ connections }) => {
      const options = connections === undefined ? {} : { connections };
      const private10 = { resolver: (host: string) => [host === 'b.test' ? '10.0.0.1' : '127.0.0.1'] };
      const a = holdWith({ allow: allow() });
      const b = holdWith({ allow: allow(), ...private10 });
      const c = holdWith({ allow: allow(), addresses: { allow: ['10.0.0.0/8'] } });
      const leashes = [a, b, c].map((held) => ({ held, dispatcher: adapter.leashDispatcher(held.leash, options) }));
      const bare = new undici.Agent({
        connect: { lookup: (_, __, done) => done(null, [{ address: '127.0.0.1', family: 4 }]) },
      });
      const before = place.connections();
      const rounds = await Promise.all(
        Array.from({ length: 8 }, (_, i) => [
          ...leashes.flatMap(({ held, dispatcher }) => [
            call(held.leash, `a${i}`, () => ask(url('a.test', `/${i}`), dispatcher)).catch((e: unknown) =>
              findLeashError(e),
            ),
            call(held.leash, `b${i}`, () => ask(url('b.test', `/${i}`), dispatcher)).catch((e: unknown) =>
              findLeashError(e),
            ),
          ]),
          ask(url('b.test', `/${i}`), bare),
        ]).map((round) => Promise.all(round)),
      );
      const denied = (reason: string): unknown => expect.objectContaining({ code: 'EGRESS_DENIED', reason });
      for (const [i, [aa, ab, ba, bb, ca, cb, none]] of rounds.entries()) {
        expect([aa, ab, ba, none]).toEqual(Array(4).fill(`/${i}`));
        expect(bb).toEqual(denied('address:private'));
        expect([ca, cb]).toEqual([denied('address:loopback'), denied('address:loopback')]);
        expect([bb, ca, cb].map((error) => (error as { tool: string }).tool)).toEqual([`b${i}`, `a${i}`, `b${i}`]);
      }
      const each = (text: string, ...hosts: string[]): readonly string[] =>
        hosts
          .flatMap((host) => Array.from({ length: 8 }, (_, i) => `${host[0]}${i} ${text.replace('*', host)}`))
          .sort();
      expect(byTool(a)).toEqual(each('ok http * 127.0.0.1', 'a.test', 'b.test'));
      expect(byTool(b)).toEqual(
        [...each('ok http * 127.0.0.1', 'a.test'), ...each('denied dns * 10.0.0.1 address:private', 'b.test')].sort(),
      );
      expect(byTool(c)).toEqual(each('denied dns * 127.0.0.1 address:loopback', 'a.test', 'b.test'));
      for (const held of [a, b, c]) {
        const lines = held.lines();
        expect(new Set(lines.map(({ call: id }) => id)).size).toBe(16);
      }
      if (connections === 1) expect(place.connections() - before).toBeGreaterThanOrEqual(3);
      await Promise.all([a, b, c].map((held) => held.leash.close()));
      await bare.close();
    },
  );

  it('no connection of one leash is used by another, or by code under none', async () => {
    await using one = holdWith({ allow: allow() });
    await using two = holdWith({ allow: allow() });
    const before = place.connections();
    const dispatchers = [one, two].map(({ leash }) => adapter.leashDispatcher(leash));
    for (const dispatcher of [...dispatchers, ...dispatchers]) {
      expect(await ask(url('a.test'), dispatcher)).toBe('/');
      await new Promise(setImmediate);
    }
    expect(place.connections() - before).toBe(2);
    const third = adapter.leashDispatcher(one.leash);
    expect(await ask(url('a.test'), third)).toBe('/');
    expect(place.connections() - before).toBe(3);
  });

  it('calls that wait for one connection are refused and answered each for itself', async () => {
    const held = holdWith({
      allow: [`http://a.test:${place.port}`, { host: `http://b.test:${place.port}`, path: '/b' }],
    });
    const dispatcher = adapter.leashDispatcher(held.leash, { connections: 1 });
    const calls = ['/1', '/2', '/3', '/4'].map((path, i) =>
      call(held.leash, `t${i}`, () => ask(url('a.test', path), dispatcher)),
    );
    const denied = call(held.leash, 'denied', () => ask(url('b.test', '/a'), dispatcher));
    const outside = ask(url('a.test', '/5'), dispatcher);
    expect(await reasonOf(denied)).toBe('path');
    expect(await Promise.all([...calls, outside])).toEqual(['/1', '/2', '/3', '/4', '/5']);
    await held.leash.close();
    expect(byTool(held)).toEqual([
      'denied denied http b.test path',
      't0 ok http a.test 127.0.0.1',
      't1 ok http a.test 127.0.0.1',
      't2 ok http a.test 127.0.0.1',
      't3 ok http a.test 127.0.0.1',
      'undefined ok http a.test 127.0.0.1',
    ]);
  });

  it.each([{ connections: 1 }, {}])('answers come in the call that asked: %o', async (options) => {
    await using held = holdWith({ allow: allow() });
    const dispatcher = adapter.leashDispatcher(held.leash, options);
    const seen: [string, string | undefined][] = [];
    const listen = async (path: string): Promise<void> => {
      const { body } = await undici.request(url('a.test', path), { dispatcher });
      await new Promise((resolve, reject) => {
        body.on('data', (chunk: Buffer) => seen.push([String(chunk), currentCall()?.tool]));
        body.on('end', resolve).on('error', reject);
      });
    };
    await Promise.all([
      call(held.leash, 'one', () => listen('/one')),
      listen('/none'),
      call(held.leash, 'two', () => listen('/two')),
      call(held.leash, 'three', () => listen('/three')),
    ]);
    await listen('/none');
    await call(held.leash, 'four', () => listen('/four'));
    expect(Object.fromEntries(seen)).toEqual({
      '/one': 'one',
      '/two': 'two',
      '/three': 'three',
      '/four': 'four',
      '/none': undefined,
    });
  });

  it('code that hears of an answer is held where it asked, and nowhere else', async () => {
    await using held = holdWith({ allow: allow(), enforce: 'scope' });
    const dispatcher = adapter.leashDispatcher(held.leash);
    const strays: Promise<unknown>[] = [];
    const listen = async (): Promise<void> => {
      const { body } = await undici.request(url('a.test'), { dispatcher });
      await new Promise((resolve) => {
        body.on('data', () =>
          strays.push(fetch(`http://127.0.0.1:${place.port}/stray`).then((answer) => answer.text())),
        );
        body.on('end', resolve);
      });
    };
    await listen();
    expect(await strays[0]).toBe('/stray');
    await call(held.leash, 't', listen);
    expect(await reasonOf(strays[1] as Promise<unknown>)).toBe('host-not-allowed');
    await listen();
    expect(await strays[2]).toBe('/stray');
  });

  it('a name that moves between two connections is refused on the second', async () => {
    let answers = ['127.0.0.1'];
    await using held = holdWith({ allow: allow(), resolver: () => answers });
    const dispatcher = adapter.leashDispatcher(held.leash);
    expect(await ask(url('a.test'), dispatcher)).toBe('/');
    await new Promise(setImmediate);
    answers = ['10.0.0.1'];
    const before = place.connections();
    // Those that are open stay with what they were allowed.
    const [kept, moved] = await Promise.allSettled([ask(url('a.test'), dispatcher), ask(url('a.test'), dispatcher)]);
    expect(kept).toMatchObject({ status: 'fulfilled', value: '/' });
    expect(findLeashError((moved as PromiseRejectedResult).reason)).toMatchObject({ reason: 'address:private' });
    expect(place.connections()).toBe(before);
  });

  describe('a leash inside of another', () => {
    it('is held by both, also on a connection that is open already', async () => {
      const inner = holdWith({ allow: allow() });
      const outer = holdWith({ allow: allow(), addresses: {} });
      const dispatcher = adapter.leashDispatcher(inner.leash);
      expect(await ask(url('a.test'), dispatcher)).toBe('/');
      await new Promise(setImmediate);
      expect(await reasonOf(outer.call(() => ask(url('a.test'), dispatcher)))).toBe('address:loopback');
      expect(await ask(url('a.test'), dispatcher)).toBe('/');
      const narrow = holdWith({ allow: [] });
      expect(await reasonOf(narrow.call(() => ask(url('a.test'), dispatcher)))).toBe('host-not-allowed');
      await Promise.all([inner, outer, narrow].map((held) => held.leash.close()));
      expect(outer.lines().every(({ tool }) => tool === 't')).toBe(true);
    });

    it('knows the call of its own that goes on around, beside that of its child', async () => {
      const held = holdWith({ allow: allow() });
      const child = held.leash.child({ guards: [], id: 'child' });
      const dispatcher = adapter.leashDispatcher(held.leash);
      await call(held.leash, 'around', () => call(child, 'inside', () => ask(url('a.test'), dispatcher)));
      await held.leash.close();
      expect(byTool(held)).toEqual(['around ok http a.test 127.0.0.1', 'inside ok http a.test 127.0.0.1']);
    });

    it('is narrowed where it is a child', async () => {
      await using held = holdWith({ allow: allow() });
      const { egress } = await import('../../../src/guards/egress.ts');
      const child = held.leash.child({ guards: [egress({ allow: [url('a.test').slice(0, -1)] })] });
      const dispatcher = adapter.leashDispatcher(child);
      expect(await reasonOf(ask(url('b.test'), dispatcher))).toBe('host-not-allowed');
      expect(await reasonOf(ask(url('d.test'), dispatcher))).toBe('host-not-allowed');
    });
  });
}
