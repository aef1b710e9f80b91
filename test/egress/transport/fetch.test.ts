import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { guardedFetch } from '../../../src/egress/transport/fetch.ts';
import { egress } from '../../../src/guards/egress.ts';
import { hop, redirecting, startServer, type TestServer } from '../../helpers/server.ts';

type Fetch = typeof globalThis.fetch;

let here: TestServer;
let there: TestServer;

beforeAll(async () => {
  here = await startServer(redirecting);
  there = await startServer(redirecting);
});
afterAll(async () => {
  await Promise.all([here.close(), there.close()]);
});
beforeEach(() => {
  here.hits.length = 0;
  there.hits.length = 0;
});

class Refused extends Error {}

/** Allows what starts with one of the prefixes, and keeps what it was asked. */
function allowing(...prefixes: readonly string[]) {
  const asked: string[] = [];
  const decide = (url: string, method: string) => {
    asked.push(`${method} ${url}`);
    if (!prefixes.some((prefix) => url.startsWith(prefix))) throw new Refused();
  };
  return { asked, decide };
}

/** Sends nothing, and answers with `ok` after the responses that it was given. */
function recorder(...responses: Response[]) {
  const sent: { url: unknown; init: RequestInit; headers: Record<string, string> }[] = [];
  const send: Fetch = async (url, init = {}) => {
    sent.push({ url, init, headers: Object.fromEntries(new Headers(init.headers)) });
    return responses.shift() ?? new Response('ok');
  };
  return { sent, send };
}

describe('guardedFetch', () => {
  it('sends nothing when the first hop is refused, and throws what refused it', async () => {
    const before = here.connections();
    const fetch = guardedFetch(allowing().decide, globalThis.fetch);
    await expect(fetch(`${here.origin}/end`)).rejects.toBeInstanceOf(Refused);
    expect(here.hits).toEqual([]);
    expect(here.connections()).toBe(before);
  });

  it('does not connect to a host that a redirect names and nobody allowed', async () => {
    const before = there.connections();
    const guard = egress({ allow: [here.origin] });
    const fetch = guardedFetch((url, method) => {
      const verdict = guard.reach?.(url, method);
      if (verdict?.allow !== true) throw new Refused(verdict?.reason);
    }, globalThis.fetch);
    expect(await (await fetch(hop(here.origin, 302, '/end'))).text()).toBe('ok');
    for (const status of [301, 302, 303, 307, 308]) {
      const call = fetch(hop(here.origin, status, `${there.origin}/end`), { method: 'POST', body: 'secret' });
      await expect(call).rejects.toThrow(new Refused('port'));
    }
    const deep = hop(here.origin, 302, hop(here.origin, 307, hop(there.origin, 302, here.origin)));
    await expect(fetch(deep)).rejects.toThrow(new Refused('port'));
    expect(there.hits).toEqual([]);
    expect(there.connections()).toBe(before);
  });

  it('asks before each hop, with the method and the URL that are then sent', async () => {
    const { asked, decide } = allowing(here.origin, there.origin);
    const fetch = guardedFetch(async (url, method) => {
      const arrived = here.hits.length + there.hits.length;
      await null;
      decide(url, method);
      expect(asked).toHaveLength(arrived + 1);
    }, globalThis.fetch);
    const second = hop(there.origin, 303, `${here.origin}/end`);
    await fetch(`${hop(here.origin, 307, second)}#part`, { method: 'put', body: 'x' });
    expect(asked).toEqual([
      `PUT ${hop(here.origin, 307, second)}#part`,
      `PUT ${second}#part`,
      `GET ${here.origin}/end#part`,
    ]);
    expect([...here.hits, ...there.hits].map(({ method }) => method)).toEqual(['PUT', 'GET', 'PUT']);
  });

  it('follows nothing when redirects are not to be followed', async () => {
    const { asked, decide } = allowing(here.origin);
    const fetch = guardedFetch(decide, globalThis.fetch);
    const url = hop(here.origin, 302, `${there.origin}/end`);
    expect((await fetch(url, { redirect: 'manual' })).status).toBe(302);
    await expect(fetch(url, { redirect: 'error' })).rejects.toThrow(TypeError);
    expect(asked).toHaveLength(2);
  });

  it('sends what was decided on, whatever its inputs say when they are read again', async () => {
    class TwoFaced extends URL {
      #reads = 0;
      override toString(): string {
        return this.#reads++ === 0 ? `${here.origin}/one` : `${there.origin}/two`;
      }
    }
    class LyingRequest extends Request {}
    Object.defineProperty(TwoFaced.prototype, 'href', { get: TwoFaced.prototype.toString });
    Object.defineProperty(LyingRequest.prototype, 'url', { get: () => `${here.origin}/one` });
    Object.defineProperty(LyingRequest.prototype, 'method', { get: () => 'GET' });
    const reads = { method: 0, headers: 0 };
    const init = {
      get method() {
        return reads.method++ === 0 ? 'GET' : 'DELETE';
      },
      get headers() {
        return { 'x-read': String(reads.headers++) };
      },
    };
    const { asked, decide } = allowing(here.origin);
    const fetch = guardedFetch(decide, globalThis.fetch);
    await fetch(new TwoFaced(`${there.origin}/three`));
    await fetch({ toString: () => new TwoFaced(there.origin).href } as unknown as string);
    await expect(fetch(new LyingRequest(`${there.origin}/real`, { method: 'POST' }))).rejects.toThrow(Refused);
    await fetch(`${here.origin}/one`, init);
    expect(asked).toEqual([
      `GET ${here.origin}/one`,
      `GET ${here.origin}/one`,
      `POST ${there.origin}/real`,
      `GET ${here.origin}/one`,
    ]);
    expect(here.hits.map(({ method, target }) => `${method} ${target}`)).toEqual(Array(3).fill('GET /one'));
    expect(here.hits[2]?.headers['x-read']).toBe('0');
    expect(there.hits).toEqual([]);
  });

  it('sends what it was given, whatever becomes of it while somebody decides', async () => {
    const url = new URL(`${here.origin}/one`);
    const headers = new Headers({ 'x-kind': 'given' });
    const body = new TextEncoder().encode('given');
    const init = { method: 'POST', headers, body };
    const fetch = guardedFetch(async () => {
      url.host = `127.0.0.1:${there.port}`;
      headers.set('x-kind', 'other');
      body.fill(0);
      Object.assign(init, { method: 'DELETE', body: 'other' });
      await null;
    }, globalThis.fetch);
    await fetch(url, init);
    expect(there.hits).toEqual([]);
    expect(here.hits).toMatchObject([
      { method: 'POST', target: '/one', body: 'given', headers: { 'x-kind': 'given' } },
    ]);
  });

  it('hands each hop to the client as a string and plain options, with the dispatcher', async () => {
    const { sent, send } = recorder();
    const dispatcher = { dispatch: () => true } as unknown as NonNullable<RequestInit['dispatcher']>;
    const { signal } = new AbortController();
    const fetch = guardedFetch(() => {}, send);
    await fetch(new Request('http://a.test/x', { method: 'POST', body: 'b' }), { dispatcher, signal });
    expect(sent).toMatchObject([{ url: 'http://a.test/x', init: { method: 'POST', redirect: 'manual' } }]);
    expect(sent[0]?.init.dispatcher).toBe(dispatcher);
    expect(sent[0]?.init.signal).toBe(signal);
  });

  it('drops what belongs to a body that is not sent again, and to an origin that was left', async () => {
    const to = (location: string) => new Response(null, { status: 302, headers: { location } });
    const { sent, send } = recorder(to('http://a.test/2'), to('http://b.test/3'), to('http://a.test/4'));
    const fetch = guardedFetch(() => {}, send);
    const ofBody = {
      'content-encoding': 'identity',
      'content-language': 'en',
      'content-length': '1',
      'content-location': '/',
      'content-type': 'text/plain',
    };
    const ofOrigin = { authorization: 'a', cookie: 'b', 'proxy-authorization': 'c' };
    const others = { 'x-kept': 'd', referer: 'e' };
    const headers = { ...ofBody, ...ofOrigin, ...others, host: 'other.test' };
    await fetch('http://a.test/1', { method: 'POST', body: 'x', headers });
    expect(sent.map((hop) => hop.headers)).toEqual([
      { ...ofBody, ...ofOrigin, ...others },
      { ...ofOrigin, ...others },
      others,
      others,
    ]);
    expect(sent.map((hop) => hop.init.body)).toEqual(['x', null, null, null]);
  });

  it('fails where the client hides the location of a redirect', async () => {
    const opaque = Object.defineProperty(new Response(), 'type', { value: 'opaqueredirect' });
    const { sent, send } = recorder(opaque, opaque);
    const fetch = guardedFetch(() => {}, send);
    await expect(fetch('http://a.test/')).rejects.toThrow(TypeError);
    await expect(fetch('http://a.test/', { redirect: 'manual' })).resolves.toBe(opaque);
    expect(sent).toHaveLength(2);
  });

  it('sends form data again in the form that its headers announce', async () => {
    const form = new FormData();
    form.set('name', 'value');
    form.set('file', new File(['content'], 'a.txt'));
    const fetch = guardedFetch(() => {}, globalThis.fetch);
    await fetch(hop(here.origin, 307, `${there.origin}/end`), { method: 'POST', body: form });
    const hit = there.hits[0];
    const sent = await new Response(hit?.body, {
      headers: { 'content-type': String(hit?.headers['content-type']) },
    }).formData();
    expect(sent.get('name')).toBe('value');
    expect(hit?.body).toBe(here.hits[0]?.body);
  });

  it.each(['user:pass@', 'user@', ':pass@'])(
    'shows the credentials %s to whoever decides, and sends none',
    async (who) => {
      const { asked, decide } = allowing('http://');
      const fetch = guardedFetch(decide, globalThis.fetch);
      const url = `http://${who}127.0.0.1:${there.port}/secret`;
      for (const call of [fetch(url), fetch(hop(here.origin, 302, url))]) {
        const error = await call.catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(TypeError);
        expect(`${error} ${(error as Error).cause}`).not.toMatch(/user|pass|secret/);
      }
      expect(asked).toEqual([`GET ${url}`, `GET ${hop(here.origin, 302, url)}`, `GET ${url}`]);
      expect(there.hits).toEqual([]);
    },
  );

  it.each([
    { name: 'a URL that is not absolute', call: (fetch: Fetch) => fetch('/canary') },
    { name: 'a malformed location', call: (fetch: Fetch) => fetch(hop(here.origin, 302, 'http://[canary')) },
    { name: 'a location of another scheme', call: (fetch: Fetch) => fetch(hop(here.origin, 302, 'canary:x')) },
    {
      name: 'credentials in a location',
      call: (fetch: Fetch) => fetch(hop(here.origin, 302, 'http://canary@a.test/')),
    },
  ])('fails without a word of the URL: $name', async ({ call }) => {
    const error = await call(guardedFetch(() => {}, globalThis.fetch)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TypeError);
    expect(`${error} ${(error as Error).cause}`).not.toContain('canary');
  });

  it("does not follow to another origin in mode 'no-cors'", async () => {
    const fetch = guardedFetch(() => {}, globalThis.fetch);
    await expect(fetch(hop(here.origin, 302, there.origin), { mode: 'no-cors' })).rejects.toThrow(TypeError);
    expect(there.hits).toEqual([]);
  });

  it('holds the answer of the last hop to an integrity', async () => {
    const fetch = guardedFetch(() => {}, globalThis.fetch);
    const hash = (text: string) => `sha256-${createHash('sha256').update(text).digest('base64')}`;
    const url = hop(here.origin, 302, `${there.origin}/end`);
    const response = await fetch(url, { integrity: hash('ok') });
    expect(response.redirected).toBe(true);
    expect(await response.text()).toBe('ok');
    await expect(fetch(url, { integrity: hash('moved') })).rejects.toThrow(TypeError);
    await expect(fetch(url, { integrity: hash(''), method: 'HEAD' })).rejects.toThrow(TypeError);
  });
});
