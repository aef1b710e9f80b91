import { invariant } from './invariant.ts';
import { shown } from './options.ts';

/** A calendar window; weeks start on Monday (ISO 8601), months on the 1st. */
export type Period = 'day' | 'week' | 'month';

export interface CalendarBounds {
  /** First millisecond of the window, epoch ms, inclusive. */
  readonly startMs: number;
  /** First millisecond after it, exclusive: where the next window starts. */
  readonly endMs: number;
}

const DAY_MS = 86_400_000;
/** No local time is further from UTC than this (the extremes of the IANA database are within 15 h 14 min). */
const MAX_OFFSET_MS = 16 * 3_600_000;
/** The last millisecond of the year 9999: beyond it a log timestamp would need a fifth digit. */
const MAX_WALL_MS = 253_402_300_799_999;

/** Whether it is a time from 1970 to 9999, in epoch ms. */
export function isWallMs(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= MAX_WALL_MS;
}

/** One time zone: how to read it, and the last window of each period, which is nearly always asked for again. */
interface Zone {
  /** Absent for UTC, which is arithmetic alone. */
  readonly format: Intl.DateTimeFormat | undefined;
  readonly last: Partial<Record<Period, CalendarBounds>>;
}

const MAX_ZONES = 64;
const zones = new Map<string, Zone>();

function zoneOf(timeZone: string): Zone {
  const known = zones.get(timeZone);
  if (known !== undefined) return known;
  const zone: Zone = { format: timeZone === 'UTC' ? undefined : formatOf(timeZone), last: {} };
  const oldest = zones.size < MAX_ZONES ? undefined : zones.keys().next().value;
  if (oldest !== undefined) zones.delete(oldest);
  zones.set(timeZone, zone);
  return zone;
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat('en-US-u-ca-iso8601-nu-latn', {
    timeZone,
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
    hourCycle: 'h23',
  });
}

/** What a clock on the wall shows at an instant, read as if it were UTC: epoch ms of a whole second. */
function wallClockAt(format: Intl.DateTimeFormat, ms: number): number {
  const shows: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
  for (const { type, value } of format.formatToParts(ms)) shows[type] = Number(value);
  const { year = Number.NaN, month = Number.NaN, day, hour, minute, second } = shows;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/**
 * The first instant at which the local date is `day` (days since 1970-01-01) or later. A date that a clock shows twice,
 * because it fell back over midnight, starts at the first showing; a date that it skips starts where the next one does.
 *
 * Relies on no zone changing its offset twice within 32 hours; since 1970 the closest two changes are a week apart.
 */
function startOfDay(format: Intl.DateTimeFormat | undefined, day: number): number {
  const midnight = day * DAY_MS;
  if (format === undefined) return midnight;
  let low = midnight - MAX_OFFSET_MS;
  let high = midnight + MAX_OFFSET_MS;
  const before = wallClockAt(format, low) - low;
  const after = wallClockAt(format, high) - high;
  if (before === after) return midnight - before;
  // The clock changes between `low` and `high`: `high` becomes the first second with the new offset.
  while (high - low > 1_000) {
    const middle = low + Math.floor((high - low) / 2_000) * 1_000;
    if (wallClockAt(format, middle) - middle === before) low = middle;
    else high = middle;
  }
  return midnight - before < high ? midnight - before : Math.max(high, midnight - after);
}

/** The first day of the window that has `day` in it. */
function firstDay(period: Period, day: number): number {
  switch (period) {
    case 'day':
      return day;
    case 'week':
      // 1970-01-01 was a Thursday, three days after a Monday.
      return Math.floor((day + 3) / 7) * 7 - 3;
    case 'month':
      return day - new Date(day * DAY_MS).getUTCDate() + 1;
  }
}

/** The first day of the window after the one that starts with `first`; 31 days on is in the next month, always. */
function nextFirstDay(period: Period, first: number): number {
  return firstDay(period, first + { day: 1, week: 7, month: 31 }[period]);
}

/**
 * The window with `wallMs` in it, by the local calendar of `timeZone`. Windows follow each other without gap or overlap:
 * `startMs <= wallMs < endMs`, and where one ends the next starts. A window starts at the first instant whose local
 * date is its first day or later, so that a clock that falls back over midnight does not open the old window again.
 *
 * @param timeZone as `checkTimeZone` returned it.
 * @throws {RangeError} `wallMs` is no time from 1970 to 9999.
 */
export function calendarBounds(period: Period, timeZone: string, wallMs: number): CalendarBounds {
  if (!isWallMs(wallMs)) {
    throw new RangeError(`the clock must tell a time from 1970 to 9999 in epoch ms, got ${shown(wallMs)}`);
  }
  const zone = zoneOf(timeZone);
  const last = zone.last[period];
  if (last !== undefined && wallMs >= last.startMs && wallMs < last.endMs) return last;
  const { format } = zone;
  const localMs = format === undefined ? wallMs : wallClockAt(format, wallMs);
  let first = firstDay(period, Math.floor(localMs / DAY_MS));
  let next = nextFirstDay(period, first);
  let endMs = startOfDay(format, next);
  while (wallMs >= endMs) {
    // The clock fell back to a date whose window was over.
    first = next;
    next = nextFirstDay(period, first);
    endMs = startOfDay(format, next);
  }
  const bounds = Object.freeze({ startMs: startOfDay(format, first), endMs });
  invariant(bounds.startMs <= wallMs && wallMs < endMs, 'a calendar window holds the time that it was asked for');
  zone.last[period] = bounds;
  return bounds;
}

/**
 * The zone as `Intl` names it: `'asia/kolkata'` is `'Asia/Calcutta'`, `'Etc/GMT'` is `'UTC'`, `'+0530'` is `'+05:30'`.
 *
 * @throws {TypeError} not an IANA time zone or UTC offset that this Node knows.
 */
export function checkTimeZone(option: string, timeZone: unknown): string {
  if (typeof timeZone === 'string') {
    try {
      return new Intl.DateTimeFormat('en-US', { timeZone }).resolvedOptions().timeZone;
    } catch {
      // Not known: the error below says so with the option's name.
    }
  }
  throw new TypeError(
    `\`${option}\` must be an IANA time zone such as 'Europe/Berlin' or an offset such as '+05:30', got ${shown(timeZone)}`,
  );
}
