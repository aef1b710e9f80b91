import type { AsyncLocalStorage } from 'node:async_hooks';
import { type FetchInit, type RequestSnapshot, takeSnapshot } from '../egress/transport/request-snapshot.ts';
import type { Bodies } from './bodies.ts';
import { rebuildError } from './crossing-error.ts';
import {
  type FromWorker,
  REQUEST_OPTIONS,
  type RequestMessage,
  type ResponseMessage,
  type ToWorker,
} from './messages.ts';
import { checkSize, MAX_WHOLE_BYTES } from './request-size.ts';

interface Waiting {
  readonly call: number;
  readonly resolve: (message: ResponseMessage) => void;
  readonly reject: (error: Error) => void;
}

/** `fetch` in a worker: what is asked for is sent to the program that started it, which asks the leash. */
export class WorkerFetch {
  readonly #call: AsyncLocalStorage<number>;
  readonly #bodies: Bodies;
  readonly #post: (message: FromWorker) => void;
  readonly #waiting = new Map<number, Waiting>();
  /** Requests of calls that run, also those that have their response. */
  readonly #requests = new Map<number, Set<number>>();
  readonly #refusals = new WeakMap<object, number>();
  #last = 0;

  constructor(call: AsyncLocalStorage<number>, bodies: Bodies, post: (message: FromWorker) => void) {
    this.#call = call;
    this.#bodies = bodies;
    this.#post = post;
  }

  readonly fetch: typeof globalThis.fetch = async (input, init) => {
    const call = this.#call.getStore();
    const snapshot = await takeSnapshot(input, init);
    const requests = call === undefined ? undefined : this.#requests.get(call);
    if (call === undefined || requests === undefined) {
      throw new TypeError('fetch works while a call of an export runs, in the code of that call');
    }
    // The hash of an answer needs all of it, in the memory of whoever asks.
    if (snapshot.request.integrity !== '') throw new TypeError('fetch of an isolated worker takes no `integrity`');
    snapshot.signal?.throwIfAborted();
    const body = await wholeOrStream(snapshot.body);
    const request = ++this.#last;
    const message = requestMessage(request, call, snapshot, body);
    checkSize(message);
    requests.add(request);
    const answer = this.#ask(message);
    if (body instanceof ReadableStream) this.#bodies.send(request, body);
    const unfollow = this.#followSignal(request, snapshot.signal);
    try {
      const response = await answer;
      return makeResponse(response, response.body ? this.#bodies.receive(request, unfollow) : null);
    } catch (error) {
      unfollow();
      throw error;
    }
  };

  take(message: ResponseMessage | Extract<ToWorker, { kind: 'refused' }>): void {
    const { request } = message;
    const waiting = this.#waiting.get(request);
    if (waiting === undefined) return;
    this.#waiting.delete(request);
    if (message.kind === 'response') {
      waiting.resolve(message);
      return;
    }
    const error = rebuildError(message.error);
    this.#refusals.set(error, request);
    this.#bodies.drop(request, error);
    waiting.reject(error);
  }

  /** The number of the request whose refusal an error is, or comes from. */
  refusalIn(error: unknown): number | undefined {
    for (let depth = 0, cause = error; depth < 8 && typeof cause === 'object' && cause !== null; depth++) {
      const request = this.#refusals.get(cause);
      if (request !== undefined) return request;
      cause = (cause as Error).cause;
    }
    return undefined;
  }

  beginCall(call: number): void {
    this.#requests.set(call, new Set());
  }

  /** What is under way is cut on the other side too. */
  endCall(call: number): void {
    const requests = this.#requests.get(call) ?? [];
    this.#requests.delete(call);
    for (const request of requests) this.#fail(request, new Error('the call that made this request has ended'));
  }

  #ask(message: RequestMessage): Promise<ResponseMessage> {
    return new Promise((resolve, reject) => {
      this.#post(message);
      this.#waiting.set(message.request, { call: message.call, resolve, reject });
    });
  }

  #followSignal(request: number, signal: AbortSignal | undefined): () => void {
    if (signal === undefined) return () => {};
    const abort = (): void => {
      this.#post({ kind: 'abort', request });
      this.#fail(request, signal.reason as Error);
    };
    signal.addEventListener('abort', abort, { once: true });
    return () => signal.removeEventListener('abort', abort);
  }

  #fail(request: number, error: Error): void {
    this.#waiting.get(request)?.reject(error);
    this.#waiting.delete(request);
    this.#bodies.drop(request, error);
  }
}

async function wholeOrStream(
  body: RequestSnapshot['body'],
): Promise<Uint8Array | ReadableStream<Uint8Array> | undefined> {
  if (body === undefined) return undefined;
  const { content } = body;
  if (content instanceof ReadableStream) return content as ReadableStream<Uint8Array>;
  // A response reads whatever can be a body.
  const made = new Response(content as FetchInit['body'] & {});
  if (body.stream) return made.body as ReadableStream<Uint8Array>;
  if (content instanceof Blob && content.size > MAX_WHOLE_BYTES) return content.stream();
  const bytes = new Uint8Array(await made.arrayBuffer());
  return bytes.length > MAX_WHOLE_BYTES ? new Blob([bytes]).stream() : bytes;
}

function requestMessage(
  number: number,
  call: number,
  { request, url }: RequestSnapshot,
  body: Uint8Array | ReadableStream | undefined,
): RequestMessage {
  return {
    kind: 'request',
    request: number,
    call,
    url: url.href,
    method: request.method,
    headers: [...request.headers],
    options: Object.fromEntries(
      REQUEST_OPTIONS.map((name) => [name, (request as unknown as Record<string, string>)[name]]),
    ) as RequestMessage['options'],
    body: body instanceof ReadableStream ? 'pieces' : body,
  };
}

/**
 * A `Response` that is made says nothing of where it is from, and takes neither a status above 599 nor every text of one,
 * which servers do send: these say all of it, and copies of them.
 */
function makeResponse(message: ResponseMessage, body: ReadableStream | null): Response {
  const { status, headers } = message;
  const init = {
    status: status > 599 ? 200 : status,
    headers: headers.map(([name, value]): [string, string] => [name, value]),
  };
  return markOrigin(new Response(body, init), message);
}

function markOrigin(response: Response, message: ResponseMessage): Response {
  const { status, statusText } = message;
  const clone = response.clone.bind(response);
  return Object.defineProperties(response, {
    status: { value: status },
    ok: { value: status >= 200 && status <= 299 },
    statusText: { value: statusText },
    url: { value: message.url },
    redirected: { value: message.redirected },
    type: { value: message.type },
    clone: { value: () => markOrigin(clone(), message) },
  });
}
