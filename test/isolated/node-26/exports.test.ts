import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest';
import { egress } from '../../../src/guards/egress.ts';
import { type Isolated, isolated } from '../../../src/isolated/index.ts';
import { createLeash } from '../../../src/leash.ts';
import { rejection } from '../../helpers/refused.ts';
import type * as Tools from './modules/tools.ts';

const leash = createLeash({ guards: [egress({ allow: [] })] });
let worker: Isolated<typeof Tools>;
beforeAll(async () => {
  worker = await isolated<typeof Tools>(new URL('./modules/tools.ts', import.meta.url), { leash });
});
afterAll(() => worker.close());

describe('exports of an isolated module', () => {
  it('are its functions, and nothing else', () => {
    expect(Object.getPrototypeOf(worker.exports)).toBe(null);
    expect(Object.keys(worker.exports)).toContain('same');
    expect(worker.exports).not.toHaveProperty('version');
    expect(Object.isFrozen(worker.exports)).toBe(true);
    expect(worker.exports.same.name).toBe('same');
    expectTypeOf(worker.exports.count).toEqualTypeOf<(...args: unknown[]) => Promise<number>>();
    expectTypeOf(worker.exports.later).toEqualTypeOf<(value: unknown) => Promise<unknown>>();
    expectTypeOf<'version'>().not.toExtend<keyof typeof worker.exports>();
  });

  it.each<{ readonly name: string; readonly value: unknown }>([
    { name: 'nothing', value: undefined },
    { name: 'null', value: null },
    { name: 'numbers', value: [0, -0, Number.NaN, Number.POSITIVE_INFINITY, 10n] },
    { name: 'text', value: ['', '\u0000', 'é😀', '\ud800'] },
    { name: 'objects', value: { a: { b: [1, { c: undefined }] } } },
    { name: 'a name that means something', value: JSON.parse('{"__proto__":{"polluted":1},"constructor":1}') },
    { name: 'collections', value: new Map<unknown, unknown>([['a', new Set([1])]]) },
    { name: 'dates and patterns', value: [new Date(5), /a+/gi] },
    { name: 'bytes', value: new Uint8Array([1, 2, 3]) },
    { name: 'many bytes', value: new Uint8Array(1_000_000).fill(9) },
    { name: 'a buffer', value: new Uint8Array([4, 5]).buffer },
  ])('take and give $name', async ({ value }) => {
    expect(await worker.exports.same(value)).toStrictEqual(value);
    expect(await worker.exports.later(value)).toStrictEqual(value);
  });

  it('take and give what refers to itself', async () => {
    const value: { self?: unknown } = {};
    value.self = value;
    const got = (await worker.exports.same(value)) as typeof value;
    expect(got.self).toBe(got);
    expect(({} as { polluted?: unknown }).polluted).toBe(undefined);
  });

  it('are sent the bytes of a view, and not what lies beside them in the pool', async () => {
    const secret = Buffer.from('a secret in the pool');
    const view = Buffer.from('view');
    expect(view.buffer).toBe(secret.buffer);
    const got = (await worker.exports.same(view)) as Uint8Array;
    expect(Buffer.from(got).toString()).toBe('view');
    expect(Buffer.from(got.buffer).toString('latin1')).not.toContain('a secret');
  });

  it('answer many calls, each with its own result', async () => {
    const results = await Promise.all(Array.from({ length: 500 }, (_, i) => worker.exports.later(i)));
    expect(results).toEqual(Array.from({ length: 500 }, (_, i) => i));
  });

  it('throw errors with their name and message, and nothing else of them', async () => {
    const error = await rejection(worker.exports.fail('BudgetExceededError', 'no more'));
    expect(error).toBeInstanceOf(Error);
    expect({ name: error.name, message: error.message }).toEqual({ name: 'BudgetExceededError', message: 'no more' });
    expect(error).not.toHaveProperty('code');
    expect(error).not.toHaveProperty('secret');
    const long = await rejection(worker.exports.fail('n'.repeat(1_000), 'm'.repeat(100_000)));
    expect([long.name.length, long.message.length]).toEqual([256, 8_192]);
  });

  it.each([
    { thrown: 'text', message: 'text' },
    { thrown: null, message: 'null' },
    { thrown: 7n, message: '7' },
    { thrown: { name: 1, message: {} }, message: '' },
  ])('throw $thrown as an error', async ({ thrown, message }) => {
    const error = await rejection(worker.exports.failBare(thrown));
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: 'Error', message });
  });

  it.each([
    { given: () => 'a secret in a source', why: 'a function' },
    { given: { inner: Promise.resolve() }, why: 'a promise' },
    { given: [Symbol('s')], why: 'a symbol' },
    { given: { deep: [new WeakMap()] }, why: 'what only the platform knows' },
  ])('refuse arguments that cannot be cloned: $why', async ({ given }) => {
    const error = await rejection(worker.exports.same(given));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(
      /^the arguments of export "same" cannot be sent to its worker: a function, a promise/,
    );
    expect(error.message).not.toContain('secret');
  });

  it.each(['function', 'promise', 'symbol'] as const)('refuse results that cannot be cloned: %s', async (what) => {
    const error = await rejection(worker.exports.give(what));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/^the result of export "give" cannot be sent: a function, a promise/);
  });

  it('refuse more than 16 MiB, in both directions', async () => {
    const tooMuch = new Uint8Array(16 * 1024 * 1024);
    expect((await rejection(worker.exports.same(tooMuch))).message).toMatch(/16777216 bytes are too many$/);
    expect((await rejection(worker.exports.give('long'))).message).toMatch(/16777216 bytes are too many$/);
    expect(await worker.exports.same('still there')).toBe('still there');
  });

  it('see signals among their arguments abort', async () => {
    const controller = new AbortController();
    const heeding = [worker.exports.heed(controller.signal), worker.exports.heed({ signal: controller.signal, n: 5 })];
    await worker.exports.same('both run');
    controller.abort(new RangeError('enough'));
    const reason = { at: 'later', name: 'RangeError', reason: 'enough' };
    expect(await Promise.all(heeding)).toEqual([
      { ...reason, n: undefined },
      { ...reason, n: 5 },
    ]);
    expect(await worker.exports.heed(controller.signal)).toEqual({ at: 'once', reason: 'enough', n: undefined });
  });

  it('leave no listener on a signal behind', async () => {
    let listeners = 0;
    const signal = new AbortController().signal;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners++;
      Reflect.apply(addEventListener, signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners--;
      Reflect.apply(removeEventListener, signal, args);
    };
    expect(await worker.exports.count(signal, { signal })).toBe(2);
    expect(listeners).toBe(0);
  });
});
