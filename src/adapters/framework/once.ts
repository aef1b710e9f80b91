import type { Leash } from '../../leash-contract.ts';

interface Made {
  readonly leash: Leash;
  readonly of: object;
}

const known = new WeakMap<object, Made>();

/** What `make` gives, or `target` where it was made for this leash already: nothing is held or counted twice. */
export function leashedOnce<T extends object>(leash: Leash, target: T, make: () => T): T {
  for (let made = known.get(target); made !== undefined; made = known.get(made.of)) {
    if (made.leash === leash) return target;
  }
  const made = make();
  known.set(made, { leash, of: target });
  return made;
}
