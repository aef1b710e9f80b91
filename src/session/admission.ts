import { randomUUID } from 'node:crypto';
import { charge, type LineRef, toolStart } from '../audit/event.ts';
import { signProof } from '../audit/proof.ts';
import { ActiveCall, type CallOwner, type ProofOptions } from '../call.ts';
import type { EgressScope } from '../egress/hooks/scope.ts';
import { canonicalJson, frozenJson, NotJsonError } from '../internal/canonical-json.ts';
import type { Clock } from '../internal/clock.ts';
import { after, isPromiseLike, type MaybePromise, quietly } from '../internal/maybe-promise.ts';
import { checkName, checkOptions } from '../internal/options.ts';
import { addMoney, type ExactMoney, FREE } from '../money.ts';
import type { Settle, Units } from '../stores/store.ts';
import type { HeldSpend, HoldOwner } from './hold.ts';
import { holdOf, reserveOnce } from './idempotency.ts';
import { Leases } from './leases.ts';
import { amountsFor, type Counter, type Plan, spentFor } from './plan.ts';
import { type Misdeclared, SessionRecord, type SessionRecordInit } from './record.ts';
import { type Attempt, argumentsNotJson, conflict, type Refusal } from './refusal.ts';
import type { Reservations } from './reservations.ts';
import type { Reservation, Reserved } from './reserved.ts';
import type { Rules } from './rules.ts';
import { HeldCall, type HeldCallInit, type TicketOwner } from './ticket.ts';
import { estimateOf, type Tool, unpriced } from './tool.ts';

export interface AdmissionInit extends SessionRecordInit {
  readonly rules: Rules;
  readonly reservations: Reservations;
  readonly egressOf: CallOwner['egressOf'];
  readonly clock: Clock;
  /** What idempotency keys of this session are unique in. */
  readonly session: string;
  readonly agent: string;
  /** Hex SHA-256 of the guards' names and settings. */
  readonly policy: string;
  /** Arguments stand in the log as they are, beside what commits to them. */
  readonly verbatim: boolean;
}

/** An admitted call and what its tool gets. */
export interface Admitted {
  readonly ticket: HeldCall;
  /** The arguments were no JSON and only observed: the tool gets what the caller passed. */
  readonly unchecked: boolean;
}

/** Decides on calls: the order of design §4, each step only if the one before allowed it. */
export class Admission extends SessionRecord implements CallOwner, TicketOwner, HoldOwner {
  readonly leases: Leases<HeldCall | HeldSpend>;
  calls = 0;
  booked: ExactMoney = FREE;
  readonly #init: AdmissionInit;

  constructor(init: AdmissionInit) {
    super(init);
    this.#init = init;
    this.leases = new Leases(
      (hold, leaseMs) => {
        const stopped = (counter: Counter | undefined): void => {
          if (counter !== undefined) init.scopeStopped(counter);
        };
        quietly(() => after(init.reservations.renew(hold, leaseMs), stopped));
      },
      (limit) => init.reservations.sweep(limit),
    );
  }

  get signal(): AbortSignal {
    return this.#init.ending.signal;
  }

  egressOf(call: ActiveCall): EgressScope | undefined {
    return this.#init.egressOf(call);
  }

  now(): number {
    return this.#init.clock.now();
  }

  prove(call: ActiveCall, args: string, { log, seq, hash }: LineRef, options: ProofOptions): string {
    const { checkpoints, origin, closed } = this.#init.log;
    if (closed) throw new TypeError(`the call of tool "${call.tool}" has ended`);
    if (checkpoints === undefined) throw new TypeError("call.proof needs a signed log: `audit.sign` is 'none'");
    checkOptions('call.proof', options, ['audience', 'ttlMs', 'format']);
    const aud = checkName('call.proof.audience', options.audience);
    const { ttlMs, format } = options;
    const { agent, policy, clock } = this.#init;
    return signProof({
      key: checkpoints.key,
      keyId: checkpoints.keyId,
      claims: { iss: origin, sub: agent, aud, tool: call.tool, args, log, seq, h: hash, pol: policy },
      now: () => clock.wall(),
      ...(ttlMs === undefined ? {} : { ttlMs }),
      ...(format === undefined ? {} : { format }),
    });
  }

  /**
   * Steps 1 to 5.
   *
   * @param unreadable why `given` could not be taken from the parameters.
   * @throws the refusal, here or in the promise.
   */
  admit(tool: Tool, given: unknown, unreadable?: Misdeclared): MaybePromise<Admitted> {
    const unread: Attempt = { id: randomUUID(), name: tool.name, quoted: tool.quoted };
    const over = this.refusalOfEnded();
    if (over !== undefined) return this.#whenOpen(() => this.refuse(unread, over));
    if (unreadable !== undefined) return this.#whenOpen(() => this.misdeclared(unread, unreadable));
    try {
      // At once, whatever is waited for afterwards: what the caller changes later changes nothing.
      const args = frozenJson(given);
      return this.#whenOpen(() => this.#decide(unread, tool, args, false));
    } catch (error) {
      if (!(error instanceof NotJsonError)) throw error;
      const notJson = argumentsNotJson(error);
      return this.#whenOpen(() => {
        if (!this.#init.rules.onlyObserves) return this.refuse(unread, notJson);
        this.observe(unread, notJson);
        return this.#decide(unread, tool, null, true);
      });
    }
  }

  /** Nothing is decided before the log can take the decision. */
  #whenOpen<R>(decide: () => MaybePromise<R>): MaybePromise<R> {
    const { opening } = this.#init.log;
    return opening === undefined ? decide() : opening.then(decide);
  }

  #decide(unread: Attempt, tool: Tool, args: unknown, unchecked: boolean): MaybePromise<Admitted> {
    const over = this.refusalOfEnded();
    if (over !== undefined) return this.refuse(unread, over);
    const raw = this.#init.verbatim ? JSON.stringify(args) : undefined;
    const attempt: Attempt = { ...unread, canonical: canonicalJson(args), raw };
    const { cost, urls, problem } = estimateOf(tool, args);
    const call = new ActiveCall(this, attempt.id, tool.name, args, cost, urls, tool.schema);
    return after(this.#init.rules.check(attempt, call), (refusal) => {
      if (refusal !== undefined) return this.refuse(attempt, refusal);
      if (problem !== undefined) return this.misdeclared(attempt, problem);
      return after(this.#reserve(attempt, tool, call), (ticket) => ({ ticket, unchecked }));
    });
  }

  /** Step 4. */
  #reserve(attempt: Attempt, tool: Tool, call: ActiveCall): MaybePromise<HeldCall> {
    const over = this.refusalOfEnded();
    if (over !== undefined) return this.refuse(attempt, over);
    const plan = this.#init.rules.planFor(tool.name);
    const cost = call.cost ?? FREE;
    let option = 'cost';
    let reserved: MaybePromise<Reserved> | undefined;
    let refusal: Refusal | undefined;
    try {
      if (call.cost === undefined && plan.needsPrice !== undefined) throw unpriced(tool.name, plan.needsPrice);
      option = 'idempotencyKey';
      const key = tool.keyOf(call.args);
      option = 'convert';
      refusal = this.#init.rules.checkMoney(attempt, plan, cost);
      if (refusal === undefined) {
        reserved =
          key === undefined
            ? this.#init.reservations.reserve(call.id, plan, cost, { leaseMs: tool.leaseMs })
            : reserveOnce(
                this.#init.reservations,
                holdOf(this.#init.session, tool.name, key, attempt.canonical as string),
                plan,
                cost,
                tool.leaseMs,
              );
      }
    } catch (error) {
      return this.misdeclared(attempt, { option, error });
    }
    if (refusal !== undefined) return this.refuse(attempt, refusal);
    const begun = after(reserved as MaybePromise<Reserved>, (answer) => {
      if (!answer.ok) {
        this.leases.sweepFor(tool.leaseMs);
        return this.refuse(attempt, answer.refusal);
      }
      const keyed = answer.id !== '' && answer.id !== call.id;
      // Without a key the id is this call's alone: a client of the store has asked twice for it.
      const own = !keyed && answer.repeat === 'held';
      if (answer.repeat !== undefined && !own) return this.#admitPaid(attempt, tool, call, plan, answer.repeat);
      return this.#start(attempt, { owner: this, tool, call, hold: answer, keyed, paid: false, held: cost });
    });
    return this.leases.track(begun);
  }

  /** The key's money was reserved before. A call that has ended paid for this one; attempts count all the same. */
  #admitPaid(
    attempt: Attempt,
    tool: Tool,
    call: ActiveCall,
    plan: Plan,
    state: 'held' | 'settled' | 'void' | 'forfeited',
  ): MaybePromise<HeldCall> {
    if (state === 'held') {
      this.leases.sweepFor(tool.leaseMs);
      return this.refuse(attempt, conflict('in-progress'));
    }
    // With its money limits, though it costs nothing: the store is to say that their scopes were stopped or lost.
    const options = { leaseMs: tool.leaseMs, lends: false };
    return after(this.#init.reservations.reserve(call.id, plan, FREE, options), (hold) => {
      if (!hold.ok) return this.refuse(attempt, hold.refusal);
      return this.#start(attempt, { owner: this, tool, call, hold, keyed: false, paid: true, held: FREE });
    });
  }

  /** Step 5. What was reserved is given back unless the tool really starts. */
  #start(attempt: Attempt, init: HeldCallInit): MaybePromise<HeldCall> {
    const { call, hold, held } = init;
    for (const observed of hold.observed) this.observe(attempt, observed);
    const giveBack = (): MaybePromise<unknown> => this.#init.reservations.settle(hold, 'void');
    const over = this.refusalOfEnded();
    if (over !== undefined) return after(giveBack(), () => this.refuse(attempt, over));
    const { log } = this.#init;
    let written: MaybePromise<void>;
    try {
      const { seq } = log.next();
      const args = log.commit(attempt.canonical as string);
      written = log.write('tool_start', toolStart(call.id, attempt.quoted, args, held, attempt.raw));
      // Where calls go on without the log, the event may have been dropped.
      if (log.last.seq >= seq) call.recordedAs(attempt.canonical as string, log.last);
    } catch (error) {
      return after(giveBack(), () => {
        throw error;
      });
    }
    const begin = (): MaybePromise<HeldCall> => {
      const ticket = this.#admitted(init);
      const late = this.refusalOfEnded();
      // A denial that came later ends the session for later calls; this one was there before it.
      if (late === undefined || late.code === 'SESSION_BREACHED') return ticket;
      this.calls--;
      return after(ticket.release(), () => this.refuse(attempt, late));
    };
    if (!isPromiseLike(written)) return begin();
    return Promise.resolve(written).then(begin, async (error) => {
      await giveBack();
      throw error;
    });
  }

  #admitted(init: HeldCallInit): HeldCall {
    const ticket = new HeldCall(init);
    this.leases.add(ticket);
    this.calls++;
    return ticket;
  }

  checkUnits(call: ActiveCall, where: string, money: ExactMoney): void {
    this.#init.rules.checkUnits(this.#init.rules.planFor(call.tool), where, money);
  }

  checkSpend(where: string, money: ExactMoney): void {
    this.#init.rules.checkUnits(this.#init.rules.spendPlan, where, money);
  }

  /** A keyed call that cost nothing has paid for nothing: its key is free again, and only the attempt counts. */
  unpay(hold: Reservation, call: ActiveCall): MaybePromise<unknown> {
    const { reservations } = this.#init;
    // The attempt is booked before the hold lets it go, so that the count never has a gap.
    const calls = callsOf(hold.plan);
    const counted = reservations.book(call.id, calls, amountsFor(calls, FREE));
    return this.leases.track(after(counted, () => reservations.settle(hold, 'void')));
  }

  settle(hold: Reservation, actual: Settle['actual']): MaybePromise<unknown> {
    return this.leases.track(this.#init.reservations.settle(hold, actual));
  }

  forfeit(hold: Reservation, spent: readonly Units[]): MaybePromise<unknown> {
    return this.leases.track(this.#init.reservations.forfeit(hold, spent));
  }

  spentMore({ plan }: Reservation, call: ActiveCall, money: ExactMoney): void {
    const ofMoney = { ...plan, counters: plan.counters.filter(({ unit }) => unit !== 'call') };
    // On the way out of a stream there is nobody to tell that `convert` gave no money.
    const told = this.#init.reservations.book(randomUUID(), ofMoney, spentFor(ofMoney, money).units);
    const recorded = after(told, () => {
      this.book(money);
      this.note('charge', charge(call.id, undefined, money));
    });
    void this.leases.track(recorded);
  }

  ended(ticket: HeldCall, booked: ExactMoney): void {
    this.leases.delete(ticket);
    this.book(booked);
  }

  spent(hold: HeldSpend, booked: ExactMoney): void {
    this.leases.delete(hold);
    this.book(booked);
  }

  book(money: ExactMoney): void {
    this.booked = addMoney(this.booked, money);
  }
}

/** The part of a plan that counts attempts. */
function callsOf(plan: Plan): Plan {
  return { ...plan, counters: plan.counters.filter((counter) => counter.unit === 'call') };
}
