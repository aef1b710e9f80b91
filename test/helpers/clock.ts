import { type Clock, systemClock } from '../../src/internal/clock.ts';

/** A clock that moves only when told to. */
export class FakeClock implements Clock {
  #now: number;
  #wall: number;

  /** @param now monotonic ms. @param wall epoch ms; default: noon of a Friday in UTC. */
  constructor(now = 12_345, wall: number = Date.UTC(2026, 10, 20, 12)) {
    this.#now = now;
    this.#wall = wall;
  }

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#wall;
  }

  /** Time passes: both clocks move on. */
  advance(ms: number): void {
    this.#now += ms;
    this.#wall += ms;
  }

  /** Sets either clock, forwards or backwards, as a correction of the machine's time does. */
  jump(now?: number, wall?: number): void {
    this.#now = now ?? this.#now;
    this.#wall = wall ?? this.#wall;
  }
}

/** Goes by another clock from some time on. */
export class SwitchedClock implements Clock {
  by: Clock = systemClock;

  now(): number {
    return this.by.now();
  }

  wall(): number {
    return this.by.wall();
  }
}
