import { BlockList, isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EgressPolicy } from '../../../src/egress/policy/policy.ts';
import { policy, reasonOf } from '../../helpers/egress-policy.ts';

const NAMES = ['a.test', 'b.a.test', 'api.example.com', 'localhost', 'xn--fa-hia.de'];
const WILDCARDS = ['wild.test', 'a.test'];
const RANGES = ['10.1.2.0/24', '127.0.0.1/32', '8.8.0.0/16', '2a00:1450::/32', 'fd00::/64'];

interface RuleSet {
  readonly names: readonly string[];
  readonly wildcards: readonly string[];
  readonly ranges: readonly string[];
}

const ruleSet: fc.Arbitrary<RuleSet> = fc.record({
  names: fc.subarray(NAMES),
  wildcards: fc.subarray(WILDCARDS),
  ranges: fc.subarray(RANGES),
});

function policyOf({ names, wildcards, ranges }: RuleSet): EgressPolicy {
  return policy([...names, ...wildcards.map((base) => `*.${base}`), ...ranges]);
}

const piece = fc.oneof(
  fc.constantFrom(
    ...NAMES,
    ...WILDCARDS,
    '10.1.2.3',
    '127.0.0.1',
    '8.8.8.8',
    '::1',
    '::ffff:10.1.2.3',
    'fd00::1',
    '2a00:1450::9',
  ),
  fc.constantFrom(
    'a',
    'B',
    '.',
    '..',
    '*',
    '-',
    '_',
    '@',
    ':',
    '/',
    '\\',
    '?',
    '#',
    '%',
    '%2e',
    '[',
    ']',
    '\0',
    '\n',
    ' ',
    ',',
  ),
  fc.constantFrom(
    '0',
    '127',
    '.1',
    '0x7f',
    '017',
    '167838211',
    '10.66051',
    'evil.test',
    'xn--',
    '。',
    'ａ',
    '\u00ad',
    'ß',
  ),
  fc.string({ unit: 'binary', maxLength: 2 }),
);
const noise = fc.oneof(
  { weight: 3, arbitrary: fc.constant('') },
  fc.array(piece, { maxLength: 3 }).map((all) => all.join('')),
);
const host = fc.tuple(noise, piece, noise).map((all) => all.join(''));

function parse(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

/** What a host that is no URL means, written down a second time: by the URL parser and the lists of Node. */
function isIn({ names, wildcards, ranges }: RuleSet, text: string): boolean {
  const inRanges = (address: string): boolean =>
    ranges.some((range) => {
      const [first = '', bits] = range.split('/');
      const list = new BlockList();
      list.addSubnet(first, Number(bits), isIP(first) === 6 ? 'ipv6' : 'ipv4');
      return list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
    });
  const bare = text.replace(/^\[(.*:.*)\]$/s, '$1');
  if (isIP(bare) === 6) return !bare.includes('%') && inRanges(bare);
  if (!/^[a-z\d._-]+$/i.test(text)) return false;
  const hostname = parse(`http://${text}/`)?.hostname ?? text.toLowerCase();
  if (isIP(hostname) === 4) return inRanges(hostname);
  const name = hostname.replace(/\.$/, '');
  const labels = name.split('.');
  if (name.length > 253 || labels.some((label) => label === '' || label.length > 63)) return false;
  return names.includes(name) || wildcards.some((base) => name !== base && name.endsWith(`.${base}`));
}

describe('a policy', () => {
  it('allows the hosts that its rules hold in their canonical form, and no other text', () => {
    let allowed = 0;
    fc.assert(
      fc.property(ruleSet, fc.array(host, { minLength: 1, maxLength: 5 }), (rules, hosts) => {
        const decide = policyOf(rules);
        for (const text of hosts) {
          const expected = isIn(rules, text);
          if (expected) allowed++;
          expect(decide.judgeRequest({ scheme: 'https', host: text, port: 443 }).allow, text).toBe(expected);
          expect(decide.judgeSocket({ host: text, port: 443, tls: true }).allow, text).toBe(expected);
          expect(decide.mayResolve(text), text).toBe(expected);
        }
      }),
      { numRuns: 5_000 },
    );
    expect(allowed).toBeGreaterThan(500);
  });

  it('says the same of a URL and of its parts', () => {
    const scheme = fc.constantFrom('https://', 'http://', 'wss://', 'https:\\\\', 'https://u@');
    const tail = fc.constantFrom('', '/', ':443/', ':8080/', '/x?y#z');
    let judged = 0;
    fc.assert(
      fc.property(ruleSet, scheme, host, tail, (rules, first, middle, last) => {
        const url = parse(`${first}${middle}${last}`);
        if (url === undefined || url.username !== '' || url.password !== '') return;
        judged++;
        const decide = policyOf(rules);
        const secure = url.protocol === 'https:' || url.protocol === 'wss:';
        const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
        const expected = reasonOf(decide.judgeUrl(url.href, 'GET'));
        const request = { scheme: secure ? 'https' : 'http', host: url.hostname, port, method: 'GET' } as const;
        expect(reasonOf(decide.judgeRequest({ ...request, path: url.pathname })), url.href).toBe(expected);
      }),
      { numRuns: 5_000 },
    );
    expect(judged).toBeGreaterThan(1_000);
  });
});
