import { AIMessage, HumanMessage, type ToolMessage } from '@langchain/core/messages';
import { fakeModel } from '@langchain/core/testing';
import { Command, interrupt, MemorySaver } from '@langchain/langgraph';
import {
  type AgentMiddleware,
  createAgent,
  createMiddleware,
  humanInTheLoopMiddleware,
  tool,
  toolRetryMiddleware,
} from 'langchain';
import { budget, callCap, createLeash, findLeashError, type Leash, rateLimit } from 'leashkit';
import { type LeashMiddlewareOptions, leashMiddleware, leashTools } from 'leashkit/langchain';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { caught } from './helpers/caught.ts';
import { searchingModel } from './helpers/langchain.ts';
import { type RecordedLeash, recordedLeash } from './helpers/leash.ts';
import { SearchBody } from './helpers/search-body.ts';

const go = { messages: [new HumanMessage('go')] };
const schema = z.object({ query: z.string() });
const searchTool = (body: SearchBody) => tool(body.run, { name: 'search', description: 'searches', schema });

function looping(options: Partial<LeashMiddlewareOptions> & { parallel?: number; recorded?: RecordedLeash } = {}) {
  const { parallel, recorded = recordedLeash({ guards: [callCap(3)] }), ...rest } = options;
  const body = new SearchBody();
  const model = searchingModel(parallel);
  const middleware = leashMiddleware(recorded.leash, { price: 'free', ...rest });
  const agent = createAgent({ model, tools: [searchTool(body)], middleware: [middleware] });
  return { ...recorded, body, model, agent, middleware };
}

/** What happened to tools. */
const ofTools = ({ kinds }: RecordedLeash): string[] => kinds().filter((kind) => kind.startsWith('tool_'));

/** What the model was told instead of results. */
const told = (messages: readonly unknown[]): string[] =>
  messages.flatMap((message) => ((message as ToolMessage).status === 'error' ? [(message as ToolMessage).text] : []));

describe('an agent that never stops searching', () => {
  it('is ended by the middleware as if it had answered: three calls, one more request', async () => {
    const { agent, body, model, leash, held, verified, ...recorded } = looping();
    const { messages } = await agent.invoke(go);
    expect([body.queries, model.callCount]).toEqual([['q0', 'q1', 'q2'], 4]);
    expect(messages.map(({ type }) => type)).toEqual(['human', ...Array(4).fill(['ai', 'tool']).flat(), 'ai']);
    expect(told(messages)).toEqual([leash.breach?.message]);
    expect(messages.at(-1)).toBeInstanceOf(AIMessage);
    expect(messages.at(-1)?.content).toBe('Tool "search" was refused: the cap of 3 calls is reached. Do not retry.');
    expect(await held()).toBe('0');
    expect(ofTools({ leash, held, verified, ...recorded })).toEqual([
      ...Array(3).fill(['tool_start', 'tool_ok']).flat(),
      'tool_denied',
    ]);
    expect(await verified()).toBe('closed');
  });

  it("ends with the refusal as its error where that is asked: onBreach 'throw'", async () => {
    const { agent, body, model, leash, verified } = looping({ onBreach: 'throw' });
    const error = await caught(agent.invoke(go));
    expect(error).toBe(leash.breach);
    expect(error).toMatchObject({ code: 'CALL_CAP_REACHED', tool: 'search' });
    expect([body.ran, model.callCount]).toEqual([3, 4]);
    expect(await verified()).toBe('closed');
  });

  it("goes on to its next request with onBreach 'continue', which is refused", async () => {
    const { agent, body, model, leash } = looping({ onBreach: 'continue' });
    const error = await caught(agent.invoke(go));
    expect(findLeashError(error)).toBe(leash.breach);
    expect([body.ran, model.callCount]).toEqual([3, 4]);
  });

  it.each(['end', 'throw', 'continue'] as const)(
    "goes on to its answer where refusals end nothing: '%s'",
    async (onBreach) => {
      const { leash } = recordedLeash({ guards: [callCap(1)], stopOn: 'none' });
      const body = new SearchBody();
      const model = fakeModel()
        .respondWithTools([{ name: 'search', args: { query: 'a' } }])
        .respondWithTools([{ name: 'search', args: { query: 'b' } }])
        .respond(new AIMessage('this much I found'));
      const middleware = [leashMiddleware(leash, { price: 'free', onBreach })];
      const { messages } = await createAgent({ model, tools: [searchTool(body)], middleware }).invoke(go);
      expect(messages.at(-1)?.content).toBe('this much I found');
      expect([body.queries, told(messages).length]).toEqual([['a'], 1]);
    },
  );

  it('is ended by the signal of the leash, with the very error', async () => {
    const recorded = recordedLeash({ guards: [callCap(3)] });
    const body = new SearchBody();
    const model = searchingModel();
    const agent = createAgent({ model, tools: leashTools(recorded.leash, [searchTool(body)]) });
    const error = await caught(agent.invoke(go, { signal: recorded.leash.signal }));
    expect(error).toBe(recorded.leash.breach);
    expect([body.ran, model.callCount <= 4]).toEqual([3, true]);
  });

  it('is ended when it streams, in every mode', async () => {
    for (const streamMode of ['values', 'updates', 'messages'] as const) {
      const { agent, body, model, held } = looping();
      for await (const _ of await agent.stream(go, { streamMode }));
      expect([streamMode, body.ran, model.callCount, await held()]).toEqual([streamMode, 3, 4, '0']);
    }
  });

  it('runs exactly as many calls of one step as the cap allows, and all of them to their end', async () => {
    const recorded = recordedLeash({ guards: [callCap(3)] });
    const { agent, body, model, leash, events } = looping({ parallel: 5, recorded });
    const { messages } = await agent.invoke(go);
    expect([body.queries, model.callCount]).toEqual([['q0.0', 'q0.1', 'q0.2'], 1]);
    expect(messages.filter((message) => (message as ToolMessage).status === 'success')).toHaveLength(3);
    expect(told(messages)).toEqual([leash.breach?.message, expect.stringContaining('takes no more calls')]);
    expect(events('tool_ok')).toHaveLength(3);
  });

  it('runs slow calls of one step to their end, too', async () => {
    const { leash, events, held } = recordedLeash({ guards: [callCap(3)] });
    let release = (): void => {};
    const slow = new Promise<void>((resolve) => {
      release = resolve;
    });
    const search = tool(
      async ({ query }) => {
        await slow;
        return query;
      },
      { name: 'search', description: 's', schema },
    );
    const middleware = [leashMiddleware(leash, { price: 'free' })];
    const run = createAgent({ model: searchingModel(5), tools: [search], middleware }).invoke(go);
    await expect.poll(() => leash.breach).toBeDefined();
    release();
    const { messages } = await run;
    expect(messages.filter((message) => (message as ToolMessage).status === 'success')).toHaveLength(3);
    expect(events('tool_ok')).toHaveLength(3);
    expect(await held()).toBe('0');
  });

  it('is ended by a rate, a budget or a schema only where these end the session', async () => {
    const recorded = recordedLeash({ guards: [rateLimit({ max: 2, per: '1h' })], stopOn: 'any' });
    const { agent, body, leash } = looping({ recorded });
    const { messages } = await agent.invoke(go);
    expect([body.ran, leash.breach?.code]).toEqual([2, 'RATE_LIMITED']);
    expect(messages.at(-1)?.content).toBe(leash.breach?.message);
  });

  it('asks for nothing any more on a leash that has ended', async () => {
    const { agent, model, leash } = looping();
    await agent.invoke(go);
    const { messages } = await agent.invoke(go);
    expect(model.callCount).toBe(4);
    expect(messages.map(({ text }) => text)).toEqual(['go', leash.breach?.message]);
  });

  it('can go on with its thread under another leash', async () => {
    const recorded = recordedLeash({ guards: [callCap(1)] });
    const checkpointer = new MemorySaver();
    const thread = { configurable: { thread_id: 't' } };
    const body = new SearchBody();
    const first = createAgent({
      model: searchingModel(),
      tools: [searchTool(body)],
      middleware: [leashMiddleware(recorded.leash, { price: 'free' })],
      checkpointer,
    });
    await first.invoke(go, thread);
    const next = recordedLeash({ guards: [callCap(1)] });
    const second = createAgent({
      model: fakeModel().respond(new AIMessage('done')),
      tools: [searchTool(body)],
      middleware: [leashMiddleware(next.leash, { price: 'free' })],
      checkpointer,
    });
    const { messages } = await second.invoke({ messages: [new HumanMessage('and now?')] }, thread);
    expect(messages.map(({ type }) => type)).toEqual(['human', 'ai', 'tool', 'ai', 'tool', 'ai', 'human', 'ai']);
    expect(messages.every((message) => typeof message.getType === 'function')).toBe(true);
  });
});

describe('what is wrong with a leash', () => {
  it('is an error before the first request: a tool without a cost under a budget', async () => {
    const recorded = recordedLeash({ guards: [budget({ usd: 1 })] });
    const { agent, model } = looping({ recorded });
    const error = (await caught(agent.invoke(go))) as Error;
    expect(error.cause).toBeInstanceOf(TypeError);
    expect(error.message).toContain('tool "search" has no `cost`');
    expect(model.callCount).toBe(0);
  });

  it('is an error and no end: a log that cannot be written any more', async () => {
    let full = false;
    const sink = {
      name: 'disk',
      write: () => {
        if (full) throw new Error('disk full');
      },
    };
    const leash = createLeash({ guards: [callCap(9)], audit: { sink, sign: 'none' } });
    const search = tool(
      () => {
        full = true;
        return 'x';
      },
      { name: 'search', description: 's', schema },
    );
    const agent = createAgent({
      model: searchingModel(),
      tools: [search],
      middleware: [leashMiddleware(leash, { price: 'free' })],
    });
    expect(findLeashError(await caught(agent.invoke(go)))?.code).toBe('AUDIT_UNAVAILABLE');
  });
});

describe('the kill switch', () => {
  it('reaches the tool that runs, and ends the agent', async () => {
    const recorded = recordedLeash({ guards: [callCap(9)] });
    let seen: AbortSignal | undefined;
    const search = tool(
      (_, { signal }) => {
        seen = signal;
        return new Promise<string>(() => {});
      },
      { name: 'search', description: 's', schema },
    );
    const middleware = [leashMiddleware(recorded.leash, { price: 'free' })];
    const run = createAgent({ model: searchingModel(), tools: [search], middleware }).invoke(go);
    await expect.poll(() => seen).toBeDefined();
    recorded.leash.stop('enough');
    const { messages } = await run;
    expect(seen?.aborted).toBe(true);
    expect(told(messages)).toEqual(['The session was stopped. Do not retry.']);
    expect(messages.at(-1)).toMatchObject({ type: 'ai', content: 'The session was stopped. Do not retry.' });
    expect(await recorded.held()).toBe('0');
  });
});

describe('what a tool does wrong itself', () => {
  const failing = () =>
    tool(
      () => {
        throw new RangeError('no such page');
      },
      { name: 'search', description: 's', schema },
    );
  const twice = () =>
    fakeModel()
      .respondWithTools([{ name: 'search', args: { query: 'a' } }])
      .respond(new AIMessage('done'));
  const middlewareOf = (leash: Leash) => leashMiddleware(leash, { price: 'free' });

  it('does not end the agent: the model is told, as it would be without a leash', async () => {
    const { leash, events } = recordedLeash({ guards: [callCap(3)] });
    const plain = await createAgent({ model: twice(), tools: [failing()] }).invoke(go);
    const held = await createAgent({
      model: twice(),
      tools: [failing()],
      middleware: [middlewareOf(leash)],
    }).invoke(go);
    expect(told(plain.messages)).toEqual(['RangeError: no such page\n Please fix your mistakes.']);
    expect(told(held.messages)).toEqual(['no such page']);
    expect(held.messages.map(({ type }) => type)).toEqual(plain.messages.map(({ type }) => type));
    expect(events('tool_error')).toMatchObject([{ tool: 'search', error: 'RangeError' }]);
  });

  it('is retried by a middleware that does so, each try a call', async () => {
    const { leash, events } = recordedLeash({ guards: [callCap(9)] });
    const retry = toolRetryMiddleware({ maxRetries: 2, initialDelayMs: 1, retryOn: [RangeError] }) as AgentMiddleware;
    for (const middleware of [
      [retry, middlewareOf(leash)],
      [middlewareOf(leash), retry],
    ]) {
      const { messages } = await createAgent({ model: twice(), tools: [failing()], middleware }).invoke(go);
      expect(told(messages)).toEqual(["Tool 'search' failed after 3 attempts with RangeError"]);
    }
    expect(events('tool_error')).toHaveLength(6);
  });

  it('ends the agent where it is a middleware that does it, behind the leash too', async () => {
    const { leash } = recordedLeash({ guards: [callCap(3)] });
    const broken = createMiddleware({
      name: 'broken',
      wrapToolCall: () => {
        throw new RangeError('broken');
      },
    });
    const middleware = [middlewareOf(leash), broken];
    const error = await caught(createAgent({ model: twice(), tools: [failing()], middleware }).invoke(go));
    expect(error).toMatchObject({ message: 'broken', name: 'RangeError' });
  });

  it('is no call where the arguments do not fit the schema', async () => {
    const recorded = recordedLeash({ guards: [callCap(3)] });
    const body = new SearchBody();
    const model = fakeModel()
      .respondWithTools([{ name: 'search', args: { query: 5 } }])
      .respondWithTools([{ name: 'serch', args: { query: 'a' } }])
      .respond(new AIMessage('done'));
    const { messages } = await createAgent({
      model,
      tools: [searchTool(body)],
      middleware: [middlewareOf(recorded.leash)],
    }).invoke(go);
    expect(told(messages)).toEqual([
      expect.stringContaining('did not match expected schema'),
      'Error: serch is not a valid tool, try one of [search].',
    ]);
    expect(ofTools(recorded)).toEqual([]);
  });
});

describe('a call that a human has to approve', () => {
  it('is asked about twice and counted once', async () => {
    const recorded = recordedLeash({ guards: [callCap(1)] });
    const body = new SearchBody();
    const asked: unknown[] = [];
    const approval = createMiddleware({
      name: 'approval',
      wrapToolCall: async (request, handler) => {
        const { name, args } = request.toolCall;
        asked.push((await recorded.leash.peek({ tool: name, args })).allow);
        const yes = request.runtime.interrupt?.('may it?');
        if (yes !== true) throw new Error('denied');
        return handler(request);
      },
    });
    const agent = createAgent({
      model: fakeModel()
        .respondWithTools([{ name: 'search', args: { query: 'a' } }])
        .respond(new AIMessage('done')),
      tools: [searchTool(body)],
      middleware: [approval, leashMiddleware(recorded.leash, { price: 'free' })],
      checkpointer: new MemorySaver(),
    });
    const thread = { configurable: { thread_id: 't' } };
    await agent.invoke(go, thread);
    expect([asked, ofTools(recorded)]).toEqual([[true], []]);
    const { messages } = await agent.invoke(new Command({ resume: true }), thread);
    expect([asked, body.ran, messages.at(-1)?.content]).toEqual([[true, true], 1, 'done']);
    expect(ofTools(recorded)).toEqual(['tool_start', 'tool_ok']);
  });

  it('by the middleware of the framework', async () => {
    const recorded = recordedLeash({ guards: [callCap(1)] });
    const body = new SearchBody();
    const agent = createAgent({
      model: fakeModel()
        .respondWithTools([{ name: 'search', args: { query: 'a' } }])
        .respond(new AIMessage('done')),
      tools: [searchTool(body)],
      middleware: [
        humanInTheLoopMiddleware({ interruptOn: { search: true } } as never) as AgentMiddleware,
        leashMiddleware(recorded.leash, { price: 'free' }),
      ],
      checkpointer: new MemorySaver(),
    });
    const thread = { configurable: { thread_id: 't' } };
    await agent.invoke(go, thread);
    expect(ofTools(recorded)).toEqual([]);
    await agent.invoke(new Command({ resume: { decisions: [{ type: 'approve' }] } }), thread);
    expect([body.ran, ofTools(recorded)]).toEqual([1, ['tool_start', 'tool_ok']]);
  });

  it('asked for inside the tool is a call each time that the tool begins', async () => {
    const recorded = recordedLeash({ guards: [callCap(5)] });
    const search = tool(async () => `it said ${interrupt('may I?')}`, { name: 'search', description: 's', schema });
    const agent = createAgent({
      model: fakeModel()
        .respondWithTools([{ name: 'search', args: { query: 'a' } }])
        .respond(new AIMessage('done')),
      tools: [search],
      middleware: [leashMiddleware(recorded.leash, { price: 'free' })],
      checkpointer: new MemorySaver(),
    });
    const thread = { configurable: { thread_id: 't' } };
    await agent.invoke(go, thread);
    const { messages } = await agent.invoke(new Command({ resume: 'yes' }), thread);
    expect(messages.map(({ text }) => text)).toContain('it said yes');
    expect(ofTools(recorded)).toEqual(['tool_start', 'tool_error', 'tool_start', 'tool_ok']);
  });
});
