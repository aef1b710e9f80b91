import { isLeashError, type LeashError } from '../../errors.ts';
import { quietly } from '../../internal/maybe-promise.ts';
import { checkOneOf, checkOptions, kindOf } from '../../internal/options.ts';
import type { Leash } from '../../leash-contract.ts';
import { viewOf } from '../framework/members.ts';
import { leashedOnce } from '../framework/once.ts';
import { eitherSignal } from '../framework/signal.ts';
import { TERMS } from '../framework/tool-body.ts';
import { HeldTools, type McpTerms } from './held-tools.ts';
import { asksForInput, readToolCall } from './tool-call.ts';

/** The transport of an MCP client, of any SDK: what sends its messages, and calls `onmessage` with those that arrive. */
export interface McpTransport {
  send(...params: never[]): Promise<void>;
  onmessage?: ((...params: never[]) => void) | undefined;
  onclose?: ((...params: never[]) => void) | undefined;
}

export interface LeashTransportOptions extends McpTerms {
  /**
   * How a refused call is answered: `'error'` as a JSON-RPC error, code -32000, whose `data` is the leash's error
   * (`findLeashError` finds it in what the client rejects with); `'result'` as a result with `isError` and the message,
   * which hosts hand to the model. Default: `'error'`.
   */
  readonly reply?: 'error' | 'result' | undefined;
}

/**
 * The transport of an MCP client under the leash: whatever the client does to call a tool, the request is sent after
 * every guard allowed it, with the arguments as they were checked, and is answered here otherwise. The end of the session
 * answers and cancels the calls under way; a call that the client cancels while it is decided on is not sent, and has
 * failed. Everything else passes, and the type stays as it was; a transport that this
 * leash holds already stays as it is. Give it to the client in place of the other, before it connects.
 *
 * @throws {TypeError | RangeError} no transport, or options that the leash cannot hold. `send` rejects with a `TypeError`
 * for a tool that the leash cannot hold, such as one without a cost under a budget.
 */
export function leashTransport<Transport extends McpTransport>(
  leash: Leash,
  transport: Transport,
  options: LeashTransportOptions = {},
): Transport {
  checkOptions('leashTransport', options, [...TERMS, 'reply']);
  const { reply = 'error', ...terms } = options;
  checkOneOf('leashTransport.reply', reply, ['error', 'result']);
  if (typeof (transport as McpTransport | undefined)?.send !== 'function') {
    throw new TypeError(`leashTransport expects an MCP transport with \`send\`, got ${kindOf(transport)}`);
  }
  return leashedOnce(leash, transport, () => {
    const tools = new HeldTools('leashTransport', leash, terms);
    const held = new HeldTransport(leash, transport as unknown as Inner, tools, reply);
    return viewOf(transport, {
      send: (message: Message, sending?: Sending) => held.send(message, sending),
      get onmessage() {
        return held.onmessage;
      },
      set onmessage(handler) {
        held.onmessage = handler;
      },
      get onclose() {
        return held.onclose;
      },
      set onclose(handler) {
        held.onclose = handler;
      },
    });
  });
}

type Id = string | number;

interface Message {
  readonly jsonrpc?: '2.0';
  readonly id?: Id;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: unknown;
}

type OnMessage = (message: Message, ...extra: unknown[]) => void;

interface Sending {
  /** Of SDK 2, where closing the stream of a request cancels it. */
  readonly requestSignal?: AbortSignal;
  /** Of the AI SDK. */
  readonly signal?: AbortSignal;
}

interface Inner {
  send(message: Message, sending?: Sending): Promise<void>;
  onmessage?: OnMessage | undefined;
  onclose?: ((...params: unknown[]) => void) | undefined;
  onerror?: ((error: unknown) => void) | undefined;
}

/** A response, and what the transport told beside it. */
type Answer = readonly [message: Message, ...extra: unknown[]];

interface Waiting {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

interface Undecided {
  /** Why nobody waits for the call any more, and it is not to be sent. */
  dropped: unknown;
}

/** Why a request that was to be sent has no response. Its code is what the log has. */
class UnansweredError extends Error {
  readonly code: 'CANCELLED' | 'CLOSED';

  constructor(code: UnansweredError['code']) {
    super(`the request was not answered: ${code}`);
    this.code = code;
  }
}

/** Of protocol revision 2026-07-28, where a request says its version and a result must say its type. */
const VERSION_KEY = 'io.modelcontextprotocol/protocolVersion';

class HeldTransport {
  onmessage: OnMessage | undefined;
  onclose: Inner['onclose'];
  readonly #leash: Leash;
  readonly #inner: Inner;
  readonly #tools: HeldTools;
  readonly #reply: 'error' | 'result';
  /** Calls that are not sent yet. */
  readonly #undecided = new Map<Id, Undecided>();
  /** Requests that were sent. */
  readonly #waiting = new Map<Id, Waiting>();
  /** Calls until their response was handed on. */
  readonly #calls = new Set<Promise<void>>();
  readonly #lists = new Set<Id>();

  constructor(leash: Leash, inner: Inner, tools: HeldTools, reply: 'error' | 'result') {
    this.#leash = leash;
    this.#inner = inner;
    this.#tools = tools;
    this.#reply = reply;
    this.onmessage = inner.onmessage;
    this.onclose = inner.onclose;
    inner.onmessage = (...answer) => this.#receive(answer);
    inner.onclose = (...params) => this.#close(params);
  }

  async send(message: Message, sending?: Sending): Promise<void> {
    if (Array.isArray(message)) throw new TypeError('leashTransport takes no batch: send its messages one by one');
    const { id, method, params } = message;
    if (method === 'tools/call') return this.#call(message, sending);
    if (method === 'tools/list' && id !== undefined && this.#tools.reads) this.#lists.add(id);
    if (method === 'notifications/cancelled') {
      this.#drop((params as { requestId?: Id } | undefined)?.requestId, new UnansweredError('CANCELLED'));
    }
    return this.#inner.send(message, sending);
  }

  /** Ends when the request was sent, or answered here. */
  async #call(message: Message, sending: Sending | undefined): Promise<void> {
    const { id } = message;
    if (id === undefined || this.#waiting.has(id) || this.#undecided.has(id)) {
      throw new TypeError('a tool call must have an id of its own');
    }
    const { name, args, more, again } = readToolCall(message.params);
    const undecided: Undecided = { dropped: undefined };
    this.#undecided.set(id, undecided);
    let isSent = false;
    const sent = new Promise<void>((resolve, reject) => {
      const ended = this.#tools.call(name, args, again, async (checked) => {
        this.#undecided.delete(id);
        // The client has gone since: nobody would have the answer.
        if ([sending?.requestSignal, sending?.signal].some((given) => given?.aborted))
          undecided.dropped = new UnansweredError('CANCELLED');
        if (undecided.dropped !== undefined) throw undecided.dropped;
        const request = { ...message, params: { ...more, name, arguments: checked } };
        const answer = await this.#exchange(id, request, sending, () => {
          isSent = true;
          resolve();
        });
        return { value: answer, asks: asksForInput(answer[0].result) };
      }) as Promise<Answer>;
      const handedOn = ended
        .then(
          (answer) => this.onmessage?.(...answer),
          (error) => {
            if (isLeashError(error)) this.onmessage?.(this.#refusal(message, error));
            else if (!(error instanceof UnansweredError)) throw error;
          },
        )
        .then(resolve, (error) => (isSent ? this.#inner.onerror?.(error) : reject(error)))
        .finally(() => {
          this.#calls.delete(handedOn);
          if (this.#undecided.get(id) === undecided) this.#undecided.delete(id);
        });
      this.#calls.add(handedOn);
    });
    return sent;
  }

  async #exchange(id: Id, request: Message, sending: Sending | undefined, sent: () => void): Promise<Answer> {
    const { signal } = this.#leash;
    const answer = new Promise<Answer>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    const end = (): void => {
      this.#drop(id, signal.reason);
      // Where a request has a stream of its own, closing it says the same.
      if (sending?.requestSignal !== undefined) return;
      const params = { requestId: id, reason: 'the session has ended' };
      quietly(() => this.#inner.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params }));
    };
    const cancel = (): void => this.#drop(id, new UnansweredError('CANCELLED'));
    const given = [sending?.requestSignal, sending?.signal];
    signal.addEventListener('abort', end);
    for (const other of given) other?.addEventListener('abort', cancel);
    try {
      const sends = this.#inner.send(request, withSignal(sending, signal)).then(sent);
      // A response may be there before the request is known to be sent.
      return await Promise.race([answer, sends.then(() => answer)]);
    } finally {
      this.#waiting.delete(id);
      signal.removeEventListener('abort', end);
      for (const other of given) other?.removeEventListener('abort', cancel);
    }
  }

  #drop(id: Id | undefined, error: unknown): void {
    if (id === undefined) return;
    const undecided = this.#undecided.get(id);
    if (undecided !== undefined) undecided.dropped = error;
    this.#waiting.get(id)?.reject(error);
    this.#waiting.delete(id);
  }

  #receive(answer: Answer): void {
    const { id, method, result } = answer[0] ?? {};
    const request = method === undefined && id !== undefined ? this.#requestOf(id) : undefined;
    if (request !== undefined && this.#lists.delete(request)) this.#tools.list(result);
    const waiting = request === undefined ? undefined : this.#waiting.get(request);
    if (method === 'tools/call') this.#refuseToServe(answer[0]);
    else if (waiting === undefined) this.onmessage?.(...answer);
    else {
      this.#waiting.delete(request as Id);
      waiting.resolve(answer);
    }
  }

  /** The request that a response is to: clients take `'3'` for 3, as some servers say it. */
  #requestOf(id: Id): Id {
    return this.#waiting.has(id) || this.#lists.has(id) ? id : Number(id);
  }

  /** This is the transport of a server, whose calls would pass. */
  #refuseToServe({ id }: Message): void {
    const message = 'leashTransport holds the calls that a client sends: hold a server with leashServer';
    quietly(() => this.#inner.send({ jsonrpc: '2.0', id: id as Id, error: { code: -32_603, message } }));
  }

  #close(params: unknown[]): void {
    for (const id of [...this.#waiting.keys(), ...this.#undecided.keys()])
      this.#drop(id, new UnansweredError('CLOSED'));
    // What was answered before is handed on before.
    if (this.#calls.size === 0) this.onclose?.(...params);
    else void Promise.allSettled(this.#calls).then(() => this.onclose?.(...params));
  }

  #refusal({ id, params }: Message, error: LeashError): Message {
    const head = { jsonrpc: '2.0', id: id as Id } as const;
    const { message } = error;
    if (this.#reply === 'error') return { ...head, error: { code: -32_000, message, data: error } };
    const { _meta: meta } = params as { readonly _meta?: Readonly<Record<string, unknown>> };
    const type = meta?.[VERSION_KEY] === undefined ? {} : { resultType: 'complete' };
    return { ...head, result: { ...type, content: [{ type: 'text', text: message }], isError: true } };
  }
}

/** Where the client can cancel a request by a signal, the end of the session does too. */
function withSignal(sending: Sending | undefined, signal: AbortSignal): Sending | undefined {
  if (sending === undefined) return undefined;
  const { requestSignal, signal: own } = sending;
  return {
    ...sending,
    ...(requestSignal === undefined ? {} : { requestSignal: eitherSignal(requestSignal, signal) as AbortSignal }),
    ...(own === undefined ? {} : { signal: eitherSignal(own, signal) as AbortSignal }),
  };
}
