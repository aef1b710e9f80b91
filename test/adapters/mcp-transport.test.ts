import { describe, expect, it, vi } from 'vitest';
import { jsonSchemaArgs } from '../../src/adapters/ajv.ts';
import { leashTransport } from '../../src/adapters/mcp.ts';
import { memorySink } from '../../src/audit/memory-sink.ts';
import { findLeashError } from '../../src/errors.ts';
import { budget } from '../../src/guards/budget.ts';
import { callCap } from '../../src/guards/call-cap.ts';
import { createLeash } from '../../src/leash.ts';
import type { LeashOptions } from '../../src/leash-options.ts';
import { memoryStore } from '../../src/stores/memory.ts';
import { lateStore } from '../helpers/late-store.ts';
import { rejection } from '../helpers/refused.ts';

interface Message {
  readonly id?: number | string;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: unknown;
  readonly error?: unknown;
}

/** The far end of a connection, which answers when it is told to. A plain object, as a custom transport may be. */
function farEnd(deliver: (message: Message) => void | Promise<void> = () => {}) {
  const received: Message[] = [];
  const transport = {
    onmessage: undefined as ((message: Message, extra?: object) => void) | undefined,
    onclose: undefined as (() => void) | undefined,
    onerror: undefined as ((error: Error) => void) | undefined,
    async send(message: Message, _options?: object): Promise<void> {
      received.push(message);
      await deliver(message);
    },
    async close() {
      this.onclose?.();
    },
  };
  return { transport, received };
}

function search(id: number, args: object = { query: 'q' }): Message {
  return { id, method: 'tools/call', params: { name: 'search', arguments: args } };
}

/** A transport under a leash, and everything that its client was told. */
function client(options: Partial<LeashOptions> = {}, deliver?: (message: Message) => void | Promise<void>) {
  const log = memorySink();
  const leash = createLeash({ guards: [callCap(3)], audit: log, ...options });
  const { transport, received } = farEnd(deliver);
  const held = leashTransport(leash, transport);
  const told: (readonly [string, ...unknown[]])[] = [];
  held.onmessage = (...given) => told.push(['message', ...given]);
  held.onclose = () => told.push(['close']);
  held.onerror = (error) => told.push(['error', error]);
  const ends = (): unknown[] =>
    log.lines.map((line) => JSON.parse(line)).flatMap(({ kind, error }) => (kind === 'tool_error' ? [error] : []));
  const kinds = (): unknown[] => log.lines.map((line) => JSON.parse(line).kind).filter((kind) => kind !== 'checkpoint');
  return { leash, transport, received, held, told, ends, kinds };
}

const cancelled = ({ held }: ReturnType<typeof client>): Promise<void> =>
  held.send({ method: 'notifications/cancelled', params: { requestId: 1 } });
const closed = ({ transport }: ReturnType<typeof client>): void => transport.onclose?.();

describe.each([
  { name: 'at once', store: () => memoryStore() },
  { name: 'later', store: () => lateStore() },
])('leashTransport, where the store answers $name', ({ store }) => {
  it('hands a response on when its call has ended, with what came beside it, and before the end of the connection', async () => {
    const { leash, transport, held, told } = client({ store: store() });
    await held.send(search(1));
    transport.onmessage?.({ id: 1, result: 'found' }, { from: 'there' });
    transport.onclose?.();
    await vi.waitFor(() => expect(told).toHaveLength(2));
    expect(told).toEqual([['message', { id: 1, result: 'found' }, { from: 'there' }], ['close']]);
    expect((await leash.usage()).calls).toBe(1);
  });

  it('takes a response that is there before the request is known to be sent', async () => {
    const { transport, held, told, ends } = client({ store: store() }, ({ id }) => {
      transport.onmessage?.({ ...(id === undefined ? {} : { id }), result: 'found' });
    });
    await held.send(search(1));
    await vi.waitFor(() => expect(told).toEqual([['message', { id: 1, result: 'found' }]]));
    expect(ends()).toEqual([]);
  });

  it('takes a response whose server says the number of the request as text', async () => {
    const { transport, held, told, kinds } = client({ store: store() });
    await held.send(search(1));
    transport.onmessage?.({ id: '1', result: 'found' });
    await vi.waitFor(() => expect(told).toEqual([['message', { id: '1', result: 'found' }]]));
    expect(kinds()).toEqual(['session_open', 'tool_start', 'tool_ok']);
  });

  it('rejects with what the transport rejects with, and nothing stays held', async () => {
    const options = { store: store(), guards: [callCap(3)] };
    const { leash, held, told, ends } = client(options, () => Promise.reject(new RangeError('no network')));
    expect(await rejection(held.send(search(1)))).toMatchObject({ message: 'no network' });
    expect(ends()).toEqual(['RangeError']);
    expect(told).toEqual([]);
    expect((await leash.usage()).limits).toMatchObject([{ held: 0, spent: 1 }]);
  });

  it('answers a refused call after `send` has ended well, and sends nothing', async () => {
    const { leash, held, told, received } = client({ store: store(), guards: [callCap(0)] });
    await held.send(search(7));
    await vi.waitFor(() => expect(told).toHaveLength(1));
    expect(received).toEqual([]);
    const [[, answer]] = told as [[string, { readonly error: { readonly data: unknown } }]];
    expect(answer).toMatchObject({ jsonrpc: '2.0', id: 7, error: { code: -32_000 } });
    expect(findLeashError(answer)).toBe(leash.breach);
    // Across a process it is data.
    expect(JSON.parse(JSON.stringify(answer.error.data))).toMatchObject({ code: 'CALL_CAP_REACHED', tool: 'search' });
  });
});

describe('leashTransport', () => {
  it('lets all else pass as it is: requests and notifications in both directions, responses to what is no tool call', async () => {
    const { transport, held, told, received } = client({ guards: [callCap(0)] });
    const out = [
      { id: 1, method: 'tools/list' },
      { method: 'notifications/initialized' },
      { id: 5, result: {} },
      { method: 'notifications/cancelled', params: { requestId: 99 } },
    ];
    for (const message of out) await held.send(message);
    expect(received).toEqual(out);
    expect(received[0]).toBe(out[0]);
    const back = [
      { id: 1, result: { tools: [] } },
      { id: 1, method: 'ping' },
      { method: 'notifications/progress' },
      { id: 2, error: {} },
      null,
    ];
    for (const message of back) transport.onmessage?.(message as Message);
    expect(told).toEqual(back.map((message) => ['message', message]));
  });

  it('does not take a request of the server for the response to a call of that id', async () => {
    const { transport, held, told } = client();
    await held.send(search(1));
    transport.onmessage?.({ id: 1, method: 'elicitation/create' });
    expect(told).toEqual([['message', { id: 1, method: 'elicitation/create' }]]);
    transport.onmessage?.({ id: 1, error: { code: 1 } });
    await vi.waitFor(() => expect(told[1]).toEqual(['message', { id: 1, error: { code: 1 } }]));
  });

  it('sends the arguments as they were when they were checked', async () => {
    const { held, received } = client({ store: lateStore() });
    const args = { query: 'before' };
    const sending = held.send(search(1, args));
    args.query = 'after';
    await sending;
    expect(received).toMatchObject([{ id: 1, params: { name: 'search', arguments: { query: 'before' } } }]);
  });

  it.each([
    { name: 'a batch', message: [search(1)] as unknown as Message, says: /takes no batch/ },
    { name: 'a call without an id', message: { ...search(1), id: undefined }, says: /id of its own/ },
    {
      name: 'a call without parameters',
      message: { id: 1, method: 'tools/call' },
      says: /must be \{ name, arguments \}/,
    },
    { name: 'a call of no tool', message: { id: 1, method: 'tools/call', params: {} }, says: /`name` of a tool call/ },
  ])('refuses $name', async ({ message, says }) => {
    const { held, received } = client();
    expect(await rejection(held.send(message as Message))).toMatchObject({ message: expect.stringMatching(says) });
    expect(received).toEqual([]);
  });

  it.each([
    { how: 'was cancelled', code: 'CANCELLED', end: cancelled, sending: {} },
    { how: 'lost its connection', code: 'CLOSED', end: closed, sending: {} },
    { how: 'was given up by its client', code: 'CANCELLED', end: () => {}, sending: { signal: AbortSignal.abort() } },
  ])('sends no call that $how while it was decided on', async ({ code, end, sending }) => {
    const all = client({ store: lateStore() });
    const sent = all.held.send(search(1), sending);
    await end(all);
    await sent;
    await vi.waitFor(() => expect(all.ends()).toEqual([code]));
    expect(all.received.map(({ method }) => method)).not.toContain('tools/call');
    expect((await all.leash.usage()).limits).toMatchObject([{ held: 0, spent: 1 }]);
  });

  it('refuses a second call with the id of one that is decided on', async () => {
    const { held, received } = client({ store: lateStore() });
    const first = held.send(search(1));
    await expect(held.send(search(1))).rejects.toThrow('a tool call must have an id of its own');
    await first;
    expect(received).toHaveLength(1);
  });

  it('refuses a second call with the id of one that is under way', async () => {
    const { held, received } = client();
    await held.send(search(1));
    expect(await rejection(held.send(search(1)))).toBeInstanceOf(TypeError);
    expect(received).toHaveLength(1);
  });

  it.each(['requestSignal', 'signal'])(
    'ends a call with the `%s` that it is sent with, and that with the session',
    async (key) => {
      const { leash, transport, held, ends, told, received } = client();
      const send = vi.spyOn(transport, 'send');
      const own = new AbortController();
      await held.send(search(1), { [key]: own.signal, headers: 'h' });
      own.abort();
      await vi.waitFor(() => expect(ends()).toEqual(['CANCELLED']));
      const other = new AbortController();
      await held.send(search(2), { [key]: other.signal, headers: 'h' });
      const sent = send.mock.calls[1]?.[1] as { readonly [key: string]: unknown };
      expect(sent['headers']).toBe('h');
      expect(sent[key]).toMatchObject({ aborted: false });
      leash.stop('enough');
      expect(sent[key]).toMatchObject({ aborted: true, reason: leash.breach });
      await vi.waitFor(() => expect(ends()).toEqual(['CANCELLED', 'SESSION_STOPPED']));
      expect(told).toMatchObject([['message', { id: 2, error: { data: leash.breach } }]]);
      const cancels = received.filter(({ method }) => method === 'notifications/cancelled');
      expect(cancels.map(({ params }) => params?.['requestId'])).toEqual(key === 'signal' ? [2] : []);
    },
  );

  it('keeps what was set on the transport before, and shows what was set since', () => {
    const leash = createLeash({ guards: [] });
    const { transport } = farEnd();
    const before = vi.fn();
    const closed = vi.fn();
    Object.assign(transport, { onmessage: before, onclose: closed });
    const held = leashTransport(leash, transport);
    expect([held.onmessage, held.onclose]).toEqual([before, closed]);
    transport.onmessage?.({ method: 'm' });
    transport.onclose?.();
    expect([before.mock.calls.length, closed.mock.calls.length]).toEqual([1, 1]);
    const since = vi.fn();
    held.onmessage = since;
    expect(held.onmessage).toBe(since);
    transport.onmessage?.({ method: 'm' });
    expect([before.mock.calls.length, since.mock.calls.length]).toEqual([1, 1]);
  });

  it('tells the transport what its client throws over a response', async () => {
    const { transport, held, told } = client();
    held.onmessage = () => {
      throw new RangeError('unexpected');
    };
    await held.send(search(1));
    transport.onmessage?.({ id: 1, result: {} });
    await vi.waitFor(() => expect(told).toMatchObject([['error', { message: 'unexpected' }]]));
  });

  it.each([null, 'tool', {}, { name: 5, inputSchema: {} }])(
    'hands on a list with %j, and holds the rest of it',
    async (odd) => {
      const { transport, received } = farEnd();
      const held = leashTransport(createLeash({ guards: [jsonSchemaArgs()] }), transport, { schemas: 'listed' });
      const told: unknown[] = [];
      held.onmessage = (message) => told.push(message);
      await held.send({ id: 1, method: 'tools/list' });
      const list = { id: 1, result: { tools: [odd, { name: 'search', inputSchema: { type: 'object' } }] } };
      transport.onmessage?.(list);
      expect(told).toEqual([list]);
      void held.send(search(2));
      await vi.waitFor(() => expect(received).toHaveLength(2));
      expect(
        (await rejection(held.send({ id: 3, method: 'tools/call', params: { name: 'other' } }))).message,
      ).toContain('no schema');
    },
  );

  it('lets a call whose arguments are no JSON pass where the leash only observes', async () => {
    const { held, received } = client({ mode: 'observe' });
    const args = { at: new Date(0) };
    await held.send(search(1, args));
    expect(received).toMatchObject([{ params: { arguments: args } }]);
  });

  it('has at most a thousand questions open, and the oldest call has failed then', async () => {
    const options = { guards: [budget({ usd: 5_000 })] };
    const leash = createLeash(options);
    const { transport } = farEnd(({ id }) => {
      transport.onmessage?.({ ...(id === undefined ? {} : { id }), result: { resultType: 'input_required' } });
    });
    const held = leashTransport(leash, transport, { costs: { search: '$1' } });
    for (let id = 0; id < 1_003; id++) await held.send(search(id, { id }));
    await vi.waitFor(async () => expect((await leash.usage()).limits).toMatchObject([{ held: '1000', spent: '3' }]));
  });

  it('refuses at once what it cannot hold', () => {
    const leash = createLeash({ guards: [] });
    const { transport } = farEnd();
    expect(() => leashTransport(leash, {} as never)).toThrow(/expects an MCP transport with `send`, got an object/);
    expect(() => leashTransport(leash, undefined as never)).toThrow(/got undefined/);
    expect(() => leashTransport(leash, transport, { reply: 'text' } as never)).toThrow(
      /'error' or 'result', got 'text'/,
    );
    expect(() => leashTransport(leash, transport, { costs: 5 } as never)).toThrow(
      /`costs` of leashTransport expects an/,
    );
    expect(() => leashTransport(leash, transport, { schemas: { search: {} } })).toThrow(/`schema` that no guard/);
  });
});
