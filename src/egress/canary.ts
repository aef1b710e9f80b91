import { randomUUID } from 'node:crypto';
import type { Connection, OutgoingRequest } from '../guard.ts';
import { Passes } from './passes.ts';
import type { EgressScope, Way } from './scope.ts';

/** A way out of the process, as people call it. */
export type EntryPoint =
  | 'fetch'
  | 'WebSocket'
  | 'node:http'
  | 'node:https'
  | 'node:net'
  | 'node:tls'
  | 'node:http2'
  | 'node:dgram'
  | 'dns.lookup'
  | 'dns.resolve'
  | 'child processes'
  | 'workers'
  | 'unix sockets'
  | 'process.binding';

/** The runtime's own, as they were when this module was loaded, whatever is put in their place later. */
const { fetch, WebSocket } = globalThis;

/** A name that cannot exist (RFC 6761 §6.4), so that nothing would leave even where nothing holds. */
const HOST = `${randomUUID()}.leash-canary.invalid`;
const REFUSED = new Error('a canary of the leash, which is never let out');

/** Refuses everything, and knows what it was asked. */
export class Canary implements EgressScope {
  readonly passes: Passes = new Passes();
  readonly rawSockets = true;
  seen: Set<string> = new Set();

  covers(): boolean {
    return true;
  }

  request({ scheme }: OutgoingRequest): Error {
    return this.#see(`request:${scheme}`);
  }

  connection({ tls }: Connection): Error {
    return this.#see(tls ? 'connection:tls' : 'connection:tcp');
  }

  name(): Error {
    return this.#see('name');
  }

  answers(): readonly string[] {
    return [];
  }

  dialable(): Error {
    return REFUSED;
  }

  address(): Error {
    return REFUSED;
  }

  way(way: Way): Error {
    return this.#see(way);
  }

  refuse(): Error {
    return REFUSED;
  }

  reached(): Error {
    return REFUSED;
  }

  #see(what: string): Error {
    this.seen.add(what);
    return REFUSED;
  }
}

interface Flight {
  /** What the canary must have been asked. */
  readonly asked: string;
  fly(): unknown;
}

/** Each entry point is used once, in one step: what is not seen in it is not held. No packet leaves, no name is asked for. */
export function sendCanaries(canary: Canary): ReadonlyMap<EntryPoint, boolean> {
  const held = new Map<EntryPoint, boolean>();
  for (const [entry, { asked, fly }] of Object.entries(flights()) as [EntryPoint, Flight][]) {
    canary.seen = new Set();
    try {
      fly();
    } catch {}
    held.set(entry, canary.seen.has(asked));
  }
  return held;
}

function flights(): Partial<Record<EntryPoint, Flight>> {
  const ignore = (): void => {};
  const http = process.getBuiltinModule('node:http');
  const https = process.getBuiltinModule('node:https');
  const net = process.getBuiltinModule('node:net');
  const tls = process.getBuiltinModule('node:tls');
  const dns = process.getBuiltinModule('node:dns');
  const dgram = process.getBuiltinModule('node:dgram');
  const { ChildProcess } = process.getBuiltinModule('node:child_process');
  const workers = process.getBuiltinModule('node:worker_threads');
  return {
    fetch: { asked: 'request:http', fly: () => fetch(`http://${HOST}/`).catch(ignore) },
    ...(WebSocket === undefined
      ? undefined
      : {
          WebSocket: {
            asked: 'request:http',
            fly: () => new WebSocket(`ws://${HOST}/`).addEventListener('error', ignore),
          },
        }),
    'node:http': { asked: 'request:http', fly: () => http.request({ host: HOST, agent: false }).on('error', ignore) },
    'node:https': {
      asked: 'request:https',
      fly: () => https.request({ host: HOST, agent: false }).on('error', ignore),
    },
    'node:net': { asked: 'connection:tcp', fly: () => net.connect({ host: HOST, port: 9 }).on('error', ignore) },
    'node:tls': { asked: 'connection:tls', fly: () => tls.connect({ host: HOST, port: 9 }).on('error', ignore) },
    // Loading HTTP/2 is slow, and it connects as everyone does.
    'node:http2': {
      asked: 'connection:tls',
      fly: () => tls.connect({ host: HOST, port: 9, ALPNProtocols: ['h2'] }).on('error', ignore),
    },
    'node:dgram': {
      asked: 'udp',
      fly: () => {
        const socket = dgram.createSocket('udp4');
        socket.send('', 9, '127.0.0.1', () => socket.close());
      },
    },
    'dns.lookup': { asked: 'name', fly: () => dns.lookup(HOST, ignore) },
    'dns.resolve': { asked: 'dns-query', fly: () => dns.resolve4(HOST, ignore) },
    'child processes': {
      asked: 'child-process',
      fly: () => (new ChildProcess() as unknown as { spawn(options: object): void }).spawn({ file: '', args: [] }),
    },
    workers: { asked: 'worker', fly: () => new workers.Worker('', { eval: true }).terminate() },
    'unix sockets': { asked: 'unix-socket', fly: () => net.connect({ path: `/${HOST}` }).on('error', ignore) },
    'process.binding': {
      asked: 'process-binding',
      fly: () => (process as unknown as { binding(name: string): void }).binding('tcp_wrap'),
    },
  };
}
