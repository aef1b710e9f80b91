import { randomUUID } from 'node:crypto';
import type { LookupFunction } from 'node:net';
import type { Connection, OutgoingRequest } from '../../guard.ts';
import { Passes, Verified } from './passes.ts';
import type { EgressScope, Way } from './scope.ts';

/** Ways out of the process, as people call them. */
export const ENTRY_POINTS = [
  'fetch',
  'WebSocket',
  'node:http',
  'node:https',
  'node:net',
  'node:tls',
  'node:http2',
  'node:dgram',
  'dns.lookup',
  'dns.resolve',
  'child processes',
  'workers',
  'unix sockets',
  'process.binding',
] as const;

/** A way out of the process that a leash can hold. */
export type EntryPoint = (typeof ENTRY_POINTS)[number];

/** The runtime's own, as it was when this module was loaded, whatever is put in its place later. */
const { fetch } = globalThis;

/** A name that cannot exist (RFC 6761 §6.4), so that nothing would leave even where nothing holds. */
const HOST = `${randomUUID()}.leash-canary.invalid`;
export const CANARY_ORIGIN: string = `http://${HOST}`;
/** What an agent is told, while the `Host` header of the request says something else. */
const AGENT_PORT = 9;
const REFUSED = new Error('a canary of the leash, which is never let out');

/** A connection without a request is judged a tick later; a canary wants to know at once. */
class OpenToAll extends Passes {
  override has(): boolean {
    return true;
  }
}

/** Refuses everything, and knows what it was asked. */
export class Canary implements EgressScope {
  readonly passes: Passes = new OpenToAll();
  readonly verified: Verified = new Verified();
  readonly via = undefined;
  seen: Set<string> = new Set();

  through(): EgressScope {
    return this;
  }

  get atEdge(): EgressScope {
    return this;
  }

  covers(): boolean {
    return true;
  }

  request({ scheme, port }: OutgoingRequest): Error {
    return this.#see(port === AGENT_PORT ? `agent:${scheme}` : `request:${scheme}`);
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

  mayLeave(way: Way): Error {
    return this.#see(way);
  }

  leave(way: Way): Error {
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
  readonly entry: EntryPoint;
  /** What the canary must have been asked. */
  readonly asked: string;
  /** Gets no further than the first check of its arguments, or to a lookup that finds nothing, where it is not held. */
  fly(): unknown;
}

/**
 * Each way out of each entry point is used once, in one step: an entry point is held if all of them were seen in it. No
 * packet leaves, no name is asked for, no process and no thread starts, held or not.
 */
export function sendCanaries(canary: Canary): ReadonlyMap<EntryPoint, boolean> {
  const held = new Map<EntryPoint, boolean>();
  for (const { entry, asked, fly } of flights()) {
    canary.seen = new Set();
    try {
      fly();
    } catch {}
    held.set(entry, canary.seen.has(asked) && held.get(entry) !== false);
  }
  return held;
}

type Methods = Record<string, (...args: unknown[]) => unknown>;

const ignore = (): void => {};
const nowhere: LookupFunction = (_, __, callback) => callback(REFUSED, '');

function flights(): readonly Flight[] {
  const http = process.getBuiltinModule('node:http');
  const https = process.getBuiltinModule('node:https');
  const net = process.getBuiltinModule('node:net');
  const tls = process.getBuiltinModule('node:tls');
  const dns = process.getBuiltinModule('node:dns');
  const dgram = process.getBuiltinModule('node:dgram');
  const childProcess = process.getBuiltinModule('node:child_process');
  const workers = process.getBuiltinModule('node:worker_threads');
  const modules = process.getBuiltinModule('node:module');
  // Not before it is needed: looking at it loads the runtime's undici.
  const { WebSocket } = globalThis;
  const place = { host: HOST, lookup: nowhere, agent: false };
  const headers = { host: HOST };
  const socket = { host: HOST, port: 9, lookup: nowhere };
  /** Without arguments: every one of these refuses that by itself. */
  const bare = (entry: EntryPoint, asked: string, owner: object, names: readonly string[]): readonly Flight[] =>
    names
      .filter((name) => name in owner)
      .map((name) => ({ entry, asked, fly: () => settle((owner as Methods)[name]?.()) }));
  const questions = ['resolve', 'resolve4', 'resolve6', 'resolveTxt', 'reverse', 'lookupService'];
  return [
    { entry: 'fetch', asked: 'request:http', fly: () => settle(fetch(`http://${HOST}/`)) },
    ...(WebSocket === undefined
      ? []
      : [
          {
            entry: 'WebSocket',
            asked: 'request:http',
            fly: () => new WebSocket(`ws://${HOST}/`).addEventListener('error', ignore),
          } as const,
        ]),
    { entry: 'node:http', asked: 'request:http', fly: () => http.request(place).on('error', ignore) },
    { entry: 'node:https', asked: 'request:https', fly: () => https.request(place).on('error', ignore) },
    {
      entry: 'node:http',
      asked: 'agent:http',
      fly: () => http.request({ ...place, port: AGENT_PORT, headers, agent: new http.Agent() }).on('error', ignore),
    },
    { entry: 'node:net', asked: 'connection:tcp', fly: () => net.connect(socket).on('error', ignore) },
    { entry: 'node:tls', asked: 'connection:tls', fly: () => tls.connect(socket).on('error', ignore) },
    // Loading HTTP/2 is slow, and it connects as everyone does.
    {
      entry: 'node:http2',
      asked: 'connection:tls',
      fly: () => tls.connect({ ...socket, ALPNProtocols: ['h2'] }).on('error', ignore),
    },
    ...['send', 'connect', 'addMembership', 'addSourceSpecificMembership'].map((name) => ({
      entry: 'node:dgram' as const,
      asked: 'udp',
      fly: (): unknown => {
        const closed = dgram.createSocket('udp4').on('error', ignore);
        closed.close();
        return (closed as unknown as Methods)[name]?.('', 9, '127.0.0.1', ignore);
      },
    })),
    // A family that there is not.
    { entry: 'dns.lookup', asked: 'name', fly: () => dns.lookup(HOST, { family: 5 }, ignore) },
    { entry: 'dns.lookup', asked: 'name', fly: () => settle(dns.promises.lookup(HOST, { family: 5 })) },
    ...[dns, new dns.Resolver(), dns.promises, new dns.promises.Resolver()].flatMap((owner) =>
      bare('dns.resolve', 'dns-query', owner, questions),
    ),
    ...bare('child processes', 'child-process', childProcess.ChildProcess.prototype, ['spawn']),
    ...bare('child processes', 'child-process', childProcess, ['spawnSync', 'execSync', 'execFileSync']),
    ...bare('child processes', 'child-process', process, ['execve']),
    { entry: 'workers', asked: 'worker', fly: () => new (workers.Worker as unknown as new () => unknown)() },
    // Without hooks this reads where the hooks are to be found before it does anything.
    {
      entry: 'workers',
      asked: 'worker',
      fly: () =>
        modules.register('', {
          get parentURL(): never {
            throw REFUSED;
          },
        }),
    },
    { entry: 'unix sockets', asked: 'unix-socket', fly: () => net.connect({ path: 1 } as never).on('error', ignore) },
    ...bare('process.binding', 'process-binding', process, ['binding']),
  ];
}

/** What comes of a canary later is nobody's. */
function settle(outcome: unknown): void {
  if (outcome instanceof Promise) outcome.catch(ignore);
}
