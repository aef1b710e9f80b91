import { getEventListeners, once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { guardedFetch } from '../../../src/egress/transport/fetch.ts';
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

describe('the signal of guardedFetch', () => {
  const cases = [
    { name: 'in options', call: (fetch: Fetch, url: string, signal: AbortSignal) => fetch(url, { signal }) },
    {
      name: 'in a Request',
      call: (fetch: Fetch, url: string, signal: AbortSignal) => fetch(new Request(url, { signal })),
    },
  ];

  it.each(cases)('stops a later hop: $name', async ({ call }) => {
    const controller = new AbortController();
    const reason = new Error('enough');
    await using slow = await startServer(() => controller.abort(reason));
    const fetch = guardedFetch(() => {}, globalThis.fetch);
    await expect(call(fetch, hop(here.origin, 302, slow.origin), controller.signal)).rejects.toBe(reason);
    expect(slow.hits).toHaveLength(1);
  });

  it.each(cases)('stops between hops: $name', async ({ call }) => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const decide = vi.fn((url: string) => {
      if (url.startsWith(there.origin)) controller.abort(reason);
    });
    const fetch = guardedFetch(decide, globalThis.fetch);
    await expect(call(fetch, hop(here.origin, 302, there.origin), controller.signal)).rejects.toBe(reason);
    expect(there.hits).toEqual([]);
    await expect(call(fetch, here.origin, controller.signal)).rejects.toBe(reason);
    expect(decide).toHaveBeenCalledTimes(2);
  });

  it.each(cases)('stops a body that is still coming: $name', async ({ call }) => {
    const controller = new AbortController();
    const reason = new Error('enough');
    await using endless = await startServer((_, response) => void response.write('first'));
    const fetch = guardedFetch(() => {}, globalThis.fetch);
    const response = await call(fetch, hop(here.origin, 302, endless.origin), controller.signal);
    const reader = response.body?.getReader();
    await reader?.read();
    controller.abort(reason);
    await expect(reader?.read()).rejects.toBe(reason);
  });
});

describe('a signal that outlives the call', () => {
  it('is listened to no more than by the built-in fetch', async () => {
    const listeners = async (fetch: Fetch) => {
      const { signal } = new AbortController();
      await (await fetch(`${here.origin}/end`, { signal })).text();
      return getEventListeners(signal, 'abort').length;
    };
    const guarded = guardedFetch(() => {}, globalThis.fetch);
    expect(await listeners(guarded)).toBe(await listeners(globalThis.fetch));
  });
});

describe('the signal of a Request that nobody holds any more', () => {
  it('still stops the body of the answer', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const controller = new AbortController();
    await using endless = await startServer((_, response) => void response.write('first'));
    const fetch = guardedFetch(() => {}, globalThis.fetch);
    const open = async () =>
      (await fetch(new Request(endless.origin, { signal: controller.signal }))).body?.getReader();
    const reader = await open();
    await reader?.read();
    for (let i = 0; i < 5; i++) {
      collect();
      await setImmediate();
    }
    controller.abort(new Error('enough'));
    await expect(reader?.read()).rejects.toThrow('enough');
  });
});

describe('a stream that is not sent', () => {
  it.each([
    { name: 'refused', refuse: true },
    { name: 'refused, in a Request', refuse: true, request: true },
    { name: 'aborted', signal: AbortSignal.abort() },
    { name: 'aborted, in a Request', signal: AbortSignal.abort(), request: true },
  ])('is cancelled: $name', async ({ refuse, signal, request }) => {
    const cancel = vi.fn();
    const fetch = guardedFetch(() => {
      if (refuse) throw new Error('refused');
    }, globalThis.fetch);
    const init: RequestInit = { method: 'POST', body: new ReadableStream({ cancel }), duplex: 'half' };
    const options = { signal: signal ?? null };
    const call = request ? fetch(new Request(here.origin, init), options) : fetch(here.origin, { ...init, ...options });
    await expect(call).rejects.toThrow();
    await vi.waitFor(() => expect(cancel).toHaveBeenCalledOnce());
    expect(here.hits).toEqual([]);
  });
});

describe('the connections of guardedFetch', () => {
  it.each([
    { name: 'that is followed', location: () => `${here.origin}/end`, init: {} },
    { name: 'that is refused', location: () => 'http://foreign.test/', init: {} },
    { name: 'that is an error', location: () => `${here.origin}/end`, init: { redirect: 'error' } as const },
    { name: 'to no URL', location: () => 'http://[', init: {} },
  ])('lets go of the body of a redirect $name', async ({ location, init }) => {
    let closed: Promise<unknown> | undefined;
    await using endless = await startServer((request, response) => {
      closed = once(request.socket, 'close');
      response.writeHead(302, { location: location() }).write('endless');
    });
    const decide = (url: string) => {
      if (new URL(url).hostname !== '127.0.0.1') throw new Error('refused');
    };
    const fetch = guardedFetch(decide, globalThis.fetch);
    await fetch(endless.origin, init).catch(() => {});
    expect(closed).toBeDefined();
    await closed;
  });
});
