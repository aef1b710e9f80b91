import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { logging, scratch } from './audit.ts';
import { type Input, input } from './input.ts';
import { type Group, type Result, results } from './measure.ts';
import type { Reading } from './verify-reader.ts';

/** As many as a gigabyte has. */
const LINES = 3_400_000;
const ROUNDS = 3;
const VERIFY = 'verifyLog: every link, spelling, root and signature';
const SUBJECTS = [
  ['hashOnly', 'the two SHA-256 of each line, and nothing checked'],
  ['hashFile', 'one SHA-256 of the whole file'],
  ['verify', VERIFY],
] as const;

export interface Verified {
  readonly group: Omit<Group, 'subjects'>;
  readonly results: readonly Result[];
}

/** Lines a second and memory on a long log: each reader in processes of its own, in turn. */
export async function verifyGigabyte(lines: number = LINES): Promise<Verified> {
  const { path, remove } = scratch();
  try {
    const leash = logging('never', 'checkpoint')(path);
    const call = leash.wrap('stripe.charge', (args: Input) => args.cents);
    for (let i = 0; i < lines / 2; i++) await call(input);
    await leash.close();
    const speeds: number[][] = SUBJECTS.map(() => []);
    let peakMb = 0;
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i, [reader]] of SUBJECTS.entries()) {
        const reading = readWith(reader, path);
        (speeds[i] as number[]).push(reading.perSecond);
        if (reader === 'verify') peakMb = Math.max(peakMb, reading.peakMb);
      }
    }
    const gigabytes = (statSync(path).size / 1e9).toFixed(2);
    return {
      group: {
        id: 'verify',
        title: `Lines of a log of ${gigabytes} GB that are read in a second`,
        goal: { of: VERIFY, perSecond: 800_000, because: 'the two SHA-256 of a line are the greater part of it' },
        note: `${lines.toLocaleString('en-US')} lines, each reader in a process of its own; verifyLog had at most ${Math.round(peakMb)} MB of memory.`,
      },
      results: results(
        SUBJECTS.map(([, name]) => name),
        speeds,
      ),
    };
  } finally {
    remove();
  }
}

function readWith(reader: string, path: string): Reading {
  const program = join(import.meta.dirname, 'verify-reader.ts');
  return JSON.parse(execFileSync(process.execPath, [program, reader, path], { encoding: 'utf8' })) as Reading;
}
