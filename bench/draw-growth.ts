import type { DrawnLine, Picture } from './growth-report.ts';
import { escaped, LEFT, page } from './svg.ts';

const WIDTH = 860;
const PLOT = { left: 90, right: WIDTH - 24, top: 44, bottom: 364 };
const LEGEND_ROW = 20;

/** A logarithmic axis from one place of the picture to another. */
class Axis {
  readonly ticks: readonly number[];
  readonly #low: number;
  readonly #high: number;
  readonly #from: number;
  readonly #to: number;

  constructor(values: readonly number[], from: number, to: number) {
    // Whole decades; a level line is in the middle of at least two.
    let low = Math.floor(Math.log10(Math.min(...values)) + 1e-9);
    let high = Math.ceil(Math.log10(Math.max(...values)) - 1e-9);
    if (high - low < 1) high++;
    if (high - low < 2 && from > to) low--;
    this.#low = low;
    this.#high = high;
    this.#from = from;
    this.#to = to;
    this.ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  }

  at(value: number): number {
    const part = (Math.log10(value) - this.#low) / (this.#high - this.#low);
    return this.#from + part * (this.#to - this.#from);
  }
}

function shortNumber(value: number): string {
  if (value >= 1e6) return `${value / 1e6}M`;
  if (value >= 1e3) return `${value / 1e3}k`;
  return String(Number(value.toPrecision(2)));
}

function grid(x: Axis, y: Axis, picture: Picture): string[] {
  const { left, right, top, bottom } = PLOT;
  const down = x.ticks.map((tick) => {
    const at = x.at(tick).toFixed(1);
    return `<path class="grid" d="M${at} ${top}V${bottom}"/><text class="tick middle" x="${at}" y="${bottom + 17}">${shortNumber(tick)}</text>`;
  });
  const across = y.ticks.map((tick) => {
    const at = y.at(tick);
    return `<path class="grid" d="M${left} ${at.toFixed(1)}H${right}"/><text class="tick end" x="${left - 8}" y="${(at + 4).toFixed(1)}">${shortNumber(tick)}</text>`;
  });
  const middle = (top + bottom) / 2;
  return [
    ...down,
    ...across,
    `<text class="middle" x="${(left + right) / 2}" y="${bottom + 38}">${escaped(picture.axis)}</text>`,
    `<text class="middle" transform="translate(${LEFT + 14} ${middle}) rotate(-90)">${escaped(picture.unit)}</text>`,
  ];
}

function line({ places }: DrawnLine, i: number, x: Axis, y: Axis): string[] {
  const points = places.map((place) => ({ x: x.at(place.x).toFixed(1), y: y.at(place.value).toFixed(1), place }));
  return [
    `<polyline class="line c${i}" points="${points.map((point) => `${point.x},${point.y}`).join(' ')}"/>`,
    ...points.map(({ x: at, y: height, place }) => {
      const [low, high] = place.spread.map((value) => y.at(value).toFixed(1));
      return `<path class="line c${i}" d="M${at} ${low}V${high}"/><circle class="dot c${i}" cx="${at}" cy="${height}" r="3.5"/>`;
    }),
  ];
}

function legend({ name, slope, verdict }: DrawnLine, i: number): string {
  const y = PLOT.bottom + 62 + i * LEGEND_ROW;
  const shape = slope === undefined ? '' : `, slope ${slope.toFixed(2)}`;
  return (
    `<path class="line c${i}" d="M${PLOT.left} ${y - 4}h22"/>` +
    `<text x="${PLOT.left + 30}" y="${y}">${escaped(`${name}: ${verdict}${shape}`)}</text>`
  );
}

const LIGHT = ['#0969da', '#bc4c00', '#1a7f37', '#8250df'];
const DARK = ['#58a6ff', '#f0883e', '#3fb950', '#bc8cff'];

function colours(palette: readonly string[]): string {
  return palette.map((colour, i) => `.line.c${i}{stroke:${colour}}.dot.c${i}{fill:${colour}}`).join('');
}

/**
 * What grows, as a picture. Both axes are logarithmic, so what stays the same is a level line, and what grows in proportion
 * rises by a decade in each.
 */
export function drawGrowth(picture: Picture, footer: string): string {
  const places = picture.lines.flatMap((drawn) => drawn.places);
  const x = new Axis(
    places.map((place) => place.x),
    PLOT.left,
    PLOT.right,
  );
  const y = new Axis(
    places.flatMap(({ value, spread }) => [value, ...spread]),
    PLOT.bottom,
    PLOT.top,
  );
  return page({
    title: picture.title,
    footer,
    width: WIDTH,
    height: PLOT.bottom + 80 + picture.lines.length * LEGEND_ROW,
    styles:
      '.grid{stroke:#d0d7de;stroke-width:1}.line{fill:none;stroke-width:2}.tick{font-size:12px;fill:#57606a}' +
      `.middle{text-anchor:middle}.end{text-anchor:end}${colours(LIGHT)}`,
    darkStyles: `.grid{stroke:#30363d}.tick{fill:#8b949e}${colours(DARK)}`,
    body: [
      ...grid(x, y, picture),
      ...picture.lines.flatMap((drawn, i) => line(drawn, i, x, y)),
      ...picture.lines.map((drawn, i) => legend(drawn, i)),
    ],
  });
}
