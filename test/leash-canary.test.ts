import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { jsonSchemaArgs } from '../src/adapters/ajv.ts';
import {
  type AuditSink,
  args,
  budget,
  callCap,
  createLeash,
  currentCall,
  egress,
  fileSink,
  type Guard,
  isLeashError,
  type Leash,
  type LeashOptions,
  type Money,
  memorySink,
  memoryStore,
  rateLimit,
} from '../src/index.ts';
import type { Store } from '../src/stores/store.ts';
import { hop, redirecting, startServer, type TestServer } from './helpers/server.ts';
import { storeWith } from './helpers/store-around.ts';

/** A word as good as any identifier or class name, so that no rule about characters keeps it out by luck. */
const CANARY = `canary${randomBytes(8).toString('hex')}`;
const secret = (): never => {
  throw new Error(CANARY);
};

let server: TestServer;
let directory: string;
beforeAll(async () => {
  server = await startServer(redirecting);
  directory = mkdtempSync(join(tmpdir(), 'leash-canary-'));
});
afterAll(async () => {
  rmSync(directory, { recursive: true });
  await server.close();
});

/** Where the log goes, and all of its text. */
interface Kept {
  readonly sink: AuditSink;
  readonly text: () => string;
}

const SINKS: readonly { readonly where: string; readonly open: () => Kept }[] = [
  {
    where: 'memory',
    open() {
      const sink = memorySink();
      return { sink, text: () => sink.lines.join('\n') };
    },
  },
  {
    where: 'a file',
    open() {
      const path = join(directory, `${randomBytes(8).toString('hex')}.jsonl`);
      return { sink: fileSink(path), text: () => readFileSync(path, 'utf8') };
    },
  },
];

/** Checkpoints come in between, when they are due. */
function eventsIn(text: string): readonly { readonly kind: string; readonly error?: string }[] {
  const lines = text.trim().split('\n');
  return lines.map((line) => JSON.parse(line)).filter(({ kind }) => kind !== 'checkpoint');
}

const withCanary = (text: string): boolean => text.toLowerCase().includes(CANARY);

/** Everything that an error of the leash shows by itself. */
function shownBy(error: unknown): string {
  expect(error).toBeInstanceOf(Error);
  const { name, message, stack } = error as Error;
  const json = isLeashError(error) ? JSON.stringify([error, error.toJSON()]) : '';
  return [
    name,
    message,
    String(error),
    stack,
    json,
    JSON.stringify(error),
    JSON.stringify({ ...(error as object) }),
  ].join('\n');
}

interface Scenario {
  readonly name: string;
  readonly guards?: readonly Guard[];
  readonly options?: Partial<LeashOptions>;
  readonly act: (leash: Leash) => unknown;
  /** Code and reason of the refusal; or the class of an error that is no refusal. */
  readonly refused: readonly [code: string, reason?: string] | 'TypeError' | 'RangeError';
  /** The kind and code of the last event. */
  readonly logged: readonly [kind: string, code?: string];
}

const given = { [CANARY]: CANARY, nested: [{ [CANARY]: CANARY }], text: `a ${CANARY} b` };
const tool = async (value: unknown): Promise<unknown> => value;
const zodSchema = z.strictObject({
  text: z.string().refine((text) => !text.includes('canary'), {
    error: (issue) => `${issue.input} must not be told`,
    params: { told: CANARY },
  }),
});
const throwing = (part: 'reserve' | 'open'): LeashOptions['store'] => {
  const store = memoryStore();
  const fails: Partial<Store> = {
    open: (scopes) => (part === 'open' ? secret() : store.open(scopes)),
    reserve: (batch) => (part === 'reserve' ? secret() : store.reserve(batch)),
  };
  return storeWith(fails, store);
};
const guardThat = (check: Guard['check']): Guard => ({ name: 'own', ...(check === undefined ? {} : { check }) });
const badMoney = CANARY as unknown as Money;
const free = { cost: 'free' as const };

const REFUSED: readonly Scenario[] = [
  {
    name: 'a budget, whose cost is made of arguments',
    guards: [budget({ usd: 1 })],
    act: (leash) => leash.wrap('t', tool, { cost: () => ({ usd: 3 }) })(given),
    refused: ['BUDGET_EXCEEDED', 'exceeds_cap'],
    logged: ['budget_denied', 'BUDGET_EXCEEDED'],
  },
  {
    name: 'a call cap',
    guards: [callCap(0)],
    act: (leash) => leash.wrap('t', tool)(given),
    refused: ['CALL_CAP_REACHED', 'exceeds_cap'],
    logged: ['tool_denied', 'CALL_CAP_REACHED'],
  },
  {
    name: 'a rate limit',
    guards: [rateLimit({ max: 1, per: '1m' })],
    async act(leash) {
      await leash.wrap('t', tool)(given);
      await leash.wrap('t', tool)(given);
    },
    refused: ['RATE_LIMITED', 'exhausted'],
    logged: ['tool_denied', 'RATE_LIMITED'],
  },
  ...[
    { part: 'path', url: `https://example.com/${CANARY}`, reason: 'host-not-allowed' },
    { part: 'query', url: `https://example.com/?${CANARY}=${CANARY}`, reason: 'host-not-allowed' },
    { part: 'fragment', url: `https://example.com/#${CANARY}`, reason: 'host-not-allowed' },
    { part: 'user', url: `https://${CANARY}@allowed.test/`, reason: 'bad-host' },
    { part: 'password', url: `https://u:${CANARY}@allowed.test/`, reason: 'bad-host' },
    { part: 'path, where the path is refused', url: `https://paths.test/${CANARY}`, reason: 'path' },
    { part: 'path, where the port is refused', url: `https://allowed.test:8443/${CANARY}`, reason: 'port' },
    { part: 'path, where the scheme is refused', url: `http://allowed.test/${CANARY}`, reason: 'scheme' },
    { part: 'path of an opaque URL', url: `data:text/plain,${CANARY}`, reason: 'scheme' },
    { part: 'text that is no URL', url: `not a url ${CANARY}`, reason: 'bad-host' },
    { part: 'text of a URL with a bad host', url: `https://%${CANARY}/`, reason: 'bad-host' },
  ].flatMap(({ part, url, reason }): Scenario[] => [
    {
      name: `egress, in the ${part}`,
      guards: [egress({ allow: ['allowed.test', { host: 'paths.test', path: '/open/' }] })],
      act: (leash) => leash.wrap('t', tool, { url: (value) => String(value) })(url),
      refused: ['EGRESS_DENIED', reason],
      logged: [reason === 'bad-host' && !url.includes('allowed') ? 'tool_denied' : 'egress_denied', 'EGRESS_DENIED'],
    },
    {
      name: `egress through run, in the ${part}`,
      guards: [egress({ allow: ['allowed.test', { host: 'paths.test', path: '/open/' }] })],
      act: (leash) => leash.run({ tool: 't', args: given, url }, tool),
      refused: ['EGRESS_DENIED', reason],
      logged: [reason === 'bad-host' && !url.includes('allowed') ? 'tool_denied' : 'egress_denied', 'EGRESS_DENIED'],
    },
  ]),
  {
    name: 'leash.fetch at the first hop',
    guards: [egress({ allow: ['allowed.test'] })],
    act: (leash) =>
      leash.run({ tool: 't', args: given, ...free }, () =>
        leash.fetch(`${server.origin}/${CANARY}?${CANARY}#${CANARY}`, { headers: { [CANARY]: CANARY } }),
      ),
    refused: ['EGRESS_DENIED', 'host-not-allowed'],
    logged: ['tool_error'],
  },
  {
    name: 'leash.fetch at a redirect to a secret place',
    guards: [{ ...egress({ allow: [] }), reach: (url) => ownReach(url) }],
    act: (leash) =>
      leash.run({ tool: 't', args: given }, () =>
        leash.fetch(hop(server.origin, 302, `https://elsewhere.test/${CANARY}?${CANARY}`)),
      ),
    refused: ['EGRESS_DENIED', 'host-not-allowed'],
    logged: ['tool_error'],
  },
  {
    name: 'a Zod schema whose messages quote the value',
    guards: [args({ t: zodSchema })],
    act: (leash) => leash.wrap('t', tool)(given),
    refused: ['ARGS_INVALID', 'schema'],
    logged: ['tool_denied', 'ARGS_INVALID'],
  },
  {
    name: 'a schema of a tool whose issues name keys of the arguments',
    guards: [args()],
    act: (leash) =>
      leash.wrap('t', tool, { schema: z.record(z.string().max(3, CANARY), z.record(z.string(), z.number(CANARY))) })(
        given,
      ),
    refused: ['ARGS_INVALID', 'schema'],
    logged: ['tool_denied', 'ARGS_INVALID'],
  },
  {
    name: 'a schema that throws what it was given',
    guards: [args({ t: { '~standard': { version: 1, vendor: 'own', validate: secret } } })],
    act: (leash) => leash.wrap('t', tool)(given),
    refused: ['GUARD_FAILED', 'guard-failed'],
    logged: ['tool_denied', 'GUARD_FAILED'],
  },
  {
    name: 'a schema that rejects with what it was given',
    guards: [args({ t: { '~standard': { version: 1, vendor: 'own', validate: async () => secret() } } })],
    act: (leash) => leash.wrap('t', tool)(given),
    refused: ['GUARD_FAILED', 'guard-failed'],
    logged: ['tool_denied', 'GUARD_FAILED'],
  },
  ...[
    { rule: 'additionalProperties', schema: { type: 'object', properties: { text: {} }, additionalProperties: false } },
    { rule: 'propertyNames', schema: { type: 'object', propertyNames: { maxLength: 6 } } },
    { rule: 'type below a key', schema: { type: 'object', additionalProperties: { type: 'number' } } },
    { rule: 'const', schema: { type: 'object', properties: { text: { const: 'other' } } } },
    { rule: 'pattern', schema: { type: 'object', properties: { text: { type: 'string', pattern: '^x' } } } },
  ].map(
    ({ rule, schema }): Scenario => ({
      name: `a JSON Schema by ${rule}`,
      guards: [jsonSchemaArgs({ t: schema })],
      act: (leash) => leash.wrap('t', tool)(given),
      refused: ['ARGS_INVALID', 'schema'],
      logged: ['tool_denied', 'ARGS_INVALID'],
    }),
  ),
  ...[
    { what: 'beside NaN', value: { ...given, [`${CANARY}2`]: Number.NaN } },
    { what: 'around a Map', value: { [CANARY]: { [CANARY]: new Map([[CANARY, CANARY]]) } } },
    { what: 'of a symbol', value: { [CANARY]: Symbol(CANARY) } },
    { what: 'before a lone surrogate', value: { [`${CANARY}\ud800`]: 1 } },
    {
      what: 'of a getter that throws',
      value: {
        get [CANARY]() {
          return secret();
        },
      },
    },
    { what: 'of a proxy that throws', value: new Proxy({}, { ownKeys: secret }) },
  ].map(
    ({ what, value }): Scenario => ({
      name: `arguments that are no JSON, ${what}`,
      act: (leash) => leash.wrap('t', tool)(value),
      refused: ['ARGS_INVALID', 'not-json'],
      logged: ['tool_denied', 'ARGS_INVALID'],
    }),
  ),
  {
    name: 'the end of the session by stop',
    act(leash) {
      leash.stop('by hand');
      return leash.wrap('t', tool)(given);
    },
    refused: ['SESSION_STOPPED', 'stopped'],
    logged: ['tool_denied', 'SESSION_STOPPED'],
  },
  {
    name: 'the end of the session by a breach',
    guards: [callCap({ max: 0, tools: ['other'] })],
    async act(leash) {
      await leash
        .wrap(
          'other',
          tool,
        )(given)
        .catch(() => {});
      await leash.run({ tool: 't', args: given }, tool);
    },
    refused: ['SESSION_BREACHED', 'ended by CALL_CAP_REACHED'],
    logged: ['tool_denied', 'SESSION_BREACHED'],
  },
  {
    name: 'the end of the session by close',
    async act(leash) {
      await leash.close();
      await leash.enter({ tool: 't', args: given });
    },
    refused: ['SESSION_CLOSED', 'closed'],
    logged: ['session_close'],
  },
  ...[
    { what: 'throws', check: secret, code: 'GUARD_FAILED', reason: 'guard-failed' },
    { what: 'rejects', check: async () => secret(), code: 'GUARD_FAILED', reason: 'guard-failed' },
    { what: 'answers with the arguments', check: () => given as never, code: 'GUARD_FAILED', reason: 'guard-failed' },
    {
      what: 'answers with a code made of them',
      check: () => ({ allow: false as const, code: CANARY, reason: 'r' }),
      code: 'GUARD_FAILED',
      reason: 'guard-failed',
    },
  ].map(
    ({ what, check, code, reason }): Scenario => ({
      name: `a guard of one's own that ${what}`,
      guards: [guardThat(check)],
      act: (leash) => leash.wrap('t', tool)(given),
      refused: [code, reason],
      logged: ['tool_denied', code],
    }),
  ),
  ...(['reserve', 'open'] as const).map(
    (part): Scenario => ({
      name: `a store that fails to ${part}`,
      options: { store: throwing(part) as NonNullable<LeashOptions['store']> },
      act: (leash) => leash.wrap('t', tool)(given),
      refused: ['STORE_UNAVAILABLE'],
      logged: ['tool_denied', 'STORE_UNAVAILABLE'],
    }),
  ),
  {
    name: 'a conflict of idempotency keys',
    guards: [budget({ usd: 1 })],
    async act(leash) {
      let usd = 0.1;
      const once = leash.wrap('t', tool, { cost: () => ({ usd }), idempotencyKey: () => CANARY });
      await once('same');
      usd = 0.2;
      await once('same');
    },
    refused: ['CONFLICT'],
    logged: ['tool_denied', 'CONFLICT'],
  },
  ...[
    { what: 'a string', cost: CANARY },
    { what: 'a string with a unit', cost: `$${CANARY}` },
    { what: 'an amount', cost: { usd: CANARY } },
    { what: 'a key', cost: { usd: 1, [CANARY]: 1 } },
    { what: 'a symbol', cost: Symbol(CANARY) },
    { what: 'a list', cost: [CANARY] },
  ].flatMap(({ what, cost }): Scenario[] => {
    const kind =
      what === 'a string' || what.startsWith('a string') || what === 'an amount' ? 'RangeError' : 'TypeError';
    return [
      {
        name: `a cost that is ${what}`,
        guards: [budget({ usd: 1 })],
        act: (leash) => leash.wrap('t', tool, { cost: () => cost as Money })(given),
        refused: kind,
        logged: ['tool_denied', 'CALL_INVALID'],
      },
      {
        name: `an actual cost that is ${what}`,
        guards: [budget({ usd: 1 })],
        act: (leash) => leash.wrap('t', tool, { cost: { usd: 0.1 }, actualCost: () => cost as Money })(given),
        refused: kind,
        logged: ['tool_error'],
      },
      {
        name: `a charge of the call that is ${what}`,
        guards: [budget({ usd: 1 })],
        act: (leash) => leash.wrap('t', async () => currentCall()?.charge(cost as Money), { cost: { usd: 0.1 } })(),
        refused: kind,
        logged: ['tool_error'],
      },
      {
        name: `a ticket's cost that is ${what}`,
        guards: [budget({ usd: 1 })],
        act: async (leash) => (await leash.enter({ tool: 't', args: given, cost: { usd: 0.1 } })).settle(cost as Money),
        refused: kind,
        logged: ['tool_error'],
      },
    ];
  }),
  {
    name: 'a hold of no money',
    guards: [budget({ usd: 1 })],
    act: async (leash) => leash.hold(badMoney),
    refused: 'RangeError',
    logged: ['session_open'],
  },
  {
    name: 'a hold that is settled with no money',
    guards: [budget({ usd: 1 })],
    act: async (leash) => (await leash.hold({ usd: 0.1 })).settle(badMoney),
    refused: 'RangeError',
    logged: ['charge'],
  },
  {
    name: 'a charge of no money',
    guards: [budget({ usd: 1 })],
    act: async (leash) => leash.charge(badMoney),
    refused: 'RangeError',
    logged: ['session_open'],
  },
  {
    name: 'a peek at no money',
    guards: [budget({ usd: 1 })],
    act: async (leash) => leash.peek({ tool: 't', args: given, cost: badMoney }),
    refused: 'RangeError',
    logged: ['session_open'],
  },
  ...[
    { what: 'a record', url: { [CANARY]: CANARY } },
    { what: 'a list with a record', url: [{ [CANARY]: CANARY }] },
    { what: 'a symbol', url: Symbol(CANARY) },
  ].map(
    ({ what, url }): Scenario => ({
      name: `a URL that is ${what}`,
      guards: [egress({ allow: [] })],
      act: (leash) => leash.wrap('t', tool, { url: () => url as unknown as string })(given),
      refused: 'TypeError',
      logged: ['tool_denied', 'CALL_INVALID'],
    }),
  ),
  ...[
    { what: 'a record', key: { [CANARY]: CANARY } },
    { what: 'a symbol', key: Symbol(CANARY) },
  ].map(
    ({ what, key }): Scenario => ({
      name: `an idempotency key that is ${what}`,
      act: (leash) => leash.wrap('t', tool, { idempotencyKey: () => key as unknown as string })(given),
      refused: 'TypeError',
      logged: ['tool_denied', 'CALL_INVALID'],
    }),
  ),
];

/** Allows the server and nothing else, as the egress guard would with a rule that is not known before the test runs. */
function ownReach(url: string): ReturnType<NonNullable<Guard['reach']>> {
  const guard = egress({ allow: [server.origin] });
  return guard.reach?.(url, 'GET') ?? { allow: true };
}

describe.each(SINKS)('a canary in a refused call, with the log in $where', ({ open }) => {
  it.each(REFUSED)('is not shown by $name', async ({ guards = [callCap(10)], options, act, refused, logged }) => {
    const { sink, text } = open();
    const leash = createLeash({ guards, audit: sink, ...options });
    let error: unknown;
    try {
      await act(leash);
      expect.unreachable('nothing was refused');
    } catch (thrown) {
      error = thrown;
    }
    if (typeof refused === 'string') expect((error as Error).name, String(error)).toBe(refused);
    else {
      const [code, reason] = refused;
      expect(error, String(error)).toMatchObject({ code, ...(reason === undefined ? {} : { reason }) });
    }
    expect(withCanary(shownBy(error))).toBe(false);
    const [kind, code] = logged;
    expect(eventsIn(text()).at(-1)).toMatchObject({ kind, ...(code === undefined ? {} : { code }) });

    expect(withCanary(JSON.stringify(await leash.usage()))).toBe(false);
    const summary = await leash.close().catch((closing: unknown) => shownBy(closing));
    expect(withCanary(JSON.stringify(summary))).toBe(false);
    if (leash.breach !== undefined) expect(withCanary(shownBy(leash.breach))).toBe(false);
    expect(withCanary(text())).toBe(false);
  });

  it('is not shown by a log that cannot be written', async () => {
    let broken = false;
    const { sink, text } = open();
    const failing: AuditSink = {
      name: 'failing',
      write: (lines, first, last) => (broken ? secret() : sink.write(lines, first, last)),
    };
    const leash = createLeash({ guards: [callCap(1)], audit: failing });
    broken = true;
    const error = await leash
      .wrap(
        't',
        tool,
      )(given)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    expect(withCanary(shownBy(error))).toBe(false);
    const closing = await leash.close().catch((thrown: unknown) => thrown);
    expect(closing).toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    expect(withCanary(shownBy(closing))).toBe(false);
    expect(withCanary(text())).toBe(false);
  });

  it('is not shown by a peek', async () => {
    const { sink } = open();
    const leash = createLeash({ guards: [args({ t: zodSchema })], audit: sink });
    const decision = await leash.peek({ tool: 't', args: given });
    expect(decision).toMatchObject({ allow: false, code: 'ARGS_INVALID' });
    expect(withCanary(JSON.stringify(decision))).toBe(false);
    const url = `https://u:${CANARY}@example.com/${CANARY}`;
    const reach = createLeash({ guards: [egress({ allow: [] })], audit: sink });
    const other = await reach.peek({ tool: 't', args: given, url });
    expect(other).toMatchObject({ allow: false, code: 'EGRESS_DENIED' });
    expect(withCanary(JSON.stringify(other))).toBe(false);
  });

  it('is not shown by a state that was lost', async () => {
    const { sink, text } = open();
    const store = memoryStore();
    let lost = false;
    const leash = createLeash({
      guards: [callCap(1)],
      audit: sink,
      store: storeWith(
        { reserve: (batch) => (lost ? [{ ok: false, why: 'state_lost', line: 0, nowMs: 0 }] : store.reserve(batch)) },
        store,
      ),
    });
    lost = true;
    const error = await leash
      .wrap(
        't',
        tool,
      )(given)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'STATE_LOST' });
    expect(withCanary(shownBy(error))).toBe(false);
    expect(withCanary(text())).toBe(false);
  });
});

class ToolError extends Error {
  override readonly name = CANARY;
  readonly code = CANARY;
  readonly body = CANARY;
}

/** A class whose name nobody chose: made from what came over the network. */
const parsed = (text: string): unknown => JSON.parse(text);

const FAILURES: readonly { readonly name: string; readonly thrown: unknown; readonly word: string }[] = [
  { name: 'an error', thrown: new Error(CANARY, { cause: new Error(CANARY) }), word: 'Error' },
  { name: 'an error with name and code', thrown: new ToolError(CANARY), word: 'ToolError' },
  {
    name: 'a code with more than a code',
    thrown: Object.assign(new Error('x'), { code: `E ${CANARY}` }),
    word: 'Error',
  },
  { name: 'a system error', thrown: Object.assign(new Error(CANARY), { code: 'ECONNRESET' }), word: 'ECONNRESET' },
  { name: 'a string', thrown: CANARY, word: 'string' },
  { name: 'a parsed body', thrown: parsed(`{"message":"${CANARY}","code":"${CANARY}"}`), word: 'Object' },
  { name: 'a parsed body with a class', thrown: parsed(`{"constructor":{"name":"${CANARY}"}}`), word: 'Object' },
  { name: 'a symbol', thrown: Symbol(CANARY), word: 'symbol' },
  { name: 'undefined', thrown: undefined, word: 'undefined' },
  { name: 'null', thrown: null, word: 'object' },
  { name: 'a proxy that throws', thrown: new Proxy({}, { get: secret, getPrototypeOf: secret }), word: 'Error' },
];

describe.each(SINKS)('a canary in a call that runs, with the log in $where', ({ open }) => {
  it.each(FAILURES)('is not logged when the tool throws $name', async ({ thrown, word }) => {
    const { sink, text } = open();
    const leash = createLeash({ guards: [budget({ usd: 1 })], audit: sink });
    const options = { cost: { usd: 0.1 } };
    const ways = [
      () =>
        leash.wrap(
          't',
          () => {
            throw thrown;
          },
          options,
        )(),
      () => leash.wrap('t', () => Promise.reject(thrown), options)(),
      () =>
        leash.run({ tool: 't', args: given, ...options }, () => {
          throw thrown;
        }),
      async () => {
        const ticket = await leash.enter({ tool: 't', args: given, ...options });
        await ticket.fail(thrown);
        throw thrown;
      },
      () =>
        leash
          .wrap(
            't',
            // biome-ignore lint/correctness/useYield: it throws before its first item.
            async function* () {
              throw thrown;
            },
            options,
          )()
          .next(),
    ];
    for (const way of ways) {
      const caught = await Promise.resolve(way()).then(
        () => expect.unreachable('it did not throw'),
        (error: unknown) => [error],
      );
      // The tool's own error goes to whoever called it, as it is.
      expect(Object.is(caught[0], thrown)).toBe(true);
    }
    const summary = await leash.close();
    expect(withCanary(JSON.stringify(summary))).toBe(false);
    const ends = eventsIn(text()).filter(({ kind }) => kind === 'tool_error');
    expect(ends.map(({ error }) => error)).toEqual(ways.map(() => word));
    expect(withCanary(text())).toBe(false);
  });

  it('is not logged in arguments, results, items, URLs, keys or bodies', async () => {
    const { sink, text } = open();
    const leash = createLeash({
      guards: [
        budget({ usd: 1 }),
        callCap(100),
        rateLimit({ max: 100, per: '1m' }),
        args({}, { unchecked: 'all' }),
        egress({ allow: [server.origin] }),
      ],
      audit: sink,
    });
    const url = `${server.origin}/${CANARY}?q=${CANARY}#${CANARY}`;
    const options = { cost: { usd: 0.01 }, idempotencyKey: () => CANARY, url: () => url };
    expect(await leash.wrap('value', tool, options)(given)).toEqual(given);
    await leash.run({ tool: 'run', args: given, cost: 'free', url, idempotencyKey: CANARY }, tool);
    const items = leash.wrap(
      'items',
      async function* () {
        yield CANARY;
        return CANARY;
      },
      { cost: 'free' },
    );
    for await (const item of items()) expect(item).toBe(CANARY);
    const fetched = leash.wrap(
      'fetch',
      async () => {
        await leash.fetch(hop(server.origin, 302, `/${CANARY}`), {
          method: 'POST',
          body: CANARY,
          headers: { [CANARY]: CANARY },
        });
        return (await leash.fetch(url)).text();
      },
      { cost: 'free' },
    );
    expect(await fetched()).toBe('ok');
    const ticket = await leash.enter({ tool: 'ticket', args: given, cost: 'free' });
    await ticket.settle();
    expect(text().match(/"kind":"egress_ok"/g)).toHaveLength(3);
    expect(withCanary(JSON.stringify([await leash.usage(), await leash.close()]))).toBe(false);
    expect(withCanary(text())).toBe(false);
  });

  it('is logged where it is a note or a reason, which are for the log', async () => {
    const { sink, text } = open();
    const leash = createLeash({ guards: [budget({ usd: 1 })], audit: sink });
    await leash.charge({ usd: 0.1 }, CANARY);
    expect(withCanary(text())).toBe(true);
  });
});
