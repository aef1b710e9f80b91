import type { Connect } from './connector.ts';
import type { FetchInit } from './request-snapshot.ts';

export type RuntimeDispatcher = NonNullable<FetchInit['dispatcher']>;

/** The class of pools that the runtime's `fetch` is made for. */
export type RuntimeAgent = new (options?: { readonly connect?: Connect }) => RuntimeDispatcher;

/** What undici keeps its global dispatcher under: 8 and the last of 7 under both, those before under the second. */
const KEYS = [Symbol.for('undici.globalDispatcher.2'), Symbol.for('undici.globalDispatcher.1')];

let known: RuntimeAgent | null | undefined;

/**
 * The runtime does not hand out its Agent, but keeps one under a global symbol, unless a copy of undici from npm was there
 * first or has taken its place. A handler of one generation in the other's `fetch` gives wrong answers, so only the
 * runtime's own will do. Undefined where it cannot be found.
 */
export function runtimeAgent(): RuntimeAgent | undefined {
  if (known === undefined) known = findKept() ?? findForProxies() ?? null;
  return known ?? undefined;
}

const shared = globalThis as Record<symbol, unknown>;

function globals(): readonly unknown[] {
  return KEYS.map((key) => shared[key]);
}

function findKept(): RuntimeAgent | undefined {
  // Loads the runtime's undici.
  void globalThis.Response;
  return findIn(globals());
}

interface TakesProxies {
  setGlobalProxyFromEnv?(environment: Record<string, string>): () => void;
}

/**
 * Later versions of Node take proxies while they run, with an Agent of their own for what goes to none. In one step, so that
 * nobody sees another global dispatcher than there was.
 */
function findForProxies(): RuntimeAgent | undefined {
  const { setGlobalProxyFromEnv } = process.getBuiltinModule('node:http') as TakesProxies;
  const others = globals();
  let restore: (() => void) | undefined;
  try {
    restore = setGlobalProxyFromEnv?.({ http_proxy: 'http://127.0.0.1:9' });
    return findIn(globals());
  } catch {
    // Somebody has locked the place.
    return undefined;
  } finally {
    restore?.();
    for (const [i, key] of KEYS.entries()) if (key in shared) Reflect.set(shared, key, others[i]);
  }
}

function findIn(dispatchers: readonly unknown[]): RuntimeAgent | undefined {
  for (const dispatcher of dispatchers) {
    // With a proxy of the environment the Agent stands inside of what holds that.
    for (const candidate of [dispatcher, ...partsOf(dispatcher)]) {
      const found = (candidate as { constructor?: RuntimeAgent } | undefined)?.constructor;
      if (found?.name === 'Agent' && isRuntimes(found)) return found;
    }
  }
  return undefined;
}

function partsOf(dispatcher: unknown): readonly unknown[] {
  if (typeof dispatcher !== 'object' || dispatcher === null) return [];
  return Object.getOwnPropertySymbols(dispatcher).map((key) => (dispatcher as Record<symbol, unknown>)[key]);
}

/** A class tells where it is from when it refuses an option. */
function isRuntimes(found: RuntimeAgent): boolean {
  try {
    new found({ factory: 1 } as object);
    return false;
  } catch (error) {
    return error instanceof Error && (error.stack ?? '').includes('node:internal/deps/undici');
  }
}
