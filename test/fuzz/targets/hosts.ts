import { BlockList, isIP } from 'node:net';
import { formatAddress, inRange, parseAddress, parseRange } from '../../../src/egress/policy/address.ts';
import { parseAddressRules } from '../../../src/egress/policy/address-rules.ts';
import { canonicalHost, formatHost } from '../../../src/egress/policy/host.ts';
import { formatHostRule, matchesHost, parseHostRule } from '../../../src/egress/policy/host-rule.ts';
import { parseRules } from '../../../src/egress/policy/rule.ts';
import { need, outcomeOf, type Target, textOf } from '../target.ts';
import { valueFrom } from '../values.ts';

const MISUSE = [TypeError, RangeError];
const PARTS = [
  'api.stripe.com',
  '*.',
  'xn--',
  'http://',
  'https://',
  'ws://',
  ':8443',
  ':0',
  ':65535',
  ':65536',
  '/24',
  '/0',
  '/32',
  '/128',
  '[',
  ']',
  '::',
  '::ffff:',
  '127.0.0.1',
  '127.1',
  '0x7f.1',
  '017700000001',
  '2130706433',
  '1.2.3.4',
  '2001:db8::',
  'fe80::1%eth0',
  '64:ff9b::',
  '@',
  '\\',
  '#',
  '?',
  '%2e',
  '..',
  '.',
  '_',
  '-',
  'ß',
  'ﬀ',
  '。',
  '\u200d',
  '\u0000',
  ' ',
  '\n',
  'LOCALHOST',
  'a'.repeat(64),
];

function hostnameOf(text: string): string | undefined {
  try {
    return new URL(text).hostname;
  } catch {
    return undefined;
  }
}

export const hostRule: Target = {
  name: 'host-rule',
  form: 'text',
  tokens: PARTS,
  check: (input) => {
    const text = textOf(input);
    const words: string[] = [];
    for (const unsaid of ['secure', 'every'] as const) {
      const parsed = outcomeOf(() => parseHostRule('allow[0]', text, unsaid), { kinds: MISUSE, shows: true });
      if (typeof parsed === 'string') {
        words.push(parsed);
        continue;
      }
      const rule = parsed.value;
      need(!/[^\x21-\x7e]|[A-Z@\\#?%]/.test(text), 'takes a rule that is no canonical ASCII');
      const written = formatHostRule(rule);
      need(
        formatHostRule(parseHostRule('allow[0]', written, unsaid)) === written,
        'does not read the rule that it writes',
      );
      const { pattern, scheme, port } = rule;
      if (unsaid === 'secure')
        need(scheme !== undefined && port !== undefined, 'leaves scheme or port open in a rule that opens');
      words.push(pattern.kind);
      if (pattern.kind === 'range') {
        need(
          matchesHost(rule, { kind: 'address', address: pattern.range.first }),
          'does not hold its own first address',
        );
        continue;
      }
      const name = pattern.kind === 'name' ? pattern.name : pattern.base;
      const url = `${scheme ?? 'https'}://${name}:${port ?? 1}/`;
      need(hostnameOf(url) === name, 'names another host than a URL with it does');
      need(
        matchesHost(rule, { kind: 'name', name }) === (pattern.kind === 'name'),
        'holds the apex of a wildcard, or not its own name',
      );
      need(
        matchesHost(rule, { kind: 'name', name: `a.${name}` }) === (pattern.kind === 'subdomains'),
        'holds other labels in front than it says',
      );
      need(!matchesHost(rule, { kind: 'name', name: `a${name}` }), 'holds a name that only ends like it');
    }
    return words.join(' ');
  },
};

export const host: Target = {
  name: 'host',
  form: 'text',
  tokens: PARTS,
  check: (input) => {
    const text = textOf(input);
    const found = canonicalHost(text);
    if (found === undefined) return 'refused';
    const written = formatHost(found);
    need(JSON.stringify(canonicalHost(written)) === JSON.stringify(found), 'reads another host than it wrote');
    const inUrl = hostnameOf(`http://${written.includes(':') ? `[${written}]` : written}/`);
    // An `xn--` label may hold what IDNA refuses; a resolver still takes it.
    if (inUrl === undefined) need(written.includes('xn--'), 'is no host to the URL parser');
    else need(JSON.stringify(canonicalHost(inUrl)) === JSON.stringify(found), 'is another host to the URL parser');
    if (isIP(text) !== 0) need(found.kind === 'address', 'takes an address for a name');
    return found.kind;
  },
};

export const address: Target = {
  name: 'address',
  form: 'text',
  tokens: [
    '::',
    ':',
    '.',
    '/',
    '0',
    '1',
    '255',
    '256',
    '01',
    '0x7f',
    'ffff',
    'FFFF',
    '::ffff:1.2.3.4',
    '%eth0',
    '10.0.0.0/8',
    '64:ff9b::/96',
    '[',
    ']',
    '\n',
    ' ',
    '/128',
    '/33',
    '/999999999999',
  ],
  check: (input) => {
    const text = textOf(input);
    const [, plain = '', prefix] = /^([^/]*)(?:\/([0-9]{1,12}))?$/s.exec(text) ?? [];
    const parsed = parseAddress(plain);
    const isAddress = isIP(plain) !== 0 && !plain.includes('%');
    need((parsed !== undefined) === isAddress, 'is an address to one of net.isIP and us alone');
    const rules = outcomeOf(() => parseAddressRules('addresses', { allow: [text] }), { kinds: MISUSE, shows: true });
    if (parsed === undefined) return 'none';
    need(
      JSON.stringify(parseAddress(formatAddress(parsed))) === JSON.stringify(parsed),
      'reads another address than it wrote',
    );
    const bits = prefix === undefined ? undefined : Number(prefix);
    const range = parseRange(plain, bits);
    const length = isIP(plain) === 4 ? 32 : 128;
    need(
      (range !== undefined) === (bits === undefined || bits <= length),
      'takes a prefix that is too long, or not one that fits',
    );
    if (range === undefined) return 'too long a prefix';
    // The IPv4 addresses in IPv6 are IPv4 to us, and to BlockList only where the range is.
    if (range.first.length * 8 === length && bits !== undefined) {
      const family = length === 32 ? 'ipv4' : 'ipv6';
      const list = new BlockList();
      if (bits === 0) return 'all';
      list.addSubnet(plain, bits, family);
      for (const flip of [0, bits - 1, bits, length - 1]) {
        const bytes = [...(length === 32 || parsed.length === 16 ? parsed : range.first)];
        if (flip < length) bytes[flip >> 3] = (bytes[flip >> 3] as number) ^ (0x80 >> (flip & 7));
        const other = formatAddress(bytes);
        if (parseAddress(other)?.length !== bytes.length) continue;
        need(inRange(range, bytes) === list.check(other, family), 'holds another range than net.BlockList');
      }
    }
    return `${parsed.length} ${bits === undefined} ${typeof rules}`;
  },
};

export const rule: Target = {
  name: 'rule',
  form: 'json',
  tokens: [
    'host',
    'methods',
    'path',
    '"api.stripe.com"',
    '["GET"]',
    '"/v1"',
    '"/v1/../x"',
    '"/%2e%2e/x"',
    '"/a;b"',
    '"//x"',
    '"/\\\\x"',
    '"/é"',
    '["get","GET"]',
    ...PARTS.map((part) => JSON.stringify(part)),
  ],
  check: (input) => {
    const read = valueFrom(textOf(input));
    if (read === undefined) return 'no JSON';
    const kinds = textOf(input).includes('"throws"') ? [...MISUSE, Error] : MISUSE;
    const parsed = outcomeOf(() => parseRules('allow', [read.value], 'secure'), { kinds, shows: true });
    if (typeof parsed === 'string') return parsed;
    for (const { methods, path } of parsed.value) {
      if (path !== undefined)
        need(new URL(`https://host${path}`).pathname === path, 'takes a path that a URL does not have');
      for (const method of methods ?? [])
        need(method === method.toUpperCase() && !/[\s:]/.test(method), 'takes what is no method');
    }
    return 'taken';
  },
};
