/** leashkit: holds an agent's tool calls to limits, stops the agent, and keeps a log that others can verify. */

export type { SignMode } from './audit/checkpoints.ts';
export type { ArgsHash } from './audit/commitment.ts';
export { type Durability, type FileSinkOptions, fileSink } from './audit/file-sink.ts';
export {
  type ForwardedFields,
  forwardSink,
  type InfoLogger,
  type OtelLogger,
  type OtelLogRecord,
  type OtelSinkOptions,
  otelSink,
} from './audit/forward-sink.ts';
export { headOfNote } from './audit/head.ts';
export {
  type EventProof,
  type EventProofOptions,
  type EventProofReport,
  proveEvent,
  verifyEventProof,
} from './audit/inclusion.ts';
export type { Key, RootSigner } from './audit/key.ts';
export type { VerifyCode } from './audit/line.ts';
export type { LogKey } from './audit/log-key.ts';
export { type MemorySink, type MemorySinkOptions, memorySink } from './audit/memory-sink.ts';
export {
  checkOpening,
  matchesCommitment,
  type OpenCommitmentOptions,
  type Opening,
  openCommitment,
} from './audit/opening.ts';
export {
  ProofInvalidError,
  type ProofKey,
  type ProofReason,
  proofKey,
  type VerifyProofOptions,
  verifyProof,
} from './audit/proof.ts';
export type { ProofClaims, ProofFormat } from './audit/proof-claims.ts';
export { type MemorySeen, type MemorySeenOptions, memorySeen, type SeenProofs } from './audit/proof-seen.ts';
export type { AuditSink, PriorHead, Recovered, TornTail } from './audit/sink.ts';
export { streamSink, type WritableLike } from './audit/stream-sink.ts';
export { type TeeSinkOptions, teeSink } from './audit/tee-sink.ts';
export {
  type LogHead,
  type LogReport,
  type LogSource,
  type VerifyOptions,
  type VerifyReport,
  verifyLog,
} from './audit/verify.ts';
export type { WebhookFetch, WebhookRequest, WebhookResponse } from './audit/webhook-post.ts';
export { type WebhookSinkOptions, webhookSink } from './audit/webhook-sink.ts';
export { type Call, currentCall, type ProofOptions } from './call.ts';
export type { EntryPoint } from './egress/hooks/canary.ts';
export type { Coverage, EgressCoverage } from './egress/hooks/coverage.ts';
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
  EgressUnenforcedError,
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
  type Unbooked,
} from './errors.ts';
export type {
  AddressVerdict,
  Connection,
  Denial,
  Egress,
  EgressProxy,
  Enforce,
  Guard,
  Limit,
  OutgoingRequest,
  Preparation,
  Resolver,
  Target,
  ToolCall,
  ToolDeclaration,
  Verdict,
} from './guard.ts';
export { type ArgsOptions, args, type StandardResult, type StandardSchema } from './guards/args.ts';
export { type BudgetOptions, budget } from './guards/budget.ts';
export { type CallCapOptions, callCap } from './guards/call-cap.ts';
export {
  type EgressAddressOptions,
  type EgressOptions,
  type EgressRule,
  type EgressRuleOptions,
  egress,
} from './guards/egress.ts';
export { type RateLimitOptions, rateLimit } from './guards/rate-limit.ts';
export type { Clock } from './internal/clock.ts';
export type { Duration } from './internal/duration.ts';
export type { MaybePromise } from './internal/maybe-promise.ts';
export type { Per, Span, Window } from './internal/window.ts';
export { createLeash } from './leash.ts';
export type { Leash, StopOptions, Summary } from './leash-contract.ts';
export type { AuditOptions, ChildOptions, LeashOptions, StopOn } from './leash-options.ts';
export type { Amount, Money, MoneyUnit } from './money.ts';
export { resumeScope, stopScope } from './scope-stop.ts';
export type { AllowUpTo, OnStoreError } from './session/allowance.ts';
export type { Decision, DecisionDenial } from './session/decision.ts';
export type { CallRequest } from './session/declaration.ts';
export type { LeashEgress } from './session/egress.ts';
export type { Hold } from './session/hold.ts';
export type { Convert } from './session/plan.ts';
export type { Ticket } from './session/ticket.ts';
export type { ArgsOf, Cost, OnError, ToolOptions } from './session/tool.ts';
export type { LimitUsage, Usage } from './session/usage.ts';
export { type MemoryStoreOptions, memoryStore } from './stores/memory.ts';
export type {
  Decision as StoreDecision,
  Forfeited,
  HoldState,
  Lifetime,
  Line,
  Reading,
  Reserve,
  Settle,
  Settled,
  Store,
  Units,
} from './stores/store.ts';
