/** What was measured at one place of a line. */
export interface Measured {
  readonly x: number;
  /** The median. */
  readonly value: number;
  /** The middle half. */
  readonly spread: readonly [number, number];
}

interface Bend {
  readonly from: number;
  readonly to: number;
  /** Of the part between them. */
  readonly slope: number;
}

export interface Fit {
  /** Of the straight line through all places where both axes are logarithmic: 0 constant, 1 proportional. */
  readonly slope: number;
  /** Where it is steeper than by nature. */
  readonly bends: readonly Bend[];
}

/** What machines and allocators make of the same work: 26 % in a decade. */
const TOLERATED = 0.1;

/**
 * @param expected the slope that the line has by nature.
 */
export function fitLine(places: readonly Measured[], expected: number): Fit {
  const bends: Bend[] = [];
  for (let i = 1; i < places.length; i++) {
    const left = places[i - 1] as Measured;
    const right = places[i] as Measured;
    // By how much at least, where the middle halves are taken as they are.
    const least = rise(left.x, left.spread[1], right.x, right.spread[0]);
    if (least > expected + TOLERATED) {
      bends.push({ from: left.x, to: right.x, slope: rise(left.x, left.value, right.x, right.value) });
    }
  }
  return { slope: regression(places), bends };
}

function rise(fromX: number, from: number, toX: number, to: number): number {
  return Math.log(to / from) / Math.log(toX / fromX);
}

function regression(places: readonly Measured[]): number {
  const points = places.map(({ x, value }) => [Math.log(x), Math.log(value)] as const);
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const meanX = mean(points.map(([x]) => x));
  const meanY = mean(points.map(([, y]) => y));
  let above = 0;
  let below = 0;
  for (const [x, y] of points) {
    above += (x - meanX) * (y - meanY);
    below += (x - meanX) ** 2;
  }
  return below === 0 ? 0 : above / below;
}
