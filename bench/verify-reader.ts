/**
 * Reads a log once, in a process that does nothing else: `node bench/verify-reader.ts READER FILE`. Prints how many lines it
 * has read in a second, and the most memory that it had.
 */
import { createHash, hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { verifyLog } from 'leashkit';

export interface Reading {
  readonly lines: number;
  readonly perSecond: number;
  /** Resident, in MB. */
  readonly peakMb: number;
}

let peak = 0;
const onProgress = (): void => {
  peak = Math.max(peak, process.memoryUsage.rss());
};

/** The hashes that nobody gets around who checks a chain of lines and the tree above them, and nothing else. */
async function hashOnly(path: string): Promise<number> {
  const node = Buffer.alloc(65, 1);
  let rest = '';
  let lines = 0;
  for await (const part of createReadStream(path, { encoding: 'latin1', highWaterMark: 1 << 18 })) {
    const text = rest + (part as string);
    let start = 0;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      node.write(hash('sha256', text.slice(start, end)), 1, 32, 'hex');
      hash('sha256', node);
      start = end + 1;
      lines++;
    }
    rest = text.slice(start);
    onProgress();
  }
  return lines;
}

/** One SHA-256 over all bytes: says that a file is the same as one whose hash is known, and nothing of its lines. */
async function hashFile(path: string): Promise<number> {
  const whole = createHash('sha256');
  let lines = 0;
  for await (const part of createReadStream(path, { highWaterMark: 1 << 18 })) {
    const bytes = part as Buffer;
    whole.update(bytes);
    for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) lines++;
    onProgress();
  }
  whole.digest();
  return lines;
}

async function verify(path: string): Promise<number> {
  const { ok, events } = await verifyLog(path, { tofu: true, onProgress });
  if (!ok) throw new Error('the log does not verify');
  return events;
}

const READERS: Readonly<Record<string, (path: string) => Promise<number>>> = { hashOnly, hashFile, verify };

const [reader = '', path = ''] = process.argv.slice(2);
const read = READERS[reader];
if (read === undefined) throw new Error(`no reader ${reader}`);
const start = performance.now();
const lines = await read(path);
const reading: Reading = { lines, perSecond: (lines * 1000) / (performance.now() - start), peakMb: peak / 1e6 };
console.log(JSON.stringify(reading));
