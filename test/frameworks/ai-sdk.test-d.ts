import type { LanguageModelV4 } from '@ai-sdk/provider';
import { dynamicTool, generateText, isStepCount, jsonSchema, streamText, ToolLoopAgent, type ToolSet, tool } from 'ai';
import { MockLanguageModelV4 } from 'ai/test';
import * as ai5 from 'ai-5';
import type { LanguageModelV2 } from 'ai-5-provider';
import * as ai6 from 'ai-6';
import type { LanguageModelV3 } from 'ai-6-provider';
import type { Leash } from 'leashkit';
import { leashModel, leashStop, leashTool, leashTools, type Price, withLeash } from 'leashkit/ai-sdk';
import { z } from 'zod';
import { type Eq, expectType } from './helpers/eq.ts';

declare const leash: Leash;
declare const price: Price;

const search = tool({
  description: 'search',
  inputSchema: z.object({ query: z.string(), limit: z.coerce.number().default(10) }),
  execute: async ({ query, limit }, { toolCallId, abortSignal }) => ({ hits: [query, toolCallId], limit, abortSignal }),
});
const count = tool({
  inputSchema: z.object({ to: z.number() }),
  async *execute({ to }) {
    for (let i = 0; i < to; i++) yield { i };
  },
});
const withContext = tool({
  inputSchema: z.object({ id: z.string() }),
  contextSchema: z.object({ tenant: z.string() }),
  execute: ({ id }, { context }) => `${context.tenant}/${id}`,
});
const untyped = tool({ inputSchema: jsonSchema<{ a: number }>({ type: 'object' }), execute: ({ a }) => a });
const dynamic = dynamicTool({ inputSchema: z.object({}), execute: async () => 'x' });
const client = tool({ inputSchema: z.object({ question: z.string() }), outputSchema: z.string() });
const tools = { search, count, withContext, untyped, dynamic };

// The same type in and out.
{
  const held = leashTools(leash, tools);
  expectType<Eq<typeof held, typeof tools>>(true);
  const one = leashTool(leash, 'search', search);
  expectType<Eq<typeof one, typeof search>>(true);
  const passing = leashTools(leash, { search, client }, { unguarded: ['client'] });
  expectType<Eq<typeof passing, { search: typeof search; client: typeof client }>>(true);
  // @ts-expect-error: the wrapped tools are not of another type.
  expectType<Eq<typeof held, Record<string, typeof search>>>(true);
}

// Made on the spot, tools keep what is inferred of them.
{
  const held = leashTools(leash, {
    weather: tool({
      inputSchema: z.object({ city: z.string() }),
      contextSchema: z.object({ key: z.string() }),
      async *execute({ city }, { context }) {
        yield { city, key: context.key, degrees: 20 };
      },
    }),
  });
  async () => {
    const { toolResults } = await generateText({
      model: new MockLanguageModelV4(),
      prompt: 'go',
      tools: held,
      toolsContext: { weather: { key: 'k' } },
    });
    for (const result of toolResults) {
      if (result.dynamic) continue;
      expectType<Eq<typeof result.input, { city: string }>>(true);
      expectType<Eq<typeof result.output, { city: string; key: string; degrees: number }>>(true);
    }
    // @ts-expect-error: the context that a tool asks for is still required.
    await generateText({ model: new MockLanguageModelV4(), prompt: 'go', tools: held });
  };
}

// What the leash is told of a tool has the type of its input.
{
  const set: ToolSet = leashTools(leash, {} as ToolSet, { costs: { anything: 'free' } });
  expectType<Eq<typeof set, ToolSet>>(true);
  leashTools(leash, tools, {
    costs: {
      search: (input) => {
        expectType<Eq<typeof input, { query: string; limit: number }>>(true);
        return { usd: input.limit / 1000 };
      },
      count: '$0.01',
      untyped: ({ a }) => `$${a}`,
      dynamic: 'free',
    },
    schemas: { untyped: z.object({ a: z.number() }), search: { type: 'object' } },
    urls: { search: ({ query }) => `https://example.com/?q=${query}` },
    unguarded: ['dynamic'],
  });
  // @ts-expect-error: no such tool.
  leashTools(leash, { search }, { costs: { serch: 'free' } });
  // @ts-expect-error: no such tool.
  leashTools(leash, { search }, { unguarded: ['serch'] });
  // @ts-expect-error: the input has no cents.
  leashTools(leash, { search }, { costs: { search: ({ cents }) => ({ usd: cents }) } });
  // @ts-expect-error: no money.
  leashTools(leash, { search }, { costs: { search: () => 5 } });
  // @ts-expect-error: no such option.
  leashTools(leash, { search }, { cost: { search: 'free' } });
  // @ts-expect-error: one tool is no record of tools.
  leashTools(leash, search);
  leashTool(leash, 'search', search, {
    args: ({ query }) => ({ query }),
    cost: ({ query }) => ({ usd: query.length }),
    actualCost: ({ hits, limit }) => ({ usd: hits.length * limit }),
    onError: 'refund',
  });
  leashTool(leash, 'search', search, { cost: ({ limit }) => ({ usd: limit }) });
}

// Models of every specification, the same type in and out.
{
  const v2 = leashModel(leash, {} as LanguageModelV2, price);
  expectType<Eq<typeof v2, LanguageModelV2>>(true);
  const v3 = leashModel(leash, {} as LanguageModelV3, price);
  expectType<Eq<typeof v3, LanguageModelV3>>(true);
  const v4 = leashModel(leash, {} as LanguageModelV4, 'free', { maxOutputTokens: 100, onError: 'refund' });
  expectType<Eq<typeof v4, LanguageModelV4>>(true);
  const mock = leashModel(leash, new MockLanguageModelV4(), () => '$0.01');
  expectType<Eq<typeof mock, MockLanguageModelV4>>(true);
  // @ts-expect-error: a price is needed.
  leashModel(leash, {} as LanguageModelV4);
  // @ts-expect-error: a name is no model.
  leashModel(leash, 'openai/gpt-5', price);
  // @ts-expect-error: no such option.
  leashModel(leash, {} as LanguageModelV4, price, { maxTokens: 5 });
  // @ts-expect-error: no money.
  leashModel(leash, {} as LanguageModelV4, () => 5);
}

// Into every function of every version, with the stopper.
{
  const stopWhen = [isStepCount(20), leashStop(leash)];
  const model = leashModel(leash, new MockLanguageModelV4(), price);
  const call = { model, prompt: 'go', tools: leashTools(leash, { search, count }), stopWhen };
  async () => {
    const { steps } = await generateText(call);
    expectType<Eq<NonNullable<(typeof steps)[0]>['toolCalls'][0]['toolName'] & 'search', 'search'>>(true);
    for (const part of await streamText(call).toolResults) {
      if (part.dynamic || part.toolName !== 'search') continue;
      expectType<Eq<typeof part.output.hits, string[]>>(true);
    }
    const toolsContext = { withContext: { tenant: 'acme' } };
    const agent = new ToolLoopAgent({ model, tools: leashTools(leash, tools), stopWhen, toolsContext });
    await agent.generate({ prompt: 'go' });
  };
  const search6 = ai6.tool({ inputSchema: z.object({ q: z.string() }), execute: async ({ q }) => ({ hits: [q] }) });
  async () => {
    const { toolResults } = await ai6.generateText({
      model: leashModel(leash, {} as LanguageModelV3, price),
      prompt: 'go',
      tools: leashTools(leash, { search6 }, { costs: { search6: ({ q }) => ({ usd: q.length }) } }),
      stopWhen: [ai6.stepCountIs(20), leashStop(leash)],
    });
    for (const result of toolResults)
      if (!result.dynamic) expectType<Eq<typeof result.output, { hits: string[] }>>(true);
  };
  const search5 = ai5.tool({ inputSchema: z.object({ q: z.string() }), execute: async ({ q }) => ({ hits: [q] }) });
  async () => {
    const { toolResults } = await ai5.generateText({
      model: leashModel(leash, {} as LanguageModelV2, price),
      prompt: 'go',
      tools: leashTools(leash, { search5 }, { costs: { search5: ({ q }) => ({ usd: q.length }) } }),
      stopWhen: [ai5.stepCountIs(20), leashStop(leash)],
    });
    for (const result of toolResults)
      if (!result.dynamic) expectType<Eq<typeof result.output, { hits: string[] }>>(true);
  };
}

// Everything at once: results stay exact.
{
  const settings = { model: new MockLanguageModelV4(), tools: { search }, prompt: 'go' };
  async () => {
    const options = { price, costs: { search: 'free' } } as const;
    const { toolResults } = await generateText(withLeash(leash, settings, options));
    for (const result of toolResults) if (!result.dynamic) expectType<Eq<typeof result.output.hits, string[]>>(true);
  };
  // @ts-expect-error: no such tool.
  withLeash(leash, { tools: { search } }, { costs: { serch: 'free' } });
}
