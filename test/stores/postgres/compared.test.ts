import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Span } from '../../../src/internal/window.ts';
import { memoryStore } from '../../../src/stores/memory.ts';
import { postgresStore } from '../../../src/stores/postgres.ts';
import type { Decision, Line, Reserve, Settle, Settled, Store } from '../../../src/stores/store.ts';
import { FakeClock } from '../../helpers/clock.ts';
import { postgresUrl } from '../../helpers/databases.ts';
import { PostgresSchema } from '../../helpers/postgres.ts';

const SCOPES = ['a', 'b'];
const DAY_MS = 40;

const line = fc.record({
  scope: fc.constantFrom(...SCOPES),
  kind: fc.constantFrom<Span['kind'][]>('total', 'rolling', 'calendar'),
  amount: fc.nat({ max: 6 }),
  book: fc.constantFrom<Line['book'][]>('reserve', 'settle'),
  /** Where its calendar window begins, in days from the one of the moment; it may overlap others. */
  off: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 0, -0.5, -1, 1),
});
/** Ids are few, so that most have been seen before. */
const id = fc.integer({ min: 0, max: 11 }).map(String);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      does: fc.constant('reserve' as const),
      id,
      onto: fc.option(id, { freq: 4, nil: undefined }),
      lines: fc.array(line, { maxLength: 3 }),
      leaseMs: fc.constantFrom(0, 30, 1_000),
      force: fc.constantFrom(undefined, undefined, undefined, undefined, true as const),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      does: fc.constant('settle' as const),
      ids: fc.array(id, { minLength: 1, maxLength: 2 }),
      actual: fc.oneof(fc.array(fc.nat({ max: 9 }), { maxLength: 4 }), fc.constantFrom('void', 'forfeit', 'fits')),
    }),
  },
  { weight: 4, arbitrary: fc.record({ does: fc.constant('wait' as const), ms: fc.integer({ min: -60, max: 90 }) }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('sweep' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      does: fc.constantFrom('stop' as const, 'resume' as const),
      scope: fc.constantFrom(...SCOPES),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface Side {
  readonly store: Store;
  readonly generations: Readonly<Record<string, string>>;
}

async function opened(store: Store): Promise<Side> {
  return { store, generations: await store.open(SCOPES) };
}

/** Everything that can be seen of a store: `[used, held]` of each counter that is not at zero. */
async function seen({ store }: Side): Promise<unknown> {
  const all: [string, number, number][] = [];
  for (const [scope, meters] of Object.entries(await store.read(SCOPES))) {
    for (const [meter, { used, held }] of Object.entries(meters)) {
      if (used !== 0 || held !== 0) all.push([`${scope} ${meter}`, used, held]);
    }
  }
  return all.sort(([one], [other]) => (one < other ? -1 : 1));
}

describe.skipIf(postgresUrl === undefined)('postgresStore compared with memoryStore', () => {
  let schema: PostgresSchema;
  beforeAll(async () => {
    schema = await PostgresSchema.create();
  });
  afterAll(() => schema.drop());

  async function perform(
    { store, generations }: Side,
    step: Step,
    wall: number,
    lines: ReadonlyMap<string, number>,
  ): Promise<unknown> {
    switch (step.does) {
      case 'reserve': {
        const { id, onto, leaseMs, force } = step;
        const item: Reserve = {
          id,
          onto,
          leaseMs,
          force,
          keepMs: 300_000,
          lines: step.lines.map(({ scope, kind, amount, book, off }): Line => {
            const startMs = (Math.floor(wall / DAY_MS) + off) * DAY_MS;
            const span: Span = {
              total: { kind: 'total' } as const,
              rolling: { kind: 'rolling', ms: 50, stepMs: 7 } as const,
              calendar: { kind: 'calendar', startMs, endMs: startMs + DAY_MS } as const,
            }[kind];
            return { scope, generation: generations[scope] as string, meter: kind, span, cap: 12, amount, book };
          }),
        };
        const [decision] = (await store.reserve([item])) as [Decision];
        return decision.ok || 'left' in decision ? { ...decision } : { ...decision, nowMs: 0 };
      }
      case 'settle': {
        const batch = step.ids.map((id): Settle => {
          const { actual } = step;
          const fitting = Array.from({ length: lines.get(id) ?? 0 }, (_, i) => (i * 5) % 8);
          return { id, actual: actual === 'fits' ? fitting : (actual as Settle['actual']) };
        });
        try {
          const answers = (await store.settle(batch)) as readonly Settled[];
          return answers.map(({ overrun, ...rest }) => ({
            ...rest,
            overrun: overrun.some((n) => n > 0) ? overrun : [],
          }));
        } catch (error) {
          return (error as Error).name;
        }
      }
      case 'sweep':
        return [...(await store.sweep(100))].map(({ id }) => id).sort();
      case 'wait':
        return undefined;
      default:
        return store[step.does](step.scope);
    }
  }

  it('answers the same, and has the same counters after each step', async () => {
    const law = fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40, size: 'max' }), async (steps) => {
      await schema.empty();
      const clock = new FakeClock(1_000_000, 1_000_000);
      const memory = await opened(memoryStore({ clock }));
      const client = await schema.movedBy(clock);
      const tested = await opened(postgresStore({ client, schema: schema.name, timeoutMs: 20_000 }));
      /** How many lines each hold has by now. */
      const lines = new Map<string, number>();
      let latest = clock.wall();
      for (const [i, each] of steps.entries()) {
        // Both have seen this time, and for neither it runs back.
        if (each.does === 'wait') clock.jump(clock.now() + each.ms, clock.wall() + each.ms);
        latest = Math.max(latest, clock.wall());
        const expected = await perform(memory, each, latest, lines);
        expect(await perform(tested, each, latest, lines), `step ${i}`).toEqual(expected);
        if (
          each.does === 'reserve' &&
          (expected as Decision).ok &&
          (expected as { repeat?: unknown }).repeat === undefined
        ) {
          const hold = each.onto ?? each.id;
          lines.set(hold, (lines.get(hold) ?? 0) + each.lines.length);
        }
        expect(await seen(tested), `counters after step ${i}`).toEqual(await seen(memory));
      }
    });
    await fc.assert(law, { numRuns: Number(process.env['RUNS'] ?? 60) });
  });
});
