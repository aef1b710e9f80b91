/** Fixtures for the unit tests of a leash: no runner, no framework, no model, no network. */
export { removeEgressHooks } from '../egress/hooks/hooks.ts';
export type { AnyCode, ExpectedDenial } from './denial.ts';
export { type ErrorOf, expectDenied, type Refusable } from './expect-denied.ts';
export { type FakeClock, type FakeClockOptions, fakeClock } from './fake-clock.ts';
export { type LeashMatchers, leashMatchers, type MatcherResult } from './matchers.ts';
export { type ExpectedDenials, type RecordedEvent, type RecordingSink, recordingSink } from './recording-sink.ts';
export {
  type AgentCall,
  type AgentOptions,
  type AgentRun,
  runScriptedAgent,
  type ScriptedCall,
  type ScriptedTurn,
} from './scripted-agent.ts';
