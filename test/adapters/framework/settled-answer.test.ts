import { describe, expect, it } from 'vitest';
import type { ModelCall } from '../../../src/adapters/framework/model-call.ts';
import { settledAnswer } from '../../../src/adapters/framework/settled-answer.ts';
import { createLeash } from '../../../src/leash.ts';
import { rejection } from '../../helpers/refused.ts';

function call(): ModelCall & { readonly told: unknown[] } {
  const told: unknown[] = [];
  return {
    told,
    maxOutputTokens: undefined,
    settle: async (usage) => void told.push(['settled', usage]),
    fail: async () => void told.push('failed'),
    unsent: async () => void told.push('unsent'),
    cut: async () => void told.push('cut'),
  };
}

describe('settledAnswer', () => {
  const quiet = new AbortController().signal;

  it('is the answer, settled with its usage', async () => {
    const of = call();
    const answer = { text: 'x', usage: { inputTokens: 5, outputTokens: 6 } };
    expect(await settledAnswer(of, quiet, async () => answer)).toBe(answer);
    expect(of.told).toEqual([['settled', expect.objectContaining({ inputTokens: 5, outputTokens: 6 })]]);
  });

  it('is its error, at once or later', async () => {
    const error = new Error('down');
    for (const send of [
      () => Promise.reject(error),
      () => {
        throw error;
      },
    ]) {
      const of = call();
      expect(await rejection(settledAnswer(of, quiet, send))).toBe(error);
      expect(of.told).toEqual(['failed']);
    }
  });

  it.each([
    { how: 'heeds it', send: (signal: AbortSignal) => rejecting(signal, new Error('aborted by the framework')) },
    { how: 'does not', send: () => new Promise<never>(() => {}) },
  ])('is cut when the signal aborts a request that $how, and tells why the session has ended', async ({ send }) => {
    const ending = createLeash({ guards: [] });
    const of = call();
    const answer = rejection(settledAnswer(of, ending.signal, () => send(ending.signal)));
    ending.stop('enough');
    expect(await answer).toBe(ending.breach);
    expect(of.told).toEqual(['cut']);
  });

  it('is not sent once the signal has aborted', async () => {
    const reason = new Error('no longer needed');
    const of = call();
    const send = () => expect.unreachable('it was sent');
    expect(await rejection(settledAnswer(of, AbortSignal.abort(reason), send))).toBe(reason);
    expect(of.told).toEqual(['unsent']);
  });

  it('is cut with the error of its caller when that one aborts', async () => {
    const caller = new AbortController();
    const reason = new Error('no longer needed');
    const of = call();
    const answer = rejection(settledAnswer(of, caller.signal, () => new Promise<never>(() => {})));
    caller.abort(reason);
    expect(await answer).toBe(reason);
    expect(of.told).toEqual(['cut']);
  });
});

/** Fails in the same moment as the signal aborts, before others hear of it. */
function rejecting(signal: AbortSignal, error: Error): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(error)));
}
