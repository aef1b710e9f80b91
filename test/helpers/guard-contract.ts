import { describe, expect, it } from 'vitest';
import type { DeniedError } from '../../src/errors.ts';
import type { Guard, ToolCall } from '../../src/guard.ts';
import { createLeash } from '../../src/leash.ts';
import type { Leash } from '../../src/leash-contract.ts';
import type { LeashOptions } from '../../src/leash-options.ts';
import type { DecisionDenial } from '../../src/session/decision.ts';
import type { CallRequest } from '../../src/session/declaration.ts';
import { memoryStore } from '../../src/stores/memory.ts';
import { FakeClock } from './clock.ts';

/** A way to build the guard that its constructor must not accept. */
export interface Mistake {
  readonly name: string;
  readonly make: () => unknown;
  readonly error: typeof TypeError | typeof RangeError;
  /** Names the option. */
  readonly message: RegExp;
}

/** One guard, and what is known of it from outside. */
export interface GuardSubject {
  /** As refusals and the log call it. */
  readonly name: string;
  readonly make: () => Guard;
  /** Guards that hold something else, each of them different from all others and from `make`. */
  readonly others: readonly (() => Guard)[];
  readonly mistakes: readonly Mistake[];
  /** A call that a fresh guard allows. */
  readonly allowed: CallRequest;
  /** How many of the allowed calls come before the refused one. */
  readonly first: number;
  readonly refused: CallRequest;
  readonly code: string;
  readonly reason: string;
  /** What `limit` says; undefined for a guard that counts nothing. */
  readonly limit: string | undefined;
}

/** What becomes of a call: what its tool returned, or how it was refused. */
async function outcome(leash: Leash, call: CallRequest, tool: () => unknown = () => 'ran'): Promise<unknown> {
  try {
    return await leash.run(call, tool);
  } catch (error) {
    const { code, reason, guard, limit } = error as DeniedError;
    return { code, reason, guard, limit };
  }
}

/** What every guard must do, seen through `Guard` and through a leash that holds it. */
export function guardContract(subject: GuardSubject): void {
  const { name, make, others, mistakes, allowed, first, refused, code, reason, limit } = subject;
  const denial = { code, reason, guard: name, limit };
  const leashWith = (guards: readonly Guard[], more: Partial<LeashOptions> = {}) =>
    createLeash({ guards, clock: new FakeClock(), stopOn: 'none', ...more });
  const fill = async (leash: Leash) => {
    for (let i = 0; i < first; i++) expect(await outcome(leash, allowed)).toBe('ran');
  };

  describe(`${name} as a Guard`, () => {
    it('is called the same, however it was made', () => {
      expect([make, ...others].map((each) => each().name)).toEqual([name, ...others.map(() => name)]);
    });

    it('tells its settings as plain JSON', () => {
      for (const each of [make, ...others]) {
        const { settings } = each();
        expect(settings).toBeTypeOf('object');
        expect(JSON.parse(JSON.stringify(settings))).toEqual(settings);
      }
    });

    it('has the same settings for the same rules and others for other rules', () => {
      const told = [make, ...others].map((each) => JSON.stringify(each().settings));
      expect(told).toEqual([make, ...others].map((each) => JSON.stringify(each().settings)));
      expect(new Set(told).size).toBe(told.length);
    });

    it('answers with the very same limits each time', () => {
      for (const guard of [make, ...others].map((each) => each())) {
        for (const call of [undefined, { tool: refused.tool }, { tool: 'another' }]) {
          const limits = guard.limits?.(call);
          expect(guard.limits?.(call)).toBe(limits);
          for (const each of limits ?? []) {
            expect(Object.isFrozen(each)).toBe(true);
            expect(Number.isSafeInteger(each.cap) && each.cap >= 0).toBe(true);
            expect(guard.limits?.(undefined)).toContain(each);
          }
        }
      }
      expect(make().limits === undefined).toBe(limit === undefined);
    });

    it('judges a call that nobody can change, the same way every time', async () => {
      const guard = make();
      for (const { tool, args = [], url, schema } of [allowed, refused]) {
        const urls = url === undefined ? [] : [String(url)];
        const call: ToolCall = { id: '1', tool, args: frozen(args), cost: undefined, urls, schema };
        Object.freeze(call.urls);
        const verdict = await guard.check?.(Object.freeze(call));
        expect(await guard.check?.(call)).toEqual(verdict);
      }
    });

    it('refuses for one stable reason, and runs nothing then', async () => {
      const leash = leashWith([make()]);
      await fill(leash);
      for (let again = 0; again < 2; again++) {
        expect(await outcome(leash, refused, () => expect.unreachable('a refused tool ran'))).toEqual(denial);
      }
      expect(await leash.usage()).toMatchObject({ calls: first, denied: 2 });
    });

    it('is told by peek before it refuses', async () => {
      const leash = leashWith([make()]);
      expect(await leash.peek(limit === undefined ? allowed : refused)).toMatchObject({ allow: true });
      await fill(leash);
      const { allow, message: _, ...told } = (await leash.peek(refused)) as DecisionDenial & { allow: boolean };
      expect(allow).toBe(false);
      expect(told).toEqual(denial);
    });

    it('keeps nothing in itself: each leash that it is in starts anew', async () => {
      const guard = make();
      const store = memoryStore();
      const leashes = [leashWith([guard], { store }), leashWith([guard], { store }), leashWith([guard])];
      for (const leash of leashes) {
        await fill(leash);
        expect(await outcome(leash, refused)).toEqual(denial);
      }
    });

    it('holds the calls of a child as it holds its own', async () => {
      const leash = leashWith([make()]);
      const child = leash.child({ guards: [] });
      await fill(leash);
      expect(await outcome(child, refused)).toEqual(denial);
      const other = leashWith([make()]);
      await fill(other.child({ guards: [] }));
      expect(await outcome(other, refused)).toEqual(denial);
    });

    it('refuses in a child that only observes, and lets run in a leash that does', async () => {
      const leash = leashWith([make()]);
      await fill(leash);
      expect(await outcome(leash.child({ guards: [], mode: 'observe' }), refused)).toEqual(denial);
      const observer = leashWith([make()], { mode: 'observe' });
      await fill(observer);
      expect(await outcome(observer, refused)).toBe('ran');
      expect(observer.breach).toBeUndefined();
    });

    it.each(mistakes)('cannot be made with $name', ({ make: mistaken, error, message }) => {
      let thrown: unknown;
      try {
        mistaken();
      } catch (caught) {
        thrown = caught;
      }
      expect(thrown).toBeInstanceOf(error);
      expect((thrown as Error).message).toMatch(message);
    });
  });
}

/** The same value, which throws where somebody writes to it. */
function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  for (const child of Object.values(value)) frozen(child);
  return Object.freeze(value);
}

/** Values that are no count, no amount and no duration. */
export const NO_NUMBERS: readonly { readonly name: string; readonly value: unknown }[] = [
  { name: 'NaN', value: Number.NaN },
  { name: 'Infinity', value: Number.POSITIVE_INFINITY },
  { name: '-Infinity', value: Number.NEGATIVE_INFINITY },
  { name: '-1', value: -1 },
  { name: '-0.000000001', value: -1e-9 },
  { name: '1e400', value: Number('1e400') },
  { name: '2^53', value: 2 ** 53 },
  { name: "''", value: '' },
  { name: "'0x10'", value: '0x10' },
  { name: "'1e400'", value: '1e400' },
  { name: "'-1'", value: '-1' },
  { name: "'NaN'", value: 'NaN' },
  { name: "'Infinity'", value: 'Infinity' },
  { name: '2^53 as bigint', value: 2n ** 53n },
  { name: '-1n', value: -1n },
  { name: 'null', value: null },
  { name: 'true', value: true },
  { name: 'an array', value: [1] },
  { name: 'an object', value: {} },
  { name: 'a function', value: () => 1 },
];

/** Such a number as an option: numbers out of range are a `RangeError`, everything else is of the wrong type. */
export function noCounts(option: string, make: (value: never) => unknown): Mistake[] {
  const message = new RegExp(`^\`${option.replace('.', '\\.')}\` must be `);
  return [...NO_NUMBERS, { name: '1.5', value: 1.5 }].map(({ name, value }) => ({
    name: `${option} ${name}`,
    make: () => make(value as never),
    error: typeof value === 'number' ? RangeError : TypeError,
    message,
  }));
}
