import { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Context } from '../../src/cli/terminal.ts';
import { VERSION } from '../../src/internal/version.ts';
import { Bench, Collector, LogWriter, richLog } from './fixture.ts';

const COMMANDS = ['verify', 'tail', 'stats', 'export', 'open', 'proof', 'checkpoint', 'keygen', 'migration'];
/** Characters that a terminal may obey or that turn a line around. */
const HOSTILE = '\u001b]0;owned\u0007\u001b[2J\u009b31m\r\n\t\u202eevil\u2028\u2066\u{e0041}\u007f';
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const OBEYED = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/u;

const bench = new Bench();
afterAll(() => bench.remove());
beforeAll(() => {
  bench.write('rich.jsonl', richLog().close().text);
  bench.write('unsigned.jsonl', richLog({ unsigned: true }).text);
  bench.write(
    'hostile.jsonl',
    new LogWriter({ agent: HOSTILE })
      .call(HOSTILE, { usd: '0.5' })
      .denied(HOSTILE, HOSTILE, 'CODE', `,"reason":${JSON.stringify(HOSTILE)}`)
      .add('egress_denied', `,"scheme":"https","host":${JSON.stringify(HOSTILE)},"port":443`)
      .add('charge', `,"note":${JSON.stringify(HOSTILE)},"x":{${JSON.stringify(HOSTILE)}:${JSON.stringify(HOSTILE)}}`)
      .add('kill_switch', `,"reason":${JSON.stringify(HOSTILE)}`)
      .checkpoint().text,
  );
  bench.write('noise.jsonl', `${HOSTILE}\n${HOSTILE}`);
  bench.write('args.json', '{"q":1}');
  bench.write('log.key', `${Buffer.alloc(32, 7).toString('base64')}\n`);
});

describe('leash', () => {
  it('tells its commands', async () => {
    const { code, out, err } = await bench.run(['--help']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    for (const command of COMMANDS) expect(out).toMatch(new RegExp(`^ {2}${command} +\\S`, 'm'));
    expect(await bench.run(['-h'])).toEqual({ code, out, err });
    expect(await bench.run(['help'])).toEqual({ code, out, err });
  });

  it.each(COMMANDS)('tells how to use %s, with an example', async (command) => {
    const { code, out, err } = await bench.run([command, '--help']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(new RegExp(`^Usage: leash ${command} .*FILE`));
    expect(out).toMatch(/^ {6}--json /m);
    expect(out).toMatch(new RegExp(`^Example:\n {2}leash ${command} \\S+`, 'm'));
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(120);
    expect(await bench.run(['help', command])).toEqual({ code, out, err });
  });

  it('tells its version', async () => {
    expect(await bench.run(['--version'])).toEqual({ code: 0, out: `${VERSION}\n`, err: '' });
  });

  it.each([
    { args: [], says: 'leash: a command is missing' },
    { args: ['frobnicate'], says: 'leash: there is no command frobnicate' },
    { args: ['help', 'frobnicate'], says: 'leash: there is no command frobnicate' },
    { args: ['verify'], says: 'leash verify: FILE is missing' },
    { args: ['verify', ''], says: 'leash verify: FILE is empty' },
    { args: ['verify', 'rich.jsonl', '--trusted'], says: "leash verify: Unknown option '--trusted'" },
    { args: ['verify', 'rich.jsonl', '--trust'], says: "leash verify: Option '--trust <value>' argument missing" },
    { args: ['verify', 'rich.jsonl', '--trust='], says: 'leash verify: --trust is empty' },
    { args: ['verify', 'rich.jsonl', '--json=1'], says: "leash verify: Option '--json' does not take an argument" },
    { args: ['verify', 'rich.jsonl', '--trust', 'abc'], says: 'leash verify: --trust must be an Ed25519 public key' },
    // A key of small order verifies nothing.
    {
      args: ['verify', 'rich.jsonl', '--trust', Buffer.alloc(32).fill(1, 0, 1).toString('base64')],
      says: 'leash verify: --trust must be an Ed25519 public key',
    },
    {
      args: ['verify', 'rich.jsonl', '--tofu', '--trust', Buffer.alloc(32, 3).toString('base64')],
      says: 'leash verify: --tofu takes any key',
    },
    { args: ['tail'], says: 'leash tail: FILE is missing' },
    { args: ['tail', 'a', 'b'], says: 'leash tail: one FILE is expected, got 2' },
    { args: ['tail', 'none.jsonl'], says: 'leash tail: cannot read none.jsonl: no such file' },
    { args: ['tail', 'rich.jsonl', '-n', 'ten'], says: 'leash tail: --lines must be a whole number, got ten' },
    { args: ['tail', 'rich.jsonl', '-n', '1.5'], says: 'leash tail: --lines must be a whole number, got 1.5' },
    { args: ['tail', 'rich.jsonl', '--lines=-1'], says: 'leash tail: --lines must be a whole number, got -1' },
    { args: ['tail', 'rich.jsonl', '-n', '9007199254740992'], says: 'leash tail: --lines must be a whole number' },
    { args: ['tail', 'rich.jsonl', '-n', '1', '-n', '2'], says: 'leash tail: --lines is given twice' },
    { args: ['stats'], says: 'leash stats: FILE is missing' },
    { args: ['stats', 'none.jsonl'], says: 'leash stats: cannot read none.jsonl: no such file' },
    { args: ['stats', 'rich.jsonl', '--svg', 'rich.jsonl'], says: 'leash stats: cannot write rich.jsonl: it exists' },
    { args: ['export'], says: 'leash export: FILE is missing' },
    {
      args: ['export', 'rich.jsonl', '--format', 'xml'],
      says: 'leash export: --format must be jsonl, csv, ocsf, cloud',
    },
    {
      args: ['export', 'rich.jsonl', '--format', 'csv', '--json'],
      says: 'leash export: --json and --format csv are two',
    },
    { args: ['export', 'none.jsonl'], says: 'leash export: cannot read none.jsonl: no such file' },
    { args: ['open', 'rich.jsonl', '--args', 'args.json'], says: 'leash open: --seq is missing' },
    { args: ['open', 'rich.jsonl', '--seq', '1'], says: 'leash open: --args is missing' },
    { args: ['open', 'rich.jsonl', '--seq', '1', '--args', 'log.key'], says: 'leash open: log.key holds no JSON' },
    { args: ['open', 'rich.jsonl', '--seq', '1', '--args', 'args.json'], says: 'leash open: the log key is missing' },
    {
      args: ['open', 'rich.jsonl', '--seq', '1', '--check', 'x'],
      says: 'leash open: --seq has no meaning with --check',
    },
    { args: ['open', 'rich.jsonl', '--check', 'args.json'], says: 'leash open: args.json holds no opening' },
    { args: ['proof', 'rich.jsonl'], says: 'leash proof: --seq is missing' },
    { args: ['proof', 'rich.jsonl', '--seq', '1', '--tofu'], says: 'leash proof: --trust and --tofu are for --check' },
    { args: ['proof', 'rich.jsonl', '--seq', '99'], says: 'leash proof: rich.jsonl: the log has no line 99' },
    {
      args: ['proof', 'unsigned.jsonl', '--seq', '1'],
      says: 'leash proof: unsigned.jsonl: no checkpoint covers line 1',
    },
    { args: ['proof', '--check', 'log.key'], says: 'leash proof: log.key holds no proof' },
    { args: ['proof', 'rich.jsonl', '--check', 'log.key'], says: 'leash proof: --check needs no log' },
    { args: ['proof', '--check', 'log.key', '--seq', '1'], says: 'leash proof: --seq has no meaning with --check' },
    { args: ['checkpoint'], says: 'leash checkpoint: FILE is missing' },
    { args: ['checkpoint', 'unsigned.jsonl'], says: 'has no checkpoint' },
    { args: ['checkpoint', 'rich.jsonl', '--log', 'x'], says: 'leash checkpoint: rich.jsonl holds no log x' },
    { args: ['keygen'], says: 'leash keygen: FILE is missing' },
    { args: ['keygen', 'rich.jsonl'], says: 'leash keygen: cannot write rich.jsonl: it exists already' },
    { args: ['keygen', 'none/a.pem'], says: 'leash keygen: cannot write none/a.pem: no such file' },
    { args: ['keygen', 'a.pem', '--name', 'a b'], says: 'leash keygen: --name must hold no white space' },
    { args: ['keygen', 'a.key', '--log-key', '--name', 'a'], says: 'leash keygen: --name is for a root key' },
    { args: ['migration'], says: 'leash migration: the store is expected, which is postgres, got nothing' },
    { args: ['migration', 'mysql'], says: 'leash migration: the store is expected, which is postgres, got mysql' },
    { args: ['migration', 'postgres', 'redis'], says: 'which is postgres, got postgres redis' },
    { args: ['migration', 'postgres', '--schema', 'a"b'], says: 'leash migration: `--schema` must be 1 to 63 letters' },
    { args: ['migration', 'postgres', '--out', 'rich.jsonl'], says: 'cannot write rich.jsonl: it exists already' },
  ])('ends with 2 for $args', async ({ args, says }) => {
    const { code, out, err } = await bench.run(args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(says);
    expect(err).not.toContain('unexpected');
  });

  it('tells of an error that nobody foresaw, and never passes for a log that is right', async () => {
    const env = Object.defineProperty({}, 'LEASH_AUDIT_KEY', {
      get: () => {
        throw new Error('the environment is gone');
      },
    });
    const args = ['open', 'rich.jsonl', '--seq', '1', '--args', 'args.json'];
    const { code, err } = await bench.run(args, { env });
    expect(code).toBe(2);
    expect(err).toMatch(/^leash open: unexpected: Error: the environment is gone\n {4}at /);
  });
});

describe('untrusted text', () => {
  const runs = [
    ['verify', 'hostile.jsonl'],
    ['verify', 'hostile.jsonl', '--json'],
    ['verify', 'noise.jsonl'],
    ['tail', 'hostile.jsonl'],
    ['tail', 'hostile.jsonl', '--json'],
    ['tail', 'noise.jsonl'],
    ['tail', 'noise.jsonl', '--json'],
    ['stats', 'hostile.jsonl'],
    ['stats', 'hostile.jsonl', '--json'],
    ['export', 'hostile.jsonl', '--format', 'ocsf'],
    ['export', 'hostile.jsonl', '--format', 'cloudevents'],
    ['checkpoint', 'hostile.jsonl'],
    ['checkpoint', 'hostile.jsonl', '--json'],
    ['proof', 'hostile.jsonl', '--seq', '3'],
    [HOSTILE],
    ['verify', HOSTILE],
    ['verify', 'hostile.jsonl', '--trust', HOSTILE],
    ['verify', 'hostile.jsonl', `--${HOSTILE}`],
    ['export', HOSTILE],
    ['tail', 'hostile.jsonl', '-n', HOSTILE],
    ['export', 'hostile.jsonl', '--format', HOSTILE],
    ['checkpoint', 'hostile.jsonl', '--log', HOSTILE],
    ['keygen', `${HOSTILE}/key`],
    ['migration', HOSTILE],
    ['migration', 'postgres', '--schema', HOSTILE],
  ];

  it.each(runs.map((args) => ({ args, name: args.join(' ').replace(OBEYED, '…') })))(
    'reaches no terminal as it is: $name',
    async ({ args }) => {
      const { out, err } = await bench.run(args);
      expect(out + err).not.toBe('');
      expect(out).not.toMatch(OBEYED);
      expect(err).not.toMatch(OBEYED);
    },
  );

  it('is spelled out for people, and means the same for programs', async () => {
    const { out } = await bench.run(['tail', 'hostile.jsonl', '-n', '2']);
    expect(out.split('\n')[0]).toContain(
      '\\u{1b}]0;owned\\u{7}\\u{1b}[2J\\u{9b}31m\\u{d}\\u{a}\\u{9}\\u{202e}evil\\u{2028}\\u{2066}\\u{e0041}\\u{7f}',
    );
    const json = await bench.run(['tail', 'hostile.jsonl', '-n', '2', '--json']);
    expect(JSON.parse(json.out.split('\n')[0] ?? '')).toMatchObject({ kind: 'kill_switch', reason: HOSTILE });
  });

  it('is escaped in CSV and on a terminal in JSON lines, and is left to the byte in a file of them', async () => {
    const csv = await bench.run(['export', 'hostile.jsonl', '--format', 'csv']);
    expect(csv.out.replaceAll('\r\n', '\n')).not.toMatch(OBEYED);
    const isTerminal = { stdout: true, stderr: true };
    const shown = await bench.run(['export', 'hostile.jsonl'], { isTerminal });
    expect(shown.out).not.toMatch(OBEYED);
    const copied = await bench.run(['export', 'hostile.jsonl']);
    expect(copied.out).toBe(bench.read('hostile.jsonl'));
    const parse = (text: string): unknown[] =>
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown);
    expect(parse(shown.out)).toEqual(parse(copied.out));
  });
});

describe('colours', () => {
  const isTerminal = { stdout: true, stderr: false };

  it.each([
    { name: 'a terminal', given: { isTerminal }, coloured: true },
    { name: 'a file', given: {}, coloured: false },
    { name: 'a terminal with NO_COLOR', given: { isTerminal, env: { NO_COLOR: '1' } }, coloured: false },
    { name: 'a terminal with an empty NO_COLOR', given: { isTerminal, env: { NO_COLOR: '' } }, coloured: true },
    { name: 'a terminal that knows none', given: { isTerminal, env: { TERM: 'dumb' } }, coloured: false },
  ])('on $name: $coloured', async ({ given, coloured }) => {
    for (const command of ['verify', 'tail', 'stats']) {
      const { out } = await bench.run([command, 'rich.jsonl'], given);
      expect(out.includes('\u001b['), command).toBe(coloured);
    }
  });
});

describe('progress', () => {
  /** Half a second passes each time that somebody looks. */
  const hurried = (): (() => number) => {
    let ms = 0;
    return () => {
      ms += 500;
      return ms;
    };
  };

  it('shows on a terminal while a long file is read, and is wiped away', async () => {
    const isTerminal = { stdout: false, stderr: true };
    for (const command of ['verify', 'stats', 'export', 'checkpoint']) {
      const { err } = await bench.run([command, 'rich.jsonl'], { isTerminal, now: hurried() });
      expect(err, command).toBe('\r\u001b[Krich.jsonl 100% (0 MB)\r\u001b[K');
    }
  });

  it('does not show elsewhere, nor where all is over at once', async () => {
    expect((await bench.run(['verify', 'rich.jsonl'], { now: hurried() })).err).toBe('');
    const isTerminal = { stdout: false, stderr: true };
    expect((await bench.run(['verify', 'rich.jsonl'], { isTerminal })).err).toBe('');
  });
});

/** Fails after so many writes. */
class Failing extends Writable {
  readonly #code: string;
  #left: number;

  constructor(code: string, left: number) {
    super();
    this.#code = code;
    this.#left = left;
  }

  override _write(_chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#left--;
    done(this.#left < 0 ? Object.assign(new Error('write failed'), { code: this.#code, syscall: 'write' }) : null);
  }
}

describe('output that cannot be written', () => {
  it.each(COMMANDS.filter((command) => command !== 'open' && command !== 'proof'))(
    'ends %s quietly where its reader is gone',
    async (command) => {
      const stderr = new Collector();
      const file = { keygen: 'gone.pem', migration: 'postgres' }[command] ?? 'rich.jsonl';
      const { code } = await bench.run([command, file], { stdout: new Failing('EPIPE', 0), stderr });
      expect({ code, err: stderr.text }).toEqual({ code: 0, err: '' });
    },
  );

  it('leaves the verdict what it is where the reader is gone', async () => {
    const stdout = new Failing('EPIPE', 0);
    expect((await bench.run(['verify', 'noise.jsonl'], { stdout })).code).toBe(1);
  });

  it('stops a long export where the reader is gone', async () => {
    const writer = new LogWriter();
    for (let i = 0; i < 6000; i++) writer.call('search');
    bench.write('long.jsonl', `${writer.text}broken\n`);
    const stdout = new Failing('EPIPE', 1);
    // The line that is wrong is behind what is read by then.
    expect((await bench.run(['export', 'long.jsonl'], { stdout })).code).toBe(0);
    expect((await bench.run(['export', 'long.jsonl'])).code).toBe(1);
    // Each part that is read looks at the clock once.
    const looks = async (given: Partial<Context>): Promise<number> => {
      let count = 0;
      const now = (): number => {
        count++;
        return 0;
      };
      await bench.run(['export', 'long.jsonl'], { ...given, now, isTerminal: { stdout: false, stderr: true } });
      return count;
    };
    expect(await looks({ stdout: new Failing('EPIPE', 0) })).toBeLessThan(await looks({}));
  });

  it('is told of and ends with 2 for any other reason', async () => {
    const stderr = new Collector();
    const { code } = await bench.run(['export', 'rich.jsonl'], { stdout: new Failing('ENOSPC', 0), stderr });
    expect({ code, err: stderr.text }).toEqual({ code: 2, err: 'leash: cannot write the output: the disk is full\n' });
  });

  it('does not hide that a log was tampered with', async () => {
    expect((await bench.run(['verify', 'noise.jsonl'], { stdout: new Failing('ENOSPC', 0) })).code).toBe(1);
  });
});
