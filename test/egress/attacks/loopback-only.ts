/**
 * Whoever imports this module first cannot leave the machine: below everything that a tool or a leash can reach in
 * JavaScript, in Node's own bindings, names are resolved from a table, and connections and packets that go elsewhere than
 * to loopback are refused and counted. The control runs of the attacks depend on it, and so does a leash that is broken.
 */
import { createSocket } from 'node:dgram';
import { isIP } from 'node:net';
import { binding, type Native } from './binding.ts';
import { noSuchName, questionOf } from './dns-message.ts';

interface Channel {
  getServers(): readonly (readonly [address: string, port: number])[];
}

/** What asks for names, in the order in which it asks: the system's resolver, and a DNS server for `dns.resolve*`. */
export interface Resolution {
  /** Called with every name that is resolved, and every address that is resolved backwards. */
  asked(name: string): void;
  /** The addresses of a name; none: it is unknown. */
  addressesOf(name: string): readonly string[];
}

const PROBE = '127.9.9.9';
let resolution: Resolution = { asked: () => {}, addressesOf: () => [PROBE] };

export function resolveWith(given: Resolution): void {
  resolution = given;
}

/** Everything that wanted to leave, as `tcp 10.0.0.1:80`. Must stay empty. */
export const refused: string[] = [];

const LOOPBACK =
  /^(?:127\.\d+\.\d+\.\d+|0\.0\.0\.0|::1?(?:%.*)?|::ffff:127\.\d+\.\d+\.\d+|::ffff:7f[\da-f]{2}:[\da-f]{1,4})$/i;
/** Invalid argument; what libuv returns is what callers know how to handle. */
const EINVAL = -22;

function refuseElsewhere(prototype: Record<string, Native>, protocol: string, methods: Record<string, number>): void {
  for (const [method, addressAt] of Object.entries(methods)) {
    const native = prototype[method] as (...args: unknown[]) => unknown;
    prototype[method] = function (this: unknown, ...args: unknown[]) {
      const address = args[addressAt];
      // A packet of a connected socket names no address.
      if (typeof address === 'string' && !LOOPBACK.test(address)) {
        refused.push(`${protocol} ${address}:${args[addressAt === 0 ? 1 : addressAt + 1] ?? ''}`);
        return EINVAL;
      }
      return Reflect.apply(native, this, args);
    } as Native;
  }
}

function resolveFromTable(): void {
  const cares = binding('cares_wrap');
  cares.getaddrinfo = (request, hostname, family) => {
    resolution.asked(hostname);
    const wanted = (addressOf(hostname) ?? resolution.addressesOf(hostname)).filter(
      (address) => family === 0 || family === (address.includes(':') ? 6 : 4),
    );
    setImmediate(() => {
      if (wanted.length === 0) request.oncomplete('ENOTFOUND');
      else request.oncomplete(null, [...wanted]);
    });
    return 0;
  };
  cares.getnameinfo = (request, address) => {
    resolution.asked(address);
    setImmediate(() => request.oncomplete(null, 'name.attacks.test', 'service'));
    return 0;
  };
  const { prototype } = cares.ChannelWrap;
  for (const method of Object.keys(prototype).filter((name) => /^query|^getHostByAddr$/.test(name))) {
    const native = prototype[method] as (...args: unknown[]) => unknown;
    prototype[method] = function (this: Channel, ...args: unknown[]) {
      const elsewhere = this.getServers().find(([address]) => !LOOPBACK.test(address));
      if (elsewhere === undefined) return Reflect.apply(native, this, args);
      refused.push(`dns ${elsewhere.join(':')}`);
      return EINVAL;
    } as Native;
  }
}

/** What the system takes for an address, in whatever spelling. */
function addressOf(hostname: string): readonly string[] | undefined {
  const address = URL.parse(`http://${hostname}`)?.hostname.replace(/^\[(.*)\]$/, '$1') ?? '';
  return isIP(address) > 0 ? [address] : undefined;
}

/** Servers for `dns.resolve*`: one that knows no name and tells what it was asked. */
async function startNameServer(): Promise<void> {
  const server = createSocket('udp4');
  server.on('message', (query, { port, address }) => {
    resolution.asked(questionOf(query));
    server.send(noSuchName(query), port, address);
  });
  await new Promise<void>((resolve) => {
    server.bind(0, '127.0.0.1', resolve);
  });
  server.unref();
  process.getBuiltinModule('node:dns').setServers([`127.0.0.1:${server.address().port}`]);
}

refuseElsewhere(binding('tcp_wrap').TCP.prototype, 'tcp', { connect: 1, connect6: 1 });
refuseElsewhere(binding('udp_wrap').UDP.prototype, 'udp', { connect: 0, connect6: 0, send: 4, send6: 4 });
resolveFromTable();
await startNameServer();

// This name never leaves a machine: if its address is the system's, the table was not asked, and nothing here holds. The
// modules are loaded by now only, for they keep what they find in the bindings.
const { lookup } = process.getBuiltinModule('node:dns');
const probed = [
  await new Promise<string>((resolve, reject) => {
    lookup('localhost', (error, address) => (error === null ? resolve(address) : reject(error)));
  }),
  (await process.getBuiltinModule('node:dns/promises').lookup('localhost')).address,
];
if (probed.some((address) => address !== PROBE)) throw new Error('names are not resolved from the table on this Node');
