import type { Attack } from './attack.ts';
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

/** Every way out that is tried, client by client. */
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
];
