import { setTimeout as pause } from 'node:timers/promises';
import type { Decision, Line, Reserve, Store } from '../../src/stores/store.ts';
import type { SeededRandom } from '../helpers/random.ts';
import { type Send, storeThrough } from '../helpers/store-around.ts';

/** What becomes of a question to the store. */
const FAULTS = ['refused', 'reply lost', 'slow', 'late', 'late reply', 'mute', 'twice'] as const;
type Fault = (typeof FAULTS)[number];

/** Those that a store without a network between can have. */
const AT_ONCE: readonly Fault[] = ['refused', 'reply lost'];

export const STORE_TIMEOUT_MS = 500;
const LATE_MS = 600;

/** Of a hold that nobody has renewed yet. */
export const LEASE_MS = 1_000;

/** A hold with so short a lease that it may end before its end is told: one of a keyed call, or of an attempt to pay again. */
interface BriefHold {
  /** Whether its caller may not know what became of it. */
  readonly unsure: boolean;
  /** When it was asked for first. */
  readonly since: number;
  /** Where it counts as a call. */
  readonly counted: readonly Pick<Line, 'scope' | 'meter'>[];
}

/** When a reservation was asked for first and answered last, and on which rates it counted. */
export interface Asked {
  readonly from: number;
  readonly to: number;
  readonly rates: readonly string[];
}

/** The way to a store on which questions and answers get lost, come late and come twice. */
export class Wire {
  calm = false;
  faults = 0;
  /** Until then nothing gets through. */
  downUntil = 0;
  /** By their ids. */
  readonly brief: Map<string, BriefHold> = new Map();
  readonly asked: Map<string, Asked> = new Map();
  /** Scopes whose sessions have ended: they are shut when their counters were read. */
  readonly shut: Set<string> = new Set();
  readonly store: Store;
  readonly #raw: Store;
  readonly #random: SeededRandom;
  readonly #isSync: boolean;
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(raw: Store, random: SeededRandom, isSync: boolean) {
    this.#raw = raw;
    this.#random = random;
    this.#isSync = isSync;
    this.store = {
      ...storeThrough(this.#send, raw),
      reserve: (batch) => this.#reserve(batch),
      settle: (batch) =>
        this.#noting(
          batch.flatMap(({ id }) => (this.brief.has(id) ? id : [])),
          () => this.#send('settle', () => raw.settle(batch)),
        ),
      shut: (scope) => void this.shut.add(scope),
    };
  }

  #reserve(batch: readonly Reserve[]): ReturnType<Store['reserve']> {
    const from = performance.now();
    const brief = batch.filter(({ onto, leaseMs }) => onto === undefined && leaseMs > 0 && leaseMs <= LEASE_MS);
    for (const { id, lines } of brief) {
      const counted = lines.filter(({ book, span }) => book === 'reserve' && span.kind === 'total');
      if (!this.brief.has(id)) this.brief.set(id, { unsure: false, since: from, counted });
    }
    const note = (decisions: readonly Decision[]): readonly Decision[] => {
      for (const [i, { id, lines }] of batch.entries()) {
        const rates = lines.flatMap(({ span, scope, meter }) =>
          span.kind === 'rolling' && span.ms <= 10_000 ? `${scope} ${meter}` : [],
        );
        if (rates.length > 0 && decisions[i]?.ok) this.asked.set(id, { from, to: performance.now(), rates });
      }
      return decisions;
    };
    return this.#noting(
      brief.map(({ id }) => id),
      () =>
        this.#send('reserve', () => {
          const told = this.#raw.reserve(batch);
          return told instanceof Promise ? told.then(note) : note(told as readonly Decision[]);
        }),
    );
  }

  /** Notes of brief holds that their caller may not know what became of them: the question or its answer was lost, or late. */
  #noting<T>(ids: readonly string[], ask: () => T | Promise<T>): T | Promise<T> {
    if (ids.length === 0) return ask();
    const faults = this.faults;
    const from = performance.now();
    const note = (): void => {
      for (const id of ids) this.brief.set(id, { ...(this.brief.get(id) as BriefHold), unsure: true });
    };
    // Its lease may have ended before its end was told, while its call waited for a slow sink.
    if (ids.some((id) => from - (this.brief.get(id) as BriefHold).since > LEASE_MS / 2)) note();
    const isLate = (): boolean => performance.now() - from > STORE_TIMEOUT_MS / 2;
    try {
      const answer = ask();
      if (this.faults > faults) note();
      if (answer instanceof Promise) answer.then(() => isLate() && note(), note);
      return answer;
    } catch (error) {
      note();
      throw error;
    }
  }

  readonly #send: Send = (_, action) => {
    const fault = this.#fault();
    if (this.#isSync) {
      if (fault === 'refused') throw new Error('refused');
      const answer = action();
      if (fault === 'reply lost') throw new Error('reply lost');
      return answer;
    }
    return this.#track(this.#ask(fault, action));
  };

  async #ask<T>(fault: Fault | undefined, action: () => T | Promise<T>): Promise<T> {
    switch (fault) {
      case 'refused':
        throw new Error('refused');
      case 'reply lost':
        await action();
        throw new Error('reply lost');
      case 'slow':
        await pause(this.#random.integer(1, 30));
        return action();
      case 'late':
        await pause(LATE_MS);
        return action();
      case 'late reply': {
        const answer = await action();
        await pause(LATE_MS);
        return answer;
      }
      case 'mute':
        await pause(2 * STORE_TIMEOUT_MS);
        throw new Error('never arrived');
      case 'twice': {
        const [answer] = await Promise.all([action(), action()]);
        return answer;
      }
      case undefined:
        return action();
    }
  }

  #fault(): Fault | undefined {
    if (this.calm) return undefined;
    const down = performance.now() < this.downUntil;
    if (!down && !this.#random.happens(25)) return undefined;
    this.faults++;
    return down ? 'refused' : this.#random.pick(this.#isSync ? AT_ONCE : FAULTS);
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work);
    const done = (): unknown => this.#underWay.delete(work);
    work.then(done, done);
    return work;
  }

  /** When everything that was asked has arrived. */
  async quiet(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }
}
