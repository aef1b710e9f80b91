import { calendarBounds, checkTimeZone, type Period } from './calendar.ts';
import { type Duration, parseDuration } from './duration.ts';
import { shown } from './options.ts';

/** A stretch of time over which calls are counted. */
export type CountedWindow =
  /** Everything since the scope was opened. */
  | { readonly kind: 'total' }
  /** Any stretch of this length, wherever it starts. */
  | { readonly kind: 'rolling'; readonly ms: number }
  /** A calendar day, week (from Monday) or month in a time zone. */
  | { readonly kind: 'calendar'; readonly period: Period; readonly timeZone: string };

/** What a limit looks at: each call by itself, where nothing is counted, or a stretch of time. */
export type Window = { readonly kind: 'call' } | CountedWindow;

/**
 * How often a limit starts anew: `'session'` never, `'call'` at each call, `'24h'` or `'30d'` as a rolling window,
 * `'day'`, `'week'` or `'month'` with the calendar.
 */
export type Per = 'session' | 'call' | Period | Duration;

/** @throws {TypeError} not one of the words of `Per`, or a time zone without a calendar window. */
export function parseWindow(where: string, per: unknown, timeZone?: unknown): Window {
  const calendar = per === 'day' || per === 'week' || per === 'month';
  if (timeZone !== undefined && !calendar) {
    throw new TypeError(`${where}: \`timeZone\` goes with per: 'day', 'week' or 'month', got per: ${shown(per)}`);
  }
  if (per === 'session') return { kind: 'total' };
  if (per === 'call') return { kind: 'call' };
  if (calendar) {
    const zone = timeZone === undefined ? 'UTC' : checkTimeZone(`${where}.timeZone`, timeZone);
    return { kind: 'calendar', period: per, timeZone: zone };
  }
  try {
    return { kind: 'rolling', ms: parseDuration(`${where}.per`, per) };
  } catch (error) {
    if (error instanceof RangeError) throw error;
    throw new TypeError(
      `\`${where}.per\` must be 'session', 'call', 'day', 'week', 'month' or a duration such as '24h', got ${shown(per)}`,
    );
  }
}

/** The window in a few characters: part of the name of its counter, and what people read in `usage()`. */
export function windowName(window: Window): string {
  switch (window.kind) {
    case 'call':
      return 'call';
    case 'total':
      return 'session';
    case 'rolling':
      return `${window.ms}ms`;
    case 'calendar':
      return window.timeZone === 'UTC' ? window.period : `${window.period}@${window.timeZone}`;
  }
}

/** A rolling window is counted in this many steps: a slot comes free at most one step late, never early. */
const ROLLING_STEPS = 360;

/** The window as a store counts it, at one moment. */
export type Span =
  | { readonly kind: 'total' }
  | { readonly kind: 'rolling'; readonly ms: number; readonly stepMs: number }
  | { readonly kind: 'calendar'; readonly startMs: number; readonly endMs: number };

const TOTAL: Span = { kind: 'total' };

/** What the window is at `wallMs`. `'call'` windows count nothing and have no span. */
export function spanOf(window: CountedWindow, wallMs: number): Span {
  switch (window.kind) {
    case 'total':
      return TOTAL;
    case 'rolling':
      return { kind: 'rolling', ms: window.ms, stepMs: Math.ceil(window.ms / ROLLING_STEPS) };
    case 'calendar': {
      const { startMs, endMs } = calendarBounds(window.period, window.timeZone, wallMs);
      return { kind: 'calendar', startMs, endMs };
    }
  }
}
