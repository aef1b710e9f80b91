// The same leash around an agent of Mastra, whose tools and models are those of the AI SDK: three searches, and it is over.
// The model is scripted: no network, no key. `npm run test:frameworks` installs what this needs.
import { Agent } from '@mastra/core/agent';
import { createTool } from '@mastra/core/tools';
import { callCap, createLeash, fileSink, verifyLog } from 'leashkit';
import { leashModel, leashStop, leashTools } from 'leashkit/ai-sdk';
import { z } from 'zod';

const search = createTool({
  id: 'search',
  description: 'Searches the web.',
  inputSchema: z.object({ query: z.string() }),
  execute: async ({ query }) => {
    console.log(`searching for ${query}`);
    return { hits: [`all about ${query}`] };
  },
});

let requests = 0;
const model = {
  specificationVersion: 'v2' as const,
  provider: 'scripted',
  modelId: 'looping',
  supportedUrls: {},
  doGenerate: async () => {
    const input = JSON.stringify({ query: `leashes ${++requests}` });
    return {
      content: [{ type: 'tool-call' as const, toolCallId: `call-${requests}`, toolName: 'search', input }],
      finishReason: 'tool-calls' as const,
      usage: { inputTokens: 100, outputTokens: 10, totalTokens: 110 },
      warnings: [],
    };
  },
  doStream: () => Promise.reject(new Error('this model does not stream')),
};

// #region leash
const leash = createLeash({ guards: [callCap(3)], audit: fileSink('audit.jsonl') });

const agent = new Agent({
  id: 'searcher',
  name: 'searcher',
  instructions: 'Find everything about leashes.',
  model: leashModel(leash, model, 'free'),
  tools: leashTools(leash, { search }),
});
const { finishReason } = await agent.generate('Go on.', { maxSteps: 50, stopWhen: leashStop(leash) });
// #endregion

console.log(`${requests} requests, finish reason ${finishReason}`);
console.log(leash.breach?.message);
await leash.close();
const { ok, state, events } = await verifyLog('audit.jsonl', { requireClosed: true });
console.log(`the log: ${events} events, ${state}, ${ok ? 'verified' : 'not verified'}`);

// Output:
// searching for leashes 1
// searching for leashes 2
// searching for leashes 3
// 4 requests, finish reason tool-calls
// Tool "search" was refused: the cap of 3 calls is reached. Do not retry.
// the log: 14 events, closed, verified
