import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { EventKind } from '../../src/audit/event.ts';
import * as event from '../../src/audit/event.ts';
import { generateSessionKey } from '../../src/audit/keys.ts';
import { AuditLog } from '../../src/audit/log.ts';
import { memorySink } from '../../src/audit/memory-sink.ts';
import { keyFields } from '../../src/audit/signing.ts';
import type { Denial, Guard } from '../../src/guard.ts';
import { budget } from '../../src/guards/budget.ts';
import { callCap } from '../../src/guards/call-cap.ts';
import { egress } from '../../src/guards/egress.ts';
import { rateLimit } from '../../src/guards/rate-limit.ts';
import { createLeash } from '../../src/leash.ts';
import type { Leash } from '../../src/leash-contract.ts';
import { logInit } from '../helpers/log-init.ts';
import { type LogEvent, readLogs } from '../helpers/log-verifier.ts';
import { startServer } from '../helpers/server.ts';

const CALL = '11111111-2222-4333-8444-555555555555';
const HASH = 'a'.repeat(64);
const TOOL = event.quote('stripe.charge');
const USD = { usd: 4_200_000, sat: 0 };
const BOTH = { usd: 1_500_000_000, sat: 250 };
const FREE = { usd: 0, sat: 0 };
const ARGS = `s1:${HASH}`;
const KEY = Buffer.alloc(32, 7).toString('base64');
const SIGNATURE = Buffer.alloc(64, 7).toString('base64');
const DENIED = { call: CALL, tool: TOOL, guard: 'args', code: 'ARGS_INVALID' };
const SHORT = { unit: 'usd', cap: '5', requested: '0.5', remaining: '-0.25' };
const TARGET = { scheme: 'https', host: 'api.stripe.com', port: 443 };

/** The second line of a log, as text, after an event was written to it. */
function lineOf(kind: EventKind, body: string): string {
  const sink = memorySink();
  // Only a log with a key can name another one.
  void new AuditLog(logInit(sink, { sign: kind === 'key_rotated' ? 'checkpoint' : 'none' })).write(kind, body);
  // One half of a torn line cannot be put on record without the other.
  if (kind !== 'log_recovered') expect(readLogs(`${sink.lines.join('\n')}\n`)).toMatchObject({ ok: true });
  return sink.lines[1] ?? '';
}

/** Its keys after `"kind"` and before `"prev"`. */
function keysOf(line: string): string {
  const keys = Object.keys(JSON.parse(line));
  expect(keys.slice(0, 5)).toEqual(['v', 'log', 'seq', 'ts', 'kind']);
  expect(keys.at(-1)).toBe('prev');
  return keys.slice(5, -1).join(' ');
}

interface Row {
  readonly name: string;
  readonly body: string;
  readonly keys: string;
}

/** Typed by kind, so that a kind without rows does not compile. */
const ROWS: Readonly<Record<Exclude<EventKind, 'session_open'>, readonly Row[]>> = {
  tool_start: [
    { name: 'free', body: event.toolStart(CALL, TOOL, ARGS, FREE), keys: 'call tool args' },
    { name: 'dollars', body: event.toolStart(CALL, TOOL, ARGS, USD), keys: 'call tool args usd' },
    { name: 'sats', body: event.toolStart(CALL, TOOL, ARGS, { usd: 0, sat: 1 }), keys: 'call tool args sat' },
    { name: 'both', body: event.toolStart(CALL, TOOL, ARGS, BOTH), keys: 'call tool args usd sat' },
  ],
  tool_ok: [
    { name: 'free', body: event.toolEnd(CALL, TOOL, 0, undefined, FREE, FREE, false), keys: 'call tool us' },
    {
      name: 'all',
      body: event.toolEnd(CALL, TOOL, 9, undefined, BOTH, USD, true),
      keys: 'call tool us usd sat overrun',
    },
    {
      name: 'nothing booked of what was held',
      body: event.toolEnd(CALL, TOOL, 9, undefined, FREE, USD, false),
      keys: 'call tool us usd',
    },
  ],
  tool_error: [
    { name: 'free', body: event.toolEnd(CALL, TOOL, 0, 'Error', FREE, FREE, false), keys: 'call tool us error' },
    {
      name: 'all',
      body: event.toolEnd(CALL, TOOL, 9, 'E_X', BOTH, USD, true),
      keys: 'call tool us error usd sat overrun',
    },
  ],
  tool_denied: [
    { name: 'least', body: event.toolDenied(DENIED), keys: 'call tool guard code' },
    { name: 'not observed', body: event.toolDenied({ ...DENIED, observed: false }), keys: 'call tool guard code' },
    {
      name: 'all',
      body: event.toolDenied({ observed: true, reason: 'not-json', args: ARGS, ...DENIED }),
      keys: 'call tool args guard code reason observed',
    },
  ],
  budget_denied: [
    {
      name: 'least',
      body: event.budgetDenied({ ...DENIED, ...SHORT, reason: 'exhausted' }),
      keys: 'call tool guard code unit cap requested remaining reason',
    },
    {
      name: 'all',
      body: event.budgetDenied({ observed: true, reason: 'in_flight', args: ARGS, ...SHORT, ...DENIED }),
      keys: 'call tool args guard code unit cap requested remaining reason observed',
    },
  ],
  egress_ok: [
    { name: 'least', body: event.egress(TARGET), keys: 'scheme host port' },
    {
      name: 'in a call',
      body: event.egress({ ...TARGET, tool: TOOL, call: CALL }),
      keys: 'call tool scheme host port',
    },
  ],
  egress_denied: [
    {
      name: 'all',
      body: event.egress({ observed: true, reason: 'port', code: 'EGRESS_DENIED', ...TARGET, tool: TOOL, call: CALL }),
      keys: 'call tool scheme host port code reason observed',
    },
  ],
  charge: [
    { name: 'nothing', body: event.charge(undefined, undefined, FREE), keys: '' },
    { name: 'all', body: event.charge(CALL, 'model', BOTH), keys: 'call note usd sat' },
  ],
  kill_switch: [{ name: 'a reason', body: event.killSwitch('by hand'), keys: 'reason' }],
  key_rotated: [
    {
      name: 'a key',
      body: keyFields({ key: KEY, cert: SIGNATURE }),
      keys: 'key cert',
    },
  ],
  events_dropped: [{ name: 'some', body: event.eventsDropped({ count: 3, from: 1, to: 2 }), keys: 'count from to' }],
  log_recovered: [{ name: 'a fragment', body: event.logRecovered(17, HASH), keys: 'bytes sha256' }],
  session_close: [
    { name: 'free', body: event.sessionClose('closed', 0, 0, FREE), keys: 'reason calls denied' },
    { name: 'all', body: event.sessionClose('closed', 2, 1, BOTH), keys: 'reason calls denied usd sat' },
  ],
};

describe('a line of the log', () => {
  const rows = Object.entries(ROWS).flatMap(([kind, of]) => of.map((row) => ({ kind: kind as EventKind, ...row })));

  it.each(rows)('of kind $kind has its keys in their order: $name', ({ kind, body, keys }) => {
    const line = lineOf(kind, body);
    expect(JSON.parse(line).kind).toBe(kind);
    expect(keysOf(line)).toBe(keys);
  });

  it.each([
    { name: 'a leash', parent: undefined, sign: 'none', keys: 'origin lib agent session mode hash guards' },
    {
      name: 'a child',
      parent: new AuditLog(logInit(memorySink())),
      sign: 'none',
      keys: 'origin lib agent session mode hash guards parent',
    },
    {
      name: 'one that holds the network',
      parent: undefined,
      sign: 'none',
      egress: { enforce: 'scope', fetch: 'held' },
      keys: 'origin lib agent session mode hash guards egress',
    },
    { name: 'a signed one', parent: undefined, sign: 'each', keys: 'origin lib agent session mode hash guards key' },
    {
      name: 'a certified one',
      parent: undefined,
      sign: 'checkpoint',
      signer: generateSessionKey().privateKey,
      keys: 'origin lib agent session mode hash guards key cert',
    },
    {
      name: 'one beside others',
      parent: undefined,
      sign: 'none',
      prior: [{ log: CALL, size: 3, hash: HASH }],
      keys: 'origin lib agent session mode hash guards prior',
    },
  ] as const)('of kind session_open has its keys in their order: $name', ({ keys, ...how }) => {
    const { prior, ...more } = { prior: undefined, ...how };
    const sink = memorySink();
    const log = new AuditLog(logInit(Object.assign(sink, { recover: () => ({ prior }) }), more));
    const line = sink.lines[0] ?? '';
    expect(keysOf(line)).toBe(keys);
    expect(JSON.parse(line)).toMatchObject({
      seq: 0,
      kind: 'session_open',
      origin: `leash.local/${log.id}`,
      hash: 's1',
    });
    expect(JSON.parse(line).parent).toEqual(more.parent?.head);
    expect(readLogs(`${line}\n`).ok).toBe(true);
  });

  it('starts and ends as the format says, byte for byte', () => {
    const sink = memorySink();
    const log = new AuditLog(logInit(sink));
    void log.write('kill_switch', event.killSwitch('by hand'));
    const prev = JSON.parse(sink.lines[1] ?? '').prev;
    expect(sink.lines[1]).toBe(
      `{"v":1,"log":"${log.id}","seq":1,"ts":"2026-11-20T12:00:00.000Z","kind":"kill_switch","reason":"by hand","prev":"${prev}"}`,
    );
  });

  it.each([
    { units: { usd: 1, sat: 1 }, usd: '0.000000001', sat: '0.001' },
    { units: { usd: 4_200_000, sat: 250 }, usd: '0.0042', sat: '0.25' },
    { units: { usd: 1_000_000_000, sat: 1000 }, usd: '1', sat: '1' },
    { units: { usd: 100_000_000_000, sat: 2_100_000 }, usd: '100', sat: '2100' },
    {
      units: { usd: Number.MAX_SAFE_INTEGER, sat: Number.MAX_SAFE_INTEGER },
      usd: '9007199.254740991',
      sat: '9007199254740.991',
    },
  ])('has money as decimal text: $usd USD, $sat sat', ({ units, usd, sat }) => {
    expect(JSON.parse(lineOf('charge', event.charge(undefined, undefined, units)))).toMatchObject({ usd, sat });
    // The amount before was another one in between.
    lineOf('charge', event.charge(undefined, undefined, { usd: 7, sat: 7 }));
    expect(JSON.parse(lineOf('charge', event.charge(undefined, undefined, units)))).toMatchObject({ usd, sat });
  });
});

describe('what stands in a line', () => {
  const raw = '{"a":[1,"é"]}';
  const call = `,"call":"${CALL}","tool":"stripe.charge"`;
  const denied = `${call},"guard":"args","code":"ARGS_INVALID"`;
  const short = ',"unit":"usd","cap":"5","requested":"0.5","remaining":"-0.25"';
  it.each([
    { name: 'a start', body: event.toolStart(CALL, TOOL, ARGS, FREE), text: `${call},"args":"${ARGS}"` },
    {
      name: 'a start with all',
      body: event.toolStart(CALL, TOOL, ARGS, BOTH, raw),
      text: `${call},"args":"${ARGS}","usd":"1.5","sat":"0.25","x":{"raw":${raw}}`,
    },
    { name: 'an end', body: event.toolEnd(CALL, TOOL, 9, undefined, FREE, FREE, false), text: `${call},"us":9` },
    {
      name: 'an end that booked nothing of what it held',
      body: event.toolEnd(CALL, TOOL, 9, undefined, FREE, BOTH, false),
      text: `${call},"us":9,"usd":"0","sat":"0"`,
    },
    {
      name: 'an end that booked other money than it held',
      body: event.toolEnd(CALL, TOOL, 9, undefined, { usd: 0, sat: 250 }, USD, false),
      text: `${call},"us":9,"usd":"0","sat":"0.25"`,
    },
    {
      name: 'an end with all',
      body: event.toolEnd(CALL, TOOL, 9, 'E_X', BOTH, FREE, true),
      text: `${call},"us":9,"error":"E_X","usd":"1.5","sat":"0.25","overrun":1`,
    },
    { name: 'a refusal', body: event.toolDenied(DENIED), text: denied },
    {
      name: 'a refusal with all',
      body: event.toolDenied({ ...DENIED, args: ARGS, reason: 'r', observed: true, raw }),
      text: `${call},"args":"${ARGS}","guard":"args","code":"ARGS_INVALID","reason":"r","observed":1,"x":{"raw":${raw}}`,
    },
    { name: 'a refusal of a budget', body: event.budgetDenied({ ...DENIED, ...SHORT }), text: denied + short },
    {
      name: 'a refusal of a budget that was not observed',
      body: event.budgetDenied({ ...DENIED, ...SHORT, observed: false }),
      text: denied + short,
    },
    {
      name: 'a refusal of a budget with all',
      body: event.budgetDenied({ ...DENIED, ...SHORT, args: ARGS, reason: 'r', observed: true, raw }),
      text:
        `${call},"args":"${ARGS}","guard":"args","code":"ARGS_INVALID"${short}` +
        `,"reason":"r","observed":1,"x":{"raw":${raw}}`,
    },
    {
      name: 'a place',
      body: event.egress({ ...TARGET, observed: false }),
      text: ',"scheme":"https","host":"api.stripe.com","port":443',
    },
    {
      name: 'a place with all',
      body: event.egress({
        ...TARGET,
        call: CALL,
        tool: TOOL,
        addr: '192.0.2.1',
        code: 'EGRESS_DENIED',
        reason: 'port',
        observed: true,
      }),
      text:
        `${call},"scheme":"https","host":"api.stripe.com","port":443,"addr":"192.0.2.1"` +
        ',"code":"EGRESS_DENIED","reason":"port","observed":1',
    },
    { name: 'a charge', body: event.charge(undefined, undefined, FREE), text: '' },
    {
      name: 'a charge with all',
      body: event.charge(CALL, 'model', BOTH),
      text: `,"call":"${CALL}","note":"model","usd":"1.5","sat":"0.25"`,
    },
    { name: 'a stop', body: event.killSwitch('by "hand"'), text: ',"reason":"by \\"hand\\""' },
    { name: 'a fragment', body: event.logRecovered(17, HASH), text: `,"bytes":17,"sha256":"${HASH}"` },
    {
      name: 'what was dropped',
      body: event.eventsDropped({ count: 3, from: 1, to: 2 }),
      text: ',"count":3,"from":1,"to":2',
    },
    {
      name: 'the end',
      body: event.sessionClose('closed', 2, 1, FREE),
      text: ',"reason":"closed","calls":2,"denied":1',
    },
    {
      name: 'the end with money',
      body: event.sessionClose('closed', 2, 1, BOTH),
      text: ',"reason":"closed","calls":2,"denied":1,"usd":"1.5","sat":"0.25"',
    },
  ])('is, byte for byte: $name', ({ body, text }) => {
    expect(body).toBe(text);
  });

  it('may be no money before any other', async () => {
    vi.resetModules();
    const { toolEnd } = await import('../../src/audit/event.ts');
    expect(toolEnd(CALL, TOOL, 9, undefined, FREE, BOTH, false)).toBe(`${call},"us":9,"usd":"0","sat":"0"`);
  });

  const open = {
    origin: 'o/l',
    lib: 'leashkit/1',
    agent: 'a',
    session: 's',
    mode: 'enforce',
    hash: 's1',
    guards: HASH,
  };
  const opened = `,"origin":"o/l","lib":"leashkit/1","agent":"a","session":"s","mode":"enforce","hash":"s1","guards":"${HASH}"`;
  const heads = Array.from({ length: 65 }, (_, size) => ({ log: CALL, size, hash: HASH }));
  it.each([
    { name: 'alone', more: {}, text: '' },
    { name: 'beside no others', more: { prior: [] }, text: '' },
    {
      name: 'with all',
      more: {
        egress: { enforce: 'scope', leash: 'held' },
        key: KEY,
        cert: SIGNATURE,
        parent: { log: CALL, seq: 3, hash: HASH },
        prior: heads.slice(0, 2),
      },
      text:
        `,"egress":{"enforce":"scope","leash":"held"},"key":"${KEY}","cert":"${SIGNATURE}"` +
        `,"parent":{"log":"${CALL}","seq":3,"hash":"${HASH}"}` +
        `,"prior":[{"log":"${CALL}","size":0,"hash":"${HASH}"},{"log":"${CALL}","size":1,"hash":"${HASH}"}]`,
    },
    {
      name: 'beside more than are named',
      more: { prior: heads },
      text: `,"prior":${JSON.stringify(heads.slice(1).map(({ log, size, hash }) => ({ log, size, hash })))}`,
    },
  ])('is, byte for byte: the beginning $name', ({ more, text }) => {
    expect(event.sessionOpen({ ...open, ...more })).toBe(opened + text);
  });
});

describe('quote', () => {
  it.each([
    { name: 'quotes and braces', text: '"},"prev":"', quoted: '"\\"},\\"prev\\":\\""' },
    { name: 'a backslash at the end', text: '\\', quoted: '"\\\\"' },
    { name: 'line ends', text: '\n\r\u0000', quoted: '"\\n\\r\\u0000"' },
    { name: 'a lone high surrogate', text: 'a\ud83d', quoted: '"a\ufffd"' },
    { name: 'a lone low surrogate', text: '\ude00b', quoted: '"\ufffdb"' },
    { name: 'surrogates the wrong way round', text: '\ude00\ud83d', quoted: '"\ufffd\ufffd"' },
    { name: 'a pair', text: '😀', quoted: '"😀"' },
    { name: '256 characters', text: 'x'.repeat(256), quoted: `"${'x'.repeat(256)}"` },
    { name: '10 000 characters', text: 'x'.repeat(10_000), quoted: `"${'x'.repeat(256)}"` },
    { name: 'a pair across the limit', text: `${'x'.repeat(255)}😀`, quoted: `"${'x'.repeat(255)}\ufffd"` },
    { name: 'nothing', text: '', quoted: '""' },
  ])('makes a JSON string of $name', ({ text, quoted }) => {
    expect(event.quote(text)).toBe(quoted);
  });

  it('keeps any text inside its string, short and well-formed', () => {
    const any = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 400 }),
      fc.uint16Array({ maxLength: 400 }).map((units) => String.fromCharCode(...units)),
    );
    fc.assert(
      fc.property(any, (text) => {
        const line = lineOf('kill_switch', event.killSwitch(text));
        expect(line).not.toContain('\n');
        const read: string = JSON.parse(line).reason;
        expect(read.length).toBe(Math.min(256, text.length));
        expect(read.isWellFormed()).toBe(true);
        if (text.isWellFormed() && text.length <= 256) expect(read).toBe(text);
      }),
      { numRuns: 100 },
    );
  });
});

describe('what a session logs', () => {
  const sessionOf = (guards: readonly Guard[], more: Partial<Parameters<typeof createLeash>[0]> = {}) => {
    const sink = memorySink();
    const leash = createLeash({ guards, audit: { sink, sign: 'none' }, stopOn: 'none', ...more });
    const close = async (): Promise<readonly LogEvent[]> => {
      await leash.close();
      const report = readLogs(`${sink.lines.join('\n')}\n`);
      expect(report.problem).toBeUndefined();
      expect(report.complete).toBe(true);
      return report.logs.flatMap(({ events }) => events);
    };
    return { leash, close };
  };
  const attempt = (leash: Leash, call: Partial<Parameters<Leash['run']>[0]> = {}): Promise<unknown> =>
    leash.run({ tool: 'tool', cost: 'free', ...call }, () => 'done').catch((error: unknown) => error);

  it('has one line of every kind for what happened', async () => {
    await using server = await startServer();
    const { leash, close } = sessionOf([
      egress({ allow: [server.origin] }),
      budget({ usd: 1 }),
      callCap({ max: 1, tools: ['once'] }),
      rateLimit({ max: 1, per: '1h', tools: ['seldom'] }),
    ]);
    await leash.run({ tool: 'fetch', cost: '$0.25' }, async () => {
      await leash.fetch(`${server.origin}/path?query`);
      await leash.fetch('https://elsewhere.test/path?query').catch(() => {});
      await leash.charge('$0.125', 'model');
    });
    await leash.run({ tool: 'fails', cost: '$0.25' }, () => Promise.reject(new TypeError('no'))).catch(() => {});
    await attempt(leash, { cost: '$2' });
    await attempt(leash, { args: Number.NaN });
    await attempt(leash, { url: 'https://elsewhere.test/' });
    for (let i = 0; i < 2; i++) await attempt(leash, { tool: 'once' });
    for (let i = 0; i < 2; i++) await attempt(leash, { tool: 'seldom' });
    await (await leash.hold('$0.1', 'held')).settle('$0.05');
    leash.stop('by hand');
    const events = await close();
    const told = events.map(({ kind, code, call, ...rest }) => {
      const { v: _, log: __, seq: ___, ts: ____, prev: _____, ...values } = rest;
      return [kind, ...(code === undefined ? [] : [code]), ...Object.keys(values)].join(' ');
    });
    const denied = 'tool args guard';
    expect(told).toEqual([
      'session_open origin lib agent session mode hash guards egress',
      'tool_start tool args usd',
      'egress_ok tool scheme host port addr',
      'egress_denied EGRESS_DENIED tool scheme host port reason',
      'charge note usd',
      'tool_ok tool us usd',
      'tool_start tool args usd',
      'tool_error tool us error usd',
      `budget_denied BUDGET_EXCEEDED ${denied} unit cap requested remaining reason`,
      'tool_denied ARGS_INVALID tool guard reason',
      'egress_denied EGRESS_DENIED tool scheme host port reason',
      'tool_start tool args',
      'tool_ok tool us',
      `tool_denied CALL_CAP_REACHED ${denied} reason`,
      'tool_start tool args',
      'tool_ok tool us',
      `tool_denied RATE_LIMITED ${denied} reason`,
      'charge note usd',
      'kill_switch reason',
      'session_close reason calls denied usd',
    ]);
    const calls = events.map(({ call }) => call);
    expect(new Set([1, 2, 3, 4, 5].map((i) => calls[i])).size).toBe(1);
  });

  it.each([
    { name: 'quotes and braces', text: '"},"prev":"' },
    { name: 'a whole line', text: '\n{"v":1,"log":"x","seq":0}\n' },
    { name: 'line ends of Unicode', text: '\u2028\u2029\u0085' },
    { name: 'NUL and DEL', text: '\u0000\u007f' },
    { name: '256 characters', text: '😀'.repeat(128) },
    { name: 'the name of a prototype', text: '__proto__' },
  ])('holds names in their strings: $name', async ({ text }) => {
    const guard: Guard = { name: text, check: () => ({ allow: false, code: 'NO', reason: text }) };
    const { leash, close } = sessionOf([guard], { agent: text, id: text });
    await attempt(leash, { tool: text });
    await attempt(leash.child({ guards: [], agent: text }), { tool: text });
    await leash.charge({ usd: 0 }, text);
    leash.stop(text);
    const events = await close();
    expect(events.filter(({ tool, reason }) => tool === text && reason === text)).toHaveLength(2);
    expect(events.filter(({ kind, reason }) => kind === 'kill_switch' && reason === text)).toHaveLength(1);
    expect(events[0]).toMatchObject({ agent: text, session: text });
  });

  it.each([
    { name: 'a long reason', denial: { reason: 'x'.repeat(10_000) }, reason: 'x'.repeat(256) },
    { name: 'a lone surrogate', denial: { reason: '\ud800"' }, reason: '\ufffd"' },
    { name: 'no reason at all', denial: { reason: undefined }, reason: 'guard-failed' },
    { name: 'a code with a quote', denial: { code: 'A","B":"' }, reason: 'guard-failed' },
    { name: 'a long code', denial: { code: 'A'.repeat(65) }, reason: 'guard-failed' },
  ])('stays a log whatever a guard answers: $name', async ({ denial, reason }) => {
    const answer = { allow: false, code: 'NO', reason: 'no', ...denial } as Denial;
    const { leash, close } = sessionOf([{ name: 'custom', check: () => answer }]);
    await attempt(leash);
    expect((await close())[1]).toMatchObject({ kind: 'tool_denied', reason });
  });

  it.each([
    { name: 'text for a port', target: { scheme: 'https', host: 'a.test', port: '443,"x":1' } },
    { name: 'no port', target: { scheme: 'https', host: 'a.test' } },
    { name: 'a port that is no number', target: { scheme: 'https', host: 'a.test', port: Number.NaN } },
    { name: 'half a port', target: { scheme: 'https', host: 'a.test', port: 443.5 } },
    { name: 'too high a port', target: { scheme: 'https', host: 'a.test', port: 65_536 } },
    { name: 'no host', target: { scheme: 'https', port: 443 } },
    { name: 'an object for a host', target: { scheme: 'https', host: { a: 1 }, port: 443 } },
    { name: 'no object', target: 'a.test' },
    { name: 'null', target: null },
  ])('stays a log whatever a guard gives as target: $name', async ({ target }) => {
    const answer = { allow: false, code: 'EGRESS_DENIED', reason: 'no', target } as unknown as Denial;
    const { leash, close } = sessionOf([{ name: 'custom', check: () => answer }]);
    expect(await attempt(leash)).toMatchObject({ name: expect.stringMatching(/^(EgressDenied|Denied)Error$/) });
    expect((await close())[1]).toMatchObject({ kind: 'tool_denied', guard: 'custom', code: 'GUARD_FAILED' });
  });

  it('takes from a target what is one, and nothing else', async () => {
    const target = { scheme: 'https', host: 'a.test', port: 443, tool: '0', call: '"', addr: 'secret' };
    const denial = { allow: false, code: 'EGRESS_DENIED', reason: 'no', target } as const;
    const { leash, close } = sessionOf([{ name: 'custom', check: () => denial }]);
    await attempt(leash);
    const line = (await close())[1];
    expect(line).toMatchObject({ kind: 'egress_denied', tool: 'tool', host: 'a.test', port: 443 });
    expect(line).not.toHaveProperty('addr');
  });

  it.each([
    { name: 'a class', error: new RangeError('secret'), word: 'RangeError' },
    {
      name: 'a code of the system',
      error: Object.assign(new Error('secret'), { code: 'ECONNRESET' }),
      word: 'ECONNRESET',
    },
    { name: 'a code that is a sentence', error: Object.assign(new Error('x'), { code: 'a secret' }), word: 'Error' },
    { name: 'a name that was set', error: Object.assign(new Error('x'), { name: 'secret' }), word: 'Error' },
    { name: 'text', error: 'secret', word: 'string' },
    { name: 'nothing', error: undefined, word: 'undefined' },
  ])('names an error of a tool and never quotes it: $name', async ({ error, word }) => {
    const { leash, close } = sessionOf([]);
    await leash.run({ tool: 'tool' }, () => Promise.reject(error)).catch(() => {});
    const events = await close();
    expect(events[2]).toMatchObject({ kind: 'tool_error', error: word });
    expect(JSON.stringify(events)).not.toContain('secret');
  });
});
