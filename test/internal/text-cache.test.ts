import { describe, expect, it } from 'vitest';
import { TextCache } from '../../src/internal/text-cache.ts';

describe('TextCache', () => {
  it('gives back what it keeps', () => {
    const cache = new TextCache<number>();
    expect(cache.get('a')).toBeUndefined();
    expect(cache.keep('a', 1)).toBe(1);
    expect(cache.get('a')).toBe(1);
    cache.keep('a', 2);
    expect(cache.get('a')).toBe(2);
  });

  it('keeps texts of up to 300 characters', () => {
    const cache = new TextCache<number>();
    for (const length of [300, 301]) expect(cache.keep('a'.repeat(length), length)).toBe(length);
    expect([300, 301].map((length) => cache.get('a'.repeat(length)))).toEqual([300, undefined]);
  });

  it('starts anew after 1,000', () => {
    const cache = new TextCache<number>();
    for (let i = 0; i < 1_000; i++) cache.keep(`${i}`, i);
    expect([cache.get('0'), cache.get('999')]).toEqual([0, 999]);
    cache.keep('1000', 1_000);
    expect([cache.get('0'), cache.get('999'), cache.get('1000')]).toEqual([undefined, undefined, 1_000]);
  });
});
