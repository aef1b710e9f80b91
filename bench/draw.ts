import type { Result } from './measure.ts';
import { escaped, LEFT, page } from './svg.ts';

const WIDTH = 860;
const ROW = 46;
const TOP = 46;
const BAR = WIDTH - 2 * LEFT - 250;

/** A group as a picture: a bar for each subject, as long as it is fast, and a whisker for the middle half of its ratios. */
export function draw(title: string, results: readonly Result[], footer: string): string {
  const most = Math.max(...results.map(({ perSecond }) => perSecond));
  const rows = results.map(({ name, perSecond, ratio, spread }, i) => {
    const y = TOP + i * ROW;
    const x = (value: number): string => (LEFT + (value / most) * BAR).toFixed(1);
    const per = perSecond / ratio;
    const [low, high] = spread.map((bound) => x(Math.min(most, bound * per)));
    const kind = i === 0 ? 'reference' : name.startsWith('leash') ? 'own' : 'other';
    const whisker = i === 0 ? '' : `<path class="whisker" d="M${low} ${y + 27}H${high}"/>`;
    const speed = `${Math.round(perSecond).toLocaleString('en-US')}/s`;
    return (
      `<text x="${LEFT}" y="${y + 13}">${escaped(name)}</text>` +
      `<rect class="${kind}" x="${LEFT}" y="${y + 19}" width="${((perSecond / most) * BAR).toFixed(1)}" height="16" rx="2"/>` +
      `${whisker}<text class="figure" x="${WIDTH - LEFT}" y="${y + 32}">${speed}, ${ratio.toFixed(2)}x</text>`
    );
  });
  return page({
    title,
    footer,
    width: WIDTH,
    height: TOP + results.length * ROW + 26,
    styles:
      '.figure{text-anchor:end;font-variant-numeric:tabular-nums}.whisker{stroke:#24292f;stroke-width:2}' +
      '.reference{fill:#afb8c1}.own{fill:#2da44e}.other{fill:#d0d7de}',
    darkStyles: '.whisker{stroke:#e6edf3}.reference{fill:#6e7681}.own{fill:#238636}.other{fill:#30363d}',
    body: rows,
  });
}
