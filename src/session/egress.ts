import { randomUUID } from 'node:crypto';
import { quote } from '../audit/event.ts';
import { type ActiveCall, activeCall } from '../call.ts';
import type { EgressCoverage } from '../egress/hooks/coverage.ts';
import { refusalOf } from '../egress/hooks/open-request.ts';
import { Passes } from '../egress/hooks/passes.ts';
import type { EgressScope } from '../egress/hooks/scope.ts';
import { isSameProxy } from '../egress/policy/proxy.ts';
import type { Egress, EgressProxy, Guard } from '../guard.ts';
import { copyUnheld, type SessionClient } from './client.ts';
import { heldHere, holdEgress, holdEverywhere } from './egress-context.ts';
import { coverageNow, holdsCode, proveAgain } from './egress-proof.ts';
import { type Asker, holdsClients, type SessionNetwork, SessionScope } from './egress-scope.ts';
import type { Ending } from './ending.ts';
import { sessionFetch } from './fetch.ts';
import type { SessionRecord } from './record.ts';
import type { Attempt } from './refusal.ts';
import type { Rules } from './rules.ts';

const everyGuard = (): boolean => true;

/** What the egress guards of a leash hold. */
export interface LeashEgress {
  /** By entry point, as the last self-test saw it. */
  coverage(): EgressCoverage;
  /**
   * Sends a canary by every entry point, none of which gets out: no packet leaves and no name is resolved.
   *
   * @throws {EgressUnenforcedError} an entry point is not held.
   */
  selfTest(): EgressCoverage;
}

export interface SessionEgressInit {
  readonly rules: Rules;
  readonly record: SessionRecord;
  readonly ending: Ending;
  readonly proxy: EgressProxy | undefined;
}

/** What of a session has to do with the network. */
export class SessionEgress {
  readonly #network: SessionNetwork;
  readonly #ending: Ending;
  readonly #egresses: readonly Egress[];
  readonly #release: (() => void)[] = [];
  /** What sends a canary by a copy of undici, by its version. */
  readonly #copies = new Map<string, () => boolean>();
  /** What ends with the leash. */
  readonly #ends = new Set<(error: Error) => void>();
  #over: Error | undefined;
  #holdsOwn = false;
  #fetch: typeof globalThis.fetch | undefined;

  constructor(id: string, parent: SessionEgress | undefined, { rules, record, ending, proxy }: SessionEgressInit) {
    const sessions = [id, ...(parent === undefined ? [] : parent.#network.sessions)];
    this.#network = { rules, record, passes: new Passes(), verified: new Map(), sessions, proxy };
    this.#ending = ending;
    this.#egresses = rules.egresses(everyGuard);
    if (!holdsCode(this.#egresses)) return;
    this.#release.push(holdEgress());
    if (this.#egresses.some(({ enforce }) => enforce === 'process')) {
      const attempt = outsideOfCalls('process', quote('process'));
      this.#release.push(holdEverywhere(this.#scope({ attempt, called: false, heeds: holdsProcess })));
    }
  }

  /**
   * The one proxy of a session. A child goes through that of its parent: through another, or through one where the parent
   * has none, it would reach what the parent's address rules refuse.
   *
   * @throws {TypeError} guards that do not agree.
   */
  static proxyOf(rules: Rules, parent: SessionEgress | undefined): EgressProxy | undefined {
    const proxies = rules.egresses(everyGuard).flatMap(({ proxy }) => (proxy === undefined ? [] : [proxy]));
    const bound = parent !== undefined && parent.#egresses.length > 0;
    const expected = bound ? parent.#network.proxy : proxies[0];
    if (proxies.every((proxy) => isSameProxy(proxy, expected))) return expected;
    throw new TypeError('`egress.proxy` must be the same in all guards of a leash, and in a child that of its parent');
  }

  get surface(): LeashEgress {
    this.#need('leash.egress');
    return {
      coverage: () => coverageNow(this.#egresses, [...this.#copies.keys()]),
      selfTest: () => {
        for (const [version, returns] of this.#copies) if (!returns()) throw copyUnheld(version);
        return proveAgain(this.#egresses, [...this.#copies.keys()]);
      },
    };
  }

  get fetch(): typeof globalThis.fetch {
    const { rules, record } = this.#network;
    this.#fetch ??= sessionFetch(this.client('leash.fetch'), rules, record, this.#ending);
    return this.#fetch;
  }

  /** Where the code of a call may go, whatever client it uses. */
  scopeOf(call: ActiveCall): EgressScope | undefined {
    if (!holdsCode(this.#egresses)) return undefined;
    return this.#scope({ attempt: attemptOf(call), called: true, heeds: holdsClients });
  }

  /** Makes a client one of the leash: held wherever it is used, in a call or outside of one. @param name for its events. */
  client(name: string): SessionClient {
    this.#need(name);
    this.#holdForClients();
    const { record, proxy } = this.#network;
    const quoted = quote(name);
    const asker = (via: EgressProxy | undefined): Asker => {
      const call = activeCall()?.within(record);
      return call === undefined
        ? { attempt: outsideOfCalls(name, quoted), called: false, heeds: everyGuard, via }
        : { attempt: attemptOf(call), called: true, heeds: everyGuard, via };
    };
    const scope: SessionClient['scope'] = (via) => heldHere(this.#scope(asker(via)));
    return {
      proxy,
      get opening() {
        return record.opening;
      },
      attempt: () => asker(proxy).attempt,
      scope,
      admit: (asked, via) => {
        const held = scope(via);
        return refusalOf(held.atEdge, asked) ?? held;
      },
      endWith: (end) => this.#endWith(end),
      covers: (version, returns) => void this.#copies.set(version, returns),
    };
  }

  #holdForClients(): void {
    if (this.#holdsOwn) return;
    this.#holdsOwn = true;
    const release = holdEgress();
    // A leash that is over lets nothing out by itself.
    if (this.#over !== undefined) release();
    else this.#release.push(release);
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

  /** Ends what the leash itself has connected. @param error what those are told who still use it. */
  close(error: Error): void {
    this.#over = error;
    for (const release of this.#release.splice(0)) release();
    this.#end(error);
  }

  #need(what: string): void {
    if (this.#network.rules.decidesOnReach) return;
    throw new TypeError(`${what} needs an egress guard in the leash: add egress({ allow: [...] })`);
  }

  #scope(asker: Asker): SessionScope {
    return new SessionScope(this.#network, asker);
  }
}

function attemptOf({ tool, id }: ActiveCall): Attempt {
  return { id, name: tool, quoted: quote(tool) };
}

/** Its id is made when a refusal needs one, for most requests are allowed. */
function outsideOfCalls(name: string, quoted: string): Attempt {
  let id: string | undefined;
  return {
    name,
    quoted,
    get id() {
      id ??= randomUUID();
      return id;
    },
  };
}

function holdsProcess(guard: Guard): boolean {
  return guard.egress?.enforce === 'process';
}
