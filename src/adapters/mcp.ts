export type { McpArguments, McpTerms } from './mcp/held-tools.ts';
export { type LeashClientOptions, leashClient, type McpClient } from './mcp/leash-client.ts';
export { type LeashServerOptions, leashServer, type McpToolServer } from './mcp/leash-server.ts';
export { type LeashTransportOptions, leashTransport, type McpTransport } from './mcp/leash-transport.ts';
