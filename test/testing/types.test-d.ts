/** Compiled by `tsc`, never run: the types of the fixtures. */
import { expect } from 'vitest';
import type {
  BudgetExceededError,
  CallCapExceededError,
  DeniedError,
  EgressDeniedError,
  Leash,
  LeashError,
  SessionEndedError,
} from '../../src/index.ts';
import {
  type AgentRun,
  type ErrorOf,
  expectDenied,
  leashMatchers,
  type RecordingSink,
  runScriptedAgent,
} from '../../src/testing/index.ts';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(equal: Equal<A, B>): void;
declare const leash: Leash;
declare const sink: RecordingSink;

// The code decides what the error is.
same<ErrorOf<'BUDGET_EXCEEDED'>, BudgetExceededError>(true);
same<ErrorOf<'EGRESS_DENIED'>, EgressDeniedError>(true);
same<ErrorOf<'SESSION_STOPPED'>, SessionEndedError>(true);
same<ErrorOf<'GUARD_FAILED'>, DeniedError>(true);
same<ErrorOf<'A_CODE_OF_MY_OWN'>, DeniedError>(true);
same<ErrorOf<'AUDIT_UNAVAILABLE'>, LeashError>(true);
same<ErrorOf<'BUDGET_EXCEEDED' | 'CALL_CAP_REACHED'>, BudgetExceededError | CallCapExceededError>(true);
{
  const denied = expectDenied(Promise.resolve(), 'CALL_CAP_REACHED');
  same<typeof denied, Promise<CallCapExceededError>>(true);
  // @ts-expect-error: no promise, stream or function.
  void expectDenied(5, 'CALL_CAP_REACHED');
  // @ts-expect-error: a key that nobody looks at.
  void expectDenied(Promise.resolve(), 'CALL_CAP_REACHED', { tols: 'a' });
  // @ts-expect-error: no code.
  void expectDenied(Promise.resolve());
}

// What a leash takes.
leash.child({ guards: [], audit: sink });
leash.child({ guards: [], audit: { sink, sign: 'none' } });

// Tools of any one parameter, and of none; sync, async and streams.
{
  const tools = {
    none: leash.wrap('none', () => 1),
    one: leash.wrap('one', async (args: { readonly q: string }) => args.q),
    stream: leash.wrap('stream', async function* (_: number) {
      yield 'part';
    }),
  };
  const run = runScriptedAgent({ script: [{ tool: 'one', args: {} }, [{ tool: 'none' }], 'done'], tools });
  same<typeof run, Promise<AgentRun>>(true);
  void runScriptedAgent({ script: async (seen) => (seen.length > 2 ? 'done' : { tool: 'none' }), tools });
  // @ts-expect-error: a model asks for one object.
  void runScriptedAgent({ script: [], tools: { two: (a: string, b: string) => a + b } });
  // @ts-expect-error: a turn that is none.
  void runScriptedAgent({ script: [5], tools });
}

expect.extend(leashMatchers);
