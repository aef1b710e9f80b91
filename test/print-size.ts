/**
 * Prints for each subpath what it weighs, the ceiling that test/package.test.ts holds it to, and how long importing it
 * takes beside importing an empty module: `npm run size -- [--json] [--rounds <number>]`. Each import is the first of a
 * process; all modules take turns. Half a minute.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { readEntries } from './helpers/entries.ts';
import { CEILINGS, type Size, sizeOf } from './helpers/size.ts';
import { tableOf } from './helpers/table.ts';

interface Row extends Size {
  readonly module: string;
  readonly ceiling: number | undefined;
  /** In milliseconds. */
  readonly importMs: number;
  readonly emptyMs: number;
}

const root = fileURLToPath(new URL('..', import.meta.url));

/** @returns milliseconds that a new process needed for it. */
function timeImport(module: string): number {
  const program = `const start = performance.now();
    await import(${JSON.stringify(module)});
    console.log(performance.now() - start);`;
  const printed = execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: root,
    encoding: 'utf8',
  });
  return Number(printed);
}

/** The fastest of all rounds, for what slows an import down is never the module. */
function timeImports(modules: readonly string[], rounds: number): ReadonlyMap<string, number> {
  const fastest = new Map<string, number>(modules.map((module) => [module, Number.POSITIVE_INFINITY]));
  for (let round = 0; round < rounds; round++) {
    for (const [module, time] of fastest) fastest.set(module, Math.min(time, timeImport(module)));
  }
  return fastest;
}

async function measure(rounds: number): Promise<readonly Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'leashkit-size-'));
  try {
    writeFileSync(join(folder, 'empty.mjs'), '');
    const empty = pathToFileURL(join(folder, 'empty.mjs')).href;
    const entries = readEntries();
    const times = timeImports([empty, ...entries.map(({ specifier }) => specifier)], rounds);
    const rows: Row[] = [];
    for (const { specifier, name } of entries) {
      rows.push({
        module: specifier,
        ...(await sizeOf(name)),
        ceiling: CEILINGS[name],
        importMs: times.get(specifier) as number,
        emptyMs: times.get(empty) as number,
      });
    }
    return rows;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function print(rows: readonly Row[]): void {
  const cells = rows.map(({ module, minified, gzipped, ceiling, importMs, emptyMs }) => [
    module,
    minified,
    gzipped,
    ceiling ?? 'none',
    importMs.toFixed(1),
    (importMs / emptyMs).toFixed(1),
  ]);
  console.log(tableOf(['', 'minified', 'gzipped', 'ceiling', 'import ms', 'of empty'], cells));
  console.log(
    `\nBytes. An empty module: ${rows[0]?.emptyMs.toFixed(1)} ms. Peers are counted in times, and not in bytes.`,
  );
}

const { values } = parseArgs({
  options: { json: { type: 'boolean', default: false }, rounds: { type: 'string', default: '15' } },
});
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1) {
  console.error(`--rounds must be an integer >= 1, got ${values.rounds}`);
  process.exitCode = 2;
} else {
  const rows = await measure(rounds);
  if (values.json) console.log(JSON.stringify(rows));
  else print(rows);
}
