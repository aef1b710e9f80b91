/** Prices and usage, by what the packages themselves give. */
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { AIMessage } from '@langchain/core/messages';
import { Usage } from '@openai/agents';
import { calcPrice } from '@pydantic/genai-prices';
import { fromGenaiPrices, normalizeUsage, type Price, priceTable, type TokenUsage } from 'leashkit/prices';
import { describe, expect, it } from 'vitest';

const usage: TokenUsage = { inputTokens: 1000, outputTokens: 100, cacheReadTokens: 200 };
const nano = (price: Price, given: TokenUsage, provider: string | undefined, modelId: string): number => {
  const { usd } = price(given, { provider, modelId }) as { usd: string };
  return Math.round(Number(usd) * 1e9);
};

describe('fromGenaiPrices with @pydantic/genai-prices', () => {
  const price = fromGenaiPrices(calcPrice);

  it.each([
    { provider: 'openai', modelId: 'gpt-5', usd: '0.002025' },
    { provider: 'openai.responses', modelId: 'gpt-5', usd: '0.002025' },
    { provider: 'openai.chat', modelId: 'gpt-5-2025-08-07', usd: '0.002025' },
    { provider: 'azure.responses', modelId: 'gpt-5', usd: '0.002025' },
    { provider: 'anthropic.messages', modelId: 'claude-sonnet-4-5', usd: '0.00396' },
    { provider: 'google.generative-ai', modelId: 'gemini-2.5-pro', usd: '0.002025' },
    { provider: 'xai.chat', modelId: 'grok-4', usd: '0.00405' },
    { provider: 'openrouter', modelId: 'openai/gpt-5', usd: '0.002025' },
    { provider: undefined, modelId: 'gpt-5', usd: '0.002025' },
  ])('prices $modelId of $provider', ({ provider, modelId, usd }) => {
    expect(price(usage, { provider, modelId })).toEqual({ usd });
  });

  it.each([
    { name: 'an unknown model', provider: 'openai', modelId: 'gpt-99' },
    { name: 'an unknown provider', provider: 'nobody', modelId: 'gpt-5' },
    { name: 'a provider that looks like another', provider: 'my-openai-proxy', modelId: 'gpt-5' },
    { name: 'a model that looks like another', provider: 'anthropic', modelId: 'claude-sonnet-5-5' },
    { name: 'a dated model that is not listed so', provider: 'anthropic', modelId: 'claude-sonnet-4-5-20250929' },
    { name: 'a model behind a gateway', provider: 'gateway', modelId: 'openai/gpt-5' },
    { name: 'a provider that is called otherwise', provider: 'amazon-bedrock', modelId: 'amazon.nova-pro-v1:0' },
    { name: 'a model of which only the name is known', provider: 'cerebras', modelId: 'qwen-3-coder-480b' },
    { name: 'a model that embeds, asked to write', provider: 'openai', modelId: 'text-embedding-3-small' },
  ])('has no price for $name', ({ provider, modelId }) => {
    expect(price(usage, { provider, modelId })).toBeUndefined();
  });

  it('would take them for others, which is what is kept from it', () => {
    const fuzzy = fromGenaiPrices(calcPrice, { match: 'fuzzy' });
    expect(fuzzy(usage, { provider: 'anthropic', modelId: 'claude-sonnet-5-5' })).toBeDefined();
    expect(fuzzy(usage, { provider: 'my-openai-proxy', modelId: 'gpt-5' })).toEqual({ usd: '0.002025' });
    expect(calcPrice({}, 'gpt-5')?.total_price).toBe(0);
    expect(calcPrice({ input_tokens: 5 }, 'qwen-3-coder-480b', { providerId: 'cerebras' })?.total_price).toBe(0);
    expect(() => calcPrice({ input_tokens: 1, cache_read_tokens: 2 }, 'gpt-5')).toThrow();
  });

  it('takes what it is told to take for others', () => {
    const told = fromGenaiPrices(calcPrice, {
      aliases: { 'claude-sonnet-4-5-20250929': 'claude-sonnet-4-5' },
      providers: { 'amazon-bedrock': 'aws' },
      gateways: ['gateway'],
    });
    expect(told(usage, { provider: 'gateway', modelId: 'openai/gpt-5' })).toEqual({ usd: '0.002025' });
    expect(told(usage, { provider: 'gateway', modelId: 'anthropic/claude-sonnet-4-5-20250929' })).toEqual({
      usd: '0.00396',
    });
    expect(told(usage, { provider: 'amazon-bedrock', modelId: 'amazon.nova-pro-v1:0' })).toBeDefined();
  });

  it('prices what is written to a cache by how long it lives', () => {
    const written = { inputTokens: 1000, outputTokens: 0, cacheWriteTokens: 1000 };
    const model = { provider: 'anthropic', modelId: 'claude-sonnet-4-5' };
    expect(price(written, model)).toEqual({ usd: '0.00375' });
    expect(fromGenaiPrices(calcPrice, { cacheRetention: '1h' })(written, model)).toEqual({ usd: '0.006' });
  });

  it('agrees with an exact table, and is never below it', () => {
    const exact = priceTable({
      'gpt-5': { inputPerMTok: 1.25, cacheReadPerMTok: 0.125, outputPerMTok: 10 },
      'gpt-5-mini': { inputPerMTok: 0.25, cacheReadPerMTok: 0.025, outputPerMTok: 2 },
    });
    for (const modelId of ['gpt-5', 'gpt-5-mini']) {
      for (let i = 1; i < 5_000; i++) {
        const inputTokens = (i * 7_919) % 300_007 || 1;
        const given = {
          inputTokens,
          outputTokens: (i * 104_729) % 50_021,
          cacheReadTokens: (inputTokens * i) % inputTokens,
        };
        const over = nano(price, given, 'openai', modelId) - nano(exact, given, 'openai', modelId);
        expect(over === 0 || over === 1, JSON.stringify(given)).toBe(true);
      }
    }
  });
});

describe('normalizeUsage', () => {
  const answering =
    (body: object): typeof fetch =>
    async () =>
      Response.json(body);
  const prompt = [{ role: 'user' as const, content: [{ type: 'text' as const, text: 'hi' }] }];

  it('reads of the AI SDK and of Anthropic itself the same', async () => {
    const body = {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'claude-sonnet-4-5',
      content: [{ type: 'text', text: 'hello' }],
      stop_reason: 'end_turn',
      stop_sequence: null,
      usage: {
        input_tokens: 10,
        cache_creation_input_tokens: 300,
        cache_read_input_tokens: 2000,
        output_tokens: 50,
        output_tokens_details: { thinking_tokens: 20 },
      },
    };
    const model = createAnthropic({ apiKey: 'none', fetch: answering(body) })('claude-sonnet-4-5');
    const expected = {
      inputTokens: 2310,
      outputTokens: 50,
      cacheReadTokens: 2000,
      cacheWriteTokens: 300,
      reasoningTokens: 20,
    };
    expect(normalizeUsage(body)).toEqual(expected);
    const result = await model.doGenerate({ prompt });
    expect(normalizeUsage(result.usage)).toEqual(expected);
    expect(normalizeUsage(result)).toEqual(expected);
  });

  it('reads of the AI SDK and of OpenAI itself the same', async () => {
    const body = {
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 0,
      model: 'gpt-5',
      choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }],
      usage: {
        prompt_tokens: 1000,
        completion_tokens: 100,
        total_tokens: 1100,
        prompt_tokens_details: { cached_tokens: 200 },
        completion_tokens_details: { reasoning_tokens: 40 },
      },
    };
    const model = createOpenAI({ apiKey: 'none', fetch: answering(body) }).chat('gpt-5');
    const expected = { inputTokens: 1000, outputTokens: 100, cacheReadTokens: 200, reasoningTokens: 40 };
    expect(normalizeUsage(body)).toEqual(expected);
    expect(normalizeUsage(await model.doGenerate({ prompt }))).toEqual(expected);
  });

  it('finds none where the provider told the AI SDK none', async () => {
    const body = {
      id: 'chatcmpl-1',
      created: 0,
      model: 'gpt-5',
      choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }],
    };
    const model = createOpenAI({ apiKey: 'none', fetch: answering(body) }).chat('gpt-5');
    expect(normalizeUsage(await model.doGenerate({ prompt }))).toBeUndefined();
  });

  it('reads a LangChain message', () => {
    const message = Object.assign(new AIMessage('hello'), {
      usage_metadata: {
        input_tokens: 1000,
        output_tokens: 100,
        total_tokens: 1100,
        input_token_details: { cache_read: 200, cache_creation: 0 },
      },
    });
    expect(normalizeUsage(message)).toEqual({ ...usage, cacheWriteTokens: 0 });
    expect(normalizeUsage(new AIMessage('hello'))).toBeUndefined();
  });

  it('reads the usage of an OpenAI Agents run, and none of a model that told none', () => {
    const one = { input_tokens: 500, output_tokens: 50, input_tokens_details: { cached_tokens: 100 } };
    const run = new Usage();
    run.add(new Usage(one));
    run.add(new Usage(one));
    expect(normalizeUsage(run)).toEqual(usage);
    expect(normalizeUsage(run.requestUsageEntries?.[0])).toEqual({
      inputTokens: 500,
      outputTokens: 50,
      cacheReadTokens: 100,
    });
    expect(normalizeUsage(new Usage({ requests: 1 }))).toBeUndefined();
  });
});
