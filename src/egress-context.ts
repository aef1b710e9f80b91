import { AsyncLocalStorage } from 'node:async_hooks';
import { activeCall } from './call.ts';
import { bothOf } from './egress/both-scopes.ts';
import { egressHooks } from './egress/hooks.ts';
import type { EgressScope } from './egress/scope.ts';
import { isOwnWork, ownWorkIsHeldWhere } from './internal/own-work.ts';

/** Scopes that a client of the leash itself runs in, in a call or outside of one. */
const clients = new AsyncLocalStorage<EgressScope>();
/** Scopes that hold all code of the process. */
const everywhere = new Set<EgressScope>();
let held = false;

function currentScope(): EgressScope | undefined {
  if (isOwnWork()) return undefined;
  return scopeHere();
}

function scopeHere(): EgressScope | undefined {
  let scope = clients.getStore() ?? activeCall()?.scope;
  for (const other of everywhere) scope = bothOf(scope, other);
  return scope;
}

/** Puts the hooks in place, once for this copy of the package. */
export function holdEgress(): void {
  if (held) return;
  egressHooks().add(currentScope);
  ownWorkIsHeldWhere(() => scopeHere() !== undefined);
  held = true;
}

/** Holds all code of the process, until the answer is called. */
export function holdEverywhere(scope: EgressScope): () => void {
  everywhere.add(scope);
  return () => everywhere.delete(scope);
}

/** Runs a client of a leash: what it reaches is judged by that leash, and by whatever holds the caller. */
export function asClient<R>(scope: EgressScope, run: () => R): R {
  return clients.run(bothOf(scope, activeCall()?.scope) as EgressScope, run);
}
