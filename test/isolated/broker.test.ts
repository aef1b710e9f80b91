import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Bodies } from '../../src/isolated/bodies.ts';
import { type AskingCall, Broker } from '../../src/isolated/broker.ts';
import type { RequestMessage, ToWorker } from '../../src/isolated/messages.ts';
import { thrownBy } from '../helpers/refused.ts';

const REQUEST: RequestMessage = {
  kind: 'request',
  request: 1,
  call: 1,
  url: 'https://a.test/',
  method: 'POST',
  headers: [['x-a', 'b']],
  options: {
    redirect: 'follow',
    mode: 'cors',
    credentials: 'same-origin',
    cache: 'default',
    referrer: 'about:client',
    referrerPolicy: '',
  },
  body: 'pieces',
};

const call = (): AskingCall => ({ inContext: (run) => run(), refusals: new Map() });

/** A broker between a worker that a test plays and a `fetch` of its own. */
function between(fetch: (init: RequestInit) => Promise<Response>) {
  const posted: ToWorker[] = [];
  const post = (message: ToWorker): void => void posted.push(message);
  const bodies = new Bodies(post);
  const broker = new Broker(() => (_, init) => fetch(init as RequestInit), bodies, post);
  return { broker, bodies, posted, kinds: () => posted.map(({ kind }) => kind) };
}

const ended = (stream: ReadableStream): Promise<string> =>
  stream
    .getReader()
    .read()
    .then(
      ({ done }) => (done ? 'done' : 'a piece'),
      (error: Error) => error.message,
    );

describe('a request of a worker', () => {
  it('is what the worker asked for, and nothing else', async () => {
    let asked: RequestInit = {};
    const { broker } = between(async (init) => {
      asked = init;
      return new Response(null, { status: 204 });
    });
    broker.request({ ...REQUEST, body: new Uint8Array([1]), more: 'x' } as RequestMessage, call());
    await turn();
    const { signal, ...rest } = asked;
    expect(signal).toBeInstanceOf(AbortSignal);
    expect(rest).toEqual({ ...REQUEST.options, method: 'POST', headers: [['x-a', 'b']], body: new Uint8Array([1]) });
  });

  it('lets go of its own body when the answer is complete', async () => {
    let body: ReadableStream | undefined;
    const { broker, bodies, kinds } = between(async (init) => {
      body = init.body as ReadableStream;
      return new Response('answer');
    });
    broker.request(REQUEST, call());
    await turn();
    bodies.take({ kind: 'pull', request: 1 });
    await turn();
    bodies.take({ kind: 'pull', request: 1 });
    await turn();
    expect(kinds()).toEqual(['response', 'piece', 'end']);
    expect(await ended(body as ReadableStream)).toBe('the request was answered');
  });

  it('lets go of its own body when it fails', async () => {
    let body: ReadableStream | undefined;
    const { broker, kinds } = between((init) => {
      body = init.body as ReadableStream;
      return Promise.reject(new TypeError('fetch failed'));
    });
    broker.request(REQUEST, call());
    await turn();
    expect(kinds()).toEqual(['refused']);
    expect(await ended(body as ReadableStream)).toBe('the request failed');
  });

  it.each<{ readonly what: string; readonly end: (broker: Broker, call: AskingCall) => void }>([
    { what: 'its call ends', end: (broker, call) => broker.endCall(call) },
    { what: 'it is aborted', end: (broker) => broker.abort(1) },
  ])('lets go of everything when $what, and answers no more', async ({ end }) => {
    const signals: AbortSignal[] = [];
    let cancelled = 0;
    const answer = (): Response => new Response(new ReadableStream({ cancel: () => void cancelled++ }));
    const late = Promise.withResolvers<Response>();
    const { broker, kinds } = between(({ signal }) => {
      signals.push(signal as AbortSignal);
      return signals.length === 1 ? Promise.resolve(answer()) : late.promise;
    });
    const asking = call();
    broker.request(REQUEST, asking);
    await turn();
    end(broker, asking);
    expect(signals[0]?.aborted).toBe(true);
    expect(cancelled).toBe(1);
    const other = call();
    broker.request({ ...REQUEST, request: 2 }, other);
    broker.endCall(other);
    late.resolve(answer());
    await turn();
    expect(cancelled).toBe(2);
    expect(kinds()).toEqual(['response']);
  });

  it('has a number of its own, larger than those before', async () => {
    const { broker } = between(async () => new Response());
    broker.request({ ...REQUEST, request: 5 }, call());
    for (const request of [5, 4]) {
      expect(thrownBy(() => broker.request({ ...REQUEST, request }, call()))).toBeInstanceOf(TypeError);
    }
  });
});
