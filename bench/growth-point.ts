/**
 * One place of one line of growth-lines.ts, in a process of its own: what one holds in memory is not the next one's
 * cost. Arguments: the index of the line, and the place. Told how many ms a sample may take, it answers with nanoseconds
 * for each unit of work. Ends with its parent.
 */
import { LINES, type Line } from './growth-lines.ts';

const WARM_UP_MS = 400;

const [line = '', x = ''] = process.argv.slice(2);
const point = await (LINES[Number(line)] as Line).point(Number(x));

/** Warm, and knows how long a round takes. */
async function warmUp(forMs: number): Promise<number> {
  const end = performance.now() + forMs;
  let ns = 0;
  for (let rounds = 1; ; rounds = Math.min(rounds * 2, 4096)) {
    ns = await point.sample(rounds);
    if (performance.now() >= end) return ns;
  }
}

let ns: number | undefined;
process.on('message', async (sampleMs: number) => {
  ns ??= await warmUp(Math.max(sampleMs, WARM_UP_MS));
  globalThis.gc?.({ type: 'minor' });
  process.send?.(await point.sample(Math.max(1, Math.round((sampleMs * 1e6) / ns))));
});
process.once('disconnect', () => process.exit());
