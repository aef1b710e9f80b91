import { setTimeout as pause } from 'node:timers/promises';
import { currentCall } from '../../src/call.ts';
import { findLeashError } from '../../src/errors.ts';
import { budget } from '../../src/guards/budget.ts';
import { callCap } from '../../src/guards/call-cap.ts';
import { quietly } from '../../src/internal/maybe-promise.ts';
import { createLeash } from '../../src/leash.ts';
import type { Decision, Line, Store } from '../../src/stores/store.ts';
import type { Space } from './backends/backend.ts';
import { openSpace } from './backends.ts';
import { Ledger, recordedStore } from './chaos-ledger.ts';

/**
 * A process that spends until somebody ends it: `node chaos-worker.ts <task as JSON>`. Wallet after wallet, each until
 * nothing is left of it, so that there is always one that is nearly empty.
 */
export interface ChaosTask {
  readonly space: Space;
  readonly ledger: string;
  /** Of each wallet. */
  readonly cap: number;
  readonly leaseMs: number;
  readonly loops: number;
  /** `store`: reserves and settles. `leash`: a session per wallet, with a tool. */
  readonly as: 'store' | 'leash';
  /** The first that is not known to be empty. */
  readonly wallet: number;
}

/** The most that one call costs. */
const MOST = 40;

const task = JSON.parse(process.argv[2] as string) as ChaosTask;
const ledger = new Ledger(task.ledger);
const open = await openSpace(task.space);
const store = recordedStore(open.store, ledger);
let wallet = task.wallet;

const random = (most: number): number => Math.floor(Math.random() * (most + 1));

/** Mostly what was estimated, sometimes less, rarely nothing. */
const trueCost = (estimate: number): number => (random(9) < 7 ? estimate : random(estimate));

/** A call: the money goes out in the middle of it. */
async function spent(id: string, estimate: number, unit: number): Promise<number> {
  await pause(random(8));
  const cost = trueCost(estimate);
  ledger.write(['spent', id, cost * unit]);
  await pause(random(8));
  return cost;
}

interface Spender {
  /** Runs one call. Answers what is left where it was refused. */
  spend(estimate: number): Promise<number | undefined>;
}

async function throughStore(name: string): Promise<Spender> {
  const generations = await opened([name, 'all']);
  const line = (scope: string, meter: string, amount: number, other: Partial<Line> = {}): Line => {
    const generation = generations[scope] ?? '';
    return { scope, generation, meter, span: { kind: 'total' }, cap: task.cap, amount, book: 'settle', ...other };
  };
  const hour = { kind: 'rolling', ms: 3_600_000, stepMs: 10_000 } as const;
  const cap = Number.MAX_SAFE_INTEGER;
  return {
    spend: async (estimate) => {
      const id = crypto.randomUUID();
      const lines = [
        line(name, 'usd', estimate),
        line(name, 'calls', 1, { cap, book: 'reserve' }),
        line('all', 'usd', estimate, { cap, span: hour }),
      ];
      let decision: Decision | undefined;
      try {
        [decision] = await store.reserve([{ id, lines, leaseMs: task.leaseMs }]);
      } catch (error) {
        ledger.write(['failed', id, String(error)]);
        quietly(() => store.settle([{ id, actual: 'void' }]));
        return undefined;
      }
      if (decision?.ok !== true) return decision !== undefined && 'left' in decision ? decision.left : 0;
      const cost = await spent(id, estimate, 1);
      await settled(id, [cost, 1, cost]);
      return undefined;
    },
  };
}

async function opened(scopes: readonly string[]): Promise<Readonly<Record<string, string>>> {
  for (;;) {
    try {
      return await store.open(scopes);
    } catch (error) {
      ledger.write(['failed', '', String(error)]);
    }
  }
}

async function settled(id: string, actual: readonly number[]): Promise<void> {
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      await store.settle([{ id, actual }]);
      return;
    } catch (error) {
      ledger.write(['failed', id, String(error)]);
    }
  }
}

/** A tenth of a cent, in nano-USD. */
const UNIT = 1_000_000;

async function throughLeash(name: string): Promise<Spender> {
  const leash = createLeash({
    guards: [
      budget({ usd: `${task.cap / 1_000}`, scope: name }),
      callCap({ max: 1_000_000, scope: name }),
      budget({ usd: 1_000_000, per: '1h', scope: 'all' }),
    ],
    store,
    stopOn: 'none',
  });
  const tool = leash.wrap('spend', (estimate: number) => spent(currentCall()?.id ?? '', estimate, UNIT), {
    cost: (estimate) => ({ usd: `${estimate / 1_000}` }),
    actualCost: (cost) => ({ usd: `${cost / 1_000}` }),
    leaseMs: task.leaseMs,
  });
  return {
    spend: async (estimate) => {
      try {
        await tool(estimate);
        return undefined;
      } catch (error) {
        const refused = findLeashError(error);
        if (refused?.code === 'BUDGET_EXCEEDED') return Math.floor(estimate / 2);
        if (refused?.code !== 'STORE_UNAVAILABLE') throw error;
        ledger.write(['failed', '', String(refused.cause)]);
        return undefined;
      }
    },
  };
}

const spenders = new Map<number, Promise<Spender>>();

function spenderOf(index: number): Promise<Spender> {
  let spender = spenders.get(index);
  if (spender === undefined) {
    spender = task.as === 'store' ? throughStore(`wallet ${index}`) : throughLeash(`wallet ${index}`);
    spenders.set(index, spender);
  }
  return spender;
}

async function loop(): Promise<void> {
  let most = MOST;
  for (;;) {
    const index = wallet;
    const spender = await spenderOf(index);
    const left = await spender.spend(1 + random(most - 1));
    if (left === undefined) continue;
    most = Math.min(MOST, left);
    if (most >= 1) continue;
    most = MOST;
    wallet = Math.max(wallet, index + 1);
    spenders.delete(index - 2);
  }
}

async function sweep(store: Store): Promise<void> {
  for (;;) {
    await pause(100 + random(100));
    quietly(() => store.sweep(64));
  }
}

await Promise.all([...Array.from({ length: task.loops }, loop), sweep(open.store)]);
