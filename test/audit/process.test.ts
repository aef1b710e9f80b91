import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fileSink } from '../../src/audit/file-sink.ts';
import { type VerifyReport, verifyLog } from '../../src/audit/verify.ts';
import { createLeash } from '../../src/leash.ts';
import { type Report, readLogs } from '../helpers/log-verifier.ts';

const PROGRAM = fileURLToPath(new URL('../helpers/audit-child.ts', import.meta.url));

let directory: string;
let path: string;
let files = 0;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'leashkit-process-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});
beforeEach(() => {
  path = join(directory, `${files++}.jsonl`);
});

/** A child process and what it has said. */
class Child {
  readonly process: ChildProcess;
  readonly ended: Promise<unknown>;
  output = '';
  errors = '';

  constructor(how: string, file: string = path) {
    this.process = spawn(process.execPath, [PROGRAM, how, file], { stdio: 'pipe' });
    this.process.stdout?.on('data', (data: Buffer) => {
      this.output += data;
    });
    this.process.stderr?.on('data', (data: Buffer) => {
      this.errors += data;
    });
    this.ended = once(this.process, 'close');
  }

  /** Whole lines: what was acknowledged. */
  get said(): readonly string[] {
    return this.output.split('\n').slice(0, -1);
  }

  async hasSaid(lines: number): Promise<void> {
    while (this.said.length < lines) {
      const ended = this.ended.then(() => Promise.reject(new Error(this.errors)));
      await Promise.race([once(this.process.stdout as NodeJS.ReadableStream, 'data'), ended]);
    }
  }
}

/** What a report has, in the words of the child. */
function recorded({ logs }: Report): Set<string> {
  return new Set(
    logs.flatMap(({ events }) =>
      events.flatMap(({ kind, call, log, seq }) =>
        kind === 'tool_start' && call !== undefined ? [call] : kind === 'tool_denied' ? [`${log} ${seq}`] : [],
      ),
    ),
  );
}

const read = (file: string = path): Report => readLogs(existsSync(file) ? readFileSync(file) : '');
/** The same file through the library's own verifier, signatures included. */
const verified = (file: string = path): Promise<VerifyReport> => verifyLog(file, { tofu: true });
const missing = ({ said }: Child, file: string = path): string[] => {
  const has = recorded(read(file));
  return said.filter((line) => !has.has(line));
};

describe('a process that ends in the middle', { timeout: 60_000 }, () => {
  it('by kill -9 loses nothing that was acknowledged, and the next session goes on in its file', async () => {
    // Twenty-five times, in files that do not wait for each other.
    await Promise.all([9, 8, 8].map((rounds, i) => killAndGoOn(`${path}.${i}`, rounds)));
  });

  const killAndGoOn = async (file: string, rounds: number): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      const child = new Child('for ever', file);
      // With 301 answers there is a checkpoint in the log, after its 256th event.
      const atLeast = [1, 2, 50, 301][round % 4] as number;
      await child.hasSaid(atLeast);
      child.process.kill('SIGKILL');
      await child.ended;
      expect(child.said.length).toBeGreaterThan(0);
      expect(missing(child, file)).toEqual([]);
      // A kernel writes a line whole or not at all; a crash of the machine does not.
      const torn = round % 2 === 1;
      if (torn) appendFileSync(file, '{"v":1,"log":"');
      const found = await verified(file);
      expect(found).toMatchObject({ ok: true, state: torn ? 'torn-tail' : 'open', logs: { length: round + 1 } });
      if (atLeast > 256) expect(found.logs[round]?.signedThrough).toBeGreaterThanOrEqual(256);
    }
    await createLeash({ guards: [], audit: fileSink(file) }).close();
    const report = read(file);
    expect(report.problem).toBeUndefined();
    expect(report.torn).toBeUndefined();
    expect(report.logs.map(({ closed }) => closed)).toEqual([...Array(rounds).fill(false), true]);
    expect(report.fragments).toHaveLength(Math.floor(rounds / 2));
    expect(await verified(file)).toMatchObject({ ok: true, fragments: Math.floor(rounds / 2) });
  };

  it('by SIGTERM loses nothing that was acknowledged', async () => {
    const child = new Child('for ever');
    await child.hasSaid(20);
    child.process.kill('SIGTERM');
    await child.ended;
    expect(child.process.signalCode).toBe('SIGTERM');
    expect(missing(child)).toEqual([]);
    await createLeash({ guards: [], audit: fileSink(path) }).close();
    expect(await verified()).toMatchObject({ ok: true, fragments: 0, logs: [{ state: 'open' }, { state: 'closed' }] });
  });

  it.each([
    { how: 'exit', code: 0 },
    { how: 'throw', code: 1 },
  ])('by $how loses nothing that was acknowledged', async ({ how, code }) => {
    const child = new Child(how);
    await child.ended;
    expect(child.process.exitCode).toBe(code);
    expect(child.said).toHaveLength(22);
    expect(missing(child)).toEqual([]);
    await createLeash({ guards: [], audit: fileSink(path) }).close();
    expect(read()).toMatchObject({
      ok: true,
      torn: undefined,
      fragments: [],
      logs: [{ closed: false }, { closed: true }],
    });
  });
});

const PROCESSES = 8;

describe('eight processes that append to one file at once', { timeout: 30_000 }, () => {
  const together = async (): Promise<readonly Child[]> => {
    const children = Array.from({ length: PROCESSES }, () => new Child('together'));
    await Promise.all(children.map((child) => child.hasSaid(1)));
    for (const child of children) child.process.stdin?.end('go\n');
    await Promise.all(children.map(({ ended }) => ended));
    for (const child of children) expect(child.errors).toBe('');
    return children;
  };

  it('tear no line, and every log verifies', async () => {
    const children = await together();
    const report = read();
    expect(report).toMatchObject({ problem: undefined, complete: true, fragments: [] });
    expect(report.logs).toHaveLength(PROCESSES * 15);
    expect(await verified()).toMatchObject({ ok: true, state: 'closed' });
    const has = recorded(report);
    expect(children.flatMap(({ said }) => said.slice(1)).filter((line) => !has.has(line))).toEqual([]);
    expect(has.size).toBe(PROCESSES * 15 * 40);
    // They did so at the same time: the lines of one process stand between those of others.
    const agents = new Map(report.logs.map(({ id, events }) => [id, events[0]?.agent]));
    expect(new Set(agents.values()).size).toBe(PROCESSES);
    const order = [...readFileSync(path, 'utf8').matchAll(/^\{"v":1,"log":"([^"]+)"/gm)].map(([, id]) =>
      agents.get(id as string),
    );
    expect(order.filter((agent, i) => agent !== order[i - 1]).length).toBeGreaterThan(10);
  });

  it('put a torn line on record', async () => {
    appendFileSync(path, '{"v":1,"log":"');
    await together();
    const report = read();
    expect(report).toMatchObject({ problem: undefined, complete: true, fragments: { length: 1 } });
    expect(await verified()).toMatchObject({ ok: true, state: 'closed', fragments: 1 });
  });
});
