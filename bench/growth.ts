/**
 * What a call costs as there is more and more of something, and what stays on the heap: `npm run bench:growth`. Each place
 * of a line is measured in a process of its own; those of a line take turns, so that what else the machine does falls on
 * each alike.
 *
 *   npm run bench:growth -- --quick              shorter, to see whether it runs
 *   npm run bench:growth -- --only calls,heap    pictures whose id begins so
 *   npm run bench:growth -- --cpu                the time that the thread works, for a machine that does other things too
 *   npm run bench:growth -- --json               the figures for machines, on standard output
 *   npm run bench:growth -- --save               keeps them: bench/growth.json, and the pages and pictures that are made of it
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { start } from './child.ts';
import { HEAP_USES } from './growth-heap.ts';
import { LINES, type Line } from './growth-lines.ts';
import type { LogAnswer, LogRequest } from './growth-log.ts';
import type { DrawnLine, GrowthReport, Picture } from './growth-report.ts';
import { quantile } from './measure.ts';
import { GROWTH, savePages } from './save-pages.ts';
import { type Fit, fitLine, type Measured } from './slope.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    cpu: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    save: { type: 'boolean', default: false },
  },
});
// For the processes that measure.
if (values.cpu) process.env['BENCH_CLOCK'] = 'cpu';
const quick = values.quick;
const SAMPLES = quick ? 5 : 15;
const SAMPLE_MS = quick ? 20 : 60;
/** For appending, and again for verifying. */
const LOG_SECONDS = quick ? 4 : 100;
const only = values.only?.split(',');
if (values.save && (only !== undefined || quick))
  throw new Error('what is saved is one whole run: without --only and --quick');
const wanted = (id: string): boolean => only === undefined || only.some((start) => id.startsWith(start));

const pictures: Picture[] = [];

function pictureOf(id: string, axis: string, unit: string): Picture {
  const known = pictures.find((picture) => picture.id === id);
  if (known !== undefined) return known;
  const picture = { id, title: `${unit}, by ${axis}`, axis, unit, lines: [] };
  pictures.push(picture);
  return picture;
}

function tellProgress(text: string): void {
  const seconds = Math.round(performance.now() / 1000);
  process.stderr.write(`${String(seconds).padStart(4)} s  ${text}\n`);
}

function measured(x: number, samples: readonly number[]): Measured {
  return { x, value: quantile(samples, 0.5), spread: [quantile(samples, 0.25), quantile(samples, 0.75)] };
}

function verdictOf({ bends }: Fit, expected: number): string {
  if (bends.length === 0) return expected === 0 ? 'flat' : 'in proportion, or less';
  return `bends upward: ${bends.map(({ from, to, slope }) => `${from} to ${to} with slope ${slope.toFixed(2)}`).join(', ')}`;
}

function drawn(name: string, places: readonly Measured[], expected: 0 | 1, because?: string): DrawnLine {
  const fitted = fitLine(places, expected);
  return { name, places, expected, ...fitted, because, verdict: verdictOf(fitted, expected) };
}

async function measureLine(index: number, { id, name, axis, cost, expected, at, because }: Line): Promise<void> {
  tellProgress(`${id}: ${name}, ${at[0]} to ${at.at(-1)} ${axis}`);
  const children = at.map((x) =>
    start('growth-point.ts', [String(index), String(x)], ['--expose-gc', '--max-old-space-size=8192']),
  );
  const samples: number[][] = at.map(() => []);
  for (let i = 0; i < SAMPLES; i++) {
    for (const [place, child] of children.entries()) {
      (samples[place] as number[]).push((await child.ask(SAMPLE_MS)) as number);
    }
  }
  await Promise.all(children.map((child) => child.end()));
  const places = at.map((x, i) => measured(x, samples[i] as number[]));
  pictureOf(id, axis, cost).lines.push(drawn(name, places, expected, because));
}

async function measureLog(): Promise<void> {
  const child = start('growth-log.ts');
  const ask = async (request: LogRequest): Promise<LogAnswer> => (await child.ask(request)) as LogAnswer;
  const picture = pictureOf('log', 'lines of the log', 'ns per line');
  const appended: Measured[] = [];
  // Warm by its first answer.
  await ask({ append: 0 });
  const until = Date.now() + LOG_SECONDS * 1000;
  for (let wantedLines = 1_000; wantedLines <= 1e7 && Date.now() < until; wantedLines *= 10) {
    tellProgress(`log: appending to ${wantedLines} lines`);
    const { lines, samples } = await ask({ append: wantedLines, until });
    if (samples.length > 0) appended.push(measured(lines, samples));
  }
  picture.lines.push(drawn('appending by calls to a file, signed', appended, 0));

  const verified: Measured[] = [];
  const started = Date.now();
  let took = 0;
  for (const { x } of appended) {
    const left = LOG_SECONDS * 1000 - (Date.now() - started);
    // What the next decade takes, by the one before.
    if (took * (x / (verified.at(-1)?.x ?? x)) > left) break;
    tellProgress(`log: verifying ${x} lines`);
    const samples: number[] = [];
    const from = Date.now();
    do samples.push(...(await ask({ verify: x })).samples);
    while (samples.length < SAMPLES && Date.now() - from < (LOG_SECONDS * 1000) / 6);
    took = (Date.now() - from) / samples.length;
    verified.push(measured(x, samples));
  }
  picture.lines.push(drawn('verifyLog', verified, 0));
  await child.end();
}

/** More than this much in the last decade is no noise of a heap. */
const FLAT = 0.05;

async function measureHeap(use: string): Promise<DrawnLine> {
  const { name, from, to } = HEAP_USES[use] as (typeof HEAP_USES)[string];
  const child = start('growth-heap.ts', [use], ['--expose-gc']);
  const places: Measured[] = [];
  for (let decade = from; decade <= (quick ? to - 2 : to); decade++) {
    tellProgress(`heap: ${name}, ${10 ** decade}`);
    const bytes = (await child.ask(10 ** decade)) as number;
    places.push({ x: 10 ** decade, value: bytes / 1e6, spread: [bytes / 1e6, bytes / 1e6] });
  }
  await child.end();
  const last = places.at(-1)?.value as number;
  const grown = last - (places.at(-2)?.value as number);
  return { name, places, grown: grown * 1e6, verdict: grown > FLAT * last ? 'not flat' : 'flat' };
}

async function measureHeaps(): Promise<void> {
  // Two at a time: what else runs changes nothing in what is kept.
  const left = Object.keys(HEAP_USES).map((use, i) => [i, use] as const);
  const lines: DrawnLine[] = [];
  const worker = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) lines[next[0]] = await measureHeap(next[1]);
  };
  await Promise.all([worker(), worker()]);
  pictureOf('heap', 'calls made, or sessions opened and closed', 'MB on the heap').lines.push(...lines);
}

for (const [index, line] of LINES.entries()) if (wanted(line.id)) await measureLine(index, line);
if (wanted('log')) await measureLog();
if (wanted('heap')) await measureHeaps();

const clock = values.cpu ? 'cpu' : 'wall';
const machine = {
  node: process.version,
  cpu: cpus()[0]?.model ?? 'unknown',
  samples: SAMPLES,
  sampleMs: SAMPLE_MS,
  clock,
};
const report: GrowthReport = { machine, growth: pictures };
const json = `${JSON.stringify(report, null, 2)}\n`;
if (values.save) {
  writeFileSync(GROWTH, json);
  savePages();
}
tellProgress('done');

if (values.json) process.stdout.write(json);
else tell();

function tell(): void {
  for (const { id, title, lines } of pictures) {
    process.stdout.write(`\n${title} (${id})\n`);
    for (const { name, places, slope, grown, verdict, because } of lines) {
      const shape =
        slope === undefined ? `last decade ${((grown ?? 0) / 1e6).toFixed(2)} MB` : `slope ${slope.toFixed(2)}`;
      process.stdout.write(`  ${name}: ${verdict} (${shape})\n`);
      if (because !== undefined) process.stdout.write(`    ${because}\n`);
      for (const { x, value, spread } of places) {
        const [low, high] = spread.map(short);
        const range = low === high ? '' : `  (${low} to ${high})`;
        process.stdout.write(`  ${x.toLocaleString('en-US').padStart(12)}  ${short(value).padStart(12)}${range}\n`);
      }
    }
  }
  process.stdout.write(`\n${machine.node}, ${machine.cpu}, ${SAMPLES} samples of ${SAMPLE_MS} ms each\n`);
}

function short(value: number): string {
  return value < 100 ? value.toFixed(2) : Math.round(value).toLocaleString('en-US');
}
