import { StoreUnavailableError } from './errors.ts';
import type { Clock } from './internal/clock.ts';
import { invariant } from './internal/invariant.ts';
import { after, isPromiseLike, type MaybePromise, quietly } from './internal/maybe-promise.ts';
import { ownWork } from './internal/own-work.ts';
import type { ExactMoney } from './money.ts';
import { type Counter, linesFor, type PlacedLimit, type Plan } from './plan.ts';
import { conflict, fromLimit, type Refusal, sessionEnded, stateLost, storeFailed } from './refusal.ts';
import type { Decision, HoldState, Line, Reserve, Settle, Settled, Store } from './stores/store.ts';

/** A reservation that was made, or why it was not. */
export type Reserved =
  | {
      readonly ok: true;
      /** The hold's id in the store. */
      readonly id: string;
      /** What became of an earlier reservation under the same id. */
      readonly repeat: HoldState | undefined;
      readonly lines: readonly Line[];
      /** What each line's cap leaves. */
      readonly left: readonly number[];
      /** Limits that only observe and would have refused. */
      readonly observed: readonly Refusal[];
    }
  | { readonly ok: false; readonly refusal: Refusal; readonly terminal: boolean };

export interface ReserveOptions {
  readonly leaseMs: number;
  /** Books above every cap: for spend that has already happened. */
  readonly force?: boolean;
  readonly keepMs?: number;
}

const NONE: readonly Refusal[] = Object.freeze([]);
const NOTHING_TO_RESERVE: Reserved = {
  ok: true,
  id: '',
  repeat: undefined,
  lines: [],
  left: [],
  observed: NONE,
};
/** A store whose wall clock keeps disagreeing with the windows that it is asked for is not one to trust. */
const MAX_STALE = 3;
const MAX_SETTLE_ATTEMPTS = 3;

/** The session's side of the store: windows of the moment in, refusals out. One for a leash and all its descendants. */
export class Reservations {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #generations = new Map<string, string>();
  readonly #wallOf = (): number => this.#clock.wall();

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Makes scopes usable. */
  #open(scopes: readonly string[]): MaybePromise<void> {
    return after(this.#store.open(scopes), (generations) => {
      for (const scope of scopes) {
        const generation = generations[scope];
        if (generation !== undefined) this.#generations.set(scope, generation);
      }
    });
  }

  /** @throws {TypeError | RangeError} a `convert` that gives no money: misuse, and not the store's failure. */
  reserve(id: string, plan: Plan, cost: ExactMoney, options: ReserveOptions): MaybePromise<Reserved> {
    if (plan.counters.length === 0) return NOTHING_TO_RESERVE;
    for (const { scope } of plan.counters) {
      if (this.#generations.has(scope)) continue;
      const scopes = plan.counters.map((counter) => counter.scope);
      return ask(
        () => this.#open(scopes),
        () => this.#attempt(id, plan, cost, options, this.#wallOf, plan.counters.length + MAX_STALE),
      );
    }
    return this.#attempt(id, plan, cost, options, this.#wallOf, plan.counters.length + MAX_STALE);
  }

  #attempt(
    id: string,
    plan: Plan,
    cost: ExactMoney,
    options: ReserveOptions,
    wallOf: (scope: string) => number,
    attempts: number,
  ): MaybePromise<Reserved> {
    const { leaseMs, keepMs, force = false } = options;
    const lines = linesFor(plan, cost, this.#generations, wallOf);
    const item: Reserve = { id, lines, leaseMs, keepMs, force: force ? true : undefined };
    const failed = (error: unknown): Reserved => {
      // It may have arrived all the same. Under a key that may be another call's, and spend that has happened stays.
      if (keepMs === undefined && !force) quietly(() => this.settle(id, 'void'));
      return no(storeFailed(error));
    };
    return ask(
      () => this.#store.reserve([item]),
      (decisions) => {
        const decision = decisions?.[0];
        if (!isDecision(decision, lines.length)) return failed(new Error('the store gave no decision'));
        if (!decision.ok && decision.why === 'stale' && attempts > 0) {
          // Time does not run backwards within a scope, so each may be at another time when a clock was set back.
          const { nowMs, line } = decision;
          const stale = lines[line]?.scope;
          const wallIn = (scope: string): number => (scope === stale ? nowMs : wallOf(scope));
          return this.#attempt(id, plan, cost, options, wallIn, attempts - 1);
        }
        return outcome(id, decision, plan, lines);
      },
      failed,
    );
  }

  /**
   * Ends a hold. A store that fails is asked again; if it never answers, its lease runs out and the hold counts as
   * spent: the safe side.
   */
  settle(id: string, actual: Settle['actual']): MaybePromise<Settled | undefined> {
    return this.#settle({ id, actual }, MAX_SETTLE_ATTEMPTS);
  }

  #settle(item: Settle, attempts: number): MaybePromise<Settled | undefined> {
    const again = (): MaybePromise<Settled | undefined> =>
      attempts > 1 ? this.#settle(item, attempts - 1) : undefined;
    try {
      const settled = ownWork(() => this.#store.settle([item]));
      return isPromiseLike(settled)
        ? Promise.resolve(settled)
            .then((all) => all[0])
            .catch(again)
        : settled[0];
    } catch {
      return again();
    }
  }

  /** Keeps an open hold alive. Nobody waits for it: if it fails, the lease runs out. */
  renew(id: string, leaseMs: number): void {
    const renewal = { id: `${id}+${crypto.randomUUID()}`, lines: [], leaseMs, onto: id };
    quietly(() => ownWork(() => this.#store.reserve([renewal])));
  }

  /** Lets holds of dead processes count as spent. */
  sweep(limit: number): void {
    quietly(() => ownWork(() => this.#store.sweep(limit)));
  }

  /** @throws {StoreUnavailableError} */
  async shut(scope: string): Promise<void> {
    this.#generations.delete(scope);
    await this.#answered(() => this.#store.shut(scope));
  }

  /** @throws {StoreUnavailableError} */
  async read({ counters }: Plan): Promise<Awaited<ReturnType<Store['read']>>> {
    if (counters.length === 0) return {};
    const scopes = [...new Set(counters.map(({ scope }) => scope))];
    return this.#answered(() => this.#store.read(scopes));
  }

  /** What a store throws may hold anything, such as where it is and the password. */
  async #answered<T>(question: () => MaybePromise<T>): Promise<T> {
    try {
      return await ownWork(question);
    } catch (cause) {
      throw new StoreUnavailableError('The store that counts what is spent did not answer.', { cause });
    }
  }
}

/** Asks the store; what it throws or rejects with refuses the call. What `next` throws is somebody else's. */
function ask<T>(
  question: () => MaybePromise<T>,
  next: (answer: T) => MaybePromise<Reserved>,
  failed: (error: unknown) => Reserved = (error) => no(storeFailed(error)),
): MaybePromise<Reserved> {
  let answer: MaybePromise<T>;
  try {
    answer = ownWork(question);
  } catch (error) {
    return failed(error);
  }
  if (!isPromiseLike(answer)) return next(answer);
  return Promise.resolve(answer).then(next, failed);
}

const SHORT: ReadonlySet<unknown> = new Set(['exceeds_cap', 'exhausted', 'in_flight']);
const NO_ROOM_ASKED: ReadonlySet<unknown> = new Set([
  'closed',
  'stopped',
  'conflict',
  'terminal',
  'stale',
  'state_lost',
]);

/** Whether a store's answer is one: a store that says something else has not admitted anything. */
function isDecision(decision: Decision | undefined, lines: number): decision is Decision {
  if (decision?.ok === true) return Array.isArray(decision.left) && decision.left.length === lines;
  if (decision?.ok !== false) return false;
  if (!SHORT.has(decision.why)) return NO_ROOM_ASKED.has(decision.why);
  return Number.isInteger(decision.line) && decision.line >= 0 && decision.line < lines;
}

function outcome(id: string, decision: Decision, plan: Plan, lines: readonly Line[]): Reserved {
  if (decision.ok) {
    const { repeat, left } = decision;
    return { ok: true, id, repeat, lines, left, observed: observedIn(left, plan, lines) };
  }
  const counter = plan.counters[decision.line];
  const line = lines[decision.line];
  switch (decision.why) {
    case 'exceeds_cap':
    case 'exhausted':
    case 'in_flight': {
      invariant(counter !== undefined && line !== undefined, 'a store names the line that did not fit');
      const placed = counter.limits[0] as PlacedLimit;
      const { why, left, retryMs } = decision;
      const resetsAt = line.span.kind === 'calendar' ? line.span.endMs : undefined;
      return no(fromLimit(placed, { requested: line.amount, left, why, retryMs, resetsAt }));
    }
    case 'closed':
      return no(sessionEnded('SESSION_CLOSED', 'its scope in the store is shut'));
    case 'stopped':
      return no(sessionEnded('SESSION_STOPPED', 'its scope in the store is stopped'));
    case 'conflict':
      return no(conflict('other-call'));
    case 'terminal':
      return { ok: false, refusal: conflict('other-call'), terminal: true };
    case 'state_lost':
      return no(stateLost(counter?.scope ?? ''));
    case 'stale':
      return no(storeFailed(new Error('the clock of the store disagrees with its own windows')));
  }
}

function no(refusal: Refusal): Reserved {
  return { ok: false, refusal, terminal: false };
}

/** Limits that observe had no say in the reservation; what it left tells whether they would have refused. */
function observedIn(left: readonly number[], plan: Plan, lines: readonly Line[]): readonly Refusal[] {
  let observed: Refusal[] | undefined;
  for (let i = 0; i < plan.counters.length; i++) {
    const { limits } = plan.counters[i] as Counter;
    // Those that observe come last.
    if (!(limits[limits.length - 1] as PlacedLimit).level.observes) continue;
    for (const placed of limits) {
      if (!placed.level.observes) continue;
      const refusal = short(placed, lines[i] as Line, left[i] as number);
      if (refusal === undefined) continue;
      observed ??= [];
      observed.push(refusal);
    }
  }
  return observed ?? NONE;
}

/** After spend that was booked above every cap: the first enforced limit that is over now. */
export function overdrawn(plan: Plan, reserved: Reserved & { readonly ok: true }): Refusal | undefined {
  for (let i = 0; i < reserved.lines.length; i++) {
    for (const placed of (plan.counters[i] as Counter).limits) {
      if (placed.level.observes) continue;
      const refusal = short(placed, reserved.lines[i] as Line, reserved.left[i] as number);
      if (refusal !== undefined) return refusal;
    }
  }
  return undefined;
}

/** Whether a limit is over after a reservation that it had no say in. */
function short(placed: PlacedLimit, { amount, cap }: Line, left: number): Refusal | undefined {
  const own = left - (cap - placed.limit.cap);
  if (own >= 0 || amount === 0) return undefined;
  const why = amount > placed.limit.cap ? 'exceeds_cap' : 'exhausted';
  return fromLimit(placed, { requested: amount, left: own + amount, why });
}
