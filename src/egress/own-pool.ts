import type { FetchInit } from './request-snapshot.ts';

type Dispatcher = NonNullable<FetchInit['dispatcher']>;
type DispatcherClass = new (options?: object) => Dispatcher;

/**
 * Connections of one leash. Below a pool that several share, the context in which a connection is made is that of whoever
 * came first.
 */
export class OwnPool {
  #agent: Dispatcher | undefined;
  #closed = false;

  /** For the runtime's `fetch`; undefined where its own class cannot be found, and the global pool has to do. */
  get dispatcher(): Dispatcher | undefined {
    if (this.#closed) return undefined;
    this.#agent ??= makeAgent();
    return this.#agent;
  }

  /** Ends its connections, also those in use. */
  destroy(): void {
    this.#closed = true;
    this.#agent?.destroy().catch(() => {});
  }
}

function makeAgent(): Dispatcher | undefined {
  const RuntimeAgent = runtimeAgentClass();
  return RuntimeAgent === undefined ? undefined : new RuntimeAgent();
}

/**
 * The runtime does not hand out its Agent, but keeps one under a global symbol, unless a copy of undici from npm was there
 * first. A handler of one generation in the other's `fetch` gives wrong answers, so only the runtime's own will do.
 */
export function runtimeAgentClass(): DispatcherClass | undefined {
  // Loads the runtime's undici.
  void globalThis.Response;
  for (const key of ['undici.globalDispatcher.2', 'undici.globalDispatcher.1']) {
    const found = (globalThis as Record<symbol, unknown>)[Symbol.for(key)]?.constructor as DispatcherClass | undefined;
    if (found?.name === 'Agent' && isRuntimes(found)) return found;
  }
  return undefined;
}

/** A class tells where it is from when it refuses an option. */
function isRuntimes(found: DispatcherClass): boolean {
  try {
    new found({ factory: 1 });
    return false;
  } catch (error) {
    return error instanceof Error && (error.stack ?? '').includes('node:internal/deps/undici');
  }
}
