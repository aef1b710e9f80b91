import type { MaybePromise } from '../../internal/maybe-promise.ts';
import { checkOptions, kindOf } from '../../internal/options.ts';
import type { Leash } from '../../leash-contract.ts';
import type { Ticket } from '../../session/ticket.ts';
import { TERMS } from '../framework/tool-body.ts';
import { type ClaudeTerms, OpenCalls, readClaudeTerms } from './open-calls.ts';
import { toldRefusal } from './refusal.ts';

export interface LeashHooksOptions<Hooks extends object = object> extends ClaudeTerms {
  /** Hooks of your own, which run beside those of the leash. Default: none. */
  readonly hooks?: Hooks | undefined;
}

/** What a hook of the leash answers; `{}` changes nothing. */
export interface ClaudeHookOutput {
  continue?: boolean;
  stopReason?: string;
  hookSpecificOutput?: {
    hookEventName: 'PreToolUse';
    permissionDecision: 'deny';
    permissionDecisionReason: string;
  };
}

/** Hooks of one event, as `query()` takes them. */
export interface ClaudeHookMatcher {
  hooks: ((input: object, toolUseId?: string) => Promise<ClaudeHookOutput>)[];
  onFailure?: 'block';
}

/** The hooks of the leash, by event. */
export interface ClaudeHooks {
  PreToolUse: ClaudeHookMatcher[];
  PostToolUse: ClaudeHookMatcher[];
  PostToolUseFailure: ClaudeHookMatcher[];
  PermissionDenied: ClaudeHookMatcher[];
  PostToolBatch: ClaudeHookMatcher[];
  SessionEnd: ClaudeHookMatcher[];
}

/**
 * The `hooks` of `query()` that put every tool of Claude Code under the leash: its own, those of MCP servers, and those
 * that subagents use. A refused call is denied with the message; when the session has ended, Claude is stopped with it as
 * `stopReason`, here or after a call that was under way. A call is settled when Claude Code tells that it has ended. One
 * that was denied after the leash had allowed it counts for nothing; one whose end is never told counts as its estimate.
 *
 * The tools run in a process of their own: the end of the session does not abort those that run, and the leash does not
 * see where they connect to. What other hooks make of the input is not looked at again; `leashCanUseTool` does, for
 * permissions. A Claude Code that cannot block on a hook that fails (`onFailure`) does not start.
 *
 * @throws {TypeError | RangeError} options that the leash cannot hold. A tool that it cannot hold when it is used, such as
 * one without a cost under a budget, is denied, and Claude stopped.
 */
export function leashHooks<Hooks extends object = object>(
  leash: Leash,
  options: LeashHooksOptions<Hooks> = {},
): ClaudeHooks & Hooks {
  checkOptions('leashHooks', options, [...TERMS, 'hooks']);
  const { hooks: own = {}, ...terms } = options;
  const termsOf = readClaudeTerms('leashHooks', leash, terms);
  const calls = OpenCalls.of(leash);

  const before = async (given: object, toolUseId?: string): Promise<ClaudeHookOutput> => {
    const { tool_name: tool, tool_input: args, tool_use_id: id = toolUseId, session_id } = given as HookInput;
    try {
      if (typeof tool !== 'string' || typeof id !== 'string') throw new TypeError('the hook was told of no tool use');
      await calls.enter(id, { ...termsOf(tool), tool, args }, session_id);
      return {};
    } catch (error) {
      return denied(leash, error);
    }
  };
  const after = (end: (given: HookInput) => Promise<void>) => async (given: object) => {
    try {
      await end(given as HookInput);
      return leash.signal.aborted ? stopped(leash, leash.signal.reason) : {};
    } catch (error) {
      return stopped(leash, error);
    }
  };
  const each = (end: (ticket: Ticket) => MaybePromise<void>) =>
    after(async ({ tool_use_id: id }) => calls.end(String(id), end));
  const held: ClaudeHooks = {
    PreToolUse: [{ hooks: [before], onFailure: 'block' }],
    PostToolUse: [{ hooks: [each((ticket) => ticket.settle())] }],
    PostToolUseFailure: [{ hooks: [each((ticket) => ticket.fail(new ToolUseError('TOOL_FAILED')))] }],
    // Claude Code denied it itself.
    PermissionDenied: [{ hooks: [each((ticket) => ticket.release())] }],
    // All calls of a step have ended: what was not told is not known, and counts.
    PostToolBatch: [
      {
        hooks: [
          after(async ({ tool_calls: uses }) => {
            for (const { tool_use_id: id } of uses ?? []) await calls.end(String(id), unreported);
          }),
        ],
      },
    ],
    SessionEnd: [{ hooks: [after(async ({ session_id }) => calls.endSession(session_id, unreported))] }],
  };
  return beside(held, own) as ClaudeHooks & Hooks;
}

/** What the hooks of tools are given, as far as the leash reads it. */
interface HookInput {
  readonly session_id?: unknown;
  readonly tool_name?: unknown;
  readonly tool_input?: unknown;
  readonly tool_use_id?: unknown;
  readonly tool_calls?: readonly { readonly tool_use_id?: unknown }[];
}

/** Its code is what the log has of a call that did not end well. */
class ToolUseError extends Error {
  readonly code: 'TOOL_FAILED' | 'UNREPORTED';

  constructor(code: ToolUseError['code']) {
    super(code);
    this.code = code;
  }
}

function unreported(ticket: Ticket): MaybePromise<void> {
  return ticket.fail(new ToolUseError('UNREPORTED'));
}

function denied(leash: Leash, error: unknown): ClaudeHookOutput {
  const { toModel, stopReason } = toldRefusal(leash, error);
  return {
    ...(stopReason === undefined ? {} : { continue: false, stopReason }),
    hookSpecificOutput: {
      hookEventName: 'PreToolUse',
      permissionDecision: 'deny',
      permissionDecisionReason: toModel,
    },
  };
}

/** After a call, when there may be no other. */
function stopped(leash: Leash, error: unknown): ClaudeHookOutput {
  const { toModel, stopReason = toModel } = toldRefusal(leash, error);
  return { continue: false, stopReason };
}

function beside(held: object, own: unknown): object {
  if (typeof own !== 'object' || own === null) {
    throw new TypeError(`\`leashHooks.hooks\` must be an object of matchers by event, got ${kindOf(own)}`);
  }
  const all: Record<string, unknown> = { ...own };
  for (const [event, matchers] of Object.entries(held)) {
    const more: unknown = all[event] ?? [];
    if (!Array.isArray(more)) {
      throw new TypeError(`\`leashHooks.hooks.${event}\` must be an array of matchers, got ${kindOf(more)}`);
    }
    all[event] = [...matchers, ...more];
  }
  return all;
}
