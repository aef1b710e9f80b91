import type { Steps } from '../rolling.ts';
import type { Statements } from './statements.ts';

/** The steps of one counter's rolling window, a row each, for one transaction. */
export class StepRows implements Steps {
  readonly #statements: Statements;
  readonly #counter: number;
  /** Nothing is there before it. */
  #oldest = Number.NEGATIVE_INFINITY;

  constructor(statements: Statements, counter: number) {
    this.#statements = statements;
    this.#counter = counter;
  }

  dropBefore(index: number): number {
    if (index <= this.#oldest) return 0;
    this.#oldest = index;
    let dropped = 0;
    for (const { units } of this.#statements.dropSteps.all(this.#counter, index)) dropped += units as number;
    return dropped;
  }

  add(index: number, units: number): void {
    this.#statements.addToStep.run(this.#counter, index, units);
  }

  take(index: number, units: number): number {
    const there = this.#statements.unitsOfStep.get(this.#counter, index)?.['units'] as number | undefined;
    const taken = Math.min(units, there ?? 0);
    if (taken > 0) this.#statements.takeFromStep.run(taken, this.#counter, index);
    return taken;
  }

  reaching(units: number): number | undefined {
    return this.#statements.stepReaching.get(this.#counter, units)?.['step'] as number | undefined;
  }
}
