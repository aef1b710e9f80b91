/**
 * Looks for inputs that make a parser break a promise: `npm run test:fuzz [-- --minutes 2 | --inputs 1000] [--only money]
 * [--seed TEXT] [--input FILE] [--keep] [--json]`. Seeds are in `corpus/`; what reaches code that no input has reached is gone on from,
 * and with `--keep` added to the corpus. With `--inputs`, so many for each parser, a seed gives the same inputs each time. A finding is made short, added to the corpus, and the exit code is 1.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { addSeed } from './corpus.ts';
import { type End, type Finding, runOnce, type Sweep } from './engine.ts';
import { MAX_INPUT } from './mutate.ts';
import { targets } from './targets.ts';
import type { Task } from './worker.ts';

const { values: given } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    only: { type: 'string', multiple: true },
    inputs: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    input: { type: 'string' },
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});

/** No parser takes so long for 16 kB, on a machine that does something else at the same time. */
const HANGS_MS = 20_000;
const THREADS = 2;

interface Swept extends Sweep {
  readonly name: string;
}

async function inWorker(name: string, until: End): Promise<Swept> {
  const shared = new SharedArrayBuffer(8 + MAX_INPUT);
  const counts = new Int32Array(shared, 0, 2);
  const task: Task = { target: name, seed: given.seed, until, shared };
  const worker = new Worker(new URL('worker.ts', import.meta.url), { workerData: task });
  const broke = (promise: string, detail: string): Swept => {
    const input = new Uint8Array(shared.slice(8, 8 + Atomics.load(counts, 1)));
    const finding: Finding = { target: name, promise, detail, input };
    return { name, runs: Atomics.load(counts, 0), kept: [], outcomes: 0, finding };
  };
  let watch: NodeJS.Timeout | undefined;
  try {
    return await new Promise<Swept>((resolve) => {
      let [runs, since] = [-1, 0];
      watch = setInterval(() => {
        const now = Atomics.load(counts, 0);
        if (now !== runs) [runs, since] = [now, performance.now()];
        else if (performance.now() - since > HANGS_MS) resolve(broke('a hang', ''));
      }, 500);
      worker.once('message', (told: Sweep) => resolve({ name, ...told }));
      worker.once('error', (error) => resolve(broke('the end of its thread', String((error as Error).stack ?? error))));
      worker.once('exit', (code) => resolve(broke('the end of its thread', `exit code ${code}`)));
    });
  } finally {
    clearInterval(watch);
    await worker.terminate();
  }
}

function tell(finding: Finding): void {
  const file = addSeed(finding.target, 'found', finding.input);
  const shown = JSON.stringify(Buffer.from(finding.input).toString('latin1').slice(0, 400));
  console.error(
    [
      `\n${finding.target}: ${finding.promise}`,
      `  input (${finding.input.length} bytes): ${shown}`,
      ...(finding.detail === '' ? [] : [`  ${finding.detail.split('\n').slice(0, 12).join('\n  ')}`]),
      `  seed ${given.seed}; again: npm run test:fuzz -- --only ${finding.target} --input ${file}`,
    ].join('\n'),
  );
}

async function main(): Promise<void> {
  const chosen = targets.filter(({ name }) => given.only === undefined || given.only.includes(name));
  if (chosen.length === 0) throw new TypeError(`--only is one of ${targets.map(({ name }) => name).join(', ')}`);
  if (given.input !== undefined) {
    for (const target of chosen) {
      console.log(`${target.name}: ${await runOnce(target, readFileSync(given.input))}`);
      target.close?.();
    }
    return;
  }
  const { inputs, minutes, seed } = given;
  for (const [name, value] of Object.entries({ inputs, minutes })) {
    if (value !== undefined && !(Number(value) > 0)) throw new RangeError(`--${name} must be a number above 0`);
  }
  const until: End =
    inputs === undefined ? { ms: (Number(minutes) * 60_000 * THREADS) / chosen.length } : { inputs: Number(inputs) };
  const length = inputs === undefined ? `for ${minutes} min` : `with ${inputs} inputs each`;
  console.error(`fuzzing ${chosen.length} parsers ${length}, seed ${seed}`);
  const queue = [...chosen];
  const swept: Swept[] = [];
  const thread = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const begun = performance.now();
      const result = await inWorker(next.name, until);
      swept.push(result);
      const { name, runs, kept, outcomes, finding } = result;
      const speed = Math.round((runs * 1_000) / (performance.now() - begun));
      console.error(
        `  ${swept.length}/${chosen.length} ${name}: ${runs} inputs (${speed}/s), ${kept.length} reached something new, ` +
          `${outcomes} outcomes${finding === undefined ? '' : ', A FINDING'}`,
      );
      if (given.keep) for (const input of kept) addSeed(name, 'kept', input);
    }
  };
  await Promise.all(Array.from({ length: THREADS }, thread));
  const findings = swept.flatMap(({ finding }) => finding ?? []);
  for (const finding of findings) tell(finding);
  const runs = swept.reduce((sum, each) => sum + each.runs, 0);
  if (given.json) {
    const parsers = swept.map(({ name, runs, kept, outcomes }) => ({ name, runs, kept: kept.length, outcomes }));
    const told = findings.map(({ input, ...rest }) => ({ ...rest, input: Buffer.from(input).toString('base64') }));
    console.log(JSON.stringify({ seed, runs, parsers, findings: told }));
  } else console.log(`${runs} inputs, ${findings.length} findings, seed ${seed}`);
  if (findings.length > 0) process.exitCode = 1;
}

await main();
