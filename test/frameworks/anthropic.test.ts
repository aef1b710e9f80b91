import Anthropic, { APIUserAbortError } from '@anthropic-ai/sdk';
import { betaTool } from '@anthropic-ai/sdk/helpers/beta/json-schema';
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod';
import { budget, callCap } from 'leashkit';
import { jsonSchemaArgs } from 'leashkit/ajv';
import { leashRunnable } from 'leashkit/anthropic';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { caught } from './helpers/caught.ts';
import { recordedLeash } from './helpers/leash.ts';

interface Request {
  readonly messages: readonly { readonly role: string; readonly content: unknown }[];
}

/** A client whose model uses `search` with these inputs in every answer, for ever; and what it was sent. */
function looping(inputs: (request: number) => readonly unknown[]): { client: Anthropic; requests: Request[] } {
  const requests: Request[] = [];
  const fetch = async (_: unknown, init?: { readonly body?: unknown }): Promise<Response> => {
    requests.push(JSON.parse(String(init?.body)) as Request);
    const n = requests.length;
    const content = inputs(n).map((input, i) => ({ type: 'tool_use', id: `toolu_${n}_${i}`, name: 'search', input }));
    const usage = { input_tokens: 10, output_tokens: 10 };
    const message = {
      id: `msg_${n}`,
      type: 'message',
      role: 'assistant',
      model: 'm',
      content,
      stop_reason: 'tool_use',
    };
    return Response.json({ ...message, stop_sequence: null, usage });
  };
  return { client: new Anthropic({ apiKey: 'none', baseURL: 'http://127.0.0.1', fetch, maxRetries: 0 }), requests };
}

const ask = { model: 'm', max_tokens: 100, messages: [{ role: 'user' as const, content: 'go' }] };

/** What the model was told of its tool uses in the last request. */
function told(requests: readonly Request[]): unknown {
  return requests.at(-1)?.messages.at(-1)?.content;
}

describe('leashRunnable', () => {
  it('ends a looping runner: three calls run, the fourth does not, and no request follows', async () => {
    const { leash, verified } = recordedLeash({ guards: [callCap(3)] });
    const queries: string[] = [];
    const search = betaZodTool({
      name: 'search',
      description: 'Searches.',
      inputSchema: z.object({ query: z.string() }),
      run: ({ query }) => {
        queries.push(query);
        return `about ${query}`;
      },
    });
    const { client, requests } = looping((n) => [{ query: `q${n}` }]);
    const runner = client.beta.messages.toolRunner(
      { ...ask, tools: [leashRunnable(leash, search)] },
      { signal: leash.signal },
    );
    expect(await caught(runner.runUntilDone())).toBeInstanceOf(APIUserAbortError);
    expect(queries).toEqual(['q1', 'q2', 'q3']);
    expect(requests).toHaveLength(4);
    expect(leash.breach).toMatchObject({ code: 'CALL_CAP_REACHED', tool: 'search' });
    expect(await verified()).toBe('closed');
  });

  it('tells the model why, where nothing else ends the runner', async () => {
    const { leash } = recordedLeash({ guards: [callCap(3)] });
    let ran = 0;
    const tool = betaTool({
      name: 'search',
      description: 'Searches.',
      inputSchema: { type: 'object', properties: {} },
      run: () => String(++ran),
    });
    const { client, requests } = looping(() => [{}]);
    for await (const _ of client.beta.messages.toolRunner({ ...ask, tools: [leashRunnable(leash, tool)] })) {
      if (requests.length === 5) break;
    }
    expect(ran).toBe(3);
    const content = 'Error: Tool "search" was refused: the cap of 3 calls is reached. Do not retry.';
    expect(told(requests)).toMatchObject([{ tool_use_id: 'toolu_4_0', is_error: true, content }]);
  });

  it('runs exactly the cap of calls of one answer', async () => {
    const { leash, held } = recordedLeash({ guards: [callCap(3)], stopOn: 'none' });
    let ran = 0;
    const inputSchema = { type: 'object', properties: {} } as const;
    const tool = betaTool({ name: 'search', description: '', inputSchema, run: async () => String(++ran) });
    const { client, requests } = looping((n) => Array(n === 1 ? 5 : 0).fill({}));
    for await (const _ of client.beta.messages.toolRunner({ ...ask, tools: [leashRunnable(leash, tool)] })) {
      if (requests.length === 2) break;
    }
    expect(ran).toBe(3);
    const results = told(requests) as readonly { readonly is_error?: boolean }[];
    expect(results.map(({ is_error }) => is_error === true)).toEqual([false, false, false, true, true]);
    expect(await held()).toBe('0');
  });

  it('refuses arguments that the SDK does not check, before `run`', async () => {
    const { leash } = recordedLeash({ guards: [jsonSchemaArgs()] });
    const inputSchema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] } as const;
    const got: unknown[] = [];
    const tool = betaTool({ name: 'search', description: '', inputSchema, run: (input) => `${got.push(input)}` });
    const { client, requests } = looping(() => [{ n: 'five' }, { n: 5 }]);
    const held = leashRunnable(leash, tool, { schema: inputSchema });
    for await (const _ of client.beta.messages.toolRunner({ ...ask, tools: [held] })) if (requests.length === 2) break;
    expect(got).toEqual([{ n: 5 }]);
    expect(told(requests)).toMatchObject([{ is_error: true, content: expect.stringContaining('/n (type)') }, {}]);
  });

  it('gives `run` a signal that the end of the session aborts, keeps `this`, and holds a tool once', async () => {
    const { leash, spentUsd } = recordedLeash({ guards: [budget({ usd: '0.10' })] });
    const tool = {
      name: 'search',
      prefix: 'about',
      run({ cents }: { cents: number }, context?: { signal?: AbortSignal | null | undefined }) {
        leash.stop('enough');
        return `${this.prefix} ${cents} ${context?.signal?.aborted}`;
      },
    };
    expect(() => leashRunnable(leash, tool)).toThrow(/no `cost`, which guard "budget" needs/);
    expect(() => leashRunnable(leash, undefined as never)).toThrow(/expects a tool with `run`, got undefined/);
    const held = leashRunnable(leash, tool, { cost: ({ cents }) => ({ usd: cents / 100 }) });
    expect(leashRunnable(leash, held)).toBe(held);
    expect(await held.run({ cents: 4 }, { signal: new AbortController().signal })).toBe('about 4 true');
    expect(await caught(held.run({ cents: 4 }) as never)).toMatchObject({ code: 'SESSION_STOPPED' });
    expect(await spentUsd()).toBe('0.04');
  });
});
