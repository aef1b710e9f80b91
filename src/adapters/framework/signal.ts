import { withMembers } from './members.ts';

/** A signal that aborts with the first of the two. `given` is a framework's: there may be none. */
export function eitherSignal(given: unknown, signal: AbortSignal): AbortSignal {
  if (given === undefined || given === null) return signal;
  return given instanceof AbortSignal ? AbortSignal.any([given, signal]) : (given as AbortSignal);
}

/** What a framework hands on beside an input, with a signal in it that aborts with the first of the two. */
export function withSignal(context: unknown, name: 'signal' | 'abortSignal', signal: AbortSignal): unknown {
  if (typeof context !== 'object' || context === null) return context;
  return withMembers(context, { [name]: eitherSignal((context as Record<string, unknown>)[name], signal) });
}
