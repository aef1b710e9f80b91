/**
 * All figures of the README, from one run: `npm run bench`. Subjects of a group run in turn, slice by slice; a ratio is
 * the median of the ratios within each turn.
 *
 *   npm run bench -- --quick             shorter slices, to see whether it runs
 *   npm run bench -- --only redis,memory groups whose id begins so
 *   npm run bench -- --json              the figures for machines, on standard output
 *   npm run bench -- --save              keeps them: bench/report.json, and the pages and pictures that are made of it
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { postgresFolder, redisExecutable, startPostgres, startRedis } from '../test/helpers/databases.ts';
import { start } from './child.ts';
import { compareCorrectness, correctnessTitle } from './correctness.ts';
import { httpRequests, undiciRequests } from './egress.ts';
import { besidePeers, inProcess } from './groups.ts';
import { type Group, type MeasureOptions, measure } from './measure.ts';
import { installPeers } from './peers.ts';
import { postgresGroups } from './postgres-store.ts';
import { redisGroups } from './redis-store.ts';
import { goalText, isReached, type MeasuredGroup, type Report, subjectOf, whole } from './report.ts';
import { REPORT, savePages } from './save-pages.ts';
import { sqliteGroups } from './sqlite-store.ts';
import { verifyGigabyte } from './verify.ts';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    save: { type: 'boolean', default: false },
  },
});
const options: MeasureOptions = values.quick ? { slices: 8, sliceMs: 40 } : { slices: 40, sliceMs: 100 };
const only = values.only?.split(',');
if (values.save && (only !== undefined || values.quick))
  throw new Error('what is saved is one whole run: without --only and --quick');
const wanted = (id: string): boolean => only === undefined || only.some((start) => id.startsWith(start));

const measured: MeasuredGroup[] = [];

function tellProgress(what: string): void {
  process.stderr.write(`${String(Math.round(performance.now() / 1000)).padStart(4)} s  ${what}\n`);
}

async function measureAll(groups: readonly Group[]): Promise<void> {
  for (const group of groups) {
    if (!wanted(group.id)) continue;
    const { subjects, ...about } = group;
    tellProgress(about.title);
    const all = await subjects();
    measured.push({ ...about, results: await measure(all, options) });
    for (const subject of all) await subject.end?.();
  }
}

/** A server of the bench's own, on loopback, which ends with its groups. */
async function measureWith(
  name: string,
  installed: boolean,
  start: () => ReturnType<typeof startRedis>,
  groupsOf: (url: string) => Promise<{ readonly groups: readonly Group[]; close(): Promise<void> }>,
): Promise<void> {
  if (!wanted(name) && only?.some((id) => id.startsWith(name)) !== true) return;
  if (!installed) {
    process.stderr.write(`not measured: ${name} is not installed\n`);
    return;
  }
  const server = await start();
  try {
    const { groups, close } = await groupsOf(server.url);
    try {
      await measureAll(groups);
    } finally {
      await close();
    }
  } finally {
    await server.stop();
  }
}

/** The same group, with each subject in a process of its own. */
function apart(group: Group): Group {
  return {
    ...group,
    subjects: async () => {
      const subjects = await group.subjects();
      return subjects.map(({ name }, i) => {
        const child = start('subject.ts', [group.id, String(i)], ['--expose-gc']);
        return { name, run: async (rounds) => void (await child.ask(rounds)), end: () => child.end() };
      });
    },
  };
}

const needsPeers = wanted('correctness') || besidePeers.some(({ id }) => wanted(id));
const hasPeers = needsPeers && installPeers();
if (needsPeers && !hasPeers) process.stderr.write('not measured: bench/peers is not installed\n');

await measureAll(inProcess.filter((group) => hasPeers || !besidePeers.includes(group)).map(apart));
await measureWith('redis', redisExecutable() !== undefined, startRedis, redisGroups);
const sqlite = sqliteGroups();
await measureAll(sqlite.groups);
await sqlite.close();
await measureWith('postgres', postgresFolder() !== undefined, startPostgres, postgresGroups);
await measureAll([undiciRequests, httpRequests]);

if (wanted('verify')) {
  tellProgress('verifyLog');
  const { group, results } = await verifyGigabyte(values.quick ? 200_000 : undefined);
  measured.push({ ...group, results });
}
const correctness = wanted('correctness') ? await compareCorrectness(hasPeers) : [];

const machine = { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, ...options };
const report: Report = { machine, groups: measured, correctness };
const json = `${JSON.stringify(report, null, 2)}\n`;
if (values.save) {
  writeFileSync(REPORT, json);
  savePages();
}
if (values.json) process.stdout.write(json);
else tell();

function tell(): void {
  for (const group of measured) {
    process.stdout.write(`\n${group.title}\n`);
    const { goal } = group;
    if (goal !== undefined) {
      const verdict = isReached(goal, subjectOf(group)) ? 'reached' : 'missed';
      process.stdout.write(`  target: ${goalText(goal)} for ${goal.of}: ${verdict}\n`);
    }
    for (const { name, perSecond, ratio, spread } of group.results) {
      const range = `${spread[0].toFixed(2)} to ${spread[1].toFixed(2)}`;
      process.stdout.write(
        `  ${whole(perSecond).padStart(12)}/s  ${ratio.toFixed(2).padStart(5)}x  (${range})  ${name}\n`,
      );
    }
  }
  if (correctness.length > 0) {
    process.stdout.write(`\n${correctnessTitle}: how many ran, at once and one after the other\n  target: 10 and 10\n`);
    for (const { name, how, parallel, inTurn } of correctness) {
      const ran = `${String(parallel.ran).padStart(5)} $${parallel.usd.padEnd(6)}${String(inTurn.ran).padStart(5)} $${inTurn.usd.padEnd(6)}`;
      process.stdout.write(`${ran} ${name}: ${how}\n`);
    }
  }
  process.stdout.write(`\n${machine.node}, ${machine.cpu}, ${options.slices} slices of ${options.sliceMs} ms each\n`);
}
