import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import * as v from 'valibot';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { type JsonSchemaArgsOptions, jsonSchemaArgs } from '../../src/adapters/ajv.ts';
import type { Guard, Verdict } from '../../src/guard.ts';
import { check, prepare } from '../helpers/args-guard.ts';

const CANARY = 'canary-7f3a';
const DRAFT_07 = 'http://json-schema.org/draft-07/schema#';
const DRAFT_2020 = 'https://json-schema.org/draft/2020-12/schema';

/** What the verdict comes down to: that it allows, or the broken rules by path. */
function issues(schema: object, value: unknown, options?: JsonSchemaArgsOptions): unknown {
  const verdict = check(jsonSchemaArgs({ pay: schema }, options), value) as Verdict;
  if (verdict.allow) return 'allow';
  expect(verdict).toMatchObject({ code: 'ARGS_INVALID', reason: 'schema' });
  expect(JSON.stringify(verdict)).not.toContain(CANARY);
  return verdict.issues?.map(({ path, rule }) => `${path} ${rule}`);
}

/** JSON text, for names that an object literal does not make own properties. */
const json = (text: string): object => JSON.parse(text);

const payment = {
  type: 'object',
  properties: {
    to: { type: 'string', pattern: '^[a-z]+$' },
    amount: { type: 'number', maximum: 100 },
    currency: { enum: ['usd', 'eur'] },
    notes: { type: 'object', additionalProperties: { properties: { text: { type: 'string' } } } },
    lines: { type: 'array', items: { properties: { sku: { type: 'string' } }, required: ['sku'] } },
    when: { anyOf: [{ const: 'now' }, { type: 'object', properties: { at: { type: 'integer' } } }] },
  },
  required: ['to', 'amount'],
  additionalProperties: false,
};
const good = { to: 'alice', amount: 5 };

afterEach(() => {
  vi.restoreAllMocks();
});

describe('jsonSchemaArgs', () => {
  it.each([
    { name: 'what fits', value: good, says: 'allow' },
    { name: 'a wrong type', value: { ...good, amount: CANARY }, says: ['/amount type'] },
    { name: 'a number too big', value: { ...good, amount: 101 }, says: ['/amount maximum'] },
    { name: 'a wrong pattern', value: { ...good, to: CANARY }, says: ['/to pattern'] },
    { name: 'a word not listed', value: { ...good, currency: CANARY }, says: ['/currency enum'] },
    { name: 'a missing property', value: { to: 'alice' }, says: ['/amount required'] },
    { name: 'an unknown property', value: { ...good, [CANARY]: 1 }, says: ['/* additionalProperties'] },
    {
      name: 'a value under a name of the data',
      value: { ...good, notes: { [CANARY]: { text: 1 } } },
      says: ['/notes/*/text type'],
    },
    {
      name: 'a value under a name of digits',
      value: { ...good, notes: { 4111111111111111: { text: 1 } } },
      says: ['/notes/*/text type'],
    },
    { name: 'an item', value: { ...good, lines: [{ sku: 'a' }, { sku: 1 }] }, says: ['/lines/1/sku type'] },
    { name: 'an item that lacks a property', value: { ...good, lines: [{}] }, says: ['/lines/0/sku required'] },
    {
      name: 'a value that fits no alternative',
      value: { ...good, when: { at: CANARY } },
      says: ['/when const', '/when/at type', '/when anyOf'],
    },
    { name: 'a string that is a number', value: { ...good, amount: '5' }, says: ['/amount type'] },
    { name: 'a string for the object', value: CANARY, says: [' type'] },
    { name: 'null for the object', value: null, says: [' type'] },
    { name: 'nothing for the object', value: undefined, says: [' type'] },
    { name: 'NaN', value: { ...good, amount: Number.NaN }, says: ['/amount type'] },
  ])('judges $name, listed or declared', ({ value, says }) => {
    expect(issues(payment, value)).toEqual(says);
    expect(check(jsonSchemaArgs(), value, payment)).toEqual(check(jsonSchemaArgs({ pay: payment }), value));
  });

  it.each([
    { of: 0.01, value: 19.99, fits: true },
    { of: 0.01, value: -1_234_567.89, fits: true },
    { of: 0.01, value: 19.995, fits: false },
    { of: 0.0001, value: 0.0075, fits: true },
    { of: 1, value: 5.0000001, fits: false },
    { of: 1e-10, value: 1e300, fits: true },
    { of: 1e300, value: 1, fits: false },
    { of: 3, value: 0, fits: true },
    { of: 3, value: 9_007_199_254_740_991, fits: false },
  ])('takes $value for a multiple of $of as decimals are: $fits', ({ of, value, fits }) => {
    for (const $schema of [DRAFT_07, DRAFT_2020]) {
      expect(issues({ $schema, multipleOf: of }, value)).toEqual(fits ? 'allow' : [' multipleOf']);
    }
  });

  it('says in a sentence what is wrong', () => {
    expect(check(jsonSchemaArgs({ pay: payment }), { ...good, when: { at: CANARY } })).toEqual({
      allow: false,
      code: 'ARGS_INVALID',
      reason: 'schema',
      message: 'arguments do not match the schema: /when (const), /when/at (type), /when (anyOf)',
      issues: [
        { path: '/when', rule: 'const' },
        { path: '/when/at', rule: 'type' },
        { path: '/when', rule: 'anyOf' },
      ],
    });
  });

  it('tells at most 16 different rules', () => {
    const schema = { anyOf: Array.from({ length: 40 }, (_, i) => ({ required: [`p${i >> 1}`] })) };
    const verdict = check(jsonSchemaArgs({ pay: schema }), {});
    expect(verdict).toMatchObject({
      message: 'arguments do not match the schema: /p0 (required), /p1 (required), /p2 (required) and 13 more',
      issues: Array.from({ length: 16 }, (_, i) => ({ path: `/p${i}`, rule: 'required' })),
    });
  });

  const keywords: { name: string; schema: object; value: unknown; says: unknown }[] = [
    {
      name: 'unevaluatedProperties',
      schema: { properties: { a: true }, unevaluatedProperties: false },
      value: { a: 1, [CANARY]: 1 },
      says: ['/* unevaluatedProperties'],
    },
    {
      name: 'propertyNames',
      schema: { properties: { a: { propertyNames: { pattern: '^x' } } } },
      value: { a: { [CANARY]: 1 } },
      says: ['/a/* pattern', '/a/* propertyNames'],
    },
    {
      name: 'patternProperties',
      schema: { patternProperties: { '^can': { type: 'string' } } },
      value: { [CANARY]: 1 },
      says: ['/* type'],
    },
    {
      name: 'dependentRequired',
      schema: { dependentRequired: { card: ['cvc'] } },
      value: { card: CANARY },
      says: ['/cvc dependentRequired'],
    },
    {
      name: 'dependentSchemas',
      schema: { dependentSchemas: { card: { properties: { cvc: { type: 'string' } } } } },
      value: { card: CANARY, cvc: 1 },
      says: ['/cvc type'],
    },
    {
      name: 'a name that only dependentSchemas declares',
      schema: { dependentSchemas: { card: true }, additionalProperties: { type: 'string' } },
      value: { card: 1 },
      says: ['/card type'],
    },
    {
      name: 'the first of several broken rules',
      schema: { properties: { a: { type: 'string' }, b: { type: 'string' } } },
      value: { a: 1, b: 1 },
      says: ['/a type'],
    },
    {
      name: 'dependencies',
      schema: { $schema: DRAFT_07, dependencies: { card: ['cvc'] } },
      value: { card: CANARY },
      says: ['/cvc dependencies'],
    },
    {
      name: 'names that need escapes',
      schema: { properties: { 'a/b~c': { type: 'string' } } },
      value: { 'a/b~c': 1 },
      says: ['/a~1b~0c type'],
    },
    { name: 'a false sub-schema', schema: { properties: { a: false } }, value: { a: 1 }, says: ['/a false-schema'] },
    { name: 'a true sub-schema', schema: { properties: { a: true } }, value: { a: CANARY }, says: 'allow' },
    { name: 'items: false', schema: { items: false }, value: [CANARY], says: ['/0 false-schema'] },
    { name: 'not', schema: { not: { required: ['a'] } }, value: { a: CANARY }, says: [' not'] },
    { name: 'uniqueItems', schema: { uniqueItems: true }, value: [CANARY, CANARY], says: [' uniqueItems'] },
    {
      name: 'a recursive schema',
      schema: { properties: { next: { $ref: '#' }, id: { type: 'integer' } } },
      value: { next: { next: { id: CANARY } } },
      says: ['/next/next/id type'],
    },
    {
      name: 'a recursive schema with an $id',
      schema: {
        $id: 'https://example.com/s',
        properties: { a: { $ref: '#' }, b: { $ref: 's' }, id: { type: 'integer' } },
      },
      value: { a: { b: { id: CANARY } } },
      says: ['/a/b/id type'],
    },
    {
      name: 'an anchor',
      schema: { properties: { a: { $ref: '#id' } }, $defs: { x: { $anchor: 'id', type: 'integer' } } },
      value: { a: CANARY },
      says: ['/a type'],
    },
    {
      name: 'a dynamic reference',
      schema: { $dynamicAnchor: 'n', properties: { a: { $dynamicRef: '#n' }, id: { type: 'integer' } } },
      value: { a: { a: { id: CANARY } } },
      says: ['/a/a/id type'],
    },
    {
      name: 'a property that also matches a pattern',
      schema: { properties: { ab: { type: 'string' } }, patternProperties: { '^a': { maxLength: 3 } } },
      value: { ab: CANARY },
      says: ['/ab maxLength'],
    },
    {
      name: 'a required name of the prototype',
      schema: { required: ['constructor'] },
      value: {},
      says: ['/constructor required'],
    },
    {
      name: 'a property named as one of the prototype',
      schema: { properties: { toString: { type: 'string' }, constructor: { type: 'string' } } },
      value: { constructor: 1 },
      says: ['/constructor type'],
    },
    {
      name: 'a property of the prototype that is not there',
      schema: { properties: { toString: { type: 'string' }, constructor: { type: 'string' } } },
      value: {},
      says: 'allow',
    },
    { name: 'a required __proto__', schema: { required: ['__proto__'] }, value: {}, says: ['/__proto__ required'] },
    {
      name: 'a required __proto__ that is there',
      schema: { required: ['__proto__'] },
      value: json('{"__proto__":1}'),
      says: 'allow',
    },
    {
      name: 'an unknown __proto__',
      schema: { properties: { a: true }, additionalProperties: false },
      value: json('{"__proto__":1}'),
      says: ['/* additionalProperties'],
    },
    {
      name: 'a default',
      schema: { properties: { a: { default: 1 } }, required: ['a'] },
      value: {},
      says: ['/a required'],
    },
  ];
  it.each(keywords)('judges by $name', ({ schema, value, says }) => {
    expect(issues(schema, value)).toEqual(says);
  });

  it.each([
    { draft: undefined, keyword: 'prefixItems' },
    { draft: DRAFT_2020, keyword: 'prefixItems' },
    { draft: `${DRAFT_2020}#`, keyword: 'prefixItems' },
    { draft: DRAFT_07, keyword: 'items' },
    { draft: 'http://json-schema.org/draft-07/schema', keyword: 'items' },
    { draft: 'https://json-schema.org/draft-07/schema#', keyword: 'items' },
  ])('reads tuples of $draft from $keyword', ({ draft, keyword }) => {
    const other = keyword === 'items' ? 'prefixItems' : 'items';
    const dialect = draft === undefined ? {} : { $schema: draft };
    expect(issues({ ...dialect, [keyword]: [{ type: 'string' }, { type: 'integer' }] }, ['a', 'b'])).toEqual([
      '/1 type',
    ]);
    expect(() => jsonSchemaArgs({ pay: { ...dialect, [other]: [{ type: 'string' }] } })).toThrow(TypeError);
  });

  const inBoth = `"$id": "https://example.com/s", "$comment": "c", "title": "t", "description": "d", "default": 1,
    "readOnly": true, "writeOnly": false, "examples": [1], "contentEncoding": "base64", "contentMediaType": "text/plain",
    "contains": true, "minItems": 0, "maxItems": 9, "uniqueItems": false, "minLength": 0, "maxLength": 9, "pattern": "",
    "multipleOf": 1, "minimum": 0, "exclusiveMinimum": -1, "maximum": 9, "exclusiveMaximum": 10, "properties": {},
    "patternProperties": {}, "additionalProperties": true, "propertyNames": true, "required": [], "minProperties": 0,
    "maxProperties": 9, "allOf": [true], "anyOf": [true], "oneOf": [true], "not": false, "if": true, "then": true,
    "else": false, "enum": [1, 2], "const": 1, "type": ["integer", "object"]`;
  it.each([
    {
      draft: DRAFT_2020,
      more: `"$anchor": "a", "$dynamicAnchor": "d", "$defs": {"x": {"$ref": "#a"}, "y": {"$dynamicRef": "#d"}},
        "deprecated": true, "contentSchema": {}, "prefixItems": [true], "items": true, "minContains": 0,
        "maxContains": 9, "unevaluatedItems": true, "unevaluatedProperties": true, "dependentRequired": {},
        "dependentSchemas": {}`,
    },
    { draft: DRAFT_07, more: '"definitions": {}, "items": [true], "additionalItems": true, "dependencies": {}' },
  ])('knows every keyword of $draft', ({ draft, more }) => {
    const schema = json(`{"$schema": "${draft}", ${inBoth}, ${more}}`);
    expect(issues(schema, 1)).toBe('allow');
    expect(issues(schema, 2)).toEqual([' const']);
  });

  it.each([DRAFT_07, DRAFT_2020])('follows references to definitions in %s', ($schema) => {
    for (const key of ['$defs', 'definitions']) {
      const schema = { $schema, properties: { a: { $ref: `#/${key}/id` } }, [key]: { id: { type: 'integer' } } };
      expect(issues(schema, { a: 1 })).toBe('allow');
      expect(issues(schema, { a: CANARY })).toEqual(['/a type']);
    }
  });

  it.each([
    'https://json-schema.org/draft/2019-09/schema',
    'http://json-schema.org/draft-04/schema#',
    'http://json-schema.org/draft-06/schema#',
    'http://json-schema.org/schema#',
    'https://example.com/schema',
    `${DRAFT_2020}?`,
    `${DRAFT_07}\n`,
    '',
    7,
    null,
  ])('takes no other $schema: %j', ($schema) => {
    const make = (): Guard => jsonSchemaArgs({ pay: { $schema, type: 'object' } });
    expect(make).toThrow(TypeError);
    expect(make).toThrow('`$schema` of tool "pay" must name draft 2020-12 or draft-07');
  });

  const cyclic: { items?: object } = {};
  cyclic.items = cyclic;
  it.each([
    { name: 'an unknown keyword', schema: { typ: 'object' }, says: 'unknown keyword: "typ"' },
    { name: 'an unknown type', schema: { type: 'objekt' }, says: 'data/type must be equal to one of' },
    {
      name: 'a keyword of the other draft',
      schema: { $schema: DRAFT_07, dependentRequired: {} },
      says: 'dependentReq',
    },
    { name: 'a draft not named', schema: { items: [{}] }, says: 'without `$schema` it is read as draft 2020-12' },
    { name: 'a reference to nowhere', schema: { $ref: '#/$defs/x' }, says: "can't resolve reference #/$defs/x" },
    {
      name: 'a remote reference',
      schema: { $ref: 'https://example.com/s' },
      says: "can't resolve reference https://ex",
    },
    { name: 'a broken pattern', schema: { pattern: '(' }, says: 'Invalid regular expression' },
    { name: 'an infinite bound', schema: { maximum: Number.POSITIVE_INFINITY }, says: 'data/maximum must be number' },
    { name: 'an async schema', schema: { $async: true }, says: '`$async`' },
    { name: 'a schema that says it is not async', schema: { $async: false }, says: '`$async`' },
    {
      name: 'an async part',
      schema: { $ref: '#/$defs/x', $defs: { x: { $async: true, properties: { a: { type: 'string' } } } } },
      says: 'async schema',
    },
    { name: 'a rule for __proto__', schema: json('{"properties":{"__proto__":{"type":"string"}}}'), says: '__proto__' },
    {
      name: 'a rule for an inner __proto__',
      schema: json('{"items":{"dependentRequired":{"__proto__":["a"]}}}'),
      says: '__proto__',
    },
    { name: 'a function inside', schema: { properties: { a: () => true } }, says: 'could not be cloned' },
    { name: 'a bigint inside', schema: { maximum: 1n }, says: 'BigInt' },
    { name: 'a cycle', schema: cyclic, says: 'circular' },
    {
      name: 'a format without the plugin',
      schema: { format: 'email' },
      says: "{ formats: addFormats } from 'ajv-formats'",
    },
  ])('throws for $name when built and when prepared, naming the tool', ({ schema, says }) => {
    for (const make of [() => jsonSchemaArgs({ pay: schema }), () => prepare(jsonSchemaArgs(), 'pay', schema)]) {
      expect(make).toThrow(TypeError);
      expect(make).toThrow('"pay"');
      expect(make).toThrow(says);
    }
  });

  it('checks formats with the plugin', () => {
    const schema = { properties: { to: { type: 'string', format: 'email' } } };
    const asModule = { default: addFormats.default };
    for (const $schema of [DRAFT_07, DRAFT_2020]) {
      expect(issues({ ...schema, $schema }, { to: CANARY }, { formats: asModule })).toEqual(['/to format']);
      expect(issues({ ...schema, $schema }, { to: 'a@example.com' }, { formats: addFormats })).toBe('allow');
      expect(issues({ ...schema, $schema }, { to: CANARY }, { formats: addFormats })).toEqual(['/to format']);
      expect(issues({ ...schema, $schema }, { to: CANARY }, { formats: addFormats.default })).toEqual(['/to format']);
    }
    expect(() => jsonSchemaArgs({ pay: { format: CANARY } }, { formats: addFormats })).toThrow('unknown format');
  });

  it('takes formats of your own', () => {
    const formats = (ajv: Ajv): unknown => ajv.addFormat('iban', /^[A-Z]{2}\d+$/);
    const schema = { properties: { to: { format: 'iban' } } };
    expect(issues(schema, { to: 'DE12' }, { formats })).toBe('allow');
    expect(issues(schema, { to: CANARY }, { formats })).toEqual(['/to format']);
  });

  it('holds two tools whose schemas share an $id', () => {
    const schema = (type: string): object => ({
      $id: 'https://example.com/s',
      $ref: '#/$defs/a',
      $defs: { a: { type } },
    });
    const guard = jsonSchemaArgs({ a: schema('string'), b: schema('integer') });
    expect(prepare(guard, 'c', schema('boolean'))).toEqual({ schema: 'held' });
    expect([check(guard, 'x', undefined, 'a'), check(guard, 1, undefined, 'b')]).toEqual([
      { allow: true },
      { allow: true },
    ]);
    expect(check(guard, 1, undefined, 'a')).toMatchObject({ issues: [{ path: '', rule: 'type' }] });
    expect(check(guard, 'x', undefined, 'b')).toMatchObject({ issues: [{ path: '', rule: 'type' }] });
  });

  it('resolves no reference of one schema in another', () => {
    const inner = (type: string): object => ({
      $defs: { a: { $id: 'https://example.com/inner', type } },
      $ref: '/inner',
    });
    const schemas = {
      a: { $id: 'https://example.com/a', ...inner('string') },
      b: { $id: 'https://example.com/b', ...inner('integer') },
    };
    const guard = jsonSchemaArgs(schemas);
    expect(check(guard, 'x', undefined, 'a')).toEqual({ allow: true });
    expect(check(guard, 'x', undefined, 'b')).toMatchObject({ issues: [{ path: '', rule: 'type' }] });
    for (const $ref of ['https://example.com/a', 'https://example.com/inner']) {
      expect(() => jsonSchemaArgs({ ...schemas, c: { $ref } })).toThrow("can't resolve reference");
      expect(() => prepare(guard, 'c', { $ref })).toThrow("can't resolve reference");
    }
  });

  it('compiles nothing after it was built and its tools were prepared', () => {
    const spies = [vi.spyOn(Ajv.prototype, 'compile'), vi.spyOn(Ajv2020.prototype, 'compile')];
    const compiled = (): number => spies.reduce((sum, spy) => sum + spy.mock.calls.length, 0);
    const own = { $schema: DRAFT_07, properties: { b: { type: 'string' } } };
    const guard = jsonSchemaArgs({ pay: payment });
    prepare(guard, 'pay', own);
    prepare(guard, 'other', own);
    const before = compiled();
    expect(before).toBeGreaterThanOrEqual(2);
    for (let i = 0; i < 1000; i++) expect(check(guard, good, own)).toEqual({ allow: true });
    expect(compiled()).toBe(before);
  });

  it('holds a tool that was never prepared all the same', () => {
    expect(check(jsonSchemaArgs(), {}, payment)).toMatchObject({ allow: false, reason: 'schema' });
    expect(() => check(jsonSchemaArgs(), {}, { typ: 'object' })).toThrow('unknown keyword');
  });

  it('keeps to the text of the schemas it was given', () => {
    const listed = structuredClone(payment) as { required: string[]; properties: Record<string, object> };
    const own = { properties: { amount: { minimum: 2 } } };
    const guard = jsonSchemaArgs({ pay: listed });
    prepare(guard, 'pay', own);
    listed.required = [];
    listed.properties = {};
    own.properties.amount.minimum = 0;
    expect(check(guard, { to: 'alice', amount: 1 }, own)).toMatchObject({
      issues: [{ path: '/amount', rule: 'minimum' }],
    });
    expect(check(guard, { to: 'alice' }, own)).toMatchObject({ issues: [{ path: '/amount', rule: 'required' }] });
  });

  it('throws when a changed schema is declared again', () => {
    const own = { properties: { amount: { minimum: 2 } } };
    const guard = jsonSchemaArgs();
    prepare(guard, 'a', own);
    expect(prepare(guard, 'b', own)).toEqual({ schema: 'held' });
    own.properties.amount.minimum = 0;
    expect(() => prepare(guard, 'c', own)).toThrow(TypeError);
    expect(() => prepare(guard, 'c', own)).toThrow('the schema of tool "c" was changed after it was compiled');
    expect(prepare(guard, 'c', structuredClone(own))).toEqual({ schema: 'held' });
  });

  it('holds a tool to both its listed and its declared schema', () => {
    const guard = jsonSchemaArgs({ pay: { required: ['a'] } });
    const own = { required: ['b'] };
    expect(check(guard, { a: 1, b: 1 }, own)).toEqual({ allow: true });
    expect(check(guard, { b: 1 }, own)).toMatchObject({ issues: [{ path: '/a', rule: 'required' }] });
    expect(check(guard, { a: 1 }, own)).toMatchObject({ issues: [{ path: '/b', rule: 'required' }] });
  });

  it('answers at once and changes nothing', () => {
    const value = { amount: '5', extra: 1 };
    const schema = { properties: { amount: { type: ['string', 'number'] }, to: { default: 'x' } } };
    const verdict = check(jsonSchemaArgs({ pay: schema }), Object.freeze(value));
    expect(verdict).toEqual({ allow: true });
    expect(value).toEqual({ amount: '5', extra: 1 });
  });

  it.each(['constructor', '__proto__', 'toString', 'hasOwnProperty'])(
    'finds no schema for a tool called %s',
    (tool) => {
      expect(prepare(jsonSchemaArgs({ pay: payment }), tool)).toEqual({ schema: 'missing' });
      expect(check(jsonSchemaArgs({ pay: payment }), {}, undefined, tool)).toEqual({ allow: true });
      const guard = jsonSchemaArgs({ [tool]: payment });
      expect(prepare(guard, tool)).toEqual({ schema: 'held' });
      expect(check(guard, {}, undefined, tool)).toMatchObject({ allow: false });
    },
  );

  class Model {
    readonly type = 'object';
  }
  const madeByZod = z.toJSONSchema(z.object({ a: z.string() }));
  const rows: { name: string; guard: Guard; schema?: object; says: unknown }[] = [
    { name: 'a listed tool', guard: jsonSchemaArgs({ pay: payment }), says: { schema: 'held' } },
    { name: 'a tool that declares a schema', guard: jsonSchemaArgs(), schema: payment, says: { schema: 'held' } },
    { name: 'a JSON Schema made by Zod', guard: jsonSchemaArgs(), schema: madeByZod, says: { schema: 'held' } },
    {
      name: 'a schema without prototype',
      guard: jsonSchemaArgs(),
      schema: Object.assign(Object.create(null), payment),
      says: { schema: 'held' },
    },
    { name: 'a tool without schema', guard: jsonSchemaArgs(), says: { schema: 'missing' } },
    { name: 'another tool than the listed', guard: jsonSchemaArgs({ a: payment }), says: { schema: 'missing' } },
    { name: 'a Zod schema', guard: jsonSchemaArgs(), schema: z.object({}), says: { schema: 'missing' } },
    { name: 'a Valibot schema', guard: jsonSchemaArgs(), schema: v.object({}), says: { schema: 'missing' } },
    { name: 'a function', guard: jsonSchemaArgs(), schema: () => payment, says: { schema: 'missing' } },
    { name: 'a class', guard: jsonSchemaArgs(), schema: new Model(), says: { schema: 'missing' } },
    {
      name: 'a listed tool that declares a Zod schema',
      guard: jsonSchemaArgs({ pay: payment }),
      schema: z.object({}),
      says: { schema: 'missing' },
    },
    { name: 'an unchecked tool', guard: jsonSchemaArgs({}, { unchecked: ['pay'] }), says: undefined },
    { name: 'any tool, all unchecked', guard: jsonSchemaArgs({}, { unchecked: 'all' }), says: undefined },
    {
      name: 'an unchecked tool that declares a schema',
      guard: jsonSchemaArgs({}, { unchecked: 'all' }),
      schema: payment,
      says: { schema: 'held' },
    },
  ];
  it.each(rows)('prepares $name', ({ guard, schema, says }) => {
    expect(prepare(guard, 'pay', schema)).toEqual(says);
  });

  it('holds to a JSON Schema made by Zod', () => {
    expect(check(jsonSchemaArgs({ pay: madeByZod }), { a: CANARY })).toEqual({ allow: true });
    expect(check(jsonSchemaArgs(), { a: 1 }, madeByZod)).toMatchObject({ issues: [{ path: '/a', rule: 'type' }] });
  });

  it('names itself and the texts of its schemas in its settings', () => {
    const settings = (schema: object, options?: JsonSchemaArgsOptions): unknown =>
      jsonSchemaArgs({ pay: schema }, options).settings;
    expect(jsonSchemaArgs().name).toBe('json-schema-args');
    expect(settings({ type: 'object' })).toEqual({
      // sha256 of {"type":"object"}
      schemas: { pay: 'sha256:a2c799262a3ce3c19ef5cdd983bf3d12b43ab3c426227091b909dcb7054738c0' },
      unchecked: [],
      formats: false,
    });
    expect(settings({ type: 'array' })).not.toEqual(settings({ type: 'object' }));
    expect(settings({}, { unchecked: ['b', 'a'], formats: addFormats })).toMatchObject({
      unchecked: ['a', 'b'],
      formats: true,
    });
  });

  it('writes nothing to the console', () => {
    const spies = (['log', 'warn', 'error'] as const).map((method) => vi.spyOn(console, method));
    const schema = { properties: { a: { minLength: 1 } }, required: ['b'], prefixItems: [{}] };
    jsonSchemaArgs({ pay: schema });
    expect(() => jsonSchemaArgs({ pay: { format: 'x' } })).toThrow(TypeError);
    expect(() => jsonSchemaArgs({ pay: { pattern: '(' } })).toThrow(TypeError);
    for (const spy of spies) expect(spy).not.toHaveBeenCalled();
  });

  const misuse: { name: string; make: () => unknown; error: typeof TypeError | typeof RangeError; says: string }[] = [
    ...[undefined, null, true, 'object', [], () => true, new Model(), z.object({}), v.object({})].map((schema, i) => ({
      name: `schema ${i} that is no plain object`,
      make: () => jsonSchemaArgs({ pay: schema as never }),
      error: TypeError,
      says: 'the schema of tool "pay" must be a JSON Schema as a plain object',
    })),
    {
      name: 'a schema as prototype',
      make: () => jsonSchemaArgs({ __proto__: payment } as never),
      error: TypeError,
      says: 'jsonSchemaArgs expects a plain object of schemas by tool name',
    },
    {
      name: 'an empty tool name',
      make: () => jsonSchemaArgs({ '': payment }),
      error: RangeError,
      says: 'jsonSchemaArgs tool name',
    },
    {
      name: 'an unknown option',
      make: () => jsonSchemaArgs({}, { format: addFormats } as JsonSchemaArgsOptions),
      error: TypeError,
      says: 'unknown option `format`',
    },
    ...[true, 'email', null, {}, { default: 1 }].map((formats) => ({
      name: `${JSON.stringify(formats)} for formats`,
      make: () => jsonSchemaArgs({}, { formats: formats as never }),
      error: TypeError,
      says: '`jsonSchemaArgs.formats` must be a function',
    })),
    {
      name: 'text for unchecked',
      make: () => jsonSchemaArgs({}, { unchecked: 'pay' as 'all' }),
      error: TypeError,
      says: '`jsonSchemaArgs.unchecked`',
    },
  ];
  it.each(misuse)('throws for $name', ({ make, error, says }) => {
    expect(make).toThrow(error);
    expect(make).toThrow(says);
  });
});
