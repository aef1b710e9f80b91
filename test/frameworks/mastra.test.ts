import { Agent } from '@mastra/core/agent';
import type { MastraModelConfig } from '@mastra/core/llm';
import { noopLogger } from '@mastra/core/logger';
import { MastraLanguageModelV2Mock } from '@mastra/core/test-utils/llm-mock';
import { createTool } from '@mastra/core/tools';
import { args, budget, callCap, findLeashError } from 'leashkit';
import { leashModel, leashStop, leashTools, type Price } from 'leashkit/ai-sdk';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { searching, versions } from './helpers/ai-sdk.ts';
import { caught } from './helpers/caught.ts';
import { type Eq, expectType } from './helpers/eq.ts';
import { recordedLeash } from './helpers/leash.ts';
import { SearchBody } from './helpers/search-body.ts';

const price: Price = ({ inputTokens, outputTokens }) => ({ usd: (inputTokens * 1.25 + outputTokens * 10) / 1e6 });
const inputSchema = z.object({ query: z.string(), limit: z.coerce.number().default(10) });
/** Mastra has types of its own for the models of the AI SDK; under `exactOptionalPropertyTypes` the doubles do not fit. */
type Model = Extract<MastraModelConfig, { readonly specificationVersion: 'v2' }>;
const parts = { id: 'agent', name: 'agent', instructions: 'Search.' };

describe.each(versions)('an agent of Mastra with a model of $specification', ({ script }) => {
  function looping(guards: Parameters<typeof recordedLeash>[0]['guards'], costs: { search?: 'free' } = {}) {
    const recorded = recordedLeash({ guards });
    const body = new SearchBody();
    const search = createTool({ id: 'search', description: 'searches', inputSchema, execute: body.run });
    const tools = leashTools(recorded.leash, { search }, { costs });
    expectType<Eq<typeof tools.search, typeof search>>(true);
    const { model, requests } = script((_, index) => searching(index));
    return { ...recorded, body, tools, requests, model: model as unknown as Model };
  }

  it('is ended by leashStop: three calls, one more request, no exception', async () => {
    const { leash, body, model, requests, tools, held, verified } = looping([callCap(3)]);
    const agent = new Agent({ ...parts, model, tools });
    const { steps, finishReason } = await agent.generate('go', { maxSteps: 20, stopWhen: leashStop(leash) });
    expect([body.queries, requests.length, steps.length, finishReason]).toEqual([
      ['q0', 'q1', 'q2'],
      4,
      4,
      'tool-calls',
    ]);
    expect(leash.breach?.code).toBe('CALL_CAP_REACHED');
    expect(await held()).toBe('0');
    expect(await verified()).toBe('closed');
  });

  it('is ended by the held model: its caller gets the very error that ended the session', async () => {
    const { leash, body, model, requests, tools, held } = looping([callCap(3)]);
    const agent = new Agent({ ...parts, model: leashModel(leash, model, 'free'), tools });
    agent.__setLogger(noopLogger);
    expect(findLeashError(await caught(agent.generate('go', { maxSteps: 20 })))).toBe(leash.breach);
    expect([body.ran, requests.length]).toEqual([3, 4]);
    expect(await held()).toBe('0');
  });

  it('spends no more than its budget', async () => {
    const { leash, model, requests, tools, spentUsd, held } = looping([budget({ usd: '0.01' })], { search: 'free' });
    const agent = new Agent({ ...parts, model: leashModel(leash, model, price), tools });
    agent.__setLogger(noopLogger);
    expect(findLeashError(await caught(agent.generate('go', { maxSteps: 200 })))).toBe(leash.breach);
    expect(leash.breach?.code).toBe('BUDGET_EXCEEDED');
    expect(requests.length).toBeGreaterThan(2);
    expect(Number(await spentUsd())).toBeLessThanOrEqual(0.01);
    expect(await held()).toBe('0');
  });

  it('is not given what the schema of the leash refuses', async () => {
    const refusing = args({ search: z.object({ query: z.string().max(0) }) });
    const { body, model, tools, events } = looping([refusing]);
    await new Agent({ ...parts, model, tools }).generate('go', { maxSteps: 2 });
    expect(body.ran).toBe(0);
    expect(events('tool_denied')).toMatchObject([{ code: 'ARGS_INVALID' }, { code: 'ARGS_INVALID' }]);
  });
});

describe("Mastra's own double of a model", () => {
  it('is held, private fields and all', async () => {
    const { leash, held, spentUsd } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const usage = { inputTokens: 100, outputTokens: 10, totalTokens: 110 };
    const double = new MastraLanguageModelV2Mock({
      doGenerate: { content: [{ type: 'text', text: 'done' }], finishReason: 'stop', usage, warnings: [] },
    });
    const model = leashModel(leash, double, price);
    expectType<Eq<typeof model, MastraLanguageModelV2Mock>>(true);
    const { text } = await new Agent({ ...parts, model: model as unknown as Model }).generate('go');
    expect([text, await spentUsd(), await held()]).toEqual(['done', '0.000225', '0']);
    expect(model.doGenerateCalls).toMatchObject([{ maxOutputTokens: 4096 }]);
  });
});
