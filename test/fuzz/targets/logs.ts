import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { PlainLines, parseLine } from '../../../src/audit/line.ts';
import { verifyLog } from '../../../src/audit/verify.ts';
import { run } from '../../../src/cli/main.ts';
import { Collector } from '../../cli/fixture.ts';
import { python, VERIFIER } from '../../helpers/python.ts';
import { need, type Target, textOf } from '../target.ts';

const WORDS = [
  '\n',
  '\r\n',
  '\r',
  '\u0000',
  ' ',
  '{"v":1,"log":"',
  '"seq":',
  ',"kind":"charge"',
  '"usd":"0.1"',
  '"usd":"00"',
  '"x":{"raw":1.0}',
  '"x":{}',
  ',"observed":1',
  '"prior":[]',
  '"parent":',
  '"kind":"log_recovered","bytes":1,',
  'checkpoint',
  'session_close',
  '\\u0061',
  '\\/',
  '\u00ef\u00bb\u00bf',
  '\u00ff',
  '1e3',
  '-0',
  '9007199254740993',
];

/** The second reader, for as long as the thread lives. */
class Python {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  constructor(command: string) {
    const script = fileURLToPath(new URL('../verify_many.py', import.meta.url));
    this.#child = spawn(command, [script, VERIFIER], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#answers = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  }

  async ask(log: Buffer): Promise<readonly [code: number, said: string]> {
    this.#child.stdin?.write(`${log.toString('base64')}\n`);
    const { value } = await this.#answers.next();
    return JSON.parse(value as string);
  }

  close(): void {
    this.#child.kill();
  }
}

let second: Python | undefined;

async function* inParts(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

let folder: string | undefined;

/** A file with these bytes, until the next one. */
function saved(bytes: Buffer): string {
  folder ??= mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'leashkit-fuzz-'));
  const path = join(folder, 'log');
  writeFileSync(path, bytes);
  return path;
}

function close(): void {
  second?.close();
  second = undefined;
  if (folder !== undefined) rmSync(folder, { recursive: true });
  folder = undefined;
}

/** Both readers on the same bytes: what the one takes the other takes, and neither finds a fault after the first. */
async function compared(bytes: Buffer): Promise<string> {
  const whole = await verifyLog(inParts(bytes, bytes.length + 1));
  need(
    JSON.stringify(await verifyLog(inParts(bytes, 7))) === JSON.stringify(whole),
    'tells something else of the same bytes in pieces',
  );
  // Of a file it can tell more: lines that were read long before another log names them are read again.
  const report = await verifyLog(saved(bytes));
  need(!report.ok || whole.ok, 'takes a file whose bytes it refuses');
  const { ok, state, events, signedThrough, firstBadLine, code } = report;
  need(ok === (code === undefined) && ok === (firstBadLine === undefined), 'tells a code, or no line');
  if (python !== undefined) {
    second ??= new Python(python);
    const [exit, said] = await second.ask(bytes);
    need(exit !== 2, `verify_log.py fails with ${said}`);
    const [, line = '', why = ''] = /^line (\d+): (\w+)$/.exec(said) ?? [];
    if (ok)
      need(
        said === `${state} ${events} lines, ${signedThrough} signed`,
        `verify_log.py says "${said}" of a log that verifies`,
      );
    if (exit === 1)
      need(
        (firstBadLine ?? Number.POSITIVE_INFINITY) <= Number(line),
        `verify_log.py finds line ${line} wrong (${why})`,
      );
    // How each value is spelled is looked at by the library alone, and so is a key twice in a value that it refuses.
    else if (!ok)
      need(code === 'E_FORMAT' || code === 'E_DUPKEY', `verify_log.py takes what the library refuses (${code})`);
  }
  return `${ok} ${state} ${code}`;
}

export const log: Target = {
  name: 'log',
  form: 'bytes',
  tokens: WORDS,
  check: compared,
  close,
};

/** Each line with the `prev` and `seq` that it must have: what is wrong then is the line, and not the chain. */
function chained(text: string): string {
  let prev = '0'.repeat(64);
  let seq = 0;
  return text
    .split('\n')
    .map((line, i, lines) => {
      if (i === lines.length - 1) return line;
      const next = line.replace(/"seq":\d+/, `"seq":${seq}`).replace(/"prev":"[0-9a-f]{64}"\}$/, `"prev":"${prev}"}`);
      prev = createHash('sha256').update('\u0000').update(Buffer.from(next, 'latin1')).digest('hex');
      seq++;
      return next;
    })
    .join('\n');
}

export const chainedLog: Target = {
  name: 'chained-log',
  form: 'bytes',
  tokens: WORDS,
  check: (input) => compared(Buffer.from(chained(input.toString('latin1')), 'latin1')),
  close,
};

const plain = ['s1', 'h1', 'sha256'].map((mode) => new PlainLines(mode));

export const logLine: Target = {
  name: 'log-line',
  form: 'text',
  tokens: WORDS,
  check: (input) => {
    const text = textOf(input);
    const line = parseLine(text);
    if (typeof line !== 'string') {
      need(JSON.stringify(JSON.parse(text)) === text, 'takes a second spelling');
      need(
        Object.getPrototypeOf(line) === Object.prototype && !Object.hasOwn(line, '__proto__'),
        'gives a line of another kind',
      );
    }
    const [, head = ''] = /^(\{"v":1,"log":"[0-9a-f-]{36}","seq":\d{1,15})/.exec(text) ?? [];
    const tail = text.length - 66;
    if (head !== '' && tail > head.length) {
      const known = plain.some((each) => each.matches(text, head.length, tail));
      const isTail =
        /^[0-9a-f]{64}"\}$/.test(text.slice(tail)) &&
        /^\{"v":1,"log":"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}","seq":(0|[1-9]\d*)$/.test(head);
      // The quick way takes nothing that the slow way refuses.
      if (known && isTail) need(typeof line !== 'string', 'is known at a glance, and is no line');
    }
    return typeof line === 'string' ? line : line.kind;
  },
};

const COMMANDS: readonly (readonly string[])[] = [
  ['verify', 'log'],
  ['verify', 'log', '--json', '--require-closed'],
  ['stats', 'log', '--json'],
  ['stats', 'log'],
  ['tail', 'log'],
  ['export', 'log', '--format', 'csv'],
  ['export', 'log', '--format', 'ocsf'],
  ['export', 'log', '--format', 'cloudevents'],
  ['checkpoint', 'log', '--head', 'log'],
];

/** Control characters but for the end of a line (of two in CSV), and what turns the direction of text around. */
const ACTED_ON = /(?!\r?\n)[\p{Cc}\u202a-\u202e\u2066-\u2069]/u;

export const commandLine: Target = {
  name: 'command-line',
  form: 'bytes',
  tokens: WORDS,
  check: async (input) => {
    const bytes = input[0] === 0x7b ? Buffer.from(chained(input.toString('latin1')), 'latin1') : input;
    const cwd = dirname(saved(bytes));
    const words: string[] = [];
    for (const args of COMMANDS) {
      const [stdout, stderr] = [new Collector(), new Collector()];
      const code = await run(args, {
        stdout,
        stderr,
        cwd,
        env: {},
        now: () => 0,
        isTerminal: { stdout: false, stderr: false },
        interruption: () => new AbortController().signal,
        wait: async () => undefined,
      });
      const said = stdout.text + stderr.text;
      const command = args.join(' ');
      need([0, 1, 2, 3].includes(code), `leash ${command} ends with ${code}`);
      need(!said.includes('unexpected:'), `leash ${command} fails: ${stderr.text.slice(0, 200)}`);
      need(!ACTED_ON.test(said), `leash ${command} prints what a terminal acts on`);
      words.push(String(code));
    }
    return words.join('');
  },
  close,
};
