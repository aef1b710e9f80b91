import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Span } from '../../src/internal/window.ts';
import { memoryStore } from '../../src/stores/memory.ts';
import { redisStore } from '../../src/stores/redis.ts';
import type { Decision, Line, Reserve, Settle, Settled, Store } from '../../src/stores/store.ts';
import { redisUrl } from '../helpers/databases.ts';
import { atTime, connectIoredis, forget, randomPrefix, type TestClient } from '../helpers/redis.ts';

const SCOPES = ['a', 'b', 'c'] as const;
const WINDOW_MS = 40;
const MAX = Number.MAX_SAFE_INTEGER;

const units = fc.oneof(
  { weight: 12, arbitrary: fc.nat({ max: 6 }) },
  { weight: 2, arbitrary: fc.nat({ max: 14 }) },
  { weight: 1, arbitrary: fc.constantFrom(MAX, MAX - 1, 2 ** 52 + 1) },
);
const lineOf = fc.record({
  scope: fc.constantFrom(...SCOPES),
  kind: fc.constantFrom<Span['kind'][]>('total', 'rolling', 'calendar'),
  amount: units,
  book: fc.constantFrom<Line['book'][]>('reserve', 'settle'),
  cap: fc.constantFrom(12, 12, 12, 10, MAX),
  /** How many calendar windows from the one of the moment. */
  off: fc.oneof({ weight: 20, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constantFrom(-1, 1) }),
});
const which = fc.nat({ max: 5 });
const reservation = fc.record({
  id: fc.constantFrom('new', 'new', 'new', 'new', 'again', 'other'),
  which,
  onto: fc.option(which, { freq: 4, nil: undefined }),
  lines: fc.array(lineOf, { maxLength: 3, size: 'max' }),
  leaseMs: fc.constantFrom(0, 20, 1_000, 1_000),
  force: fc.constantFrom(undefined, undefined, undefined, true as const),
});
const ending = fc.record({
  never: fc.constantFrom(false, false, false, false, true),
  which,
  actual: fc.oneof(
    { weight: 5, arbitrary: fc.array(units, { minLength: 1, maxLength: 3 }) },
    { weight: 2, arbitrary: fc.constantFrom('exact' as const, 'void' as const) },
    { weight: 1, arbitrary: fc.constantFrom('forfeit' as const, 'too many' as const) },
  ),
});
const batch = { minLength: 1, maxLength: 3 } as const;
const steps = fc.oneof(
  { weight: 40, arbitrary: fc.record({ reserve: fc.array(reservation, batch) }) },
  { weight: 36, arbitrary: fc.record({ settle: fc.array(ending, batch) }) },
  { weight: 24, arbitrary: fc.record({ move: fc.integer({ min: 0, max: 45 }) }) },
  { weight: 4, arbitrary: fc.record({ move: fc.integer({ min: -90, max: 90 }) }) },
  { weight: 6, arbitrary: fc.record({ sweep: fc.constant(100) }) },
  { weight: 2, arbitrary: fc.record({ stop: fc.constantFrom(...SCOPES) }) },
  { weight: 3, arbitrary: fc.record({ resume: fc.constantFrom(...SCOPES) }) },
  { weight: 1, arbitrary: fc.record({ shut: fc.constantFrom('b', 'c') }) },
);

/** One of the two stores, with the tokens that it gave. */
interface Side {
  readonly store: Store;
  readonly generations: Readonly<Record<string, string>>;
}

/** Everything that can be seen: `[used, held]` of each counter that is not at zero. */
async function seen({ store }: Side): Promise<Record<string, [number, number]>> {
  const all: Record<string, [number, number]> = {};
  for (const [scope, meters] of Object.entries(await store.read(SCOPES))) {
    for (const [meter, { used, held }] of Object.entries(meters)) {
      if (used !== 0 || held !== 0) all[`${scope} ${meter}`] = [used, held];
    }
  }
  return all;
}

/** Answers in one form: no key where there is nothing, no zeros where there was no overrun. */
async function answered(action: () => Promise<unknown> | unknown): Promise<unknown> {
  try {
    const answer = await action();
    return JSON.parse(JSON.stringify(answer ?? null));
  } catch (error) {
    return (error as Error).name;
  }
}

describe.skipIf(redisUrl === undefined)('redisStore, compared with memoryStore', () => {
  let connection: TestClient;
  beforeAll(async () => {
    connection = await connectIoredis(redisUrl as string);
  });
  afterAll(() => connection.close());

  it('gives the same answers and has the same counters after every operation', async () => {
    const law = fc.asyncProperty(fc.array(steps, { minLength: 5, maxLength: 40, size: 'max' }), async (operations) => {
      const prefix = randomPrefix();
      let time = 100_000;
      const stores = [
        memoryStore({ clock: { now: () => time, wall: () => time } }),
        redisStore({ client: atTime(connection, prefix, () => time), prefix, eviction: 'never' }),
      ];
      const sides = await Promise.all(
        stores.map(async (store, i): Promise<Side> => {
          const temporary = await store.open(['a'], i === 0 ? 'kept' : 'temporary');
          return { store, generations: { ...temporary, ...(await store.open(['b', 'c'])) } };
        }),
      );
      const sent: { readonly id: string; readonly make: (side: Side) => Reserve }[] = [];
      /** Lines of each hold that was granted, in order. */
      const held = new Map<string, Line[]>();
      const shut = new Set<string>();
      const recent = <T>(list: readonly T[], back: number): T | undefined => list.at(-1 - (back % (list.length || 1)));

      const both = async (ask: (side: Side) => unknown): Promise<unknown> => {
        const [expected, actual] = [
          await answered(() => ask(sides[0] as Side)),
          await answered(() => ask(sides[1] as Side)),
        ];
        expect(actual).toEqual(expected);
        return expected;
      };
      for (const operation of operations) {
        if ('move' in operation) time = Math.max(1_000, time + operation.move);
        if ('sweep' in operation) {
          await both(async ({ store }) => (await store.sweep(operation.sweep)).map(({ id }) => id).sort());
        }
        if ('stop' in operation) await both(({ store }) => store.stop(operation.stop));
        if ('resume' in operation) await both(({ store }) => store.resume(operation.resume));
        if ('shut' in operation) {
          shut.add(operation.shut);
          await both(({ store }) => store.shut(operation.shut));
        }
        if ('reserve' in operation) {
          const items = operation.reserve.map(({ id: kind, which: back, onto, lines, leaseMs, force }) => {
            const again = recent(sent, back);
            if (kind === 'again' && again !== undefined) return again;
            const startMs = Math.floor(time / WINDOW_MS) * WINDOW_MS;
            const target = onto === undefined ? undefined : (recent([...held.keys()], onto) ?? 'none');
            const id = kind === 'other' ? (again?.id ?? 'first') : `r${sent.length}`;
            const make = ({ generations }: Side): Reserve => ({
              id,
              lines: lines.map(({ scope, kind: meter, amount: wanted, book, cap, off }) => {
                // Lines that are more than 2 ** 53 together are refused either way; memory rounds what is left then.
                const amount = lines.length === 1 ? wanted : Math.min(wanted, 14);
                const from = startMs + off * WINDOW_MS;
                const spans: Record<Span['kind'], Span> = {
                  total: { kind: 'total' },
                  rolling: { kind: 'rolling', ms: 50, stepMs: scope === 'a' ? 7 : 50 },
                  calendar: { kind: 'calendar', startMs: from, endMs: from + WINDOW_MS },
                };
                return {
                  scope,
                  generation: generations[scope] as string,
                  meter,
                  span: spans[meter],
                  cap,
                  amount,
                  book,
                };
              }),
              leaseMs,
              onto: target,
              force,
            });
            sent.push({ id, make });
            return { id, make };
          });
          const decisions = (await both(async (side) => {
            const asked = items.map(({ make }) => make(side));
            const told = await side.store.reserve(asked);
            // What a shut scope had counted is gone at once there, and only not shown here.
            return told.map((decision, i) =>
              decision.ok && decision.repeat !== undefined && asked[i]?.lines.some(({ scope }) => shut.has(scope))
                ? { ...decision, left: [] }
                : decision,
            );
          })) as readonly Decision[];
          for (const [i, decision] of decisions.entries()) {
            const { id, onto, lines } = (items[i] as (typeof items)[number]).make(sides[0] as Side);
            if (decision.ok && decision.repeat === undefined) {
              held.set(onto ?? id, [...(held.get(onto ?? id) ?? []), ...lines]);
            }
          }
        }
        if ('settle' in operation) {
          const items = operation.settle.map(({ never, which: back, actual }): Settle => {
            const id = never ? `never ${back}` : (recent([...held.keys()], back) ?? 'none');
            if (actual === 'void' || actual === 'forfeit') return { id, actual };
            const exact = (held.get(id) ?? []).map(({ amount }) => amount);
            if (actual === 'too many') return { id, actual: [...exact, 1] };
            return {
              id,
              actual: exact.map((amount, i) => (actual === 'exact' ? amount : (actual[i % actual.length] ?? 0))),
            };
          });
          await both(async ({ store }) => {
            const told: readonly Settled[] = await store.settle(items);
            return told.map((each) => ({
              ...each,
              overrun: each.overrun.some((more) => more > 0) ? each.overrun : [],
            }));
          });
        }
        const [expected, actual] = [await seen(sides[0] as Side), await seen(sides[1] as Side)];
        expect(actual).toEqual(expected);
      }
      await forget(connection, prefix);
      await connection.command('DEL', `leash:{${prefix}}:test-time`);
    });
    await fc.assert(law, { numRuns: Number(process.env['LEASH_RUNS'] ?? 60) });
  });
});
