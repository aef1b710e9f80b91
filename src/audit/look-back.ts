import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import type { FileCheck, Passed } from './file-check.ts';
import { LineReader, readFile } from './line-reader.ts';

const START = /^\{"v":1,"log":"([0-9a-f-]{36})","seq":(\d{1,16}),/;
/** Longer than any such beginning. */
const START_LENGTH = 100;

/**
 * Reads a file once more for lines that another log named when their own log had gone on: memory would grow with a log
 * that kept the hash of every line for this. Nearly no file has any.
 */
export async function lookBack(path: string, check: FileCheck): Promise<void> {
  // A pipe can be read but once.
  if (check.passed.length === 0 || !(await stat(path)).isFile()) return;
  const wanted = new Map<string, Passed[]>();
  for (const passed of check.passed) {
    const place = `${passed.named}/${passed.seq}`;
    const here = wanted.get(place);
    if (here === undefined) wanted.set(place, [passed]);
    else here.push(passed);
  }
  const right = new Set<Passed>();
  const wrong = new Set<Passed>();
  const reader = new LineReader((text, start, end, bytes) => {
    const [, log, seq] = START.exec(text.slice(start, start + START_LENGTH)) ?? [];
    const named = wanted.get(`${log}/${seq}`);
    if (named === undefined) return;
    const hash = createHash('sha256').update('\0').update(bytes.subarray(start, end)).digest('hex');
    for (const passed of named) (passed.hash === hash ? right : wrong).add(passed);
  });
  for await (const part of readFile(path)) reader.read(part);
  for (const passed of wrong) if (!right.has(passed)) check.refuse(passed);
}
