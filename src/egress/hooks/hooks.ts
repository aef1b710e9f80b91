import { bothOf } from './both-scopes.ts';
import { Canary, type EntryPoint, sendCanaries } from './canary.ts';
import { holdChildProcesses } from './child-processes.ts';
import { holdDatagrams } from './datagrams.ts';
import { holdHttpRequests } from './http-requests.ts';
import { holdNameQueries } from './name-queries.ts';
import { holdProcessBinding } from './process-binding.ts';
import type { Restore } from './replace.ts';
import { holdSavedFunctions } from './saved-functions.ts';
import type { CurrentScope, EgressScope } from './scope.ts';
import { holdSockets, trustTunnel } from './sockets.ts';
import { holdUndiciRequests } from './undici-requests.ts';
import { holdWorkers } from './workers.ts';

/** What every copy of the package in the process shares. Its shape belongs to the number in `KEY`. */
export interface Hooks {
  /**
   * Adds a source of scopes. All of them hold what runs.
   *
   * @param isInUse tells whether a leash that is open counts on it; code of those that are closed goes nowhere all the same.
   */
  add(source: CurrentScope, isInUse: () => boolean): void;
  /** What all sources together say. */
  readonly current: CurrentScope;
  /** Tells of a tunnel that a leash has built, and of the place that it leads to. */
  trustTunnel(socket: object, place: string): void;
  /** Which entry points are held, seen with a canary each. */
  prove(): ReadonlyMap<EntryPoint, boolean>;
  /** Takes everything out again, unless a source is in use. @returns whether it did. */
  remove(): boolean;
}

const KEY = Symbol.for('leashkit.egress.1');
const shared = globalThis as { [KEY]?: Hooks | undefined };

/** Each stands for one way out of the process, and can be left out where a test shows what it is for. */
export const HOOKS: Readonly<Record<string, (current: CurrentScope) => Restore>> = {
  'undici-requests': holdUndiciRequests,
  'http-requests': holdHttpRequests,
  sockets: holdSockets,
  datagrams: holdDatagrams,
  'name-queries': holdNameQueries,
  'child-processes': holdChildProcesses,
  workers: holdWorkers,
  'saved-functions': holdSavedFunctions,
  'process-binding': holdProcessBinding,
};

/** The hooks of this process, put in place by whoever asks first. */
export function egressHooks(): Hooks {
  shared[KEY] ??= install();
  return shared[KEY];
}

/**
 * Gives the platform back as it was. What still runs of leashes that are closed is held no more.
 *
 * @returns false, and nothing has changed, while a leash that holds code is open, in whatever copy of the package.
 */
export function removeEgressHooks(): boolean {
  return shared[KEY]?.remove() ?? true;
}

function install(): Hooks {
  const sources = new Map<CurrentScope, () => boolean>();
  let only: CurrentScope | undefined;
  let canary: EgressScope | undefined;

  const current = (): EgressScope | undefined => {
    if (canary !== undefined) return canary;
    if (only !== undefined) return only();
    let found: EgressScope | undefined;
    for (const source of sources.keys()) {
      found = bothOf(found, source());
    }
    return found;
  };
  const { syncBuiltinESMExports } = process.getBuiltinModule('node:module');
  const restores = Object.values(HOOKS).map((hold) => hold(current));
  syncBuiltinESMExports();
  return {
    add: (source, isInUse) => {
      only = sources.size === 0 ? source : undefined;
      sources.set(source, isInUse);
    },
    current,
    trustTunnel,
    prove: () => {
      const seen = new Canary();
      canary = seen;
      try {
        return sendCanaries(seen);
      } finally {
        canary = undefined;
      }
    },
    remove: () => {
      if ([...sources.values()].some((isInUse) => isInUse())) return false;
      // Where somebody has put something above a hook, it stays below that, without anything to say.
      sources.clear();
      only = undefined;
      for (const restore of restores.toReversed()) restore();
      syncBuiltinESMExports();
      delete shared[KEY];
      return true;
    },
  };
}
