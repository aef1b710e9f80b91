import { type Attack, family, type Row } from '../attacks/attack.ts';
import { answered, opened, text } from '../attacks/outcome.ts';

/**
 * Clients from npm, as their READMEs say that they are used: none of them knows of the leash, or is told. Each asks for a
 * name that is allowed, one that is not and an address, and is redirected by the allowed host.
 */

// biome-ignore lint/suspicious/noExplicitAny: a manifest of their own has them, which the root's types do not see.
type Package = any;

const load = async (name: string): Promise<Package> => {
  const module = (await import(name)) as { default?: unknown };
  return module.default ?? module;
};
const named = (name: string): Promise<Package> => import(name);

const [axios, { default: got }, { default: fetchOfNode }, superagent, { default: ky }, { WebSocket }, needle] =
  await Promise.all([
    load('axios'),
    named('got'),
    named('node-fetch'),
    load('superagent'),
    named('ky'),
    named('ws'),
    load('needle'),
  ]);
const [AgentKeepAlive, { useAgent }, followRedirects, { ofetch }, makeFetchHappen, { EventSource }] = await Promise.all(
  [
    load('agentkeepalive'),
    named('request-filtering-agent'),
    load('follow-redirects'),
    named('ofetch'),
    load('make-fetch-happen'),
    named('eventsource'),
  ],
);
const copies: Readonly<Record<string, Package>> = Object.fromEntries(
  await Promise.all(
    ['undici-5', 'undici-6', 'undici-7', 'undici-8'].map(async (name) => [name, await load(name)] as const),
  ),
);

type Get = (url: string) => unknown;

interface Manner {
  /** It hides why it failed. */
  readonly quiet?: true;
  /** It leaves redirects to its caller. */
  readonly redirects?: boolean;
}

/** What a client is asked for. */
function client(name: string, get: Get, { quiet, redirects = true }: Manner = {}): readonly Attack[] {
  const rows: readonly Row[] = [
    ['an allowed name', 'answers', ({ good }) => get(good.http), { goal: 'good' }],
    ['a name', 'host-not-allowed', ({ evil }) => get(evil.http)],
    ['an address', 'host-not-allowed', ({ evil }) => get(evil.address.http)],
  ];
  const redirect: Row = ['a redirect', 'host-not-allowed', ({ good, evil }) => get(good.hop(302, evil.http))];
  return family(name, [], redirects ? [...rows, redirect] : rows, quiet ? { quiet } : {});
}

const body = async (response: Promise<Package>): Promise<unknown> => (await response).body.text();

export const attacks: readonly Attack[] = [
  ...client('axios', (url) => axios.get(url)),
  ...client('axios with its fetch adapter', (url) => axios.get(url, { adapter: 'fetch' })),
  ...client('got', (url) => got(url, { retry: { limit: 0 } }).text()),
  ...client('node-fetch', (url) => text(fetchOfNode(url)), { quiet: true }),
  ...client('superagent', (url) => superagent.get(url)),
  ...client('ky', (url) => ky(url, { retry: 0 }).text()),
  ...client('needle', (url) => needle('get', url, { follow_max: 3 })),
  ...client('ofetch', (url) => ofetch(url, { retry: 0 })),
  ...client('make-fetch-happen', (url) => text(makeFetchHappen(url, { retry: false })), { quiet: true }),
  ...client('follow-redirects', (url) => answered(followRedirects.http.get(url))),
  ...client('agentkeepalive', (url) => answered(followRedirects.http.get(url, { agent: new AgentKeepAlive() }))),
  ...client('request-filtering-agent', (url) =>
    answered(followRedirects.http.get(url, { agent: useAgent(url, { allowPrivateIPAddress: true }) })),
  ),
  ...client('ws', (url) => opened(new WebSocket(url.replace('http', 'ws'), { followRedirects: true }))),
  ...client('eventsource', (url) => opened(new EventSource(url)), { quiet: true }),
  ...Object.entries(copies).flatMap(([name, undici]) => [
    ...client(`${name} request`, (url) => body(undici.request(url)), { redirects: false }),
    ...client(`${name} fetch`, (url) => text(undici.fetch(url))),
  ]),
];
