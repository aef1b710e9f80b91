import type { Worker as WorkerThread } from 'node:worker_threads';
import { listen, type Restore, replace, throwing, together } from './replace.ts';
import type { CurrentScope } from './scope.ts';

const STARTED = 'worker_threads';

/** A worker is a thread with hooks and a context of its own, so that nothing of a leash reaches into it. */
export function holdWorkers(current: CurrentScope): Restore {
  const workerThreads = process.getBuiltinModule('node:worker_threads');
  const { Worker } = workerThreads;
  const held: typeof WorkerThread = new Proxy(Worker, {
    construct(target, args, newTarget): object {
      const refusal = current()?.leave('worker');
      if (refusal !== undefined) throw refusal;
      admitted = true;
      try {
        return Reflect.construct(target, args, newTarget === held ? target : newTarget);
      } finally {
        admitted = false;
      }
    },
  });
  // Whoever took the class before this was in place starts one all the same: it is ended as it starts.
  let admitted = false;
  const started = (message: unknown): void => {
    if (admitted || current()?.leave('worker') === undefined) return;
    (message as { worker: WorkerThread }).worker.terminate().catch(() => {});
  };
  Reflect.set(workerThreads, 'Worker', held);
  // Hooks of the module loader run on a thread of their own.
  const modules = process.getBuiltinModule('node:module');
  const restores = [
    listen({ [STARTED]: started }),
    replace(modules as unknown as Record<string, unknown>, 'register', throwing(current, 'worker')),
  ];
  return () => {
    together(restores)();
    if (workerThreads.Worker === held) workerThreads.Worker = Worker;
  };
}
