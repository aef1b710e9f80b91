import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import type { Line } from '../../src/stores/store.ts';
import { SqliteKit } from '../helpers/sqlite-store.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

const kit = new SqliteKit();
const { line, item, reserve, settle } = kit;

/** Time passes, and any call comes after it. */
async function pass(ms: number): Promise<void> {
  kit.clock.advance(ms);
  await kit.store.settle([]);
}

const rolling = (units: number): Line => {
  return line(units, { meter: 'rolling', span: { kind: 'rolling', ms: 60_000, stepMs: 1_000 }, book: 'reserve' });
};

describe('what the SQLite store forgets', () => {
  it.each([
    { name: 'settled', actual: [10, 5] },
    { name: 'forfeited', actual: 'forfeit' },
    { name: 'given back', actual: 'void' },
  ] as const)('is a hold 5 minutes after it was $name, with what was added to it', async ({ actual }) => {
    await reserve('r', 10);
    await reserve('x', 5, { onto: 'r' });
    await pass(3_600_000);
    expect(kit.counts()).toMatchObject({ hold: 1, extension: 1 });
    await settle('r', actual);
    await pass(5 * MINUTE_MS - 1);
    expect(kit.counts()).toMatchObject({ hold: 1, extension: 1 });
    const known = actual === 'void' ? { why: 'terminal' } : { ok: true, repeat: expect.any(String) };
    expect(await reserve('r', 10)).toMatchObject(known);
    await pass(250);
    expect(kit.counts()).toMatchObject({ hold: 0, extension: 0 });
    expect(await reserve('r', 10)).toMatchObject({ ok: true, repeat: undefined });
  });

  it.each([
    { keepMs: 1_000, known: 5 * MINUTE_MS },
    { keepMs: 600_000, known: 600_000 },
  ])('is a hold that was asked to be kept for $keepMs ms after $known ms', async ({ keepMs, known }) => {
    await reserve('r', 10, { keepMs });
    await pass(MINUTE_MS * 30);
    await settle('r', [10]);
    await pass(known - 1);
    expect(await reserve('r', 10)).toMatchObject({ ok: true, repeat: 'settled' });
    await pass(250);
    expect(await reserve('r', 10)).toMatchObject({ ok: true, repeat: undefined });
  });

  it('is a hold that was asked to be kept, also where the store is asked nothing else meanwhile', async () => {
    const keepMs = 600_000;
    await reserve('r', 10, { keepMs });
    await settle('r', [10]);
    kit.clock.advance(keepMs - 1);
    expect(await reserve('r', 10, { keepMs })).toMatchObject({ ok: true, repeat: 'settled' });
    kit.clock.advance(1);
    expect(await reserve('r', 10, { keepMs })).toMatchObject({ ok: true, repeat: undefined });
    expect(await reserve('r', 10, { keepMs })).toMatchObject({ ok: true, repeat: 'held' });
  });

  it('is the void of an id that was never reserved, after an hour', async () => {
    await settle('late', 'void');
    await pass(3_600_000 - 1);
    expect(await reserve('late', 10)).toMatchObject({ why: 'terminal' });
    await pass(250);
    expect(kit.counts()).toMatchObject({ hold: 0 });
    expect(await reserve('late', 10)).toMatchObject({ ok: true });
  });

  it('is no open hold, however long it is open', async () => {
    await reserve('r', 10, { leaseMs: Number.MAX_SAFE_INTEGER });
    await reserve('dead', 10);
    await pass(3_650 * DAY_MS);
    expect(kit.counts()).toMatchObject({ hold: 2 });
    expect(await kit.store.sweep(10)).toEqual([{ id: 'dead' }]);
    expect(await settle('r', [7])).toMatchObject({ state: 'settled', first: true });
    expect(await kit.usd()).toEqual({ used: 17, held: 0 });
  });

  it('is a step of a rolling window when the counter is used after it', async () => {
    for (let i = 0; i < 50; i++) {
      await reserve(`r${i}`, [rolling(1)]);
      kit.clock.advance(1_000);
    }
    expect(kit.counts()).toMatchObject({ step: 50 });
    kit.clock.advance(35_000);
    await reserve('last', [rolling(1)]);
    expect(kit.counts()).toMatchObject({ step: 26 });
    kit.clock.advance(61_001);
    await kit.store.read(['a']);
    expect(kit.counts()).toMatchObject({ step: 0, counter: 1 });
  });

  it('are the counters of a scope that is shut, at once, and the scope itself after a day', async () => {
    await reserve('r', [line(10), rolling(5)]);
    await kit.store.shut('a');
    expect(kit.counts()).toEqual({ scope: 1, counter: 0, step: 0, hold: 1, extension: 0 });
    expect(await settle('r', [10, 5])).toMatchObject({ state: 'settled', first: true });
    await pass(DAY_MS - 1);
    await kit.store.shut('a');
    await kit.store.open(['a']);
    expect(await reserve('r1', 1)).toMatchObject({ why: 'closed' });
    await pass(250);
    expect(kit.counts()).toEqual({ scope: 0, counter: 0, step: 0, hold: 0, extension: 0 });
    expect(await reserve('r1', 1)).toMatchObject({ why: 'state_lost' });
    expect((await kit.store.open(['a']))['a']).not.toBe(kit.generation);
  });

  it('is a temporary scope that was not used for 7 days, and no other', async () => {
    const names = ['read', 'reserved', 'refused', 'opened', 'settled', 'idle'];
    const generations = await kit.store.open(names, 'temporary');
    await kit.store.open(['kept'], 'kept');
    await kit.store.stop('stopped');
    const inScope = (scope: string): Line => line(5, { scope, generation: generations[scope] as string });
    for (const scope of names) await reserve(scope, [inScope(scope)]);
    await pass(7 * DAY_MS - 1);
    await kit.store.open(['opened']);
    await kit.store.read(['read']);
    expect(await reserve('r1', [inScope('reserved')])).toMatchObject({ ok: true });
    expect(await reserve('r2', [{ ...inScope('refused'), amount: 500 }])).toMatchObject({ ok: false });
    // Its end is not the use of a scope.
    await settle('settled', [5]);
    expect(kit.counts()).toMatchObject({ scope: 9 });

    await pass(250);
    for (const gone of ['settled', 'idle']) {
      expect(await reserve(`gone ${gone}`, [inScope(gone)])).toMatchObject({ why: 'state_lost' });
    }
    for (const used of ['read', 'reserved', 'refused', 'opened']) {
      expect(await reserve(`used ${used}`, [inScope(used)])).toMatchObject({ ok: true });
    }
    await pass(7 * DAY_MS);
    expect(kit.rows('SELECT name FROM leash_scope').map(({ name }) => name)).toEqual(['a', 'kept', 'stopped']);
    expect(kit.counts()).toMatchObject({ scope: 3, counter: 0 });
  });

  it('is a temporary scope after `forgetAfter`', async () => {
    await kit.reopen({ forgetAfter: '1h' });
    const generation = (await kit.store.open(['b'], 'temporary'))['b'] as string;
    await pass(3_600_000 - 1);
    expect(await reserve('r1', [line(1, { scope: 'b', generation })])).toMatchObject({ ok: true });
    await pass(3_600_000 - 1);
    expect(kit.counts()).toMatchObject({ scope: 2 });
    await pass(250);
    expect(kit.counts()).toMatchObject({ scope: 1 });
  });

  it('is no scope that is kept, whoever opens it later', async () => {
    await kit.store.open(['a'], 'kept');
    await kit.store.open(['a'], 'temporary');
    await pass(20 * DAY_MS);
    await pass(20 * DAY_MS);
    expect(await reserve('r', 1)).toMatchObject({ ok: true });
  });

  it('is not that a temporary scope is shut, also where it was opened at the same moment', async () => {
    // For as long as it is known that it is shut.
    const short = kit.open({ forgetAfter: '1d' });
    const generation = (await short.open(['b'], 'temporary'))['b'] as string;
    await short.shut('b');
    const closed = [line(1, { scope: 'b', generation })];
    expect(await reserve('r1', closed)).toMatchObject({ why: 'closed' });
    await pass(DAY_MS - 1);
    // Opening it does not put its end off.
    await kit.store.open(['b'], 'temporary');
    expect(await reserve('r2', closed)).toMatchObject({ why: 'closed' });
    await pass(250);
    expect(await reserve('r3', closed)).toMatchObject({ why: 'state_lost' });
  });

  it.each(['shorter first', 'longer first'])(
    'is a temporary scope after the longest `forgetAfter` of the stores that opened it, the %s',
    async (order) => {
      const short = kit.open({ forgetAfter: '1h' });
      const stores = order === 'shorter first' ? [short, kit.store] : [kit.store, short];
      for (const store of stores) await store.open(['both'], 'temporary');
      await short.open(['short'], 'temporary');
      const passes = async (ms: number): Promise<void> => {
        kit.clock.advance(ms);
        // The shorter looks first.
        for (const store of [short, kit.store]) await store.settle([]);
      };
      const known = async (): Promise<string[]> => Object.keys(await kit.store.read(['both', 'short']));
      await passes(3_600_000 - 1);
      expect(kit.counts()).toMatchObject({ scope: 3 });
      await passes(250);
      expect(await known()).toEqual(['both']);
      await passes(7 * DAY_MS - 1);
      expect(await known()).toEqual(['both']);
      await passes(7 * DAY_MS);
      await passes(250);
      expect(await known()).toEqual([]);
    },
  );

  it('is no temporary scope that a call is in: while its lease is renewed, or until it has ended', async () => {
    await kit.reopen({ forgetAfter: '1h' });
    const generations = await kit.store.open(['renewed', 'counted', 'long'], 'temporary');
    const inScope = (scope: string): Line => line(5, { scope, generation: generations[scope] as string });
    await reserve('renewed', [inScope('renewed')], { leaseMs: 1_800_000 });
    await reserve('counted', [{ ...inScope('counted'), book: 'reserve' }], { leaseMs: 1_800_000 });
    await reserve('long', [inScope('long')], { leaseMs: DAY_MS });
    for (let i = 0; i < 10; i++) {
      await pass(1_200_000);
      for (const onto of ['renewed', 'counted']) await reserve(`${onto} ${i}`, [], { onto, leaseMs: 1_800_000 });
    }
    for (const scope of ['renewed', 'counted', 'long']) {
      expect(await reserve(`in ${scope}`, [inScope(scope)])).toMatchObject({ ok: true, left: [90] });
    }
    await pass(DAY_MS);
    expect(await kit.store.sweep(10)).toHaveLength(6);
    await pass(3_600_000);
    await pass(250);
    expect(kit.counts()).toMatchObject({ scope: 1, counter: 0 });
  });

  it('is nothing where `forgetAfter` is as long as can be', async () => {
    await kit.reopen({ forgetAfter: Number.MAX_SAFE_INTEGER });
    const generations = await kit.store.open(['b'], 'temporary');
    await pass(1000 * DAY_MS);
    expect(await kit.store.open(['b'])).toEqual(generations);
  });

  it('does not count in a scope of the same name that comes after it', async () => {
    const open = async (): Promise<string> => (await kit.store.open(['b'], 'temporary'))['b'] as string;
    const [first, span] = [await open(), { kind: 'rolling', ms: 60_000, stepMs: 1_000 }] as const;
    const in_b = (generation: string, amount: number): Line[] => [
      line(amount, { scope: 'b', generation }),
      line(amount, { scope: 'b', generation, meter: 'calls', span, book: 'reserve' }),
    ];
    const forever = { leaseMs: Number.MAX_SAFE_INTEGER };
    for (const id of ['r1', 'r2', 'r3']) await reserve(id, in_b(first, 10), forever);
    // Nothing is forgotten that an open call counts on, but a file may come from anywhere.
    const database = new DatabaseSync(kit.path);
    database.exec("PRAGMA foreign_keys = ON; DELETE FROM leash_scope WHERE name = 'b'");
    database.close();
    const second = await open();
    expect(second).not.toBe(first);
    await reserve('r4', in_b(second, 20), forever);
    expect(await settle('r1', [15, 10])).toEqual({ state: 'settled', first: true, overrun: [5, 0] });
    expect(await settle('r2', 'void')).toMatchObject({ state: 'void', first: true });
    expect(await settle('r3', 'forfeit')).toMatchObject({ state: 'forfeited', first: true });
    expect(await settle('r3', [15, 10])).toMatchObject({ state: 'forfeited', overrun: [5, 0] });
    expect(await kit.store.read(['b'])).toEqual({ b: { usd: { used: 0, held: 20 }, calls: { used: 20, held: 0 } } });
  });

  it('goes a few at a time with each call, until nothing is left', async () => {
    const scopes = Array.from({ length: 300 }, (_, i) => `session ${i}`);
    const generations = await kit.store.open(scopes, 'temporary');
    for (const [i, scope] of scopes.entries()) {
      const at = { scope, generation: generations[scope] as string };
      await reserve(`r${i}`, [line(5, at), { ...rolling(1), ...at }]);
      await reserve(`x${i}`, [line(1, at)], { onto: `r${i}` });
    }
    expect(kit.counts()).toEqual({ scope: 301, counter: 600, step: 300, hold: 300, extension: 300 });
    kit.clock.advance(7 * DAY_MS + 1_000);
    expect(await kit.store.sweep(1_000)).toHaveLength(300);
    let left = kit.counts() as { readonly scope: number; readonly hold: number };
    kit.clock.advance(5 * MINUTE_MS);
    for (let i = 0; i < 30; i++) {
      await kit.store.settle([]);
      const now = kit.counts() as typeof left;
      expect(left.scope - now.scope).toBeLessThanOrEqual(16);
      expect(left.hold - now.hold).toBeLessThanOrEqual(128);
      left = now;
    }
    expect(left).toEqual({ scope: 1, counter: 0, step: 0, hold: 0, extension: 0 });
  });

  it('goes with the next call too where holds alone are left', async () => {
    const ids = Array.from({ length: 200 }, (_, i) => `r${i}`);
    await kit.store.reserve(ids.map((id) => item(id, 0)));
    await kit.store.settle(ids.map((id) => ({ id, actual: [0] })));
    await pass(5 * MINUTE_MS);
    expect(kit.counts()).toMatchObject({ hold: 72 });
    await kit.store.settle([]);
    expect(kit.counts()).toMatchObject({ hold: 0 });
  });

  it('is not kept by what is used and was made before it', async () => {
    const used = Array.from({ length: 40 }, (_, i) => `used ${i}`);
    await kit.store.open(used, 'temporary');
    kit.clock.advance(DAY_MS);
    await kit.store.open(['idle'], 'temporary');
    for (let day = 0; day < 8; day++) {
      kit.clock.advance(DAY_MS);
      await kit.store.read(used);
    }
    for (let i = 0; i < 5; i++) await kit.store.settle([]);
    expect(Object.keys(await kit.store.read(['idle', ...used]))).toEqual(used);
  });

  it('goes on when the clock was set back', async () => {
    await settle('late', 'void');
    await pass(1_000 * DAY_MS);
    kit.clock.advance(-1_000 * DAY_MS);
    await settle('later', 'void');
    await pass(3_600_001);
    expect(kit.counts()).toMatchObject({ hold: 0 });
  });
});

describe('holds of dead processes', () => {
  it('are forfeited, a few at a time, where a scope is made', async () => {
    await kit.store.reserve(Array.from({ length: 40 }, (_, i) => item(`r${i}`, 1)));
    kit.clock.advance(MINUTE_MS - 1);
    await kit.store.open(['b']);
    expect(await kit.usd()).toEqual({ used: 0, held: 40 });
    kit.clock.advance(1);
    await kit.store.open(['a', 'b']);
    expect(await kit.usd()).toEqual({ used: 0, held: 40 });
    await kit.store.open(['c']);
    expect(await kit.usd()).toEqual({ used: 16, held: 24 });
    await kit.store.open(['d']);
    await kit.store.open(['e'], 'temporary');
    expect(await kit.usd()).toEqual({ used: 40, held: 0 });
  });

  it('are forfeited in the order in which their leases ended', async () => {
    for (const [id, leaseMs] of [
      ['r1', 3_000],
      ['r2', 1_000],
      ['r3', 2_000],
      ['r4', 9_000],
    ] as const) {
      await reserve(id, 1, { leaseMs });
    }
    await reserve('renewal', [], { onto: 'r2', leaseMs: 2_500 });
    kit.clock.advance(5_000);
    expect(await kit.store.sweep(2)).toEqual([{ id: 'r3' }, { id: 'r2' }]);
    expect(await kit.store.sweep(2)).toEqual([{ id: 'r1' }]);
  });
});
