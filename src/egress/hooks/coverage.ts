import type { Egress, Enforce } from '../../guard.ts';
import { ENTRY_POINTS, type EntryPoint } from './canary.ts';

/**
 * What becomes of code that leaves by an entry point: `held`, the rules judge it; `refused`, nothing leaves; `open`, an
 * option lets it out without a rule; `unheld`, nobody looks.
 */
export type Coverage = 'held' | 'refused' | 'open' | 'unheld';

/** What a leash holds, and how it knows. */
export interface EgressCoverage {
  readonly enforce: Enforce;
  /** Version of Node. */
  readonly node: string;
  /** Version of the undici that Node's `fetch` is made of. */
  readonly undici: string;
  /**
   * Versions of the copies of undici that this leash has dispatchers of, by `leashkit/undici`, `unknown` where it cannot be
   * told. Each was seen to be held when the dispatcher was made, and by the last self-test.
   */
  readonly dispatchers: readonly string[];
  /** By entry point. Whatever is not `unheld` or `open` was seen to be held by the canary that was sent last. */
  readonly entries: Readonly<Record<EntryPoint | 'leash.fetch', Coverage>>;
}

type Entry = keyof EgressCoverage['entries'];

/** What a log says of the network when a session opens: `enforce`, then what becomes of each entry point. */
export type EgressSummary = Readonly<Record<string, string>>;

const SHORT: Readonly<Record<Entry, string>> = {
  'leash.fetch': 'leash',
  fetch: 'fetch',
  WebSocket: 'ws',
  'node:http': 'http',
  'node:https': 'https',
  'node:net': 'net',
  'node:tls': 'tls',
  'node:http2': 'http2',
  'node:dgram': 'udp',
  'dns.lookup': 'lookup',
  'dns.resolve': 'dns',
  'child processes': 'child',
  workers: 'worker',
  'unix sockets': 'unix',
  'process.binding': 'binding',
};

const ALL_REFUSED: ReadonlySet<EntryPoint> = new Set(['dns.resolve', 'process.binding']);

/**
 * What several guards hold together: the strictest of them.
 *
 * @param proved what canaries have seen, undefined where none was sent. @param dispatchers versions of undici.
 */
export function coverageOf(
  egresses: readonly Egress[],
  proved: ReadonlyMap<EntryPoint, boolean> | undefined,
  dispatchers: readonly string[],
): EgressCoverage {
  const enforce = strictest(egresses);
  const holding = egresses.filter((egress) => egress.enforce !== 'declared');
  const entries = Object.fromEntries(
    ENTRY_POINTS.filter((entry) => proved === undefined || proved.has(entry)).map((entry) => [
      entry,
      proved?.get(entry) && holding.length > 0 ? coverage(entry, holding) : 'unheld',
    ]),
  ) as Record<EntryPoint, Coverage>;
  const { node, undici = 'none' } = process.versions;
  return Object.freeze({
    enforce,
    node,
    undici,
    dispatchers: Object.freeze(dispatchers),
    entries: Object.freeze({ 'leash.fetch': 'held', ...entries }),
  });
}

/** As the log has it. */
export function summaryOf({ enforce, entries }: EgressCoverage): EgressSummary {
  return { enforce, ...Object.fromEntries(Object.entries(entries).map(([entry, is]) => [SHORT[entry as Entry], is])) };
}

function strictest(egresses: readonly Egress[]): Enforce {
  if (egresses.some(({ enforce }) => enforce === 'process')) return 'process';
  return egresses.some(({ enforce }) => enforce === 'scope') ? 'scope' : 'declared';
}

function coverage(entry: EntryPoint, holding: readonly Egress[]): Coverage {
  // Whatever connects by itself does not go through the proxy.
  const proxied = holding.some((egress) => egress.proxy !== undefined);
  const all = (opens: (egress: Egress) => boolean): boolean => holding.every(opens);
  switch (entry) {
    case 'node:net':
    case 'node:tls':
    case 'node:http2':
      return proxied || !all((egress) => egress.rawSockets) ? 'refused' : 'held';
    case 'node:dgram':
      return all((egress) => egress.udp) ? 'open' : 'refused';
    case 'child processes':
      return all((egress) => egress.childProcess) ? 'open' : 'refused';
    case 'workers':
      return all((egress) => egress.workers) ? 'open' : 'refused';
    case 'unix sockets':
      return all((egress) => egress.unix.size > 0) ? 'held' : 'refused';
    default:
      return proxied || ALL_REFUSED.has(entry) ? 'refused' : 'held';
  }
}
