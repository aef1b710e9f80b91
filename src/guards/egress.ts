import { createPolicy } from '../egress/policy.ts';
import { type EgressRule, formatRules, parseRules } from '../egress/rule.ts';
import { ALLOW, type Guard, type Verdict } from '../guard.ts';
import { checkOptions, shown } from '../internal/options.ts';

export type { EgressRule, EgressRuleOptions } from '../egress/rule.ts';

export interface EgressOptions {
  /** What may be reached. Empty: nothing. */
  readonly allow: readonly EgressRule[];
  /**
   * What may not be reached although `allow` names it. A deny rule covers what it leaves out: without a scheme every
   * scheme, without a port every port, so that a carve-out leaks through neither. Default: none.
   */
  readonly deny?: readonly EgressRule[];
  /**
   * What is held. `'declared'`: URLs that tools declare with `url`, and every hop of `leash.fetch`; a tool that connects
   * in another way is not seen. Default: `'declared'`.
   */
  readonly enforce?: 'declared';
}

const OPTIONS = ['allow', 'deny', 'enforce'];
/** Options of the same guard that hold clients which were not told; accepting them unheld would be a lie. */
const NOT_YET = ['addresses', 'resolver', 'proxy', 'rawSockets', 'udp', 'childProcess', 'workers', 'unix'];

const HELD = Object.freeze({ urls: 'held' });

/**
 * Refuses URLs that no rule allows. `deny` wins over `allow`. Refusals are `EGRESS_DENIED` with one of the reasons
 * `host-not-allowed`, `bad-host`, `scheme`, `port`, `method`, `path`.
 *
 * Hosts are compared after WHATWG URL parsing with one trailing dot dropped; IPv4-mapped IPv6 addresses are judged as the
 * IPv4 address that they carry. No name is resolved: a name that is allowed is allowed wherever it points.
 *
 * @throws {TypeError} a rule that is none or not in its canonical form (the message prints it), an unknown option, or one
 * that this version does not have; @throws {RangeError} a port, a prefix length or a list of methods out of range.
 */
export function egress(options: EgressOptions): Guard {
  if (typeof options === 'object' && options !== null) {
    for (const option of NOT_YET) {
      if (option in options) throw new TypeError(`\`egress.${option}\` is not available in this version`);
    }
  }
  checkOptions('egress', options, OPTIONS);
  const { allow, deny = [], enforce = 'declared' } = options;
  if (enforce !== 'declared') {
    throw new TypeError(`\`egress.enforce\` ${shown(enforce)} is not available in this version; only 'declared' is`);
  }
  const allowed = parseRules('egress.allow', allow, 'secure');
  const denied = parseRules('egress.deny', deny, 'every');
  const reach = createPolicy(allowed, denied);
  return Object.freeze({
    name: 'egress',
    settings: Object.freeze({ allow: formatRules(allowed), deny: formatRules(denied), enforce }),
    prepare: () => HELD,
    check({ urls }): Verdict {
      for (const url of urls) {
        const verdict = reach(url, undefined);
        if (!verdict.allow) return verdict;
      }
      return ALLOW;
    },
    reach,
  } satisfies Guard);
}
