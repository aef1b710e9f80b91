/**
 * Agents spend in parallel through stores and sinks that fail, for minutes, and what the log tells, what the store counts and
 * what the tools themselves have written down is compared to the unit: `npm run soak [-- --minutes 10] [--seed TEXT]
 * [--json]`. The exit code is 1 where something differs, is overspent, stays held, leaks or is not closed.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { python } from '../helpers/python.ts';
import { tableOf } from '../helpers/table.ts';
import { type HeapPoint, MAX_BYTES_PER_CALL, measureHeap, slopeOf } from './heap.ts';
import { decimal } from './ledger.ts';
import type { World } from './world.ts';
import { KEEP_MS, openWorlds } from './worlds.ts';

const { values: given } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    json: { type: 'boolean', default: false },
  },
});
const minutes = Number(given.minutes);
if (!(minutes > 0)) throw new RangeError('--minutes must be a number above 0');

/** How long agents work between two checks. */
const ROUND_MS = Math.min(20_000, Math.max(2_000, (minutes * 60_000) / 20));
/** After so many it is no use to go on. */
const MAX_DIFFERENCES = 20;

interface Sums {
  agents: number;
  leashes: number;
  events: number;
  faults: number;
}

const differences: string[] = [];

function differs(what: string): void {
  differences.push(what);
  console.error(`  ${what}`);
}

process.on('unhandledRejection', (error) =>
  differs(`a rejection that nobody handles: ${String((error as Error)?.stack ?? error)}`),
);
process.on('warning', (warning) => differs(`a warning: ${String(warning.stack)}`));

async function rounds(worlds: readonly World[], sums: ReadonlyMap<World, Sums>): Promise<readonly HeapPoint[]> {
  const began = performance.now();
  const heap: HeapPoint[] = [];
  const calls = (): number =>
    worlds.reduce((sum, { tally }) => sum + tally.calls + tally.streams + tally.holds + tally.charges, 0);
  for (let round = 1; ; round++) {
    const passed = (performance.now() - began) / 60_000;
    if (passed >= minutes || differences.length > MAX_DIFFERENCES) return heap;
    await Promise.all(
      worlds.map(async (world) => {
        const found = await world.round(ROUND_MS);
        const sum = sums.get(world) as Sums;
        for (const what of ['agents', 'leashes', 'events', 'faults'] as const) sum[what] += found[what];
        for (const what of found.differences) differs(what);
      }),
    );
    const point = measureHeap(calls());
    // Until then what is remembered for a while has more and more of it.
    if (performance.now() - began > 2 * KEEP_MS) heap.push(point);
    const faults = [...sums.values()].reduce((sum, each) => sum + each.faults, 0);
    const usd = worlds.reduce((sum, { spent }) => sum + spent.usd, 0);
    console.error(
      `  ${((performance.now() - began) / 60_000).toFixed(1)} of ${minutes} min, round ${round}: ${calls()} calls, ${faults} faults, ` +
        `$${Number(decimal('usd', usd)).toFixed(2)} spent, heap ${(point.bytes / 2 ** 20).toFixed(1)} MB, ${differences.length} differences`,
    );
  }
}

function rowOf(world: World, { agents, leashes, events, faults }: Sums): Record<string, number | string> {
  const { tally, spent, name } = world;
  const refused = Object.values(tally.refused).reduce((sum, count) => sum + count, 0);
  const { calls, streams, holds, charges } = tally;
  return {
    store: name,
    agents,
    leashes,
    calls,
    streams,
    holds,
    charges,
    refused,
    faults,
    'log lines': events,
    'spent, USD': decimal('usd', spent.usd),
    'spent, sat': decimal('sat', spent.sat),
    differences: differences.filter((what) => what.startsWith(`${name}:`)).length,
  };
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'leashkit-soak-'));
  // What a process has open at its end, apart from what it began with.
  const before = process.getActiveResourcesInfo().length;
  const { worlds, close } = await openWorlds(given.seed, folder);
  console.error(
    `soaking ${worlds.map(({ name }) => name).join(', ')} for ${minutes} min, seed ${given.seed}${python === undefined ? ', without verify_log.py' : ''}`,
  );
  const sums = new Map(worlds.map((world): [World, Sums] => [world, { agents: 0, leashes: 0, events: 0, faults: 0 }]));
  const heap = await rounds(worlds, sums);
  await close();
  rmSync(folder, { recursive: true });
  await pause(500);
  const open = process.getActiveResourcesInfo();
  if (open.length > before) differs(`${open.length - before} things are still open: ${open.join(', ')}`);
  const slope = slopeOf(heap);
  if (slope !== undefined && slope > MAX_BYTES_PER_CALL)
    differs(`the heap grows by ${slope.toFixed(1)} bytes with each call`);
  const rows = worlds.map((world) => rowOf(world, sums.get(world) as Sums));
  const bytesPerCall = slope === undefined ? null : Number(slope.toFixed(2));
  if (given.json) console.log(JSON.stringify({ seed: given.seed, minutes, bytesPerCall, stores: rows, differences }));
  else {
    console.log(tableOf(Object.keys(rows[0] ?? {}), rows.map(Object.values)));
    console.log(
      `heap: ${slope === undefined ? 'too few rounds to tell a slope' : `${slope.toFixed(1)} bytes more with each call, at most ${MAX_BYTES_PER_CALL}`}`,
    );
  }
  console.error(`${differences.length} differences, seed ${given.seed}`);
  if (differences.length > 0) process.exitCode = 1;
}

await main();
