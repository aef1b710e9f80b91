import type { LookupFunction } from 'node:net';
import type * as Undici from 'undici';
import { type Attack, family, type Scene } from '../attack.ts';
import { text } from '../outcome.ts';

/** The built-in `fetch` with a dispatcher that the tool brings. */
const via = (url: string | Request, dispatcher: unknown): Promise<string> => text(fetch(url, { dispatcher } as RequestInit));
/** The same with the `fetch` of the dispatcher's own copy. */
const own = ({ undici }: Scene, url: string, dispatcher: Undici.Dispatcher): Promise<string> => text(undici.fetch(url, { dispatcher }));

/** The class of the runtime's own dispatcher, with which a tool needs no undici from npm. */
function RuntimeAgent(options?: object): unknown {
  const global = globalThis as unknown as Record<symbol, { constructor: new (options?: object) => unknown }>;
  // The copy inside Node is loaded by need, and only then is the symbol there.
  void globalThis.Response;
  const symbols = ['undici.globalDispatcher.2', 'undici.globalDispatcher.1'].map((name) => Symbol.for(name));
  const found = symbols.map((symbol) => global[symbol]).find((dispatcher) => dispatcher !== undefined);
  return Reflect.construct(found?.constructor as new (options?: object) => unknown, [options]);
}

export const dispatcherAttacks: readonly Attack[] = [
  ...family(
    'fetch with a dispatcher',
    ['undici-requests', 'sockets'],
    [
      ["the runtime's Agent", 'host-not-allowed', ({ evil }) => via(evil.http, RuntimeAgent()), { control: 'varies' }],
      ["the runtime's Agent in a Request", 'host-not-allowed', ({ evil }) => text(fetch(new Request(evil.http, { dispatcher: RuntimeAgent() } as RequestInit))), { control: 'varies' }],
      ["the runtime's Agent with another lookup", 'held', ({ good }) => via(good.http, RuntimeAgent({ connect: { lookup: lying('::1') } })), { layers: ['sockets'], control: 'varies' }],
      ["the runtime's Agent to a unix socket", 'unix-socket', ({ evil, good }) => via(good.http, RuntimeAgent({ connect: { socketPath: evil.path } })), { layers: ['sockets'], control: 'varies' }],
      // Between two generations of undici this fails by itself, or forgets redirects.
      ['an Agent from npm', 'held', ({ undici, evil }) => via(evil.http, new undici.Agent()), { npm: true, control: 'varies' }],
      ['an Agent from npm in a Request', 'held', ({ undici, evil }) => via(new Request(evil.http, { dispatcher: new undici.Agent() } as unknown as RequestInit), undefined), { npm: true, control: 'varies' }],
      ['an Agent from npm through a redirect', 'held', ({ undici, good, evil }) => via(good.hop(302, evil.http), new undici.Agent()), { npm: true, control: 'varies' }],
    ],
  ),
  ...family(
    'undici.fetch',
    ['undici-requests', 'sockets'],
    [
      ['a name', 'host-not-allowed', ({ undici, evil }) => text(undici.fetch(evil.http))],
      ['an address', 'host-not-allowed', ({ undici, evil }) => text(undici.fetch(evil.address.http))],
      ['through a redirect', 'host-not-allowed', ({ undici, good, evil }) => text(undici.fetch(good.hop(302, evil.http)))],
      ['a Request with an Agent', 'host-not-allowed', ({ undici, evil }) => text(undici.fetch(new undici.Request(evil.http, { dispatcher: new undici.Agent() })))],
      ['an Agent', 'host-not-allowed', (scene) => own(scene, scene.evil.http, new scene.undici.Agent())],
      ['a Client', 'host-not-allowed', (scene) => own(scene, scene.evil.http, new scene.undici.Client(scene.evil.http))],
      ['a Pool', 'host-not-allowed', (scene) => own(scene, scene.evil.http, new scene.undici.Pool(scene.evil.http))],
      ['a Client of another origin than the URL', 'host-not-allowed', (scene) => own(scene, scene.good.http, new scene.undici.Client(scene.evil.http))],
      ['an Agent whose connections go elsewhere', 'host-not-allowed', (scene) => own(scene, scene.good.http, elsewhere(scene)), { layers: ['sockets'] }],
      ['a global dispatcher of its own', 'host-not-allowed', replacingGlobal],
      ['an EnvHttpProxyAgent to a proxy', 'host-not-allowed', (scene) => own(scene, scene.good.http, new scene.undici.EnvHttpProxyAgent({ httpProxy: scene.evil.http, noProxy: '' }))],
    ],
    { npm: true },
  ),
];

/** A lookup that knows better. */
export function lying(address: string): LookupFunction {
  return (_, options, done) => {
    const family = address.includes(':') ? 6 : 4;
    setImmediate(() => (options.all ? done(null, [{ address, family }]) : done(null, address, family)));
  };
}

/** An agent that is asked for one host and connects to another. */
function elsewhere({ undici, evil }: Scene): Undici.Agent {
  const connect = undici.buildConnector({});
  return new undici.Agent({
    connect: (options, done) => connect({ ...options, hostname: evil.host, host: evil.authority, port: String(evil.port) }, done),
  });
}

async function replacingGlobal({ undici, evil }: Scene): Promise<unknown> {
  const before = undici.getGlobalDispatcher();
  undici.setGlobalDispatcher(new undici.Agent());
  try {
    return await text(undici.fetch(evil.http));
  } finally {
    undici.setGlobalDispatcher(before);
  }
}
