/** Time as the leash sees it. Inject one to test windows without waiting. */
export interface Clock {
  /** Monotonic milliseconds from any origin; rolling windows, leases and durations use it. */
  now(): number;
  /** Milliseconds since the Unix epoch; calendar windows and log timestamps use it. */
  wall(): number;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
};
