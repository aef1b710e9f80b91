import type { LeashError } from './errors.ts';
import type { MaybePromise } from './internal/maybe-promise.ts';
import type { ChildOptions } from './leash-options.ts';
import type { Money } from './money.ts';
import type { Decision } from './session/decision.ts';
import type { CallRequest } from './session/declaration.ts';
import type { LeashEgress } from './session/egress.ts';
import type { Hold } from './session/hold.ts';
import type { Ticket } from './session/ticket.ts';
import type { ArgsOf, Cost, ToolOptions } from './session/tool.ts';
import type { Usage } from './session/usage.ts';

/** What `leash.stop` stops besides its own leash. */
export interface StopOptions {
  /** Name of a shared scope, as guards have it in `scope`. */
  readonly scope: string;
}

/** How a session ended. */
export interface Summary {
  readonly id: string;
  /** Id of its log. */
  readonly log: string;
  readonly calls: number;
  readonly denied: number;
  /** What its calls and charges have spent, as exact decimal strings. */
  readonly usd: string;
  readonly sat: string;
  readonly breach: LeashError | undefined;
}

/** One session: guards, store, log, and a breach once it happened. */
export interface Leash extends AsyncDisposable {
  readonly id: string;
  /** Aborts when the session ends by a breach or by `stop`, with `breach` as its reason; by `close`, if calls still run. */
  readonly signal: AbortSignal;
  /** The denial that ended the session, here or in an ancestor; after `stop` a `SessionEndedError`. */
  readonly breach: LeashError | undefined;
  /**
   * The built-in `fetch`, where every request and every redirect hop must be allowed by the egress guards before it is
   * sent, and which aborts with the leash. Needs an egress guard.
   *
   * @throws {EgressUnenforcedError} it cannot go through the proxy of the egress guard: in Node 22, where another copy of
   * undici was loaded first.
   */
  readonly fetch: typeof globalThis.fetch;
  /** How far the egress guards reach. Needs an egress guard. */
  readonly egress: LeashEgress;
  /**
   * The function under the leash: same parameters; a stream stays a stream. Where a guard, the store or the sink is
   * asynchronous, only an `async function*` can answer with a stream at once; of another function it is a promise of one.
   */
  wrap<Params extends unknown[], Stream extends AsyncIterable<unknown>, Args = ArgsOf<Params>>(
    name: string,
    fn: (...params: Params) => Stream,
    options?: ToolOptions<Params, StreamResult<Stream>, Args>,
  ): (...params: Params) => Stream;
  /** The function under the leash: same parameters, a promise of the same result. */
  wrap<Params extends unknown[], Result, Args = ArgsOf<Params>>(
    name: string,
    fn: (...params: Params) => PromiseLike<Result> | Result,
    options?: ToolOptions<Params, Result, Args>,
  ): (...params: Params) => Promise<Result>;
  /** The same for a function that returns one thing or the promise of another. */
  wrap<Params extends unknown[], Result, Args = ArgsOf<Params>>(
    name: string,
    fn: (...params: Params) => Result,
    options?: ToolOptions<Params, Awaited<Result>, Args>,
  ): (...params: Params) => Promise<Awaited<Result>>;
  /** One call without wrapping. The function gets the arguments as they were checked. */
  run<Args, Result>(call: CallRequest<Args>, fn: (args: Args) => PromiseLike<Result> | Result): Promise<Result>;
  run<Args, Result>(call: CallRequest<Args>, fn: (args: Args) => Result): Promise<Awaited<Result>>;
  /**
   * What would happen to a call now, and why. Changes nothing, writes nothing. Does not look at `idempotencyKey`, nor does it see
   * that a shared scope was stopped in the store.
   */
  peek<Args>(call: CallRequest<Args>): Promise<Decision>;
  /** Decides and reserves once, for code that runs the tool itself and ends the ticket. */
  enter<Args>(call: CallRequest<Args>): MaybePromise<Ticket>;
  /**
   * Reserves spend that is no tool call, such as a model request. Only budgets see it. An estimate that has to be worked
   * out may be a function, as the cost of a tool: where it throws, the spend is refused on record and with its error.
   *
   * @param note for the log. 1 to 256 characters.
   */
  hold(estimate: Cost | (() => Cost), note?: string): MaybePromise<Hold>;
  /**
   * Books spend that is no tool call and has already happened, in full.
   *
   * @param note for the log. 1 to 256 characters.
   * @throws {BudgetExceededError} it is booked, and a budget is now over: the session ends.
   */
  charge(cost: Money, note?: string): MaybePromise<void>;
  /**
   * A sub-agent's leash: its own guards and all of its ancestors'. It can only narrow.
   *
   * @throws {TypeError | RangeError} an option. @throws {SessionEndedError} the leash is closed.
   */
  child(options: ChildOptions): Leash;
  /**
   * Kill switch: calls that run see the abort, all others are refused, for good.
   *
   * @param reason for the log. 1 to 256 characters. @throws {TypeError | RangeError} no such text.
   */
  stop(reason: string): void;
  /**
   * The same, at once, and for every leash that counts on a shared scope in the same store, in any process, until
   * `resumeScope`: its next decision that counts on the scope is refused (`SESSION_STOPPED`), and ends it as `stop` does.
   * What ends is the outermost leash, of the one that asked and its ancestors, with a guard that names the scope. While only
   * long calls run it is noticed when their leases are renewed, at a third of `leaseMs`.
   *
   * @throws {StoreUnavailableError} in the promise: the store did not take it. This leash is stopped all the same.
   */
  stop(reason: string, options: StopOptions): Promise<void>;
  /** Where every limit stands: of a shared scope for all leashes that count on it. Tells in an outage what is known. */
  usage(): Promise<Usage>;
  /**
   * Ends the session: what is still held counts as spent, and the log is closed. Later calls get the same answer.
   *
   * @throws {AuditUnavailableError} the log could not be closed; everything else was.
   * @throws {StoreUnavailableError} the store did not take all of the end. Not everything that was spent is booked if its
   * `unbooked` says so, which a root leash tells for its whole tree; it is tried again while the process lives.
   */
  close(): Promise<Summary>;
}

/** What the generator of a stream returns, for `actualCost`. */
type StreamResult<Stream> = Stream extends AsyncIterator<unknown, infer Result, never> ? Result : unknown;
