import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, closeSync, mkdirSync, openSync, symlinkSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fileSink } from '../../src/audit/file-sink.ts';
import { budget } from '../../src/guards/budget.ts';
import { VERSION } from '../../src/internal/version.ts';
import { createLeash } from '../../src/leash.ts';
import { Bench, LogWriter } from './fixture.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

const bench = new Bench();
afterAll(() => bench.remove());
beforeAll(() => {
  bench.write('log.jsonl', new LogWriter().call('search').close().text);
});

/** The command as a shell runs it. */
function leash(args: readonly string[], entry = MAIN): { status: number | null; stdout: string; stderr: string } {
  const env = { ...process.env, NO_COLOR: '1' };
  return spawnSync(process.execPath, [entry, ...args], { cwd: bench.directory, env, encoding: 'utf8' });
}

describe('the command as a process', { timeout: 30_000 }, () => {
  it('answers on its streams and with its exit code', () => {
    expect(leash(['--version'])).toMatchObject({ status: 0, stdout: `${VERSION}\n`, stderr: '' });
    expect(leash([])).toMatchObject({ status: 2, stdout: '' });
    expect(leash(['verify', 'log.jsonl'])).toMatchObject({ status: 0, stderr: '' });
    const text = bench.read('log.jsonl');
    bench.write('edited.jsonl', text.replace('search', 'fetch'));
    expect(leash(['verify', 'edited.jsonl'])).toMatchObject({ status: 1 });
    bench.write('open.jsonl', text.slice(0, text.lastIndexOf('{"v":1')));
    expect(leash(['verify', 'open.jsonl', '--require-closed'])).toMatchObject({ status: 3 });
  });

  it.skipIf(process.platform === 'win32')('runs through a link, as packages install it', () => {
    mkdirSync(bench.path('bin'));
    symlinkSync(MAIN, bench.path('bin/leash'));
    expect(leash(['--version'], bench.path('bin/leash')).stdout).toBe(`${VERSION}\n`);
  });

  it('does nothing where it is imported', () => {
    const program = `await import(${JSON.stringify(MAIN)}); console.log('imported');`;
    const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program, 'verify'], {
      encoding: 'utf8',
    });
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'imported\n' });
  });

  it('verifies, shows and counts what a session wrote', async () => {
    const session = createLeash({
      guards: [budget({ usd: 1 })],
      audit: fileSink(bench.path('session.jsonl')),
      stopOn: 'none',
    });
    const pay = session.wrap('pay', () => 'paid', { cost: { usd: 0.75 } });
    await pay();
    await expect(pay()).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' });
    await session.close();
    expect(leash(['verify', 'session.jsonl', '--require-closed'])).toMatchObject({ status: 0 });
    const tail = leash(['tail', 'session.jsonl']).stdout;
    expect(tail).toMatch(
      / budget_denied pay {2}BUDGET_EXCEEDED {2}exhausted {2}by budget {2}asked \$0\.75, left \$0\.25 of \$1\n/,
    );
    const stats = leash(['stats', 'session.jsonl']).stdout;
    expect(stats).toContain('calls     1: 1 ok, 0 failed, 0 without an end\n');
    expect(stats).toContain('spent     $0.75\n');
    const kinds = leash(['export', 'session.jsonl']).stdout.match(/(?<="kind":")\w+/g);
    expect(kinds).toEqual(
      expect.arrayContaining(['session_open', 'tool_start', 'tool_ok', 'budget_denied', 'session_close']),
    );
  });

  it('follows until it is interrupted', async () => {
    const child = spawn(process.execPath, [MAIN, 'tail', 'log.jsonl', '-f', '--json'], { cwd: bench.directory });
    let output = '';
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString();
    });
    const until = async (text: string): Promise<void> => {
      while (!output.includes(text)) await once(child.stdout, 'data');
    };
    await until('checkpoint');
    appendFileSync(bench.path('log.jsonl'), '{"v":2}\n');
    await until('E_FORMAT');
    child.kill('SIGINT');
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    expect({ code, signal }).toEqual(
      process.platform === 'win32' ? { code: null, signal: 'SIGINT' } : { code: 0, signal: null },
    );
  });

  it.skipIf(process.platform === 'win32')('ends quietly where its reader went away', () => {
    const writer = new LogWriter();
    for (let i = 0; i < 3000; i++) writer.call('search');
    bench.write('long.jsonl', writer.text);
    const command = `"${process.execPath}" "${MAIN}" export long.jsonl --format ocsf | head -n 1`;
    const { stdout, stderr } = spawnSync('sh', ['-c', command], { cwd: bench.directory, encoding: 'utf8' });
    expect({ lines: stdout.split('\n').length, stderr }).toEqual({ lines: 2, stderr: '' });
  });

  it.runIf(process.platform === 'linux')('fails where its output does not fit on the disk', () => {
    const command = `"${process.execPath}" "${MAIN}" export log.jsonl > /dev/full`;
    const { status, stderr } = spawnSync('sh', ['-c', command], { cwd: bench.directory, encoding: 'utf8' });
    expect(status).not.toBe(0);
    expect(stderr).toContain('leash: cannot write the output: the disk is full\n');
  });
});

describe('a file that is larger than memory should hold', { timeout: 60_000 }, () => {
  const SIZE = 24 << 20;

  it('is read in parts: memory stays far below its size', () => {
    const file = openSync(bench.path('large.jsonl'), 'w');
    let size = 0;
    for (let logs = 0; size < SIZE; logs++) {
      const writer = new LogWriter({
        log: `0c0c0c0c-0000-4000-8000-${String(logs).padStart(12, '0')}`,
        unsigned: true,
      });
      while (writer.lines.length < 11_000) writer.call('search', { usd: '0.01' });
      size += writeSync(file, writer.text);
    }
    closeSync(file);
    const program = `
      const { run } = await import(${JSON.stringify(MAIN)});
      const { Writable } = await import('node:stream');
      const out = () => new Writable({ write: (chunk, encoding, done) => setImmediate(done) });
      const context = { stdout: out(), stderr: out(), cwd: '.', env: {}, now: () => 0, isTerminal: {} };
      let peak = 0;
      const watch = setInterval(() => { peak = Math.max(peak, process.memoryUsage().arrayBuffers); }, 1);
      for (const args of [['verify'], ['stats'], ['export', '--format', 'csv'], ['tail']]) {
        const code = await run([args[0], 'large.jsonl', ...args.slice(1)], context);
        if (code !== 0) throw new Error(args[0] + ' ended with ' + code);
      }
      clearInterval(watch);
      console.log(JSON.stringify({ peak }));`;
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--max-old-space-size=24', '--input-type=module', '-e', program],
      { cwd: bench.directory, encoding: 'utf8' },
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect((JSON.parse(stdout) as { peak: number }).peak).toBeLessThan(SIZE / 2);
  });
});
