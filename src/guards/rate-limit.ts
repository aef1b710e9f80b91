import { countedFor, type Guard, type Limit } from '../guard.ts';
import { type Duration, parseDuration } from '../internal/duration.ts';
import { checkInteger, checkName, checkOptions, checkTools } from '../internal/options.ts';
import { windowName } from '../internal/window.ts';

export interface RateLimitOptions {
  /** Calls in any window. Integer >= 0; 0 refuses every call. */
  readonly max: number;
  /** Length of the window: milliseconds, or `'500ms' '30s' '1m' '24h' '30d'`. */
  readonly per: Duration;
  /** The tools that count. Default: all. */
  readonly tools?: readonly string[];
  /** A name under which several leashes share one counter in the store. Default: this session's own. */
  readonly scope?: string;
}

/**
 * Refuses a call while the last `per` already holds `max` admitted ones. No window of that length ever holds more,
 * wherever it starts; a slot comes free at most 1/360 of the window late, rounded up to whole milliseconds. Refusals are
 * `RATE_LIMITED` with `retryAfterMs`, and do not end the session unless `stopOn` says so.
 *
 * @throws {TypeError} an unknown option or a wrong type; @throws {RangeError} `max` or `per` out of range.
 */
export function rateLimit(options: RateLimitOptions): Guard {
  checkOptions('rateLimit', options, ['max', 'per', 'tools', 'scope']);
  const { max, per, tools, scope } = options;
  const limit: Limit = Object.freeze<Limit>({
    unit: 'call',
    cap: checkInteger('rateLimit.max', max, 0),
    window: { kind: 'rolling', ms: parseDuration('rateLimit.per', per) },
    scope: scope === undefined ? undefined : checkName('rateLimit.scope', scope),
    tools: checkTools('rateLimit.tools', tools),
    code: 'RATE_LIMITED',
  });
  return {
    name: 'rate-limit',
    settings: { max: limit.cap, per: windowName(limit.window), scope: limit.scope, tools: limit.tools },
    limits: countedFor(limit),
  };
}
