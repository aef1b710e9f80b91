/**
 * Packs what is built, installs it into empty projects, and uses it there on every runtime and with every compiler that
 * test/consumers/package.json pins: `npm run test:consumers -- [--json] [--only <beginning of a name>]`. Two at a time.
 *
 * Exit codes: 0 all is as it is pinned, 1 something is not, 2 the command was called wrongly.
 */
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { mapAtOnce } from '../helpers/at-once.ts';
import { tableOf } from '../helpers/table.ts';
import { COMPILERS, runCompiler } from './compilers.ts';
import type { Check, Outcome } from './outcome.ts';
import { installed, type Packed, pack } from './project.ts';
import { RUNTIMES, runRuntime } from './runtimes.ts';

interface Consumer {
  readonly name: string;
  readonly run: (packed: Packed) => Promise<Outcome>;
}

const AT_ONCE = 2;

const CONSUMERS: readonly Consumer[] = [
  ...RUNTIMES.map((runtime) => ({ name: runtime.name, run: (packed: Packed) => runRuntime(runtime, packed) })),
  ...COMPILERS.map((compiler) => ({ name: compiler.name, run: (packed: Packed) => runCompiler(compiler, packed) })),
];

async function attempt({ name, run }: Consumer, packed: Packed): Promise<Outcome> {
  try {
    return await run(packed);
  } catch (error) {
    return { name, version: '', checks: { runs: { result: '', problems: [String(error)] } } };
  }
}

function runAll(consumers: readonly Consumer[], packed: Packed): Promise<readonly Outcome[]> {
  let ended = 0;
  return mapAtOnce(AT_ONCE, consumers, async (consumer) => {
    const start = performance.now();
    const outcome = await attempt(consumer, packed);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.error(`${++ended} of ${consumers.length}: ${consumer.name}, ${seconds} s`);
    return outcome;
  });
}

function cell({ result, problems }: Check): string {
  return problems.length === 0 ? result : 'WRONG';
}

/** Outcomes with the same checks, as a table. */
function printTable(outcomes: readonly Outcome[]): void {
  const columns = [...new Set(outcomes.flatMap(({ checks }) => Object.keys(checks)))];
  const rows = outcomes.map(({ name, version, checks }) => [
    name,
    version,
    ...columns.map((column) => (checks[column] === undefined ? '' : cell(checks[column]))),
  ]);
  console.log(tableOf(['', 'version', ...columns], rows));
}

function print(outcomes: readonly Outcome[]): void {
  for (const kind of [RUNTIMES, COMPILERS]) {
    const these = outcomes.filter(({ name }) => kind.some((one) => one.name === name));
    if (these.length === 0) continue;
    printTable(these);
    console.log();
  }
  for (const { name, checks } of outcomes) {
    for (const [check, { problems }] of Object.entries(checks)) {
      for (const problem of problems) console.log(`${name}, ${check}: ${problem}`);
    }
  }
}

function readArguments(): { readonly json: boolean; readonly consumers: readonly Consumer[] } {
  const { values } = parseArgs({ options: { json: { type: 'boolean', default: false }, only: { type: 'string' } } });
  const only = values.only?.toLowerCase() ?? '';
  const consumers = CONSUMERS.filter(({ name }) => name.toLowerCase().startsWith(only));
  if (consumers.length === 0) {
    throw new RangeError(`--only must begin one of ${CONSUMERS.map(({ name }) => name).join(', ')}, got ${only}`);
  }
  if (!existsSync(installed)) throw new RangeError('nothing is installed in test/consumers: run npm ci there');
  return { json: values.json, consumers };
}

async function main(): Promise<void> {
  let given: ReturnType<typeof readArguments>;
  try {
    given = readArguments();
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 2;
    return;
  }
  const packed = await pack();
  try {
    const outcomes = await runAll(given.consumers, packed);
    if (given.json) console.log(JSON.stringify(outcomes));
    else print(outcomes);
    const sound = outcomes.every(({ checks }) => Object.values(checks).every(({ problems }) => problems.length === 0));
    if (!sound) process.exitCode = 1;
  } finally {
    packed.remove();
  }
}

await main();
