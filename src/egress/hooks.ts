import { bothOf } from './both-scopes.ts';
import { Canary, type EntryPoint, sendCanaries } from './canary.ts';
import { holdChildProcesses } from './child-processes.ts';
import { holdDatagrams } from './datagrams.ts';
import { holdHttpRequests } from './http-requests.ts';
import { holdNameQueries } from './name-queries.ts';
import { holdProcessBinding } from './process-binding.ts';
import type { Restore } from './replace.ts';
import type { CurrentScope, EgressScope } from './scope.ts';
import { holdSockets } from './sockets.ts';
import { holdUndiciRequests } from './undici-requests.ts';
import { holdWorkers } from './workers.ts';

/** What every copy of the package in the process shares. Its shape belongs to the number in `KEY`. */
interface Hooks {
  /** Adds a source of scopes. All of them hold what runs. */
  add(source: CurrentScope): Restore;
  /** Which entry points are held, seen with a canary each. */
  prove(): ReadonlyMap<EntryPoint, boolean>;
  /** Takes everything out again, unless a source is left. @returns whether it did. */
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
  'process-binding': holdProcessBinding,
};

/** The hooks of this process, put in place by whoever asks first. */
export function egressHooks(): Hooks {
  shared[KEY] ??= install();
  return shared[KEY];
}

export function removeEgressHooks(): boolean {
  return shared[KEY]?.remove() ?? true;
}

function install(): Hooks {
  const sources = new Set<CurrentScope>();
  let only: CurrentScope | undefined;
  let canary: EgressScope | undefined;

  const current = (): EgressScope | undefined => {
    if (canary !== undefined) return canary;
    if (only !== undefined) return only();
    let found: EgressScope | undefined;
    for (const source of sources) {
      found = bothOf(found, source());
    }
    return found;
  };
  const count = (): void => {
    only = sources.size === 1 ? [...sources][0] : undefined;
  };

  const { syncBuiltinESMExports } = process.getBuiltinModule('node:module');
  const restores = Object.values(HOOKS).map((hold) => hold(current));
  syncBuiltinESMExports();
  return {
    add: (source) => {
      sources.add(source);
      count();
      return () => {
        sources.delete(source);
        count();
      };
    },
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
      if (sources.size > 0) return false;
      for (const restore of restores.toReversed()) restore();
      syncBuiltinESMExports();
      delete shared[KEY];
      return true;
    },
  };
}
