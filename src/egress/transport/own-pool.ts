import type { EgressProxy } from '../../guard.ts';
import { type RuntimeDispatcher, runtimeAgent } from './runtime-agent.ts';
import { connectThrough } from './tunnel.ts';

/**
 * Connections of one leash. Below a pool that several share, the context in which a connection is made is that of whoever
 * came first.
 */
export class OwnPool {
  readonly #proxy: EgressProxy | undefined;
  #agent: RuntimeDispatcher | undefined;
  #closed = false;

  constructor(proxy: EgressProxy | undefined) {
    this.#proxy = proxy;
  }

  /** For the runtime's `fetch`; undefined where its own class cannot be found, and the global pool has to do. */
  get dispatcher(): RuntimeDispatcher | undefined {
    if (this.#closed) return undefined;
    this.#agent ??= this.#make();
    return this.#agent;
  }

  #make(): RuntimeDispatcher | undefined {
    const Agent = runtimeAgent();
    if (Agent === undefined) return undefined;
    return this.#proxy === undefined ? new Agent() : new Agent({ connect: connectThrough(this.#proxy) });
  }

  /** Ends its connections, also those in use. */
  destroy(error: Error | null): void {
    this.#closed = true;
    this.#agent?.destroy(error).catch(() => {});
  }
}
