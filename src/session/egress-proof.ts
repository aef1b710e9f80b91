import type { EntryPoint } from '../egress/hooks/canary.ts';
import { coverageOf, type EgressCoverage } from '../egress/hooks/coverage.ts';
import { egressHooks, type Hooks } from '../egress/hooks/hooks.ts';
import { EgressUnenforcedError } from '../errors.ts';
import type { Egress } from '../guard.ts';
import { runtimeName } from '../internal/runtime.ts';
import type { Rules } from './rules.ts';

type Proof = ReadonlyMap<EntryPoint, boolean>;

let last: { readonly hooks: Hooks; readonly proof: Proof } | undefined;

/** Whether code is held that uses clients of its own. */
export function holdsCode(egresses: readonly Egress[]): boolean {
  return egresses.some(({ enforce }) => enforce !== 'declared');
}

/**
 * What the egress guards of a session will hold; undefined where there are none.
 *
 * @throws {EgressUnenforcedError} they cannot.
 */
export function proveEgress(rules: Rules): EgressCoverage | undefined {
  const egresses = rules.egresses(() => true);
  if (egresses.length === 0) return undefined;
  return holdsCode(egresses) ? checked(egresses, proved(), []) : coverageOf(egresses, undefined, []);
}

/** By the proof that this process needs once. @param dispatchers versions of undici. */
export function coverageNow(egresses: readonly Egress[], dispatchers: readonly string[]): EgressCoverage {
  return coverageOf(egresses, proved(), dispatchers);
}

/** The same with a new proof. @throws {EgressUnenforcedError} */
export function proveAgain(egresses: readonly Egress[], dispatchers: readonly string[]): EgressCoverage {
  return checked(egresses, prove(), dispatchers);
}

function proved(): Proof {
  return last?.hooks === egressHooks() ? last.proof : prove();
}

function prove(): Proof {
  const hooks = egressHooks();
  last = { hooks, proof: hooks.prove() };
  return last.proof;
}

function checked(egresses: readonly Egress[], proof: Proof, dispatchers: readonly string[]): EgressCoverage {
  const coverage = coverageOf(egresses, proof, dispatchers);
  const missing = Array.from(proof).flatMap(([entry, held]) => (held ? [] : [entry]));
  if (!holdsCode(egresses) || missing.length === 0) return coverage;
  const { enforce, undici } = coverage;
  throw new EgressUnenforcedError(
    `egress({ enforce: '${enforce}' }) cannot hold ${missing.join(', ')} on ${runtimeName()} with its undici ${undici}. ` +
      "Create the first leash before anything replaces parts of the platform, use a Node that leashkit is tested on (22.12 to 26), or hold declared URLs alone with enforce: 'declared'.",
  );
}
