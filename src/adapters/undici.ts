import { AsyncResource } from 'node:async_hooks';
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import * as undici from 'undici';
import type { EgressScope } from '../egress/hooks/scope.ts';
import { canaryReturns, servesLaterFetch } from '../egress/hooks/undici-copy.ts';
import type { Connect, ConnectCallback } from '../egress/transport/connector.ts';
import { readFetchInit } from '../egress/transport/request-snapshot.ts';
import { connectThrough } from '../egress/transport/tunnel.ts';
import { findLeashError } from '../errors.ts';
import type { EgressProxy } from '../guard.ts';
import { checkInteger, checkOptions } from '../internal/options.ts';
import type { Leash } from '../leash-contract.ts';
import { clientOf, copyUnheld, type SessionClient } from '../session/client.ts';
import { dispatchUnder } from '../session/dispatch.ts';
import { asClient, stepAsClient } from '../session/egress-context.ts';

/** Options of undici's `Agent`, in its own words: those that do not decide where a connection leads. */
export interface LeashDispatcherOptions
  extends Pick<
    undici.Agent.Options,
    | 'allowH2'
    | 'bodyTimeout'
    | 'connections'
    | 'connectTimeout'
    | 'headersTimeout'
    | 'keepAliveMaxTimeout'
    | 'keepAliveTimeout'
    | 'maxHeaderSize'
    | 'maxResponseSize'
  > {
  /** For TLS with targets: whom to trust, and who we are. Default: whom Node trusts, and nobody. */
  readonly tls?: Pick<
    ConnectionOptions,
    'ca' | 'cert' | 'ciphers' | 'crl' | 'key' | 'maxVersion' | 'minVersion' | 'passphrase' | 'pfx'
  >;
}

const OPTIONS = [
  'allowH2',
  'bodyTimeout',
  'connections',
  'connectTimeout',
  'headersTimeout',
  'keepAliveMaxTimeout',
  'keepAliveTimeout',
  'maxHeaderSize',
  'maxResponseSize',
  'tls',
];
const TLS_OPTIONS = ['ca', 'cert', 'ciphers', 'crl', 'key', 'maxVersion', 'minVersion', 'passphrase', 'pfx'];

type Handler = undici.Dispatcher.DispatchHandler;

/**
 * A dispatcher of undici with connections of this leash alone, for `undici.request`, `stream`, `pipeline`, `upgrade`, `fetch`,
 * `WebSocket` and `EventSource`, and for the built-in ones. Every request is judged before it is sent, in a call or outside
 * of one and whatever `enforce` says, and is an event of the call that makes it. What is composed around it cannot go past
 * it: redirects and retries are requests of their own. Names are resolved by the leash, so `interceptors.dns` around it
 * has its requests refused. The end of the leash destroys it.
 *
 * Make one and keep it: each has pools of its own until it is destroyed, or the leash ends.
 *
 * @throws {TypeError | RangeError} no leash, one without an egress guard, or an option;
 * @throws {EgressUnenforcedError} this copy of undici cannot be held by this runtime, or does not fit its `fetch`.
 */
export function leashDispatcher(leash: Leash, options: LeashDispatcherOptions = {}): undici.Dispatcher {
  checkOptions('leashDispatcher', options, OPTIONS);
  const { tls, connectTimeout } = options;
  if (tls !== undefined) checkOptions('`leashDispatcher.tls`', tls, TLS_OPTIONS);
  // All others undici checks.
  if (connectTimeout !== undefined) checkInteger('leashDispatcher.connectTimeout', connectTimeout, 0);
  return new LeashDispatcher(heldClient(leash, 'leashDispatcher'), options);
}

/**
 * An interceptor that judges requests to connections which are not those of the leash: `agent.compose(leashInterceptor(leash),
 * interceptors.redirect())`. It must come first, which is innermost, for what stands inside of it sends what it likes; use
 * `leashDispatcher` where you can, which cannot be misplaced and whose connections no other leash shares.
 *
 * @throws {TypeError} no leash, one without an egress guard, or one with a proxy, which the connections do not go through;
 * @throws {EgressUnenforcedError} as `leashDispatcher`.
 */
export function leashInterceptor(leash: Leash): undici.Dispatcher.DispatcherComposeInterceptor {
  const client = heldClient(leash, 'leashInterceptor');
  if (client.proxy !== undefined) {
    throw new TypeError('leashInterceptor cannot use egress({ proxy }): use leashDispatcher, which goes through it');
  }
  // undici 8 tells a dispatcher of one origin by it, and takes it for requests that name none.
  return (dispatch, bound?: string | null) =>
    function dispatchUnderLeash(options, handler) {
      return dispatchUnder({ client, via: undefined, bound: bound ?? undefined }, options, handler, (judged, scope) =>
        asClient(scope, () => dispatch(judged as never, handler)),
      );
    };
}

/**
 * undici's `fetch` by connections of this leash, as `leashDispatcher` makes them. Refusals are thrown as they are.
 *
 * @throws {TypeError} no leash, or one without an egress guard; @throws {EgressUnenforcedError} as `leashDispatcher`.
 */
export function leashFetch(leash: Leash): typeof undici.fetch {
  let dispatcher = fetching.get(leash);
  if (dispatcher === undefined) {
    dispatcher = new LeashDispatcher(heldClient(leash, 'leashFetch'), {});
    fetching.set(leash, dispatcher);
  }
  return async function fetch(input, init) {
    const { dispatcher: other, ...options } = readFetchInit(init as never) as unknown as undici.RequestInit;
    if (other !== undefined) throw new TypeError('leashFetch goes by connections of the leash: leave out `dispatcher`');
    try {
      return await undici.fetch(input, { ...options, dispatcher });
    } catch (error) {
      throw findLeashError(error) ?? error;
    }
  };
}

const fetching = new WeakMap<Leash, LeashDispatcher>();

class LeashDispatcher extends undici.Dispatcher {
  readonly #client: SessionClient;
  readonly #agent: undici.Agent;
  /** For handlers of undici 7 and before, where this is 8. */
  readonly #former: undici.Dispatcher;
  readonly #forget: () => void;

  constructor(client: SessionClient, options: LeashDispatcherOptions) {
    super();
    this.#client = client;
    this.#agent = makeAgent(client.proxy, options);
    this.#former = Former === undefined ? this.#agent : new Former(this.#agent);
    this.#forget = client.endWith((error) => void this.#agent.destroy(error));
    for (const event of ['connect', 'disconnect', 'connectionError', 'drain'] as const) {
      // Not the pools themselves, which judge nothing.
      this.#agent.on(event as 'connect', (origin, _, ...rest) =>
        this.emit(event as 'connect', origin, [this], ...rest),
      );
    }
  }

  override dispatch(options: undici.Dispatcher.DispatchOptions, handler: Handler): boolean {
    const client = this.#client;
    return dispatchUnder({ client, via: client.proxy, bound: undefined }, options, handler, (judged, scope) => {
      const agent = typeof handler?.onRequestStart === 'function' ? this.#agent : this.#former;
      return agent.dispatch(originated(judged, scope), handler);
    });
  }

  get closed(): boolean {
    return this.#agent.closed;
  }

  get destroyed(): boolean {
    return this.#agent.destroyed;
  }

  /** Limits that a `WebSocket` keeps to. */
  get webSocketOptions(): unknown {
    return (this.#agent as { webSocketOptions?: unknown }).webSocketOptions;
  }

  /** Limits that an `EventSource` keeps to. */
  get eventSourceOptions(): unknown {
    return (this.#agent as { eventSourceOptions?: unknown }).eventSourceOptions;
  }

  override close(callback?: () => void): never {
    return settle(this.#agent.close().then(this.#forget), callback);
  }

  override destroy(...args: unknown[]): never {
    const [error, callback] = typeof args[0] === 'function' ? [null, args[0]] : args;
    return settle(this.#agent.destroy((error ?? null) as Error | null).then(this.#forget), callback as () => void);
  }
}

/** As a promise, or by a callback where there is one. */
function settle(done: Promise<void>, callback: (() => void) | undefined): never {
  if (callback === undefined) return done as never;
  void done.then(() => queueMicrotask(callback));
  return undefined as never;
}

/** What holds a request, and where it was made: below the pools the context may be that of another. */
interface Origination {
  readonly scope: EgressScope;
  readonly context: AsyncResource;
}

const ORIGINATION = Symbol('leashkit.origination');

type Originated = undici.Dispatcher.DispatchOptions & { readonly [ORIGINATION]?: Origination };

function originated(options: object, scope: EgressScope): Originated {
  const origination: Origination = { scope, context: new AsyncResource('leashkit.request') };
  return Object.assign(options, { [ORIGINATION]: origination }) as Originated;
}

function inOrigination<R>({ scope, context }: Origination, step: () => R): R {
  return context.runInAsyncScope(() => stepAsClient(scope, step));
}

function makeAgent(
  proxy: EgressProxy | undefined,
  { tls, connectTimeout, ...options }: LeashDispatcherOptions,
): undici.Agent {
  return new undici.Agent({
    ...options,
    factory: (origin, poolOptions: undici.Pool.Options) => {
      const { allowH2 } = poolOptions;
      const connect: Connect =
        proxy === undefined
          ? (undici.buildConnector({
              ...tls,
              ...(allowH2 === undefined ? undefined : { allowH2 }),
              ...(connectTimeout === undefined ? undefined : { timeout: connectTimeout }),
            }) as Connect)
          : connectThrough(proxy, { tls, timeoutMs: connectTimeout });
      return new undici.Pool(origin, {
        ...poolOptions,
        factory: (_, clientOptions) => new ScopedClient(origin, clientOptions, connect),
      });
    },
  });
}

/** One connection at a time, which is made for the request that was dispatched last. */
class ScopedClient extends undici.Client {
  readonly #latest: { origination: Origination | undefined };

  constructor(origin: string | URL, options: undici.Client.Options, connect: Connect) {
    const latest: { origination: Origination | undefined } = { origination: undefined };
    super(origin, {
      ...options,
      connect: (target, callback) =>
        inOrigination(latest.origination as Origination, () => connect(target, callback as ConnectCallback)),
    });
    this.#latest = latest;
  }

  override dispatch(options: Originated, handler: Handler): boolean {
    const origination = options[ORIGINATION] as Origination;
    this.#latest.origination = origination;
    return inOrigination(origination, () => super.dispatch(options, handler));
  }
}

type FormerClass = new (dispatcher: undici.Dispatcher) => undici.Dispatcher;

/** What makes undici 8 take handlers of older ones; it has it by itself in one place alone. */
const { Dispatcher1Wrapper: Former } = undici as { Dispatcher1Wrapper?: FormerClass };

/** @throws {EgressUnenforcedError} this copy of undici is not one that is held. */
function heldClient(leash: Leash, name: string): SessionClient {
  const client = clientOf(leash, name);
  const version = ownVersion();
  const fits = Former !== undefined || servesLaterFetch(undici.Agent as never);
  if (!fits || !isHeld()) throw copyUnheld(version);
  client.covers(version, isHeld);
  return client;
}

function isHeld(): boolean {
  const agent = makeAgent(undefined, {});
  const held = canaryReturns((scope, request, handler) => {
    agent.dispatch(originated(request, scope), handler as Handler);
  });
  agent.destroy().catch(() => {});
  return held;
}

function ownVersion(): string {
  try {
    const manifest = readFileSync(new URL('package.json', import.meta.resolve('undici')), 'utf8');
    return String((JSON.parse(manifest) as { version: unknown }).version);
  } catch {
    // In a bundle it has none.
    return 'unknown';
  }
}
