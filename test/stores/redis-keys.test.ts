import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { budget } from '../../src/guards/budget.ts';
import { callCap } from '../../src/guards/call-cap.ts';
import { egress } from '../../src/guards/egress.ts';
import { rateLimit } from '../../src/guards/rate-limit.ts';
import { createLeash } from '../../src/leash.ts';
import { fromIoredis, redisStore } from '../../src/stores/redis.ts';
import type { Decision, Lifetime, Line, Reserve, Store } from '../../src/stores/store.ts';
import { type DatabaseServer, redisExecutable, redisUrl, startRedis } from '../helpers/databases.ts';
import { atTime, connectIoredis, forget, keysOf, randomPrefix, type TestClient } from '../helpers/redis.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** Longer than any test, and shorter than what is told apart. */
const SLACK_MS = 30_000;

describe.skipIf(redisUrl === undefined)('keys of redisStore', () => {
  let connection: TestClient;
  let prefix: string;
  let store: Store;
  let generations: Record<string, string>;
  beforeAll(async () => {
    connection = await connectIoredis(redisUrl as string);
  });
  afterAll(() => connection.close());

  async function fresh(scopes: Readonly<Record<string, Lifetime>>, forgetAfter = HOUR_MS): Promise<void> {
    prefix = randomPrefix();
    store = redisStore({ client: connection.client, prefix, forgetAfter });
    generations = {};
    for (const [scope, lifetime] of Object.entries(scopes)) {
      Object.assign(generations, await store.open([scope], lifetime));
    }
  }

  function item(id: string, scopes: readonly string[], other: Partial<Reserve> = {}): Reserve {
    const lines = scopes.map(
      (scope): Line => ({
        scope,
        generation: generations[scope] as string,
        meter: 'usd',
        span: { kind: 'total' },
        cap: 100,
        amount: 5,
        book: 'settle',
      }),
    );
    return { id, lines, leaseMs: MINUTE_MS, ...other };
  }

  /** For how long each key lives, by what follows the prefix; -1: for ever. */
  async function lives(): Promise<Record<string, number>> {
    const all: Record<string, number> = {};
    for (const key of await keysOf(connection, prefix)) {
      all[key.slice(`leash:{${prefix}}:`.length)] = Number(await connection.command('PTTL', key));
    }
    return all;
  }

  const within = (least: number, most: number): unknown => ({
    asymmetricMatch: (ms: number) => ms > least - SLACK_MS && ms <= most,
  });
  const FOR_EVER = -1;
  /** Unused for an hour, and an eighth more: not every use moves it on. */
  const scopeLife = within(HOUR_MS, (HOUR_MS * 9) / 8);
  const leased = within(HOUR_MS + MINUTE_MS, HOUR_MS + MINUTE_MS + HOUR_MS / 8);

  it('live as long as what they are for', async () => {
    await fresh({ mine: 'temporary', org: 'kept' });
    expect(await lives()).toEqual({ 's:mine': scopeLife, 's:org': FOR_EVER });

    // On temporary scopes alone time may take a hold away; one on a kept scope must be forfeited there.
    await store.reserve([item('own', ['mine']), item('both', ['mine', 'org']), item('shared', ['org'])]);
    const open = { 's:mine': leased, 's:org': FOR_EVER, x: FOR_EVER, 'h:both': FOR_EVER, 'h:shared': FOR_EVER };
    expect(await lives()).toEqual({ ...open, y: within(HOUR_MS, 2 * HOUR_MS), 'h:own': leased });

    await store.settle([
      { id: 'own', actual: [5] },
      { id: 'both', actual: 'void' },
      { id: 'shared', actual: 'forfeit' },
      { id: 'never', actual: 'void' },
    ]);
    expect(await lives()).toEqual({
      's:mine': leased,
      's:org': FOR_EVER,
      'h:own': within(5 * MINUTE_MS, 5 * MINUTE_MS),
      'h:both': within(5 * MINUTE_MS, 5 * MINUTE_MS),
      'h:shared': within(5 * MINUTE_MS, 5 * MINUTE_MS),
      'h:never': within(HOUR_MS, HOUR_MS),
    });
    await store.shut('mine');
    await store.shut('org');
    expect(await lives()).toMatchObject({ 's:mine': within(DAY_MS, DAY_MS), 's:org': within(DAY_MS, DAY_MS) });
    await forget(connection, prefix);
  });

  it('remember an end for as long as was asked', async () => {
    await fresh({ mine: 'temporary' });
    await store.reserve([item('long', ['mine'], { keepMs: 2 * HOUR_MS }), item('short', ['mine'], { keepMs: 1 })]);
    await store.settle([
      { id: 'long', actual: [5] },
      { id: 'short', actual: 'void' },
    ]);
    expect(await lives()).toMatchObject({
      'h:long': within(2 * HOUR_MS, 2 * HOUR_MS),
      'h:short': within(5 * MINUTE_MS, 5 * MINUTE_MS),
    });
    await forget(connection, prefix);
  });

  it('live on with an extension of their hold, and end with it', async () => {
    await fresh({ mine: 'temporary', org: 'kept' });
    await store.reserve([item('r', ['mine'])]);
    await store.reserve([item('more', ['mine'], { onto: 'r', leaseMs: 5 * HOUR_MS })]);
    const longer = within(6 * HOUR_MS, 6 * HOUR_MS + HOUR_MS / 8);
    expect(await lives()).toMatchObject({
      's:mine': longer,
      'h:r': longer,
      'h:more': longer,
      y: within(6 * HOUR_MS, 8 * HOUR_MS),
    });
    await store.reserve([item('renewal', [], { onto: 'r', leaseMs: 9 * HOUR_MS })]);
    const longest = within(10 * HOUR_MS, 10 * HOUR_MS + HOUR_MS / 8);
    expect(await lives()).toMatchObject({ 's:mine': longest, 'h:r': longest, 'h:more': longest });
    expect(Object.keys(await lives())).not.toContain('h:renewal');

    // From now on a kept scope counts on it.
    await store.reserve([item('kept', ['org'], { onto: 'r' })]);
    expect(await lives()).toMatchObject({ 'h:r': FOR_EVER, 'h:more': FOR_EVER, 'h:kept': FOR_EVER, x: FOR_EVER });
    expect(Object.keys(await lives())).not.toContain('y');
    await store.settle([{ id: 'r', actual: [5, 5, 5] }]);
    const ended = within(5 * MINUTE_MS, 5 * MINUTE_MS);
    expect(await lives()).toEqual({
      's:mine': longest,
      's:org': FOR_EVER,
      'h:r': ended,
      'h:more': ended,
      'h:kept': ended,
    });
    await forget(connection, prefix);
  });

  it('hold the longest lease of a hold, whatever set it is in', async () => {
    prefix = randomPrefix();
    let time = Date.now();
    store = redisStore({ client: atTime(connection, prefix, () => time), prefix, forgetAfter: HOUR_MS });
    generations = { ...(await store.open(['mine'], 'temporary')), ...(await store.open(['org'])) };
    await store.reserve([item('r', ['mine'], { leaseMs: 10_000 })]);
    await store.reserve([item('kept', ['org'], { onto: 'r', leaseMs: 1_000 })]);
    time += 9_999;
    expect(await store.sweep(10)).toEqual([]);
    time += 1;
    expect(await store.sweep(10)).toEqual([{ id: 'r' }]);
    expect(await store.read(['mine', 'org'])).toEqual({
      mine: { usd: { used: 5, held: 0 } },
      org: { usd: { used: 5, held: 0 } },
    });
    await forget(connection, prefix);
  });

  it('hold the longest lease of a hold that was made and extended in one script', async () => {
    await fresh({ mine: 'temporary', org: 'kept' });
    await Promise.all([
      store.reserve([item('r', ['mine'], { leaseMs: HOUR_MS })]),
      store.reserve([item('kept', ['org'], { onto: 'r', leaseMs: 1 })]),
    ]);
    const ends = await connection.command('ZSCORE', `leash:{${prefix}}:x`, `leash:{${prefix}}:h:r`);
    expect(Number(ends) - Date.now()).toEqual(within(HOUR_MS, HOUR_MS));
    await forget(connection, prefix);
  });

  it('last as long as the scopes of an extension, under a hold that was on none', async () => {
    await fresh({ mine: 'temporary' });
    await store.reserve([item('r', [], { leaseMs: MINUTE_MS })]);
    await store.reserve([item('more', ['mine'], { onto: 'r', leaseMs: 1 })]);
    expect(await lives()).toMatchObject({ 's:mine': leased, 'h:r': leased, 'h:more': leased });
    await forget(connection, prefix);
  });

  it('of a hold with many lines come to their end with what was added to it', async () => {
    await fresh({ mine: 'temporary' });
    const [line] = item('', ['mine']).lines as [Line];
    const lines = Array.from({ length: 2_000 }, (_, i): Line => ({ ...line, meter: `m${i}`, amount: 1 }));
    await store.reserve([item('r', [], { lines })]);
    await store.reserve([item('more', ['mine'], { onto: 'r' })]);
    expect(await store.settle([{ id: 'r', actual: 'void' }])).toMatchObject([{ state: 'void', first: true }]);
    const { mine = {} } = await store.read(['mine']);
    expect(Object.values(mine).filter(({ used, held }) => used + held !== 0)).toEqual([]);
    await forget(connection, prefix);
  });

  it('of a temporary scope last while it is used: by denials and readings too', async () => {
    prefix = randomPrefix();
    let time = Date.now();
    store = redisStore({ client: atTime(connection, prefix, () => time), prefix, forgetAfter: HOUR_MS });
    generations = { ...(await store.open(['mine'], 'temporary')) };
    const denied: Reserve = {
      ...item('r', []),
      lines: item('r', ['mine']).lines.map((line) => ({ ...line, amount: 101 })),
    };
    for (const use of [
      () => store.reserve([denied]),
      () => store.read(['mine']),
      () => store.open(['mine'], 'temporary'),
    ]) {
      await connection.command('PEXPIRE', `leash:{${prefix}}:s:mine`, '90000');
      time += HOUR_MS / 2;
      await use();
      expect((await lives())['s:mine'], String(use)).toEqual(within(HOUR_MS, HOUR_MS + MINUTE_MS + HOUR_MS / 8));
    }
    await forget(connection, prefix);
  });

  it('are gone with the scope, whose holds end without it', async () => {
    await fresh({ mine: 'temporary', org: 'kept' });
    await store.reserve([item('both', ['mine', 'org'], { leaseMs: 0 }), item('r', ['mine', 'org'])]);
    // As time does.
    await connection.command('DEL', `leash:{${prefix}}:s:mine`);
    expect((await store.reserve([item('next', ['mine'])]))[0]).toMatchObject({ ok: false, why: 'state_lost', line: 0 });
    Object.assign(generations, await store.open(['mine'], 'temporary'));
    expect(await store.sweep(10)).toEqual([]);
    expect((await store.settle([{ id: 'r', actual: [9, 7] }]))[0]).toEqual({
      state: 'settled',
      first: true,
      overrun: [4, 2],
    });
    // Nothing of the scope that is gone reaches the one that has its name now.
    expect(await store.read(['mine', 'org'])).toEqual({ mine: {}, org: { usd: { used: 12, held: 0 } } });
    await forget(connection, prefix);
  });

  it('of sessions that were closed or abandoned are all to go by themselves', async () => {
    prefix = randomPrefix();
    store = redisStore({ client: connection.client, prefix, forgetAfter: HOUR_MS });
    for (let i = 0; i < 200; i++) {
      const scope = `session ${i}`;
      generations = { ...(await store.open([scope], 'temporary')) };
      await store.reserve([item(`done ${i}`, [scope]), item(`abandoned ${i}`, [scope])]);
      await store.settle([{ id: `done ${i}`, actual: [3] }]);
      if (i % 2 === 0) await store.shut(scope);
    }
    const all = await lives();
    expect(Object.keys(all).length).toBeGreaterThan(200);
    for (const [key, ms] of Object.entries(all)) expect(ms > 0 && ms <= DAY_MS, `${key} lives ${ms}`).toBe(true);
    await forget(connection, prefix);
  });

  it('of holds of dead processes on a kept scope end when somebody opens a scope', async () => {
    await fresh({ org: 'kept' });
    await store.reserve(Array.from({ length: 5 }, (_, i) => item(`dead ${i}`, ['org'], { leaseMs: 0 })));
    await store.open(['another'], 'temporary');
    expect((await store.read(['org']))['org']).toEqual({ usd: { used: 25, held: 0 } });
    expect(Object.keys(await lives())).not.toContain('x');
    await forget(connection, prefix);
  });

  it('take the prefix that a client puts before them', async () => {
    prefix = randomPrefix();
    const redis = new Redis(redisUrl as string, { keyPrefix: 'app:' });
    store = redisStore({ client: fromIoredis(redis), prefix });
    generations = { ...(await store.open(['mine'])) };
    await store.reserve([item('r1', ['mine']), item('r2', ['mine'], { leaseMs: 0 })]);
    await store.settle([{ id: 'r1', actual: [3] }]);
    expect(await store.sweep(10)).toEqual([{ id: 'r2' }]);
    expect((await store.read(['mine']))['mine']).toEqual({ usd: { used: 8, held: 0 } });
    expect(await keysOf(connection, prefix)).toEqual([]);
    const keys = (await connection.command('KEYS', `app:leash:{${prefix}}:*`)) as string[];
    expect(keys).toHaveLength(3);
    await connection.command('DEL', ...keys);
    redis.disconnect();
  });

  it('are read by a client that makes text of all numbers', async () => {
    prefix = randomPrefix();
    const redis = new Redis(redisUrl as string, { stringNumbers: true });
    store = redisStore({ client: fromIoredis(redis), prefix });
    generations = { ...(await store.open(['mine'])) };
    const [held] = await store.reserve([item('r1', ['mine'])]);
    expect(held).toEqual({ ok: true, repeat: undefined, left: [95] });
    expect(await store.settle([{ id: 'r1', actual: [7] }])).toEqual([{ state: 'settled', first: true, overrun: [2] }]);
    expect(await store.read(['mine', 'none'])).toEqual({ mine: { usd: { used: 7, held: 0 } } });
    await forget(connection, prefix);
    redis.disconnect();
  });

  it('drop the steps of a rolling window that it has left', async () => {
    prefix = randomPrefix();
    let time = Date.now();
    store = redisStore({ client: atTime(connection, prefix, () => time), prefix });
    generations = { ...(await store.open(['mine'], 'temporary')) };
    const [line] = item('r', ['mine']).lines as [Line];
    const rolling: Line = {
      ...line,
      span: { kind: 'rolling', ms: 10_000, stepMs: 100 },
      cap: 1_000_000,
      book: 'reserve',
    };
    const fields = async (): Promise<number> => Number(await connection.command('HLEN', `leash:{${prefix}}:s:mine`));
    let most = 0;
    for (let i = 0; i < 400; i++) {
      expect((await store.reserve([{ id: `r${i}`, lines: [rolling], leaseMs: 0 }]))[0]).toMatchObject({ ok: true });
      most = Math.max(most, await fields());
      time += 100;
    }
    expect((await store.read(['mine']))['mine']).toEqual({ usd: { used: 500, held: 0 } });
    // A hundred steps and the one that is going; generation, time and the counter.
    expect(most).toBeLessThanOrEqual(104);
    time += 60_000;
    await store.reserve([{ id: 'later', lines: [rolling], leaseMs: 0 }]);
    expect(await fields()).toBe(3);
    await forget(connection, prefix);
  });
});

describe.skipIf(redisExecutable() === undefined)('calls to Redis', () => {
  let server: DatabaseServer;
  let connection: TestClient;
  beforeAll(async () => {
    server = await startRedis();
    connection = await connectIoredis(server.url);
  });
  afterAll(async () => {
    connection.close();
    await server.stop();
  });

  /** How often the server was asked by clients, by command; what scripts do by themselves is left out. */
  async function asked(action: () => Promise<unknown>): Promise<Record<string, number>> {
    await connection.command('CONFIG', 'RESETSTAT');
    await action();
    const told = String(await connection.command('INFO', 'commandstats'));
    const all: Record<string, number> = {};
    for (const [, name, calls] of told.matchAll(/cmdstat_(\S+?):calls=(\d+)/g)) {
      if (name === 'evalsha' || name === 'eval') all[name] = Number(calls);
    }
    return all;
  }

  it('are one for the reservation and one for the end of a call, and none for one that a pure guard denies', async () => {
    const store = redisStore({ client: connection.client, prefix: 'calls' });
    const guards = [callCap(1_000), budget({ usd: 5 }), budget({ usd: 50, per: 'day', scope: 'org' })];
    const leash = createLeash({ guards: [...guards, rateLimit({ max: 500, per: '1m' })], store, stopOn: 'none' });
    const child = leash.child({
      guards: [callCap(100), budget({ usd: 1 }), rateLimit({ max: 50, per: '1s' }), egress({ allow: ['a.example'] })],
    });
    const run = (url: string): Promise<unknown> =>
      child.run({ tool: 'pay', args: {}, cost: { usd: 0.01 }, url }, async () => 'paid');
    await run('https://a.example/');
    expect(await asked(() => run('https://a.example/'))).toEqual({ evalsha: 2 });
    expect(await asked(() => run('https://b.example/').catch(() => 'denied'))).toEqual({});
    const expensive = (): Promise<unknown> =>
      child.run({ tool: 'pay', args: {}, cost: { usd: 2 } }, async () => 'paid');
    expect(await asked(() => expensive().catch(() => 'denied'))).toEqual({ evalsha: 1 });
    // What is asked in the same tick is one script.
    const many = (): Promise<unknown> => Promise.all(Array.from({ length: 10 }, () => run('https://a.example/')));
    const { evalsha = 0 } = await asked(many);
    expect(evalsha).toBeGreaterThanOrEqual(2);
    expect(evalsha).toBeLessThan(20);
    await leash.close();
  });

  it('take at most 64 reservations of several callers at once, and one caller’s as a whole', async () => {
    const store = redisStore({ client: connection.client, prefix: 'batches' });
    const generation = (await store.open(['a']))['a'] as string;
    const line: Line = {
      scope: 'a',
      generation,
      meter: 'n',
      span: { kind: 'total' },
      cap: 1e9,
      amount: 1,
      book: 'settle',
    };
    const item = (id: string): Reserve => ({ id, lines: [line], leaseMs: 60_000 });
    await store.reserve([item('warm')]);
    const single = await asked(() =>
      Promise.all(Array.from({ length: 160 }, (_, i) => store.reserve([item(`s${i}`)]))),
    );
    expect(single).toEqual({ evalsha: 3 });
    const large = await asked(async () => {
      const decisions: readonly Decision[] = await store.reserve(
        Array.from({ length: 3_000 }, (_, i) => item(`l${i}`)),
      );
      expect(decisions.every(({ ok }) => ok)).toBe(true);
    });
    expect(large).toEqual({ evalsha: 1 });
    const settled = await asked(async () => {
      const ends = await store.settle(Array.from({ length: 3_000 }, (_, i) => ({ id: `l${i}`, actual: [2] })));
      expect(ends.every(({ first, overrun }) => first && overrun[0] === 1)).toBe(true);
    });
    expect(settled).toEqual({ evalsha: 1 });
    expect((await store.read(['a']))['a']).toEqual({ n: { used: 6_000, held: 161 } });
  });
});
