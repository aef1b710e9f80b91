import type { Unbooked } from './errors.ts';
import { addUnits, formatUnits } from './money.ts';
import type { Counter, Plan } from './plan.ts';
import type { Units } from './stores/store.ts';

/** In each unit: nano-USD, millisatoshi, calls. */
export type Amounts = Readonly<Record<Counter['unit'], Units>>;

export const NO_AMOUNTS: Amounts = Object.freeze({ usd: 0, sat: 0, call: 0 });

/** What a plan's counters take in each unit: the same spend counts once, however many limits count it. */
export function amountsByUnit({ counters }: Plan, units: readonly Units[]): Amounts {
  const amounts = { ...NO_AMOUNTS };
  counters.forEach(({ unit }, i) => {
    amounts[unit] = Math.max(amounts[unit], units[i] as Units);
  });
  return amounts;
}

export function addAmounts(a: Amounts, b: Amounts): Amounts {
  return { usd: addUnits(a.usd, b.usd), sat: addUnits(a.sat, b.sat), call: addUnits(a.call, b.call) };
}

export function unbookedOf({ usd, sat, call }: Amounts): Unbooked {
  return { usd: formatUnits('usd', usd), sat: formatUnits('sat', sat), calls: call };
}

/**
 * What may be spent while the store does not answer. What is lent out comes back when the store has booked it; how far that
 * went beyond a cap stays lent for the calls under this cap, so that outage after outage passes it no further.
 */
export class Allowance {
  readonly #upTo: Amounts;
  #lent: Amounts = NO_AMOUNTS;
  /** By counter: how far the store was beyond its cap when it last said so. */
  readonly #beyond = new Map<string, Units>();

  constructor(upTo: Amounts) {
    this.#upTo = upTo;
  }

  /** What a counter could still take. */
  room(counter: Counter): Units {
    const { unit, cap } = counter;
    const beyond = this.#beyond.size === 0 ? 0 : (this.#beyond.get(nameOf(counter)) ?? 0);
    return Math.max(0, Math.min(cap, this.#upTo[unit] - this.#lent[unit] - beyond));
  }

  admits({ counters }: Plan, units: readonly Units[]): boolean {
    return counters.every((counter, i) => units[i] === 0 || (units[i] as Units) <= this.room(counter));
  }

  lend(amounts: Amounts): void {
    this.#lent = addAmounts(this.#lent, amounts);
  }

  giveBack({ usd, sat, call }: Amounts): void {
    const lent = this.#lent;
    this.#lent = {
      usd: Math.max(0, lent.usd - usd),
      sat: Math.max(0, lent.sat - sat),
      call: Math.max(0, lent.call - call),
    };
  }

  /** What the store left of each counter's cap. */
  learn({ counters }: Plan, left: readonly number[]): void {
    for (let i = 0; i < counters.length; i++) {
      const over = -(left[i] as number);
      if (over > 0) this.#beyond.set(nameOf(counters[i] as Counter), over);
      else if (this.#beyond.size > 0) this.#beyond.delete(nameOf(counters[i] as Counter));
    }
  }
}

function nameOf({ scope, meter }: Counter): string {
  return JSON.stringify([scope, meter]);
}
