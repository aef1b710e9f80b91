import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { budget } from '../../src/guards/budget.ts';
import { createLeash } from '../../src/leash.ts';
import type { Space } from './backends/backend.ts';
import { openSpace } from './backends.ts';

/**
 * A process with one call: `node holding-worker.ts <task as JSON>`. Says `holding` when it runs, ends when it is told to by a line on
 * its input, and says what it cost and what the store has answered.
 */
export interface HoldingTask {
  readonly space: Space;
  readonly as: 'store' | 'leash';
  /** In nano-USD, as all below. */
  readonly cap: number;
  readonly estimate: number;
  readonly cost: number;
  readonly leaseMs: number;
}

const task = JSON.parse(process.argv[2] as string) as HoldingTask;
const { store, close } = await openSpace(task.space);

function say(text: string): void {
  writeSync(1, `${text}\n`);
}

async function run(): Promise<number> {
  say('holding');
  await once(process.stdin, 'data');
  return task.cost;
}

if (task.as === 'store') {
  const generation = (await store.open(['held']))['held'] as string;
  const { cap, estimate, leaseMs } = task;
  const line = {
    scope: 'held',
    generation,
    meter: 'usd',
    span: { kind: 'total' },
    cap,
    amount: estimate,
    book: 'settle',
  } as const;
  await store.reserve([{ id: 'the call', lines: [line], leaseMs }]);
  const cost = await run();
  say(JSON.stringify(await store.settle([{ id: 'the call', actual: [cost] }])));
} else {
  const usd = (nano: number): { usd: string } => ({ usd: (nano / 1e9).toFixed(9) });
  const leash = createLeash({ guards: [budget({ ...usd(task.cap), scope: 'held' })], store, stopOn: 'none' });
  const tool = leash.wrap('hold', run, { cost: usd(task.estimate), actualCost: usd, leaseMs: task.leaseMs });
  await tool();
  say(JSON.stringify(await leash.usage()));
  await leash.close();
}
await close();
process.stdin.destroy();
