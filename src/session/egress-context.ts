import { AsyncLocalStorage } from 'node:async_hooks';
import { type ActiveCall, activeCall } from '../call.ts';
import { bothOf } from '../egress/hooks/both-scopes.ts';
import { egressHooks, type Hooks } from '../egress/hooks/hooks.ts';
import type { EgressScope } from '../egress/hooks/scope.ts';
import { isOwnWork, notOwnStep, notOwnWork, ownWorkIsHeldWhere } from '../internal/own-work.ts';

interface Client {
  readonly scope: EgressScope;
  /** Where it was used. */
  readonly call: ActiveCall | undefined;
}

/** Clients of the leash itself, in a call or outside of one. */
const clients = new AsyncLocalStorage<Client>();
/** The client whose step runs. */
let stepping: Client | undefined;
/** Scopes that hold all code of the process. */
const everywhere = new Set<EgressScope>();
let heldBy: Hooks | undefined;
let openLeashes = 0;

function currentScope(): EgressScope | undefined {
  if (isOwnWork()) return undefined;
  let scope = scopeOfContext();
  for (const other of everywhere) scope = bothOf(scope, other);
  return scope;
}

function scopeOfContext(): EgressScope | undefined {
  const call = activeCall();
  const client = stepping ?? clients.getStore();
  if (client === undefined) return call?.scope;
  // What a client runs, such as the body of a request, may make calls of its own.
  return client.call === call ? client.scope : bothOf(call?.scope, client.scope);
}

/** Puts the hooks in place, once for this copy of the package. @returns what says, once, that a leash needs them no longer. */
export function holdEgress(): () => void {
  const hooks = egressHooks();
  if (hooks !== heldBy) {
    hooks.add(currentScope, () => openLeashes > 0);
    ownWorkIsHeldWhere(() => hooks.current() !== undefined);
    heldBy = hooks;
  }
  openLeashes++;
  return () => {
    openLeashes--;
  };
}

/** Holds all code of the process, until the answer is called. */
export function holdEverywhere(scope: EgressScope): () => void {
  everywhere.add(scope);
  return () => everywhere.delete(scope);
}

/** What holds a client of a leash that is used here: that leash, and whatever holds the caller. */
export function heldHere(scope: EgressScope): EgressScope {
  return isOwnWork() ? scope : (bothOf(scope, activeCall()?.scope) as EgressScope);
}

/** Runs a client of a leash, and whatever comes of it, under what holds it. */
export function asClient<R>(scope: EgressScope, run: () => R): R {
  return notOwnWork(() => clients.run({ scope, call: activeCall() }, run));
}

/** Runs one step of a client so. What it makes keeps the context that it was made in, and knows nothing of the client. */
export function stepAsClient<R>(scope: EgressScope, step: () => R): R {
  const before = stepping;
  stepping = { scope, call: activeCall() };
  try {
    return notOwnStep(step);
  } finally {
    stepping = before;
  }
}
