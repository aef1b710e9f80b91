import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import { type Attack, family, type Reason, type Row, TRAPS, type TrapName } from '../attack.ts';
import { answered, connected, opened, session, text } from '../outcome.ts';

/** Names that are allowed, and lead to addresses that are not: no rule of hosts sees them. */
export const resolutionAttacks: readonly Attack[] = [
  ...family(
    'an allowed name that leads to ::1',
    ['sockets'],
    [
      ['fetch', 'address:loopback', ({ names }) => text(fetch(names.inside.http))],
      ['fetch over TLS', 'address:loopback', ({ names }) => text(fetch(names.inside.https))],
      ['fetch through a redirect', 'address:loopback', ({ good, names }) => text(fetch(good.hop(302, names.inside.http)))],
      ['WebSocket', 'address:loopback', ({ names }) => opened(new WebSocket(names.inside.ws)), { quiet: true }],
      ['node:http', 'address:loopback', ({ names }) => answered(http.get(names.inside.http))],
      ['node:https', 'address:loopback', ({ names }) => answered(https.get(names.inside.https))],
      ['node:http2', 'address:loopback', ({ names }) => session(http2.connect(names.inside.http)), { raw: true }],
      ['node:net', 'address:loopback', ({ names }) => connected(net.connect(names.inside.port, names.inside.host)), { raw: true }],
      ['node:tls', 'address:loopback', ({ names }) => connected(tls.connect(names.inside.port, names.inside.host), 'secureConnect'), { raw: true }],
      ['undici.request', 'address:loopback', async ({ undici, names }) => (await undici.request(names.inside.http)).body.text(), { npm: true }],
      ['an undici Client', 'address:loopback', async ({ undici, names }) => (await new undici.Client(names.inside.http).request({ path: '/', method: 'GET' })).body.text(), { npm: true }],
    ],
  ),
  ...family(
    'an allowed name with a good and a bad address',
    ['sockets'],
    [
      ['fetch', 'address:loopback', ({ names }) => text(fetch(names.mixed.http))],
      ['node:http', 'address:loopback', ({ names }) => answered(http.get(names.mixed.http))],
      ['node:http without happy eyeballs', 'address:loopback', ({ names }) => answered(http.get(names.mixed.http, { autoSelectFamily: false } as object))],
      ['node:net with family 4', 'address:loopback', ({ names }) => connected(net.connect({ host: names.mixed.host, port: names.mixed.port, family: 4 })), { control: 'dies', raw: true }],
      ['node:net with family 6', 'address:loopback', ({ names }) => connected(net.connect({ host: names.mixed.host, port: names.mixed.port, family: 6 })), { raw: true }],
      ['undici.request', 'address:loopback', async ({ undici, names }) => (await undici.request(names.mixed.http)).body.text(), { npm: true }],
    ],
  ),
  ...family(
    'an allowed name whose address changes',
    ['sockets'],
    [
      ['fetch', 'address:loopback', ({ names }) => twice(() => text(fetch(names.rebound.http, { headers: { connection: 'close' } })))],
      ['node:http', 'address:loopback', ({ names }) => twice(() => answered(http.get(names.rebound.http, { agent: false })))],
      ['node:net', 'address:loopback', ({ names }) => twice(() => connected(net.connect(names.rebound.port, names.rebound.host))), { raw: true }],
      ['undici Clients', 'address:loopback', ({ undici, names }) => twice(async () => (await new undici.Client(names.rebound.http).request({ path: '/', method: 'GET' })).body.text()), { npm: true }],
      [
        'an interceptor for dns',
        'host-not-allowed',
        ({ undici, names }) => twice(async () => (await new undici.Agent().compose(undici.interceptors.dns()).request({ origin: names.rebound.http, path: '/', method: 'GET' })).body.text()),
        { npm: true, layers: ['undici-requests', 'sockets'] },
      ],
    ],
  ),
  ...family(
    'an allowed name that leads to',
    ['sockets'],
    [
      trap('unspecified', 'address:unspecified', 'reaches'),
      trap('metadata', 'address:cloud-metadata'),
      trap('metadataMapped', 'address:cloud-metadata'),
      trap('metadata6', 'address:cloud-metadata'),
      trap('private', 'address:private'),
      trap('shared', 'address:shared'),
      trap('nat64', 'address:nat64'),
      trap('zone', 'bad-host'),
      trap('spelled', 'bad-host'),
      trap('nowhere', 'bad-host', 'dies'),
    ],
  ),
];

function trap(name: TrapName, expected: Reason, control: 'reaches' | 'skipped' | 'dies' = 'skipped'): Row {
  return [TRAPS[name].join() || 'nothing', expected, ({ names }) => text(fetch(names[name].http)), { control }];
}

async function twice(connect: () => Promise<unknown>): Promise<void> {
  await connect();
  await connect();
}
