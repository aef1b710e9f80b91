import { checkInteger, checkOptions } from '../internal/options.ts';
import type { AuditSink } from './sink.ts';

export interface MemorySinkOptions {
  /** How many lines are kept, the oldest are dropped first. Integer >= 1. Default: 100 000, about 30 MB. */
  readonly max?: number;
}

/** What `memorySink` gives: a sink whose lines can be read. */
export interface MemorySink extends AuditSink {
  /** The lines without LF, oldest first. */
  readonly lines: readonly string[];
  /** How many lines were dropped because of `max`: a log that has lost its beginning no longer verifies. */
  readonly dropped: number;
}

/** Keeps the log in memory: for tests, short sessions, and as the default. */
export function memorySink(options: MemorySinkOptions = {}): MemorySink {
  checkOptions('memorySink', options, ['max']);
  const { max: given = 100_000 } = options;
  const max = checkInteger('memorySink.max', given, 1);
  const slack = Math.ceil(max / 4);
  const lines: string[] = [];
  let dropped = 0;
  const trim = (): void => {
    if (lines.length <= max) return;
    dropped += lines.length - max;
    lines.splice(0, lines.length - max);
  };
  return {
    name: 'memory',
    get lines() {
      trim();
      return lines;
    },
    get dropped() {
      trim();
      return dropped;
    },
    write(text) {
      const end = text.length - 1;
      if (text.indexOf('\n') === end) lines.push(text.slice(0, end));
      else for (const line of text.slice(0, end).split('\n')) lines.push(line);
      // Moving a large array costs; do it once for many lines.
      if (lines.length > max + slack) trim();
    },
  };
}
