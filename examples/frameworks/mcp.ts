// An MCP host that never stops searching, under a leash in one line: client and server are the real ones, in this process.
// `npm run test:frameworks` installs what this needs.
import { Client, InMemoryTransport } from '@modelcontextprotocol/client';
import { McpServer } from '@modelcontextprotocol/server';
import { callCap, createLeash, fileSink, findLeashError, verifyLog } from 'leashkit';
import { jsonSchemaArgs } from 'leashkit/ajv';
import { leashClient } from 'leashkit/mcp';
import { z } from 'zod';

const server = new McpServer({ name: 'library', version: '1.0.0' });
server.registerTool('search', { inputSchema: z.object({ query: z.string().max(40) }) }, async ({ query }) => {
  console.log(`searching for ${query}`);
  return { content: [{ type: 'text', text: `all about ${query}` }] };
});
const [near, far] = InMemoryTransport.createLinkedPair();
await server.connect(far);

// #region leash
const leash = createLeash({ guards: [callCap(3), jsonSchemaArgs()], audit: fileSink('audit.jsonl') });
const client = leashClient(leash, new Client({ name: 'host', version: '1.0.0' }), { schemas: 'listed' });
// #endregion
await client.connect(near);
await client.listTools();

// What a model might ask for: once what the server does not take, then the same again and again.
const inputs = [{ query: 5 }, { query: 'leashes' }];
for (let step = 0; leash.breach === undefined; step++) {
  try {
    await client.callTool({ name: 'search', arguments: inputs[Math.min(step, 1)] ?? {} });
  } catch (error) {
    console.log(findLeashError(error)?.message);
  }
}

const { calls, denied } = await leash.close();
const { ok, state, events } = await verifyLog('audit.jsonl', { requireClosed: true });
console.log(`${calls} calls, ${denied} refused`);
console.log(`the log: ${events} events, ${state}, ${ok ? 'verified' : 'not verified'}`);
await client.close();

// Output:
// Tool "search" was refused: arguments do not match the schema: /query (type). Correct the arguments.
// searching for leashes
// searching for leashes
// searching for leashes
// Tool "search" was refused: the cap of 3 calls is reached. Do not retry.
// 3 calls, 2 refused
// the log: 11 events, closed, verified
