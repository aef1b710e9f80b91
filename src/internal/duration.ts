import { shown } from './options.ts';

/** Milliseconds, or a whole number with a unit: `'500ms' '30s' '1m' '24h' '30d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * The duration in milliseconds, >= 1.
 *
 * @throws {TypeError} neither a number nor a string with a unit.
 * @throws {RangeError} not a whole number of milliseconds from 1 to 2^53 - 1.
 */
export function parseDuration(option: string, value: unknown): number {
  const expected = `\`${option}\` must be milliseconds or a duration such as '500ms', '30s', '1m', '24h' or '30d'`;
  if (typeof value !== 'number' && typeof value !== 'string') throw new TypeError(`${expected}, got ${shown(value)}`);
  let ms: number;
  if (typeof value === 'number') {
    ms = value;
  } else {
    const match = /^(\d{1,16})(ms|s|m|h|d)$/.exec(value);
    if (match === null) throw new TypeError(`${expected}, got ${shown(value)}`);
    ms = Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS];
  }
  if (!Number.isSafeInteger(ms) || ms < 1) throw new RangeError(`${expected}, at least 1 ms, got ${shown(value)}`);
  return ms;
}
