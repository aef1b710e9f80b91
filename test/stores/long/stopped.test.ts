import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Reading, Store } from '../../../src/stores/store.ts';
import { freshStores } from '../../helpers/backends/backend.ts';
import { durableBackends } from '../../helpers/backends.ts';
import type { HoldingTask } from '../../helpers/holding-worker.ts';

const WORKER = fileURLToPath(new URL('../../helpers/holding-worker.ts', import.meta.url));
const CAP = 100;

interface Worker {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  /** The next one that it says. */
  line(): Promise<string>;
}

function start(task: HoldingTask): Worker {
  const child = spawn(process.execPath, [WORKER, JSON.stringify(task)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done) throw new Error('the worker has ended');
    return value;
  };
  return { child, exited: once(child, 'exit'), line };
}

async function counted(store: Store, scope: string): Promise<Reading> {
  const meters = Object.values((await store.read([scope]))[scope] ?? {});
  expect(meters).toHaveLength(1);
  return meters[0] as Reading;
}

describe.each(durableBackends)('a worker that is stopped past its lease, on $name', (backend) => {
  it.concurrent.each([
    { as: 'store', scope: 'held', cost: 25, used: 40 },
    { as: 'store', scope: 'held', cost: 55, used: 55 },
    { as: 'leash', scope: 'shared:held', cost: 25, used: 40 },
    { as: 'leash', scope: 'shared:held', cost: 55, used: 55 },
  ] as const)(
    'is forfeited by others, and books what it cost beyond: $as, $cost of 40',
    async ({ as, scope, cost, used }) => {
      const { space, stores, close } = await freshStores(backend, 1);
      const store = stores[0] as Store;
      const { child, exited, line } = start({ space, as, cap: CAP, estimate: 40, cost, leaseMs: 1_000 });
      try {
        expect(await line()).toBe('holding');
        expect(await counted(store, scope)).toEqual({ used: 0, held: 40 });
        child.kill('SIGSTOP');
        const until = performance.now() + 15_000;
        let forfeited = 0;
        while (forfeited === 0 && performance.now() < until) {
          await pause(20);
          forfeited += (await store.sweep(10)).length;
        }
        expect(forfeited).toBe(1);
        expect(await counted(store, scope)).toEqual({ used: 40, held: 0 });

        child.stdin?.write('go on\n');
        child.kill('SIGCONT');
        const answer = JSON.parse(await line());
        if (as === 'store') expect(answer).toMatchObject([{ state: 'forfeited', first: false }]);
        expect(await counted(store, scope)).toEqual({ used, held: 0 });
        await exited;
        expect(child.exitCode).toBe(0);
        expect(await store.sweep(10)).toEqual([]);
        expect(await counted(store, scope)).toEqual({ used, held: 0 });
      } finally {
        child.kill('SIGKILL');
        await close();
      }
    },
  );
});
