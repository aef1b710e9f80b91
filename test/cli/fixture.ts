import { createPrivateKey, hash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { GENESIS, lineHash } from '../../src/audit/chain.ts';
import { createCommit } from '../../src/audit/commitment.ts';
import { certify } from '../../src/audit/keys.ts';
import { keyFields, LogSigner } from '../../src/audit/signing.ts';
import { run } from '../../src/cli/main.ts';
import type { Context } from '../../src/cli/terminal.ts';
import { type KeyPair, keyPair } from '../helpers/ed25519.ts';

/** A directory of a test file, and how to run the command in it. */
export class Bench {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'leashkit-cli-'));

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }

  path(file: string): string {
    return join(this.directory, file);
  }

  write(file: string, content: string | Uint8Array): string {
    writeFileSync(this.path(file), content);
    return file;
  }

  read(file: string): string {
    return readFileSync(this.path(file), 'utf8');
  }

  async run(args: readonly string[], given: Partial<Context> = {}): Promise<Result> {
    const [stdout, stderr] = [new Collector(), new Collector()];
    const code = await run(args, { ...contextOf(this.directory), stdout, stderr, ...given });
    return { code, out: stdout.text, err: stderr.text };
  }
}

export interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A stream that keeps what it gets. */
export class Collector extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.text += chunk.toString();
    done();
  }
}

function contextOf(cwd: string): Context {
  return {
    stdout: new Collector(),
    stderr: new Collector(),
    cwd,
    env: {},
    now: () => 0,
    isTerminal: { stdout: false, stderr: false },
    interruption: () => AbortSignal.abort(),
    wait: () => Promise.resolve(),
  };
}

const EPOCH = Date.UTC(2026, 10, 20, 12);

export interface SignedLogOptions {
  readonly log?: string;
  /** Certifies the session key. */
  readonly root?: KeyPair;
  readonly session?: KeyPair;
  readonly unsigned?: boolean;
  readonly hash?: 's1' | 'h1' | 'sha256';
  readonly key?: Uint8Array;
  readonly agent?: string;
  /** Fields behind `cert` of the first line, such as `,"parent":…`. */
  readonly opening?: string;
}

export const LOG_A = '0a0a0a0a-0000-4000-8000-00000000000a';
export const LOG_B = '0b0b0b0b-0000-4000-8000-00000000000b';
export const LOG_KEY: Buffer = Buffer.alloc(32, 7);
/** Keys that are the same in every run, so that what is printed of them is too. */
export const ROOT: KeyPair = keyPair(Buffer.alloc(32, 1));
const SESSION: KeyPair = keyPair(Buffer.alloc(32, 2));
/** Base64, as `--trust` takes it. */
export const ROOT_KEY: string = ROOT.raw.toString('base64');
export const CALL = 'c0c0c0c0-0000-4000-8000-0000000000c0';

/** Writes a log line by line: everything in it is given, so its bytes are the same in every run. */
export class LogWriter {
  readonly lines: string[] = [];
  readonly log: string;
  readonly #head: string;
  readonly #signer: LogSigner | undefined;
  readonly #commit: (canonical: string) => string;
  #prev = GENESIS;
  #ms = EPOCH;

  constructor(options: SignedLogOptions = {}) {
    const { log = LOG_A, root, session = SESSION, hash: mode = 's1', key = LOG_KEY, agent = 'shopper' } = options;
    this.log = log;
    this.#head = `{"v":1,"log":"${log}","seq":`;
    const commit = createCommit(mode, key, log);
    this.#commit = (canonical) => commit(canonical, this.lines.length);
    const origin = `leash.local/${log}`;
    let keys = '';
    if (options.unsigned !== true) {
      this.#signer = new LogSigner({
        key: createPrivateKey(session.privateKey.export({ format: 'pem', type: 'pkcs8' })),
        origin,
      });
      const cert =
        root === undefined ? undefined : (certify(root.privateKey, origin, this.#signer.publicKey) as string);
      keys = keyFields({ key: this.#signer.publicKey, cert });
    }
    const guards = hash('sha256', '[]');
    this.add(
      'session_open',
      `,"origin":"${origin}","lib":"leashkit/0.1.0","agent":${JSON.stringify(agent)},"session":"s-1","mode":"enforce","hash":"${mode}","guards":"${guards}"${keys}${options.opening ?? ''}`,
    );
  }

  /** One second later. */
  add(kind: string, fields: string): this {
    const ts = new Date(this.#ms).toISOString();
    this.#ms += 1000;
    return this.#push(
      `${this.#head}${this.lines.length},"ts":"${ts}","kind":"${kind}"${fields},"prev":"${this.#prev}"}`,
    );
  }

  /** Time passes. */
  later(ms: number): this {
    this.#ms += ms;
    return this;
  }

  call(tool: string, options: { usd?: string; args?: unknown; us?: number } = {}): this {
    const { usd, args = {}, us = 1500 } = options;
    const money = usd === undefined ? '' : `,"usd":"${usd}"`;
    const head = `,"call":"${CALL}","tool":${JSON.stringify(tool)}`;
    this.add('tool_start', `${head},"args":"${this.#commit(JSON.stringify(args))}"${money}`);
    return this.add('tool_ok', `${head},"us":${us}${money}`);
  }

  denied(tool: string, guard: string, code: string, more = ''): this {
    const head = `,"call":"${CALL}","tool":${JSON.stringify(tool)}`;
    return this.add('tool_denied', `${head},"guard":${JSON.stringify(guard)},"code":"${code}"${more}`);
  }

  checkpoint(): this {
    const signer = this.#signer as LogSigner;
    return this.#push(signer.checkpointLine(this.#head, this.lines.length, this.#prev));
  }

  close(reason = 'closed'): this {
    this.add('session_close', `,"reason":"${reason}","calls":1,"denied":0`);
    return this.#signer === undefined ? this : this.checkpoint();
  }

  #push(line: string): this {
    this.#prev = lineHash(line);
    this.#signer?.push(this.#prev);
    this.lines.push(line);
    return this;
  }

  /** Hash of the last line. */
  get prev(): string {
    return this.#prev;
  }

  /** The C2SP note of the last checkpoint. */
  get note(): string {
    return (this.#signer as LogSigner).note();
  }

  get text(): string {
    return this.lines.map((line) => `${line}\n`).join('');
  }
}

/** A log with a bit of everything. */
export function richLog(options: SignedLogOptions = {}): LogWriter {
  return new LogWriter(options)
    .call('search', { args: { q: 'shoes' } })
    .call('stripe.charge', { usd: '1.25', args: { cents: 125 } })
    .denied('mail', 'callCap', 'CALL_CAP_REACHED')
    .add(
      'budget_denied',
      `,"call":"${CALL}","tool":"stripe.charge","guard":"budget","code":"BUDGET_EXCEEDED","unit":"usd","cap":"5","requested":"4","remaining":"-0.5","reason":"exhausted"`,
    )
    .later(60_000)
    .add(
      'egress_denied',
      `,"call":"${CALL}","tool":"search","scheme":"https","host":"evil.example","port":443,"code":"EGRESS_DENIED","reason":"host-not-allowed"`,
    )
    .add('egress_ok', ',"scheme":"https","host":"shop.example","port":443,"addr":"203.0.113.7"')
    .add('tool_start', `,"call":"${CALL}","tool":"search","args":"s1:${'0'.repeat(64)}"`)
    .add('tool_error', `,"call":"${CALL}","tool":"search","us":2500000,"error":"TimeoutError","usd":"0.5","overrun":1`)
    .add('charge', ',"note":"model","usd":"0.0042","sat":"12"')
    .add('kill_switch', ',"reason":"operator"');
}
