import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { DatabaseSync, StatementSync } from 'node:sqlite';
import { describe, expect, it, vi } from 'vitest';
import { callCap } from '../../src/guards/call-cap.ts';
import { createLeash } from '../../src/leash.ts';
import { type SqliteStore, sqliteStore } from '../../src/stores/sqlite.ts';
import { SqliteKit } from '../helpers/sqlite-store.ts';

const kit = new SqliteKit();
const { line, item, reserve, settle, usd } = kit;

/** Another process that has the database locked until it is disposed of. */
async function locked(): Promise<AsyncDisposable> {
  const program = `
    const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
    const database = new DatabaseSync(${JSON.stringify(kit.path)});
    database.exec('BEGIN IMMEDIATE');
    process.stdout.write('locked');
    process.stdin.on('end', () => database.exec('COMMIT')).resume();
  `;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  await once(child.stdout, 'data');
  return {
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await ended;
    },
  };
}

/** A session denies what it cannot count. */
async function deniedBy(store: SqliteStore): Promise<void> {
  const leash = createLeash({ guards: [callCap({ max: 100, scope: 'org' })], store });
  const tool = vi.fn();
  await expect(leash.run({ tool: 'tool' }, tool)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  expect(tool).not.toHaveBeenCalled();
  await leash.close().catch(() => {});
}

describe('a database that another process has locked', () => {
  it('is waited for without holding up this process', async () => {
    await kit.reopen();
    const lock = await locked();
    const asked = [reserve('r1', 10), settle('never', 'void'), usd()];
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    while (ticks < 20) await new Promise((resolve) => setTimeout(resolve, 1));
    clearInterval(timer);
    await lock[Symbol.asyncDispose]();
    expect(await Promise.all(asked)).toMatchObject([{ ok: true }, { state: 'unknown' }, { used: 0, held: 10 }]);
  });

  it('rejects after `busyTimeoutMs`, and what was rejected never happens', async () => {
    await kit.reopen({ busyTimeoutMs: 60 });
    await reserve('r1', 10);
    const lock = await locked();
    const begun = performance.now();
    const answers = await Promise.allSettled([reserve('r2', 20), settle('r1', [10]), usd(), kit.store.sweep(5)]);
    expect(performance.now() - begun).toBeGreaterThanOrEqual(60);
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'SQLITE_BUSY', cause: { errcode: 5 } } });
    }
    await deniedBy(kit.store);
    await lock[Symbol.asyncDispose]();
    expect(await usd()).toEqual({ used: 0, held: 10 });
    expect(await settle('r2', 'void')).toMatchObject({ state: 'unknown' });
  });

  it('rejects those that have waited for long enough, and no others', async () => {
    await kit.reopen({ busyTimeoutMs: 500 });
    await usd();
    const lock = await locked();
    const first = reserve('r1', 10);
    const rejected = first.then(
      () => 'granted',
      () => 'rejected',
    );
    await new Promise((resolve) => setTimeout(resolve, 250));
    const second = reserve('r2', 20);
    expect(await rejected).toBe('rejected');
    await lock[Symbol.asyncDispose]();
    expect(await second).toMatchObject({ ok: true });
    expect(await usd()).toEqual({ used: 0, held: 20 });
  });

  it('rejects at once with a `busyTimeoutMs` of 0', async () => {
    await kit.reopen({ busyTimeoutMs: 0 });
    await using _ = await locked();
    await expect(reserve('r1', 10)).rejects.toMatchObject({ code: 'SQLITE_BUSY' });
  });

  it('may be locked from the beginning', async () => {
    await kit.store.close();
    rmSync(kit.path);
    const lock = await locked();
    const impatient = kit.open({ busyTimeoutMs: 20 });
    await expect(impatient.open(['a'])).rejects.toMatchObject({ code: 'SQLITE_BUSY' });
    const patient = kit.open();
    const opened = patient.open(['a']);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await lock[Symbol.asyncDispose]();
    expect(await impatient.open(['a'])).toEqual(await opened);
  });

  it('lets a store close when it has rejected', async () => {
    await kit.reopen({ busyTimeoutMs: 30 });
    await using _ = await locked();
    const asked = reserve('r1', 10).catch((error) => error);
    const closed = kit.store.close();
    expect(await asked).toMatchObject({ code: 'SQLITE_BUSY' });
    await closed;
  });
});

describe('a database that fails', () => {
  it('has all of a transaction or none, whichever statement fails', async () => {
    const rolling = line(3, {
      meter: 'rolling',
      span: { kind: 'rolling', ms: 60_000, stepMs: 1_000 },
      book: 'reserve',
    });
    const asked = [
      (id: string) => kit.store.reserve([item(id, [line(10), rolling]), item(`${id}b`, 5)]),
      (id: string) => kit.store.reserve([item(`${id}x`, [line(1), rolling], { onto: id })]),
      (id: string) => kit.store.settle([{ id, actual: [12, 3, 1, 3] }]),
      (id: string) => kit.store.settle([{ id: `${id}b`, actual: 'void' }]),
      (id: string) => kit.store.open([`scope ${id}`], 'temporary'),
      (id: string) => kit.store.stop(`scope ${id}`),
      (id: string) => kit.store.shut(`scope ${id}`),
      () => kit.store.sweep(5),
      (id: string) => kit.store.read(['a', `scope ${id}`]),
    ];
    /** Everything in the file. */
    const content = (): unknown => {
      return ['scope', 'counter', 'step', 'hold', 'extension'].map((table) => kit.rows(`SELECT * FROM leash_${table}`));
    };
    let failures = 0;
    const methods = ['run', 'get', 'all'] as const;
    for (const [i, ask] of asked.entries()) {
      // A call that none of its statements lets fail is done, and the next one follows.
      for (let failing = 0, done = false; !done; failing++) {
        expect(failing).toBeLessThan(60);
        let statements = 0;
        kit.clock.advance(300);
        const before = content();
        const spies = methods.map((method) => {
          const real = StatementSync.prototype[method] as (...args: unknown[]) => unknown;
          return vi.spyOn(StatementSync.prototype, method).mockImplementation(function (this: StatementSync, ...args) {
            if (statements++ === failing) throw Object.assign(new Error('disk I/O error'), { errcode: 10 });
            return real.apply(this, args) as never;
          });
        });
        const [answer] = await Promise.allSettled([ask('r')]);
        for (const spy of spies) spy.mockRestore();
        done = answer.status === 'fulfilled';
        if (done) continue;
        failures++;
        expect(answer).toMatchObject({ reason: { message: 'disk I/O error' } });
        expect(content(), `call ${i}, statement ${failing}`).toEqual(before);
      }
    }
    expect(failures).toBeGreaterThan(80);
    expect(await kit.store.read(['a'])).toMatchObject({
      a: { usd: { used: 13, held: 0 }, rolling: { used: 6, held: 0 } },
    });
  });

  it('has nothing of a transaction that SQLite has ended by itself', async () => {
    await reserve('r1', 10);
    const connection = await kit.connection();
    const { get } = StatementSync.prototype;
    const spy = vi.spyOn(StatementSync.prototype, 'get').mockImplementation(function (this: StatementSync, ...args) {
      if ((args as readonly unknown[])[0] !== 'r3') return get.apply(this, args);
      connection.exec('ROLLBACK');
      throw Object.assign(new Error('database or disk is full'), { errcode: 13 });
    });
    const ids = ['r1', 'r2', 'r3', 'r4'];
    const answers = await Promise.allSettled(ids.map((id) => settle(id, 'void')));
    spy.mockRestore();
    expect(answers).toEqual(ids.map(() => ({ status: 'rejected', reason: expect.objectContaining({ errcode: 13 }) })));
    expect(await usd()).toEqual({ used: 0, held: 10 });
    expect(await settle('r4', 'void')).toMatchObject({ state: 'unknown', first: true });
  });

  it('rejects when it is full, and goes on from where it was', async () => {
    const connection = await kit.connection();
    const { page_count } = connection.prepare('PRAGMA page_count').get() as { page_count: number };
    connection.exec(`PRAGMA max_page_count = ${page_count + 8}`);
    let granted = 0;
    let failed: unknown;
    while (failed === undefined) {
      const lines = Array.from({ length: 20 }, () => line(1, { cap: 1e6 }));
      failed = await reserve(`r${granted}`, lines).then(
        () => void granted++,
        (error) => error,
      );
    }
    expect(failed).toMatchObject({ errcode: 13, message: 'database or disk is full' });
    expect(granted).toBeGreaterThan(2);
    expect(await usd()).toEqual({ used: 0, held: granted * 20 });
    expect(await settle(`r${granted}`, 'void')).toMatchObject({ state: 'unknown' });
    expect(await reserve('after', [line(1, { cap: 1e6 })])).toMatchObject({ ok: true });
  });

  it('denies a session’s calls when the disk is full', async ({ skip }) => {
    const disk = `${kit.path}-disk`;
    mkdirSync(disk);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'none', disk], { stdio: 'ignore' });
    } catch {
      skip('a small tmpfs cannot be mounted here: that needs Linux and root');
    }
    try {
      kit.path = `${disk}/store.sqlite`;
      await kit.reopen();
      await kit.store.open(['a']);
      writeFileSync(`${disk}/filler`, '');
      for (let size = 65_536; size >= 1; size = Math.floor(size / 2)) {
        try {
          for (;;) writeFileSync(`${disk}/filler`, Buffer.alloc(size), { flag: 'a' });
        } catch {
          // Full for pieces of this size.
        }
      }
      await deniedBy(kit.store);
      rmSync(`${disk}/filler`);
      expect(Object.keys(await kit.store.open(['a']))).toEqual(['a']);
      expect(kit.rows('PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }]);
      await kit.store.close();
    } finally {
      execFileSync('umount', ['-l', disk]);
    }
  });

  it('rejects when it cannot be written', async ({ skip }) => {
    await kit.store.close();
    const folder = `${kit.path}-folder`;
    mkdirSync(folder);
    const mount = (...args: string[]): void => void execFileSync('mount', [...args, folder], { stdio: 'ignore' });
    const root = process.getuid?.() === 0;
    // Root writes whatever the mode says.
    try {
      if (root) mount('-t', 'tmpfs', '-o', 'size=1m', 'none');
    } catch {
      skip('root can write everything, and a file system that is read-only cannot be mounted here');
    }
    try {
      renameSync(kit.path, `${folder}/store.sqlite`);
    } catch {
      writeFileSync(`${folder}/store.sqlite`, readFileSync(kit.path));
    }
    kit.path = `${folder}/store.sqlite`;
    try {
      if (root) mount('-o', 'remount,ro');
      else chmodSync(kit.path, 0o444);
      await kit.reopen();
      const { mode } = statSync(kit.path);
      await expect(reserve('r1', 10)).rejects.toThrow(/readonly|unable to open/);
      await deniedBy(kit.store);
      expect(statSync(kit.path).mode).toBe(mode);
      if (root) mount('-o', 'remount,rw');
      else chmodSync(kit.path, 0o600);
      expect(await reserve('r1', 10)).toMatchObject({ ok: true });
      await kit.store.close();
    } finally {
      if (root) execFileSync('umount', ['-l', folder]);
    }
  });

  it.each<{ name: string; make: () => void; message: string }>([
    { name: 'no database', make: () => writeFileSync(kit.path, 'notes '.repeat(1_000)), message: 'not a database' },
    {
      name: 'a database with pages of something else',
      make: () => writeFileSync(kit.path, readFileSync(kit.path).fill(0x5a, 4_096)),
      message: 'malformed',
    },
    {
      name: 'a directory',
      make: () => {
        rmSync(kit.path);
        mkdirSync(kit.path);
      },
      message: 'unable to open',
    },
    { name: 'in no directory', make: () => (kit.path = `${kit.path}.d/store.sqlite`), message: 'ENOENT' },
  ])('rejects where there is $name', async ({ make, message }) => {
    await kit.store.close();
    make();
    await kit.reopen();
    await expect(reserve('r1', 10)).rejects.toThrow(message);
    await deniedBy(kit.store);
  });

  it.each([
    {
      name: 'a later one',
      change: 'UPDATE leash_store SET version = 2',
      message: 'of version 2, and this leashkit knows 1',
    },
    { name: 'none', change: 'DELETE FROM leash_store', message: 'of version unknown' },
  ])('rejects tables whose version is $name, and leaves them as they are', async ({ change, message }) => {
    await reserve('r1', 10);
    await kit.store.close();
    new DatabaseSync(kit.path).exec(change);
    const before = kit.rows('SELECT * FROM leash_hold');
    await kit.reopen();
    await expect(reserve('r2', 10)).rejects.toThrow(message);
    await deniedBy(kit.store);
    expect(kit.rows('SELECT * FROM leash_hold')).toEqual(before);
  });

  it('rejects where SQLite has no WAL', async () => {
    const prepare = DatabaseSync.prototype.prepare;
    const spy = vi.spyOn(DatabaseSync.prototype, 'prepare').mockImplementation(function (this: DatabaseSync, sql) {
      return prepare.call(this, sql.replace('journal_mode = WAL', 'journal_mode = TRUNCATE'));
    });
    try {
      await kit.store.close();
      rmSync(kit.path);
      await kit.reopen();
      await expect(kit.store.open(['a'])).rejects.toThrow('WAL');
    } finally {
      spy.mockRestore();
    }
  });

  it.each([Number.NaN, -1, Number.POSITIVE_INFINITY, 2 ** 60])('rejects while its clock tells %s', async (wall) => {
    const now = kit.clock.wall();
    kit.clock.jump(undefined, wall);
    await expect(reserve('r1', 10)).rejects.toThrow('epoch ms');
    kit.clock.jump(undefined, now);
    expect(await reserve('r1', 10)).toMatchObject({ ok: true });
  });
});

describe('a file that goes away under the store', () => {
  const lost = { ok: false, why: 'state_lost', line: 0 };

  it.each([
    { name: 'the file alone', ends: [''] },
    { name: 'all that belongs to it', ends: ['', '-wal', '-shm'] },
  ])('is an error at once, and lost state then: $name', async ({ ends }) => {
    const other = kit.open();
    await reserve('r1', 60);
    await other.read(['a']);
    for (const end of ends) rmSync(kit.path + end);
    await expect(reserve('r2', 10)).rejects.toThrow('deleted or replaced');
    await expect(other.reserve([item('r3', 10)])).rejects.toThrow('deleted or replaced');
    for (const store of [kit.store, other]) expect(await store.reserve([item('r4', 10)])).toMatchObject([lost]);
    expect(await settle('r1', [60])).toMatchObject({ state: 'unknown' });
    const generations = await kit.store.open(['a']);
    expect(generations['a']).not.toBe(kit.generation);
    expect(await other.open(['a'])).toEqual(generations);
    expect(await reserve('r5', 10)).toMatchObject(lost);
  });

  it('is not taken for another one that came in its place', async () => {
    const first = kit.path;
    await reserve('r1', 60);
    kit.path = `${first}.new`;
    const other = kit.open();
    await other.open(['a']);
    await other.close();
    kit.path = first;
    renameSync(`${first}.new`, first);
    await expect(reserve('r2', 10)).rejects.toThrow('deleted or replaced');
    for (const end of ['-wal', '-shm']) rmSync(first + end, { force: true });
    expect(await reserve('r2', 10)).toMatchObject(lost);
  });

  it('stops a session that counts on it', async () => {
    const leash = createLeash({ guards: [callCap({ max: 3, scope: 'org' })], store: kit.store });
    const run = (): Promise<string> => leash.run({ tool: 'tool' }, () => 'ran');
    expect(await run()).toBe('ran');
    rmSync(kit.path);
    await expect(run()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    for (let i = 0; i < 3; i++) await expect(run()).rejects.toMatchObject({ code: 'STATE_LOST' });
    await leash.close().catch(() => {});
  });

  it('is not opened again by a store that has nothing to ask', async () => {
    const idle = sqliteStore(`${kit.path}.idle`);
    await idle.close();
    expect(() => statSync(`${kit.path}.idle`)).toThrow('ENOENT');
  });
});
