import { isWallMs } from '../internal/calendar.ts';
import type { Clock } from '../internal/clock.ts';
import { before, type Deadline } from '../internal/deadline.ts';
import { isPromiseLike, type MaybePromise, quietly } from '../internal/maybe-promise.ts';
import { ownWork } from '../internal/own-work.ts';
import type { Span } from '../internal/window.ts';
import type { Decision, Lifetime, Line, Reserve, Settle, Settled, Store, Units } from '../stores/store.ts';
import { type Counter, linesFor, type Plan } from './plan.ts';

/** A reservation that the store is asked for. */
export interface Placement extends Omit<Reserve, 'lines' | 'onto'> {
  readonly plan: Plan;
  /** What each counter of the plan takes. */
  readonly units: readonly Units[];
}

type Decided<R> = (decision: Decision, lines: readonly Line[]) => MaybePromise<R>;
/** `sent`: whether the reservation may have arrived all the same. */
type Failed<R> = (error: unknown, sent: boolean) => MaybePromise<R>;

/** A store whose wall clock keeps disagreeing with the windows that it is asked for is not one to trust. */
const MAX_STALE = 3;
const MAX_SETTLE_ATTEMPTS = 3;
const TOTAL: Span = { kind: 'total' };

class StoreLate extends Error {
  override readonly message = 'the store did not answer in time';
}

/**
 * Asks a store, which is the user's own: what it throws, rejects with, does not answer in time or answers without sense is
 * a failure and nothing else. Whoever asks says how it goes on from an answer and from a failure; it does so at once where
 * the store answers at once.
 */
export class StoreLink {
  readonly store: Store;
  readonly #clock: Clock;
  readonly #deadline: Deadline;
  readonly #generations = new Map<string, string>();
  readonly #wallOf = (): number => this.#clock.wall();

  constructor(store: Store, clock: Clock, timeoutMs: number) {
    this.store = store;
    this.#clock = clock;
    this.#deadline = { ms: timeoutMs, late: () => new StoreLate(), keepsAlive: false };
  }

  /** @throws what `next` throws at once: that is somebody else's failure. */
  ask<T, R>(
    question: () => MaybePromise<T>,
    next: (answer: T) => MaybePromise<R>,
    failed: (error: unknown) => MaybePromise<R>,
  ): MaybePromise<R> {
    let answer: MaybePromise<T>;
    try {
      answer = ownWork(question);
    } catch (error) {
      return failed(error);
    }
    return isPromiseLike(answer) ? before(this.#deadline, answer).then(next, failed) : next(answer);
  }

  /** Waits no longer than for an answer. */
  inTime<T>(work: Promise<T>): Promise<T> {
    return before(this.#deadline, work);
  }

  /** Asks what nobody waits for. */
  tell(question: () => unknown): void {
    quietly(() => this.ask(question, ignore, ignore));
  }

  /**
   * Reserves, in the windows of the moment. Scopes that were not used before are opened first; one that was is never opened
   * again, since the store would call it new after it had forgotten it.
   */
  place<R>(placement: Placement, decided: Decided<R>, failed: Failed<R>): MaybePromise<R> {
    for (const { scope } of placement.plan.counters) {
      if (!this.#generations.has(scope)) return this.#placeNew(placement, decided, failed);
    }
    return this.#place(placement, decided, failed, this.#wallOf, 0);
  }

  #placeNew<R>(placement: Placement, decided: Decided<R>, failed: Failed<R>): MaybePromise<R> {
    const own = new Set<string>();
    const shared = new Set<string>();
    for (const counter of placement.plan.counters) {
      if (!this.#generations.has(counter.scope)) (counter.shared === undefined ? own : shared).add(counter.scope);
    }
    const unsent = (error: unknown): MaybePromise<R> => failed(error, false);
    const place = (): MaybePromise<R> => this.#placeLater(placement, decided, failed, this.#wallOf, 0);
    return this.#open([...own], 'temporary', () => this.#open([...shared], 'kept', place, unsent), unsent);
  }

  #open<R>(
    scopes: readonly string[],
    lifetime: Lifetime,
    next: () => MaybePromise<R>,
    failed: (error: unknown) => MaybePromise<R>,
  ): MaybePromise<R> {
    if (scopes.length === 0) return next();
    const opened = (generations: Readonly<Record<string, string>> | undefined): MaybePromise<R> => {
      for (const scope of scopes) {
        const generation: unknown = generations?.[scope];
        if (typeof generation !== 'string') return failed(new Error('the store opened no scope'));
        // Another call may have opened it meanwhile, and has counted on what it got.
        if (!this.#generations.has(scope)) this.#generations.set(scope, generation);
      }
      return next();
    };
    return this.ask(() => this.store.open(scopes, lifetime), opened, failed);
  }

  /** After an answer of the store: a session that has ended meanwhile has no generation, which the store would call lost. */
  #placeLater<R>(
    placement: Placement,
    decided: Decided<R>,
    failed: Failed<R>,
    wallOf: (scope: string) => number,
    repeats: number,
  ): MaybePromise<R> {
    const isKnown = placement.plan.counters.every(({ scope }) => this.#generations.has(scope));
    if (!isKnown) return failed(new Error('a session has ended before the store was asked'), false);
    return this.#place(placement, decided, failed, wallOf, repeats);
  }

  #place<R>(
    placement: Placement,
    decided: Decided<R>,
    failed: Failed<R>,
    wallOf: (scope: string) => number,
    repeats: number,
  ): MaybePromise<R> {
    const { id, plan, units, leaseMs, keepMs, force } = placement;
    const lines = linesFor(plan, units, this.#generations, wallOf);
    const item: Reserve = { id, lines, leaseMs, keepMs, force };
    return this.ask(
      () => this.store.reserve([item]),
      (decisions) => {
        const decision = decisions?.[0];
        if (!isDecision(decision, lines.length)) return failed(new Error('the store gave no decision'), true);
        if (decision.ok || decision.why !== 'stale') return decided(decision, lines);
        if (repeats === lines.length + MAX_STALE) {
          return failed(new Error('the clock of the store disagrees with its own windows'), false);
        }
        // Time does not run backwards within a scope, so each may be at another time when a clock was set back.
        const { nowMs, line } = decision;
        const stale = lines[line]?.scope;
        const wallIn = (scope: string): number => (scope === stale ? nowMs : wallOf(scope));
        return this.#placeLater(placement, decided, failed, wallIn, repeats + 1);
      },
      (error) => failed(error, true),
    );
  }

  /** Ends a hold. A store that fails at once is asked again at once. */
  settle<R>(
    item: Settle,
    settled: (answer: Settled) => MaybePromise<R>,
    failed: () => MaybePromise<R>,
    attempts: number = MAX_SETTLE_ATTEMPTS,
  ): MaybePromise<R> {
    const again = (error: unknown): MaybePromise<R> =>
      attempts > 1 && !(error instanceof StoreLate) ? this.settle(item, settled, failed, attempts - 1) : failed();
    return this.ask(
      () => this.store.settle([item]),
      (all) => {
        const answer = all?.[0];
        return STATES.has(answer?.state) ? settled(answer as Settled) : again(undefined);
      },
      again,
    );
  }

  /**
   * Keeps an open hold alive, and asks whether scopes that it counts on were stopped meanwhile: by a reservation that can
   * never fit, so that there is nothing that the store would have to remember or give back.
   *
   * @returns the counter whose scope is stopped.
   */
  renew(id: string, plan: Plan, leaseMs: number): MaybePromise<Counter | undefined> {
    const renewal: Reserve = { id: `${id}+${crypto.randomUUID()}`, lines: [], leaseMs, onto: id };
    const counters = plan.counters.filter(
      ({ shared, scope }, i) => shared !== undefined && plan.counters.findIndex((each) => each.scope === scope) === i,
    );
    const last = counters.length - 1;
    const lines = linesFor(
      { ...plan, counters },
      counters.map(() => 0),
      this.#generations,
      this.#wallOf,
    ).map((line, i) => ({
      ...line,
      // The counters are there, and the window is of no interest: one that is not now would hide the scopes after it.
      span: TOTAL,
      ...(i === last ? { cap: 0, amount: 1 } : { amount: 0 }),
    }));
    const probe: Reserve = { id: crypto.randomUUID(), lines, leaseMs: 0 };
    return this.ask(
      () => this.store.reserve(last < 0 ? [renewal] : [renewal, probe]),
      (decisions) => {
        const decision = decisions?.[1];
        return isDecision(decision, lines.length) && !decision.ok && decision.why === 'stopped'
          ? counters[decision.line]
          : undefined;
      },
      ignore,
    );
  }

  /** Whether the scope was opened. */
  knows(scope: string): boolean {
    return this.#generations.has(scope);
  }

  forget(scope: string): void {
    this.#generations.delete(scope);
  }
}

function ignore(): undefined {
  return undefined;
}

const STATES: ReadonlySet<unknown> = new Set(['settled', 'void', 'forfeited', 'unknown']);
const SHORT: ReadonlySet<unknown> = new Set(['exceeds_cap', 'exhausted', 'in_flight']);
const NO_ROOM_ASKED: ReadonlySet<unknown> = new Set(['closed', 'stopped', 'conflict', 'terminal', 'state_lost']);

/** Whether a store's answer is one: a store that says something else has not admitted anything. */
function isDecision(decision: Decision | undefined, lines: number): decision is Decision {
  if (decision?.ok === true) {
    return Array.isArray(decision.left) && decision.left.length === lines && decision.left.every(Number.isFinite);
  }
  if (decision?.ok !== false) return false;
  const { line, why } = decision;
  // Below 0 where it is about none of them.
  if (!Number.isInteger(line) || line >= lines) return false;
  if (why === 'stale') return line >= 0 && isWallMs(decision.nowMs);
  if (!SHORT.has(why)) return NO_ROOM_ASKED.has(why);
  const { left, retryMs = 0 } = decision as Extract<Decision, { readonly left: number; readonly line: number }>;
  return line >= 0 && Number.isFinite(left) && isTime(retryMs);
}

function isTime(ms: number): boolean {
  return Number.isFinite(ms) && ms >= 0;
}
