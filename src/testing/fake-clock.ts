import type { Clock } from '../internal/clock.ts';
import { type Duration, parseDuration } from '../internal/duration.ts';
import { checkOptions, shown } from '../internal/options.ts';

export interface FakeClockOptions {
  /** Monotonic milliseconds. Default: 0. */
  readonly now?: number;
  /** Milliseconds since the Unix epoch. Default: 2026-01-01T12:00:00Z, a Thursday. */
  readonly wall?: number;
}

/** A clock that moves when it is told to, and never else. */
export interface FakeClock extends Clock {
  /** Time passes on both clocks: milliseconds, or a duration such as `'24h'`. @throws {TypeError | RangeError} not a time >= 1 ms. */
  advance(time: Duration): void;
  /** Sets either clock, forwards or backwards, as a correction of the machine's time does. @throws as `fakeClock`. */
  set(to: FakeClockOptions): void;
}

/**
 * For `createLeash({ clock })`: windows, leases and timestamps follow it.
 *
 * @throws {TypeError} an unknown option, or not a number; @throws {RangeError} not a finite number.
 */
export function fakeClock(options: FakeClockOptions = {}): FakeClock {
  let now = 0;
  let wall = Date.UTC(2026, 0, 1, 12);
  const clock: FakeClock = {
    now: () => now,
    wall: () => wall,
    advance(time) {
      const ms = parseDuration('time', time);
      now += ms;
      wall += ms;
    },
    set(to) {
      checkOptions('fakeClock', to, ['now', 'wall']);
      const next = { now: checkTime('now', to.now ?? now), wall: checkTime('wall', to.wall ?? wall) };
      ({ now, wall } = next);
    },
  };
  clock.set(options);
  return clock;
}

function checkTime(option: string, value: unknown): number {
  const message = `\`fakeClock.${option}\` must be a finite number of milliseconds, got ${shown(value)}`;
  if (typeof value !== 'number') throw new TypeError(message);
  if (!Number.isFinite(value)) throw new RangeError(message);
  return value;
}
