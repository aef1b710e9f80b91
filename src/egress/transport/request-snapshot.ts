/** Node's types leave out `cache`, which its `fetch` reads. */
export type FetchInit = NonNullable<Parameters<typeof globalThis.fetch>[1]> & { cache?: Request['cache'] };
export type FetchInput = Parameters<typeof globalThis.fetch>[0];
type FetchBody = NonNullable<FetchInit['body']>;

/** What `fetch` was asked for, read once: nothing that the caller or a getter does later changes what is sent. */
export interface RequestSnapshot {
  /** Everything but URL, body and signal. Its class is the runtime's own, whatever class came in. */
  readonly request: Request;
  /** With credentials if it came with them: whoever decides shall see them. */
  readonly url: URL;
  /** `stream`: it can be sent once. */
  readonly body: { readonly content: FetchBody; readonly stream: boolean } | undefined;
  readonly signal: AbortSignal | undefined;
  readonly dispatcher: FetchInit['dispatcher'];
}

/** https://fetch.spec.whatwg.org/#requestinit, and the `dispatcher` of undici. */
const INIT_KEYS = [
  'method',
  'headers',
  'body',
  'referrer',
  'referrerPolicy',
  'mode',
  'credentials',
  'cache',
  'redirect',
  'integrity',
  'keepalive',
  'signal',
  'duplex',
  'window',
  'dispatcher',
] as const satisfies readonly (keyof FetchInit)[];

/** @throws {TypeError} whatever the runtime's `Request` does not take, and a URL that is not absolute. */
export async function takeSnapshot(input: FetchInput, init: FetchInit | undefined): Promise<RequestSnapshot> {
  const { dispatcher, ...options } = readFetchInit(init);
  const { signal } = options;
  // The hops follow the signal themselves; it stays a key, since a `Request` with any option starts afresh.
  if (signal !== undefined) options.signal = null;
  const given = input instanceof Request ? input : parseUrl(String(input));
  const request = new Request(given instanceof Request ? given : withoutCredentials(given), options);
  // Node's fetch does not send it. A client that does would reach another site behind an address that is allowed.
  request.headers.delete('host');
  return {
    request,
    url: given instanceof Request ? new URL(request.url) : given,
    signal: (signal === undefined && given instanceof Request ? given.signal : signal) ?? undefined,
    dispatcher,
    body: request.body === null ? undefined : await readBody(request, options.body ?? undefined),
  };
}

/** Each option is read once. Inherited ones count, as for every dictionary of Web IDL: `init` may be a `Request`. */
export function readFetchInit(init: FetchInit | null | undefined): FetchInit {
  if (init === undefined || init === null) return {};
  if (typeof init !== 'object' && typeof init !== 'function') throw new TypeError('fetch options must be an object');
  const options: Record<string, unknown> = {};
  for (const key of INIT_KEYS) {
    const value = init[key];
    if (value !== undefined) options[key] = value;
  }
  return options;
}

function parseUrl(text: string): URL {
  try {
    return new URL(text);
  } catch {
    throw new TypeError('fetch expects an absolute URL');
  }
}

/** `Request` would refuse credentials, and name them in its message. */
function withoutCredentials(url: URL): string {
  const bare = new URL(url);
  bare.username = '';
  bare.password = '';
  return bare.href;
}

async function readBody(request: Request, given: FetchBody | undefined): Promise<RequestSnapshot['body']> {
  // Neither changes, and a blob need not fit into memory.
  if (typeof given === 'string' || given instanceof Blob) return { content: given, stream: false };
  const stream = given === undefined ? holdsStream(request) : Symbol.asyncIterator in Object(given);
  const content = stream ? (request.body as FetchBody) : new Uint8Array(await request.arrayBuffer());
  return { content, stream };
}

const PROBE: FetchInit = { method: 'POST', mode: 'no-cors', cache: 'default' };

/**
 * Whether the body of a `Request` was made from a stream, which nothing says openly. The constructor refuses exactly those
 * in mode `no-cors`: https://fetch.spec.whatwg.org/#dom-request, the steps on a body whose source is null.
 */
function holdsStream(request: Request): boolean {
  const copy = request.clone();
  try {
    drop(new Request(copy, PROBE).body);
    return false;
  } catch {
    drop(copy.body);
    return true;
  }
}

/** Lets go of a body that nobody will read, so that its connection is not held. */
export function drop(stream: ReadableStream | null): void {
  stream?.cancel().catch(() => {});
}
