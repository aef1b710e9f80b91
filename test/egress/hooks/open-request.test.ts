import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { DispatchSnapshot } from '../../../src/egress/hooks/dispatch-snapshot.ts';
import { OpenRequest, refusalOf } from '../../../src/egress/hooks/open-request.ts';
import { originAt } from '../../../src/egress/hooks/origin.ts';
import { Passes, placeOf, Verified } from '../../../src/egress/hooks/passes.ts';
import type { EgressScope } from '../../../src/egress/hooks/scope.ts';
import { holdSockets, trustTunnel } from '../../../src/egress/hooks/sockets.ts';
import type { EgressReason } from '../../../src/egress/policy/denial.ts';
import { EgressDeniedError } from '../../../src/errors.ts';
import type { OutgoingRequest, Target } from '../../../src/guard.ts';

/** Allows what it is told to, and notes what it is asked. */
class Scope implements EgressScope {
  readonly passes: Passes = new Passes();
  readonly verified: Verified = new Verified();
  readonly via = undefined;
  readonly atEdge: EgressScope = this;
  through = (): EgressScope => this;
  readonly asked: string[] = [];
  refuses: (what: string) => boolean = () => false;
  observes = false;

  covers = (): boolean => false;
  request({ method, path }: OutgoingRequest): Error | undefined {
    return this.#ask(`request ${method} ${path}`);
  }
  connection = (): undefined => undefined;
  name = (): undefined => undefined;
  answers = (): readonly string[] => [];
  dialable = (): readonly string[] => [];
  address(_: Target, address: string): Error | undefined {
    return this.#ask(`address ${address}`);
  }
  mayLeave = (): undefined => undefined;
  leave = (way: string, detail?: string): Error | undefined => this.#ask(`way ${way} ${detail}`);
  refuse(reason: EgressReason, { scheme, host, port }: Target): Error | undefined {
    this.asked.push(`${reason} ${scheme} ${host} ${port}`);
    return this.observes ? undefined : new Error(reason);
  }
  reached({ host, addr = 'nowhere' }: Target): Error | undefined {
    return this.#ask(`reached ${host} ${addr}`);
  }

  #ask(what: string): Error | undefined {
    this.asked.push(what);
    return this.refuses(what) ? new Error(what) : undefined;
  }
}

let scope: Scope;
beforeEach(() => {
  scope = new Scope();
});

const REQUEST: OutgoingRequest = { scheme: 'http', host: 'a.test', port: 80, method: 'GET', path: '/' };
const begin = (more: Partial<OutgoingRequest> = {}, header?: string, servername?: string) => {
  const { scheme, host, port, method, path } = { ...REQUEST, ...more };
  return OpenRequest.begin(scope, originAt(scheme, host, port), { method, path, host: header }, servername);
};
const opened = (more: Partial<OutgoingRequest> = {}): OpenRequest => begin(more) as OpenRequest;
const toldBy = (result: unknown): unknown =>
  result instanceof Error ? result.message : result === undefined ? 'fine' : 'open';

/** A socket as clients have it; `_host` is what the platform keeps of the name that it has looked up. */
const socket = (more: object = {}): object => ({
  remoteAddress: '192.0.2.1',
  remotePort: 80,
  _host: 'a.test',
  ...more,
});

describe('a request begins', () => {
  const rows: readonly [string, Partial<OutgoingRequest>, string | undefined, string | undefined, string][] = [
    ['as it is', {}, undefined, undefined, 'open'],
    ['with its host', {}, 'a.test', undefined, 'open'],
    ['with its host and port', {}, 'a.test:80', undefined, 'open'],
    ['with an empty port', {}, 'a.test:', undefined, 'open'],
    ['with its host in another spelling', { host: 'A.test.' }, 'a.TEST', undefined, 'open'],
    ['with another host', {}, 'b.test', undefined, 'host-header-mismatch'],
    ['with another port', {}, 'a.test:81', undefined, 'host-header-mismatch'],
    ['with no host', {}, '', undefined, 'host-header-mismatch'],
    ['with two hosts', {}, 'a.test, a.test', undefined, 'host-header-mismatch'],
    ['with a port that is none', {}, 'a.test:80:80', undefined, 'host-header-mismatch'],
    ['with something in front of its host', {}, 'b:a.test:80', undefined, 'host-header-mismatch'],
    ['without the port that it needs', { port: 8080 }, 'a.test', undefined, 'host-header-mismatch'],
    ['with the port that it needs', { port: 8080 }, 'a.test:8080', undefined, 'open'],
    ['over TLS without a port', { scheme: 'https', port: 443 }, 'a.test', undefined, 'open'],
    ['over TLS with the port of http', { scheme: 'https', port: 443 }, 'a.test:80', undefined, 'host-header-mismatch'],
    ['to IPv6', { host: '[::1]' }, '[0:0::1]:80', undefined, 'open'],
    ['to IPv6 with another', { host: '[::1]' }, '[::2]', undefined, 'host-header-mismatch'],
    ['with a method that starts like it', { method: 'CONNECTX' }, undefined, undefined, 'open'],
    ['with its servername', { scheme: 'https', port: 443 }, undefined, 'A.test', 'open'],
    ['with no servername', { scheme: 'https', port: 443 }, undefined, '', 'open'],
    ['with null for a servername', { scheme: 'https', port: 443 }, undefined, null as never, 'open'],
    ['with a number for a servername', { scheme: 'https', port: 443 }, undefined, 1 as never, 'servername-mismatch'],
    ['with another servername', { scheme: 'https', port: 443 }, undefined, 'b.test', 'servername-mismatch'],
    ['with what is no servername', { scheme: 'https', port: 443 }, undefined, 'b test', 'servername-mismatch'],
  ];
  it.each(rows)('%s', (_, more, header, servername, expected) => {
    expect(toldBy(begin(more, header, servername))).toBe(expected);
    const { scheme, host, port } = { ...REQUEST, ...more };
    const name = host.startsWith('[') ? host.slice(1, -1) : 'a.test';
    const place = placeOf(scheme === 'https', name, port);
    expect(scope.passes.has(place)).toBe(expected === 'open');
    expect(scope.passes.refusalOf(place)?.message).toBe(expected === 'open' ? undefined : expected);
  });

  it('only if the rules allow it', () => {
    scope.refuses = (what) => what.startsWith('request');
    expect(toldBy(begin())).toBe('request GET /');
    expect(scope.passes.has(placeOf(false, 'a.test', 80))).toBe(false);
    expect(scope.passes.refusalOf(placeOf(false, 'a.test', 80))?.message).toBe('request GET /');
  });

  it('all the same where refusals are observed', () => {
    scope.observes = true;
    expect(toldBy(begin({}, 'b.test', 'c.test'))).toBe('open');
    expect(scope.asked).toEqual([
      'request GET /',
      'host-header-mismatch http a.test 80',
      'servername-mismatch http a.test 80',
    ]);
  });
});

describe('what a request states when it is sent', () => {
  const rows: readonly [string, { method?: string; path?: string; host?: string | undefined }, string][] = [
    ['the same', {}, 'fine'],
    ['no host', { host: undefined }, 'fine'],
    ['another method', { method: 'PUT' }, 'request PUT /'],
    ['another path', { path: '/x' }, 'request GET /x'],
    ['another host', { host: 'b.test' }, 'host-header-mismatch'],
  ];
  it.each(rows)('%s', (_, more, expected) => {
    const request = opened();
    scope.refuses = (what) => what.startsWith('request');
    expect(toldBy(request.stating({ method: 'GET', path: '/', host: 'a.test', ...more }))).toBe(expected);
    // What is refused is not reached as well.
    scope.asked.length = 0;
    request.ended(undefined);
    expect(scope.asked).toEqual(expected === 'fine' ? ['reached a.test nowhere'] : []);
  });

  const head = (...lines: string[]): string => `${lines.join('\r\n')}\r\n`;
  const heads: readonly [string, string, string][] = [
    ['as undici writes it', head('GET / HTTP/1.1', 'host: a.test', 'connection: keep-alive'), 'fine'],
    ['in another case', head('GET / HTTP/1.1', 'Host: A.test'), 'fine'],
    ['without a host', head('GET / HTTP/1.1', 'accept: */*'), 'fine'],
    ['with another host', head('GET / HTTP/1.1', 'host: b.test'), 'host-header-mismatch'],
    ['with another host right behind the colon', head('GET / HTTP/1.1', 'host:b.test'), 'host-header-mismatch'],
    [
      'with another host as well',
      head('GET / HTTP/1.1', 'host: a.test', 'x: y', 'HOST: b.test'),
      'host-header-mismatch',
    ],
    ['with another host at once', head('GET / HTTP/1.1', 'host: a.test', 'host: b.test'), 'host-header-mismatch'],
    ['with a host that goes on', head('GET / HTTP/1.1', 'host: a.test.b.test'), 'host-header-mismatch'],
    ['with another port', head('GET / HTTP/1.1', 'host: a.test:81'), 'host-header-mismatch'],
    // Servers differ in whether such a line is one, and what it names.
    [
      'with another host behind a lone LF',
      head('GET / HTTP/1.1', 'host: a.test', 'upgrade: x\nhost: b.test'),
      'host-header-mismatch',
    ],
    ['with nothing but such a host', head('GET / HTTP/1.1', 'upgrade: x\nhost: b.test'), 'host-header-mismatch'],
    [
      'with another host and a space before its colon',
      head('GET / HTTP/1.1', 'host: a.test', 'host : b.test'),
      'host-header-mismatch',
    ],
    ['with nothing but such a host and a tab', head('GET / HTTP/1.1', 'host\t: b.test'), 'host-header-mismatch'],
    ['with another path', head('GET /x HTTP/1.1', 'host: a.test'), 'request GET /x'],
    ['with a path that goes on', head('GET /x/ HTTP/1.1', 'host: a.test'), 'request GET /x/'],
    ['with another method', head('PUT / HTTP/1.1', 'host: a.test'), 'request PUT /'],
    [
      'with the pseudo-headers of what was judged',
      head('PUT /x HTTP/1.1', 'host: a.test', ':method: GET', ':path: /', ':authority: a.test'),
      'request PUT /x',
    ],
    ['of HTTP/2', head(':authority: a.test', ':method: GET', ':path: /'), 'fine'],
    ['of HTTP/2 with another host', head(':authority: b.test', ':method: GET', ':path: /'), 'host-header-mismatch'],
  ];
  it.each(heads)('in a head %s', (_, text, expected) => {
    const request = opened();
    scope.refuses = (what) => what.startsWith('request');
    expect(toldBy(request.statingHead(text))).toBe(expected);
  });

  it('in a head with a host that starts like it', () => {
    const request = opened({ host: 'a' });
    expect(toldBy(request.statingHead(head('GET / HTTP/1.1', 'host: a')))).toBe('fine');
    expect(toldBy(request.statingHead(head('GET / HTTP/1.1', 'host: ab')))).toBe('host-header-mismatch');
  });

  it('is judged again where it is something else', () => {
    const request = opened();
    scope.asked.length = 0;
    expect(request.stating({ method: 'PUT', path: '/x', host: 'a.test' })).toBeUndefined();
    expect(request.stating({ method: 'GET', path: '/', host: 'a.test' })).toBeUndefined();
    expect(scope.asked).toEqual(['request PUT /x']);
  });
});

describe('a socket', () => {
  const rows: readonly [string, Partial<OutgoingRequest>, object, string][] = [
    ['that leads there', {}, {}, 'fine'],
    ['whose address is refused', {}, { remoteAddress: '10.0.0.1' }, 'address 10.0.0.1'],
    ['to another port', {}, { remotePort: 81 }, 'request-target'],
    ['to another host', {}, { _host: 'b.test' }, 'request-target'],
    ['to a host that is none', {}, { _host: 'b test' }, 'request-target'],
    ['to an address, for a name', {}, { _host: undefined }, 'request-target'],
    ['to nowhere', {}, { remoteAddress: undefined }, 'request-target'],
    ['with TLS, for http', {}, { encrypted: true }, 'request-target'],
    ['without TLS, for https', { scheme: 'https' }, {}, 'request-target'],
    ['with TLS, for https', { scheme: 'https' }, { encrypted: true }, 'fine'],
    ['to the address of the URL', { host: '10.0.0.1' }, { _host: undefined, remoteAddress: '10.0.0.1' }, 'fine'],
    ['to another address than that of the URL', { host: '10.0.0.1' }, { _host: undefined }, 'request-target'],
  ];
  it.each(rows)('%s', (_, more, is, expected) => {
    const request = opened(more);
    scope.refuses = (what) => what === 'address 10.0.0.1';
    expect(toldBy(request.sending(socket(is)))).toBe(expected);
    scope.asked.length = 0;
    request.ended(undefined);
    expect(scope.asked).toEqual([]);
  });

  it('is verified once for each place and address, and recorded for each request', () => {
    const warm = socket() as { remoteAddress: string };
    expect(opened().sending(warm)).toBeUndefined();
    expect(opened().sending(warm)).toBeUndefined();
    const asked = () => scope.asked.filter((what) => !what.startsWith('request '));
    expect(asked()).toEqual(['address 192.0.2.1', 'reached a.test 192.0.2.1', 'reached a.test 192.0.2.1']);
    scope.asked.length = 0;
    warm.remoteAddress = '192.0.2.2';
    expect(opened().sending(warm)).toBeUndefined();
    expect(asked()).toEqual(['address 192.0.2.2', 'reached a.test 192.0.2.2']);
    expect(toldBy(opened({ host: 'b.test' }).sending(warm))).toBe('request-target');
    expect(toldBy(opened({ port: 81 }).sending(warm))).toBe('request-target');
  });

  it('is verified by each session', () => {
    const warm = socket();
    expect(opened().sending(warm)).toBeUndefined();
    scope = new Scope();
    scope.refuses = (what) => what.startsWith('address');
    expect(toldBy(opened().sending(warm))).toBe('address 192.0.2.1');
  });

  it('that contradicts the request is told where refusals are observed, and its address is judged', () => {
    scope.observes = true;
    const request = opened();
    expect(request.sending(socket({ _host: 'b.test' }))).toBeUndefined();
    expect(scope.asked.slice(1)).toEqual([
      'request-target http a.test 80',
      'address 192.0.2.1',
      'reached a.test 192.0.2.1',
    ]);
  });

  it('to nowhere is told for each request where refusals are observed, and has no address to judge', () => {
    scope.observes = true;
    const lost = socket({ remoteAddress: undefined });
    for (let again = 0; again < 2; again++) expect(opened().sending(lost)).toBeUndefined();
    const once = ['request GET /', 'request-target http a.test 80', 'reached a.test nowhere'];
    expect(scope.asked).toEqual([...once, ...once]);
  });

  it('has its address judged for the place of the request', () => {
    const targets: Target[] = [];
    scope.address = (target) => void targets.push(target);
    expect(opened({ port: 81 }).sending(socket({ remotePort: 81 }))).toBeUndefined();
    expect(targets).toEqual([{ scheme: 'http', host: 'a.test', port: 81, addr: '192.0.2.1' }]);
  });

  it('to a Unix path is asked about once for each session, and has no address', () => {
    const path = join(tmpdir(), 'leashkit-nobody-listens.sock');
    const unix = new Socket().on('error', () => {});
    const restore = holdSockets(() => scope);
    unix.connect({ path });
    restore();
    const asked = () => scope.asked.filter((what) => !what.startsWith('request '));
    expect(opened().sending(unix)).toBeUndefined();
    expect(asked()).toEqual([`way unix-socket ${path}`, 'reached a.test nowhere']);
    scope = new Scope();
    scope.refuses = (what) => what.startsWith('way');
    for (let again = 0; again < 2; again++) {
      expect(toldBy(opened().sending(unix))).toBe(`way unix-socket ${path}`);
    }
    scope = new Scope();
    for (let again = 0; again < 2; again++) expect(opened().sending(unix)).toBeUndefined();
    expect(asked()).toEqual([`way unix-socket ${path}`, 'reached a.test nowhere', 'reached a.test nowhere']);
  });

  it('of the leash itself is trusted, and its address, which is that of a proxy, is not on record', () => {
    const tunnel = socket({ remoteAddress: '10.0.0.1', remotePort: 3128 });
    trustTunnel(tunnel, placeOf(false, 'a.test', 80));
    scope.refuses = (what) => what.startsWith('address');
    expect(opened().sending(tunnel)).toBeUndefined();
    expect(scope.asked.slice(1)).toEqual(['reached a.test nowhere']);
  });

  it('that a request is sent on again is recorded once', () => {
    const request = opened();
    expect(request.sending(socket())).toBeUndefined();
    expect(request.sending(socket())).toBeUndefined();
    expect(scope.asked.filter((what) => what.startsWith('reached'))).toHaveLength(1);
  });

  it.each([
    ['to another host', placeOf(false, 'b.test', 80)],
    ['to another port', placeOf(false, 'a.test', 81)],
    ['with TLS', placeOf(true, 'a.test', 80)],
  ])('of the leash itself that leads elsewhere is not used: %s', (_, place) => {
    const tunnel = socket({ remoteAddress: '10.0.0.1', remotePort: 3128 });
    trustTunnel(tunnel, place);
    expect(toldBy(opened().sending(tunnel))).toBe('request-target');
  });

  it('is not written to if it cannot be recorded', () => {
    scope.refuses = (what) => what.startsWith('reached');
    expect(toldBy(opened().sending(socket()))).toBe('reached a.test 192.0.2.1');
  });
});

describe('a request ends', () => {
  const place = placeOf(false, 'a.test', 80);

  it('once, and with it its pass', () => {
    const [first, second] = [opened(), opened()];
    first.ended(undefined);
    first.ended(undefined);
    expect(scope.passes.has(place)).toBe(true);
    second.ended(new Error('broken'));
    expect(scope.passes.has(place)).toBe(false);
    expect(scope.asked.slice(2)).toEqual(['reached a.test nowhere', 'reached a.test nowhere']);
  });

  it('without a line if it was recorded, or failed by what is on record', () => {
    const sent = opened();
    sent.sending(socket());
    scope.asked.length = 0;
    sent.ended(undefined);
    const denial = {
      code: 'EGRESS_DENIED',
      message: '',
      guard: 'g',
      tool: 't',
      callId: '',
      reason: 'x',
      event: { log: '', seq: 0 },
    };
    const refused = opened();
    scope.asked.length = 0;
    refused.ended(new TypeError('failed', { cause: new EgressDeniedError(denial as never, { host: 'a.test' }) }));
    expect(scope.asked).toEqual([]);
    expect(scope.passes.has(place)).toBe(false);
  });
});

describe('a request that is only asked for', () => {
  const asked = (more: Partial<DispatchSnapshot> = {}): DispatchSnapshot => ({
    options: {},
    origin: originAt('http', 'a.test', 80),
    misplaced: undefined,
    method: 'GET',
    path: '/',
    hosts: [],
    servername: undefined,
    ...more,
  });
  const misplaced = { reason: 'scheme', target: { scheme: 'ftp', host: 'a.test', port: 21 } } as const;
  const rows: readonly [string, Partial<DispatchSnapshot>, string, readonly string[]][] = [
    ['as it is', {}, 'fine', ['request GET /']],
    ['with its host, twice', { hosts: ['a.test', 'a.test:80'] }, 'fine', ['request GET /']],
    ['to no place of HTTP', { misplaced }, 'scheme', ['scheme ftp a.test 21']],
    ['against the rules', { path: '/no' }, 'request GET /no', ['request GET /no']],
    [
      'with another host beside its own',
      { hosts: ['a.test', 'b.test'] },
      'host-header-mismatch',
      ['request GET /', 'host-header-mismatch http a.test 80'],
    ],
    [
      'with two other hosts, of which the first is told',
      { hosts: ['b.test', 'c.test'], servername: 'd.test' },
      'host-header-mismatch',
      ['request GET /', 'host-header-mismatch http a.test 80'],
    ],
    [
      'with another servername',
      { servername: 'b.test' },
      'servername-mismatch',
      ['request GET /', 'servername-mismatch http a.test 80'],
    ],
  ];
  it.each(rows)('%s', (_, more, expected, told) => {
    scope.refuses = (what) => what === 'request GET /no';
    expect(toldBy(refusalOf(scope, asked(more)))).toBe(expected);
    expect(scope.asked).toEqual(told);
    expect(scope.passes.has(placeOf(false, 'a.test', 80))).toBe(false);
  });

  it('is looked at as a whole where refusals are observed', () => {
    scope.observes = true;
    expect(refusalOf(scope, asked({ misplaced, hosts: ['b.test', 'c.test'], servername: 'd.test' }))).toBeUndefined();
    expect(scope.asked).toEqual([
      'scheme ftp a.test 21',
      'request GET /',
      'host-header-mismatch http a.test 80',
      'host-header-mismatch http a.test 80',
      'servername-mismatch http a.test 80',
    ]);
  });
});
