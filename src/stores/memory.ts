import { type Clock, systemClock } from '../internal/clock.ts';
import { checkOptions } from '../internal/options.ts';
import { HoldTable } from './hold-table.ts';
import { type Counter, Ledger, type Scope } from './ledger.ts';
import { Meter } from './meter.ts';
import type { Decision, Forfeited, Line, Reading, Reserve, Settle, Settled, Store } from './store.ts';

export interface MemoryStoreOptions {
  /** Default: `performance.now()` for windows and leases, `Date.now()` for calendars. */
  readonly clock?: Clock;
}

/** How many shut scopes are known as such; older ones are unknown, which refuses too. */
const REMEMBERED_SCOPES = 4096;

/** Counted state in this process's memory: exact, synchronous, gone with the process. */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  checkOptions('memoryStore', options, ['clock']);
  return new MemoryStore(options.clock ?? systemClock);
}

class MemoryScope implements Scope {
  readonly generation: string;
  readonly counters = new Map<string, Counter>();
  shut = false;
  stopped = false;
  now = Number.NEGATIVE_INFINITY;
  wall = 0;

  constructor(generation: string) {
    this.generation = generation;
  }

  counter({ meter: name, span }: Line): Counter {
    let counter = this.counters.get(name);
    if (counter === undefined) {
      counter = { scope: this, meter: new Meter(span) };
      this.counters.set(name, counter);
    }
    return counter;
  }
}

/** Also the executable model of the contract: other stores are compared with it. */
class MemoryStore implements Store {
  readonly #clock: Clock;
  readonly #scopes = new Map<string, MemoryScope>();
  readonly #holds: HoldTable;
  readonly #ledger: Ledger;
  readonly #shut = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#holds = new HoldTable(clock);
    this.#ledger = new Ledger(clock, this.#scopes, this.#holds);
  }

  open(scopes: readonly string[]): Readonly<Record<string, string>> {
    const generations: Record<string, string> = Object.create(null);
    for (const id of scopes) {
      generations[id] = this.#open(id).generation;
    }
    return generations;
  }

  #open(id: string): MemoryScope {
    let scope = this.#scopes.get(id);
    if (scope === undefined) {
      scope = new MemoryScope(crypto.randomUUID());
      this.#scopes.set(id, scope);
    }
    return scope;
  }

  reserve(batch: readonly Reserve[]): readonly Decision[] {
    return this.#ledger.reserve(batch);
  }

  settle(batch: readonly Settle[]): readonly Settled[] {
    return this.#ledger.settle(batch);
  }

  read(scopes: readonly string[]): Readonly<Record<string, Readonly<Record<string, Reading>>>> {
    const readings: Record<string, Record<string, Reading>> = Object.create(null);
    for (const id of scopes) {
      const scope = this.#scopes.get(id);
      if (scope === undefined) continue;
      const moment = this.#ledger.moment(scope);
      const meters: Record<string, Reading> = Object.create(null);
      for (const [name, { meter }] of scope.counters) meters[name] = { used: meter.used(moment), held: meter.held };
      readings[id] = meters;
    }
    return readings;
  }

  sweep(limit: number): readonly Forfeited[] {
    this.#holds.dropKept();
    const now = this.#clock.now();
    const forfeited: Forfeited[] = [];
    for (const [id, hold] of this.#holds) {
      if (forfeited.length >= limit) break;
      if (hold.state !== 'held' || hold.leaseEnd > now) continue;
      this.#ledger.forfeit(id, hold);
      forfeited.push({ id });
    }
    return forfeited;
  }

  shut(scope: string): void {
    const known = this.#scopes.get(scope);
    if (known === undefined || known.shut) return;
    known.shut = true;
    known.counters.clear();
    this.#shut.add(scope);
    if (this.#shut.size > REMEMBERED_SCOPES) {
      const [oldest] = this.#shut as Iterable<string> as [string];
      this.#shut.delete(oldest);
      this.#scopes.delete(oldest);
    }
  }

  stop(scope: string): void {
    this.#open(scope).stopped = true;
  }

  resume(scope: string): void {
    const known = this.#scopes.get(scope);
    if (known !== undefined) known.stopped = false;
  }
}
