import type { Attack, Layer } from './attack.ts';
import { allowed } from './clients/allowed.ts';
import { continuationAttacks } from './clients/continuation.ts';
import { datagramAttacks } from './clients/datagram.ts';
import { dispatcherAttacks } from './clients/dispatcher.ts';
import { dnsAttacks } from './clients/dns.ts';
import { endedAttacks } from './clients/ended.ts';
import { fetchAttacks } from './clients/fetch.ts';
import { gaps } from './clients/gap.ts';
import { httpAttacks } from './clients/http.ts';
import { netAttacks } from './clients/net.ts';
import { processAttacks } from './clients/process.ts';
import { resolutionAttacks } from './clients/resolution.ts';
import { undiciAttacks } from './clients/undici.ts';

/** Every way out that is tried, client by client, and what is no attack. */
export const attacks: readonly Attack[] = [
  ...fetchAttacks,
  ...dispatcherAttacks,
  ...undiciAttacks,
  ...httpAttacks,
  ...netAttacks,
  ...resolutionAttacks,
  ...datagramAttacks,
  ...dnsAttacks,
  ...processAttacks,
  ...continuationAttacks,
  ...endedAttacks,
  ...gaps,
  ...allowed,
];

/** What is asked before a name is resolved. It would hold the names of connections that other layers are for. */
const NAMES = ['name-queries', 'saved-functions'] as const;

/** Sets of layers to switch off together. */
export const ablations: readonly (readonly Layer[])[] = [
  ['undici-requests'],
  ['http-requests'],
  ['sockets', ...NAMES],
  ['undici-requests', 'sockets', ...NAMES],
  ['http-requests', 'sockets', ...NAMES],
  ['datagrams', ...NAMES],
  NAMES,
  ['child-processes'],
  ['workers'],
  ['saved-functions'],
  ['child-processes', 'saved-functions'],
  ['process-binding', 'saved-functions'],
  ['process-binding'],
];

/** What must get through with these layers off, and does not with fewer of them off. */
export function heldOnlyBy(layers: readonly Layer[]): readonly Attack[] {
  const fewer = ablations.filter((other) => other !== layers && isPart(other, layers));
  return attacks.filter(
    ({ control, layers: held }) =>
      control === 'reaches' && held.length > 0 && isPart(held, layers) && !fewer.some((other) => isPart(held, other)),
  );
}

function isPart(some: readonly Layer[], all: readonly Layer[]): boolean {
  return some.every((layer) => all.includes(layer));
}

/** Those to which it matters which copy of undici is in the process: its clients, and what hears of its requests. */
export function concernsUndici({ npm, layers }: Attack): boolean {
  return npm || layers.includes('undici-requests');
}

export function idsOf(some: readonly Attack[]): readonly string[] {
  return some.map(({ id }) => id);
}
