import { createLeash, type Leash, type LeashOptions, type MemorySink, memorySink, verifyLog } from 'leashkit';

/** A leash whose log stays in memory, and what an adapter's test asks of it. */
export interface RecordedLeash {
  readonly leash: Leash;
  readonly log: MemorySink;
  /** The kinds of the events so far, without checkpoints. */
  kinds(): string[];
  /** The events of one kind, parsed. */
  events(kind: string): Record<string, unknown>[];
  /** What calls and model requests hold right now, over all limits: `'0'` when everything was settled. */
  held(): Promise<string>;
  /** What was spent against the first limit in USD. */
  spentUsd(): Promise<string>;
  /** Closes the leash and checks its log from the first byte to the last. */
  verified(): Promise<'closed' | string>;
}

export function recordedLeash(options: LeashOptions): RecordedLeash {
  const log = memorySink();
  const leash = createLeash({ ...options, audit: log });
  const parsed = (): Record<string, unknown>[] => log.lines.map((line) => JSON.parse(line));
  return {
    leash,
    log,
    kinds: () => parsed().flatMap(({ kind }) => (kind === 'checkpoint' ? [] : [String(kind)])),
    events: (kind) => parsed().filter((event) => event['kind'] === kind),
    async held() {
      const { limits } = await leash.usage();
      return [...new Set(limits.map(({ held }) => String(held)))].filter((held) => held !== '0').join(' ') || '0';
    },
    async spentUsd() {
      const { limits } = await leash.usage();
      return String(limits.find(({ unit }) => unit === 'usd')?.spent);
    },
    async verified() {
      await leash.close();
      const { ok, state, code } = await verifyLog(bytesOf(log.lines), { requireClosed: true });
      return ok ? state : `not ok: ${code}`;
    },
  };
}

async function* bytesOf(lines: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const line of lines) yield Buffer.from(`${line}\n`);
}
