import fc from 'fast-check';
import type { Store } from '../../src/stores/store.ts';
import { linearization, type Operation } from './linearizability.ts';
import { historyPlans, type Question, recordHistory, storeSpecification } from './store-histories.ts';

export interface CheckedHistories {
  readonly checked: number;
  readonly operations: number;
  /** That no order of their operations explains. */
  readonly failed: readonly (readonly Operation<Question, string>[])[];
  /** Gives the same plans again. What overlaps is up to the machine. */
  readonly seed: number;
}

/** Lets as many callers as there are stores make histories on them, and looks for an order of each. */
export async function checkHistories(
  stores: readonly Store[],
  count: number,
  seed: number = Date.now() & 0x7fff_ffff,
): Promise<CheckedHistories> {
  const failed: Operation<Question, string>[][] = [];
  let operations = 0;
  for (const [i, plan] of fc.sample(historyPlans(stores.length), { numRuns: count, seed }).entries()) {
    const history = await recordHistory(stores, plan, `${seed} ${i}`);
    operations += history.length;
    if (linearization(history, storeSpecification) === undefined) failed.push(history);
  }
  return { checked: count, operations, failed, seed };
}

/** As a person reads it: who waited for what from when to when. */
export function historyText(history: readonly Operation<Question, string>[]): string {
  return history
    .toSorted((one, other) => one.asked - other.asked)
    .map(({ asked, answered, input, output }) => `${asked}-${answered} ${JSON.stringify(input)} -> ${output}`)
    .join('\n');
}
