/**
 * Runs the attacks of test/egress/attacks on every Node and every copy of undici that test/egress/matrix/package.json pins,
 * each copy loaded before the built library and after it: `npm run test:egress-matrix -- [--json] [--node <version>]
 * [--undici <version>]`. Two runs at a time; four minutes on two cores.
 *
 * Exit codes: 0 everything held, 1 something did not, 2 the command was called wrongly.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { mapAtOnce } from '../../helpers/at-once.ts';
import { tableOf } from '../../helpers/table.ts';
import { countReached, judgeLeashed, judgeOpen } from '../attacks/judge.ts';
import { attacks } from '../attacks/list.ts';
import { type Report, type RunOptions, runAttacks, UndiciUnloadable } from '../attacks/run.ts';

/** One package of the matrix. */
interface Pinned {
  readonly version: string;
  /** Of the binary, or of the module. */
  readonly path: string;
}

interface Combination {
  readonly node: Pinned;
  /** Undefined: no undici from npm. */
  readonly undici: Pinned | undefined;
}

interface Outcome {
  readonly node: string;
  readonly undici: string | null;
  readonly loads: boolean;
  /** Of the run without a leash. */
  readonly attacks: number;
  readonly reached: number;
  /** By when undici was loaded; `'alone'`: there is none. Empty lists: held. */
  readonly problems: Readonly<Partial<Record<'control' | Order, readonly string[]>>>;
}

type Order = 'before' | 'after' | 'alone';

/** Fewer would mean that the attacks are not what they were. */
const MUST_REACH = 85;
const AT_ONCE = 2;

// Its own name does not reach the built library from beside another manifest.
const library = new URL('../../../dist/index.js', import.meta.url).href;

function readMatrix(prefix: 'node-' | 'undici-', file: string): readonly Pinned[] {
  const manifest = JSON.parse(readFileSync(join(import.meta.dirname, 'package.json'), 'utf8')) as {
    readonly devDependencies: Readonly<Record<string, string>>;
  };
  return Object.entries(manifest.devDependencies)
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, alias]) => ({
      version: alias.slice(alias.lastIndexOf('@') + 1),
      path: join(import.meta.dirname, 'node_modules', name, file),
    }))
    .sort((a, b) => a.version.localeCompare(b.version, 'en', { numeric: true }));
}

/** @throws {RangeError} no version begins like that. */
function chosen<Version extends Pinned | undefined>(
  option: string,
  versions: readonly Version[],
  wanted: string | undefined,
): readonly Version[] {
  if (wanted === undefined) return versions;
  const found = versions.filter((pinned) => pinned?.version === wanted || pinned?.version.startsWith(`${wanted}.`));
  if (found.length > 0) return found;
  const known = versions.flatMap((pinned) => pinned?.version ?? []).join(', ');
  throw new RangeError(`--${option} must be one of ${known}, or the beginning of one, got ${wanted}`);
}

async function attempt(options: RunOptions, judge: (report: Report) => readonly string[]): Promise<readonly string[]> {
  try {
    return judge(await runAttacks(options));
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}

async function runCombination({ node, undici }: Combination): Promise<Outcome> {
  const options = { node: node.path, undici: undici?.path };
  const versions = { node: node.version, undici: undici?.version ?? null };
  let control: Report;
  try {
    control = await runAttacks(options);
  } catch (error) {
    // Only here, where nothing of ours is in the process, may a copy of undici fail to load.
    if (error instanceof UndiciUnloadable) {
      return { ...versions, loads: false, attacks: 0, reached: 0, problems: {} };
    }
    return { ...versions, loads: true, attacks: 0, reached: 0, problems: { control: [String(error)] } };
  }
  const reached = countReached(attacks, control);
  const problems: Partial<Record<'control' | Order, readonly string[]>> = {
    control: [
      ...judgeOpen(attacks, control),
      ...(reached < MUST_REACH ? [`only ${reached} attacks reach the attacker`] : []),
      ...(control.node === node.version ? [] : [`this is Node ${control.node}`]),
      ...(control.undici === undici?.version ? [] : [`this is undici ${control.undici}`]),
    ],
  };
  const held = (report: Report): readonly string[] => judgeLeashed(attacks, report);
  if (undici === undefined) {
    problems.alone = await attempt({ ...options, library }, held);
  } else {
    for (const order of ['before', 'after'] as const) {
      problems[order] = await attempt({ ...options, library, order }, held);
    }
  }
  const tried = control.results.filter(({ id }) =>
    attacks.some((attack) => attack.id === id && attack.expected !== 'answers'),
  );
  return { ...versions, loads: true, attacks: tried.length, reached, problems };
}

async function runAll(combinations: readonly Combination[]): Promise<readonly Outcome[]> {
  const progress = (text: string): void => void (process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`));
  const outcomes = await mapAtOnce(AT_ONCE, combinations, ({ node, undici }, at) => {
    progress(
      `${at + 1} of ${combinations.length}: Node ${node.version}, ${undici === undefined ? 'no undici' : `undici ${undici.version}`}`,
    );
    return runCombination({ node, undici });
  });
  progress('');
  return outcomes;
}

function isSound({ problems }: Outcome): boolean {
  return Object.values(problems).every((found) => found.length === 0);
}

function cell(problems: readonly string[] | undefined): string {
  return problems === undefined ? '' : problems.length === 0 ? 'held' : `${problems.length} wrong`;
}

function print(outcomes: readonly Outcome[]): void {
  const rows = outcomes.map(({ node, undici, loads, attacks, reached, problems }) => {
    if (!loads) return [node, undici ?? '', 'does not load on this Node'];
    const without = `${reached} of ${attacks} reach`;
    return undici === null
      ? [node, 'none', without, cell(problems.alone)]
      : [node, undici, without, cell(problems.before), cell(problems.after)];
  });
  console.log(tableOf(['Node', 'undici', 'without a leash', 'loaded before', 'loaded after'], rows));
  for (const { node, undici, problems } of outcomes) {
    for (const [when, found] of Object.entries(problems)) {
      for (const problem of found) console.log(`Node ${node}, undici ${undici ?? 'none'}, ${when}: ${problem}`);
    }
  }
}

function readArguments(): { readonly json: boolean; readonly combinations: readonly Combination[] } {
  const { values } = parseArgs({
    options: { json: { type: 'boolean', default: false }, node: { type: 'string' }, undici: { type: 'string' } },
  });
  const nodes = chosen('node', readMatrix('node-', 'bin/node'), values.node);
  const copies = chosen('undici', [undefined, ...readMatrix('undici-', 'index.js')], values.undici);
  const absent = [...nodes, ...copies].find((pinned) => pinned !== undefined && !existsSync(pinned.path));
  if (absent !== undefined) throw new RangeError(`${absent.path} is not there: run npm ci in test/egress/matrix`);
  return { json: values.json, combinations: nodes.flatMap((node) => copies.map((undici) => ({ node, undici }))) };
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
  const outcomes = await runAll(given.combinations);
  if (given.json) console.log(JSON.stringify(outcomes));
  else print(outcomes);
  if (!outcomes.every(isSound)) process.exitCode = 1;
}

await main();
