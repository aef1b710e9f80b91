import { describe, expect, it, vi } from 'vitest';
import type { Denial, ToolCall } from '../../src/guard.ts';
import { type EgressOptions, egress } from '../../src/guards/egress.ts';

function call(...urls: readonly string[]): ToolCall {
  return { id: '1', tool: 'get', args: {}, cost: undefined, urls, schema: undefined };
}

function denial(options: EgressOptions, url: string, method?: string): Denial {
  const verdict = egress(options).reach?.(url, method);
  if (verdict?.allow !== false) throw new Error(`${url} was allowed`);
  return verdict;
}

describe('egress', () => {
  it('holds the URLs that a tool declares', () => {
    const guard = egress({ allow: ['a.test'] });
    expect(guard.name).toBe('egress');
    expect(guard.prepare?.({ tool: 'get', schema: undefined, urls: true })).toEqual({ urls: 'held' });
  });

  it('allows a call that declares no URL, and one whose URLs are all allowed', () => {
    const guard = egress({ allow: ['a.test', 'b.test'] });
    expect(guard.check?.(call())).toEqual({ allow: true });
    expect(guard.check?.(call('https://a.test/', 'https://b.test/x'))).toEqual({ allow: true });
  });

  it('refuses a call for the first of its URLs that may not be reached', () => {
    const guard = egress({ allow: ['a.test', { host: 'b.test', methods: ['GET'] }] });
    const denied = (...urls: readonly string[]) => guard.check?.(call(...urls));
    expect(denied('https://a.test/', 'http://a.test/', 'https://c.test/')).toMatchObject({ reason: 'scheme' });
    expect(denied('https://c.test/', 'http://a.test/')).toMatchObject({ reason: 'host-not-allowed' });
    expect(denied('https://b.test/')).toMatchObject({ code: 'EGRESS_DENIED', reason: 'method' });
    expect(guard.reach?.('https://b.test/', 'GET')).toEqual({ allow: true });
  });

  it('tells where a refused call wanted to go', () => {
    const target = (url: string) => denial({ allow: [] }, url).target;
    expect(target('https://a.test/x?y#z')).toEqual({ scheme: 'https', host: 'a.test', port: 443 });
    expect(target('ws://A.test.:8080')).toEqual({ scheme: 'ws', host: 'a.test', port: 8080 });
    expect(target('http://127.1')).toEqual({ scheme: 'http', host: '127.0.0.1', port: 80 });
    expect(target('http://[::0001]')).toEqual({ scheme: 'http', host: '[::1]', port: 80 });
    expect(target('https://user:pass@a.test/')).toEqual({ scheme: 'https', host: 'a.test', port: 443 });
    expect(target('file:///etc/passwd')).toEqual({ scheme: 'file', host: '', port: 0 });
    expect(target(`https://${'a.'.repeat(500)}test`)?.host).toHaveLength(253);
    expect(target(`${'a'.repeat(500)}:x`)?.scheme).toHaveLength(32);
    expect(target('no url')).toBeUndefined();
  });

  it.each([
    { name: 'host-not-allowed', url: 'https://b.test/', message: 'host b.test is not allowed' },
    { name: 'bad-host', url: 'https://a..test/', message: /^the URL is malformed, .*$/ },
    { name: 'scheme', url: 'http://a.test/', message: 'host a.test is not allowed over http' },
    { name: 'scheme', url: 'data:,canary', message: 'only http and https URLs are allowed' },
    { name: 'port', url: 'https://a.test:8443', message: 'host a.test is not allowed on port 8443' },
    { name: 'method', url: 'https://m.test/', message: /^host m\.test is not allowed with this HTTP method$/ },
    { name: 'path', url: 'https://p.test/', message: 'this path on host p.test is not allowed' },
  ])('says why: $name, $url', ({ name, url, message }) => {
    const allow = ['a.test', { host: 'm.test', methods: ['GET'] }, { host: 'p.test', path: '/v1' }];
    const denied = denial({ allow }, url, 'POST');
    expect(denied.reason).toBe(name);
    expect(denied.message).toMatch(message);
  });

  it('tells nothing of path, query, fragment, credentials and method', () => {
    const allow = ['a.test', { host: 'm.test', methods: ['GET'] }, { host: 'p.test', path: '/v1' }];
    const rest = '/canary?canary#canary';
    for (const url of [
      `https://b.test${rest}`,
      `http://a.test${rest}`,
      `https://a.test:1${rest}`,
      `https://m.test${rest}`,
      `https://p.test${rest}`,
      `https://p.test/%2f${rest}`,
      `https://canary:canary@a.test${rest}`,
      `https://*.test${rest}`,
      `https://a.test:canary${rest}`,
      `data:canary,${rest}`,
      `/relative${rest}`,
    ]) {
      expect(JSON.stringify(denial({ allow }, url, 'CANARY')), url).not.toMatch(/canary/i);
    }
  });

  it('has settings that depend on what the rules mean alone', () => {
    const options = (allow: EgressOptions['allow'], deny: EgressOptions['deny'] = []) =>
      egress({ allow, deny }).settings;
    const settings = options(['b.test', { host: 'a.test', methods: ['post', 'GET'], path: '/v1' }], ['c.test', '::1']);
    expect(settings).toEqual({
      allow: [{ host: 'https://a.test:443', methods: ['GET', 'POST'], path: '/v1' }, 'https://b.test:443'].sort(
        () => -1,
      ),
      deny: ['[::1]', 'c.test'],
      addresses: { allow: [], nat64: [], onMixed: 'deny' },
      enforce: 'scope',
      resolver: 'system',
      proxy: null,
      rawSockets: false,
      udp: false,
      childProcess: false,
      workers: false,
      unix: [],
    });
    expect(
      options(
        ['https://b.test', 'b.test', { host: 'a.test', path: '/v1', methods: ['GET', 'POST', 'post'] }],
        ['[::1]', 'c.test'],
      ),
    ).toEqual(settings);
    expect(JSON.parse(JSON.stringify(settings))).toEqual(settings);
    const parts = [
      { host: 'https://a.test:443', path: '/v1' },
      { host: 'https://b.test:443', methods: ['GET'] },
    ];
    expect(options(parts)).toMatchObject({ allow: parts });
    const addresses = { allow: ['::1', '10.0.0.0/8'], nat64: true, onMixed: 'filter' } as const;
    expect(egress({ allow: [], addresses }).settings).toMatchObject({
      addresses: { allow: ['10.0.0.0/8', '::1'], nat64: ['64:ff9b::/96'], onMixed: 'filter' },
    });
  });

  it.each([[undefined], ['127.0.0.1'], [[{ address: '127.0.0.1', family: 4 }]], [[null]], [['127.0.0.1', 1]]])(
    'takes no %j for the addresses of a name',
    async (answer) => {
      for (const resolver of [() => answer, async () => answer]) {
        const guard = egress({ allow: ['a.test'], resolver: resolver as never });
        const ask = async () => guard.egress?.resolver?.('a.test');
        await expect(ask()).rejects.toThrow('`egress.resolver` must give an array of addresses as text, got ');
      }
    },
  );

  it.each([{ give: (answers: string[]) => answers }, { give: async (answers: string[]) => answers }])(
    'passes on what a resolver gives',
    async ({ give }) => {
      const asked: string[] = [];
      const resolver = (host: string) => {
        asked.push(host);
        return give(['127.0.0.1', '::1']);
      };
      const guard = egress({ allow: ['a.test'], resolver });
      expect(await guard.egress?.resolver?.('a.test')).toEqual(['127.0.0.1', '::1']);
      expect(asked).toEqual(['a.test']);
      expect(guard.settings).toMatchObject({ resolver: 'own' });
      expect(egress({ allow: [] }).egress?.resolver).toBeUndefined();
    },
  );

  it.each(['rawSockets', 'udp', 'childProcess', 'workers'] as const)('opens %s where that is allowed', (option) => {
    const closed = { rawSockets: false, udp: false, childProcess: false, workers: false };
    for (const [choice, open] of [
      ['allow', true],
      ['deny', false],
    ] as const) {
      const { egress: held, settings } = egress({ allow: [], [option]: choice });
      expect(held).toMatchObject({ ...closed, [option]: open });
      expect(settings).toMatchObject({ ...closed, [option]: open });
    }
  });

  it('holds the paths of unix sockets as they are, and sorts them in its settings', () => {
    const guard = egress({ allow: [], unix: ['/run/b.sock', '/run/a.sock', '/run/b.sock'] });
    expect(guard.egress?.unix).toEqual(new Set(['/run/b.sock', '/run/a.sock']));
    expect(guard.settings).toMatchObject({ unix: ['/run/a.sock', '/run/b.sock'] });
  });

  describe('a connection', () => {
    const rules = { allow: ['a.test', 'http://b.test:8080', { host: 'm.test', methods: ['GET'] }], deny: ['c.test'] };
    const given = { host: 'a.test', port: 443, tls: true, requested: false } as const;
    const raw = (scheme: string, host: string, port: number) => ({
      allow: false,
      code: 'EGRESS_DENIED',
      reason: 'scheme',
      message: `host ${host} is not allowed over ${scheme}`,
      target: { scheme, host, port },
    });
    it.each([
      { name: 'of a request that was judged', options: {}, way: { requested: true }, verdict: { allow: true } },
      {
        name: 'to another host, of a request',
        options: {},
        way: { requested: true, host: 'x.test' },
        verdict: { reason: 'host-not-allowed' },
      },
      { name: 'of its own by TLS', options: {}, way: {}, verdict: raw('tls', 'a.test', 443) },
      {
        name: 'of its own by TCP',
        options: {},
        way: { host: 'b.test', port: 8080, tls: false },
        verdict: raw('tcp', 'b.test', 8080),
      },
      {
        name: 'of its own to another host',
        options: {},
        way: { host: 'x.test' },
        verdict: { reason: 'host-not-allowed' },
      },
      { name: 'of its own, allowed', options: { rawSockets: 'allow' }, way: {}, verdict: { allow: true } },
      {
        name: 'of its own, allowed, to another host',
        options: { rawSockets: 'allow' },
        way: { host: 'x.test' },
        verdict: { reason: 'host-not-allowed' },
      },
      {
        name: 'of its own, allowed, to a host with methods',
        options: { rawSockets: 'allow' },
        way: { host: 'm.test' },
        verdict: { reason: 'method' },
      },
    ] as const)('is judged: $name', ({ options, way, verdict }) => {
      expect(egress({ ...rules, ...options }).egress?.connection({ ...given, ...way })).toMatchObject(verdict);
    });
  });

  it('resolves the names alone that may be reached', () => {
    const { egress: held } = egress({ allow: ['a.test', '*.b.test'], deny: ['c.b.test'] });
    expect(['a.test', 'd.b.test'].map((host) => held?.name(host))).toEqual([{ allow: true }, { allow: true }]);
    for (const host of ['x.test', 'c.b.test']) {
      expect(held?.name(host)).toEqual({
        allow: false,
        code: 'EGRESS_DENIED',
        reason: 'host-not-allowed',
        message: `host ${host} is not allowed`,
        target: { scheme: 'dns', host, port: 0 },
      });
    }
  });

  describe('the addresses of a name', () => {
    const target = { scheme: 'https', host: 'a.test', port: 443 } as const;
    it.each([
      { name: 'a public one', answers: ['8.8.8.8'], verdict: { allow: true, addresses: ['8.8.8.8'] } },
      {
        name: 'public ones',
        answers: ['8.8.8.8', '2001:4860:4860::8888'],
        verdict: { allow: true, addresses: ['8.8.8.8', '2001:4860:4860::8888'] },
      },
      {
        name: 'one that is not',
        answers: ['8.8.8.8', '10.0.0.1', '127.0.0.1'],
        verdict: {
          allow: false,
          code: 'EGRESS_DENIED',
          reason: 'address:private',
          target: { ...target, addr: '10.0.0.1' },
        },
      },
    ])('are judged: $name', ({ answers, verdict }) => {
      expect(egress({ allow: ['a.test'] }).egress?.addresses(target, answers)).toMatchObject(verdict);
    });
    it('are without those that may not be dialled where that is wanted', () => {
      const { egress: held } = egress({ allow: ['a.test'], addresses: { onMixed: 'filter' } });
      expect(held?.addresses(target, ['10.0.0.1', '8.8.8.8'])).toEqual({ allow: true, addresses: ['8.8.8.8'] });
    });
  });

  it('judges the address that a URL holds', () => {
    const reason = (options: EgressOptions, url: string) => {
      const verdict = egress(options).check?.(call(url));
      return verdict !== undefined && 'reason' in verdict ? verdict.reason : verdict;
    };
    expect(reason({ allow: ['0.0.0.0/0'] }, 'https://8.8.8.8/')).toEqual({ allow: true });
    expect(reason({ allow: ['0.0.0.0/0'] }, 'https://127.1/')).toBe('address:loopback');
    expect(reason({ allow: ['0.0.0.0/0'] }, 'https://169.254.169.254/')).toBe('address:cloud-metadata');
    expect(reason({ allow: ['0.0.0.0/0'], addresses: { allow: ['127.0.0.0/8'] } }, 'https://127.1/')).toEqual({
      allow: true,
    });
    expect(reason({ allow: ['127.0.0.0/8'] }, 'https://127.1/')).toEqual({ allow: true });
  });

  it('warns once of all wildcards below which anybody can have a host', () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    try {
      egress({
        allow: ['*.example.com', 'acme.vercel.app', '*.acme.github.io', '10.0.0.0/8'],
        deny: ['*.vercel.app', '*.amazonaws.com'],
      });
      expect(warned).not.toHaveBeenCalled();
      const allow = ['*.vercel.app', { host: 'http://*.amazonaws.com:8080', path: '/v1' }, 'https://*.vercel.app:8443'];
      egress({ allow: [...allow, '*.example.com'] });
      expect(warned.mock.calls).toEqual([
        [
          "`egress.allow` holds '*.vercel.app', '*.amazonaws.com', below which anybody can have a host: name the hosts that you mean",
          { code: 'LEASHKIT_SHARED_HOST' },
        ],
      ]);
    } finally {
      warned.mockRestore();
    }
  });

  it('does not follow changes of its options', () => {
    const methods = ['GET'];
    const allow: { host: string; methods: string[] }[] = [{ host: 'a.test', methods }];
    const guard = egress({ allow });
    methods.push('POST');
    allow.push({ host: 'b.test', methods });
    expect(guard.reach?.('https://a.test/', 'POST')).toMatchObject({ reason: 'method' });
    expect(guard.reach?.('https://b.test/', 'GET')).toMatchObject({ reason: 'host-not-allowed' });
  });

  it.each<{ name: string; options: unknown; error?: typeof TypeError | typeof RangeError; message: string }>([
    { name: 'nothing', options: undefined, message: 'egress expects an options object' },
    { name: 'an array', options: ['a.test'], message: 'egress expects an options object' },
    { name: 'no allow', options: {}, message: '`egress.allow` must be an array' },
    { name: 'allow as a string', options: { allow: 'a.test' }, message: '`egress.allow` must be an array' },
    { name: 'deny as a string', options: { allow: [], deny: 'a.test' }, message: '`egress.deny` must be an array' },
    { name: 'deny null', options: { allow: [], deny: null }, message: '`egress.deny` must be an array' },
    { name: 'a hole', options: { allow: Array(1) }, message: '`egress.allow[0]` must be a host or { host,' },
    { name: 'an unknown option', options: { allow: [], allows: [] }, message: 'unknown option `allows`' },
    ...['rawSockets', 'udp', 'childProcess', 'workers'].flatMap((option) =>
      [true, null, 'Allow'].map((value) => ({
        name: `${option} ${value}`,
        options: { allow: [], [option]: value },
        message: `\`egress.${option}\` must be 'deny' or 'allow', got `,
      })),
    ),
    {
      name: 'a resolver that is none',
      options: { allow: [], resolver: '127.0.0.1' },
      message: '`egress.resolver` must be a function',
    },
    {
      name: 'unix as a string',
      options: { allow: [], unix: '/run/a.sock' },
      message: '`egress.unix` must be an array',
    },
    { name: 'an empty unix path', options: { allow: [], unix: [''] }, message: '`egress.unix[0]` must be the path' },
    {
      name: 'a unix path of bytes',
      options: { allow: [], unix: ['/a', Buffer.of(47)] },
      message: '`egress.unix[1]` must be',
    },
    ...['proxy.test', 'socks5://proxy.test', 'http://proxy.test/path', 'http://proxy.test?a', 3128, null].map(
      (proxy) => ({
        name: `proxy ${proxy}`,
        options: { allow: [], proxy },
        message: '`egress.proxy` must be an origin such as',
      }),
    ),
    {
      name: 'addresses as a list',
      options: { allow: [], addresses: ['10.0.0.0/8'] },
      message: '`egress.addresses` expects an options object',
    },
    {
      name: 'an unknown key of addresses',
      options: { allow: [], addresses: { allowed: [] } },
      message: '`egress.addresses`: unknown option `allowed`',
    },
    {
      name: 'an address that is not canonical',
      options: { allow: [], addresses: { allow: ['127.1'] } },
      message: "`egress.addresses.allow[0]` must be written in its canonical form '127.0.0.1', got '127.1'",
    },
    {
      name: 'another enforce',
      options: { allow: [], enforce: 'calls' },
      message: "`egress.enforce` must be 'declared' or 'scope' or 'process', got 'calls'",
    },
    { name: 'enforce null', options: { allow: [], enforce: null }, message: '`egress.enforce` must be' },
    {
      name: 'a bad rule',
      options: { allow: ['a.test', 'B.test'] },
      message: "`egress.allow[1]` must be written in its canonical form 'b.test'",
    },
    { name: 'a bad deny rule', options: { allow: [], deny: ['*'] }, message: '`egress.deny[0]`' },
    { name: 'a rule null', options: { allow: [null] }, message: '`egress.allow[0]` must be a host or { host,' },
    {
      name: 'a rule without host',
      options: { allow: [{ path: '/' }] },
      message: '`egress.allow[0].host` must be a string',
    },
    {
      name: 'an unknown key of a rule',
      options: { allow: [{ host: 'a.test', paths: [] }] },
      message: '`egress.allow[0]`: unknown option `paths`',
    },
    {
      name: 'methods as a string',
      options: { allow: [{ host: 'a.test', methods: 'GET' }] },
      message: '`egress.allow[0].methods` must be an array',
    },
    {
      name: 'no methods',
      options: { allow: [{ host: 'a.test', methods: [] }] },
      error: RangeError,
      message: '`egress.allow[0].methods` is empty',
    },
    {
      name: 'no method',
      options: { allow: [{ host: 'a.test', methods: [''] }] },
      message: '`egress.allow[0].methods[0]`',
    },
    {
      name: 'a method with a space',
      options: { allow: [{ host: 'a.test', methods: ['GET '] }] },
      message: '`egress.allow[0].methods[0]`',
    },
    {
      name: 'a method with one in front',
      options: { allow: [{ host: 'a.test', methods: [' GET'] }] },
      message: '`egress.allow[0].methods[0]`',
    },
    {
      name: 'a method that is a number',
      options: { allow: [{ host: 'a.test', methods: [1] }] },
      message: '`egress.allow[0].methods[0]`',
    },
    {
      name: 'a relative path',
      options: { allow: [{ host: 'a.test', path: 'v1' }] },
      message: "`egress.allow[0].path` must be a path that starts with '/'",
    },
    {
      name: 'a path that is a number',
      options: { allow: [{ host: 'a.test', path: 1 }] },
      message: "`egress.allow[0].path` must be a path that starts with '/'",
    },
    {
      name: 'an empty path',
      options: { allow: [{ host: 'a.test', path: '' }] },
      message: '`egress.allow[0].path` must be',
    },
    {
      name: 'a path with ..',
      options: { allow: [{ host: 'a.test', path: '/a/../b' }] },
      message: "its canonical form '/b'",
    },
    {
      name: 'a path with a query',
      options: { allow: [{ host: 'a.test', path: '/a?b' }] },
      message: "its canonical form '/a'",
    },
    {
      name: 'a path with a space',
      options: { allow: [{ host: 'a.test', path: '/a b' }] },
      message: "its canonical form '/a%20b'",
    },
    {
      name: 'a path with %2f',
      options: { allow: [{ host: 'a.test', path: '/a%2fb' }] },
      message: '`egress.allow[0].path` must hold no escaped',
    },
    { name: 'a bad host in a rule', options: { allow: [{ host: 'a.test/v1' }] }, message: '`egress.allow[0].host`' },
    {
      name: 'a port out of range',
      options: { allow: ['a.test:65536'] },
      error: RangeError,
      message: '`egress.allow[0]` must name a port',
    },
  ])('does not construct with $name', ({ options, error = TypeError, message }) => {
    const construct = () => egress(options as EgressOptions);
    expect(construct).toThrow(error);
    expect(construct).toThrow(message);
  });
});
