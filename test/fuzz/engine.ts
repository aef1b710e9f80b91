import { SeededRandom } from '../helpers/random.ts';
import { Coverage } from './coverage.ts';
import { MAX_INPUT, mutated } from './mutate.ts';
import { Broken, type Target } from './target.ts';

/** An input that made a parser break a promise. */
export interface Finding {
  readonly target: string;
  readonly promise: string;
  readonly detail: string;
  readonly input: Uint8Array;
}

export interface Sweep {
  readonly runs: number;
  /** Inputs that reached what none before them had: of the seeds, and of those made from them. */
  readonly kept: readonly Uint8Array[];
  readonly outcomes: number;
  readonly finding?: Finding;
}

/** Coverage costs about as much as many runs, so it is asked for once in so many. */
const BATCH = 32;
const SHRINK_RUNS = 400;

const OBJECT_NAMES = Object.getOwnPropertyNames(Object.prototype).length;
const ARRAY_NAMES = Object.getOwnPropertyNames(Array.prototype).length;

function checkPrototypes(): void {
  const same =
    Object.getOwnPropertyNames(Object.prototype).length === OBJECT_NAMES &&
    Object.getOwnPropertyNames(Array.prototype).length === ARRAY_NAMES;
  if (!same) throw new Broken('a prototype that everything shares was changed');
}

/** @returns how the input was taken. @throws what breaks a promise. */
export async function runOnce(target: Target, input: Buffer): Promise<string> {
  // A copy: what is kept must not change.
  const checked = target.check(Buffer.from(input));
  const outcome = typeof checked === 'string' ? checked : await checked;
  checkPrototypes();
  return outcome;
}

async function findingOf(target: Target, input: Buffer): Promise<Finding | undefined> {
  try {
    await runOnce(target, input);
    return undefined;
  } catch (error) {
    const { message, cause, stack } = error as Error;
    const detail =
      error instanceof Broken && cause === undefined ? '' : String((cause as Error)?.stack ?? stack ?? cause);
    return { target: target.name, promise: message, detail, input: Uint8Array.from(input) };
  }
}

/** The same finding with as little as possible around it. */
async function shrunk(target: Target, finding: Finding): Promise<Finding> {
  let best = finding;
  let runs = 0;
  for (let size = Math.ceil(best.input.length / 2); size >= 1 && runs < SHRINK_RUNS; size = Math.floor(size / 2)) {
    for (let at = 0; at < best.input.length && runs < SHRINK_RUNS; ) {
      const input = Buffer.from(best.input);
      const shorter = Buffer.concat([input.subarray(0, at), input.subarray(at + size)]);
      runs++;
      const found = await findingOf(target, shorter);
      if (found?.promise === finding.promise) best = found;
      else at += size;
    }
  }
  return best;
}

/** Where a sweep ends. One that ends with a number of inputs tries the same ones each time. */
export type End = { readonly ms: number } | { readonly inputs: number };

export interface SweepOptions {
  readonly target: Target;
  readonly seeds: readonly Uint8Array[];
  readonly seed: string;
  readonly until: End;
  /** Told of each input before it runs: it may be the last. */
  readonly before: (input: Uint8Array) => void;
}

/** Changes inputs until it ends, and goes on from those that reach something new. */
export async function sweep({ target, seeds, seed, until, before }: SweepOptions): Promise<Sweep> {
  const random = new SeededRandom(`${seed} ${target.name}`);
  const coverage = new Coverage();
  const outcomes = new Set<string>();
  const corpus: Buffer[] = [];
  const kept: Buffer[] = [];
  const begun = performance.now();
  let runs = 0;
  let made = 0;
  const goesOn = (): boolean => ('ms' in until ? performance.now() - begun < until.ms : made < until.inputs);

  const run = async (input: Buffer): Promise<string | Finding> => {
    runs++;
    before(input);
    try {
      return await runOnce(target, input);
    } catch {
      return (await findingOf(target, input)) ?? 'a finding that did not come again';
    }
  };
  const end = async (finding?: Finding): Promise<Sweep> => {
    const told = { runs, kept, outcomes: outcomes.size };
    return finding === undefined ? told : { ...told, finding: await shrunk(target, finding) };
  };
  const keep = (input: Buffer): void => {
    kept.push(input);
    corpus.push(input);
  };

  for (const bytes of seeds) {
    const input = Buffer.from(bytes).subarray(0, MAX_INPUT);
    const outcome = await run(input);
    if (typeof outcome !== 'string') return end(outcome);
    outcomes.add(outcome);
    coverage.take();
    corpus.push(input);
  }
  if (corpus.length === 0) corpus.push(Buffer.alloc(0));

  while (goesOn()) {
    const batch: Buffer[] = [];
    for (let i = 0; i < BATCH && goesOn(); i++) {
      made++;
      const input = mutated(target, random, parentIn(corpus, random), random.pick(corpus));
      const outcome = await run(input);
      if (typeof outcome !== 'string') return end(outcome);
      if (!outcomes.has(outcome)) keep(input);
      outcomes.add(outcome);
      batch.push(input);
    }
    if (!coverage.peek()) continue;
    // One by one, to know which of them it was.
    for (const input of batch) {
      const outcome = await run(input);
      if (typeof outcome !== 'string') return end(outcome);
      if (coverage.take()) keep(input);
    }
  }
  return end();
}

/** Those that came last reach furthest. */
function parentIn(corpus: readonly Buffer[], random: SeededRandom): Buffer {
  const last = corpus.length - 1;
  return corpus[random.happens(2) ? random.integer(0, last) : last - random.integer(0, Math.min(7, last))] as Buffer;
}
