import type { Clock } from '../../../src/internal/clock.ts';
import type { Store } from '../../../src/stores/store.ts';

/** Where stores keep their state, shared by all that are opened on it, here and in other processes. */
export interface Space {
  readonly backend: string;
  /** A port, a path, a prefix of keys or a schema. */
  readonly name: string;
}

export interface OpenOptions {
  /** What the store goes by, instead of its own clock: both sides of it tell the same time. */
  readonly clock?: Clock | undefined;
  /** Another port of 127.0.0.1 than the server's own, and how long to wait for an answer that may never come. */
  readonly through?: { readonly port: number; readonly timeoutMs: number };
}

export interface OpenStore {
  readonly store: Store;
  close(): Promise<void>;
}

export interface Backend {
  readonly name: string;
  /** What it runs on, whatever client it is reached through. */
  readonly engine: string;
  /** Why it cannot be tried here. */
  readonly missing: string | undefined;
  create(): Promise<Space>;
  open(space: Space, options?: OpenOptions): Promise<OpenStore>;
  destroy(space: Space): Promise<void>;
  /** Forgets everything, where that is cheaper than another space. */
  empty?(space: Space): Promise<void>;
  /** Of the server, where there is one. */
  port?(space: Space): number;
  /** How many keys or rows there are, where state outlives its process. */
  remains?(space: Space): Promise<number>;
  /** Lets time pass for what a database forgets by itself: a clock that was moved tells it nothing. */
  age?(space: Space, ms: number): Promise<void>;
}

export interface OpenStores {
  readonly space: Space;
  readonly stores: readonly Store[];
  close(): Promise<void>;
}

/** Stores of a space of their own, which goes with them. */
export async function freshStores(backend: Backend, count: number, options?: OpenOptions): Promise<OpenStores> {
  const space = await backend.create();
  const open: OpenStore[] = [];
  while (open.length < count) open.push(await backend.open(space, options));
  return {
    space,
    stores: open.map(({ store }) => store),
    close: async () => {
      await Promise.all(open.map(({ close }) => close()));
      await backend.destroy(space);
    },
  };
}

/** A name that nobody else has, which databases take as it is. */
export function newSpace(backend: string): Space {
  return { backend, name: `leash_${crypto.randomUUID().replaceAll('-', '')}` };
}
