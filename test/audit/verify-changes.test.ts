import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type VerifyReport, verifyLog } from '../../src/audit/verify.ts';
import { longLog } from '../helpers/log-attacks.ts';
import { inParts, SignedLog, textOf } from '../helpers/signed-log.ts';

const root = generateKeyPairSync('ed25519');
const log = longLog(root.privateKey);
const { lines } = log;

function check(file: string | Uint8Array): Promise<VerifyReport> {
  return verifyLog(inParts(file));
}

/** Closed, and nothing wrong: what no change must look like. */
async function passes(file: string): Promise<boolean> {
  const { ok, state } = await check(file);
  return ok && state === 'closed';
}

describe('a closed log of 300 lines', () => {
  it('is refused with any bit changed, the line before or after it named', async () => {
    const bytes = Buffer.from(log.text);
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: bytes.length - 2 }), fc.nat({ max: 7 }), async (byte, bit) => {
        const changed = Buffer.from(bytes);
        changed[byte] = (changed[byte] as number) ^ (1 << bit);
        const { ok, firstBadLine = 0 } = await check(changed);
        const line = bytes.subarray(0, byte).toString('latin1').split('\n').length;
        expect(ok).toBe(false);
        expect([line, line + 1]).toContain(firstBadLine);
      }),
      { numRuns: 800 },
    );
  });

  it('is refused however lines are left out, doubled and moved', async () => {
    const move = fc.record({ from: fc.nat({ max: 299 }), count: fc.nat({ max: 3 }), to: fc.nat({ max: 299 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(move, { minLength: 1, maxLength: 3 }), fc.boolean(), async (moves, copy) => {
        const changed = [...lines];
        for (const { from, count, to } of moves) {
          const some = changed.slice(from, from + count);
          if (!copy) changed.splice(from, count);
          changed.splice(to, 0, ...some);
        }
        expect(await passes(textOf(changed))).toBe(textOf(changed) === log.text);
      }),
      { numRuns: 300 },
    );
  });
});

describe('a closed log of five lines', () => {
  it('is refused with any bit changed, but for the last LF, without which it is torn', async () => {
    const bytes = Buffer.from(new SignedLog({ root: root.privateKey }).call('é').close().text);
    const missed: string[] = [];
    for (let byte = 0; byte < bytes.length; byte++) {
      for (let bit = 0; bit < 8; bit++) {
        const changed = Buffer.from(bytes);
        changed[byte] = (changed[byte] as number) ^ (1 << bit);
        const { ok, state } = await check(changed);
        const torn = ok && state === 'torn-tail';
        if (byte === bytes.length - 1 ? !torn : ok) missed.push(`byte ${byte}, bit ${bit}: ${state}`);
      }
    }
    expect(missed).toEqual([]);
  });
});
