import { describe, expect, it } from 'vitest';
import { maskedPointer, pointerSegments } from '../../src/internal/json-pointer.ts';

describe('pointerSegments', () => {
  it.each([
    { pointer: '', segments: [] },
    { pointer: '/', segments: [''] },
    { pointer: '/a/0', segments: ['a', '0'] },
    { pointer: '/a~1b/c~0d', segments: ['a/b', 'c~d'] },
    { pointer: '/~01', segments: ['~1'] },
  ])('reads $pointer', ({ pointer, segments }) => {
    expect(pointerSegments(pointer)).toEqual(segments);
  });
});

describe('maskedPointer', () => {
  const value = JSON.parse('{"list":[{"id":1}],"4111111111111111":{"id":1},"a/b~c":1,"__proto__":{"id":1}}');
  const declared = new Set(['list', 'id', 'a/b~c', 'missing']);

  it.each([
    { name: 'the root', segments: [], pointer: '' },
    { name: 'declared names and indices', segments: ['list', '0', 'id'], pointer: '/list/0/id' },
    { name: 'numbers as segments', segments: ['list', 0, 'id'], pointer: '/list/0/id' },
    { name: 'a name of digits', segments: ['4111111111111111', 'id'], pointer: '/*/id' },
    { name: 'a number that indexes no array', segments: [4111111111111111, 'id'], pointer: '/*/id' },
    { name: 'an index that the array does not have', segments: ['list', 7, 'id'], pointer: '/list/*/id' },
    { name: 'the length of an array', segments: ['list', 'length'], pointer: '/list/*' },
    { name: 'a method of an array', segments: ['list', 'map'], pointer: '/list/*' },
    { name: 'a declared name that is absent', segments: ['missing'], pointer: '/missing' },
    { name: 'a path that leaves the value', segments: ['missing', 0, 'id'], pointer: '/missing/*/id' },
    { name: 'an own __proto__', segments: ['__proto__', 'id'], pointer: '/*/id' },
    { name: 'a name of the prototype', segments: ['constructor', 'name'], pointer: '/*/*' },
    { name: 'escapes', segments: ['a/b~c'], pointer: '/a~1b~0c' },
    { name: 'what is no name', segments: [undefined, Symbol('s'), { key: 'list' }, null], pointer: '/*/*/*/*' },
    { name: 'the segment after what is no name', segments: [undefined, 'list', 0], pointer: '/*/list/*' },
  ])('shows $name', ({ segments, pointer }) => {
    expect(maskedPointer(segments, value, declared)).toBe(pointer);
  });

  it('takes nothing for a name because of how it is written', () => {
    const symbol = Symbol('hidden');
    const named = { toString: () => 'id', [Symbol.toPrimitive]: () => 'id' };
    expect(maskedPointer([named, null], { id: 1 }, new Set(['id', 'null']))).toBe('/*/*');
    expect(maskedPointer([symbol, 0], { [symbol]: [1] }, declared)).toBe('/*/*');
  });

  it('ends after 32 segments', () => {
    const pointer = (length: number): string => maskedPointer(Array(length).fill('id'), {}, declared);
    expect(pointer(32)).toBe('/id'.repeat(32));
    expect(pointer(33)).toBe(`${'/id'.repeat(32)}/*`);
    expect(pointer(10_000)).toBe(`${'/id'.repeat(32)}/*`);
  });
});
