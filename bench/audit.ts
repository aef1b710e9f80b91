import { createHash, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import stableStringify from 'fast-json-stable-stringify';
import { callCap, createLeash, fileSink, type Leash } from 'leashkit';
import { type Input, input } from './input.ts';
import type { Group, Subject } from './measure.ts';

export function scratch(): { readonly path: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'leashkit-bench-'));
  return { path: join(folder, 'audit.jsonl'), remove: () => rmSync(folder, { recursive: true }) };
}

/** What one finds: each event stringified stably, hashed with the one before, signed, and appended by name. */
function usualDesign(): Subject {
  const { privateKey } = generateKeyPairSync('ed25519');
  return {
    name: 'usual design: stringify, createHash, sign each event, appendFileSync',
    async run(rounds) {
      const { path, remove } = scratch();
      let prev = '0'.repeat(64);
      const append = (event: Record<string, unknown>): void => {
        const body = stableStringify({ ...event, prev });
        prev = createHash('sha256').update(body).digest('hex');
        const signature = sign(null, Buffer.from(prev), privateKey).toString('base64');
        appendFileSync(path, `${stableStringify({ ...event, prev, signature })}\n`);
      };
      for (let i = 0; i < rounds; i++) {
        const call = randomUUID();
        const args = createHash('sha256').update(stableStringify(input)).digest('hex');
        append({ ts: new Date().toISOString(), kind: 'tool_start', call, tool: 'stripe.charge', args });
        append({ ts: new Date().toISOString(), kind: 'tool_ok', call, tool: 'stripe.charge', us: 12 });
      }
      remove();
    },
  };
}

/** A leash that does little but log. */
export function logging(durability: 'never' | 'always', sign: 'none' | 'checkpoint' | 'each'): (path: string) => Leash {
  return (path) => createLeash({ guards: [callCap(1e12)], audit: { sink: fileSink(path, { durability }), sign } });
}

export function loggedCalls(name: string, open: (path: string) => Leash, parallel: number): Subject {
  return {
    name,
    async run(rounds) {
      const { path, remove } = scratch();
      const leash = open(path);
      const call = leash.wrap('stripe.charge', (args: Input) => args.cents);
      for (let left = rounds; left > 0; left -= parallel) {
        if (parallel === 1) await call(input);
        else await Promise.all(Array.from({ length: Math.min(parallel, left) }, () => call(input)));
      }
      await leash.close();
      remove();
    },
  };
}

/** A whole call with two events, of which the log is nearly all. */
const BY_CHECKPOINT = 'leash.wrap, fileSink, a checkpoint every 256 events';

export const auditPath: Group = {
  id: 'audit-file',
  title: 'Two events of a call in a file, chained and signed',
  goal: { of: BY_CHECKPOINT, ratio: 3 },
  subjects: () => [
    usualDesign(),
    loggedCalls(BY_CHECKPOINT, logging('never', 'checkpoint'), 1),
    loggedCalls('leash.wrap, fileSink, a signature after each event', logging('never', 'each'), 1),
  ],
};

/** On the disk before the tool runs: writers that wait at once share one sync. */
export const durable: Group = {
  id: 'audit-durable',
  title: "fileSink with durability 'always'",
  note: 'Each line is on the disk before its tool runs; writers that wait at once share one sync.',
  subjects: () => [
    loggedCalls('one call at a time', logging('always', 'checkpoint'), 1),
    loggedCalls('64 calls in flight', logging('always', 'checkpoint'), 64),
  ],
};
