import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { type Attack, family, type Site } from '../attack.ts';
import { binding } from '../binding.ts';
import { connected, session } from '../outcome.ts';
import { lying } from './dispatcher.ts';

const to = ({ host, port }: Site): net.TcpNetConnectOpts => ({ host, port });

const anyLookup = (address: string): { lookup: net.LookupFunction } => ({ lookup: lying(address) });
const RAW = { raw: true } as const;

export const netAttacks: readonly Attack[] = [
  ...family(
    'node:net',
    ['sockets'],
    [
      ['connect(port, host)', 'host-not-allowed', ({ evil }) => connected(net.connect(evil.port, evil.host))],
      ['connect(port, host) to an address', 'host-not-allowed', ({ evil }) => connected(net.connect(evil.port, '127.0.0.1'))],
      ['connect(port, host) to ::1', 'host-not-allowed', ({ evil }) => connected(net.connect(evil.address6.port, '::1'))],
      ['connect(options)', 'host-not-allowed', ({ evil }) => connected(net.connect(to(evil)))],
      ['connect(port)', 'host-not-allowed', ({ evil }) => connected(net.connect(evil.port))],
      ['connect(port as text, host)', 'host-not-allowed', ({ evil }) => connected(net.connect(String(evil.port) as never, '127.0.0.1'))],
      ['createConnection(port, host)', 'host-not-allowed', ({ evil }) => connected(net.createConnection(evil.port, evil.host))],
      ['createConnection(options)', 'host-not-allowed', ({ evil }) => connected(net.createConnection(to(evil)))],
      ['new Socket().connect(port, host)', 'host-not-allowed', ({ evil }) => connected(new net.Socket().connect(evil.port, evil.host))],
      ['new Socket().connect(options)', 'host-not-allowed', ({ evil }) => connected(new net.Socket().connect(to(evil)))],
      ['Socket.prototype.connect', 'host-not-allowed', ({ evil }) => connected(Reflect.apply(net.Socket.prototype.connect, new net.Socket(), [evil.port, '127.0.0.1']))],
      ['Stream', 'host-not-allowed', ({ evil }) => connected(new (net as unknown as { Stream: typeof net.Socket }).Stream().connect(evil.port, '127.0.0.1'))],
      ['a class of its own', 'host-not-allowed', ({ evil }) => connected(new (class extends net.Socket {})().connect(evil.port, '127.0.0.1'))],
      ['a host of one number', 'host-not-allowed', ({ evil }) => connected(net.connect(evil.port, '2130706433'))],
      ['a short host', 'host-not-allowed', ({ evil }) => connected(net.connect(evil.port, '127.1'))],
      ['an octal host', 'host-not-allowed', ({ evil }) => connected(net.connect(evil.port, '0177.0.0.1'))],
      ['a hexadecimal host', 'host-not-allowed', ({ evil }) => connected(net.connect(evil.port, '0x7f.1'))],
      ['host 0', 'host-not-allowed', ({ evil }) => connected(net.connect(evil.port, '0'))],
      ['host 0.0.0.0', 'host-not-allowed', ({ evil }) => connected(net.connect(evil.port, '0.0.0.0'))],
      ['an empty host', 'host-not-allowed', ({ evil }) => connected(net.connect(evil.port, ''))],
      ['a mapped address', 'host-not-allowed', ({ evil }) => connected(net.connect(evil.port, '::ffff:127.0.0.1'))],
      ['an address with a zone', 'bad-host', ({ evil }) => connected(net.connect(evil.address6.port, '::1%lo')), { control: 'varies' }],
      ['a full-width host', 'bad-host', ({ evil }) => connected(net.connect(evil.port, '１２７.０.０.１'))],
      ['an address with a space', 'bad-host', ({ evil }) => connected(net.connect(evil.port, ' 127.0.0.1')), { control: 'dies' }],
      ['a host with a zero byte', 'bad-host', ({ evil }) => connected(net.connect(evil.port, '127.0.0.1\0.good')), { control: 'dies' }],
      ['a host in upper case with a dot', 'host-not-allowed', ({ evil }) => connected(net.connect(evil.port, `${evil.host.toUpperCase()}.`))],
      ['options that inherit the host', 'host-not-allowed', ({ evil }) => connected(net.connect(Object.create(to(evil.address))))],
      ["a lookup of its own for the attacker's name", 'host-not-allowed', ({ evil }) => connected(net.connect({ ...to(evil), ...anyLookup('127.0.0.1') }))],
      ['the allowed host, without HTTP', 'scheme', ({ good }) => connected(net.connect(to(good))), { goal: 'good' }],
      ['path', 'unix-socket', ({ evil }) => connected(net.connect(evil.path))],
      ['options.path', 'unix-socket', ({ evil }) => connected(net.connect({ path: evil.path }))],
      ['options.path beside the allowed host', 'unix-socket', ({ evil, good }) => connected(net.connect({ ...to(good), path: evil.path } as net.NetConnectOpts))],
      ['new Socket().connect(path)', 'unix-socket', ({ evil }) => connected(new net.Socket().connect(evil.path))],
    ],
  ),
  ...family(
    'node:net where raw sockets are allowed',
    ['sockets'],
    [
      ['a name', 'host-not-allowed', ({ evil }) => connected(net.connect(to(evil)))],
      ['an address', 'host-not-allowed', ({ evil }) => connected(net.connect(to(evil.address)))],
      ['another port of the allowed host', 'port', ({ evil, good }) => connected(net.connect(evil.port, good.host))],
      ['a connection after one to the allowed host', 'host-not-allowed', reused],
      ['connect while it connects to the allowed host', 'host-not-allowed', ({ evil, good }) => connected(new net.Socket().connect(to(good)).connect(to(evil.address)))],
      ['options that change when they are read', 'host-not-allowed', ({ evil, good }) => connected(net.connect(changing(good, evil)))],
      ['a host that changes when it is read', 'held', ({ evil, good }) => connected(net.connect({ port: evil.port, host: changingText(good.host, '127.0.0.1') as never })), { control: 'dies' }],
      ['a lookup that lies', 'held', ({ good }) => connected(net.connect({ ...to(good), ...anyLookup('::1') }))],
      ['a lookup that lies at once', 'held', ({ good }) => connected(net.connect({ ...to(good), lookup: lyingAtOnce }))],
      ['a lookup that answers twice', 'held', ({ good }) => connected(net.connect({ ...to(good), autoSelectFamily: false, lookup: answeringTwice })), { control: 'dies' }],
      ['a lookup that gives a name', 'held', ({ good }) => connected(net.connect({ ...to(good), lookup: (_, __, done) => done(null, [{ address: 'localhost', family: 4 }]) })), { control: 'dies' }],
      ['happy eyeballs with an address of its own', 'held', ({ good }) => connected(net.connect({ ...to(good), autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 10, lookup: givingBoth }))],
      ['path', 'unix-socket', ({ evil }) => connected(net.connect(evil.path))],
    ],
    RAW,
  ),
  ...family(
    'node:tls',
    ['sockets'],
    [
      ['connect(port, host)', 'host-not-allowed', ({ evil }) => connected(tls.connect(evil.port, evil.host), 'secureConnect')],
      ['connect(options)', 'host-not-allowed', ({ evil }) => connected(tls.connect(to(evil)), 'secureConnect')],
      ['connect to an address', 'host-not-allowed', ({ evil }) => connected(tls.connect(evil.port, '127.0.0.1'), 'secureConnect')],
      ['the allowed host as server name', 'host-not-allowed', ({ evil, good }) => connected(tls.connect({ ...to(evil), servername: good.host }), 'secureConnect')],
      ['a socket that it opened', 'host-not-allowed', ({ evil }) => connected(tls.connect({ socket: net.connect(to(evil)), servername: evil.host }), 'secureConnect')],
      ['path', 'unix-socket', ({ evil }) => connected(tls.connect({ path: evil.path }))],
      ['the allowed host, without HTTP', 'scheme', ({ good }) => connected(tls.connect({ ...to(good), servername: good.host }), 'secureConnect'), { goal: 'good' }],
      ['the attacker as server name', 'servername-mismatch', ({ evil, good }) => connected(tls.connect({ ...to(good), servername: evil.host }), 'secureConnect'), RAW],
      ['a lookup that lies', 'held', ({ good }) => connected(tls.connect({ ...to(good), ...anyLookup('::1') }), 'secureConnect'), RAW],
    ],
  ),
  ...family(
    'node:http2',
    ['sockets'],
    [
      ['connect', 'host-not-allowed', ({ evil }) => session(http2.connect(evil.http))],
      ['connect over TLS', 'host-not-allowed', ({ evil }) => session(http2.connect(evil.https))],
      ['connect to an address', 'host-not-allowed', ({ evil }) => session(http2.connect(evil.address.http))],
      ['createConnection', 'host-not-allowed', ({ evil, good }) => session(http2.connect(good.http, { createConnection: () => net.connect(evil.port, '127.0.0.1') }))],
      ['options over the URL', 'host-not-allowed', ({ evil, good }) => session(http2.connect(good.http, { host: evil.host, port: evil.port } as object))],
      ['the allowed host', 'scheme', ({ good }) => session(http2.connect(good.http)), { goal: 'good' }],
      ['another server name', 'servername-mismatch', ({ evil, good }) => session(http2.connect(good.https, { servername: evil.host })), RAW],
      ['a lookup that lies', 'held', ({ good }) => session(http2.connect(good.http, anyLookup('::1') as object)), RAW],
    ],
  ),
  ...family(
    'process.binding',
    ['process-binding'],
    [
      ['tcp_wrap', 'process-binding', ({ evil }) => bound('tcp_wrap', 'TCP', 'TCPConnectWrap', [0], (tcp, request) => tcp.connect(request, '127.0.0.1', evil.port))],
      ['pipe_wrap', 'process-binding', ({ evil }) => bound('pipe_wrap', 'Pipe', 'PipeConnectWrap', [0], (pipe, request) => pipe.connect(request, evil.path))],
      ['udp_wrap', 'process-binding', ({ evil }) => packet(evil.udpPort)],
    ],
  ),
];

const lyingAtOnce: net.LookupFunction = (_, options, done) => {
  if (options.all) done(null, [{ address: '::1', family: 6 }]);
  else done(null, '::1', 6);
};

const answeringTwice: net.LookupFunction = (_, __, done) => {
  done(null, '127.0.0.1', 4);
  done(null, '::1', 6);
};

const givingBoth: net.LookupFunction = (_, __, done) => {
  done(null, [
    { address: '::1', family: 6 },
    { address: '127.0.0.1', family: 4 },
  ]);
};

/** A socket that was connected to the allowed host, and is connected again. */
async function reused({ good, evil }: { good: Site; evil: Site }): Promise<void> {
  const socket = new net.Socket().resume();
  const closed = new Promise((resolve) => socket.once('close', resolve));
  await connected(socket.connect(to(good)));
  await closed;
  await connected(socket.connect(evil.port, '127.0.0.1'));
}

function changing(before: Site, after: Site): net.TcpNetConnectOpts {
  let looked = 0;
  return {
    get host() {
      return looked++ === 0 ? before.host : after.host;
    },
    port: after.port,
  };
}

function changingText(before: string, after: string): object {
  let looked = 0;
  return { toString: () => (looked++ === 0 ? before : after) };
}

type Handle = Record<string, (...args: unknown[]) => number>;
type Made = new (...args: unknown[]) => Handle;

/** A connection with what is below `node:net`. */
function bound(name: string, handleClass: string, requestClass: string, args: readonly unknown[], connect: (handle: Record<'connect', (...args: unknown[]) => number>, request: object) => number): Promise<void> {
  const wrap = binding(name as never) as unknown as Record<string, Made>;
  const handle = Reflect.construct(wrap[handleClass] as Made, args) as Record<'connect', () => number>;
  const request = Reflect.construct(wrap[requestClass] as Made, []) as unknown as { oncomplete: (status: number) => void };
  return new Promise((resolve, reject) => {
    request.oncomplete = (status) => (status === 0 ? resolve() : reject(new Error(`status ${status}`)));
    const status = connect(handle, request);
    if (status !== 0) reject(new Error(`status ${status}`));
  });
}

async function packet(port: number): Promise<void> {
  const { UDP, SendWrap } = binding('udp_wrap') as unknown as Record<string, Made>;
  const handle = Reflect.construct(UDP as Made, []) as Handle;
  const request = Reflect.construct(SendWrap as Made, []) as unknown as { oncomplete?: () => void };
  handle['bind']?.('127.0.0.1', 0, 0);
  const status = handle['send']?.(request, [Buffer.from('secret')], 1, port, '127.0.0.1', false);
  if ((status ?? -1) < 0) throw new Error(`status ${status}`);
}
