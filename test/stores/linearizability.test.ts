import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryStore } from '../../src/stores/memory.ts';
import { checkHistories, historyText } from '../helpers/checked-histories.ts';
import { lateStore } from '../helpers/late-store.ts';
import { linearization, type Operation, type Specification } from '../helpers/linearizability.ts';
import { naiveStore } from '../helpers/naive-store.ts';
import { inTurn } from '../helpers/store-around.ts';

type Input = { readonly write: number } | 'read' | 'take';
type Output = number | 'done';

/** A number that is written, read and, with `take`, read and put to zero in one step. */
const register: Specification<number, Input, Output> = {
  initial: 0,
  step: (state, input) => (input === 'read' ? [state, state] : input === 'take' ? [0, state] : [input.write, 'done']),
  key: String,
  same: (one, other) => one === other,
};

const NEVER = Number.POSITIVE_INFINITY;

function operation(asked: number, answered: number, input: Input, output?: Output): Operation<Input, Output> {
  return { asked, answered, input, output };
}

const write = (asked: number, answered: number, value: number): Operation<Input, Output> =>
  operation(asked, answered, { write: value }, answered === NEVER ? undefined : 'done');
const read = (asked: number, answered: number, value: number): Operation<Input, Output> =>
  operation(asked, answered, 'read', value);
const take = (asked: number, answered: number, value: number): Operation<Input, Output> =>
  operation(asked, answered, 'take', value);

describe('linearization', () => {
  const histories: readonly { name: string; history: Operation<Input, Output>[]; linearizable: boolean }[] = [
    { name: 'nothing', history: [], linearizable: true },
    { name: 'a read of what was written', history: [write(1, 2, 5), read(3, 4, 5)], linearizable: true },
    {
      name: 'a read of what was written before the latest',
      history: [write(1, 2, 5), write(3, 4, 6), read(5, 6, 5)],
      linearizable: false,
    },
    { name: 'a read of the old value beside a write', history: [write(1, 4, 5), read(2, 3, 0)], linearizable: true },
    { name: 'a read of the new value beside a write', history: [write(1, 4, 5), read(2, 3, 5)], linearizable: true },
    {
      name: 'a read of the new value and then of the old one beside a write',
      history: [write(1, 10, 5), read(2, 3, 5), read(4, 5, 0)],
      linearizable: false,
    },
    {
      name: 'a read of the old value and then of the new one beside a write',
      history: [write(1, 10, 5), read(2, 3, 0), read(4, 5, 5)],
      linearizable: true,
    },
    {
      name: 'two reads beside one another that disagree, beside a write',
      history: [write(1, 10, 5), read(2, 6, 5), read(3, 7, 0)],
      linearizable: true,
    },
    {
      name: 'a read of a write that was asked for later',
      history: [read(1, 2, 5), write(3, 4, 5)],
      linearizable: false,
    },
    { name: 'a value that nobody wrote', history: [write(1, 4, 5), read(2, 3, 6)], linearizable: false },
    {
      name: 'two that read each other’s write first',
      history: [write(1, 10, 1), write(1, 10, 2), read(2, 3, 1), read(4, 5, 2), read(6, 7, 1)],
      linearizable: false,
    },
    { name: 'one value taken twice', history: [write(1, 2, 5), take(3, 6, 5), take(4, 5, 5)], linearizable: false },
    {
      name: 'one value taken once of two at a time',
      history: [write(1, 2, 5), take(3, 6, 0), take(4, 5, 5)],
      linearizable: true,
    },
    {
      name: 'a write without an answer that was never seen',
      history: [write(1, NEVER, 5), read(2, 3, 0), read(4, 5, 0)],
      linearizable: true,
    },
    {
      name: 'a write without an answer that was seen late',
      history: [write(1, NEVER, 5), read(2, 3, 0), read(4, 5, 5)],
      linearizable: true,
    },
    {
      name: 'a write without an answer that was seen and then not',
      history: [write(1, NEVER, 5), read(2, 3, 5), read(4, 5, 0)],
      linearizable: false,
    },
    {
      name: 'a write without an answer that was seen before it was asked for',
      history: [read(1, 2, 5), write(3, NEVER, 5)],
      linearizable: false,
    },
    {
      name: 'a value taken by one who never heard of it',
      history: [write(1, 2, 5), operation(3, NEVER, 'take'), read(4, 5, 5), take(6, 7, 0)],
      linearizable: true,
    },
    {
      name: 'an answer at the very moment of the next question',
      history: [write(1, 2, 5), read(2, 3, 0)],
      linearizable: true,
    },
  ];

  it.each(histories)('$linearizable: $name', ({ history, linearizable }) => {
    for (const each of [history, history.toReversed()]) {
      const order = linearization(each, register);
      expect(order !== undefined).toBe(linearizable);
    }
  });

  it('gives an order in which every answer is right and no question comes before an earlier answer', () => {
    for (const { history } of histories) {
      const order = linearization(history, register) ?? [];
      let state = register.initial;
      for (const [i, { input, output, answered }] of order.entries()) {
        const [next, told] = register.step(state, input);
        if (output !== undefined) expect(told).toBe(output);
        state = next;
        for (const earlier of order.slice(0, i)) expect(earlier.asked).toBeLessThanOrEqual(answered);
      }
    }
  });

  const questions = fc.array(
    fc.record({
      input: fc.oneof(
        fc.constantFrom('read' as const, 'take' as const),
        fc.record({ write: fc.integer({ min: 1, max: 3 }) }),
      ),
      before: fc.double({ min: 0, max: 8, noNaN: true }),
      after: fc.double({ min: 0, max: 8, noNaN: true }),
      lost: fc.boolean(),
    }),
    { maxLength: 24, size: 'max' },
  );

  /** What a real register says, asked at moments 1, 2, 3 and so on, each somewhere between question and answer. */
  function honest(asked: typeof questions extends fc.Arbitrary<infer T> ? T : never): Operation<Input, Output>[] {
    let state = register.initial;
    return asked.map(({ input, before, after, lost }, i) => {
      const [next, output] = register.step(state, input);
      state = next;
      return lost && input !== 'read'
        ? operation(i - before, NEVER, input)
        : operation(i - before, i + after, input, output);
    });
  }

  it('finds an order of what a real one answers, whatever overlaps', () => {
    const law = fc.property(questions, (asked) => linearization(honest(asked), register) !== undefined);
    fc.assert(law, { numRuns: 300 });
  });

  it('agrees with a search through all orders', () => {
    const few = fc.array(
      fc.record({
        input: fc.oneof(
          fc.constantFrom('read' as const, 'take' as const),
          fc.record({ write: fc.integer({ min: 1, max: 2 }) }),
        ),
        output: fc.integer({ min: 0, max: 2 }),
        asked: fc.nat({ max: 8 }),
        takes: fc.nat({ max: 8 }),
        lost: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
      }),
      { maxLength: 6, size: 'max' },
    );
    let both = [0, 0];
    const law = fc.property(few, (asked) => {
      const history = asked.map(({ input, output, asked: at, takes, lost }) =>
        lost
          ? operation(at, NEVER, input)
          : operation(at, at + takes, input, typeof input === 'object' ? 'done' : output),
      );
      const found = linearization(history, register) !== undefined;
      both = both.map((count, i) => count + Number(found === (i === 1)));
      expect(found).toBe(anyOrder(history));
    });
    fc.assert(law, { numRuns: 2_000 });
    // The comparison is about something: there were many of either kind.
    expect(Math.min(...both)).toBeGreaterThan(200);
  });

  function anyOrder(rest: readonly Operation<Input, Output>[], state = register.initial): boolean {
    if (rest.every(({ output }) => output === undefined)) return true;
    return rest.some((operation) => {
      const others = rest.filter((other) => other !== operation);
      if (others.some(({ answered }) => answered < operation.asked)) return false;
      const [next, output] = register.step(state, operation.input);
      return (operation.output === undefined || operation.output === output) && anyOrder(others, next);
    });
  }
});

describe('histories of a store', () => {
  it('are explained by the specification when there is one memory store behind all callers', async () => {
    const store = lateStore();
    const { failed, operations, seed } = await checkHistories(Array(6).fill(store), 100);
    expect(failed.map(historyText), `seed ${seed}`).toEqual([]);
    expect(operations / 100).toBeGreaterThan(20);
  });

  it('are what a memory store answers when there is one caller', async () => {
    const { failed, seed } = await checkHistories([memoryStore()], 200);
    expect(failed.map(historyText), `seed ${seed}`).toEqual([]);
  });

  it('are explained by nothing when a store checks first and acts then', async () => {
    const cells = new Map<string, string>();
    const naive = naiveStore({
      get: async (key) => cells.get(key),
      set: async (key, value) => void cells.set(key, value),
      remove: async (key) => void cells.delete(key),
      add: async (key, amount) => void cells.set(key, String(Number(cells.get(key) ?? 0) + amount)),
      list: async (prefix) => [...cells.keys()].filter((key) => key.startsWith(prefix)),
    });
    expect((await checkHistories([inTurn(naive)], 50)).failed.map(historyText)).toEqual([]);
    expect((await checkHistories(Array(6).fill(naive), 50)).failed.length).toBeGreaterThan(25);
  });
});
