import { describe, expect, it } from 'vitest';
import { Passes, placeOf } from '../../../src/egress/hooks/passes.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('Passes', () => {
  it('are there from the first request to the end of the last', () => {
    const passes = new Passes();
    expect(passes.has('x')).toBe(false);
    passes.open('x');
    passes.open('x');
    passes.open('y');
    expect([passes.has('x'), passes.has('y'), passes.has('z')]).toEqual([true, true, false]);
    passes.close('x');
    expect(passes.has('x')).toBe(true);
    passes.close('x');
    expect([passes.has('x'), passes.has('y')]).toEqual([false, true]);
    passes.close('x');
    passes.open('x');
    passes.close('x');
    expect(passes.has('x')).toBe(false);
  });

  it('tell where a request went, and forget it where there are very many', () => {
    const passes = new Passes();
    expect(passes.had('0')).toBe(false);
    for (let i = 0; i < 4_096; i++) {
      passes.open(`${i}`);
      passes.close(`${i}`);
    }
    const had = () => ['0', '4095', 'new'].map((place) => passes.had(place));
    expect(had()).toEqual([true, true, false]);
    passes.open('new');
    expect(had()).toEqual([false, false, true]);
  });

  it('have an end: the oldest goes', () => {
    const passes = new Passes();
    for (let i = 0; i < 4_096; i++) passes.open(`${i}`);
    passes.open('1');
    expect(passes.has('0')).toBe(true);
    passes.open('new');
    expect([passes.has('0'), passes.has('1'), passes.has('4095'), passes.has('new')]).toEqual([
      false,
      true,
      true,
      true,
    ]);
    passes.close('0');
    expect(passes.has('0')).toBe(false);
  });

  it('remember a refusal for this turn', async () => {
    const passes = new Passes();
    const [first, second] = [new Error('first'), new Error('second')];
    passes.refuse('x', first);
    expect([passes.refusalOf('x'), passes.refusalOf('y')]).toEqual([first, undefined]);
    passes.refuse('x', second);
    expect(passes.refusalOf('x')).toBe(second);
    await turn();
    expect(passes.refusalOf('x')).toBeUndefined();
    setImmediate(() => passes.refuse('x', second));
    passes.refuse('x', first);
    await turn();
    // That of the turn before does not take the new one with it.
    expect(passes.refusalOf('x')).toBe(second);
    await turn();
    expect(passes.refusalOf('x')).toBeUndefined();
  });
});

describe('placeOf', () => {
  it('tells apart what is not the same place', () => {
    const places = [
      placeOf(false, 'a.test', 80),
      placeOf(true, 'a.test', 80),
      placeOf(false, 'a.test', 81),
      placeOf(false, 'b.test', 80),
    ];
    expect(new Set(places).size).toBe(4);
    expect(placeOf(true, '[::1]', 443)).toBe('https://[::1]:443');
  });
});
