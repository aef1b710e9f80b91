import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { budget, callCap, egress, findLeashError, type ToolArgsInvalidError } from 'leashkit';
import { jsonSchemaArgs } from 'leashkit/ajv';
import { leashClient } from 'leashkit/mcp';
import { describe, expect, it, vi } from 'vitest';
import { caught } from './helpers/caught.ts';
import { recordedLeash } from './helpers/leash.ts';
import { connect, Searches, search, searchClient, versions, Waiting } from './helpers/mcp.ts';

const strict = {
  type: 'object',
  properties: { query: { type: 'string' } },
  required: ['query'],
  additionalProperties: false,
};

describe.each(versions)('leashClient over $name', (version) => {
  it('ends a looping caller: three calls run, the fourth throws our error, and so does all that follows', async () => {
    const { leash, kinds, verified } = recordedLeash({ guards: [callCap(3)] });
    const searches = new Searches();
    const client = leashClient(leash, await searchClient(version, searches.handler));
    const ends: unknown[] = [];
    for (let i = 0; i < 6; i++) ends.push((await caught(client.callTool(search(i)))) ?? 'ran');
    expect(searches.queries).toEqual(['q0', 'q1', 'q2']);
    expect(ends.slice(0, 3)).toEqual(['ran', 'ran', 'ran']);
    expect(ends[3]).toBe(leash.breach);
    expect(ends[3]).toMatchObject({ code: 'CALL_CAP_REACHED', tool: 'search' });
    for (const end of ends.slice(4)) expect(end).toMatchObject({ code: 'SESSION_BREACHED' });
    expect(kinds().filter((kind) => kind === 'tool_denied')).toHaveLength(3);
    expect(await verified()).toBe('closed');
  });

  it('runs exactly the cap of calls that are made at once', async () => {
    const { leash, held } = recordedLeash({ guards: [callCap(3)], stopOn: 'none' });
    const searches = new Searches();
    const client = leashClient(leash, await searchClient(version, searches.handler));
    const ends = await Promise.all([0, 1, 2, 3, 4].map((i) => caught(client.callTool(search(i)))));
    expect(ends.map((end) => findLeashError(end)?.code)).toEqual([
      undefined,
      undefined,
      undefined,
      'CALL_CAP_REACHED',
      'CALL_CAP_REACHED',
    ]);
    expect(searches.queries).toHaveLength(3);
    expect(await held()).toBe('0');
  });

  it('gives the result as it came, also one that is an error of the tool', async () => {
    const { leash, kinds } = recordedLeash({ guards: [] });
    const client = leashClient(
      leash,
      await searchClient(version, async () => {
        throw new Error('out of order');
      }),
    );
    expect(await client.callTool(search(0))).toMatchObject({ isError: true, content: [{ text: 'out of order' }] });
    expect(kinds()).toEqual(['session_open', 'tool_start', 'tool_ok']);
  });

  it('sends what was checked, whatever becomes of the parameters, and the rest of them', async () => {
    const { leash } = recordedLeash({ guards: [] });
    const seen: unknown[] = [];
    const server = version.unchecking([], (name, args) => seen.push([name, args]));
    const client = version.client();
    await connect(version, server, client);
    const held = leashClient(leash, client);
    const args = { query: { deep: 'before' } };
    const call = held.callTool({ name: 'search', arguments: args, _meta: { trace: 't' } });
    args.query.deep = 'after';
    await call;
    let reads = 0;
    await held.callTool({
      get name() {
        return ['search', 'other'][reads++];
      },
    });
    expect(reads).toBe(1);
    expect(seen).toEqual([
      ['search', { query: { deep: 'before' } }],
      ['search', {}],
    ]);
  });

  it('refuses arguments that the server would have let through, by the schema that it lists', async () => {
    const { leash, kinds } = recordedLeash({ guards: [jsonSchemaArgs()] });
    const called: unknown[] = [];
    const tools = [{ name: 'search', inputSchema: strict }];
    const server = version.unchecking(tools, (_, args) => called.push(args));
    const client = version.client();
    await connect(version, server, client);
    const held = leashClient(leash, client, { schemas: 'listed' });

    const early = await caught(held.callTool(search(0)));
    expect(early).toBeInstanceOf(TypeError);
    expect((early as Error).message).toContain('has seen no list of tools with it');

    await held.listTools();
    for (const wrong of [{ query: 5 }, {}, { query: 'q', extra: true }, undefined, null, 'q']) {
      const refused = await caught(held.callTool({ name: 'search', arguments: wrong }));
      expect(refused, JSON.stringify(wrong)).toMatchObject({ code: 'ARGS_INVALID' });
      expect((refused as ToolArgsInvalidError).issues.length).toBeGreaterThan(0);
    }
    expect(called).toEqual([]);
    await held.callTool(search(1));
    expect(called).toEqual([{ query: 'q1' }]);
    expect(kinds().filter((kind) => kind === 'tool_denied')).toHaveLength(6);
  });

  it('holds the arguments to the schema of the newest list', async () => {
    const { leash } = recordedLeash({ guards: [jsonSchemaArgs()] });
    const tools = [{ name: 'search', inputSchema: strict as object }];
    const client = version.client();
    await connect(
      version,
      version.unchecking(tools, () => {}),
      client,
    );
    const held = leashClient(leash, client, { schemas: 'listed' });
    await held.listTools();
    expect(await caught(held.callTool(search(0)))).toBeUndefined();
    tools[0] = { name: 'search', inputSchema: { ...strict, properties: { query: { type: 'number' } } } };
    expect(await caught(held.callTool(search(0)))).toBeUndefined();
    await client.listTools();
    expect(await caught(held.callTool(search(0))), 'a list that the held client did not see').toBeUndefined();
    await held.listTools();
    expect(await caught(held.callTool(search(0)))).toMatchObject({ code: 'ARGS_INVALID' });
  });

  it('holds arguments to a schema of its own, costs to a budget, and places to an allowlist', async () => {
    const guards = [
      jsonSchemaArgs({}, { unchecked: ['free'] }),
      budget({ usd: '0.03' }),
      egress({ allow: ['a.example'] }),
    ];
    const { leash, spentUsd, held } = recordedLeash({ guards, stopOn: 'none' });
    const called: string[] = [];
    const client = version.client();
    await connect(
      version,
      version.unchecking([], (name) => called.push(name)),
      client,
    );
    const { callTool } = leashClient(leash, client, {
      costs: { search: ({ pages }) => ({ usd: Number(pages) / 100 }), free: 'free' },
      schemas: { search: { type: 'object', properties: { pages: { type: 'integer' } } } },
      urls: { search: ({ host }) => `https://${host ?? 'a.example'}/` },
    });
    const call = (name: string, args: object): Promise<unknown> => caught(callTool({ name, arguments: args }));
    expect(await call('search', { pages: 2 })).toBeUndefined();
    expect(await call('search', { pages: 1.5 })).toMatchObject({ code: 'ARGS_INVALID' });
    expect(await call('search', { pages: 1, host: 'b.example' })).toMatchObject({ code: 'EGRESS_DENIED' });
    expect(await call('search', { pages: 2 })).toMatchObject({ code: 'BUDGET_EXCEEDED' });
    expect(await call('free', {})).toBeUndefined();
    const unpriced = await call('other', {});
    expect(unpriced).toBeInstanceOf(TypeError);
    expect(called).toEqual(['search', 'free']);
    expect([await spentUsd(), await held()]).toEqual(['0.02', '0']);
  });

  it('cancels a call under way when the session ends: the caller gets our error, and the server its abort', async () => {
    const { leash, kinds, held } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const waiting = new Waiting();
    const client = leashClient(leash, await searchClient(version, waiting.handler), { costs: { search: '$0.10' } });
    const call = caught(client.callTool(search(0)));
    await waiting.entered;
    leash.stop('enough');
    expect(await call).toBe(leash.breach);
    expect(await call).toMatchObject({ code: 'SESSION_STOPPED' });
    await vi.waitFor(() => expect(waiting.signals[0]?.aborted).toBe(true));
    expect(kinds().at(-1)).toBe('tool_error');
    expect(await held()).toBe('0');
  });

  it("passes the caller's own signal and options, and leaves the SDK's errors as they are", async () => {
    const { leash, events } = recordedLeash({ guards: [] });
    const waiting = new Waiting();
    const client = leashClient(leash, await searchClient(version, waiting.handler));
    for (const schema of new Set([version.resultSchema, version.resultSchema.map(() => undefined)])) {
      const own = new AbortController();
      const call = caught(client.callTool(search(0), ...schema, { signal: own.signal }));
      await waiting.entered;
      own.abort(new Error('no more'));
      const error = await call;
      expect(findLeashError(error)).toBeUndefined();
      expect(String((error as Error).message)).toContain('no more');
      const late = await caught(client.callTool(search(0), ...schema, { timeout: 1 }));
      expect(String((late as Error).message)).toContain('timed out');
    }
    expect(new Set(events('tool_error').map(({ tool }) => tool))).toEqual(new Set(['search']));
    expect(events('tool_ok')).toEqual([]);
  });

  it('holds `request` for tools/call, and no other request', async () => {
    const { leash, kinds } = recordedLeash({ guards: [callCap(1)] });
    const searches = new Searches();
    const client = leashClient(leash, await searchClient(version, searches.handler));
    const request = (i: number): Promise<unknown> =>
      client.request({ method: 'tools/call', params: search(i) }, ...version.resultSchema);
    expect(await request(0)).toMatchObject({ content: [{ text: 'about q0' }] });
    expect(await caught(request(1))).toMatchObject({ code: 'CALL_CAP_REACHED' });
    expect((await client.listTools()).tools).toHaveLength(1);
    expect(searches.queries).toEqual(['q0']);
    expect(kinds()).toEqual(['session_open', 'tool_start', 'tool_ok', 'tool_denied']);
  });

  it('is a client of its class still, and counts once, however often it is wrapped', async () => {
    const { leash } = recordedLeash({ guards: [callCap(1)] });
    const client = await searchClient(version, new Searches().handler);
    const once = leashClient(leash, client);
    expect(once).toBeInstanceOf(version.clientClass);
    expect(leashClient(leash, once)).toBe(once);
    expect(await caught(once.callTool(search(0)))).toBeUndefined();
    await once.close();
    expect(await caught(client.callTool(search(0)))).toMatchObject({ message: expect.stringContaining('onnect') });
  });

  it('refuses at once what the leash cannot hold', () => {
    const client = version.client();
    const { leash } = recordedLeash({ guards: [budget({ usd: 1 })] });
    expect(() => leashClient(leash, client, { schemas: { search: strict } })).toThrow(/`schema` that no guard/);
    expect(() => leashClient(leash, client, { urls: { search: () => 'https://a.example' } })).toThrow(/`url` that no/);
    expect(() => leashClient(leash, client, { costs: { search: '$-1' } })).toThrow(RangeError);
    expect(() => leashClient(leash, client, { cost: {} } as object)).toThrow(/unknown option `cost`/);
    expect(() => leashClient(leash, {} as never)).toThrow(/expects an MCP client with `callTool`, got an object/);
  });
});

describe('leashClient over SDK 1', () => {
  it('refuses the streams of tasks, which would call past it', () => {
    const { leash } = recordedLeash({ guards: [] });
    const { tasks } = leashClient(leash, new Client1({ name: 'test', version: '1' })).experimental;
    expect(() => tasks.callToolStream(search(0))).toThrow(/connect the client through leashTransport/);
    expect(() => tasks.requestStream({ method: 'ping' }, {} as never)).toThrow(/leashTransport/);
    expect(tasks.getTask).toBeTypeOf('function');
  });
});
