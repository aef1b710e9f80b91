import type { FetchInit } from '../egress/transport/request-snapshot.ts';
import { findLeashError, type LeashError } from '../errors.ts';
import type { Bodies } from './bodies.ts';
import { crossError } from './crossing-error.ts';
import type { RequestMessage, ToWorker } from './messages.ts';

/** Of one worker; each may hold a body. */
const MAX_REQUESTS = 64;
const MAX_REFUSALS = 100;
const ANSWERED = new Error('the request was answered');
const TOO_MANY = `an isolated worker makes at most ${MAX_REQUESTS} requests at once`;

/** A call of an export, as far as its requests are concerned. */
export interface AskingCall {
  /** Runs in the context in which the export was called: in the leashed call, if there is one. */
  readonly inContext: <R>(run: () => R) => R;
  /** The leash's refusals of its requests, by number. */
  readonly refusals: Map<number, LeashError>;
}

interface OpenRequest {
  readonly call: AskingCall;
  readonly controller: AbortController;
}

/** Sends the requests of a worker with the `fetch` of the leash, each in the call that it is made in. */
export class Broker {
  readonly #fetch: () => typeof globalThis.fetch;
  readonly #bodies: Bodies;
  readonly #post: (message: ToWorker) => void;
  readonly #open = new Map<number, OpenRequest>();
  #last = 0;

  /** @param fetch the leash's; may throw, and then nothing can be reached. */
  constructor(fetch: () => typeof globalThis.fetch, bodies: Bodies, post: (message: ToWorker) => void) {
    this.#fetch = fetch;
    this.#bodies = bodies;
    this.#post = post;
  }

  /**
   * @param call undefined: there is none, or it has ended.
   * @throws {TypeError} the number of the request was used before.
   */
  request(message: RequestMessage, call: AskingCall | undefined): void {
    const { request } = message;
    if (request <= this.#last) throw new TypeError('the number of a request was used before');
    this.#last = request;
    if (call === undefined || this.#open.size >= MAX_REQUESTS) {
      const why = call === undefined ? 'fetch works while its call runs, and it has ended' : TOO_MANY;
      this.#refuse(request, new TypeError(why));
      return;
    }
    const controller = new AbortController();
    this.#open.set(request, { call, controller });
    call
      .inContext(async () => this.#send(message, controller.signal))
      .catch((error: unknown) => this.#failed(request, call, error));
  }

  abort(request: number): void {
    this.#end(request, new DOMException('This operation was aborted', 'AbortError'));
  }

  /** Ends what a call has under way: nobody waits for it any more. */
  endCall(call: AskingCall): void {
    for (const [request, open] of this.#open) {
      if (open.call === call) this.#end(request, new Error('the call has ended'));
    }
  }

  async #send({ request, url, method, headers, options, body }: RequestMessage, signal: AbortSignal): Promise<void> {
    const sent = body === 'pieces' ? this.#bodies.receive(request) : body;
    const response = await this.#fetch()(url, {
      ...(options as FetchInit),
      method,
      headers: headers.map(([name, value]): [string, string] => [name, value]),
      signal,
      ...(sent === undefined ? undefined : { body: sent }),
      ...(body === 'pieces' ? { duplex: 'half' } : undefined),
    });
    if (!this.#open.has(request)) {
      response.body?.cancel().catch(() => {});
      return;
    }
    const { status, statusText, redirected, type } = response;
    if (response.body === null) this.#finish(request, ANSWERED);
    else this.#bodies.send(request, response.body, () => this.#finish(request, ANSWERED));
    this.#post({
      kind: 'response',
      request,
      status,
      statusText,
      headers: [...response.headers],
      url: response.url,
      redirected,
      type,
      body: response.body !== null,
    });
  }

  #failed(request: number, call: AskingCall, error: unknown): void {
    if (this.#finish(request, new Error('the request failed')) === undefined) return;
    const refusal = findLeashError(error);
    if (refusal !== undefined) {
      call.refusals.set(request, refusal);
      for (const oldest of call.refusals.keys()) {
        if (call.refusals.size <= MAX_REFUSALS) break;
        call.refusals.delete(oldest);
      }
    }
    this.#refuse(request, error);
  }

  #refuse(request: number, error: unknown): void {
    this.#post({ kind: 'refused', request, error: crossError(error) });
  }

  #end(request: number, error: Error): void {
    this.#finish(request, error)?.controller.abort(error);
  }

  /** Once for each request; what of its bodies is still on its way has no use any more. */
  #finish(request: number, error: Error): OpenRequest | undefined {
    const open = this.#open.get(request);
    if (this.#open.delete(request)) this.#bodies.drop(request, error);
    return open;
  }
}
