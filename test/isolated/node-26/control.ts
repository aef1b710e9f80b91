/** The ways out in a plain worker thread: what they reach where nothing holds them. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Goal } from './modules/ways-out.ts';

const { name, goal } = workerData as { readonly name: string; readonly goal: Goal };
try {
  const waysOut: Readonly<Record<string, unknown>> = await import('./modules/ways-out.ts');
  const got = await (waysOut[name] as (goal: Goal) => unknown)(goal);
  parentPort?.postMessage({ got: String(got) });
} catch (error) {
  parentPort?.postMessage({ error: String(error) });
}
