import { canonicalJson, snapshotJson } from '../../internal/canonical-json.ts';
import type { MaybePromise } from '../../internal/maybe-promise.ts';
import type { Leash } from '../../leash-contract.ts';
import type { CallRequest } from '../../session/declaration.ts';
import type { Ticket } from '../../session/ticket.ts';
import { type OpenTerms, readOpenTerms } from '../framework/open-terms.ts';
import type { ToolTerms } from '../framework/tool-body.ts';

/** The input of a tool of Claude Code. */
export type ClaudeToolInput = Readonly<Record<string, unknown>>;

/**
 * What the leash has to know of tools, by the names that Claude Code has for them: `Bash`, `mcp__server__tool`. They are
 * not compared with the tools that there are.
 */
export interface ClaudeTerms extends ToolTerms<Readonly<Record<string, ClaudeToolInput>>> {}

/** @throws {TypeError | RangeError} what the leash cannot hold of a tool that the terms name. */
export function readClaudeTerms(where: string, leash: Leash, terms: ClaudeTerms): OpenTerms['termsOf'] {
  const { named, termsOf } = readOpenTerms(where, terms);
  for (const tool of named) leash.wrap(tool, () => {}, termsOf(tool));
  return termsOf;
}

interface OpenCall {
  readonly request: CallRequest;
  /** Of Claude Code. */
  readonly session: unknown;
  readonly input: string | undefined;
  readonly ticket: Promise<Ticket>;
}

const openOf = new WeakMap<Leash, OpenCalls>();

/**
 * The calls of a leash that were allowed and have not been told to have ended. Claude Code makes them, in a process of
 * its own, and names them by the id of their `tool_use`.
 */
export class OpenCalls {
  readonly #leash: Leash;
  readonly #calls = new Map<string, OpenCall>();

  /** Hooks and permissions are asked about the same calls. */
  static of(leash: Leash): OpenCalls {
    const open = openOf.get(leash) ?? new OpenCalls(leash);
    openOf.set(leash, open);
    return open;
  }

  private constructor(leash: Leash) {
    this.#leash = leash;
  }

  /** What an open call was allowed as. */
  requestOf(id: string): CallRequest | undefined {
    return this.#calls.get(id)?.request;
  }

  /**
   * Decides on a call and reserves it, once for an id and its input: asked again, the answer is the same while the session
   * lasts. With another input it is another call, and the one before is not made.
   *
   * @throws the refusal, or why the call could not be decided on.
   */
  async enter(id: string, request: CallRequest, session?: unknown): Promise<Ticket> {
    const input = textOf(request);
    const open = this.#calls.get(id);
    if (open !== undefined && input !== undefined && open.input === input) {
      const ticket = await open.ticket;
      if (this.#leash.signal.aborted) throw this.#leash.signal.reason;
      return ticket;
    }
    const call: OpenCall = { request, session: session ?? open?.session, input, ticket: this.#admit(request, open) };
    // In this very step, so that who asks at the same time finds it.
    this.#calls.set(id, call);
    try {
      return await call.ticket;
    } catch (error) {
      if (this.#calls.get(id) === call) this.#calls.delete(id);
      throw error;
    }
  }

  async #admit(request: CallRequest, before: OpenCall | undefined): Promise<Ticket> {
    // Its place is free for this one.
    if (before !== undefined) await before.ticket.then((ticket) => ticket.release()).catch(() => {});
    return this.#leash.enter(request);
  }

  /** Ends a call that is open. @throws the store could not settle it. */
  async end(id: string, how: (ticket: Ticket) => MaybePromise<void>): Promise<void> {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    this.#calls.delete(id);
    const ticket = await call.ticket.catch(() => undefined);
    if (ticket !== undefined) await how(ticket);
  }

  /** Ends what is open of a session of Claude Code. */
  async endSession(session: unknown, how: (ticket: Ticket) => MaybePromise<void>): Promise<void> {
    const ids = [...this.#calls].flatMap(([id, call]) => (call.session === session ? [id] : []));
    for (const id of ids) await this.end(id, how);
  }
}

/** What tells one input from another; undefined where it is no JSON. */
function textOf({ tool, args }: CallRequest): string | undefined {
  try {
    return canonicalJson(snapshotJson([tool, args]));
  } catch {
    return undefined;
  }
}
