import * as v from 'valibot';
import { describe, expect, expectTypeOf, it, vi } from 'vitest';
import { z } from 'zod';
import type { Guard } from '../../src/guard.ts';
import { type ArgsOptions, args, declaredNames, type StandardSchema } from '../../src/guards/args.ts';
import { check, prepare } from '../helpers/args-guard.ts';

const CANARY = 'canary-7f3a';

/** A hand-made validator that answers whatever it is told to. */
function answering(validate: (value: unknown) => unknown, more: object = {}): StandardSchema {
  return { '~standard': { version: 1, vendor: 'test', validate, ...more } } as unknown as StandardSchema;
}

function refusing(...issues: unknown[]): StandardSchema {
  return answering(() => ({ issues }));
}

const denied = (message: string, ...issues: readonly (readonly [path: string, rule: string])[]): object => ({
  allow: false,
  code: 'ARGS_INVALID',
  reason: 'schema',
  message: `arguments do not match the schema: ${message}`,
  issues: issues.map(([path, rule]) => ({ path, rule })),
});

const payment = z.strictObject({
  to: z.email(),
  amount: z.number().max(100),
  notes: z.record(z.string(), z.object({ text: z.string() })).optional(),
  lines: z.array(z.object({ sku: z.string() })).optional(),
});
const good = { to: 'a@example.com', amount: 5 };

describe('args', () => {
  it.each([
    { name: 'what fits', value: good, verdict: { allow: true } },
    {
      name: 'a wrong type',
      value: { ...good, amount: CANARY },
      verdict: denied('/amount (invalid_type)', ['/amount', 'invalid_type']),
    },
    {
      name: 'a number too big',
      value: { ...good, amount: 101 },
      verdict: denied('/amount (too_big)', ['/amount', 'too_big']),
    },
    {
      name: 'a missing property',
      value: { to: 'a@example.com' },
      verdict: denied('/amount (invalid_type)', ['/amount', 'invalid_type']),
    },
    {
      name: 'a wrong format',
      value: { ...good, to: CANARY },
      verdict: denied('/to (invalid_format)', ['/to', 'invalid_format']),
    },
    {
      name: 'an unknown property',
      value: { ...good, [CANARY]: 1 },
      verdict: denied('unrecognized_keys', ['', 'unrecognized_keys']),
    },
    {
      name: 'a value under a name of the data',
      value: { ...good, notes: { [CANARY]: { text: 1 }, [`${CANARY}2`]: { text: 1 } } },
      verdict: denied('/notes/*/text (invalid_type)', ['/notes/*/text', 'invalid_type']),
    },
    {
      name: 'an item of a list',
      value: { ...good, lines: [{ sku: 'a' }, { sku: 1 }] },
      verdict: denied('/lines/1/sku (invalid_type)', ['/lines/1/sku', 'invalid_type']),
    },
    { name: 'a string for the object', value: CANARY, verdict: denied('invalid_type', ['', 'invalid_type']) },
    { name: 'null for the object', value: null, verdict: denied('invalid_type', ['', 'invalid_type']) },
    { name: 'nothing for the object', value: undefined, verdict: denied('invalid_type', ['', 'invalid_type']) },
    {
      name: 'more broken rules than are told',
      value: { to: 1, amount: 'x', lines: 1, notes: 1 },
      verdict: denied(
        '/to (invalid_type), /amount (invalid_type), /notes (invalid_type) and 1 more',
        ['/to', 'invalid_type'],
        ['/amount', 'invalid_type'],
        ['/notes', 'invalid_type'],
        ['/lines', 'invalid_type'],
      ),
    },
  ])('judges $name, listed or declared', ({ value, verdict }) => {
    expect(check(args({ pay: payment }), value)).toEqual(verdict);
    expect(check(args(), value, payment)).toEqual(verdict);
    expect(JSON.stringify(check(args({ pay: payment }), value))).not.toContain(CANARY);
  });

  it('hides names where the schema cannot tell which it declares', () => {
    const schema = v.object({ to: v.pipe(v.string(), v.email()), lines: v.array(v.object({ sku: v.string() })) });
    expect(check(args({ pay: schema }), { to: 'a@example.com', lines: [] })).toEqual({ allow: true });
    expect(check(args({ pay: schema }), { to: CANARY, lines: [{ sku: 1 }] })).toEqual(
      denied('/* (email), /*/0/* (string)', ['/*', 'email'], ['/*/0/*', 'string']),
    );
  });

  it('knows names beside a part that has no JSON Schema', () => {
    const schema = z.object({ when: z.coerce.date(), who: z.string() });
    expect(check(args({ pay: schema }), { when: CANARY, who: 1 })).toEqual(
      denied('/when (invalid_type), /who (invalid_type)', ['/when', 'invalid_type'], ['/who', 'invalid_type']),
    );
  });

  it('asks a schema for its names once, and only after a refusal', () => {
    const input = vi.fn(() => ({ properties: { amount: {} } }));
    const schema = answering((value) => (value === 1 ? { value } : { issues: [{ path: ['amount'] }] }), {
      jsonSchema: { input },
    });
    const guard = args();
    expect(check(guard, 1, schema)).toEqual({ allow: true });
    expect(input).not.toHaveBeenCalled();
    for (let i = 0; i < 3; i++) {
      expect(check(guard, 2, schema)).toEqual(denied('/amount (invalid)', ['/amount', 'invalid']));
    }
    expect(input.mock.calls).toEqual([[{ target: 'draft-2020-12' }]]);
  });

  it('tells Zod to leave open what has no JSON Schema', () => {
    const input = vi.fn(() => ({ properties: { amount: {} } }));
    const schema = answering(() => ({ issues: [{ path: ['amount'] }] }), { vendor: 'zod', jsonSchema: { input } });
    expect(check(args({ pay: schema }), {})).toMatchObject({ issues: [{ path: '/amount' }] });
    expect(input.mock.calls).toEqual([[{ target: 'draft-2020-12', libraryOptions: { unrepresentable: 'any' } }]]);
  });

  const cyclic: { properties: object; items?: object } = { properties: { a: {} } };
  cyclic.items = cyclic;
  it.each([
    { name: 'throws', jsonSchema: { input: () => JSON.parse(CANARY) }, path: '/*/*' },
    { name: 'is no function', jsonSchema: { input: 1 }, path: '/*/*' },
    { name: 'answers nothing', jsonSchema: { input: () => undefined }, path: '/*/*' },
    { name: 'answers with a cycle', jsonSchema: { input: () => cyclic }, path: '/a/*' },
    {
      name: 'has names inside definitions',
      jsonSchema: { input: () => ({ $ref: '#/$defs/x', $defs: { x: { allOf: [{ properties: { b: {} } }] } } }) },
      path: '/*/b',
    },
  ])('shows only names it was told where the JSON Schema $name', ({ jsonSchema, path }) => {
    const schema = answering(() => ({ issues: [{ path: ['a', 'b'] }] }), { jsonSchema });
    expect(check(args({ pay: schema }), {})).toMatchObject({ issues: [{ path }] });
  });

  it.each([
    { name: 'the code of Zod', issue: { code: 'too_big', type: 'other' }, rule: 'too_big' },
    { name: 'the type of Valibot', issue: { kind: 'schema', type: 'min_value' }, rule: 'min_value' },
    { name: 'no rule', issue: { message: CANARY }, rule: 'invalid' },
    { name: 'a sentence for a code', issue: { code: `${CANARY} is bad`, type: 'number' }, rule: 'number' },
    { name: 'a sentence for a type', issue: { type: `${CANARY} is bad` }, rule: 'invalid' },
    { name: 'a code too long', issue: { code: CANARY.padEnd(65, 'x') }, rule: 'invalid' },
    { name: 'a number for a code', issue: { code: 12 }, rule: 'invalid' },
    { name: 'true for a code', issue: { code: true }, rule: 'invalid' },
    { name: 'an object for a code', issue: { code: { toString: () => 'custom' } }, rule: 'invalid' },
    { name: 'text for an issue', issue: CANARY, rule: 'invalid' },
    { name: 'null for an issue', issue: null, rule: 'invalid' },
    { name: 'nothing for an issue', issue: undefined, rule: 'invalid' },
    { name: 'text for a path', issue: { path: CANARY, code: 'custom' }, rule: 'custom' },
  ])('reads an issue with $name', ({ issue, rule }) => {
    const verdict = check(args({ pay: refusing(issue) }), { [CANARY]: CANARY });
    expect(verdict).toEqual(denied(rule, ['', rule]));
    expect(JSON.stringify(verdict)).not.toContain(CANARY);
  });

  it.each([
    { name: 'keys', path: [CANARY, 0, 'x'] },
    { name: 'segments', path: [{ key: CANARY }, { key: 0 }, { key: 'x' }] },
    { name: 'symbols and malformed segments', path: [Symbol(CANARY), {}, null] },
  ])('hides paths made of $name', ({ path }) => {
    expect(check(args({ pay: refusing({ path }) }), {})).toEqual(denied('/*/*/* (invalid)', ['/*/*/*', 'invalid']));
  });

  it('tells at most 16 different issues', () => {
    const many = Array.from({ length: 50 }, (_, i) => ({ code: `rule-${i >> 1}` }));
    expect(check(args({ pay: refusing(...many) }), {})).toMatchObject({
      message: 'arguments do not match the schema: rule-0, rule-1, rule-2 and 13 more',
      issues: Array.from({ length: 16 }, (_, i) => ({ path: '', rule: `rule-${i}` })),
    });
  });

  it('looks at the first thousand issues', () => {
    const same = Array.from({ length: 999 }, () => ({ code: 'same' }));
    const issues = (...codes: string[]) => refusing(...same, ...codes.map((code) => ({ code })));
    expect(check(args({ pay: issues('thousandth', 'later') }), {})).toEqual(
      denied('same, thousandth', ['', 'same'], ['', 'thousandth']),
    );
  });

  it('refuses where the list of issues is empty', () => {
    expect(check(args({ pay: refusing() }), {})).toEqual(denied('invalid', ['', 'invalid']));
  });

  const noObject = 'the result is no object';
  const neither = 'the result has neither a value nor a list of issues';
  it.each([
    { name: 'throws', validate: () => JSON.parse(CANARY), cause: 'JSON' },
    { name: 'rejects', validate: async () => JSON.parse(CANARY), cause: 'JSON' },
    { name: 'answers nothing', validate: () => undefined, cause: noObject },
    { name: 'answers null', validate: () => null, cause: noObject },
    { name: 'answers true', validate: () => true, cause: noObject },
    { name: 'answers with a function', validate: () => Object.assign(() => {}, { value: 1 }), cause: noObject },
    { name: 'answers neither value nor issues', validate: () => ({}), cause: neither },
    { name: 'answers null for issues', validate: () => ({ value: 1, issues: null }), cause: neither },
    { name: 'answers text for issues', validate: () => ({ value: 1, issues: CANARY }), cause: neither },
    { name: 'promises nothing', validate: async () => undefined, cause: noObject },
    {
      name: 'answers with an issue that throws',
      cause: CANARY,
      validate: () => ({
        issues: [
          {
            get code(): never {
              throw new Error(CANARY);
            },
          },
        ],
      }),
    },
  ])('throws no content of the arguments where the validator $name', async ({ validate, cause }) => {
    const error: unknown = await (async () => check(args({ pay: answering(validate) }), { a: CANARY }))().catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(Error);
    expect((error as Error).message).toBe('the schema of tool "pay" gave no verdict');
    expect(JSON.stringify(error)).not.toContain(CANARY);
    expect((error as Error).cause).toMatchObject({ message: expect.stringContaining(cause) });
  });

  it('answers at once for a synchronous validator and later for an asynchronous one', async () => {
    const known = z.string().refine(async (id) => id === 'known', { error: `no such id: ${CANARY}` });
    const asynchronous = z.object({ id: known });
    expect(check(args({ pay: payment }), good)).not.toBeInstanceOf(Promise);
    const guard = args({ pay: asynchronous });
    expect(check(guard, { id: 'known' })).toBeInstanceOf(Promise);
    expect(await check(guard, { id: 'known' })).toEqual({ allow: true });
    const verdict = await check(guard, { id: CANARY });
    expect(verdict).toEqual(denied('/id (custom)', ['/id', 'custom']));
    expect(JSON.stringify(verdict)).not.toContain(CANARY);
  });

  it('awaits an asynchronous Valibot schema', async () => {
    const schema = v.objectAsync({
      id: v.pipeAsync(
        v.string(),
        v.checkAsync(async (id) => id === 'known', CANARY),
      ),
    });
    expect(await check(args({ pay: schema }), { id: 'known' })).toEqual({ allow: true });
    expect(await check(args({ pay: schema }), { id: CANARY })).toEqual(denied('/* (check)', ['/*', 'check']));
  });

  it('holds a tool to both its listed and its declared schema', async () => {
    const small = z.object({ amount: z.number().max(10) });
    const even = z.object({ amount: z.number().refine(async (amount) => amount % 2 === 0) });
    const guard = args({ pay: small });
    expect(await check(guard, { amount: 4 }, even)).toEqual({ allow: true });
    expect(await check(guard, { amount: 12 }, even)).toEqual(denied('/amount (too_big)', ['/amount', 'too_big']));
    expect(await check(guard, { amount: 3 }, even)).toEqual(denied('/amount (custom)', ['/amount', 'custom']));
    expect(await check(args({ pay: even }), { amount: 12 }, small)).toEqual(
      denied('/amount (too_big)', ['/amount', 'too_big']),
    );
  });

  it('takes schemas that are functions', () => {
    const schema = Object.assign(
      () => {},
      answering((value) => (value === 1 ? { value } : { issues: [] })),
    );
    expect(prepare(args(), 'pay', schema)).toEqual({ schema: 'held' });
    expect(check(args({ pay: schema }), 1)).toEqual({ allow: true });
    expect(check(args(), 2, schema)).toMatchObject({ allow: false, code: 'ARGS_INVALID', reason: 'schema' });
    const validate = Object.assign(() => {}, answering((value) => ({ value }))['~standard']);
    expect(check(args(), 1, { '~standard': validate })).toEqual({ allow: true });
  });

  it('takes schemas from an object without prototype', () => {
    expect(prepare(args(Object.assign(Object.create(null), { pay: payment })), 'pay')).toEqual({ schema: 'held' });
  });

  it('leaves the arguments as they were, whatever the validator does to its own', () => {
    const value = JSON.parse('{"amount":"5","list":[1],"__proto__":{"x":1}}');
    const before = JSON.stringify(value);
    let seen = '';
    const schema = answering((given) => {
      seen = JSON.stringify(given);
      const own = given as { amount: unknown; list: unknown[] };
      own.amount = 5;
      own.list.push(2);
      return { value: own };
    });
    expect(check(args({ pay: schema }), value)).toEqual({ allow: true });
    expect(seen).toBe(before);
    expect(JSON.stringify(value)).toBe(before);
  });

  it.each(['constructor', '__proto__', 'toString', 'hasOwnProperty'])(
    'finds no schema for a tool called %s',
    (tool) => {
      expect(prepare(args({ pay: payment }), tool)).toEqual({ schema: 'missing' });
      expect(check(args({ pay: payment }), {}, undefined, tool)).toEqual({ allow: true });
      const guard = args({ [tool]: payment });
      expect(prepare(guard, tool)).toEqual({ schema: 'held' });
      expect(check(guard, {}, undefined, tool)).toMatchObject({ allow: false });
    },
  );

  const jsonSchema = { type: 'object' };
  const rows: { name: string; guard: Guard; schema?: object; says: unknown }[] = [
    { name: 'a listed tool', guard: args({ pay: payment }), says: { schema: 'held' } },
    { name: 'a tool that declares a schema', guard: args(), schema: payment, says: { schema: 'held' } },
    { name: 'a Valibot schema', guard: args(), schema: v.object({}), says: { schema: 'held' } },
    { name: 'a tool without schema', guard: args(), says: { schema: 'missing' } },
    { name: 'another tool than the listed', guard: args({ other: payment }), says: { schema: 'missing' } },
    { name: 'a JSON Schema', guard: args(), schema: jsonSchema, says: { schema: 'missing' } },
    {
      name: 'a listed tool that declares a JSON Schema',
      guard: args({ pay: payment }),
      schema: jsonSchema,
      says: { schema: 'missing' },
    },
    { name: 'an unchecked tool', guard: args({}, { unchecked: ['pay'] }), says: undefined },
    { name: 'any tool, all unchecked', guard: args({}, { unchecked: 'all' }), says: undefined },
    { name: 'a tool beside the unchecked', guard: args({}, { unchecked: ['other'] }), says: { schema: 'missing' } },
    { name: 'a tool, none unchecked', guard: args({}, { unchecked: [] }), says: { schema: 'missing' } },
    {
      name: 'an unchecked tool that is listed',
      guard: args({ pay: payment }, { unchecked: 'all' }),
      says: { schema: 'held' },
    },
    {
      name: 'an unchecked tool that declares a schema',
      guard: args({}, { unchecked: ['pay'] }),
      schema: payment,
      says: { schema: 'held' },
    },
  ];
  it.each(rows)('prepares $name', ({ guard, schema, says }) => {
    expect(prepare(guard, 'pay', schema)).toEqual(says);
  });

  it('checks an unchecked tool that has a schema', () => {
    const guard = args({ pay: payment }, { unchecked: 'all' });
    expect(check(guard, { ...good, amount: 101 })).toMatchObject({ code: 'ARGS_INVALID', reason: 'schema' });
    expect(check(guard, { ...good, amount: 101 }, undefined, 'other')).toEqual({ allow: true });
  });

  it('keeps the schemas it was given', () => {
    const schemas: { pay: StandardSchema } = { pay: payment };
    const guard = args(schemas);
    schemas.pay = z.any();
    expect(check(guard, {})).toMatchObject({ allow: false });
  });

  it('names itself and its tools in its settings', () => {
    const guard = args({ b: payment, a: payment }, { unchecked: ['d', 'c'] });
    expect(guard.name).toBe('args');
    expect(guard.settings).toEqual({ tools: ['a', 'b'], unchecked: ['c', 'd'] });
    expect(args({}, { unchecked: 'all' }).settings).toEqual({ tools: [], unchecked: 'all' });
  });

  const misuse: { name: string; make: () => unknown; error: typeof TypeError | typeof RangeError; says: string }[] = [
    ...[
      { name: 'undefined', entry: undefined },
      { name: 'null', entry: null },
      { name: 'text', entry: 'string' },
      { name: 'a JSON Schema', entry: jsonSchema },
      { name: 'null for ~standard', entry: { '~standard': null } },
      { name: 'a later version', entry: { '~standard': { version: 2, vendor: 'x', validate: () => ({ value: 1 }) } } },
      { name: 'no validate', entry: { '~standard': { version: 1, vendor: 'x' } } },
    ].map(({ name, entry }) => ({
      name: `${name} as a schema`,
      make: () => args({ pay: entry as never }),
      error: TypeError,
      says: 'args: the schema of tool "pay" is not a Standard Schema v1 validator',
    })),
    {
      name: 'a malformed declared schema',
      make: () => prepare(args(), 'pay', { '~standard': { version: 2 } }),
      error: TypeError,
      says: 'args: the schema of tool "pay" is not a Standard Schema v1 validator',
    },
    ...[null, 'pay', [payment], new Map([['pay', payment]])].map((schemas) => ({
      name: `${String(schemas)} for schemas`,
      make: () => args(schemas as never),
      error: TypeError,
      says: 'args expects a plain object of schemas by tool name',
    })),
    {
      name: 'a schema as prototype',
      make: () => args({ __proto__: payment } as never),
      error: TypeError,
      says: 'args expects a plain object of schemas by tool name',
    },
    { name: 'an empty tool name', make: () => args({ '': payment }), error: RangeError, says: 'args tool name' },
    {
      name: 'an unknown option',
      make: () => args({}, { uncheked: 'all' } as ArgsOptions),
      error: TypeError,
      says: 'args: unknown option `uncheked`',
    },
    {
      name: 'text for unchecked',
      make: () => args({}, { unchecked: 'pay' as 'all' }),
      error: TypeError,
      says: "`args.unchecked` must be 'all' or an array of tool names, got 'pay'",
    },
    {
      name: 'a number in unchecked',
      make: () => args({}, { unchecked: [1 as never] }),
      error: TypeError,
      says: '`args.unchecked[0]`',
    },
  ];
  it.each(misuse)('throws for $name', ({ make, error, says }) => {
    expect(make).toThrow(error);
    expect(make).toThrow(says);
  });

  it.each<{ name: string; schema: unknown; names: string[] }>([
    {
      name: 'properties, at any depth',
      schema: { items: [{ properties: { a: { properties: { b: true } } } }] },
      names: ['a', 'b'],
    },
    { name: 'required', schema: { required: ['a', 'b'] }, names: ['a', 'b'] },
    { name: 'dependentRequired', schema: { dependentRequired: { a: ['b'] } }, names: ['a', 'b'] },
    { name: 'dependentSchemas', schema: { dependentSchemas: { a: { required: ['b'] } } }, names: ['a', 'b'] },
    {
      name: 'dependencies',
      schema: { dependencies: { a: ['b'], c: { required: ['d'] } } },
      names: ['a', 'b', 'c', 'd'],
    },
    { name: 'no definition', schema: { $defs: { a: { required: ['b'] } } }, names: ['b'] },
    { name: 'no value', schema: { const: null, default: ['a'], enum: ['b', null], title: undefined }, names: [] },
    { name: 'no name that is none', schema: { properties: ['a'], required: ['b', 1, null] }, names: ['b'] },
    ...[true, false, null, undefined].map((schema) => ({ name: `nothing in ${schema}`, schema, names: [] })),
  ])('takes for declared $name', ({ schema, names }) => {
    expect([...declaredNames(schema)].sort()).toEqual(names);
  });

  it('is typed to take the schemas of any library', () => {
    expectTypeOf(payment).toExtend<StandardSchema>();
    expectTypeOf(v.object({ a: v.string() })).toExtend<StandardSchema>();
    expectTypeOf(v.objectAsync({ a: v.string() })).toExtend<StandardSchema>();
    expectTypeOf({ type: 'object' } as const).not.toExtend<StandardSchema>();
  });
});
