import { type EventKind, toolEnd } from '../audit/event.ts';
import { codeOf } from '../audit/failure.ts';
import { type ActiveCall, type Call, inCall } from '../call.ts';
import { isLeashError } from '../errors.ts';
import { thawedJson } from '../internal/canonical-json.ts';
import { after, isPromiseLike, type MaybePromise, quietly } from '../internal/maybe-promise.ts';
import { addMoney, type ExactMoney, FREE } from '../money.ts';
import type { Settle, Units } from '../stores/store.ts';
import { atLeast, spentFor } from './plan.ts';
import type { Reservation } from './reserved.ts';
import { guardStream, isAsyncIterable } from './stream.ts';
import { type Cost, parseCost, type Tool } from './tool.ts';

/** An admitted call, for code that runs the tool itself. It ends once; later attempts do nothing. */
export interface Ticket {
  readonly call: Call;
  /** The arguments as they were checked and hashed: what the tool must get. */
  readonly args: unknown;
  /** Runs code as part of the call: `currentCall()` finds it. */
  within<R>(body: () => R): R;
  /**
   * The tool succeeded. Default cost: what `currentCall().charge` told, else the estimate.
   *
   * @throws {TypeError | RangeError} no money, or none that a budget accounts for; the estimate is booked then.
   */
  settle(cost?: Cost): MaybePromise<void>;
  /** The tool failed. Default cost: by the tool's `onError`. @throws as `settle`. */
  fail(error: unknown, cost?: Cost): MaybePromise<void>;
  /** The tool never ran: nothing of the call counts. */
  release(): MaybePromise<void>;
}

/** What an ending call does to its session. */
export interface TicketOwner {
  settle(hold: Reservation, actual: Settle['actual']): MaybePromise<unknown>;
  /** Counts a hold as spent whose call still runs. @param spent more than it holds, as the call has told. */
  forfeit(hold: Reservation, spent: readonly Units[]): MaybePromise<unknown>;
  /** Frees the hold of a keyed call that cost nothing. */
  unpay(hold: Reservation, call: ActiveCall): MaybePromise<unknown>;
  /** Books and records what an ended call has spent beyond what was booked for it. */
  spentMore(hold: Reservation, call: ActiveCall, money: ExactMoney): void;
  /** Records the end of a call that has already happened. */
  note(kind: EventKind, body: string): void;
  /** Takes the call out of the open ones and adds to the totals. */
  ended(ticket: HeldCall, booked: ExactMoney): void;
  /** @throws {RangeError} spend in a unit that no budget of the call's leashes accounts for. */
  checkUnits(call: ActiveCall, where: string, money: ExactMoney): void;
  now(): number;
}

export interface HeldCallInit {
  readonly owner: TicketOwner;
  readonly tool: Tool;
  readonly call: ActiveCall;
  readonly hold: Reservation;
  /** The hold stands for an idempotency key. */
  readonly keyed: boolean;
  /** A hold of no money, of a call whose money was paid before. */
  readonly paid: boolean;
  readonly held: ExactMoney;
}

/** An admitted call until its end. */
export class HeldCall implements Ticket {
  readonly #init: HeldCallInit;
  readonly #startedAt: number;
  #args: { readonly copy: unknown } | undefined;
  #done = false;
  /** Counted as spent at close, while the tool still ran: its true cost may yet come. */
  #forfeited = false;

  constructor(init: HeldCallInit) {
    this.#init = init;
    this.#startedAt = init.owner.now();
  }

  get call(): ActiveCall {
    return this.#init.call;
  }

  /** The tool's own copy: it may change it, and nothing that was decided on changes with it. */
  get args(): unknown {
    this.#args ??= { copy: thawedJson(this.#init.call.args) };
    return this.#args.copy;
  }

  get hold(): Reservation {
    return this.#init.hold;
  }

  get leaseMs(): number {
    return this.#init.tool.leaseMs;
  }

  get signal(): AbortSignal {
    return this.#init.call.signal;
  }

  within<R>(body: () => R): R {
    return inCall(this.#init.call, body);
  }

  /** Runs the tool and ends the call with what becomes of it: a promise, or the stream that the tool returned. */
  run(body: () => unknown): unknown {
    let result: unknown;
    let promised: boolean;
    try {
      // What it returned is looked at inside the call too: it may have getters, and a `then` of its own.
      [result, promised] = this.within(() => adopted(body()));
      if (!promised && this.within(() => isAsyncIterable(result))) {
        return guardStream(result as AsyncIterable<unknown>, this);
      }
    } catch (error) {
      return this.#rejected(error);
    }
    if (promised) {
      return (result as Promise<unknown>).then(
        (value) => this.#resolved(value),
        (error) => this.#rejected(error),
      );
    }
    try {
      return Promise.resolve(after(this.ended(result), () => result));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Hands on the tool's own error, whatever becomes of the bookkeeping. */
  #rejected(error: unknown): Promise<never> {
    const own = (): Promise<never> => Promise.reject(error);
    try {
      const told = this.failed(error);
      return isPromiseLike(told) ? Promise.resolve(told).then(own, own) : own();
    } catch {
      return own();
    }
  }

  #resolved(value: unknown): unknown {
    try {
      if (this.within(() => isAsyncIterable(value))) return guardStream(value as AsyncIterable<unknown>, this);
    } catch (error) {
      return this.#rejected(error);
    }
    return after(this.ended(value), () => value);
  }

  /** The tool returned, or its stream ended with `value`. */
  ended(value: unknown): MaybePromise<void> {
    const { tool, call } = this.#init;
    let actual: ExactMoney | undefined;
    try {
      actual = this.#done && !this.#forfeited ? undefined : tool.actualCostOf(value, call.args);
      if (actual !== undefined) this.#checkUnits(`\`actualCost\` of tool "${tool.name}"`, actual);
    } catch (error) {
      return after(this.#end('tool_error', this.#atLeast(), errorName(error)), () => {
        throw error;
      });
    }
    return this.#end('tool_ok', actual ?? call.reported ?? this.#init.held);
  }

  /** The consumer of a stream stopped early: what was told, or the estimate, is spent. */
  returned(): MaybePromise<void> {
    return this.#end('tool_ok', this.#init.call.reported ?? this.#init.held);
  }

  failed(error: unknown): MaybePromise<void> {
    const { tool, call, held } = this.#init;
    let booked = this.#atLeast();
    if (tool.onError === 'refund') booked = call.reported ?? FREE;
    else if (tool.onError === 'reported') booked = call.reported ?? held;
    return this.#end('tool_error', booked, errorName(error));
  }

  /**
   * The session ended in the middle of a stream. That is no failure of the tool, so nothing is refunded; and its way out, where
   * many tools tell their cost, is still to come.
   */
  aborted(reason: unknown): MaybePromise<void> {
    const { owner, call, hold, paid } = this.#init;
    let booked = this.#atLeast();
    const onLate = (): void => {
      const told = this.#atLeast();
      const more = { usd: Math.max(0, told.usd - booked.usd), sat: Math.max(0, told.sat - booked.sat) };
      if (paid || more.usd + more.sat === 0) return;
      owner.spentMore(hold, call, more);
      booked = addMoney(booked, more);
    };
    try {
      return this.#end('tool_error', booked, errorName(reason));
    } finally {
      call.end(onLate);
    }
  }

  settle(cost?: Cost): MaybePromise<void> {
    return cost === undefined ? this.returned() : this.#end('tool_ok', this.#parse(cost));
  }

  fail(error: unknown, cost?: Cost): MaybePromise<void> {
    return cost === undefined ? this.failed(error) : this.#end('tool_error', this.#parse(cost), errorName(error));
  }

  release(): MaybePromise<void> {
    return this.#end('tool_error', 'void', 'RELEASED');
  }

  /** The session closes while the tool runs: the estimate is spent, and what the truth has beyond it is booked later. */
  forfeit(): MaybePromise<void> {
    if (this.#done) return undefined;
    this.#forfeited = true;
    return this.#end('tool_error', 'forfeit', 'FORFEITED');
  }

  #parse(cost: Cost): ExactMoney {
    const where = `the cost of tool "${this.#init.tool.name}"`;
    try {
      const money = parseCost(where, cost);
      this.#checkUnits(where, money);
      return money;
    } catch (error) {
      // What came is the error to tell; that the estimate could not be booked either is the lease's to settle.
      quietly(() => this.#end('tool_error', this.#atLeast(), errorName(error)));
      throw error;
    }
  }

  #checkUnits(where: string, money: ExactMoney): void {
    this.#init.owner.checkUnits(this.#init.call, where, money);
  }

  /** The estimate, or what was told where that is more. */
  #atLeast(): ExactMoney {
    const { held, call } = this.#init;
    const told = call.reported;
    return told === undefined ? held : { usd: Math.max(held.usd, told.usd), sat: Math.max(held.sat, told.sat) };
  }

  #end(kind: 'tool_ok' | 'tool_error', outcome: ExactMoney | 'void' | 'forfeit', error?: string): MaybePromise<void> {
    if (this.#done) return this.#correct(outcome);
    const { owner, call, hold, held, keyed, paid, tool } = this.#init;
    this.#done = true;
    if (outcome !== 'forfeit') call.end();
    const spent = outcome === 'void' ? FREE : outcome === 'forfeit' ? this.#atLeast() : outcome;
    const booked = paid ? FREE : spent;
    const overrun = booked.usd > held.usd || booked.sat > held.sat;
    let actual: Settle['actual'] = 'forfeit';
    let problem: { readonly error: unknown } | undefined;
    if (typeof outcome === 'string' && !overrun) actual = outcome;
    else ({ actual, problem } = this.#spent(booked));
    const us = Math.max(0, Math.round((owner.now() - this.#startedAt) * 1000));
    owner.ended(this, booked);
    const counted = held.usd + held.sat > 0 || hold.plan.counters.some(({ unit }) => unit !== 'call');
    const free = keyed && counted && typeof actual !== 'string' && booked.usd + booked.sat === 0;
    let told: MaybePromise<unknown>;
    if (free) told = owner.unpay(hold, call);
    else if (outcome === 'forfeit' && actual !== outcome) told = owner.forfeit(hold, actual as readonly Units[]);
    else told = owner.settle(hold, actual);
    return after(told, () => {
      owner.note(kind, toolEnd(call.id, tool.quoted, us, error, booked, held, overrun));
      // At the close there is nobody to tell.
      if (problem !== undefined && outcome !== 'forfeit') throw problem.error;
    });
  }

  /** Where the user's `convert` gives no money, the estimate stays spent, and what is known without it. */
  #spent(booked: ExactMoney): { actual: readonly Units[]; problem: { readonly error: unknown } | undefined } {
    const { plan, units: held } = this.#init.hold;
    const { units, problem } = spentFor(plan, booked);
    return { actual: problem === undefined ? units : atLeast(units, held), problem };
  }

  /** The tool of a closed session came to its end. The log is closed; the store still learns what it cost beyond the estimate. */
  #correct(outcome: ExactMoney | 'void' | 'forfeit'): MaybePromise<void> {
    const { owner, call, hold, paid } = this.#init;
    if (!this.#forfeited || typeof outcome === 'string') return undefined;
    this.#forfeited = false;
    call.end();
    const { actual, problem } = this.#spent(paid ? FREE : outcome);
    return after(owner.settle(hold, actual), () => {
      if (problem !== undefined) throw problem.error;
    });
  }
}

/** What the tool returned, as a promise where it is one. */
function adopted(result: unknown): [result: unknown, promised: boolean] {
  return isPromiseLike(result) ? [Promise.resolve(result), true] : [result, false];
}

const CLASS = /^[A-Za-z_$][\w$]{0,63}$/;

/** The code or class of an error; never its message. */
function errorName(error: unknown): string {
  try {
    if (isLeashError(error)) return error.code;
    if (typeof error !== 'object' || error === null) return typeof error;
    const code = codeOf(error);
    if (code !== undefined) return code;
    // Of its class: an own `constructor` may be content, of a parsed body that was thrown.
    const name: unknown = Object.getPrototypeOf(error)?.constructor?.name;
    return typeof name === 'string' && CLASS.test(name) ? name : 'Error';
  } catch {
    return 'Error';
  }
}
