/**
 * Draws the groups of a bench report as pictures: `node bench/draw.ts bench/report.json`. One SVG for each group, beside
 * the report: a bar for each subject, as long as it is fast, and a whisker for the middle half of its ratios.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Result } from './measure.ts';

interface Report {
  readonly machine: { readonly node: string; readonly cpu: string };
  readonly report: readonly { readonly id: string; readonly title: string; readonly results: readonly Result[] }[];
}

const WIDTH = 860;
const ROW = 46;
const TOP = 46;
const LEFT = 16;
const BAR = WIDTH - 2 * LEFT - 250;

export function draw(title: string, results: readonly Result[], footer: string): string {
  const most = Math.max(...results.map(({ perSecond }) => perSecond));
  const rows = results.map(({ name, perSecond, ratio, spread }, i) => {
    const y = TOP + i * ROW;
    const x = (value: number): string => (LEFT + (value / most) * BAR).toFixed(1);
    const per = perSecond / ratio;
    const [low, high] = spread.map((bound) => x(Math.min(most, bound * per)));
    const kind = i === 0 ? 'reference' : name.startsWith('leashkit') ? 'own' : 'other';
    const whisker = i === 0 ? '' : `<path class="whisker" d="M${low} ${y + 27}H${high}"/>`;
    const speed = `${Math.round(perSecond).toLocaleString('en-US')}/s`;
    return (
      `<text x="${LEFT}" y="${y + 13}">${escaped(name)}</text>` +
      `<rect class="${kind}" x="${LEFT}" y="${y + 19}" width="${((perSecond / most) * BAR).toFixed(1)}" height="16" rx="2"/>` +
      `${whisker}<text class="figure" x="${WIDTH - LEFT}" y="${y + 32}">${speed}, ${ratio.toFixed(2)}x</text>`
    );
  });
  const height = TOP + results.length * ROW + 26;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    '<style>',
    'text{font:13px system-ui,sans-serif;fill:#24292f}.head{font-weight:600;font-size:15px}',
    '.figure{text-anchor:end;font-variant-numeric:tabular-nums}.foot{font-size:11px;fill:#6e7781}',
    '.reference{fill:#afb8c1}.own{fill:#2da44e}.other{fill:#d0d7de}.whisker{stroke:#24292f;stroke-width:2}',
    '</style>',
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text class="head" x="${LEFT}" y="26">${escaped(title)}</text>`,
    ...rows,
    `<text class="foot" x="${LEFT}" y="${height - 10}">${escaped(footer)}</text>`,
    '</svg>',
    '',
  ].join('\n');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

if (import.meta.main) {
  const [path] = process.argv.slice(2);
  if (path === undefined) {
    console.error('usage: node bench/draw.ts REPORT.json');
    process.exit(2);
  }
  const { machine, report } = JSON.parse(readFileSync(path, 'utf8')) as Report;
  for (const { id, title, results } of report) {
    const file = join(dirname(path), `${id}.svg`);
    const footer = `npm run bench, ${machine.node}, ${machine.cpu}. Ratios to the first row; the line is the middle half of them.`;
    writeFileSync(file, draw(title, results, footer));
    console.error(file);
  }
}
