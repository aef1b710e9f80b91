import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { type Per, parseWindow, spanOf, type Window, windowName } from '../../src/internal/window.ts';

const calendar = (period: 'day' | 'week' | 'month', timeZone: string): Window => ({
  kind: 'calendar',
  period,
  timeZone,
});

describe('parseWindow', () => {
  it.each<{ per: unknown; timeZone?: string; window: Window; name: string }>([
    { per: 'session', window: { kind: 'total' }, name: 'session' },
    { per: 'call', window: { kind: 'call' }, name: 'call' },
    { per: '24h', window: { kind: 'rolling', ms: 86_400_000 }, name: '86400000ms' },
    { per: '1d', window: { kind: 'rolling', ms: 86_400_000 }, name: '86400000ms' },
    { per: 500, window: { kind: 'rolling', ms: 500 }, name: '500ms' },
    { per: 'day', window: calendar('day', 'UTC'), name: 'day' },
    { per: 'week', window: calendar('week', 'UTC'), name: 'week' },
    { per: 'month', window: calendar('month', 'UTC'), name: 'month' },
    { per: 'day', timeZone: 'UTC', window: calendar('day', 'UTC'), name: 'day' },
    { per: 'day', timeZone: 'Etc/GMT', window: calendar('day', 'UTC'), name: 'day' },
    { per: 'week', timeZone: 'europe/berlin', window: calendar('week', 'Europe/Berlin'), name: 'week@Europe/Berlin' },
    { per: 'month', timeZone: '+0530', window: calendar('month', '+05:30'), name: 'month@+05:30' },
  ])('reads $per as $name', ({ per, timeZone, window, name }) => {
    expect(parseWindow('budget', per, timeZone)).toEqual(window);
    expect(windowName(window)).toBe(name);
  });

  it.each([
    { name: 'undefined', per: undefined, error: TypeError },
    { name: 'null', per: null, error: TypeError },
    { name: 'another word', per: 'year', error: TypeError },
    { name: 'another case', per: 'Day', error: TypeError },
    { name: 'a month by number', per: '1mo', error: TypeError },
    { name: 'an empty word', per: '', error: TypeError },
    { name: 'a fraction', per: '1.5h', error: TypeError },
    { name: 'an object', per: { kind: 'total' }, error: TypeError },
    { name: 'an array', per: ['day'], error: TypeError },
    { name: 'no time at all', per: 0, error: RangeError },
    { name: 'no time at all in words', per: '0s', error: RangeError },
    { name: 'a negative time', per: -1, error: RangeError },
    { name: 'NaN', per: Number.NaN, error: RangeError },
    { name: 'an infinite time', per: Number.POSITIVE_INFINITY, error: RangeError },
    { name: 'too long a time', per: '9007199254740991d', error: RangeError },
  ])('refuses $name', ({ per, error }) => {
    expect(() => parseWindow('budget', per)).toThrow(error);
    expect(() => parseWindow('budget', per)).toThrow(/^`budget\.per` must be /);
  });

  it.each(['session', 'call', '24h', 500, undefined, 'year'])('refuses a time zone for per: %s', (per) => {
    expect(() => parseWindow('budget', per, 'UTC')).toThrow(TypeError);
    expect(() => parseWindow('budget', per, 'UTC')).toThrow(
      /^budget: `timeZone` goes with per: 'day', 'week' or 'month'/,
    );
  });

  it.each([{ timeZone: null }, { timeZone: '' }, { timeZone: 'Mars/Olympus' }, { timeZone: 1 }, { timeZone: ['UTC'] }])(
    'refuses $timeZone as a time zone',
    ({ timeZone }) => {
      expect(() => parseWindow('budget', 'day', timeZone)).toThrow(TypeError);
      expect(() => parseWindow('budget', 'day', timeZone)).toThrow(/^`budget\.timeZone` must be an IANA time zone/);
    },
  );

  it('types the words of per', () => {
    expectTypeOf<'session' | 'call' | 'day' | 'week' | 'month' | '24h' | 500>().toExtend<Per>();
    expectTypeOf<'year'>().not.toExtend<Per>();
  });
});

describe('windowName', () => {
  it('is another name for every other window', () => {
    const windows: readonly Window[] = [
      ...[1, 60_000, 86_400_000].map((ms) => ({ kind: 'rolling', ms }) as const),
      ...(['day', 'week', 'month'] as const).flatMap((period) =>
        ['UTC', 'Europe/Berlin', '+05:30'].map((zone) => calendar(period, zone)),
      ),
      { kind: 'total' },
      { kind: 'call' },
    ];
    expect(new Set(windows.map(windowName)).size).toBe(windows.length);
  });
});

describe('spanOf', () => {
  const noon = Date.parse('2026-11-20T12:00:00Z');

  it('has one span for a session, at any time', () => {
    expect(spanOf({ kind: 'total' }, noon)).toEqual({ kind: 'total' });
    expect(spanOf({ kind: 'total' }, Number.NaN)).toEqual({ kind: 'total' });
  });

  it.each([
    { ms: 1, stepMs: 1 },
    { ms: 360, stepMs: 1 },
    { ms: 361, stepMs: 2 },
    { ms: 60_000, stepMs: 167 },
    { ms: 86_400_000, stepMs: 240_000 },
  ])('counts a rolling window of $ms ms in steps of $stepMs ms', ({ ms, stepMs }) => {
    expect(spanOf({ kind: 'rolling', ms }, noon)).toEqual({ kind: 'rolling', ms, stepMs });
  });

  it('counts every rolling window in whole steps, never more than 360', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (ms) => {
        const span = spanOf({ kind: 'rolling', ms }, noon);
        if (span.kind !== 'rolling') throw new Error('another kind');
        expect(Number.isSafeInteger(span.stepMs) && span.stepMs >= 1 && span.stepMs <= ms).toBe(true);
        expect(Math.ceil(ms / span.stepMs)).toBeLessThanOrEqual(360);
      }),
    );
  });

  it.each([
    { name: 'day', window: calendar('day', 'UTC'), start: '2026-11-20T00:00Z', end: '2026-11-21T00:00Z' },
    { name: 'week', window: calendar('week', 'UTC'), start: '2026-11-16T00:00Z', end: '2026-11-23T00:00Z' },
    { name: 'month', window: calendar('month', 'UTC'), start: '2026-11-01T00:00Z', end: '2026-12-01T00:00Z' },
    { name: 'local day', window: calendar('day', '+14:00'), start: '2026-11-20T10:00Z', end: '2026-11-21T10:00Z' },
  ])('bounds the calendar $name', ({ window, start, end }) => {
    if (window.kind === 'call') throw new Error('counts nothing');
    expect(spanOf(window, noon)).toEqual({ kind: 'calendar', startMs: Date.parse(start), endMs: Date.parse(end) });
  });

  it('refuses a clock that tells no time', () => {
    expect(() => spanOf({ kind: 'calendar', period: 'day', timeZone: 'UTC' }, Number.NaN)).toThrow(RangeError);
  });
});
