import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { LineReader } from '../../src/audit/line-reader.ts';
import { verifyLog } from '../../src/audit/verify.ts';
import { SignedLog } from '../helpers/signed-log.ts';

const directory = mkdtempSync(join(tmpdir(), 'leashkit-lines-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('LineReader', () => {
  const LONGEST = 64 << 20;
  /** How long the lines are that it gives for parts of these lengths, with an LF at these places of all their bytes. */
  const lengthsOf = (parts: readonly number[], ...ends: readonly number[]): readonly number[] => {
    const lengths: number[] = [];
    const reader = new LineReader((_, start, end) => lengths.push(end - start));
    let from = 0;
    for (const length of parts) {
      const part = Buffer.alloc(length, 'x');
      for (const end of ends) if (end >= from && end < from + length) part[end - from] = 0x0a;
      reader.read(part);
      from += length;
    }
    return lengths;
  };

  it('gives lines that are as long as they may be, and nothing of longer ones', () => {
    expect(lengthsOf([LONGEST + 2], 0, LONGEST + 1)).toEqual([0, LONGEST]);
    expect(lengthsOf([LONGEST + 2], LONGEST + 1)).toEqual([0]);
    expect(lengthsOf([LONGEST, 2], LONGEST, LONGEST + 1)).toEqual([LONGEST, 0]);
    expect(lengthsOf([LONGEST, 1, 3], LONGEST + 1, LONGEST + 3)).toEqual([0, 1]);
  });

  it.skipIf(!existsSync('/proc/self/fd'))(
    'closes the file that it has read, also where reading ends early',
    async () => {
      const path = join(directory, 'closed.jsonl');
      writeFileSync(path, new SignedLog().calls(9).text);
      const links = (): readonly string[] =>
        readdirSync('/proc/self/fd').map((name) => {
          try {
            return readlinkSync(`/proc/self/fd/${name}`);
          } catch {
            return '';
          }
        });
      await verifyLog(path);
      const stop = (): void => {
        throw new Error('enough');
      };
      await expect(verifyLog(path, { onProgress: stop })).rejects.toThrow('enough');
      expect(links().filter((link) => link.endsWith('closed.jsonl'))).toEqual([]);
    },
  );
});
