/** What is left of each call for ever, in bytes. What is remembered for a while, and keyed calls for a day, is some. */
export const MAX_BYTES_PER_CALL = 64;
/** The first rounds fill caches and pools, and compile. */
const WARM_UP = 1 / 3;
/** Fewer than these tell nothing. */
const LEAST_POINTS = 6;

export interface HeapPoint {
  readonly calls: number;
  readonly bytes: number;
}

export function measureHeap(calls: number): HeapPoint {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error('run it with node --expose-gc');
  gc();
  gc();
  return { calls, bytes: process.memoryUsage().heapUsed };
}

/** By how many bytes the heap grows with each call: of the line through the points with the least squares. */
export function slopeOf(points: readonly HeapPoint[]): number | undefined {
  const later = points.slice(Math.floor(points.length * WARM_UP));
  if (later.length < LEAST_POINTS) return undefined;
  const mean = (of: (point: HeapPoint) => number): number =>
    later.reduce((sum, point) => sum + of(point), 0) / later.length;
  const [x, y] = [mean(({ calls }) => calls), mean(({ bytes }) => bytes)];
  const above = later.reduce((sum, { calls, bytes }) => sum + (calls - x) * (bytes - y), 0);
  const below = later.reduce((sum, { calls }) => sum + (calls - x) ** 2, 0);
  return above / below;
}
