/**
 * A log that grows in a file, and what its beginnings cost to verify. Told `{ append: lines }` it goes on until there are
 * that many and answers with what a line has cost over the second half of the way; told `{ verify: lines }` it verifies
 * that beginning once. Ends with its parent.
 */
import { createReadStream } from 'node:fs';
import { type AuditSink, callCap, createLeash, fileSink, verifyLog } from 'leashkit';
import { logging, scratch } from './audit.ts';
import { input } from './input.ts';

export interface LogRequest {
  readonly append?: number;
  readonly verify?: number;
  /** When to stop appending, by `Date.now()`. */
  readonly until?: number;
}

export interface LogAnswer {
  /** Where it really is. */
  readonly lines: number;
  /** Nanoseconds for each line. */
  readonly samples: readonly number[];
}

const SLICES = 15;

/** Tells how far the file is. */
function counting(sink: AuditSink): { readonly sink: AuditSink; lines: number; bytes: number } {
  const counted = {
    lines: 0,
    bytes: 0,
    sink: {
      name: sink.name,
      recover: () => sink.recover?.(),
      write(text: string, first: number, last: number) {
        counted.lines = last + 1;
        // A log is ASCII.
        counted.bytes += text.length;
        return sink.write(text, first, last);
      },
      close: () => sink.close?.(),
    },
  };
  return counted;
}

/** The code, on another file. */
async function warmUp(): Promise<void> {
  const { path, remove } = scratch();
  const leash = logging('never', 'checkpoint')(path);
  const call = leash.wrap('stripe.charge', async (_: unknown) => 1);
  for (let i = 0; i < 30_000; i++) await call(input);
  await leash.close();
  await verifyLog(path, { tofu: true });
  remove();
}

await warmUp();
const { path, remove } = scratch();
const log = counting(fileSink(path, { durability: 'never' }));
const leash = createLeash({ guards: [callCap(1e12)], audit: log.sink });
const call = leash.wrap('stripe.charge', async (_: unknown) => 1);
/** Where each beginning ends. */
const ends = new Map<number, number>();

/** @returns nanoseconds for each line. */
async function appendTo(lines: number, until: number): Promise<number> {
  const before = log.lines;
  const start = performance.now();
  while (log.lines < lines) {
    await call(input);
    if (log.lines % 1024 < 2 && Date.now() > until) break;
  }
  return ((performance.now() - start) * 1e6) / (log.lines - before);
}

async function append(lines: number, until: number): Promise<LogAnswer> {
  const samples: number[] = [];
  const half = Math.max(log.lines, Math.floor(lines / 2));
  await appendTo(half, until);
  for (let i = 1; i <= SLICES && Date.now() <= until; i++) {
    samples.push(await appendTo(half + Math.ceil(((lines - half) * i) / SLICES), until));
  }
  ends.set(log.lines, log.bytes);
  return { lines: log.lines, samples };
}

async function verify(lines: number): Promise<LogAnswer> {
  const start = performance.now();
  const { ok, events } = await verifyLog(createReadStream(path, { end: (ends.get(lines) as number) - 1 }), {
    tofu: true,
  });
  if (!ok || events !== lines) throw new Error('the log does not verify');
  return { lines, samples: [((performance.now() - start) * 1e6) / lines] };
}

process.on('message', async ({ append: to, verify: first, until = Number.POSITIVE_INFINITY }: LogRequest) => {
  process.send?.(to === undefined ? await verify(first as number) : await append(to, until));
});
process.once('disconnect', () => {
  remove();
  process.exit();
});
