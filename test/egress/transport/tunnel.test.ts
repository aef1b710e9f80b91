import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import * as tlsModule from 'node:tls';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { tunnelPlace } from '../../../src/egress/hooks/sockets.ts';
import { parseProxy } from '../../../src/egress/policy/proxy.ts';
import type { ConnectTarget } from '../../../src/egress/transport/connector.ts';
import { connectThrough, type TunnelOptions } from '../../../src/egress/transport/tunnel.ts';
import { certificate, type Place, startPlace, startSecurePlace } from '../../helpers/places.ts';
import { startProxy, type TestProxy } from '../../helpers/proxy.ts';
import { rejection } from '../../helpers/refused.ts';

let plain: Place;
let secure: Place;
let proxy: TestProxy;
beforeAll(async () => {
  [plain, secure, proxy] = await Promise.all([startPlace(), startSecurePlace(), startProxy()]);
});
afterAll(async () => {
  await Promise.all([plain, secure, proxy].map((server) => server[Symbol.asyncDispose]()));
});

const { cert: ca } = certificate;
const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  proxy.asked.length = 0;
});

function connect(
  through: { readonly origin: string },
  target: Partial<ConnectTarget> & { readonly port: string },
  options: TunnelOptions = {},
): Promise<Socket> {
  const parsed = parseProxy('proxy', through.origin.replace('//', '//secretuser:secretpass@'));
  return new Promise((resolve, reject) => {
    let told = 0;
    connectThrough(parsed, options)({ hostname: 'a.test', protocol: 'http:', ...target }, (error, socket) => {
      if (++told > 1) throw new Error('told twice');
      if (error !== null) return reject(error);
      sockets.push(socket as Socket);
      resolve(socket as Socket);
    });
  });
}

/** One request by hand, until the other side has nothing more to say. */
async function ask(socket: Socket): Promise<string> {
  socket.write('GET /x HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n');
  let answer = '';
  for await (const chunk of socket) answer += chunk;
  return answer;
}

/** A proxy that does with each connection what it is told to. */
async function scripted(answer: (socket: Duplex) => void) {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => answer(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  };
}

describe('a tunnel', () => {
  it('leads to a server in clear', async () => {
    const socket = await connect(proxy, { port: String(plain.port) });
    expect(proxy.asked).toEqual([`CONNECT a.test:${plain.port}`]);
    expect(proxy.credentials.at(-1)).toBe(`Basic ${Buffer.from('secretuser:secretpass').toString('base64')}`);
    expect(tunnelPlace(socket)).toBe(`http://a.test:${plain.port}`);
    expect(await ask(socket)).toContain('/x');
  });

  it('leads to a server over TLS, whose name is checked', async () => {
    const target = { protocol: 'https:', port: String(secure.port), servername: 'a.test' };
    const socket = await connect(proxy, target, { tls: { ca } });
    expect(tunnelPlace(socket)).toBe(`https://a.test:${secure.port}`);
    expect(await ask(socket)).toContain('/x');
    const other = await rejection(
      connect(proxy, { ...target, hostname: 'c.test', servername: 'c.test' }, { tls: { ca } }),
    );
    expect(other).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    const address = { ...target, hostname: '127.0.0.1', servername: null };
    expect(await ask(await connect(proxy, address, { tls: { ca } }))).toContain('/x');
    expect(await rejection(connect(proxy, target))).toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  });

  it.each([
    { target: { hostname: 'A.test.', port: '81' }, authority: 'a.test:81' },
    { target: { port: '' }, authority: 'a.test:80' },
    { target: { protocol: 'https:', port: '' }, authority: 'a.test:443' },
    { target: { hostname: '::1', port: '81' }, authority: '[::1]:81' },
  ])('is asked for as $authority', async ({ target, authority }) => {
    await using refusing = await startProxy({ connected: (_, socket) => socket.end('HTTP/1.1 403 no\r\n\r\n') });
    const error = await rejection(connect(refusing, target));
    expect(error.message).toBe(`the proxy of the leash, ${refusing.origin}, refused a tunnel with status 403`);
    expect(refusing.asked).toEqual([`CONNECT ${authority}`]);
  });

  const answers: readonly {
    readonly name: string;
    readonly answer: (socket: Duplex) => void;
    readonly message: RegExp;
  }[] = [
    {
      name: 'wants other credentials',
      answer: (socket) => socket.write('HTTP/1.1 407 no\r\nproxy-authenticate: Basic\r\n\r\n'),
      message: /refused a tunnel with status 407$/,
    },
    {
      name: 'redirects',
      answer: (socket) => socket.write('HTTP/1.1 302 there\r\nlocation: http://b.test\r\n\r\n'),
      message: /refused a tunnel with status 302$/,
    },
    {
      name: 'says more than it was asked',
      answer: (socket) => socket.write('HTTP/1.1 200 ok\r\n\r\nHTTP/1.1 200 ok\r\n\r\n'),
      message: /sent more than an answer$/,
    },
    {
      name: 'answers no HTTP',
      answer: (socket) => socket.write('SSH-2.0-x\r\n\r\n'),
      message: /could not be reached$/,
    },
    { name: 'hangs up', answer: (socket) => socket.end(), message: /could not be reached$/ },
    { name: 'breaks off', answer: (socket) => socket.destroy(), message: /could not be reached$/ },
    { name: 'says nothing', answer: () => {}, message: /did not answer in time$/ },
  ];
  it.each(answers)('fails once where the proxy $name, without its credentials', async ({ answer, message }) => {
    await using server = await scripted(answer);
    const error = await rejection(connect(server, { port: '80' }, { timeoutMs: 50 }));
    expect(error.message).toMatch(message);
    expect(error.message).toContain(server.origin);
    expect(inspect(error, { depth: 5, showHidden: true })).not.toMatch(/secret|c2VjcmV0/);
  });

  it('fails where there is no proxy', async () => {
    const { origin } = await scripted(() => {}).then(async (server) => {
      await server[Symbol.asyncDispose]();
      return server;
    });
    const error = await rejection(connect({ origin }, { port: '80' }));
    expect(error.message).toMatch(/could not be reached$/);
    expect(error.cause).toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('fails where the target ends in the middle of TLS', async () => {
    await using server = await scripted((socket) => {
      socket.write('HTTP/1.1 200 ok\r\n\r\n');
      socket.once('data', () => socket.destroy());
    });
    const error = await rejection(connect(server, { protocol: 'https:', port: '443' }));
    expect(error).toMatchObject({ code: 'ECONNRESET' });
  });

  it('has time until it is there, TLS included', async () => {
    await using server = await scripted((socket) => socket.write('HTTP/1.1 200 ok\r\n\r\n'));
    const error = await rejection(connect(server, { protocol: 'https:', port: '443' }, { timeoutMs: 50 }));
    expect(error.message).toMatch(/did not answer in time$/);
  });

  describe('to a proxy over TLS', () => {
    let over: TestProxy;
    beforeAll(async () => {
      over = await startProxy({ secure: true });
    });
    afterAll(() => over[Symbol.asyncDispose]());

    it('shows credentials to no proxy that is not trusted', async () => {
      const error = await rejection(connect(over, { port: String(plain.port) }));
      expect(error.message).toMatch(/could not be reached$/);
      expect(error.cause).toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
      expect(over.asked).toEqual([]);
    });

    it.skipIf(!('setDefaultCACertificates' in tlsModule))('leads on, in clear and over TLS', async () => {
      const tls = tlsModule as typeof tlsModule & {
        getCACertificates(): readonly string[];
        setDefaultCACertificates(certificates: readonly string[]): void;
      };
      const before = tls.getCACertificates();
      tls.setDefaultCACertificates([...before, ca]);
      try {
        expect(await ask(await connect(over, { port: String(plain.port) }))).toContain('/x');
        const target = { protocol: 'https:', port: String(secure.port) };
        expect(await ask(await connect(over, target))).toContain('/x');
      } finally {
        tls.setDefaultCACertificates(before);
      }
      expect(over.asked).toEqual([`CONNECT a.test:${plain.port}`, `CONNECT a.test:${secure.port}`]);
    });
  });
});
