import type { Connection, EgressProxy, OutgoingRequest, Target } from '../../guard.ts';
import type { MaybePromise } from '../../internal/maybe-promise.ts';
import type { EgressReason } from '../policy/denial.ts';
import { Passes, Verified } from './passes.ts';
import { type EgressScope, targetOf, type Way } from './scope.ts';

/** What one of two sessions has let through, the other one was not asked about. */
function ofBoth<T extends object>(make: () => T): (inner: T, outer: T) => T {
  const shared = new WeakMap<T, WeakMap<T, T>>();
  return (inner, outer) => {
    const ofInner = shared.get(inner) ?? new WeakMap<T, T>();
    const both = ofInner.get(outer) ?? make();
    shared.set(inner, ofInner.set(outer, both));
    return both;
  };
}

const passesOfBoth = ofBoth(() => new Passes());
const verifiedOfBoth = ofBoth(() => new Verified());

/** A call inside a call of another leash: both hold it. The inner one is asked first and resolves the names. */
class BothScopes implements EgressScope {
  readonly #inner: EgressScope;
  readonly #outer: EgressScope;

  constructor(inner: EgressScope, outer: EgressScope) {
    this.#inner = inner;
    this.#outer = outer;
  }

  around(inner: EgressScope): EgressScope | undefined {
    return bothOf(bothOf(inner, this.#inner), this.#outer);
  }

  get passes(): Passes {
    return passesOfBoth(this.#inner.passes, this.#outer.passes);
  }

  get verified(): Verified {
    return verifiedOfBoth(this.#inner.verified, this.#outer.verified);
  }

  get via(): EgressProxy | undefined {
    return this.#inner.via;
  }

  through(via: EgressProxy | undefined): EgressScope {
    return new BothScopes(this.#inner.through(via), this.#outer.through(via));
  }

  get atEdge(): EgressScope {
    return new BothScopes(this.#inner.atEdge, this.#outer.atEdge);
  }

  covers(other: EgressScope): boolean {
    return this.#inner.covers(other) || this.#outer.covers(other);
  }

  request(request: OutgoingRequest): Error | undefined {
    return this.#inner.request(request) ?? this.#outer.request(request);
  }

  connection(connection: Connection): Error | undefined {
    return this.#inner.connection(connection) ?? this.#outer.connection(connection);
  }

  name(host: string): Error | undefined {
    return this.#inner.name(host) ?? this.#outer.name(host);
  }

  answers(host: string): MaybePromise<readonly string[]> {
    return this.#inner.answers(host);
  }

  dialable(host: string, port: number, answers: readonly string[]): readonly string[] | Error {
    const kept = this.#inner.dialable(host, port, answers);
    return kept instanceof Error ? kept : this.#outer.dialable(host, port, kept);
  }

  address(target: Target, address: string): Error | undefined {
    return this.#inner.address(target, address) ?? this.#outer.address(target, address);
  }

  mayLeave(way: Way, detail?: string): Error | undefined {
    return this.#inner.mayLeave(way, detail) ?? this.#outer.mayLeave(way, detail);
  }

  leave(way: Way, detail?: string): Error | undefined {
    return this.mayLeave(way, detail) ?? this.reached(targetOf(way));
  }

  refuse(reason: EgressReason, target: Target): Error | undefined {
    return this.#inner.refuse(reason, target) ?? this.#outer.refuse(reason, target);
  }

  reached(target: Target): Error | undefined {
    return this.#inner.reached(target) ?? this.#outer.reached(target);
  }
}

/** Both, unless the inner one says all that the outer one would. */
export function bothOf(inner: EgressScope | undefined, outer: EgressScope | undefined): EgressScope | undefined {
  if (inner === undefined || outer === undefined) return inner ?? outer;
  if (inner.covers(outer)) return inner;
  // One of the two may be covered.
  return outer instanceof BothScopes ? outer.around(inner) : new BothScopes(inner, outer.through(inner.via));
}
