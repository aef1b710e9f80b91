import { type Profiler, Session } from 'node:inspector';

type Range = readonly [start: number, end: number];

/** Which code of `src` this thread has run, block by block, as V8 counts it. */
export class Coverage {
  readonly #session = new Session();
  /** Of each function that has run: what of it never has. */
  readonly #missed = new Map<string, readonly Range[]>();

  constructor() {
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Whether something has run since it was asked last that had never run before; the next one is asked the same. */
  peek(): boolean {
    return this.#take(false);
  }

  /** The same; what has run is known from now on. */
  take(): boolean {
    return this.#take(true);
  }

  #take(learns: boolean): boolean {
    let isNew = false;
    for (const { url, functions } of this.#counted()) {
      if (!url.includes('/src/')) continue;
      for (const { functionName, ranges } of functions) {
        const [whole] = ranges;
        if (whole === undefined || whole.count === 0) continue;
        const key = `${url}:${functionName}:${whole.startOffset}`;
        const missed = ranges
          .filter(({ count }) => count === 0)
          .map((range): Range => [range.startOffset, range.endOffset]);
        const before = this.#missed.get(key);
        const now = before === undefined ? missed : both(before, missed);
        if (before === undefined || length(now) < length(before)) {
          if (learns) this.#missed.set(key, now);
          isNew = true;
        }
      }
    }
    return isNew;
  }

  #counted(): readonly Profiler.ScriptCoverage[] {
    let counted: readonly Profiler.ScriptCoverage[] = [];
    // It answers before it returns: the session is of this very thread.
    this.#session.post('Profiler.takePreciseCoverage', (error, answer) => {
      if (error !== null) throw error;
      counted = answer.result;
    });
    return counted;
  }
}

/** What stands in both. */
function both(a: readonly Range[], b: readonly Range[]): readonly Range[] {
  const common: Range[] = [];
  for (const [from, to] of a) {
    for (const [start, end] of b) {
      if (Math.max(from, start) < Math.min(to, end)) common.push([Math.max(from, start), Math.min(to, end)]);
    }
  }
  return common;
}

function length(ranges: readonly Range[]): number {
  return ranges.reduce((sum, [start, end]) => sum + end - start, 0);
}
