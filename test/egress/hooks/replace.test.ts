import { describe, expect, it } from 'vitest';
import { replace } from '../../../src/egress/hooks/replace.ts';

type Fn = (this: unknown, ...args: unknown[]) => unknown;

const doubling = (original: Fn): Fn =>
  function (this: unknown, ...args: unknown[]): unknown {
    return [Reflect.apply(original, this, args)];
  };

describe('replace', () => {
  it('puts a function in place that looks like the other, and restores it', () => {
    const mark = Symbol('mark');
    function original(this: unknown, a: number, b: number, c: number): unknown {
      return [this, a + b + c];
    }
    Object.assign(original, { extra: 1, [mark]: 2 });
    const object: { original: typeof original; other: number } = { original, other: 1 };
    const restore = replace(object, 'original', doubling);
    expect(object.original).not.toBe(original);
    expect(object.original(1, 2, 3)).toEqual([[object, 6]]);
    expect([object.original.name, object.original.length]).toEqual(['original', 3]);
    expect(Object.assign({}, object.original)).toEqual({ extra: 1, [mark]: 2 });
    expect(Object.keys(object)).toEqual(['original', 'other']);
    restore();
    expect(object.original).toBe(original);
    restore();
    expect(object.original).toBe(original);
  });

  it('keeps how the property is', () => {
    const object = {} as { hidden(): number };
    Object.defineProperty(object, 'hidden', { value: () => 1, enumerable: false, configurable: true, writable: false });
    const restore = replace(object, 'hidden', doubling);
    expect(object.hidden()).toEqual([1]);
    expect(Object.getOwnPropertyDescriptor(object, 'hidden')).toMatchObject({ enumerable: false, writable: false });
    restore();
    expect(object.hidden()).toBe(1);
  });

  it('leaves what somebody has put above', () => {
    const object = { fn: (): unknown => 1 };
    const restore = replace(object, 'fn', doubling);
    const ours = object.fn;
    const theirs = (): unknown => ({ theirs: ours() });
    object.fn = theirs;
    restore();
    expect(object.fn).toBe(theirs);
    object.fn = ours;
    restore();
    expect(object.fn()).toBe(1);
  });

  const getter = {};
  Object.defineProperty(getter, 'fn', { get: () => () => 1, configurable: true });
  it.each([
    ['nothing', {}],
    ['what is inherited', Object.create({ fn: () => 1 }) as object],
    ['what is no function', { fn: 1 }],
    ['a getter', getter],
    ['what cannot be replaced', Object.freeze({ fn: () => 1 })],
  ])('leaves %s', (_, object) => {
    const before = Object.getOwnPropertyDescriptors(object);
    const restore = replace(object as { fn: unknown }, 'fn', doubling);
    restore();
    expect(Object.getOwnPropertyDescriptors(object)).toEqual(before);
  });
});
