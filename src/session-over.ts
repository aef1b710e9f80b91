import type { LeashError } from './errors.ts';
import { shown } from './internal/options.ts';

/** Where a session, of whichever copy of the package, tells what lives beside it that it is over. */
export const WHEN_OVER: unique symbol = Symbol.for('leashkit.when-over.1') as never;

export type WhenOver = (listener: (error: LeashError) => void) => () => void;

/**
 * Calls once when the leash has ended, by a breach, by `stop` or by `close`: at once if it has.
 *
 * @returns what says that nobody listens any more. @throws {TypeError} it is no leash.
 */
export function whenOver(option: string, leash: unknown, listener: (error: LeashError) => void): () => void {
  const listen = (leash as { readonly [WHEN_OVER]?: WhenOver } | null | undefined)?.[WHEN_OVER];
  if (typeof listen === 'function') return Reflect.apply(listen, leash, [listener]);
  throw new TypeError(`\`${option}\` must be a leash of createLeash, got ${shown(leash)}`);
}
