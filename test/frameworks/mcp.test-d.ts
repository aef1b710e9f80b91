import { createMCPClient, type MCPTransport } from '@ai-sdk/mcp';
import * as client2 from '@modelcontextprotocol/client';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import { McpServer as McpServer1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js';
import * as server2 from '@modelcontextprotocol/server';
import type { Leash } from 'leashkit';
import { leashClient, leashServer, leashTransport } from 'leashkit/mcp';
import { z } from 'zod';
import { type Eq, expectType } from './helpers/eq.ts';

declare const leash: Leash;
const info = { name: 'test', version: '1.0.0' };
const one = new Client1(info);
const two = new client2.Client(info);

// The same type in and out.
{
  const heldOne = leashClient(leash, one);
  expectType<Eq<typeof heldOne, typeof one>>(true);
  const heldTwo = leashClient(leash, two, { schemas: 'listed' });
  expectType<Eq<typeof heldTwo, typeof two>>(true);
  // @ts-expect-error: a held client of one version is none of the other.
  expectType<Eq<typeof heldOne, typeof two>>(true);
  const call = () => heldOne.callTool({ name: 'search' }, CallToolResultSchema, { timeout: 1 });
  expectType<Eq<ReturnType<typeof call>, ReturnType<typeof one.callTool>>>(true);
  const callTwo = () => heldTwo.callTool({ name: 'search', arguments: { a: 1 } }, { timeout: 1 });
  expectType<Eq<ReturnType<typeof callTwo>, ReturnType<typeof two.callTool>>>(true);
}

// Every transport, and what takes one.
{
  const memory = leashTransport(leash, new InMemoryTransport(), { reply: 'result' });
  expectType<Eq<typeof memory, InMemoryTransport>>(true);
  const stdio = leashTransport(leash, new StdioClientTransport({ command: 'server' }));
  expectType<Eq<typeof stdio, StdioClientTransport>>(true);
  const http = leashTransport(leash, new StreamableHTTPClientTransport(new URL('http://127.0.0.1')));
  expectType<Eq<typeof http, StreamableHTTPClientTransport>>(true);
  const httpTwo = leashTransport(leash, new client2.StreamableHTTPClientTransport(new URL('http://127.0.0.1')));
  expectType<Eq<typeof httpTwo, client2.StreamableHTTPClientTransport>>(true);
  void (() => [one.connect(memory), one.connect(stdio), two.connect(httpTwo)]);
  const any = (transport: Transport, other: MCPTransport) => [
    one.connect(leashTransport(leash, transport)),
    createMCPClient({ transport: leashTransport(leash, other) }),
  ];
  void any;
}

// Servers infer what handlers get.
{
  const heldOne = leashServer(leash, new McpServer1(info));
  expectType<Eq<typeof heldOne, McpServer1>>(true);
  heldOne.registerTool('search', { inputSchema: { query: z.string() } }, async ({ query }, { signal }) => {
    expectType<Eq<typeof query, string>>(true);
    expectType<Eq<typeof signal, AbortSignal>>(true);
    return { content: [] };
  });
  const heldTwo = leashServer(leash, new server2.McpServer(info), { costs: { search: ({ query }) => `$${query}` } });
  expectType<Eq<typeof heldTwo, server2.McpServer>>(true);
  heldTwo.registerTool('search', { inputSchema: z.object({ query: z.string() }) }, async ({ query }, { mcpReq }) => {
    expectType<Eq<typeof query, string>>(true);
    expectType<Eq<typeof mcpReq.signal, AbortSignal>>(true);
    return { content: [] };
  });
}

// Options.
{
  const held = leashClient(leash, one, {
    costs: { search: '$0.01', find: ({ pages }) => ({ usd: Number(pages) }), free: 'free', other: undefined },
    schemas: { search: z.object({}) },
    urls: { search: ({ url }) => String(url) },
  });
  expectType<Eq<typeof held, typeof one>>(true);
  // @ts-expect-error: a cost is money.
  leashClient(leash, one, { costs: { search: true } });
  // @ts-expect-error: arguments are of any type until they are looked at.
  leashClient(leash, one, { costs: { search: ({ pages }) => ({ usd: pages }) } });
  // @ts-expect-error: the schemas are the listed ones, or named.
  leashClient(leash, one, { schemas: 'all' });
  // @ts-expect-error: a server has its own schemas.
  leashServer(leash, new McpServer1(info), { schemas: 'listed' });
  // @ts-expect-error: an option of the transport.
  leashClient(leash, one, { reply: 'error' });
  // @ts-expect-error: one of the two.
  leashTransport(leash, new InMemoryTransport(), { reply: 'text' });
  // @ts-expect-error: no client.
  leashClient(leash, { call: () => 1 });
  // @ts-expect-error: a server is no transport.
  leashTransport(leash, new McpServer1(info));
  // @ts-expect-error: a client is no server.
  leashServer(leash, one);
}
