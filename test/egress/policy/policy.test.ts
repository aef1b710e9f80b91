import { describe, expect, it } from 'vitest';
import type { EgressRule } from '../../../src/egress/policy/rule.ts';
import { policy, reasonOf } from '../../helpers/egress-policy.ts';

interface Row {
  readonly url: string;
  /** Undefined: allowed. */
  readonly reason?: string;
}

const ALLOW = [
  'api.example.com',
  '*.wild.test',
  'http://plain.test',
  'http://both.test',
  'https://both.test:8443',
  'http://local.test:8080',
  'https://*.ports.test:8443',
  '10.1.2.0/24',
  'http://127.0.0.1:8080',
  '203.0.113.7',
  '2001:db8::/32',
  '[::1]:8443',
  'xn--fa-hia.de',
  'a_b.example.com',
];

const ROWS: readonly Row[] = [
  // The host of a rule, and nothing else.
  { url: 'https://api.example.com/' },
  { url: 'https://api.example.com' },
  { url: 'https://api.example.com:443/a?b#c' },
  { url: 'HTTPS://API.EXAMPLE.COM/' },
  { url: 'wss://api.example.com/socket' },
  { url: 'https://api.example.com./' },
  { url: 'https://api%2Eexample.com/' },
  { url: 'https://ａpi.example.com/' },
  { url: 'https://api。example。com/' },
  { url: 'https://api.ex\u00adample.com/' },
  { url: ' https://api.example.com/ ' },
  { url: 'https://api.exa\tmple.com/' },
  { url: 'https:api.example.com' },
  { url: 'https:\\\\api.example.com\\x' },
  { url: 'https://a_b.example.com/' },
  { url: 'https://faß.de/' },
  { url: 'https://xn--fa-hia.de/' },
  { url: 'https://example.com/', reason: 'host-not-allowed' },
  { url: 'https://x.api.example.com/', reason: 'host-not-allowed' },
  { url: 'https://api.example.com.evil.test/', reason: 'host-not-allowed' },
  { url: 'https://xapi.example.com/', reason: 'host-not-allowed' },
  { url: 'https://api-example.com/', reason: 'host-not-allowed' },
  { url: 'https://fass.de/', reason: 'host-not-allowed' },
  { url: 'https://аpi.example.com/', reason: 'host-not-allowed' },
  { url: 'https://xn--pi-6kc.example.com/', reason: 'host-not-allowed' },
  { url: 'http://api.example.com/', reason: 'scheme' },
  { url: 'ws://api.example.com/', reason: 'scheme' },
  { url: 'http://api.example.com:443/', reason: 'scheme' },
  { url: 'https://api.example.com:8443/', reason: 'port' },
  { url: 'https://api.example.com:80/', reason: 'port' },
  { url: 'https://api.example.com:0/', reason: 'port' },
  // What looks like an allowed host, and is in another part of the URL.
  { url: 'https://evil.test/api.example.com', reason: 'host-not-allowed' },
  { url: 'https://evil.test/@api.example.com', reason: 'host-not-allowed' },
  { url: 'https://evil.test?@api.example.com/', reason: 'host-not-allowed' },
  { url: 'https://evil.test#@api.example.com/', reason: 'host-not-allowed' },
  { url: 'https://evil.test\\@api.example.com/', reason: 'host-not-allowed' },
  { url: 'https://evil.test\\.api.example.com/', reason: 'host-not-allowed' },
  { url: 'https://api.example.com@evil.test/', reason: 'bad-host' },
  { url: 'https://user:pass@api.example.com/', reason: 'bad-host' },
  { url: 'https://user@api.example.com/', reason: 'bad-host' },
  { url: 'https://:pass@api.example.com/', reason: 'bad-host' },
  { url: 'https://@api.example.com/' },
  { url: 'https://api.example.com%2F.evil.test/', reason: 'bad-host' },
  { url: 'https://api.example.com%00.evil.test/', reason: 'bad-host' },
  { url: 'https://api.example.com%20/', reason: 'bad-host' },
  { url: 'https://api.example.com%E3%80%82evil.test/', reason: 'host-not-allowed' },
  { url: 'https://api.example.com:443:8080/', reason: 'bad-host' },
  // Hosts that no resolver should see.
  { url: 'https://api.example.com../', reason: 'bad-host' },
  { url: 'https://.api.example.com/', reason: 'bad-host' },
  { url: 'https://api..example.com/', reason: 'bad-host' },
  { url: 'https://*.wild.test/', reason: 'bad-host' },
  { url: 'https://a*.wild.test/', reason: 'bad-host' },
  { url: 'https://a;b.wild.test/', reason: 'bad-host' },
  { url: 'https://a,b.wild.test/', reason: 'bad-host' },
  { url: "https://a'b.wild.test/", reason: 'bad-host' },
  { url: 'https://a!b.wild.test/', reason: 'bad-host' },
  { url: 'https://a$b.wild.test/', reason: 'bad-host' },
  { url: 'https://a(b).wild.test/', reason: 'bad-host' },
  { url: 'https://a~b.wild.test/', reason: 'bad-host' },
  { url: 'https://a=b.wild.test/', reason: 'bad-host' },
  { url: 'https://a{b}.wild.test/', reason: 'bad-host' },
  { url: 'https://.wild.test/', reason: 'bad-host' },
  { url: `https://${'a'.repeat(63)}.wild.test/` },
  { url: `https://${'a'.repeat(64)}.wild.test/`, reason: 'bad-host' },
  { url: `https://${'a.'.repeat(122)}wild.test/` },
  { url: `https://${'a.'.repeat(122)}wild.test./` },
  { url: `https://${'a.'.repeat(123)}wild.test/`, reason: 'bad-host' },
  { url: 'https://', reason: 'bad-host' },
  { url: '', reason: 'bad-host' },
  { url: '/relative', reason: 'bad-host' },
  { url: '//api.example.com/', reason: 'bad-host' },
  { url: 'api.example.com', reason: 'bad-host' },
  // Other schemes.
  { url: 'ftp://api.example.com/', reason: 'scheme' },
  { url: 'file:///etc/passwd', reason: 'scheme' },
  { url: 'file://api.example.com/x', reason: 'scheme' },
  { url: 'data:text/plain,x', reason: 'scheme' },
  { url: 'blob:https://api.example.com/0', reason: 'scheme' },
  { url: 'javascript:alert(1)', reason: 'scheme' },
  { url: 'about:blank', reason: 'scheme' },
  { url: 'unix:/var/run/docker.sock', reason: 'scheme' },
  { url: 'http+unix://api.example.com/', reason: 'scheme' },
  { url: 'localhost:8080', reason: 'scheme' },
  // Wildcards.
  { url: 'https://a.wild.test/' },
  { url: 'https://a.b.c.wild.test/' },
  { url: 'https://a.wild.test./' },
  { url: 'https://wild.test/', reason: 'host-not-allowed' },
  { url: 'https://wild.test./', reason: 'host-not-allowed' },
  { url: 'https://awild.test/', reason: 'host-not-allowed' },
  { url: 'https://a-wild.test/', reason: 'host-not-allowed' },
  { url: 'https://a.wild.test.evil.test/', reason: 'host-not-allowed' },
  { url: 'http://a.wild.test/', reason: 'scheme' },
  { url: 'https://a.wild.test:8443/', reason: 'port' },
  { url: 'https://a.ports.test:8443/' },
  { url: 'https://a.ports.test/', reason: 'port' },
  // Schemes and ports.
  { url: 'http://plain.test/' },
  { url: 'ws://plain.test/' },
  { url: 'http://plain.test:080/' },
  { url: 'https://plain.test/', reason: 'scheme' },
  { url: 'http://local.test:8080/' },
  { url: 'http://local.test/', reason: 'port' },
  { url: 'https://local.test:8080/', reason: 'scheme' },
  { url: 'http://both.test/' },
  { url: 'https://both.test:8443/' },
  { url: 'https://both.test/', reason: 'port' },
  { url: 'http://both.test:8443/', reason: 'port' },
  // Addresses.
  { url: 'https://10.1.2.0/' },
  { url: 'https://10.1.2.255/' },
  { url: 'https://10.1.3.0/', reason: 'host-not-allowed' },
  { url: 'https://10.1.1.255/', reason: 'host-not-allowed' },
  { url: 'http://10.1.2.3/', reason: 'scheme' },
  { url: 'https://10.66051/' },
  { url: 'https://10.0x10203/' },
  { url: 'https://167838211/' },
  { url: 'https://0xa010203/' },
  { url: 'https://012.1.2.3/' },
  { url: 'https://１０.1.2.3/' },
  { url: 'https://①⓪.1.2.3/' },
  { url: 'https://%31%30.1.2.3/' },
  { url: 'https://10.1.2.3./' },
  { url: 'https://10.1.2.3../', reason: 'bad-host' },
  { url: 'https://10.1.2.256/', reason: 'bad-host' },
  { url: 'https://10.1.2.3.example.com/', reason: 'host-not-allowed' },
  { url: 'http://127.0.0.1:8080/' },
  { url: 'http://127.1:8080/' },
  { url: 'http://0177.1:8080/' },
  { url: 'http://2130706433:8080/' },
  { url: 'http://127.0.0.2:8080/', reason: 'host-not-allowed' },
  { url: 'http://localhost:8080/', reason: 'host-not-allowed' },
  { url: 'http://0:8080/', reason: 'host-not-allowed' },
  { url: 'https://203.0.113.7/' },
  { url: 'https://203.0.113.8/', reason: 'host-not-allowed' },
  // IPv6, and IPv4 inside it: mapped is judged as IPv4, all other embeddings are IPv6.
  { url: 'https://[2001:db8::]/' },
  { url: 'https://[2001:DB8:ffff:ffff:ffff:ffff:ffff:ffff]/' },
  { url: 'https://[2001:db9::]/', reason: 'host-not-allowed' },
  { url: 'https://[2001:db7:ffff::]/', reason: 'host-not-allowed' },
  { url: 'https://[::1]:8443/' },
  { url: 'https://[0:0:0:0:0:0:0:1]:8443/' },
  { url: 'https://[::1]/', reason: 'port' },
  { url: 'https://[::ffff:10.1.2.3]/' },
  { url: 'https://[::ffff:a01:203]/' },
  { url: 'http://[::ffff:127.0.0.1]:8080/' },
  { url: 'https://[::ff:10.1.2.3]/', reason: 'host-not-allowed' },
  { url: 'https://[a01:200::]/', reason: 'host-not-allowed' },
  { url: 'https://[::ffff:10.1.3.3]/', reason: 'host-not-allowed' },
  { url: 'https://[::10.1.2.3]/', reason: 'host-not-allowed' },
  { url: 'https://[64:ff9b::10.1.2.3]/', reason: 'host-not-allowed' },
  { url: 'https://[::ffff:0:10.1.2.3]/', reason: 'host-not-allowed' },
  { url: 'https://[fe80::1%25eth0]/', reason: 'bad-host' },
  { url: 'https://[::1/', reason: 'bad-host' },
];

describe('createPolicy', () => {
  it.each(ROWS)('decides on $url', ({ url, reason }) => {
    expect(reasonOf(policy(ALLOW).judgeUrl(url, 'GET'))).toBe(reason);
    expect(reasonOf(policy(ALLOW).judgeUrl(url, undefined))).toBe(reason);
  });

  it('decides the same again, and in any order of URLs and rules', () => {
    const decide = policy(ALLOW.toReversed()).judgeUrl;
    for (const { url, reason } of [...ROWS, ...ROWS.toReversed(), ...ROWS]) {
      expect(reasonOf(decide(url, undefined)), url).toBe(reason);
    }
  });

  it('reaches nothing when nothing is allowed', () => {
    const decide = policy([]).judgeUrl;
    for (const { url, reason } of ROWS) {
      const other = reason === undefined || reason === 'port' || reason === 'scheme';
      const expected = other && /^\s*(?:https?|wss?):/i.test(url) ? 'host-not-allowed' : reason;
      expect(reasonOf(decide(url, undefined)), url).toBe(expected);
    }
  });

  it('reaches nothing that is denied with the words that allow it', () => {
    const decide = policy(ALLOW, ALLOW).judgeUrl;
    for (const { url } of ROWS) expect(reasonOf(decide(url, undefined)), url).not.toBe(undefined);
  });

  it('denies every scheme and port that a deny rule does not name', () => {
    const allow = ['a.test', 'http://a.test', 'a.test:8443', 'http://a.test:8443', '*.a.test', 'http://10.0.0.1:81'];
    const urls = ['https://a.test', 'http://a.test', 'https://a.test:8443', 'http://a.test:8443'];
    const reasons = (...deny: readonly EgressRule[]) =>
      urls.map((url) => reasonOf(policy(allow, deny).judgeUrl(url, 'GET')));
    expect(reasons()).toEqual([undefined, undefined, undefined, undefined]);
    expect(reasons('a.test')).toEqual(Array(4).fill('host-not-allowed'));
    expect(reasons('http://a.test')).toEqual([undefined, 'scheme', undefined, 'scheme']);
    expect(reasons('a.test:8443')).toEqual([undefined, undefined, 'port', 'port']);
    expect(reasons('http://a.test:8443')).toEqual([undefined, undefined, undefined, 'port']);
    expect(reasonOf(policy([], ['a.test:8443']).judgeUrl('https://a.test:8443', 'GET'))).toBe('port');
    expect(reasons('*.a.test')).toEqual([undefined, undefined, undefined, undefined]);
    expect(reasonOf(policy(allow, ['*.a.test']).judgeUrl('https://b.a.test', 'GET'))).toBe('host-not-allowed');
    expect(reasonOf(policy(allow, ['b.a.test']).judgeUrl('https://b.a.test.', 'GET'))).toBe('host-not-allowed');
    expect(reasonOf(policy(allow, ['b.a.test']).judgeUrl('https://c.a.test', 'GET'))).toBe(undefined);
    expect(reasonOf(policy(allow, ['10.0.0.0/8']).judgeUrl('http://[::ffff:10.0.0.1]:81', 'GET'))).toBe(
      'host-not-allowed',
    );
  });

  it('keeps deciding when more origins come than it remembers', () => {
    const decide = policy(['*.a.test']).judgeUrl;
    for (let i = 0; i < 2_500; i++) {
      expect(decide(`https://h${i}.a.test/`, undefined).allow).toBe(true);
      expect(decide(`https://h${i}.b.test/`, undefined).allow).toBe(false);
    }
    expect(decide('https://h0.a.test/', undefined).allow).toBe(true);
  });

  it('does not take a blob URL for the origin that made it', () => {
    const decide = policy(['a.test']).judgeUrl;
    expect(reasonOf(decide('https://a.test/', undefined))).toBe(undefined);
    expect(reasonOf(decide('blob:https://a.test/0', undefined))).toBe('scheme');
    expect(reasonOf(decide('https://u@a.test/', undefined))).toBe('bad-host');
  });

  it('reads what it is given once', () => {
    let reads = 0;
    const url = { toString: () => (reads++ === 0 ? 'https://evil.test/' : 'https://a.test/') } as unknown as string;
    expect(reasonOf(policy(['a.test']).judgeUrl(url, undefined))).toBe('host-not-allowed');
    const broken = { toString: () => Promise.reject } as unknown as string;
    expect(reasonOf(policy(['a.test']).judgeUrl(broken, undefined))).toBe('bad-host');
  });
});
