/** leashkit: holds an agent's tool calls to limits, stops the agent, and keeps a log that others can verify. */
export type { ArgsHash } from './audit/commitment.ts';
export { fileSink } from './audit/file-sink.ts';
export { type MemorySink, type MemorySinkOptions, memorySink } from './audit/memory-sink.ts';
export type { AuditSink, TornTail } from './audit/sink.ts';
export { type Call, currentCall } from './call.ts';
export type { Decision, DecisionDenial } from './decision.ts';
export type { CallRequest } from './declaration.ts';
export {
  type AnyDenial,
  type ArgsIssue,
  AuditUnavailableError,
  BudgetExceededError,
  type BudgetReason,
  CallCapExceededError,
  ConflictError,
  type DenialCode,
  DeniedError,
  EgressDeniedError,
  type EventRef,
  findLeashError,
  isLeashError,
  LeashError,
  type LeashErrorCode,
  RateLimitedError,
  type SessionEndedCode,
  SessionEndedError,
  StateLostError,
  StoreUnavailableError,
  ToolArgsInvalidError,
} from './errors.ts';
export type { Denial, Guard, Limit, Preparation, Target, ToolCall, ToolDeclaration, Verdict } from './guard.ts';
export { type ArgsOptions, args, type StandardResult, type StandardSchema } from './guards/args.ts';
export { type BudgetOptions, budget } from './guards/budget.ts';
export { type CallCapOptions, callCap } from './guards/call-cap.ts';
export { type EgressOptions, type EgressRule, type EgressRuleOptions, egress } from './guards/egress.ts';
export { type RateLimitOptions, rateLimit } from './guards/rate-limit.ts';
export type { Hold } from './hold.ts';
export type { Clock } from './internal/clock.ts';
export type { Duration } from './internal/duration.ts';
export type { MaybePromise } from './internal/maybe-promise.ts';
export type { Per, Span, Window } from './internal/window.ts';
export { createLeash, type Leash, type Summary } from './leash.ts';
export type { AuditOptions, ChildOptions, LeashOptions, StopOn } from './leash-options.ts';
export type { Amount, Money, MoneyUnit } from './money.ts';
export type { Convert } from './plan.ts';
export { type MemoryStoreOptions, memoryStore } from './stores/memory.ts';
export type {
  Decision as StoreDecision,
  Forfeited,
  HoldState,
  Line,
  Reading,
  Reserve,
  Settle,
  Settled,
  Store,
  Units,
} from './stores/store.ts';
export type { Ticket } from './ticket.ts';
export type { ArgsOf, Cost, OnError, ToolOptions } from './tool.ts';
export type { LimitUsage, Usage } from './usage.ts';
