import { AsyncResource } from 'node:async_hooks';
import { sign } from 'node:crypto';
import { lookup, promises } from 'node:dns';
import { once } from 'node:events';
import { Agent } from 'node:http';
import { connect } from 'node:net';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { memorySink } from '../../src/audit/memory-sink.ts';
import { findLeashError, isLeashError } from '../../src/errors.ts';
import { ALLOW, type Guard } from '../../src/guard.ts';
import { callCap } from '../../src/guards/call-cap.ts';
import { type EgressOptions, egress } from '../../src/guards/egress.ts';
import { createLeash } from '../../src/leash.ts';
import type { Leash } from '../../src/leash-contract.ts';
import { type HeldLeash, heldBy, holdWith, onLoopback } from '../helpers/held-leash.ts';
import { httpGet } from '../helpers/http-get.ts';
import { type Place, startPlace } from '../helpers/places.ts';
import { rootKey } from '../helpers/signed-session.ts';

let place: Place;
beforeAll(async () => {
  place = await startPlace();
});
afterAll(() => place[Symbol.asyncDispose]());

const at = (host: string): string => `http://${host}:${place.port}`;
const url = (host: string): string => `${at(host)}/`;
const get = async (host: string): Promise<string> => (await (await request(url(host))).body.text()) && 'ok';
const addresses = { allow: ['127.0.0.0/8'] };
const rules = (...hosts: string[]): EgressOptions => ({ allow: hosts.map(at), resolver: onLoopback, addresses });
const said = ({ said }: HeldLeash): readonly string[] => said().map((text) => text.replace(`:${place.port}`, ''));

/** What a call came to: its answer, or the reason of its refusal. */
async function outcome(work: Promise<unknown>): Promise<unknown> {
  try {
    return await work;
  } catch (error) {
    return (findLeashError(error) as { reason?: string } | undefined)?.reason ?? error;
  }
}

/** A child of a leash, with a log of its own. */
function childOf({ leash }: HeldLeash, guards: readonly Guard[]): HeldLeash {
  const sink = memorySink();
  return heldBy(leash.child({ guards, audit: sink }), sink);
}

describe("mode: 'observe'", () => {
  const observed = (): HeldLeash => holdWith({ ...rules('a.test'), resolver: onLoopback }, { mode: 'observe' });

  it('lets requests run and records them once as refused', async () => {
    await using held = observed();
    expect(await held.call(() => get('b.test'))).toBe('ok');
    expect(await held.call(() => httpGet(url('b.test'), { agent: false }))).toBe('/');
    expect(await held.call(() => get('a.test'))).toBe('ok');
    expect(said(held)).toEqual([
      'denied? http b.test host-not-allowed',
      'ok http b.test 127.0.0.1',
      'denied? http b.test host-not-allowed',
      'ok http b.test 127.0.0.1',
      'ok http a.test 127.0.0.1',
    ]);
  });

  it('lets connections, names and addresses through', async () => {
    const sink = memorySink();
    const guard = egress({ allow: [at('a.test')], resolver: onLoopback });
    await using held = heldBy(createLeash({ guards: [guard], mode: 'observe', audit: sink }), sink);
    await held.call(async () => {
      const socket = connect(place.port, 'a.test');
      await once(socket, 'connect');
      socket.destroy();
    });
    const answer = await held.call(() => new Promise((resolve) => lookup('b.test', (_, address) => resolve(address))));
    expect(answer).toBe('127.0.0.1');
    expect(said(held)).toEqual([
      'denied? tcp a.test scheme',
      'denied? dns a.test 127.0.0.1 address:loopback',
      'ok tcp a.test 127.0.0.1',
      'denied? dns b.test:0 host-not-allowed',
      'denied? dns b.test:0 127.0.0.1 address:loopback',
      'ok dns b.test:0',
    ]);
  });

  it('does not undo what a parent enforces', async () => {
    await using parent = holdWith(rules('a.test'));
    const sink = memorySink();
    const child = heldBy(parent.leash.child({ guards: [egress(rules('b.test'))], mode: 'observe', audit: sink }), sink);
    expect(await outcome(child.call(() => get('a.test')))).toBe('ok');
    expect(await outcome(child.call(() => get('b.test')))).toBe('host-not-allowed');
    expect(said(child)).toEqual([
      'denied? http a.test host-not-allowed',
      'ok http a.test 127.0.0.1',
      'denied http b.test host-not-allowed',
    ]);
  });
});

describe('a call inside a call', () => {
  it('of another leash is held by both, and both have it on record', async () => {
    await using one = holdWith(rules('a.test', 'both.test'));
    await using two = holdWith(rules('b.test', 'both.test'));
    const inside = (host: string) => outcome(one.call(() => two.call(() => get(host))));
    expect(await inside('both.test')).toBe('ok');
    expect([said(one), said(two)]).toEqual([['ok http both.test 127.0.0.1'], ['ok http both.test 127.0.0.1']]);
    expect(await inside('a.test')).toBe('host-not-allowed');
    expect(await inside('b.test')).toBe('host-not-allowed');
    expect(said(two).slice(1)).toEqual(['denied http a.test host-not-allowed']);
    expect(said(one).slice(1)).toEqual(['denied http b.test host-not-allowed']);
  });

  it('of another leash: ways out, names and addresses too', async () => {
    await using one = holdWith({
      ...rules('a.test', 'b.test'),
      udp: 'allow',
      childProcess: 'deny',
      rawSockets: 'allow',
    });
    await using two = holdWith({
      ...rules('a.test'),
      addresses: {},
      udp: 'allow',
      childProcess: 'allow',
      rawSockets: 'allow',
    });
    const { spawnSync } = process.getBuiltinModule('node:child_process');
    expect(await outcome(one.call(() => two.call(() => spawnSync('true'))))).toBe('child-process');
    // What one of them refuses has been reached under neither.
    expect([said(one), said(two)]).toEqual([['denied child-process :0 child-process'], []]);
    expect(await outcome(one.call(() => two.call(() => get('a.test'))))).toBe('address:loopback');
    expect(await outcome(two.call(() => one.call(() => get('a.test'))))).toBe('address:loopback');
    expect([said(one).length, said(two)]).toEqual([
      1,
      ['denied dns a.test 127.0.0.1 address:loopback', 'denied dns a.test 127.0.0.1 address:loopback'],
    ]);
  });

  it('of another leash: what is no request, where only the outer one refuses', async () => {
    const open = { ...rules('a.test', 'b.test'), rawSockets: 'allow' } as const;
    await using inner = holdWith(open);
    await using outer = holdWith({ ...rules('a.test'), rawSockets: 'allow' });
    const dial = (host: string) => once(connect(place.port, host), 'connect').then(([socket]) => socket);
    const ask = (host: string) => promises.lookup(host).then(({ address }) => address);
    const inside = (body: () => Promise<unknown>) => outcome(outer.call(() => inner.call(body)));
    expect(await inside(() => ask('b.test'))).toBe('host-not-allowed');
    expect(await inside(() => dial('b.test'))).toBe('host-not-allowed');
    expect(await inside(() => ask('a.test'))).toBe('127.0.0.1');
    expect([said(inner), said(outer)]).toEqual([
      ['ok dns a.test:0'],
      ['denied dns b.test:0 host-not-allowed', 'denied tcp b.test host-not-allowed', 'ok dns a.test:0'],
    ]);
  });

  it('of another leash: what only the inner one observes', async () => {
    await using inner = holdWith(rules('a.test'), { mode: 'observe' });
    await using outer = holdWith(rules('a.test'));
    const body = () => httpGet(url('a.test'), { headers: { host: 'b.test' }, agent: false });
    expect(await outcome(outer.call(() => inner.call(body)))).toBe('host-header-mismatch');
    expect([said(inner), said(outer)]).toEqual([
      ['denied? http a.test host-header-mismatch'],
      ['denied http a.test host-header-mismatch'],
    ]);
  });

  it('of another leash: an address that only the outer one refuses, of a connection that is open', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    await using inner = holdWith(rules('a.test'));
    await using outer = holdWith({ ...rules('a.test'), addresses: {} });
    const body = () => httpGet(url('a.test'), { agent });
    expect(await outcome(inner.call(body))).toBe('/');
    await new Promise(setImmediate);
    expect(await outcome(outer.call(() => inner.call(body)))).toBe('address:loopback');
    agent.destroy();

    // Nor does a request of the inner one alone open a connection of both.
    const raw = () => once(connect(place.port, 'a.test'), 'connect');
    const pending = inner.call(() => get('a.test'));
    expect(await outcome(outer.call(() => inner.call(raw)))).toBe('scheme');
    await pending;
  });

  it('in a call of the same leash again is one event for each leash', async () => {
    await using one = holdWith({ ...rules('a.test'), enforce: 'process' });
    await using two = holdWith(rules('a.test'));
    expect(await outcome(one.call(() => two.call(() => one.call(() => get('a.test')))))).toBe('ok');
    expect(await outcome(one.call(() => two.call(() => get('a.test'))))).toBe('ok');
    expect(await outcome(two.call(() => one.call(() => two.call(() => get('a.test')))))).toBe('ok');
    expect([said(one), said(two)]).toEqual(Array(2).fill(Array(3).fill('ok http a.test 127.0.0.1')));
  });

  it('of the same leash is one event, that of the inner call', async () => {
    await using held = holdWith(rules('a.test'));
    await held.leash.run({ tool: 'outer', args: {} }, () => held.call(() => get('a.test')));
    expect(held.lines()).toMatchObject([{ kind: 'egress_ok', tool: 't' }]);
  });

  it('of a child leash is one event, in the log of the child', async () => {
    await using parent = holdWith(rules('a.test', 'b.test'));
    const child = childOf(parent, [egress(rules('a.test', 'c.test'))]);
    const inside = (host: string) => outcome(parent.call(() => child.call(() => get(host))));
    expect(await inside('a.test')).toBe('ok');
    expect(await inside('b.test')).toBe('host-not-allowed');
    expect(await inside('c.test')).toBe('host-not-allowed');
    expect(said(parent)).toEqual([]);
    expect(said(child)).toEqual([
      'ok http a.test 127.0.0.1',
      'denied http b.test host-not-allowed',
      'denied http c.test host-not-allowed',
    ]);
  });

  it('of the parent, in a call of a child, is held by the child too', async () => {
    await using parent = holdWith(rules('a.test', 'b.test'));
    const child = childOf(parent, [egress(rules('a.test'))]);
    expect(await outcome(child.call(() => parent.call(() => get('b.test'))))).toBe('host-not-allowed');
    expect(await outcome(child.call(() => parent.call(() => get('a.test'))))).toBe('ok');
    expect([said(parent), said(child)]).toEqual([
      ['ok http a.test 127.0.0.1'],
      ['denied http b.test host-not-allowed', 'ok http a.test 127.0.0.1'],
    ]);
  });

  it('of a leash without egress guard is held by the outer leash', async () => {
    await using held = holdWith(rules('a.test'));
    await using free = createLeash({ guards: [callCap(9)] });
    const inner = () => free.run({ tool: 'free', args: {} }, () => get('127.0.0.1'));
    expect(await outcome(held.call(inner))).toBe('host-not-allowed');
    expect(await outcome(inner())).toBe('ok');
  });

  it('that the body of a request makes is held by its own leash, too', async () => {
    await using outer = holdWith(rules('a.test', 'b.test'));
    await using inner = holdWith(rules('a.test'));
    const results: unknown[] = [];
    const source = {
      async pull(controller: ReadableStreamDefaultController): Promise<void> {
        results.push(await outcome(inner.call(() => get('b.test'))));
        controller.enqueue(new TextEncoder().encode('x'));
        controller.close();
      },
    };
    // Not before the client wants it.
    const body = new ReadableStream(source, { highWaterMark: 0 });
    await outer.leash.fetch(url('a.test'), { method: 'POST', body, duplex: 'half' });
    expect(results).toEqual(['host-not-allowed']);
    expect(said(inner)).toEqual(['denied http b.test host-not-allowed']);
  });
});

describe('several guards', () => {
  it('hold together', async () => {
    const sink = memorySink();
    const guards = [egress(rules('a.test', 'b.test')), egress(rules('b.test', 'c.test'))];
    await using held = heldBy(createLeash({ guards, audit: sink }), sink);
    const all = await Promise.all(['a', 'b', 'c'].map((name) => outcome(held.call(() => get(`${name}.test`)))));
    expect(all).toEqual(['host-not-allowed', 'ok', 'host-not-allowed']);
    expect(said(held)).toHaveLength(3);
  });

  it("hold as the strictest of them does, and one that is 'declared' has no say in what clients do", async () => {
    const sink = memorySink();
    const guards = [egress({ ...rules('a.test'), enforce: 'declared' }), egress(rules('b.test'))];
    await using held = heldBy(createLeash({ guards, audit: sink }), sink);
    expect(held.leash.egress.coverage()).toMatchObject({ enforce: 'scope', entries: { fetch: 'held' } });
    expect(await outcome(held.call(() => get('b.test')))).toBe('ok');
    expect(await outcome(held.leash.fetch(url('b.test')))).toBe('host-not-allowed');
  });

  it('each say of a connection that is open what they say of a new one', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const sink = memorySink();
    const guards = [
      egress({ ...rules('a.test'), enforce: 'process' }),
      egress({ ...rules('a.test'), addresses: {} }),
      egress({ ...rules('a.test'), enforce: 'declared' }),
    ];
    await using held = heldBy(createLeash({ guards, audit: sink }), sink);
    const body = () => httpGet(url('a.test'), { agent });
    expect(await outcome(body())).toBe('/');
    await new Promise(setImmediate);
    expect(await outcome(held.call(body))).toBe('address:loopback');
    expect(said(held)).toEqual(['ok http a.test 127.0.0.1', 'denied http a.test 127.0.0.1 address:loopback']);
    agent.destroy();
  });

  it('of your own that know of places are asked about requests of every client', async () => {
    const asked: string[] = [];
    const reach: Guard = {
      name: 'mine',
      reach(target, method) {
        asked.push(`${method} ${target}`);
        return target.includes('refused') ? { allow: false, code: 'MINE', reason: 'mine' } : ALLOW;
      },
    };
    const sink = memorySink();
    await using held = heldBy(createLeash({ guards: [reach, egress(rules('a.test'))], audit: sink }), sink);
    expect(await outcome(held.call(() => get('a.test')))).toBe('ok');
    expect(await outcome(held.call(() => httpGet(`${at('a.test')}/refused?q`)))).toBe('mine');
    expect(await outcome(held.call(() => get('b.test')))).toBe('host-not-allowed');
    expect(asked).toEqual([`GET ${at('a.test')}/`, `GET ${at('a.test')}/refused?q`, `GET ${at('b.test')}/`]);
  });

  it('of your own without an egress guard hold nothing but leash.fetch', async () => {
    const mine: Guard = { name: 'mine', reach: () => ({ allow: false, code: 'MINE', reason: 'mine' }) };
    await using leash = createLeash({ guards: [mine] });
    expect(await outcome(leash.run({ tool: 't', args: {} }, () => fetch(at('127.0.0.1'))))).toBeInstanceOf(Response);
    expect(await outcome(leash.fetch(at('127.0.0.1')))).toBe('mine');
  });
});

describe("enforce: 'declared'", () => {
  it('leaves clients alone, and holds leash.fetch', async () => {
    await using held = holdWith({ ...rules('a.test'), enforce: 'declared' });
    expect(await held.call(async () => (await fetch(at('127.0.0.1'))).status)).toBe(200);
    expect(await held.call(() => httpGet(at('127.0.0.1')))).toBe('/');
    expect(said(held)).toEqual([]);
    expect(await outcome(held.leash.fetch(url('b.test')))).toBe('host-not-allowed');
    expect(await (await held.leash.fetch(url('a.test'))).text()).toBe('/');
    expect(said(held)).toEqual(['denied http b.test host-not-allowed', 'ok http a.test 127.0.0.1']);
    expect(held.leash.egress.coverage()).toMatchObject({
      enforce: 'declared',
      entries: { fetch: 'unheld', 'leash.fetch': 'held' },
    });
  });
});

describe('leash.fetch', () => {
  it('in a call is held by its own leash where the call is not', async () => {
    const sink = memorySink();
    const guard = egress({ allow: [at('a.test')], resolver: onLoopback, enforce: 'declared' });
    await using held = heldBy(createLeash({ guards: [guard], audit: sink }), sink);
    expect(await outcome(held.call(() => held.leash.fetch(url('a.test'))))).toBe('address:loopback');
    expect(await outcome(held.leash.fetch(url('a.test')))).toBe('address:loopback');
  });

  it('in a call of another leash is held by both', async () => {
    await using one = holdWith(rules('a.test'));
    await using two = holdWith(rules('a.test', 'b.test'));
    expect(await outcome(one.call(() => two.leash.fetch(url('b.test'))))).toBe('host-not-allowed');
    expect(await outcome(one.call(async () => (await two.leash.fetch(url('a.test'))).text()))).toBe('/');
    expect([said(one), said(two)]).toEqual([
      ['denied http b.test host-not-allowed', 'ok http a.test 127.0.0.1'],
      ['ok http a.test 127.0.0.1'],
    ]);
  });
});

describe("enforce: 'process'", () => {
  it('is that of the guard, not of those beside it', async () => {
    const sink = memorySink();
    const guards = [egress({ ...rules('a.test', 'b.test'), enforce: 'process' }), egress(rules('a.test'))];
    await using held = heldBy(createLeash({ guards, audit: sink }), sink);
    expect(await outcome(get('b.test'))).toBe('ok');
    expect(await outcome(held.call(() => get('b.test')))).toBe('host-not-allowed');
  });

  it('holds code outside of calls while the leash is open', async () => {
    const held = holdWith({ ...rules('a.test'), enforce: 'process' });
    expect(await outcome(get('a.test'))).toBe('ok');
    expect(await outcome(get('b.test'))).toBe('host-not-allowed');
    expect(await outcome(httpGet(url('b.test')))).toBe('host-not-allowed');
    expect(await outcome(held.call(() => get('b.test')))).toBe('host-not-allowed');
    expect(said(held)).toEqual([
      'ok http a.test 127.0.0.1',
      'denied http b.test host-not-allowed',
      'denied http b.test host-not-allowed',
      'denied http b.test host-not-allowed',
    ]);
    expect(held.lines()[0]).not.toHaveProperty('call');
    expect(held.lines()[3]).toMatchObject({ tool: 't' });
    await held.leash.close();
    expect(await outcome(httpGet(at('127.0.0.1')))).toBe('/');
  });

  it('has no say of a call that does not concern it but for its own rules', async () => {
    await using everywhere = holdWith({ ...rules('a.test', 'b.test'), enforce: 'process' });
    await using held = holdWith(rules('b.test', 'c.test'));
    const all = await Promise.all(['a', 'b', 'c'].map((name) => outcome(held.call(() => get(`${name}.test`)))));
    expect(all).toEqual(['host-not-allowed', 'ok', 'host-not-allowed']);
    expect([said(everywhere), said(held)].map((lines) => lines.length)).toEqual([2, 2]);
  });

  it('holds nothing when the leash could not be opened', async () => {
    const broken = {
      name: 'broken',
      write: () => {
        throw new Error('full');
      },
    };
    const guard = egress({ ...rules('a.test'), enforce: 'process' });
    expect(() => createLeash({ guards: [guard], audit: broken })).toThrow('audit log');
    expect(await outcome(httpGet(at('127.0.0.1')))).toBe('/');
  });

  it('refuses everything until its log is open', async () => {
    const sink = memorySink();
    const { key } = rootKey();
    let open = (): void => {};
    const opening = new Promise<void>((resolve) => {
      open = resolve;
    });
    const leash = createLeash({
      guards: [egress({ ...rules('a.test'), enforce: 'process' })],
      audit: {
        sink,
        signer: async (bytes) => {
          await opening;
          return sign(null, bytes, key);
        },
      },
    });
    const early = await get('a.test').catch((error: unknown) => error);
    expect(findLeashError(early)).toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    open();
    await leash.run({ tool: 't', args: {} }, () => undefined);
    expect(await outcome(get('a.test'))).toBe('ok');
    await leash.close();
    expect(sink.lines[0]).toContain('"seq":0');
    expect(sink.lines[0]).toContain('"kind":"session_open"');
  });
});

describe('work that goes on', () => {
  it('after its call has ended is held, and on record as of that call', async () => {
    await using held = holdWith(rules('a.test'));
    let go = (): void => {};
    const gone = new Promise<void>((resolve) => {
      go = resolve;
    });
    const detached: Promise<unknown>[] = [];
    await held.call(() => {
      detached.push(outcome(gone.then(() => get('a.test'))), outcome(gone.then(() => get('b.test'))));
    });
    go();
    expect(await Promise.all(detached)).toEqual(['ok', 'host-not-allowed']);
    expect(held.lines()).toMatchObject([
      { kind: 'egress_denied', tool: 't', host: 'b.test' },
      { kind: 'egress_ok', tool: 't', host: 'a.test' },
    ]);
  });

  const ends: readonly [string, boolean, (leash: Leash) => unknown][] = [
    ['stop', true, (leash) => leash.stop('enough')],
    ['a breach', true, (leash) => outcome(leash.run({ tool: 'second', args: {} }, () => 1))],
    ['close', false, (leash) => leash.close()],
  ];
  it.each(ends)('after %s goes nowhere', async (_, recorded, end) => {
    const sink = memorySink();
    const leash = createLeash({ guards: [egress(rules('a.test')), callCap(1)], audit: sink });
    const held = heldBy(leash, sink);
    const later = await held.call(() => AsyncResource.bind((host: string) => outcome(get(host))));
    await end(leash);
    const before = sink.lines.length;
    const hits = place.asked.length;
    expect(await later('a.test')).toBe('revoked');
    expect(place.asked.length).toBe(hits);
    expect(sink.lines.length - before).toBe(recorded ? 1 : 0);
    if (recorded) expect(said(held)).toEqual(['denied http a.test revoked']);
    await leash.close();
    const closed = sink.lines.length;
    expect(await later('a.test')).toBe('revoked');
    expect(sink.lines).toHaveLength(closed);
  });

  it('of a child goes nowhere when the parent is stopped', async () => {
    await using parent = holdWith(rules('a.test'));
    const child = childOf(parent, [egress(rules('a.test'))]);
    const later = await child.call(() => AsyncResource.bind(() => outcome(get('a.test'))));
    expect(await later()).toBe('ok');
    parent.leash.stop('enough');
    expect(await later()).toBe('revoked');
  });

  it('a denial that ends the session ends the network too', async () => {
    const sink = memorySink();
    const leash = createLeash({ guards: [egress(rules('a.test'))], stopOn: ['EGRESS_DENIED'], audit: sink });
    const held = heldBy(leash, sink);
    const both = await outcome(held.call(async () => [await outcome(get('b.test')), await outcome(get('a.test'))]));
    expect(both).toEqual(['host-not-allowed', 'revoked']);
    expect(leash.breach).toMatchObject({ code: 'EGRESS_DENIED', reason: 'host-not-allowed' });
    expect(isLeashError(leash.signal.reason)).toBe(true);
    await leash.close();
  });
});
