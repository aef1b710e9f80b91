import { egress } from 'leashkit';
import { start } from './child.ts';
import type { Group, Subject } from './measure.ts';

const WARM_UP = 16_384;

/** @param names what each client of loopback-client.ts is, the reference first. */
async function clients(names: Readonly<Record<string, string>>): Promise<readonly Subject[]> {
  const port = await start('loopback-server.ts').ask();
  const subjects: Subject[] = [];
  for (const [client, name] of Object.entries(names)) {
    const process = start('loopback-client.ts', [client, String(port)]);
    const run = async (rounds: number): Promise<void> => {
      await process.ask(rounds);
    };
    // What it takes to start and to get warm is no part of what is measured.
    await run(WARM_UP);
    subjects.push({ name, run });
  }
  return subjects;
}

const IN_CALLS = 'the same in calls of a leash, 32 requests each';
const DISPATCHER = 'leashDispatcher, outside of calls';
const AS_HOOKS_ASK = 'a request, as the hooks ask';
const BECAUSE = 'on loopback a request takes about as long as four lines of the log, and each request is a line';

const HOW = 'GETs on loopback, 32 at once, each an event in a signed log in memory where a leash holds it';

export const undiciRequests: Group = {
  id: 'egress-undici',
  title: `undici: ${HOW}`,
  goal: {
    of: DISPATCHER,
    ratio: 0.95,
    because: BECAUSE,
  },
  subjects: () =>
    clients({
      undici: 'bare Agent',
      'undici-leashed': IN_CALLS,
      'undici-dispatcher': DISPATCHER,
      'undici-beside': 'bare Agent outside of calls, beside an open leash',
    }),
};

export const httpRequests: Group = {
  id: 'egress-http',
  title: `node:http: ${HOW}`,
  goal: { of: IN_CALLS, ratio: 0.9, because: BECAUSE },
  subjects: () =>
    clients({
      http: 'bare Agent',
      'http-leashed': IN_CALLS,
      'http-beside': 'bare Agent outside of calls, beside an open leash',
      'http-filtering': 'request-filtering-agent, which checks addresses when it connects and logs nothing',
    }),
};

const hosts = Array.from({ length: 8 }, (_, i) => `api-${i}.example.com`);

function decision(name: string, decide: (i: number) => boolean | undefined): Subject {
  return {
    name,
    async run(rounds) {
      for (let i = 0; i < rounds; i++) if (decide(i & 7) !== true) throw new Error('refused');
    },
  };
}

/** What each request of a known origin is asked, whatever the client. */
export const cachedDecision: Group = {
  id: 'egress-decision',
  title: 'One decision of egress() on an origin that it has seen, of eight',
  goal: { of: AS_HOOKS_ASK, perSecond: 1e9 / 150 },
  subjects: () => {
    const guard = egress({ allow: hosts });
    const requests = hosts.map(
      (host) => ({ scheme: 'https', host, port: 443, method: 'GET', path: '/v1/items' }) as const,
    );
    const urls = hosts.map((host) => `https://${host}/v1/items`);
    const allowed = new Set(hosts);
    return [
      decision('new URL and a look into a Set', (i) => {
        const { protocol, hostname, port } = new URL(urls[i] as string);
        return protocol === 'https:' && port === '' && allowed.has(hostname);
      }),
      decision(AS_HOOKS_ASK, (i) => guard.egress?.request(requests[i] as (typeof requests)[0]).allow),
      decision('a URL, as a tool declares it', (i) => guard.reach?.(urls[i] as string, 'GET').allow),
    ];
  },
};
