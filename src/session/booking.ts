import type { MaybePromise } from '../internal/maybe-promise.ts';
import type { Decision, Line, Units } from '../stores/store.ts';
import { type Allowance, type Amounts, amountsByUnit, NO_AMOUNTS } from './allowance.ts';
import type { Backlog, Untold } from './backlog.ts';
import type { Counter, Plan } from './plan.ts';
import type { StoreLink } from './store-link.ts';

/** For how long the store knows what it has not been told the end of: the reply may be lost, and is asked for again. */
const LEASE_MS = 24 * 3_600_000;

export interface BookingInit {
  readonly link: StoreLink;
  readonly backlog: Backlog;
  readonly allowance: Allowance | undefined;
  /** The store no longer knows what was spent in a scope. */
  readonly onLost: (scope: string) => void;
  readonly id: string;
  readonly plan: Plan;
  readonly units: readonly Units[];
  /** For how long the store must know it after its end. */
  readonly keepMs: number | undefined;
}

/** What the store said of spend that it was told of. */
interface Answer {
  readonly decision: Decision;
  readonly plan: Plan;
  readonly lines: readonly Line[];
  readonly units: readonly Units[];
}

/**
 * Spend that has happened, on its way into the store: by force, in full, and under one id, so that it is counted once however
 * often it is told. While it is not there it is lent from the allowance.
 */
export class Booking implements Untold {
  readonly #init: BookingInit;
  #id: string;
  #plan: Plan;
  #units: readonly Units[];
  /** The store holds it, and has yet to book it. */
  #held = false;
  /** A counter cannot take all of it: settling fills the counter up, where reserving refuses. */
  #full = false;
  #lent: Amounts = NO_AMOUNTS;
  #lost: { readonly counter: Counter; readonly units: Units }[] = [];
  #answer: Answer | undefined;
  #failure: unknown;

  constructor(init: BookingInit) {
    this.#init = init;
    this.#id = init.id;
    this.#plan = init.plan;
    this.#units = init.units;
  }

  /** The first answer that told something: what is left, or why not all of it could be booked. */
  get answer(): Answer | undefined {
    return this.#answer;
  }

  get unbooked(): Amounts {
    return this.#held ? NO_AMOUNTS : amountsByUnit(this.#init.plan, this.#init.units);
  }

  /** Why there was no answer. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Keeps it for later. */
  keep(): void {
    this.#lend();
    this.#init.backlog.keep(this);
  }

  #lend(): void {
    if (this.#held || this.#lent !== NO_AMOUNTS) return;
    this.#lent = this.unbooked;
    this.#init.allowance?.lend(this.#lent);
  }

  attempt(): MaybePromise<boolean> {
    if (this.#held) return this.#settle();
    const { counters } = this.#plan;
    if (counters.length === 0) return this.#arrived();
    const units = this.#full ? this.#units.map((each, i) => (counters[i]?.unit === 'call' ? each : 0)) : this.#units;
    const { link, keepMs } = this.#init;
    return link.place(
      { id: this.#id, plan: this.#plan, units, leaseMs: LEASE_MS, keepMs, force: true },
      (decision, lines) => this.#decided(decision, lines),
      (error) => {
        this.#failure = error;
        return false;
      },
    );
  }

  #decided(decision: Decision, lines: readonly Line[]): MaybePromise<boolean> {
    this.#answer ??= { decision, plan: this.#plan, lines, units: this.#units };
    if (decision.ok) {
      this.#init.allowance?.learn(this.#plan, decision.left);
      this.#held = true;
      this.#arrived();
      return this.#settle();
    }
    const counter = this.#plan.counters[decision.line];
    switch (decision.why) {
      case 'exceeds_cap':
      case 'exhausted':
      case 'in_flight':
        if (this.#full) return false;
        this.#full = true;
        this.#id = `${this.#id}/full`;
        return this.attempt();
      case 'closed':
      case 'state_lost':
        if (counter === undefined) return false;
        this.#leaveOut(counter.scope, decision.why === 'state_lost');
        return this.attempt();
      case 'terminal':
      case 'conflict':
      case 'stopped':
      case 'stale':
        return false;
    }
  }

  /** A scope that counts nothing any more must not keep the others from counting. */
  #leaveOut(gone: string, lost: boolean): void {
    if (lost) this.#init.onLost(gone);
    const counters: Counter[] = [];
    const units: Units[] = [];
    this.#plan.counters.forEach((counter, i) => {
      const each = this.#units[i] as Units;
      if (counter.scope !== gone) {
        counters.push(counter);
        units.push(each);
      } else if (lost) this.#lost.push({ counter, units: each });
    });
    this.#plan = { ...this.#plan, counters };
    this.#units = units;
  }

  /** It counts, wherever it still can. */
  #arrived(): true {
    const { allowance, backlog, plan } = this.#init;
    allowance?.giveBack(this.#lent);
    this.#lent = NO_AMOUNTS;
    if (this.#lost.length > 0) {
      const counters = this.#lost.map(({ counter }) => counter);
      backlog.lose(
        amountsByUnit(
          { ...plan, counters },
          this.#lost.map(({ units }) => units),
        ),
      );
      this.#lost = [];
    }
    return true;
  }

  #settle(): MaybePromise<boolean> {
    return this.#init.link.settle(
      { id: this.#id, actual: this.#units },
      ({ state }) => {
        if (state === 'settled' || state === 'forfeited') return true;
        // The store had it and has it no more.
        this.#held = false;
        this.#id = `${this.#id}/again`;
        this.#lend();
        return false;
      },
      () => false,
      1,
    );
  }
}
