import type { ActiveCall } from '../call.ts';
import { ALLOW, type Egress, type Guard, type Verdict } from '../guard.ts';
import { isPromiseLike, type MaybePromise } from '../internal/maybe-promise.ts';
import { TextCache } from '../internal/text-cache.ts';
import type { ExactMoney } from '../money.ts';
import { amountOn, isCurrent, type Level, makePlan, type Plan, uncovered } from './plan.ts';
import { type Attempt, fromLimit, fromVerdict, guardFailed, noBudgetFor, type Refusal } from './refusal.ts';

interface Rule {
  readonly guard: Guard;
  readonly level: Level;
}

/** The guards of a leash and its ancestors, and what they say of a call before anything is counted. */
export class Rules {
  /** For spend that is no tool call. */
  readonly spendPlan: Plan;
  readonly #levels: readonly Level[];
  readonly #checks: readonly Rule[];
  readonly #reaches: readonly Rule[];
  readonly #plans = new TextCache<Plan>();
  readonly #observed: (attempt: Attempt, refusal: Refusal) => void;

  /** @param observed told of refusals that are recorded and not carried out. */
  constructor(levels: readonly Level[], observed: (attempt: Attempt, refusal: Refusal) => void) {
    const rules = levels.flatMap((level) => level.guards.map((guard) => ({ guard, level })));
    this.#levels = levels;
    this.#checks = rules.filter(({ guard }) => guard.check !== undefined);
    this.#reaches = rules.filter(({ guard }) => guard.reach !== undefined || guard.egress !== undefined);
    this.#observed = observed;
    this.spendPlan = makePlan(levels, 'spend');
  }

  /** Whether every level only observes, so that even arguments that cannot be read do not refuse. */
  get onlyObserves(): boolean {
    return this.#levels.every((level) => level.observes);
  }

  get decidesOnReach(): boolean {
    return this.#reaches.length > 0;
  }

  /** What guards hold besides declared URLs. */
  egresses(heeds: (guard: Guard) => boolean): readonly Egress[] {
    return this.#reaches.flatMap(({ guard }) => (guard.egress !== undefined && heeds(guard) ? [guard.egress] : []));
  }

  planFor(tool: string): Plan {
    const subject = { tool };
    const known = this.#plans.get(tool);
    if (known !== undefined && isCurrent(known, this.#levels, subject)) return known;
    return this.#plans.keep(tool, makePlan(this.#levels, subject));
  }

  /** Every limit that the guards have, for `usage`. @throws what a guard throws. */
  allLimits(): Plan {
    const plan = makePlan(this.#levels, 'all');
    for (const { error } of plan.failures) throw error;
    return plan;
  }

  /** What the pure guards say, in their order; the first that refuses. */
  check(attempt: Attempt, call: ActiveCall): MaybePromise<Refusal | undefined> {
    return this.#checkFrom(attempt, call, 0);
  }

  #checkFrom(attempt: Attempt, call: ActiveCall, from: number): MaybePromise<Refusal | undefined> {
    for (let i = from; i < this.#checks.length; i++) {
      const rule = this.#checks[i] as Rule;
      let verdict: MaybePromise<Verdict> | undefined;
      try {
        verdict = rule.guard.check?.(call);
      } catch (error) {
        const failed = this.heed(attempt, guardFailed(rule.guard.name, error), rule.level);
        if (failed !== undefined) return failed;
        continue;
      }
      if (verdict === ALLOW) continue;
      if (isPromiseLike(verdict)) {
        const failed = (error: unknown): Refusal | undefined =>
          this.heed(attempt, guardFailed(rule.guard.name, error), rule.level);
        return Promise.resolve(verdict)
          .then((later) => this.#judge(attempt, rule, later), failed)
          .then((refusal) => refusal ?? this.#checkFrom(attempt, call, i + 1));
      }
      const refusal = this.#judge(attempt, rule, verdict);
      if (refusal !== undefined) return refusal;
    }
    return undefined;
  }

  /**
   * What the guards that know of places say of one; the first that refuses.
   *
   * @param enforcing asks only guards that refuse; those that observe are asked elsewhere.
   */
  judge(
    attempt: Attempt,
    verdictOf: (guard: Guard) => Verdict | undefined,
    enforcing: boolean = false,
  ): Refusal | undefined {
    for (const rule of this.#reaches) {
      if (enforcing && rule.level.observes) continue;
      let verdict: Verdict | undefined;
      try {
        verdict = verdictOf(rule.guard);
      } catch (error) {
        const failed = this.heed(attempt, guardFailed(rule.guard.name, error), rule.level);
        if (failed !== undefined) return failed;
        continue;
      }
      const refusal = this.#judge(attempt, rule, verdict);
      if (refusal !== undefined) return refusal;
    }
    return undefined;
  }

  #judge(attempt: Attempt, { guard, level }: Rule, verdict: Verdict | undefined): Refusal | undefined {
    let refusal: Refusal;
    try {
      if (verdict?.allow === true) return undefined;
      refusal = fromVerdict(guard.name, verdict);
    } catch (error) {
      // A verdict that throws when it is looked at.
      refusal = guardFailed(guard.name, error);
    }
    return this.heed(attempt, refusal, level);
  }

  /** A refusal stands, unless its level only observes: then it is told, and the call goes on. */
  heed(attempt: Attempt, refusal: Refusal, level: Level): Refusal | undefined {
    if (!level.observes) return refusal;
    this.#observed(attempt, refusal);
    return undefined;
  }

  /** What needs no counter: guards without limits that can be counted, a cap on each call, units that no budget accounts for. */
  checkMoney(attempt: Attempt, plan: Plan, cost: ExactMoney): Refusal | undefined {
    for (const { level, guard, error } of plan.failures) {
      const refusal = this.heed(attempt, guardFailed(guard, error), level);
      if (refusal !== undefined) return refusal;
    }
    for (const { level, guard, unit } of uncovered(plan, cost)) {
      const refusal = this.heed(attempt, noBudgetFor(guard, unit, cost[unit]), level);
      if (refusal !== undefined) return refusal;
    }
    for (const placed of plan.perCall) {
      const { limit, level } = placed;
      const requested = amountOn(limit.unit, level.convert === undefined ? [] : [level.convert], cost);
      if (requested <= limit.cap) continue;
      const shortfall = { requested, left: limit.cap, why: 'exceeds_cap' } as const;
      const refusal = this.heed(attempt, fromLimit(placed, shortfall), level);
      if (refusal !== undefined) return refusal;
    }
    return undefined;
  }

  /** @throws {RangeError} money in a unit for which an enforced level has no budget. */
  checkUnits(plan: Plan, where: string, money: ExactMoney): void {
    for (const { level, unit } of uncovered(plan, money)) {
      if (level.observes) continue;
      throw new RangeError(`${where} is in ${unit}, for which the leash has no budget and no \`convert\``);
    }
  }
}
