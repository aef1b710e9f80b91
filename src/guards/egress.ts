import { type EgressAddressOptions, formatAddressRules, parseAddressRules } from '../egress/address-rules.ts';
import { createPolicy } from '../egress/policy.ts';
import { type EgressRule, formatRules, parseRules, type Rule } from '../egress/rule.ts';
import { isShared } from '../egress/shared-hosts.ts';
import { ALLOW, type Guard, type Verdict } from '../guard.ts';
import { checkOptions, shown } from '../internal/options.ts';

export type { EgressAddressOptions } from '../egress/address-rules.ts';
export type { EgressRule, EgressRuleOptions } from '../egress/rule.ts';

export interface EgressOptions {
  /** What may be reached. Empty: nothing. */
  readonly allow: readonly EgressRule[];
  /**
   * What may not be reached although `allow` names it. A deny rule covers what it leaves out: without a scheme every
   * scheme, without a port every port, so that a carve-out leaks through neither. Default: none.
   */
  readonly deny?: readonly EgressRule[];
  /** Which addresses may be reached that are not public. Default: none. */
  readonly addresses?: EgressAddressOptions;
  /**
   * What is held. `'declared'`: URLs that tools declare with `url`, and every hop of `leash.fetch`; a tool that connects
   * in another way is not seen. Default: `'declared'`.
   */
  readonly enforce?: 'declared';
}

const OPTIONS = ['allow', 'deny', 'addresses', 'enforce'];
/** Options of the same guard that hold clients which were not told; accepting them unheld would be a lie. */
const NOT_YET = ['resolver', 'proxy', 'rawSockets', 'udp', 'childProcess', 'workers', 'unix'];

const HELD = Object.freeze({ urls: 'held' });

/**
 * Refuses URLs that no rule allows. `deny` wins over `allow`. Refusals are `EGRESS_DENIED` with one of the reasons
 * `host-not-allowed`, `bad-host`, `scheme`, `port`, `method`, `path`, and `address:` with the class of the address
 * (`address:private`, `address:cloud-metadata`).
 *
 * Hosts are compared after WHATWG URL parsing with one trailing dot dropped; IPv4-mapped IPv6 addresses are judged as the
 * IPv4 address that they carry. An address in a URL needs an address rule, and one that is not public a rule that speaks
 * of its kind alone (`'10.1.2.0/24'`, not `'0.0.0.0/0'`) or `addresses.allow`. No name is resolved: a name that is allowed
 * is allowed wherever it points.
 *
 * Emits the process warning `LEASHKIT_SHARED_HOST` for a wildcard of a hosting service (`*.vercel.app`).
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
  const { allow, deny = [], addresses, enforce = 'declared' } = options;
  if (enforce !== 'declared') {
    throw new TypeError(`\`egress.enforce\` ${shown(enforce)} is not available in this version; only 'declared' is`);
  }
  const rules = {
    allow: parseRules('egress.allow', allow, 'secure'),
    deny: parseRules('egress.deny', deny, 'every'),
    addresses: parseAddressRules('egress.addresses', addresses),
  };
  warnOfShared(rules.allow);
  const policy = createPolicy(rules);
  return Object.freeze({
    name: 'egress',
    settings: Object.freeze({
      allow: formatRules(rules.allow),
      deny: formatRules(rules.deny),
      addresses: formatAddressRules(rules.addresses),
      enforce,
    }),
    prepare: () => HELD,
    check({ urls }): Verdict {
      for (const url of urls) {
        const verdict = policy.judgeUrl(url, undefined);
        if (!verdict.allow) return verdict;
      }
      return ALLOW;
    },
    reach: policy.judgeUrl,
  } satisfies Guard);
}

function warnOfShared(allow: readonly Rule[]): void {
  const shared = allow.flatMap(({ place: { pattern } }) =>
    pattern.kind === 'subdomains' && isShared(pattern.base) ? [`'*.${pattern.base}'`] : [],
  );
  if (shared.length === 0) return;
  process.emitWarning(
    `\`egress.allow\` holds ${[...new Set(shared)].join(', ')}, below which anybody can have a host: name the hosts that you mean`,
    { code: 'LEASHKIT_SHARED_HOST' },
  );
}
