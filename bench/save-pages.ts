/**
 * Writes all that is made of bench/report.json and bench/growth.json: bench/README.md, a picture of each group and of each
 * growth, and the table of README.md. `npm run bench -- --save` does it; alone: `node bench/save-pages.ts`.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { draw } from './draw.ts';
import { drawGrowth } from './draw-growth.ts';
import type { GrowthReport } from './growth-report.ts';
import { renderBench, renderSpeed } from './pages.ts';
import type { Report } from './report.ts';

const at = (file: string): string => join(import.meta.dirname, file);

export const REPORT: string = at('report.json');
export const GROWTH: string = at('growth.json');
/** What of README.md is written here. */
const SPEED = /(?<=<!-- npm run bench -->\n)[\s\S]*?(?=<!-- end of the bench -->)/;

/** By the paths of the files, what they hold. */
export function pages(): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  const report = read(REPORT) as Report;
  const growth = existsSync(GROWTH) ? (read(GROWTH) as GrowthReport) : undefined;
  const { node, cpu } = report.machine;
  for (const { id, title, results } of report.groups) {
    const footer = `npm run bench, ${node}, ${cpu}. Ratios to the first row; the line is the middle half of them.`;
    files.set(at(`${id}.svg`), draw(title, results, footer));
  }
  for (const picture of growth?.growth ?? []) {
    const footer = `npm run bench:growth, ${node}, ${cpu}. Medians; upright lines are the middle half.`;
    files.set(at(`growth-${picture.id}.svg`), drawGrowth(picture, footer));
  }
  files.set(at('README.md'), renderBench(report, growth));
  const readme = at('../README.md');
  const text = readFileSync(readme, 'utf8');
  if (!SPEED.test(text)) throw new Error('README.md has no place for the table of the bench');
  files.set(
    readme,
    text.replace(SPEED, () => `\n${renderSpeed(report)}\n`),
  );
  return files;
}

export function savePages(): void {
  for (const [path, text] of pages()) writeFileSync(path, text);
}

function read(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'));
}

if (import.meta.main) savePages();
