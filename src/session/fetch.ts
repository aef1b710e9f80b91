import { guardedFetch } from '../egress/transport/fetch.ts';
import { OwnPool } from '../egress/transport/own-pool.ts';
import { runtimeAgent } from '../egress/transport/runtime-agent.ts';
import { EgressUnenforcedError, findLeashError } from '../errors.ts';
import { ALLOW } from '../guard.ts';
import { after, type MaybePromise } from '../internal/maybe-promise.ts';
import type { SessionClient } from './client.ts';
import { asClient } from './egress-context.ts';
import type { Ending } from './ending.ts';
import type { SessionRecord } from './record.ts';
import type { Rules } from './rules.ts';

type Fetch = typeof globalThis.fetch;

/** The runtime's own fetch as it was when this module was loaded, whatever is put in its place later. */
const builtinFetch = globalThis.fetch;

/**
 * The runtime's fetch under a session, by connections of its own. Every hop is a decision, and an event of the call that
 * makes it.
 *
 * @throws {EgressUnenforcedError} it would not go through the proxy that it has to.
 */
export function sessionFetch(client: SessionClient, rules: Rules, record: SessionRecord, ending: Ending): Fetch {
  const { proxy } = client;
  if (proxy !== undefined && runtimeAgent() === undefined) {
    throw new EgressUnenforcedError(
      "leash.fetch cannot use egress({ proxy }) here, since another copy of undici hides the runtime's own: " +
        'load leashkit before that copy, or use leashFetch of leashkit/undici',
    );
  }
  const pool = new OwnPool(proxy);
  client.endWith((error) => pool.destroy(error));

  const decide = (url: string, method: string): MaybePromise<void> => {
    const attempt = client.attempt();
    const over = record.refusalOfEnded();
    if (over !== undefined) return record.refuse(attempt, over);
    // Guards that observe say it when the request is made, with the address.
    const refusal = rules.judge(
      attempt,
      (guard) => (guard.reach === undefined ? ALLOW : guard.reach(url, method)),
      true,
    );
    return refusal === undefined ? undefined : record.refuse(attempt, refusal);
  };
  const decideWhenOpen = (url: string, method: string): MaybePromise<void> =>
    after(record.opening, () => decide(url, method));
  const send: Fetch = async (input, init) => {
    const own = init?.dispatcher === undefined ? pool.dispatcher : undefined;
    const scope = client.scope(own === undefined ? undefined : proxy);
    try {
      return await asClient(scope, () => builtinFetch(input, own === undefined ? init : { ...init, dispatcher: own }));
    } catch (error) {
      throw findLeashError(error) ?? error;
    }
  };
  return guardedFetch(decideWhenOpen, send, () => ending.signal);
}
