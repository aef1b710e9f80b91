import {
  Agent,
  getAllMcpTools,
  MaxTurnsExceededError,
  type MCPServer,
  RunState,
  run,
  setTracingDisabled,
  ToolCallError,
  tool,
  webSearchTool,
} from '@openai/agents';
import { assistantMessage, functionCall, ScriptedModel } from '@openai/agents/testing';
import { args, budget, callCap, currentCall, findLeashError, rateLimit } from 'leashkit';
import { jsonSchemaArgs } from 'leashkit/ajv';
import { leashModel, leashTools } from 'leashkit/openai-agents';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { caught } from './helpers/caught.ts';
import { type RecordedLeash, recordedLeash } from './helpers/leash.ts';
import { SearchBody } from './helpers/search-body.ts';

setTracingDisabled(true);

const parameters = z.object({ query: z.string() });
const searchTool = (body: SearchBody) =>
  tool({ name: 'search', description: 'searches', parameters, execute: (input) => body.run(input) });

/** A model that calls `search` in every answer, `parallel` times at once. */
function searchingModel(parallel = 1): ScriptedModel {
  const steps = Array.from({ length: 30 }, (_, i) =>
    Array.from({ length: parallel }, (_, j) => {
      const query = parallel === 1 ? `q${i}` : `q${i}.${j}`;
      return functionCall('search', { query }, { callId: `call-${i}-${j}` });
    }),
  );
  return new ScriptedModel(steps);
}

/** A model that calls once, and then says what it was told. */
const callsOnce = (name: string, input: string | Record<string, unknown>): ScriptedModel =>
  new ScriptedModel([[functionCall(name, input, { callId: 'c' })], [assistantMessage('done')]]);

/** The results that the last request told the model. */
const toldBy = (model: ScriptedModel): unknown[] =>
  ((model.lastCall?.request.input ?? []) as { type: string; output: { text: string } }[])
    .filter(({ type }) => type === 'function_call_result')
    .map(({ output }) => output.text);

const ofTools = ({ kinds }: RecordedLeash): string[] => kinds().filter((kind) => kind.startsWith('tool_'));

function looping(parallel = 1) {
  const recorded = recordedLeash({ guards: [callCap(3)] });
  const body = new SearchBody();
  const model = searchingModel(parallel);
  const tools = leashTools(recorded.leash, [searchTool(body)]);
  const agent = new Agent({ name: 'searcher', model, tools });
  return { recorded, ...recorded, body, model, tools, agent };
}

describe('tools of an MCP server', () => {
  it('are held as `getAllMcpTools` gives them', async () => {
    const { leash, kinds } = recordedLeash({ guards: [callCap(1)], stopOn: 'none' });
    const called: string[] = [];
    const inputSchema = { type: 'object' as const, properties: {}, required: [], additionalProperties: false };
    const server: MCPServer = {
      name: 'local',
      cacheToolsList: false,
      connect: async () => {},
      close: async () => {},
      invalidateToolsCache: async () => {},
      listTools: async () => [{ name: 'search', inputSchema }],
      async callTool(name) {
        called.push(name);
        return [{ type: 'text', text: 'found' }];
      },
    };
    const calls = [0, 1, 2].map((i) => [functionCall('search', {}, { callId: `c${i}` })]);
    const model = new ScriptedModel([...calls, [assistantMessage('done')]]);
    const tools = leashTools(leash, await getAllMcpTools([server]));
    await run(new Agent({ name: 'a', model, tools }), 'go');
    expect(called).toEqual(['search']);
    expect(kinds().filter((kind) => kind === 'tool_denied')).toHaveLength(2);
  });
});

describe('an agent that never stops searching', () => {
  it('is ended by its tools: three calls, and an error in which ours is', async () => {
    const { agent, body, model, leash, recorded, held, verified } = looping();
    const error = await caught(run(agent, 'go', { maxTurns: 20 }));
    expect(error).toBeInstanceOf(ToolCallError);
    expect((error as ToolCallError).error).toBe(leash.breach);
    expect(findLeashError(error)).toBe(leash.breach);
    expect(leash.breach).toMatchObject({ code: 'CALL_CAP_REACHED', tool: 'search' });
    expect([body.queries, model.calls.length]).toEqual([['q0', 'q1', 'q2'], 4]);
    expect(await held()).toBe('0');
    expect(ofTools(recorded)).toEqual([...Array(3).fill(['tool_start', 'tool_ok']).flat(), 'tool_denied']);
    expect(await verified()).toBe('closed');
  });

  it('is ended by the held model where its tools are not to end it: with the very error', async () => {
    const { leash, body, model } = looping();
    const search = leashTools(leash, [searchTool(body)])[0];
    const told = {
      ...search,
      invoke: (...given: Parameters<typeof search.invoke>) => search.invoke(...given).catch(String),
    };
    const agent = new Agent({ name: 'searcher', model: leashModel(leash, model, 'free'), tools: [told] });
    expect(await caught(run(agent, 'go', { maxTurns: 20 }))).toBe(leash.breach);
    expect([body.ran, model.calls.length]).toEqual([3, 4]);
  });

  it('is ended by the signal of the leash, with the very error', async () => {
    const { agent, body, model, leash } = looping();
    expect(await caught(run(agent, 'go', { maxTurns: 20, signal: leash.signal }))).toBe(leash.breach);
    expect([body.ran, model.calls.length]).toEqual([3, 4]);
  });

  it('is ended when it streams', async () => {
    const { agent, body, model, leash, held } = looping();
    const streamed = await run(agent, 'go', { maxTurns: 20, stream: true });
    const error = await caught(
      (async () => {
        for await (const _ of streamed);
      })(),
    );
    expect(findLeashError(error)).toBe(leash.breach);
    expect(findLeashError(streamed.error)).toBe(leash.breach);
    expect([body.ran, model.calls.length, await held()]).toEqual([3, 4, '0']);
  });

  it('is cancelled, without an error, when it streams under the signal of the leash', async () => {
    const { agent, body, model, leash } = looping();
    const streamed = await run(agent, 'go', { maxTurns: 20, stream: true, signal: leash.signal });
    for await (const _ of streamed);
    expect([streamed.cancelled, body.ran, model.calls.length]).toEqual([true, 3, 4]);
  });

  it.each([{ at: 1 }, { at: undefined }])(
    'runs exactly as many calls of one step as the cap allows, $at at once',
    async ({ at }) => {
      const { agent, body, model, leash, events, held } = looping(5);
      const error = await caught(
        run(agent, 'go', {
          maxTurns: 20,
          ...(at === undefined ? {} : { toolExecution: { maxFunctionToolConcurrency: at } }),
        }),
      );
      expect(findLeashError(error)).toBe(leash.breach);
      expect([body.queries, model.calls.length]).toEqual([['q0.0', 'q0.1', 'q0.2'], 1]);
      expect([events('tool_ok').length, await held()]).toEqual([3, '0']);
    },
  );

  it('goes on where refusals end nothing: the model is told why', async () => {
    const { leash } = recordedLeash({ guards: [rateLimit({ max: 1, per: '1h' })] });
    const body = new SearchBody();
    const model = searchingModel();
    const agent = new Agent({ name: 'searcher', model, tools: leashTools(leash, [searchTool(body)]) });
    expect(await caught(run(agent, 'go', { maxTurns: 3 }))).toBeInstanceOf(MaxTurnsExceededError);
    expect(body.ran).toBe(1);
    expect(toldBy(model)).toEqual(['{"hits":["about q0"]}', expect.stringContaining('Tool "search" was refused')]);
  });

  it('asks for nothing any more on a leash that has ended', async () => {
    const { leash, model, tools } = looping();
    leash.stop('enough');
    const held = new Agent({ name: 'a', model: leashModel(leash, model, 'free'), tools });
    expect(findLeashError(await caught(run(held, 'go')))).toMatchObject({ code: 'SESSION_STOPPED' });
    expect(model.calls).toHaveLength(0);
    const bare = new Agent({ name: 'a', model, tools });
    expect(findLeashError(await caught(run(bare, 'go')))).toMatchObject({ code: 'SESSION_STOPPED' });
    expect(model.calls).toHaveLength(1);
    const closed = recordedLeash({ guards: [] });
    await closed.leash.close();
    const late = new Agent({ name: 'a', model, tools: leashTools(closed.leash, [searchTool(new SearchBody())]) });
    expect(findLeashError(await caught(run(late, 'go')))).toMatchObject({ code: 'SESSION_CLOSED' });
  });
});

describe('a tool under the leash', () => {
  it('runs inside its call, and sees the end of the session', async () => {
    const { leash, held } = recordedLeash({ guards: [callCap(3)] });
    const seen: unknown[] = [];
    const wait = tool({
      name: 'wait',
      description: 'waits',
      parameters: z.object({}),
      execute: (_, __, details) =>
        new Promise((_, reject) => {
          seen.push(currentCall()?.tool);
          details?.signal?.addEventListener('abort', () => reject(details.signal?.reason));
        }),
    });
    const agent = new Agent({ name: 'a', model: callsOnce('wait', {}), tools: leashTools(leash, [wait]) });
    const ended = caught(run(agent, 'go'));
    await expect.poll(() => seen).toEqual(['wait']);
    leash.stop('enough');
    expect(findLeashError(await ended)).toMatchObject({ code: 'SESSION_STOPPED' });
    expect(await held()).toBe('0');
  });

  it('gives costs what JSON says, and the body what it parses of that', async () => {
    const { leash, events } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const seen: unknown[] = [];
    const page = tool({
      name: 'page',
      description: 'reads',
      parameters: z.object({ at: z.coerce.number(), size: z.number().default(10) }),
      execute: (input) => void seen.push(input),
    });
    const costed: unknown[] = [];
    const tools = leashTools(leash, [page], {
      costs: {
        page: (input: { at: string }) => {
          costed.push(input);
          return '$0.25';
        },
      },
    });
    await run(new Agent({ name: 'a', model: callsOnce('page', { at: '7' }), tools }), 'go');
    expect([costed, seen]).toEqual([[{ at: '7' }], [{ at: 7, size: 10 }]]);
    expect(events('tool_ok')).toMatchObject([{ usd: '0.25' }]);
  });

  it('is told to the model where its own body throws, as without a leash', async () => {
    const { leash, events } = recordedLeash({ guards: [callCap(3)] });
    const fail = (errorFunction?: () => string) =>
      tool({
        name: 'fail',
        description: 'fails',
        parameters: z.object({}),
        execute: () => {
          throw new RangeError('inside');
        },
        ...(errorFunction === undefined ? {} : { errorFunction }),
      });
    for (const own of [fail(), fail(() => 'it failed')]) {
      const told: unknown[] = [];
      for (const tools of [[own], leashTools(leash, [own])]) {
        const model = callsOnce('fail', {});
        await run(new Agent({ name: 'a', model, tools }), 'go');
        told.push(toldBy(model));
      }
      expect(told[0]).toEqual(told[1]);
    }
    // The framework has made a result of the error before the leash could see one.
    expect(events('tool_ok')).toHaveLength(2);
  });

  it('refuses by schemas of its own what the framework lets through, before the body runs', async () => {
    const { leash } = recordedLeash({ guards: [args(), jsonSchemaArgs()], stopOn: 'none' });
    const body = new SearchBody();
    const loose = { type: 'object' as const, properties: {}, required: [], additionalProperties: true as const };
    const find = (name: string) =>
      tool({ name, description: name, parameters: loose, strict: false, execute: (input) => body.run(input as never) });
    const tools = leashTools(leash, [find('a'), find('b')], {
      schemas: { a: parameters, b: { type: 'object', properties: { query: { type: 'string' } }, required: ['query'] } },
    });
    for (const name of ['a', 'b']) {
      for (const input of [{ query: 5 }, 'no JSON', '']) {
        const model = callsOnce(name, input);
        await run(new Agent({ name: 'a', model, tools }), 'go');
        expect(toldBy(model), `${name} ${JSON.stringify(input)}`).toHaveLength(1);
      }
      await run(new Agent({ name: 'a', model: callsOnce(name, { query: 'fine' }), tools }), 'go');
    }
    expect(body.queries).toEqual(['fine', 'fine']);
  });

  it('with an output schema ends the run when it is refused: no text is such an output', async () => {
    const { leash } = recordedLeash({ guards: [rateLimit({ max: 1, per: '1h' })] });
    const count = tool({
      name: 'count',
      description: 'counts',
      parameters: z.object({}),
      outputSchema: z.object({ n: z.number() }),
      execute: () => ({ n: 1 }),
    });
    const steps = Array.from({ length: 3 }, (_, i) => [functionCall('count', {}, { callId: `c${i}` })]);
    const model = new ScriptedModel(steps);
    const error = await caught(run(new Agent({ name: 'a', model, tools: leashTools(leash, [count]) }), 'go'));
    expect(findLeashError(error)).toMatchObject({ code: 'RATE_LIMITED' });
    expect([model.calls.length, toldBy(model)]).toEqual([2, ['{"n":1}']]);
  });

  it('keeps its time limit', async () => {
    const { leash } = recordedLeash({ guards: [callCap(3)] });
    const slow = tool({
      name: 'slow',
      description: 'slow',
      parameters: z.object({}),
      timeoutMs: 20,
      execute: () => new Promise<string>(() => {}),
    });
    const model = callsOnce('slow', {});
    await run(new Agent({ name: 'a', model, tools: leashTools(leash, [slow]) }), 'go');
    expect(toldBy(model)).toEqual([expect.stringContaining('timed out after 20ms')]);
  });

  it('may be an agent, whose own tools and model are held on their own', async () => {
    const { leash, events } = recordedLeash({ guards: [callCap(3)] });
    const body = new SearchBody();
    const inner = new Agent({
      name: 'inner',
      model: leashModel(leash, callsOnce('search', { query: 'a' }), 'free'),
      tools: leashTools(leash, [searchTool(body)]),
    });
    const asked = inner.asTool({ toolName: 'ask', toolDescription: 'asks' });
    const model = callsOnce('ask', { input: 'please' });
    const outer = new Agent({
      name: 'outer',
      model: leashModel(leash, model, 'free'),
      tools: leashTools(leash, [asked]),
    });
    const { finalOutput } = await run(outer, 'go');
    expect([finalOutput, body.ran, toldBy(model)]).toEqual(['done', 1, ['done']]);
    expect(events('tool_ok').map(({ call }) => call)).toHaveLength(2);
  });
});

describe('a call that a human has to approve', () => {
  it.each([
    { how: 'in memory', restore: false },
    { how: 'out of what was written down', restore: true },
  ])('is counted once, and not when it is asked about: the run goes on $how', async ({ restore }) => {
    const recorded = recordedLeash({ guards: [callCap(1)] });
    const body = new SearchBody();
    const asked: unknown[] = [];
    const search = tool({
      name: 'search',
      description: 'searches',
      parameters: z.object({ query: z.string(), limit: z.number().default(3) }),
      execute: body.run,
      needsApproval: async (_, input) => {
        // Before the tool has parsed it: the default of `limit` is not in it.
        asked.push([input, (await recorded.leash.peek({ tool: 'search', args: input })).allow]);
        return true;
      },
    });
    const agent = new Agent({
      name: 'a',
      model: callsOnce('search', { query: 'a' }),
      tools: leashTools(recorded.leash, [search]),
    });
    const first = await run(agent, 'go');
    expect([first.interruptions.length, ofTools(recorded)]).toEqual([1, []]);
    const state = restore ? await RunState.fromString(agent, first.state.toString()) : first.state;
    for (const interruption of state.getInterruptions()) state.approve(interruption);
    const { finalOutput } = await run(agent, state as typeof first.state);
    expect([finalOutput, body.ran, asked]).toEqual(['done', 1, [[{ query: 'a' }, true]]]);
    expect(ofTools(recorded)).toEqual(['tool_start', 'tool_ok']);
  });

  it('goes on inside of an agent that is a tool, which is invoked anew', async () => {
    const recorded = recordedLeash({ guards: [callCap(3)] });
    const body = new SearchBody();
    const search = tool({ name: 'search', description: 's', parameters, execute: body.run, needsApproval: true });
    const inner = new Agent({
      name: 'inner',
      model: callsOnce('search', { query: 'a' }),
      tools: leashTools(recorded.leash, [search]),
    });
    const asked = inner.asTool({ toolName: 'ask', toolDescription: 'asks' });
    const outer = new Agent({
      name: 'outer',
      model: callsOnce('ask', { input: 'please' }),
      tools: leashTools(recorded.leash, [asked]),
    });
    const { state } = await run(outer, 'go');
    for (const interruption of state.getInterruptions()) state.approve(interruption);
    expect([(await run(outer, state)).finalOutput, body.ran]).toEqual(['done', 1]);
    expect(recorded.events('tool_start').map((event) => event['tool'])).toEqual(['ask', 'ask', 'search']);
  });

  it('is no call where it is rejected', async () => {
    const recorded = recordedLeash({ guards: [callCap(1)] });
    const body = new SearchBody();
    const search = tool({ name: 'search', description: 's', parameters, execute: body.run, needsApproval: true });
    const agent = new Agent({
      name: 'a',
      model: callsOnce('search', { query: 'a' }),
      tools: leashTools(recorded.leash, [search]),
    });
    const { state } = await run(agent, 'go');
    for (const interruption of state.getInterruptions()) state.reject(interruption);
    await run(agent, state);
    expect([body.ran, ofTools(recorded)]).toEqual([0, []]);
  });
});

describe('leashTools', () => {
  const { leash } = recordedLeash({ guards: [callCap(9)] });
  const search = searchTool(new SearchBody());
  const web = webSearchTool();

  it.each([
    { name: 'a tool of the provider', tools: [web], options: {}, message: 'tool "web_search" has no `invoke`' },
    {
      name: 'a schema that nobody checks',
      tools: [search],
      options: { schemas: { search: parameters } },
      message: 'add args()',
    },
  ])('refuses $name', ({ tools, options, message }) => {
    expect(() => leashTools(leash, tools as never, options as never)).toThrow(message);
    expect(() => leashTools(leash, tools as never, options as never)).toThrow(TypeError);
  });

  it('lets pass what was named, holds the others, and nothing twice', () => {
    const [passed, held] = leashTools(leash, [web, search], { unguarded: ['web_search'] });
    expect([passed === web, held === search]).toEqual([true, false]);
    expect(leashTools(leash, [held])[0]).toBe(held);
    expect(held).toEqual({ ...search, invoke: expect.any(Function) });
  });
});
