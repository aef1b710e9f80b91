/** A signal that aborts with the first of the two. `given` is a framework's: there may be none, or one of its own kind. */
export function eitherSignal(given: unknown, signal: AbortSignal): unknown {
  if (given === undefined || given === null) return signal;
  return given instanceof AbortSignal ? AbortSignal.any([given, signal]) : given;
}
