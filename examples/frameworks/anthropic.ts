// The tool runner of Anthropic's client, which calls tools for as long as the model asks for them, and a tool under the
// leash. The provider is a function: no network, no key. `npm run test:frameworks` installs what this needs.
import Anthropic from '@anthropic-ai/sdk';
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod';
import { callCap, createLeash, fileSink, verifyLog } from 'leashkit';
import { leashRunnable } from 'leashkit/anthropic';
import { z } from 'zod';

const search = betaZodTool({
  name: 'search',
  description: 'Searches the web.',
  inputSchema: z.object({ query: z.string() }),
  run: async ({ query }) => {
    console.log(`searching for ${query}`);
    return `all about ${query}`;
  },
});

let requests = 0;
const client = new Anthropic({
  apiKey: 'none',
  fetch: async () => {
    const input = { query: `leashes ${++requests}` };
    const content = [{ type: 'tool_use', id: `toolu_${requests}`, name: 'search', input }];
    const usage = { input_tokens: 100, output_tokens: 10 };
    return Response.json({ type: 'message', role: 'assistant', content, stop_reason: 'tool_use', usage });
  },
});

// #region leash
const leash = createLeash({ guards: [callCap(3)], audit: fileSink('audit.jsonl') });

try {
  await client.beta.messages.toolRunner(
    {
      model: 'claude-sonnet-5-5',
      max_tokens: 1000,
      messages: [{ role: 'user', content: 'Find everything about leashes.' }],
      tools: [leashRunnable(leash, search)],
    },
    { signal: leash.signal },
  );
} catch (error) {
  console.log(String(error));
  console.log(leash.breach?.message);
}
// #endregion

console.log(`${requests} requests`);
await leash.close();
const { ok, state, events } = await verifyLog('audit.jsonl', { requireClosed: true });
console.log(`the log: ${events} events, ${state}, ${ok ? 'verified' : 'not verified'}`);

// Output:
// searching for leashes 1
// searching for leashes 2
// searching for leashes 3
// APIUserAbortError: Request was aborted.
// Tool "search" was refused: the cap of 3 calls is reached. Do not retry.
// 4 requests
// the log: 10 events, closed, verified
