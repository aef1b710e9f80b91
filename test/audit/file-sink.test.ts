import { createHash } from 'node:crypto';
import type fs from 'node:fs';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, type Mock, vi } from 'vitest';
import { fileSink } from '../../src/audit/file-sink.ts';
import type { AuditSink } from '../../src/audit/sink.ts';
import { budget } from '../../src/guards/budget.ts';
import { createLeash } from '../../src/leash.ts';
import type { Leash } from '../../src/leash-contract.ts';
import { type Report, readLogs } from '../helpers/log-verifier.ts';
import { sinkContract } from '../helpers/sink-contract.ts';

vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  return { ...real, writeSync: vi.fn(real.writeSync), readSync: vi.fn(real.readSync), openSync: vi.fn(real.openSync) };
});

type WriteSync = (descriptor: number, data: string | Uint8Array) => number;
const write = writeSync as unknown as Mock<WriteSync>;
const open = openSync as Mock<typeof fs.openSync>;
const real = await vi.importActual<typeof fs>('node:fs');
const reallyWrite = real.writeSync as WriteSync;

const linux = process.platform === 'linux';
let directory: string;
let path: string;
let files = 0;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'leashkit-file-sink-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});
beforeEach(() => {
  path = join(directory, `${files++}.jsonl`);
});
afterEach(() => {
  vi.restoreAllMocks();
  write.mockReset().mockImplementation(reallyWrite);
  open.mockReset().mockImplementation(real.openSync);
});

const read = (): Report => readLogs(readFileSync(path));
const unavailable = (code: string) => ({
  code: 'AUDIT_UNAVAILABLE',
  message: `the audit log cannot be written (${code}), so no call runs`,
});

async function session(audit: AuditSink, calls = 1): Promise<void> {
  const leash = createLeash({ guards: [], audit });
  for (let i = 0; i < calls; i++) await leash.run({ tool: 'tool' }, () => i);
  await leash.close();
}

/** How many descriptors of this process stand for a file. */
function descriptors(of: string): number {
  return readdirSync('/proc/self/fd').filter((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`) === of;
    } catch {
      return false;
    }
  }).length;
}

sinkContract(
  'fileSink',
  () => {
    const file = path;
    return { sink: fileSink(file), bytes: () => readFileSync(file) };
  },
  linux ? { failing: () => fileSink('/dev/full') } : {},
);

describe('fileSink', () => {
  it.each([{ path: '' }, { path: undefined }, { path: null }, { path: 5 }, { path: new URL('file:///a') }])(
    'refuses $path for a path',
    ({ path }) => {
      const make = (): unknown => fileSink(path as string);
      expect(make).toThrow(TypeError);
      expect(make).toThrow('fileSink expects a path');
    },
  );

  it('makes a file that its owner alone can read, whatever the umask', async () => {
    const before = process.umask(0);
    try {
      await session(fileSink(path));
    } finally {
      process.umask(before);
    }
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('leaves the mode of a file as it is', async () => {
    writeFileSync(path, '');
    chmodSync(path, 0o640);
    await session(fileSink(path));
    expect(statSync(path).mode & 0o777).toBe(0o640);
  });

  it('makes the file when the first session opens, not before', () => {
    const audit = fileSink(path);
    expect(existsSync(path)).toBe(false);
    createLeash({ guards: [], audit });
    expect(existsSync(path)).toBe(true);
  });

  it('appends to what is there', async () => {
    await session(fileSink(path));
    const before = readFileSync(path, 'utf8');
    await session(fileSink(path), 3);
    expect(readFileSync(path, 'utf8').startsWith(before)).toBe(true);
    expect(read()).toMatchObject({ complete: true, logs: { length: 2 } });
  });

  it('stays with its file when the working directory changes', async () => {
    const before = process.cwd();
    process.chdir(directory);
    try {
      const audit = fileSink(relative(directory, path));
      process.chdir(tmpdir());
      await session(audit);
      process.chdir(before);
      await session(audit);
    } finally {
      process.chdir(before);
    }
    expect(read()).toMatchObject({ complete: true, logs: { length: 2 } });
  });

  it('stays with its file when that is moved away', async () => {
    const audit = fileSink(path);
    const leash = createLeash({ guards: [], audit });
    renameSync(path, `${path}.1`);
    leash.child({ guards: [] });
    writeFileSync(path, 'a file of somebody else, without an end');
    leash.child({ guards: [] });
    await leash.close();
    expect(readFileSync(path, 'utf8')).toBe('a file of somebody else, without an end');
    path = `${path}.1`;
    expect(read()).toMatchObject({ complete: true, logs: { length: 3 } });
    expect(read().logs.flatMap(({ events }) => events.map(({ kind }) => kind))).not.toContain('log_recovered');
  });

  it('writes each event with one call of the system, at once', async () => {
    const leash = createLeash({ guards: [budget({ usd: 1 })], audit: fileSink(path), stopOn: 'none' });
    const lines = (): number => readFileSync(path, 'utf8').split('\n').length - 1;
    expect([write.mock.calls.length, lines()]).toEqual([1, 1]);
    await leash.run({ tool: 'tool', cost: '$1' }, () => {
      expect([write.mock.calls.length, lines()]).toEqual([2, 2]);
    });
    expect([write.mock.calls.length, lines()]).toEqual([3, 3]);
    await leash.run({ tool: 'tool', cost: '$1' }, () => {}).catch(() => {});
    expect([write.mock.calls.length, lines()]).toEqual([4, 4]);
    await leash.close();
    // The last event, and the checkpoint that signs them all.
    expect([write.mock.calls.length, lines()]).toEqual([6, 6]);
  });

  it('takes sessions of several sinks in one file', async () => {
    const leashes = [0, 1, 2, 3].map(() => createLeash({ guards: [], audit: fileSink(path) }));
    for (let i = 0; i < 40; i++) await leashes[i % 4]?.run({ tool: 'tool' }, () => i);
    for (const leash of leashes) await leash.close();
    expect(read()).toMatchObject({ complete: true, logs: { length: 4 } });
  });
});

describe('a file whose last line is torn', () => {
  const LINE = '{"v":1,"log":"0","seq":0}\n';
  const text = Array.from({ length: 40_000 }, (_, i) => `${i} `).join('');
  const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

  it.each<{ name: string; before: string; fragment: string | Uint8Array }>([
    { name: 'part of a line', before: LINE, fragment: '{"v":1,"log":' },
    { name: 'one byte', before: LINE, fragment: '{' },
    { name: 'without any LF', before: '', fragment: '{"v":1,"log":' },
    { name: 'a whole line but for its LF', before: LINE, fragment: '{"v":1,"log":"1","seq":0}' },
    { name: 'zeros of a lost power', before: LINE, fragment: new Uint8Array(5000) },
    { name: 'half a character', before: LINE, fragment: Buffer.from('"€').subarray(0, 2) },
    { name: 'a lone CR', before: LINE, fragment: '\r' },
    { name: '65 535 bytes', before: LINE, fragment: text.slice(0, 65_535) },
    { name: '65 536 bytes', before: LINE, fragment: text.slice(0, 65_536) },
    { name: '65 537 bytes', before: LINE, fragment: text.slice(0, 65_537) },
    { name: '200 000 bytes', before: LINE, fragment: text.slice(0, 200_000) },
    { name: '200 000 bytes without any LF', before: '', fragment: text.slice(0, 200_000) },
  ])('is continued on a new line, and the tear put on record: $name', async ({ before, fragment }) => {
    const old = Buffer.concat([Buffer.from(before), Buffer.from(fragment as string)]);
    writeFileSync(path, old);
    await session(fileSink(path));
    const bytes = readFileSync(path);
    expect(bytes.subarray(0, old.length + 1).equals(Buffer.concat([old, Buffer.from('\n')]))).toBe(true);
    const { logs, fragments } = readLogs(bytes);
    expect(logs).toHaveLength(1);
    expect(logs[0]).toMatchObject({ closed: true });
    expect(logs[0]?.events.map(({ kind }) => kind)).toEqual([
      'session_open',
      'log_recovered',
      'tool_start',
      'tool_ok',
      'session_close',
      'checkpoint',
    ]);
    const told = { bytes: Buffer.byteLength(fragment), sha256: sha256(fragment) };
    expect(logs[0]?.events[1]).toMatchObject(told);
    expect(fragments).toContainEqual(told);
    // Only the stand-in for the line of another log is none.
    const problem = before === '' ? undefined : { line: 1, code: 'E_FORMAT' };
    if (problem === undefined) expect(readLogs(bytes)).toMatchObject({ complete: true });
    else expect(readLogs(bytes).problem).toMatchObject(problem);
  });

  it.each([1, 2, 3, 40, 100, 400])('belongs to a log that was being closed, %i bytes before its end', async (cut) => {
    await session(fileSink(path));
    const whole = readFileSync(path);
    writeFileSync(path, whole.subarray(0, -cut));
    await session(fileSink(path));
    const report = read();
    expect(report.problem).toBeUndefined();
    // Without its LF the last line is whole, once one was put behind it.
    expect(report.logs.map(({ closed }) => closed)).toEqual([cut === 1, true]);
    expect(report.fragments).toHaveLength(cut === 1 ? 0 : 1);
    expect(report.logs[1]?.events[1]).toMatchObject({ kind: 'log_recovered' });
  });

  it('is told once, by the first session after', async () => {
    writeFileSync(path, '{"torn');
    const audit = fileSink(path);
    const leash = createLeash({ guards: [], audit });
    leash.child({ guards: [] });
    await leash.close();
    await session(audit);
    await session(fileSink(path));
    expect(read().complete).toBe(true);
    expect(readFileSync(path, 'utf8').match(/log_recovered/g)).toHaveLength(1);
  });

  it('is told of each tear where there are several', async () => {
    for (let i = 0; i < 3; i++) {
      await session(fileSink(path), i);
      appendFileSync(path, `{"torn":${i}`);
    }
    await session(fileSink(path));
    const report = read();
    expect(report).toMatchObject({ complete: true, logs: { length: 4 } });
    expect(report.fragments).toHaveLength(3);
  });

  it.each([
    { name: 'an empty file', before: '' },
    { name: 'an empty line alone', before: '\n' },
    { name: 'a whole line', before: LINE },
    { name: 'a line that is no event', before: 'notes\n' },
  ])('is no such thing: $name', async ({ before }) => {
    writeFileSync(path, before);
    await session(fileSink(path));
    const text = readFileSync(path, 'utf8');
    expect(text.startsWith(before)).toBe(true);
    expect(readLogs(text.slice(before.length))).toMatchObject({ complete: true });
    expect(text).not.toContain('log_recovered');
  });

  it('is not, while another process still writes the line', async () => {
    const other = await textOfSession();
    writeFileSync(path, other.slice(0, -20));
    const wait = vi.spyOn(Atomics, 'wait').mockImplementationOnce(() => {
      appendFileSync(path, other.slice(-20));
      return 'timed-out';
    });
    await session(fileSink(path));
    expect(wait).toHaveBeenCalledTimes(1);
    expect(read()).toMatchObject({ complete: true, logs: { length: 2 }, fragments: [] });
  });

  it('is not, while other processes write one line after the other', async () => {
    const others = [await textOfSession(), await textOfSession(), await textOfSession()];
    writeFileSync(path, others[0]?.slice(0, -20) as string);
    const wait = vi.spyOn(Atomics, 'wait');
    for (const i of [1, 2]) {
      wait.mockImplementationOnce(() => {
        appendFileSync(path, `${others[i - 1]?.slice(-20)}${others[i]?.slice(0, -20)}`);
        return 'timed-out';
      });
    }
    wait.mockImplementationOnce(() => {
      appendFileSync(path, others[2]?.slice(-20) as string);
      return 'timed-out';
    });
    await session(fileSink(path));
    expect(wait).toHaveBeenCalledTimes(3);
    expect(read()).toMatchObject({ complete: true, logs: { length: 4 }, fragments: [] });
  });

  it('leaves nothing beside the log', async () => {
    writeFileSync(path, '{"torn');
    await session(fileSink(path));
    expect(existsSync(`${path}.recovering`)).toBe(false);
    expect(readdirSync(directory).filter((name) => name.startsWith(basename(path)))).toHaveLength(1);
  });

  it('is left to the process that found it first', async () => {
    const other = await textOfSession();
    writeFileSync(path, '{"torn');
    writeFileSync(`${path}.recovering`, '');
    const wait = vi.spyOn(Atomics, 'wait').mockReturnValue('timed-out');
    wait.mockReturnValueOnce('timed-out').mockImplementationOnce(() => {
      appendFileSync(path, `\n${other}`);
      rmSync(`${path}.recovering`);
      return 'timed-out';
    });
    await session(fileSink(path));
    expect(wait).toHaveBeenCalledTimes(2);
    const lines = readFileSync(path, 'utf8').split('\n');
    expect(lines.slice(0, -1)).not.toContain('');
    expect(lines.join()).not.toContain('log_recovered');
    expect(existsSync(`${path}.recovering`)).toBe(false);
  });

  it('is taken over from a process that died while it went on behind it', async () => {
    writeFileSync(path, '{"torn');
    writeFileSync(`${path}.recovering`, '');
    let waits = 0;
    const wait = vi.spyOn(Atomics, 'wait').mockImplementation(() => {
      if (waits++ > 1000) throw new Error('waits for ever');
      return 'timed-out';
    });
    await session(fileSink(path));
    // Five seconds of 20 ms each.
    expect(wait).toHaveBeenCalledTimes(250);
    expect(read()).toMatchObject({ complete: true, fragments: { length: 1 } });
    expect(existsSync(`${path}.recovering`)).toBe(false);
  });

  it('is continued where no file can be made beside the log', async () => {
    writeFileSync(path, '{"torn');
    open.mockImplementation((file, flags, mode) => {
      if (flags === 'wx') throw Object.assign(new Error('secret'), { code: 'EACCES' });
      return real.openSync(file, flags, mode);
    });
    await session(fileSink(path));
    expect(read()).toMatchObject({ complete: true, fragments: { length: 1 } });
  });

  it('is told by the next session where the first one did not begin', async () => {
    writeFileSync(path, '{"torn');
    const audit = fileSink(path);
    const clock = { now: () => 0, wall: () => Number.NaN };
    expect(() => createLeash({ guards: [], audit, clock })).toThrow();
    await session(audit);
    expect(read()).toMatchObject({ complete: true, fragments: { length: 1 } });
  });

  /** What a session writes, from another file. */
  async function textOfSession(): Promise<string> {
    const elsewhere = join(directory, `${files++}.jsonl`);
    await session(fileSink(elsewhere));
    return readFileSync(elsewhere, 'utf8');
  }
});

describe('a file that cannot be written', () => {
  it.each<{ name: string; code: string; make: () => string }>([
    { name: 'a directory', code: 'EISDIR', make: () => directory },
    { name: 'in a directory that is not there', code: 'ENOENT', make: () => join(path, 'audit.jsonl') },
    {
      name: 'below a file',
      code: 'ENOTDIR',
      make: () => {
        writeFileSync(path, '');
        return join(path, 'audit.jsonl');
      },
    },
    { name: 'under too long a name', code: 'ENAMETOOLONG', make: () => join(directory, 'x'.repeat(300)) },
    { name: 'under a name with a NUL', code: 'ERR_INVALID_ARG_VALUE', make: () => `${path}\0` },
    ...(linux ? [{ name: 'on a full disk', code: 'ENOSPC', make: () => '/dev/full' }] : []),
  ])('lets no session begin: $name', ({ code, make }) => {
    const audit = fileSink(make());
    for (let i = 0; i < 2; i++) {
      expect(() => createLeash({ guards: [], audit })).toThrow(expect.objectContaining(unavailable(code)));
    }
  });

  it('is tried again once it may be there', async () => {
    path = join(path, 'audit.jsonl');
    const audit = fileSink(path);
    expect(() => createLeash({ guards: [], audit })).toThrow(expect.objectContaining(unavailable('ENOENT')));
    mkdirSync(join(path, '..'));
    await session(audit);
    expect(read().complete).toBe(true);
  });

  it.each([
    { name: 'one byte at a time', most: 1 },
    { name: 'three bytes at a time, in the middle of characters', most: 3 },
    { name: 'a hundred bytes at a time', most: 100 },
  ])('whole at once is written in parts: $name', async ({ most }) => {
    write.mockImplementation((descriptor, data) => {
      const bytes = Buffer.from(data as string);
      return reallyWrite(descriptor, bytes.subarray(0, most));
    });
    const leash = createLeash({ guards: [], agent: 'é€😀', audit: fileSink(path) });
    expect(await leash.run({ tool: 'ß😀' }, () => 'done')).toBe('done');
    await leash.close();
    expect(read()).toMatchObject({ complete: true, logs: [{ events: { length: 5 } }] });
  });

  const DEAD: readonly { name: string; code: string; fail: WriteSync }[] = [
    {
      name: 'a write that throws',
      code: 'EIO',
      fail: () => {
        throw Object.assign(new Error('secret'), { code: 'EIO' });
      },
    },
    { name: 'a write of nothing', code: 'ENOSPC', fail: () => 0 },
    {
      name: 'a write of a part, and then of nothing',
      code: 'ENOSPC',
      fail: (descriptor, data) =>
        typeof data === 'string' ? reallyWrite(descriptor, Buffer.from(data).subarray(0, 50)) : 0,
    },
    {
      name: 'a write of a part, and then one that throws',
      code: 'EIO',
      fail: (descriptor, data) => {
        if (typeof data === 'string') return reallyWrite(descriptor, Buffer.from(data).subarray(0, 50));
        throw Object.assign(new Error('secret'), { code: 'EIO' });
      },
    },
  ];

  it.each(DEAD)('is left alone for good after $name', async ({ code, fail }) => {
    const audit = fileSink(path);
    const leash = createLeash({ guards: [budget({ usd: 1 })], audit });
    const other = createLeash({ guards: [], audit });
    const tool = vi.fn(async () => 'done');
    const call = (of: Leash): Promise<string> => of.run({ tool: 'tool', cost: '$0.5' }, tool);
    await call(leash);
    const before = readFileSync(path);
    write.mockImplementation((descriptor, data) => {
      if (write.mock.calls.length > 1000) throw new Error('writes for ever');
      return fail(descriptor, data);
    });
    await expect(call(leash)).rejects.toMatchObject(unavailable(code));
    const after = readFileSync(path);
    expect(after.subarray(0, before.length).equals(before)).toBe(true);

    // The disk works again; the sink does not know what it has.
    write.mockReset().mockImplementation(reallyWrite);
    await expect(call(leash)).rejects.toMatchObject(unavailable(code));
    await expect(other.run({ tool: 'tool' }, tool)).rejects.toMatchObject(unavailable(code));
    expect(() => createLeash({ guards: [], audit })).toThrow(expect.objectContaining(unavailable(code)));
    await expect(leash.close()).rejects.toMatchObject(unavailable(code));
    await expect(other.close()).rejects.toMatchObject(unavailable(code));
    expect(write).not.toHaveBeenCalled();
    expect(tool).toHaveBeenCalledTimes(1);
    expect((await leash.usage()).limits[0]).toMatchObject({ held: '0', spent: '0.5' });
    expect(readFileSync(path).equals(after)).toBe(true);
    if (linux) expect(descriptors(path)).toBe(0);

    // Whoever comes next finds what was torn.
    await session(fileSink(path));
    const report = read();
    expect(report.problem).toBeUndefined();
    expect(report.logs.map(({ closed }) => closed)).toEqual([false, false, true]);
    expect(report.fragments.map(({ bytes }) => bytes)).toEqual(after.length > before.length ? [50] : []);
  });

  it('after the tool has run is left alone too, and the result is told', async () => {
    const leash = createLeash({ guards: [], audit: fileSink(path) });
    const result = leash.run({ tool: 'tool' }, () => {
      write.mockImplementation(() => {
        throw Object.assign(new Error('secret'), { code: 'ENOSPC' });
      });
      return 'done';
    });
    expect(await result).toBe('done');
    write.mockReset().mockImplementation(reallyWrite);
    await expect(leash.run({ tool: 'tool' }, () => 'done')).rejects.toMatchObject(unavailable('ENOSPC'));
    await expect(leash.close()).rejects.toMatchObject(unavailable('ENOSPC'));
    expect(write).not.toHaveBeenCalled();
    expect(read()).toMatchObject({ ok: true, logs: [{ closed: false, events: { length: 2 } }] });
  });
});

describe.runIf(linux)('the descriptor of a fileSink', () => {
  it('is one for all sessions, and closed with the last of them', async () => {
    const audit = fileSink(path);
    expect(descriptors(path)).toBe(0);
    const first = createLeash({ guards: [], audit });
    const second = createLeash({ guards: [], audit });
    first.child({ guards: [] });
    expect(descriptors(path)).toBe(1);
    await first.close();
    expect(descriptors(path)).toBe(1);
    await second.run({ tool: 'tool' }, () => 1);
    await second.close();
    expect(descriptors(path)).toBe(0);
    const third = createLeash({ guards: [], audit });
    expect(descriptors(path)).toBe(1);
    await third.close();
    expect(descriptors(path)).toBe(0);
    expect(read()).toMatchObject({ complete: true, logs: { length: 4 } });
  });

  it('is closed by a thousand sessions, each with a sink of its own', { timeout: 30_000 }, async () => {
    const all = (): number => readdirSync('/proc/self/fd').length;
    await session(fileSink(path));
    const before = all();
    for (let i = 0; i < 1000; i++) {
      if (i % 100 === 50) appendFileSync(path, 'torn');
      await session(fileSink(path), 0);
    }
    expect(all()).toBe(before);
    const report = read();
    expect(report).toMatchObject({ complete: true, logs: { length: 1001 } });
    expect(report.fragments).toHaveLength(10);
  });

  it('is closed where a session could not begin', () => {
    writeFileSync(path, 'torn');
    const fail = (): never => {
      throw Object.assign(new Error('secret'), { code: 'EIO' });
    };
    (readSync as Mock<typeof fs.readSync>).mockImplementationOnce(fail);
    expect(() => createLeash({ guards: [], audit: fileSink(path) })).toThrow(
      expect.objectContaining(unavailable('EIO')),
    );
    expect(descriptors(path)).toBe(0);
    write.mockImplementation(fail);
    expect(() => createLeash({ guards: [], audit: fileSink(path) })).toThrow(
      expect.objectContaining(unavailable('EIO')),
    );
    expect(descriptors(path)).toBe(0);
    expect(readFileSync(path, 'utf8')).toBe('torn');
  });
});
