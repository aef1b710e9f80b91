import { exec, execFile, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { channel } from 'node:diagnostics_channel';
import dns, { promises as dnsPromises, lookup } from 'node:dns';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import net, { connect, type LookupFunction, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import workerThreads, { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { egressHooks, removeEgressHooks } from '../../src/egress/hooks/hooks.ts';
import { dialledHost, diallerOf, trustTunnel, tunnelPlace, unixPathOf } from '../../src/egress/hooks/sockets.ts';
import { findLeashError } from '../../src/errors.ts';
import { type HeldLeash, holdWith } from '../helpers/held-leash.ts';
import { type Place, startPlace } from '../helpers/places.ts';

type Functions = Record<string, (...args: unknown[]) => unknown>;

/** Everything that is replaced, by the name of its owner. */
const owners = (): Readonly<Record<string, Functions>> => {
  const builtin = (id: string) => process.getBuiltinModule(id) as never;
  const { Agent } = builtin('node:http') as { Agent: { prototype: Functions } };
  const { ChildProcess } = builtin('node:child_process') as { ChildProcess: { prototype: Functions } };
  const { Socket: Datagrams } = builtin('node:dgram') as { Socket: { prototype: Functions } };
  return {
    socket: (builtin('node:net') as { Socket: { prototype: Functions } }).Socket.prototype,
    agent: Agent.prototype,
    datagrams: Datagrams.prototype,
    dns: dns as unknown as Functions,
    resolver: dns.Resolver.prototype as unknown as Functions,
    dnsPromises: dns.promises as unknown as Functions,
    promisesResolver: dns.promises.Resolver.prototype as unknown as Functions,
    childProcess: builtin('node:child_process'),
    child: ChildProcess.prototype,
    process: process as unknown as Functions,
    module: builtin('node:module'),
  };
};

function functionsOf(): Map<string, { readonly fn: (...args: unknown[]) => unknown; readonly looks: object }> {
  const found = new Map();
  for (const [owner, object] of Object.entries(owners())) {
    for (const [key, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(object))) {
      const { value } = descriptor;
      if (typeof value !== 'function') continue;
      const { name, length } = value;
      const own = Reflect.ownKeys(value).filter((each) => each !== 'prototype');
      const { enumerable, writable, configurable } = descriptor;
      found.set(`${owner}.${key}`, { fn: value, looks: { name, length, own, enumerable, writable, configurable } });
    }
  }
  return found;
}

const before = functionsOf();
const WorkerBefore = workerThreads.Worker;
/** What a module in CommonJS keeps that was loaded before there was a leash. */
const kept = createRequire(import.meta.url)('node:dns').lookup as typeof lookup;
let held: HeldLeash;
let place: Place;
beforeAll(async () => {
  place = await startPlace();
  held = holdWith({ allow: [] });
});
afterAll(async () => {
  await held.leash.close();
  await place[Symbol.asyncDispose]();
});

describe('the platform', () => {
  it('looks as it did', () => {
    const now = functionsOf();
    expect([...now.keys()]).toEqual([...before.keys()]);
    const replaced = [...now].filter(([key, { fn }]) => before.get(key)?.fn !== fn);
    const isQuestion = (key: string): boolean =>
      /^(?:dns|dnsPromises|resolver|promisesResolver)\.(?:resolve\w*|reverse|lookupService)$/.test(key);
    const names = replaced.map(([key]) => key).filter((key) => !isQuestion(key));
    expect(names.sort()).toEqual([
      'agent.addRequest',
      'agent.createSocket',
      'agent.reuseSocket',
      'child.spawn',
      'childProcess.execFileSync',
      'childProcess.execSync',
      'childProcess.spawnSync',
      'datagrams.addMembership',
      'datagrams.addSourceSpecificMembership',
      'datagrams.connect',
      'datagrams.send',
      'dns.lookup',
      'dnsPromises.lookup',
      'module.register',
      'process.binding',
      ...('execve' in process ? ['process.execve'] : []),
      'socket.connect',
    ]);
    expect(replaced.length - names.length).toBe([...before.keys()].filter(isQuestion).length);
    for (const [key, { looks }] of replaced) expect({ key, looks }).toEqual({ key, looks: before.get(key)?.looks });
    expect(Worker).not.toBe(WorkerBefore);
    expect([Worker.name, Worker.length, Worker.prototype]).toEqual([
      WorkerBefore.name,
      WorkerBefore.length,
      WorkerBefore.prototype,
    ]);
  });

  it('is held by the names that modules imported before there was a leash', async () => {
    const tried = await held.call(async () => {
      const reasons: unknown[] = [];
      const tell = (error: unknown) => reasons.push((findLeashError(error) as { reason?: string } | undefined)?.reason);
      await once(connect(place.port, '127.0.0.1'), 'x').catch(tell);
      await new Promise<void>((resolve) => lookup('b.test', (error) => resolve(void tell(error))));
      await dnsPromises.lookup('b.test').catch(tell);
      await promisify(lookup)('b.test').catch(tell);
      await (async () => promisify(execFile)('true'))().catch(tell);
      try {
        new Worker('', { eval: true });
      } catch (error) {
        tell(error);
      }
      return reasons;
    });
    expect(tried).toEqual([
      'host-not-allowed',
      'host-not-allowed',
      'host-not-allowed',
      'host-not-allowed',
      'child-process',
      'worker',
    ]);
  });

  it('is held by what a module in CommonJS took before there was a leash', async () => {
    expect(kept).toBe(before.get('dns.lookup')?.fn);
    expect(await held.call(() => promisify(kept)('127.0.0.1'))).toEqual({ address: '127.0.0.1', family: 4 });
    const refused = held.call(() => promisify(kept)('b.test'));
    expect(findLeashError(await refused.catch((error: unknown) => error))).toMatchObject({
      reason: 'host-not-allowed',
    });
  });
});

const thrown = (body: () => unknown): unknown => {
  try {
    body();
    return 'nothing';
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
};

describe('outside of a call', () => {
  /** What both do with the same arguments: this one, and the one that was there. */
  const same = (key: string, self: object, ...args: unknown[]): void => {
    const [owner = '', name = ''] = key.split('.');
    const now = owners()[owner]?.[name];
    const was = before.get(key)?.fn;
    expect(now).not.toBe(was);
    expect(thrown(() => Reflect.apply(now as never, self, args))).toBe(
      thrown(() => Reflect.apply(was as never, self, args)),
    );
  };

  it.each([
    [[]],
    [[undefined]],
    [[null]],
    [[{}]],
    [[{ port: -1 }]],
    [[{ port: 70_000 }]],
    [[{ port: 'x' }]],
    [[{ port: 1, host: 1 }]],
    [[{ port: 1, lookup: 1 }]],
    [[{ path: 1 }]],
    [[() => {}]],
    [[Symbol('x')]],
  ])('connect refuses %o as it did', (args) => {
    const socket = new Socket().on('error', () => {});
    same('socket.connect', socket, ...args);
    socket.destroy();
  });

  it.each([
    [[]],
    [['localhost']],
    [[1, () => {}]],
    [['localhost', { family: 9 }, () => {}]],
    [['localhost', { hints: 1e9 }, () => {}]],
    [['localhost', 'x', () => {}]],
    [['localhost', { all: 1 }, () => {}]],
    [['localhost', 4, {}]],
  ])('dns.lookup refuses %o as it did', (args) => {
    same('dns.lookup', dns, ...args);
  });

  it('connect takes all its forms', async () => {
    const { port } = place;
    const forms: ((socket: Socket, done: () => void) => Socket)[] = [
      (socket, done) => socket.connect(port, '127.0.0.1', done),
      (socket, done) => socket.connect({ port, host: '127.0.0.1' }, done),
      (socket, done) =>
        socket.connect(
          { port, host: 'any', lookup: (_, __, callback) => callback(null, '127.0.0.1', 4), autoSelectFamily: false },
          done,
        ),
      (socket, done) =>
        (socket.connect as unknown as (port: string, host: string, done: () => void) => Socket)(
          String(port),
          '127.0.0.1',
          done,
        ),
    ];
    for (const form of forms) {
      const socket = new Socket();
      await new Promise<void>((resolve) => expect(form(socket, resolve)).toBe(socket));
      expect(socket.remotePort).toBe(port);
      socket.destroy();
    }
    const made = net.createConnection({ port, host: '127.0.0.1' });
    await once(made, 'connect');
    made.destroy();
  });

  it('dns.lookup answers in all its forms', async () => {
    expect(await promisify(lookup)('127.0.0.1')).toEqual({ address: '127.0.0.1', family: 4 });
    expect(await promisify(lookup)('127.0.0.1', { all: true })).toEqual([{ address: '127.0.0.1', family: 4 }]);
    expect(await dnsPromises.lookup('::1', 6)).toEqual({ address: '::1', family: 6 });
    expect(await new Promise((resolve) => lookup('127.0.0.1', (...all) => resolve(all)))).toEqual([
      null,
      '127.0.0.1',
      4,
    ]);
  });

  it('processes, workers and datagrams do what they did', async () => {
    expect(await promisify(exec)('echo hello')).toEqual({ stdout: 'hello\n', stderr: '' });
    expect(await promisify(execFile)('echo', ['hello'])).toEqual({ stdout: 'hello\n', stderr: '' });
    expect(await once(spawn('true'), 'close')).toEqual([0, null]);
    expect(thrown(() => new Worker(1 as never))).toBe('ERR_INVALID_ARG_TYPE');
    class Mine extends Worker {
      readonly mine = true;
    }
    const mine = new Mine('', { eval: true });
    expect(Object.getPrototypeOf(mine)).toBe(Mine.prototype);
    expect([mine instanceof Mine, mine instanceof Worker, mine instanceof WorkerBefore]).toEqual([true, true, true]);
    await once(mine, 'exit');
    const server = createSocket('udp4').bind(0, '127.0.0.1');
    await once(server, 'listening');
    const client = createSocket('udp4');
    client.send('hello', server.address().port, '127.0.0.1');
    expect(String((await once(server, 'message'))[0])).toBe('hello');
    client.close();
    server.close();
  });
});

describe('inside of a call', () => {
  const allowed = () => holdWith({ allow: [`http://a.test:${place.port}`], rawSockets: 'allow' });

  it('dns.lookup answers in all its forms', async () => {
    await using leash = allowed();
    const all = await leash.call(async () => [
      await promisify(lookup)('a.test'),
      await promisify(lookup)('a.test', { all: true }),
      await promisify(lookup)('a.test', 4),
      await dnsPromises.lookup('a.test', { all: true, family: 4 }),
      await dnsPromises.lookup('a.test', { family: 'IPv4' as never }),
      await new Promise((resolve) => lookup('a.test', (...each) => resolve(each))),
      await promisify(lookup)('a.test', 6).catch(({ code, syscall, hostname }) => ({ code, syscall, hostname })),
      await dnsPromises.lookup('a.test', { family: 'IPv6' as never }).catch(({ code }) => code),
    ]);
    const one = { address: '127.0.0.1', family: 4 };
    const none = { code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname: 'a.test' };
    expect(all).toEqual([one, [one], one, [one], one, [null, '127.0.0.1', 4], none, 'ENOTFOUND']);
  });

  it('connect takes all its forms, and reads each option once', async () => {
    await using leash = allowed();
    const { port } = place;
    let reads = 0;
    const inherited = Object.create(
      { host: 'a.test' },
      { port: { enumerable: true, get: () => (reads++ === 0 ? port : 1) } },
    );
    const forms: ((socket: Socket, done: () => void) => Socket)[] = [
      (socket, done) => socket.connect(port, 'a.test', done),
      (socket, done) => socket.connect({ port, host: 'a.test' }, done),
      (socket, done) =>
        socket.connect({ port, host: 'A.TEST.', lookup: (_, __, callback) => callback(null, '10.0.0.1', 4) }, done),
      (socket, done) =>
        (socket.connect as unknown as (port: string, host: string, done: () => void) => Socket)(
          String(port),
          'a.test',
          done,
        ),
      (socket, done) => socket.connect(inherited, done),
      (socket, done) => socket.once('connect', done).connect({ port, host: 'a.test' }),
    ];
    await leash.call(async () => {
      for (const form of forms) {
        const socket = new Socket();
        await new Promise<void>((resolve, reject) => {
          socket.on('error', reject);
          expect(form(socket, resolve)).toBe(socket);
          expect(socket.connecting).toBe(true);
        });
        expect([socket.remoteAddress, socket.remotePort]).toEqual(['127.0.0.1', port]);
        socket.destroy();
      }
    });
    expect(leash.said()).toEqual(Array(forms.length).fill(`ok tcp a.test:${port} 127.0.0.1`));
  });

  it.each([
    [{ port: -1 }, 'ERR_SOCKET_BAD_PORT'],
    [{ port: 'x' }, 'ERR_SOCKET_BAD_PORT'],
    [{ port: 1.5 }, 'ERR_SOCKET_BAD_PORT'],
    [{}, 'ERR_MISSING_ARGS'],
    [{ port: 1, host: 1 }, 'ERR_INVALID_ARG_TYPE'],
  ])('connect with %o is refused by the platform', async (options, code) => {
    await using leash = allowed();
    const error = await leash.call(() => once(new Socket().connect(options as never), 'connect')).catch((each) => each);
    expect(error).toMatchObject({ code });
    expect(leash.said()).toEqual([]);
  });

  it('a socket is used again as it is outside, and told of its refusal', async () => {
    await using leash = allowed();
    const { port } = place;
    await leash.call(async () => {
      const socket = new Socket().resume();
      for (let i = 0; i < 2; i++) {
        const connected = once(socket, 'connect');
        socket.connect(port, 'a.test');
        await connected;
        socket.destroy();
        await once(socket, 'close');
      }
      const failed = once(socket, 'x');
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.connect(port, 'b.test');
      await expect(failed).rejects.toMatchObject({ reason: 'host-not-allowed' });
      await closed;
    });
    const ok = `ok tcp a.test:${port} 127.0.0.1`;
    expect(leash.said()).toEqual([ok, ok, `denied tcp b.test:${port} host-not-allowed`]);
  });

  it('a socket that failed to connect is used again, and what it failed to reach is not on record', async () => {
    const closed = net.createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port: nobody } = closed.address() as net.AddressInfo;
    closed.close();
    const places = [`http://a.test:${place.port}`, `http://b.test:${nobody}`];
    await using leash = holdWith({ allow: places, rawSockets: 'allow' });
    const socket = new Socket().resume().on('error', () => {});
    const dial = async (port: number, host: string) => {
      const over = new Promise((resolve) => socket.once('close', resolve));
      socket.once('connect', () => socket.destroy()).connect(port, host);
      await over;
    };
    await leash.call(() => dial(nobody, 'b.test'));
    await leash.call(() => dial(place.port, 'a.test'));
    await leash.call(() => dial(nobody, 'b.test'));
    // Nor is what code outside of calls does with it.
    await dial(place.port, '127.0.0.1');
    expect(leash.said()).toEqual([`ok tcp a.test:${place.port} 127.0.0.1`]);
    expect(diallerOf(socket)).toBeUndefined();
  });

  it('a socket that is given up before it is dialled is dialled no more', async () => {
    await using leash = allowed();
    const before = place.connections();
    await leash.call(async () => {
      const socket = connect(place.port, 'a.test');
      socket.destroy();
      await once(socket, 'close');
      await new Promise((resolve) => setTimeout(resolve, 10));
    });
    expect(leash.said()).toEqual([]);
    expect(place.connections()).toBe(before);
  });

  it('a socket is known by what it was dialled for last', async () => {
    const path = join(tmpdir(), `leash-${process.pid}-again.sock`);
    const server = net.createServer((socket) => socket.end().resume()).listen(path);
    await once(server, 'listening');
    const rules = { allow: [`http://a.test:${place.port}`], addresses: { allow: ['127.0.0.0/8'] } };
    await using leash = holdWith({ ...rules, rawSockets: 'allow', unix: [path] });
    const socket = new Socket().resume();
    const dial = (where: object) =>
      leash.call(async () => {
        const closed = new Promise((resolve) => socket.once('close', resolve));
        socket.connect(where as never);
        await once(socket, 'connect');
        socket.destroy();
        await closed;
        return [unixPathOf(socket), dialledHost(socket), tunnelPlace(socket)];
      });
    trustTunnel(socket, 'http://a.test:80');
    expect(await dial({ port: place.port, host: 'a.test' })).toEqual([undefined, 'a.test', undefined]);
    expect((await dial({ path })).slice(0, 1)).toEqual([path]);
    expect(await dial({ port: place.port, host: 'a.test' })).toEqual([undefined, 'a.test', undefined]);
    server.close();
  });

  it('an address in any spelling is dialled as it was judged, and no host is dialled', async () => {
    await using leash = holdWith({ allow: [`http://127.0.0.1:${place.port}`], rawSockets: 'allow' });
    const lies: LookupFunction = (_, __, callback) => callback(null, '127.0.0.2', 4);
    const at = (host: string) => ({ port: place.port, host, lookup: lies, autoSelectFamily: false });
    await leash.call(async () => {
      const socket = connect(at('127.1'));
      await once(socket, 'connect');
      expect(socket.remoteAddress).toBe('127.0.0.1');
      socket.destroy();
      await expect(once(connect(at('no host')), 'connect')).rejects.toMatchObject({ reason: 'bad-host' });
    });
    expect(leash.said()).toEqual([`ok tcp 127.0.0.1:${place.port} 127.0.0.1`, `denied tcp :${place.port} bad-host`]);
  });

  it('dns.lookup refuses what is no name, and no callback', async () => {
    await using leash = allowed();
    const answers = await leash.call(async () => [
      await promisify(lookup)('no name').catch((error) => error.reason),
      await dnsPromises.lookup('no name').catch((error) => error.reason),
      thrown(() => (lookup as unknown as (name: string) => void)('a.test')),
    ]);
    expect(answers).toEqual(['dns-query', 'dns-query', 'ERR_INVALID_ARG_TYPE']);
    expect(leash.said()).toEqual(Array(2).fill('denied dns-query :0 dns-query'));
  });
});

describe('removal', () => {
  it('waits for leashes that hold, and gives everything back', async () => {
    expect(removeEgressHooks()).toBe(false);
    const everywhere = holdWith({ allow: [], enforce: 'process' });
    await held.leash.close();
    expect(removeEgressHooks()).toBe(false);
    const declared = holdWith({ allow: [], enforce: 'declared' });
    await everywhere.leash.close();
    void declared.leash.fetch;
    expect(removeEgressHooks()).toBe(false);
    await declared.leash.close();

    const hooks = egressHooks();
    expect(removeEgressHooks()).toBe(true);
    const now = functionsOf();
    for (const [key, { fn }] of before) expect(now.get(key)?.fn === fn, key).toBe(true);
    expect([workerThreads.Worker, Worker, connect]).toEqual([WorkerBefore, WorkerBefore, net.connect]);
    expect(lookup).toBe(before.get('dns.lookup')?.fn);
    expect(removeEgressHooks()).toBe(true);

    // And the next leash proves anew that it holds.
    const requests = channel('http.client.request.created');
    Object.defineProperty(requests, 'publish', { value: () => {}, configurable: true });
    expect(() => holdWith({ allow: [] })).toThrow('cannot hold node:http');
    delete (requests as { publish?: unknown }).publish;
    removeEgressHooks();
    await using next = holdWith({ allow: [] });
    expect(egressHooks()).not.toBe(hooks);
    expect(next.leash.egress.coverage().entries.fetch).toBe('held');
    const error = await next.call(() => fetch('http://b.test/')).catch((each: unknown) => each);
    expect(findLeashError(error)).toMatchObject({ reason: 'host-not-allowed' });
    expect(next.said()).toEqual(['denied http b.test:80 host-not-allowed']);
  });

  it('leaves what somebody else has put above', async () => {
    const leash = holdWith({ allow: [] });
    const ours = Socket.prototype.connect;
    const theirs = function connect(this: Socket, ...args: never[]) {
      return Reflect.apply(ours, this, args);
    } as typeof ours;
    Socket.prototype.connect = theirs;
    await leash.leash.close();
    expect(removeEgressHooks()).toBe(true);
    expect(Socket.prototype.connect).toBe(theirs);
    // What lies below is out of work, also when there are hooks again.
    await using next = holdWith({ allow: [`http://a.test:${place.port}`], rawSockets: 'allow' });
    await next.call(async () => {
      const socket = connect(place.port, 'a.test');
      await once(socket, 'connect');
      socket.destroy();
    });
    expect(next.said()).toEqual([`ok tcp a.test:${place.port} 127.0.0.1`]);
    await next.leash.close();
    removeEgressHooks();
    Socket.prototype.connect = before.get('socket.connect')?.fn as typeof ours;
  });
});
