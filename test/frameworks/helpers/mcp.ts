import * as client2 from '@modelcontextprotocol/client';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { InMemoryTransport as InMemoryTransport1 } from '@modelcontextprotocol/sdk/inMemory.js';
import { Server as LowLevelServer1 } from '@modelcontextprotocol/sdk/server/index.js';
import { McpServer as McpServer1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import {
  CallToolRequestSchema,
  CallToolResultSchema,
  ListToolsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import * as server2 from '@modelcontextprotocol/server';
import { z } from 'zod';

export interface CallResult {
  readonly content: readonly { readonly type: string; readonly text: string }[];
  readonly isError?: boolean;
}

/** What tests ask of a client of either version. */
export interface TestClient {
  connect(transport: TestTransport): Promise<void>;
  callTool(params: object, ...more: unknown[]): Promise<CallResult>;
  request(request: object, ...more: unknown[]): Promise<CallResult>;
  listTools(): Promise<{ readonly tools: readonly { readonly name: string; readonly inputSchema: object }[] }>;
  close(): Promise<void>;
}

export interface TestTransport {
  start(): Promise<void>;
  send(message: never, options?: never): Promise<void>;
  close(): Promise<void>;
}

/** What handlers are told, in both versions. */
export interface HandlerContext {
  readonly signal?: AbortSignal;
  readonly mcpReq?: { readonly signal: AbortSignal };
}

export interface TestServer {
  connect(transport: TestTransport): Promise<void>;
  registerTool(name: string, config: object, handler: (...params: never[]) => unknown): Registered;
}

interface Registered {
  handler: unknown;
  enable(): void;
  disable(): void;
  update(updates: object): void;
}

/** One version of the SDK: its client, its server, and two transports that are joined. */
export interface McpVersion {
  readonly name: string;
  readonly clientClass: abstract new (...params: never[]) => unknown;
  readonly serverClass: abstract new (...params: never[]) => unknown;
  client(options?: object): TestClient;
  server(): TestServer;
  pair(): [client: TestTransport, server: TestTransport];
  /** A config of `registerTool` for a tool with one string, `query`. */
  readonly config: object;
  /** What of `callTool` and `request` stands between parameters and options. */
  readonly resultSchema: readonly unknown[];
  /** A server that lists tools with their schemas and checks no arguments. */
  unchecking(tools: readonly object[], call: (name: string, args: unknown) => void): TestServer;
}

const info = { name: 'test', version: '1.0.0' };
const answer = (text: string): CallResult => ({ content: [{ type: 'text', text }] });

export const versions: readonly McpVersion[] = [
  {
    name: 'SDK 1',
    clientClass: Client1,
    serverClass: McpServer1,
    client: (options) => new Client1(info, options) as unknown as TestClient,
    server: () => new McpServer1(info) as unknown as TestServer,
    pair: () => InMemoryTransport1.createLinkedPair(),
    config: { inputSchema: { query: z.string() } },
    resultSchema: [CallToolResultSchema],
    unchecking(tools, call) {
      const server = new LowLevelServer1(info, { capabilities: { tools: {} } });
      server.setRequestHandler(ListToolsRequestSchema, async () => ({ tools }) as never);
      server.setRequestHandler(CallToolRequestSchema, async ({ params }) => {
        call(params.name, params.arguments);
        return answer('done') as never;
      });
      return server as unknown as TestServer;
    },
  },
  {
    name: 'SDK 2',
    clientClass: client2.Client,
    serverClass: server2.McpServer,
    client: (options) => new client2.Client(info, options) as unknown as TestClient,
    server: () => new server2.McpServer(info) as unknown as TestServer,
    pair: () => client2.InMemoryTransport.createLinkedPair(),
    config: { inputSchema: z.object({ query: z.string() }) },
    resultSchema: [],
    unchecking(tools, call) {
      const server = new server2.Server(info, { capabilities: { tools: {} } });
      server.setRequestHandler('tools/list', async () => ({ tools }) as never);
      server.setRequestHandler('tools/call', async ({ params }) => {
        call(params.name, params.arguments);
        return answer('done') as never;
      });
      return server as unknown as TestServer;
    },
  },
];

/** The bodies of `search`: what they were called with, in order. */
export class Searches {
  readonly queries: unknown[] = [];

  readonly handler = async ({ query }: { readonly query: unknown }): Promise<CallResult> => {
    this.queries.push(query);
    return answer(`about ${query}`);
  };
}

/** A handler that answers when it is told to, and the signals that it was given. */
export class Waiting {
  readonly signals: AbortSignal[] = [];
  /** When the handler was entered. */
  readonly entered: Promise<void>;
  #enter = (): void => {};
  #answer = (_: CallResult): void => {};

  constructor() {
    this.entered = new Promise((resolve) => {
      this.#enter = resolve;
    });
  }

  readonly handler = (_: object, { signal, mcpReq }: HandlerContext): Promise<CallResult> => {
    this.signals.push((signal ?? mcpReq?.signal) as AbortSignal);
    return new Promise((resolve) => {
      this.#answer = resolve;
      this.#enter();
    });
  };

  answer(): void {
    this.#answer(answer('done'));
  }
}

/** Joins them; `through` stands between the client and its transport. */
export async function connect(
  version: McpVersion,
  server: TestServer,
  client: TestClient,
  through: (transport: TestTransport) => TestTransport = (transport) => transport,
): Promise<void> {
  const [a, b] = version.pair();
  await server.connect(b);
  await client.connect(through(a));
}

/** A client that is joined with a server whose one tool, `search`, has this handler. */
export async function searchClient(
  version: McpVersion,
  handler: (...params: never[]) => unknown,
  through?: (transport: TestTransport) => TestTransport,
): Promise<TestClient> {
  const server = version.server();
  server.registerTool('search', version.config, handler);
  const client = version.client();
  await connect(version, server, client, through);
  return client;
}

/** The call of `search` that a looping caller makes in its step `index`. */
export function search(index: number): { readonly name: 'search'; readonly arguments: { readonly query: string } } {
  return { name: 'search', arguments: { query: `q${index}` } };
}
