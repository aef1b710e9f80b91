/**
 * All figures of the README, from one run: `npm run bench`. Subjects of a group run in turn, slice by slice; a ratio is
 * the median of the ratios within each turn.
 *
 *   npm run bench -- --quick             shorter slices, to see whether it runs
 *   npm run bench -- --only redis,memory groups whose id begins so
 *   npm run bench -- --out report.json   the figures for machines, and for `node bench/draw.ts report.json`
 *   npm run bench -- --json              the same on standard output
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { postgresFolder, redisExecutable, startPostgres, startRedis } from '../test/helpers/databases.ts';
import { governance } from './agent-governance.ts';
import { auditPath, durable, verifyGigabyte } from './audit.ts';
import { compareCorrectness, correctnessTitle } from './correctness.ts';
import { cachedDecision, httpRequests, undiciRequests } from './egress.ts';
import { besideLlmBudget } from './llm-budget.ts';
import { type Group, type MeasureOptions, measure, type Result } from './measure.ts';
import { memoryStoreGroup } from './memory-store.ts';
import { installPeers } from './peers.ts';
import { logLines } from './pino.ts';
import { postgresGroups } from './postgres-store.ts';
import { redisGroups } from './redis-store.ts';
import { sqliteGroups } from './sqlite-store.ts';
import { wholeCall } from './whole-call.ts';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    out: { type: 'string' },
  },
});
const options: MeasureOptions = values.quick ? { slices: 8, sliceMs: 40 } : { slices: 40, sliceMs: 100 };
const only = values.only?.split(',');
const wanted = (id: string): boolean => only === undefined || only.some((start) => id.startsWith(start));

interface Measured {
  readonly id: string;
  readonly title: string;
  readonly target: string;
  readonly results: readonly Result[];
}
const report: Measured[] = [];

async function measureAll(groups: readonly Group[]): Promise<void> {
  for (const group of groups) {
    if (!wanted(group.id)) continue;
    const { id, title, target } = group;
    process.stderr.write(`measuring: ${title}\n`);
    report.push({ id, title, target, results: await measure(await group.subjects(), options) });
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

const besidePeers = [governance, besideLlmBudget, logLines];
const needsPeers = wanted('correctness') || besidePeers.some(({ id }) => wanted(id));
const hasPeers = needsPeers && installPeers();
if (needsPeers && !hasPeers) process.stderr.write('not measured: bench/peers is not installed\n');

await measureAll([wholeCall, memoryStoreGroup(1), memoryStoreGroup(50)]);
if (hasPeers) await measureAll(besidePeers);
await measureWith('redis', redisExecutable() !== undefined, startRedis, redisGroups);
const sqlite = sqliteGroups();
await measureAll(sqlite.groups);
await sqlite.close();
await measureWith('postgres', postgresFolder() !== undefined, startPostgres, postgresGroups);
await measureAll([auditPath, durable, undiciRequests, httpRequests, cachedDecision]);

const correctness = wanted('correctness') ? await compareCorrectness(hasPeers) : undefined;

let verified: Awaited<ReturnType<typeof verifyGigabyte>> | undefined;
if (wanted('verify')) {
  process.stderr.write('measuring: verifyLog\n');
  verified = await verifyGigabyte(values.quick ? 200_000 : undefined);
}

const machine = { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', ...options };
const json = `${JSON.stringify({ machine, report, correctness, verified }, null, 2)}\n`;
if (values.out !== undefined) writeFileSync(values.out, json);
if (values.json) process.stdout.write(json);
else tell();

function tell(): void {
  for (const { title, target, results } of report) {
    process.stdout.write(`\n${title}\n  target: ${target}\n`);
    for (const { name, perSecond, ratio, spread } of results) {
      const speed = Math.round(perSecond).toLocaleString('en-US').padStart(12);
      const range = `${spread[0].toFixed(2)} to ${spread[1].toFixed(2)}`;
      process.stdout.write(`  ${speed}/s  ${ratio.toFixed(2).padStart(5)}x  (${range})  ${name}\n`);
    }
  }
  if (correctness !== undefined) {
    process.stdout.write(`\n${correctnessTitle}: how many ran, at once and one after the other\n  target: 10 and 10\n`);
    for (const { name, how, parallel, inTurn } of correctness) {
      const ran = `${String(parallel.ran).padStart(5)} $${parallel.usd.padEnd(6)}${String(inTurn.ran).padStart(5)} $${inTurn.usd.padEnd(6)}`;
      process.stdout.write(`${ran} ${name}: ${how}\n`);
    }
  }
  if (verified !== undefined) {
    const { events, bytes, perSecond, peakMb } = verified;
    process.stdout.write(
      `\nverifyLog\n  target: 800,000 lines a second at flat memory\n  ${Math.round(perSecond).toLocaleString('en-US')} lines/s, ` +
        `${events.toLocaleString('en-US')} lines of ${Math.round(bytes / 1e6)} MB, at most ${Math.round(peakMb)} MB of memory\n`,
    );
  }
  process.stdout.write(`\n${machine.node}, ${machine.cpu}, ${options.slices} slices of ${options.sliceMs} ms each\n`);
}
