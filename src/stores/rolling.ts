import { addUnits } from '../money.ts';

/**
 * The sum of what was booked in the last `ms`, counted in steps of `stepMs`. A step is let go as a whole, once all of
 * it is outside the window: late by less than one step, never early, so no window ever holds more than was admitted.
 */
export class RollingSum {
  readonly #ms: number;
  readonly #stepMs: number;
  /** Steps that hold something, oldest first from `#first` on. */
  #steps: { readonly index: number; units: number }[] = [];
  #first = 0;
  #sum = 0;

  constructor(ms: number, stepMs: number) {
    this.#ms = ms;
    this.#stepMs = stepMs;
  }

  at(now: number): number {
    const oldest = Math.floor((now - this.#ms) / this.#stepMs);
    let step = this.#steps[this.#first];
    while (step !== undefined && step.index < oldest) {
      this.#sum -= step.units;
      step = this.#steps[++this.#first];
    }
    if (this.#first > 64 && this.#first * 2 > this.#steps.length) {
      this.#steps.splice(0, this.#first);
      this.#first = 0;
    }
    return this.#sum;
  }

  /** Books at `now`, which must not run backwards. Returns the step, for `takeBack`. */
  add(units: number, now: number): number {
    const index = Math.floor(now / this.#stepMs);
    const last = this.#steps.length > this.#first ? this.#steps[this.#steps.length - 1] : undefined;
    const sum = addUnits(this.#sum, units);
    const added = sum - this.#sum;
    if (last?.index === index) last.units += added;
    else this.#steps.push({ index, units: added });
    this.#sum = sum;
    return index;
  }

  /** Undoes an `add` whose step is still inside the window. */
  takeBack(units: number, index: number): void {
    for (let i = this.#steps.length - 1; i >= this.#first; i--) {
      const step = this.#steps[i] as { index: number; units: number };
      if (step.index !== index) continue;
      const taken = Math.min(units, step.units);
      step.units -= taken;
      this.#sum -= taken;
      return;
    }
  }

  /** Milliseconds from `now` until at least `units` have left the window; undefined if it never held that much. */
  untilFreed(units: number, now: number): number | undefined {
    let freed = 0;
    for (let i = this.#first; i < this.#steps.length; i++) {
      const step = this.#steps[i] as { index: number; units: number };
      freed += step.units;
      if (freed >= units) return Math.max(1, Math.ceil((step.index + 1) * this.#stepMs + this.#ms - now));
    }
    return undefined;
  }
}
