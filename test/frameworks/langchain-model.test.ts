import { ChatAnthropic } from '@langchain/anthropic';
import { HumanMessage } from '@langchain/core/messages';
import { FakeListChatModel } from '@langchain/core/utils/testing';
import { ChatOpenAI } from '@langchain/openai';
import {
  type AgentMiddleware,
  createAgent,
  initChatModel,
  modelFallbackMiddleware,
  modelRetryMiddleware,
  tool,
  toolStrategy,
} from 'langchain';
import { budget, callCap, findLeashError } from 'leashkit';
import { type LeashMiddlewareOptions, leashMiddleware, leashTools, type Price } from 'leashkit/langchain';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { caught } from './helpers/caught.ts';
import { type ChatProvider, providers } from './helpers/langchain.ts';
import { recordedLeash } from './helpers/leash.ts';
import { SearchBody } from './helpers/search-body.ts';
import {
  anthropicWire,
  completionsWire,
  responsesWire,
  type Wire,
  type WireAnswer,
  type WireRequest,
} from './helpers/wire.ts';

/** $1.25 for a million tokens of the prompt, $10 for the answer. */
const price: Price = ({ inputTokens, outputTokens }) => ({ usd: (inputTokens * 1.25 + outputTokens * 10) / 1e6 });
const go = { messages: [new HumanMessage('go')] };
const schema = z.object({ query: z.string() });

/** What a request asked for at most. */
function limitOf({ body }: WireRequest): unknown {
  return body['max_tokens'] ?? body['max_completion_tokens'] ?? body['max_output_tokens'];
}

function setUp(
  { wire, model }: ChatProvider,
  answer: (request: WireRequest, index: number) => WireAnswer | Promise<WireAnswer>,
  {
    usd = '0.01',
    modelOptions = {},
    ...options
  }: Partial<LeashMiddlewareOptions> & {
    usd?: string;
    modelOptions?: { maxTokens?: number; streaming?: boolean };
  } = {},
) {
  const recorded = recordedLeash({ guards: [budget({ usd })] });
  const all = wire(answer);
  const search = tool(new SearchBody().run, { name: 'search', description: 'searches', schema });
  const middleware = leashMiddleware(recorded.leash, { price, ...options });
  const chat = model(all, modelOptions);
  const agent = createAgent({
    model: chat,
    tools: leashTools(recorded.leash, [search], { costs: { search: 'free' } }),
    middleware: [middleware],
  });
  return { ...recorded, ...all, chat, middleware, agent };
}

const searching = (_: unknown, index: number): WireAnswer => ({
  calls: [{ name: 'search', input: { query: 'x'.repeat(index + 1) } }],
});
const saying = (text: string) => (): WireAnswer => ({ text, usage: { input: 100, output: 10 } });

describe.each(providers)('an agent of $name that never stops, under a budget of a cent', (provider) => {
  it('spends no more, by what the provider reports, and ends as if it had answered', async () => {
    const { agent, requests, spent, leash, held, spentUsd, verified } = setUp(provider, searching);
    const { messages } = await agent.invoke(go);
    expect(messages.at(-1)).toMatchObject({ type: 'ai', content: leash.breach?.message });
    expect(leash.breach).toMatchObject({ code: 'BUDGET_EXCEEDED', tool: 'leash.hold' });
    expect(requests.length).toBeGreaterThan(1);
    expect(limitOf(requests.at(-1) as WireRequest)).toBeLessThan(700);
    expect(spent()).toBeLessThanOrEqual(10_000_000);
    expect(Number(await spentUsd()) * 1e9).toBeCloseTo(spent(), 3);
    expect(await held()).toBe('0');
    expect(await verified()).toBe('closed');
  });

  it('spends no more when somebody reads its stream', async () => {
    const { agent, requests, spent, leash, held } = setUp(provider, searching);
    for await (const _ of await agent.stream(go, { streamMode: 'messages' }));
    expect(leash.breach).toMatchObject({ code: 'BUDGET_EXCEEDED' });
    expect(requests.map(({ body }) => body['stream'])).toEqual(Array(requests.length).fill(true));
    expect(requests.length).toBeGreaterThan(1);
    expect(spent()).toBeLessThanOrEqual(10_000_000);
    expect(await held()).toBe('0');
  });

  it.each(['throw', 'continue'] as const)(
    "ends with the refusal as its error where that is asked: '%s'",
    async (onBreach) => {
      const { agent, requests, leash } = setUp(provider, searching, { onBreach });
      const error = await caught(agent.invoke(go));
      expect(findLeashError(error)).toBe(leash.breach);
      expect(requests.length).toBeGreaterThan(1);
    },
  );
});

describe.each(providers)('a request of $name', (provider) => {
  it('is not sent where its model has no price', async () => {
    const { agent, requests, kinds, events, chat } = setUp(provider, saying('x'), { price: () => undefined });
    const error = (await caught(agent.invoke(go))) as Error;
    expect(error.cause).toBeInstanceOf(TypeError);
    const ofProvider = provider.name === 'ChatOpenAI' ? 'openai' : 'anthropic';
    expect(error.message).toContain(`model "${chat.model}" of provider "${ofProvider}" has no price`);
    expect(requests).toEqual([]);
    expect(kinds()).toEqual(['session_open', 'tool_denied']);
    expect(events('tool_denied')).toMatchObject([{ tool: 'leash.hold', code: 'CALL_INVALID' }]);
  });

  it('is priced by what was sent and booked as reported', async () => {
    const told: unknown[] = [];
    const { agent, spentUsd, held, events, chat } = setUp(provider, saying('x'), {
      price: (usage, model) => {
        told.push([model, usage]);
        return price(usage, model);
      },
    });
    await agent.invoke(go);
    expect(told.at(-1)).toMatchObject([{ modelId: chat.model }, { inputTokens: 100, outputTokens: 10 }]);
    expect([await spentUsd(), await held()]).toEqual(['0.000225', '0']);
    expect(events('charge')).toMatchObject([{ note: expect.stringContaining(chat.model) }]);
  });

  it.each([
    { asked: 100, usd: '1', sent: 100 },
    { asked: 100, usd: '0.004', sent: 100 },
    { asked: 600, usd: '0.004', sent: expect.toSatisfy((n: number) => n > 16 && n < 400) },
  ])('for $asked tokens under a budget of $usd', async ({ asked, usd, sent }) => {
    const { agent, requests } = setUp(provider, saying('x'), { usd, modelOptions: { maxTokens: asked } });
    await agent.invoke(go);
    expect(requests.map(limitOf)).toEqual([sent]);
  });

  it.each([
    { onError: undefined, spends: true },
    { onError: 'forfeit', spends: true },
    { onError: 'refund', spends: false },
  ] as const)('that fails keeps its estimate: $spends, with onError $onError', async ({ onError, spends }) => {
    const failing = (): never => {
      throw Object.assign(new Error('the provider is down'), { status: 500 });
    };
    const { agent, spentUsd, held, leash } = setUp(provider, failing, { onError, modelOptions: { maxTokens: 100 } });
    expect(findLeashError(await caught(agent.invoke(go)))).toBeUndefined();
    expect([Number(await spentUsd()) > 0.001, await held(), leash.breach]).toEqual([spends, '0', undefined]);
  });

  it('that is answered without usage keeps its estimate', async () => {
    const { agent, spentUsd, held } = setUp(provider, () => ({ text: 'x', usage: null }), {
      modelOptions: { maxTokens: 100 },
    });
    await caught(agent.invoke(go));
    expect([Number(await spentUsd()) > 0.001, await held()]).toEqual([true, '0']);
  });

  it('with an image is not sent, unless somebody says how many tokens it is', async () => {
    const picture = [{ type: 'image_url', image_url: { url: 'data:image/png;base64,aGk=' } }];
    const look = { messages: [new HumanMessage({ content: picture })] };
    const one = setUp(provider, saying('x'));
    const error = (await caught(one.agent.invoke(look))) as Error;
    expect(error.message).toContain('say so with the option `inputTokens` of leashMiddleware');
    expect(one.requests).toEqual([]);
    const seen: unknown[] = [];
    const other = setUp(provider, saying('x'), {
      inputTokens: (messages, { model }) => {
        seen.push([messages.length, model]);
        return 1000;
      },
    });
    await other.agent.invoke(look);
    expect(seen).toEqual([[1, other.chat.model]]);
    expect([other.requests.length, await other.spentUsd()]).toEqual([1, '0.000225']);
  });

  it('keeps what the agent makes of its answer: structured output', async () => {
    const { leash, chat, spentUsd } = setUp(provider, ({ body }) => {
      const tools = body['tools'] as { name?: string; function?: { name: string } }[];
      return {
        calls: [{ name: tools[0]?.name ?? tools[0]?.function?.name ?? '', input: { query: 'q' } }],
        usage: { input: 100, output: 10 },
      };
    });
    const agent = createAgent({
      model: chat,
      tools: [],
      responseFormat: toolStrategy(schema),
      middleware: [leashMiddleware(leash, { price })],
    });
    const { structuredResponse } = await agent.invoke(go);
    expect(structuredResponse).toEqual({ query: 'q' });
    expect(await spentUsd()).toBe('0.000225');
  });

  it('of a model that was configured further is the same', async () => {
    const { leash, chat, requests, spentUsd } = setUp(provider, saying('x'));
    const agent = createAgent({
      model: chat.withConfig({ tags: ['mine'] }) as typeof chat,
      tools: [],
      middleware: [leashMiddleware(leash, { price })],
    });
    await agent.invoke(go);
    expect([requests.length, await spentUsd()]).toEqual([1, '0.000225']);
    expect(limitOf(requests[0] as WireRequest)).toBeLessThan(1000);
  });
});

describe('what a model says to its provider alone', () => {
  const openai = (wire: Wire, modelKwargs: Record<string, unknown>) =>
    new ChatOpenAI({
      model: 'gpt-5',
      apiKey: 'key',
      maxRetries: 0,
      configuration: { fetch: wire.fetch },
      modelKwargs,
    });
  const anthropic = (wire: Wire, fields: ConstructorParameters<typeof ChatAnthropic>[0] & object) =>
    new ChatAnthropic({
      model: 'claude-sonnet-4-5',
      apiKey: 'key',
      maxRetries: 0,
      clientOptions: { fetch: wire.fetch, maxRetries: 0 },
      ...fields,
    });

  it.each([
    {
      name: 'ChatOpenAI',
      wireOf: completionsWire,
      model: (wire: Wire) => openai(wire, { model: 'dearer' }),
    },
    {
      name: 'ChatAnthropic',
      wireOf: anthropicWire,
      model: (wire: Wire) => anthropic(wire, { invocationKwargs: { model: 'dearer' } }),
    },
  ])('another model of $name: its price is the one', async ({ wireOf, model }) => {
    const { leash, events } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const wire = wireOf(saying('x'));
    const asked = new Set<string>();
    const own: Price = (usage, priced) => {
      asked.add(priced.modelId);
      return price(usage, priced);
    };
    const agent = createAgent({
      model: model(wire),
      tools: [],
      middleware: [leashMiddleware(leash, { price: own })],
    });
    await agent.invoke(go);
    expect(wire.requests).toMatchObject([{ body: { model: 'dearer' } }]);
    expect([...asked]).toEqual(['dearer']);
    expect(events('charge')).toMatchObject([{ note: expect.stringContaining('/dearer') }]);
  });

  it.each([
    { name: 'a search', wireOf: completionsWire, model: (wire: Wire) => openai(wire, { web_search_options: {} }) },
    {
      name: 'a summary of the prompt',
      wireOf: anthropicWire,
      model: (wire: Wire) => anthropic(wire, { contextManagement: { edits: [{ type: 'compact_20260112' }] } }),
    },
  ])('$name: nothing is sent, unless somebody says how many tokens it is', async ({ wireOf, model }) => {
    const wire = wireOf(saying('x'));
    const asking = (options: Partial<LeashMiddlewareOptions>) => {
      const { leash } = recordedLeash({ guards: [budget({ usd: 1 })] });
      const middleware = [leashMiddleware(leash, { price, ...options })];
      return createAgent({ model: model(wire), tools: [], middleware }).invoke(go);
    };
    expect(String(await caught(asking({})))).toContain('say so with the option `inputTokens` of leashMiddleware');
    expect(wire.requests).toEqual([]);
    await asking({ inputTokens: () => 1000 });
    expect(wire.requests).toHaveLength(1);
  });

  it('is limited where it limits its reasoning alone', async () => {
    const { leash } = recordedLeash({ guards: [budget({ usd: '0.02' })] });
    const wire = completionsWire(saying('x'));
    const agent = createAgent({
      model: openai(wire, { reasoning: { max_tokens: 100 } }),
      tools: [],
      middleware: [leashMiddleware(leash, { price })],
    });
    await agent.invoke(go);
    expect(limitOf(wire.requests[0] as WireRequest)).toBeLessThan(2000);
  });

  it.each([
    { usd: '0.02', sent: [expect.toSatisfy((limit: number) => limit > 1024 && limit < 2000)] },
    { usd: '0.01', sent: [] },
  ])('is never cut down to its thinking, under a budget of $usd', async ({ usd, sent }) => {
    const { leash } = recordedLeash({ guards: [budget({ usd })] });
    const wire = anthropicWire(saying('x'));
    const agent = createAgent({
      model: anthropic(wire, { maxTokens: 8000, thinking: { type: 'enabled', budget_tokens: 1024 } }),
      tools: [],
      middleware: [leashMiddleware(leash, { price })],
    });
    await agent.invoke(go);
    expect(wire.requests.map(limitOf)).toEqual(sent);
  });
});

describe.each(providers)('a streamed answer of $name', (provider) => {
  const text = 'word '.repeat(20_000);

  type Streaming = ReturnType<typeof streaming>;

  function streaming() {
    const caller = new AbortController();
    const all = setUp(provider, saying(text), { usd: '1', modelOptions: { maxTokens: 100 } });
    const stream = all.agent.stream(go, { streamMode: 'messages', signal: caller.signal });
    return { ...all, caller, stream };
  }

  it('is booked as reported when it was read to its end', async () => {
    const { stream, held, spentUsd } = streaming();
    let read = '';
    for await (const [message] of await stream) read += message.text;
    expect(read).toBe(text);
    expect([await held(), await spentUsd()]).toEqual(['0', '0.000225']);
  });

  it.each([
    { how: 'aborted by its caller', end: ({ caller }: Streaming) => caller.abort(), aborts: true },
    { how: 'stopped by the kill switch', end: ({ leash }: Streaming) => leash.stop('enough'), aborts: true },
    { how: 'left by its reader', end: (_: Streaming) => {}, aborts: false },
  ])('holds nothing once it was $how midway', async ({ end, aborts }) => {
    const all = streaming();
    let words = 0;
    await caught(
      (async () => {
        for await (const _ of await all.stream) {
          if (++words !== 3) continue;
          end(all);
          if (!aborts) break;
        }
      })(),
    );
    expect(words).toBeLessThan(20_000);
    // A reader who leaves ends no run of a graph: it goes on to its end, unseen.
    await expect.poll(() => all.held(), { timeout: 10_000 }).toBe('0');
    expect([all.requests[0]?.signal?.aborted, await all.spentUsd()]).toEqual([
      aborts,
      aborts ? expect.stringMatching(/^0\.0027/) : '0.000225',
    ]);
  });
});

describe('the session of a model ends', () => {
  const [openai] = providers as [ChatProvider];

  it.each(['end', 'throw'] as const)(
    "while it is asked: the request is aborted, and the run ends at once ('%s')",
    async (onBreach) => {
      const never = (): Promise<never> => new Promise(() => {});
      const { agent, leash, requests, held, spentUsd, verified } = setUp(openai, never, {
        onBreach,
        modelOptions: { maxTokens: 100 },
      });
      const run = caught(agent.invoke(go).then(({ messages }) => messages.at(-1)?.content));
      const ended = agent.invoke(go).then(
        ({ messages }) => messages.at(-1)?.content,
        (error: unknown) => findLeashError(error)?.message,
      );
      await expect.poll(() => requests.length).toBe(2);
      leash.stop('enough');
      expect(await ended).toBe('The session was stopped. Do not retry.');
      await run;
      expect(requests.map(({ signal }) => signal?.aborted)).toEqual([true, true]);
      expect([await held(), Number(await spentUsd()) > 0.002]).toEqual(['0', true]);
      expect(await verified()).toBe('closed');
    },
  );

  it.each([
    { how: 'stopped', end: (leash: ReturnType<typeof setUp>['leash']) => leash.stop('enough') },
    { how: 'closed', end: (leash: ReturnType<typeof setUp>['leash']) => leash.close() },
  ])('before it is asked: $how, and nothing is sent', async ({ how, end }) => {
    const { agent, leash, requests } = setUp(openai, saying('x'));
    await end(leash);
    const { messages } = await agent.invoke(go);
    expect(messages.map(({ type }) => type)).toEqual(['human', 'ai']);
    expect(messages.at(-1)?.content).toContain(how);
    expect(requests).toEqual([]);
    const thrown = createAgent({
      model: openai.model(completionsWire(saying('x'))),
      middleware: [leashMiddleware(leash, { price, onBreach: 'throw' })],
    });
    expect(findLeashError(await caught(thrown.invoke(go)))?.code).toBe(`SESSION_${how.toUpperCase()}`);
  });
});

describe('beside other middlewares', () => {
  const [openai] = providers as [ChatProvider];
  const failsOnce = (_: unknown, index: number): WireAnswer => {
    if (index === 0) throw new Error('the provider is down');
    return { text: 'x', usage: { input: 100, output: 10 } };
  };

  it('counts every try of those that stand before it', async () => {
    const { chat, middleware, requests, events, held } = setUp(openai, failsOnce, { modelOptions: { maxTokens: 100 } });
    const retry = modelRetryMiddleware({ maxRetries: 2, initialDelayMs: 1 }) as AgentMiddleware;
    await createAgent({ model: chat, middleware: [retry, middleware] }).invoke(go);
    expect(requests).toHaveLength(2);
    expect(events('charge').map(({ usd }) => Number(usd) > 0.001)).toEqual([true, false]);
    expect(await held()).toBe('0');
  });

  it('counts every try of a retry that stands behind it, too', async () => {
    const { chat, middleware, requests, events } = setUp(openai, failsOnce, { modelOptions: { maxTokens: 100 } });
    const retry = modelRetryMiddleware({ maxRetries: 2, initialDelayMs: 1 }) as AgentMiddleware;
    await createAgent({ model: chat, middleware: [middleware, retry] }).invoke(go);
    expect(requests).toHaveLength(2);
    expect(events('charge').map(({ usd }) => Number(usd) > 0.001)).toEqual([true, false]);
  });

  it('holds the model to which another falls back', async () => {
    const { chat, middleware, requests, events } = setUp(openai, () => Promise.reject(new Error('down')), {
      modelOptions: { maxTokens: 100 },
    });
    const other = completionsWire(saying('y'));
    const fallback = modelFallbackMiddleware(openai.model(other));
    const { messages } = await createAgent({ model: chat, middleware: [fallback, middleware] }).invoke(go);
    expect([messages.at(-1)?.content, requests.length, other.requests.length]).toEqual(['y', 1, 1]);
    expect(events('charge').map(({ usd }) => usd)).toEqual([expect.stringMatching(/^0\.00[12]/), '0.000225']);
  });
});

describe('a model that', () => {
  const [openai] = providers as [ChatProvider];

  it('was named is held once it is made', async () => {
    const { fetch, requests } = completionsWire(saying('x'));
    const { leash, spentUsd } = recordedLeash({ guards: [budget({ usd: '0.004' })] });
    const model = await initChatModel('openai:gpt-5', { apiKey: 'key', configuration: { fetch } });
    const agent = createAgent({ model, tools: [], middleware: [leashMiddleware(leash, { price })] });
    await agent.invoke(go);
    expect([requests.length, await spentUsd()]).toEqual([1, '0.000225']);
    expect(limitOf(requests[0] as WireRequest)).toBeLessThan(400);
  });

  it('has tools of its provider is refused, unless they are let pass and somebody counts their tokens', async () => {
    const { leash, chat, requests } = setUp(openai, saying('x'));
    const tools = [{ type: 'web_search' }];
    const ask = (options: Partial<LeashMiddlewareOptions>): Promise<unknown> =>
      caught(
        createAgent({ model: chat, tools, middleware: [leashMiddleware(leash, { price, ...options })] }).invoke(go),
      );
    expect(String(await ask({}))).toContain('tool "web_search" has no `_call` that the leash could hold');
    expect(String(await ask({ unguarded: 'all' }))).toContain('what the tools of a provider read');
    expect(requests).toEqual([]);
    await ask({ unguarded: ['web_search'], inputTokens: () => 100 });
    expect(requests.length).toBeGreaterThan(0);
  });

  it('thinks where nobody sees it is held for what it thought', async () => {
    const during: number[] = [];
    const { leash, held } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const { fetch } = responsesWire(async (_, index) => {
      during.push(Number(await held()));
      if (index > 0) return saying('x')();
      const calls = [{ name: 'search', input: { query: 'a' } }];
      return { calls, reasoning: 'rs_1', usage: { input: 100, output: 5010, reasoning: 5000 } };
    });
    const options = { model: 'gpt-5', apiKey: 'key', useResponsesApi: true, maxTokens: 10, configuration: { fetch } };
    const search = tool(new SearchBody().run, { name: 'search', description: 'searches', schema });
    const agent = createAgent({
      model: new ChatOpenAI(options),
      tools: leashTools(leash, [search], { costs: { search: 'free' } }),
      middleware: [leashMiddleware(leash, { price })],
    });
    await agent.invoke(go);
    expect((during[1] ?? 0) - (during[0] ?? 0)).toBeGreaterThan(0.00625);
    expect((during[1] ?? 0) - (during[0] ?? 0)).toBeLessThan(0.01);
  });

  it('is to answer more than once is refused', async () => {
    const { leash, requests, fetch } = setUp(openai, saying('x'));
    const model = new ChatOpenAI({ model: 'gpt-5', apiKey: 'key', n: 2, configuration: { fetch } });
    const agent = createAgent({ model, middleware: [leashMiddleware(leash, { price })] });
    expect(String(await caught(agent.invoke(go)))).toContain('leashMiddleware knows requests for one answer');
    expect(requests).toEqual([]);
  });

  it('does not let its output be limited is held for all that it may say', async () => {
    class Fixed extends FakeListChatModel {
      model = 'fixed';
      asked = 0;
      readonly most: number | undefined;
      constructor(most?: number) {
        super({ responses: ['x'] });
        this.most = most;
      }
      override bindTools(): this {
        return this;
      }
      override invocationParams(): object {
        return { max_tokens: this.most };
      }
      override async _generate(...params: Parameters<FakeListChatModel['_generate']>) {
        this.asked++;
        return super._generate(...params);
      }
    }
    const { leash, events } = recordedLeash({ guards: [budget({ usd: '0.01' })], stopOn: 'none' });
    const ask = (model: Fixed): Promise<unknown> =>
      caught(createAgent({ model, middleware: [leashMiddleware(leash, { price, onBreach: 'throw' })] }).invoke(go));
    const [small, large, unknown] = [new Fixed(100), new Fixed(5000), new Fixed()];
    expect(await ask(small)).toBeUndefined();
    expect(findLeashError(await ask(large))).toMatchObject({
      code: 'BUDGET_EXCEEDED',
      requested: expect.stringMatching(/^0\.050/),
    });
    expect(String(await ask(unknown))).toContain('nobody can tell how many tokens model "fixed" answers with at most');
    expect([small.asked, large.asked, unknown.asked]).toEqual([1, 0, 0]);
    expect(events('charge')).toMatchObject([{ usd: expect.stringMatching(/^0\.001/) }]);
  });

  it('answers with less than was held under a leash without budgets is sent as it is', async () => {
    const { leash, events } = recordedLeash({ guards: [callCap(5)] });
    const all = completionsWire(saying('x'));
    await createAgent({ model: openai.model(all), middleware: [leashMiddleware(leash, { price })] }).invoke(go);
    expect(all.requests.map(limitOf)).toEqual([undefined]);
    expect(events('charge')).toMatchObject([{ usd: '0.000225' }]);
  });
});
