import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { selfSigned } from '../../helpers/certificate.ts';
import { DOMAIN } from './attack.ts';
import type { ChildOptions, Message, Report } from './child.ts';

export type { Report } from './child.ts';

const PROGRAM = fileURLToPath(new URL('child.ts', import.meta.url));
const LIST = new URL('list.ts', import.meta.url).href;
const LIMIT_MS = 180_000;
const FLAGS = ['--experimental-strip-types', '--experimental-eventsource', '--disable-warning=ExperimentalWarning'];

export interface RunOptions extends Partial<Omit<ChildOptions, 'directory'>> {
  /** Path of a Node binary. Default: this one. */
  readonly node?: string | undefined;
  /** Called with the id of each attack that begins. */
  readonly onBegin?: ((id: string) => void) | undefined;
}

/** This copy of undici does not load on this Node. */
export class UndiciUnloadable extends Error {}

/**
 * Runs attacks in a child process.
 *
 * @throws {UndiciUnloadable} @throws {Error} it ended before all had run, with the attack that it was at.
 */
export async function runAttacks({ node = process.execPath, onBegin, ...options }: RunOptions): Promise<Report> {
  const directory = mkdtempSync(join(tmpdir(), 'leash-'));
  try {
    const { key, cert } = selfSigned([`*.${DOMAIN}`, 'localhost', '*.localhost'], ['127.0.0.1', '::1']);
    writeFileSync(join(directory, 'key.pem'), key);
    writeFileSync(join(directory, 'cert.pem'), cert);
    return await runChild(node, { list: LIST, ...options, directory }, onBegin);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function runChild(node: string, options: ChildOptions, onBegin: RunOptions['onBegin']): Promise<Report> {
  const child = spawn(node, [...FLAGS, PROGRAM, JSON.stringify(options)], {
    // Nothing of the caller's that changes how Node connects.
    env: { PATH: process.env['PATH'], NODE_EXTRA_CA_CERTS: join(options.directory, 'cert.pem') },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const closed = new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(signal ?? `code ${code}`));
  });
  let at = 'the start';
  let last: Message | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    last = JSON.parse(line) as Message;
    if (!('begun' in last)) continue;
    at = last.begun;
    onBegin?.(at);
  }
  const how = await closed;
  if (last !== undefined && 'report' in last) return last.report;
  if (last !== undefined && 'unloadable' in last) throw new UndiciUnloadable(last.unloadable);
  throw new Error(`the attacks ended with ${how} at '${at}': ${errors}`);
}
