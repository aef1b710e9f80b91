import { charge, type EventKind } from '../audit/event.ts';
import { after, type MaybePromise, quietly } from '../internal/maybe-promise.ts';
import { type ExactMoney, FREE } from '../money.ts';
import type { Settle } from '../stores/store.ts';
import { atLeast, spentFor } from './plan.ts';
import type { Reservation } from './reserved.ts';
import { type Cost, DEFAULT_LEASE_MS, parseCost } from './tool.ts';

/** Spend that is no tool call, held until it is known. It ends once; later attempts do nothing. */
export interface Hold {
  readonly id: string;
  /** Books what was really spent. More than was held is booked in full. @throws {TypeError | RangeError} no money. */
  settle(actual: Cost): MaybePromise<void>;
  /** Nothing was spent. */
  release(): MaybePromise<void>;
}

export interface HoldOwner {
  settle(hold: Reservation, actual: Settle['actual']): MaybePromise<unknown>;
  note(kind: EventKind, body: string): void;
  spent(hold: HeldSpend, booked: ExactMoney): void;
  /** @throws {RangeError} spend in a unit that no budget accounts for. */
  checkSpend(where: string, money: ExactMoney): void;
}

export class HeldSpend implements Hold {
  readonly id: string;
  readonly hold: Reservation;
  readonly leaseMs: number = DEFAULT_LEASE_MS;
  readonly #owner: HoldOwner;
  readonly #held: ExactMoney;
  readonly #note: string | undefined;
  #done = false;
  /** Counted as spent at close: what it really cost may yet come. */
  #forfeited = false;

  constructor(owner: HoldOwner, id: string, hold: Reservation, held: ExactMoney, note: string | undefined) {
    this.#owner = owner;
    this.id = id;
    this.hold = hold;
    this.#held = held;
    this.#note = note;
  }

  settle(actual: Cost): MaybePromise<void> {
    if (this.#done && !this.#forfeited) return undefined;
    let money: ExactMoney;
    try {
      money = parseCost('`actual` of hold.settle', actual);
      this.#owner.checkSpend('`actual` of hold.settle', money);
    } catch (error) {
      // What was really spent is not known now, so the whole estimate counts.
      quietly(() => this.#end(this.#held, 'forfeit'));
      throw error;
    }
    const { units, problem } = spentFor(this.hold.plan, money);
    return after(this.#end(money, problem === undefined ? units : atLeast(units, this.hold.units)), () => {
      if (problem !== undefined) throw problem.error;
    });
  }

  release(): MaybePromise<void> {
    return this.#end(FREE, 'void');
  }

  /** The session closes: the estimate is spent, and what the truth has beyond it is booked later. */
  forfeit(): MaybePromise<void> {
    if (this.#done) return undefined;
    this.#forfeited = true;
    return this.#end(this.#held, 'forfeit');
  }

  #end(booked: ExactMoney, actual: Settle['actual']): MaybePromise<void> {
    if (this.#done) return this.#correct(actual);
    this.#done = true;
    this.#owner.spent(this, booked);
    return after(this.#owner.settle(this.hold, actual), () => {
      if (actual !== 'void') this.#owner.note('charge', charge(this.id, this.#note, booked));
    });
  }

  #correct(actual: Settle['actual']): MaybePromise<void> {
    if (!this.#forfeited || typeof actual === 'string') return undefined;
    this.#forfeited = false;
    return after(this.#owner.settle(this.hold, actual), () => undefined);
  }
}
