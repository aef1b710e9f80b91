import { addUnits } from '../../money.ts';
import type { Extension, Granted, Holds, Scopes } from '../ledger.ts';
import { ENDED_MS, SHUT_MS, VOID_MS } from '../retention.ts';
import type { Line, Reserve } from '../store.ts';
import { CounterRow, type SavedCounter } from './counter-row.ts';
import { HoldRow, placed, type SavedHold, textOf } from './hold-row.ts';
import { type SavedScope, ScopeRow } from './scope-row.ts';
import type { Statements } from './statements.ts';

/**
 * What the ledger decides on, for one transaction: rows become objects when they are asked for, new ones are inserted at
 * once, and what changed is written by `flush`.
 */
export class Rows implements Scopes, Holds {
  readonly #statements: Statements;
  readonly #time: number;
  readonly #scopes = new Map<string, ScopeRow>();
  readonly #scopesById = new Map<number, ScopeRow>();
  readonly #counters = new Map<number, CounterRow>();
  readonly #holds = new Map<string, HoldRow>();

  constructor(statements: Statements, time: number) {
    this.#statements = statements;
    this.#time = time;
  }

  get(name: string): ScopeRow | undefined {
    return this.#scopes.get(name) ?? this.#scope(this.#statements.scopeByName.get(name));
  }

  #scope(row: object | undefined): ScopeRow | undefined {
    if (row === undefined) return undefined;
    const saved = row as SavedScope;
    const scope = new ScopeRow(saved, (at, line) => this.#counterOf(at, line));
    this.#scopes.set(saved.name, scope);
    this.#scopesById.set(saved.id, scope);
    return scope;
  }

  /** @param forgetMs it may be forgotten when it was not used for so long; null: never. */
  addScope(name: string, forgetMs: number | null): ScopeRow {
    const dueMs = forgetMs === null ? null : addUnits(this.#time, forgetMs);
    this.#statements.insertScope.run(name, crypto.randomUUID(), forgetMs, dueMs);
    return this.get(name) as ScopeRow;
  }

  /** Its counters go at once; that it is shut is known for a while. */
  shut(scope: ScopeRow): void {
    scope.shut = true;
    scope.dueMs = this.#time + SHUT_MS;
    for (const [id, counter] of this.#counters) if (counter.scope === scope) this.#counters.delete(id);
    this.#statements.deleteCounters.run(scope.id);
  }

  #counterOf(scope: ScopeRow, { meter, span }: Line): CounterRow {
    const { counterByMeter, insertCounter } = this.#statements;
    let row = counterByMeter.get(scope.id, meter);
    if (row === undefined) {
      const [ms, stepMs] = span.kind === 'rolling' ? [span.ms, span.stepMs] : [null, null];
      const [startMs, endMs] = span.kind === 'calendar' ? [span.startMs, span.endMs] : [null, null];
      insertCounter.run(scope.id, meter, span.kind, ms, stepMs, startMs, endMs);
      row = counterByMeter.get(scope.id, meter);
    }
    return this.#counter(row) as CounterRow;
  }

  #counterById(id: number): CounterRow | undefined {
    return this.#counters.get(id) ?? this.#counter(this.#statements.counterById.get(id));
  }

  /** One object for a row, however it was found. */
  #counter(row: object | undefined): CounterRow | undefined {
    if (row === undefined) return undefined;
    const saved = row as SavedCounter;
    const known = this.#counters.get(saved.id);
    if (known !== undefined) return known;
    const counter = new CounterRow(saved, this.#statements, () => this.#scopeById(saved.scope));
    this.#counters.set(saved.id, counter);
    return counter;
  }

  #scopeById(id: number): ScopeRow {
    return this.#scopesById.get(id) ?? (this.#scope(this.#statements.scopeById.get(id)) as ScopeRow);
  }

  countersOf(scope: ScopeRow): readonly CounterRow[] {
    return this.#statements.countersOf.all(scope.id).map((row) => this.#counter(row) as CounterRow);
  }

  find(name: string): HoldRow | undefined {
    return this.#holds.get(name) ?? this.#hold(name, this.#known(this.#statements.holdByName.get(name)));
  }

  /** Of what was asked to be kept, what is to be known still: who asks for it later has something new to count. */
  #known(row: object | undefined): object | undefined {
    if (row === undefined) return undefined;
    const { id, state, keep_ms, due_ms } = row as SavedHold;
    if (keep_ms === 0 || state === 'held' || due_ms > this.#time) return row;
    this.#statements.deleteHold.run(id);
    return undefined;
  }

  #hold(name: string, row: object | undefined): HoldRow | undefined {
    if (row === undefined) return undefined;
    const hold = new HoldRow(row as SavedHold, (id) => this.#counterById(id));
    this.#holds.set(name, hold);
    return hold;
  }

  extension(name: string): Extension | undefined {
    const row = this.#statements.extensionByName.get(name);
    if (row === undefined) return undefined;
    const { onto, first, requested } = row as { onto: string; first: number; requested: number };
    const hold = this.find(onto) as HoldRow;
    return { onto, hold, first, requested: hold.lines.slice(first, first + requested) };
  }

  add({ id, keepMs }: Reserve, granted: Granted, leaseEnd: number): void {
    const due = Math.min(Number.MAX_SAFE_INTEGER, leaseEnd);
    const text = textOf(placed(granted));
    for (const counter of granted.counters as CounterRow[]) this.#keep(counter, due);
    this.#statements.insertHold.run(id, 'held', granted.lines.length, text, keepMs ?? 0, due);
  }

  bury(name: string): void {
    this.#statements.insertHold.run(name, 'void', 0, '[]', 0, this.#time + VOID_MS);
  }

  extend({ id }: Reserve, hold: HoldRow, granted: Granted): void {
    const counters = hold.lines.map((_, i) => hold.counter(i) as CounterRow | undefined);
    for (const counter of [...counters, ...(granted.counters as CounterRow[])]) this.#keep(counter, hold.leaseEnd);
    if (granted.lines.length === 0) return;
    this.#statements.insertExtension.run(id, hold.id, hold.lines.length, granted.lines.length);
    hold.lines = [...hold.lines, ...placed(granted)];
  }

  /** A call that goes on uses its scopes, and they are there when it ends. */
  #keep(counter: CounterRow | undefined, leaseEnd: number): void {
    if (counter === undefined) return;
    const { scope } = counter;
    scope.now = Math.max(scope.now, this.#time);
    if (scope.dueMs !== null) scope.dueMs = Math.max(scope.dueMs, leaseEnd);
  }

  ended(_: string, hold: HoldRow): void {
    hold.dueMs = addUnits(this.#time, Math.max(hold.keepMs, ENDED_MS));
  }

  /** Open holds whose lease has ended, the oldest first. */
  endedLeases(limit: number): readonly (readonly [name: string, hold: HoldRow])[] {
    this.flush();
    const rows = this.#statements.endedLeases.all(this.#time, limit) as unknown as readonly { readonly name: string }[];
    return rows.map(({ name }) => [name, this.find(name) as HoldRow]);
  }

  /** Writes what has changed. */
  flush(): void {
    for (const scope of this.#scopes.values()) scope.save(this.#statements);
    for (const counter of this.#counters.values()) counter.save(this.#statements);
    for (const hold of this.#holds.values()) hold.save(this.#statements);
  }

  /**
   * Deletes what is over and need not be known any more, at most so many holds and so many scopes. The last operation of
   * a transaction, after `flush`.
   *
   * @returns whether that was all.
   */
  forget(holds: number, scopes: number): boolean {
    const { overHolds, deleteHold, dueScopes, putOffScope, deleteScope } = this.#statements;
    const over = overHolds.all(this.#time, holds) as unknown as readonly Pick<SavedHold, 'id'>[];
    for (const { id } of over) deleteHold.run(id);
    const due = dueScopes.all(this.#time, scopes) as unknown as readonly SavedScope[];
    for (const { id, shut, time_ms, forget_ms } of due) {
      const unused = addUnits(time_ms, forget_ms ?? 0);
      if (shut !== 0 || unused <= this.#time) deleteScope.run(id);
      // It was used since: it is looked at again when it may have been unused for so long.
      else putOffScope.run(unused, id);
    }
    return over.length < holds && due.length < scopes;
  }
}
