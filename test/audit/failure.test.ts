import { describe, expect, it } from 'vitest';
import { codeWord, failed, inTime } from '../../src/audit/failure.ts';

describe('failed', () => {
  it('has a code, a message, and a cause where there is one', () => {
    const error = failed('E_X', 'it failed');
    expect(error).toMatchObject({ code: 'E_X', message: 'it failed' });
    expect(error).not.toHaveProperty('cause');
    expect(failed('E_X', 'it failed', 'why')).toMatchObject({ cause: 'why' });
  });
});

describe('codeWord', () => {
  it.each([
    { error: { code: 'ENOSPC' }, word: ' (ENOSPC)' },
    { error: failed('E_2', ''), word: ' (E_2)' },
    { error: { code: `E${'X'.repeat(63)}` }, word: ` (E${'X'.repeat(63)})` },
    // What is no word of a system may hold anything.
    { error: { code: `E${'X'.repeat(64)}` }, word: '' },
    { error: { code: 'E' }, word: '' },
    { error: { code: 'enospc' }, word: '' },
    { error: { code: '1E' }, word: '' },
    { error: { code: 'ENO SPC' }, word: '' },
    { error: { code: 'x ENOSPC' }, word: '' },
    { error: { code: 'ENOSPC: secret' }, word: '' },
    { error: { code: ['ENOSPC'] }, word: '' },
    { error: { code: 28 }, word: '' },
    { error: new Error('ENOSPC'), word: '' },
    { error: 'ENOSPC', word: '' },
    { error: null, word: '' },
    { error: undefined, word: '' },
  ])('is $word of $error', ({ error, word }) => {
    expect(codeWord(error)).toBe(word);
  });
});

describe('inTime', () => {
  it('is the answer, or its failure', async () => {
    expect(await inTime(Promise.resolve(7), 1_000, 'the sink')).toBe(7);
    await expect(inTime(Promise.reject(new Error('down')), 1_000, 'the sink')).rejects.toThrow('down');
  });

  it('is a failure where no answer comes', async () => {
    await expect(inTime(new Promise(() => {}), 5, 'the sink')).rejects.toMatchObject({
      code: 'ETIMEDOUT',
      message: 'the sink did not answer in time',
    });
  });

  it('is a failure where the answer is to wait for another one', async () => {
    // biome-ignore lint/suspicious/noThenProperty: some libraries have such an answer.
    const endless = { then: (resolve: (value: unknown) => void) => resolve(new Promise(() => {})) };
    await expect(inTime(endless as PromiseLike<unknown>, 5, 'the sink')).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  });

  it('waits no longer for an answer that throws', async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const broken = {
      // biome-ignore lint/suspicious/noThenProperty: some libraries have such an answer.
      then: (): never => {
        throw new Error('down');
      },
    };
    await expect(inTime(broken as PromiseLike<unknown>, 60_000, 'the sink')).rejects.toThrow('down');
    expect(timers()).toBe(before);
  });
});
