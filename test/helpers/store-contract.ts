import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../src/internal/clock.ts';
import type { MaybePromise } from '../../src/internal/maybe-promise.ts';
import type { Span } from '../../src/internal/window.ts';
import type { Decision, Line, Reserve, Settle, Settled, Store, Units } from '../../src/stores/store.ts';
import { FakeClock } from './clock.ts';

export interface StoreHooks {
  /** Set where the store takes its time from the clock that `make` gets. Without it tests that move time are skipped. */
  readonly clock?: true;
  /** Makes the store forget everything, as a flushed database or a restart does; answers the store to go on with. */
  readonly lose?: (store: Store, clock: Clock) => MaybePromise<Store>;
  /** How often a property is tried. Default 150; each try is up to 150 calls, one after the other. */
  readonly runs?: number;
  /** Runs after each test. */
  readonly dispose?: (store: Store) => MaybePromise<void>;
}

/**
 * What every store must do, seen through `Store` alone.
 *
 * @param make gives an empty store for each test.
 */
export function storeContract(name: string, make: (clock: Clock) => MaybePromise<Store>, hooks: StoreHooks = {}): void {
  describe(`${name} as a Store`, () => {
    const kit = new Kit(hooks);
    beforeEach(async () => {
      kit.clock = new FakeClock();
      kit.noon = hooks.clock === undefined ? Date.now() : kit.clock.wall();
      kit.store = await make(kit.clock);
      kit.generations = await kit.store.open(SCOPES);
    });
    afterEach(async () => {
      await hooks.dispose?.(kit.store);
    });
    const parts = [
      neverPassesTheCap,
      takesAllOrNone,
      knowsItsReservations,
      endsHoldsOnce,
      refusesWhatComesTooLate,
      countsUnitsAlone,
      keepsItsOwnTime,
      noticesLostState,
      forfeitsEndedLeases,
      booksInTheRightWindow,
      decidesOneByOne,
      extendsHolds,
      shutsScopes,
      stopsScopes,
      forcesWhatHasHappened,
      tellsHowLongToWait,
      holdsRollingWindows,
    ];
    for (const part of parts) part(kit);
  });
}

const TOTAL: Span = { kind: 'total' };
const MINUTE: Span = { kind: 'rolling', ms: 60_000, stepMs: 1_000 };
const DAY_MS = 86_400_000;
const MAX = Number.MAX_SAFE_INTEGER;
const SCOPES = ['a', 'b', 'c'] as const;

/** The store of the test that runs, and short words for what is done with it. */
class Kit {
  readonly hooks: StoreHooks;
  /** For tests that move time. */
  readonly timed: typeof it;
  store!: Store;
  clock!: FakeClock;
  generations: Readonly<Record<string, string>> = {};
  /** The middle of `day(0)`: now. */
  noon = 0;

  constructor(hooks: StoreHooks) {
    this.hooks = hooks;
    this.timed = (hooks.clock === undefined ? it.skip : it) as typeof it;
  }

  readonly day = (offset: number): Span => {
    const startMs = this.noon + (offset - 0.5) * DAY_MS;
    return { kind: 'calendar', startMs, endMs: startMs + DAY_MS };
  };

  readonly token = (scope: string): string => this.generations[scope] as string;

  readonly line = (amount: Units, other: Partial<Line> = {}): Line => {
    const generation = this.token(other.scope ?? 'a');
    return { scope: 'a', generation, meter: 'usd', span: TOTAL, cap: 100, amount, book: 'settle', ...other };
  };

  readonly item = (id: string, lines: readonly Line[] | Units, other: Partial<Reserve> = {}): Reserve => {
    return { id, lines: typeof lines === 'number' ? [this.line(lines)] : lines, leaseMs: 60_000, ...other };
  };

  readonly reserve = async (...args: Parameters<Kit['item']>): Promise<Decision> => {
    return (await this.store.reserve([this.item(...args)]))[0] as Decision;
  };

  /** A store may answer zeros or nothing where there was no overrun. */
  readonly settle = async (id: string, actual: Settle['actual']): Promise<Settled> => {
    const settled = (await this.store.settle([{ id, actual }]))[0] as Settled;
    return settled.overrun.some((units) => units > 0) ? settled : { ...settled, overrun: [] };
  };

  /** Everything that can be seen: `[used, held]` of each counter that is not at zero. */
  readonly counted = async (
    scopes: readonly string[] = SCOPES,
  ): Promise<Record<string, [used: Units, held: Units]>> => {
    const all: Record<string, [Units, Units]> = {};
    for (const [scope, meters] of Object.entries(await this.store.read(scopes))) {
      for (const [meter, { used, held }] of Object.entries(meters)) {
        if (used !== 0 || held !== 0) all[`${scope} ${meter}`] = [used, held];
      }
    }
    return all;
  };

  /** Moves both clocks, forwards or backwards: some stores have one for everything. */
  readonly move = (ms: number): void => {
    this.clock.jump(this.clock.now() + ms, this.clock.wall() + ms);
  };

  readonly unchangedBy = async (action: () => Promise<unknown>): Promise<void> => {
    const before = await this.counted();
    await action();
    expect(await this.counted()).toEqual(before);
  };
}

async function thrownBy(action: () => MaybePromise<unknown>): Promise<unknown> {
  try {
    return await action();
  } catch (error) {
    return error;
  }
}

function neverPassesTheCap(kit: Kit): void {
  const { day, line, item, reserve, settle, counted } = kit;
  describe('S1: used + held never passes the cap', () => {
    const kinds: readonly { name: string; span: () => Span; book: Line['book'] }[] = [
      { name: 'total, booked when settled', span: () => TOTAL, book: 'settle' },
      { name: 'total, booked when reserved', span: () => TOTAL, book: 'reserve' },
      { name: 'rolling, booked when settled', span: () => MINUTE, book: 'settle' },
      { name: 'rolling, booked when reserved', span: () => MINUTE, book: 'reserve' },
      { name: 'calendar, booked when settled', span: () => day(0), book: 'settle' },
      { name: 'calendar, booked when reserved', span: () => day(0), book: 'reserve' },
    ];
    it.each(kinds)('admits 5 of 100 at 18 of 100 units: $name', async ({ span, book }) => {
      const batch = Array.from({ length: 100 }, (_, i) => item(`r${i}`, [line(18, { span: span(), book })]));
      expect((await kit.store.reserve(batch)).filter(({ ok }) => ok)).toHaveLength(5);
      expect(await counted()).toEqual({ 'a usd': book === 'settle' ? [0, 90] : [90, 0] });
    });
    it.each(kinds)('admits the cap and not a unit more: $name', async ({ span, book }) => {
      const units = (amount: Units): Line[] => [line(amount, { span: span(), book })];
      expect(await reserve('r1', units(60))).toMatchObject({ ok: true, left: [40] });
      expect(await reserve('r2', units(41))).toMatchObject({ ok: false, line: 0, left: 40 });
      expect(await reserve('r3', units(40))).toMatchObject({ ok: true, left: [0] });
      expect(await reserve('r4', units(1))).toMatchObject({ ok: false, line: 0, left: 0 });
      expect(await reserve('r5', units(0))).toMatchObject({ ok: true, left: [0] });
    });
    it.each(kinds)('counts two lines on one counter together: $name', async ({ span, book }) => {
      const twice = (a: Units, b: Units): Line[] => [a, b].map((amount) => line(amount, { span: span(), book }));
      expect(await reserve('r1', twice(60, 41))).toMatchObject({ ok: false, why: 'exceeds_cap', line: 1, left: 40 });
      expect(await reserve('r2', twice(60, 40))).toMatchObject({ ok: true, left: [0, 0] });
      await settle('r2', [60, 40]);
      expect(await counted()).toEqual({ 'a usd': [100, 0] });
    });
    it('leaves no room after an overrun until it is out of the window', async () => {
      await reserve('r1', 10);
      expect(await settle('r1', [130])).toEqual({ state: 'settled', first: true, overrun: [120] });
      expect(await counted()).toEqual({ 'a usd': [130, 0] });
      expect(await reserve('r2', 1)).toMatchObject({ ok: false, why: 'exhausted', line: 0, left: -30 });
      expect(await reserve('r3', 0)).toMatchObject({ ok: true, left: [-30] });
    });
    it('stays exact up to 2 ** 53 - 1', async () => {
      const big = (amount: Units): Line[] => [line(amount, { cap: MAX })];
      await reserve('r1', big(MAX - 2));
      expect(await reserve('r2', big(3))).toMatchObject({ ok: false, left: 2 });
      expect(await reserve('r3', big(2))).toMatchObject({ ok: true, left: [0] });
      await kit.store.settle([
        { id: 'r1', actual: [MAX - 2] },
        { id: 'r3', actual: [1] },
      ]);
      expect(await counted()).toEqual({ 'a usd': [MAX - 1, 0] });
      expect(await reserve('r4', big(2))).toMatchObject({ ok: false, why: 'exhausted', left: 1 });
    });
    it.each([TOTAL, MINUTE])('is full, and not wrapped, beyond 2 ** 53 - 1: $kind', async (span) => {
      const big = (amount: Units): Line[] => [line(amount, { cap: MAX, span })];
      await reserve('r1', big(1));
      await reserve('r2', big(1));
      await settle('r1', [MAX]);
      expect(await settle('r2', [MAX])).toMatchObject({ overrun: [MAX - 1] });
      expect(await counted()).toEqual({ 'a usd': [MAX, 0] });
      expect(await reserve('r3', big(1))).toMatchObject({ ok: false, why: 'exhausted', left: 0 });
    });
  });
}

function takesAllOrNone(kit: Kit): void {
  const { day, line, item, reserve, settle, counted, unchangedBy } = kit;
  describe('S2: all lines or none', () => {
    const failures: readonly { why: string; last: () => Line }[] = [
      { why: 'exceeds_cap', last: () => line(101, { scope: 'c' }) },
      { why: 'exhausted', last: () => line(71, { scope: 'c' }) },
      { why: 'in_flight', last: () => line(70, { scope: 'c' }) },
      { why: 'stale', last: () => line(1, { scope: 'c', meter: 'day', span: day(-1) }) },
      { why: 'state_lost', last: () => line(1, { scope: 'c', generation: 'another' }) },
    ];
    it.each(failures)('changes nothing when the last of three lines is $why', async ({ why, last }) => {
      await reserve('before', [line(30, { scope: 'c' })]);
      await settle('before', [30]);
      await reserve('open', [line(10), line(10, { scope: 'c' }), line(10, { scope: 'b', span: MINUTE })]);
      const lines = [line(5, { meter: 'new', book: 'reserve' }), line(5, { scope: 'b', span: MINUTE }), last()];
      await unchangedBy(async () => {
        expect(await reserve('r', lines)).toMatchObject({ ok: false, why, line: 2 });
      });
      expect(await settle('r', 'void')).toMatchObject({ state: 'unknown' });
    });
    it('names the first line that does not fit', async () => {
      const lines = [line(10), line(200), line(1, { generation: 'another' })];
      expect(await reserve('r', lines)).toMatchObject({ ok: false, why: 'exceeds_cap', line: 1, left: 90 });
    });
    it.each([4, 5, 6, 12])(
      'says so when it is line %d that does not fit, and decides what comes with it',
      async (count) => {
        const lines = Array.from({ length: count }, (_, i) => line(i < count - 1 ? 5 : 101, { meter: `m${i}` }));
        const all = await Promise.all([item('before', 5), item('r', lines)].map((each) => kit.store.reserve([each])));
        expect(all).toMatchObject([[{ ok: true }], [{ ok: false, why: 'exceeds_cap', line: count - 1, left: 100 }]]);
        expect(await counted()).toEqual({ 'a usd': [0, 5] });
      },
    );
    it('lets nothing that cannot fit stand in the way of what does', async () => {
      const wide = (amount: Units): Line[] => [line(amount, { cap: 1_000 }), line(amount, { scope: 'b', cap: 100 })];
      const batch = Array.from({ length: 20 }, (_, i) => [item(`big${i}`, wide(500)), item(`small${i}`, wide(5))]);
      const decisions = await Promise.all(batch.flat().map(async (each) => (await kit.store.reserve([each]))[0]));
      expect(decisions.map((decision) => decision?.ok)).toEqual(batch.flat().map(({ id }) => id.startsWith('small')));
      expect(await counted()).toEqual({ 'a usd': [0, 100], 'b usd': [0, 100] });
    });
    it('decides the items of a batch in order, each by itself', async () => {
      const decisions = await kit.store.reserve([item('r1', 60), item('r2', 50), item('r3', 40), item('r4', 1)]);
      expect(decisions.map(({ ok }) => ok)).toEqual([true, false, true, false]);
      expect(await kit.store.reserve([])).toEqual([]);
    });
    it('does not remember what it refused', async () => {
      await reserve('r1', 60);
      expect(await reserve('r2', 50)).toMatchObject({ ok: false, why: 'in_flight' });
      await settle('r1', 'void');
      expect(await reserve('r2', 55)).toMatchObject({ ok: true, repeat: undefined });
    });
  });
}

function knowsItsReservations(kit: Kit): void {
  const { line, item, reserve, settle, counted, unchangedBy, timed } = kit;
  describe('S3: the same id is the same reservation', () => {
    const ends: readonly { state: string; end: () => Promise<unknown>; seen: [Units, Units] }[] = [
      { state: 'held', end: async () => undefined, seen: [0, 30] },
      { state: 'settled', end: () => settle('r', [20]), seen: [20, 0] },
      { state: 'forfeited', end: () => settle('r', 'forfeit'), seen: [30, 0] },
    ];
    it.each(ends)('answers a repeat of one that is $state and changes nothing', async ({ state, end, seen }) => {
      expect(await reserve('r', 30)).toEqual({ ok: true, repeat: undefined, left: [70] });
      await end();
      expect(await reserve('r', 30)).toEqual({ ok: true, repeat: state, left: [100 - seen[0] - seen[1]] });
      expect(await counted()).toEqual({ 'a usd': seen });
    });
    it('answers a repeat that would not fit a second time, also within a batch', async () => {
      const decisions = await kit.store.reserve([item('r', 60), item('r', 60)]);
      expect(decisions).toMatchObject([{ ok: true }, { ok: true, repeat: 'held' }]);
      expect(await counted()).toEqual({ 'a usd': [0, 60] });
    });
    it('refuses a repeat of one that was given back', async () => {
      await reserve('r', 30);
      await settle('r', 'void');
      expect(await reserve('r', 30)).toMatchObject({ ok: false, why: 'terminal', line: -1 });
      expect(await counted()).toEqual({});
    });
    const others: readonly { name: string; lines: () => Line[] }[] = [
      { name: 'another amount', lines: () => [line(30), line(21, { scope: 'b' })] },
      { name: 'another counter', lines: () => [line(30), line(20, { scope: 'b', meter: 'sat' })] },
      { name: 'another scope', lines: () => [line(30), line(20, { scope: 'c' })] },
      { name: 'a line less', lines: () => [line(30)] },
      { name: 'a line more', lines: () => [line(30), line(20, { scope: 'b' }), line(0)] },
      { name: 'another order', lines: () => [line(20, { scope: 'b' }), line(30)] },
      { name: 'no lines', lines: () => [] },
    ];
    it.each(others)('refuses $name under the same id as a conflict', async ({ lines }) => {
      await reserve('r', [line(30), line(20, { scope: 'b' })]);
      const conflict = { ok: false, why: 'conflict', line: -1 };
      await unchangedBy(async () => expect(await reserve('r', lines())).toMatchObject(conflict));
      await settle('r', [30, 20]);
      await unchangedBy(async () => expect(await reserve('r', lines())).toMatchObject(conflict));
    });
    timed('remembers an end for as long as was asked', async () => {
      await reserve('r', 30, { keepMs: 600_000 });
      await settle('r', [30]);
      kit.clock.advance(599_999);
      await kit.store.sweep(100);
      expect(await reserve('r', 30, { keepMs: 600_000 })).toMatchObject({ ok: true, repeat: 'settled' });
    });
  });
}

function endsHoldsOnce(kit: Kit): void {
  const { line, reserve, settle, counted } = kit;
  describe('S4: exactly one end', () => {
    const pairs: readonly { first: Settle['actual']; state: string; later: Settle['actual']; used: Units }[] = [
      { first: [20], state: 'settled', later: [20], used: 20 },
      { first: [20], state: 'settled', later: [25], used: 20 },
      { first: [0], state: 'settled', later: [25], used: 0 },
      { first: [20], state: 'settled', later: 'void', used: 20 },
      { first: [20], state: 'settled', later: 'forfeit', used: 20 },
      { first: 'void', state: 'void', later: [20], used: 0 },
      { first: 'void', state: 'void', later: 'void', used: 0 },
      { first: 'void', state: 'void', later: 'forfeit', used: 0 },
      { first: 'forfeit', state: 'forfeited', later: [20], used: 30 },
      { first: 'forfeit', state: 'forfeited', later: 'void', used: 30 },
      { first: 'forfeit', state: 'forfeited', later: 'forfeit', used: 30 },
    ];
    it.each(pairs)('keeps $first when $later follows', async ({ first, state, later, used }) => {
      await reserve('other', 7);
      await reserve('r', 30);
      expect(await settle('r', first)).toEqual({ state, first: true, overrun: [] });
      for (let i = 0; i < 2; i++) expect(await settle('r', later)).toEqual({ state, first: false, overrun: [] });
      expect(await counted()).toEqual({ 'a usd': [used, 7] });
    });
    it('books what the truth has beyond a forfeit, once', async () => {
      await reserve('r', [line(30), line(20, { scope: 'b' })]);
      await settle('r', 'forfeit');
      expect(await settle('r', [10, 27])).toEqual({ state: 'forfeited', first: false, overrun: [0, 7] });
      expect(await settle('r', [90, 90])).toEqual({ state: 'forfeited', first: false, overrun: [] });
      expect(await counted()).toEqual({ 'a usd': [30, 0], 'b usd': [27, 0] });
    });
    it('frees what was held and not spent, and nothing else', async () => {
      await reserve('r1', [line(50), line(50, { scope: 'b' })]);
      await reserve('r2', [line(50), line(50, { scope: 'b' })]);
      await settle('r1', [1, 50]);
      expect(await counted()).toEqual({ 'a usd': [1, 50], 'b usd': [50, 50] });
      expect(await reserve('r3', 50)).toMatchObject({ ok: false, why: 'in_flight', left: 49 });
      expect(await reserve('r4', 49)).toMatchObject({ ok: true, left: [0] });
    });
    it('ends a hold twice in one batch only once', async () => {
      await reserve('r', 30);
      const batch = [[10], [20], 'void'] as const;
      expect(await kit.store.settle(batch.map((actual) => ({ id: 'r', actual })))).toMatchObject([
        { state: 'settled', first: true },
        { state: 'settled', first: false },
        { state: 'settled', first: false },
      ]);
      expect(await counted()).toEqual({ 'a usd': [10, 0] });
    });
  });
}

function refusesWhatComesTooLate(kit: Kit): void {
  const { reserve, settle, counted, unchangedBy } = kit;
  describe('S5: settling what was never reserved', () => {
    const unknown: readonly { actual: Settle['actual'] }[] = [
      { actual: [20] },
      { actual: 'void' },
      { actual: 'forfeit' },
    ];
    it.each(unknown)('refuses a reservation that arrives after its $actual', async ({ actual }) => {
      await reserve('open', 10);
      await unchangedBy(async () => {
        expect(await settle('late', actual)).toEqual({ state: 'unknown', first: true, overrun: [] });
        expect(await settle('late', actual)).toEqual({ state: 'void', first: false, overrun: [] });
        expect(await reserve('late', 5)).toMatchObject({ ok: false, why: 'terminal', line: -1 });
        expect(await reserve('late', 5, { onto: 'open' })).toMatchObject({ ok: false, why: 'terminal', line: -1 });
        expect(await reserve('more', 5, { onto: 'late' })).toMatchObject({ ok: false, why: 'terminal', line: -1 });
      });
    });
    it('leaves the other holds of the batch to be settled', async () => {
      await reserve('r', 30);
      const answers = await kit.store.settle(['late', 'r'].map((id) => ({ id, actual: [30] })));
      expect(answers).toMatchObject([{ state: 'unknown' }, { state: 'settled', first: true }]);
      expect(await counted()).toEqual({ 'a usd': [30, 0] });
    });
  });
}

const NO_UNITS: readonly { readonly name: string; readonly value: unknown }[] = [
  { name: 'NaN', value: Number.NaN },
  { name: 'Infinity', value: Number.POSITIVE_INFINITY },
  { name: '-Infinity', value: Number.NEGATIVE_INFINITY },
  { name: '-1', value: -1 },
  { name: '0.5', value: 0.5 },
  { name: '2 ** 53', value: 2 ** 53 },
  { name: "'5'", value: '5' },
  { name: 'null', value: null },
  { name: '5n', value: 5n },
  { name: '[5]', value: [5] },
];

function countsUnitsAlone(kit: Kit): void {
  const { line, item, reserve, settle, unchangedBy } = kit;
  describe('S6: only safe integers >= 0 are counted', () => {
    async function refused(action: () => MaybePromise<unknown>): Promise<void> {
      await unchangedBy(async () => {
        const error = await thrownBy(action);
        expect(error instanceof RangeError || error instanceof TypeError, String(error)).toBe(true);
      });
    }
    const fields: readonly { field: string; bad: (value: never) => Reserve }[] = [
      { field: 'amount', bad: (amount) => item('bad', [line(1), line(0, { amount })]) },
      { field: 'amount booked at once', bad: (amount) => item('bad', [line(0, { amount, book: 'reserve' })]) },
      { field: 'cap', bad: (cap) => item('bad', [line(1), line(1, { cap })]) },
      { field: 'leaseMs', bad: (leaseMs) => item('bad', 1, { leaseMs }) },
      { field: 'keepMs', bad: (keepMs) => item('bad', 1, { keepMs }) },
    ];
    const rows = fields.flatMap((field) => NO_UNITS.map((value) => ({ ...field, ...value })));
    it.each(rows)('throws for $name as $field and applies nothing of the batch', async ({ bad, value }) => {
      await reserve('open', 10);
      await settle('open', [10]);
      await refused(() => kit.store.reserve([bad(value as never)]));
      await refused(() => kit.store.reserve([item('good', 5), bad(value as never), item('fine', 5)]));
      expect(await reserve('good', 7)).toMatchObject({ ok: true, repeat: undefined, left: [83] });
      expect(await settle('bad', 'void')).toMatchObject({ state: 'unknown' });
    });
    it.each([...NO_UNITS, { name: 'undefined', value: undefined }])(
      'throws for $name as an actual amount and keeps every hold of the batch',
      async ({ value }) => {
        await reserve('r1', 10);
        await reserve('r2', [line(10), line(10, { scope: 'b' })]);
        await reserve('r3', 10);
        await refused(() => kit.store.settle([{ id: 'r1', actual: [value as never] }]));
        await refused(() => kit.store.settle([{ id: 'never', actual: [value as never] }]));
        const bad = { id: 'r2', actual: [1, value as never] };
        await refused(() => kit.store.settle([{ id: 'r1', actual: [3] }, bad, { id: 'r3', actual: 'void' }]));
        expect(await settle('r1', [4])).toMatchObject({ state: 'settled', first: true });
        expect(await settle('r2', [4, 5])).toMatchObject({ state: 'settled', first: true });
        expect(await settle('r3', 'void')).toMatchObject({ state: 'void', first: true });
      },
    );
    it.each([undefined, null, 5, '5', 'Void', '', {}, true])(
      'throws for %j in place of the amounts',
      async (actual) => {
        await reserve('r', 10);
        await refused(() => kit.store.settle([{ id: 'r', actual: actual as never }]));
        await refused(() => kit.store.settle([{ id: 'never', actual: actual as never }]));
        expect(await settle('r', [4])).toMatchObject({ state: 'settled', first: true });
      },
    );
    it('throws for fewer or more amounts than there are lines', async () => {
      await reserve('r', [line(10), line(10, { scope: 'b' })]);
      for (const actual of [[], [1], [1, 1, 1]]) await refused(() => kit.store.settle([{ id: 'r', actual }]));
      expect(await settle('r', [1, 1])).toMatchObject({ state: 'settled', first: true });
    });
  });
}

function keepsItsOwnTime(kit: Kit): void {
  const { day, line, reserve, counted, unchangedBy, timed } = kit;
  describe('S7: time is the store’s own', () => {
    it.each([-1, 1, 300])('refuses the calendar day %i days off as stale and tells its own time', async (offset) => {
      await unchangedBy(async () => {
        const decision = await reserve('r', [line(1, { span: day(offset) })]);
        expect(decision).toMatchObject({ ok: false, why: 'stale', line: 0 });
        const { nowMs } = decision as { nowMs: number };
        if (kit.hooks.clock) expect(nowMs).toBe(kit.noon);
        expect(Math.abs(nowMs - kit.noon)).toBeLessThan(600_000);
      });
    });
    it('refuses a calendar span that is no span as stale', async () => {
      for (const [startMs, endMs] of [
        [Number.NaN, MAX],
        [0, Number.NaN],
        [kit.noon + DAY_MS, kit.noon - DAY_MS],
      ] as const) {
        const span: Span = { kind: 'calendar', startMs, endMs };
        expect(await reserve('r', [line(1, { span })])).toMatchObject({ ok: false, why: 'stale' });
      }
    });
    timed('opens a calendar window at its first millisecond and closes it before its last', async () => {
      kit.clock.advance(DAY_MS / 2 - 1);
      expect(await reserve('r1', [line(60, { span: day(0) })])).toMatchObject({ ok: true, left: [40] });
      kit.clock.advance(1);
      expect(await reserve('r2', [line(1, { span: day(0) })])).toMatchObject({ why: 'stale', nowMs: kit.clock.wall() });
      expect(await reserve('r2', [line(1, { span: day(1) })])).toMatchObject({ ok: true, left: [39] });
    });
    timed('has nothing booked from the end of a calendar window on', async () => {
      await reserve('r1', [line(60, { span: day(0), book: 'reserve' })]);
      kit.clock.advance(DAY_MS / 2 - 1);
      expect(await counted()).toEqual({ 'a usd': [60, 0] });
      kit.clock.advance(1);
      expect(await counted()).toEqual({});
    });
    timed('tells a repeat what is left by now', async () => {
      const lines = [line(60, { span: MINUTE, book: 'reserve' })];
      await reserve('r1', lines, { leaseMs: 600_000 });
      kit.clock.advance(61_000);
      expect(await reserve('r1', lines)).toEqual({ ok: true, repeat: 'held', left: [100] });
    });
    timed('never goes back to a calendar window that was left', async () => {
      await reserve('r1', [line(60, { span: day(0), book: 'reserve' })]);
      kit.clock.advance(DAY_MS);
      await reserve('r2', [line(30, { span: day(1), book: 'reserve' })]);
      const latest = kit.clock.wall();
      kit.clock.jump(undefined, kit.noon);
      const back = await reserve('r3', [line(1, { span: day(0) })]);
      expect(back).toMatchObject({ ok: false, why: 'stale', nowMs: latest });
      expect(await counted()).toEqual({ 'a usd': [30, 0] });
      expect(await reserve('r3', [line(70, { span: day(1) })])).toMatchObject({ ok: true });
    });
    timed('counts a rolling window from the latest time it has seen', async () => {
      const units = (amount: Units): Line[] => [line(amount, { span: MINUTE, book: 'reserve' })];
      await reserve('r1', units(60));
      kit.move(-50_000);
      await reserve('r2', units(40));
      kit.move(50_000 + 59_999);
      expect(await counted()).toEqual({ 'a usd': [100, 0] });
      kit.move(-59_999);
      expect(await reserve('r3', units(1))).toMatchObject({ ok: false, why: 'exhausted' });
      kit.move(61_000);
      expect(await reserve('r4', units(100))).toMatchObject({ ok: true, left: [0] });
    });
  });
}

function noticesLostState(kit: Kit): void {
  const { line, reserve, settle, counted, unchangedBy } = kit;
  describe('S8: lost state is never nothing spent', () => {
    it('opens a scope once and finds it again', async () => {
      expect(Object.keys(kit.generations).sort()).toEqual([...SCOPES]);
      await reserve('r', 30);
      expect({ ...(await kit.store.open(['b', 'a', 'a'])) }).toEqual({
        a: kit.token('a'),
        b: kit.token('b'),
      });
      expect(await counted()).toEqual({ 'a usd': [0, 30] });
    });
    it('refuses another generation, at the line that has it', async () => {
      await reserve('r', 30);
      for (const generation of ['another', '', kit.token('b')]) {
        await unchangedBy(async () => {
          const decision = await reserve('r2', [line(1, { scope: 'b' }), line(1, { generation })]);
          expect(decision).toMatchObject({ ok: false, why: 'state_lost', line: 1 });
          const extension = await reserve('r3', [line(1, { generation })], { onto: 'r' });
          expect(extension).toMatchObject({ ok: false, why: 'state_lost', line: 0 });
        });
      }
    });
    it.each(['never opened', '__proto__', 'constructor'])('knows no scope %s', async (scope) => {
      const foreign = line(1, { scope, generation: kit.token('a') });
      expect(await reserve('r', [foreign])).toMatchObject({ ok: false, why: 'state_lost', line: 0 });
      expect(Object.keys(await kit.store.read([scope, 'a']))).not.toContain(scope);
    });
    it('counts under any name', async () => {
      const name = '__proto__';
      kit.generations = { ...kit.generations, ...(await kit.store.open([name, 'x y\t\n"\'{}:'])) };
      for (const [i, scope] of [name, 'x y\t\n"\'{}:'].entries()) {
        await reserve(`${scope} ${i}`, [line(3, { scope, meter: name, generation: kit.token(scope) })]);
        const meters = (await kit.store.read([scope]))[scope] ?? {};
        expect(Object.entries(meters)).toEqual([[name, { used: 0, held: 3 }]]);
      }
    });
    it.skipIf(kit.hooks.lose === undefined)('refuses until the scope is opened again', async () => {
      await reserve('r1', 30);
      await settle('r1', [30]);
      await reserve('r2', 30);
      kit.store = (await kit.hooks.lose?.(kit.store, kit.clock)) ?? kit.store;
      expect(await reserve('r3', 1)).toMatchObject({ ok: false, why: 'state_lost', line: 0 });
      expect(await reserve('r2', 30)).toMatchObject({ ok: false, why: 'state_lost', line: 0 });
      expect(await settle('r2', [30])).toMatchObject({ state: 'unknown', first: true });
      const lost = kit.token('a');
      kit.generations = await kit.store.open(SCOPES);
      expect(kit.token('a')).not.toBe(lost);
      expect(await reserve('r4', [line(1, { generation: lost })])).toMatchObject({ why: 'state_lost' });
      expect(await reserve('r5', 1)).toMatchObject({ ok: true, left: [99] });
    });
  });
}

function forfeitsEndedLeases(kit: Kit): void {
  const { line, item, reserve, settle, counted, timed } = kit;
  describe('S9: a lease that ended', () => {
    it('changes nothing until it is swept', async () => {
      await reserve('r1', 30, { leaseMs: 0 });
      expect(await counted()).toEqual({ 'a usd': [0, 30] });
      expect(await reserve('r2', 71)).toMatchObject({ ok: false, why: 'in_flight' });
      expect(await settle('r1', [20])).toMatchObject({ state: 'settled', first: true });
      expect(await kit.store.sweep(10)).toEqual([]);
      expect(await counted()).toEqual({ 'a usd': [20, 0] });
    });
    it('is booked as spent when it is swept', async () => {
      const lines = [line(30), line(20, { scope: 'b', span: MINUTE }), line(1, { meter: 'calls', book: 'reserve' })];
      await reserve('r', lines, { leaseMs: 0 });
      await reserve('open', 10);
      expect(await kit.store.sweep(10)).toEqual([{ id: 'r' }]);
      expect(await counted()).toEqual({ 'a usd': [30, 10], 'b usd': [20, 0], 'a calls': [1, 0] });
      expect(await kit.store.sweep(10)).toEqual([]);
      expect(await settle('r', 'void')).toEqual({ state: 'forfeited', first: false, overrun: [] });
      expect(await settle('r', [35, 0, 9])).toEqual({ state: 'forfeited', first: false, overrun: [5, 0, 0] });
      expect(await settle('r', [99, 99, 9])).toEqual({ state: 'forfeited', first: false, overrun: [] });
      expect(await counted()).toEqual({ 'a usd': [35, 10], 'b usd': [20, 0], 'a calls': [1, 0] });
    });
    it('is swept with at most so many others', async () => {
      await kit.store.reserve(Array.from({ length: 5 }, (_, i) => item(`r${i}`, 1, { leaseMs: 0 })));
      const swept = [
        await kit.store.sweep(0),
        await kit.store.sweep(2),
        await kit.store.sweep(2),
        await kit.store.sweep(2),
      ];
      expect(swept.map(({ length }) => length)).toEqual([0, 2, 2, 1]);
      expect(new Set(swept.flat().map(({ id }) => id)).size).toBe(5);
      expect(await counted()).toEqual({ 'a usd': [5, 0] });
    });
    timed('ends after leaseMs and not before', async () => {
      await reserve('r', 30, { leaseMs: 1_000 });
      kit.clock.advance(999);
      expect(await kit.store.sweep(10)).toEqual([]);
      kit.clock.advance(1);
      expect(await kit.store.sweep(10)).toEqual([{ id: 'r' }]);
    });
    timed('forfeits at once what never was extended, and later what was', async () => {
      await kit.store.reserve(['r1', 'r2'].map((id) => item(id, 30, { leaseMs: 1_000 })));
      kit.clock.advance(900);
      await reserve('more', [], { onto: 'r2', leaseMs: 1_000 });
      await reserve('less', [], { onto: 'r2', leaseMs: 0 });
      kit.clock.advance(900);
      expect(await kit.store.sweep(10)).toEqual([{ id: 'r1' }]);
      kit.clock.advance(100);
      expect(await kit.store.sweep(10)).toEqual([{ id: 'r2' }]);
    });
  });
}

function booksInTheRightWindow(kit: Kit): void {
  const { day, line, item, reserve, settle, counted, timed } = kit;
  describe('S10: where amounts count', () => {
    it('counts what is booked at reserving at once, whatever it is settled with', async () => {
      await reserve('r', [line(30, { book: 'reserve' }), line(20, { scope: 'b' })]);
      expect(await counted()).toEqual({ 'a usd': [30, 0], 'b usd': [0, 20] });
      expect(await settle('r', [99, 5])).toEqual({ state: 'settled', first: true, overrun: [] });
      expect(await counted()).toEqual({ 'a usd': [30, 0], 'b usd': [5, 0] });
    });
    it.each([TOTAL, MINUTE])('gives back what was booked at reserving only for a void: $kind', async (span) => {
      const lines = [line(30, { book: 'reserve', span })];
      await kit.store.reserve(['r1', 'r2', 'r3'].map((id) => item(id, lines)));
      await settle('r1', 'void');
      expect(await counted()).toEqual({ 'a usd': [60, 0] });
      await settle('r2', 'forfeit');
      await settle('r3', [0]);
      expect(await counted()).toEqual({ 'a usd': [60, 0] });
    });
    timed('counts a hold in every window and books it at the moment of settling: rolling', async () => {
      const units = (amount: Units): Line[] => [line(amount, { span: MINUTE })];
      await reserve('r1', units(60), { leaseMs: MAX - 1_000_000 });
      kit.clock.advance(300_000);
      expect(await reserve('r2', units(41))).toMatchObject({ ok: false, why: 'in_flight', left: 40 });
      await settle('r1', [50]);
      kit.clock.advance(59_999);
      expect(await counted()).toEqual({ 'a usd': [50, 0] });
      kit.clock.advance(1_001);
      expect(await counted()).toEqual({});
    });
    timed('books at the moment of settling where nothing else has happened since: rolling', async () => {
      await reserve('r1', [line(60, { span: MINUTE })], { leaseMs: MAX - 1_000_000 });
      kit.clock.advance(30_000);
      await settle('r1', [50]);
      kit.clock.advance(59_999);
      expect(await counted()).toEqual({ 'a usd': [50, 0] });
      kit.clock.advance(1_001);
      expect(await counted()).toEqual({});
    });
    timed('begins a calendar in the window of the first line that is not refused', async () => {
      const at = (offset: number): Line[] => [line(10, { span: day(offset), book: 'reserve' })];
      const decisions = await kit.store.reserve([item('early', at(1)), item('now', at(0))]);
      expect(decisions).toMatchObject([
        { ok: false, why: 'stale' },
        { ok: true, left: [90] },
      ]);
      kit.move(DAY_MS);
      expect(await counted()).toEqual({});
      expect(await reserve('next', at(1))).toMatchObject({ ok: true, left: [90] });
    });
    timed('counts a hold in every window and books it at the moment of settling: calendar', async () => {
      await reserve('r1', [line(60, { span: day(0) })]);
      await reserve('r2', [line(10, { span: day(0) })]);
      await settle('r2', [10]);
      kit.clock.advance(DAY_MS);
      expect(await counted()).toEqual({ 'a usd': [0, 60] });
      expect(await reserve('r3', [line(41, { span: day(1) })])).toMatchObject({ why: 'in_flight', left: 40 });
      await settle('r1', [50]);
      expect(await counted()).toEqual({ 'a usd': [50, 0] });
      expect(await reserve('r4', [line(51, { span: day(1) })])).toMatchObject({ why: 'exhausted', left: 50 });
      kit.clock.advance(DAY_MS);
      expect(await reserve('r5', [line(100, { span: day(2) })])).toMatchObject({ ok: true, left: [0] });
    });
    timed('keeps for its window what is settled before a reservation names that window', async () => {
      await kit.store.reserve(['r1', 'r2', 'r3'].map((id) => item(id, [line(20, { span: day(0) })])));
      await settle('r1', [20]);
      kit.clock.advance(DAY_MS);
      await settle('r2', [15]);
      await settle('r3', [5]);
      expect(await counted()).toEqual({ 'a usd': [20, 0] });
      expect(await reserve('r4', [line(81, { span: day(1) })])).toMatchObject({ ok: false, left: 80 });
      expect(await reserve('r5', [line(80, { span: day(1) })])).toMatchObject({ ok: true, left: [0] });
      kit.clock.advance(DAY_MS);
      await settle('r5', [0]);
      expect(await reserve('r6', [line(100, { span: day(2) })])).toMatchObject({ ok: true, left: [0] });
    });
    timed('does not carry what was settled in a window that nobody named into a later one', async () => {
      await reserve('r1', [line(20, { span: day(0) })]);
      kit.clock.advance(DAY_MS);
      await settle('r1', [20]);
      kit.clock.advance(DAY_MS);
      expect(await reserve('r2', [line(100, { span: day(2) })])).toMatchObject({ ok: true, left: [0] });
    });
    timed('takes nothing from what was settled after a window when a booking in it is given back', async () => {
      await reserve('early', [line(30, { span: day(0), book: 'reserve' })]);
      await reserve('late', [line(20, { span: day(0) })]);
      kit.clock.advance(DAY_MS);
      await settle('late', [20]);
      await settle('early', 'void');
      expect(await counted()).toEqual({ 'a usd': [20, 0] });
      expect(await reserve('next', [line(81, { span: day(1) })])).toMatchObject({ ok: false, left: 80 });
    });
    timed('takes nothing from a later window when an earlier booking is given back', async () => {
      const spans = [MINUTE, day(0)];
      await kit.store.reserve(
        spans.map((span, i) => item(`old${i}`, [line(30, { meter: span.kind, span, book: 'reserve' })])),
      );
      kit.clock.advance(DAY_MS);
      const later = [MINUTE, day(1)].map((span) => line(40, { meter: span.kind, span, book: 'reserve' as const }));
      await reserve('new', later);
      await kit.store.settle(['old0', 'old1'].map((id) => ({ id, actual: 'void' as const })));
      expect(await counted()).toEqual({ 'a rolling': [40, 0], 'a calendar': [40, 0] });
    });
  });
}

function decidesOneByOne(kit: Kit): void {
  const { line, reserve, settle, counted } = kit;
  describe('S11: one after the other', () => {
    it('admits exactly what fits of 100 at a time', async () => {
      const all = Array.from({ length: 100 }, (_, i) =>
        reserve(`r${i}`, [line(18), line(18, { scope: 'b', cap: 80 })]),
      );
      expect((await Promise.all(all)).filter(({ ok }) => ok)).toHaveLength(4);
      expect(await counted()).toEqual({ 'a usd': [0, 72], 'b usd': [0, 72] });
    });
    it('makes one reservation of 20 with one id', async () => {
      const all = await Promise.all(Array.from({ length: 20 }, () => reserve('r', 30)));
      expect(all.filter((decision) => decision.ok && decision.repeat === undefined)).toHaveLength(1);
      expect(all.filter((decision) => decision.ok && decision.repeat === 'held')).toHaveLength(19);
      expect(await counted()).toEqual({ 'a usd': [0, 30] });
    });
    it('ends a hold once of 20 ways at a time', async () => {
      await reserve('r', 30);
      const ways = Array.from({ length: 20 }, (_, i) => settle('r', i % 2 === 0 ? [10] : 'void'));
      const answers = await Promise.all(ways);
      expect(answers.filter(({ first }) => first)).toHaveLength(1);
      expect(new Set(answers.map(({ state }) => state)).size).toBe(1);
      expect(await counted()).toEqual(answers[0]?.state === 'settled' ? { 'a usd': [10, 0] } : {});
    });
    it('loses no unit of 50 calls that reserve and settle at a time', async () => {
      const call = async (i: number): Promise<number> => {
        const decision = await reserve(`r${i}`, [line(7), line(1, { meter: 'calls', book: 'reserve' })]);
        if (!decision.ok) return 0;
        const { first } = await settle(`r${i}`, i % 5 === 0 ? 'void' : [i % 8, 1]);
        return first && i % 5 !== 0 ? (i % 8) + 1_000 : 0;
      };
      const sum = (await Promise.all(Array.from({ length: 50 }, (_, i) => call(i)))).reduce((a, b) => a + b, 0);
      expect(sum).toBeGreaterThan(0);
      expect(await counted()).toEqual({ 'a usd': [sum % 1_000, 0], 'a calls': [Math.floor(sum / 1_000), 0] });
    });
  });
}

function extendsHolds(kit: Kit): void {
  const { line, item, reserve, settle, counted, unchangedBy } = kit;
  describe('S12: extending an open hold', () => {
    it('adds all lines under the same rules, or none', async () => {
      await reserve('r', 60);
      const more = [line(10, { scope: 'b' }), line(41)];
      await unchangedBy(async () => {
        expect(await reserve('x1', more, { onto: 'r' })).toMatchObject({ ok: false, why: 'in_flight', line: 1 });
      });
      const some = [line(40), line(10, { scope: 'b' })];
      expect(await reserve('x2', some, { onto: 'r' })).toEqual({ ok: true, repeat: undefined, left: [0, 90] });
      expect(await counted()).toEqual({ 'a usd': [0, 100], 'b usd': [0, 10] });
      expect(await settle('r', [50, 30, 20])).toEqual({ state: 'settled', first: true, overrun: [0, 0, 10] });
      expect(await counted()).toEqual({ 'a usd': [80, 0], 'b usd': [20, 0] });
    });
    it('gives back or forfeits the added lines with the others', async () => {
      for (const id of ['r1', 'r2']) {
        await reserve(id, 10);
        await reserve(`${id}x`, [line(5, { scope: 'b', book: 'reserve' }), line(5)], { onto: id });
      }
      await settle('r1', 'void');
      await settle('r2', 'forfeit');
      expect(await counted()).toEqual({ 'a usd': [15, 0], 'b usd': [5, 0] });
    });
    it.each([[[10]], ['void'], ['forfeit']] as const)('fails as a whole after the hold’s %j', async (actual) => {
      await reserve('r', 10);
      await settle('r', actual);
      await unchangedBy(async () => {
        expect(await reserve('x', 5, { onto: 'r' })).toMatchObject({ ok: false, why: 'terminal', line: -1 });
        expect(await reserve('y', 5, { onto: 'never' })).toMatchObject({ ok: false, why: 'terminal', line: -1 });
      });
      expect(await reserve('x', 5)).toMatchObject({ ok: true, repeat: undefined });
    });
    it('adds nothing a second time', async () => {
      await kit.store.reserve([item('r', 10), item('s', 10)]);
      await reserve('x', 20, { onto: 'r' });
      await unchangedBy(async () => {
        expect(await reserve('x', 20, { onto: 'r' })).toEqual({ ok: true, repeat: 'held', left: [60] });
        const others = [
          item('x', 21, { onto: 'r' }),
          item('x', 20, { onto: 's' }),
          item('x', 20),
          item('r', 10, { onto: 's' }),
        ];
        for (const other of others) {
          expect((await kit.store.reserve([other]))[0]).toMatchObject({ ok: false, why: 'conflict', line: -1 });
        }
      });
      await settle('r', [10, 15]);
      expect(await reserve('x', 20, { onto: 'r' })).toEqual({ ok: true, repeat: 'settled', left: [65] });
      expect(await reserve('r', 10)).toMatchObject({ ok: true, repeat: 'settled' });
      expect(await counted()).toEqual({ 'a usd': [25, 10] });
    });
  });
}

function stopsScopes(kit: Kit): void {
  const { line, item, reserve, settle, counted } = kit;
  describe('S13: stop', () => {
    const stopped = (at: number): object => ({ ok: false, why: 'stopped', line: at });
    it('refuses every later reservation in the scope, and only there, until it is resumed', async () => {
      await kit.store.reserve([item('r', 10), item('s', [line(10, { scope: 'b' })])]);
      await kit.store.stop('a');
      await kit.store.stop('a');
      const before = await counted();
      expect(before).toEqual({ 'a usd': [0, 10], 'b usd': [0, 10] });
      expect(await reserve('r1', [line(1, { scope: 'b' }), line(1)])).toMatchObject(stopped(1));
      expect(await reserve('r2', 0)).toMatchObject(stopped(0));
      expect(await reserve('r3', 1, { onto: 's' })).toMatchObject(stopped(0));
      expect(await reserve('r4', [line(500)])).toMatchObject(stopped(0));
      expect(await counted()).toEqual(before);
      expect(await reserve('r5', [line(1, { scope: 'b' })])).toMatchObject({ ok: true, left: [89] });
      await kit.store.resume('a');
      await kit.store.resume('a');
      expect(await reserve('r1', [line(1, { scope: 'b' }), line(1)])).toMatchObject({ ok: true, left: [88, 89] });
    });
    it('answers repeats, renews leases and lets holds end', async () => {
      await kit.store.reserve(['r1', 'r2', 'r3'].map((id) => item(id, 10, { leaseMs: 0 })));
      await kit.store.stop('a');
      expect(await reserve('r1', 10, { leaseMs: 0 })).toMatchObject({ ok: true, repeat: 'held' });
      expect(await reserve('renewal', [], { onto: 'r3' })).toMatchObject({ ok: true, left: [] });
      expect(await settle('r1', [12])).toEqual({ state: 'settled', first: true, overrun: [2] });
      expect(await kit.store.sweep(10)).toEqual([{ id: 'r2' }]);
      expect(await counted()).toEqual({ 'a usd': [22, 10] });
    });
    it('holds for a scope that nobody has opened yet, and for the token from before', async () => {
      await kit.store.stop('d');
      const generation = (await kit.store.open(['d']))['d'] as string;
      expect(await reserve('r1', [line(1, { scope: 'd', generation })])).toMatchObject(stopped(0));
      expect(await kit.store.open(['d'])).toEqual({ d: generation });
      await kit.store.resume('d');
      expect(await reserve('r2', [line(1, { scope: 'd', generation })])).toMatchObject({ ok: true });
      await kit.store.resume('never opened');
      expect(await kit.store.read(['never opened'])).toEqual({});
    });
    it('does not open again what was shut', async () => {
      await kit.store.shut('a');
      await kit.store.stop('a');
      expect(await reserve('r1', 1)).toMatchObject({ ok: false, why: 'closed', line: 0 });
      await kit.store.resume('a');
      expect(await reserve('r1', 1)).toMatchObject({ ok: false, why: 'closed', line: 0 });
    });
  });
}

function forcesWhatHasHappened(kit: Kit): void {
  const { line, reserve, settle, counted } = kit;
  describe('force', () => {
    it('books above every cap, tells what is left of it, and is a reservation like any other', async () => {
      await reserve('r1', 90);
      expect(await reserve('r2', 30, { force: true })).toEqual({ ok: true, repeat: undefined, left: [-20] });
      expect(await reserve('r2', 30, { force: true })).toEqual({ ok: true, repeat: 'held', left: [-20] });
      expect(await reserve('r3', [line(200, { book: 'reserve' })], { force: true })).toMatchObject({ left: [-220] });
      await settle('r2', [35]);
      expect(await counted()).toEqual({ 'a usd': [235, 90] });
      expect(await reserve('r4', 1)).toMatchObject({ ok: false, why: 'exhausted', line: 0, left: -225 });
    });
    it('is refused past 2 ** 53 - 1 units, and changes nothing then', async () => {
      await reserve('r1', [line(MAX, { cap: 10 })], { force: true });
      const refused = { ok: false, why: 'in_flight', line: 1, left: 0 };
      const lines = [line(1, { scope: 'b' }), line(1)];
      expect(await reserve('r2', lines, { force: true })).toMatchObject(refused);
      expect(await counted()).toEqual({ 'a usd': [0, MAX] });
    });
    it('goes through a stop, and not into a scope that is shut or lost', async () => {
      await kit.store.stop('a');
      expect(await reserve('r1', 120, { force: true })).toMatchObject({ ok: true, left: [-20] });
      const lost = [line(1, { generation: 'another' })];
      expect(await reserve('r2', lost, { force: true })).toMatchObject({ ok: false, why: 'state_lost', line: 0 });
      await kit.store.shut('b');
      const shut = [line(1, { scope: 'b' })];
      expect(await reserve('r3', shut, { force: true })).toMatchObject({ ok: false, why: 'closed', line: 0 });
      expect(await counted()).toEqual({ 'a usd': [0, 120] });
    });
  });
}

function shutsScopes(kit: Kit): void {
  const { line, item, reserve, settle, counted } = kit;
  describe('shut', () => {
    it('refuses every later reservation in the scope, and only there', async () => {
      await kit.store.reserve([item('r', 10), item('s', [line(10, { scope: 'b' })])]);
      await kit.store.shut('a');
      await kit.store.shut('a');
      await kit.store.shut('never opened');
      const before = (await counted())['b usd'];
      const lines = [line(1, { scope: 'b' }), line(1)];
      expect(await reserve('r1', lines)).toMatchObject({ ok: false, why: 'closed', line: 1 });
      expect(await reserve('r2', 0)).toMatchObject({ ok: false, why: 'closed', line: 0 });
      expect(await reserve('r3', 1, { onto: 's' })).toMatchObject({ ok: false, why: 'closed', line: 0 });
      expect((await counted())['b usd']).toEqual(before);
      expect(await reserve('r4', [line(1, { scope: 'b' })])).toMatchObject({ ok: true, left: [89] });
      expect(await kit.store.open(['a'])).toMatchObject({ a: kit.token('a') });
      expect(await reserve('r5', 1)).toMatchObject({ ok: false, why: 'closed', line: 0 });
    });
    it('answers repeats', async () => {
      await reserve('r', [line(10), line(10, { scope: 'b' })]);
      await kit.store.shut('a');
      const again = await reserve('r', [line(10), line(10, { scope: 'b' })]);
      expect(again).toMatchObject({ ok: true, repeat: 'held' });
      expect((again as { left: readonly Units[] }).left[1]).toBe(90);
    });
    it('lets open holds end', async () => {
      await kit.store.reserve(
        ['r1', 'r2', 'r3'].map((id) => item(id, [line(10), line(10, { scope: 'b' })], { leaseMs: 0 })),
      );
      await kit.store.shut('a');
      expect(await settle('r1', [1, 12])).toEqual({ state: 'settled', first: true, overrun: [0, 2] });
      expect(await settle('r2', 'void')).toEqual({ state: 'void', first: true, overrun: [] });
      expect(await kit.store.sweep(10)).toEqual([{ id: 'r3' }]);
      expect((await counted())['b usd']).toEqual([22, 0]);
    });
  });
}

function tellsHowLongToWait(kit: Kit): void {
  const { day, line, reserve, settle, timed } = kit;
  describe('retryMs', () => {
    const refusals: readonly { name: string; span: () => Span; used: Units; held: Units; ask: Units }[] = [
      { name: 'rolling', span: () => MINUTE, used: 95, held: 0, ask: 10 },
      { name: 'rolling beside a hold', span: () => MINUTE, used: 80, held: 15, ask: 30 },
      { name: 'calendar', span: () => day(0), used: 95, held: 0, ask: 10 },
      { name: 'calendar beside a hold', span: () => day(0), used: 80, held: 15, ask: 30 },
    ];
    timed.each(refusals)('is a wait after which the same fits: $name', async ({ span, used, held, ask }) => {
      const { kind } = span();
      for (const [id, amount] of [
        ['r1', 5],
        ['r2', used - 5],
      ] as const) {
        await reserve(id, [line(amount, { span: span() })]);
        await settle(id, [amount]);
        kit.clock.advance(7_300);
      }
      await reserve('open', [line(held, { span: span() })]);
      for (const back of [0, 5_000]) {
        kit.move(-back);
        const decision = await reserve('r', [line(ask, { span: span() })]);
        expect(decision).toMatchObject({ ok: false, why: 'exhausted', retryMs: expect.any(Number) });
        const { retryMs } = decision as { retryMs: number };
        expect(Number.isSafeInteger(retryMs) && retryMs > 0).toBe(true);
        if (back === 0) continue;
        kit.clock.advance(retryMs);
        const then = kind === 'calendar' ? day(1) : span();
        expect(await reserve('r', [line(ask, { span: then })])).toMatchObject({ ok: true });
      }
    });
    const never: readonly { name: string; span: () => Span; used: Units; held: Units; ask: Units; why: string }[] = [
      { name: 'a total that is spent', span: () => TOTAL, used: 95, held: 0, ask: 10, why: 'exhausted' },
      { name: 'a hold in the way, rolling', span: () => MINUTE, used: 20, held: 75, ask: 85, why: 'exhausted' },
      { name: 'a hold in the way, calendar', span: () => day(0), used: 20, held: 75, ask: 85, why: 'exhausted' },
      { name: 'holds alone in the way', span: () => MINUTE, used: 20, held: 75, ask: 80, why: 'in_flight' },
      { name: 'holds that may end before', span: () => MINUTE, used: 50, held: 40, ask: 20, why: 'in_flight' },
      { name: 'more than the cap', span: () => MINUTE, used: 20, held: 0, ask: 101, why: 'exceeds_cap' },
    ];
    it.each(never)('is absent where time alone does not help: $name', async ({ span, used, held, ask, why }) => {
      await reserve('r1', [line(used, { span: span() })]);
      await settle('r1', [used]);
      await reserve('open', [line(held, { span: span() })]);
      const decision = await reserve('r', [line(ask, { span: span() })]);
      expect(decision).toMatchObject({ ok: false, why, line: 0, left: 100 - used - held });
      expect((decision as { retryMs?: unknown }).retryMs).toBeUndefined();
    });
  });
}

function holdsRollingWindows(kit: Kit): void {
  const { counted, reserve, settle, timed } = kit;
  describe('rolling windows', () => {
    interface Booking {
      readonly at: number;
      readonly units: number;
    }
    const step = fc.record({
      /** Mostly forwards; the store must not believe the rest. */
      move: fc.oneof(
        { weight: 8, arbitrary: fc.integer({ min: 0, max: 30 }) },
        { weight: 1, arbitrary: fc.integer({ min: -300, max: 0 }) },
        { weight: 1, arbitrary: fc.integer({ min: 0, max: 300 }) },
      ),
      amount: fc.integer({ min: 1, max: 12 }),
      book: fc.constantFrom<Line['book'][]>('reserve', 'settle'),
      /** Which of the open holds ends after this step, and how much less than its amount it cost. */
      ends: fc.option(fc.nat({ max: 5 }), { nil: undefined }),
      less: fc.option(fc.nat({ max: 4 }), { nil: undefined }),
    });
    let runs = 0;
    timed('never hold more than the cap, and let go less than a step late', async () => {
      const windows = fc.record({ ms: fc.integer({ min: 1, max: 120 }), stepMs: fc.integer({ min: 1, max: 40 }) });
      const traffic = fc.array(step, { minLength: 1, maxLength: 40, size: 'max' });
      const property = fc.asyncProperty(windows, traffic, async ({ ms, stepMs }, steps) => {
        const [scope, cap, span] = [`rolling ${++runs}`, 12, { kind: 'rolling', ms, stepMs } as const];
        const generation = (await kit.store.open([scope]))[scope] as string;
        const booked = new Map<string, Booking>();
        const open = new Map<string, Line>();
        let now = Number.NEGATIVE_INFINITY;
        const inside = (from: number, to: number): number =>
          [...booked.values()].reduce((sum, { at, units }) => (from < at && at <= to ? sum + units : sum), 0);
        const held = (): number =>
          [...open.values()].reduce((sum, { book, amount }) => (book === 'settle' ? sum + amount : sum), 0);
        for (const [i, { move, amount, book, ends, less }] of steps.entries()) {
          kit.move(move);
          now = Math.max(now, kit.clock.now());
          const [used, inHold] = (await counted([scope]))[`${scope} calls`] ?? [0, 0];
          expect(inHold).toBe(held());
          expect(used).toBeGreaterThanOrEqual(inside(now - ms, now));
          expect(used).toBeLessThanOrEqual(inside(now - ms - stepMs, now));

          const wanted: Line = { scope, generation, meter: 'calls', span, cap, amount, book };
          const id = `${scope} ${i}`;
          const { ok } = await reserve(id, [wanted]);
          if (!ok) expect(inside(now - ms - stepMs, now) + held() + amount).toBeGreaterThan(cap);
          if (ok) open.set(id, wanted);
          if (ok && book === 'reserve') booked.set(id, { at: now, units: amount });

          const [ended, its] = [...open][ends ?? -1] ?? [];
          if (ended !== undefined && its !== undefined) {
            const units = Math.max(0, its.amount - (less ?? 0));
            await settle(ended, less === undefined ? 'void' : [units]);
            open.delete(ended);
            if (less === undefined) booked.delete(ended);
            else if (its.book === 'settle') booked.set(ended, { at: now, units });
          }
          for (const { at } of booked.values()) expect(inside(at - ms, at)).toBeLessThanOrEqual(cap);
          expect(inside(now - ms, now) + held()).toBeLessThanOrEqual(cap);
        }
      });
      await fc.assert(property, { numRuns: kit.hooks.runs ?? 150 });
    });
  });
}
