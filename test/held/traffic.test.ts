import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { LookupFunction } from 'node:net';
import * as undici8 from 'undici';
import * as undici7 from 'undici-7';
import { expect, it } from 'vitest';
import { findLeashError } from '../../src/errors.ts';
import type { Leash } from '../../src/leash-contract.ts';
import { type EgressLine, type HeldLeash, holdWith } from '../helpers/held-leash.ts';
import { httpGet, openWebSocket } from '../helpers/http-get.ts';
import { certificate, startPlace, startSecurePlace } from '../helpers/places.ts';

/** `npm run test:egress-traffic` asks for 10 000. */
const REQUESTS = Number(process.env['LEASH_TRAFFIC'] ?? 1_000);
const AT_ONCE = 48;
const { cert: ca } = certificate;

const ADDRESSES: Readonly<Record<string, string>> = {
  'a.test': '127.0.0.1',
  'b.test': '127.0.0.2',
  localhost: '127.0.0.1',
};
/** What code outside of every leash has its clients look names up with. */
const lookup: LookupFunction = (name, { all }, callback) => {
  const address = ADDRESSES[name] ?? '127.0.0.1';
  if (all) callback(null, [{ address, family: 4 }]);
  else callback(null, address, 4);
};

interface Party {
  readonly name: string;
  readonly held?: HeldLeash;
  /** The hosts that it may reach; those that it asks for are all. */
  readonly may: readonly string[];
}

interface Client {
  readonly name: string;
  readonly scheme: 'http' | 'https';
  /** Where it looks names up as the system does. */
  readonly plainLookup?: boolean;
  get(url: string): Promise<string>;
}

/** Repeatable: a failure shows the same requests again. */
function* numbers(): Generator<number, never> {
  for (let state = 1; ; ) {
    state = (state * 48_271) % 2_147_483_647;
    yield state;
  }
}

it('requests of two leashes and of none, through the same clients, are each judged by their own', {
  timeout: 120_000,
}, async () => {
  const secondAddress = { address: '127.0.0.2' };
  await using plainA = await startPlace();
  await using secureA = await startSecurePlace();
  await using plainB = await startPlace(secondAddress);
  await using secureB = await startSecurePlace(secondAddress);
  const places = { 'a.test': [plainA, secureA], localhost: [plainA, secureA], 'b.test': [plainB, secureB] } as const;
  type Host = keyof typeof places;
  const originOf = (scheme: string, host: Host): string =>
    `${scheme}://${host}:${places[host][scheme === 'https' ? 1 : 0].port}`;
  const party = (name: string, address: string, may: readonly Host[]): Party => ({
    name,
    may,
    held: holdWith({
      allow: may.flatMap((host) => [originOf('http', host), originOf('https', host)]),
      addresses: { allow: [address] },
      resolver: (host) => [ADDRESSES[host] ?? '10.0.0.1'],
    }),
  });
  const parties: readonly Party[] = [
    party('one', '127.0.0.1', ['a.test', 'localhost']),
    party('two', '127.0.0.2', ['b.test']),
    { name: 'nobody', may: ['a.test', 'b.test', 'localhost'] },
  ];

  const agents = {
    undici7: new undici7.Agent({ connect: { lookup, ca } }),
    undici8: new undici8.Agent({ connect: { lookup, ca } }),
    http: new HttpAgent({ keepAlive: true, maxSockets: 4 }),
    https: new HttpsAgent({ keepAlive: true, maxSockets: 4, ca }),
  };
  const bodyOf = async (answer: Promise<{ body: { text(): Promise<string> } }>) => (await answer).body.text();
  const textOf = async (answer: Promise<{ text(): Promise<string> }>) => (await answer).text();
  const { undici7: dispatcher7, undici8: dispatcher8 } = agents;
  const clients: readonly Client[] = [
    { name: 'fetch', scheme: 'http', plainLookup: true, get: (url) => textOf(fetch(url)) },
    {
      name: 'WebSocket',
      scheme: 'http',
      plainLookup: true,
      get: (url) => openWebSocket(url.replace('http', 'ws')).then(() => new URL(url).pathname),
    },
    {
      name: 'undici 7 request',
      scheme: 'http',
      get: (url) => bodyOf(undici7.request(url, { dispatcher: dispatcher7 })),
    },
    {
      name: 'undici 7 request, TLS',
      scheme: 'https',
      get: (url) => bodyOf(undici7.request(url, { dispatcher: dispatcher7 })),
    },
    { name: 'undici 7 fetch', scheme: 'http', get: (url) => textOf(undici7.fetch(url, { dispatcher: dispatcher7 })) },
    {
      name: 'undici 8 request',
      scheme: 'http',
      get: (url) => bodyOf(undici8.request(url, { dispatcher: dispatcher8 })),
    },
    {
      name: 'undici 8 fetch, TLS',
      scheme: 'https',
      get: (url) => textOf(undici8.fetch(url, { dispatcher: dispatcher8 })),
    },
    { name: 'http with an agent', scheme: 'http', get: (url) => httpGet(url, { agent: agents.http, lookup }) },
    { name: 'http with the global agent', scheme: 'http', get: (url) => httpGet(url, { lookup }) },
    { name: 'https with an agent', scheme: 'https', get: (url) => httpGet(url, { agent: agents.https, lookup }) },
    { name: 'https with the global agent', scheme: 'https', get: (url) => httpGet(url, { ca, lookup }) },
  ];

  const wrong: string[] = [];
  const expectedAt = new Map<string, string>();
  const random = numbers();
  const pick = <T>(all: readonly T[]): T => all[random.next().value % all.length] as T;

  const one = async (i: number): Promise<void> => {
    const [client, { name, held, may }] = [pick(clients), pick(parties)];
    const host: Host = client.plainLookup && held === undefined ? 'localhost' : pick(Object.keys(places) as Host[]);
    const path = `/${i}`;
    const url = `${originOf(client.scheme, host)}${path}`;
    const what = `${i}: ${name} by ${client.name} to ${host}`;
    const run = () => client.get(url);
    const leash: Leash | undefined = held?.leash;
    const result = await (leash === undefined ? run() : leash.run({ tool: `t${i}`, args: {} }, run)).catch(
      (error: unknown) => (findLeashError(error)?.code ?? error) as unknown,
    );
    const allowed = may.includes(host);
    if (allowed) expectedAt.set(path, `${host}:${new URL(url).port}`);
    // A WebSocket does not say why it failed.
    const right = allowed ? result === path : result === 'EGRESS_DENIED' || client.name === 'WebSocket';
    if (!right) wrong.push(`${what}: ${String(result)}`);
    if (held === undefined) return;
    sent.set(`t${i}`, {
      what,
      kind: allowed ? 'egress_ok' : 'egress_denied',
      host,
      addr: allowed ? ADDRESSES[host] : undefined,
    });
  };
  const sent = new Map<
    string,
    Partial<Pick<EgressLine, 'kind' | 'host'>> & { readonly what: string; readonly addr: string | undefined }
  >();

  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < REQUESTS) await one(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));

  for (const { held } of parties) {
    await held?.leash.close();
    for (const line of held?.lines() ?? []) {
      const { what, kind, host, addr } = sent.get(line.tool ?? '') ?? { what: 'a line too much', addr: undefined };
      sent.delete(line.tool ?? '');
      const right = line.kind === kind && line.host === host && line.addr === addr;
      if (!right) wrong.push(`${what}: ${JSON.stringify(line)}`);
    }
  }
  wrong.push(...[...sent.values()].map(({ what }) => `${what}: no line`));
  expect(wrong).toEqual([]);
  const reached = [plainA, secureA, plainB, secureB].flatMap(({ asked }) => asked);
  expect(reached.sort()).toEqual([...expectedAt].map(([path, place]) => `${place}${path}`).sort());

  await Promise.all([agents.undici7.close(), agents.undici8.close()]);
  agents.http.destroy();
  agents.https.destroy();
});
