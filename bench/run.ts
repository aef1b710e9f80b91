/**
 * All figures of the README, from one run: `npm run bench`. Subjects of a group run in turn, slice by slice; a ratio is
 * the median of the ratios within each turn. `--json` prints one JSON document, `--quick` runs shorter.
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { auditPath, durable, verifyGigabyte } from './audit.ts';
import { cachedDecision, httpRequests, undiciRequests } from './egress.ts';
import { type MeasureOptions, measure, type Result } from './measure.ts';
import { memoryStoreGroup } from './memory-store.ts';
import { wholeCall } from './whole-call.ts';

const { values } = parseArgs({
  options: { json: { type: 'boolean', default: false }, quick: { type: 'boolean', default: false } },
});
const options: MeasureOptions = values.quick ? { slices: 8, sliceMs: 40 } : { slices: 40, sliceMs: 100 };
const groups = [
  ...[wholeCall, memoryStoreGroup(1), memoryStoreGroup(50), auditPath, durable],
  ...[undiciRequests, httpRequests, cachedDecision],
];

const report: { title: string; target: string; results: Result[] }[] = [];
for (const group of groups) {
  if (!values.json) process.stderr.write(`measuring: ${group.title}\n`);
  report.push({ title: group.title, target: group.target, results: await measure(await group.subjects(), options) });
}

if (!values.json) process.stderr.write('measuring: verifyLog\n');
const verified = await verifyGigabyte(values.quick ? 200_000 : undefined);

const machine = { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', ...options };
if (values.json) {
  process.stdout.write(`${JSON.stringify({ machine, report, verified }, null, 2)}\n`);
} else {
  for (const { title, target, results } of report) {
    process.stdout.write(`\n${title}\n  target: ${target}\n`);
    for (const { name, perSecond, ratio, spread } of results) {
      const speed = Math.round(perSecond).toLocaleString('en-US').padStart(12);
      const range = `${spread[0].toFixed(2)} to ${spread[1].toFixed(2)}`;
      process.stdout.write(`  ${speed}/s  ${ratio.toFixed(2).padStart(5)}x  (${range})  ${name}\n`);
    }
  }
  const { events, bytes, perSecond, peakMb } = verified;
  process.stdout.write(
    `\nverifyLog\n  target: 800,000 lines a second at flat memory\n  ${Math.round(perSecond).toLocaleString('en-US')} lines/s, ` +
      `${events.toLocaleString('en-US')} lines of ${Math.round(bytes / 1e6)} MB, at most ${Math.round(peakMb)} MB of memory\n`,
  );
  process.stdout.write(`\n${machine.node}, ${machine.cpu}, ${options.slices} slices of ${options.sliceMs} ms each\n`);
}
