/** A signal that aborts with the first of the two. `given` is a framework's: there may be none. */
export function eitherSignal(given: unknown, signal: AbortSignal): AbortSignal {
  if (given === undefined || given === null) return signal;
  return given instanceof AbortSignal ? AbortSignal.any([given, signal]) : (given as AbortSignal);
}
