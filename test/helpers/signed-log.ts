import { createHash, randomUUID } from 'node:crypto';
import { GENESIS, lineHash } from '../../src/audit/chain.ts';
import {
  charge,
  killSwitch,
  logRecovered,
  sessionClose,
  sessionOpen,
  toolEnd,
  toolStart,
} from '../../src/audit/event.ts';
import type { Key } from '../../src/audit/key.ts';
import { certify, generateSessionKey, type SessionKey } from '../../src/audit/keys.ts';
import { keyFields, LogSigner } from '../../src/audit/signing.ts';
import { FREE } from '../../src/money.ts';

export interface SignedLogInit {
  readonly id?: string;
  readonly name?: string;
  /** Certifies the session key. */
  readonly root?: Key;
  /** `null`: the log is not signed. Default: a new key. */
  readonly key?: SessionKey | null;
  readonly parent?: { readonly log: string; readonly seq: number; readonly hash: string };
  readonly prior?: readonly { readonly log: string; readonly size: number; readonly hash: string }[];
}

/** Writes one log, line by line, as the library does; nothing keeps it from writing a wrong one. */
export class SignedLog {
  readonly id: string;
  readonly origin: string;
  readonly lines: string[] = [];
  readonly signer: LogSigner | undefined;
  readonly cert: string | undefined;
  #calls = 0;

  constructor({
    id = randomUUID(),
    name = 'test.local',
    root,
    key = generateSessionKey(),
    parent,
    prior,
  }: SignedLogInit = {}) {
    this.id = id;
    this.origin = `${name}/${id}`;
    this.cert = root === undefined || key === null ? undefined : (certify(root, this.origin, key.publicKey) as string);
    this.signer = key === null ? undefined : new LogSigner({ key: key.privateKey, origin: this.origin });
    const open = sessionOpen({
      origin: this.origin,
      lib: 'leashkit/0.0.0',
      agent: 'agent "ä€😀"',
      session: 'session',
      mode: 'enforce',
      hash: 'sha256',
      guards: createHash('sha256').update('guards').digest('hex'),
    });
    const named = `${parent === undefined ? '' : `,"parent":${JSON.stringify(parent)}`}${
      prior === undefined ? '' : `,"prior":${JSON.stringify(prior)}`
    }`;
    this.event(
      'session_open',
      `${open}${key === null ? '' : keyFields({ key: key.publicKey, cert: this.cert })}${named}`,
    );
  }

  get head(): string {
    return `{"v":1,"log":"${this.id}","seq":`;
  }

  get prev(): string {
    const last = this.lines.at(-1);
    return last === undefined ? GENESIS : lineHash(last);
  }

  /** Adds a line as it is. */
  line(line: string): this {
    this.lines.push(line);
    this.signer?.push(lineHash(line));
    return this;
  }

  event(kind: string, body: string): this {
    const seq = this.lines.length;
    const ts = new Date(Date.UTC(2026, 10, 20) + seq * 7).toISOString();
    return this.line(`${this.head}${seq},"ts":"${ts}","kind":"${kind}"${body},"prev":"${this.prev}"}`);
  }

  /** Both lines of a call. */
  call(tool = 'stripe.charge'): this {
    const call = randomUUID();
    const quoted = JSON.stringify(tool);
    const held = { usd: 4_200_000, sat: 0 };
    const args = `sha256:${createHash('sha256')
      .update(String(this.#calls++))
      .digest('hex')}`;
    this.event('tool_start', toolStart(call, quoted, args, held));
    return this.event('tool_ok', toolEnd(call, quoted, 65, undefined, held, held, false));
  }

  calls(count: number, tool?: string): this {
    for (let i = 0; i < count; i++) this.call(tool);
    return this;
  }

  charge(): this {
    return this.event('charge', charge(undefined, 'model', { usd: 1, sat: 0 }));
  }

  stop(): this {
    return this.event('kill_switch', killSwitch('by hand'));
  }

  recovered(fragment: string | Uint8Array): this {
    const sha256 = createHash('sha256').update(fragment).digest('hex');
    return this.event('log_recovered', logRecovered(Buffer.byteLength(fragment), sha256));
  }

  checkpoint(): this {
    if (this.signer === undefined) throw new Error('this log is not signed');
    return this.line(this.signer.checkpointLine(this.head, this.lines.length, this.prev));
  }

  rotate(next: SessionKey = generateSessionKey()): this {
    if (this.signer === undefined) throw new Error('this log is not signed');
    return this.event('key_rotated', keyFields(this.signer.rotate(next.privateKey)));
  }

  close(): this {
    this.event('session_close', sessionClose('closed', this.#calls, 0, FREE));
    return this.signer === undefined ? this : this.checkpoint();
  }

  /** Every line with its LF. */
  get text(): string {
    return textOf(this.lines);
  }
}

export function textOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

/** The bytes of a file, in parts of this length. */
export async function* inParts(file: string | Uint8Array, length = 65_536): AsyncGenerator<Uint8Array> {
  const bytes = typeof file === 'string' ? Buffer.from(file) : file;
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}
