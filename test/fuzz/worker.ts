import { parentPort, workerData } from 'node:worker_threads';
import { seedsOf } from './corpus.ts';
import { type End, type Finding, sweep } from './engine.ts';
import { targets } from './targets.ts';

/** One target in a thread of its own, which may hang or die without the others. */
export interface Task {
  readonly target: string;
  readonly seed: string;
  readonly until: End;
  /** How many inputs were begun, the length of the last one, and the last one itself. */
  readonly shared: SharedArrayBuffer;
}

const { target: name, seed, until, shared } = workerData as Task;
const counts = new Int32Array(shared, 0, 2);
const last = new Uint8Array(shared, 8);

const target = targets.find((each) => each.name === name);
if (target === undefined) throw new TypeError(`there is no target ${name}`);

process.on('unhandledRejection', (error) => {
  const input = last.slice(0, Atomics.load(counts, 1));
  const detail = String((error as Error)?.stack ?? error);
  const finding: Finding = { target: name, promise: 'a rejection that nobody handles', detail, input };
  parentPort?.postMessage({ runs: Atomics.load(counts, 0), kept: [], outcomes: 0, finding });
  process.exit(0);
});

const before = (input: Uint8Array): void => {
  last.set(input.subarray(0, last.length));
  Atomics.store(counts, 1, Math.min(input.length, last.length));
  Atomics.add(counts, 0, 1);
};

try {
  parentPort?.postMessage(await sweep({ target, seeds: seedsOf(name).map(({ bytes }) => bytes), seed, until, before }));
} finally {
  target.close?.();
}
