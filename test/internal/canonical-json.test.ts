import vm from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonicalJson,
  frozenJson,
  NotJsonError,
  snapshotJson,
  thawedJson,
} from '../../src/internal/canonical-json.ts';

/** What `snapshotJson` says of a value that it refuses. */
function refusal(value: unknown): { readonly rule: string; readonly path: string } {
  try {
    snapshotJson(value);
  } catch (error) {
    expect(error).toBeInstanceOf(NotJsonError);
    const { rule, path, message, cause } = error as NotJsonError;
    expect({ message, cause }).toEqual({ message: `not JSON: ${rule}`, cause: undefined });
    return { rule, path };
  }
  throw new Error('it was not refused');
}

function nested(levels: number, wrap: (inner: unknown) => unknown, core: unknown = 1): unknown {
  let value = core;
  for (let i = 0; i < levels; i++) value = wrap(value);
  return value;
}

const inArray = (inner: unknown): unknown => [inner];
const inRecord = (inner: unknown): unknown => ({ inner });

function cyclic(kind: 'array' | 'record'): unknown {
  const inner: unknown[] = [];
  const outer: Record<string, unknown> = { inner };
  inner.push(kind === 'array' ? inner : outer);
  return kind === 'array' ? inner : outer;
}

class Point {
  readonly x = 1;
}

const throws = (): never => {
  throw new Error('sk-live-1');
};
const revoked = Proxy.revocable({}, {});
revoked.revoke();
const HIGH = '\ud83d';
const LOW = '\ude00';

describe('snapshotJson', () => {
  it.each([
    { name: 'undefined', value: undefined, rule: 'undefined' },
    { name: 'NaN', value: Number.NaN, rule: 'not_finite' },
    { name: 'Infinity', value: Number.POSITIVE_INFINITY, rule: 'not_finite' },
    { name: '-Infinity', value: Number.NEGATIVE_INFINITY, rule: 'not_finite' },
    { name: 'a bigint', value: 1n, rule: 'bigint' },
    { name: 'a symbol', value: Symbol('s'), rule: 'symbol' },
    { name: 'a function', value: () => 1, rule: 'function' },
    { name: 'a class', value: Point, rule: 'function' },
    { name: 'a Map', value: new Map([[1, 2]]), rule: 'not_plain_object' },
    { name: 'a Set', value: new Set([1]), rule: 'not_plain_object' },
    { name: 'a WeakMap', value: new WeakMap(), rule: 'not_plain_object' },
    { name: 'a Date', value: new Date(0), rule: 'not_plain_object' },
    { name: 'a regular expression', value: /x/, rule: 'not_plain_object' },
    { name: 'an error', value: new Error('no'), rule: 'not_plain_object' },
    { name: 'a promise', value: Promise.resolve(1), rule: 'not_plain_object' },
    { name: 'a URL', value: new URL('https://example.com'), rule: 'not_plain_object' },
    { name: 'a Buffer', value: Buffer.from('x'), rule: 'not_plain_object' },
    { name: 'a Float64Array', value: new Float64Array(1), rule: 'not_plain_object' },
    { name: 'an ArrayBuffer', value: new ArrayBuffer(1), rule: 'not_plain_object' },
    { name: 'a boxed string', value: Object('text'), rule: 'not_plain_object' },
    { name: 'a boxed number', value: Object(1), rule: 'not_plain_object' },
    { name: 'a class instance', value: new Point(), rule: 'not_plain_object' },
    { name: 'an object that inherits from a plain one', value: Object.create({ x: 1 }), rule: 'not_plain_object' },
    { name: 'an iterator', value: [1].values(), rule: 'not_plain_object' },
    { name: 'a generator', value: (function* () {})(), rule: 'not_plain_object' },
    { name: 'a high surrogate alone', value: HIGH, rule: 'lone_surrogate' },
    { name: 'a low surrogate alone', value: LOW, rule: 'lone_surrogate' },
    { name: 'surrogates in the wrong order', value: `${LOW}${HIGH}`, rule: 'lone_surrogate' },
    { name: 'a lone surrogate as a key', value: { [HIGH]: 1 }, rule: 'lone_surrogate', path: '/*' },
    { name: 'NaN in a record', value: { secret: Number.NaN }, rule: 'not_finite', path: '/*' },
    { name: 'NaN deep inside', value: { a: [0, { b: Number.NaN }] }, rule: 'not_finite', path: '/*/1/*' },
    { name: 'undefined in an array', value: [1, undefined], rule: 'undefined', path: '/1' },
    { name: 'a hole', value: Object.assign(Array(3), { 0: 1, 2: 3 }), rule: 'undefined', path: '/1' },
    { name: 'a long array of holes', value: Array(4_294_967_295), rule: 'too_large' },
    { name: 'a method', value: { toJSON: () => 'harmless' }, rule: 'function', path: '/*' },
    { name: 'an array that holds itself', value: cyclic('array'), rule: 'cycle', path: '/0' },
    { name: 'a record that holds itself', value: cyclic('record'), rule: 'cycle', path: '/*/0' },
    { name: '100 000 levels of arrays', value: nested(100_000, inArray), rule: 'too_deep', path: '/0'.repeat(512) },
    { name: '100 000 levels of records', value: nested(100_000, inRecord), rule: 'too_deep', path: '/*'.repeat(512) },
    {
      name: '513 levels of both',
      value: nested(256, (inner) => [{ inner }], []),
      rule: 'too_deep',
      path: '/0/*'.repeat(256),
    },
    {
      name: 'a small graph that unfolds to 2^40 values',
      value: nested(40, (inner) => [inner, inner]),
      rule: 'too_large',
    },
    {
      name: 'a getter that throws',
      value: {
        get x() {
          return throws();
        },
      },
      rule: 'unreadable',
    },
    { name: 'a revoked proxy', value: revoked.proxy, rule: 'unreadable' },
    {
      name: 'a proxy that hides its keys behind an error',
      value: new Proxy({}, { ownKeys: throws }),
      rule: 'unreadable',
    },
    { name: 'a proxy of a Map', value: new Proxy(new Map(), {}), rule: 'not_plain_object' },
    { name: 'a Date of another realm', value: vm.runInNewContext('new Date(0)'), rule: 'not_plain_object' },
    { name: 'a Map of another realm', value: vm.runInNewContext('[new Map()]'), rule: 'not_plain_object', path: '/0' },
  ])('refuses $name', ({ value, rule, path }) => {
    const found = refusal(value);
    expect(found.rule).toBe(rule);
    // The path of a graph that is too large depends on where counting ends.
    if (rule !== 'too_large' && rule !== 'unreadable') expect(found.path).toBe(path ?? '');
    expect(found.path).toMatch(/^(\/(\*|\d+))*$/);
  });

  it.each([
    { name: 'null', value: null, copy: null },
    { name: '-0', value: -0, copy: 0 },
    { name: '-0 inside', value: { x: [-0] }, copy: { x: [0] } },
    { name: 'the smallest number', value: Number.MIN_VALUE, copy: 5e-324 },
    { name: 'a pair of surrogates', value: `${HIGH}${LOW}`, copy: '😀' },
    { name: 'NUL and U+2028', value: '\0\u2028', copy: '\0\u2028' },
    { name: 'properties that are undefined', value: { a: undefined, b: 1 }, copy: { b: 1 } },
    { name: 'symbol keys', value: { [Symbol('s')]: 1, b: 1 }, copy: { b: 1 } },
    {
      name: 'properties that are not enumerable',
      value: Object.defineProperty({ b: 1 }, 'a', { value: 1 }),
      copy: { b: 1 },
    },
    { name: 'a record without prototype', value: Object.assign(Object.create(null), { b: 1 }), copy: { b: 1 } },
    { name: 'a frozen record', value: Object.freeze({ b: Object.freeze([1]) }), copy: { b: [1] } },
    { name: 'extra properties of an array', value: Object.assign([1], { x: Number.NaN }), copy: [1] },
    { name: 'an array of another class', value: new (class extends Array<number> {})(1, 2), copy: [1, 2] },
    { name: 'a record of another realm', value: vm.runInNewContext('({ a: [{ b: 1 }] })'), copy: { a: [{ b: 1 }] } },
    { name: 'a proxy of a record', value: new Proxy({ a: 1 }, {}), copy: { a: 1 } },
    { name: 'a proxy of an array', value: new Proxy([1, [2]], {}), copy: [1, [2]] },
    {
      name: 'the keys of Object.prototype',
      value: { constructor: 1, toString: 2 },
      copy: { constructor: 1, toString: 2 },
    },
    { name: '512 levels', value: nested(512, inArray), copy: nested(512, inArray) },
    {
      name: 'one value in two places',
      value: ((shared) => [shared, { shared }])({ x: 1 }),
      copy: [{ x: 1 }, { shared: { x: 1 } }],
    },
  ])('copies $name', ({ value, copy }) => {
    const snapshot = snapshotJson(value);
    expect(snapshot).toStrictEqual(copy);
    expect(canonicalJson(snapshot)).toBe(canonicalJson(copy));
  });

  it('keeps an own __proto__ as a property, and gives no copy another prototype', () => {
    const hostile: unknown = JSON.parse('{"__proto__":{"admin":true},"x":{"__proto__":null}}');
    const snapshot = snapshotJson(hostile) as { readonly x: object; readonly admin?: unknown };
    expect(Object.getPrototypeOf(snapshot)).toBe(Object.prototype);
    expect(Object.getPrototypeOf(snapshot.x)).toBe(Object.prototype);
    expect(snapshot.admin).toBeUndefined();
    expect(Object.getOwnPropertyDescriptor(snapshot, '__proto__')).toEqual({
      value: { admin: true },
      enumerable: true,
      configurable: true,
      writable: true,
    });
    expect(canonicalJson(snapshot)).toBe('{"__proto__":{"admin":true},"x":{"__proto__":null}}');
    expect(canonicalJson(snapshot)).not.toBe(canonicalJson(snapshotJson({ x: {} })));
    expect(({} as { admin?: unknown }).admin).toBeUndefined();
  });

  it('reads every property once, also where the answer changes', () => {
    const reads: string[] = [];
    const counted = (target: object): object =>
      new Proxy(target, {
        get(from, key) {
          reads.push(String(key));
          const value: unknown = Reflect.get(from, key);
          return typeof value === 'object' && value !== null ? counted(value) : value;
        },
      });
    expect(snapshotJson(counted({ a: 1, b: { c: [1, 2] }, d: undefined }))).toEqual({ a: 1, b: { c: [1, 2] } });
    expect(reads.sort()).toEqual(['0', '1', 'a', 'b', 'c', 'd', 'length']);

    let n = 0;
    const changing = {
      get amount() {
        return n++ === 0 ? 1 : 1_000_000;
      },
    };
    expect(snapshotJson(changing)).toEqual({ amount: 1 });
    expect(n).toBe(1);
  });

  it('shares no object with what it was given', () => {
    const given = { list: [{ x: 1 }], inner: { y: 1 } };
    const snapshot = snapshotJson(given) as typeof given;
    given.list[0] = { x: 2 };
    given.list.push({ x: 3 });
    given.inner.y = 2;
    expect(snapshot).toEqual({ list: [{ x: 1 }], inner: { y: 1 } });
    // Nor two places of it with each other: writing to one would change the other behind the hash.
    const shared = { x: 1 };
    const [left, right] = snapshotJson([shared, shared]) as [{ x: number }, { x: number }];
    left.x = 2;
    expect(right).toEqual({ x: 1 });
  });

  it('holds a million values and refuses one more', () => {
    expect(snapshotJson(Array(999_999).fill(0))).toHaveLength(999_999);
    expect(refusal(Array(1_000_000).fill(0)).rule).toBe('too_large');
  });
});

/** RFC 8785 by another road: the built-in writer over records whose keys are already in order. */
function oracle(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(oracle).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value)
    .sort(([a], [b]) => byCodeUnits(a, b))
    .map(([key, member]) => `${JSON.stringify(key)}:${oracle(member)}`);
  return `{${members.join(',')}}`;
}

function byCodeUnits(a: string, b: string): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const difference = a.charCodeAt(i) - b.charCodeAt(i);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** The same value with every record's members in another order, and nothing shared. */
function reordered(value: unknown, order: (length: number) => readonly number[]): unknown {
  if (Array.isArray(value)) return value.map((item) => reordered(item, order));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  const other = {};
  for (const i of order(entries.length)) {
    const [key, member] = entries[i] as [string, unknown];
    define(other, key, reordered(member, order));
  }
  return other;
}

function define(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

const key = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('__proto__', 'constructor', 'toString', '10', '9', '', 'é', 'e\u0301', '\ufb33', '😀', 'toJSON'),
);
const { json } = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.jsonValue({ stringUnit: 'binary' }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.array(tie('json'), { maxLength: 4 }),
    fc.array(fc.tuple(key, tie('json')), { maxLength: 6 }).map((members) => {
      const record = {};
      for (const [name, value] of members) define(record, name, value);
      return record;
    }),
  ),
}));

/** Equal as JSON values: -0 is 0, and no prototype counts. */
function sameJson(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || a === null || typeof b !== 'object' || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((name) => Object.hasOwn(b, name) && sameJson(Reflect.get(a, name), Reflect.get(b, name)))
  );
}

describe('canonicalJson', () => {
  it.each([
    {
      name: 'the example of RFC 8785 §3.2.3',
      given: { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '😀': 5, '\u0080': 6, ö: 7 },
      text: '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"😀":5,"\ufb33":3}',
    },
    {
      name: 'numbers of RFC 8785 §3.2.2',
      given: [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 1e-27],
      text: '[333333333.3333333,1e+30,4.5,0.002,1e-27]',
    },
    {
      name: 'numbers around an exponent',
      given: [1e21, 1e20, 1e-6, 1e-7, -0, 2 ** 53],
      text: '[1e+21,100000000000000000000,0.000001,1e-7,0,9007199254740992]',
    },
    { name: 'keys that look like numbers', given: { '10': 1, '9': 2, a: 3 }, text: '{"10":1,"9":2,"a":3}' },
    { name: 'control characters', given: '\u0000\u0008\u001f"\\/\u007f', text: '"\\u0000\\b\\u001f\\"\\\\/\u007f"' },
    { name: 'empty things', given: [{}, [], '', null], text: '[{},[],"",null]' },
  ])('writes $name', ({ given, text }) => {
    expect(canonicalJson(snapshotJson(given))).toBe(text);
  });

  it('is the same for every order of keys, as RFC 8785 writes it, and parses back to the value', () => {
    fc.assert(
      fc.property(json, fc.infiniteStream(fc.nat()), (value, random) => {
        const canonical = canonicalJson(snapshotJson(value));
        expect(canonical).toBe(oracle(value));
        const shuffled = reordered(value, (length) =>
          Array.from({ length }, (_, i) => ({ i, rank: random.next().value as number }))
            .sort((a, b) => a.rank - b.rank)
            .map(({ i }) => i),
        );
        expect(canonicalJson(snapshotJson(shuffled))).toBe(canonical);
        expect(sameJson(JSON.parse(canonical), value)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('tells apart all values that are different', () => {
    fc.assert(
      fc.property(json, json, (a, b) => {
        expect(canonicalJson(snapshotJson(a)) === canonicalJson(snapshotJson(b))).toBe(sameJson(a, b));
      }),
      { numRuns: 300 },
    );
  });

  it('gives one snapshot of a snapshot', () => {
    fc.assert(
      fc.property(json, (value) => {
        const once = snapshotJson(value);
        expect(sameJson(snapshotJson(once), once)).toBe(true);
      }),
    );
  });
});

/** Every array and object of a JSON value, itself included. */
function partsOf(value: unknown): object[] {
  if (typeof value !== 'object' || value === null) return [];
  return [value, ...Object.values(value).flatMap(partsOf)];
}

describe('frozenJson and thawedJson', () => {
  it('make equal copies with no part in common, one that nobody can change and one that anybody can', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const frozen = frozenJson(value);
        const thawed = thawedJson(frozen);
        expect(frozen).toEqual(snapshotJson(value));
        expect(thawed).toEqual(frozen);
        expect(canonicalJson(thawed)).toBe(canonicalJson(frozen));
        expect(partsOf(frozen).every((part) => Object.isFrozen(part))).toBe(true);
        expect(partsOf(thawed).every((part) => Object.isExtensible(part))).toBe(true);
        const shared = new Set([...partsOf(value), ...partsOf(frozen)]);
        expect(partsOf(thawed).some((part) => shared.has(part))).toBe(false);
        for (const part of partsOf(thawed)) Object.assign(part, { 0: 'changed' });
      }),
    );
  });

  it('keep `__proto__` a property like any other', () => {
    const thawed = thawedJson(frozenJson(JSON.parse('{"a":{"__proto__":{"admin":true}}}')));
    expect(JSON.stringify(thawed)).toBe('{"a":{"__proto__":{"admin":true}}}');
    expect((thawed as { a: { admin?: unknown } }).a.admin).toBeUndefined();
  });
});
