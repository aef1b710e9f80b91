import { AsyncLocalStorage } from 'node:async_hooks';

const working = new AsyncLocalStorage<true>();
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
  return isHeld() ? working.run(true, work) : work();
}

export function isOwnWork(): boolean {
  return working.getStore() === true;
}
