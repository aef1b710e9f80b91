import fc from 'fast-check';
import { expect } from 'vitest';
import { quietly } from '../../src/internal/maybe-promise.ts';
import type { Line, Store } from '../../src/stores/store.ts';
import { FakeClock } from './clock.ts';
import { type Fault, FaultyWire, faults } from './faulty-wire.ts';
import type { Fresh } from './tries.ts';

const CAP = 12;
const LEASE_MS = 50;
const SETTLE_ATTEMPTS = 3;

interface PlannedCall {
  readonly estimate: number;
  /** Than the estimate. */
  readonly less: number;
  readonly does: 'settles' | 'gives back' | 'dies';
  /** How many steps its work takes. */
  readonly takes: number;
}

const calls: fc.Arbitrary<readonly PlannedCall[]> = fc.array(
  fc.record({
    estimate: fc.integer({ min: 1, max: 6 }),
    less: fc.nat({ max: 6 }),
    does: fc.constantFrom('settles', 'settles', 'settles', 'gives back', 'dies'),
    takes: fc.nat({ max: 3 }),
  }),
  { minLength: 2, maxLength: 14, size: 'max' },
);

/** What a try was about. */
export type Tally = Record<Fault | 'calls' | 'ran' | 'forfeited', number>;

/**
 * That callers who ask through a bad network never spend more than the cap, and that every unit is accounted for once the
 * leases have ended: what ran and was settled by what it cost, what was forfeited by what it held, and nothing else.
 *
 * Callers do as sessions do: who gets no answer to a reservation gives it back and does not run; who gets none to a
 * settlement settles again, with the same id.
 *
 * @param fresh gives stores of one empty space that goes by the clock.
 */
export function survivesFaults(
  fresh: Fresh,
  tally?: (tally: Tally) => void,
): fc.IAsyncProperty<[fc.Scheduler, readonly Fault[], readonly PlannedCall[], number]> {
  let wire: FaultyWire | undefined;
  const scheduler = fc.scheduler({
    act: async (step) => {
      await step();
      await wire?.quiet();
    },
  });
  return fc.asyncProperty(scheduler, faults, calls, fc.nat({ max: 2 }), async (order, faulty, planned, sweeps) => {
    const clock = new FakeClock(Date.UTC(2026, 10, 20, 12), Date.UTC(2026, 10, 20, 12));
    const { stores, close } = await fresh(clock);
    try {
      wire = new FaultyWire(order, faulty);
      const reached = stores.map((store) => (wire as FaultyWire).to(store));
      const direct = stores[0] as Store;
      const generations = await direct.open(['a', 'b']);
      let [spent, running] = [0, 0];
      const ran = new Map<string, number>();
      const forfeited = new Set<string>();
      const givenBack = new Set<string>();

      const call = async ({ estimate, less, does, takes }: PlannedCall, i: number): Promise<void> => {
        const store = reached[i % reached.length] as Store;
        const id = `call ${i}`;
        const lines = (['a', 'b'] as const).map((scope): Line => {
          const span =
            scope === 'a' ? ({ kind: 'total' } as const) : ({ kind: 'rolling', ms: 1e6, stepMs: 1e4 } as const);
          const book = scope === 'a' ? 'settle' : 'reserve';
          return { scope, meter: 'usd', generation: generations[scope] ?? '', span, cap: CAP, amount: estimate, book };
        });
        try {
          const [decision] = await store.reserve([{ id, lines, leaseMs: LEASE_MS }]);
          if (decision?.ok !== true || decision.repeat !== undefined) return;
        } catch {
          // Nobody waits for it; but a store that has said so must not hold it later.
          quietly(async () => {
            const [settled] = await store.settle([{ id, actual: 'void' }]);
            if (settled?.state !== 'forfeited') givenBack.add(id);
          });
          return;
        }
        running += estimate;
        expect(spent + running, 'spent and running').toBeLessThanOrEqual(CAP);
        for (let step = 0; step < takes; step++) await order.schedule(Promise.resolve(), `${id} runs`);
        const actual = does === 'gives back' ? 0 : Math.max(0, estimate - less);
        running -= estimate;
        spent += actual;
        ran.set(id, actual);
        if (does === 'dies') return;
        for (let attempt = 0; attempt < SETTLE_ATTEMPTS; attempt++) {
          try {
            await store.settle([{ id, actual: does === 'gives back' ? 'void' : [actual, actual] }]);
            return;
          } catch {
            // Asked again, with the same id.
          }
        }
      };
      const sweep = async (i: number): Promise<void> => {
        for (let step = 0; step < 4 * (i + 1); step++) await order.schedule(Promise.resolve(), 'time passes');
        clock.advance(LEASE_MS);
        for (const { id } of await direct.sweep(100)) forfeited.add(id);
      };
      await order.waitFor(Promise.all([...planned.map(call), ...Array.from({ length: sweeps }, (_, i) => sweep(i))]));
      // Whatever is still under way arrives.
      await order.waitIdle();
      await wire.quiet();

      clock.advance(LEASE_MS);
      for (const { id } of await direct.sweep(1_000)) forfeited.add(id);
      expect([...forfeited].filter((id) => givenBack.has(id))).toEqual([]);
      let [used, booked] = [0, 0];
      for (const [i, { estimate, does }] of planned.entries()) {
        const id = `call ${i}`;
        if (forfeited.has(id)) [used, booked] = [used + estimate, booked + estimate];
        else if (ran.has(id) && does !== 'gives back')
          [used, booked] = [used + (ran.get(id) as number), booked + estimate];
      }
      const readings = await direct.read(['a', 'b']);
      const counted = ['a', 'b'].map((scope) => readings[scope]?.['usd'] ?? { used: 0, held: 0 });
      expect(counted).toEqual([
        { used, held: 0 },
        { used: booked, held: 0 },
      ]);
      expect(used).toBeLessThanOrEqual(CAP);
      expect(used).toBeGreaterThanOrEqual(spent);
      tally?.({ ...wire.tried, calls: planned.length, ran: ran.size, forfeited: forfeited.size });
    } finally {
      await close();
    }
  });
}
