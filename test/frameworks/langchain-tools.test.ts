import { AIMessage, HumanMessage, type ToolMessage } from '@langchain/core/messages';
import { RunnableLambda } from '@langchain/core/runnables';
import { DynamicTool, StructuredTool } from '@langchain/core/tools';
import { MessagesAnnotation, StateGraph } from '@langchain/langgraph';
import { ToolNode, toolsCondition } from '@langchain/langgraph/prebuilt';
import { createAgent, tool } from 'langchain';
import { args, budget, callCap, currentCall, findLeashError, type Guard } from 'leashkit';
import { jsonSchemaArgs } from 'leashkit/ajv';
import { leashMiddleware, leashTool, leashTools } from 'leashkit/langchain';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { caught } from './helpers/caught.ts';
import { searchingModel } from './helpers/langchain.ts';
import { recordedLeash } from './helpers/leash.ts';
import { SearchBody } from './helpers/search-body.ts';

const schema = z.object({ query: z.string() });
const call = { name: 'search', args: { query: 'a' }, id: 'c', type: 'tool_call' } as const;

class PageTool extends StructuredTool {
  readonly #pages = ['one', 'two'];
  readonly name = 'page';
  readonly description = 'reads a page';
  readonly schema = z.object({ at: z.coerce.number().default(0) });
  seen: unknown;

  protected async _call({ at }: { readonly at: number }): Promise<string> {
    this.seen = [at, currentCall()?.tool];
    return this.#pages[at] ?? 'none';
  }
}

describe('a tool under the leash', () => {
  it('stays what it was but for its body, which runs inside the call', async () => {
    const { leash, events } = recordedLeash({ guards: [callCap(2)] });
    const own = new PageTool();
    const page = leashTool(leash, own);
    expect(page).toBeInstanceOf(PageTool);
    expect([page.name, page.description, page.schema]).toEqual([own.name, own.description, own.schema]);
    expect(await page.invoke({ at: '1' } as never)).toBe('two');
    expect(own.seen).toEqual([1, 'page']);
    expect(await page.invoke({ ...call, name: 'page', args: {} })).toMatchObject({ content: 'one', tool_call_id: 'c' });
    expect(findLeashError(await caught(page.invoke({})))?.code).toBe('CALL_CAP_REACHED');
    expect(events('tool_start')).toHaveLength(2);
  });

  it.each([
    { how: 'invoke', use: (page: PageTool) => page.invoke({}) },
    { how: 'call', use: (page: PageTool) => page.call({}) },
    { how: 'batch', use: (page: PageTool) => page.batch([{}]) },
    {
      how: 'stream',
      use: async (page: PageTool) => {
        for await (const _ of await page.stream({}));
      },
    },
    { how: 'withConfig', use: (page: PageTool) => page.withConfig({ tags: ['x'] }).invoke({}) },
    { how: 'withRetry', use: (page: PageTool) => page.withRetry({ stopAfterAttempt: 1 }).invoke({}) },
    { how: 'pipe', use: (page: PageTool) => page.pipe(RunnableLambda.from((text) => text)).invoke({}) },
    { how: '_call', use: (page: PageTool) => (page as unknown as { _call(input: object): unknown })._call({ at: 0 }) },
  ])('is held whichever way it is run: $how', async ({ use }) => {
    const { leash, kinds } = recordedLeash({ guards: [callCap(1)] });
    const page = leashTool(leash, new PageTool());
    await use(page);
    expect(kinds()).toEqual(['session_open', 'tool_start', 'tool_ok']);
    expect(findLeashError(await caught(Promise.resolve().then(() => use(page))))?.code).toBe('CALL_CAP_REACHED');
  });

  it('of a function is held whichever way it is run', async () => {
    const { leash, events } = recordedLeash({ guards: [callCap(9)] });
    const search = leashTool(leash, tool(new SearchBody().run, { name: 'search', description: 's', schema }));
    await search.invoke(call);
    await search.func({ query: 'a' });
    expect(events('tool_start')).toHaveLength(2);
  });

  it('gets the text of a tool of text, and nothing where there is none', async () => {
    const { leash } = recordedLeash({ guards: [callCap(9)] });
    const seen: unknown[] = [];
    const say = new DynamicTool({ name: 'say', description: 's', func: async (text) => void seen.push(text) });
    const held = leashTool(leash, say, { cost: 'free' });
    await held.invoke('hello');
    await held.invoke({ input: 'there' });
    await held.invoke({});
    expect(seen).toEqual(['hello', 'there', undefined]);
  });

  it('tells of its progress as it did, and is settled with what it returns', async () => {
    const { leash, kinds, events } = recordedLeash({ guards: [callCap(9), budget({ usd: 1 })] });
    const count = tool(
      async function* ({ to }: { to: number }) {
        for (let i = 0; i < to; i++) yield { i, inside: currentCall()?.tool };
        return `counted to ${to}`;
      },
      { name: 'count', description: 'c', schema: z.object({ to: z.number() }) },
    );
    const held = leashTool(leash, count, { cost: '$0.5', actualCost: (said) => ({ usd: said.length / 100 }) });
    const steps: unknown[] = [];
    const callbacks = [{ handleToolEvent: (chunk: unknown) => void steps.push(chunk) }];
    expect(await held.invoke({ to: 2 }, { callbacks })).toBe('counted to 2');
    expect(steps).toEqual([
      { i: 0, inside: 'count' },
      { i: 1, inside: 'count' },
    ]);
    expect(kinds()).toEqual(['session_open', 'tool_start', 'tool_ok']);
    expect(events('tool_ok')).toMatchObject([{ usd: '0.12' }]);
  });

  it('that is stopped midway in its progress holds nothing', async () => {
    const { leash, held, kinds } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const endless = tool(
      async function* (_: object) {
        while (true) yield 'on and on';
      },
      { name: 'endless', description: 'e', schema: z.object({}) },
    );
    let steps = 0;
    const callbacks = [{ handleToolEvent: () => void (++steps === 3 && leash.stop('enough')) }];
    const error = await caught(leashTool(leash, endless, { cost: '$0.1' }).invoke({}, { callbacks }));
    expect(findLeashError(error)?.code).toBe('SESSION_STOPPED');
    expect([await held(), kinds().at(-1)]).toEqual(['0', 'tool_error']);
  });

  it('is not held twice by one leash', async () => {
    const { leash, events } = recordedLeash({ guards: [callCap(9)] });
    const search = leashTool(leash, tool(new SearchBody().run, { name: 'search', description: 's', schema }));
    expect(leashTool(leash, search)).toBe(search);
    expect(leashTools(leash, [search])[0]).toBe(search);
    await leashTool(leash, search).invoke(call);
    expect(events('tool_start')).toHaveLength(1);
  });
});

describe('leashTools', () => {
  it('refuses by schemas of its own what the framework lets through, before the body runs', async () => {
    const { leash } = recordedLeash({
      guards: [args(), jsonSchemaArgs()],
      stopOn: 'none',
    });
    const body = new SearchBody();
    const loose = { type: 'object', properties: {} } as const;
    const tools = leashTools(
      leash,
      [
        tool(body.run as (input: unknown) => unknown, { name: 'a', description: 'a', schema: loose }),
        tool(body.run as (input: unknown) => unknown, { name: 'b', description: 'b', schema: loose }),
      ],
      {
        schemas: {
          a: z.object({ query: z.string() }),
          b: { type: 'object', properties: { query: { type: 'string' } }, additionalProperties: false },
        },
      },
    );
    for (const held of tools) {
      expect(findLeashError(await caught(held.invoke({ query: 5 })))).toMatchObject({
        code: 'ARGS_INVALID',
        issues: [{ path: '/query' }],
      });
      await held.invoke({ query: 'fine' });
    }
    expect(body.queries).toEqual(['fine', 'fine']);
  });

  it('gives costs and addresses the parsed input', async () => {
    const { leash, events } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const [page] = leashTools(leash, [new PageTool()], {
      costs: { page: ({ at }: { at: number }) => ({ usd: (at + 1) / 10 }) },
    });
    await page.invoke({});
    expect(events('tool_start')).toMatchObject([{ usd: '0.1' }]);
  });

  it('holds the tools of a node of a graph: the model is told, and the signal ends the run', async () => {
    const { leash, held } = recordedLeash({ guards: [callCap(3)] });
    const body = new SearchBody();
    const model = searchingModel();
    const tools = leashTools(leash, [tool(body.run, { name: 'search', description: 's', schema })]);
    const graph = new StateGraph(MessagesAnnotation)
      .addNode('model', async ({ messages }) => ({ messages: [await model.bindTools(tools).invoke(messages)] }))
      .addNode('tools', new ToolNode(tools))
      .addEdge('__start__', 'model')
      .addConditionalEdges('model', toolsCondition)
      .addEdge('tools', 'model')
      .compile();
    const run = graph.invoke({ messages: [new HumanMessage('go')] }, { signal: leash.signal });
    expect(await caught(run)).toBe(leash.breach);
    expect([body.ran, model.callCount <= 4, await held()]).toEqual([3, true, '0']);
    const node = new ToolNode(tools);
    const [told] = await node.invoke([new AIMessage({ content: '', tool_calls: [call] })]);
    expect((told as ToolMessage).text).toContain('takes no more calls');
  });

  const { leash } = recordedLeash({ guards: [callCap(9)] });
  const search = tool(new SearchBody().run, { name: 'search', description: 's', schema });
  const web = { type: 'web_search_20250305', name: 'web_search' };
  const runnable = RunnableLambda.from((input: { query: string }) => input.query).asTool({ name: 'like', schema });

  it.each([
    { name: 'a tool of the provider', tools: [web], options: {}, message: 'tool "web_search" has no `_call`' },
    { name: 'a runnable', tools: [runnable], options: {}, message: 'tool "like" has no `_call`' },
    {
      name: 'a schema that nobody checks',
      tools: [search],
      options: { schemas: { search: schema } },
      message: 'add args()',
    },
  ])('refuses $name', ({ tools, options, message }) => {
    expect(() => leashTools(leash, tools as never, options as never)).toThrow(message);
    expect(() => leashTools(leash, tools as never, options as never)).toThrow(TypeError);
  });

  it('lets pass what was named, or all, and holds what it can', () => {
    expect(leashTools(leash, [web, search], { unguarded: ['web_search'] })[0]).toBe(web);
    const [passed, held] = leashTools(leash, [web, search], { unguarded: 'all' });
    expect([passed === web, held === search]).toEqual([true, false]);
  });
});

describe('leashMiddleware', () => {
  const { leash } = recordedLeash({ guards: [callCap(9)] });

  it('holds a tool once, however often it is asked for, and also where all may pass', async () => {
    let declared = 0;
    const counting: Guard = {
      name: 'counting',
      check: () => ({ allow: true }),
      prepare: () => {
        declared++;
        return undefined;
      },
    };
    const recorded = recordedLeash({ guards: [callCap(3), counting] });
    const body = new SearchBody();
    const agent = createAgent({
      model: searchingModel(),
      tools: [tool(body.run, { name: 'search', description: 's', schema })],
      middleware: [leashMiddleware(recorded.leash, { price: 'free', unguarded: 'all' })],
    });
    await agent.invoke({ messages: 'go' });
    // Its body, and the function that its body calls.
    expect([declared, body.ran]).toEqual([2, 3]);
  });

  it.each([
    { name: 'no options', options: undefined, message: 'expects an options object' },
    { name: 'no price', options: {}, message: '`leashMiddleware.price`' },
    { name: 'an unknown option', options: { price: 'free', costs: {} }, message: 'unknown option `costs`' },
    {
      name: 'an unknown word',
      options: { price: 'free', onBreach: 'stop' },
      message: "'end' or 'throw' or 'continue'",
    },
    { name: 'no function', options: { price: 'free', inputTokens: 5 }, message: '`leashMiddleware.inputTokens`' },
    { name: 'no count', options: { price: 'free', maxOutputTokens: 0 }, message: '`leashMiddleware.maxOutputTokens`' },
    { name: 'no ending', options: { price: 'free', onError: 'reported' }, message: '`leashMiddleware.onError`' },
    { name: 'no list', options: { price: 'free', unguarded: 5 }, message: '`leashMiddleware.unguarded`' },
  ])('refuses $name', ({ options, message }) => {
    expect(() => leashMiddleware(leash, options as never)).toThrow(message);
  });
});
