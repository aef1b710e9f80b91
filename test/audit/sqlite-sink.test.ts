import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { memorySink } from '../../src/audit/memory-sink.ts';
import type { AuditSink } from '../../src/audit/sink.ts';
import { sqliteLines, sqliteSink } from '../../src/audit/sqlite-sink.ts';
import { teeSink } from '../../src/audit/tee-sink.ts';
import { verifyLog } from '../../src/audit/verify.ts';
import { createLeash } from '../../src/leash.ts';
import { readLogs } from '../helpers/log-verifier.ts';
import { sinkContract } from '../helpers/sink-contract.ts';

let directory: string;
let path: string;
let files = 0;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'leashkit-sqlite-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});
beforeEach(() => {
  path = join(directory, `${files++}.sqlite`);
});

const [A, B] = ['00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000b'] as const;
const line = (log: string, seq: number, more = ''): string => `{"v":1,"log":"${log}","seq":${seq}${more}}\n`;

async function read(source: string | DatabaseSync, log?: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of sqliteLines(source, log)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function session(audit: AuditSink, calls = 1): Promise<string> {
  const leash = createLeash({ guards: [], audit });
  for (let i = 0; i < calls; i++) await leash.run({ tool: 'tool' }, () => i);
  await leash.close();
  return leash.id;
}

/** Connections wait less long for another one than the sink tells them to. */
function impatient(): Disposable {
  const exec = DatabaseSync.prototype.exec;
  const spy = vi.spyOn(DatabaseSync.prototype, 'exec').mockImplementation(function (this: DatabaseSync, sql) {
    exec.call(this, sql.replace('busy_timeout = 2000', 'busy_timeout = 20'));
  });
  return { [Symbol.dispose]: () => spy.mockRestore() };
}

/** A row of a database, as another program sees it. */
function query(sql: string, source: string = path): unknown[] {
  const database = new DatabaseSync(source, { readOnly: true });
  try {
    return database.prepare(sql).all();
  } finally {
    database.close();
  }
}

sinkContract(
  'sqliteSink of a path',
  () => {
    const file = path;
    return { sink: sqliteSink(file), bytes: () => read(file) };
  },
  { failing: () => sqliteSink(directory) },
);

sinkContract(
  'sqliteSink of an open database',
  () => {
    const database = new DatabaseSync(':memory:');
    return { sink: sqliteSink(database), bytes: () => read(database), dispose: () => database.close() };
  },
  {
    failing: () => {
      const database = new DatabaseSync(':memory:');
      database.close();
      return sqliteSink(database);
    },
  },
);

describe('sqliteSink', () => {
  it('keeps each line under its log and number', async () => {
    const sink = sqliteSink(path);
    void sink.write(line(B, 0) + line(B, 1), 0, 1);
    void sink.write(line(A, 7), 7, 7);
    expect(query('SELECT log, seq, line FROM leash_log ORDER BY log, seq')).toEqual([
      { log: A, seq: 7, line: line(A, 7).trimEnd() },
      { log: B, seq: 0, line: line(B, 0).trimEnd() },
      { log: B, seq: 1, line: line(B, 1).trimEnd() },
    ]);
    await sink.close?.();
  });

  it('gives every copy the same bytes', async () => {
    const memory = memorySink();
    await session(teeSink([memory, sqliteSink(path)]), 5);
    const bytes = await read(path);
    expect(bytes.toString()).toBe(memory.lines.map((text) => `${text}\n`).join(''));
    expect(readLogs(bytes)).toMatchObject({ complete: true, logs: { length: 1 } });
  });

  it('refuses a number that its log has already, and all lines that came with it', () => {
    const sink = sqliteSink(path);
    void sink.write(line(A, 0) + line(A, 1), 0, 1);
    const duplicate = expect.objectContaining({ message: expect.stringContaining('UNIQUE') });
    expect(() => sink.write(line(A, 1, ',"other":1'), 1, 1)).toThrow(duplicate);
    expect(() => sink.write(line(A, 2) + line(A, 3) + line(A, 1), 0, 2)).toThrow(duplicate);
    void sink.write(line(B, 0), 0, 0);
    void sink.write(line(A, 2), 2, 2);
    expect(query('SELECT seq, line FROM leash_log ORDER BY log, seq')).toEqual([
      { seq: 0, line: line(A, 0).trimEnd() },
      { seq: 1, line: line(A, 1).trimEnd() },
      { seq: 2, line: line(A, 2).trimEnd() },
      { seq: 0, line: line(B, 0).trimEnd() },
    ]);
    void sink.close?.();
  });

  it('stops the session whose log somebody else writes', async () => {
    const sink = sqliteSink(path);
    const leash = createLeash({ guards: [], audit: sink });
    const [{ log }] = query('SELECT log FROM leash_log') as [{ log: string }];
    void sink.write(line(log, 1), 1, 1);
    const tool = vi.fn();
    await expect(leash.run({ tool: 'tool' }, tool)).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    expect(tool).not.toHaveBeenCalled();
    await leash.close().catch(() => {});
  });

  it.each([
    { name: 'fewer lines than numbers', text: line(A, 0), last: 1 },
    { name: 'more lines than numbers', text: line(A, 0) + line(A, 1), last: 0 },
    { name: 'a line without its end', text: '{}', last: 0 },
  ])('takes no $name', ({ text, last }) => {
    const sink = sqliteSink(path);
    expect(() => sink.write(text, 0, last)).toThrow(RangeError);
    void sink.close?.();
    expect(existsSync(path)).toBe(false);
  });

  it('writes in WAL mode, with as much syncing as it was asked for', () => {
    for (const [durability, synchronous] of [
      [undefined, 1],
      ['process', 1],
      ['power', 2],
    ] as const) {
      const prepared = vi.spyOn(DatabaseSync.prototype, 'prepare');
      try {
        const sink = sqliteSink(path, durability === undefined ? {} : { durability });
        void sink.write(line(A, prepared.mock.calls.length), 0, 0);
        const connection = prepared.mock.contexts[0] as DatabaseSync;
        expect(connection.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' });
        expect(connection.prepare('PRAGMA synchronous').get()).toEqual({ synchronous });
        expect(connection.prepare('PRAGMA busy_timeout').get()).toEqual({ timeout: 2_000 });
        void sink.close?.();
        rmSync(path);
      } finally {
        prepared.mockRestore();
      }
    }
  });

  it('opens its file when the first session opens, and closes it with the last', async () => {
    const sink = sqliteSink(path);
    expect(existsSync(path)).toBe(false);
    const leashes = [createLeash({ guards: [], audit: sink }), createLeash({ guards: [], audit: sink })] as const;
    expect(existsSync(`${path}-wal`)).toBe(true);
    await leashes[0].close();
    expect(existsSync(`${path}-wal`)).toBe(true);
    await leashes[1].close();
    expect(existsSync(`${path}-wal`)).toBe(false);
    await session(sink);
    expect(readLogs(await read(path))).toMatchObject({ complete: true, logs: { length: 3 } });
  });

  it.skipIf(process.platform === 'win32')('makes files that their owner alone can read', async () => {
    const before = process.umask(0);
    try {
      const sink = sqliteSink(path);
      void sink.write(line(A, 0), 0, 0);
      for (const file of [path, `${path}-wal`, `${path}-shm`]) expect(statSync(file).mode & 0o777).toBe(0o600);
      await sink.close?.();
    } finally {
      process.umask(before);
    }
  });

  it('stays with its file when the working directory changes', async () => {
    const before = process.cwd();
    process.chdir(directory);
    try {
      const sink = sqliteSink(`relative-${files}.sqlite`);
      process.chdir(tmpdir());
      await session(sink);
      path = join(directory, `relative-${files}.sqlite`);
      expect(readLogs(await read(path)).complete).toBe(true);
    } finally {
      process.chdir(before);
    }
  });

  it('is a file of that name even where SQLite would read a URI', async () => {
    path = join(directory, `file:${files}.sqlite?mode=memory`);
    await session(sqliteSink(path));
    expect(existsSync(path)).toBe(true);
    expect(readLogs(await read(path)).complete).toBe(true);
  });

  it('makes durable what is in the WAL', async () => {
    const sink = sqliteSink(path);
    void sink.write(line(A, 0), 0, 0);
    await sink.sync?.();
    // What stands in the database alone, without its WAL.
    const alone = `${path}.alone`;
    writeFileSync(alone, readFileSync(path));
    expect((await read(alone)).toString()).toBe(line(A, 0));
    await sink.close?.();
    await sink.sync?.();
  });

  it('says so when it cannot make it durable', async () => {
    using _ = impatient();
    const sink = sqliteSink(path);
    void sink.write(line(A, 0), 0, 0);
    const other = new DatabaseSync(path);
    other.exec('BEGIN; SELECT * FROM leash_log');
    other.prepare('SELECT * FROM leash_log').all();
    void sink.write(line(A, 1), 1, 1);
    await expect(sink.sync?.()).rejects.toMatchObject({ code: 'SQLITE_BUSY' });
    other.exec('COMMIT');
    await sink.sync?.();
    other.close();
    await sink.close?.();
  });

  it('waits for another connection that writes, and then gives up', async () => {
    using _ = impatient();
    const sink = sqliteSink(path);
    void sink.write(line(A, 0), 0, 0);
    const other = new DatabaseSync(path);
    other.exec('BEGIN IMMEDIATE');
    expect(() => sink.write(line(A, 1), 1, 1)).toThrow(expect.objectContaining({ message: 'database is locked' }));
    other.exec('COMMIT');
    void sink.write(line(A, 1), 1, 1);
    other.close();
    await sink.close?.();
    expect((await read(path)).toString()).toBe(line(A, 0) + line(A, 1));
  });

  it('says so when the disk is full, and keeps whole lines only', async ({ skip }) => {
    const disk = join(directory, `disk-${files}`);
    mkdirSync(disk);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'none', disk], { stdio: 'ignore' });
    } catch {
      skip('a small tmpfs cannot be mounted here: that needs Linux and root');
    }
    path = join(disk, 'audit.sqlite');
    const sink = sqliteSink(path);
    try {
      const leash = createLeash({ guards: [], audit: sink });
      let ran = 0;
      const call = (): Promise<number> => leash.run({ tool: 'tool' }, () => ++ran);
      let denied: unknown;
      while (denied === undefined) {
        await call().catch((error) => {
          denied = error;
        });
      }
      expect(denied).toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
      expect(ran).toBeGreaterThan(10);
      await leash.close().catch(() => {});
      execFileSync('mount', ['-o', 'remount,size=4m', disk]);
      const report = readLogs(await read(path));
      expect(report).toMatchObject({ ok: true, torn: undefined, fragments: [] });
      expect(report.logs[0]?.events.filter(({ kind }) => kind === 'tool_start')).toHaveLength(ran);
    } finally {
      void sink.close?.();
      execFileSync('umount', ['-l', disk]);
    }
  });

  it('has what was acknowledged after its process was killed', async () => {
    const source = (file: string): string =>
      JSON.stringify(fileURLToPath(new URL(`../../src/${file}`, import.meta.url)));
    const program = `
      const { sqliteSink } = await import(${source('audit/sqlite-sink.ts')});
      const sink = sqliteSink(${JSON.stringify(path)});
      for (let i = 0; ; i++) {
        sink.write(JSON.stringify({ v: 1, log: ${JSON.stringify(A)}, seq: i }) + '\\n', i, i);
        await new Promise((resolve) => process.stdout.write(i + '\\n', resolve));
      }
    `;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let said = '';
    await new Promise<void>((resolve) => {
      child.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        if (said.length > 2_000) child.kill('SIGKILL');
      });
      child.on('close', () => resolve());
    });
    const acknowledged = said.split('\n').length - 1;
    const lines = (await read(path)).toString().split('\n').slice(0, -1);
    expect(lines.length).toBeGreaterThanOrEqual(acknowledged);
    expect(lines.map((text) => JSON.parse(text).seq)).toEqual(lines.map((_, i) => i));
  });
});

describe('an open database in a sqliteSink', () => {
  it('stays open, and as it is', async () => {
    const database = new DatabaseSync(path);
    const sink = sqliteSink(database);
    await session(sink);
    await session(sink);
    expect(database.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'delete' });
    expect(database.prepare('PRAGMA busy_timeout').get()).toEqual({ timeout: 0 });
    expect(readLogs(await read(database))).toMatchObject({ complete: true, logs: { length: 2 } });
    await sink.sync?.();
    database.close();
  });

  it('takes no line inside a transaction of its owner, who could undo it', () => {
    const database = new DatabaseSync(path);
    const sink = sqliteSink(database);
    void sink.write(line(A, 0), 0, 0);
    database.exec('CREATE TABLE own (n); BEGIN; INSERT INTO own VALUES (1)');
    expect(() => sink.write(line(A, 1), 1, 1)).toThrow('within a transaction');
    // The transaction is still its owner's.
    database.exec('COMMIT');
    expect(database.prepare('SELECT n FROM own').all()).toEqual([{ n: 1 }]);
    void sink.write(line(A, 1), 1, 1);
    database.close();
  });

  it('may be closed and opened again between two lines', () => {
    const database = new DatabaseSync(path);
    const sink = sqliteSink(database);
    void sink.write(line(A, 0), 0, 0);
    database.close();
    expect(() => sink.write(line(A, 1), 1, 1)).toThrow();
    database.open();
    void sink.write(line(A, 1), 1, 1);
    database.close();
    expect(query('SELECT count(*) AS lines FROM leash_log')).toEqual([{ lines: 2 }]);
  });
});

describe('sqliteLines', () => {
  it('reads logs one after the other, each in order, or one of them', async () => {
    const sink = sqliteSink(path);
    for (let i = 0; i < 12; i++) for (const log of [B, A]) void sink.write(line(log, i), i, i);
    await sink.close?.();
    const of = (log: string): string => Array.from({ length: 12 }, (_, i) => line(log, i)).join('');
    expect((await read(path)).toString()).toBe(of(A) + of(B));
    expect((await read(path, B)).toString()).toBe(of(B));
    expect((await read(path, 'another')).toString()).toBe('');
    expect((await read(path, '')).toString()).toBe('');
  });

  it('gives what verifyLog reads', async () => {
    const sink = sqliteSink(path);
    const ids = [await session(sink, 3), await session(sink, 1)];
    const report = await verifyLog(sqliteLines(path), { requireClosed: true });
    expect(report).toMatchObject({ ok: true, state: 'closed', fragments: 0 });
    expect(report.logs).toHaveLength(ids.length);
  });

  it('gives whole lines in chunks that do not grow with the log', async () => {
    const sink = sqliteSink(path);
    const lines = Array.from({ length: 5_000 }, (_, i) => line(A, i, `,"x":"${'é'.repeat(100)}"`));
    void sink.write(lines.join(''), 0, 4_999);
    await sink.close?.();
    let bytes = 0;
    for await (const chunk of sqliteLines(path)) {
      expect(chunk).toBeInstanceOf(Uint8Array);
      expect(chunk.at(-1)).toBe(10);
      expect(chunk.length).toBeLessThan(200_000);
      bytes += chunk.length;
    }
    expect(bytes).toBe(Buffer.byteLength(lines.join('')));
  });

  it('reads while a session writes, and changes nothing', async () => {
    const sink = sqliteSink(path);
    const leash = createLeash({ guards: [], audit: sink });
    await leash.run({ tool: 'tool' }, () => {});
    expect(readLogs(await read(path))).toMatchObject({ ok: true, complete: false, logs: [{ events: { length: 3 } }] });
    await leash.close();
    const before = readFileSync(path);
    await read(path);
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  it('lets go of the database when its reader stops early', async () => {
    const sink = sqliteSink(path);
    void sink.write(
      Array.from({ length: 5_000 }, (_, i) => line(A, i, `,"x":"${'x'.repeat(100)}"`)).join(''),
      0,
      4_999,
    );
    const closed = vi.spyOn(DatabaseSync.prototype, 'close');
    for await (const chunk of sqliteLines(path)) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    expect(closed).toHaveBeenCalledTimes(1);
    closed.mockRestore();
    await sink.close?.();
  });

  it('throws where there is no file, and makes none', async () => {
    await expect(read(path)).rejects.toThrow('unable to open');
    expect(existsSync(path)).toBe(false);
  });

  it.each([
    {
      name: 'a file that is no database',
      make: () => writeFileSync(path, 'notes '.repeat(1_000)),
      error: 'not a database',
    },
    {
      name: 'a database without a log',
      make: () => new DatabaseSync(path).exec('CREATE TABLE own (n)'),
      error: 'no such table',
    },
  ])('throws where there is $name', async ({ make, error }) => {
    make();
    await expect(read(path)).rejects.toThrow(error);
  });
});

describe('the arguments of sqliteSink and sqliteLines', () => {
  it.each<{ name: string; source: unknown; error: ErrorConstructor }>([
    { name: 'an empty path', source: '', error: RangeError },
    { name: 'a database that is gone when it is closed', source: ':memory:', error: RangeError },
    { name: 'nothing', source: undefined, error: TypeError },
    { name: 'null', source: null, error: TypeError },
    { name: 'a number', source: 5, error: TypeError },
    { name: 'a URL', source: new URL('file:///audit.sqlite'), error: TypeError },
  ])('are refused: $name', ({ source, error }) => {
    for (const make of [() => sqliteSink(source as string), () => sqliteLines(source as string)]) {
      expect(make).toThrow(error);
      expect(make).toThrow('expects a path');
    }
  });

  it.each<{ name: string; options: unknown; message: string }>([
    { name: 'another durability', options: { durability: 'always' }, message: 'sqliteSink.durability' },
    { name: 'null for one', options: { durability: null }, message: 'sqliteSink.durability' },
    { name: 'an unknown option', options: { table: 'log' }, message: 'table' },
    { name: 'null for options', options: null, message: 'sqliteSink' },
  ])('are refused: $name', ({ options, message }) => {
    const make = (): unknown => sqliteSink(path, options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  it('are refused: a durability for a connection of somebody else, or a log that is no text', () => {
    const database = new DatabaseSync(':memory:');
    expect(() => sqliteSink(database, { durability: 'power' })).toThrow('sqliteSink.durability');
    expect(() => sqliteLines(database, 5 as never)).toThrow('sqliteLines expects the id of a log');
    database.close();
  });

  it('need a runtime that has node:sqlite, which is loaded for them alone', () => {
    const builtin = vi.spyOn(process, 'getBuiltinModule').mockReturnValue(undefined as never);
    try {
      expect(() => sqliteSink(path)).toThrow('node:sqlite');
    } finally {
      builtin.mockRestore();
    }
    const file = fileURLToPath(new URL('../../src/adapters/sqlite.ts', import.meta.url));
    const program = `await import(${JSON.stringify(file)}); process.stdout.write(String(process.moduleLoadList.includes('NativeModule sqlite')));`;
    expect(execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })).toBe('false');
  });
});
