import { StoreUnavailableError, type Unbooked } from '../errors.ts';
import type { Clock } from '../internal/clock.ts';
import { after, isPromiseLike, type MaybePromise, quietly } from '../internal/maybe-promise.ts';
import { displayUnits, type ExactMoney } from '../money.ts';
import type { Settle, Settled, Store, Units } from '../stores/store.ts';
import { Allowance, type Amounts, amountsByUnit, unbookedOf } from './allowance.ts';
import { Backlog } from './backlog.ts';
import { Booking } from './booking.ts';
import { amountsFor, atLeast, type Counter, moneyOf, type Plan } from './plan.ts';
import { stateLost, storeFailed } from './refusal.ts';
import { NOTHING_TO_RESERVE, no, type Reservation, type Reserved, reserved } from './reserved.ts';
import { StoreLink } from './store-link.ts';
import type { Readings, Standing } from './usage.ts';

export interface ReserveOptions {
  readonly leaseMs: number;
  readonly keepMs?: number;
  /** Whether it may run on the allowance. Default: unless it is to be kept. */
  readonly lends?: boolean;
}

export interface ReservationsInit {
  readonly store: Store;
  readonly clock: Clock;
  readonly storeTimeoutMs: number;
  /** What may be spent while the store does not answer; undefined: nothing. */
  readonly allowUpTo: Amounts | undefined;
}

/** For how long the store must know what was booked after an outage: the reply may be lost, and the next outage be long. */
const KEEP_MS = 24 * 3_600_000;

/** The session's side of the store: plans in, refusals out. One for a leash and all its descendants. */
export class Reservations {
  readonly #link: StoreLink;
  readonly #allowance: Allowance | undefined;
  readonly #backlog = new Backlog();
  /** Scopes of which the store did not know what was spent. Should it know again later, it has missed something. */
  readonly #lost = new Set<string>();

  constructor({ store, clock, storeTimeoutMs, allowUpTo }: ReservationsInit) {
    this.#link = new StoreLink(store, clock, storeTimeoutMs);
    this.#allowance = allowUpTo === undefined ? undefined : new Allowance(allowUpTo);
  }

  /** @throws {TypeError | RangeError} a `convert` that gives no money: misuse, and not the store's failure. */
  reserve(id: string, plan: Plan, cost: ExactMoney, options: ReserveOptions): MaybePromise<Reserved> {
    if (plan.counters.length === 0) return NOTHING_TO_RESERVE;
    const units = amountsFor(plan, cost);
    const lost = this.lostIn(plan);
    if (lost !== undefined) return no(stateLost(lost));
    this.#flush();
    const { leaseMs, keepMs, lends = keepMs === undefined } = options;
    return this.#link.place(
      { id, plan, units, leaseMs, keepMs },
      (decision, lines) => {
        if (decision.ok) this.#allowance?.learn(plan, decision.left);
        return this.#noteLost(reserved(id, decision, plan, lines, units));
      },
      (error, sent) => {
        // It may have arrived all the same. Under a key that may be another call's.
        if (sent && keepMs === undefined) this.#backlog.track(this.#settle({ id, actual: 'void' }));
        return lends && this.#admits(plan, units) ? this.#lend(id, plan, units, error) : no(storeFailed(error));
      },
    );
  }

  #noteLost(answer: Reserved): Reserved {
    if (!answer.ok && answer.refusal.code === 'STATE_LOST') this.#lost.add(answer.refusal.reason);
    return answer;
  }

  #admits(plan: Plan, units: readonly Units[]): boolean {
    return this.#allowance?.admits(plan, units) ?? false;
  }

  #lend(id: string, plan: Plan, units: readonly Units[], error: unknown): Reservation {
    this.#allowance?.lend(amountsByUnit(plan, units));
    return { ...lentFor(id, plan, units, error), lent: true };
  }

  /**
   * Books spend that has already happened, in full, whatever the caps. Where the store does not answer it is booked later;
   * it is refused unless the allowance covers it.
   */
  book(id: string, plan: Plan, units: readonly Units[]): MaybePromise<Reserved> {
    return plan.counters.length === 0 ? NOTHING_TO_RESERVE : this.#book(id, plan, units);
  }

  #book(id: string, plan: Plan, units: readonly Units[]): MaybePromise<Reserved> {
    this.#flush();
    const booking = this.#booking(id, plan, units);
    return after(booking.attempt(), (done) => {
      const { answer, failure } = booking;
      const admits = this.#admits(plan, units);
      if (!done && isSome(units)) booking.keep();
      if (answer !== undefined)
        return this.#noteLost(reserved(id, answer.decision, answer.plan, answer.lines, answer.units));
      return admits ? lentFor(id, plan, units, failure) : no(storeFailed(failure));
    });
  }

  #booking(id: string, plan: Plan, units: readonly Units[], keepMs?: number): Booking {
    return new Booking({
      link: this.#link,
      backlog: this.#backlog,
      allowance: this.#allowance,
      onLost: (scope) => this.#lost.add(scope),
      id,
      plan,
      units,
      keepMs,
    });
  }

  /** Ends a hold. What a store that fails has not been told is told later. */
  settle(hold: Reservation, actual: Settle['actual']): MaybePromise<unknown> {
    if (hold.plan.counters.length === 0) return undefined;
    if (hold.told !== undefined) return this.#settleTold(hold, hold.told, actual);
    const before = hold.forfeited;
    if (actual === 'forfeit') hold.forfeited = true;
    if (hold.lent !== undefined) return this.#settleLent(hold, actual, before);
    // The store may hear of the truth before it hears that the estimate is spent: what it cost less is not given back.
    const told =
      before && typeof actual !== 'string' ? actual.map((units, i) => Math.max(units, hold.units[i] ?? 0)) : actual;
    return this.#settle({ id: hold.id, actual: told }, hold, before);
  }

  /** Counts a hold as spent before its end, and what was told beyond it. What the truth has beyond both is booked later. */
  forfeit(hold: Reservation, spent: readonly Units[]): MaybePromise<unknown> {
    if (hold.plan.counters.length === 0) return undefined;
    const told = atLeast(spent, hold.units);
    const settled = this.settle(hold, told);
    hold.told = told;
    return settled;
  }

  #settleTold({ id, plan }: Reservation, told: readonly Units[], actual: Settle['actual']): MaybePromise<unknown> {
    const more = typeof actual === 'string' ? [] : beyond(told, actual);
    return isSome(more) ? this.#book(`${id}/beyond`, plan, more) : undefined;
  }

  /**
   * @param hold undefined where nobody knows whether there is one.
   * @param forfeited it was before.
   */
  #settle(item: Settle, hold?: Reservation, forfeited?: true): MaybePromise<unknown> {
    const told = (answer: Settled): MaybePromise<boolean> => this.#settled(item, answer, hold, forfeited);
    return this.#link.settle(item, told, () => {
      const attempt = (): MaybePromise<boolean> => this.#link.settle(item, told, () => false, 1);
      this.#backlog.keep({ unbooked: unbookedAmounts(item, hold), attempt });
      return false;
    });
  }

  #settled({ id, actual }: Settle, { state }: Settled, hold?: Reservation, forfeited?: true): MaybePromise<true> {
    this.#flush();
    if (hold === undefined || actual === 'void' || state === 'settled' || state === 'forfeited') return true;
    // What the store held it holds no more: it has lost what it was told last.
    const again = forfeited
      ? this.#book(`${id}/beyond`, hold.plan, beyond(hold.units, unitsOf(hold, actual)))
      : this.#book(`${id}/again`, hold.plan, unitsOf(hold, actual));
    return after(again, () => true);
  }

  #settleLent(hold: Reservation, actual: Settle['actual'], forfeited?: true): void {
    const { id, plan } = hold;
    if (forfeited) this.#owe(`${id}/beyond`, plan, beyond(hold.units, unitsOf(hold, actual)));
    else {
      this.#allowance?.giveBack(amountsByUnit(plan, hold.units));
      if (actual !== 'void') this.#owe(`${id}/lent`, plan, unitsOf(hold, actual));
    }
  }

  /** Has the store book, when it answers again, what was spent without it. */
  #owe(id: string, plan: Plan, units: readonly Units[]): void {
    if (isSome(units)) this.#booking(id, plan, units, KEEP_MS).keep();
    this.#flush();
  }

  #flush(): void {
    if (this.#backlog.size > 0) quietly(() => this.#backlog.flush());
  }

  /**
   * Keeps an open hold alive. Nobody waits for it: if it fails, the lease runs out.
   *
   * @returns the counter whose scope was stopped meanwhile.
   */
  renew({ id, plan, lent }: Reservation, leaseMs: number): MaybePromise<Counter | undefined> {
    return lent === undefined ? this.#link.renew(id, plan, leaseMs) : undefined;
  }

  /** Lets holds of dead processes count as spent. */
  sweep(limit: number): void {
    this.#link.tell(() => this.#link.store.sweep(limit));
  }

  /** A scope that was never opened has nothing to shut. @throws {StoreUnavailableError} */
  async shut(scope: string): Promise<void> {
    if (!this.#link.knows(scope)) return;
    this.#link.forget(scope);
    await this.#answered(() => this.#link.store.shut(scope));
  }

  /** @throws {StoreUnavailableError} */
  async stop(scope: string): Promise<void> {
    await this.#answered(() => this.#link.store.stop(scope));
  }

  /** @throws {StoreUnavailableError} */
  async read({ counters }: Plan): Promise<Readings> {
    if (counters.length === 0) return {};
    if (this.#backlog.size > 0) await this.#told(this.#backlog.flush());
    const scopes = [...new Set(counters.map(({ scope }) => scope))];
    const readings: unknown = await this.#answered(() => this.#link.store.read(scopes));
    if (typeof readings !== 'object' || readings === null) throw unavailable(undefined);
    return readings as Readings;
  }

  /** Waits for what is being told no longer than for an answer. */
  async #told(work: MaybePromise<void>): Promise<void> {
    if (isPromiseLike(work)) await this.#link.inTime(work).catch(() => {});
  }

  /** What a store throws may hold anything, such as where it is and the password. */
  async #answered<T>(question: () => MaybePromise<T>): Promise<T> {
    return this.#link.ask(
      question,
      (answer) => answer,
      (cause) => {
        throw unavailable(cause);
      },
    );
  }

  /** A scope of the plan of which the store no longer knows what was spent. */
  lostIn({ counters }: Plan): string | undefined {
    return this.#lost.size === 0 ? undefined : counters.find(({ scope }) => this.#lost.has(scope))?.scope;
  }

  /** The same, as the store has just answered: a scope that was opened and is not there is one that it has lost. */
  missingIn({ counters }: Plan, readings: Readings): string | undefined {
    return counters.find(({ scope }) => readings[scope] === undefined && this.#link.knows(scope))?.scope;
  }

  /** Whether a call of this cost would run without the store. */
  admitsWithoutStore(plan: Plan, cost: ExactMoney): boolean {
    return this.#admits(plan, amountsFor(plan, cost));
  }

  /** @param readings undefined where the store did not answer. */
  standingOf(counter: Counter, readings: Readings | undefined): Standing {
    if (this.#lost.has(counter.scope)) return { room: 0 };
    if (readings === undefined) return { room: this.#allowance?.room(counter) ?? 0 };
    const meters = readings[counter.scope];
    // A scope that was opened and is not there is one that the store has lost.
    if (meters === undefined && this.#link.knows(counter.scope)) return { room: 0 };
    return meters?.[counter.meter] ?? { used: 0, held: 0 };
  }

  get unbooked(): Unbooked {
    return unbookedOf(this.#backlog.unbooked);
  }

  /**
   * Tells the store once more what it has not been told. What it does not take is tried again while the process lives.
   *
   * @throws {StoreUnavailableError} it did not take everything that was spent.
   */
  async settleUp(): Promise<void> {
    if (!this.#backlog.isDone) await this.#told(this.#backlog.drain());
    if (!this.#backlog.owes) return;
    const { usd, sat, call } = this.#backlog.unbooked;
    const amounts = [
      ...(usd > 0 ? [displayUnits('usd', usd)] : []),
      ...(sat > 0 ? [displayUnits('sat', sat)] : []),
      ...(call > 0 ? [`${call} call${call === 1 ? '' : 's'}`] : []),
    ];
    const message =
      amounts.length > 0
        ? `The store has not booked all that was spent: ${amounts.join(' and ')}.`
        : 'The store was not told the end of calls: what it holds for them counts as spent when their leases end.';
    throw new StoreUnavailableError(message, { unbooked: this.unbooked });
  }
}

function unavailable(cause: unknown): StoreUnavailableError {
  return new StoreUnavailableError('The store that counts what is spent did not answer.', { cause });
}

/** What runs or has run without the store. */
function lentFor(id: string, plan: Plan, units: readonly Units[], error: unknown): Reservation {
  return { ok: true, id, plan, units, repeat: undefined, left: [], observed: [storeFailed(error, 'on-allowance')] };
}

function isSome(units: readonly Units[]): boolean {
  return units.some((each) => each > 0);
}

/** What is spent of a hold that ends so. */
function unitsOf({ units }: Reservation, actual: Settle['actual']): readonly Units[] {
  return typeof actual === 'string' ? units : actual;
}

/** What of it was not covered. */
function beyond(covered: readonly Units[], spent: readonly Units[]): readonly Units[] {
  return spent.map((each, i) => Math.max(0, each - (covered[i] as Units)));
}

/** What is missing in the store that was not told of the end: what is held counts, and goes on counting after its lease. */
function unbookedAmounts({ actual }: Settle, hold: Reservation | undefined): Amounts | undefined {
  if (hold === undefined || actual === 'void') return undefined;
  // Calls were counted when they began.
  if (![hold.units, unitsOf(hold, actual)].some((units) => isSome(moneyOf(hold.plan, units)))) return undefined;
  return amountsByUnit(hold.plan, beyond(hold.units, unitsOf(hold, actual)));
}
