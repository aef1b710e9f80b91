import { describe, expect, it } from 'vitest';
import { eitherSignal } from '../../../src/adapters/framework/signal.ts';

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
