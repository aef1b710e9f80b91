import { countedFor, type Guard, type Limit } from '../guard.ts';
import { checkInteger, checkName, checkOptions, checkTools } from '../internal/options.ts';
import { type Per, parseWindow, windowName } from '../internal/window.ts';

export interface CallCapOptions {
  /** Inclusive. Integer >= 0; 0 refuses every call. */
  readonly max: number;
  /** When counting starts anew, as for `budget`, in UTC. Default: `'session'`. */
  readonly per?: Exclude<Per, 'call'>;
  /** The tools that count. Default: all. */
  readonly tools?: readonly string[];
  /** A name under which several leashes share one counter in the store. Default: this session's own. */
  readonly scope?: string;
}

/**
 * Refuses calls above `max`. Attempts count when they are admitted, also those that fail; refused calls do not count.
 * Refusals are `CALL_CAP_REACHED`.
 *
 * @throws {TypeError} an unknown option or a wrong type; @throws {RangeError} `max` is no integer >= 0.
 */
export function callCap(max: number | CallCapOptions): Guard {
  const options = typeof max === 'object' && max !== null ? max : { max };
  checkOptions('callCap', options, ['max', 'per', 'tools', 'scope']);
  const { per = 'session', tools, scope }: CallCapOptions = options;
  if ((per as Per) === 'call') {
    throw new TypeError("`callCap.per` must be 'session', 'day', 'week', 'month' or a duration, got 'call'");
  }
  const limit: Limit = Object.freeze({
    unit: 'call',
    cap: checkInteger('callCap.max', options.max, 0),
    window: parseWindow('callCap', per),
    scope: scope === undefined ? undefined : checkName('callCap.scope', scope),
    tools: checkTools('callCap.tools', tools),
    code: 'CALL_CAP_REACHED',
  });
  return {
    name: 'call-cap',
    settings: { max: limit.cap, per: windowName(limit.window), scope: limit.scope, tools: limit.tools },
    limits: countedFor(limit),
  };
}
