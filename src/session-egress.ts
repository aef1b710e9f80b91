import { randomUUID } from 'node:crypto';
import { quote } from './audit/event.ts';
import { type ActiveCall, activeCall } from './call.ts';
import type { EntryPoint } from './egress/canary.ts';
import { coverageOf, type EgressCoverage } from './egress/coverage.ts';
import { guardedFetch } from './egress/fetch.ts';
import { egressHooks, type Hooks } from './egress/hooks.ts';
import { refusalOf } from './egress/open-request.ts';
import { OwnPool } from './egress/own-pool.ts';
import { Passes } from './egress/passes.ts';
import { isSameProxy } from './egress/proxy.ts';
import { runtimeAgent } from './egress/runtime-agent.ts';
import type { EgressScope } from './egress/scope.ts';
import { asClient, heldHere, holdEgress, holdEverywhere } from './egress-context.ts';
import type { Ending } from './ending.ts';
import { EgressUnenforcedError, findLeashError } from './errors.ts';
import { ALLOW, type Egress, type EgressProxy, type Guard } from './guard.ts';
import { after, type MaybePromise } from './internal/maybe-promise.ts';
import type { LeashEgress } from './leash-contract.ts';
import type { Attempt } from './refusal.ts';
import type { Rules } from './rules.ts';
import { copyUnheld, type SessionClient } from './session-client.ts';
import type { SessionRecord } from './session-record.ts';
import { type Asker, holdsClients, SessionScope } from './session-scope.ts';

/** The runtime's own fetch as it was when this module was loaded, whatever is put in its place later. */
const builtinFetch = globalThis.fetch;

const everyGuard = (): boolean => true;

export interface SessionEgressInit {
  readonly rules: Rules;
  readonly record: SessionRecord;
  readonly ending: Ending;
  readonly proxy: EgressProxy | undefined;
}

/** What of a session has to do with the network. */
export class SessionEgress {
  /** Ids of the session and its ancestors. */
  readonly sessions: readonly string[];
  /** What the leash's own clients go through. */
  readonly proxy: EgressProxy | undefined;
  readonly #rules: Rules;
  readonly #record: SessionRecord;
  readonly #ending: Ending;
  readonly #passes = new Passes();
  readonly #egresses: readonly Egress[];
  readonly #release: (() => void)[] = [];
  readonly #copies = new Map<string, () => boolean>();
  readonly #ends = new Set<(error: Error) => void>();
  #over: Error | undefined;
  #holdsOwn = false;
  #fetch: typeof globalThis.fetch | undefined;

  constructor(id: string, parent: SessionEgress | undefined, { rules, record, ending, proxy }: SessionEgressInit) {
    this.sessions = [id, ...(parent?.sessions ?? [])];
    this.proxy = proxy;
    this.#rules = rules;
    this.#record = record;
    this.#ending = ending;
    this.#egresses = rules.egresses(everyGuard);
    if (!holds(this.#egresses)) return;
    this.#release.push(holdEgress());
    if (this.#egresses.some(({ enforce }) => enforce === 'process')) {
      const attempt = named('process', randomUUID());
      this.#release.push(holdEverywhere(this.#scope({ attempt, called: false, heeds: holdsProcess })));
    }
  }

  /** Whether the session or an ancestor has an egress guard. */
  get decides(): boolean {
    return this.#egresses.length > 0;
  }

  get surface(): LeashEgress {
    this.#need('leash.egress');
    const egresses = this.#egresses;
    return {
      coverage: () => coverageOf(egresses, proved(), [...this.#copies.keys()]),
      selfTest: () => {
        const copies = [...this.#copies].map(([version, proves]) => {
          if (!proves()) throw copyUnheld(version);
          return version;
        });
        return check(egresses, prove(), copies);
      },
    };
  }

  /** Fetch under the guards; every hop is a decision, and an event of the call that makes it. */
  get fetch(): typeof globalThis.fetch {
    this.#fetch ??= this.#makeFetch(this.client('leash.fetch'));
    return this.#fetch;
  }

  /** Where the code of a call may go, whatever client it uses. */
  scopeOf(call: ActiveCall): EgressScope | undefined {
    if (!holds(this.#egresses)) return undefined;
    return this.#scope({ attempt: named(call.tool, call.id), called: true, heeds: holdsClients });
  }

  /** Makes a client one of the leash: held wherever it is used, in a call or outside of one. @param name for its events. */
  client(name: string): SessionClient {
    this.#need(name);
    this.#holdForOwn();
    const record = this.#record;
    const scope: SessionClient['scope'] = (via) =>
      heldHere(this.#scope({ ...this.#attemptOf(name), heeds: everyGuard, via }));
    return {
      proxy: this.proxy,
      get opening() {
        return record.opening;
      },
      attempt: () => this.#attemptOf(name).attempt,
      scope,
      admit: (asked, via) => {
        const held = scope(via);
        return refusalOf(held.atEdge, asked) ?? held;
      },
      endWith: (end) => this.#endWith(end),
      covers: (version, proves) => void this.#copies.set(version, proves),
    };
  }

  #holdForOwn(): void {
    if (this.#holdsOwn) return;
    const release = holdEgress();
    // Of a leash that is over nothing is let out, and nothing has to stay for that.
    this.#holdsOwn = true;
    if (this.#over !== undefined) release();
    else this.#release.push(release);
  }

  #attemptOf(name: string): Pick<Asker, 'attempt' | 'called'> {
    const call = activeCall()?.within(this.#record);
    if (call === undefined) return { attempt: named(name, randomUUID()), called: false };
    return { attempt: named(call.tool, call.id), called: true };
  }

  #endWith(end: (error: Error) => void): () => void {
    const { signal } = this.#ending;
    if (this.#ends.size === 0) signal.addEventListener('abort', this.#aborted, { once: true });
    this.#ends.add(end);
    if (signal.aborted) this.#aborted();
    else if (this.#over !== undefined) this.#end(this.#over);
    return () => this.#ends.delete(end);
  }

  readonly #aborted = (): void => this.#end(this.#ending.signal.reason as Error);

  #end(error: Error): void {
    for (const end of this.#ends) end(error);
    this.#ends.clear();
  }

  /** Ends what the leash itself has connected. */
  close(error: Error): void {
    this.#over = error;
    for (const release of this.#release.splice(0)) release();
    this.#end(error);
  }

  #need(what: string): void {
    if (this.#rules.decidesOnReach) return;
    throw new TypeError(`${what} needs an egress guard in the leash: add egress({ allow: [...] })`);
  }

  #scope(asker: Asker): SessionScope {
    const { sessions, proxy } = this;
    return new SessionScope({ rules: this.#rules, record: this.#record, passes: this.#passes, sessions, proxy }, asker);
  }

  #makeFetch(client: SessionClient): typeof globalThis.fetch {
    const { proxy } = client;
    if (proxy !== undefined && runtimeAgent() === undefined) {
      throw new EgressUnenforcedError(
        "leash.fetch cannot use egress({ proxy }) here, since another copy of undici hides the runtime's own: " +
          'load leashkit before that copy, or use leashFetch of leashkit/undici',
      );
    }
    const pool = new OwnPool(proxy);
    client.endWith((error) => pool.destroy(error));

    const decide = (url: string, method: string): MaybePromise<void> => {
      const attempt = client.attempt();
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
      const own = init?.dispatcher === undefined ? pool.dispatcher : undefined;
      const scope = client.scope(own === undefined ? undefined : proxy);
      try {
        return await asClient(scope, () =>
          builtinFetch(input, own === undefined ? init : { ...init, dispatcher: own }),
        );
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
 * The one proxy of a session. A child goes through that of its parent: through another, or through one where the parent has
 * none, it would reach what the parent's address rules refuse.
 *
 * @throws {TypeError} guards that do not agree.
 */
export function proxyOf(rules: Rules, parent: SessionEgress | undefined): EgressProxy | undefined {
  const proxies = rules.egresses(everyGuard).flatMap(({ proxy }) => (proxy === undefined ? [] : [proxy]));
  const expected = parent?.decides ? parent.proxy : proxies[0];
  if (proxies.every((proxy) => isSameProxy(proxy, expected))) return expected;
  throw new TypeError('`egress.proxy` must be the same in all guards of a leash, and in a child that of its parent');
}

/**
 * What the egress guards of a session will hold; undefined where there are none.
 *
 * @throws {EgressUnenforcedError} they cannot.
 */
export function proveEgress(rules: Rules): EgressCoverage | undefined {
  const egresses = rules.egresses(everyGuard);
  if (egresses.length === 0) return undefined;
  return holds(egresses) ? check(egresses, proved()) : coverageOf(egresses, undefined, []);
}

function check(egresses: readonly Egress[], proof: Proof, copies: readonly string[] = []): EgressCoverage {
  const coverage = coverageOf(egresses, proof, copies);
  const missing = Array.from(proof).flatMap(([entry, held]) => (held ? [] : [entry]));
  if (!holds(egresses) || missing.length === 0) return coverage;
  const { enforce, node, undici } = coverage;
  throw new EgressUnenforcedError(
    `egress({ enforce: '${enforce}' }) cannot hold ${missing.join(', ')} on Node ${node} with its undici ${undici}. ` +
      "Create the first leash before anything replaces parts of the platform, use a Node that leashkit is tested on (22.12 to 26), or hold declared URLs alone with enforce: 'declared'.",
  );
}
