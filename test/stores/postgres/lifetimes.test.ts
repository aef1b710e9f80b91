import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Span } from '../../../src/internal/window.ts';
import { type PostgresStoreOptions, postgresStore } from '../../../src/stores/postgres.ts';
import type { Decision, Line, Reserve, Store } from '../../../src/stores/store.ts';
import { FakeClock } from '../../helpers/clock.ts';
import { postgresUrl } from '../../helpers/databases.ts';
import { PostgresSchema } from '../../helpers/postgres.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const NOTHING = { scopes: 0, meters: 0, steps: 0, holds: 0 };

describe.skipIf(postgresUrl === undefined)('what postgresStore keeps', () => {
  let schema: PostgresSchema;
  let clock: FakeClock;
  let store: Store;
  let tokens: Record<string, string>;

  async function make(options: Partial<PostgresStoreOptions> = {}): Promise<Store> {
    return postgresStore({ client: await schema.movedBy(clock), schema: schema.name, timeoutMs: 20_000, ...options });
  }
  const open = async (scopes: readonly string[], lifetime?: 'temporary'): Promise<void> => {
    Object.assign(tokens, await store.open(scopes, lifetime));
  };
  const line = (amount: number, other: Partial<Line> = {}): Line => {
    const generation = tokens[other.scope ?? 'a'] as string;
    return {
      scope: 'a',
      generation,
      meter: 'usd',
      span: { kind: 'total' },
      cap: 1e6,
      amount,
      book: 'settle',
      ...other,
    };
  };
  const item = (id: string, lines: readonly Line[], other: Partial<Reserve> = {}): Reserve => {
    return { id, lines, leaseMs: MINUTE_MS, ...other };
  };
  const reserve = async (...args: Parameters<typeof item>): Promise<Decision> => {
    return (await store.reserve([item(...args)]))[0] as Decision;
  };

  beforeAll(async () => {
    schema = await PostgresSchema.create();
  });
  beforeEach(async () => {
    await schema.empty();
    clock = new FakeClock();
    tokens = {};
    store = await make();
  });
  afterAll(() => schema.drop());

  it('is the end of a hold for as long as was asked, also where nothing else is asked meanwhile', async () => {
    await open(['a']);
    await reserve('r', [line(1)], { keepMs: HOUR_MS });
    await store.settle([{ id: 'r', actual: [1] }]);
    clock.advance(HOUR_MS - 1);
    expect(await reserve('r', [line(1)], { keepMs: HOUR_MS })).toMatchObject({ ok: true, repeat: 'settled' });
    clock.advance(1);
    expect(await reserve('r', [line(1)], { keepMs: HOUR_MS })).toMatchObject({ ok: true, repeat: undefined });
    expect(await reserve('r', [line(1)], { keepMs: HOUR_MS })).toMatchObject({ ok: true, repeat: 'held' });
  });

  it('is the end of a hold, with what was added to it, for five minutes or for as long as was asked', async () => {
    await open(['a']);
    await reserve('r1', [line(1)]);
    await reserve('r1 more', [line(1)], { onto: 'r1' });
    await reserve('r2', [line(1)], { keepMs: HOUR_MS });
    await store.settle([
      { id: 'r1', actual: [1, 1] },
      { id: 'r2', actual: [1] },
    ]);
    clock.advance(5 * MINUTE_MS - 1);
    await store.sweep(0);
    expect(await reserve('r1', [line(1)])).toMatchObject({ ok: true, repeat: 'settled' });
    expect(await reserve('r1 more', [line(1)], { onto: 'r1' })).toMatchObject({ ok: true, repeat: 'settled' });
    clock.advance(1);
    await store.sweep(0);
    expect((await schema.rows()).holds).toBe(1);
    clock.advance(55 * MINUTE_MS - 1);
    await store.sweep(0);
    expect(await reserve('r2', [line(1)])).toMatchObject({ ok: true, repeat: 'settled' });
    clock.advance(1);
    await store.sweep(0);
    expect((await schema.rows()).holds).toBe(0);
  });

  it('is a void that nobody had reserved, for an hour', async () => {
    await open(['a']);
    await store.settle([{ id: 'late', actual: 'void' }]);
    clock.advance(HOUR_MS - 1);
    await store.sweep(0);
    expect(await reserve('late', [line(1)])).toMatchObject({ ok: false, why: 'terminal' });
    clock.advance(1);
    await store.sweep(0);
    expect(await schema.rows()).toEqual({ ...NOTHING, scopes: 1 });
  });

  it('is tidied by whoever leaves something behind: traffic alone does not pile up', async () => {
    await open(['a']);
    const batch = async (n: number): Promise<void> => {
      const ids = Array.from({ length: 20 }, (_, i) => `${n} ${i}`);
      await store.reserve(ids.map((id) => item(id, [line(1)])));
      await store.settle(ids.map((id) => ({ id, actual: [1] })));
      clock.advance(MINUTE_MS);
    };
    const seen: number[] = [];
    for (let n = 0; n < 20; n++) {
      await batch(n);
      seen.push((await schema.rows()).holds);
    }
    expect(Math.max(...seen)).toBe(100);
    expect(seen.at(-1)).toBe(100);
  });

  it('is a temporary scope for a week after its last use, and then nothing of it', async () => {
    const rolling: Span = { kind: 'rolling', ms: DAY_MS, stepMs: 1_000 };
    await open(['a', 'kept']);
    await open(['s'], 'temporary');
    const lines = [
      line(1, { scope: 's', meter: 'calls', span: rolling, book: 'reserve' }),
      line(5, { scope: 's' }),
      line(5),
    ];
    for (let i = 0; i < 3; i++) {
      expect(await reserve(`r${i}`, lines)).toMatchObject({ ok: true });
      await store.settle([{ id: `r${i}`, actual: [1, 5, 5] }]);
      clock.advance(2_000);
    }
    expect(await schema.rows()).toMatchObject({ scopes: 3, meters: 3, steps: 2 });
    clock.advance(7 * DAY_MS - 2_001);
    await store.sweep(0);
    expect(await store.open(['s'])).toEqual({ s: tokens['s'] });
    clock.advance(8 * DAY_MS);
    await store.sweep(0);
    expect(await schema.rows()).toMatchObject({ scopes: 2, meters: 1, steps: 0, holds: 0 });
    expect(await reserve('r9', lines)).toMatchObject({ ok: false, why: 'state_lost', line: 0 });
    expect(await store.read(['s', 'a'])).toEqual({ a: { usd: { used: 15, held: 0 } } });
    await store.open(['s'], 'temporary');
    expect(await reserve('r9', lines)).toMatchObject({ ok: false, why: 'state_lost', line: 0 });
  });

  it.each([
    { name: 'read', use: () => store.read(['s']) },
    { name: 'reserved in', use: () => reserve('r', [line(0, { scope: 's' })]) },
    { name: 'asked and refused', use: () => reserve('x', [line(1e9, { scope: 's' })]) },
    { name: 'opened', use: () => store.open(['s'], 'temporary') },
  ])('is a temporary scope that is $name now and then', async ({ use }) => {
    await open(['s'], 'temporary');
    const token = tokens['s'];
    for (let day = 0; day < 30; day += 6) {
      clock.advance(6 * DAY_MS);
      await use();
      await store.sweep(0);
    }
    expect(await store.open(['s'])).toEqual({ s: token });
  });

  it('is a temporary scope for as long as the options say', async () => {
    store = await make({ forgetAfter: '1h' });
    await open(['s'], 'temporary');
    clock.advance(HOUR_MS);
    await store.sweep(0);
    expect((await schema.rows()).scopes).toBe(1);
    clock.advance(HOUR_MS / 8);
    await store.sweep(0);
    expect((await schema.rows()).scopes).toBe(0);
  });

  it('is nothing of a scope that was shut but its name, for a day', async () => {
    await open(['a', 'b']);
    await reserve('r', [line(5), line(5, { scope: 'b', span: { kind: 'rolling', ms: 5_000, stepMs: 5 } })]);
    await store.settle([{ id: 'r', actual: [5, 5] }]);
    await store.shut('a');
    await store.shut('b');
    expect(await schema.rows()).toEqual({ scopes: 2, meters: 0, steps: 0, holds: 1 });
    clock.advance(DAY_MS - 1);
    await store.shut('a');
    await store.sweep(0);
    expect(await reserve('r2', [line(1)])).toMatchObject({ ok: false, why: 'closed' });
    clock.advance(1);
    await store.sweep(0);
    expect(await reserve('r2', [line(1)])).toMatchObject({ ok: false, why: 'state_lost' });
    expect(await schema.rows()).toEqual(NOTHING);
  });

  it('is a hold until it is swept, and the scope that it is in', async () => {
    await open(['s'], 'temporary');
    await reserve('r', [line(5, { scope: 's' })], { leaseMs: 30 * DAY_MS });
    clock.advance(29 * DAY_MS);
    await store.sweep(10);
    expect(await store.settle([{ id: 'r', actual: [9] }])).toMatchObject([{ state: 'settled', overrun: [4] }]);
    expect(await store.read(['s'])).toEqual({ s: { usd: { used: 9, held: 0 } } });
    clock.advance(30 * DAY_MS);
    await store.sweep(10);
    await store.sweep(10);
    expect(await schema.rows()).toEqual(NOTHING);
  });

  it('is nothing of a thousand sessions that were opened and left, once others have come', async () => {
    const sessions = Array.from({ length: 1_000 }, (_, i) => `session ${i}`);
    await open(sessions, 'temporary');
    const span: Span = { kind: 'rolling', ms: HOUR_MS, stepMs: 10_000 };
    for (let i = 0; i < sessions.length; i += 100) {
      const some = sessions.slice(i, i + 100);
      const lines = (scope: string): Line[] => [line(5, { scope }), line(1, { scope, span, book: 'reserve' })];
      await store.reserve(some.map((scope) => item(scope, lines(scope))));
      await store.settle(some.slice(0, 70).map((id) => ({ id, actual: [3, 1] })));
    }
    expect(await schema.rows()).toMatchObject({ scopes: 1_000, holds: 1_000 });
    clock.advance(8 * DAY_MS);
    for (let n = 0; n < 40; n++) await store.open([`later ${n}`], 'temporary');
    // What they have left themselves is forgotten after them.
    clock.advance(8 * DAY_MS);
    await store.sweep(100);
    await store.sweep(100);
    expect(await schema.rows()).toEqual(NOTHING);
  });
});
