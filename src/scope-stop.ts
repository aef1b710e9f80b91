import { StoreUnavailableError } from './errors.ts';
import { systemClock } from './internal/clock.ts';
import type { MaybePromise } from './internal/maybe-promise.ts';
import { checkName } from './internal/options.ts';
import { DEFAULT_STORE_TIMEOUT_MS } from './leash-options.ts';
import { sharedScope } from './session/plan.ts';
import { StoreLink } from './session/store-link.ts';
import type { Store } from './stores/store.ts';

/**
 * Stops every leash that counts on a shared scope in the store, in any process: for operators, who have no leash of their
 * own. What it does to those leashes is told at `leash.stop`.
 *
 * @param scope as guards have it in `scope`, such as `'org:acme'`.
 * @throws {TypeError | RangeError} no name. @throws {StoreUnavailableError} the store did not take it.
 */
export async function stopScope(store: Store, scope: string): Promise<void> {
  await changed(store, scope, (name) => store.stop(name));
}

/**
 * Undoes `stopScope`: leashes that are created from now on may count on the scope again. Those that it has ended stay ended.
 *
 * @throws as `stopScope`.
 */
export async function resumeScope(store: Store, scope: string): Promise<void> {
  await changed(store, scope, (name) => store.resume(name));
}

function changed(store: Store, scope: string, change: (name: string) => MaybePromise<void>): MaybePromise<void> {
  const name = sharedScope(checkName('scope', scope));
  return new StoreLink(store, systemClock, DEFAULT_STORE_TIMEOUT_MS).ask(
    () => change(name),
    () => undefined,
    (cause) => {
      throw new StoreUnavailableError('The store did not take the change of the scope.', { cause });
    },
  );
}
