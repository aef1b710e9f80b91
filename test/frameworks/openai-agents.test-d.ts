import { Agent, type Model, type OpenAIResponsesModel, run, type Tool, tool, webSearchTool } from '@openai/agents';
import { ScriptedModel } from '@openai/agents/testing';
import type { Leash } from 'leashkit';
import { leashModel, leashTools, type Price } from 'leashkit/openai-agents';
import { z } from 'zod';
import { type Eq, expectType } from './helpers/eq.ts';

declare const leash: Leash;
declare const price: Price;
declare const responses: OpenAIResponsesModel;
declare const anyModel: Model;

const search = tool({
  name: 'search',
  description: 'searches',
  parameters: z.object({ query: z.string(), limit: z.number() }),
  execute: async ({ query, limit }) => ({ hits: [query], limit }),
});
const count = tool({
  name: 'count',
  description: 'counts',
  parameters: z.object({}),
  outputSchema: z.object({ n: z.number() }),
  execute: () => ({ n: 1 }),
});
const web = webSearchTool();

// The same type in and out.
() => {
  const tools: [typeof search, typeof count] = [search, count];
  const held = leashTools(leash, tools);
  expectType<Eq<typeof held, typeof tools>>(true);
  const inline = leashTools(leash, [search, count, web], { unguarded: ['web_search'] });
  expectType<Eq<typeof inline, [typeof search, typeof count, typeof web]>>(true);
  const many = leashTools(leash, [search] as Tool[]);
  expectType<Eq<typeof many, Tool[]>>(true);
  // @ts-expect-error: the tools are not of another type.
  expectType<Eq<typeof inline, [typeof search]>>(true);
  const model = leashModel(leash, responses, price);
  expectType<Eq<typeof model, OpenAIResponsesModel>>(true);
  const scripted = leashModel(leash, new ScriptedModel(), 'free', { maxOutputTokens: 10, onError: 'refund' });
  expectType<Eq<typeof scripted, ScriptedModel>>(true);
  const any = leashModel(leash, anyModel, price, { modelId: 'gpt-5', provider: 'openai' });
  expectType<Eq<typeof any, Model>>(true);
};

// What the leash is told of a tool says the type of its input itself.
() => {
  leashTools(leash, [search, count], {
    costs: { search: ({ query }: { query: string }) => ({ usd: query.length }), count: 'free' },
    schemas: { search: z.object({ query: z.string() }) },
    urls: { search: ({ query }: { query: string }) => `https://example.com/?q=${query}` },
  });
  // @ts-expect-error: no money.
  leashTools(leash, [search], { costs: { search: () => 5 } });
  // @ts-expect-error: no such option.
  leashTools(leash, [search], { cost: { search: 'free' } });
  // @ts-expect-error: one tool is no array of tools.
  leashTools(leash, search);
  // @ts-expect-error: nobody says what the input is.
  leashTools(leash, [search], { costs: { search: ({ query }) => ({ usd: query.length }) } });
  // @ts-expect-error: a price is needed.
  leashModel(leash, responses);
  // @ts-expect-error: a name is no model.
  leashModel(leash, 'gpt-5', price);
  // @ts-expect-error: no such option.
  leashModel(leash, responses, price, { model: 'gpt-5' });
  // @ts-expect-error: no money.
  leashModel(leash, responses, () => 5);
};

// Into an agent, whose types stay.
async () => {
  const agent = new Agent({
    name: 'a',
    model: leashModel(leash, responses, price),
    tools: leashTools(leash, [search, count]),
    outputType: z.object({ answer: z.string() }),
  });
  const { finalOutput } = await run(agent, 'go', { signal: leash.signal });
  expectType<Eq<typeof finalOutput, { answer: string } | undefined>>(true);
};
