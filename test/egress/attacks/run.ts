import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { selfSigned } from '../../helpers/certificate.ts';
import type { ChildOptions, Message } from './child.ts';

const PROGRAM = fileURLToPath(new URL('child.ts', import.meta.url));
const LIMIT_MS = 180_000;

export interface RunOptions extends Omit<ChildOptions, 'directory'> {
  /** Path of a Node binary. Default: this one. */
  readonly node?: string | undefined;
  /** Called with the id of each attack that begins. */
  readonly onBegin?: (id: string) => void;
}

export type Report = Exclude<Message, { readonly begun: string }>;

/** Runs the attacks in a child process. @throws {Error} it ended before it was done, with the attack that it was at. */
export async function runAttacks({ node = process.execPath, onBegin, ...options }: RunOptions): Promise<Report> {
  const directory = mkdtempSync(join(tmpdir(), 'leash-'));
  try {
    const { key, cert } = selfSigned(
      ['*.attacks.test', 'localhost', '*.localhost'],
      [
        [127, 0, 0, 1],
        [...Array(15).fill(0), 1],
      ],
    );
    writeFileSync(join(directory, 'key.pem'), key);
    writeFileSync(join(directory, 'cert.pem'), cert);
    return await read(node, { ...options, directory }, onBegin);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function read(node: string, options: ChildOptions, onBegin?: (id: string) => void): Promise<Report> {
  const flags = ['--experimental-strip-types', '--experimental-eventsource', '--disable-warning=ExperimentalWarning'];
  const child = spawn(node, [...flags, PROGRAM, JSON.stringify(options)], {
    // Nothing of the caller's that changes how Node connects.
    env: { PATH: process.env['PATH'], V: process.env['V'], NODE_EXTRA_CA_CERTS: join(options.directory, 'cert.pem') },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const closed = new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(signal ?? `code ${code}`));
  });
  let at = 'the start';
  let report: Report | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    const message = JSON.parse(line) as Message;
    if ('begun' in message) {
      at = message.begun;
      onBegin?.(at);
    } else {
      report = message;
    }
  }
  const how = await closed;
  if (report === undefined) throw new Error(`the attacks ended with ${how} at '${at}': ${said}`);
  return report;
}
