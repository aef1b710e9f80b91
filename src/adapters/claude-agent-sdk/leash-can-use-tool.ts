import { checkOptions, kindOf } from '../../internal/options.ts';
import type { Leash } from '../../leash-contract.ts';
import type { CallRequest } from '../../session/declaration.ts';
import type { Ticket } from '../../session/ticket.ts';
import { TERMS } from '../framework/tool-body.ts';
import { type ClaudeTerms, OpenCalls, readClaudeTerms } from './open-calls.ts';
import { toldRefusal } from './refusal.ts';

/** A `canUseTool` of `query()`: who is asked for permission. */
export type ClaudeCanUseTool = (tool: string, input: never, context: never) => Promise<unknown>;

/** Terms of tools that no hook of the leash was asked about. */
export interface LeashCanUseToolOptions extends ClaudeTerms {}

interface Answer {
  readonly behavior?: unknown;
  readonly updatedInput?: unknown;
}

interface Denial {
  readonly behavior: 'deny';
  readonly message: string;
  readonly interrupt: boolean;
}

/**
 * A `canUseTool` that asks for no permission that would be of no use: it is called for what the leash allows, and denies
 * the rest, with `interrupt` when the session has ended. An input that it changes is decided on anew, as the one that the
 * tool gets. A call that it denies counts for nothing.
 *
 * Use it beside `leashHooks` of the same leash, which has decided on the call and reserved it by then. Claude Code calls
 * `canUseTool` only where it would ask for permission: alone this holds nothing that is allowed already, and what it
 * allows counts as its estimate when the session closes.
 *
 * @throws {TypeError | RangeError} no function, or options that the leash cannot hold.
 */
export function leashCanUseTool<CanUseTool extends ClaudeCanUseTool>(
  leash: Leash,
  canUseTool: CanUseTool,
  options: LeashCanUseToolOptions = {},
): CanUseTool {
  checkOptions('leashCanUseTool', options, TERMS);
  if (typeof canUseTool !== 'function') {
    throw new TypeError(`leashCanUseTool expects a \`canUseTool\` function, got ${kindOf(canUseTool)}`);
  }
  const termsOf = readClaudeTerms('leashCanUseTool', leash, options);
  const calls = OpenCalls.of(leash);
  const ask = canUseTool as unknown as (...params: readonly unknown[]) => Promise<Answer | null>;

  const decide = async (id: unknown, request: CallRequest): Promise<Ticket | Denial> => {
    try {
      if (typeof id !== 'string') throw new TypeError('canUseTool was told of no tool use');
      return await calls.enter(id, request);
    } catch (error) {
      const { toModel, stopReason } = toldRefusal(leash, error);
      return { behavior: 'deny', message: toModel, interrupt: stopReason !== undefined };
    }
  };
  // The call is not made.
  const release = (id: string): Promise<void> => calls.end(id, (ticket) => ticket.release()).catch(() => {});

  const held = async (tool: string, input: unknown, context: { readonly toolUseID: string }, ...more: unknown[]) => {
    const id = context.toolUseID;
    const request = calls.requestOf(id) ?? { ...termsOf(tool), tool };
    const allowed = await decide(id, { ...request, args: input });
    if ('behavior' in allowed) return allowed;
    const answer = await ask(tool, input, context, ...more);
    if (answer?.behavior === 'deny') await release(id);
    if (answer?.behavior !== 'allow') return answer;
    // Also where the input stayed as it was: the session may have ended since.
    const still = await decide(id, { ...request, args: answer.updatedInput ?? input });
    if (!('behavior' in still))
      return answer.updatedInput === undefined ? answer : { ...answer, updatedInput: still.args };
    await release(id);
    return still;
  };
  return held as unknown as CanUseTool;
}
