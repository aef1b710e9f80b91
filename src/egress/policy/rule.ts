import { checkOptions, shown } from '../../internal/options.ts';
import { formatHostRule, type HostRule, parseHostRule, type Unsaid } from './host-rule.ts';
import { isAmbiguous } from './url-path.ts';

/**
 * One place on the network: a host, and what of it.
 *
 * - `'api.stripe.com'`: this host over https on port 443, and nothing else;
 * - `'*.stripe.com'`: one or more labels in front, never `stripe.com` itself;
 * - `'http://localhost:8080'`, `'https://*.example.com:8443'`, `'example.com:8443'` (https): another scheme or port. `ws`
 *   and `wss` URLs are judged as `http` and `https`;
 * - `'10.1.2.3'`, `'10.1.2.0/24'`, `'2001:db8::/32'`, `'http://127.0.0.1:8080'`, `'[::1]:8443'`: a URL that holds an
 *   address needs a rule that holds one;
 * - `{ host, methods, path }`: only these methods, or only this path and what is below it.
 */
export type EgressRule = string | EgressRuleOptions;

/** A rule of `egress` as an object: a host, and what of it. */
export interface EgressRuleOptions {
  /** As the string form. */
  readonly host: string;
  /** HTTP methods in any case. Default: all, and tools that only declare a `url`, whose method nobody knows. */
  readonly methods?: readonly string[];
  /**
   * A path from `/` on, as it stands in a URL. It holds itself and what is below it: `/v1` is `/v1` and `/v1/x`, not
   * `/v10`. Default: every path.
   */
  readonly path?: string;
}

export interface Rule {
  readonly host: HostRule;
  /** Upper case, sorted. */
  readonly methods: readonly string[] | undefined;
  readonly path: string | undefined;
}

/** RFC 9110 §5.6.2 `token`, which a method is. */
const TOKEN = /^[!#$%&'*+.^_`|~\dA-Za-z-]+$/;

/** @throws {TypeError} @throws {RangeError} with the option's name. */
export function parseRules(option: string, rules: unknown, unsaid: Unsaid): readonly Rule[] {
  if (!Array.isArray(rules)) throw new TypeError(`\`${option}\` must be an array of rules, got ${shown(rules)}`);
  return Array.from(rules, (rule: unknown, i) => parseRule(`${option}[${i}]`, rule, unsaid));
}

/** The rules as JSON in an order of their own: what they mean does not depend on the order they were given in. */
export function formatRules(rules: readonly Rule[]): readonly unknown[] {
  const texts = rules.map(({ host, methods, path }) => {
    const text = formatHostRule(host);
    return JSON.stringify(methods === undefined && path === undefined ? text : { host: text, methods, path });
  });
  return [...new Set(texts)].sort().map((text) => JSON.parse(text) as unknown);
}

function parseRule(option: string, rule: unknown, unsaid: Unsaid): Rule {
  if (typeof rule === 'string') {
    return { host: parseHostRule(option, rule, unsaid), methods: undefined, path: undefined };
  }
  if (typeof rule !== 'object' || rule === null || Array.isArray(rule)) {
    throw new TypeError(`\`${option}\` must be a host or { host, methods?, path? }, got ${shown(rule)}`);
  }
  checkOptions(`\`${option}\``, rule, ['host', 'methods', 'path']);
  const { host, methods, path } = rule as Partial<Record<keyof EgressRuleOptions, unknown>>;
  return {
    host: parseHostRule(`${option}.host`, host, unsaid),
    methods: methods === undefined ? undefined : parseMethods(`${option}.methods`, methods),
    path: path === undefined ? undefined : parsePath(`${option}.path`, path),
  };
}

function parseMethods(option: string, methods: unknown): readonly string[] {
  if (!Array.isArray(methods)) throw new TypeError(`\`${option}\` must be an array of methods, got ${shown(methods)}`);
  if (methods.length === 0) throw new RangeError(`\`${option}\` is empty: name a method or leave the option out`);
  const names = Array.from(methods, (method: unknown, i) => {
    if (typeof method !== 'string' || !TOKEN.test(method)) {
      throw new TypeError(`\`${option}[${i}]\` must be an HTTP method, got ${shown(method)}`);
    }
    return method.toUpperCase();
  });
  return [...new Set(names)].sort();
}

function parsePath(option: string, path: unknown): string {
  if (typeof path !== 'string' || !path.startsWith('/')) {
    throw new TypeError(`\`${option}\` must be a path that starts with '/', got ${shown(path)}`);
  }
  // A host in front keeps `//x` a path.
  const { pathname } = new URL(`http://host${path}`);
  if (pathname !== path) {
    throw new TypeError(`\`${option}\` must be written in its canonical form '${pathname}', got ${shown(path)}`);
  }
  if (isAmbiguous(path)) {
    throw new TypeError(`\`${option}\` must hold no escaped '/', '\\', '.' or NUL and no '/..;', got ${shown(path)}`);
  }
  return path;
}
