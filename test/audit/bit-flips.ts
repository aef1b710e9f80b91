/**
 * Changes every bit of a closed log of 300 lines, one at a time, and asks both verifiers: all must be refused, but for the
 * eight of the last LF, without which the log is torn. `npm run test:flips [lines]`; minutes on two cores.
 */
import { spawn } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { createLeash, fileSink, verifyLog } from 'leashkit';
import { python, VERIFIER } from '../helpers/python.ts';

interface Found {
  readonly changed: number;
  /** Changes after which the log counted as torn. */
  readonly torn: number;
  /** Numbers of the bits whose change was not refused. */
  readonly passed: readonly number[];
}

interface Share {
  readonly log: Uint8Array;
  readonly root: string;
  readonly from: number;
  readonly to: number;
}

/** A log of so many lines: its open, pairs of a call, a checkpoint after 256 events, the close and its checkpoint. */
async function writeLog(path: string, lines: number, signer: KeyObject): Promise<void> {
  const leash = createLeash({ guards: [], audit: { sink: fileSink(path), signer } });
  const refund = leash.wrap('refund', (args: { cents: number }) => args.cents);
  for (let i = 0; i < (lines - 4) / 2; i++) await refund({ cents: i });
  await leash.close();
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** The library on the bits of a share. */
async function flip({ log, root, from, to }: Share): Promise<Found> {
  const bytes = Buffer.from(log);
  const passed: number[] = [];
  let torn = 0;
  for (let bit = from; bit < to; bit++) {
    const at = bit >> 3;
    const mask = 1 << (bit & 7);
    bytes[at] = (bytes[at] as number) ^ mask;
    const { ok, state } = await verifyLog(once(bytes), { trust: [root] });
    bytes[at] = (bytes[at] as number) ^ mask;
    if (at === bytes.length - 1 && ok && state === 'torn-tail') torn++;
    else if (ok) passed.push(bit);
    if ((bit - from) % 20_000 === 0) parentPort?.postMessage({ done: bit - from });
  }
  return { changed: to - from, torn, passed };
}

function inWorker(share: Share, onProgress: (done: number) => void): Promise<Found> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: share });
    worker.on('message', (message: { readonly done: number } | Found) => {
      if ('done' in message) onProgress(message.done);
      else resolve(message);
    });
    worker.on('error', reject);
  });
}

/** `examples/verify_log.py` on all bits. */
function inPython(path: string, root: string): Promise<Found> {
  if (python === undefined) throw new Error('no Python with the package `cryptography` was found');
  const child = spawn(python, [join(import.meta.dirname, 'bit_flips.py'), VERIFIER, path, root], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(said) as Found);
      else reject(new Error(`bit_flips.py ended with ${code}`));
    });
  });
}

async function main(lines: number): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'leashkit-flips-'));
  try {
    const path = join(directory, 'audit.jsonl');
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const root = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url').toString('base64');
    await writeLog(path, lines, privateKey);
    const log = readFileSync(path);
    const { ok, state, events } = await verifyLog(path, { trust: [root], requireClosed: true });
    if (!ok || state !== 'closed') throw new Error('the log as it is must verify');

    const bits = log.length * 8;
    const half = Math.floor(bits / 2);
    const done = [0, 0];
    const shares = [
      [0, half],
      [half, bits],
    ].map(([from = 0, to = 0], i) =>
      inWorker({ log, root, from, to }, (count) => {
        done[i] = count;
        const sum = (done[0] ?? 0) + (done[1] ?? 0);
        if (process.stderr.isTTY)
          process.stderr.write(`\rverifyLog: ${Math.round((100 * sum) / bits)} % of ${bits} bits`);
      }),
    );
    const [first, second] = (await Promise.all(shares)) as [Found, Found];
    const found: Record<string, Found> = {
      verifyLog: {
        changed: first.changed + second.changed,
        torn: first.torn + second.torn,
        passed: [...first.passed, ...second.passed],
      },
      'verify_log.py': await inPython(path, root),
    };
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    for (const [name, { changed, torn, passed }] of Object.entries(found)) {
      console.log(
        `${name}: ${changed} of ${bits} bits changed in ${events} lines, ${torn} torn, ${passed.length} missed`,
      );
      if (changed !== bits || torn !== 8 || passed.length > 0) process.exitCode = 1;
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
}

if (isMainThread) await main(Number(process.argv[2] ?? 300));
else parentPort?.postMessage(await flip(workerData as Share));
