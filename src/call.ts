import { AsyncLocalStorage } from 'node:async_hooks';
import type { LineRef } from './audit/event.ts';
import type { ProofFormat } from './audit/proof-claims.ts';
import { bothOf } from './egress/hooks/both-scopes.ts';
import type { EgressScope } from './egress/hooks/scope.ts';
import type { ToolCall } from './guard.ts';
import { notOwnWork } from './internal/own-work.ts';
import { addMoney, type ExactMoney, FREE, type Money, parseMoney } from './money.ts';

/** Who a proof of the running call is for, and for how long. */
export interface ProofOptions {
  /** Who the proof is for; whoever checks it compares it exactly. 1 to 256 characters. */
  readonly audience: string;
  /** How long it is good for. Integer from 1 to 300 000. Default: 60 000. */
  readonly ttlMs?: number;
  /** PASETO v4.public, or JWS with Ed25519. Default: `'paseto'`. */
  readonly format?: ProofFormat;
}

/** The call that a tool runs in. */
export interface Call {
  readonly id: string;
  readonly tool: string;
  /** Aborts when the leash ends: by a breach, by `stop`, or by `close` while the call runs. */
  readonly signal: AbortSignal;
  /**
   * Tells what the call has spent so far; amounts add up. Once told, the sum and not the estimate is what is booked.
   *
   * @throws {TypeError} no money, or the call has ended; a stream that the end of the session aborts may tell more on its way
   * out. @throws {RangeError} an amount that cannot be held, or a unit that no budget of the leash accounts for.
   */
  charge(cost: Money): void;
  /**
   * A signed token which says that this call, with these arguments, was allowed: for the party that the tool talks to,
   * who checks it with `verifyProof`. Made when it is asked for; one signature.
   *
   * @throws {TypeError | RangeError} an option, the log is not signed or has lost the call (`audit.onError`), or the call
   * has ended.
   */
  proof(options: ProofOptions): string;
}

/** What a call needs of the session that admitted it. */
export interface CallOwner {
  readonly signal: AbortSignal;
  /** @throws {RangeError} spend in a unit that no budget of this call's leashes accounts for. */
  checkUnits(call: ActiveCall, where: string, money: ExactMoney): void;
  /** What of the network the call may reach; undefined where no guard holds that. */
  egressOf(call: ActiveCall): EgressScope | undefined;
  /** @param args canonical JSON. @param line the call's `tool_start`. */
  prove(call: ActiveCall, args: string, line: LineRef, options: ProofOptions): string;
}

const running = new AsyncLocalStorage<ActiveCall>();

/** One attempt: what guards look at, and what the tool finds as `currentCall()`. */
export class ActiveCall implements Call, ToolCall {
  readonly id: string;
  readonly tool: string;
  readonly args: unknown;
  readonly cost: ExactMoney | undefined;
  readonly urls: readonly string[];
  readonly schema: object | undefined;
  readonly #owner: CallOwner;
  #reported: ExactMoney | undefined;
  #recorded: { readonly args: string; readonly line: LineRef } | undefined;
  #ended = false;
  /** Told of what a call has spent that was ended from outside and still runs out. */
  #onLate: (() => void) | undefined;
  /** The call that made this one from inside its tool. */
  readonly #outer: ActiveCall | undefined;
  #scope: { readonly egress: EgressScope | undefined } | undefined;

  constructor(
    owner: CallOwner,
    id: string,
    tool: string,
    args: unknown,
    cost: ExactMoney | undefined,
    urls: readonly string[],
    schema: object | undefined,
  ) {
    this.#owner = owner;
    this.id = id;
    this.tool = tool;
    this.args = args;
    this.cost = cost;
    this.urls = urls;
    this.schema = schema;
    this.#outer = running.getStore();
    // Guards get it, and what one of them sets must not be what the next one judges.
    Object.freeze(this);
  }

  get signal(): AbortSignal {
    return this.#owner.signal;
  }

  /** Whether this is a call of the given session. */
  belongsTo(owner: object): boolean {
    return this.#owner === owner;
  }

  /** The innermost call of the given session that this runs in: itself, or one around it. */
  within(owner: object): ActiveCall | undefined {
    return this.#owner === owner ? this : this.#outer?.within(owner);
  }

  /** What holds the code of the call: its own leash, and that of the call that made it. */
  get scope(): EgressScope | undefined {
    this.#scope ??= { egress: bothOf(this.#owner.egressOf(this), this.#outer?.scope) };
    return this.#scope.egress;
  }

  /** The sum of what `charge` told; undefined if it never did. */
  get reported(): ExactMoney | undefined {
    return this.#reported;
  }

  charge(cost: Money): void {
    if (this.#ended && this.#onLate === undefined) {
      throw new TypeError(`the call of tool "${this.tool}" has ended; use leash.charge for later spend`);
    }
    const where = `currentCall().charge in tool "${this.tool}"`;
    const money = parseMoney(where, cost);
    this.#owner.checkUnits(this, where, money);
    this.#reported = addMoney(this.#reported ?? FREE, money);
    this.#onLate?.();
  }

  /** Where the call stands in the log, and what it committed to. */
  recordedAs(args: string, line: LineRef): void {
    this.#recorded = { args, line };
  }

  proof(options: ProofOptions): string {
    if (this.#ended) throw new TypeError(`the call of tool "${this.tool}" has ended`);
    if (this.#recorded === undefined) throw new TypeError(`the call of tool "${this.tool}" is not in the log`);
    return this.#owner.prove(this, this.#recorded.args, this.#recorded.line, options);
  }

  /** @param onLate called when it tells more all the same. Default: that is refused. */
  end(onLate?: () => void): void {
    this.#ended = true;
    this.#onLate = onLate;
  }
}

/** The call that the running code belongs to, from anywhere inside a leashed tool; undefined outside of one. */
export function currentCall(): Call | undefined {
  return running.getStore();
}

export function activeCall(): ActiveCall | undefined {
  return running.getStore();
}

export function inCall<R>(call: ActiveCall, body: () => R): R {
  return notOwnWork(() => running.run(call, body));
}
