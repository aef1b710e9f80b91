import { AsyncLocalStorage } from 'node:async_hooks';

interface OwnWork {
  readonly context: AsyncLocalStorage<boolean>;
  /** What the running step is, whatever its context says. */
  step: boolean | undefined;
}

const KEY = Symbol.for('leashkit.own-work.1');
const shared = globalThis as { [KEY]?: OwnWork };

/** Of all copies of the package in the process: a leash of one may be used in a call of another. */
const working: OwnWork = shared[KEY] ?? { context: new AsyncLocalStorage(), step: undefined };
shared[KEY] = working;
let isHeld: () => boolean = () => false;

/** Tells whether the running code is held by a leash. */
export function ownWorkIsHeldWhere(held: () => boolean): void {
  isHeld = held;
}

/**
 * Runs a part of the leash that may need the network itself, a store, a sink or a signer, outside of what it holds: they
 * are the user's own, and a call of a tool must not decide what they may reach.
 */
export function ownWork<R>(work: () => R): R {
  return isHeld() ? inContext(true, work) : work();
}

/** The same for what begins before a leash holds, and goes on when it does. */
export function ownWorkFromHereOn<R>(work: () => R): R {
  return inContext(true, work);
}

/** Ends that for a call which a part of the leash makes. */
export function notOwnWork<R>(work: () => R): R {
  return isOwnWork() ? inContext(false, work) : work();
}

/**
 * Own work of one step. What it makes keeps the context that it was made in: code of a call that hears later of a socket
 * opened here is held as before.
 */
export function ownStep<R>(work: () => R): R {
  return inStep(true, work);
}

/** Ends own work for one step. */
export function notOwnStep<R>(work: () => R): R {
  return inStep(false, work);
}

export function isOwnWork(): boolean {
  return working.step ?? working.context.getStore() === true;
}

function inContext<R>(own: boolean, work: () => R): R {
  return inStep(undefined, () => working.context.run(own, work));
}

function inStep<R>(own: boolean | undefined, work: () => R): R {
  const before = working.step;
  working.step = own;
  try {
    return work();
  } finally {
    working.step = before;
  }
}
