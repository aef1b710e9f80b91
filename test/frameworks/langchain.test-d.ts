import { DynamicTool, StructuredTool } from '@langchain/core/tools';
import { createAgent, tool } from 'langchain';
import type { Leash } from 'leashkit';
import { type InputOf, leashMiddleware, leashTool, leashTools, type OutputOf, type Price } from 'leashkit/langchain';
import { z } from 'zod';
import { type Eq, expectType } from './helpers/eq.ts';

declare const leash: Leash;
declare const price: Price;

const search = tool(async ({ query, limit }) => ({ hits: [query], limit }), {
  name: 'search',
  description: 'searches',
  schema: z.object({ query: z.string(), limit: z.coerce.number().default(10) }),
});
const count = tool(
  async function* ({ to }: { to: number }) {
    for (let i = 0; i < to; i++) yield i;
    return `counted to ${to}`;
  },
  { name: 'count', description: 'counts', schema: z.object({ to: z.number() }) },
);
const say = new DynamicTool({ name: 'say', description: 'says', func: async (text) => text });
class PageTool extends StructuredTool {
  name = 'page';
  description = 'reads';
  schema = z.object({ at: z.number() });
  protected async _call({ at }: { at: number }): Promise<string> {
    return String(at);
  }
}
const web = { type: 'web_search_20250305', name: 'web_search' };

// The same type in and out.
{
  const one = leashTool(leash, search);
  expectType<Eq<typeof one, typeof search>>(true);
  const tools: [typeof search, typeof count, DynamicTool, PageTool] = [search, count, say, new PageTool()];
  const held = leashTools(leash, tools);
  expectType<Eq<typeof held, typeof tools>>(true);
  const inline = leashTools(leash, [search, count]);
  expectType<Eq<typeof inline, [typeof search, typeof count]>>(true);
  const passing = leashTools(leash, [search, web], { unguarded: ['web_search'] });
  expectType<Eq<typeof passing, [typeof search, typeof web]>>(true);
  // @ts-expect-error: the tools are not of another type.
  expectType<Eq<typeof inline, [typeof search]>>(true);
  expectType<Eq<InputOf<typeof search>, { query: string; limit: number }>>(true);
  expectType<Eq<OutputOf<typeof search>, { hits: string[]; limit: number }>>(true);
  expectType<Eq<OutputOf<typeof count>, string>>(true);
  expectType<Eq<InputOf<DynamicTool>, string>>(true);
}

// What the leash is told of a tool has the type of its input.
() => {
  leashTools(leash, [search, count], {
    costs: {
      search: (input) => {
        expectType<Eq<typeof input, { query: string; limit: number }>>(true);
        return { usd: input.limit / 1000 };
      },
      count: '$0.01',
    },
    schemas: { search: z.object({ query: z.string() }), count: { type: 'object' } },
    urls: { search: ({ query }) => `https://example.com/?q=${query}` },
  });
  // Whose types do not tell their names, or their input.
  leashTools(leash, [search, say, new PageTool()], {
    costs: { page: ({ at }: { at: number }) => ({ usd: at }), anything: 'free' },
  });
  // @ts-expect-error: no such tool.
  leashTools(leash, [search], { costs: { serch: 'free' } });
  // @ts-expect-error: the input has no cents.
  leashTools(leash, [search], { costs: { search: ({ cents }) => ({ usd: cents }) } });
  // @ts-expect-error: no money.
  leashTools(leash, [search], { costs: { search: () => 5 } });
  // @ts-expect-error: no such option.
  leashTools(leash, [search], { cost: { search: 'free' } });
  // @ts-expect-error: one tool is no array of tools.
  leashTools(leash, search);
  leashTool(leash, search, {
    args: ({ query }) => ({ query }),
    cost: ({ query }) => ({ usd: query.length }),
    actualCost: ({ hits, limit }) => ({ usd: hits.length * limit }),
    onError: 'refund',
  });
  leashTool(leash, search, { cost: ({ limit }) => ({ usd: limit }) });
  leashTool(leash, new PageTool(), { cost: ({ at }: { at: number }) => ({ usd: at }) });
};

// Into an agent, whose types stay.
async () => {
  const tools = leashTools(leash, [search, count], { costs: { search: 'free', count: 'free' } });
  const plain = createAgent({
    model: 'openai:gpt-5',
    tools: [search, count],
    responseFormat: z.object({ a: z.string() }),
  });
  const agent = createAgent({
    model: 'openai:gpt-5',
    tools,
    responseFormat: z.object({ a: z.string() }),
    middleware: [leashMiddleware(leash, { price, onBreach: 'throw', maxOutputTokens: 100, onError: 'refund' })],
  });
  const result = await agent.invoke({ messages: 'go' });
  const plainResult = await plain.invoke({ messages: 'go' });
  expectType<Eq<typeof result.structuredResponse, { a: string }>>(true);
  expectType<Eq<typeof result, typeof plainResult>>(true);
  await agent.invoke({ messages: 'go' }, { signal: leash.signal });
  // @ts-expect-error: a price is needed.
  leashMiddleware(leash);
  // @ts-expect-error: a price is needed.
  leashMiddleware(leash, { onBreach: 'end' });
  // @ts-expect-error: no such word.
  leashMiddleware(leash, { price, onBreach: 'stop' });
  // @ts-expect-error: no money.
  leashMiddleware(leash, { price: () => 5 });
  // @ts-expect-error: no such option.
  leashMiddleware(leash, { price, costs: {} });
};
