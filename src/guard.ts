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
}

export const ALLOW: Verdict = Object.freeze({ allow: true });

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
  /** The limits that count this call. `undefined` asks for all limits that the guard has. */
  limits?(call: Pick<ToolCall, 'tool'> | undefined): readonly Limit[];
  /** Whether a place may be reached; `leash.fetch` asks it at every hop. Synchronous and without side effect. */
  reach?(url: string, method: string | undefined): Verdict;
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
