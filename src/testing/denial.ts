import type { DenialCode, LeashErrorCode } from '../errors.ts';
import { checkOptions } from '../internal/options.ts';

/** Every code of this package, or one of a guard of your own. */
export type AnyCode = DenialCode | LeashErrorCode | (string & {});

/** What else a refusal is to say. What is left out may be anything. */
export interface ExpectedDenial {
  /** Name of the tool. */
  readonly tool?: string;
  /** Name of the guard, such as `'call-cap'`. */
  readonly guard?: string;
  /** The short word for why, such as `'exhausted'`. */
  readonly reason?: string;
}

/** What refusals and their events say alike. */
export interface Denial {
  readonly code?: unknown;
  readonly tool?: unknown;
  readonly guard?: unknown;
  readonly reason?: unknown;
}

const FIELDS = ['code', 'tool', 'guard', 'reason'] as const;

/** @throws {TypeError} a key that nobody looks at would make a test that cannot fail. */
export function checkExpected(where: string, expected: object, more: readonly string[] = []): void {
  checkOptions(where, expected, ['tool', 'guard', 'reason', ...more]);
}

export function matches(denial: Denial, expected: Denial): boolean {
  return FIELDS.every((field) => expected[field] === undefined || denial[field] === expected[field]);
}

/** The fields that are asked for, of what came: only what is compared is worth a line in a difference. */
export function compared(denial: Denial, expected: Denial): Denial {
  return Object.fromEntries(FIELDS.filter((field) => expected[field] !== undefined).map((f) => [f, denial[f]]));
}

/** `BUDGET_EXCEEDED of tool "pay" by guard "budget" (exhausted)`. */
export function described({ code, tool, guard, reason }: Denial): string {
  return [
    code,
    tool === undefined ? '' : ` of tool "${tool}"`,
    guard === undefined ? '' : ` by guard "${guard}"`,
    reason === undefined ? '' : ` (${reason})`,
  ].join('');
}
