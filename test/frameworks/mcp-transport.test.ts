import { createMCPClient } from '@ai-sdk/mcp';
import { Client as Client2, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import type { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import {
  acceptedContent,
  createMcpHandler,
  inputRequired,
  McpServer as McpServer2,
} from '@modelcontextprotocol/server';
import { budget, callCap, findLeashError, type Leash } from 'leashkit';
import { jsonSchemaArgs } from 'leashkit/ajv';
import { leashTransport } from 'leashkit/mcp';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { caught } from './helpers/caught.ts';
import { recordedLeash } from './helpers/leash.ts';
import { connect, Searches, search, searchClient, versions, Waiting } from './helpers/mcp.ts';

describe.each(versions)('leashTransport over $name', (version) => {
  it('ends a looping caller: three calls run, the others get a JSON-RPC error that holds ours', async () => {
    const { leash, verified } = recordedLeash({ guards: [callCap(3)] });
    const searches = new Searches();
    const client = await searchClient(version, searches.handler, (inner) => leashTransport(leash, inner));
    const ends: unknown[] = [];
    for (let i = 0; i < 5; i++) ends.push(await caught(client.callTool(search(i))));
    expect(searches.queries).toEqual(['q0', 'q1', 'q2']);
    expect(ends.slice(0, 3)).toEqual([undefined, undefined, undefined]);
    expect(ends[3]).toMatchObject({ code: -32_000, message: expect.stringContaining('the cap of 3 calls is reached') });
    expect(findLeashError(ends[3])).toBe(leash.breach);
    expect(findLeashError(ends[4])).toMatchObject({ code: 'SESSION_BREACHED' });
    expect(await verified()).toBe('closed');
  });

  it('or, as told, a result that says so to the model', async () => {
    const { leash } = recordedLeash({ guards: [callCap(3)] });
    const searches = new Searches();
    const through = (inner: never) => leashTransport(leash, inner, { reply: 'result' });
    const client = await searchClient(version, searches.handler, through as never);
    const results: unknown[] = [];
    for (let i = 0; i < 5; i++) results.push(await client.callTool(search(i)));
    expect(searches.queries).toHaveLength(3);
    const text = 'Tool "search" was refused: the cap of 3 calls is reached. Do not retry.';
    expect(results[3]).toEqual({ content: [{ type: 'text', text }], isError: true });
    expect(results[4]).toMatchObject({ isError: true });
  });

  it('runs exactly the cap of calls that are made at once', async () => {
    const { leash, held } = recordedLeash({ guards: [callCap(3)], stopOn: 'none' });
    const searches = new Searches();
    const client = await searchClient(version, searches.handler, (inner) => leashTransport(leash, inner));
    const ends = await Promise.all([0, 1, 2, 3, 4].map((i) => caught(client.callTool(search(i)))));
    expect(ends.map((end) => findLeashError(end)?.code).sort()).toEqual([
      'CALL_CAP_REACHED',
      'CALL_CAP_REACHED',
      undefined,
      undefined,
      undefined,
    ]);
    expect(searches.queries).toHaveLength(3);
    expect(await held()).toBe('0');
  });

  it('holds what a client calls past `callTool`', async () => {
    const { leash } = recordedLeash({ guards: [callCap(1)] });
    const searches = new Searches();
    const client = await searchClient(version, searches.handler, (inner) => leashTransport(leash, inner));
    const request = (i: number): Promise<unknown> =>
      client.request({ method: 'tools/call', params: search(i) }, ...version.resultSchema);
    expect(await caught(request(0))).toBeUndefined();
    expect(findLeashError(await caught(request(1)))).toMatchObject({ code: 'CALL_CAP_REACHED' });
    expect(searches.queries).toEqual(['q0']);
    expect((await client.listTools()).tools, 'other requests pass').toHaveLength(1);
  });

  it('refuses arguments that the server would have let through, by the schema that it lists', async () => {
    const { leash } = recordedLeash({ guards: [jsonSchemaArgs()] });
    const called: unknown[] = [];
    const inputSchema = { type: 'object', properties: { query: { type: 'string' } }, additionalProperties: false };
    const server = version.unchecking([{ name: 'search', inputSchema }], (_, args) => called.push(args));
    const client = version.client();
    await connect(version, server, client, (inner) => leashTransport(leash, inner, { schemas: 'listed' }));
    expect(await caught(client.callTool(search(0)))).toBeInstanceOf(TypeError);
    await client.listTools();
    for (const wrong of [{ query: 5 }, { extra: 1 }]) {
      const refused = await caught(client.callTool({ name: 'search', arguments: wrong }));
      expect(findLeashError(refused)).toMatchObject({ code: 'ARGS_INVALID' });
    }
    await client.callTool(search(1));
    expect(called).toEqual([{ query: 'q1' }]);
  });

  it('cancels a call under way when the session ends: the caller gets our error, and the server its abort', async () => {
    const { leash, held, events } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const waiting = new Waiting();
    const costs = { search: '$0.10' } as const;
    const client = await searchClient(version, waiting.handler, (inner) => leashTransport(leash, inner, { costs }));
    const call = caught(client.callTool(search(0)));
    await waiting.entered;
    leash.stop('enough');
    expect(findLeashError(await call)).toBe(leash.breach);
    await vi.waitFor(() => expect(waiting.signals[0]?.aborted).toBe(true));
    expect(events('tool_error')).toMatchObject([{ error: 'SESSION_STOPPED', usd: '0.1' }]);
    expect(await held()).toBe('0');
  });

  it('leaves nothing held of a call that the client cancels, or whose connection closes', async () => {
    const { leash, held, events, spentUsd } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const costs = { search: '$0.10' } as const;
    const waiting = new Waiting();
    const client = await searchClient(version, waiting.handler, (inner) => leashTransport(leash, inner, { costs }));
    const own = new AbortController();
    const schema = version.resultSchema;
    const cancelled = caught(client.callTool(search(0), ...schema, { signal: own.signal }));
    await waiting.entered;
    own.abort(new Error('no more'));
    expect(findLeashError(await cancelled)).toBeUndefined();
    const closed = caught(client.callTool(search(1)));
    await vi.waitFor(() => expect(waiting.signals).toHaveLength(2));
    await client.close();
    expect(await closed).toMatchObject({ message: expect.stringContaining('Connection closed') });
    await vi.waitFor(async () => expect(await held()).toBe('0'));
    expect(events('tool_error').map(({ error }) => error)).toEqual(['CANCELLED', 'CLOSED']);
    expect(await spentUsd(), 'what may have run counts').toBe('0.2');
  });

  it('tells the client of a tool that the leash cannot hold', async () => {
    const { leash } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const searches = new Searches();
    const client = await searchClient(version, searches.handler, (inner) => leashTransport(leash, inner));
    const error = await caught(client.callTool(search(0)));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toContain('has no `cost`, which guard "budget" needs');
    expect(searches.queries).toEqual([]);
  });

  it('does not let a server serve through it', async () => {
    const { leash } = recordedLeash({ guards: [callCap(0)] });
    const searches = new Searches();
    const server = version.server();
    server.registerTool('search', version.config, searches.handler);
    const client = version.client();
    const [a, b] = version.pair();
    await server.connect(leashTransport(leash, b));
    await client.connect(a);
    expect(await caught(client.callTool(search(0)))).toMatchObject({
      message: expect.stringContaining('hold a server with leashServer'),
    });
    expect(searches.queries).toEqual([]);
  });

  it('is a transport of its class still, and counts once, however often it is wrapped', async () => {
    const { leash } = recordedLeash({ guards: [callCap(1)] });
    const [a] = version.pair();
    const once = leashTransport(leash, a);
    expect(once).toBeInstanceOf(a.constructor);
    expect(leashTransport(leash, once)).toBe(once);
  });
});

describe('leashTransport', () => {
  it('holds the streams of tasks of SDK 1', async () => {
    const [version] = versions;
    const { leash } = recordedLeash({ guards: [callCap(1)] });
    const searches = new Searches();
    const client = await searchClient(version as never, searches.handler, (inner) => leashTransport(leash, inner));
    const ends: unknown[] = [];
    for (let i = 0; i < 2; i++) {
      const { tasks } = (client as unknown as Client1).experimental;
      for await (const message of tasks.callToolStream(search(i))) ends.push(message);
    }
    expect(ends).toMatchObject([{ type: 'result' }, { type: 'error' }]);
    expect(findLeashError(ends[1])).toMatchObject({ code: 'CALL_CAP_REACHED' });
    expect(searches.queries).toEqual(['q0']);
  });

  it.each(versions)(
    'holds the tools of the AI SDK, which checks no arguments of theirs, with a server of $name',
    async (version) => {
      const { leash } = recordedLeash({ guards: [callCap(3), jsonSchemaArgs()] });
      const searches = new Searches();
      const server = version.server();
      server.registerTool('search', version.config, searches.handler);
      const [a, b] = version.pair();
      await server.connect(b);
      const client = await createMCPClient({ transport: leashTransport(leash, a as never, { schemas: 'listed' }) });
      const { search: tool } = await client.tools();
      const execute = (input: object): Promise<unknown> =>
        caught(
          Promise.resolve(tool?.execute?.(input as never, { toolCallId: 'c', messages: [], context: {} } as never)),
        );
      expect(findLeashError(await execute({ query: 5 }))).toMatchObject({ code: 'ARGS_INVALID' });
      const ends: unknown[] = [];
      for (let i = 0; i < 5; i++) ends.push(findLeashError(await execute({ query: `q${i}` }))?.code);
      expect(searches.queries).toEqual(['q0', 'q1', 'q2']);
      expect(ends).toEqual([undefined, undefined, undefined, 'CALL_CAP_REACHED', 'SESSION_BREACHED']);
      await client.close();
    },
  );
});

/** A client of protocol revision 2026-07-28, which is only spoken over HTTP; the server answers in this process. */
async function modern(leash: Leash, reply: 'error' | 'result', pay: (args: { amount: number }, yes: boolean) => void) {
  const handler = createMcpHandler(() => {
    const server = new McpServer2({ name: 'test', version: '1.0.0' });
    server.registerTool('pay', { inputSchema: z.object({ amount: z.number() }) }, async (args, { mcpReq }) => {
      const approved = acceptedContent(mcpReq.inputResponses, 'approve', z.object({ yes: z.boolean() }));
      pay(args, approved?.yes === true);
      if (approved !== undefined) return { content: [{ type: 'text', text: 'paid' }] };
      const properties = { yes: { type: 'boolean' as const } };
      const approve = inputRequired.elicit({ message: 'Pay?', requestedSchema: { type: 'object', properties } });
      return inputRequired({ inputRequests: { approve } });
    });
    return server;
  });
  const client = new Client2(
    { name: 'test', version: '1.0.0' },
    { capabilities: { elicitation: {} }, versionNegotiation: { mode: 'auto' } },
  );
  client.setRequestHandler('elicitation/create', async () => ({ action: 'accept', content: { yes: true } }));
  const signals: (AbortSignal | null | undefined)[] = [];
  const transport = new StreamableHTTPClientTransport(new URL('http://127.0.0.1/mcp'), {
    fetch: (url, init) => {
      signals.push(init?.signal);
      return handler.fetch(new Request(url, init));
    },
  });
  await client.connect(leashTransport(leash, transport, { reply }));
  expect(client.getProtocolEra()).toBe('modern');
  return { client, signals };
}

describe('leashTransport over protocol revision 2026-07-28', () => {
  it('counts a call that asks for input and is made again with the answer once', async () => {
    const { leash, kinds } = recordedLeash({ guards: [callCap(2)] });
    const entered: unknown[] = [];
    const { client } = await modern(leash, 'error', ({ amount }, yes) => entered.push([amount, yes]));
    const ends: unknown[] = [];
    for (let amount = 0; amount < 3; amount++) {
      ends.push(await caught(client.callTool({ name: 'pay', arguments: { amount } })));
    }
    expect(entered).toEqual([
      [0, false],
      [0, true],
      [1, false],
      [1, true],
    ]);
    expect(ends.slice(0, 2)).toEqual([undefined, undefined]);
    expect(findLeashError(ends[2])).toBe(leash.breach);
    expect(kinds()).toEqual(['session_open', 'tool_start', 'tool_ok', 'tool_start', 'tool_ok', 'tool_denied']);
    await client.close();
  });

  it('answers with a result that this revision takes', async () => {
    const { leash } = recordedLeash({ guards: [callCap(0)] });
    const { client } = await modern(leash, 'result', () => {});
    expect(await client.callTool({ name: 'pay', arguments: { amount: 1 } })).toMatchObject({ isError: true });
    await client.close();
  });

  it('closes the stream of a call under way when the session ends', async () => {
    const { leash, held } = recordedLeash({ guards: [callCap(1)] });
    const { client, signals } = await modern(leash, 'error', () => leash.stop('enough'));
    const before = signals.length;
    const error = await caught(client.callTool({ name: 'pay', arguments: { amount: 1 } }));
    expect(findLeashError(error)).toBe(leash.breach);
    expect(signals.slice(before).map((signal) => signal?.aborted)).toEqual([true]);
    expect(await held()).toBe('0');
    await client.close();
  });
});
