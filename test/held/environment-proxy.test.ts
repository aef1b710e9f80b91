import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { environmentProxyAt } from '../../src/egress/policy/environment-proxy.ts';
import { type Place, startPlace } from '../helpers/places.ts';
import { startProxy, type TestProxy } from '../helpers/proxy.ts';

const program = fileURLToPath(new URL('../helpers/environment-proxy-child.ts', import.meta.url));

let place: Place;
let proxy: TestProxy;
beforeAll(async () => {
  [place, proxy] = await Promise.all([startPlace(), startProxy()]);
});
afterAll(async () => {
  await Promise.all([place[Symbol.asyncDispose](), proxy[Symbol.asyncDispose]()]);
});
afterEach(() => {
  proxy.asked.length = 0;
  place.asked.length = 0;
});

type Told = Record<string, string | { readonly code: string; readonly reason: string; readonly message: string }>;

async function run(environment: Record<string, string>, own = ''): Promise<Told> {
  const env = { PATH: process.env['PATH'], ...environment };
  const { stdout } = await promisify(execFile)(process.execPath, [program, String(place.port), own], { env });
  return JSON.parse(stdout);
}

const others = [
  'fetch',
  'fetch over TLS',
  'node:http',
  'node:https',
  'an agent with proxyEnv',
  'setGlobalProxyFromEnv',
];
const agents = ['EnvHttpProxyAgent of undici 8', 'EnvHttpProxyAgent of undici 7'];
const owns = ['leash.fetch', 'leashFetch', 'leashDispatcher', 'leash.fetch outside'];

/** Each was refused, and the message says why and what to do. */
function expectRefused(told: Told, names: readonly string[]): void {
  for (const name of names) {
    if (!(name in told)) continue;
    expect(told[name], name).toMatchObject({ code: 'EGRESS_DENIED' });
    const { message } = told[name] as { message: string };
    expect(message, name).toMatch(/environment.*egress\(\{ proxy \}\).*leash\.fetch/);
  }
}

describe('a proxy of the environment', () => {
  it.each([
    { name: 'in capitals', names: ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'] },
    { name: 'in small letters', names: ['http_proxy', 'https_proxy', 'no_proxy'] },
  ])(
    'is used by nobody in a call, and by all others outside: $name',
    async ({ names: [http = '', https = '', no = ''] }) => {
      const own = `http://secretuser:secretpass@127.0.0.1:${proxy.port}`;
      const told = await run({ NODE_USE_ENV_PROXY: '1', [http]: own, [https]: own, [no]: 'localhost' });
      expectRefused(told, [...others, ...agents]);
      for (const name of owns) expect(told[name], name).toBe('/x');
      expect(JSON.stringify(told)).not.toMatch(/secret|c2VjcmV0/);
      // One request alone came to it, in whatever form this version of Node gives it.
      expect(proxy.asked).toEqual([expect.stringContaining(`127.0.0.1:${place.port}`)]);
      expect(new Set(place.asked)).toEqual(
        new Set([`a.test:${place.port}/x`, ...place.asked.filter((x) => x.includes('outside'))]),
      );
    },
  );

  it('is told of by its variable where nothing else shows that it is one', async () => {
    const told = await run({ NODE_USE_ENV_PROXY: '1', HTTPS_PROXY: proxy.origin });
    const { message } = told['node:https'] as { message: string };
    expect(message).toContain('HTTPS_PROXY names a proxy; proxies of the environment are not used inside a leash');
    expect(told['fetch']).toBe('done');
  });

  it('is none for names that go past it', async () => {
    const told = await run({ NODE_USE_ENV_PROXY: '1', HTTP_PROXY: proxy.origin, NO_PROXY: 'a.test' });
    for (const name of ['fetch', 'node:http', ...agents]) expect(told[name], name).toBe('done');
    for (const name of owns) expect(told[name], name).toBe('/x');
  });

  it('is none of Node without NODE_USE_ENV_PROXY, and refused to those who ask for it', async () => {
    const told = await run({ HTTP_PROXY: proxy.origin });
    expect(told).toMatchObject({ fetch: 'done', 'node:http': 'done' });
    expectRefused(told, [...agents, 'an agent with proxyEnv', 'setGlobalProxyFromEnv']);
    for (const name of owns) expect(told[name], name).toBe('/x');
  });

  it('is no way around that of the leash', async () => {
    await using own = await startProxy();
    const told = await run(
      { NODE_USE_ENV_PROXY: '1', HTTP_PROXY: proxy.origin, HTTPS_PROXY: proxy.origin },
      own.origin,
    );
    for (const name of [...others, ...agents]) {
      if (name in told) expect(told[name], name).toMatchObject({ code: 'EGRESS_DENIED' });
    }
    for (const name of owns) expect(told[name], name).toBe('/x');
    expect(new Set(own.asked)).toEqual(new Set([`CONNECT a.test:${place.port}`]));
    expect(proxy.asked).toHaveLength(1);
  });
});

describe('environmentProxyAt', () => {
  const saved = { ...process.env };
  afterEach(() => {
    process.env = { ...saved };
  });

  it.each([
    { variable: 'HTTP_PROXY', value: 'http://Proxy.test:3128', host: 'proxy.test', port: 3128 },
    { variable: 'https_proxy', value: 'https://u:p@proxy.test', host: 'proxy.test', port: 443 },
    { variable: 'ALL_PROXY', value: 'proxy.test', host: 'proxy.test.', port: 80 },
    { variable: 'http_proxy', value: 'http://[::1]:8080/', host: '[::1]', port: 8080 },
    { variable: 'HTTPS_PROXY', value: 'http://127.1:8080', host: '127.0.0.1', port: 8080 },
  ])('finds $variable=$value', ({ variable, value, host, port }) => {
    process.env = { [variable]: value };
    expect(environmentProxyAt(host, port)).toBe(variable);
    expect(environmentProxyAt(host, port + 1)).toBeUndefined();
    expect(environmentProxyAt(`x${host}`, port)).toBeUndefined();
  });

  it.each(['', 'http://', 'http://a..b', '%', 'http://:80'])('finds none in %o', (value) => {
    process.env = { HTTP_PROXY: value };
    expect(environmentProxyAt('', 80)).toBeUndefined();
    expect(environmentProxyAt('proxy.test', 80)).toBeUndefined();
  });
});
