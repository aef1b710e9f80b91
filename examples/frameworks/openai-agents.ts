// An agent of the OpenAI Agents SDK that never stops searching, under a leash in two lines: a budget of a cent for its
// model ends it. The model is scripted and counts its tokens: no network, no key. `npm run test:frameworks` installs what
// this needs.
import { Agent, type ModelResponse, run, setTracingDisabled, tool, Usage } from '@openai/agents';
import { functionCall, modelResponder, ScriptedModel } from '@openai/agents/testing';
import { budget, callCap, createLeash, fileSink, findLeashError, verifyLog } from 'leashkit';
import { leashModel, leashTools, type Price } from 'leashkit/openai-agents';
import { z } from 'zod';

setTracingDisabled(true);

const search = tool({
  name: 'search',
  description: 'Searches the web.',
  parameters: z.object({ query: z.string() }),
  execute: async ({ query }) => ({ hits: [`all about ${query}`] }),
});

const answer = modelResponder(({ index, request }): ModelResponse => {
  const { maxTokens = 600 } = request.modelSettings;
  console.log(`request ${index + 1}: at most ${maxTokens} tokens`);
  const inputTokens = Math.ceil(JSON.stringify(request.input).length / 4);
  const outputTokens = Math.min(300, maxTokens);
  return {
    output: [functionCall('search', { query: 'leashes' }, { callId: `call-${index}` })],
    usage: new Usage({ requests: 1, inputTokens, outputTokens, totalTokens: inputTokens + outputTokens }),
  };
});
const model = new ScriptedModel(Array(50).fill(answer));

// #region leash
const leash = createLeash({ guards: [budget({ usd: '0.01' }), callCap(50)], audit: fileSink('audit.jsonl') });
const price: Price = ({ inputTokens, outputTokens }) => ({ usd: (inputTokens * 1.25 + outputTokens * 10) / 1e6 });

const agent = new Agent({
  name: 'searcher',
  model: leashModel(leash, model, price, { modelId: 'gpt-5' }),
  tools: leashTools(leash, [search], { costs: { search: 'free' } }),
});
try {
  await run(agent, 'Find everything about leashes.', { maxTurns: 50 });
} catch (error) {
  console.log(findLeashError(error)?.message);
}
// #endregion

const { calls, usd } = await leash.close();
const { ok, state, events } = await verifyLog('audit.jsonl', { requireClosed: true });
console.log(`${calls} searches, ${model.calls.length} requests, $${usd} of $0.01`);
console.log(`the log: ${events} events, ${state}, ${ok ? 'verified' : 'not verified'}`);

// Output:
// request 1: at most 825 tokens
// request 2: at most 486 tokens
// request 3: at most 139 tokens
// Tool "leash.hold" was refused: it needs $0.00299 and the budget of $0.01 has $0.002265 left. Do not retry.
// 3 searches, 3 requests, $0.007735 of $0.01
// the log: 13 events, closed, verified
