import { randomUUID } from 'node:crypto';
import { charge, quote } from '../audit/event.ts';
import type { AuditLog } from '../audit/log.ts';
import { activeCall } from '../call.ts';
import { after, type MaybePromise } from '../internal/maybe-promise.ts';
import { checkName } from '../internal/options.ts';
import type { ExactMoney, Money } from '../money.ts';
import type { Admission } from './admission.ts';
import { HeldSpend, type Hold } from './hold.ts';
import { spentFor } from './plan.ts';
import { type Attempt, type Refusal, sessionEnded } from './refusal.ts';
import type { Reservations } from './reservations.ts';
import { overdrawn, type Reserved } from './reserved.ts';
import type { Rules } from './rules.ts';
import { type Cost, DEFAULT_LEASE_MS, parseCost } from './tool.ts';

/** Spend that is no tool call. Money limits that do not name tools count it; nothing else sees it. */
export class Spend {
  readonly #admission: Admission;
  readonly #rules: Rules;
  readonly #reservations: Reservations;
  readonly #log: AuditLog;

  constructor(admission: Admission, rules: Rules, reservations: Reservations, log: AuditLog) {
    this.#admission = admission;
    this.#rules = rules;
    this.#reservations = reservations;
    this.#log = log;
  }

  hold(estimate: Cost | (() => Cost), note: string | undefined): MaybePromise<Hold> {
    const text = note === undefined ? undefined : checkName('note', note);
    const where = '`estimate` of leash.hold';
    if (typeof estimate === 'function')
      return this.#whenOpen(() => this.#hold(() => parseCost(where, estimate()), text));
    // At once: what the caller changes while the log is being opened changes nothing.
    const money = parseCost(where, estimate);
    return this.#whenOpen(() => this.#hold(() => money, text));
  }

  #whenOpen<R>(spend: () => MaybePromise<R>): MaybePromise<R> {
    const { opening } = this.#log;
    return opening === undefined ? spend() : opening.then(spend);
  }

  #hold(estimate: () => ExactMoney, text: string | undefined): MaybePromise<Hold> {
    const admission = this.#admission;
    const attempt = newAttempt('leash.hold');
    const ended = admission.refusalOfEnded();
    if (ended !== undefined) return admission.refuse(attempt, ended);
    let money: ExactMoney;
    try {
      money = estimate();
    } catch (error) {
      return admission.misdeclared(attempt, { option: 'estimate', error });
    }
    const plan = this.#rules.spendPlan;
    // Its event is written when it ends; a log that cannot take it then must not let it begin.
    this.#log.check();
    let refusal: Refusal | undefined;
    let reserving: MaybePromise<Reserved> | undefined;
    try {
      refusal = this.#rules.checkMoney(attempt, plan, money);
      if (refusal === undefined)
        reserving = this.#reservations.reserve(attempt.id, plan, money, { leaseMs: DEFAULT_LEASE_MS });
    } catch (error) {
      return admission.misdeclared(attempt, { option: 'convert', error });
    }
    if (refusal !== undefined) return admission.refuse(attempt, refusal);
    const held = after(reserving as MaybePromise<Reserved>, (reserved) => {
      if (!reserved.ok) {
        admission.leases.sweepFor(DEFAULT_LEASE_MS);
        return admission.refuse(attempt, reserved.refusal);
      }
      for (const observed of reserved.observed) admission.observe(attempt, observed);
      const hold = new HeldSpend(admission, attempt.id, reserved, money, text);
      const over = admission.refusalOfEnded();
      if (over !== undefined) return after(hold.release(), () => admission.refuse(attempt, over));
      admission.leases.add(hold);
      return hold;
    });
    return admission.leases.track<Hold>(held);
  }

  charge(cost: Money, note: string | undefined): MaybePromise<void> {
    const money = parseCost('`cost` of leash.charge', cost);
    const text = note === undefined ? undefined : checkName('note', note);
    const { opening } = this.#log;
    if (opening === undefined) return this.#charge(money, text);
    const charged = opening.then(
      () => this.#charge(money, text),
      async (error) => {
        // It has been spent, whether or not there is a log.
        const plan = this.#rules.spendPlan;
        await this.#reservations.book(randomUUID(), plan, spentFor(plan, money).units);
        this.#admission.book(money);
        throw error;
      },
    );
    return this.#admission.leases.track(charged);
  }

  #charge(money: ExactMoney, text: string | undefined): MaybePromise<void> {
    const admission = this.#admission;
    const attempt = newAttempt('leash.charge');
    if (this.#log.closed) return admission.refuse(attempt, sessionEnded('SESSION_CLOSED', 'closed'));
    const plan = this.#rules.spendPlan;
    const { units, problem } = spentFor(plan, money);
    const charged = after(this.#reservations.book(attempt.id, plan, units), (reserved) => {
      admission.book(money);
      const call = activeCall();
      this.#log.note('charge', charge(call?.belongsTo(admission) ? call.id : undefined, text, money));
      if (!reserved.ok) return admission.refuse(attempt, reserved.refusal);
      for (const observed of reserved.observed) admission.observe(attempt, observed);
      let refusal: Refusal | undefined;
      let unconverted = problem;
      try {
        refusal = this.#rules.checkMoney(attempt, plan, money);
      } catch (error) {
        unconverted ??= { error };
      }
      refusal ??= overdrawn(reserved);
      if (refusal !== undefined) return admission.refuse(attempt, refusal);
      if (unconverted !== undefined) return admission.misdeclared(attempt, { option: 'convert', ...unconverted });
      return this.#log.check();
    });
    return admission.leases.track(charged);
  }
}

function newAttempt(name: string): Attempt {
  return { id: randomUUID(), name, quoted: quote(name) };
}
