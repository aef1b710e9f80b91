import fc from 'fast-check';
import type { Decision, HoldState, Line, Settle, Settled, Store } from '../../src/stores/store.ts';
import type { Operation, Specification } from './linearizability.ts';

/** What many callers ask of two counters at the same time, and what a store says that does one thing after the other. */

const COUNTERS = ['x', 'y'] as const;
const CAP = 12;

type CounterName = (typeof COUNTERS)[number];

/** The same id always comes with the same lines. */
interface Reservation {
  readonly id: string;
  readonly lines: readonly { readonly counter: CounterName; readonly amount: number }[];
  /** Others last longer than any history. */
  readonly endsAtOnce: boolean;
}

export type Question =
  | { readonly reserve: Reservation }
  | { readonly settle: Reservation; readonly actual: Settle['actual'] }
  /** One hold that a sweep has forfeited: which and how many of them it finds is its own affair. */
  | { readonly sweep: Reservation }
  | { readonly stop: CounterName }
  | { readonly resume: CounterName }
  | 'read';

interface State {
  readonly used: Readonly<Record<CounterName, number>>;
  readonly held: Readonly<Record<CounterName, number>>;
  readonly stopped: readonly CounterName[];
  readonly holds: Readonly<Record<string, HoldState | 'corrected'>>;
}

function plus(sums: State['used'], counter: CounterName, amount: number): State['used'] {
  return { ...sums, [counter]: sums[counter] + amount };
}

/** Answers as text, without what says nothing. */
function told(answer: Decision | Settled): string {
  if ('state' in answer) {
    const overrun = answer.overrun.some((units) => units > 0) ? answer.overrun : [];
    return JSON.stringify([answer.state, answer.first, overrun]);
  }
  if (answer.ok) return JSON.stringify(['ok', answer.repeat, answer.left]);
  return JSON.stringify([answer.why, answer.line, 'left' in answer ? answer.left : undefined]);
}

function reserve(state: State, { id, lines }: Reservation): readonly [State, Decision] {
  const known = state.holds[id];
  const refused = (why: 'terminal' | 'stopped', line: number): Decision => ({ ok: false, why, line, nowMs: 0 });
  if (known === 'void') return [state, refused('terminal', -1)];
  const room = (counter: CounterName): number => CAP - state.used[counter] - state.held[counter];
  if (known !== undefined) {
    const left = lines.map(({ counter }) => room(counter));
    return [state, { ok: true, repeat: known === 'corrected' ? 'forfeited' : known, left }];
  }
  let held = state.held;
  for (const [i, { counter, amount }] of lines.entries()) {
    if (state.stopped.includes(counter)) return [state, refused('stopped', i)];
    const own = held[counter] - state.held[counter] + amount;
    if (own > room(counter)) {
      const why = own > CAP ? 'exceeds_cap' : state.used[counter] + own > CAP ? 'exhausted' : 'in_flight';
      return [state, { ok: false, why, line: i, left: room(counter) + amount - own }];
    }
    held = plus(held, counter, amount);
  }
  const left = lines.map(({ counter }) => CAP - state.used[counter] - held[counter]);
  return [
    { ...state, held, holds: { ...state.holds, [id]: 'held' } },
    { ok: true, repeat: undefined, left },
  ];
}

function settle(state: State, { id, lines }: Reservation, actual: Settle['actual']): readonly [State, Settled] {
  const known = state.holds[id];
  const ended = (end: HoldState | 'corrected'): State => ({ ...state, holds: { ...state.holds, [id]: end } });
  if (known === undefined) return [ended('void'), { state: 'unknown', first: true, overrun: [] }];
  const beyond = lines.map(({ amount }, i) =>
    typeof actual === 'string' ? 0 : Math.max(0, (actual[i] ?? 0) - amount),
  );
  if (known !== 'held') {
    if (known !== 'forfeited' || typeof actual === 'string') {
      return [state, { state: known === 'corrected' ? 'forfeited' : known, first: false, overrun: [] }];
    }
    const used = lines.reduce((sums, { counter }, i) => plus(sums, counter, beyond[i] ?? 0), state.used);
    return [
      { ...ended('corrected'), used },
      { state: 'forfeited', first: false, overrun: beyond },
    ];
  }
  let { used, held } = state;
  for (const [i, { counter, amount }] of lines.entries()) {
    held = plus(held, counter, -amount);
    if (actual !== 'void') used = plus(used, counter, actual === 'forfeit' ? amount : (actual[i] ?? 0));
  }
  const end = actual === 'void' ? 'void' : actual === 'forfeit' ? 'forfeited' : 'settled';
  return [
    { ...ended(end), used, held },
    { state: end, first: true, overrun: beyond },
  ];
}

/** As much of the contract as histories are about: two counters without a window, booked when they are settled. */
export const storeSpecification: Specification<State, Question, string> = {
  initial: { used: { x: 0, y: 0 }, held: { x: 0, y: 0 }, stopped: [], holds: {} },
  step: (state, question) => {
    if (question === 'read') return [state, JSON.stringify([state.used, state.held])];
    if ('stop' in question) return [{ ...state, stopped: [...new Set([...state.stopped, question.stop])].sort() }, ''];
    if ('resume' in question)
      return [{ ...state, stopped: state.stopped.filter((each) => each !== question.resume) }, ''];
    if ('sweep' in question) {
      const { id, endsAtOnce } = question.sweep;
      if (!endsAtOnce || state.holds[id] !== 'held') return [state, 'not one that has ended'];
      return [settle(state, question.sweep, 'forfeit')[0], 'forfeited'];
    }
    const [next, answer] =
      'reserve' in question ? reserve(state, question.reserve) : settle(state, question.settle, question.actual);
    return [next, told(answer)];
  },
  key: ({ used, held, stopped, holds }) => JSON.stringify([used, held, stopped, Object.entries(holds).sort()]),
  same: (one, other) => one === other,
};

/** Of one caller: in turn, each with others at the same time. */
type Script = readonly (readonly ScriptedQuestion[])[];
type ScriptedQuestion = Exclude<Question, { readonly sweep: Reservation }> | 'sweep';

export interface Plan {
  readonly reservations: readonly Reservation[];
  readonly callers: readonly Script[];
}

/** Few reservations, so that callers meet at them, and room for half of them. */
export function historyPlans(callers: number): fc.Arbitrary<Plan> {
  const line = fc.record({ counter: fc.constantFrom(...COUNTERS), amount: fc.integer({ min: 1, max: 6 }) });
  const reservation = fc.record({
    lines: fc.array(line, { minLength: 1, maxLength: 2 }),
    endsAtOnce: fc.nat({ max: 3 }),
  });
  const reservations = fc
    .array(reservation, { minLength: 12, maxLength: 12 })
    .map((all) => all.map(({ lines, endsAtOnce }, i) => ({ id: `r${i}`, lines, endsAtOnce: endsAtOnce === 0 })));
  return reservations.chain((all) => {
    const which = fc.constantFrom(...all);
    const actual = fc.oneof(
      { weight: 3, arbitrary: fc.tuple(fc.nat({ max: 6 }), fc.nat({ max: 6 })) },
      { weight: 1, arbitrary: fc.constantFrom('void' as const, 'forfeit' as const) },
    );
    const question: fc.Arbitrary<ScriptedQuestion> = fc.oneof(
      { weight: 12, arbitrary: fc.record({ reserve: which }) },
      { weight: 10, arbitrary: fc.record({ settle: which, actual }).map(asManyAsLines) },
      { weight: 3, arbitrary: fc.constant('read' as const) },
      { weight: 1, arbitrary: fc.constant('sweep' as const) },
      { weight: 1, arbitrary: fc.record({ stop: fc.constantFrom(...COUNTERS) }) },
      { weight: 2, arbitrary: fc.record({ resume: fc.constantFrom(...COUNTERS) }) },
    );
    const together = fc.oneof(
      { weight: 4, arbitrary: fc.tuple(question) },
      { weight: 1, arbitrary: fc.array(question, { minLength: 2, maxLength: 3 }) },
    );
    const script = fc.array(together, { minLength: 4, maxLength: 6, size: 'max' });
    return fc.record({
      reservations: fc.constant(all),
      callers: fc.array(script, { minLength: callers, maxLength: callers, size: 'max' }),
    });
  });
}

function asManyAsLines({ settle, actual }: { settle: Reservation; actual: Settle['actual'] }): ScriptedQuestion {
  return { settle, actual: typeof actual === 'string' ? actual : actual.slice(0, settle.lines.length) };
}

/**
 * Lets each caller ask its own store, all at the same time.
 *
 * @param name of the history: its scopes and ids are its own.
 */
export async function recordHistory(
  stores: readonly Store[],
  plan: Plan,
  name: string,
): Promise<Operation<Question, string>[]> {
  const generations = await (stores[0] as Store).open(
    COUNTERS.map((counter) => `${name} ${counter}`),
    'temporary',
  );
  const history: Operation<Question, string>[] = [];
  let moment = 0;

  const answersOf = async (store: Store, question: ScriptedQuestion): Promise<[Question, string][]> => {
    if (question === 'sweep') {
      const swept = new Set((await store.sweep(1_000)).map(({ id }) => id));
      const own = plan.reservations.filter(({ id }) => swept.has(`${name} ${id}`));
      return own.map((sweep) => [{ sweep }, 'forfeited']);
    }
    if (question === 'read') {
      const readings = await store.read(COUNTERS.map((counter) => `${name} ${counter}`));
      const sums = (['used', 'held'] as const).map((of) =>
        Object.fromEntries(COUNTERS.map((counter) => [counter, readings[`${name} ${counter}`]?.['usd']?.[of] ?? 0])),
      );
      return [[question, JSON.stringify(sums)]];
    }
    if ('stop' in question || 'resume' in question) {
      await ('stop' in question ? store.stop(`${name} ${question.stop}`) : store.resume(`${name} ${question.resume}`));
      return [[question, '']];
    }
    if ('settle' in question) {
      const [settled] = await store.settle([{ id: `${name} ${question.settle.id}`, actual: question.actual }]);
      return [[question, told(settled as Settled)]];
    }
    const { id, lines, endsAtOnce } = question.reserve;
    const asked = lines.map(({ counter, amount }): Line => {
      const scope = `${name} ${counter}`;
      const generation = generations[scope] ?? '';
      return { scope, generation, meter: 'usd', span: { kind: 'total' }, cap: CAP, amount, book: 'settle' };
    });
    const leaseMs = endsAtOnce ? 0 : 600_000;
    const [decision] = await store.reserve([{ id: `${name} ${id}`, lines: asked, leaseMs }]);
    return [[question, told(decision as Decision)]];
  };

  const ask = async (store: Store, question: ScriptedQuestion): Promise<void> => {
    const asked = ++moment;
    const answers = await answersOf(store, question);
    const answered = ++moment;
    for (const [input, output] of answers) history.push({ input, output, asked, answered });
  };

  await Promise.all(
    plan.callers.map(async (script, i) => {
      for (const together of script) await Promise.all(together.map((question) => ask(stores[i] as Store, question)));
    }),
  );
  return history;
}
