import { randomUUID } from 'node:crypto';
import type { Admission } from './admission.ts';
import { egress, quote } from './audit/event.ts';
import { activeCall } from './call.ts';
import { guardedFetch } from './egress/fetch.ts';
import { targetOf } from './egress/policy.ts';
import type { Ending } from './ending.ts';
import { after, type MaybePromise } from './internal/maybe-promise.ts';
import type { Attempt } from './refusal.ts';
import type { Rules } from './rules.ts';

/** The runtime's own fetch as it was when this module was loaded, whatever is put in its place later. */
const builtinFetch = globalThis.fetch;

/** Fetch under a leash's egress guards; every hop is a decision and an event of the call that makes it. */
export function reachingFetch(rules: Rules, admission: Admission, ending: Ending): typeof globalThis.fetch {
  if (!rules.decidesOnReach) {
    throw new TypeError('leash.fetch needs an egress guard in the leash: add egress({ allow: [...] })');
  }
  const decide = (url: string, method: string): MaybePromise<void> => {
    const call = activeCall();
    const mine = call?.belongsTo(admission) ? call : undefined;
    const name = mine?.tool ?? 'leash.fetch';
    const attempt: Attempt = { id: mine?.id ?? randomUUID(), name, quoted: quote(name) };
    const over = admission.refusalOfEnded();
    if (over !== undefined) return admission.refuse(attempt, over);
    const refusal = rules.reach(attempt, url, method);
    if (refusal !== undefined) return admission.refuse(attempt, refusal);
    const event = targetOf(new URL(url));
    return admission.write(
      'egress_ok',
      egress(mine === undefined ? event : { call: mine.id, tool: attempt.quoted, ...event }),
    );
  };

  const decideWhenOpen = (url: string, method: string): MaybePromise<void> =>
    after(admission.opening, () => decide(url, method));
  return guardedFetch(decideWhenOpen, builtinFetch, () => ending.signal);
}
