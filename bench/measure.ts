/** One thing to measure: `run` does its work `rounds` times. */
export interface Subject {
  readonly name: string;
  run(rounds: number): Promise<void>;
  /** What it holds open, such as a process. */
  end?(): Promise<void>;
}

/** What one subject of a group has to reach. */
export interface Goal {
  /** Name of the subject. */
  readonly of: string;
  /** Times as fast as the first subject, at least. */
  readonly ratio?: number;
  /** Operations in a second, at least. */
  readonly perSecond?: number;
  /** Why it is missed where it is known to be. */
  readonly because?: string;
}

/** Subjects that do the same work; the first is what the others are compared with. */
export interface Group {
  /** Name of its picture, and what `--only` takes. */
  readonly id: string;
  readonly title: string;
  readonly goal?: Goal;
  /** What a reader must know to compare its subjects. */
  readonly note?: string;
  subjects(): readonly Subject[] | Promise<readonly Subject[]>;
}

export interface Result {
  readonly name: string;
  /** Operations in a second: the median of all slices. */
  readonly perSecond: number;
  /** Median of the ratios to the reference, each taken between neighbouring slices. */
  readonly ratio: number;
  /** The middle half of those ratios: how much they spread. */
  readonly spread: readonly [number, number];
}

export interface MeasureOptions {
  readonly slices: number;
  readonly sliceMs: number;
}

/**
 * Runs all subjects in turn, slice by slice, so that what else the machine does falls on each alike, and compares them
 * with the first within each turn.
 */
export async function measure(subjects: readonly Subject[], { slices, sliceMs }: MeasureOptions): Promise<Result[]> {
  const rounds: number[] = [];
  for (const subject of subjects) rounds.push(await roundsFor(subject, sliceMs));
  const speeds: number[][] = subjects.map(() => []);
  for (let slice = 0; slice < slices; slice++) {
    for (const [i, subject] of subjects.entries()) {
      // Garbage of one subject is not the next one's time.
      globalThis.gc?.({ type: 'minor' });
      const took = await time(subject, rounds[i] as number);
      (speeds[i] as number[]).push(((rounds[i] as number) * 1000) / took);
    }
  }
  return results(
    subjects.map(({ name }) => name),
    speeds,
  );
}

const WARM_UP_MS = 1_000;

/** Warms a subject up. @returns how many rounds make a slice: by the last time, since the first ones are of cold code. */
async function roundsFor(subject: Subject, sliceMs: number): Promise<number> {
  const end = performance.now() + WARM_UP_MS;
  for (let count = 256; ; ) {
    const took = await time(subject, count);
    const isLong = took > sliceMs / 2;
    if (isLong && performance.now() >= end) return Math.max(1, Math.round((count * sliceMs) / took));
    if (!isLong) count *= 2;
  }
}

/** @param speeds of each subject, slice by slice, in operations in a second. */
export function results(names: readonly string[], speeds: readonly (readonly number[])[]): Result[] {
  const reference = speeds[0] as readonly number[];
  return names.map((name, i) => {
    const own = speeds[i] as readonly number[];
    const ratios = own.map((speed, slice) => speed / (reference[slice] as number));
    return {
      name,
      perSecond: quantile(own, 0.5),
      ratio: quantile(ratios, 0.5),
      spread: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
    };
  });
}

async function time(subject: Subject, rounds: number): Promise<number> {
  const start = performance.now();
  await subject.run(rounds);
  return performance.now() - start;
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] as number;
}
