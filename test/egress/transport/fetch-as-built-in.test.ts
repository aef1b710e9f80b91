import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { guardedFetch } from '../../../src/egress/transport/fetch.ts';
import { hop, redirecting, startServer, type TestServer } from '../../helpers/server.ts';

type Fetch = typeof globalThis.fetch;
type Init = NonNullable<Parameters<Fetch>[1]> & { cache?: Request['cache'] };
type Call = (fetch: Fetch) => Promise<Response>;

let here: TestServer;
let there: TestServer;
const guarded = guardedFetch(() => {}, globalThis.fetch);

beforeAll(async () => {
  here = await startServer(redirecting);
  there = await startServer(redirecting);
});
afterAll(async () => {
  await Promise.all([here.close(), there.close()]);
});

/** Everything that the caller and the two servers can see of one call. */
async function outcome(fetch: Fetch, call: Call): Promise<unknown> {
  here.hits.length = 0;
  there.hits.length = 0;
  let seen: unknown;
  try {
    const response = await call(fetch);
    const { status, statusText, ok, url, redirected, type, headers } = response;
    const copy = response.clone();
    seen = {
      ...{ status, statusText, ok, url, redirected, type },
      copy: { status: copy.status, url: copy.url, redirected: copy.redirected, type: copy.type },
      location: headers.get('location'),
      body: await response.text(),
    };
  } catch (error) {
    seen = { error: (error as Error).name, message: (error as Error).message };
  }
  return { seen, here: here.hits.map(({ ...hit }) => hit), there: there.hits.map(({ ...hit }) => hit) };
}

async function expectSame(name: string, call: Call): Promise<void> {
  const builtIn = await outcome(globalThis.fetch, call);
  expect(await outcome(guarded, call), name).toEqual(builtIn);
}

function stream(): ReadableStream {
  return new Blob(['streamed']).stream();
}
async function* chunks(): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode('chunk');
}

const HEADERS = {
  authorization: 'Bearer a',
  cookie: 'b=c',
  'proxy-authorization': 'Basic d',
  'content-language': 'en',
  'X-Kept': 'yes',
};

/** Node 22's own fetch fails to send bytes a second time: it has given their buffer away. */
const { undici = '' } = process.versions;
const sendsBytesAgain = Number.parseInt(undici, 10) > 6;

/** Bodies as options; `request: true` puts them into a `Request` first. */
const BODIES: readonly { name: string; init: () => Init; request?: boolean }[] = [
  { name: 'GET', init: () => ({}) },
  { name: 'HEAD', init: () => ({ method: 'HEAD' }) },
  { name: 'delete', init: () => ({ method: 'delete' }) },
  { name: 'POST nothing', init: () => ({ method: 'POST' }) },
  { name: 'POST an empty string', init: () => ({ method: 'POST', body: '' }) },
  { name: 'POST a string', init: () => ({ method: 'POST', body: 'text é' }) },
  { name: 'POST a form', init: () => ({ method: 'POST', body: new URLSearchParams({ a: '1 2' }) }) },
  { name: 'POST a blob', init: () => ({ method: 'POST', body: new Blob(['blob'], { type: 'text/css' }) }) },
  { name: 'POST a stream', init: () => ({ method: 'POST', body: stream(), duplex: 'half' }) },
  { name: 'POST an async iterable', init: () => ({ method: 'POST', body: chunks(), duplex: 'half' }) },
  { name: 'PUT a string', init: () => ({ method: 'PUT', body: 'text' }) },
  { name: 'PATCH a stream', init: () => ({ method: 'PATCH', body: stream(), duplex: 'half' }) },
  { name: 'Request GET', init: () => ({}), request: true },
  { name: 'Request POST a string', init: () => ({ method: 'POST', body: 'text' }), request: true },
  { name: 'Request PUT a blob', init: () => ({ method: 'PUT', body: new Blob(['blob']) }), request: true },
  { name: 'Request POST a stream', init: () => ({ method: 'POST', body: stream(), duplex: 'half' }), request: true },
  ...(sendsBytesAgain
    ? [
        { name: 'POST bytes', init: () => ({ method: 'POST', body: new Uint8Array([104, 105]) }) },
        { name: 'POST no bytes', init: () => ({ method: 'POST', body: new ArrayBuffer(0) }) },
      ]
    : []),
];

const redirects = [301, 302, 303, 307, 308].flatMap((status) =>
  (['follow', 'error', 'manual'] as const).flatMap((redirect) =>
    (['same', 'cross'] as const).map((origin) => ({
      name: `${status}, redirect: '${redirect}', ${origin} origin`,
      ...{ status, redirect, origin },
    })),
  ),
);

describe('guardedFetch', () => {
  it.each(redirects)('does as the built-in fetch: $name', async ({ status, redirect, origin }) => {
    const to = `${origin === 'same' ? here.origin : there.origin}/end?x=1`;
    for (const { name, init, request } of BODIES) {
      await expectSame(name, (fetch) => {
        const url = hop(here.origin, status, to);
        const options: Init = { ...init(), headers: HEADERS, redirect };
        return request ? fetch(new Request(url, options)) : fetch(url, options);
      });
    }
  });

  it.each<{ name: string; call: Call }>([
    { name: 'no redirect', call: (fetch) => fetch(`${here.origin}/end#part`) },
    { name: 'a URL object', call: (fetch) => fetch(new URL(`${here.origin}/end`)) },
    { name: '300', call: (fetch) => fetch(hop(here.origin, 300, '/end')) },
    { name: '304', call: (fetch) => fetch(hop(here.origin, 304, '/end')) },
    { name: '204', call: (fetch) => fetch(hop(here.origin, 204, '/end')) },
    { name: '500', call: (fetch) => fetch(hop(here.origin, 500, '/end')) },
    { name: 'no location', call: (fetch) => fetch(`${here.origin}/hop?status=302`) },
    {
      name: 'no location, redirect: error',
      call: (fetch) => fetch(`${here.origin}/hop?status=302`, { redirect: 'error' }),
    },
    { name: 'two locations', call: (fetch) => fetch(`${hop(here.origin, 302, '/end')}&to=/other`) },
    { name: 'a relative location', call: (fetch) => fetch(hop(here.origin, 302, '../a/./end?y')) },
    { name: 'an empty location, which is a loop', call: (fetch) => fetch(hop(here.origin, 302, '')) },
    {
      name: 'a location without a scheme',
      call: (fetch) => fetch(hop(here.origin, 302, `//127.0.0.1:${there.port}/end`)),
    },
    { name: 'a location in UTF-8', call: (fetch) => fetch(hop(here.origin, 302, '/énd?ü=1')) },
    { name: 'a location that is no URL', call: (fetch) => fetch(hop(here.origin, 302, 'http://[')) },
    { name: 'a location with a fragment', call: (fetch) => fetch(`${hop(here.origin, 302, '/end#own')}#given`) },
    { name: 'ftp', call: (fetch) => fetch(hop(here.origin, 302, 'ftp://127.0.0.1/')) },
    { name: 'data', call: (fetch) => fetch(hop(here.origin, 302, 'data:,x')) },
    { name: 'file', call: (fetch) => fetch(hop(here.origin, 302, 'file:///etc/hostname')) },
    {
      name: 'credentials on another origin',
      call: (fetch) => fetch(hop(here.origin, 302, `http://u:p@127.0.0.1:${there.port}/`)),
    },
    {
      name: 'credentials on the same origin',
      call: (fetch) => fetch(hop(here.origin, 302, `http://u@127.0.0.1:${here.port}/`)),
    },
    { name: 'a port that fetch blocks', call: (fetch) => fetch(hop(here.origin, 302, 'http://127.0.0.1:22/')) },
    { name: 'mode same-origin', call: (fetch) => fetch(hop(here.origin, 302, '/end'), { mode: 'same-origin' }) },
    {
      name: 'mode same-origin to another origin',
      call: (fetch) => fetch(hop(here.origin, 302, there.origin), { mode: 'same-origin' }),
    },
    { name: 'mode no-cors', call: (fetch) => fetch(hop(here.origin, 302, '/end'), { mode: 'no-cors' }) },
    { name: 'cache', call: (fetch) => fetch(hop(here.origin, 302, '/end'), { cache: 'no-store' } as Init) },
    { name: 'keepalive', call: (fetch) => fetch(hop(here.origin, 302, '/end'), { keepalive: true }) },
    {
      name: 'credentials: omit',
      call: (fetch) => fetch(hop(here.origin, 302, '/end'), { credentials: 'omit', headers: HEADERS }),
    },
    {
      name: 'a content length',
      call: (fetch) =>
        fetch(hop(here.origin, 302, '/end'), { method: 'POST', body: 'abc', headers: { 'content-length': '3' } }),
    },
    {
      name: 'a host header on the same origin',
      call: (fetch) => fetch(hop(here.origin, 302, '/end'), { headers: { host: 'a.test' } }),
    },
    {
      name: 'a host header on another origin',
      call: (fetch) => fetch(hop(here.origin, 302, `${there.origin}/end`), { headers: { host: 'a.test' } }),
    },
    { name: 'a referrer', call: (fetch) => fetch(`${here.origin}/end`, { referrer: `${here.origin}/from?x` }) },
    {
      name: 'a referrer policy of the redirect',
      call: (fetch) =>
        fetch(hop(here.origin, 302, '/end', { 'referrer-policy': 'origin, nonsense' }), {
          referrer: `${here.origin}/from?x`,
        }),
    },
    {
      name: 'a Request that options override',
      call: (fetch) =>
        fetch(new Request(hop(here.origin, 307, '/end'), { method: 'POST', body: 'old', headers: HEADERS }), {
          method: 'PUT',
          body: 'new',
          headers: { 'X-New': '1' },
        }),
    },
    {
      name: 'a Request as options',
      call: (fetch) => fetch(hop(here.origin, 307, '/end'), new Request('http://a.test/', { headers: HEADERS })),
    },
    { name: 'GET with a body', call: (fetch) => fetch(here.origin, { body: 'x' }) },
    { name: 'a stream without duplex', call: (fetch) => fetch(here.origin, { method: 'POST', body: stream() }) },
    { name: 'a forbidden method', call: (fetch) => fetch(here.origin, { method: 'TRACE' }) },
    { name: 'a bad header', call: (fetch) => fetch(here.origin, { headers: { 'x y': '1' } }) },
    { name: 'null options', call: (fetch) => fetch(here.origin, null as unknown as Init) },
    {
      name: 'a used Request',
      call: async (fetch) => {
        const request = new Request(here.origin, { method: 'POST', body: 'x' });
        await request.text();
        return fetch(request);
      },
    },
    {
      name: 'an aborted signal',
      call: (fetch) => fetch(here.origin, { signal: AbortSignal.abort(new RangeError('stop')) }),
    },
    {
      name: 'an aborted signal with a stream',
      call: (fetch) =>
        fetch(here.origin, { method: 'POST', body: stream(), duplex: 'half', signal: AbortSignal.abort() }),
    },
    {
      name: 'an aborted signal in a Request',
      call: (fetch) => fetch(new Request(here.origin, { signal: AbortSignal.abort() })),
    },
    {
      name: 'an aborted signal that options take away',
      call: (fetch) => fetch(new Request(here.origin, { signal: AbortSignal.abort() }), { signal: null }),
    },
    { name: 'no server', call: (fetch) => fetch('http://127.0.0.1:1/') },
  ])('does as the built-in fetch: $name', async ({ name, call }) => {
    await expectSame(name, call);
  });

  it.each([
    { name: '20 redirects', redirects: 20 },
    { name: '21 redirects', redirects: 21 },
  ])('does as the built-in fetch: $name', async ({ name, redirects }) => {
    await expectSame(name, (fetch) => fetch(`${here.origin}/chain/${redirects}`));
    expect(here.hits).toHaveLength(21);
  });

  it.each([
    { name: 'away and back', statuses: [307, 307], origins: ['here', 'there', 'here'] },
    { name: 'away, and on to a GET', statuses: [308, 303], origins: ['here', 'there', 'there'] },
    { name: 'a GET, and away', statuses: [302, 307], origins: ['here', 'here', 'there'] },
    {
      name: 'a long way',
      statuses: [307, 308, 301, 302, 303],
      origins: ['here', 'there', 'here', 'here', 'there', 'here'],
    },
  ])('does as the built-in fetch: $name', async ({ name, statuses, origins }) => {
    const at = (i: number) => (origins[i] === 'there' ? there : here).origin;
    const url = statuses.reduceRight((to, status, i) => hop(at(i), status, to), `${at(statuses.length)}/end`);
    for (const body of BODIES) {
      await expectSame(`${name}: ${body.name}`, (fetch) => {
        const options: Init = { ...body.init(), headers: HEADERS };
        return body.request ? fetch(new Request(url, options)) : fetch(url, options);
      });
    }
  });
});
