import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { fileSink } from '../../src/audit/file-sink.ts';
import { memorySink } from '../../src/audit/memory-sink.ts';
import type { AuditSink, PriorHead, Recovered, TornTail } from '../../src/audit/sink.ts';
import { teeSink } from '../../src/audit/tee-sink.ts';
import { verifyLog } from '../../src/audit/verify.ts';
import { createLeash } from '../../src/leash.ts';
import { readLogs } from '../helpers/log-verifier.ts';
import { sinkContract } from '../helpers/sink-contract.ts';
import { watch } from '../helpers/watch.ts';

let directory: string;
let file: string;
let files = 0;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'leashkit-tee-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});
beforeEach(() => {
  file = join(directory, `${files++}.jsonl`);
});

const failure = (code: string): Error => Object.assign(new Error('secret'), { code });
const unavailable = (code: string) => ({
  code: 'AUDIT_UNAVAILABLE',
  message: `the audit log cannot be written (${code}), so no call runs`,
});

interface Recording extends AuditSink {
  readonly text: () => string;
  /** From now on a write does this. */
  act: (lines: string) => void | Promise<void>;
}

/** A sink that keeps what it was handed, and can be told to fail. */
function recording(name: string): Recording {
  let text = '';
  const sink: Recording = {
    name,
    act: () => {},
    text: () => text,
    write(lines) {
      const done = sink.act(lines);
      text += lines;
      return done;
    },
  };
  return sink;
}

/** A sink whose answers come when they are called for, in order. */
function answering(name: string): AuditSink & { readonly answer: (error?: Error) => void; readonly taken: string[] } {
  const open: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const taken: string[] = [];
  return {
    name,
    taken,
    write: (lines) => {
      taken.push(lines);
      return new Promise((resolve, reject) => {
        open.push({ resolve, reject });
      });
    },
    answer: (error) => {
      const first = open.shift();
      if (error === undefined) first?.resolve();
      else first?.reject(error);
    },
  };
}

function throwing(name: string, error: unknown): AuditSink & { readonly writes: () => number } {
  const write = vi.fn(() => {
    throw error;
  });
  return { name, write, writes: () => write.mock.calls.length };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const quiet = { onFailure: () => {} };

sinkContract(
  'teeSink of memory and a file',
  () => {
    const path = file;
    const memory = memorySink({ max: 1_000_000 });
    const sink = teeSink([memory, fileSink(path, { durability: 'never' })]);
    const bytes = (): Uint8Array => {
      const copy = readFileSync(path);
      expect(Buffer.from(memory.lines.map((line) => `${line}\n`).join('')).equals(copy)).toBe(true);
      return copy;
    };
    return { sink, bytes };
  },
  { failing: () => teeSink([memorySink(), throwing('bad', failure('EIO'))], quiet) },
);

sinkContract(
  "teeSink of an asynchronous file and one that fails, quorum 'any'",
  () => {
    const path = file;
    const sinks = [throwing('bad', failure('EIO')), fileSink(path, { durability: 'always' })];
    return { sink: teeSink(sinks, { quorum: 'any', ...quiet }), bytes: () => readFileSync(path) };
  },
  { failing: () => teeSink([throwing('one', failure('EIO')), throwing('two', null)], { quorum: 'any', ...quiet }) },
);

describe('teeSink', () => {
  it('gives every sink the same bytes, and each copy verifies', async () => {
    const paths = [0, 1].map((i) => `${file}.${i}`) as [string, string];
    const memory = memorySink();
    const [first, second] = paths;
    const audit = teeSink([fileSink(first), memory, fileSink(second, { durability: 'always' })]);
    const leash = createLeash({ guards: [], audit });
    await Promise.all([1, 2, 3].map((n) => leash.run({ tool: 'tool' }, async () => n)));
    await leash.close();
    const copies = [readFileSync(first, 'utf8'), memory.lines.map((line) => `${line}\n`).join('')];
    expect(readLogs(readFileSync(second))).toMatchObject({ complete: true, logs: { length: 1 } });
    expect(copies).toEqual([readFileSync(second, 'utf8'), readFileSync(second, 'utf8')]);
  });

  it('tells every sink the numbers of the lines', () => {
    const one = vi.fn();
    const two = vi.fn();
    const sinks = [one, two].map((write, i) => ({ name: `${i}`, write }));
    void teeSink(sinks).write('a\nb\n', 5, 6);
    for (const write of [one, two]) expect(write.mock.calls).toEqual([['a\nb\n', 5, 6]]);
  });

  it('may stand in a tee', async () => {
    const sinks = [recording('a'), recording('b'), recording('c')] as const;
    const tee = teeSink([teeSink([sinks[0], sinks[1]]), sinks[2]]);
    expect(tee.write('x\n', 0, 0)).toBeUndefined();
    await tee.close?.();
    expect(sinks.map((sink) => sink.text())).toEqual(['x\n', 'x\n', 'x\n']);
  });
});

describe('the quorum of a teeSink', () => {
  const bad = 'bad';
  it.each<{ name: string; quorum: 'all' | 'any' | number; sinks: readonly string[]; succeeds: boolean }>([
    { name: 'all of three', quorum: 'all', sinks: ['a', 'b', 'c'], succeeds: true },
    { name: 'all, and one fails', quorum: 'all', sinks: ['a', bad, 'c'], succeeds: false },
    { name: 'all of one', quorum: 'all', sinks: ['a'], succeeds: true },
    { name: 'any, and all but one fail', quorum: 'any', sinks: [bad, bad, 'c'], succeeds: true },
    { name: 'any, and all fail', quorum: 'any', sinks: [bad, bad], succeeds: false },
    { name: 'two of three', quorum: 2, sinks: ['a', bad, 'c'], succeeds: true },
    { name: 'two, and two of three fail', quorum: 2, sinks: [bad, 'b', bad], succeeds: false },
    { name: 'three of three', quorum: 3, sinks: ['a', 'b', bad], succeeds: false },
    { name: 'one of one', quorum: 1, sinks: ['a'], succeeds: true },
  ])('is $name', ({ quorum, sinks, succeeds }) => {
    const error = failure('EIO');
    const made = sinks.map((name) => (name === bad ? throwing(bad, error) : recording(name)));
    const write = (): unknown => teeSink(made, { quorum, ...quiet }).write('x\n', 0, 0);
    if (succeeds) expect(write()).toBeUndefined();
    else expect(write).toThrow(error);
  });

  it("is 'all' by default", () => {
    expect(() => teeSink([recording('a'), throwing('b', failure('EIO'))], quiet).write('x\n', 0, 0)).toThrow();
  });

  it('is reached at once where enough sinks answer at once', () => {
    const slow = answering('slow');
    expect(teeSink([slow, recording('a')], { quorum: 'any' }).write('x\n', 0, 0)).toBeUndefined();
    expect(teeSink([slow, recording('a'), recording('b')], { quorum: 2 }).write('x\n', 0, 0)).toBeUndefined();
    expect(teeSink([slow, recording('a')]).write('x\n', 0, 0)).toBeInstanceOf(Promise);
  });

  it('is waited for, and for no sink beyond it', async () => {
    const slow = [answering('0'), answering('1'), answering('2')] as const;
    const written = watch(teeSink([...slow, recording('a')], { quorum: 3 }).write('x\n', 0, 0));
    slow[2].answer();
    await turn();
    expect(written.state).toBe('pending');
    slow[0].answer();
    await turn();
    expect(written.state).toBe('resolved');
  });

  it('fails as soon as it cannot be reached', async () => {
    const slow = [answering('0'), answering('1'), answering('2')] as const;
    const tee = teeSink(slow, { quorum: 2, ...quiet });
    const written = watch(tee.write('x\n', 0, 0));
    slow[1].answer(failure('FIRST'));
    await turn();
    expect(written.state).toBe('pending');
    slow[0].answer(failure('SECOND'));
    await turn();
    expect(written).toMatchObject({ state: 'rejected', error: { code: 'SECOND' } });
    expect(() => tee.write('y\n', 1, 1)).toThrow(expect.objectContaining({ code: 'SECOND' }));
    expect(slow[2].taken).toEqual(['x\n']);
    slow[2].answer(failure('THIRD'));
    await turn();
    expect(() => tee.write('y\n', 1, 1)).toThrow(expect.objectContaining({ code: 'SECOND' }));
  });

  it('is not of sinks that took a later line and not an earlier one', async () => {
    const [one, two] = [answering('one'), answering('two')];
    const tee = teeSink([one, two], { quorum: 'any', ...quiet });
    const first = watch(tee.write('x\n', 0, 0));
    const second = watch(tee.write('y\n', 1, 1));
    one.answer(failure('EIO'));
    one.answer();
    await turn();
    expect([first.state, second.state]).toEqual(['pending', 'pending']);
    two.answer();
    await turn();
    expect([first.state, second.state]).toEqual(['resolved', 'pending']);
    two.answer();
    await turn();
    expect(second.state).toBe('resolved');
  });

  it('is of sinks that took an earlier line and not a later one', async () => {
    const [one, two] = [answering('one'), answering('two')];
    const tee = teeSink([one, two], { quorum: 1, ...quiet });
    const first = watch(tee.write('x\n', 0, 0));
    void Promise.resolve(tee.write('y\n', 1, 1)).catch(() => {});
    two.answer(failure('EIO'));
    await turn();
    one.answer();
    one.answer(failure('EIO'));
    await turn();
    expect(first.state).toBe('resolved');
  });

  it('counts a sink that answers at once only after the line before, for which it took its time', async () => {
    let done = (): void => {};
    const late = new Promise<void>((resolve) => {
      done = resolve;
    });
    const sink = recording('changing');
    sink.act = () => late;
    const tee = teeSink([sink]);
    const first = watch(tee.write('x\n', 0, 0));
    sink.act = () => {};
    const second = watch(tee.write('y\n', 1, 1));
    await turn();
    expect([first.state, second.state]).toEqual(['pending', 'pending']);
    done();
    await turn();
    expect([first.state, second.state]).toEqual(['resolved', 'resolved']);
    expect(tee.write('z\n', 2, 2)).toBeUndefined();
  });

  it('is reached exactly when enough sinks have every line so far, whatever fails when', async () => {
    const plan = fc.record({
      sinks: fc.array(fc.record({ async: fc.boolean(), failsAt: fc.integer({ min: 0, max: 8 }) }), {
        minLength: 1,
        maxLength: 5,
      }),
      quorum: fc.nat(),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ sinks, quorum: drawn }) => {
        const quorum = 1 + (drawn % sinks.length);
        const texts = sinks.map(() => '');
        const made = sinks.map(({ async, failsAt }, s): AuditSink => {
          const write = (lines: string, first: number): void => {
            if (first >= failsAt) throw failure('EIO');
            texts[s] += lines;
          };
          const later = async (lines: string, first: number): Promise<void> => write(lines, first);
          return { name: `${s}`, write: async ? later : write };
        });
        const failed: number[] = [];
        const tee = teeSink(made, { quorum, onFailure: (_, __, index) => failed.push(index) });
        let recorded = '';
        let broken = false;
        for (let i = 0; i < 8; i++) {
          const outcome = await (async () => tee.write(`${i}\n`, i, i))().then(
            () => true,
            () => false,
          );
          const able = sinks.filter(({ failsAt }) => i < failsAt).length;
          expect(outcome).toBe(!broken && able >= quorum);
          if (outcome) recorded += `${i}\n`;
          else broken = true;
        }
        // Whoever did not fail has all that counts.
        for (const [s, text] of texts.entries()) {
          if (!failed.includes(s)) expect(text.startsWith(recorded)).toBe(true);
        }
      }),
    );
  });
});

describe('a sink that failed in a teeSink', () => {
  it('is left out, and told of once with its name, its error and its place', async () => {
    const error = failure('EIO');
    const bad = throwing('webhook', error);
    const good = recording('file');
    const onFailure = vi.fn();
    const leash = createLeash({ guards: [], audit: teeSink([good, bad], { quorum: 'any', onFailure }) });
    for (let i = 0; i < 3; i++) await leash.run({ tool: 'tool' }, () => i);
    await leash.close();
    expect(bad.writes()).toBe(1);
    expect(onFailure.mock.calls).toEqual([['webhook', error, 1]]);
    expect(readLogs(good.text()).complete).toBe(true);
  });

  it('is left out after it rejected too', async () => {
    const bad = answering('bad');
    const good = recording('good');
    const onFailure = vi.fn();
    const tee = teeSink([bad, good], { quorum: 'any', onFailure });
    void tee.write('x\n', 0, 0);
    bad.answer(failure('EIO'));
    await turn();
    void tee.write('y\n', 1, 1);
    expect(bad.taken).toEqual(['x\n']);
    expect(good.text()).toBe('x\ny\n');
    expect(onFailure).toHaveBeenCalledTimes(1);
  });

  it('counts once, however many of its writes fail', async () => {
    const bad = answering('bad');
    const onFailure = vi.fn();
    const tee = teeSink([bad, recording('a'), recording('b')], { quorum: 2, onFailure });
    for (let i = 0; i < 2; i++) void tee.write('x\n', i, i);
    for (let i = 0; i < 2; i++) bad.answer(failure('EIO'));
    await turn();
    expect(onFailure).toHaveBeenCalledTimes(1);
    expect(tee.write('y\n', 2, 2)).toBeUndefined();
  });

  it.each([
    { name: 'with a code', error: failure('ENOSPC'), message: 'the audit sink "bad" failed (ENOSPC) and is left out' },
    { name: 'without one', error: new Error('secret'), message: 'the audit sink "bad" failed and is left out' },
    {
      name: 'with a sentence for one',
      error: failure('a secret'),
      message: 'the audit sink "bad" failed and is left out',
    },
    { name: 'that is none', error: undefined, message: 'the audit sink "bad" failed and is left out' },
  ])('makes a process warning when nobody asks for its error $name', ({ error, message }) => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    try {
      void teeSink([throwing('bad', error), recording('good')], { quorum: 'any' }).write('x\n', 0, 0);
      expect(warned.mock.calls).toEqual([[message, { code: 'LEASHKIT_AUDIT_SINK_FAILED' }]]);
    } finally {
      warned.mockRestore();
    }
  });

  it('does not matter more when the one who is told throws', () => {
    const good = recording('good');
    const onFailure = (): never => {
      throw new Error('of its own');
    };
    const tee = teeSink([throwing('bad', failure('EIO')), good], { quorum: 'any', onFailure });
    expect(tee.write('x\n', 0, 0)).toBeUndefined();
    expect(good.text()).toBe('x\n');
  });

  it('stops the session, and all copies, when the quorum is lost with it', async () => {
    const copy = recording('copy');
    const bad = recording('bad');
    const leash = createLeash({ guards: [], audit: teeSink([copy, bad], quiet) });
    await leash.run({ tool: 'tool' }, () => {});
    bad.act = () => {
      throw failure('ENOSPC');
    };
    const tool = vi.fn();
    await expect(leash.run({ tool: 'tool' }, tool)).rejects.toMatchObject(unavailable('ENOSPC'));
    bad.act = () => {};
    const before = copy.text();
    await expect(leash.run({ tool: 'tool' }, tool)).rejects.toMatchObject(unavailable('ENOSPC'));
    await expect(leash.close()).rejects.toMatchObject(unavailable('ENOSPC'));
    expect(tool).not.toHaveBeenCalled();
    expect(copy.text()).toBe(before);
    expect(readLogs(before)).toMatchObject({ ok: true, logs: [{ closed: false }] });
    expect(readLogs(bad.text())).toMatchObject({ ok: true, logs: [{ closed: false }] });
  });

  it('is not written to behind one that failed before it, where the quorum is lost', () => {
    const after = recording('after');
    const tee = teeSink([throwing('bad', failure('EIO')), after], quiet);
    expect(() => tee.write('x\n', 0, 0)).toThrow();
    expect(after.text()).toBe('');
  });

  it('is one that leaves 10 000 writes unanswered, and nobody waits for it any more', async () => {
    const stalled = answering('stalled');
    const onFailure = vi.fn();
    const tee = teeSink([stalled, recording('good')], { quorum: 'any', onFailure });
    for (let i = 0; i < 10_000; i++) void tee.write('x\n', i, i);
    expect(onFailure).not.toHaveBeenCalled();
    void tee.write('x\n', 10_000, 10_000);
    expect(onFailure.mock.calls).toEqual([['stalled', expect.objectContaining({ code: 'ETIMEDOUT' }), 0]]);
    void tee.write('x\n', 10_001, 10_001);
    expect(stalled.taken).toHaveLength(10_001);

    const alone = teeSink([answering('stalled')], quiet);
    const writes = Array.from({ length: 10_001 }, (_, i) => watch((async () => alone.write('x\n', i, i))()));
    await turn();
    expect(new Set(writes.map(({ state }) => state))).toEqual(new Set(['rejected']));
  });
});

describe('sync and close of a teeSink', () => {
  const calls: string[] = [];
  const noting = (name: string, act: () => Promise<void> | void = () => {}): AuditSink => ({
    name,
    write: () => {},
    sync: async () => {
      calls.push(`sync ${name}`);
      await act();
    },
    close: () => {
      calls.push(`close ${name}`);
      return act();
    },
  });
  const fail = (): never => {
    throw failure('EIO');
  };
  beforeEach(() => {
    calls.length = 0;
  });

  it('reach every sink that has them', async () => {
    const tee = teeSink([noting('a'), recording('without'), noting('b')]);
    await tee.sync?.();
    await tee.close?.();
    expect(calls).toEqual(['sync a', 'sync b', 'close a', 'close b']);
  });

  it.each(['sync', 'close'] as const)('wait for all sinks: %s', async (method) => {
    let done = (): void => {};
    const late = new Promise<void>((resolve) => {
      done = resolve;
    });
    const finished = watch(teeSink([noting('slow', () => late), noting('fast')], { quorum: 'any' })[method]?.());
    await turn();
    expect(finished.state).toBe('pending');
    done();
    await turn();
    expect(finished.state).toBe('resolved');
  });

  it.each(['sync', 'close'] as const)('fail with the quorum: %s', async (method) => {
    const onFailure = vi.fn();
    const sinks = (): AuditSink[] => [noting('bad', fail), noting('good')];
    await teeSink(sinks(), { quorum: 'any', onFailure })[method]?.();
    expect(onFailure.mock.calls).toEqual([['bad', expect.objectContaining({ code: 'EIO' }), 0]]);
    await expect(teeSink(sinks(), quiet)[method]?.()).rejects.toMatchObject({ code: 'EIO' });
    expect(calls).toEqual([`${method} bad`, `${method} good`, `${method} bad`, `${method} good`]);
  });

  it('close a sink that failed, too, and take no interest in what it says', async () => {
    const onFailure = vi.fn();
    const bad = { ...noting('bad', fail), write: fail };
    const tee = teeSink([bad, noting('good')], { quorum: 'any', onFailure });
    void tee.write('x\n', 0, 0);
    await tee.sync?.();
    await tee.close?.();
    expect(calls).toEqual(['sync good', 'close bad', 'close good']);
    expect(onFailure).toHaveBeenCalledTimes(1);
  });
});

describe('a torn line in a teeSink', () => {
  async function session(audit: AuditSink): Promise<void> {
    const leash = createLeash({ guards: [], audit });
    await leash.run({ tool: 'tool' }, () => {});
    await leash.close();
  }

  it('is put on record where every copy has the same', async () => {
    const paths = [`${file}.0`, `${file}.1`];
    for (const path of paths) writeFileSync(path, '{"torn');
    await session(teeSink(paths.map((path) => fileSink(path))));
    for (const path of paths) {
      expect(readLogs(readFileSync(path))).toMatchObject({ complete: true, fragments: [{ bytes: 6 }] });
    }
  });

  it.each([
    { name: 'a file', other: (path: string) => fileSink(path) },
    { name: 'a sink that cannot be torn', other: () => memorySink() },
  ])('is put on record in every copy, also in that of $name without it', async ({ other }) => {
    writeFileSync(file, '{"torn');
    const sound = `${file}.sound`;
    const copy = recording('copy');
    await session(teeSink([fileSink(file), other(sound), copy]));
    expect(readFileSync(file, 'utf8')).toBe(`{"torn\n${copy.text()}`);
    if (existsSync(sound)) expect(readFileSync(sound, 'utf8')).toBe(copy.text());
    expect(copy.text()).toContain('"kind":"log_recovered","bytes":6,');
    expect(await verifyLog(file)).toMatchObject({ ok: true, state: 'closed', fragments: 1 });
    writeFileSync(sound, copy.text());
    expect(await verifyLog(sound)).toMatchObject({ ok: true, state: 'closed', fragments: 0 });
  });

  it('is that of the first copy that has one, and whoever has another is left out', async () => {
    const paths = [0, 1, 2, 3].map((i) => `${file}.${i}`) as [string, string, string, string];
    writeFileSync(paths[1], '{"torn');
    writeFileSync(paths[2], '{"other');
    writeFileSync(paths[3], '{"torn');
    const onFailure = vi.fn();
    const sinks = paths.map((path) => fileSink(path));
    const leash = createLeash({ guards: [], audit: teeSink(sinks, { quorum: 3, onFailure }) });
    expect(onFailure.mock.calls).toEqual([['file', expect.objectContaining({ code: 'TORN_COPY' }), 2]]);
    // It lets go of the file, which another process may take up.
    expect(existsSync(`${paths[2]}.recovering`)).toBe(false);
    await leash.close();
    expect(readFileSync(paths[2], 'utf8')).toBe('{"other');
    for (const path of [paths[1], paths[3]]) {
      expect(await verifyLog(path)).toMatchObject({ ok: true, state: 'closed', fragments: 1 });
    }
    expect(await verifyLog(paths[0])).toMatchObject({ ok: true, state: 'closed', fragments: 0 });
  });

  it('lets no session begin where the quorum is lost with its copy, until that was opened alone', async () => {
    const other = `${file}.other`;
    const both = (): AuditSink => teeSink([fileSink(file), fileSink(other)], quiet);
    await session(both());
    appendFileSync(file, '{"torn');
    appendFileSync(other, '{"other');
    const tee = both();
    for (let i = 0; i < 2; i++) {
      expect(() => createLeash({ guards: [], audit: tee })).toThrow(expect.objectContaining(unavailable('TORN_COPY')));
    }
    await session(fileSink(other));
    await session(both());
    expect(await verifyLog(file)).toMatchObject({ ok: true, state: 'closed', fragments: 1, logs: { length: 2 } });
    expect(await verifyLog(other)).toMatchObject({ ok: true, state: 'closed', fragments: 1, logs: { length: 3 } });
  });

  it('is no matter of a sink that was left out before, or that cannot be asked', async () => {
    const onFailure = vi.fn();
    const recover = vi.fn(() => {
      throw failure('EIO');
    });
    const audit = teeSink([{ name: 'bad', write: () => {}, recover }, memorySink()], { quorum: 1, onFailure });
    await session(audit);
    await session(audit);
    expect(recover).toHaveBeenCalledTimes(1);
    expect(onFailure.mock.calls).toEqual([['bad', expect.objectContaining({ code: 'EIO' }), 0]]);
  });
});

describe('the heads of earlier logs in a teeSink', () => {
  const head = (size: number): PriorHead => ({
    log: '00000000-0000-4000-8000-00000000000a',
    size,
    hash: '0'.repeat(64),
  });
  const knowing = (recovered: Recovered | undefined): AuditSink => ({ ...recording('r'), recover: () => recovered });
  const torn: TornTail = { bytes: 1, sha256: 'a' };

  it.each<{ name: string; sinks: readonly (Recovered | undefined)[]; told: Recovered | undefined }>([
    { name: 'nothing, where nobody knows any', sinks: [undefined, undefined], told: undefined },
    { name: 'nothing, where somebody says that there is nothing', sinks: [{}], told: undefined },
    {
      name: 'those of the first that knows any',
      sinks: [undefined, { prior: [head(2)] }, { prior: [head(3)] }],
      told: { torn: undefined, prior: [head(2)] },
    },
    {
      name: 'none, where the first knows that there are none',
      sinks: [{ prior: [] }, { prior: [head(1)] }],
      told: { torn: undefined, prior: [] },
    },
    {
      name: 'those of one and the torn line of another',
      sinks: [{ prior: [head(2)] }, { torn, prior: [head(3)] }],
      told: { torn, prior: [head(2)] },
    },
  ])('are $name', ({ sinks, told }) => {
    expect(teeSink([recording('without'), ...sinks.map(knowing)]).recover?.()).toEqual(told);
  });
});

describe('a teeSink that has lost its quorum', () => {
  it('asks nobody for torn lines', () => {
    const recover = vi.fn();
    const tee = teeSink([throwing('bad', failure('EIO')), { ...recording('good'), recover }], quiet);
    expect(() => tee.write('x\n', 0, 0)).toThrow();
    expect(() => tee.recover?.()).toThrow(expect.objectContaining({ code: 'EIO' }));
    expect(recover).not.toHaveBeenCalled();
  });

  it('says so at once where it loses it in asking', () => {
    const recover = (): never => {
      throw failure('EIO');
    };
    const tee = teeSink([recording('good'), { ...recording('bad'), recover }], quiet);
    expect(() => tee.recover?.()).toThrow(expect.objectContaining({ code: 'EIO' }));
  });
});

describe('the arguments of a teeSink', () => {
  const sink = memorySink();
  it.each<{ name: string; sinks: unknown; options?: unknown; error: ErrorConstructor; message: string }>([
    { name: 'no list', sinks: sink, error: TypeError, message: 'teeSink' },
    { name: 'an empty list', sinks: [], error: RangeError, message: 'teeSink' },
    { name: 'something that is no sink', sinks: [sink, {}], error: TypeError, message: 'sinks[1]' },
    { name: 'null in the list', sinks: [null], error: TypeError, message: 'sinks[0]' },
    { name: 'a hole in the list', sinks: Array(1), error: TypeError, message: 'sinks[0]' },
    { name: 'a sink twice', sinks: [sink, sink], error: TypeError, message: 'sinks[1]' },
    { name: 'another word', sinks: [sink], options: { quorum: 'most' }, error: TypeError, message: 'teeSink.quorum' },
    { name: 'null', sinks: [sink], options: { quorum: null }, error: TypeError, message: 'teeSink.quorum' },
    { name: 'zero', sinks: [sink], options: { quorum: 0 }, error: RangeError, message: 'teeSink.quorum' },
    { name: 'a negative number', sinks: [sink], options: { quorum: -1 }, error: RangeError, message: 'teeSink.quorum' },
    { name: 'a fraction', sinks: [sink], options: { quorum: 0.5 }, error: RangeError, message: 'teeSink.quorum' },
    { name: 'NaN', sinks: [sink], options: { quorum: Number.NaN }, error: RangeError, message: 'teeSink.quorum' },
    {
      name: 'more than there are',
      sinks: [sink],
      options: { quorum: 2 },
      error: RangeError,
      message: 'teeSink.quorum',
    },
    {
      name: 'a word for a function',
      sinks: [sink],
      options: { onFailure: 'log' },
      error: TypeError,
      message: 'teeSink.onFailure',
    },
    { name: 'an unknown option', sinks: [sink], options: { timeout: 5 }, error: TypeError, message: 'timeout' },
    { name: 'null for options', sinks: [sink], options: null, error: TypeError, message: 'teeSink' },
  ])('refuse $name', ({ sinks, options, error, message }) => {
    const make = (): unknown =>
      options === undefined ? teeSink(sinks as never) : teeSink(sinks as never, options as never);
    expect(make).toThrow(error);
    expect(make).toThrow(message);
  });
});
