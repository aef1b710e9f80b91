import type { Unbooked } from '../errors.ts';
import { checkInteger, checkOptions, shown } from '../internal/options.ts';
import { type Amount, addUnits, formatUnits, parseCap } from '../money.ts';
import type { Units } from '../stores/store.ts';
import type { Counter, Plan } from './plan.ts';

/**
 * While the store fails: `'deny'` lets no call run that is counted. `allowUpTo` lets calls run as long as what they hold and
 * have spent without the store, not counting what it has booked since, is at most this: by this leash and all of its
 * children in this process, so N processes may spend N times as much. A unit that is not named allows nothing. What was spent
 * is booked when the store answers again, whatever the caps; what went beyond a cap is not lent a second time under this
 * cap. Calls with an idempotency key are denied: nobody knows whether they ran. What a process that dies had not booked is
 * lost.
 */
export type OnStoreError = 'deny' | { readonly allowUpTo: AllowUpTo };

/** Amounts >= 0, in whole units as the caps of budgets; calls as an integer. */
export interface AllowUpTo {
  readonly usd?: Amount;
  readonly sat?: Amount;
  readonly calls?: number;
}

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

/** @throws {TypeError | RangeError} naming the option. */
export function readAllowUpTo(option: string, policy: OnStoreError): Amounts | undefined {
  if (policy === 'deny') return undefined;
  if (typeof policy !== 'object')
    throw new TypeError(`\`${option}\` must be 'deny' or { allowUpTo }, got ${shown(policy)}`);
  checkOptions(option, policy, ['allowUpTo']);
  const where = `${option}.allowUpTo`;
  checkOptions(where, policy.allowUpTo, ['usd', 'sat', 'calls']);
  const { usd = 0, sat = 0, calls = 0 } = policy.allowUpTo;
  return {
    usd: parseCap(`${where}.usd`, 'usd', usd),
    sat: parseCap(`${where}.sat`, 'sat', sat),
    call: checkInteger(`${where}.calls`, calls, 0),
  };
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
