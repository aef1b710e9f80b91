import type { execFileSync } from 'node:child_process';
import type { lookup } from 'node:dns';
import type { Socket } from 'node:net';
import type { Worker } from 'node:worker_threads';
import type * as Undici from 'undici';

/** The domain of every name here. Node's certificate check wants two labels behind a wildcard. */
export const DOMAIN = 'attacks.test';

/** What holds an attack: a name in `HOOKS`. */
export type Layer =
  | 'undici-requests'
  | 'http-requests'
  | 'sockets'
  | 'datagrams'
  | 'name-queries'
  | 'child-processes'
  | 'workers'
  | 'saved-functions'
  | 'process-binding';

export type Reason =
  | 'host-not-allowed'
  | 'bad-host'
  | 'scheme'
  | 'port'
  | `address:${string}`
  | 'host-header-mismatch'
  | 'servername-mismatch'
  | 'request-target'
  | 'connect-method'
  | 'unix-socket'
  | 'dns-query'
  | 'udp'
  | 'child-process'
  | 'worker'
  | 'process-binding'
  | 'method'
  | 'path'
  | 'revoked';

/**
 * How an attack ends under the leash; the attacker sees nothing in any case. A reason, or one of several: refused with it.
 * `'fails'`: the client refuses by itself, on every Node. `'held'`: in whatever way, for clients that answer in several.
 * `'reaches'`: nothing holds it, and the attacker is reached. `'answers'`: no attack, the allowed host is reached and answers.
 */
type Expected = Reason | readonly Reason[] | 'fails' | 'held' | 'reaches' | 'answers';

/** How a server was reached. `lookup`: a name was asked for, of the system's resolver, the leash's or a DNS server. */
export type Contact = 'connection' | 'request' | 'upgrade' | 'tunnel' | 'pipe' | 'packet' | 'lookup';

/** Where a server answers, as a name and as URLs without a path. */
export interface Site {
  readonly host: string;
  readonly port: number;
  /** `host:port`. */
  readonly authority: string;
  readonly http: string;
  readonly https: string;
  readonly ws: string;
  readonly wss: string;
}

/** The attacker: every protocol on one port of 127.0.0.1; nothing here is allowed. */
export interface Evil extends Site {
  /** The same port by its address. */
  readonly address: Site;
  /** An attacker on ::1. Its port is that of the allowed host, so that a name can lead to either. */
  readonly address6: Site;
  readonly udpPort: number;
  readonly udp6Port: number;
  /** A unix socket. */
  readonly path: string;
  /** The same port under another spelling of its host, as a URL. */
  spelled(host: string): string;
}

/**
 * The allowed host: it redirects to wherever its query says, and it passes on what is meant for another host, as an open
 * proxy, a front for several hosts or a CONNECT tunnel would.
 */
export interface Good extends Site {
  /** A URL that redirects. */
  hop(status: number, to: string): string;
  /** The same over TLS. */
  secureHop(status: number, to: string): string;
}

export interface Early {
  readonly connect: typeof Socket.prototype.connect;
  readonly lookup: typeof lookup;
  readonly execFileSync: typeof execFileSync;
  readonly Worker: typeof Worker;
}

/** The servers and names of one attack. */
export interface Scene {
  /** In every name of this scene. */
  readonly number: number;
  readonly good: Good;
  readonly evil: Evil;
  /** Allowed names that lead to an address which is not. */
  readonly names: Readonly<Record<TrapName, Site>>;
  /** A copy of undici from npm; an attack that needs none of it does not look. */
  readonly undici: typeof Undici;
  /** What was taken from Node's modules before there was a leash. */
  readonly early: Early;
  /** A program that connects to the port in its first argument. */
  readonly program: string;
  /** Runs work as code that is outside the call, such as a pool that was there before; what it reaches is forgotten. */
  outside<Result>(work: () => Promise<Result>): Promise<Result>;
  /** Lets the call end, and for attacks `after-close` the leash be closed; settles when that has happened. */
  end(): Promise<void>;
}

export type TrapName =
  | 'inside'
  | 'mixed'
  | 'unspecified'
  | 'rebound'
  | 'metadata'
  | 'metadataMapped'
  | 'metadata6'
  | 'private'
  | 'shared'
  | 'nat64'
  | 'zone'
  | 'spelled'
  | 'nowhere';

/** Names on the allowlist, by what is wrong with their addresses. */
export const TRAPS: Readonly<Record<TrapName, readonly string[]>> = {
  /** ::1, where the attacker listens. */
  inside: ['::1'],
  /** Both, the denied one first. */
  mixed: ['::1', '127.0.0.1'],
  /** Connects to this machine. */
  unspecified: ['0.0.0.0'],
  /** Good for the first connection, and bad from then on. */
  rebound: ['127.0.0.1'],
  metadata: ['169.254.169.254'],
  metadataMapped: ['::ffff:169.254.169.254'],
  metadata6: ['fd00:ec2::254'],
  private: ['10.1.2.3'],
  shared: ['100.64.0.1'],
  nat64: ['64:ff9b::7f00:1'],
  zone: ['fe80::1%lo'],
  spelled: ['127.1'],
  nowhere: [],
};

export interface Options {
  /** Instead of the family's. */
  readonly layers?: readonly Layer[];
  /**
   * The same without a leash: `'reaches'` the attacker; `'dies'` by itself; `'varies'` with the versions; `'skipped'`: would
   * contact a real address or end the process. Default: `'reaches'`.
   */
  readonly control?: 'reaches' | 'dies' | 'varies' | 'skipped';
  /** Under a leash with `rawSockets: 'allow'`. */
  readonly raw?: true;
  /** The client tells nobody why it failed; the reason is in the log alone. */
  readonly quiet?: true;
  /** Needs undici from npm. */
  readonly npm?: true;
  /** When the attack strikes. Default: `'during'` the call. */
  readonly moment?: 'during' | 'after-call' | 'after-close';
  /** What must not be reached. Default: `'evil'`. */
  readonly goal?: 'evil' | 'good';
}

export interface Attack {
  /** `client: target`. */
  readonly id: string;
  readonly client: string;
  readonly target: string;
  /** It gets through when all of these are off. */
  readonly layers: readonly Layer[];
  readonly expected: Expected;
  /** Settles when the client has ended; rejects as the client does. An async generator is a tool that streams. */
  readonly strike: (scene: Scene) => unknown;
  readonly control: NonNullable<Options['control']>;
  readonly raw: boolean;
  readonly quiet: boolean;
  readonly npm: boolean;
  readonly moment: NonNullable<Options['moment']>;
  readonly goal: NonNullable<Options['goal']>;
}

export type Row = readonly [target: string, expected: Expected, strike: Attack['strike'], options?: Options];

/** Attacks with one client. */
export function family(
  client: string,
  layers: readonly Layer[],
  rows: readonly Row[],
  options: Options = {},
): readonly Attack[] {
  return rows.map(([target, expected, strike, own]) => ({
    control: 'reaches',
    raw: false,
    quiet: false,
    npm: false,
    moment: 'during',
    goal: 'evil',
    layers,
    ...options,
    ...own,
    id: `${client}: ${target}`,
    client,
    target,
    expected,
    strike,
  }));
}
