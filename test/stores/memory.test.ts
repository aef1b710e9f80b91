import { beforeEach, describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/internal/clock.ts';
import type { Span } from '../../src/internal/window.ts';
import { memoryStore } from '../../src/stores/memory.ts';
import type { Decision, Line, Reserve, Store } from '../../src/stores/store.ts';
import { FakeClock } from '../helpers/clock.ts';
import { storeThrough } from '../helpers/store-around.ts';
import { storeContract } from '../helpers/store-contract.ts';

storeContract('memoryStore', (clock) => memoryStore({ clock }), {
  clock: true,
  lose: (_, clock) => memoryStore({ clock }),
});
// The suite itself, as a store meets it that answers later, throws later and has a clock of its own.
storeContract('memoryStore behind promises', () => answeringLater(memoryStore()), { dispose: async () => undefined });

function answeringLater(store: Store): Store {
  return storeThrough(async (_, action) => {
    await new Promise(setImmediate);
    const answer = await action();
    await new Promise(setImmediate);
    return answer;
  }, store);
}

/** The memory store answers at once. */
type SyncStore = {
  [Method in keyof Store]: (...args: Parameters<Store[Method]>) => Awaited<ReturnType<Store[Method]>>;
};

function syncStore(clock?: Clock): SyncStore {
  return memoryStore(clock === undefined ? {} : { clock }) as SyncStore;
}

function generationOf(store: SyncStore, scope: string): string {
  return store.open([scope])[scope] as string;
}

describe('memoryStore', () => {
  let clock: FakeClock;
  let store: SyncStore;
  let generation: string;

  beforeEach(() => {
    clock = new FakeClock();
    store = syncStore(clock);
    generation = generationOf(store, 'a');
  });

  function item(id: string, amount: number, more: Partial<Line & Reserve> = {}): Reserve {
    const { leaseMs = 60_000, keepMs, onto, ...line } = more;
    const lines: Line[] = [
      { scope: 'a', generation, meter: id, span: { kind: 'total' }, cap: 100, amount, book: 'settle', ...line },
    ];
    return { id, lines, leaseMs, keepMs, onto };
  }
  function reserve(...args: Parameters<typeof item>): Decision {
    return store.reserve([item(...args)])[0] as Decision;
  }

  it('answers at once', () => {
    expect(store.reserve([item('sync', 1)])).toEqual([{ ok: true, repeat: undefined, left: [99] }]);
    expect(store.settle([{ id: 'sync', actual: [1] }])).toEqual([{ state: 'settled', first: true, overrun: [] }]);
    expect(store.read(['a'])).toMatchObject({ a: { sync: { used: 1, held: 0 } } });
    expect(store.sweep(1)).toEqual([]);
    expect(store.shut('never opened')).toBeUndefined();
  });

  it.each([
    { name: 'an unknown key', options: { clok: systemClock }, message: 'unknown option `clok`' },
    { name: 'null', options: null, message: 'memoryStore expects an options object, got null' },
  ])('refuses $name as options', ({ options, message }) => {
    expect(() => memoryStore(options as never)).toThrow(TypeError);
    expect(() => memoryStore(options as never)).toThrow(message);
  });

  it('runs on the machine’s clock by default', () => {
    const own = syncStore();
    const token = generationOf(own, 's');
    const stale: Span = { kind: 'calendar', startMs: 0, endMs: 1 };
    const [decision] = own.reserve([item('r', 1, { scope: 's', generation: token, span: stale })]);
    expect(decision).toMatchObject({ ok: false, why: 'stale', nowMs: expect.any(Number) });
    expect(Math.abs((decision as { nowMs: number }).nowMs - Date.now())).toBeLessThan(60_000);
  });

  it('goes by the monotonic clock in a rolling window, whatever is done to the clock on the wall', () => {
    const span: Span = { kind: 'rolling', ms: 60_000, stepMs: 1_000 };
    const ask = (id: string): Decision => reserve(id, 60, { meter: 'rolling', span, book: 'reserve' });
    const { now, wall } = { now: clock.now(), wall: clock.wall() };
    expect(ask('r1')).toMatchObject({ ok: true });
    for (const there of [wall - 1e9, wall + 1e9]) {
      clock.jump(now + 59_999, there);
      expect(ask('r2')).toMatchObject({ ok: false, why: 'exhausted' });
    }
    clock.jump(now + 61_000, wall);
    expect(ask('r3')).toMatchObject({ ok: true });
  });

  it('gives no two scopes and no two stores the same generation', () => {
    const again = syncStore(clock);
    const all = [store, again].flatMap((each) => [generationOf(each, 'a'), generationOf(each, 'b')]);
    expect(new Set(all).size).toBe(4);
  });

  describe('retryMs', () => {
    const spans: readonly { name: string; span: Span; atMs: number; expected: number }[] = [
      // Steps begin at multiples of stepMs on the clock: 20_000 is in the step that ends at 20_007.
      { name: 'rolling', span: { kind: 'rolling', ms: 1_000, stepMs: 7 }, atMs: 20_000, expected: 1_006 },
      {
        name: 'rolling, at the start of a step',
        span: { kind: 'rolling', ms: 1_000, stepMs: 10 },
        atMs: 20_000,
        expected: 1_010,
      },
      {
        name: 'rolling, at the end of a step',
        span: { kind: 'rolling', ms: 1_000, stepMs: 10 },
        atMs: 20_009,
        expected: 1_001,
      },
      {
        name: 'rolling, between milliseconds',
        span: { kind: 'rolling', ms: 1_000, stepMs: 10 },
        atMs: 20_009.5,
        expected: 1_001,
      },
      { name: 'calendar', span: { kind: 'calendar', startMs: 5_000, endMs: 9_000 }, atMs: 20_000, expected: 2_000 },
      {
        name: 'calendar, in its last millisecond',
        span: { kind: 'calendar', startMs: 5_000, endMs: 7_001 },
        atMs: 20_000,
        expected: 1,
      },
    ];
    it.each(spans)('is the shortest wait in whole milliseconds: $name', ({ name, span, atMs, expected }) => {
      const now = new FakeClock(atMs, 7_000);
      const fresh = syncStore(now);
      const token = generationOf(fresh, 'a');
      const ask = (id: string, amount: number, when: Span = span): Decision => {
        const asked = item(id, amount, { meter: name, generation: token, span: when, book: 'reserve' });
        return fresh.reserve([asked])[0] as Decision;
      };
      expect(ask('r1', 100)).toMatchObject({ ok: true });
      expect(ask('r2', 1)).toEqual({ ok: false, why: 'exhausted', line: 0, left: 0, retryMs: expected });
      now.advance(expected - 1);
      expect(ask('r2', 1)).toMatchObject({ ok: false, why: 'exhausted', retryMs: 1 });
      now.advance(1);
      const next: Span = span.kind === 'calendar' ? { ...span, startMs: span.endMs, endMs: 99_000 } : span;
      expect(ask('r2', 1, next)).toMatchObject({ ok: true, left: [99] });
    });
    it('waits for as many steps as it takes, and no more', () => {
      const span: Span = { kind: 'rolling', ms: 1_000, stepMs: 10 };
      clock.jump(40_000);
      for (const id of ['w1', 'w2', 'w3']) {
        expect(reserve(id, 30, { meter: 'wait', span, book: 'reserve' })).toMatchObject({ ok: true });
        clock.advance(100);
      }
      const waits = [11, 40, 41, 70, 71, 100].map((amount) => reserve('w4', amount, { meter: 'wait', span }));
      const retries = waits.map((decision) => 'retryMs' in decision && decision.retryMs);
      expect(retries).toEqual([710, 710, 810, 810, 910, 910]);
    });
  });

  describe('what it remembers', () => {
    /** Ends as many holds as push every other end out of memory. */
    function endMany(prefix: string, many = 4_096): void {
      const ids = Array.from({ length: many }, (_, i) => `${prefix}${i}`);
      store.reserve(ids.map((id) => item(id, 0, { meter: 'many' })));
      store.settle(ids.map((id) => ({ id, actual: [0] })));
    }
    it('is the last 500 ends, and not all of them', () => {
      reserve('first', 10);
      store.settle([{ id: 'first', actual: [10] }]);
      store.settle([{ id: 'unknown', actual: 'void' }]);
      endMany('p', 500);
      expect(reserve('first', 10)).toMatchObject({ ok: true, repeat: 'settled' });
      expect(reserve('unknown', 10)).toMatchObject({ ok: false, why: 'terminal' });
      endMany('o');
      expect(reserve('first', 10)).toMatchObject({ ok: true, repeat: undefined });
      expect(reserve('unknown', 10)).toMatchObject({ ok: true, repeat: undefined });
    });
    it('is what is held, however much else ended', () => {
      reserve('open', 10);
      reserve('more', 5, { onto: 'open' });
      endMany('q');
      expect(reserve('open', 10)).toMatchObject({ ok: true, repeat: 'held' });
      expect(reserve('more', 5, { onto: 'open' })).toMatchObject({ ok: true, repeat: 'held' });
      expect(store.settle([{ id: 'open', actual: [10, 5] }])).toMatchObject([{ state: 'settled', first: true }]);
      endMany('r');
      expect(reserve('more', 5, { onto: 'open' })).toMatchObject({ ok: false, why: 'terminal' });
    });
    it('is an end for keepMs, and then no longer', () => {
      reserve('kept', 10, { keepMs: 5_000 });
      reserve('beside', 5, { onto: 'kept' });
      store.settle([{ id: 'kept', actual: [10, 5] }]);
      endMany('s');
      clock.advance(4_999);
      store.sweep(0);
      expect(reserve('kept', 10)).toMatchObject({ ok: true, repeat: 'settled' });
      expect(reserve('beside', 5, { onto: 'kept' })).toMatchObject({ ok: true, repeat: 'settled' });
      clock.advance(1);
      store.sweep(0);
      expect(reserve('beside', 5)).toMatchObject({ ok: true, repeat: undefined });
      expect(reserve('kept', 10)).toMatchObject({ ok: true, repeat: undefined, left: [80] });
    });
    it('is an end for keepMs, and no longer where nobody sweeps', () => {
      reserve('kept', 10, { keepMs: 5_000 });
      store.settle([{ id: 'kept', actual: [10] }]);
      endMany('u');
      clock.advance(4_999);
      expect(reserve('kept', 10)).toMatchObject({ ok: true, repeat: 'settled' });
      clock.advance(1);
      expect(reserve('kept', 10)).toMatchObject({ ok: true, repeat: undefined });
      store.settle([{ id: 'kept', actual: [10] }]);
      expect(reserve('kept', 10)).toMatchObject({ ok: true, repeat: 'settled', left: [80] });
    });
    it('is the last 500 ends, however many holds are open', () => {
      store.reserve(Array.from({ length: 2_000 }, (_, i) => item(`open ${i}`, 0, { meter: 'many' })));
      reserve('first', 10);
      store.settle([{ id: 'first', actual: [10] }]);
      endMany('w', 500);
      expect(reserve('first', 10)).toMatchObject({ ok: true, repeat: 'settled' });
    });
    it('is nothing that a shut scope has counted', () => {
      reserve('open', 10);
      store.shut('a');
      expect(store.read(['a'])).toEqual({ a: {} });
    });
    it('is the last 4096 shut scopes, and never the generation of one before', () => {
      const scopes = Array.from({ length: 4_098 }, (_, i) => `scope ${i}`);
      const tokens = store.open(scopes);
      for (const scope of scopes) store.shut(scope);
      const ask = (scope: string): Decision => reserve('x', 1, { scope, generation: tokens[scope] as string });
      expect(ask('scope 2')).toMatchObject({ ok: false, why: 'closed' });
      for (const scope of ['scope 0', 'scope 1']) expect(ask(scope)).toMatchObject({ ok: false, why: 'state_lost' });
      expect(generationOf(store, 'scope 0')).not.toBe(tokens['scope 0']);
      expect(ask('scope 0')).toMatchObject({ ok: false, why: 'state_lost' });
    });
  });
});
