import { vi } from 'vitest';
import { type MemorySink, memorySink } from '../../src/audit/memory-sink.ts';
import type { LeashError } from '../../src/errors.ts';
import type { Guard } from '../../src/guard.ts';
import { createLeash } from '../../src/leash.ts';
import type { Leash } from '../../src/leash-contract.ts';
import type { LeashOptions } from '../../src/leash-options.ts';
import { memoryStore } from '../../src/stores/memory.ts';
import type { Store } from '../../src/stores/store.ts';
import { FakeClock } from './clock.ts';
import { storeThrough } from './store-around.ts';

/**
 * What becomes of a question: it is answered; it gets nowhere; it is done, and the answer lost; nobody ever answers; the
 * answer is none.
 */
export type Fault = 'up' | 'down' | 'deaf' | 'mute' | 'nonsense';

export const FAULTS: readonly Fault[] = ['down', 'deaf', 'mute', 'nonsense'];

/** A memory store behind a line that fails as it is told, at once or later. */
export class FaultyLine {
  readonly clock: FakeClock = new FakeClock();
  readonly memory: Store = memoryStore({ clock: this.clock });
  readonly asked: (keyof Store)[] = [];
  readonly scopes: Set<string> = new Set();
  readonly late: boolean;
  fault: Fault = 'up';

  constructor(late = false) {
    this.late = late;
  }

  readonly store: Store = {
    ...storeThrough((method, action) => this.#send(method, action), this.memory),
    open: (scopes, lifetime) => {
      for (const scope of scopes) this.scopes.add(scope);
      return this.#send('open', () => this.memory.open(scopes, lifetime));
    },
  };

  #send<T>(method: keyof Store, action: () => T | Promise<T>): T | Promise<T> {
    this.asked.push(method);
    const { fault, late } = this;
    if (fault === 'mute') return new Promise(() => {});
    const answer = (): T | Promise<T> => {
      if (fault === 'down') throw new Error('redis://user:secret@db:6379 refused');
      const done = action();
      if (fault === 'deaf') throw new RangeError('connection reset');
      return fault === 'nonsense' ? (null as T) : done;
    };
    return late ? Promise.resolve().then(answer) : answer();
  }

  /** What the store has booked and holds: of every counter that somebody came to, by the unit in front of its name. */
  async counted(): Promise<Record<string, readonly [used: number, held: number]>> {
    const counted: Record<string, readonly [number, number]> = {};
    for (const [scope, meters] of Object.entries(await this.memory.read([...this.scopes]))) {
      for (const [meter, { used, held }] of Object.entries(meters)) {
        counted[`${scope.startsWith('shared:') ? scope : 'own'} ${meter}`] = [used, held];
      }
    }
    return counted;
  }
}

export const USD = 1_000_000_000;
export const NOTHING: object = { usd: '0', sat: '0', calls: 0 };
export const UNAVAILABLE: object = { name: 'StoreUnavailableError', code: 'STORE_UNAVAILABLE' };

interface Made extends FaultyLine {
  readonly leash: Leash;
  readonly events: () => { kind: string; [key: string]: unknown }[];
  readonly sink: MemorySink;
}

/** A session on a line that fails when it is told to. */
export function on(line: FaultyLine, guards: readonly Guard[], options: Partial<LeashOptions> = {}): Made {
  const sink = memorySink();
  const { clock, store } = line;
  const leash = createLeash({ guards, clock, store, audit: { sink, sign: 'none' }, stopOn: 'none', ...options });
  const events = () => sink.lines.map((each) => JSON.parse(each)).slice(1);
  return Object.assign(line, { leash, sink, events });
}

export function run(leash: Leash, usd: number | string = 1): Promise<string> {
  return leash.run({ tool: 't', cost: { usd } }, () => 'ran');
}

export function useFakeTimers(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
}

/** Lets everything happen that does not need time, and then time pass. */
export function pass(ms = 0): Promise<unknown> {
  return vi.advanceTimersByTimeAsync(ms);
}

/** The codes of refusals and what the others gave, after as much time as the line may take. */
export async function all(works: readonly Promise<unknown>[]): Promise<unknown[]> {
  const outcomes = Promise.all(works.map((work) => work.catch(({ code }: LeashError) => code)));
  await pass(60_000);
  return outcomes;
}

export function upTo(allowUpTo: object): Partial<LeashOptions> {
  return { onStoreError: { allowUpTo } };
}

export function fail(): never {
  throw new Error('down');
}
