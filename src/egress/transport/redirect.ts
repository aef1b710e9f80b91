import type { RequestSnapshot } from './request-snapshot.ts';

/** What changes from one request of a chain to the next. */
export interface Hop extends Pick<RequestSnapshot, 'url' | 'body'> {
  readonly method: string;
  readonly referrerPolicy: Request['referrerPolicy'];
}

export interface Redirect {
  readonly hop: Hop;
  /** Headers that the next request does not carry any more. */
  readonly dropHeaders: readonly string[];
  readonly crossOrigin: boolean;
}

/** https://fetch.spec.whatwg.org/#redirect-status */
const REDIRECT_STATUS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const MAX_REDIRECTS = 20;

/** https://fetch.spec.whatwg.org/#request-body-header-name, and the length, which Node's fetch drops with them. */
const BODY_HEADERS = ['content-encoding', 'content-language', 'content-location', 'content-type', 'content-length'];
/** What one origin was told is not another's: `authorization` by the standard, the others as Node's fetch does. */
const ORIGIN_HEADERS = ['authorization', 'proxy-authorization', 'cookie'];

/** https://w3c.github.io/webappsec-referrer-policy/#referrer-policies */
const REFERRER_POLICIES: ReadonlySet<string> = new Set<Request['referrerPolicy']>([
  'no-referrer',
  'no-referrer-when-downgrade',
  'origin',
  'origin-when-cross-origin',
  'same-origin',
  'strict-origin',
  'strict-origin-when-cross-origin',
  'unsafe-url',
]);

/**
 * Where a response leads, by https://fetch.spec.whatwg.org/#http-redirect-fetch; undefined when it is the answer itself.
 *
 * @throws {Error} why the redirect may not be followed, without its location.
 */
export function redirectOf(
  hop: Hop,
  response: Pick<Response, 'status' | 'type' | 'headers'>,
  followed: number,
  mode: 'follow' | 'error',
): Redirect | undefined {
  const { status, headers } = response;
  if (response.type === 'opaqueredirect') throw new Error('redirect whose location cannot be seen');
  if (!REDIRECT_STATUS.has(status)) return undefined;
  if (mode === 'error') throw new Error('unexpected redirect');
  const location = headers.get('location');
  if (location === null) return undefined;
  const url = locationUrl(location, hop.url);
  if (!/^https?:$/.test(url.protocol)) throw new Error('redirect to a scheme that is not HTTP(S)');
  if (followed >= MAX_REDIRECTS) throw new Error('redirect count exceeded');
  if (status !== 303 && hop.body?.stream) throw new Error('redirect of a body that can be sent only once');
  const toGet =
    ((status === 301 || status === 302) && hop.method === 'POST') ||
    (status === 303 && hop.method !== 'GET' && hop.method !== 'HEAD');
  const crossOrigin = url.origin !== hop.url.origin;
  return {
    hop: {
      url,
      method: toGet ? 'GET' : hop.method,
      body: toGet ? undefined : hop.body,
      referrerPolicy: referrerPolicyOf(headers.get('referrer-policy')) ?? hop.referrerPolicy,
    },
    dropHeaders: [...(toGet ? BODY_HEADERS : []), ...(crossOrigin ? ORIGIN_HEADERS : [])],
    crossOrigin,
  };
}

/** https://fetch.spec.whatwg.org/#concept-response-location-url */
function locationUrl(location: string, base: URL): URL {
  let url: URL;
  try {
    // Header values are bytes held as Latin-1; a location beyond ASCII is UTF-8 on the wire.
    url = new URL(/^[ -~]*$/.test(location) ? location : Buffer.from(location, 'latin1').toString('utf8'), base);
  } catch {
    throw new Error('redirect to a location that is no URL');
  }
  if (url.hash === '') url.hash = base.hash;
  return url;
}

/** The last policy of the header that is known: https://w3c.github.io/webappsec-referrer-policy/#parse-referrer-policy-from-header */
function referrerPolicyOf(header: string | null): Hop['referrerPolicy'] | undefined {
  const policies = header?.split(',').map((policy) => policy.trim()) ?? [];
  return policies.findLast((policy): policy is Hop['referrerPolicy'] => REFERRER_POLICIES.has(policy));
}
