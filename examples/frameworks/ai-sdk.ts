// An AI SDK agent that never stops searching, under a leash in two lines: a budget of a cent for its model ends it. The
// model is scripted and counts its tokens: no network, no key. `npm run test:frameworks` installs what this needs.
import { generateText, isStepCount, tool } from 'ai';
import { MockLanguageModelV4 } from 'ai/test';
import { budget, callCap, createLeash, fileSink, findLeashError, verifyLog } from 'leashkit';
import { leashModel, leashStop, leashTools } from 'leashkit/ai-sdk';
import { priceTable } from 'leashkit/prices';
import { z } from 'zod';

const search = tool({
  inputSchema: z.object({ query: z.string() }),
  execute: async ({ query }) => ({ hits: [`all about ${query}`] }),
});

let requests = 0;
const model = new MockLanguageModelV4({
  modelId: 'gpt-5',
  doGenerate: async ({ prompt, maxOutputTokens = 600 }) => {
    console.log(`request ${++requests}: at most ${maxOutputTokens} tokens`);
    const input = Math.ceil(JSON.stringify(prompt).length / 4);
    return {
      content: [
        { type: 'tool-call', toolCallId: `call-${requests}`, toolName: 'search', input: '{"query":"leashes"}' },
      ],
      finishReason: { unified: 'tool-calls', raw: undefined },
      usage: {
        inputTokens: { total: input, noCache: input, cacheRead: 0, cacheWrite: 0 },
        outputTokens: { total: Math.min(300, maxOutputTokens), text: undefined, reasoning: undefined },
      },
      warnings: [],
    };
  },
});

// #region leash
const leash = createLeash({ guards: [budget({ usd: '0.01' }), callCap(50)], audit: fileSink('audit.jsonl') });
const price = priceTable({ 'gpt-5': { inputPerMTok: 1.25, cacheReadPerMTok: 0.125, outputPerMTok: 10 } });

try {
  await generateText({
    model: leashModel(leash, model, price),
    tools: leashTools(leash, { search }, { costs: { search: 'free' } }),
    stopWhen: [isStepCount(50), leashStop(leash)],
    prompt: 'Find everything about leashes.',
  });
} catch (error) {
  console.log(findLeashError(error)?.message);
}
// #endregion

const { calls, usd } = await leash.close();
const { ok, state, events } = await verifyLog('audit.jsonl', { requireClosed: true });
console.log(`${calls} searches, ${requests} requests, $${usd} of $0.01`);
console.log(`the log: ${events} events, ${state}, ${ok ? 'verified' : 'not verified'}`);

// Output:
// request 1: at most 833 tokens
// request 2: at most 496 tokens
// request 3: at most 149 tokens
// Tool "leash.hold" was refused: it needs $0.002875 and the budget of $0.01 has $0.002165 left. Do not retry.
// 3 searches, 3 requests, $0.007835 of $0.01
// the log: 13 events, closed, verified
