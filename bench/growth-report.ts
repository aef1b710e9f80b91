import type { Fit, Measured } from './slope.ts';

export interface DrawnLine extends Partial<Fit> {
  readonly name: string;
  readonly places: readonly Measured[];
  /** The slope that it has by nature; absent for the heap. */
  readonly expected?: number;
  readonly because?: string | undefined;
  /** The heap alone: how much the last decade has added, in bytes. */
  readonly grown?: number;
  readonly verdict: string;
}

export interface Picture {
  readonly id: string;
  readonly title: string;
  readonly axis: string;
  readonly unit: string;
  readonly lines: DrawnLine[];
}

export interface GrowthReport {
  readonly machine: { readonly node: string; readonly cpu: string };
  readonly growth: readonly Picture[];
}
