// The tool runner of OpenAI's client, which calls tools for as long as the model asks for them, and a tool under the leash
// that ends it. The provider is a function: no network, no key. `npm run test:frameworks` installs what this needs.
import { callCap, createLeash, fileSink, findLeashError, verifyLog } from 'leashkit';
import { leashRunnable } from 'leashkit/openai';
import OpenAI from 'openai';

const search = {
  type: 'function' as const,
  function: {
    name: 'search',
    description: 'Searches the web.',
    parameters: { type: 'object', properties: { query: { type: 'string' } } },
    parse: JSON.parse as (text: string) => { query: string },
    function: async ({ query }: { query: string }) => {
      console.log(`searching for ${query}`);
      return { hits: [`all about ${query}`] };
    },
  },
};

let requests = 0;
const client = new OpenAI({
  apiKey: 'none',
  fetch: async () => {
    const call = { name: 'search', arguments: JSON.stringify({ query: `leashes ${++requests}` }) };
    const tool_calls = [{ id: `call-${requests}`, type: 'function', function: call }];
    return Response.json({ choices: [{ message: { role: 'assistant', tool_calls }, finish_reason: 'tool_calls' }] });
  },
});

// #region leash
const leash = createLeash({ guards: [callCap(3)], audit: fileSink('audit.jsonl') });

const runner = client.chat.completions.runTools(
  {
    model: 'gpt-5',
    messages: [{ role: 'user', content: 'Find everything about leashes.' }],
    tools: [leashRunnable(leash, search)],
  },
  { maxChatCompletions: 50 },
);
try {
  await runner.done();
} catch (error) {
  console.log(findLeashError(error)?.message);
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
// Tool "search" was refused: the cap of 3 calls is reached. Do not retry.
// 4 requests
// the log: 10 events, closed, verified
