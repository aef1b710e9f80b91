import { type Hop, type Redirect, redirectOf } from './redirect.ts';
import { drop, type FetchInit, type RequestSnapshot, takeSnapshot } from './request-snapshot.ts';

/** Called before each hop with the URL and method that are then sent. Throws, or rejects, to refuse: nothing is sent. */
export type DecideHop = (url: string, method: string) => void | Promise<void>;

type Fetch = typeof globalThis.fetch;

/** Signals of requests follow each other through weak references: a request lives as long as the body of its answer. */
const inUse = new WeakMap<object, Request>();

/**
 * A `fetch` that asks before every hop, also those that a redirect leads to.
 *
 * It behaves as the runtime's own `fetch`: it sends each hop with `send` and `redirect: 'manual'`, and follows redirects
 * itself as https://fetch.spec.whatwg.org/#http-redirect-fetch says. The answer is that of the last hop, with `url`,
 * `redirected` and `type` of the whole chain. What `decide` throws is thrown as it is; what was decided on is what is sent.
 *
 * It differs in this: URLs must be absolute. A body that can be sent again is held in memory, other than a blob. With
 * `mode: 'no-cors'` a redirect to another origin fails, since its answer would be opaque. A `referrer` that was given is
 * shortened for each hop by itself. A `dispatcher` counts as an option, not inside a `Request`.
 *
 * @param until aborts every request, beside the signal that a request brings.
 */
export function guardedFetch(decide: DecideHop, send: Fetch, until?: () => AbortSignal): Fetch {
  return async function fetch(input, init) {
    const snapshot = endingWith(until?.(), await takeSnapshot(input, init));
    const { request, signal, url, body } = snapshot;
    let hop: Hop = { url, body, method: request.method, referrerPolicy: request.referrerPolicy };
    /** Some hop left the origin of the first. */
    let foreign = false;
    for (let followed = 0; ; followed++) {
      try {
        if (signal?.aborted) throw signal.reason;
        await decide(hop.url.href, hop.method);
        // In a location too: a server-side runtime has no origin of its own, so that every origin is a foreign one.
        if (hop.url.username !== '' || hop.url.password !== '') throw failed(new Error('URL with credentials'));
      } catch (error) {
        if (hop.body?.stream) drop(request.body);
        throw error;
      }
      const response = await send(hop.url.href, hopInit(snapshot, hop));
      const redirect = follow(request, hop, response, followed);
      if (redirect === undefined) {
        if (request.integrity !== '') await checkIntegrity(response, request.integrity, send);
        if (input instanceof Request) inUse.set(response.body ?? response, input);
        return followed === 0 ? response : markFollowed(response, foreign);
      }
      for (const name of redirect.dropHeaders) request.headers.delete(name);
      foreign ||= redirect.crossOrigin;
      hop = redirect.hop;
    }
  };
}

function endingWith(end: AbortSignal | undefined, snapshot: RequestSnapshot): RequestSnapshot {
  if (end === undefined) return snapshot;
  return { ...snapshot, signal: snapshot.signal === undefined ? end : AbortSignal.any([end, snapshot.signal]) };
}

function hopInit({ request, signal, dispatcher }: RequestSnapshot, hop: Hop): FetchInit {
  return {
    method: hop.method,
    headers: request.headers,
    body: hop.body?.content ?? null,
    ...(hop.body?.stream ? { duplex: 'half' } : undefined),
    redirect: 'manual',
    mode: request.mode,
    credentials: request.credentials,
    cache: request.cache,
    keepalive: request.keepalive,
    referrer: request.referrer,
    referrerPolicy: hop.referrerPolicy,
    ...(signal === undefined ? undefined : { signal }),
    ...(dispatcher === undefined ? undefined : { dispatcher }),
  };
}

/** The next hop, undefined when this response is the answer. Where it is not, or an error, its body is let go. */
function follow(request: Request, hop: Hop, response: Response, followed: number): Redirect | undefined {
  if (request.redirect === 'manual') return undefined;
  try {
    const redirect = redirectOf(hop, response, followed, request.redirect);
    if (redirect?.crossOrigin && request.mode !== 'cors') {
      throw new Error(`redirect to another origin in mode '${request.mode}'`);
    }
    if (redirect !== undefined) drop(response.body);
    return redirect;
  } catch (error) {
    drop(response.body);
    throw failed(error);
  }
}

/**
 * The hash of a resource is that of the last hop, which is known only afterwards. The runtime compares it on a `data:`
 * URL, which reaches no network.
 */
async function checkIntegrity(response: Response, integrity: string, send: Fetch): Promise<void> {
  if (response.body === null) throw failed(new Error('integrity of a response without a body'));
  const bytes = Buffer.from(await response.clone().arrayBuffer());
  await send(`data:application/octet-stream;base64,${bytes.toString('base64')}`, { integrity });
}

/** The runtime saw only the last hop, and says so; copies of the response shall tell of the chain as well. */
function markFollowed(response: Response, foreign: boolean): Response {
  const clone = response.clone.bind(response);
  return Object.defineProperties(response, {
    redirected: { value: true },
    clone: { value: () => markFollowed(clone(), foreign) },
    ...(foreign ? { type: { value: 'cors' } } : undefined),
  });
}

/** As the runtime's `fetch` tells that there is no answer. */
function failed(cause: unknown): TypeError {
  return new TypeError('fetch failed', { cause });
}
