import { budget, callCap, findLeashError, isLeashError, rateLimit } from 'leashkit';
import { jsonSchemaArgs } from 'leashkit/ajv';
import { leashRunnable } from 'leashkit/openai';
import OpenAI from 'openai';
import { zodFunction } from 'openai/helpers/zod';
import type { RunnableToolFunctionWithParse } from 'openai/lib/RunnableFunction';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { caught } from './helpers/caught.ts';
import { recordedLeash } from './helpers/leash.ts';
import { SearchBody } from './helpers/search-body.ts';
import { completionsWire, type WireAnswer } from './helpers/wire.ts';

const parameters = { type: 'object', properties: { query: { type: 'string' } } };

/** Tools of every kind that there is. */
const kinds = [
  {
    kind: 'parses its arguments',
    of: ({ run }: SearchBody) => ({
      type: 'function' as const,
      function: {
        name: 'search',
        description: 's',
        parameters,
        parse: JSON.parse as (text: string) => { query: string },
        function: run,
      },
    }),
  },
  {
    kind: 'gets text',
    of: ({ run }: SearchBody) => ({
      type: 'function' as const,
      function: {
        description: 's',
        parameters,
        function: function search(text: string) {
          return run(JSON.parse(text));
        },
      },
    }),
  },
  {
    kind: 'was made of a schema',
    of: ({ run }: SearchBody) =>
      zodFunction({ name: 'search', description: 's', parameters: z.object({ query: z.string() }), function: run }),
  },
] as const;

const searching = (_: unknown, index: number): WireAnswer => ({
  calls: [{ name: 'search', input: { query: `q${index}` } }],
});

function clientOf(answer: (request: unknown, index: number) => WireAnswer) {
  const wire = completionsWire(answer);
  return { ...wire, client: new OpenAI({ apiKey: 'key', fetch: wire.fetch, maxRetries: 0 }) };
}
const asking = { model: 'gpt-5', messages: [{ role: 'user' as const, content: 'go' }] };

describe.each(kinds)('a run of a tool that $kind', ({ of }) => {
  const toolOf = of as (body: SearchBody) => RunnableToolFunctionWithParse<{ query: string }>;

  it.each([false, true])(
    'that never stops searching is ended by it: three calls, our error (stream: %s)',
    async (stream) => {
      const { leash, events, held, verified } = recordedLeash({ guards: [callCap(3)] });
      const body = new SearchBody();
      const { client, requests } = clientOf(searching);
      const tools = [leashRunnable(leash, toolOf(body))];
      const runner = stream
        ? client.chat.completions.runTools({ ...asking, tools, stream: true }, { maxChatCompletions: 20 })
        : client.chat.completions.runTools({ ...asking, tools }, { maxChatCompletions: 20 });
      const error = await caught(runner.done());
      expect(findLeashError(error)).toBe(leash.breach);
      expect(leash.breach).toMatchObject({ code: 'CALL_CAP_REACHED', tool: 'search' });
      expect([isLeashError(error), (error as Error).cause]).toEqual([false, leash.breach]);
      expect([body.queries, requests.length]).toEqual([['q0', 'q1', 'q2'], 4]);
      expect([events('tool_ok').length, await held(), await verified()]).toEqual([3, '0', 'closed']);
    },
  );

  it('runs exactly as many calls of one answer as the cap allows', async () => {
    const { leash, held } = recordedLeash({ guards: [callCap(3)] });
    const body = new SearchBody();
    const calls = Array.from({ length: 5 }, (_, i) => ({ name: 'search', input: { query: `q${i}` } }));
    const { client, requests } = clientOf(() => ({ calls }));
    const tools = [leashRunnable(leash, toolOf(body))];
    const error = await caught(client.chat.completions.runTools({ ...asking, tools }).done());
    expect(findLeashError(error)).toBe(leash.breach);
    expect([body.queries, requests.length]).toEqual([['q0', 'q1', 'q2'], 1]);
    await expect.poll(held).toBe('0');
  });

  it('goes on where refusals end nothing: the model is told why', async () => {
    const { leash } = recordedLeash({ guards: [rateLimit({ max: 1, per: '1h' })] });
    const body = new SearchBody();
    const { client, requests } = clientOf((_, index) => (index < 2 ? searching(_, index) : { text: 'done' }));
    const tools = [leashRunnable(leash, toolOf(body))];
    expect(await client.chat.completions.runTools({ ...asking, tools }).finalContent()).toBe('done');
    expect(body.ran).toBe(1);
    const told = (requests[2]?.body.messages ?? []).filter(({ role }) => role === 'tool').map(({ content }) => content);
    expect(told).toEqual(['{"hits":["about q0"]}', expect.stringContaining('Tool "search" was refused')]);
  });

  it('is priced, and its arguments are checked', async () => {
    const { leash, events } = recordedLeash({ guards: [budget({ usd: 1 }), jsonSchemaArgs()], stopOn: 'none' });
    const body = new SearchBody();
    const { client } = clientOf((_, index) =>
      index < 2
        ? { calls: [{ name: 'search', input: { query: index === 0 ? 'x'.repeat(30) : 'abc' } }] }
        : { text: 'done' },
    );
    const search = leashRunnable(leash, toolOf(body), {
      schema: { type: 'object', properties: { query: { type: 'string', maxLength: 10 } } },
      cost: ({ query }) => ({ usd: query.length / 10 }),
    });
    await client.chat.completions.runTools({ ...asking, tools: [search] }).finalContent();
    expect(body.queries).toEqual(['abc']);
    expect(events('tool_ok')).toMatchObject([{ usd: '0.3' }]);
    expect(events('tool_denied')).toMatchObject([{ code: 'ARGS_INVALID' }]);
  });

  it('throws what the body throws', async () => {
    const { leash, events } = recordedLeash({ guards: [callCap(3)] });
    const { client } = clientOf(searching);
    const broken = { ran: 0, queries: [], run: () => Promise.reject(new RangeError('no such page')) };
    const tools = [leashRunnable(leash, toolOf(broken as never))];
    const error = (await caught(client.chat.completions.runTools({ ...asking, tools }).done())) as Error;
    expect(error.cause).toBeInstanceOf(RangeError);
    expect(events('tool_error')).toMatchObject([{ error: 'RangeError' }]);
  });

  it('is not held twice', () => {
    const { leash } = recordedLeash({ guards: [] });
    const held = leashRunnable(leash, toolOf(new SearchBody()));
    expect(leashRunnable(leash, held)).toBe(held);
  });
});

describe('leashRunnable', () => {
  it('leaves a function what it belongs to', async () => {
    const { leash } = recordedLeash({ guards: [callCap(3)] });
    class Search {
      readonly name = 'search';
      readonly description = 's';
      readonly parameters = parameters;
      #calls = 0;
      function(): string {
        return `call ${++this.#calls}`;
      }
    }
    const { client, requests } = clientOf((request, index) => (index < 2 ? searching(request, index) : { text: 'x' }));
    const tools = [leashRunnable(leash, { type: 'function' as const, function: new Search() })];
    await client.chat.completions.runTools({ ...asking, tools }).done();
    const { messages = [] } = requests.at(-1)?.body ?? {};
    expect(messages.filter(({ role }) => role === 'tool').map(({ content }) => content)).toEqual(['call 1', 'call 2']);
  });

  const { leash } = recordedLeash({ guards: [] });

  it.each([
    { name: 'nothing', tool: undefined, message: 'expects a tool of runTools' },
    { name: 'a tool of the provider', tool: { type: 'web_search' }, message: 'expects a tool of runTools' },
    {
      name: 'a tool without a function',
      tool: { type: 'function', function: { name: 'f' } },
      message: 'got undefined',
    },
    {
      name: 'a function without a name',
      tool: {
        type: 'function',
        function: {
          function: (
            () => () =>
              1
          )(),
        },
      },
      message: 'tool name',
    },
  ])('refuses $name', ({ tool, message }) => {
    expect(() => leashRunnable(leash, tool as never)).toThrow(message);
  });
});
