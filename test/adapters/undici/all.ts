import { describe } from 'vitest';
import { isHeldWhenComposed } from './composed.ts';
import type { Copy } from './copy.ts';
import { endsWithItsLeash } from './ending.ts';
import { isHeld } from './held.ts';
import { keepsLeashesApart } from './parallel.ts';
import { goesByItsProxy } from './proxied.ts';
import { belongsToItsSession } from './session.ts';
import { isHeldToWhatItStates } from './stated.ts';

/** All that the adapter promises of a copy of undici. */
export function keepsWhatTheAdapterPromises(copy: Copy): void {
  describe('a client', () => isHeld(copy));
  describe('a request', () => isHeldToWhatItStates(copy));
  describe('leashes', () => keepsLeashesApart(copy));
  describe('a composition', () => isHeldWhenComposed(copy));
  describe('a client that ends', () => endsWithItsLeash(copy));
  describe('a session', () => belongsToItsSession(copy));
  describe('a client with a proxy', () => goesByItsProxy(copy));
}
