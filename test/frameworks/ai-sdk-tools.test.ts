import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createMCPClient } from '@ai-sdk/mcp';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import type { ModelMessage } from 'ai';
import { args, budget, callCap, createLeash, findLeashError, isLeashError, type Leash, LeashError } from 'leashkit';
import { leashModel, leashStop, leashTools, withLeash } from 'leashkit/ai-sdk';
import { jsonSchemaArgs } from 'leashkit/ajv';
import { afterAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Answer, searching, type Version, versions } from './helpers/ai-sdk.ts';
import { caught } from './helpers/caught.ts';
import { recordedLeash } from './helpers/leash.ts';
import { SearchBody } from './helpers/search-body.ts';

const inputSchema = z.object({ query: z.string() });

/** Errors that the framework tells the model instead of a result, of all steps. */
function toolErrors(steps: readonly { readonly content: readonly { readonly type: string }[] }[]): unknown[] {
  const parts = steps.flatMap(({ content }) => content).filter(({ type }) => type === 'tool-error');
  const byCall = new Map(parts.map((part) => [(part as unknown as { toolCallId: string }).toolCallId, part]));
  return [...byCall.values()].map((part) => (part as unknown as { error: unknown }).error);
}

describe.each(versions)('an agent of $name that never stops searching', ({ ai, script }: Version) => {
  function looping(answer: (index: number) => Answer = searching) {
    const recorded = recordedLeash({ guards: [callCap(3)] });
    const body = new SearchBody();
    const { model, requests } = script((_, index) => answer(index));
    const tools = leashTools(recorded.leash, { search: ai.tool({ inputSchema, execute: body.run }) });
    return { ...recorded, body, model, requests, tools, prompt: 'go' };
  }

  it('is ended by leashStop: three calls, one more request, no exception', async () => {
    const { leash, body, model, requests, tools, prompt, held, kinds, verified } = looping();
    const stopWhen = [ai.stepCountIs(20), leashStop(leash)];
    const { steps, finishReason } = await ai.generateText({ model, tools, prompt, stopWhen });
    expect([body.queries, requests.length, steps.length, finishReason]).toEqual([
      ['q0', 'q1', 'q2'],
      4,
      4,
      'tool-calls',
    ]);
    expect(toolErrors(steps).map(findLeashError)).toEqual([leash.breach]);
    expect(leash.breach).toMatchObject({ code: 'CALL_CAP_REACHED', tool: 'search' });
    expect(await held()).toBe('0');
    expect(kinds().slice(1)).toEqual([...Array(3).fill(['tool_start', 'tool_ok']).flat(), 'tool_denied']);
    expect(await verified()).toBe('closed');
  });

  it('is ended by the held model: its caller gets the very error that ended the session', async () => {
    const { leash, body, model, requests, tools, prompt, held, verified } = looping();
    const error = await caught(
      ai.generateText({ model: leashModel(leash, model, 'free'), tools, prompt, stopWhen: ai.stepCountIs(20) }),
    );
    expect(error).toBe(leash.breach);
    expect(error).toBeInstanceOf(LeashError);
    expect([body.ran, requests.length]).toEqual([3, 4]);
    expect(await held()).toBe('0');
    expect(await verified()).toBe('closed');
  });

  it('is ended by leash.signal', async () => {
    const { leash, body, model, requests, tools, prompt } = looping();
    const error = await caught(
      ai.generateText({ model, tools, prompt, stopWhen: ai.stepCountIs(20), abortSignal: leash.signal }),
    );
    expect(error).toBe(leash.breach);
    expect([body.ran, requests.length <= 4]).toEqual([3, true]);
  });

  it('goes on without a stopper, though no body runs any more', async () => {
    const { body, model, requests, tools, prompt } = looping();
    const { steps } = await ai.generateText({ model, tools, prompt, stopWhen: ai.stepCountIs(8) });
    expect([body.ran, requests.length]).toEqual([3, 8]);
    expect(toolErrors(steps).map((error) => findLeashError(error)?.code)).toEqual([
      'CALL_CAP_REACHED',
      ...Array(4).fill('SESSION_BREACHED'),
    ]);
  });

  it('is ended by withLeash, in two lines', async () => {
    const { leash, body, model, requests, tools: _, prompt } = looping();
    const search = ai.tool({ inputSchema, execute: body.run });
    const settings = { model, tools: { search }, prompt, stopWhen: ai.stepCountIs(20) };
    const { steps } = await ai.generateText(withLeash(leash, settings, { price: 'free' }));
    expect([body.ran, requests.length, steps.length]).toEqual([3, 4, 4]);
  });

  it('is ended as a stream, too', async () => {
    const { leash, body, model, requests, tools, prompt, held } = looping();
    const stopWhen = [ai.stepCountIs(20), leashStop(leash)];
    const { fullStream, steps } = ai.streamText({ model, tools, prompt, stopWhen });
    for await (const _ of fullStream);
    expect([body.ran, requests.length, (await steps).length]).toEqual([3, 4, 4]);
    expect(await held()).toBe('0');
  });

  it('is ended as a stream by the held model', async () => {
    const { leash, body, model, requests, tools, prompt, held } = looping();
    const told: unknown[] = [];
    const { fullStream } = ai.streamText({
      model: leashModel(leash, model, 'free'),
      tools,
      prompt,
      stopWhen: ai.stepCountIs(20),
      onError: ({ error }) => void told.push(error),
    });
    // Version 7 tells of the error in the stream, the others throw it.
    const thrown = await caught(
      (async () => {
        for await (const _ of fullStream);
      })(),
    );
    expect([thrown ?? told[0], body.ran, requests.length]).toEqual([leash.breach, 3, 4]);
    expect(await held()).toBe('0');
  });

  it('runs exactly as many calls of one step as the cap allows', async () => {
    const calls = Array.from({ length: 5 }, (_, i) => ({ name: 'search', input: { query: `q${i}` } }));
    const { leash, body, model, requests, tools, prompt, log } = looping(() => ({ calls }));
    const { steps } = await ai.generateText({ model, tools, prompt, stopWhen: [ai.stepCountIs(20), leashStop(leash)] });
    expect([body.queries, requests.length, steps.length]).toEqual([['q0', 'q1', 'q2'], 1, 1]);
    expect(toolErrors(steps).map((error) => findLeashError(error)?.code)).toEqual([
      'CALL_CAP_REACHED',
      'SESSION_BREACHED',
    ]);
    expect(log.lines.filter((line) => line.includes('"tool_ok"'))).toHaveLength(3);
  });

  it('is refused by a budget that its calls have used up', async () => {
    const { leash, kinds, spentUsd } = recordedLeash({ guards: [budget({ usd: '0.05' })] });
    const body = new SearchBody();
    const { model } = script((_, index) => ({ calls: [{ name: 'search', input: { query: 'x'.repeat(index + 1) } }] }));
    const tools = leashTools(
      leash,
      { search: ai.tool({ inputSchema, execute: body.run }) },
      { costs: { search: ({ query }) => ({ usd: query.length / 100 }) } },
    );
    await ai.generateText({ model, tools, prompt: 'go', stopWhen: [ai.stepCountIs(20), leashStop(leash)] });
    expect([body.queries, await spentUsd(), leash.breach?.code]).toEqual([['x', 'xx'], '0.03', 'BUDGET_EXCEEDED']);
    expect(kinds().at(-1)).toBe('budget_denied');
  });
});

describe.each(versions)('a tool of $name', ({ ai, script }: Version) => {
  /** One step with these calls, then text. */
  const calling = (...calls: NonNullable<Answer['calls']>) =>
    script((_, index) => (index === 0 ? { calls } : { text: 'done' }));

  it('streams as before: each value in turn, each step inside the call', async () => {
    const { leash, held, kinds } = recordedLeash({ guards: [callCap(1)], stopOn: 'none' });
    const tools = leashTools(leash, {
      count: ai.tool({
        inputSchema: z.object({ to: z.number() }),
        async *execute({ to }) {
          for (let i = 1; i <= to; i++) yield i;
        },
      }),
    });
    const { model } = calling({ name: 'count', input: { to: 3 } }, { name: 'count', input: { to: 3 } });
    const values: unknown[] = [];
    const { fullStream } = ai.streamText({ model, tools, prompt: 'go', stopWhen: ai.stepCountIs(2) });
    for await (const part of fullStream) {
      if (part.type === 'tool-result') values.push([part.output, part.preliminary ?? false]);
      if (part.type === 'tool-error') values.push(findLeashError(part.error)?.code);
    }
    expect(values).toHaveLength(5);
    expect(values.filter(Array.isArray)).toEqual([
      [1, true],
      [2, true],
      [3, true],
      [3, false],
    ]);
    expect(values).toContain('CALL_CAP_REACHED');
    expect(await held()).toBe('0');
    expect(kinds().slice(1).sort()).toEqual(['tool_denied', 'tool_ok', 'tool_start']);
  });

  it('holds nothing once its stream was aborted midway', async () => {
    const { leash, held, events } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const caller = new AbortController();
    let cleaned = false;
    const tools = leashTools(
      leash,
      {
        count: ai.tool({
          inputSchema: z.object({}),
          async *execute(_, { abortSignal }) {
            try {
              for (let i = 0; ; i++) {
                yield i;
                if (i === 2) caller.abort(new Error('given up'));
                abortSignal?.throwIfAborted();
              }
            } finally {
              cleaned = true;
            }
          },
        }),
      },
      { costs: { count: '$0.5' } },
    );
    const { model } = calling({ name: 'count', input: {} });
    const { fullStream } = ai.streamText({ model, tools, prompt: 'go', abortSignal: caller.signal, onError: () => {} });
    await caught(
      (async () => {
        for await (const _ of fullStream);
      })(),
    );
    await expect.poll(() => held()).toBe('0');
    expect([cleaned, events('tool_error')]).toMatchObject([true, [{ tool: 'count', usd: '0.5' }]]);
  });

  it('sees the kill switch', async () => {
    const { leash, held } = recordedLeash({ guards: [] });
    let reason: unknown;
    const tools = leashTools(leash, {
      wait: ai.tool({
        inputSchema: z.object({}),
        execute: (_, { abortSignal }) =>
          new Promise((_, reject) => {
            abortSignal?.addEventListener('abort', () => {
              reason = abortSignal.reason;
              reject(reason);
            });
            leash.stop('enough');
          }),
      }),
    });
    const { model } = calling({ name: 'wait', input: {} });
    await ai.generateText({ model, tools, prompt: 'go', stopWhen: [ai.stepCountIs(9), leashStop(leash)] });
    expect(reason).toBe(leash.breach);
    expect(await held()).toBe('0');
  });

  it('gets the parsed input, which is what is checked and hashed', async () => {
    const seen: unknown[] = [];
    const { leash } = recordedLeash({
      guards: [args({ add: z.object({ n: z.number(), by: z.literal(2) }).strict() })],
    });
    const tools = leashTools(leash, {
      add: ai.tool({
        inputSchema: z.object({ n: z.coerce.number(), by: z.number().default(2) }),
        execute: (input) => {
          seen.push(input);
          return input.n + input.by;
        },
      }),
    });
    const { model } = calling({ name: 'add', input: { n: '40' } });
    const { steps } = await ai.generateText({ model, tools, prompt: 'go', stopWhen: ai.stepCountIs(2) });
    expect(seen).toEqual([{ n: 40, by: 2 }]);
    expect(steps[0]?.toolResults).toMatchObject([{ output: 42 }]);
  });

  it('is not run with arguments that its framework lets through and the schema of the leash does not', async () => {
    const { leash, events } = recordedLeash({ guards: [args()], stopOn: 'none' });
    const seen: unknown[] = [];
    const add = () =>
      ai.tool({
        inputSchema: ai.jsonSchema<{ n: number }>({ type: 'object', properties: { n: { type: 'number' } } }),
        execute: (input) => {
          seen.push(input);
          return 'ran';
        },
      });
    const wrong = { n: 'five', extra: true };
    const run = async (tools: { readonly add: ReturnType<typeof add> }) => {
      const { model } = calling({ name: 'add', input: wrong });
      return (await ai.generateText({ model, tools, prompt: 'go', stopWhen: ai.stepCountIs(2) })).steps;
    };
    await run({ add: add() });
    expect(seen).toEqual([wrong]);
    const steps = await run(
      leashTools(leash, { add: add() }, { schemas: { add: z.object({ n: z.number() }).strict() } }),
    );
    expect(seen).toHaveLength(1);
    expect(findLeashError(toolErrors(steps)[0])).toMatchObject({
      code: 'ARGS_INVALID',
      issues: [
        { path: '/n', rule: 'invalid_type' },
        { path: '', rule: 'unrecognized_keys' },
      ],
    });
    expect(events('tool_denied')).toMatchObject([{ tool: 'add', code: 'ARGS_INVALID' }]);
  });

  it('keeps a tool that uses `this`, or is an instance with private fields', async () => {
    const { leash } = recordedLeash({ guards: [callCap(2)] });
    class Counter {
      readonly description = 'counts';
      readonly inputSchema = z.object({});
      #count = 41;
      execute(): number {
        return ++this.#count;
      }
    }
    const plain = ai.tool({ inputSchema: z.object({}), execute: () => 0 });
    const tools = leashTools(leash, { counter: new Counter() as unknown as typeof plain });
    const { model } = calling({ name: 'counter', input: {} });
    const { steps } = await ai.generateText({ model, tools, prompt: 'go', stopWhen: ai.stepCountIs(2) });
    expect(steps[0]?.toolResults).toMatchObject([{ output: 42 }]);
    expect((await leash.usage()).calls).toBe(1);
  });
});

describe.each(versions.filter(({ specification }) => specification !== 'v2'))(
  'a tool of $name that asks for approval',
  ({ ai, script }: Version) => {
    it('is asked twice and counted once, since a peek changes nothing', async () => {
      const { leash, kinds, held } = recordedLeash({ guards: [callCap(1)] });
      const body = new SearchBody();
      let asked = 0;
      const tools = leashTools(leash, {
        search: ai.tool({
          inputSchema,
          needsApproval: async (input: { query: string }) => {
            asked++;
            return (await leash.peek({ tool: 'search', args: input })).allow;
          },
          execute: body.run,
        }),
      });
      const { model } = script((_, index) => (index === 0 ? searching(0) : { text: 'done' }));
      const prompt: ModelMessage[] = [{ role: 'user', content: 'go' }];
      const first = await ai.generateText({ model, tools, prompt });
      expect([asked, body.ran, kinds()]).toEqual([1, 0, ['session_open']]);
      const [request] = first.content.filter(({ type }) => type === 'tool-approval-request');
      const { approvalId } = request as { approvalId: string };
      const answer: ModelMessage = {
        role: 'tool',
        content: [{ type: 'tool-approval-response', approvalId, approved: true }],
      };
      const messages = [...prompt, ...first.response.messages, answer];
      expect((await ai.generateText({ model, tools, messages })).text).toBe('done');
      expect([asked, body.ran, kinds().slice(1)]).toEqual([2, 1, ['tool_start', 'tool_ok']]);
      expect(await held()).toBe('0');
    });
  },
);

describe('tools of an MCP server, through @ai-sdk/mcp', () => {
  it('are refused wrong arguments by the schema of the leash', async () => {
    const [version] = versions.slice(-1) as [Version];
    const { leash } = recordedLeash({ guards: [jsonSchemaArgs()], stopOn: 'none' });
    const server = new McpServer({ name: 'test', version: '1' });
    const seen: unknown[] = [];
    // A server that does not check either, as one may be.
    server.registerTool('pay', { inputSchema: { cents: z.any() } }, (input) => {
      seen.push(input);
      return { content: [{ type: 'text', text: 'paid' }] };
    });
    const [ours, theirs] = InMemoryTransport.createLinkedPair();
    await server.connect(theirs);
    const client = await createMCPClient({ transport: ours });
    const schemas = {
      pay: { type: 'object', properties: { cents: { type: 'integer', minimum: 1 } }, required: ['cents'] },
    };
    const tools = leashTools(leash, await client.tools(), { schemas });
    const inputs = [{ cents: 'all' }, { cents: 5 }];
    const { model } = version.script((_, index) =>
      index === 0 ? { calls: inputs.map((input) => ({ name: 'pay', input })) } : { text: 'done' },
    );
    const { steps } = await version.ai.generateText({
      model,
      tools,
      prompt: 'go',
      stopWhen: version.ai.stepCountIs(2),
    });
    expect(seen).toEqual([{ cents: 5 }]);
    expect(findLeashError(toolErrors(steps)[0])).toMatchObject({ code: 'ARGS_INVALID', tool: 'pay' });
    await client.close();
    await server.close();
  });
});

describe('two copies of the package in one process', () => {
  const directory = mkdtempSync(join(tmpdir(), 'leashkit-copy-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it('recognise the errors of one another', async () => {
    const [version] = versions.slice(-1) as [Version];
    const { ai } = version;
    cpSync(join(import.meta.dirname, '../../dist'), directory, { recursive: true });
    const copyOf = (name: string) => import(pathToFileURL(join(directory, name)).href);
    const other = (await copyOf('index.js')) as { createLeash: typeof createLeash; callCap: typeof callCap };
    const adapter = (await copyOf('ai-sdk.js')) as { leashModel: typeof leashModel; leashTools: typeof leashTools };
    const pairs: [Leash, typeof leashTools, typeof leashModel][] = [
      [other.createLeash({ guards: [other.callCap(1)] }), leashTools, leashModel],
      [createLeash({ guards: [callCap(1)] }), adapter.leashTools, adapter.leashModel],
    ];
    for (const [leash, holdTools, holdModel] of pairs) {
      const body = new SearchBody();
      const { model } = version.script((_, index) => searching(index));
      const tools = holdTools(leash, { search: ai.tool({ inputSchema, execute: body.run }) });
      const run = ai.generateText({
        model: holdModel(leash, model, 'free'),
        tools,
        prompt: 'go',
        stopWhen: ai.stepCountIs(9),
      });
      const error = await caught(run);
      expect([isLeashError(error), findLeashError({ cause: error }), error, body.ran]).toEqual([
        true,
        error,
        leash.breach,
        1,
      ]);
    }
    expect(pairs[0]?.[0].breach).not.toBeInstanceOf(LeashError);
  });
});
