import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { streamSink } from '../../src/audit/stream-sink.ts';
import { createLeash } from '../../src/leash.ts';
import { readLogs } from '../helpers/log-verifier.ts';
import { sinkContract } from '../helpers/sink-contract.ts';
import { watch } from '../helpers/watch.ts';

let directory: string;
const children: ChildProcess[] = [];
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'leashkit-stream-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const failure = (code: string): Error => Object.assign(new Error('secret'), { code });
const unavailable = (code: string) => ({
  code: 'AUDIT_UNAVAILABLE',
  message: `the audit log cannot be written (${code}), so no call runs`,
});

/** A stream that keeps what it takes, and takes it when it is told to. */
function held(): { readonly stream: Writable; readonly take: (error?: Error) => void; readonly text: () => string } {
  let text = '';
  const open: (() => void)[] = [];
  let failWith: Error | undefined;
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      open.push(() => {
        if (failWith === undefined) text += chunk.toString();
        done(failWith);
      });
    },
  });
  return {
    stream,
    text: () => text,
    take: (error) => {
      failWith = error;
      open.shift()?.();
    },
  };
}

/** What a log holds, and how many calls of each of its sessions ended well. */
function counted(text: string): unknown {
  const { complete, logs } = readLogs(text);
  return {
    complete,
    logs: logs.map(({ events }) => ({ calls: events.filter(({ kind }) => kind === 'tool_ok').length })),
  };
}

/** A process with pipes for standard input and output, running this program. */
function program(source: string): ChildProcess {
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['pipe', 'pipe', 'inherit', 'ipc'],
  });
  children.push(child);
  return child;
}

async function outputOf(child: ChildProcess): Promise<string> {
  const chunks: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
  await finished(child.stdout as NonNullable<typeof child.stdout>);
  return Buffer.concat(chunks).toString();
}

function destroyedStream(): Writable {
  const stream = new PassThrough();
  stream.destroy();
  return stream;
}

sinkContract(
  'streamSink of a stream in memory',
  () => {
    const chunks: Buffer[] = [];
    const stream = new Writable({
      write(chunk: Buffer, _, done) {
        chunks.push(chunk);
        setImmediate(done);
      },
    });
    return { sink: streamSink(stream), bytes: () => Buffer.concat(chunks) };
  },
  { failing: () => streamSink(destroyedStream()) },
);

let files = 0;
sinkContract('streamSink of a file', () => {
  const path = join(directory, `${files++}.jsonl`);
  const stream = createWriteStream(path);
  return { sink: streamSink(stream), bytes: () => readFileSync(path), dispose: () => void stream.destroy() };
});

describe('streamSink', () => {
  it('lets a write wait until the stream has passed it on', async () => {
    const { stream, take, text } = held();
    const sink = streamSink(stream);
    const [first, second] = [watch(sink.write('a\n', 0, 0)), watch(sink.write('b\n', 1, 1))];
    await turn();
    expect([first.state, second.state, text()]).toEqual(['pending', 'pending', '']);
    take();
    await turn();
    expect([first.state, second.state, text()]).toEqual(['resolved', 'pending', 'a\n']);
    take();
    await turn();
    expect([second.state, text()]).toEqual(['resolved', 'a\nb\n']);
  });

  it('lets no tool run before the stream has its start', async () => {
    const { stream, take } = held();
    const leash = createLeash({ guards: [], audit: streamSink(stream) });
    const tool = vi.fn();
    const result = leash.run({ tool: 'tool' }, tool);
    await turn();
    take();
    await turn();
    expect(tool).not.toHaveBeenCalled();
    take();
    await result;
    expect(tool).toHaveBeenCalledTimes(1);
  });

  it('hands over bytes, whatever encoding the stream has for strings', async () => {
    const chunks: unknown[] = [];
    const stream = new Writable({
      objectMode: true,
      write(chunk, _, done) {
        chunks.push(chunk);
        done();
      },
    });
    stream.setDefaultEncoding('latin1');
    await streamSink(stream).write('"é€😀"\n', 0, 0);
    expect(chunks).toEqual([Buffer.from('"é€😀"\n')]);
  });

  it('does not end the stream, and lets its events be once it is closed', async () => {
    const stream = new PassThrough().resume();
    const sink = streamSink(stream);
    const listeners = (): number => stream.listenerCount('error') + stream.listenerCount('close');
    const before = listeners();
    await sink.write('a\n', 0, 0);
    await sink.write('b\n', 1, 1);
    expect(listeners()).toBe(before + 2);
    await sink.close?.();
    expect(listeners()).toBe(before);
    expect(stream.writable).toBe(true);
    await sink.write('c\n', 2, 2);
    expect(listeners()).toBe(before + 2);
    await sink.close?.();
    expect(listeners()).toBe(before);
  });

  it.each(['sync', 'close'] as const)('waits for everything written: %s', async (method) => {
    const { stream, take } = held();
    const sink = streamSink(stream);
    for (let i = 0; i < 2; i++) void sink.write('a\n', i, i);
    const done = watch(sink[method]?.());
    take();
    await turn();
    expect(done.state).toBe('pending');
    take();
    await turn();
    expect(done.state).toBe('resolved');
  });

  it('keeps listening when a log writes again while it is being closed', async () => {
    const { stream, take } = held();
    const sink = streamSink(stream);
    void sink.write('a\n', 0, 0);
    const closed = sink.close?.();
    const second = watch(sink.write('b\n', 0, 0));
    take();
    await closed;
    expect(stream.listenerCount('error')).toBe(1);
    take();
    await turn();
    expect(second.state).toBe('resolved');
  });
});

describe('a stream that fails', () => {
  it.each<{ name: string; code: string; fail: (of: ReturnType<typeof held>) => void }>([
    { name: 'in a write', code: 'EIO', fail: ({ take }) => take(failure('EIO')) },
    { name: 'by itself', code: 'EPIPE', fail: ({ stream }) => void stream.destroy(failure('EPIPE')) },
    { name: 'in being destroyed', code: 'ERR_STREAM_DESTROYED', fail: ({ stream }) => void stream.destroy() },
    { name: 'by an event alone', code: 'EPIPE', fail: ({ stream }) => void stream.emit('error', failure('EPIPE')) },
    {
      name: 'by an event without an error',
      code: 'ERR_STREAM_DESTROYED',
      fail: ({ stream }) => void stream.emit('close'),
    },
  ])('rejects all that waits, and takes nothing more: $name', async ({ code, fail }) => {
    const of = held();
    const sink = streamSink(of.stream);
    const waiting = [0, 1, 2].map((i) => watch(sink.write('a\n', i, i)));
    const synced = watch(sink.sync?.());
    await turn();
    fail(of);
    await turn();
    expect([...waiting, synced]).toEqual(
      Array(4).fill({ state: 'rejected', error: expect.objectContaining({ code }) }),
    );
    const passed = vi.spyOn(of.stream, 'write');
    expect(() => sink.write('b\n', 3, 3)).toThrow(expect.objectContaining({ code }));
    await expect(sink.sync?.()).rejects.toMatchObject({ code });
    await expect(sink.close?.()).rejects.toMatchObject({ code });
    expect(passed).not.toHaveBeenCalled();
  });

  it('between two writes tells the next', async () => {
    const { stream, take } = held();
    const sink = streamSink(stream);
    const written = sink.write('a\n', 0, 0);
    take();
    await written;
    stream.destroy(failure('EPIPE'));
    await turn();
    await expect(sink.sync?.()).rejects.toMatchObject({ code: 'EPIPE' });
    expect(() => sink.write('b\n', 1, 1)).toThrow(expect.objectContaining({ code: 'EPIPE' }));
  });

  it('before the first write tells it', () => {
    expect(() => streamSink(destroyedStream()).write('a\n', 0, 0)).toThrow(
      expect.objectContaining({ code: 'ERR_STREAM_DESTROYED' }),
    );
  });

  it('because somebody ended it takes nothing more', async () => {
    const stream = new PassThrough().resume();
    const sink = streamSink(stream);
    await sink.write('a\n', 0, 0);
    stream.end();
    await expect((async () => sink.write('b\n', 1, 1))()).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_STREAM_(WRITE_AFTER_END|DESTROYED)$/),
    });
  });

  it('by throwing is like one that says so', async () => {
    const write = vi.fn(() => {
      throw failure('EIO');
    });
    const sink = streamSink({ write, on: () => {}, removeListener: () => {} });
    await expect(sink.write('a\n', 0, 0)).rejects.toMatchObject({ code: 'EIO' });
    expect(() => sink.write('b\n', 1, 1)).toThrow(expect.objectContaining({ code: 'EIO' }));
    expect(write).toHaveBeenCalledTimes(1);
  });

  it('stops the session, and not the process', async () => {
    const { stream, take } = held();
    const leash = createLeash({ guards: [], audit: streamSink(stream) });
    const result = leash.run({ tool: 'tool' }, () => 'done');
    for (let i = 0; i < 3; i++) {
      await turn();
      take();
    }
    expect(await result).toBe('done');
    stream.destroy(failure('EPIPE'));
    const tool = vi.fn();
    await turn();
    await expect(leash.run({ tool: 'tool' }, tool)).rejects.toMatchObject(unavailable('EPIPE'));
    await expect(leash.close()).rejects.toMatchObject(unavailable('EPIPE'));
    expect(tool).not.toHaveBeenCalled();
  });
});

describe('a pipe as a stream', () => {
  it('carries the log to another process', async () => {
    const child = program('process.stdin.pipe(process.stdout); process.channel.unref();');
    const leash = createLeash({ guards: [], audit: streamSink(child.stdin as Writable) });
    await Promise.all(Array.from({ length: 50 }, (_, i) => leash.run({ tool: 'tool' }, async () => i)));
    await leash.close();
    child.stdin?.end();
    expect(counted(await outputOf(child))).toMatchObject({ complete: true, logs: [{ calls: 50 }] });
  });

  it('makes calls wait while its reader is slow', async () => {
    // It reads nothing before it is told to.
    const child = program(
      "process.once('message', () => { process.stdin.pipe(process.stdout); process.disconnect(); });",
    );
    const sink = streamSink(child.stdin as Writable);
    const lines = `${'x'.repeat(99_999)}\n`;
    const writes = Array.from({ length: 20 }, (_, i) => watch(sink.write(lines, i, i)));
    // More than a pipe holds: most of the writes have to wait.
    await vi.waitFor(() => expect((child.stdin as Writable).writableLength).toBeGreaterThan(1_000_000), {
      timeout: 5_000,
    });
    for (let i = 0; i < 5; i++) await turn();
    expect(writes.at(-1)?.state).toBe('pending');
    const output = outputOf(child);
    child.send('read');
    await sink.sync?.();
    expect(new Set(writes.map(({ state }) => state))).toEqual(new Set(['resolved']));
    child.stdin?.end();
    expect((await output) === lines.repeat(20)).toBe(true);
  });

  it('whose reader is gone stops the calls', async () => {
    const child = program("process.stdin.once('data', () => process.exit());");
    const leash = createLeash({ guards: [], audit: streamSink(child.stdin as Writable) });
    let denied: unknown;
    await vi.waitFor(
      async () => {
        await leash
          .run({ tool: 'tool' }, () => {})
          .catch((error) => {
            denied = error;
          });
        expect(denied).toBeDefined();
      },
      { timeout: 5_000 },
    );
    expect(denied).toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    const tool = vi.fn();
    await expect(leash.run({ tool: 'tool' }, tool)).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    expect(tool).not.toHaveBeenCalled();
    await expect(leash.close()).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
  });

  it('may be the standard output of the process itself, up to its exit', async () => {
    const source = (path: string): string =>
      JSON.stringify(fileURLToPath(new URL(`../../src/${path}`, import.meta.url)));
    const child = program(`
      const { createLeash } = await import(${source('leash.ts')});
      const { streamSink } = await import(${source('audit/stream-sink.ts')});
      const leash = createLeash({ guards: [], audit: streamSink(process.stdout) });
      for (let i = 0; i < 20; i++) await leash.run({ tool: 'tool' }, () => i);
      await leash.close();
      process.exit();
    `);
    expect(counted(await outputOf(child))).toMatchObject({ complete: true, logs: [{ calls: 20 }] });
  });
});

describe('the argument of streamSink', () => {
  it.each<{ name: string; stream: unknown }>([
    { name: 'a path', stream: 'audit.jsonl' },
    { name: 'a file descriptor', stream: 1 },
    { name: 'nothing', stream: undefined },
    { name: 'null', stream: null },
    { name: 'an object without events', stream: { write: () => {} } },
    { name: 'a stream to read from', stream: { on: () => {}, removeListener: () => {} } },
  ])('is refused when it is $name', ({ stream }) => {
    const make = (): unknown => streamSink(stream as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow('streamSink expects a writable stream');
  });
});
