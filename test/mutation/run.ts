/**
 * Breaks the code on purpose, one place at a time, and tells what no test notices:
 * `npm run test:mutation -- [<area>...] [--mutate <glob>]`. The areas are those of test/mutation/areas.ts, by default all;
 * `--mutate` changes only these files of one area. Reports and what the next run need not do again are in .stryker/.
 *
 * Exit codes: 0 every area is at 90 % or above, 1 one is below or failed, 2 the command was called wrongly.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { AREAS, type Area } from './areas.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const stryker = 'test/mutation/node_modules/@stryker-mutator/core/bin/stryker.js';
const kept = '.stryker';

interface Report {
  readonly files: Readonly<Record<string, { readonly mutants: readonly Mutant[] }>>;
}

interface Mutant {
  readonly status: string;
  readonly statusReason?: string;
  readonly testsCompleted?: number;
}

function incrementalFileOf(name: string): string {
  return `${kept}/${name}-incremental.json`;
}

/** @see https://stryker-mutator.io/docs/stryker-js/configuration/ */
function settingsOf(name: string, { mutate, ignoreStatic = false, shared = false }: Area): object {
  return {
    mutate,
    testRunner: 'vitest',
    plugins: [fileURLToPath(new URL('node_modules/@stryker-mutator/vitest-runner/dist/src/index.js', import.meta.url))],
    // Processes, as without Stryker: threads have no umask of their own.
    vitest: { configFile: 'test/mutation/vitest.config.ts', related: false, pool: shared ? 'threads' : 'forks' },
    coverageAnalysis: 'perTest',
    ignoreStatic,
    concurrency: 1,
    timeoutMS: 5_000,
    timeoutFactor: 2,
    // Node strips the types. Stryker would read the tsconfig with an API that TypeScript 7 does not have.
    tsconfigFile: 'none.json',
    disableTypeChecks: false,
    ignorePatterns: [
      '.stryker',
      'dist',
      'coverage',
      'bench',
      'test/frameworks',
      'test/consumers',
      'test/egress/{clients,matrix}',
    ],
    // Not in the repository, where a run of all tests would find copies of them.
    tempDirName: `${tmpdir()}/leashkit-mutation-${process.pid}`,
    cleanTempDir: 'always',
    incremental: true,
    incrementalFile: incrementalFileOf(name),
    reporters: ['progress-append-only', 'clear-text', 'json'],
    clearTextReporter: { allowColor: false, reportTests: false, logTests: false },
    jsonReporter: { fileName: `${kept}/${name}.json` },
    thresholds: { high: 95, low: 90, break: 90 },
  };
}

/**
 * Keeps of what an earlier run found what was noticed, so that the rest is tried again: Stryker does not see that a new
 * test might notice what runs while a module loads.
 */
function keepNoticed(file: string): void {
  if (!existsSync(file)) return;
  const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
  const files = Object.entries(report.files).map(([name, { mutants, ...rest }]) => [
    name,
    { ...rest, mutants: mutants.filter(({ status }) => status === 'Killed' || status === 'Timeout') },
  ]);
  writeFileSync(file, JSON.stringify({ ...report, files: Object.fromEntries(files) }));
}

/** Mutants of which nothing is known: no test ran, which Stryker calls survived (stryker-js issue 6213), or the process ended. */
function unmeasured(report: string): number {
  const { files } = JSON.parse(readFileSync(report, 'utf8')) as Report;
  const mutants = Object.values(files).flatMap((file) => file.mutants);
  return mutants.filter(
    ({ status, statusReason, testsCompleted }) =>
      (status === 'Survived' && testsCompleted === 0) ||
      (status === 'RuntimeError' && statusReason?.includes('[vitest-pool]')),
  ).length;
}

function run(name: string, area: Area): boolean {
  const file = `${kept}/${name}-settings.json`;
  const report = `${kept}/${name}.json`;
  mkdirSync(kept, { recursive: true });
  rmSync(report, { force: true });
  keepNoticed(incrementalFileOf(name));
  writeFileSync(file, JSON.stringify(settingsOf(name, area), null, 2));
  const tests = JSON.stringify(area.tests);
  const isolate = String(area.shared !== true);
  const env = { ...process.env, LEASHKIT_MUTATION_TESTS: tests, LEASHKIT_MUTATION_ISOLATE: isolate };
  const { status } = spawnSync(process.execPath, [stryker, 'run', file], { stdio: 'inherit', env });
  if (!existsSync(report)) return false;
  const without = unmeasured(report);
  if (without > 0) console.error(`${name}: nothing is known of ${without} mutants; delete ${kept}/ and try again`);
  return status === 0 && without === 0;
}

const { values, positionals } = parseArgs({
  options: { mutate: { type: 'string', multiple: true } },
  allowPositionals: true,
});
const names = positionals.length === 0 ? Object.keys(AREAS) : positionals;
const unknown = names.find((name) => !Object.hasOwn(AREAS, name));
if (unknown !== undefined || (values.mutate !== undefined && names.length !== 1)) {
  console.error(
    unknown === undefined
      ? '`--mutate` needs the one area whose tests run'
      : `no area is named ${JSON.stringify(unknown)}: ${Object.keys(AREAS).join(', ')}`,
  );
  process.exit(2);
}
process.chdir(root);
for (const name of names) {
  const area = AREAS[name] as Area;
  if (!run(name, { ...area, mutate: values.mutate ?? area.mutate })) process.exitCode = 1;
}
