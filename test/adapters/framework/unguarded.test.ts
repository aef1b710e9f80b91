import { describe, expect, it } from 'vitest';
import { readUnguarded } from '../../../src/adapters/framework/unguarded.ts';

describe('readUnguarded', () => {
  it.each([
    { option: undefined, passes: [] },
    { option: [], passes: [] },
    { option: ['a'], passes: ['a'] },
    { option: ['a', 'b'], passes: ['a', 'b'] },
    { option: 'all', passes: ['a', 'b', 'c'] },
  ])('$option lets pass $passes', ({ option, passes }) => {
    const names = ['a', 'b', 'c'];
    expect(names.filter(readUnguarded('leashTools', option, names))).toEqual(passes);
    expect(names.filter(readUnguarded('leashTools', option))).toEqual(passes);
  });

  it.each([
    { option: 'a', message: "`leashTools.unguarded` must be 'all' or an array of tool names, got 'a'" },
    { option: {}, message: "must be 'all' or an array" },
    { option: [5], message: '`leashTools.unguarded[0]` must be a string' },
    { option: ['d'], message: "`leashTools.unguarded` names 'd', which is no tool" },
  ])('refuses $option', ({ option, message }) => {
    expect(() => readUnguarded('leashTools', option, ['a'])).toThrow(message);
  });
});
