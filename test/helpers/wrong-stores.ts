import type { Clock } from '../../src/internal/clock.ts';
import { memoryStore } from '../../src/stores/memory.ts';
import type { Decision, Line, Reserve, Settle, Settled, Store } from '../../src/stores/store.ts';
import { storeWith } from './store-around.ts';

/** Stores that are wrong in one way each, as stores have been wrong. What compares stores has to notice every one. */
export interface WrongStore {
  readonly name: string;
  readonly make: (clock: Clock) => Store;
}

/** The memory store answers at once. */
type Now<T> = {
  readonly [Key in keyof T]: T[Key] extends (...args: infer A) => infer R ? (...args: A) => Awaited<R> : never;
};
type NowStore = Now<Store>;

const MAX = Number.MAX_SAFE_INTEGER;

function wrong(name: string, change: (store: NowStore, clock: Clock) => Partial<Store>): WrongStore {
  return {
    name,
    make: (clock) => {
      const store = memoryStore({ clock }) as NowStore;
      return storeWith(change(store, clock), store);
    },
  };
}

/** Every line of every reservation is another. */
function wrongLines(name: string, change: (line: Line) => Line): WrongStore {
  return wrong(name, (store) => ({
    reserve: (batch) => store.reserve(batch.map((item) => ({ ...item, lines: item.lines.map(change) }))),
  }));
}

/** Every reservation is another. */
function wrongItems(name: string, change: (item: Reserve) => Reserve): WrongStore {
  return wrong(name, (store) => ({ reserve: (batch) => store.reserve(batch.map(change)) }));
}

/** Every amount at settling is another. */
function wrongActual(name: string, change: (units: number) => number): WrongStore {
  const changed = ({ id, actual }: Settle): Settle => ({
    id,
    actual: typeof actual === 'string' ? actual : actual.map(change),
  });
  return wrong(name, (store) => ({ settle: (batch) => store.settle(batch.map(changed)) }));
}

/** Something happens, or is said, after a decision. */
function wrongDecision(
  name: string,
  change: (decision: Decision, item: Reserve, store: NowStore) => Decision,
): WrongStore {
  return wrong(name, (store) => ({
    reserve: (batch) => store.reserve(batch).map((decision, i) => change(decision, batch[i] as Reserve, store)),
  }));
}

/** With the holds that were granted, and their leases. */
function wrongWithHolds(
  name: string,
  change: (
    store: NowStore,
    holds: Map<string, { lines: Line[]; leaseEnd: number; state: string }>,
    clock: Clock,
  ) => Partial<Store>,
): WrongStore {
  return wrong(name, (store, clock) => {
    const holds = new Map<string, { lines: Line[]; leaseEnd: number; state: string }>();
    const own = storeWith(
      {
        reserve: (batch) =>
          batch.map((item) => {
            const [decision] = store.reserve([item]) as [Decision];
            if (!decision.ok || decision.repeat !== undefined) return decision;
            const leaseEnd = clock.now() + item.leaseMs;
            const hold = holds.get(item.onto ?? '');
            if (hold === undefined) holds.set(item.id, { lines: [...item.lines], leaseEnd, state: 'held' });
            else {
              hold.lines.push(...item.lines);
              hold.leaseEnd = Math.max(hold.leaseEnd, leaseEnd);
            }
            return decision;
          }),
        settle: (batch) =>
          store.settle(batch).map((settled, i) => {
            const hold = holds.get((batch[i] as Settle).id);
            if (hold !== undefined) hold.state = settled.state;
            return settled;
          }),
        sweep: (limit) => {
          const forfeited = store.sweep(limit);
          for (const { id } of forfeited) (holds.get(id) as { state: string }).state = 'forfeited';
          return forfeited;
        },
      },
      store,
    ) as NowStore;
    return { ...own, ...change(own, holds, clock) };
  });
}

const anew = (item: Reserve): Reserve => ({ ...item, id: crypto.randomUUID() });

export const wrongStores: readonly WrongStore[] = [
  wrongActual('books a unit too much', (units) => Math.min(MAX, units + 1)),
  wrongActual('books a unit too little', (units) => Math.max(0, units - 1)),
  wrongActual('counts with fifteen digits, as Lua writes numbers', (units) =>
    Math.min(MAX, Number(units.toPrecision(14))),
  ),
  wrongLines('holds with fifteen digits, as Lua writes numbers', (line) => ({
    ...line,
    amount: Math.min(MAX, Number(line.amount.toPrecision(14))),
  })),
  wrong('counts a void as spent', (store) => ({
    settle: (batch) =>
      store
        .settle(batch.map(({ id, actual }) => ({ id, actual: actual === 'void' ? 'forfeit' : actual })))
        .map((settled, i) =>
          batch[i]?.actual === 'void' && settled.first && settled.state === 'forfeited'
            ? { ...settled, state: 'void' }
            : settled,
        ),
  })),
  wrong('gives back what is forfeited', (store) => ({
    settle: (batch) =>
      store.settle(batch.map(({ id, actual }) => ({ id, actual: actual === 'forfeit' ? 'void' : actual }))),
  })),
  wrong('forgets a stop', (store) => ({ stop: (scope) => void store.open([scope]) })),
  wrong('forgets a stop before the scope is opened', (store) => ({
    stop: (scope) => (scope in store.read([scope]) ? store.stop(scope) : undefined),
  })),
  wrong('never resumes', () => ({ resume: () => undefined })),
  wrong('does not shut', () => ({ shut: () => undefined })),
  wrong('shuts what is stopped', (store) => ({ stop: (scope) => store.shut(scope) })),
  wrongItems('does not force', ({ force: _, ...item }) => item),
  wrongItems('forces everything', (item) => ({ ...item, force: true })),
  wrongLines('has the cap a unit too high', (line) => ({ ...line, cap: Math.min(MAX, line.cap + 1) })),
  wrongLines('has the cap a unit too low', (line) => ({ ...line, cap: Math.max(0, line.cap - 1) })),
  wrongLines('has a rolling window that is a millisecond too short', (line) =>
    line.span.kind === 'rolling' ? { ...line, span: { ...line.span, ms: line.span.ms - 1 } } : line,
  ),
  wrongLines('lets a rolling window go all at once', (line) =>
    line.span.kind === 'rolling' ? { ...line, span: { ...line.span, stepMs: line.span.ms } } : line,
  ),
  wrongLines('has a calendar window that never ends', (line) =>
    line.span.kind === 'calendar' ? { ...line, span: { ...line.span, endMs: MAX } } : line,
  ),
  wrongLines('has one calendar window for ever', (line) =>
    line.span.kind === 'calendar' ? { ...line, span: { kind: 'total' } } : line,
  ),
  wrongLines('has no calendar window before its middle', (line) =>
    line.span.kind === 'calendar' ? { ...line, span: { ...line.span, startMs: line.span.startMs + 20 } } : line,
  ),
  wrongLines('books when it is settled what is to be booked at once', (line) => ({ ...line, book: 'settle' })),
  wrongLines('books at once what is to be booked when it is settled', (line) => ({ ...line, book: 'reserve' })),
  {
    name: 'has a clock that is a millisecond behind',
    make: (clock) => memoryStore({ clock: { now: () => clock.now() - 1, wall: () => clock.wall() - 1 } }),
  },
  wrong('takes lost state for nothing spent', (store) => ({
    reserve: (batch) => {
      const scopes = [...new Set(batch.flatMap(({ lines }) => lines.map(({ scope }) => scope)))];
      const generations = store.open(scopes);
      const found = (line: Line): Line => ({ ...line, generation: generations[line.scope] as string });
      return store.reserve(batch.map((item) => ({ ...item, lines: item.lines.map(found) })));
    },
  })),
  wrongDecision('books a repeat again', (decision, item, store) => {
    if (decision.ok && decision.repeat === 'held' && item.lines.length > 0) store.reserve([anew(item)]);
    return decision;
  }),
  wrongDecision('keeps the lines before the one that does not fit', (decision, item, store) => {
    if (!decision.ok && decision.line > 0)
      store.reserve([anew({ ...item, lines: item.lines.slice(0, decision.line), onto: undefined })]);
    return decision;
  }),
  wrongDecision('has no conflicts', (decision, { lines }) =>
    !decision.ok && decision.why === 'conflict'
      ? { ok: true, repeat: 'held', left: lines.map(({ cap }) => cap) }
      : decision,
  ),
  wrongDecision('tells a unit too much of what is left', (decision) =>
    decision.ok ? { ...decision, left: decision.left.map((units) => units + 1) } : decision,
  ),
  wrongDecision('tells a wait that is a millisecond short', (decision) =>
    'retryMs' in decision && decision.retryMs !== undefined ? { ...decision, retryMs: decision.retryMs - 1 } : decision,
  ),
  wrongDecision('tells a wait that does not help', (decision) =>
    'left' in decision && !decision.ok && decision.retryMs === undefined ? { ...decision, retryMs: 1 } : decision,
  ),
  wrongDecision('does not tell what is used up from what is in the way', (decision) =>
    !decision.ok && decision.why === 'in_flight' ? { ...decision, why: 'exhausted' } : decision,
  ),
  wrongDecision('names the first line, whichever it was', (decision) =>
    !decision.ok && decision.line > 0 ? { ...decision, line: 0 } : decision,
  ),
  wrongItems('makes a hold of its own of what is added to one', (item) =>
    item.lines.length > 0 ? { ...item, onto: undefined } : item,
  ),
  wrongItems('adds to a hold and leaves its lease', (item) =>
    item.onto === undefined ? item : { ...item, leaseMs: 0 },
  ),
  wrong('applies a batch up to the item that is none', (store) => ({
    settle: (batch) => batch.map((item) => store.settle([item])[0] as Settled),
  })),
  wrong('decides a batch backwards', (store) => ({
    reserve: (batch) => store.reserve(batch.toReversed()).toReversed(),
  })),
  wrong('sweeps one more than it was asked', (store) => ({ sweep: (limit) => store.sweep(limit + 1) })),
  wrong('sweeps at the end of the world', () => ({ sweep: () => [] })),
  wrongWithHolds('sweeps what has not ended', (store, holds) => ({
    sweep: (limit) => {
      const open = [...holds].filter(([, { state }]) => state === 'held').slice(0, limit);
      return open.map(([id]) => {
        store.settle([{ id, actual: 'forfeit' }]);
        return { id };
      });
    },
  })),
  wrongWithHolds('gives back what it sweeps', (store, holds, clock) => ({
    sweep: (limit) => {
      const ended = [...holds]
        .filter(([, { state, leaseEnd }]) => state === 'held' && leaseEnd <= clock.now())
        .slice(0, limit);
      return ended.map(([id, hold]) => {
        store.settle([{ id, actual: 'void' }]);
        hold.state = 'forfeited';
        return { id };
      });
    },
  })),
  wrongWithHolds('has forgotten what came before it was asked for', (store, holds) => ({
    settle: (batch) =>
      batch.map((item) =>
        holds.has(item.id) ? (store.settle([item])[0] as Settled) : { state: 'unknown', first: true, overrun: [] },
      ),
  })),
  wrongWithHolds('clamps an overrun', (store, holds) => ({
    settle: (batch) =>
      store.settle(
        batch.map(({ id, actual }) => {
          const lines = holds.get(id)?.lines ?? [];
          if (typeof actual === 'string' || actual.length !== lines.length) return { id, actual };
          return { id, actual: actual.map((units, i) => Math.min(units, lines[i]?.amount ?? units)) };
        }),
      ),
  })),
  wrongWithHolds('does not book the truth after a forfeit', (store, holds) => ({
    settle: (batch) =>
      store.settle(
        batch.map(({ id, actual }) => {
          const hold = holds.get(id);
          const late = hold?.state === 'forfeited' && actual.length === hold.lines.length;
          return { id, actual: late ? 'forfeit' : actual };
        }),
      ),
  })),
  wrongWithHolds('lets the last settle win', (store, holds) => ({
    settle: (batch) =>
      store.settle(batch).map((settled, i) => {
        const { id, actual } = batch[i] as Settle;
        const lines = holds.get(id)?.lines ?? [];
        if (settled.first || settled.state !== 'settled' || typeof actual === 'string') return settled;
        const [again] = store.reserve([{ id: `${id} again`, lines, leaseMs: 1_000, force: true }]);
        if (again?.ok) store.settle([{ id: `${id} again`, actual }]);
        return settled;
      }),
  })),
];
