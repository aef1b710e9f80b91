import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkInteger,
  checkName,
  checkOneOf,
  checkOptions,
  checkTools,
  kindOf,
  shown,
} from '../../src/internal/options.ts';

const throwing = {
  toString: () => {
    throw new Error('toString');
  },
};

describe('shown', () => {
  it.each([
    { value: 'text', text: "'text'" },
    { value: '', text: "''" },
    { value: 'x'.repeat(80), text: `'${'x'.repeat(80)}'` },
    { value: 'x'.repeat(81), text: `'${'x'.repeat(80)}…'` },
    { value: 5n, text: '5n' },
    { value: -0.5, text: '-0.5' },
    { value: Number.NaN, text: 'NaN' },
    { value: undefined, text: 'undefined' },
    { value: null, text: 'null' },
    { value: true, text: 'true' },
    { value: [1, 2], text: 'an array' },
    { value: { a: 1 }, text: 'an object' },
    { value: throwing, text: 'an object' },
    { value: Symbol('s'), text: 'Symbol(s)' },
    { value: () => 'source', text: 'a function' },
    { value: class Source {}, text: 'a function' },
    { value: Object.assign(() => 'source', throwing), text: 'a function' },
  ])('shows $text', ({ value, text }) => {
    expect(shown(value)).toBe(text);
  });
});

describe('kindOf', () => {
  it.each([
    { value: 'secret', text: 'a string' },
    { value: 42, text: 'a number' },
    { value: 0, text: 'a number' },
    { value: -42, text: 'a negative number' },
    { value: Number.NaN, text: 'NaN' },
    { value: Number.POSITIVE_INFINITY, text: 'Infinity' },
    { value: Number.NEGATIVE_INFINITY, text: '-Infinity' },
    { value: -42n, text: 'a bigint' },
    { value: true, text: 'a boolean' },
    { value: Symbol('secret'), text: 'a symbol' },
    { value: () => 'secret', text: 'a function' },
    { value: undefined, text: 'undefined' },
    { value: null, text: 'null' },
    { value: ['secret'], text: 'an array' },
    { value: throwing, text: 'an object' },
  ])('names $text without its content', ({ value, text }) => {
    expect(kindOf(value)).toBe(text);
  });

  it('never repeats a string or a finite number', () => {
    fc.assert(
      fc.property(fc.oneof(fc.stringMatching(/^[0-9]{3,9}$/), fc.integer(), fc.bigInt()), (value) => {
        expect(kindOf(value)).not.toMatch(/\d/);
      }),
    );
  });
});

describe('checkOptions', () => {
  it.each([
    { name: 'no options set', options: {} },
    { name: 'known options', options: { max: 1, per: '1m' } },
    { name: 'an option that is undefined', options: { max: undefined } },
    { name: 'a record without a prototype', options: Object.assign(Object.create(null), { max: 1 }) },
    {
      name: 'an instance of a class',
      options: new (class {
        max = 1;
      })(),
    },
  ])('accepts $name', ({ options }) => {
    expect(() => checkOptions('rateLimit', options, ['max', 'per'])).not.toThrow();
  });

  it.each([
    { name: 'undefined', options: undefined, says: 'rateLimit expects an options object, got undefined' },
    { name: 'null', options: null, says: 'rateLimit expects an options object, got null' },
    { name: 'a number', options: 5, says: 'rateLimit expects an options object, got 5' },
    { name: 'a string', options: '5', says: "rateLimit expects an options object, got '5'" },
    { name: 'an array', options: [], says: 'rateLimit expects an options object, got an array' },
    { name: 'a function', options: () => 5, says: 'rateLimit expects an options object, got a function' },
    { name: 'an unknown option', options: { max: 1, pre: '1m' }, says: 'rateLimit: unknown option `pre`' },
    { name: 'an unknown option that is undefined', options: { pre: undefined }, says: 'unknown option `pre`' },
    { name: 'an own __proto__', options: JSON.parse('{"__proto__":1}'), says: 'unknown option `__proto__`' },
    { name: 'another case', options: { Max: 1 }, says: 'unknown option `Max`; known options are max, per' },
  ])('refuses $name', ({ options, says }) => {
    expect(() => checkOptions('rateLimit', options, ['max', 'per'])).toThrow(TypeError);
    expect(() => checkOptions('rateLimit', options, ['max', 'per'])).toThrow(says);
  });
});

describe('checkInteger', () => {
  it.each([
    { value: 0, min: 0 },
    { value: 1, min: 1 },
    { value: 2 ** 53 - 1, min: 0 },
  ])('accepts $value where at least $min is asked for', ({ value, min }) => {
    expect(checkInteger('max', value, min)).toBe(value);
  });

  it('takes -0 for 0', () => {
    expect(checkInteger('max', -0, 0)).toBe(0);
  });

  it.each([
    ...[Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1, 0, -0, 0.5, 1.5, 2 ** 53, 5e-324].map(
      (value) => ({ value, error: RangeError }),
    ),
    ...['1', '', 1n, true, null, undefined, [1], {}, Object(1)].map((value) => ({ value, error: TypeError })),
  ])('refuses $value where at least 1 is asked for', ({ value, error }) => {
    expect(() => checkInteger('callCap.max', value, 1)).toThrow(error);
    expect(() => checkInteger('callCap.max', value, 1)).toThrow('`callCap.max` must be an integer >= 1, got ');
  });
});

describe('checkName', () => {
  it.each(['a', 'stripe.charge', 'x'.repeat(256), 'größe', '\u{1f600}', ' ', '__proto__'])('accepts %j', (name) => {
    expect(checkName('agent', name)).toBe(name);
  });

  it.each([
    { name: 'an empty name', value: '', error: RangeError },
    { name: 'a long name', value: 'x'.repeat(257), error: RangeError },
    { name: 'a lone surrogate', value: 'a\ud800', error: RangeError },
    { name: 'a number', value: 5, error: TypeError },
    { name: 'undefined', value: undefined, error: TypeError },
    { name: 'a string object', value: Object('a'), error: TypeError },
  ])('refuses $name', ({ value, error }) => {
    expect(() => checkName('agent', value)).toThrow(error);
    expect(() => checkName('agent', value)).toThrow('`agent` must be ');
  });
});

describe('checkTools', () => {
  it('leaves a list that was not given alone', () => {
    expect(checkTools('budget.tools', undefined)).toBeUndefined();
  });

  it('gives a frozen, sorted copy without doubles', () => {
    const given = ['search', 'charge', 'search'];
    const tools = checkTools('budget.tools', given);
    expect(tools).toEqual(['charge', 'search']);
    expect(Object.isFrozen(tools)).toBe(true);
    expect(given).toEqual(['search', 'charge', 'search']);
  });

  it.each([
    { name: 'null', tools: null, error: TypeError, says: '`budget.tools` must be an array' },
    { name: 'a string', tools: 'charge', error: TypeError, says: '`budget.tools` must be an array' },
    { name: 'a set', tools: new Set(['charge']), error: TypeError, says: '`budget.tools` must be an array' },
    { name: 'an array-like', tools: { length: 1, 0: 'a' }, error: TypeError, says: '`budget.tools` must be an array' },
    { name: 'an empty list', tools: [], error: RangeError, says: '`budget.tools` is empty' },
    { name: 'a number in it', tools: ['a', 5], error: TypeError, says: '`budget.tools[1]` must be a string, got 5' },
    { name: 'an empty name in it', tools: ['a', ''], error: RangeError, says: '`budget.tools[1]` must be 1 to 256' },
    { name: 'undefined in it', tools: [undefined], error: TypeError, says: '`budget.tools[0]` must be a string' },
    { name: 'a hole in it', tools: new Array(1), error: TypeError, says: '`budget.tools[0]` must be a string' },
  ])('refuses $name', ({ tools, error, says }) => {
    expect(() => checkTools('budget.tools', tools)).toThrow(error);
    expect(() => checkTools('budget.tools', tools)).toThrow(says);
  });
});

describe('checkOneOf', () => {
  it('gives the word', () => {
    expect(checkOneOf('mode', 'observe', ['enforce', 'observe'])).toBe('observe');
  });

  it.each([
    { value: 'Observe' },
    { value: '' },
    { value: undefined },
    { value: null },
    { value: ['observe'] },
    { value: 0 },
  ])('refuses $value', ({ value }) => {
    const check = () => checkOneOf('mode', value, ['enforce', 'observe']);
    expect(check).toThrow(TypeError);
    expect(check).toThrow("`mode` must be 'enforce' or 'observe', got ");
  });
});
