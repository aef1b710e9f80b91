import { execFileSync } from 'node:child_process';
import {
  close,
  closeSync,
  fdatasync,
  fsync,
  mkdirSync,
  mkdtempSync,
  open,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, type Mock, vi } from 'vitest';
import { type Durability, fileSink } from '../../src/audit/file-sink.ts';
import type { AuditSink } from '../../src/audit/sink.ts';
import { createLeash } from '../../src/leash.ts';
import { readLogs } from '../helpers/log-verifier.ts';
import { sinkContract } from '../helpers/sink-contract.ts';
import { watch } from '../helpers/watch.ts';

vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  const spied = { fdatasync: real.fdatasync, fsync: real.fsync, open: real.open, close: real.close };
  const spies = Object.fromEntries(
    Object.entries(spied).map(([name, fn]) => [name, vi.fn(fn as unknown as () => void)]),
  );
  return { ...real, ...spies, writeSync: vi.fn(real.writeSync), closeSync: vi.fn(real.closeSync) };
});

type Done = (error?: Error | null) => void;
type Sync = (descriptor: number, done: Done) => void;
const real = await vi.importActual<{
  fdatasync: Sync;
  fsync: Sync;
  open: (path: string, flags: string, done: (error: Error | null, descriptor?: number) => void) => void;
  close: Sync;
  writeSync: typeof writeSync;
  closeSync: typeof closeSync;
}>('node:fs');
const datasync = fdatasync as unknown as Mock<Sync>;
const directorySync = fsync as unknown as Mock<Sync>;
const directoryOpen = open as unknown as Mock<typeof real.open>;
const write = writeSync as unknown as Mock<typeof real.writeSync>;
const fileClose = closeSync as unknown as Mock<typeof real.closeSync>;

const linux = process.platform === 'linux';
const DURABILITIES: readonly Durability[] = ['never', 'interval', 'always'];
let root: string;
let path: string;
let files = 0;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'leashkit-durability-'));
});
afterAll(() => {
  rmSync(root, { recursive: true });
});
beforeEach(() => {
  const directory = join(root, String(files++));
  mkdirSync(directory);
  path = join(directory, 'audit.jsonl');
});
afterEach(() => {
  vi.useRealTimers();
  for (const [spy, name] of [
    [datasync, 'fdatasync'],
    [directorySync, 'fsync'],
    [directoryOpen, 'open'],
    [write, 'writeSync'],
    [fileClose, 'closeSync'],
  ] as const) {
    (spy as Mock).mockReset().mockImplementation(real[name] as () => void);
  }
});

const line = (n: number): string => `{"n":${n}}\n`;
const text = (): string => readFileSync(path, 'utf8');
const failure = (code: string): Error => Object.assign(new Error('secret'), { code });
const unavailable = (code: string) => ({
  code: 'AUDIT_UNAVAILABLE',
  message: `the audit log cannot be written (${code}), so no call runs`,
});

/** Syncs of files stay open until they are let go, one after the other. */
function holdSyncs(): { readonly begun: () => number; readonly finish: (error?: Error) => void } {
  noDirectorySync();
  const held: Done[] = [];
  datasync.mockImplementation((_, done) => {
    held.push(done);
  });
  return {
    begun: () => datasync.mock.calls.length,
    finish: (error) => held.shift()?.(error),
  };
}

/** As where the system has none: nothing happens outside this process. */
function noDirectorySync(): void {
  directoryOpen.mockImplementation((_, __, done) => done(failure('EPERM')));
}

const until = (condition: () => void): Promise<void> => vi.waitFor(condition, { interval: 1, timeout: 5_000 });

/** Long enough for everything that waits for nothing outside this process. */
async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

function descriptors(of: string): number {
  return readdirSync('/proc/self/fd').filter((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`) === of;
    } catch {
      return false;
    }
  }).length;
}

describe.each(DURABILITIES)("fileSink with durability '%s'", (durability) => {
  sinkContract(
    'it',
    () => {
      const file = path;
      return { sink: fileSink(file, { durability }), bytes: () => readFileSync(file) };
    },
    linux ? { failing: () => fileSink('/dev/full', { durability }) } : {},
  );

  it('writes at once, with one call of the system for an event', () => {
    const sink = fileSink(path, { durability });
    for (let i = 0; i < 3; i++) {
      void sink.write(line(i), i, i);
      expect(write).toHaveBeenCalledTimes(i + 1);
      expect(text()).toBe(
        [0, 1, 2]
          .slice(0, i + 1)
          .map(line)
          .join(''),
      );
    }
  });

  it('writes nothing more after a write that failed', async () => {
    const sink = fileSink(path, { durability });
    await sink.write(line(0), 0, 0);
    const error = failure('EIO');
    write.mockImplementation(() => {
      throw error;
    });
    for (let i = 1; i < 4; i++) expect(() => sink.write(line(i), i, i)).toThrow(error);
    expect(write).toHaveBeenCalledTimes(2);
    await expect(sink.sync?.()).rejects.toBe(error);
    expect(() => sink.close?.()).toThrow(error);
    expect(text()).toBe(line(0));
  });

  it('has what it has on a disk that is really full, and says so', async ({ skip }) => {
    const disk = join(dirname(path), 'disk');
    mkdirSync(disk);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', disk], { stdio: 'ignore' });
    } catch {
      skip('a small tmpfs cannot be mounted here: that needs Linux and root');
    }
    try {
      path = join(disk, 'audit.jsonl');
      const leash = createLeash({ guards: [], audit: fileSink(path, { durability }) });
      let ran = 0;
      const call = (): Promise<number> => leash.run({ tool: 'tool' }, () => ++ran);
      let calls = 0;
      while (await call().then(() => true, expectUnavailable)) calls++;
      expect(calls).toBeGreaterThan(50);
      await expect(call()).rejects.toMatchObject(unavailable('ENOSPC'));
      await expect(leash.close()).rejects.toMatchObject(unavailable('ENOSPC'));

      const report = readLogs(readFileSync(path));
      expect(report.problem).toBeUndefined();
      // The disk may have been full for the end of a call whose beginning is there.
      const started = report.logs[0]?.events.filter(({ kind }) => kind === 'tool_start');
      expect(started).toHaveLength(ran);
      expect(statSync(path).size).toBe(65_536);

      execFileSync('mount', ['-o', 'remount,size=1m', disk]);
      const next = createLeash({ guards: [], audit: fileSink(path, { durability }) });
      await next.run({ tool: 'tool' }, () => {});
      await next.close();
      const after = readLogs(readFileSync(path));
      expect(after.problem).toBeUndefined();
      expect(after.logs.map(({ closed }) => closed)).toEqual([false, true]);
      expect(after.fragments).toEqual(report.torn === undefined ? [] : [report.torn]);
    } finally {
      execFileSync('umount', ['-l', disk]);
    }
    function expectUnavailable(error: unknown): boolean {
      expect(error).toMatchObject(unavailable('ENOSPC'));
      return false;
    }
  });

  it.runIf(linux)('leaves no descriptor open', async () => {
    const sink = fileSink(path, { durability });
    await Promise.all([0, 1, 2].map((i) => sink.write(line(i), i, i)));
    await sink.close?.();
    expect(descriptors(path)).toBe(0);
    expect(descriptors(dirname(path))).toBe(0);
  });
});

describe("fileSink with durability 'always'", () => {
  const always = (): AuditSink => fileSink(path, { durability: 'always' });

  it('lets a write wait for a sync of the very descriptor', async () => {
    const { begun, finish } = holdSyncs();
    const sink = always();
    const written = watch(sink.write(line(0), 0, 0));
    expect(text()).toBe(line(0));
    await turns();
    expect([begun(), written.state]).toEqual([1, 'pending']);
    const descriptor = datasync.mock.calls[0]?.[0];
    if (linux) expect(readlinkSync(`/proc/self/fd/${descriptor}`)).toBe(path);
    finish();
    await until(() => expect(written.state).toBe('resolved'));
    // Nothing is left to wait for.
    expect(sink.close?.()).toBeUndefined();
  });

  it('lets no tool run before its start is synced', async () => {
    const { begun, finish } = holdSyncs();
    const leash = createLeash({ guards: [], audit: always() });
    await turns();
    finish();
    const tool = vi.fn(async () => 'done');
    const result = leash.run({ tool: 'tool' }, tool);
    await until(() => expect(begun()).toBe(2));
    await turns();
    expect(tool).not.toHaveBeenCalled();
    finish();
    datasync.mockImplementation(real.fdatasync);
    expect(await result).toBe('done');
    await leash.close();
  });

  it('lets one sync serve all 64 who write at once, and one more all who write while it runs', async () => {
    const { begun, finish } = holdSyncs();
    const sink = always();
    const first = Array.from({ length: 64 }, (_, i) => watch(sink.write(line(i), i, i)));
    await turns();
    expect(begun()).toBe(1);
    const second = Array.from({ length: 64 }, (_, i) => watch(sink.write(line(64 + i), 64 + i, 64 + i)));
    await turns();
    expect(begun()).toBe(1);
    finish();
    await until(() => expect(begun()).toBe(2));
    // What was written while the first sync ran is not known to be in it.
    expect(new Set(first.map(({ state }) => state))).toEqual(new Set(['resolved']));
    expect(new Set(second.map(({ state }) => state))).toEqual(new Set(['pending']));
    finish();
    await until(() => expect(second.every(({ state }) => state === 'resolved')).toBe(true));
    await turns();
    expect(begun()).toBe(2);
  });

  it('serves 64 writers of 20 lines each with a sync for a round, not for a line', async () => {
    const sink = always();
    const writer = async (_: unknown, w: number): Promise<void> => {
      for (let i = 0; i < 20; i++) {
        await sink.write(line(i), i, i);
        // Some take more steps than others between two events.
        for (let step = 0; step < w; step++) await null;
      }
    };
    await Promise.all(Array.from({ length: 64 }, writer));
    expect(text().split('\n')).toHaveLength(64 * 20 + 1);
    expect(datasync).toHaveBeenCalledTimes(20);
    await sink.close?.();
  });

  it('tells all who waited of a sync that failed, those for the next too, and syncs no second time', async () => {
    const { begun, finish } = holdSyncs();
    const sink = always();
    const first = [0, 1].map((i) => watch(sink.write(line(i), i, i)));
    await turns();
    const second = [2, 3].map((i) => watch(sink.write(line(i), i, i)));
    const synced = watch(sink.sync?.());
    const error = failure('EIO');
    finish(error);
    await turns();
    expect([...first, ...second, synced]).toEqual(Array(5).fill({ state: 'rejected', error }));
    expect(begun()).toBe(1);
    expect(() => sink.write(line(4), 4, 4)).toThrow(error);
    await expect(sink.sync?.()).rejects.toBe(error);
    expect(() => sink.close?.()).toThrow(error);
    expect(text()).toBe([0, 1, 2, 3].map(line).join(''));
    expect(begun()).toBe(1);
    if (linux) expect(descriptors(path)).toBe(0);
  });

  it('stops the session when a sync failed', async () => {
    const leash = createLeash({ guards: [], audit: always() });
    await leash.run({ tool: 'tool' }, () => {});
    datasync.mockImplementation((_, done) => done(failure('EIO')));
    const tool = vi.fn();
    await expect(leash.run({ tool: 'tool' }, tool)).rejects.toMatchObject(unavailable('EIO'));
    datasync.mockImplementation(real.fdatasync);
    await expect(leash.run({ tool: 'tool' }, tool)).rejects.toMatchObject(unavailable('EIO'));
    await expect(leash.close()).rejects.toMatchObject(unavailable('EIO'));
    expect(tool).not.toHaveBeenCalled();
  });

  it('finishes the sync of others when a later write failed, and closes the descriptor after it', async () => {
    const { finish } = holdSyncs();
    const sink = always();
    const first = watch(sink.write(line(0), 0, 0));
    await turns();
    const error = failure('ENOSPC');
    write.mockImplementation(() => {
      throw error;
    });
    expect(() => sink.write(line(1), 1, 1)).toThrow(error);
    await turns();
    if (linux) expect(descriptors(path)).toBe(1);
    finish();
    await turns();
    expect(first.state).toBe('resolved');
    if (linux) expect(descriptors(path)).toBe(0);
  });

  it('keeps to its first failure, and closes its descriptor once, where the sync of others fails after it', async () => {
    const { finish } = holdSyncs();
    const sink = always();
    const first = watch(sink.write(line(0), 0, 0));
    await turns();
    const error = failure('ENOSPC');
    write.mockImplementation(() => {
      throw error;
    });
    expect(() => sink.write(line(1), 1, 1)).toThrow(error);
    fileClose.mockClear();
    finish(failure('EIO'));
    await turns();
    expect(first).toEqual({ state: 'rejected', error: expect.objectContaining({ code: 'EIO' }) });
    expect(() => sink.write(line(1), 1, 1)).toThrow(error);
    expect(fileClose).toHaveBeenCalledTimes(1);
  });

  it('closes its descriptor after the sync that runs; whoever writes meanwhile opens another', async () => {
    const { begun, finish } = holdSyncs();
    const sink = always();
    const first = watch(sink.write(line(0), 0, 0));
    await turns();
    const closed = watch(sink.close?.());
    const second = watch(sink.write(line(1), 1, 1));
    await turns();
    expect([begun(), first.state, closed.state, second.state]).toEqual([2, 'pending', 'pending', 'pending']);
    if (linux) expect(descriptors(path)).toBe(2);
    finish();
    await turns();
    expect([first.state, closed.state, second.state]).toEqual(['resolved', 'resolved', 'pending']);
    if (linux) expect(descriptors(path)).toBe(1);
    finish();
    await turns();
    expect(second.state).toBe('resolved');
    await sink.close?.();
    expect(text()).toBe(line(0) + line(1));
  });

  it.runIf(linux)('cannot be had on a device', async () => {
    const sink = fileSink('/dev/null', { durability: 'always' });
    await expect(sink.write(line(0), 0, 0)).rejects.toMatchObject({ code: 'EINVAL' });
    expect(() => sink.write(line(1), 1, 1)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  });
});

describe("fileSink with durability 'interval'", () => {
  const faked = { toFake: ['setTimeout', 'clearTimeout'] as ('setTimeout' | 'clearTimeout')[] };
  const syncs = (): number => datasync.mock.calls.length;

  it('is the default', () => {
    vi.useFakeTimers(faked);
    const sink = fileSink(path);
    expect(sink.write(line(0), 0, 0)).toBeUndefined();
    expect(vi.getTimerCount()).toBe(1);
    const other = fileSink(path, {});
    expect(other.write(line(0), 0, 0)).toBeUndefined();
    expect(vi.getTimerCount()).toBe(2);
  });

  it('syncs within a second of the first write, and not again while nothing is new', async () => {
    vi.useFakeTimers(faked);
    const sink = fileSink(path);
    for (let i = 0; i < 10; i++) expect(sink.write(line(i), i, i)).toBeUndefined();
    vi.advanceTimersByTime(999);
    await turns();
    expect(syncs()).toBe(0);
    vi.advanceTimersByTime(1);
    await until(() => expect(syncs()).toBe(1));
    await turns();
    vi.advanceTimersByTime(10_000);
    await turns();
    expect(syncs()).toBe(1);
    await sink.close?.();
    expect(syncs()).toBe(1);
  });

  it('syncs at most once a second', async () => {
    vi.useFakeTimers(faked);
    noDirectorySync();
    datasync.mockImplementation((_, done) => done());
    const sink = fileSink(path);
    for (let i = 0; i < 100; i++) {
      void sink.write(line(i), i, i);
      vi.advanceTimersByTime(100);
      await turns();
    }
    expect(syncs()).toBe(10);
  });

  it('syncs anew what is written while a sync runs', async () => {
    vi.useFakeTimers(faked);
    const { begun, finish } = holdSyncs();
    const sink = fileSink(path);
    void sink.write(line(0), 0, 0);
    vi.advanceTimersByTime(1_000);
    await turns();
    expect(begun()).toBe(1);
    void sink.write(line(1), 1, 1);
    finish();
    await turns();
    vi.advanceTimersByTime(1_000);
    await turns();
    expect(begun()).toBe(2);
    finish();
    await turns();
    await sink.close?.();
    expect(begun()).toBe(2);
  });

  it('keeps no process alive', () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    void fileSink(path).write(line(0), 0, 0);
    expect(timers()).toBe(before);
  });

  it('syncs at the close what is new, and waits for it', async () => {
    const { begun, finish } = holdSyncs();
    const sink = fileSink(path);
    void sink.write(line(0), 0, 0);
    const closed = watch(sink.close?.());
    await turns();
    expect([begun(), closed.state]).toEqual([1, 'pending']);
    if (linux) expect(descriptors(path)).toBe(1);
    finish();
    await until(() => expect(closed.state).toBe('resolved'));
    if (linux) expect(descriptors(path)).toBe(0);
  });

  it('tells the close of a sync that failed in it', async () => {
    const error = failure('EIO');
    datasync.mockImplementation((_, done) => done(error));
    const sink = fileSink(path);
    void sink.write(line(0), 0, 0);
    await expect(sink.close?.()).rejects.toBe(error);
    if (linux) expect(descriptors(path)).toBe(0);
    expect(() => sink.write(line(1), 1, 1)).toThrow(error);
  });

  it('tells the next write of a sync that failed in the background', async () => {
    vi.useFakeTimers(faked);
    const leash = createLeash({ guards: [], audit: fileSink(path) });
    await leash.run({ tool: 'tool' }, () => {});
    datasync.mockImplementation((_, done) => done(failure('EIO')));
    vi.advanceTimersByTime(1_000);
    await turns();
    const before = text();
    datasync.mockImplementation(real.fdatasync);
    const tool = vi.fn();
    await expect(leash.run({ tool: 'tool' }, tool)).rejects.toMatchObject(unavailable('EIO'));
    await expect(leash.close()).rejects.toMatchObject(unavailable('EIO'));
    expect(tool).not.toHaveBeenCalled();
    expect(text()).toBe(before);
  });

  it('tells the close of a sync that failed in the background before it', async () => {
    vi.useFakeTimers(faked);
    const error = failure('EIO');
    datasync.mockImplementation((_, done) => done(error));
    const sink = fileSink(path);
    void sink.write(line(0), 0, 0);
    vi.advanceTimersByTime(1_000);
    await turns();
    expect(() => sink.close?.()).toThrow(error);
  });

  it('syncs at once when it is asked to', async () => {
    vi.useFakeTimers(faked);
    const sink = fileSink(path);
    void sink.write(line(0), 0, 0);
    await sink.sync?.();
    expect(syncs()).toBe(1);
    vi.advanceTimersByTime(10_000);
    await turns();
    await sink.close?.();
    expect(syncs()).toBe(1);
  });

  it.runIf(linux)('lets devices be, which keep nothing', async () => {
    vi.useFakeTimers(faked);
    const sink = fileSink('/dev/null');
    void sink.write(line(0), 0, 0);
    vi.advanceTimersByTime(1_000);
    await turns();
    await sink.sync?.();
    void sink.write(line(1), 1, 1);
    await sink.close?.();
    expect(syncs()).toBe(0);
  });
});

describe("fileSink with durability 'never'", () => {
  it('never syncs by itself', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const sink = fileSink(path, { durability: 'never' });
    for (let i = 0; i < 10; i++) expect(sink.write(line(i), i, i)).toBeUndefined();
    expect(vi.getTimerCount()).toBe(0);
    expect(sink.close?.()).toBeUndefined();
    await turns();
    expect(datasync).not.toHaveBeenCalled();
    expect(directorySync).not.toHaveBeenCalled();
  });

  it('syncs when it is asked to', async () => {
    const sink = fileSink(path, { durability: 'never' });
    await sink.sync?.();
    expect(datasync).not.toHaveBeenCalled();
    await sink.write(line(0), 0, 0);
    await sink.sync?.();
    expect(datasync).toHaveBeenCalledTimes(1);
    await sink.close?.();
    expect(datasync).toHaveBeenCalledTimes(1);
  });
});

describe('the directory of a fileSink', () => {
  /** Of this test: sinks that others have left open sync when their time comes. */
  const directoriesOpened = (): unknown[] =>
    directoryOpen.mock.calls.map(([opened]) => opened).filter((opened) => opened === dirname(path));

  it('is synced once, after the first sync of the file that stands in it', async () => {
    const order: string[] = [];
    datasync.mockImplementation((descriptor, done) => {
      order.push('file');
      real.fdatasync(descriptor, done);
    });
    directorySync.mockImplementation((descriptor, done) => {
      order.push('directory');
      real.fsync(descriptor, done);
    });
    const sink = fileSink(path, { durability: 'always' });
    await sink.write(line(0), 0, 0);
    expect(order).toEqual(['file', 'directory']);
    await sink.write(line(1), 1, 1);
    await sink.close?.();
    await sink.write(line(2), 2, 2);
    await sink.close?.();
    expect(order).toEqual(['file', 'directory', 'file', 'file']);
    expect(directoriesOpened()).toEqual([dirname(path)]);
  });

  it('is waited for', async () => {
    const held: Done[] = [];
    directorySync.mockImplementation((_, done) => {
      held.push(done);
    });
    const written = watch(fileSink(path, { durability: 'always' }).write(line(0), 0, 0));
    await until(() => expect(held).toHaveLength(1));
    await turns();
    expect(written.state).toBe('pending');
    held[0]?.();
    await until(() => expect(written.state).toBe('resolved'));
  });

  it.each(['EPERM', 'EISDIR', 'EINVAL', 'EACCES'])('may refuse to be synced with %s', async (code) => {
    for (const fail of [
      () => directorySync.mockImplementation((_, done) => done(failure(code))),
      () => directoryOpen.mockImplementation((_, __, done) => done(failure(code))),
    ]) {
      fail();
      const sink = fileSink(path, { durability: 'always' });
      await sink.write(line(0), 0, 0);
      await sink.close?.();
    }
    expect(text()).toBe(line(0) + line(0));
  });

  it.each(['EIO', 'ENOSPC', 'ENOENT'])('makes the sink fail when its sync does with %s', async (code) => {
    directorySync.mockImplementation((_, done) => done(failure(code)));
    const sink = fileSink(path, { durability: 'always' });
    await expect(sink.write(line(0), 0, 0)).rejects.toMatchObject({ code });
    expect(() => sink.write(line(1), 1, 1)).toThrow(expect.objectContaining({ code }));
    expect(text()).toBe(line(0));
    if (linux) expect(descriptors(dirname(path))).toBe(0);
    expect(close).toHaveBeenCalled();
  });

  it('is synced for a file that was there before: whoever made it may have died too early', async () => {
    writeFileSync(path, '');
    await fileSink(path, { durability: 'always' }).write(line(0), 0, 0);
    expect(directoriesOpened()).toEqual([dirname(path)]);
  });
});

describe('the options of a fileSink', () => {
  it.each([
    { name: 'an unknown durability', options: { durability: 'sometimes' }, message: 'fileSink.durability' },
    { name: 'a boolean durability', options: { durability: true }, message: 'fileSink.durability' },
    { name: 'null for a durability', options: { durability: null }, message: 'fileSink.durability' },
    { name: 'an unknown option', options: { sync: 'always' }, message: 'sync' },
    { name: 'a string in place of options', options: 'always', message: 'fileSink' },
    { name: 'null in place of options', options: null, message: 'fileSink' },
  ])('refuse $name', ({ options, message }) => {
    const make = (): unknown => fileSink(path, options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });
});
