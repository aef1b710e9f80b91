import { unlessAborted } from '../../internal/unless-aborted.ts';
import { normalizeUsage } from '../../prices/normalize-usage.ts';
import type { ModelCall } from './model-call.ts';

/**
 * The answer to a request that was let begin, which is settled with the usage that the answer has. Where the signal aborts
 * first its reason is thrown: of the signal of a leash that is why its session has ended.
 */
export async function settledAnswer<Answer>(
  call: ModelCall,
  signal: AbortSignal,
  send: () => PromiseLike<Answer>,
): Promise<Answer> {
  const answer = await answerOf(call, signal, send);
  await call.settle(normalizeUsage(answer));
  return answer;
}

/** The answer to a request that was let begin, which is settled only where there is none. After an abort nothing is sent. */
export async function answerOf<Answer>(
  call: ModelCall,
  signal: AbortSignal,
  send: () => PromiseLike<Answer>,
): Promise<Answer> {
  if (signal.aborted) {
    await call.unsent();
    throw signal.reason;
  }
  try {
    return await unlessAborted(send(), signal);
  } catch (error) {
    await (signal.aborted ? call.cut() : call.fail());
    throw error;
  }
}
