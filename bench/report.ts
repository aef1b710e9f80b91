import type { Correctness } from './correctness.ts';
import type { Goal, Group, Result } from './measure.ts';

/** A group, and what came of it. */
export interface MeasuredGroup extends Omit<Group, 'subjects'> {
  readonly results: readonly Result[];
}

/** All that one run of the bench has found: what `--json` prints, and bench/report.json keeps. */
export interface Report {
  readonly machine: {
    readonly node: string;
    readonly cpu: string;
    readonly cores: number;
    readonly slices: number;
    readonly sliceMs: number;
  };
  readonly groups: readonly MeasuredGroup[];
  readonly correctness: readonly Correctness[];
}

/** The subject that a group is about: that of its goal, else the first of ours. */
export function subjectOf({ id, goal, results }: MeasuredGroup): Result {
  const found = results.find(({ name }) => (goal === undefined ? /^leash|\bverifyLog\b/.test(name) : name === goal.of));
  if (found === undefined) throw new Error(`group ${id} has no subject ${goal?.of ?? 'of ours'}`);
  return found;
}

export function isReached({ ratio, perSecond }: Goal, result: Result): boolean {
  return result.ratio >= (ratio ?? 0) && result.perSecond >= (perSecond ?? 0);
}

export function goalText({ ratio, perSecond }: Goal): string {
  return ratio === undefined ? `${whole(perSecond as number)}/s` : `${ratio}x`;
}

export function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
