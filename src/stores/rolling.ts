import { addUnits } from '../money.ts';

/** What was booked in each step of a rolling sum. */
export interface Steps {
  /** Drops the steps before `index`; answers what they held together. */
  dropBefore(index: number): number;
  /** Adds to the step `index`, which is the latest or a later one. */
  add(index: number, units: number): void;
  /** Takes at most `units` out of a step; answers how much that was. */
  take(index: number, units: number): number;
  /** The first step with which those from the oldest on hold `units` together. */
  reaching(units: number): number | undefined;
}

/** Steps in memory: those that hold something, oldest first. A window has a few hundred at most. */
class StepList implements Steps {
  readonly #steps: { readonly index: number; units: number }[] = [];

  dropBefore(index: number): number {
    let dropped = 0;
    let step = this.#steps[0];
    while (step !== undefined && step.index < index) {
      dropped += step.units;
      this.#steps.shift();
      step = this.#steps[0];
    }
    return dropped;
  }

  add(index: number, units: number): void {
    const last = this.#steps[this.#steps.length - 1];
    if (last?.index === index) last.units += units;
    else this.#steps.push({ index, units });
  }

  take(index: number, units: number): number {
    for (let i = this.#steps.length - 1; i >= 0; i--) {
      const step = this.#steps[i] as { index: number; units: number };
      if (step.index !== index) continue;
      const taken = Math.min(units, step.units);
      step.units -= taken;
      return taken;
    }
    return 0;
  }

  reaching(units: number): number | undefined {
    let sum = 0;
    for (const step of this.#steps) {
      sum += step.units;
      if (sum >= units) return step.index;
    }
    return undefined;
  }
}

/**
 * The sum of what was booked in the last `ms`, counted in steps of `stepMs`. A step is let go as a whole, once all of
 * it is outside the window: late by less than one step, never early, so no window ever holds more than was admitted.
 */
export class RollingSum {
  readonly #ms: number;
  readonly #stepMs: number;
  readonly #steps: Steps;
  #sum: number;

  /** @param sum what the steps hold together. */
  constructor(ms: number, stepMs: number, steps: Steps = new StepList(), sum = 0) {
    this.#ms = ms;
    this.#stepMs = stepMs;
    this.#steps = steps;
    this.#sum = sum;
  }

  /** As it was at the latest operation. */
  get sum(): number {
    return this.#sum;
  }

  at(now: number): number {
    this.#sum -= this.#steps.dropBefore(Math.floor((now - this.#ms) / this.#stepMs));
    return this.#sum;
  }

  /** Books at `now`, which must not run backwards. Returns the step, for `takeBack`. */
  add(units: number, now: number): number {
    const index = Math.floor(now / this.#stepMs);
    const sum = addUnits(this.#sum, units);
    this.#steps.add(index, sum - this.#sum);
    this.#sum = sum;
    return index;
  }

  /** Undoes an `add` whose step is still inside the window. */
  takeBack(units: number, index: number): void {
    this.#sum -= this.#steps.take(index, units);
  }

  /** Milliseconds from `now` until at least `units` have left the window; undefined if it never held that much. */
  untilFreed(units: number, now: number): number | undefined {
    const index = this.#steps.reaching(units);
    if (index === undefined) return undefined;
    return Math.max(1, Math.ceil((index + 1) * this.#stepMs + this.#ms - now));
  }
}
