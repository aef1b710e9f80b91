import { readSync } from 'node:fs';
import { lineHash } from './chain.ts';
import type { PriorHead } from './sink.ts';

/** How much of the end of a file is looked at, and how many logs are named. */
const TAIL_BYTES = 65_536;
const MAX_HEADS = 8;
const START = /^\{"v":1,"log":"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})","seq":(0|[1-9]\d{0,14}),/;

/** The last lines of the logs that stand at the end of a file, the one that wrote last being the last. */
export function priorHeads(descriptor: number, size: number): readonly PriorHead[] {
  const length = Math.min(size, TAIL_BYTES);
  const tail = Buffer.alloc(length);
  const read = readSync(descriptor, tail, 0, length, size - length);
  const lines = tail.toString('utf8', 0, read).split('\n');
  // What stands after the last LF is torn, and what stands first may have lost its beginning.
  lines.pop();
  if (length < size) lines.shift();
  const heads = new Map<string, PriorHead>();
  for (const line of lines.reverse()) {
    const [, log, seq] = START.exec(line) ?? [];
    if (log === undefined || heads.has(log) || !isWhole(line)) continue;
    heads.set(log, { log, size: Number(seq) + 1, hash: lineHash(line) });
    if (heads.size === MAX_HEADS) break;
  }
  return [...heads.values()].reverse();
}

/** A torn line that a session went on behind may end like a whole one, with a brace, but closes fewer than it opens. */
function isWhole(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}
