import { describe, expect, it } from 'vitest';
import { eitherSignal, unlessAborted } from '../../../src/adapters/framework/signal.ts';
import { rejection } from '../../helpers/refused.ts';

describe('eitherSignal', () => {
  it('aborts with either of the two', () => {
    const [one, other, quiet] = [new AbortController(), new AbortController(), new AbortController()];
    const ofOne = eitherSignal(one.signal, quiet.signal);
    const ofOther = eitherSignal(quiet.signal, other.signal);
    expect([ofOne.aborted, ofOther.aborted]).toEqual([false, false]);
    one.abort('one');
    other.abort('other');
    expect([ofOne.reason, ofOther.reason]).toEqual(['one', 'other']);
  });

  it.each([undefined, null])('is the one where the other is %s', (none) => {
    const { signal } = new AbortController();
    expect(eitherSignal(none, signal)).toBe(signal);
  });

  it('leaves alone what it cannot join', () => {
    const foreign = { aborted: false };
    expect(eitherSignal(foreign, new AbortController().signal)).toBe(foreign);
  });
});

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
});
