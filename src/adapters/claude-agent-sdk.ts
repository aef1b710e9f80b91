export {
  type ClaudeCanUseTool,
  type LeashCanUseToolOptions,
  leashCanUseTool,
} from './claude-agent-sdk/leash-can-use-tool.ts';
export {
  type ClaudeHookMatcher,
  type ClaudeHookOutput,
  type ClaudeHooks,
  type LeashHooksOptions,
  leashHooks,
} from './claude-agent-sdk/leash-hooks.ts';
export { type ClaudeTool, leashTool } from './claude-agent-sdk/leash-tool.ts';
export type { ClaudeTerms, ClaudeToolInput } from './claude-agent-sdk/open-calls.ts';
