import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/internal/clock.ts';
import type { Span } from '../../src/internal/window.ts';
import { memoryStore } from '../../src/stores/memory.ts';
import { type SqliteStore, sqliteStore } from '../../src/stores/sqlite.ts';
import type { Decision, Line, Reserve, Settle, Store } from '../../src/stores/store.ts';
import { databasePaths } from '../helpers/sqlite-store.ts';

const newPath = databasePaths();
const SCOPES = ['a', 'b'];
const DAY_MS = 40;

const number = fc.nat({ max: 11 });
const lineOf = fc.record({
  scope: fc.constantFrom(...SCOPES),
  kind: fc.constantFrom<Span['kind'][]>('total', 'rolling', 'calendar'),
  amount: fc.oneof({ weight: 9, arbitrary: fc.nat({ max: 6 }) }, { weight: 1, arbitrary: fc.nat({ max: 14 }) }),
  book: fc.constantFrom<Line['book'][]>('reserve', 'settle'),
  cap: fc.constantFrom(14, 14, 10),
  /** How many calendar windows from the one of the moment. */
  off: fc.oneof({ weight: 20, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constantFrom(-1, 1) }),
  lost: fc.oneof({ weight: 30, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});
const reservation = fc.record({
  id: number,
  onto: fc.option(number, { nil: undefined, freq: 3 }),
  lines: fc.array(lineOf, { maxLength: 3, size: 'max' }),
  leaseMs: fc.constantFrom(0, 20, 60, 1_000, 1_000),
  force: fc.constantFrom(...Array<undefined>(9).fill(undefined), true as const),
});
const ending = fc.record({
  id: number,
  actual: fc.oneof(
    { weight: 6, arbitrary: fc.array(fc.nat({ max: 6 }), { minLength: 1, maxLength: 3 }) },
    { weight: 1, arbitrary: fc.constantFrom([14], [2 ** 53 - 1]) },
    { weight: 3, arbitrary: fc.constantFrom('void' as const, 'forfeit' as const) },
  ),
  /** One amount too many. */
  more: fc.oneof({ weight: 20, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});
const batch = { minLength: 1, maxLength: 2 };
const step = fc.oneof(
  { weight: 48, arbitrary: fc.record({ reserve: fc.array(reservation, batch) }) },
  { weight: 36, arbitrary: fc.record({ settle: fc.array(ending, batch) }) },
  { weight: 24, arbitrary: fc.record({ pass: fc.nat({ max: 45 }) }) },
  { weight: 4, arbitrary: fc.record({ pass: fc.integer({ min: -90, max: 90 }) }) },
  { weight: 5, arbitrary: fc.constant('sweep' as const) },
  { weight: 2, arbitrary: fc.constant('reopen' as const) },
  { weight: 3, arbitrary: fc.constantFrom('stop' as const, 'resume' as const, 'resume' as const) },
  { weight: 1, arbitrary: fc.constant('shut' as const) },
);

/** The SQLite store and the memory store, on one clock. */
class Pair {
  readonly path = newPath();
  wall = 100_000;
  readonly clock: Clock = { now: () => this.wall, wall: () => this.wall };
  readonly memory: Store = memoryStore({ clock: this.clock });
  sqlite: SqliteStore = sqliteStore(this.path, { clock: this.clock });
  /** The generation of each scope, which is another one in each store. */
  readonly tokens = new Map<Store, Readonly<Record<string, string>>>();
  /** How many lines each hold has. */
  readonly sizes = new Map<string, number>();
  shut = false;

  async open(): Promise<void> {
    for (const store of [this.memory, this.sqlite]) this.tokens.set(store, await store.open(SCOPES));
  }

  async reopen(): Promise<void> {
    await this.sqlite.close();
    const tokens = this.tokens.get(this.sqlite) ?? {};
    this.sqlite = sqliteStore(this.path, { clock: this.clock });
    this.tokens.set(this.sqlite, tokens);
  }

  /** Asks both; the answers must be the same. */
  async same<T>(ask: (store: Store) => T | Promise<T>, seen: (answer: T) => unknown = (answer) => answer): Promise<T> {
    const of = async (store: Store): Promise<T> => ask(store);
    const [expected, actual] = await Promise.allSettled([of(this.memory), of(this.sqlite)]);
    if (expected.status === 'rejected' || actual.status === 'rejected') {
      const names = [expected, actual].map((answer) => answer.status === 'rejected' && (answer.reason as Error).name);
      expect(names[1]).toBe(names[0]);
      return [] as T;
    }
    expect(seen(actual.value)).toEqual(seen(expected.value));
    return actual.value;
  }

  async run(what: typeof step extends fc.Arbitrary<infer T> ? T : never): Promise<void> {
    if (typeof what === 'object' && 'pass' in what) this.wall += what.pass;
    else if (what === 'reopen') await this.reopen();
    else if (what === 'stop' || what === 'resume') await this.same((store) => store[what]('a'));
    else if (what === 'shut') {
      this.shut = true;
      await this.same((store) => store.shut('b'));
    } else if (what === 'sweep') {
      // In which order is a store's own choice.
      await this.same(
        (store) => store.sweep(1_000),
        (swept) => swept.map(({ id }) => id).sort(),
      );
    } else if ('settle' in what) {
      const items = what.settle.map(({ id, actual, more }): Settle => {
        if (typeof actual === 'string') return { id: `r${id}`, actual };
        const amounts = Array.from({ length: this.sizes.get(`r${id}`) ?? 0 }, (_, i) => actual[i % actual.length] ?? 0);
        return { id: `r${id}`, actual: more ? [...amounts, 1] : amounts };
      });
      await this.same((store) => store.settle(items));
    } else {
      const asked = what.reserve.map(
        ({ id, onto, lines, leaseMs, force }) =>
          (store: Store): Reserve => ({
            id: `r${id}`,
            lines: lines.map((each) => this.line(store, each)),
            leaseMs,
            onto: onto === undefined ? undefined : `r${onto}`,
            force,
          }),
      );
      const decisions = await this.same(
        (store) => store.reserve(asked.map((item) => item(store))),
        (all) => all.map((decision, i) => this.seen(decision, what.reserve[i]?.lines ?? [])),
      );
      for (const [i, decision] of decisions.entries()) {
        const { id, onto, lines } = what.reserve[i] as (typeof what.reserve)[number];
        if (!decision.ok || decision.repeat !== undefined) continue;
        const hold = `r${onto ?? id}`;
        this.sizes.set(hold, (onto === undefined ? 0 : (this.sizes.get(hold) ?? 0)) + lines.length);
      }
    }
    await this.same((store) => store.read(SCOPES));
  }

  line(
    store: Store,
    { scope, kind, amount, book, cap, off, lost }: typeof lineOf extends fc.Arbitrary<infer T> ? T : never,
  ): Line {
    const startMs = (Math.floor(this.wall / DAY_MS) + off) * DAY_MS;
    const span = {
      total: { kind: 'total' } as const,
      rolling: { kind: 'rolling', ms: 50, stepMs: scope === 'a' ? 7 : 50 } as const,
      calendar: { kind: 'calendar', startMs, endMs: startMs + DAY_MS } as const,
    }[kind];
    const generation = lost ? 'lost' : (this.tokens.get(store)?.[scope] ?? '');
    return { scope, generation, meter: kind, span, cap, amount, book };
  }

  /** What a repeat has left in a scope that is shut, whose counters are gone, is a store's own choice. */
  seen(decision: Decision, lines: readonly { readonly scope: string }[]): unknown {
    if (!decision.ok || decision.repeat === undefined || !this.shut) return decision;
    return { ...decision, left: decision.left.map((units, i) => (lines[i]?.scope === 'b' ? 'shut' : units)) };
  }
}

describe('sqliteStore, compared with memoryStore', () => {
  it('answers the same, and counts the same after every operation', async () => {
    const law = fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 50, size: 'max' }), async (steps) => {
      const pair = new Pair();
      await pair.open();
      for (const each of steps) await pair.run(each);
      await pair.sqlite.close();
    });
    await fc.assert(law, { numRuns: 150 });
  });
});
