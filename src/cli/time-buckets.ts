import { DecimalSum } from './decimal.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Each is a whole number of those before it, so that finer parts add up to coarser ones. */
const WIDTHS = [
  SECOND,
  5 * SECOND,
  15 * SECOND,
  MINUTE,
  5 * MINUTE,
  15 * MINUTE,
  HOUR,
  6 * HOUR,
  DAY,
  7 * DAY,
  28 * DAY,
  364 * DAY,
  3640 * DAY,
  364_000 * DAY,
];

export interface Bucket {
  /** Epoch ms. */
  readonly from: number;
  readonly usd: DecimalSum;
  readonly sat: DecimalSum;
}

/** Spend over time, in at most so many parts of equal length however long the log is and in whatever order it comes. */
export class TimeBuckets {
  readonly #max: number;
  #level = 0;
  #buckets = new Map<number, Bucket>();
  #first = Number.POSITIVE_INFINITY;
  #last = Number.NEGATIVE_INFINITY;

  constructor(max: number) {
    this.#max = max;
  }

  /** Length of one part in ms. */
  get width(): number {
    return WIDTHS[this.#level] as number;
  }

  add(ts: string, usd: string | undefined, sat: string | undefined): void {
    const at = Date.parse(ts);
    this.#first = Math.min(this.#first, at);
    this.#last = Math.max(this.#last, at);
    while (this.#span() > this.#max && this.#level < WIDTHS.length - 1) this.#coarsen();
    const bucket = this.#at(Math.floor(at / this.width));
    bucket.usd.add(usd);
    bucket.sat.add(sat);
  }

  #span(): number {
    return Math.floor(this.#last / this.width) - Math.floor(this.#first / this.width) + 1;
  }

  #at(index: number): Bucket {
    let bucket = this.#buckets.get(index);
    if (bucket === undefined) {
      bucket = { from: index * this.width, usd: new DecimalSum(), sat: new DecimalSum() };
      this.#buckets.set(index, bucket);
    }
    return bucket;
  }

  #coarsen(): void {
    const finer = this.#buckets;
    this.#buckets = new Map();
    this.#level++;
    for (const { from, usd, sat } of finer.values()) {
      const bucket = this.#at(Math.floor(from / this.width));
      bucket.usd.addSum(usd);
      bucket.sat.addSum(sat);
    }
  }

  /** From the first with spend to the last, those without included. */
  list(): readonly Bucket[] {
    if (this.#buckets.size === 0) return [];
    const from = Math.floor(this.#first / this.width);
    return Array.from({ length: this.#span() }, (_, i) => this.#at(from + i));
  }
}

/** Such as `5 min`. */
export function widthText(ms: number): string {
  for (const [unit, length] of [
    ['day', DAY],
    ['h', HOUR],
    ['min', MINUTE],
  ] as const) {
    if (ms % length === 0) return ms === length ? unit : `${ms / length} ${unit}${unit === 'day' ? 's' : ''}`;
  }
  return ms === SECOND ? 's' : `${ms / SECOND} s`;
}

/** UTC, as precise as parts of this length need. */
export function bucketLabel(from: number, width: number): string {
  const iso = new Date(from).toISOString();
  const [date = '', time = ''] = iso.split('T');
  if (width >= DAY) return date;
  return `${date} ${time.slice(0, width >= MINUTE ? 5 : 8)}`;
}
