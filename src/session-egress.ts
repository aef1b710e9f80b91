import { randomUUID } from 'node:crypto';
import { quote } from './audit/event.ts';
import { type ActiveCall, activeCall } from './call.ts';
import type { EntryPoint } from './egress/canary.ts';
import { coverageOf, type EgressCoverage } from './egress/coverage.ts';
import { guardedFetch } from './egress/fetch.ts';
import { egressHooks, type Hooks } from './egress/hooks.ts';
import { OwnPool } from './egress/own-pool.ts';
import { Passes } from './egress/passes.ts';
import type { EgressScope } from './egress/scope.ts';
import { asClient, holdEgress, holdEverywhere } from './egress-context.ts';
import type { Ending } from './ending.ts';
import { EgressUnenforcedError, findLeashError } from './errors.ts';
import { ALLOW, type Egress, type Guard } from './guard.ts';
import { after, type MaybePromise } from './internal/maybe-promise.ts';
import type { LeashEgress } from './leash-contract.ts';
import type { Attempt } from './refusal.ts';
import type { Rules } from './rules.ts';
import type { SessionRecord } from './session-record.ts';
import { type Asker, holdsClients, SessionScope } from './session-scope.ts';

/** The runtime's own fetch as it was when this module was loaded, whatever is put in its place later. */
const builtinFetch = globalThis.fetch;

const everyGuard = (): boolean => true;

/** What of a session has to do with the network. */
export class SessionEgress {
  /** Ids of the session and its ancestors. */
  readonly sessions: readonly string[];
  readonly #rules: Rules;
  readonly #record: SessionRecord;
  readonly #ending: Ending;
  readonly #passes = new Passes();
  readonly #egresses: readonly Egress[];
  #release: (() => void)[] = [];
  #pool: OwnPool | undefined;
  #fetch: typeof globalThis.fetch | undefined;

  constructor(rules: Rules, record: SessionRecord, ending: Ending, sessions: readonly string[]) {
    this.sessions = sessions;
    this.#rules = rules;
    this.#record = record;
    this.#ending = ending;
    this.#egresses = rules.egresses(everyGuard);
    if (!holds(this.#egresses)) return;
    this.#release = [holdEgress()];
    if (this.#egresses.some(({ enforce }) => enforce === 'process')) {
      const attempt = named('process', randomUUID());
      this.#release.push(holdEverywhere(this.#scope({ attempt, called: false, heeds: holdsProcess })));
    }
  }

  get surface(): LeashEgress {
    this.#need('leash.egress');
    const egresses = this.#egresses;
    return {
      coverage: () => coverageOf(egresses, proved()),
      selfTest: () => check(egresses, prove()),
    };
  }

  /** Fetch under the guards; every hop is a decision, and an event of the call that makes it. */
  get fetch(): typeof globalThis.fetch {
    this.#need('leash.fetch');
    this.#fetch ??= this.#makeFetch();
    return this.#fetch;
  }

  /** Where the code of a call may go, whatever client it uses. */
  scopeOf(call: ActiveCall): EgressScope | undefined {
    if (!holds(this.#egresses)) return undefined;
    return this.#scope({ attempt: named(call.tool, call.id), called: true, heeds: holdsClients });
  }

  /** Ends what the leash itself has connected. */
  close(): void {
    for (const release of this.#release.splice(0)) release();
    this.#pool?.destroy();
  }

  #need(what: string): void {
    if (this.#rules.decidesOnReach) return;
    throw new TypeError(`${what} needs an egress guard in the leash: add egress({ allow: [...] })`);
  }

  #scope(asker: Asker): SessionScope {
    const { sessions } = this;
    return new SessionScope({ rules: this.#rules, record: this.#record, passes: this.#passes, sessions }, asker);
  }

  #makeFetch(): typeof globalThis.fetch {
    this.#release.push(holdEgress());
    const pool = new OwnPool();
    this.#pool = pool;
    const { signal } = this.#ending;
    if (signal.aborted) pool.destroy();
    else signal.addEventListener('abort', () => pool.destroy(), { once: true });

    const asker = (): Asker => {
      const call = activeCall();
      if (call?.belongsTo(this.#record)) return { attempt: named(call.tool, call.id), called: true, heeds: everyGuard };
      return { attempt: named('leash.fetch', randomUUID()), called: false, heeds: everyGuard };
    };
    const decide = (url: string, method: string): MaybePromise<void> => {
      const { attempt } = asker();
      const over = this.#record.refusalOfEnded();
      if (over !== undefined) return this.#record.refuse(attempt, over);
      // Guards that observe say it when the request is made, with the address.
      const refusal = this.#rules.judge(
        attempt,
        (guard) => (guard.reach === undefined ? ALLOW : guard.reach(url, method)),
        true,
      );
      return refusal === undefined ? undefined : this.#record.refuse(attempt, refusal);
    };
    const decideWhenOpen = (url: string, method: string): MaybePromise<void> =>
      after(this.#record.opening, () => decide(url, method));
    const send: typeof globalThis.fetch = async (input, init) => {
      const dispatcher = init?.dispatcher ?? pool.dispatcher;
      const held = dispatcher === undefined ? init : { ...init, dispatcher };
      try {
        return await asClient(this.#scope(asker()), () => builtinFetch(input, held));
      } catch (error) {
        throw findLeashError(error) ?? error;
      }
    };
    return guardedFetch(decideWhenOpen, send, () => this.#ending.signal);
  }
}

function named(name: string, id: string): Attempt {
  return { id, name, quoted: quote(name) };
}

function holdsProcess(guard: Guard): boolean {
  return guard.egress?.enforce === 'process';
}

/** Whether code is held that uses clients of its own. */
function holds(egresses: readonly Egress[]): boolean {
  return egresses.some(({ enforce }) => enforce !== 'declared');
}

type Proof = ReadonlyMap<EntryPoint, boolean>;

let last: { readonly hooks: Hooks; readonly proof: Proof } | undefined;

/** The proof that this process needs once. */
function proved(): Proof {
  return last?.hooks === egressHooks() ? last.proof : prove();
}

function prove(): Proof {
  const hooks = egressHooks();
  last = { hooks, proof: hooks.prove() };
  return last.proof;
}

/**
 * What the egress guards of a session will hold; undefined where there are none.
 *
 * @throws {EgressUnenforcedError} they cannot.
 */
export function proveEgress(rules: Rules): EgressCoverage | undefined {
  const egresses = rules.egresses(everyGuard);
  if (egresses.length === 0) return undefined;
  return holds(egresses) ? check(egresses, proved()) : coverageOf(egresses, undefined);
}

function check(egresses: readonly Egress[], proof: Proof): EgressCoverage {
  const coverage = coverageOf(egresses, proof);
  const missing = Array.from(proof).flatMap(([entry, held]) => (held ? [] : [entry]));
  if (!holds(egresses) || missing.length === 0) return coverage;
  const { enforce, node, undici } = coverage;
  throw new EgressUnenforcedError(
    `egress({ enforce: '${enforce}' }) cannot hold ${missing.join(', ')} on Node ${node} with its undici ${undici}. ` +
      "Create the first leash before anything replaces parts of the platform, use a Node that leashkit is tested on (22.12 to 26), or hold declared URLs alone with enforce: 'declared'.",
  );
}
