import type { Units } from './store.ts';

/** Why an amount does not fit under a cap: it never can, the window is used up, or open holds are in the way. */
export function whyShort(amount: Units, cap: Units, used: Units): 'exceeds_cap' | 'exhausted' | 'in_flight' {
  if (amount > cap) return 'exceeds_cap';
  return used + amount > cap ? 'exhausted' : 'in_flight';
}
