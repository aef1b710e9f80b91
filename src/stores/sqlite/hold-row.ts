import type { Counter, Granted, HeldLine, Hold } from '../ledger.ts';
import type { HoldState, Line } from '../store.ts';
import type { CounterRow } from './counter-row.ts';
import type { Statements } from './statements.ts';

export interface SavedHold {
  readonly id: number;
  readonly state: HoldState;
  readonly requested: number;
  readonly lines: string;
  readonly corrected: number;
  readonly keep_ms: number;
  readonly due_ms: number;
}

/** A line with the id of its counter, and where it was booked. */
export interface PlacedLine extends HeldLine {
  readonly counter: number;
  readonly mark: number;
}

export function placed({ lines, counters, marks }: Granted): readonly PlacedLine[] {
  return lines.map(({ scope, meter, amount, book }, i) => {
    const { id } = counters[i] as CounterRow;
    return { scope, meter, amount, book, counter: id, mark: marks[i] as number };
  });
}

/** As they are kept: a mark that is null is infinite, where a meter has one place alone. */
type SavedLine = readonly [number, string, string, number, Line['book'], number | null];

export function textOf(lines: readonly PlacedLine[]): string {
  return JSON.stringify(
    lines.map(({ counter, scope, meter, amount, book, mark }) => [counter, scope, meter, amount, book, mark]),
  );
}

function linesOf(text: string): readonly PlacedLine[] {
  return (JSON.parse(text) as readonly SavedLine[]).map(([counter, scope, meter, amount, book, mark]) => {
    return { counter, scope, meter, amount, book, mark: mark ?? Number.POSITIVE_INFINITY };
  });
}

export class HoldRow implements Hold {
  readonly id: number;
  state: HoldState;
  readonly requested: readonly HeldLine[];
  lines: readonly PlacedLine[];
  corrected: boolean;
  readonly keepMs: number;
  /** While it is open the end of its lease, then when it may be forgotten. */
  dueMs: number;
  #saved: SavedHold;
  #savedLines: readonly PlacedLine[];
  readonly #counterOf: (id: number) => Counter | undefined;

  constructor(saved: SavedHold, counterOf: (id: number) => Counter | undefined) {
    this.#saved = saved;
    this.#counterOf = counterOf;
    this.id = saved.id;
    this.state = saved.state;
    this.lines = linesOf(saved.lines);
    this.#savedLines = this.lines;
    this.requested = this.lines.slice(0, saved.requested);
    this.corrected = saved.corrected !== 0;
    this.keepMs = saved.keep_ms;
    this.dueMs = saved.due_ms;
  }

  get leaseEnd(): number {
    return this.dueMs;
  }

  set leaseEnd(end: number) {
    this.dueMs = Math.min(Number.MAX_SAFE_INTEGER, end);
  }

  counter(index: number): Counter | undefined {
    return this.#counterOf((this.lines[index] as PlacedLine).counter);
  }

  mark(index: number): number {
    return (this.lines[index] as PlacedLine).mark;
  }

  save({ updateHold }: Statements): void {
    const [state, due_ms, corrected] = [this.state, this.dueMs, Number(this.corrected)];
    const saved = this.#saved;
    const extended = this.lines !== this.#savedLines;
    if (!extended && saved.state === state && saved.due_ms === due_ms && saved.corrected === corrected) return;
    const lines = extended ? textOf(this.lines) : saved.lines;
    updateHold.run(state, lines, corrected, due_ms, this.id);
    this.#saved = { ...saved, state, lines, corrected, due_ms };
    this.#savedLines = this.lines;
  }
}
