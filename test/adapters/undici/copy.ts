import type * as Adapter from '../../../src/adapters/undici.ts';
import type { Undici } from './clients.ts';

/** A copy of undici, and the adapter that is made of it. */
export interface Copy {
  readonly undici: Undici;
  readonly adapter: typeof Adapter;
}
