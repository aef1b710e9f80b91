/**
 * Reaches for a server by every client that takes proxies of the environment, in a call and outside of one, and tells what
 * came of it. Run by test/held/environment-proxy.test.ts.
 */
import http from 'node:http';
import https from 'node:https';
import { createLeash, egress, findLeashError } from 'leashkit';
import { leashDispatcher, leashFetch } from 'leashkit/undici';
import * as undici8 from 'undici';
import * as undici7 from 'undici-7';

const [, , server = '', ownProxy = ''] = process.argv;
const url = `http://a.test:${server}/x`;
const secure = `https://a.test:${server}/x`;
const lookup = (_: string, options: { all?: boolean }, done: (...answer: unknown[]) => void): void =>
  options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4);

const leash = createLeash({
  guards: [
    egress({
      allow: [`http://a.test:${server}`, `https://a.test:${server}`],
      resolver: () => ['127.0.0.1'],
      addresses: { allow: ['127.0.0.1'] },
      ...(ownProxy === '' ? {} : { proxy: ownProxy }),
    }),
  ],
});

const get = (module: typeof http | typeof https, to: string, agent?: http.Agent): Promise<string> =>
  new Promise((resolve, reject) => {
    const options = { lookup, ...(agent === undefined ? {} : { agent }) } as http.RequestOptions;
    module.get(to, options, (response) => void response.resume().on('end', () => resolve('done'))).on('error', reject);
  });
const proxyEnv = { HTTP_PROXY: process.env['HTTP_PROXY'] ?? process.env['http_proxy'] };
const { setGlobalProxyFromEnv } = http as { setGlobalProxyFromEnv?: (environment?: object) => () => void };

const clients: Record<string, () => Promise<unknown>> = {
  fetch: () => fetch(url),
  'fetch over TLS': () => fetch(secure),
  'node:http': () => get(http, url),
  'node:https': () => get(https, secure),
  'an agent with proxyEnv': () => get(http, url, new http.Agent({ proxyEnv } as object)),
  'EnvHttpProxyAgent of undici 8': () => undici8.request(url, { dispatcher: new undici8.EnvHttpProxyAgent() }),
  'EnvHttpProxyAgent of undici 7': () => undici7.request(url, { dispatcher: new undici7.EnvHttpProxyAgent() }),
  'leash.fetch': async () => (await leash.fetch(url)).text(),
  leashFetch: async () => (await leashFetch(leash)(url)).text(),
  leashDispatcher: async () => (await undici8.request(url, { dispatcher: leashDispatcher(leash) })).body.text(),
};
if (setGlobalProxyFromEnv !== undefined) {
  clients['setGlobalProxyFromEnv'] = () => {
    const restore = setGlobalProxyFromEnv();
    return Promise.all([fetch(url), leash.fetch(url)]).finally(restore);
  };
}

async function outcome(work: () => Promise<unknown>): Promise<unknown> {
  try {
    const answer = await work();
    return typeof answer === 'string' ? answer : 'done';
  } catch (error) {
    const { code, reason, message } = (findLeashError(error) ?? {}) as Record<string, unknown>;
    return code === undefined ? String(error) : { code, reason, message };
  }
}

const told: Record<string, unknown> = {};
for (const [name, client] of Object.entries(clients)) {
  told[name] = await leash.run({ tool: 't' }, () => outcome(client));
  await new Promise(setImmediate);
}
told['leash.fetch outside'] = await outcome(async () => (await leash.fetch(url)).text());
told['fetch outside'] = await outcome(async () => (await fetch(`http://127.0.0.1:${server}/outside`)).status);
process.stdout.write(JSON.stringify(told));
process.exit();
