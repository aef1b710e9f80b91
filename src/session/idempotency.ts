import { sha256 } from '../audit/chain.ts';
import { after, type MaybePromise } from '../internal/maybe-promise.ts';
import type { ExactMoney } from '../money.ts';
import { moneyOf, type Plan } from './plan.ts';
import { conflict } from './refusal.ts';
import type { Reservations } from './reservations.ts';
import { no, type Reservation, type Reserved } from './reserved.ts';

/** How long a key that was used is known. */
const KEEP_MS = 24 * 3_600_000;
/** Where nothing was paid under a name the next name is tried, this many times. */
const MAX_ROUNDS = 256;

/**
 * The name of a hold that stands for an idempotency key: the key itself may be an argument, so its hash.
 *
 * @param args canonical JSON: the same key with other arguments is another payment.
 */
export function holdOf(session: string, tool: string, key: string, args: string): string {
  return `key:${sha256(JSON.stringify([session, tool, key, args]))}`;
}

/** A reservation that is made once for all calls with the same key. */
export function reserveOnce(
  reservations: Reservations,
  hold: string,
  plan: Plan,
  cost: ExactMoney,
  leaseMs: number,
  round = 0,
): MaybePromise<Reserved> {
  const reserved = reservations.reserve(`${hold}/${round}`, plan, cost, { leaseMs, keepMs: KEEP_MS });
  return after(reserved, (answer) => {
    if (answer.ok ? !hasPaidNothing(answer) : !answer.terminal) return answer;
    return round < MAX_ROUNDS
      ? reserveOnce(reservations, hold, plan, cost, leaseMs, round + 1)
      : no(conflict('other-call'));
  });
}

/** A call without an estimate whose process is gone: what it cost was not told, and what the next one costs must count. */
function hasPaidNothing({ repeat, plan, units }: Reservation): boolean {
  const money = moneyOf(plan, units);
  return repeat === 'forfeited' && money.length > 0 && money.every((each) => each === 0);
}
