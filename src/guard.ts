import type { ArgsIssue, DenialCode } from './errors.ts';
import type { MaybePromise } from './internal/maybe-promise.ts';
import type { Window } from './internal/window.ts';
import type { ExactMoney, MoneyUnit } from './money.ts';

/** One attempt to run a tool, as guards see it, frozen: the tool receives a copy of just these arguments. */
export interface ToolCall {
  readonly id: string;
  readonly tool: string;
  /** Plain finite JSON, read once from what the caller passed. */
  readonly args: unknown;
  /** The estimate that will be held; undefined where nobody said what the call costs. */
  readonly cost: ExactMoney | undefined;
  /** Where the tool said that it will connect to. */
  readonly urls: readonly string[];
  /** The tool's own schema, as it was declared. */
  readonly schema: object | undefined;
}

/** A guard's answer. Anything but `{ allow: true }` refuses. */
export type Verdict = { readonly allow: true } | Denial;

/** A guard's no. */
export interface Denial {
  readonly allow: false;
  readonly code: DenialCode | (string & {});
  /** A short stable word for machines: `host-not-allowed`, `exhausted`. Never anything of the arguments. */
  readonly reason: string;
  /** What follows `Tool "x" was refused: ` for people and models. Default: the reason. */
  readonly message?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  /** For `ARGS_INVALID`. */
  readonly issues?: readonly ArgsIssue[] | undefined;
  /** For `EGRESS_DENIED`: where the call wanted to go. */
  readonly target?: Target | undefined;
}

/** A place on the network, without path and query. */
export interface Target {
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
  /** The address that was dialled, or would have been. */
  readonly addr?: string | undefined;
}

export const ALLOW: Verdict = Object.freeze({ allow: true });

/** An HTTP request as its client states it, before anything of it has left. */
export interface OutgoingRequest {
  readonly scheme: 'http' | 'https';
  /** As it stands in the origin of a URL: IPv6 in brackets. */
  readonly host: string;
  readonly port: number;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
}

/** A TCP connection that is about to be made. */
export interface Connection {
  /** As a socket gets it: any spelling of a name or of an address. */
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** Made for a request that was allowed, so that its method and path have been judged. */
  readonly requested: boolean;
}

/** What a guard makes of the addresses that a name resolved to. */
export type AddressVerdict = { readonly allow: true; readonly addresses: readonly string[] } | Denial;

/** Gives the addresses of a name, as text. */
export type Resolver = (host: string) => MaybePromise<readonly string[]>;

/** An HTTP proxy that the leash's own clients go through. */
export interface EgressProxy {
  /** `http://proxy.internal:3128`, without credentials. */
  readonly origin: string;
  /** As it is dialled. */
  readonly host: string;
  readonly port: number;
  /** Whether TLS leads to it. */
  readonly secure: boolean;
  /** The value of `Proxy-Authorization` (RFC 9110 §11.7.2), where it wants credentials. */
  authorization(): string | undefined;
}

/** How far a guard's rules reach: declared URLs and the leash's own clients, code in calls, or all code of the process. */
export type Enforce = 'declared' | 'scope' | 'process';

/** What a guard lets code reach. Everything is synchronous and without side effect. */
export interface Egress {
  readonly enforce: Enforce;
  request(request: OutgoingRequest): Verdict;
  connection(connection: Connection): Verdict;
  /** Before a name is resolved. */
  name(host: string): Verdict;
  /** After it was: `addresses` are those that may be dialled, at least one. */
  addresses(target: Target, answers: readonly string[]): AddressVerdict;
  readonly resolver: Resolver | undefined;
  readonly proxy: EgressProxy | undefined;
  /** Ways out that are no HTTP request: false refuses them. */
  readonly rawSockets: boolean;
  readonly udp: boolean;
  readonly childProcess: boolean;
  readonly workers: boolean;
  /** Paths of the unix sockets that may be connected to. */
  readonly unix: ReadonlySet<string>;
}

/**
 * One counter with a cap and a window, in one scope. Guards declare limits; the session reserves all limits of all
 * guards of a call in one atomic step.
 */
export interface Limit {
  /** What is counted. Money limits take their amount from the call's cost, `call` limits count 1. */
  readonly unit: MoneyUnit | 'call';
  /** Inclusive, in nano-USD, millisatoshi or calls. */
  readonly cap: number;
  readonly window: Window;
  /** A name shared by several leashes for one common counter. Default: this session alone. */
  readonly scope?: string | undefined;
  /** The tools that count. Default: all of them, and spend that is no tool call. */
  readonly tools?: readonly string[] | undefined;
  /** Tells apart counters that would otherwise be one: same unit, window, tools and scope. */
  readonly meter?: string | undefined;
  /** The code of its refusals. */
  readonly code: DenialCode | (string & {});
  /** What a call without a cost is to a money limit. Default: `'deny'`. */
  readonly unpriced?: 'deny' | 'free' | undefined;
}

/** What is known of a tool before its first call. */
export interface ToolDeclaration {
  readonly tool: string;
  readonly schema: object | undefined;
  /** Whether it says where it connects to. */
  readonly urls: boolean;
}

/** What a guard says of a tool's declaration. */
export interface Preparation {
  /** `'held'`: this guard checks the tool's arguments. `'missing'`: it would, but has no schema for this tool. */
  readonly schema?: 'held' | 'missing' | undefined;
  /** `'held'`: this guard decides on the tool's URLs. */
  readonly urls?: 'held' | undefined;
}

/**
 * An independent rule. Any set of guards in any order refuses the same calls; the order decides only which refusal is
 * told when several would refuse.
 */
export interface Guard {
  readonly name: string;
  /** What makes it this guard and not another, as JSON; its hash is in the log. */
  readonly settings?: unknown;
  /** Looks at the call alone: no side effect, no counted state. Throwing refuses the call (`GUARD_FAILED`). */
  check?(call: ToolCall): MaybePromise<Verdict>;
  /** The limits that count this call. `undefined` asks for all limits that the guard has. Throwing refuses as of `check`. */
  limits?(call: Pick<ToolCall, 'tool'> | undefined): readonly Limit[];
  /** Whether a place may be reached; `leash.fetch` asks it at every hop. Synchronous and without side effect. */
  reach?(url: string, method: string | undefined): Verdict;
  /** What code may reach, for the session that holds the code's connections to it. */
  readonly egress?: Egress;
  /** Called once for each declaration of a tool. @throws {TypeError} for one that this guard cannot hold. */
  prepare?(tool: ToolDeclaration): Preparation | undefined;
}

const NONE: readonly Limit[] = Object.freeze([]);

/** The `limits` of a guard that has one. The same arrays every time, so that the session can reuse what it made of them. */
export function countedFor(limit: Limit): NonNullable<Guard['limits']> {
  const one: readonly Limit[] = Object.freeze([limit]);
  if (limit.tools === undefined) return () => one;
  const tools = new Set(limit.tools);
  return (call) => (call === undefined || tools.has(call.tool) ? one : NONE);
}
