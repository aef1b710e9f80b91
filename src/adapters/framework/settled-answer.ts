import type { Leash } from '../../leash-contract.ts';
import { normalizeUsage } from '../../prices/normalize-usage.ts';
import type { ModelCall } from './model-call.ts';
import { unlessAborted } from './signal.ts';

/** The answer to a request that was let begin, which is settled with the usage that the answer has. */
export async function settledAnswer<Answer>(
  leash: Leash,
  call: ModelCall,
  signal: AbortSignal,
  send: () => PromiseLike<Answer>,
): Promise<Answer> {
  const answer = await answerOf(leash, call, signal, send);
  await call.settle(normalizeUsage(answer));
  return answer;
}

/** The answer to a request that was let begin, which is settled only where there is none. */
export async function answerOf<Answer>(
  leash: Leash,
  call: ModelCall,
  signal: AbortSignal,
  send: () => PromiseLike<Answer>,
): Promise<Answer> {
  try {
    return await unlessAborted(send(), signal);
  } catch (error) {
    if (!signal.aborted) {
      await call.fail();
      throw error;
    }
    await call.cut();
    // Why the session has ended says more than that the request was aborted.
    throw leash.signal.aborted ? leash.signal.reason : error;
  }
}
