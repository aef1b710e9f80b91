import type { Span } from '../../internal/window.ts';
import type { Counter } from '../ledger.ts';
import { Meter } from '../meter.ts';
import type { ScopeRow } from './scope-row.ts';
import type { Statements } from './statements.ts';
import { StepRows } from './step-rows.ts';

export interface SavedCounter {
  readonly id: number;
  readonly scope: number;
  readonly meter: string;
  readonly kind: Span['kind'];
  readonly held: number;
  readonly booked: number;
  readonly window_ms: number | null;
  readonly step_ms: number | null;
  readonly start_ms: number | null;
  readonly end_ms: number | null;
  readonly late_ms: number | null;
}

export class CounterRow implements Counter {
  readonly id: number;
  readonly meter: Meter;
  #saved: SavedCounter;
  readonly #scopeOf: (counter: SavedCounter) => ScopeRow;

  constructor(saved: SavedCounter, statements: Statements, scopeOf: (counter: SavedCounter) => ScopeRow) {
    this.#saved = saved;
    this.#scopeOf = scopeOf;
    this.id = saved.id;
    const { held, booked, late_ms } = saved;
    const steps = saved.kind === 'rolling' ? new StepRows(statements, saved.id) : undefined;
    this.meter = new Meter(spanOf(saved), steps, { held, booked, bookedLate: late_ms ?? undefined });
  }

  get name(): string {
    return this.#saved.meter;
  }

  get scope(): ScopeRow {
    return this.#scopeOf(this.#saved);
  }

  save({ updateCounter }: Statements): void {
    const { held, booked, startMs, endMs, bookedLate: late_ms = null } = this.meter.state;
    const [start_ms, end_ms] = this.meter.kind === 'calendar' ? [startMs, endMs] : [null, null];
    const saved = this.#saved;
    if (
      saved.held === held &&
      saved.booked === booked &&
      saved.start_ms === start_ms &&
      saved.end_ms === end_ms &&
      saved.late_ms === late_ms
    )
      return;
    updateCounter.run(held, booked, start_ms, end_ms, late_ms, this.id);
    this.#saved = { ...saved, held, booked, start_ms, end_ms, late_ms };
  }
}

function spanOf({ kind, window_ms, step_ms, start_ms, end_ms }: SavedCounter): Span {
  switch (kind) {
    case 'total':
      return { kind };
    case 'rolling':
      return { kind, ms: window_ms as number, stepMs: step_ms as number };
    case 'calendar':
      return { kind, startMs: start_ms as number, endMs: end_ms as number };
  }
}
