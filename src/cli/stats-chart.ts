import type { MoneyUnit } from '../money.ts';
import { moneyText } from './event-text.ts';
import type { Totals } from './stats-totals.ts';
import { type Bucket, bucketLabel, widthText } from './time-buckets.ts';

const BAR_WIDTH = 32;
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** The units in which something was spent. */
function unitsOf(totals: Totals): readonly MoneyUnit[] {
  return (['usd', 'sat'] as const).filter((unit) => !totals[unit].isZero);
}

/** How long each bar is, of 1. */
function sharesOf(buckets: readonly Bucket[], unit: MoneyUnit): readonly number[] {
  const amounts = buckets.map((bucket) => bucket[unit].toNumber());
  const highest = Math.max(...amounts);
  return amounts.map((amount) => (Number.isFinite(highest) && highest > 0 ? amount / highest : 0));
}

/** A bar of so many cells, to an eighth of one. What is not nothing shows. */
function bar(share: number): string {
  const eighths = share === 0 ? 0 : Math.max(1, Math.round(share * BAR_WIDTH * 8));
  return `${'█'.repeat(Math.floor(eighths / 8))}${EIGHTHS[eighths % 8]}`;
}

/** Spend over time, a bar a line. */
export function chartText(totals: Totals): string {
  const { width } = totals.spend;
  const buckets = totals.spend.list();
  return unitsOf(totals)
    .map((unit) => {
      const shares = sharesOf(buckets, unit);
      const lines = buckets.map((bucket, i) => {
        const amount = bucket[unit].isZero ? '' : moneyText({ [unit]: bucket[unit].toString() });
        return `  ${bucketLabel(bucket.from, width)}  ${bar(shares[i] ?? 0).padEnd(BAR_WIDTH)}  ${amount}`.trimEnd();
      });
      return `Spend in ${unit} per ${widthText(width)}, UTC\n${lines.join('\n')}\n`;
    })
    .join('\n');
}

const PANEL = { width: 720, height: 240, left: 90, right: 20, top: 40, bottom: 50 };

/** The same as an SVG image: shapes and numbers, no script, no style sheet, nothing from elsewhere. */
export function chartSvg(totals: Totals): string {
  const units = unitsOf(totals);
  const height = Math.max(1, units.length) * PANEL.height;
  const title = 'Spend over time';
  const panels = units.map((unit, i) => panelSvg(totals, unit, i * PANEL.height)).join('');
  const empty = units.length > 0 ? '' : text(PANEL.width / 2, PANEL.height / 2, 'No spend is recorded', 'middle');
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${PANEL.width}" height="${height}" ` +
    `viewBox="0 0 ${PANEL.width} ${height}" role="img" aria-label="${title}" font-family="sans-serif" font-size="12">\n` +
    `<title>${title}</title>\n<rect width="100%" height="100%" fill="#ffffff"/>\n${panels}${empty}</svg>\n`
  );
}

function panelSvg(totals: Totals, unit: MoneyUnit, top: number): string {
  const { width } = totals.spend;
  const buckets = totals.spend.list();
  const shares = sharesOf(buckets, unit);
  const step = (PANEL.width - PANEL.left - PANEL.right) / buckets.length;
  const room = PANEL.height - PANEL.top - PANEL.bottom;
  const base = top + PANEL.height - PANEL.bottom;
  let drawn = text(PANEL.left, top + 22, `Spend in ${unit} per ${widthText(width)}, UTC`, 'start');
  buckets.forEach((bucket, i) => {
    const share = shares[i] ?? 0;
    if (share === 0) return;
    const length = Math.max(1, share * room);
    const label = `${bucketLabel(bucket.from, width)}: ${moneyText({ [unit]: bucket[unit].toString() })}`;
    drawn +=
      `<rect x="${round(PANEL.left + i * step + step * 0.1)}" y="${round(base - length)}" ` +
      `width="${round(step * 0.8)}" height="${round(length)}" fill="#2f6f9f"><title>${label}</title></rect>\n`;
  });
  const highest = buckets[shares.indexOf(1)];
  if (highest !== undefined) {
    const amount = moneyText({ [unit]: highest[unit].toString() });
    drawn += text(PANEL.left - 8, top + PANEL.top + 4, amount, 'end');
  }
  drawn += text(PANEL.left - 8, base + 4, '0', 'end');
  drawn += `<line x1="${PANEL.left}" y1="${base}" x2="${PANEL.width - PANEL.right}" y2="${base}" stroke="#555555"/>\n`;
  const [first, last] = [buckets[0], buckets.at(-1)];
  if (first !== undefined) drawn += text(PANEL.left, base + 20, bucketLabel(first.from, width), 'start');
  if (last !== undefined && last !== first) {
    drawn += text(PANEL.width - PANEL.right, base + 20, bucketLabel(last.from, width), 'end');
  }
  return drawn;
}

function text(x: number, y: number, content: string, anchor: 'start' | 'middle' | 'end'): string {
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" fill="#222222">${content}</text>\n`;
}

function round(number: number): number {
  return Math.round(number * 100) / 100;
}
