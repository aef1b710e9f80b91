import { Client as Client2, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { InMemoryTaskStore } from '@modelcontextprotocol/sdk/experimental/tasks/stores/in-memory.js';
import { McpServer as McpServer1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import {
  acceptedContent,
  createMcpHandler,
  inputRequired,
  McpServer as McpServer2,
} from '@modelcontextprotocol/server';
import { args, budget, callCap, currentCall, type Guard, type Leash } from 'leashkit';
import { leashServer } from 'leashkit/mcp';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { caught } from './helpers/caught.ts';
import { recordedLeash } from './helpers/leash.ts';
import {
  connect,
  type McpVersion,
  Searches,
  search,
  type TestClient,
  type TestServer,
  versions,
  Waiting,
} from './helpers/mcp.ts';

const info = { name: 'test', version: '1.0.0' };

async function clientOf(version: McpVersion, server: TestServer): Promise<TestClient> {
  const client = version.client();
  await connect(version, server, client);
  return client;
}

describe.each(versions)('leashServer over $name', (version) => {
  it('ends a looping caller: three calls run, the others are answered with why', async () => {
    const { leash, kinds, verified } = recordedLeash({ guards: [callCap(3)] });
    const searches = new Searches();
    const server = leashServer(leash, version.server());
    server.registerTool('search', version.config, searches.handler);
    const client = await clientOf(version, server);
    const results: unknown[] = [];
    for (let i = 0; i < 5; i++) results.push(await client.callTool(search(i)));
    expect(searches.queries).toEqual(['q0', 'q1', 'q2']);
    expect(results[2]).toEqual({ content: [{ type: 'text', text: 'about q2' }] });
    const text = 'Tool "search" was refused: the cap of 3 calls is reached. Do not retry.';
    expect(results[3]).toEqual({ content: [{ type: 'text', text }], isError: true });
    expect(results[4]).toMatchObject({ isError: true });
    expect(leash.breach).toMatchObject({ code: 'CALL_CAP_REACHED' });
    expect(kinds().filter((kind) => kind === 'tool_denied')).toHaveLength(2);
    expect(await verified()).toBe('closed');
  });

  it('runs exactly the cap of calls that are made at once', async () => {
    const { leash, held } = recordedLeash({ guards: [callCap(3)], stopOn: 'none' });
    const searches = new Searches();
    const server = leashServer(leash, version.server());
    server.registerTool('search', version.config, searches.handler);
    const client = await clientOf(version, server);
    const results = await Promise.all([0, 1, 2, 3, 4].map((i) => client.callTool(search(i))));
    expect(results.map(({ isError }) => isError === true)).toEqual([false, false, false, true, true]);
    expect(searches.queries).toHaveLength(3);
    expect(await held()).toBe('0');
  });

  it('gives handlers what was checked and what they got without it, inside the call', async () => {
    const { leash, events } = recordedLeash({ guards: [args({}, { unchecked: ['ping'] })] });
    const seen: unknown[] = [];
    const server = leashServer(leash, version.server(), {
      schemas: { search: z.object({ query: z.string().max(3) }) },
    });
    server.registerTool('search', version.config, async (...params: unknown[]) => {
      seen.push(params.length, params[0], currentCall()?.tool);
      return { content: [] };
    });
    server.registerTool('ping', {}, async (...params: unknown[]) => {
      seen.push(params.length, Object.keys(params[0] as object).includes('sessionId'), currentCall()?.tool);
      return { content: [] };
    });
    const client = await clientOf(version, server);
    await client.callTool(search(1));
    await client.callTool({ name: 'ping', arguments: { unread: 1 } });
    expect(seen).toEqual([2, { query: 'q1' }, 'search', 1, true, 'ping']);
    expect(await client.callTool({ name: 'search', arguments: { query: 'too long' } })).toMatchObject({
      isError: true,
      content: [{ text: expect.stringContaining('arguments do not match the schema: /query (too_big)') }],
    });
    expect(await client.callTool({ name: 'search', arguments: {} }), 'that the server refuses').toMatchObject({
      isError: true,
    });
    expect(seen).toHaveLength(6);
    expect(events('tool_denied')).toHaveLength(1);
  });

  it('aborts the signal of a handler when the session ends', async () => {
    const { leash } = recordedLeash({ guards: [] });
    const waiting = new Waiting();
    const server = leashServer(leash, version.server());
    server.registerTool('search', version.config, waiting.handler);
    const client = await clientOf(version, server);
    const call = client.callTool(search(0));
    await waiting.entered;
    const [signal] = waiting.signals;
    expect(signal?.aborted).toBe(false);
    leash.stop('enough');
    expect(signal).toMatchObject({ aborted: true, reason: leash.breach });
    waiting.answer();
    expect(await call).toEqual({ content: [{ type: 'text', text: 'done' }] });
  });

  it('does not enter a handler whose client has gone while the call was decided on', async () => {
    const deciding = Promise.withResolvers<void>();
    const decided = Promise.withResolvers<void>();
    const slow: Guard = {
      name: 'slow',
      async check() {
        deciding.resolve();
        await decided.promise;
        return { allow: true };
      },
    };
    const { leash, events, held } = recordedLeash({ guards: [slow, callCap(3)] });
    const searches = new Searches();
    const server = leashServer(leash, version.server());
    server.registerTool('search', version.config, searches.handler);
    const client = await clientOf(version, server);
    const own = new AbortController();
    const called = client.callTool(search(0), ...version.resultSchema, { signal: own.signal });
    await deciding.promise;
    own.abort();
    await caught(called);
    // What it is told by has come to the server by then.
    await client.listTools();
    decided.resolve();
    await expect.poll(() => events('tool_error')).toHaveLength(1);
    expect([searches.queries, await held()]).toEqual([[], '0']);
  });

  it('books the cost of a handler that throws, and says what it threw', async () => {
    const { leash, spentUsd, held, events } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const server = leashServer(leash, version.server(), { costs: { search: ({ query }) => `$0.${query}` } });
    server.registerTool('search', version.config, async () => {
      throw new RangeError('out of order');
    });
    const client = await clientOf(version, server);
    expect(await client.callTool({ name: 'search', arguments: { query: '25' } })).toMatchObject({
      isError: true,
      content: [{ text: 'out of order' }],
    });
    expect([await spentUsd(), await held()]).toEqual(['0.25', '0']);
    expect(events('tool_error')).toMatchObject([{ error: 'RangeError' }]);
  });

  it('holds what a tool is changed to', async () => {
    const { leash, events } = recordedLeash({ guards: [callCap({ max: 1, tools: ['find'] })], stopOn: 'none' });
    const server = leashServer(leash, version.server());
    const first = new Searches();
    const second = new Searches();
    const tool = server.registerTool('search', version.config, first.handler);
    const client = await clientOf(version, server);
    await client.callTool(search(0));
    tool.update({ callback: second.handler });
    await client.callTool(search(1));
    tool.update({ name: 'find', title: 'Find' });
    await client.callTool({ name: 'find', arguments: { query: 'q2' } });
    expect(await client.callTool({ name: 'find', arguments: { query: 'q3' } })).toMatchObject({ isError: true });
    expect([first.queries, second.queries]).toEqual([['q0'], ['q1', 'q2']]);
    expect(events('tool_start').map(({ tool }) => tool)).toEqual(['search', 'search', 'find']);
    expect(() => {
      tool.handler = second.handler;
    }).toThrow(TypeError);
    expect(tool.handler).toBeTypeOf('function');
    tool.disable();
    expect(await client.listTools()).toEqual({ tools: [] });
  });

  it('refuses at once what the leash cannot hold', () => {
    const { leash } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const server = leashServer(leash, version.server(), { costs: { find: 'free' } });
    const { handler } = new Searches();
    expect(() => server.registerTool('search', version.config, handler)).toThrow(/no `cost`, which guard "budget"/);
    const tool = server.registerTool('find', version.config, handler);
    expect(() => tool.update({ name: 'search' })).toThrow(/no `cost`, which guard "budget"/);
    expect(() => tool.update({ callback: 'handler' })).toThrow(/must be a function, got a string/);
    expect(() => server.registerTool('find', version.config, undefined as never)).toThrow(/must be a function/);

    const full = version.server();
    full.registerTool('search', version.config, handler);
    expect(() => leashServer(leash, full)).toThrow(/has tool "search" already, which the leash does not hold/);
    expect(() => leashServer(leash, {} as never)).toThrow(/expects an MCP server with `registerTool`, got an object/);
    expect(() => leashServer(leash, server, { unguarded: [] } as never)).toThrow(/unknown option `unguarded`/);
  });

  it('is a server of its class still, and counts once, however often it is wrapped', () => {
    const { leash } = recordedLeash({ guards: [] });
    const server = leashServer(leash, version.server());
    expect(server).toBeInstanceOf(version.serverClass);
    expect(leashServer(leash, server)).toBe(server);
  });
});

describe('leashServer over SDK 1', () => {
  it('holds every form of `tool`', async () => {
    const { leash } = recordedLeash({ guards: [callCap({ max: 0, tools: ['a', 'b', 'c', 'd'] })], stopOn: 'none' });
    const server = leashServer(leash, new McpServer1(info));
    let ran = 0;
    const body = async () => ({ content: [{ type: 'text' as const, text: String(++ran) }] });
    server.tool('a', body);
    server.tool('b', 'described', body);
    server.tool('c', { query: z.string() }, body);
    server.tool('d', 'described', { query: z.string() }, { readOnlyHint: true }, body);
    server.tool('e', { query: z.string() }, body);
    const [version] = versions as [McpVersion];
    const client = await clientOf(version, server as unknown as TestServer);
    for (const name of ['a', 'b', 'c', 'd']) {
      expect(await client.callTool({ name, arguments: { query: 'q' } }), name).toMatchObject({ isError: true });
    }
    expect(ran).toBe(0);
    expect(await client.callTool({ name: 'e', arguments: { query: 'q' } })).toEqual({
      content: [{ type: 'text', text: '1' }],
    });
  });

  it('holds tools that run as tasks', async () => {
    const { leash, events } = recordedLeash({ guards: [callCap(1)] });
    const server = leashServer(
      leash,
      new McpServer1(info, {
        capabilities: { tasks: { requests: { tools: { call: {} } } } },
        taskStore: new InMemoryTaskStore(),
      }),
    );
    const created: string[] = [];
    server.experimental.tasks.registerToolTask(
      'search',
      { inputSchema: { query: z.string() }, execution: { taskSupport: 'optional' } },
      {
        async createTask({ query }, { taskStore }) {
          created.push(query);
          const task = await taskStore.createTask({ ttl: 1000, pollInterval: 1 });
          await taskStore.storeTaskResult(task.taskId, 'completed', { content: [{ type: 'text', text: query }] });
          return { task };
        },
        getTask: async (_, { taskId, taskStore }) => taskStore.getTask(taskId),
        getTaskResult: async (_, { taskId, taskStore }) => (await taskStore.getTaskResult(taskId)) as never,
      },
    );
    const [version] = versions as [McpVersion];
    const client = await clientOf(version, server as unknown as TestServer);
    expect(await client.callTool(search(0))).toMatchObject({ content: [{ text: 'q0' }] });
    expect(await client.callTool(search(1))).toMatchObject({ isError: true });
    expect(created).toEqual(['q0']);
    expect(events('tool_ok')).toHaveLength(1);
  });
});

/** What `pay` was entered with: the amount, and whether the answer was there. */
type Entered = [amount: number, approved: boolean][];

function payServer(leash: Leash, entered: Entered, asks = (approved: boolean): boolean => !approved): McpServer2 {
  const server = leashServer(leash, new McpServer2(info), {
    costs: { pay: ({ amount }) => ({ usd: Number(amount) }) },
  });
  server.registerTool('pay', { inputSchema: z.object({ amount: z.number() }) }, async (input, { mcpReq }) => {
    const approved = acceptedContent(mcpReq.inputResponses, 'approve', z.object({ yes: z.boolean() }))?.yes === true;
    entered.push([input.amount, approved]);
    input.amount = 0;
    if (!asks(approved)) return { content: [{ type: 'text', text: 'paid' }] };
    const properties = { yes: { type: 'boolean' as const } };
    const approve = inputRequired.elicit({ message: 'Pay?', requestedSchema: { type: 'object', properties } });
    return inputRequired({ inputRequests: { approve } });
  });
  return server;
}

interface PayClient {
  pay(amount: number, more?: object): Promise<unknown>;
  close(): Promise<void>;
}

/** A client that says yes, after `before`. Its elicitation is a request of the server, or a result of the call. */
async function payClient(
  revision: '2025-11-25' | '2026-07-28',
  makeServer: () => McpServer2,
  before: () => void | Promise<void> = () => {},
): Promise<PayClient> {
  const modern = revision === '2026-07-28';
  const negotiation = modern ? { versionNegotiation: { mode: 'auto' as const } } : {};
  const client = new Client2(info, { capabilities: { elicitation: {} }, ...negotiation });
  client.setRequestHandler('elicitation/create', async () => {
    await before();
    return { action: 'accept', content: { yes: true } };
  });
  if (modern) {
    const handler = createMcpHandler(makeServer);
    const fetch = (url: string | URL, init?: RequestInit) => handler.fetch(new Request(url, init));
    await client.connect(new StreamableHTTPClientTransport(new URL('http://127.0.0.1/mcp'), { fetch }));
  } else {
    const [, version] = versions as [McpVersion, McpVersion];
    await connect(version, makeServer() as unknown as TestServer, client as unknown as TestClient);
  }
  expect(client.getProtocolEra()).toBe(modern ? 'modern' : 'legacy');
  return {
    pay: (amount, more = {}) => client.callTool({ name: 'pay', arguments: { amount }, ...more } as never),
    close: () => client.close(),
  };
}

describe.each(['2025-11-25', '2026-07-28'] as const)('a tool of a leashed server that asks, over %s', (revision) => {
  it('is entered twice and reserves once, and looking in between changes nothing', async () => {
    const { leash, kinds, spentUsd, held } = recordedLeash({ guards: [budget({ usd: 5 }), callCap(2)] });
    const entered: Entered = [];
    const decisions: boolean[] = [];
    const client = await payClient(
      revision,
      () => payServer(leash, entered),
      async () => {
        for (let i = 0; i < 3; i++) {
          decisions.push((await leash.peek({ tool: 'pay', args: { amount: 1 }, cost: '$1' })).allow);
        }
        expect(await held()).not.toBe('0');
      },
    );
    expect(await client.pay(1)).toMatchObject({ content: [{ text: 'paid' }] });
    expect(await client.pay(2)).toMatchObject({ content: [{ text: 'paid' }] });
    expect(await client.pay(1)).toMatchObject({ isError: true });
    // The second time with the arguments anew, whatever the handler did to them the first time.
    expect(entered).toEqual([
      [1, false],
      [1, true],
      [2, false],
      [2, true],
    ]);
    expect(decisions).toEqual([true, true, true, false, false, false]);
    expect(kinds()).toEqual(['session_open', 'tool_start', 'tool_ok', 'tool_start', 'tool_ok', 'tool_denied']);
    expect([await spentUsd(), await held()]).toEqual(['3', '0']);
    await client.close();
  });

  it('does not go on when the session has ended in between', async () => {
    const { leash, verified, held } = recordedLeash({ guards: [budget({ usd: 5 })] });
    const entered: Entered = [];
    const client = await payClient(
      revision,
      () => payServer(leash, entered),
      () => leash.stop('enough'),
    );
    expect(await client.pay(1)).toMatchObject({
      isError: true,
      content: [{ text: expect.stringContaining('stopped') }],
    });
    expect(entered).toEqual([[1, false]]);
    expect(await held()).toBe('0');
    expect(await verified()).toBe('closed');
    await client.close();
  });
});

describe('a tool of a leashed server that asks', () => {
  it('is a new call when it is answered what it has not asked', async () => {
    const { leash, kinds } = recordedLeash({ guards: [budget({ usd: 5 }), callCap(2)] });
    const entered: Entered = [];
    const client = await payClient('2026-07-28', () => payServer(leash, entered));
    const inputResponses = { approve: { action: 'accept', content: { yes: true } } };
    expect(await client.pay(1, { inputResponses })).toMatchObject({ content: [{ text: 'paid' }] });
    expect(await client.pay(1, { inputResponses })).toMatchObject({ content: [{ text: 'paid' }] });
    expect(await client.pay(1, { inputResponses })).toMatchObject({ isError: true });
    expect(entered).toEqual([
      [1, true],
      [1, true],
    ]);
    expect(kinds().filter((kind) => kind === 'tool_start')).toHaveLength(2);
    await client.close();
  });

  it('is a new call when it is called again without an answer', async () => {
    const { leash, events } = recordedLeash({ guards: [callCap(2)] });
    const entered: Entered = [];
    const client = await payClient(
      '2026-07-28',
      () => payServer(leash, entered),
      () => Promise.reject(new Error('not now')),
    );
    for (let i = 0; i < 4; i++) await client.pay(1).catch(() => {});
    expect(entered).toEqual([
      [1, false],
      [1, false],
    ]);
    expect(events('tool_start')).toHaveLength(2);
    await client.close();
  });

  it('is a new call after sixteen rounds, so that a caller who always answers is held, too', async () => {
    const { leash } = recordedLeash({ guards: [callCap(2)] });
    const entered: Entered = [];
    const client = await payClient('2026-07-28', () => payServer(leash, entered, () => true));
    const inputResponses = { approve: { action: 'accept', content: { yes: true } } };
    for (let i = 0; i < 6; i++) await client.pay(1, { inputResponses }).catch(() => {});
    expect(entered).toHaveLength(32);
    expect(leash.breach).toMatchObject({ code: 'CALL_CAP_REACHED' });
    await client.close();
  });

  it('counts as spent when nobody ever answers', async () => {
    const { leash, events, held } = recordedLeash({ guards: [budget({ usd: 5 })] });
    const entered: Entered = [];
    const client = await payClient(
      '2026-07-28',
      () => payServer(leash, entered),
      () => Promise.reject(new Error('no')),
    );
    await client.pay(1).catch(() => {});
    expect(entered).toEqual([[1, false]]);
    expect(await held()).toBe('1');
    expect(await leash.close()).toMatchObject({ usd: '1' });
    expect(events('tool_error')).toMatchObject([{ error: 'FORFEITED' }]);
    await client.close();
  });
});
