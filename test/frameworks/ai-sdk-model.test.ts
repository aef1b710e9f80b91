import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { calcPrice } from '@pydantic/genai-prices';
import { APICallError, generateText, isStepCount, type ModelMessage, ToolLoopAgent, tool } from 'ai';
import { budget, callCap, findLeashError } from 'leashkit';
import { leashModel, leashTools, type Price, withLeash } from 'leashkit/ai-sdk';
import { fromGenaiPrices, priceTable } from 'leashkit/prices';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Answer, type Request, type Version, versions } from './helpers/ai-sdk.ts';
import { caught } from './helpers/caught.ts';
import { recordedLeash } from './helpers/leash.ts';
import { SearchBody } from './helpers/search-body.ts';
import { anthropicWire, completionsWire, responsesWire } from './helpers/wire.ts';

/** $1.25 for a million tokens of the prompt, $10 for the answer. */
const price: Price = ({ inputTokens, outputTokens }) => ({ usd: (inputTokens * 1.25 + outputTokens * 10) / 1e6 });
const inputSchema = z.object({ query: z.string() });

/** What an honest provider counts: a token for four bytes of the prompt, and every token of the answer that it may write. */
function honest({ prompt, maxOutputTokens = 700 }: Request): { readonly input: number; readonly output: number } {
  return { input: Math.ceil(Buffer.byteLength(JSON.stringify(prompt)) / 4), output: Math.min(700, maxOutputTokens) };
}

describe.each(versions)('a model of $name that never stops, under a budget of a cent', ({ ai, script }: Version) => {
  function looping() {
    const recorded = recordedLeash({ guards: [budget({ usd: '0.01' })] });
    const used: { readonly input: number; readonly output: number }[] = [];
    const { model, requests } = script((request) => {
      const usage = honest(request);
      used.push(usage);
      return { calls: [{ name: 'search', input: { query: 'x'.repeat(used.length) } }], usage } satisfies Answer;
    });
    const body = new SearchBody();
    const tools = leashTools(
      recorded.leash,
      { search: ai.tool({ inputSchema, execute: body.run }) },
      { costs: { search: 'free' } },
    );
    const spent = (): number => used.reduce((sum, { input, output }) => sum + input * 1250 + output * 10_000, 0);
    const settings = {
      model: leashModel(recorded.leash, model, price),
      tools,
      prompt: 'go',
      stopWhen: ai.stepCountIs(50),
    };
    return { ...recorded, requests, spent, settings };
  }

  it('spends no more, by what the provider reports, and ends with our error', async () => {
    const { leash, requests, spent, settings, held, spentUsd, verified } = looping();
    expect(await caught(ai.generateText(settings))).toBe(leash.breach);
    expect(leash.breach).toMatchObject({ code: 'BUDGET_EXCEEDED' });
    expect(requests.length).toBeGreaterThan(1);
    expect(requests.at(-1)?.maxOutputTokens).toBeLessThan(700);
    expect(spent()).toBeLessThanOrEqual(10_000_000);
    expect(Number(await spentUsd()) * 1e9).toBeCloseTo(spent(), 3);
    expect(await held()).toBe('0');
    expect(await verified()).toBe('closed');
  });

  it('spends no more when it streams', async () => {
    const { leash, requests, spent, settings, held } = looping();
    const told: unknown[] = [];
    const { fullStream } = ai.streamText({ ...settings, onError: ({ error }) => void told.push(error) });
    const thrown = await caught(drained(fullStream));
    expect(findLeashError(thrown ?? told[0])).toBe(leash.breach);
    expect(requests.length).toBeGreaterThan(1);
    expect(spent()).toBeLessThanOrEqual(10_000_000);
    expect(await held()).toBe('0');
  });

  it('is not asked at all where it has no price', async () => {
    const { leash, kinds, events } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const { model, requests } = script(() => ({ text: 'x' }));
    const error = await caught(ai.generateText({ model: leashModel(leash, model, () => undefined), prompt: 'go' }));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toContain('model "looping" of provider "scripted" has no price');
    expect(requests).toEqual([]);
    expect(kinds()).toEqual(['session_open', 'tool_denied']);
    expect(events('tool_denied')).toMatchObject([{ tool: 'leash.hold', code: 'CALL_INVALID' }]);
  });
});

describe.each(versions)('a streamed answer of $name', ({ ai, script }: Version) => {
  const text = 'word '.repeat(20_000);
  /** The prompt to the byte, and as many tokens of the answer as the request asks for. */
  const estimate = /^0\.001\d+$/;

  function streaming() {
    const recorded = recordedLeash({ guards: [budget({ usd: 1 })] });
    const { model } = script(() => ({ text }));
    const caller = new AbortController();
    const result = ai.streamText({
      model: leashModel(recorded.leash, model, price),
      prompt: 'go',
      maxOutputTokens: 100,
      abortSignal: caller.signal,
      onError: () => {},
    });
    return { ...recorded, caller, result };
  }

  it('is booked as reported when it was read to its end', async () => {
    const { result, held, spentUsd } = streaming();
    expect(await result.text).toBe(text);
    expect([await held(), await spentUsd()]).toEqual(['0', '0.000225']);
  });

  it.each([
    { how: 'aborted by its caller', end: ({ caller }: ReturnType<typeof streaming>) => caller.abort() },
    { how: 'stopped by the kill switch', end: ({ leash }: ReturnType<typeof streaming>) => leash.stop('enough') },
  ])('holds nothing once it was $how midway', async ({ end }) => {
    const all = streaming();
    let words = 0;
    const read = caught(
      (async () => {
        for await (const _ of all.result.textStream) if (++words === 3) end(all);
      })(),
    );
    await read;
    expect(words).toBeLessThan(20_000);
    await expect.poll(() => all.held()).toBe('0');
    expect(await all.spentUsd()).toMatch(estimate);
  });

  it('holds nothing once its reader has left it and aborted', async () => {
    const { caller, result, held, spentUsd, verified } = streaming();
    for await (const _ of result.textStream) break;
    caller.abort();
    await expect.poll(() => held()).toBe('0');
    // Versions 5 and 6 read on to the end for a reader who has left.
    expect(await spentUsd()).toMatch(/^0\.00(1\d+|0225)$/);
    expect(await verified()).toBe('closed');
  });
});

describe('errors of a provider', () => {
  const [seven] = versions.slice(-1) as [Version];
  it('count while the framework tries again, and end with our error inside of its own', async () => {
    const { leash, spentUsd, held } = recordedLeash({ guards: [budget({ usd: '0.0015' })] });
    const { model, requests } = seven.script(() => {
      const responseHeaders = { 'retry-after-ms': '1' };
      const parts = { url: 'http://127.0.0.1/', requestBodyValues: {}, statusCode: 429, isRetryable: true };
      throw new APICallError({ message: 'slow down', responseHeaders, ...parts });
    });
    const error = await caught(
      generateText({ model: leashModel(leash, model, price), prompt: 'go', maxOutputTokens: 100 }),
    );
    expect((error as Error).name).toBe('AI_RetryError');
    expect(findLeashError(error)).toBe(leash.breach);
    expect([requests.length, Number(await spentUsd()) <= 0.0015, await held()]).toEqual([2, true, '0']);
  });
});

describe('what arrives at a provider', () => {
  const bodies: Record<string, unknown>[] = [];
  const answering = (answer: object) => async (_: unknown, init?: { readonly body?: unknown }) => {
    bodies.push(JSON.parse(String(init?.body)));
    return Response.json(answer);
  };

  it.each([
    { name: 'a table', of: priceTable({ 'gpt-5': { inputPerMTok: 1.25, outputPerMTok: 10 } }) },
    { name: 'genai-prices', of: fromGenaiPrices(calcPrice) },
  ])('is the clamped number of tokens, and its usage is booked by $name: @ai-sdk/openai', async ({ of }) => {
    const { leash, spentUsd } = recordedLeash({ guards: [budget({ usd: '0.01' })] });
    const content = [{ type: 'output_text', text: 'hi', annotations: [] }];
    const fetch = answering({
      id: 'r',
      created_at: 0,
      model: 'gpt-5',
      output: [{ type: 'message', role: 'assistant', id: 'm', content }],
      usage: { input_tokens: 20, output_tokens: 7, output_tokens_details: { reasoning_tokens: 5 } },
    });
    const openai = createOpenAI({ apiKey: 'none', fetch: fetch as typeof globalThis.fetch });
    const { text } = await generateText({ model: leashModel(leash, openai('gpt-5'), of), prompt: 'go' });
    expect(text).toBe('hi');
    const sent = bodies.length;
    const { max_output_tokens } = bodies.at(-1) as { max_output_tokens: number };
    expect(max_output_tokens).toBeGreaterThan(900);
    expect(max_output_tokens).toBeLessThan(1000);
    expect(await spentUsd()).toBe('0.000095');
    const unknown = await caught(generateText({ model: leashModel(leash, openai('gpt-0'), of), prompt: 'go' }));
    expect((unknown as Error).message).toContain('model "gpt-0" of provider "openai.responses" has no price');
    expect(bodies).toHaveLength(sent);
  });

  it('is no more than is held, where a thinking budget comes on top: @ai-sdk/anthropic', async () => {
    const { leash } = recordedLeash({ guards: [budget({ usd: '0.1' })] });
    let held = 0;
    const fetch = async (url: unknown, init?: { readonly body?: unknown }) => {
      held = Number((await leash.usage()).limits[0]?.held);
      return answering({
        type: 'message',
        id: 'm',
        model: 'claude',
        content: [{ type: 'text', text: 'hi' }],
        stop_reason: 'end_turn',
        stop_sequence: null,
        usage: { input_tokens: 20, output_tokens: 7, cache_read_input_tokens: 100, cache_creation_input_tokens: 1000 },
      })(url, init);
    };
    const anthropic = createAnthropic({ apiKey: 'none', fetch: fetch as typeof globalThis.fetch });
    const thinking = { type: 'enabled', budgetTokens: 2000 } as const;
    const { text } = await generateText({
      model: leashModel(leash, anthropic('claude-sonnet-4-0'), price),
      prompt: 'go',
      maxOutputTokens: 100,
      providerOptions: { anthropic: { thinking } },
    });
    expect(text).toBe('hi');
    expect(bodies.at(-1)).toMatchObject({ max_tokens: 2100 });
    expect(held).toBeGreaterThanOrEqual(2100 * 1e-5);
    // The whole prompt, cache and all.
    expect((await leash.usage()).usd).toBe('0.00147');
  });
});

describe('a request with options of its provider', () => {
  const cent = () => recordedLeash({ guards: [budget({ usd: '0.01' })] });

  it("is cut down by OpenAI's own limit, too: @ai-sdk/openai, chat completions", async () => {
    const { leash, spentUsd } = cent();
    const wire = completionsWire(({ body }) => ({
      text: 'hi',
      usage: { input: 5, output: Number(body['max_completion_tokens']) },
    }));
    const openai = createOpenAI({ apiKey: 'none', fetch: wire.fetch });
    const providerOptions = { openai: { maxCompletionTokens: 100_000 } };
    await generateText({ model: leashModel(leash, openai.chat('gpt-5'), price), prompt: 'go', providerOptions });
    expect(wire.requests[0]?.body['max_completion_tokens']).toBeLessThan(1000);
    expect(Number(await spentUsd())).toBeLessThanOrEqual(0.01);
  });

  it('is not sent where no budget pays for the instructions among them: @ai-sdk/openai, responses', async () => {
    const { leash } = cent();
    const wire = responsesWire(() => ({ text: 'hi' }));
    const openai = createOpenAI({ apiKey: 'none', fetch: wire.fetch });
    const providerOptions = { openai: { instructions: 'Be good. '.repeat(5000) } };
    const error = await caught(
      generateText({ model: leashModel(leash, openai('gpt-5'), price), prompt: 'go', providerOptions }),
    );
    expect(error).toMatchObject({ code: 'BUDGET_EXCEEDED' });
    expect(wire.requests).toEqual([]);
  });

  it('counts the reasoning that OpenAI keeps for the next step: @ai-sdk/openai, responses', async () => {
    const { leash, spentUsd } = recordedLeash({ guards: [budget({ usd: '0.2' })] });
    let thought = 0;
    const wire = responsesWire(({ body }, i) => {
      const output = Math.min(5000, Number(body['max_output_tokens']));
      const usage = { input: 100 + thought, output, reasoning: output - 10 };
      thought += usage.reasoning;
      return { calls: [{ name: 'search', input: { query: 'x' } }], reasoning: `rs_kept_${i}`, usage };
    });
    const openai = createOpenAI({ apiKey: 'none', fetch: wire.fetch });
    const settings = {
      model: leashModel(leash, openai('gpt-5'), price, { maxOutputTokens: 5000 }),
      tools: leashTools(leash, { search: tool({ inputSchema, execute: () => 'x' }) }, { costs: { search: 'free' } }),
      stopWhen: isStepCount(20),
    };
    expect(await caught(generateText({ ...settings, prompt: 'go' }))).toBe(leash.breach);
    expect(wire.requests.length).toBeGreaterThan(2);
    expect(JSON.stringify(wire.requests.at(-1)?.body)).toContain('{"type":"item_reference","id":"rs_kept_0"}');
    expect(Number(await spentUsd())).toBeLessThanOrEqual(0.2);
  });

  it('is not sent with reasoning that nobody here was told of', async () => {
    const { leash } = cent();
    const wire = responsesWire(() => ({ text: 'hi' }));
    const openai = createOpenAI({ apiKey: 'none', fetch: wire.fetch });
    const model = leashModel(leash, openai('gpt-5'), price);
    const providerOptions = { openai: { itemId: 'rs_of_another_process' } };
    const messages: ModelMessage[] = [
      { role: 'user', content: 'go' },
      { role: 'assistant', content: [{ type: 'reasoning', text: '', providerOptions }] },
    ];
    const error = await caught(generateText({ model, messages }));
    expect((error as Error).message).toContain('say so with the option `inputTokens` of leashModel');
    expect(wire.requests).toEqual([]);
    await generateText({ model, messages, providerOptions: { openai: { store: false } } });
    expect(wire.requests).toHaveLength(1);
  });

  it('leaves room for a thinking budget of no size: @ai-sdk/anthropic', async () => {
    const { leash, spentUsd } = recordedLeash({ guards: [budget({ usd: '0.02' })] });
    const wire = anthropicWire(({ body }) => ({ text: 'hi', usage: { input: 5, output: Number(body['max_tokens']) } }));
    const anthropic = createAnthropic({ apiKey: 'none', fetch: wire.fetch });
    const providerOptions = { anthropic: { thinking: { type: 'enabled' } } } as const;
    const model = leashModel(leash, anthropic('claude-sonnet-4-0'), price);
    await generateText({ model, prompt: 'go', providerOptions });
    expect(wire.requests[0]?.body).toMatchObject({ thinking: { budget_tokens: 1024 } });
    expect(Number(await spentUsd())).toBeLessThanOrEqual(0.02);
  });
});

describe('withLeash', () => {
  const [seven] = versions.slice(-1) as [Version];

  it('holds an agent of the AI SDK 7 together with the model that a step or a call chooses', async () => {
    const { leash, requests, chosen, search, body, ...all } = agentParts();
    const settings = {
      model: all.model,
      tools: { search },
      stopWhen: isStepCount(20),
      prepareStep: ({ stepNumber }: { stepNumber: number }) => (stepNumber === 1 ? { model: chosen.model } : {}),
    };
    const agent = new ToolLoopAgent(withLeash(leash, settings, { price, costs: { search: 'free' } }));
    const { steps } = await agent.generate({ prompt: 'go' });
    expect([steps.length, body.ran, requests.length, chosen.requests.length]).toEqual([4, 3, 3, 1]);
    expect((await leash.usage()).usd).toBe('0.0009');
  });

  it('holds what prepareCall makes of the settings', async () => {
    const { leash, requests, chosen, search, body, ...all } = agentParts();
    const settings = {
      model: all.model,
      tools: { search },
      prepareCall: <Call extends object>(call: Call) => ({ ...call, model: chosen.model }),
    };
    const agent = new ToolLoopAgent(withLeash(leash, settings, { price, costs: { search: 'free' } }));
    const { steps } = await agent.generate({ prompt: 'go' });
    expect([steps.length, body.ran, requests.length, chosen.requests.length]).toEqual([4, 3, 0, 4]);
  });

  function agentParts() {
    const { leash } = recordedLeash({ guards: [budget({ usd: 1 }), callCap({ max: 3, tools: ['search'] })] });
    const body = new SearchBody();
    const answer: Answer = { calls: [{ name: 'search', input: { query: 'x' } }] };
    const { model, requests } = seven.script(() => answer);
    return {
      leash,
      body,
      model,
      requests,
      chosen: seven.script(() => answer),
      search: tool({ inputSchema, execute: body.run }),
    };
  }
});

async function drained(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}
