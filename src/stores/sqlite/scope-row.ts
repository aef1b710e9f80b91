import { addUnits } from '../../money.ts';
import type { Counter, Scope } from '../ledger.ts';
import type { Line } from '../store.ts';
import type { Statements } from './statements.ts';

export interface SavedScope {
  readonly id: number;
  readonly name: string;
  readonly generation: string;
  readonly stopped: number;
  readonly shut: number;
  readonly time_ms: number;
  readonly forget_ms: number | null;
  readonly due_ms: number | null;
}

export class ScopeRow implements Scope {
  readonly id: number;
  readonly generation: string;
  stopped: boolean;
  shut: boolean;
  /** The latest time that it has seen; this store has one clock. */
  now: number;
  /** When to look whether it may be forgotten; null: never. */
  dueMs: number | null;
  /** After how long without a use that is. */
  #forgetMs: number | null;
  #saved: SavedScope;
  readonly #counters = new Map<string, Counter>();
  readonly #counterOf: (scope: ScopeRow, line: Line) => Counter;

  /** @param counterOf finds the counter of a line in this scope, or makes it. */
  constructor(saved: SavedScope, counterOf: (scope: ScopeRow, line: Line) => Counter) {
    this.#saved = saved;
    this.#counterOf = counterOf;
    this.id = saved.id;
    this.generation = saved.generation;
    this.stopped = saved.stopped !== 0;
    this.shut = saved.shut !== 0;
    this.now = saved.time_ms;
    this.dueMs = saved.due_ms;
    this.#forgetMs = saved.forget_ms;
  }

  get wall(): number {
    return this.now;
  }

  set wall(time: number) {
    this.now = time;
  }

  /** Somebody opens it who would keep it for so long without a use: the longest decides. */
  opened(time: number, forgetMs: number): void {
    if (this.dueMs === null || this.#forgetMs === null || this.shut) return;
    this.#forgetMs = Math.max(this.#forgetMs, forgetMs);
    this.dueMs = Math.max(this.dueMs, addUnits(time, this.#forgetMs));
  }

  counter(line: Line): Counter {
    let counter = this.#counters.get(line.meter);
    if (counter === undefined) {
      counter = this.#counterOf(this, line);
      this.#counters.set(line.meter, counter);
    }
    return counter;
  }

  save({ updateScope }: Statements): void {
    const [stopped, shut] = [Number(this.stopped), Number(this.shut)];
    const [time_ms, forget_ms, due_ms] = [this.now, this.#forgetMs, this.dueMs];
    const saved = this.#saved;
    if (
      saved.stopped === stopped &&
      saved.shut === shut &&
      saved.time_ms === time_ms &&
      saved.forget_ms === forget_ms &&
      saved.due_ms === due_ms
    )
      return;
    updateScope.run(stopped, shut, time_ms, forget_ms, due_ms, this.id);
    this.#saved = { ...saved, stopped, shut, time_ms, forget_ms, due_ms };
  }
}
