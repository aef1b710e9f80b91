import { type EgressAddressOptions, formatAddressRules, parseAddressRules } from '../egress/policy/address-rules.ts';
import { denialOf } from '../egress/policy/denial.ts';
import { createPolicy } from '../egress/policy/policy.ts';
import { parseProxy } from '../egress/policy/proxy.ts';
import { type EgressRule, formatRules, parseRules, type Rule } from '../egress/policy/rule.ts';
import { isShared } from '../egress/policy/shared-hosts.ts';
import { ALLOW, type Egress, type Enforce, type Guard, type Resolver, type Verdict } from '../guard.ts';
import { after } from '../internal/maybe-promise.ts';
import { checkOneOf, checkOptions, shown } from '../internal/options.ts';

export type { EgressAddressOptions } from '../egress/policy/address-rules.ts';
export type { EgressRule, EgressRuleOptions } from '../egress/policy/rule.ts';

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
   * What is held. `'scope'`: all code that runs inside a call, whatever client it uses; code outside of calls is left
   * alone. `'process'`: all code of the process, while the leash is open. `'declared'`: URLs that tools declare with `url`,
   * and the leash's own clients; a tool that connects in another way is not seen. Default: `'scope'`.
   *
   * A leash with `'scope'` or `'process'` proves that it holds when it is created, and throws where it does not.
   */
  readonly enforce?: Enforce;
  /**
   * Gives the addresses of a name as text, in place of the system's resolver; nothing else is asked inside the leash. Only
   * names that may be reached are asked for, and every answer is judged. Default: `dns.lookup` with all answers.
   */
  readonly resolver?: Resolver;
  /**
   * An HTTP proxy that the leash's own clients go through (`leash.fetch`, those of `leashkit/undici`), by a tunnel for each
   * target: `'http://proxy.internal:3128'`, with credentials if it wants some. Targets are judged by name, which the proxy
   * resolves; what addresses it dials is the proxy's to judge. Other clients of code that is held connect to nothing then.
   * A child goes through the proxy of its parent. Proxies of the environment are never used. Default: none.
   */
  readonly proxy?: string;
  /**
   * TCP and TLS connections that no HTTP client makes for a request, which HTTP/2 by `node:http2` is too. `'allow'` holds
   * them to host, port and address alone, and to rules without methods and path. Default: `'deny'`.
   */
  readonly rawSockets?: 'deny' | 'allow';
  /** Datagrams; `'allow'` lets them go anywhere. Default: `'deny'`. */
  readonly udp?: 'deny' | 'allow';
  /** Other processes; `'allow'` lets them do anything. Default: `'deny'`. */
  readonly childProcess?: 'deny' | 'allow';
  /** Worker threads; `'allow'` lets them do anything. Default: `'deny'`. */
  readonly workers?: 'deny' | 'allow';
  /** Paths of unix sockets (on Windows: pipes) that may be connected to, compared as they are. Default: none. */
  readonly unix?: readonly string[];
}

const OPTIONS = [
  'allow',
  'deny',
  'addresses',
  'enforce',
  'resolver',
  'proxy',
  'rawSockets',
  'udp',
  'childProcess',
  'workers',
  'unix',
];
const CHOICES = ['deny', 'allow'] as const;

const HELD = Object.freeze({ urls: 'held' });

/**
 * Refuses what no rule allows. `deny` wins over `allow`. Refusals are `EGRESS_DENIED` with one of the reasons
 * `host-not-allowed`, `bad-host`, `scheme`, `port`, `method`, `path`, `address:<class>`, `host-header-mismatch`,
 * `servername-mismatch`, `request-target`, `connect-method`, `unix-socket`, `dns-query`, `udp`, `child-process`, `worker`,
 * `process-binding`, `revoked`.
 *
 * Hosts are compared after WHATWG URL parsing with one trailing dot dropped; IPv4-mapped IPv6 addresses are judged as the
 * IPv4 address that they carry. A name is judged before it is resolved, and every address that it resolves to when a
 * connection is made. An address in a URL needs an address rule, and one that is not public a rule that speaks of its kind
 * alone (`'10.1.2.0/24'`, not `'0.0.0.0/0'`) or `addresses.allow`.
 *
 * Emits the process warning `LEASHKIT_SHARED_HOST` for a wildcard of a hosting service (`*.vercel.app`).
 *
 * @throws {TypeError} a rule that is none or not in its canonical form (the message prints it), or an unknown option;
 * @throws {RangeError} a port, a prefix length or a list of methods out of range.
 */
export function egress(options: EgressOptions): Guard {
  checkOptions('egress', options, OPTIONS);
  const { allow, deny = [], addresses, enforce = 'scope', resolver, proxy, unix = [] } = options;
  checkOneOf('egress.enforce', enforce, ['declared', 'scope', 'process']);
  if (resolver !== undefined && typeof resolver !== 'function') {
    throw new TypeError(`\`egress.resolver\` must be a function that gives addresses, got ${shown(resolver)}`);
  }
  const allowed = parseRules('egress.allow', allow, 'secure');
  const denied = parseRules('egress.deny', deny, 'every');
  warnOfShared(allowed);
  const opened = parseAddressRules('egress.addresses', addresses);
  const through = proxy === undefined ? undefined : parseProxy('egress.proxy', proxy);
  const paths = parsePaths(unix);
  const ways = {
    rawSockets: isAllowed('rawSockets', options.rawSockets),
    udp: isAllowed('udp', options.udp),
    childProcess: isAllowed('childProcess', options.childProcess),
    workers: isAllowed('workers', options.workers),
  };
  const policy = createPolicy({ allow: allowed, deny: denied, addresses: opened });
  const held: Egress = Object.freeze({
    ...ways,
    enforce,
    resolver: resolver === undefined ? undefined : checkedResolver(resolver),
    proxy: through,
    unix: paths,
    request: policy.judgeRequest,
    connection({ host, port, tls, requested }) {
      const verdict = policy.judgeSocket({ host, port, tls, judged: requested });
      if (!verdict.allow || requested || ways.rawSockets) return verdict;
      return denialOf('scheme', { scheme: tls ? 'tls' : 'tcp', host, port });
    },
    name: (host) => (policy.mayResolve(host) ? ALLOW : denialOf('host-not-allowed', { scheme: 'dns', host, port: 0 })),
    addresses(target, answers) {
      const verdict = policy.addresses.judgeAll(answers, target.port);
      if (verdict.allow) return { allow: true, addresses: verdict.addresses.map(({ address }) => address) };
      const addr = answers.find((answer) => !policy.addresses.judge(answer, target.port).allow);
      return denialOf(verdict.reason, { ...target, addr });
    },
  } satisfies Egress);
  return Object.freeze({
    name: 'egress',
    settings: Object.freeze({
      allow: formatRules(allowed),
      deny: formatRules(denied),
      addresses: formatAddressRules(opened),
      enforce,
      resolver: resolver === undefined ? 'system' : 'own',
      proxy: through?.origin ?? null,
      ...ways,
      unix: [...paths].sort(),
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
    egress: held,
  } satisfies Guard);
}

function warnOfShared(allow: readonly Rule[]): void {
  const shared = allow.flatMap(({ host: { pattern } }) =>
    pattern.kind === 'subdomains' && isShared(pattern.base) ? [`'*.${pattern.base}'`] : [],
  );
  if (shared.length === 0) return;
  process.emitWarning(
    `\`egress.allow\` holds ${[...new Set(shared)].join(', ')}, below which anybody can have a host: name the hosts that you mean`,
    { code: 'LEASHKIT_SHARED_HOST' },
  );
}

function checkedResolver(resolver: Resolver): Resolver {
  return (host) =>
    after(resolver(host), (answers) => {
      if (Array.isArray(answers) && answers.every((answer) => typeof answer === 'string')) return answers;
      throw new TypeError(`\`egress.resolver\` must give an array of addresses as text, got ${shown(answers)}`);
    });
}

function isAllowed(option: string, choice: 'deny' | 'allow' = 'deny'): boolean {
  return checkOneOf(`egress.${option}`, choice, CHOICES) === 'allow';
}

function parsePaths(paths: readonly string[]): ReadonlySet<string> {
  if (!Array.isArray(paths)) throw new TypeError(`\`egress.unix\` must be an array of paths, got ${shown(paths)}`);
  for (const [i, path] of paths.entries()) {
    if (typeof path !== 'string' || path === '') {
      throw new TypeError(`\`egress.unix[${i}]\` must be the path of a socket, got ${shown(path)}`);
    }
  }
  return new Set(paths);
}
