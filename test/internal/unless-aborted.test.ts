import { describe, expect, it } from 'vitest';
import { unlessAborted } from '../../src/internal/unless-aborted.ts';
import { rejection } from '../helpers/refused.ts';

describe('unlessAborted', () => {
  it('is the work, while the signal is quiet', async () => {
    const { signal } = new AbortController();
    const error = new Error('own');
    expect(await unlessAborted(Promise.resolve(5), signal)).toBe(5);
    expect(await rejection(unlessAborted(Promise.reject(error), signal))).toBe(error);
  });

  it('is the reason of the signal, whatever the work does later', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const late = unlessAborted(new Promise((_, reject) => setImmediate(reject, new Error('late'))), controller.signal);
    controller.abort(reason);
    expect(await rejection(late)).toBe(reason);
    expect(await rejection(unlessAborted(Promise.resolve(5), controller.signal))).toBe(reason);
    await new Promise(setImmediate);
  });

  it('does work once that begins when it is asked for its result', async () => {
    let sent = 0;
    // biome-ignore lint/suspicious/noThenProperty: requests of some clients begin like this.
    const request = { then: (resolve: (value: number) => void) => resolve(++sent) };
    expect(await unlessAborted(request as PromiseLike<number>, new AbortController().signal)).toBe(1);
    expect(sent).toBe(1);
  });
});
