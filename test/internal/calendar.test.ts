import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { calendarBounds, checkTimeZone, type Period } from '../../src/internal/calendar.ts';

const PERIODS = ['day', 'week', 'month'] as const;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const LAST_MS = Date.parse('9999-12-31T23:59:59.999Z');

const utc = (moment: string): number => Date.parse(`${moment}Z`);

/** The window at a moment in UTC text, such as `'2024-02-29T00:00 2024-03-01T00:00'`. */
function windowAt(period: Period, timeZone: string, moment: string): string {
  const { startMs, endMs } = calendarBounds(period, timeZone, utc(moment));
  return [startMs, endMs].map((ms) => new Date(ms).toISOString().replace(/(:00)?\.000Z$/, '')).join(' ');
}

/** The day on the wall since 1970-01-01, by another route through `Intl` than the one under test. */
const dates = new Map<string, Intl.DateTimeFormat>();
function localDay(timeZone: string, ms: number): number {
  let format = dates.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('sv-SE', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' });
    dates.set(timeZone, format);
  }
  const [year, month, day] = format.format(ms).split('-').map(Number);
  return Date.UTC(year as number, (month as number) - 1, day) / DAY_MS;
}

/** First day of the window that has a day in it, a step at a time. */
function firstDay(period: Period, day: number): number {
  const date = new Date(day * DAY_MS);
  const isFirst = period === 'day' || (period === 'week' ? date.getUTCDay() === 1 : date.getUTCDate() === 1);
  return isFirst ? day : firstDay(period, day - 1);
}

describe('calendarBounds', () => {
  it.each<[name: string, period: Period, moment: string, start: string, end: string]>([
    ['the epoch', 'day', '1970-01-01T00:00', '1970-01-01', '1970-01-02'],
    ['the week of the epoch', 'week', '1970-01-01T00:00', '1969-12-29', '1970-01-05'],
    ['the first ms of a day', 'day', '2026-11-20T00:00:00.000', '2026-11-20', '2026-11-21'],
    ['the last ms of a day', 'day', '2026-11-20T23:59:59.999', '2026-11-20', '2026-11-21'],
    ['a leap day', 'day', '2024-02-29T12:00', '2024-02-29', '2024-03-01'],
    ['a leap February, 2024', 'month', '2024-02-29T23:59', '2024-02-01', '2024-03-01'],
    ['a leap February, 2028', 'month', '2028-02-01T00:00', '2028-02-01', '2028-03-01'],
    ['a leap February, 2000', 'month', '2000-02-29T00:00', '2000-02-01', '2000-03-01'],
    ['the day before a leap day', 'day', '2028-02-28T12:00', '2028-02-28', '2028-02-29'],
    ['the last of February 2100, no leap year', 'day', '2100-02-28T12:00', '2100-02-28', '2100-03-01'],
    ['the last of February 2027', 'month', '2027-02-28T23:59', '2027-02-01', '2027-03-01'],
    ['the end of a month of 31 days', 'month', '2026-01-31T23:59', '2026-01-01', '2026-02-01'],
    ['the end of a month of 30 days', 'month', '2026-04-30T23:59', '2026-04-01', '2026-05-01'],
    ['the end of a year', 'month', '2026-12-31T23:59', '2026-12-01', '2027-01-01'],
    ['the last day of a year', 'day', '2026-12-31T23:59', '2026-12-31', '2027-01-01'],
    ['a Sunday', 'week', '2026-11-22T23:59', '2026-11-16', '2026-11-23'],
    ['a Monday', 'week', '2026-11-23T00:00', '2026-11-23', '2026-11-30'],
    ['a week over a year end', 'week', '2027-01-01T00:00', '2026-12-28', '2027-01-04'],
    ['a week over a leap day', 'week', '2024-03-01T00:00', '2024-02-26', '2024-03-04'],
    ['the week of a year that starts on Monday', 'week', '2024-01-01T00:00', '2024-01-01', '2024-01-08'],
  ])('bounds %s by arithmetic and by Intl alike', (_, period, moment, start, end) => {
    for (const zone of ['UTC', 'Africa/Abidjan', '+00:00']) {
      expect(windowAt(period, zone, moment)).toBe(`${start}T00:00 ${end}T00:00`);
    }
  });

  it.each<[name: string, zone: string, period: Period, moment: string, window: string]>([
    ['spring forward', 'Europe/Berlin', 'day', '2026-03-29T10:00', '2026-03-28T23:00 2026-03-29T22:00'],
    ['fall back', 'Europe/Berlin', 'day', '2026-10-25T10:00', '2026-10-24T22:00 2026-10-25T23:00'],
    ['167 hours', 'Europe/Berlin', 'week', '2026-03-29T10:00', '2026-03-22T23:00 2026-03-29T22:00'],
    ['a change inside', 'America/New_York', 'month', '2026-11-20T10:00', '2026-11-01T04:00 2026-12-01T05:00'],
    ['no midnight', 'Africa/Cairo', 'day', '2024-04-26T10:00', '2024-04-25T22:00 2024-04-26T21:00'],
    ['a second 23:00', 'Africa/Cairo', 'day', '2024-10-31T21:30', '2024-10-30T21:00 2024-10-31T22:00'],
    ['no midnight', 'Asia/Beirut', 'day', '2022-03-27T10:00', '2022-03-26T22:00 2022-03-27T21:00'],
    ['a second 23:00', 'Asia/Beirut', 'day', '2022-10-29T21:30', '2022-10-28T21:00 2022-10-29T22:00'],
    ['no midnight', 'America/Havana', 'day', '2024-03-10T12:00', '2024-03-10T05:00 2024-03-11T04:00'],
    ['a second midnight', 'America/Havana', 'day', '2024-11-03T05:30', '2024-11-03T04:00 2024-11-04T05:00'],
    ['no midnight', 'America/Santiago', 'day', '2023-09-03T12:00', '2023-09-03T04:00 2023-09-04T03:00'],
    ['a second 23:00', 'America/Santiago', 'day', '2024-04-07T03:30', '2024-04-06T03:00 2024-04-07T04:00'],
    ['no midnight', 'America/Asuncion', 'day', '2023-10-01T12:00', '2023-10-01T04:00 2023-10-02T03:00'],
    ['no midnight', 'America/Asuncion', 'month', '2023-10-01T12:00', '2023-10-01T04:00 2023-11-01T03:00'],
    ['half an hour forward', 'Australia/Lord_Howe', 'day', '2026-10-04T00:00', '2026-10-03T13:30 2026-10-04T13:00'],
    ['half an hour back', 'Australia/Lord_Howe', 'day', '2026-04-05T00:00', '2026-04-04T13:00 2026-04-05T13:30'],
    ['45 minutes', 'Asia/Kathmandu', 'day', '2026-11-20T10:00', '2026-11-19T18:15 2026-11-20T18:15'],
    ['seconds', 'Africa/Monrovia', 'day', '1971-06-01T12:00', '1971-06-01T00:44:30 1971-06-02T00:44:30'],
    ['a new offset', 'Africa/Monrovia', 'day', '1972-01-07T12:00', '1972-01-07T00:44:30 1972-01-08T00:00'],
    ['25 hours', 'Pacific/Auckland', 'day', '2026-04-04T12:00', '2026-04-04T11:00 2026-04-05T12:00'],
    ['a fixed offset', '+05:30', 'day', '2026-11-20T20:00', '2026-11-20T18:30 2026-11-21T18:30'],
    ['the day before a skipped one', 'Pacific/Apia', 'day', '2011-12-30T09:59', '2011-12-29T10:00 2011-12-30T10:00'],
    ['the day after a skipped one', 'Pacific/Apia', 'day', '2011-12-30T10:00', '2011-12-30T10:00 2011-12-31T10:00'],
    ['a skipped day', 'Pacific/Apia', 'week', '2011-12-30T10:00', '2011-12-26T10:00 2012-01-01T10:00'],
    ['a skipped last day', 'Pacific/Kiritimati', 'day', '1994-12-31T09:00', '1994-12-30T10:00 1994-12-31T10:00'],
    ['a skipped last day', 'Pacific/Kiritimati', 'month', '1994-12-31T09:00', '1994-12-01T10:00 1994-12-31T10:00'],
    ['the day before a double', 'America/St_Johns', 'day', '2010-11-07T02:29', '2010-11-06T02:30 2010-11-07T02:30'],
    ['a double date, at first', 'America/St_Johns', 'day', '2010-11-07T02:30:59', '2010-11-07T02:30 2010-11-08T03:30'],
    ['the date before it again', 'America/St_Johns', 'day', '2010-11-07T02:31', '2010-11-07T02:30 2010-11-08T03:30'],
    ['a double date, again', 'America/St_Johns', 'day', '2010-11-07T03:30', '2010-11-07T02:30 2010-11-08T03:30'],
    ['a double date', 'America/Goose_Bay', 'day', '2009-11-01T03:30', '2009-11-01T03:00 2009-11-02T04:00'],
    ['a double first day', 'America/Goose_Bay', 'month', '2009-11-01T03:30', '2009-11-01T03:00 2009-12-01T04:00'],
    ['three hours back', 'Antarctica/Casey', 'day', '2010-03-04T15:30', '2010-03-04T13:00 2010-03-05T16:00'],
  ])('bounds a window with %s in %s (%s)', (_, zone, period, moment, window) => {
    expect(windowAt(period, zone, moment)).toBe(window);
  });

  it.each(['UTC', 'Africa/Abidjan', 'Europe/Berlin', 'Pacific/Kiritimati', 'Pacific/Pago_Pago', '-23:59', '+23:59'])(
    'works from 1970 to 9999 in %s',
    (zone) => {
      for (const period of PERIODS) {
        for (const ms of [0, 1, LAST_MS - 1, LAST_MS]) {
          const { startMs, endMs } = calendarBounds(period, zone, ms);
          expect(startMs <= ms && ms < endMs).toBe(true);
          expect(localDay(zone, startMs)).toBe(firstDay(period, localDay(zone, ms)));
        }
      }
    },
  );

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1, -5e-324, LAST_MS + 1, 8.64e15, 1e300])(
    'refuses %s as a time, whatever window came before',
    (ms) => {
      for (const zone of ['UTC', 'Pacific/Apia']) {
        for (const known of [0, LAST_MS]) {
          calendarBounds('week', zone, known);
          expect(() => calendarBounds('week', zone, ms)).toThrow(
            new RangeError(`the clock must tell a time from 1970 to 9999 in epoch ms, got ${ms}`),
          );
        }
      }
    },
  );

  it('refuses the text of a time', () => {
    expect(() => calendarBounds('day', 'UTC', '1795132800000' as never)).toThrow(RangeError);
  });

  it('takes a time between two milliseconds', () => {
    const midnight = utc('2026-11-19T23:00');
    expect(calendarBounds('day', 'Europe/Berlin', midnight - 0.25).endMs).toBe(midnight);
    expect(calendarBounds('day', 'Europe/Berlin', midnight + 0.25).startMs).toBe(midnight);
  });

  it('gives the same frozen window again without asking Intl', () => {
    const first = calendarBounds('day', 'Asia/Tokyo', utc('2026-11-20T10:00'));
    const asked = vi.spyOn(Intl.DateTimeFormat.prototype, 'formatToParts');
    expect(calendarBounds('day', 'Asia/Tokyo', first.startMs)).toBe(first);
    expect(calendarBounds('day', 'Asia/Tokyo', first.endMs - 1)).toBe(first);
    expect(asked).not.toHaveBeenCalled();
    expect(calendarBounds('day', 'Asia/Tokyo', first.endMs)).not.toBe(first);
    expect(asked).toHaveBeenCalled();
    asked.mockRestore();
    expect(Object.isFrozen(first)).toBe(true);
  });

  it('never asks Intl about UTC', () => {
    const asked = vi.spyOn(Intl.DateTimeFormat.prototype, 'formatToParts');
    for (const period of PERIODS) calendarBounds(period, 'UTC', utc('2033-03-03T00:00'));
    expect(asked).not.toHaveBeenCalled();
    asked.mockRestore();
  });

  it('keeps a bounded number of zones, and stays right about those that it forgot', () => {
    const zones = Intl.supportedValuesOf('timeZone').slice(0, 100);
    const bounds = () => zones.map((zone) => calendarBounds('day', zone, utc('2026-11-20T10:00')));
    const before = bounds();
    const made = vi.spyOn(Intl, 'DateTimeFormat');
    expect(bounds()).toEqual(before);
    expect(made.mock.calls.length).toBeGreaterThan(0);
    made.mockRestore();
  });

  const zones = fc.constantFrom('UTC', '+05:30', '-11:45', ...Intl.supportedValuesOf('timeZone'));
  const periods = fc.constantFrom(...PERIODS);
  const moments = fc.integer({ min: 40 * DAY_MS, max: Date.parse('2100-12-31T23:59:59.999Z') });

  it('holds every moment in one window, next to its neighbours', () => {
    fc.assert(
      fc.property(zones, periods, moments, (zone, period, ms) => {
        const window = calendarBounds(period, zone, ms);
        expect(window.startMs <= ms && ms < window.endMs).toBe(true);
        expect(calendarBounds(period, zone, window.endMs).startMs).toBe(window.endMs);
        expect(calendarBounds(period, zone, window.endMs - 1)).toEqual(window);
        expect(calendarBounds(period, zone, window.startMs - 1).endMs).toBe(window.startMs);
        expect(calendarBounds(period, zone, window.startMs)).toEqual(window);
      }),
      { numRuns: 300 },
    );
  });

  it('starts each window with its first date, unless the clock skips that', () => {
    fc.assert(
      fc.property(zones, periods, moments, (zone, period, ms) => {
        const { startMs } = calendarBounds(period, zone, ms);
        const shows = localDay(zone, startMs);
        const first = firstDay(period, shows);
        expect(localDay(zone, startMs - 1)).toBeLessThan(first);
        if (shows === first) return;
        const around = Array.from({ length: 32 }, (_, hour) => localDay(zone, first * DAY_MS + (hour - 16) * HOUR_MS));
        expect(around).not.toContain(first);
      }),
      { numRuns: 300 },
    );
  });

  it('agrees between arithmetic and Intl where the offset is zero', () => {
    fc.assert(
      fc.property(periods, fc.integer({ min: 0, max: LAST_MS }), (period, ms) => {
        const window = calendarBounds(period, 'UTC', ms);
        expect(calendarBounds(period, 'Africa/Abidjan', ms)).toEqual(window);
        expect(calendarBounds(period, 'Etc/UTC', ms)).toEqual(window);
      }),
      { numRuns: 300 },
    );
  });
});

describe('checkTimeZone', () => {
  it.each([
    { given: 'UTC', zone: 'UTC' },
    { given: 'utc', zone: 'UTC' },
    { given: 'Etc/UTC', zone: 'UTC' },
    { given: 'GMT', zone: 'UTC' },
    { given: 'europe/berlin', zone: 'Europe/Berlin' },
    { given: 'US/Pacific', zone: 'America/Los_Angeles' },
    { given: 'Etc/GMT+5', zone: 'Etc/GMT+5' },
    { given: '+05:30', zone: '+05:30' },
    { given: '+0530', zone: '+05:30' },
    { given: '-08', zone: '-08:00' },
    { given: '-00:00', zone: '+00:00' },
  ])('takes $given as $zone', ({ given, zone }) => {
    expect(checkTimeZone('budget.timeZone', given)).toBe(zone);
  });

  it('takes every zone that this Node knows, and gives the same name for its own name', () => {
    for (const given of Intl.supportedValuesOf('timeZone')) {
      const zone = checkTimeZone('timeZone', given);
      expect(checkTimeZone('timeZone', zone)).toBe(zone);
    }
  });

  it.each([
    ...[
      '',
      ' ',
      'UTC ',
      'Mars/Olympus',
      'Europe',
      'Europe/',
      '../UTC',
      'local',
      'Z',
      'GMT+5',
      'UTC+05:30',
      'Etc/Unknown',
    ],
    ...['5', '+5', '+24:00', '+05:60', '+05:30:00', '05:30', 'Europe/Berlin\u0000', 'Europe/\u0412erlin'],
    ...[undefined, null, 0, 330, true, {}, [], ['UTC'], Object('UTC'), Symbol('UTC'), () => 'UTC'],
  ])('refuses %s and names the option', (given) => {
    expect(() => checkTimeZone('budget.timeZone', given)).toThrow(TypeError);
    expect(() => checkTimeZone('budget.timeZone', given)).toThrow(/^`budget\.timeZone` must be an IANA time zone/);
  });
});
