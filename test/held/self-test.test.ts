import { execFile } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { channel } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { memorySink } from '../../src/audit/memory-sink.ts';
import { ENTRY_POINTS } from '../../src/egress/hooks/canary.ts';
import { type EgressOptions, egress } from '../../src/guards/egress.ts';
import { createLeash } from '../../src/leash.ts';
import { readLogs } from '../helpers/log-verifier.ts';
import { thrownBy } from '../helpers/refused.ts';

interface Told {
  readonly opened: { readonly code?: string; readonly message?: string; readonly coverage?: object };
  readonly left: readonly string[];
  readonly lines: number;
}

const program = fileURLToPath(new URL('../helpers/self-test-child.ts', import.meta.url));

/** The only server that questions go to. */
let resolver: Socket;
const questions: unknown[] = [];
beforeAll(async () => {
  resolver = createSocket('udp4').on('message', (message) => questions.push(message));
  resolver.bind(0, '127.0.0.1');
  await once(resolver, 'listening');
});
afterAll(() => {
  resolver.close();
  expect(questions).toEqual([]);
});

async function openAfter(preload: string, ...flags: string[]): Promise<Told> {
  const before = preload === '' ? [] : ['--import', `data:text/javascript,${encodeURIComponent(preload)}`];
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...flags,
    ...before,
    program,
    `127.0.0.1:${resolver.address().port}`,
  ]);
  return JSON.parse(stdout);
}

const silent = (name: string): string =>
  `import { channel } from 'node:diagnostics_channel'; globalThis.kept = channel('${name}'); kept.publish = () => {};`;
const frozen = (module: string, what: string): string => `import it from 'node:${module}'; Object.freeze(it.${what});`;
/** It cannot be replaced, by the name of its owner in a module. */
const fixed = (module: string, owner: string, name: string): string =>
  `import it from 'node:${module}'; Object.defineProperty(${owner}, '${name}', { value: ${owner}.${name}, writable: false, configurable: false });`;

const broken: readonly { readonly name: string; readonly preload: string; readonly missing: string }[] = [
  { name: 'requests of undici are not told of', preload: silent('undici:request:create'), missing: 'fetch, WebSocket' },
  {
    name: 'requests of http are not told of',
    preload: silent('http.client.request.created'),
    missing: 'node:http, node:https',
  },
  {
    name: 'agents of http are fixed',
    preload: fixed('http', 'it.Agent.prototype', 'addRequest'),
    missing: 'node:http',
  },
  {
    name: 'sockets are fixed',
    preload: fixed('net', 'it.Socket.prototype', 'connect'),
    missing: 'node:net, node:tls, node:http2, unix sockets',
  },
  {
    name: 'fetch is not that of undici',
    preload: "globalThis.fetch = async () => new Response('mine');",
    missing: 'fetch',
  },
  { name: 'fetch throws', preload: "globalThis.fetch = () => { throw new Error('mine'); };", missing: 'fetch' },
  {
    name: 'WebSocket is not that of undici',
    preload: 'globalThis.WebSocket = class extends EventTarget {};',
    missing: 'WebSocket',
  },
  { name: 'dns.lookup is fixed', preload: fixed('dns', 'it', 'lookup'), missing: 'dns.lookup' },
  {
    name: 'dns.lookup is a getter',
    preload:
      "import dns from 'node:dns'; const { lookup } = dns; Object.defineProperty(dns, 'lookup', { get: () => lookup });",
    missing: 'dns.lookup',
  },
  { name: 'dns.promises.lookup is fixed', preload: fixed('dns/promises', 'it', 'lookup'), missing: 'dns.lookup' },
  { name: 'dns.resolve4 is fixed', preload: fixed('dns', 'it', 'resolve4'), missing: 'dns.resolve' },
  { name: 'resolvers are frozen', preload: frozen('dns', 'Resolver.prototype'), missing: 'dns.resolve' },
  {
    name: 'resolvers of promises are frozen',
    preload: frozen('dns/promises', 'Resolver.prototype'),
    missing: 'dns.resolve',
  },
  { name: 'datagrams are frozen', preload: frozen('dgram', 'Socket.prototype'), missing: 'node:dgram' },
  {
    name: 'child processes are frozen',
    preload: frozen('child_process', 'ChildProcess.prototype'),
    missing: 'child processes',
  },
  { name: 'execFileSync is fixed', preload: fixed('child_process', 'it', 'execFileSync'), missing: 'child processes' },
  { name: 'Worker is fixed', preload: fixed('worker_threads', 'it', 'Worker'), missing: 'workers' },
  { name: 'hooks of the module loader are fixed', preload: fixed('module', 'it', 'register'), missing: 'workers' },
  {
    name: 'process.binding is fixed',
    preload:
      "Object.defineProperty(process, 'binding', { value: process.binding, writable: false, configurable: false });",
    missing: 'process.binding',
  },
];

describe('createLeash', () => {
  it('proves what it holds without sending anything', { timeout: 20_000 }, async () => {
    const { opened, left, lines } = await openAfter('');
    expect(opened).toMatchObject({ coverage: { enforce: 'scope', entries: { fetch: 'held', 'node:net': 'refused' } } });
    expect(opened).toMatchObject({ again: opened.coverage });
    expect(left).toEqual([]);
    expect(lines).toBe(1);
  });

  it.concurrent.each(broken)('refuses to start where $name', { timeout: 20_000 }, async ({ preload, missing }) => {
    const { opened, left, lines } = await openAfter(preload);
    const { node, undici } = process.versions;
    expect(opened.code).toBe('EGRESS_UNENFORCED');
    expect(opened.message).toMatch(
      `egress({ enforce: 'scope' }) cannot hold ${missing} on Node ${node} with its undici ${undici}. `,
    );
    expect(opened.message).toContain("enforce: 'declared'");
    // Also where nothing is held nothing leaves, and there is no log of a session that never was.
    expect(left).toEqual([]);
    expect(lines).toBe(0);
  });

  it("starts there all the same with enforce: 'declared', which holds nothing of it", { timeout: 20_000 }, async () => {
    const { declared } = (await openAfter(fixed('net', 'it.Socket.prototype', 'connect'))) as unknown as {
      declared: object;
    };
    expect(declared).toMatchObject({ enforce: 'declared', entries: { 'leash.fetch': 'held', 'node:net': 'unheld' } });
  });
});

describe('leash.egress', () => {
  it('tells what becomes of each entry point', async () => {
    const entries = (options: Partial<EgressOptions>) =>
      createLeash({ guards: [egress({ allow: [], ...options })] }).egress.coverage().entries;
    const closed = {
      'leash.fetch': 'held',
      fetch: 'held',
      WebSocket: 'held',
      'node:http': 'held',
      'node:https': 'held',
      'node:net': 'refused',
      'node:tls': 'refused',
      'node:http2': 'refused',
      'node:dgram': 'refused',
      'dns.lookup': 'held',
      'dns.resolve': 'refused',
      'child processes': 'refused',
      workers: 'refused',
      'unix sockets': 'refused',
      'process.binding': 'refused',
    };
    expect(entries({})).toEqual(closed);
    expect(entries({ enforce: 'process' })).toEqual(closed);
    expect(entries({ rawSockets: 'allow', unix: ['/x'] })).toEqual({
      ...closed,
      'node:net': 'held',
      'node:tls': 'held',
      'node:http2': 'held',
      'unix sockets': 'held',
    });
    expect(entries({ udp: 'allow', childProcess: 'allow', workers: 'allow' })).toEqual({
      ...closed,
      'node:dgram': 'open',
      'child processes': 'open',
      workers: 'open',
    });
    const unheld = Object.fromEntries(ENTRY_POINTS.map((entry) => [entry, 'unheld']));
    expect(entries({ enforce: 'declared' })).toEqual({ 'leash.fetch': 'held', ...unheld });
    const open = { udp: 'allow', childProcess: 'allow', workers: 'allow', rawSockets: 'allow', unix: ['/x'] } as const;
    const both = createLeash({ guards: [egress({ allow: [], ...open }), egress({ allow: [] })] });
    expect(both.egress.coverage().entries).toEqual(closed);
    expect(both.egress.coverage()).toMatchObject({ node: process.versions.node, undici: process.versions['undici'] });
  });

  it('tells the strictest way in which guards hold', () => {
    const enforced = (...all: NonNullable<EgressOptions['enforce']>[]): string => {
      const leash = createLeash({ guards: all.map((enforce) => egress({ allow: [], enforce })) });
      const { enforce } = leash.egress.coverage();
      void leash.close();
      return enforce;
    };
    expect(enforced('declared', 'scope')).toBe('scope');
    expect(enforced('scope', 'process', 'declared')).toBe('process');
    expect(enforced('declared')).toBe('declared');
  });

  it('finds out what was broken later', async () => {
    await using leash = createLeash({ guards: [egress({ allow: [] })] });
    const requests = channel('http.client.request.created');
    Object.defineProperty(requests, 'publish', { value: () => {}, configurable: true });
    try {
      expect(leash.egress.coverage().entries['node:http']).toBe('held');
      expect(thrownBy(() => leash.egress.selfTest())).toMatchObject({
        code: 'EGRESS_UNENFORCED',
        message: expect.stringContaining('cannot hold node:http, node:https on Node'),
      });
      expect(leash.egress.coverage().entries).toMatchObject({
        'node:http': 'unheld',
        'node:https': 'unheld',
        fetch: 'held',
      });
      expect(() => createLeash({ guards: [egress({ allow: [] })] })).toThrow('node:http');
      const declared = createLeash({ guards: [egress({ allow: [], enforce: 'declared' })] });
      expect(declared.egress.selfTest()).toMatchObject({ enforce: 'declared' });
    } finally {
      delete (requests as { publish?: unknown }).publish;
    }
    expect(leash.egress.selfTest().entries['node:http']).toBe('held');
  });
});

describe('session_open', () => {
  const opening = (...guards: Parameters<typeof egress>[0][]): unknown => {
    const sink = memorySink();
    const leash = createLeash({ guards: guards.map(egress), audit: sink });
    leash.child({ guards: [], audit: sink });
    void leash.close();
    expect(readLogs(sink.lines.map((line) => `${line}\n`).join('')).problem).toBeUndefined();
    const [first, second] = sink.lines.map((line) => JSON.parse(line) as { egress?: unknown });
    expect(second?.egress).toEqual(first?.egress);
    return first?.egress;
  };

  it('has what the guards hold', () => {
    expect(JSON.stringify(opening({ allow: [], udp: 'allow', rawSockets: 'allow' }))).toBe(
      '{"enforce":"scope","leash":"held","fetch":"held","ws":"held","http":"held","https":"held","net":"held","tls":"held",' +
        '"http2":"held","udp":"open","lookup":"held","dns":"refused","child":"refused","worker":"refused","unix":"refused","binding":"refused"}',
    );
    expect(opening({ allow: [], enforce: 'declared' })).toMatchObject({
      enforce: 'declared',
      leash: 'held',
      http: 'unheld',
    });
  });

  it('has nothing of it without an egress guard', () => {
    expect(opening()).toBeUndefined();
  });
});
