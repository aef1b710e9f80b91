import { describe, expect, it, vi } from 'vitest';
import type { RequestTarget, SocketTarget } from '../../../src/egress/policy/policy.ts';
import { policy, reasonOf } from '../../helpers/egress-policy.ts';

const ALLOW = [
  'api.example.com',
  '*.wild.test',
  'http://local.test:8080',
  'both.test',
  'http://both.test',
  'http://127.0.0.1:8080',
  '10.1.2.0/24',
  '[::1]:8443',
  '0.0.0.0/0:9443',
  { host: 'm.test', methods: ['GET'] },
  { host: 'p.test', path: '/v1' },
  'area.test',
  'closed.test',
];
const DENY = [
  'closed.test',
  'no.wild.test',
  'http://half.wild.test',
  'port.wild.test:8443',
  'http://both.test:81',
  { host: 'area.test', path: '/admin' },
  { host: 'verb.wild.test', methods: ['DELETE'] },
];

/** Host text as it comes below URL level, at https and port 443, and the reason; undefined: allowed. */
const HOSTS: readonly (readonly [string, string | undefined])[] = [
  ['api.example.com', undefined],
  ['API.Example.COM', undefined],
  ['api.example.com.', undefined],
  ['a.wild.test', undefined],
  ['a.b.wild.test.', undefined],
  ['10.1.2.3', undefined],
  ['10.66051', undefined],
  ['012.1.2.3', undefined],
  ['0xa.1.2.3', undefined],
  ['167838211', undefined],
  ['10.1.2.3.', undefined],
  ['::ffff:10.1.2.3', undefined],
  ['[::ffff:a01:203]', undefined],
  ['example.com', 'host-not-allowed'],
  ['wild.test', 'host-not-allowed'],
  ['wild.test.', 'host-not-allowed'],
  ['awild.test', 'host-not-allowed'],
  ['api.example.com.evil.test', 'host-not-allowed'],
  ['xapi.example.com', 'host-not-allowed'],
  ['xn--pi-6kc.example.com', 'host-not-allowed'],
  ['no.wild.test', 'host-not-allowed'],
  ['NO.wild.test.', 'host-not-allowed'],
  ['closed.test', 'host-not-allowed'],
  ['10.1.3.3', 'port'],
  ['::10.1.2.3', 'host-not-allowed'],
  ['::ffff:0:10.1.2.3', 'host-not-allowed'],
  ['64:ff9b::10.1.2.3', 'host-not-allowed'],
  ['localhost', 'host-not-allowed'],
  ['127.0.0.1', 'port'],
  ['0', 'port'],
  ['local.test', 'scheme'],
  ['::1', 'port'],
  ['', 'bad-host'],
  [' ', 'bad-host'],
  ['.', 'bad-host'],
  ['api.example.com..', 'bad-host'],
  ['.api.example.com', 'bad-host'],
  ['api..example.com', 'bad-host'],
  ['.wild.test', 'bad-host'],
  ['*.wild.test', 'bad-host'],
  ['a;b.wild.test', 'bad-host'],
  ['a,b.wild.test', 'bad-host'],
  ['a b.wild.test', 'bad-host'],
  ['a@b.wild.test', 'bad-host'],
  ['a%2eb.wild.test', 'bad-host'],
  ['a/b.wild.test', 'bad-host'],
  ['a\\b.wild.test', 'bad-host'],
  ['a:b.wild.test', 'bad-host'],
  ['a?b.wild.test', 'bad-host'],
  ['a#b.wild.test', 'bad-host'],
  ['a\0b.wild.test', 'bad-host'],
  ['evil.test\0.wild.test', 'bad-host'],
  ['evil.test\n.wild.test', 'bad-host'],
  ['ａ.wild.test', 'bad-host'],
  ['a。wild.test', 'bad-host'],
  ['à.wild.test', 'bad-host'],
  ['a\u00ad.wild.test', 'bad-host'],
  ['api%2eexample.com', 'bad-host'],
  ['api.example.com:443', 'bad-host'],
  ['https://api.example.com', 'bad-host'],
  ['user@api.example.com', 'bad-host'],
  ['api.example.com@evil.test', 'bad-host'],
  ['api.example.com/', 'bad-host'],
  ['１0.1.2.3', 'bad-host'],
  ['10.1.2.3%31', 'bad-host'],
  ['10.1.2.256', 'bad-host'],
  ['10.1.2.3..', 'bad-host'],
  ['fe80::1%eth0', 'bad-host'],
  ['[::1]:443', 'bad-host'],
  ['[10.1.2.3]', 'bad-host'],
  [`${'a'.repeat(63)}.wild.test`, undefined],
  [`${'a'.repeat(64)}.wild.test`, 'bad-host'],
  [`${'a.'.repeat(122)}wild.test`, undefined],
  [`${'a.'.repeat(123)}wild.test`, 'bad-host'],
];

describe('judgeRequest', () => {
  const decide = policy(ALLOW, DENY);

  it.each(HOSTS.map(([host, reason]) => ({ host, reason })))('decides on $host', ({ host, reason }) => {
    for (let again = 0; again < 2; again++) {
      expect(reasonOf(decide.judgeRequest({ scheme: 'https', host, port: 443, method: 'GET', path: '/' }))).toBe(
        reason,
      );
    }
    expect(reasonOf(decide.judgeSocket({ host, port: 443, tls: true }))).toBe(reason);
    // A name that is refused for good is not worth a query; one that has another port or scheme open is.
    const resolves = reason === undefined || reason === 'port' || reason === 'scheme';
    expect(decide.mayResolve(host)).toBe(resolves);
  });

  it('has more than seventy hosts', () => {
    expect(HOSTS.length).toBeGreaterThan(70);
  });

  it.each<Partial<Omit<RequestTarget, 'scheme'>> & { scheme?: string; reason?: string }>([
    { host: 'local.test', scheme: 'http', port: 8080 },
    { host: 'local.test', scheme: 'http', port: 80, reason: 'port' },
    { host: 'local.test', scheme: 'https', port: 8080, reason: 'scheme' },
    { host: 'both.test', scheme: 'http', port: 80 },
    { host: 'both.test', scheme: 'https', port: 443 },
    { host: 'both.test', scheme: 'http', port: 443, reason: 'port' },
    { host: '[::1]', port: 8443 },
    { host: '::1', port: 8443 },
    { host: '0:0:0:0:0:0:0:1', port: 8443 },
    { host: '127.1', scheme: 'http', port: 8080 },
    { host: '8.8.8.8', port: 9443 },
    { host: '127.0.0.1', port: 9443, reason: 'address:loopback' },
    { host: '::ffff:7f00:1', port: 9443, reason: 'address:loopback' },
    { host: '0', port: 9443, reason: 'address:unspecified' },
    { host: '169.254.169.254', port: 9443, reason: 'address:cloud-metadata' },
    { host: '2852039166', port: 9443, reason: 'address:cloud-metadata' },
    { host: '10.1.2.3', port: 9443, reason: 'address:private' },
    // Methods and paths as they are sent.
    { host: 'm.test', method: 'GET' },
    { host: 'm.test', method: 'get' },
    { host: 'm.test', method: 'POST', reason: 'method' },
    { host: 'm.test', reason: 'method' },
    { host: 'p.test', path: '/v1' },
    { host: 'p.test', path: '/v1/x?a=/../b' },
    { host: 'p.test', path: '/v10', reason: 'path' },
    { host: 'p.test', reason: 'path' },
    { host: 'p.test', path: '/v1/../admin', reason: 'path' },
    { host: 'p.test', path: '/v1/..', reason: 'path' },
    { host: 'p.test', path: '/v1/..?x', reason: 'path' },
    { host: 'p.test', path: '/v1/./x', reason: 'path' },
    { host: 'p.test', path: '/v1/%2e%2e/admin', reason: 'path' },
    { host: 'p.test', path: '/v1/..%2fadmin', reason: 'path' },
    { host: 'p.test', path: '/v1/..;/admin', reason: 'path' },
    { host: 'p.test', path: '/v1\\..\\admin', reason: 'path' },
    { host: 'p.test', path: '/v1/x\\..\\..\\admin', reason: 'path' },
    { host: 'p.test', path: '/v1/x#/../../admin', reason: 'path' },
    { host: 'p.test', path: '/v1/x#y', reason: 'path' },
    { host: 'p.test', path: '/v1/\t../admin', reason: 'path' },
    { host: 'p.test', path: '/v1/é', reason: 'path' },
    { host: 'area.test', path: '/' },
    { host: 'area.test', path: '/users?x=/admin' },
    { host: 'area.test', path: '/admin', reason: 'path' },
    { host: 'area.test', path: '/Admin/x', reason: 'path' },
    { host: 'area.test', path: '/x/../admin', reason: 'path' },
    { host: 'area.test', path: '/x/./y', reason: 'path' },
    { host: 'area.test', path: '/%61dmin', reason: 'path' },
    { host: 'area.test', reason: 'path' },
    { host: 'verb.wild.test', method: 'GET' },
    { host: 'verb.wild.test', method: 'delete', reason: 'method' },
    { host: 'verb.wild.test', reason: 'method' },
    // What is no request of a path on this host.
    { path: 'http://evil.test/', reason: 'request-target' },
    { path: 'evil.test:443', reason: 'request-target' },
    { path: '*', method: 'OPTIONS', reason: 'request-target' },
    { path: '', reason: 'request-target' },
    { path: ' /', reason: 'request-target' },
    { path: '\\', reason: 'request-target' },
    { path: '//evil.test/' },
    { method: 'CONNECT', path: '/', reason: 'connect-method' },
    { method: 'connect', reason: 'connect-method' },
    { method: 'CONNECT', path: 'evil.test:443', reason: 'connect-method' },
    { host: 'evil.test', method: 'CONNECT', path: '*', reason: 'host-not-allowed' },
    // What is no scheme or port.
    { scheme: 'ftp', reason: 'scheme' },
    { scheme: 'https:', reason: 'scheme' },
    { scheme: 'constructor', reason: 'scheme' },
    { port: 0, reason: 'port' },
    { port: -443, reason: 'port' },
    { port: 443.5, reason: 'port' },
    { port: Number.NaN, reason: 'port' },
    { port: 65_979, reason: 'port' },
    { port: '443' as unknown as number, reason: 'port' },
    { host: undefined as unknown as string, reason: 'bad-host' },
    { host: { toString: () => 'api.example.com' } as unknown as string, reason: 'bad-host' },
  ])('decides on $method $scheme $host $port $path', ({ reason, scheme = 'https', ...given }) => {
    const request = { scheme, host: 'api.example.com', port: 443, ...given } as RequestTarget;
    for (let again = 0; again < 2; again++) expect(reasonOf(decide.judgeRequest(request))).toBe(reason);
  });

  it('tells where a refused request wanted to go, and nothing that no host can hold', () => {
    const told = (host: string, port = 443) => {
      const verdict = policy([]).judgeRequest({ scheme: 'https', host, port, path: '/secret' });
      return verdict.allow ? undefined : verdict.target;
    };
    expect(told('API.example.com.')).toEqual({ scheme: 'https', host: 'api.example.com', port: 443 });
    expect(told('::0001')).toEqual({ scheme: 'https', host: '[::1]', port: 443 });
    expect(told('127.1', Number.NaN)).toEqual({ scheme: 'https', host: '127.0.0.1', port: 0 });
    for (const port of [-443, 0, 0.5, 65_536, Number.POSITIVE_INFINITY]) expect(told('a.test', port)?.port).toBe(0);
    for (const port of [1, 65_535]) expect(told('a.test', port)?.port).toBe(port);
    expect(told('secret value')).toBeUndefined();
  });

  it('keeps deciding when more places come than it remembers', () => {
    const { judgeRequest } = policy(['*.a.test', 'http://*.a.test:8080']);
    const reasons = (host: string) =>
      [
        judgeRequest({ scheme: 'https', host, port: 443 }),
        judgeRequest({ scheme: 'http', host, port: 8080 }),
        judgeRequest({ scheme: 'http', host, port: 443 }),
      ].map(reasonOf);
    for (let i = 0; i < 1_500; i++) {
      expect(reasons(`h${i}.a.test`)).toEqual([undefined, undefined, 'port']);
      expect(reasons(`h${i}.b.test`)).toEqual(Array(3).fill('host-not-allowed'));
    }
    expect(reasons('h0.a.test')).toEqual([undefined, undefined, 'port']);
  });
});

describe('judgeSocket', () => {
  const decide = policy(ALLOW, DENY);

  it.each<Partial<SocketTarget> & { reason?: string; judged?: boolean }>([
    { host: 'api.example.com', tls: true },
    { host: 'api.example.com', tls: false, reason: 'scheme' },
    { host: 'api.example.com', tls: true, port: 8443, reason: 'port' },
    { host: 'local.test', port: 8080, tls: false },
    { host: 'local.test', port: 8080, tls: true, reason: 'scheme' },
    { host: 'evil.test', reason: 'host-not-allowed' },
    { host: 'closed.test', reason: 'host-not-allowed' },
    { host: '127.0.0.1', port: 8080, tls: false },
    { host: '127.1', port: 8080, tls: false },
    { host: '127.0.0.1', port: 9443, reason: 'address:loopback' },
    { host: '169.254.169.254', port: 9443, reason: 'address:cloud-metadata' },
    { host: '8.8.8.8', port: 9443 },
    { host: '', reason: 'bad-host' },
    { host: 'fe80::1%eth0', reason: 'bad-host' },
    { port: 0, reason: 'port' },
    { port: Number.NaN, reason: 'port' },
    // A socket has no method and no path.
    { host: 'm.test', reason: 'method' },
    { host: 'p.test', reason: 'path' },
    { host: 'area.test', reason: 'path' },
    { host: 'verb.wild.test', reason: 'method' },
    // The requests on it have, and are judged for themselves.
    { host: 'm.test', judged: true },
    { host: 'p.test', judged: true },
    { host: 'area.test', judged: true },
    { host: 'verb.wild.test', judged: true },
    { host: 'closed.test', judged: true, reason: 'host-not-allowed' },
    { host: 'evil.test', judged: true, reason: 'host-not-allowed' },
    { host: 'm.test', tls: false, judged: true, reason: 'scheme' },
    { host: 'm.test', port: 8443, judged: true, reason: 'port' },
    { host: '127.0.0.1', port: 9443, judged: true, reason: 'address:loopback' },
    // A plain socket may be wrapped in TLS later, so a deny rule for any scheme closes it.
    { host: 'half.wild.test', tls: true },
    { host: 'both.test', port: 80, tls: false },
    { host: 'both.test', port: 81, tls: false, reason: 'port' },
  ])('decides on $host:$port, tls $tls, judged $judged', ({ reason, ...given }) => {
    const verdict = decide.judgeSocket({ host: 'api.example.com', port: 443, tls: true, ...given });
    expect(reasonOf(verdict)).toBe(reason);
  });

  it('takes a plain socket for one of either scheme where rules close, unless requests on it are judged', () => {
    const { judgeSocket } = policy(['http://a.test'], ['https://a.test']);
    expect(reasonOf(judgeSocket({ host: 'a.test', port: 80, tls: false }))).toBe('scheme');
    expect(reasonOf(judgeSocket({ host: 'a.test', port: 80, tls: false, judged: true }))).toBe(undefined);
  });

  it('tells the transport', () => {
    const target = (tls: boolean) => {
      const verdict = decide.judgeSocket({ host: 'evil.test', port: 5432, tls });
      return verdict.allow ? undefined : verdict.target;
    };
    expect(target(false)).toEqual({ scheme: 'tcp', host: 'evil.test', port: 5432 });
    expect(target(true)).toEqual({ scheme: 'tls', host: 'evil.test', port: 5432 });
    const plain = decide.judgeSocket({ host: 'api.example.com', port: 443, tls: false });
    expect(plain).toMatchObject({ message: 'host api.example.com is not allowed over tcp' });
  });
});

describe('mayResolve', () => {
  it.each([
    ['api.example.com', true],
    ['API.example.com.', true],
    ['a.wild.test', true],
    ['local.test', true],
    ['m.test', true],
    ['p.test', true],
    ['area.test', true],
    ['half.wild.test', true],
    ['port.wild.test', true],
    ['10.1.2.3', true],
    ['127.1', true],
    ['evil.test', false],
    ['wild.test', false],
    ['secret.api.example.com', false],
    ['closed.test', false],
    ['no.wild.test', false],
    ['2a00::1', false],
    ['', false],
    ['*.wild.test', false],
    ['a b.wild.test', false],
    ['ａ.wild.test', false],
  ])('says of %s: %s', (name, expected) => {
    expect(policy(ALLOW, DENY).mayResolve(name)).toBe(expected);
  });

  it('says no where every rule that allows a name is closed again', () => {
    const allow = ['a.test', 'http://a.test:8080'];
    expect(policy(allow, ['https://a.test']).mayResolve('a.test')).toBe(true);
    expect(policy(allow, ['https://a.test', 'a.test:8080']).mayResolve('a.test')).toBe(false);
    expect(policy(allow, [{ host: 'a.test', path: '/' }]).mayResolve('a.test')).toBe(true);
    expect(policy([]).mayResolve('a.test')).toBe(false);
  });
});

describe('a policy', () => {
  it('forgets what it decided on when too many places come', () => {
    const cleared = vi.spyOn(Map.prototype, 'clear');
    const { judgeRequest, judgeUrl } = policy(['*.a.test']);
    for (let i = 0; i < 999; i++) judgeUrl(`https://h${i}.a.test/`, 'GET');
    for (let i = 0; i < 1_000; i++) judgeRequest({ scheme: 'https', host: 'h.a.test', port: i });
    expect(cleared).not.toHaveBeenCalled();
    for (let i = 999; i < 2_500; i++) judgeUrl(`https://h${i}.a.test/`, 'GET');
    expect(cleared).toHaveBeenCalledTimes(2);
    judgeRequest({ scheme: 'http', host: 'h.a.test', port: 1 });
    expect(cleared).toHaveBeenCalledTimes(4);
    for (let i = 1_001; i < 2_001; i++) judgeRequest({ scheme: 'http', host: 'h.a.test', port: i });
    expect(cleared).toHaveBeenCalledTimes(6);
    cleared.mockRestore();
  });

  it('does not remember what is longer than a host', () => {
    const kept = vi.spyOn(Map.prototype, 'set');
    const { judgeRequest, judgeUrl } = policy(['a.test', '127.0.0.1']);
    const long = 'a'.repeat(400);
    expect(reasonOf(judgeUrl(`https://${long}`, 'GET'))).toBe('bad-host');
    for (const host of [long, '', 'a b']) {
      expect(reasonOf(judgeRequest({ scheme: 'https', host, port: 443 }))).toBe('bad-host');
    }
    const expanded = `[${'0'.repeat(4)}:${'0'.repeat(4)}::ffff:127.0.0.1]`;
    expect(reasonOf(judgeRequest({ scheme: 'https', host: expanded, port: 443 }))).toBe(undefined);
    expect(kept.mock.calls.map(([key]) => key)).toEqual([443, expanded]);
    kept.mockRestore();
  });

  it('cannot be changed', () => {
    const decide = policy(ALLOW);
    expect(Object.isFrozen(decide)).toBe(true);
    expect(Object.isFrozen(decide.addresses)).toBe(true);
  });
});
