import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type * as Undici from 'undici';
import type { Certificate } from '../../helpers/certificate.ts';
import {
  type Contact,
  DOMAIN,
  type Early,
  type Evil,
  type Good,
  type Scene,
  type Site,
  TRAPS,
  type TrapName,
} from './attack.ts';
import { createAttacker, listen, listenPipe, listenUdp } from './attacker.ts';
import { createGateway } from './gateway.ts';
import { outside } from './outside.ts';

const PROGRAM = fileURLToPath(new URL('connect.mjs', import.meta.url));

export interface Stage {
  readonly scene: Scene;
  /** Rules for the allowed names. */
  readonly allow: readonly string[];
  /** What reached either server, in this order. */
  readonly contacts: Readonly<Record<'evil' | 'good', Contact[]>>;
  addressesOf(name: string): readonly string[];
  /** To be called for every name that anybody resolves. */
  asked(name: string): void;
  /** Settles when the attack lets its call end. */
  readonly ending: Promise<void>;
  /** The call has ended, and the leash is closed where that was to be. */
  ended(): void;
}

export interface StageOptions {
  readonly number: number;
  readonly certificate: Certificate;
  /** For unix sockets. */
  readonly directory: string;
  readonly undici: typeof Undici | undefined;
  readonly early: Early;
}

/** Servers and names of their own for one attack, so that what reaches them is its doing, however late it comes. */
export async function setUp({ number, certificate, directory, undici, early }: StageOptions): Promise<Stage> {
  const contacts: Stage['contacts'] = { evil: [], good: [] };
  const reached = (contact: Contact): void => void contacts.evil.push(contact);
  const reachedGood = (contact: Contact): void => void contacts.good.push(contact);
  const named = (label: string): string => `${label}-${number}.${DOMAIN}`;
  const traps = Object.keys(TRAPS) as readonly TrapName[];
  const trapOf = new Map(traps.map((trap) => [named(trap.toLowerCase()), trap]));
  const own = [named('good'), ...trapOf.keys(), '127.0.0.1'];

  let evilPort = 0;
  const { port, port6 } = await sharePort(
    () => createGateway(certificate, own, () => evilPort, reachedGood),
    () => createAttacker(certificate, reached),
  );
  evilPort = await listen(createAttacker(certificate, reached), '127.0.0.1');
  const path = join(directory, `${number}.sock`);
  await listenPipe(path, reached);

  const evil: Evil = {
    ...site(named('evil'), evilPort),
    address: site('127.0.0.1', evilPort),
    address6: site('[::1]', port6),
    udpPort: await listenUdp('udp4', '127.0.0.1', reached),
    udp6Port: await listenUdp('udp6', '::1', reached),
    path,
    spelled: (host) => `http://${host}:${evilPort}/`,
  };
  const front = site(named('good'), port);
  const hop = (origin: string, status: number, to: string): string =>
    `${origin}/hop?${new URLSearchParams({ status: String(status), to })}`;
  const good: Good = {
    ...front,
    hop: (status, to) => hop(front.http, status, to),
    secureHop: (status, to) => hop(front.https, status, to),
  };
  const names = Object.fromEntries(
    traps.map((trap) => [trap, site(named(trap.toLowerCase()), trap === 'unspecified' ? evilPort : port)]),
  ) as Record<TrapName, Site>;

  const ending = new Latch();
  const ended = new Latch();
  const forget = (): void => {
    contacts.evil.length = 0;
    contacts.good.length = 0;
  };
  const asked = new Map<string, number>();
  const allowed = [front, ...Object.values(names)];
  return {
    contacts,
    allow: allowed.flatMap((place) => [place.http, place.https]),
    addressesOf: (name) => {
      const before = asked.get(name) ?? 0;
      asked.set(name, before + 1);
      const trap = trapOf.get(name);
      if (trap === 'rebound' && before > 0) return ['::1'];
      return trap === undefined ? ['127.0.0.1'] : TRAPS[trap];
    },
    asked: (name) => {
      if (!allowed.some(({ host }) => host === name)) reached('lookup');
    },
    ending: ending.opened,
    ended: () => {
      forget();
      ended.open();
    },
    scene: {
      number,
      good,
      evil,
      names,
      undici: undici as typeof Undici,
      early,
      program: PROGRAM,
      end: () => {
        ending.open();
        return ended.opened;
      },
      outside: (work) =>
        outside(async () => {
          const result = await work();
          // Until a pool has its connection back.
          await setImmediate();
          forget();
          return result;
        }),
    },
  };
}

class Latch {
  open: () => void = () => {};
  readonly opened: Promise<void> = new Promise((resolve) => {
    this.open = resolve;
  });
}

function site(host: string, port: number): Site {
  const authority = `${host}:${port}`;
  return {
    host,
    port,
    authority,
    http: `http://${authority}`,
    https: `https://${authority}`,
    ws: `ws://${authority}`,
    wss: `wss://${authority}`,
  };
}

/** Two servers on one port, on 127.0.0.1 and on ::1: the second may find it taken. */
async function sharePort(
  first: () => ReturnType<typeof createGateway>,
  second: () => ReturnType<typeof createAttacker>,
): Promise<{ port: number; port6: number }> {
  for (let tries = 0; ; tries++) {
    const server = first();
    const port = await listen(server, '127.0.0.1');
    try {
      return { port, port6: await listen(second(), '::1', port) };
    } catch (error) {
      server.close();
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || tries === 9) throw error;
    }
  }
}
