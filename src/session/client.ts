import type { DispatchSnapshot } from '../egress/hooks/dispatch-snapshot.ts';
import type { EgressScope } from '../egress/hooks/scope.ts';
import { EgressUnenforcedError } from '../errors.ts';
import type { EgressProxy } from '../guard.ts';
import { shown } from '../internal/options.ts';
import { runtimeName } from '../internal/runtime.ts';
import type { Attempt } from './refusal.ts';

/** What a client of somebody else's needs of a leash to be one of its own. */
export interface SessionClient {
  /** What it has to go through. */
  readonly proxy: EgressProxy | undefined;
  /** Until then nothing can be judged; undefined once it can. */
  readonly opening: Promise<void> | undefined;
  /** Who makes a request here: the call of the leash that this is in, else the client itself. */
  attempt(): Attempt;
  /** What holds a request that is made here. @param via the proxy that it goes through. */
  scope(via: EgressProxy | undefined): EgressScope;
  /** The same, if the request may be made; else its refusal, which is on record. */
  admit(request: DispatchSnapshot, via: EgressProxy | undefined): EgressScope | Error;
  /** Ends with the leash, which tells why. @returns what says that it has ended by itself. */
  endWith(end: (error: Error) => void): () => void;
  /** Takes a copy of undici into the coverage of the leash. @param proves sends a canary by it, and says whether it came back. */
  covers(undici: string, proves: () => boolean): void;
}

type MakeClient = (name: string) => SessionClient;

/** What adapters may ask of a leash and nobody else, so that it is no part of what a leash shows. */
const makers = new WeakMap<object, MakeClient>();

export function shareClients(leash: object, make: MakeClient): void {
  makers.set(leash, make);
}

/** @throws {TypeError} what is no leash of this copy of the package, or one without an egress guard. */
export function clientOf(leash: unknown, name: string): SessionClient {
  const make = typeof leash === 'object' && leash !== null ? makers.get(leash) : undefined;
  if (make === undefined) {
    throw new TypeError(
      `${name} expects a leash that createLeash of the same copy of leashkit has made, got ${shown(leash)}`,
    );
  }
  return make(name);
}

/** @param undici the version of a copy that is not held. */
export function copyUnheld(undici: string): EgressUnenforcedError {
  const { undici: own = 'none' } = process.versions;
  return new EgressUnenforcedError(
    `undici ${undici} cannot be held on ${runtimeName()} with its undici ${own}: install undici ^7.27.2 or ^8.0.1, and load leashkit before anything that replaces parts of the platform`,
  );
}
