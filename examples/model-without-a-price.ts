// What requests to models cost, by what their providers report: your own prices, and no price for what is not listed.
import { budget, createLeash, findLeashError } from 'leashkit';
import { normalizeUsage, priceTable } from 'leashkit/prices';

// #region prices
const price = priceTable({
  'gpt-5': { inputPerMTok: 1.25, cacheReadPerMTok: 0.125, outputPerMTok: 10, aliases: ['gpt-5-2025-08-07'] },
  'claude-sonnet-4-5': { inputPerMTok: 3, cacheReadPerMTok: 0.3, cacheWritePerMTok: 3.75, outputPerMTok: 15 },
});

const leash = createLeash({ guards: [budget({ usd: '0.03' })] });

async function ask(modelId: string): Promise<string> {
  // The most that a request can use: what is held until the provider has told what it did use.
  const most = price({ inputTokens: 4_000, outputTokens: 500 }, { modelId });
  if (most === undefined) return `${modelId} has no price`;
  const hold = await leash.hold(most, modelId);
  const usage = normalizeUsage(await request(modelId));
  await hold.settle((usage && price(usage, { modelId })) ?? most);
  return `${modelId} used ${JSON.stringify(usage)}`;
}
// #endregion

try {
  for (const modelId of ['gpt-5-2025-08-07', 'gpt-5-mini', 'claude-sonnet-4-5', 'claude-sonnet-4-5']) {
    console.log(await ask(modelId));
    console.log(`  spent $${(await leash.usage()).limits[0]?.spent}`);
  }
} catch (error) {
  console.log(findLeashError(error)?.message);
}
await leash.close();

/** What the providers answer, each in its own terms: OpenAI counts cached tokens in the prompt, Anthropic beside it. */
async function request(modelId: string): Promise<object> {
  if (modelId.startsWith('gpt')) {
    const details = {
      prompt_tokens_details: { cached_tokens: 1_000 },
      completion_tokens_details: { reasoning_tokens: 64 },
    };
    return { object: 'chat.completion', usage: { prompt_tokens: 3_000, completion_tokens: 400, ...details } };
  }
  const caches = { cache_read_input_tokens: 2_000, cache_creation_input_tokens: 0 };
  return { type: 'message', usage: { input_tokens: 1_000, output_tokens: 400, ...caches } };
}

// Output:
// gpt-5-2025-08-07 used {"inputTokens":3000,"outputTokens":400,"cacheReadTokens":1000,"reasoningTokens":64}
//   spent $0.006625
// gpt-5-mini has no price
//   spent $0.006625
// claude-sonnet-4-5 used {"inputTokens":3000,"outputTokens":400,"cacheReadTokens":2000,"cacheWriteTokens":0}
//   spent $0.016225
// Tool "leash.hold" was refused: it needs $0.0195 and the budget of $0.03 has $0.013775 left. Do not retry.
