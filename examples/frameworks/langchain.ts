// A LangChain agent that never stops searching, under a leash in two lines: three searches, and it ends as if it had
// answered. The model is scripted: no network, no key. `npm run test:frameworks` installs what this needs.
import { fakeModel } from '@langchain/core/testing';
import { createAgent, tool } from 'langchain';
import { callCap, createLeash, fileSink, verifyLog } from 'leashkit';
import { leashMiddleware } from 'leashkit/langchain';
import { z } from 'zod';

const search = tool(
  async ({ query }) => {
    console.log(`searching for ${query}`);
    return { hits: [`all about ${query}`] };
  },
  { name: 'search', description: 'Searches the web.', schema: z.object({ query: z.string() }) },
);

const model = fakeModel();
for (let i = 1; i <= 50; i++) model.respondWithTools([{ name: 'search', args: { query: `leashes ${i}` } }]);

// #region leash
const leash = createLeash({ guards: [callCap(3)], audit: fileSink('audit.jsonl') });

const agent = createAgent({
  model,
  tools: [search],
  // Last of all middlewares. A model that costs something has a price here: it is held before each request.
  middleware: [leashMiddleware(leash, { price: 'free' })],
});
const { messages } = await agent.invoke({ messages: 'Find everything about leashes.' });
// #endregion

console.log(`${model.callCount} requests, the answer: ${messages.at(-1)?.text}`);
await leash.close();
const { ok, state, events } = await verifyLog('audit.jsonl', { requireClosed: true });
console.log(`the log: ${events} events, ${state}, ${ok ? 'verified' : 'not verified'}`);

// Output:
// searching for leashes 1
// searching for leashes 2
// searching for leashes 3
// 4 requests, the answer: Tool "search" was refused: the cap of 3 calls is reached. Do not retry.
// the log: 14 events, closed, verified
