import {
  Agent,
  type Model,
  OpenAIChatCompletionsModel,
  OpenAIResponsesModel,
  Runner,
  run,
  setTracingDisabled,
  tool,
  webSearchTool,
} from '@openai/agents';
import { assistantMessage, ScriptedModel, type ScriptedModelInput } from '@openai/agents/testing';
import { budget, callCap, findLeashError, type Leash } from 'leashkit';
import { type LeashModelOptions, leashModel, leashTools, type Price } from 'leashkit/openai-agents';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { caught } from './helpers/caught.ts';
import { recordedLeash } from './helpers/leash.ts';
import { SearchBody } from './helpers/search-body.ts';
import { completionsWire, responsesWire, type Wire, type WireAnswer, type WireRequest } from './helpers/wire.ts';

setTracingDisabled(true);

/** $1.25 for a million tokens of the prompt, $10 for the answer. */
const price: Price = ({ inputTokens, outputTokens }) => ({ usd: (inputTokens * 1.25 + outputTokens * 10) / 1e6 });
const parameters = z.object({ query: z.string() });
type Answering = (request: WireRequest, index: number) => WireAnswer | Promise<WireAnswer>;

interface Api {
  readonly name: string;
  readonly wire: (answer: Answering) => Wire;
  readonly model: (client: OpenAI) => Model;
  readonly options: LeashModelOptions;
}

const apis: readonly Api[] = [
  {
    name: 'OpenAIChatCompletionsModel',
    wire: completionsWire,
    model: (client) => new OpenAIChatCompletionsModel(client as never, 'gpt-5'),
    options: { modelId: 'gpt-5' },
  },
  {
    name: 'OpenAIResponsesModel',
    wire: responsesWire,
    model: (client) => new OpenAIResponsesModel(client as never, 'gpt-5'),
    options: {},
  },
];

/** What a request asked for at most. */
const limitOf = ({ body }: WireRequest): unknown => body['max_tokens'] ?? body['max_output_tokens'];

function setUp(
  api: Api,
  answer: Answering,
  {
    usd = '0.01',
    asked,
    price: own = price,
    ...options
  }: LeashModelOptions & { usd?: string; asked?: number; price?: Price } = {},
) {
  const recorded = recordedLeash({ guards: [budget({ usd })] });
  const all = api.wire(answer);
  const client = new OpenAI({ apiKey: 'key', fetch: all.fetch, maxRetries: 0 });
  const body = new SearchBody();
  const search = tool({ name: 'search', description: 'searches', parameters, execute: (input) => body.run(input) });
  const agent = new Agent({
    name: 'searcher',
    model: leashModel(recorded.leash, api.model(client), own, { ...api.options, ...options }),
    tools: leashTools(recorded.leash, [search], { costs: { search: 'free' } }),
    ...(asked === undefined ? {} : { modelSettings: { maxTokens: asked } }),
  });
  return { ...recorded, ...all, agent };
}

const searching: Answering = (_, index) => ({
  calls: [{ name: 'search', input: { query: 'x'.repeat(index + 1) } }],
});
const saying = (text: string) => (): WireAnswer => ({ text, usage: { input: 100, output: 10 } });

describe.each(apis)('an agent on $name that never stops, under a budget of a cent', (api) => {
  it('spends no more, by what the provider reports, and ends with our error', async () => {
    const { agent, leash, requests, spent, held, spentUsd, verified } = setUp(api, searching);
    expect(await caught(run(agent, 'go', { maxTurns: 50 }))).toBe(leash.breach);
    expect(leash.breach).toMatchObject({ code: 'BUDGET_EXCEEDED', tool: 'leash.hold' });
    expect(requests.length).toBeGreaterThan(1);
    expect(limitOf(requests.at(-1) as WireRequest)).toBeLessThan(700);
    expect(spent()).toBeLessThanOrEqual(10_000_000);
    expect(Number(await spentUsd()) * 1e9).toBeCloseTo(spent(), 3);
    expect(await held()).toBe('0');
    expect(await verified()).toBe('closed');
  });

  it('spends no more when it streams', async () => {
    const { agent, leash, requests, spent, held } = setUp(api, searching);
    const streamed = await run(agent, 'go', { maxTurns: 50, stream: true });
    const error = await caught(
      (async () => {
        for await (const _ of streamed);
      })(),
    );
    expect(findLeashError(error)).toBe(leash.breach);
    expect(requests.map(({ body }) => body['stream'])).toEqual(Array(requests.length).fill(true));
    expect(requests.length).toBeGreaterThan(1);
    expect(spent()).toBeLessThanOrEqual(10_000_000);
    expect(await held()).toBe('0');
  });
});

describe.each(apis)('a request on $name', (api) => {
  it('is not sent where its model has no price', async () => {
    const { agent, requests, kinds, events } = setUp(api, saying('x'), { price: () => undefined, provider: 'openai' });
    const error = (await caught(run(agent, 'go'))) as Error;
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain('model "gpt-5" of provider "openai" has no price');
    expect(requests).toEqual([]);
    expect(kinds()).toEqual(['session_open', 'tool_denied']);
    expect(events('tool_denied')).toMatchObject([{ tool: 'leash.hold', code: 'CALL_INVALID' }]);
  });

  it.each([
    { asked: 100, usd: '1', sent: 100 },
    { asked: undefined, usd: '1', sent: 4096 },
    { asked: 600, usd: '0.004', sent: expect.toSatisfy((n: number) => n > 16 && n < 400) },
  ])('for $asked tokens under a budget of $usd is booked as reported', async ({ asked, usd, sent }) => {
    const { agent, requests, spentUsd, held, events } = setUp(api, saying('x'), {
      usd,
      ...(asked === undefined ? {} : { asked }),
    });
    await run(agent, 'go');
    expect([requests.map(limitOf), await spentUsd(), await held()]).toEqual([[sent], '0.000225', '0']);
    expect(events('charge')).toMatchObject([{ note: 'gpt-5' }]);
  });

  it.each([
    { onError: undefined, spends: true },
    { onError: 'forfeit', spends: true },
    { onError: 'refund', spends: false },
  ] as const)('that fails keeps its estimate: $spends, with onError $onError', async ({ onError, spends }) => {
    for (const stream of [false, true]) {
      const { agent, spentUsd, held, leash } = setUp(api, () => Promise.reject(new Error('down')), {
        onError,
        asked: 100,
      });
      const error = await caught(
        (async () => {
          const result = stream ? await run(agent, 'go', { stream: true }) : await run(agent, 'go');
          if ('toStream' in result) for await (const _ of result);
        })(),
      );
      expect(error).toBeDefined();
      expect(findLeashError(error)).toBeUndefined();
      expect([Number(await spentUsd()) > 0.001, await held(), leash.breach]).toEqual([spends, '0', undefined]);
    }
  });
});

describe('what a request says to its provider alone', () => {
  const [completions] = apis as [Api, Api];
  const asking = (own: object, { asked, ...options }: Parameters<typeof setUp>[2] = {}) => {
    const during: string[] = [];
    const watching = async (): Promise<WireAnswer> => {
      during.push(await all.held());
      return saying('x')();
    };
    const all = setUp(completions, watching, options);
    const settings = asked === undefined ? {} : { maxTokens: asked };
    return { ...all, during, agent: all.agent.clone({ modelSettings: { ...settings, providerData: own } }) };
  };

  it.each([
    { own: {}, asked: 10, holds: '0.000225', sent: 10 },
    { own: { max_completion_tokens: 100 }, asked: 10, holds: '0.001125', sent: 10 },
    { own: { max_completion_tokens: 100 }, holds: '0.001125', sent: undefined },
    { own: { extra_body: { max_tokens: 200 } }, holds: '0.002125', sent: undefined },
  ])(
    'is held for all that it may bring, and sent with no more limits than it has: $own',
    async ({ own, asked, holds, sent }) => {
      const { agent, during, spentUsd, requests } = asking(own, {
        inputTokens: () => 100,
        ...(asked === undefined ? {} : { asked }),
      });
      await run(agent, 'go');
      expect([during, await spentUsd()]).toEqual([[holds], '0.000225']);
      expect(requests[0]?.body['max_tokens']).toBe(sent);
    },
  );

  it.each([null, -1])('is cut down where its limit is none: %s', async (max_tokens) => {
    const { agent, requests } = asking({ max_tokens, user: 'u' });
    await run(agent, 'go');
    expect(requests).toMatchObject([{ body: { max_tokens: expect.any(Number), user: 'u' } }]);
    expect(requests[0]?.body['max_tokens']).toBeGreaterThan(100);
    expect(requests[0]?.body['max_tokens']).toBeLessThan(1000);
  });

  it('is refused where it brings more than the budget has, since the number cannot be changed', async () => {
    const { agent, requests, leash } = asking({ max_completion_tokens: 5000 });
    expect(await caught(run(agent, 'go'))).toBe(leash.breach);
    expect(requests).toEqual([]);
  });

  it.each([{ own: { model: 'gpt-5-pro' } }, { own: { extraBody: { model: 'gpt-5-pro' } } }])(
    'is priced as the model that it asks for: $own',
    async ({ own: sent }) => {
      const asked: unknown[] = [];
      const own: Price = (usage, model) => {
        asked.push(model.modelId);
        return price(usage, model);
      };
      await run(asking(sent, { price: own }).agent, 'go');
      expect(new Set(asked)).toEqual(new Set(['gpt-5-pro']));
    },
  );

  it('is refused where it asks for several answers', async () => {
    const { agent, requests } = asking({ n: 3 });
    expect(String(await caught(run(agent, 'go')))).toContain('leashModel knows requests for one answer, got one for 3');
    expect(requests).toEqual([]);
  });
});

describe('a request that is more than its text', () => {
  const [, responses] = apis as [Api, Api];

  it('counts reasoning that an agent hands on to another one, with a model of its own', async () => {
    const { leash } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const wire = responsesWire((_, i) =>
      i === 0
        ? {
            calls: [{ name: 'transfer_to_second', input: {} }],
            reasoning: 'rs_handed_on',
            usage: { input: 100, output: 5010, reasoning: 5000 },
          }
        : { text: 'done' },
    );
    const client = new OpenAI({ apiKey: 'none', fetch: wire.fetch });
    const held = () => leashModel(leash, new OpenAIResponsesModel(client as never, 'gpt-5'), price);
    const second = new Agent({ name: 'second', model: held() });
    const first = new Agent({ name: 'first', model: held(), handoffs: [second] });
    expect((await run(first, 'go')).finalOutput).toBe('done');
    expect(JSON.stringify(wire.requests[1]?.body['input'])).toContain('rs_handed_on');
  });

  it.each([false, true])('counts reasoning that the provider keeps as it told (stream: %s)', async (stream) => {
    const during: number[] = [];
    const all = setUp(
      responses,
      async (_, index) => {
        during.push(Number(await all.held()));
        if (index > 0) return saying('x')();
        const calls = [{ name: 'search', input: { query: 'a' } }];
        return { calls, reasoning: 'rs_1', usage: { input: 100, output: 5010, reasoning: 5000 } };
      },
      { usd: '1', asked: 10 },
    );
    const result = stream ? await run(all.agent, 'go', { stream }) : await run(all.agent, 'go');
    if ('toStream' in result) for await (const _ of result);
    // 5000 tokens of a prompt, at $1.25 for a million, and a little for what else is new in it.
    expect((during[1] ?? 0) - (during[0] ?? 0)).toBeGreaterThan(0.00625);
    expect((during[1] ?? 0) - (during[0] ?? 0)).toBeLessThan(0.0075);
    const other = setUp(responses, saying('x'));
    const history = result.history.map((item) => (item.type === 'reasoning' ? { ...item, id: 'rs_of_another' } : item));
    const error = await caught(run(other.agent, [...history, { role: 'user', content: 'go on' }]));
    expect(String(error)).toContain('what the provider kept of earlier requests');
    expect(other.requests).toEqual([]);
  });

  it.each([
    { name: 'refused, as nobody can tell what it costs', sent: [] },
    { name: 'sent where somebody says which it is', modelId: 'gpt-5-mini', sent: [undefined] },
    { name: 'sent where the agent says it', explicit: true, sent: ['gpt-5'] },
  ])('from a prompt that may name another model is $name', async ({ modelId, explicit = false, sent }) => {
    const { leash } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const wire = responsesWire(saying('x'));
    const client = new OpenAI({ apiKey: 'none', fetch: wire.fetch });
    const options = { inputTokens: () => 100, ...(modelId === undefined ? {} : { modelId }) };
    const model = leashModel(leash, new OpenAIResponsesModel(client as never, 'gpt-5'), price, options);
    const runner = new Runner({ modelProvider: { getModel: () => model } });
    const agent = new Agent({ name: 'a', prompt: { promptId: 'pmpt_1' }, ...(explicit ? { model } : {}) });
    const error = await caught(runner.run(agent, 'go'));
    expect(wire.requests.map(({ body }) => body['model'])).toEqual(sent);
    if (sent.length === 0) expect(String(error)).toContain('say which with the option `modelId` of leashModel');
  });

  it.each([
    {
      name: 'an image',
      input: [{ role: 'user', content: [{ type: 'input_image', image: 'data:image/png;base64,aGk=' }] }],
    },
    { name: 'a conversation that the provider keeps', options: { conversationId: 'conv_1' } },
    { name: 'an answer that the provider keeps', options: { previousResponseId: 'resp_1' } },
    { name: 'tools of the provider', tools: [webSearchTool()] },
    {
      name: 'a summary of the prompt by the provider',
      settings: { contextManagement: [{ type: 'compaction', compactThreshold: 1000 }] },
    },
  ])(
    'with $name is not sent, unless somebody says how many tokens it is',
    async ({ input = 'go', options = {}, tools = [], settings = {} }) => {
      for (const [inputTokens, sent] of [
        [undefined, 0],
        [() => 1000, 1],
      ] as const) {
        const { agent, requests } = setUp(responses, saying('x'), { inputTokens });
        const asked = agent.clone({ tools, modelSettings: settings as object });
        const error = await caught(run(asked, input as never, options));
        if (sent === 0) expect(String(error)).toContain('say so with the option `inputTokens` of leashModel');
        // Chat completions know no such things, and say so.
        expect(requests.length).toBeLessThanOrEqual(sent);
      }
    },
  );
});

describe.each(apis)('a streamed answer on $name', (api) => {
  const text = 'word '.repeat(20_000);

  async function streaming() {
    const caller = new AbortController();
    const all = setUp(api, saying(text), { usd: '1', asked: 100 });
    const stream = await run(all.agent, 'go', { stream: true, signal: caller.signal });
    return { ...all, caller, stream };
  }
  type Streaming = Awaited<ReturnType<typeof streaming>>;

  it('is booked as reported when it was read to its end', async () => {
    const { stream, held, spentUsd } = await streaming();
    for await (const _ of stream);
    expect([stream.finalOutput, await held(), await spentUsd()]).toEqual([text, '0', '0.000225']);
  });

  it.each([
    { how: 'aborted by its caller', end: ({ caller }: Streaming) => caller.abort(), leaves: false },
    { how: 'stopped by the kill switch', end: ({ leash }: Streaming) => leash.stop('enough'), leaves: false },
    { how: 'left by its reader', end: (_: Streaming) => {}, leaves: true },
  ])('holds nothing once it was $how midway, and keeps its estimate', async ({ end, leaves }) => {
    const all = await streaming();
    let events = 0;
    await caught(
      (async () => {
        for await (const _ of all.stream) {
          if (++events !== 3) continue;
          end(all);
          if (leaves) break;
        }
      })(),
    );
    expect(events).toBeLessThan(20_000);
    await expect.poll(() => all.held(), { timeout: 10_000 }).toBe('0');
    expect([all.requests[0]?.signal?.aborted, Number(await all.spentUsd()) > 0.002]).toEqual([true, true]);
  });
});

describe('a model under the leash', () => {
  const scripted = (...steps: ScriptedModelInput[]): ScriptedModel => new ScriptedModel(steps);
  const agentOf = (leash: Leash, model: Model, options?: LeashModelOptions) =>
    new Agent({ name: 'a', model: leashModel(leash, model, price, { modelId: 'gpt-5', ...options }) });

  it('stays what it was, and is not held twice', async () => {
    const { leash } = recordedLeash({ guards: [] });
    const own = scripted([assistantMessage('x')]);
    const held = leashModel(leash, own, 'free');
    expect(held).toBeInstanceOf(ScriptedModel);
    expect(leashModel(leash, held, 'free')).toBe(held);
    await held.getResponse({
      input: 'go',
      modelSettings: {},
      tools: [],
      outputType: 'text',
      handoffs: [],
      tracing: false,
    });
    expect([held.calls.length, own.calls.length, held.remainingSteps]).toEqual([1, 1, 0]);
  });

  it.each([false, true])('that answers without usage keeps its estimate (stream: %s)', async (stream) => {
    const { leash, held, spentUsd } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const result = stream
      ? await run(agentOf(leash, scripted([assistantMessage('x')])), 'go', { stream })
      : await run(agentOf(leash, scripted([assistantMessage('x')])), 'go');
    if ('toStream' in result) for await (const _ of result);
    expect(result.finalOutput).toBe('x');
    expect([await held(), Number(await spentUsd()) > 0.04]).toEqual(['0', true]);
  });

  it.each([false, true])('that never answers is left when the session is stopped (stream: %s)', async (stream) => {
    const { leash, held, spentUsd } = recordedLeash({ guards: [budget({ usd: 1 })] });
    let asked = false;
    const silent: Model = {
      getResponse: () => {
        asked = true;
        return new Promise(() => {});
      },
      getStreamedResponse: () => {
        asked = true;
        return { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) };
      },
    };
    const ended = caught(
      (async () => {
        const result = stream
          ? await run(agentOf(leash, silent), 'go', { stream })
          : await run(agentOf(leash, silent), 'go');
        if ('toStream' in result) for await (const _ of result);
      })(),
    );
    await expect.poll(() => asked).toBe(true);
    leash.stop('enough');
    expect(await ended).toBe(leash.breach);
    expect([await held(), Number(await spentUsd()) > 0.04]).toEqual(['0', true]);
  });

  it('is sent as it is under a leash without budgets', async () => {
    const { leash, events } = recordedLeash({ guards: [callCap(3)] });
    const model = scripted([assistantMessage('x')]);
    await run(agentOf(leash, model), 'go');
    expect(model.lastCall?.request.modelSettings.maxTokens).toBeUndefined();
    expect(events('charge')).toHaveLength(1);
  });

  const { leash } = recordedLeash({ guards: [] });
  it.each([
    { name: 'a name', model: 'gpt-5', options: {}, message: 'expects a model, got its name' },
    { name: 'no model', model: {}, options: {}, message: 'with `getResponse` and `getStreamedResponse`' },
    { name: 'no id', model: scripted(), options: {}, message: 'needs the option `modelId`' },
    { name: 'an unknown option', model: scripted(), options: { model: 'x' }, message: 'unknown option `model`' },
    { name: 'no price', model: scripted(), own: null, options: { modelId: 'm' }, message: 'the price of model "m"' },
    {
      name: 'no function',
      model: scripted(),
      options: { modelId: 'm', inputTokens: 5 },
      message: '`leashModel.inputTokens`',
    },
    {
      name: 'no count',
      model: scripted(),
      options: { modelId: 'm', maxOutputTokens: -1 },
      message: '`leashModel.maxOutputTokens`',
    },
    { name: 'no ending', model: scripted(), options: { modelId: 'm', onError: 'x' }, message: '`leashModel.onError`' },
    {
      name: 'no provider',
      model: scripted(),
      options: { modelId: 'm', provider: 5 },
      message: '`leashModel.provider`',
    },
    { name: 'an empty id', model: scripted(), options: { modelId: '' }, message: '`leashModel.modelId`' },
  ])('is not made of $name', ({ model, options, message, own = price }) => {
    expect(() => leashModel(leash, model as never, own as never, options as never)).toThrow(message);
  });
});
