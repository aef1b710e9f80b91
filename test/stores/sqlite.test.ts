import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { DatabaseSync, StatementSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { sqliteSink } from '../../src/audit/sqlite-sink.ts';
import { callCap } from '../../src/guards/call-cap.ts';
import { createLeash } from '../../src/leash.ts';
import { prepareSchema } from '../../src/stores/sqlite/schema.ts';
import { type SqliteStore, sqliteStore } from '../../src/stores/sqlite.ts';
import type { Line } from '../../src/stores/store.ts';
import { databasePaths, SqliteKit } from '../helpers/sqlite-store.ts';
import { storeContract } from '../helpers/store-contract.ts';

const newPath = databasePaths();
let path: string;
storeContract(
  'sqliteStore',
  (clock) => {
    path = newPath();
    return sqliteStore(path, { clock });
  },
  {
    clock: true,
    async lose(store, clock) {
      await (store as SqliteStore).close();
      rmSync(path);
      return sqliteStore(path, { clock });
    },
    dispose: (store) => (store as SqliteStore).close(),
  },
);

describe('sqliteStore', () => {
  const kit = new SqliteKit();
  const { line, item, reserve, settle, usd } = kit;

  describe('its file', () => {
    it('has what was answered after it was closed and opened again', async () => {
      const rolling = line(5, { meter: 'rolling', span: { kind: 'rolling', ms: 60_000, stepMs: 1_000 } });
      const lines = [line(30), rolling, line(1, { meter: 'calls', book: 'reserve' })];
      await reserve('r1', lines);
      await reserve('r2', 20);
      await reserve('more', [line(4)], { onto: 'r2' });
      await reserve('and more', [line(3)], { onto: 'r2' });
      await settle('r1', [25, 5, 1]);
      await kit.store.stop('a');
      const before = await kit.store.read(['a']);
      expect(before).toEqual({
        a: { usd: { used: 25, held: 27 }, rolling: { used: 5, held: 0 }, calls: { used: 1, held: 0 } },
      });
      await kit.reopen();
      expect(await kit.store.read(['a'])).toEqual(before);
      expect(await reserve('r3', 1)).toMatchObject({ why: 'stopped' });
      await kit.store.resume('a');
      expect(await reserve('r1', lines)).toMatchObject({ ok: true, repeat: 'settled' });
      expect(await reserve('more', [line(4)], { onto: 'r2' })).toMatchObject({ ok: true, repeat: 'held' });
      expect(await reserve('and more', [line(3)], { onto: 'r2' })).toMatchObject({ ok: true, repeat: 'held' });
      expect(await reserve('r2', 20)).toMatchObject({ ok: true, repeat: 'held' });
      expect(await kit.store.open(['a'])).toEqual({ a: kit.generation });
      expect(await settle('r2', [20, 4, 5])).toMatchObject({ state: 'settled', first: true, overrun: [0, 0, 2] });
      kit.clock.advance(61_001);
      expect(await kit.store.read(['a'])).toMatchObject({ a: { usd: { used: 54, held: 0 }, rolling: { used: 0 } } });
    });

    it('does not let time run back that it has seen before it was opened again', async () => {
      const units: Line[] = [line(60, { span: { kind: 'rolling', ms: 1_000, stepMs: 10 } })];
      await reserve('r1', units);
      kit.clock.advance(5_000);
      await settle('r1', [60]);
      await kit.reopen();
      kit.clock.advance(-3_600_000);
      expect(await reserve('r2', units)).toMatchObject({ why: 'exhausted', retryMs: 3_600_000 + 1_010 });
      kit.clock.advance(3_600_000 + 1_009);
      expect(await reserve('r2', units)).toMatchObject({ why: 'exhausted', retryMs: 1 });
      kit.clock.advance(1);
      expect(await reserve('r2', units)).toMatchObject({ ok: true });
    });

    it('is one state for all stores on it', async () => {
      const other = kit.open();
      expect(await other.open(['a'])).toEqual({ a: kit.generation });
      const asked = Array.from({ length: 40 }, (_, i) => (i % 2 ? kit.store : other).reserve([item(`r${i}`, 9)]));
      const granted = (await Promise.all(asked)).flatMap(([decision], i) => (decision?.ok ? [`r${i}`] : []));
      expect(granted).toHaveLength(11);
      expect([await usd(), await usd(other)]).toEqual(Array(2).fill({ used: 0, held: 99 }));
      const ended = await Promise.all(granted.map((id) => other.settle([{ id, actual: [9] }])));
      expect(ended.flat()).toEqual(granted.map(() => ({ state: 'settled', first: true, overrun: [] })));
      const again = await Promise.all(granted.map((id) => kit.store.settle([{ id, actual: 'void' }])));
      expect(again.flat()).toEqual(granted.map(() => ({ state: 'settled', first: false, overrun: [] })));
      expect(await usd()).toEqual({ used: 99, held: 0 });
    });

    it.skipIf(process.platform === 'win32')(
      'is its owner’s alone, and is not there before the first call',
      async () => {
        const before = process.umask(0);
        try {
          kit.path = newPath();
          const late = kit.open();
          expect(existsSync(kit.path)).toBe(false);
          await late.open(['a']);
          for (const end of ['', '-wal', '-shm']) expect(statSync(kit.path + end).mode & 0o777).toBe(0o600);
        } finally {
          process.umask(before);
        }
      },
    );

    it('may be made by somebody else at the same moment', async () => {
      kit.path = newPath();
      const { exec } = DatabaseSync.prototype;
      const spy = vi.spyOn(DatabaseSync.prototype, 'exec').mockImplementation(function (this: DatabaseSync, sql) {
        if (sql === 'BEGIN IMMEDIATE') {
          spy.mockRestore();
          const other = new DatabaseSync(kit.path);
          prepareSchema(other);
          other.close();
        }
        exec.call(this, sql);
      });
      await kit.reopen();
      expect(Object.keys(await kit.store.open(['a']))).toEqual(['a']);
      expect(kit.rows('SELECT version FROM leash_store')).toEqual([{ version: 1 }]);
    });

    it('stays where it was named when the working directory changes', async () => {
      const [full, before] = [kit.path, process.cwd()];
      process.chdir(dirname(full));
      try {
        kit.path = basename(full);
        await kit.reopen();
        process.chdir(before);
        expect(await kit.store.open(['a'])).toEqual({ a: kit.generation });
      } finally {
        process.chdir(before);
      }
    });

    it('may have an audit log and tables of others beside the store', async () => {
      const other = new DatabaseSync(kit.path);
      other.exec('CREATE TABLE own (n); INSERT INTO own VALUES (1); PRAGMA user_version = 7');
      const guards = [callCap({ max: 2, scope: 'org' })];
      const leash = createLeash({ guards, store: kit.store, audit: sqliteSink(kit.path) });
      for (const expected of [1, 2]) expect(await leash.run({ tool: 'tool' }, () => expected)).toBe(expected);
      await expect(leash.run({ tool: 'tool' }, () => 3)).rejects.toMatchObject({ code: 'CALL_CAP_REACHED' });
      await leash.close();
      expect(kit.rows('SELECT count(*) AS events FROM leash_log')[0]?.['events']).toBeGreaterThan(5);
      expect({ ...other.prepare('SELECT n, user_version FROM own, pragma_user_version').get() }).toEqual({
        n: 1,
        user_version: 7,
      });
      other.close();
    });

    it.each([
      { name: 'by default', options: {}, synchronous: 1 },
      { name: "for 'process'", options: { durability: 'process' }, synchronous: 1 },
      { name: "for 'power'", options: { durability: 'power' }, synchronous: 2 },
    ] as const)('is in WAL mode, synced as it should be $name', async ({ options, synchronous }) => {
      const connection = await kit.connection(options);
      expect({ ...connection.prepare('PRAGMA journal_mode').get() }).toEqual({ journal_mode: 'wal' });
      expect({ ...connection.prepare('PRAGMA synchronous').get() }).toEqual({ synchronous });
      expect({ ...connection.prepare('PRAGMA busy_timeout').get() }).toEqual({ timeout: 0 });
    });
  });

  describe('calls of one turn of the event loop', () => {
    /** How many items each transaction gave a hold, while `action` ran. */
    async function transactions(action: () => Promise<unknown>): Promise<readonly number[]> {
      const { run } = StatementSync.prototype;
      const counted: number[] = [];
      let inserted = 0;
      const spy = vi.spyOn(StatementSync.prototype, 'run').mockImplementation(function (this: StatementSync, ...args) {
        if (this.sourceSQL.startsWith('INSERT INTO leash_hold')) inserted++;
        if (this.sourceSQL === 'COMMIT') {
          counted.push(inserted);
          inserted = 0;
        }
        return run.apply(this, args);
      });
      try {
        await action();
        return counted;
      } finally {
        spy.mockRestore();
      }
    }
    const ids = (count: number): string[] => Array.from({ length: count }, (_, i) => `r${i}`);

    it('are one transaction of at most 64 items, decided in order', async () => {
      const sizes = [1, 1, 0, 1, 60, 1, 2, 30, 32, 2, 100, 1].map((size, i) =>
        Array.from({ length: size }, (_, j) => item(`${i}.${j}`, [line(0)])),
      );
      let answers: readonly string[] = [];
      const asked = await transactions(async () => {
        const decisions = sizes.map(async (batch, i) => {
          await kit.store.reserve(batch);
          answers = [...answers, `${i}`];
        });
        await Promise.all(decisions);
      });
      expect(asked).toEqual([64, 64, 2, 100, 1]);
      expect(answers).toEqual(sizes.map((_, i) => `${i}`));
    });

    it('see what those before them did', async () => {
      const answers = await Promise.all([
        kit.store.open(['b']),
        kit.store.reserve([item('r1', 60), item('r2', 60, { leaseMs: 0 })]),
        kit.store.settle([{ id: 'r1', actual: [10] }]),
        kit.store.reserve([item('r2', 60, { leaseMs: 0 })]),
        kit.store.sweep(10),
        kit.store.reserve([item('r3', 20)]),
        kit.store.reserve([item('more', 5, { onto: 'r3' }), item('more', 5, { onto: 'r3' })]),
        kit.store.settle([
          { id: 'r3', actual: [20, 5] },
          { id: 'never', actual: 'void' },
        ]),
        kit.store.reserve([item('never', 1)]),
        kit.store.stop('a'),
        kit.store.reserve([item('r4', 1)]),
        kit.store.resume('a'),
        kit.store.read(['a']),
        kit.store.shut('a'),
        kit.store.reserve([item('r5', 1)]),
        kit.store.settle([{ id: 'r2', actual: [70] }]),
        kit.store.read(['a']),
      ]);
      expect(answers.slice(1)).toMatchObject([
        [{ ok: true }, { why: 'in_flight', left: 40 }],
        [{ state: 'settled', first: true }],
        [{ ok: true, left: [30] }],
        [{ id: 'r2' }],
        [{ ok: true, left: [10] }],
        [
          { ok: true, left: [5] },
          { ok: true, repeat: 'held', left: [5] },
        ],
        [{ state: 'settled', first: true }, { state: 'unknown' }],
        [{ why: 'terminal' }],
        undefined,
        [{ why: 'stopped' }],
        undefined,
        { a: { usd: { used: 95, held: 0 } } },
        undefined,
        [{ why: 'closed' }],
        [{ state: 'forfeited', first: false, overrun: [10] }],
        { a: {} },
      ]);
      expect(kit.counts()).toEqual({ scope: 2, counter: 0, step: 0, hold: 4, extension: 1 });
    });

    it('may change a thing back to what it was', async () => {
      await reserve('r1', 10);
      // Ended leases are looked for in the file, for which it must have what has changed until then.
      await Promise.all([
        reserve('r2', 5),
        kit.store.stop('a'),
        kit.store.sweep(1),
        settle('r2', 'void'),
        kit.store.resume('a'),
      ]);
      expect(await usd()).toEqual({ used: 0, held: 10 });
      expect(await reserve('r3', 1)).toMatchObject({ ok: true });
    });

    it('do not forfeit what was ended or extended before', async () => {
      for (const id of ['r1', 'r2', 'r3']) await reserve(id, 10, { leaseMs: 0 });
      const answers = await Promise.all([
        settle('r1', [7]),
        reserve('renewal', [], { onto: 'r2' }),
        kit.store.sweep(10),
        settle('r1', [9]),
      ]);
      expect(answers.slice(2)).toMatchObject([[{ id: 'r3' }], { state: 'settled', first: false }]);
      expect(await usd()).toEqual({ used: 17, held: 10 });
    });

    it('do not count in a scope that was shut before', async () => {
      const rolling = line(5, { meter: 'rolling', span: { kind: 'rolling', ms: 60_000, stepMs: 1_000 } });
      await Promise.all([reserve('r1', [rolling, line(5)]), kit.store.shut('a'), settle('r1', [5, 5])]);
      expect(await kit.store.read(['a'])).toEqual({ a: {} });
      expect(await settle('r1', [5, 5])).toMatchObject({ state: 'settled', first: false });
    });

    it('are refused by themselves where they ask for what cannot be', async () => {
      const bad = item('bad', [line(1.5)]);
      const answers = await Promise.allSettled([
        kit.store.reserve([item('r1', 10)]),
        kit.store.reserve([item('r2', 10), bad, item('r3', 10)]),
        kit.store.settle([
          { id: 'r1', actual: [5] },
          { id: 'r1', actual: [-1] },
        ]),
        kit.store.settle([{ id: 'r1', actual: [1, 2] }]),
        kit.store.sweep(-1),
        kit.store.open(['b'], 'long' as never),
        kit.store.reserve([item('r4', 10)]),
      ]);
      expect(answers.map(({ status }) => status === 'fulfilled')).toEqual([
        true,
        false,
        false,
        false,
        false,
        false,
        true,
      ]);
      expect(await usd()).toEqual({ used: 0, held: 20 });
    });

    it('let others of the process have their turn between two transactions', async () => {
      const turns: string[] = [];
      let going = true;
      const tick = (): void => {
        turns.push('other');
        if (going) setImmediate(tick);
      };
      tick();
      await Promise.all(ids(200).map((id) => reserve(id, 0).then(() => turns.push('store'))));
      going = false;
      const runs = turns
        .join(' ')
        .split(/(?: ?other)+ ?/)
        .filter((run) => run !== '');
      expect(runs.map((run) => run.split(' ').length)).toEqual([64, 64, 64, 8]);
    });
  });

  it.each<{ name: string; change: (line: Line) => object }>([
    { name: 'a scope that is no text', change: () => ({ scope: 5 }) },
    { name: 'a scope that is no Unicode', change: () => ({ scope: '\ud800' }) },
    { name: 'a meter that is no text', change: () => ({ meter: null }) },
    { name: 'a meter that is no Unicode', change: () => ({ meter: 'a\udc00' }) },
    { name: 'no span', change: () => ({ span: undefined }) },
    { name: 'an unknown span', change: () => ({ span: { kind: 'week' } }) },
    { name: 'a window without length', change: () => ({ span: { kind: 'rolling', ms: 0, stepMs: 1 } }) },
    { name: 'steps of no length', change: () => ({ span: { kind: 'rolling', ms: 10, stepMs: 0 } }) },
    { name: 'steps of parts of a millisecond', change: () => ({ span: { kind: 'rolling', ms: 10, stepMs: 0.1 } }) },
    { name: 'an unknown way to book', change: () => ({ book: 'later' }) },
  ])('refuses a line with $name', async ({ change }) => {
    const bad = { ...line(1), ...change(line(1)) } as Line;
    await expect(reserve('r', [line(1), bad])).rejects.toThrow(/^(?!.*SQL)/);
    expect(kit.counts()).toMatchObject({ hold: 0, counter: 0 });
  });

  it('refuses names that SQLite cannot keep', async () => {
    const bad = '\ud800';
    for (const ask of [
      () => kit.store.open(['a', bad]),
      () => kit.store.read([bad]),
      () => kit.store.shut(bad),
      () => kit.store.stop(bad),
      () => kit.store.resume(bad),
      () => reserve(bad, 1),
      () => reserve('r', 1, { onto: bad }),
      () => settle(bad, 'void'),
    ]) {
      await expect(ask()).rejects.toThrow('well-formed');
    }
    for (const name of ['', 'a\0b', 'a\0c', 'x\'y"z', '😀']) {
      const generation = (await kit.store.open([name]))[name] as string;
      expect(await reserve(`${name} `, [line(1, { scope: name, meter: name, generation })])).toMatchObject({
        ok: true,
      });
      expect(await kit.store.read([name])).toEqual({ [name]: { [name]: { used: 0, held: 1 } } });
      expect(await settle(`${name} `, [1])).toMatchObject({ state: 'settled', first: true });
    }
  });

  it('counts time no further than 2 ** 53 - 1', async () => {
    const [leaseMs, keepMs] = [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER];
    await reserve('r1', 10, { leaseMs, keepMs });
    await reserve('r2', 10);
    await reserve('renewal', [], { onto: 'r2', leaseMs });
    kit.clock.advance(1e12);
    expect(await kit.store.sweep(10)).toEqual([]);
    for (const id of ['r1', 'r2']) expect(await settle(id, [5])).toMatchObject({ state: 'settled', first: true });
    kit.clock.advance(1e12);
    expect(await reserve('r1', 10, { leaseMs, keepMs })).toMatchObject({ ok: true, repeat: 'settled' });
  });

  it('answers what was asked before it is closed, and nothing after', async () => {
    const asked = reserve('r1', 10);
    const closed = kit.store.close();
    await expect(reserve('r2', 10)).rejects.toThrow('the store was closed');
    expect(await asked).toMatchObject({ ok: true });
    await closed;
    await kit.store.close();
    await expect(reserve('r2', 10)).rejects.toThrow('the store was closed');
    for (const end of ['-wal', '-shm']) expect(existsSync(kit.path + end)).toBe(false);
    await kit.reopen();
    expect(await usd()).toEqual({ used: 0, held: 10 });
  });

  describe('its arguments', () => {
    it.each<{ name: string; path: unknown; error: ErrorConstructor; message: string }>([
      { name: 'an empty path', path: '', error: RangeError, message: 'expects a path' },
      { name: 'a database in memory', path: ':memory:', error: RangeError, message: 'memoryStore()' },
      { name: 'nothing', path: undefined, error: TypeError, message: 'expects a path' },
      { name: 'an open database', path: {}, error: TypeError, message: 'expects a path' },
    ])('are refused: $name', ({ path, error, message }) => {
      expect(() => sqliteStore(path as string)).toThrow(error);
      expect(() => sqliteStore(path as string)).toThrow(message);
    });

    it.each<{ name: string; options: unknown; error: ErrorConstructor; message: string }>([
      { name: 'null', options: null, error: TypeError, message: 'sqliteStore expects an options object' },
      { name: 'an unknown option', options: { timeout: 5 }, error: TypeError, message: '`timeout`' },
      {
        name: 'another durability',
        options: { durability: 'always' },
        error: TypeError,
        message: '`sqliteStore.durability`',
      },
      { name: 'no time', options: { busyTimeoutMs: -1 }, error: RangeError, message: '`sqliteStore.busyTimeoutMs`' },
      { name: 'no number', options: { busyTimeoutMs: '2s' }, error: TypeError, message: '`sqliteStore.busyTimeoutMs`' },
      { name: 'no duration', options: { forgetAfter: 'week' }, error: TypeError, message: '`sqliteStore.forgetAfter`' },
    ])('are refused: $name', ({ options, error, message }) => {
      expect(() => sqliteStore(kit.path, options as never)).toThrow(error);
      expect(() => sqliteStore(kit.path, options as never)).toThrow(message);
    });

    it('need a runtime that has node:sqlite, which is loaded for them alone', () => {
      const builtin = vi.spyOn(process, 'getBuiltinModule').mockReturnValue(undefined as never);
      try {
        expect(() => sqliteStore(kit.path)).toThrow('node:sqlite');
      } finally {
        builtin.mockRestore();
      }
      const file = fileURLToPath(new URL('../../src/adapters/sqlite.ts', import.meta.url));
      const program = `await import(${JSON.stringify(file)}); process.stdout.write(String(process.moduleLoadList.includes('NativeModule sqlite')));`;
      expect(execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })).toBe(
        'false',
      );
    });
  });

  it('runs on the machine’s clock by default', async () => {
    const own = sqliteStore(newPath());
    const generation = (await own.open(['a']))['a'] as string;
    const stale = line(1, { generation, span: { kind: 'calendar', startMs: 0, endMs: 1 } });
    const [decision] = await own.reserve([item('r', [stale])]);
    expect(decision).toMatchObject({ ok: false, why: 'stale', nowMs: expect.any(Number) });
    expect(Math.abs((decision as { nowMs: number }).nowMs - Date.now())).toBeLessThan(60_000);
    await own.close();
  });
});
