import http from 'node:http';
import net from 'node:net';
import timers from 'node:timers/promises';
import { type Attack, family, type Options, type Row, type Scene } from '../attack.ts';
import { answered, connected, opened, text } from '../outcome.ts';

const HTTP = { layers: ['http-requests', 'sockets'] } as const;
const NET = { layers: ['sockets'] } as const;

/** What the tool left behind and goes on with. */
export const endedAttacks: readonly Attack[] = [
  ...family(
    'after the call',
    ['undici-requests', 'sockets'],
    [
      late('fetch', 'host-not-allowed', ({ evil }) => text(fetch(evil.http))),
      late('fetch after a timer', 'host-not-allowed', ({ evil }) => timers.setTimeout(5).then(() => text(fetch(evil.http)))),
      late('fetch through a redirect', 'host-not-allowed', ({ evil, good }) => text(fetch(good.hop(302, evil.http)))),
      late('node:http', 'host-not-allowed', ({ evil }) => answered(http.get(evil.http)), HTTP),
      late('node:net', 'host-not-allowed', ({ evil }) => connected(net.connect(evil.port, evil.host)), NET),
    ],
    { moment: 'after-call' },
  ),
  ...family(
    'after the leash is closed',
    ['undici-requests', 'sockets'],
    [
      late('fetch of the attacker', 'revoked', ({ evil }) => text(fetch(evil.http)), { goal: 'evil' }),
      late('fetch', 'revoked', ({ good }) => text(fetch(good.http))),
      ['fetch on an open connection', 'revoked', fetchedTwice, { layers: ['undici-requests'] }],
      late('WebSocket', 'revoked', ({ good }) => opened(new WebSocket(good.ws)), { quiet: true }),
      late('undici.request', 'revoked', async ({ good, undici }) => (await undici.request(good.http)).body.text(), { npm: true }),
      late('node:http', 'revoked', ({ good }) => answered(http.get(good.http)), HTTP),
      late('node:net', 'revoked', ({ good }) => connected(net.connect(good.port, good.host)), NET),
    ],
    { moment: 'after-close', goal: 'good' },
  ),
];

function late(target: string, expected: Row[1], strike: Row[2], options: Options = {}): Row {
  return [target, expected, (scene) => scene.end().then(() => strike(scene)), options];
}

async function fetchedTwice({ good, end }: Scene): Promise<string> {
  await text(fetch(good.http));
  await timers.setImmediate();
  await end();
  return text(fetch(good.http));
}
