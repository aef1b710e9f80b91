import { type CanUseTool, createSdkMcpServer, type Options, query, tool } from '@anthropic-ai/claude-agent-sdk';
import { args, budget, callCap, currentCall, egress, type Leash } from 'leashkit';
import { leashCanUseTool, leashHooks, leashTool } from 'leashkit/claude-agent-sdk';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { caught } from './helpers/caught.ts';
import { type ClaudeCode, claudeCode, type ToolUse, type UseEnd } from './helpers/claude-code.ts';
import { recordedLeash } from './helpers/leash.ts';

/** What a query comes to whose agent does what the script says. */
async function run(options: Options, script: (agent: ClaudeCode) => Promise<void>, told?: object): Promise<string> {
  let result = '';
  let failure: unknown;
  const double = claudeCode(
    (agent) =>
      script(agent).catch((error) => {
        failure = error;
      }),
    told,
  );
  for await (const message of query({ prompt: 'go', options: { ...options, ...double } })) {
    if (message.type === 'result' && message.subtype === 'success') result = message.result;
  }
  if (failure !== undefined) throw failure;
  return result;
}

const bash = (i: number, more: Partial<ToolUse> = {}): ToolUse => ({
  name: 'Bash',
  input: { command: `ls ${i}` },
  id: `toolu_${i}`,
  ...more,
});

/** Runs one tool after another until the agent is stopped, and tells how each ended. */
async function loop(options: Options, uses: number, useOf: (i: number) => ToolUse): Promise<UseEnd[]> {
  const ends: UseEnd[] = [];
  await run(options, async (agent) => {
    for (let i = 0; i < uses && agent.stopReason === undefined; i++) ends.push(await agent.use(useOf(i)));
  });
  return ends;
}

const allow: CanUseTool = async (_, updatedInput) => ({ behavior: 'allow', updatedInput });

describe('leashHooks', () => {
  it('ends a looping agent: three tools of Claude Code run, the fourth does not, and the run ends with why', async () => {
    const { leash, kinds, verified } = recordedLeash({ guards: [callCap(3)] });
    const body = vi.fn();
    const ends: UseEnd[] = [];
    const result = await run({ hooks: leashHooks(leash) }, async (agent) => {
      while (agent.stopReason === undefined) ends.push(await agent.use(bash(ends.length, { run: body })));
    });
    const why = 'Tool "Bash" was refused: the cap of 3 calls is reached. Do not retry.';
    expect(ends.map(({ end }) => end)).toEqual(['ran', 'ran', 'ran', 'denied']);
    expect(ends[3]).toEqual({ end: 'denied', told: why, stopReason: why });
    expect(body).toHaveBeenCalledTimes(3);
    expect(result).toBe(why);
    expect(kinds().slice(-3)).toEqual(['tool_start', 'tool_ok', 'tool_denied']);
    expect(await verified()).toBe('closed');
  });

  it('runs exactly the cap of tools that are used at once', async () => {
    const { leash, held } = recordedLeash({ guards: [callCap(3)], stopOn: 'none' });
    const body = vi.fn(async () => 'x');
    let ends: UseEnd[] = [];
    await run({ hooks: leashHooks(leash) }, async (agent) => {
      ends = await agent.batch([0, 1, 2, 3, 4].map((i) => bash(i, { run: body })));
    });
    expect(ends.map(({ end }) => end)).toEqual(['ran', 'ran', 'ran', 'denied', 'denied']);
    expect(ends[4]?.stopReason).toBeUndefined();
    expect(body).toHaveBeenCalledTimes(3);
    expect(await held()).toBe('0');
  });

  it('holds inputs, costs and places, and lets Claude go on after a refusal that ends nothing', async () => {
    const { leash, spentUsd, held } = recordedLeash({
      guards: [args({}, { unchecked: ['WebFetch'] }), budget({ usd: 1 }), egress({ allow: ['docs.example'] })],
    });
    const hooks = leashHooks(leash, {
      costs: { Bash: ({ command }) => ({ usd: String(command).length / 100 }), WebFetch: 'free' },
      schemas: { Bash: z.object({ command: z.string().startsWith('ls') }) },
      urls: { WebFetch: ({ url }) => String(url) },
    });
    const fetch = (i: number, url: string): ToolUse => ({ name: 'WebFetch', input: { url }, id: `toolu_${i}` });
    const uses = [
      bash(0),
      bash(1, { input: { command: 'rm -r /' } }),
      fetch(2, 'https://docs.example/page'),
      fetch(3, 'https://elsewhere.example/?secret'),
    ];
    const ends = await loop({ hooks }, 4, (i) => uses[i] as ToolUse);
    expect(ends.map(({ end, stopReason }) => [end, stopReason])).toEqual([
      ['ran', undefined],
      ['denied', undefined],
      ['ran', undefined],
      ['denied', undefined],
    ]);
    expect(ends[1]?.told).toContain('arguments do not match the schema: /command');
    expect(ends[3]?.told).toContain('elsewhere.example');
    expect(ends[3]?.told).not.toContain('secret');
    expect([await spentUsd(), await held()]).toEqual(['0.04', '0']);
  });

  it('stops Claude at a tool that the leash cannot hold, and tells the developer what is missing', async () => {
    const { leash, kinds } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const body = vi.fn();
    const [end] = await loop({ hooks: leashHooks(leash) }, 1, (i) => bash(i, { run: body }));
    expect(end?.told).toBe('The leash could not decide on the call. Do not retry.');
    expect(end?.stopReason).toContain('leashkit: tool "Bash" has no `cost`, which guard "budget" needs');
    expect(body).not.toHaveBeenCalled();
    expect(kinds()).toEqual(['session_open']);
  });

  it('keeps the cost of a tool that failed', async () => {
    const { leash, events, spentUsd, held } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const hooks = leashHooks(leash, { costs: { Bash: '$0.25' } });
    const fails = bash(0, { run: () => Promise.reject(new Error('exit 1')) });
    expect(await loop({ hooks }, 1, () => fails)).toEqual([{ end: 'ran', told: 'Error: exit 1' }]);
    expect(events('tool_error')).toMatchObject([{ error: 'TOOL_FAILED', usd: '0.25' }]);
    expect([await spentUsd(), await held()]).toEqual(['0.25', '0']);
  });

  it('stops Claude after a tool that was under way when the session ended', async () => {
    const { leash, held } = recordedLeash({ guards: [callCap(9)] });
    const use = bash(0, {
      run: () => {
        leash.stop('enough');
        return 'finished';
      },
    });
    const ends = await loop({ hooks: leashHooks(leash) }, 9, () => use);
    expect(ends).toEqual([{ end: 'ran', told: '"finished"', stopReason: 'The session was stopped. Do not retry.' }]);
    expect(await held()).toBe('0');
  });

  /** What becomes of a call that was allowed and that nobody says has ended. */
  it.each([
    {
      name: 'Claude Code denied it',
      tell: (agent: ClaudeCode) => agent.hook('PermissionDenied', { tool_name: 'Bash', tool_use_id: 'toolu_0' }),
      spent: '0',
      error: 'RELEASED',
    },
    {
      name: 'its batch is over',
      tell: (agent: ClaudeCode) => agent.hook('PostToolBatch', { tool_calls: [{ tool_use_id: 'toolu_0' }, {}] }),
      spent: '0.25',
      error: 'UNREPORTED',
    },
    {
      name: 'the session of Claude Code is over',
      tell: (agent: ClaudeCode) => agent.hook('SessionEnd', { reason: 'other' }),
      spent: '0.25',
      error: 'UNREPORTED',
    },
    {
      name: 'another session of Claude Code is over, and then that of the leash',
      tell: async (agent: ClaudeCode, leash: Leash) => {
        await agent.hook('SessionEnd', { reason: 'other', session_id: 'session-2' });
        await agent.hook('PostToolUse', { tool_use_id: 'toolu_9', tool_response: 'of another' });
        expect((await leash.usage()).limits).toMatchObject([{ held: '0.25' }]);
        await leash.close();
      },
      spent: '0.25',
      error: 'FORFEITED',
    },
  ])('settles a call that has no end of its own once $name', async ({ tell, spent, error }) => {
    const { leash, events } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const hooks = leashHooks(leash, { costs: { Bash: '$0.25' } });
    await run({ hooks }, async (agent) => {
      await agent.hook('PreToolUse', { tool_name: 'Bash', tool_input: {}, tool_use_id: 'toolu_0' });
      await tell(agent, leash);
      // Too late to change anything.
      await agent.hook('PostToolUse', { tool_use_id: 'toolu_0', tool_response: 'done' });
    });
    expect((await leash.usage()).limits).toMatchObject([{ held: '0', spent }]);
    expect(events('tool_error')).toMatchObject([{ error }]);
    expect(events('tool_ok')).toEqual([]);
  });

  it('decides once on a call that it is asked about twice, and again on another input', async () => {
    const { leash, kinds } = recordedLeash({ guards: [callCap(1)] });
    const twice = leashHooks(leash, { hooks: leashHooks(leash) });
    expect(twice.PreToolUse).toHaveLength(2);
    const ends = await loop({ hooks: twice }, 2, (i) => bash(i));
    expect(ends.map(({ end }) => end)).toEqual(['ran', 'denied']);
    expect(kinds()).toEqual(['session_open', 'tool_start', 'tool_ok', 'tool_denied', 'tool_denied']);
  });

  it('runs hooks of your own beside its own, whatever they answer', async () => {
    const { leash } = recordedLeash({ guards: [callCap(1)] });
    const own = vi.fn(async () => ({
      continue: true,
      hookSpecificOutput: { hookEventName: 'PreToolUse' as const, permissionDecision: 'allow' as const },
    }));
    const stop = vi.fn(async () => ({}));
    const hooks = leashHooks(leash, {
      hooks: { PreToolUse: [{ matcher: 'Bash', hooks: [own] }], Stop: [{ hooks: [stop] }] },
    });
    const ends: UseEnd[] = [];
    await run({ hooks }, async (agent) => {
      for (let i = 0; i < 2; i++) ends.push(await agent.use(bash(i)));
      await agent.hook('Stop', {});
    });
    expect(ends.map(({ end }) => end)).toEqual(['ran', 'denied']);
    expect([own.mock.calls.length, stop.mock.calls.length]).toEqual([2, 1]);
  });

  it.each([
    { name: 'that knows no failing hooks', told: {}, says: /does not honor onFailure/ },
    {
      name: 'that has not registered them',
      told: { hook_on_failure_supported: true, hooks_applied: false },
      says: /did not register your hooks/,
    },
  ])('does not start a Claude Code $name', async ({ told, says }) => {
    const { leash } = recordedLeash({ guards: [] });
    const script = vi.fn(async () => {});
    const error = await caught(run({ hooks: leashHooks(leash) }, script, told));
    expect((error as Error | undefined)?.message).toMatch(says);
    expect(script).not.toHaveBeenCalled();
  });

  it('denies what it is told too little about', async () => {
    const { leash } = recordedLeash({ guards: [] });
    await run({ hooks: leashHooks(leash) }, async (agent) => {
      for (const input of [{}, { tool_name: 'Bash' }, { tool_use_id: 'toolu_1' }]) {
        const [output] = await agent.hook('PreToolUse', input);
        expect(output).toMatchObject({ continue: false, hookSpecificOutput: { permissionDecision: 'deny' } });
      }
    });
  });

  it('stops Claude when what a call came to cannot be booked', async () => {
    let rate: string | undefined = '0.25';
    const convert = () => ({ usd: rate as string });
    const { leash, spentUsd, held } = recordedLeash({ guards: [budget({ usd: 1 })], convert });
    const hooks = leashHooks(leash, { costs: { Bash: { sat: 500 } } });
    const use = bash(0, {
      run: () => {
        rate = undefined;
      },
    });
    const [end] = await loop({ hooks }, 1, () => use);
    expect(end).toMatchObject({ end: 'ran', stopReason: expect.stringContaining('`convert`') });
    expect([await spentUsd(), await held()]).toEqual(['0.25', '0']);
  });

  it('refuses at once what the leash cannot hold', () => {
    const { leash } = recordedLeash({ guards: [] });
    expect(() => leashHooks(leash, { schemas: { Bash: z.object({}) } })).toThrow(/`schema` that no guard/);
    expect(() => leashHooks(leash, { costs: { Bash: '$-1' } })).toThrow(RangeError);
    expect(() => leashHooks(leash, { cost: {} } as object)).toThrow(/unknown option `cost`/);
    expect(() => leashHooks(leash, { hooks: { PreToolUse: {} } })).toThrow(
      /`leashHooks.hooks.PreToolUse` must be an array/,
    );
    expect(() => leashHooks(leash, { hooks: null } as never)).toThrow(/matchers by event, got null/);
  });
});

describe('leashCanUseTool', () => {
  const asking = (i: number, more: Partial<ToolUse> = {}): ToolUse => bash(i, { asks: true, ...more });

  it('asks for what the leash allows, and for nothing that it would refuse; the call is reserved once', async () => {
    const { leash, kinds, held } = recordedLeash({ guards: [callCap(2), args({}, { unchecked: 'all' })] });
    const ask = vi.fn(allow);
    const options: Options = { hooks: leashHooks(leash), canUseTool: leashCanUseTool(leash, ask) };
    const ends = await loop(options, 9, asking);
    expect(ends.map(({ end }) => end)).toEqual(['ran', 'ran', 'denied']);
    expect(ask.mock.calls.map(([name, input, { toolUseID }]) => [name, input, toolUseID])).toEqual([
      ['Bash', { command: 'ls 0' }, 'toolu_0'],
      ['Bash', { command: 'ls 1' }, 'toolu_1'],
    ]);
    expect(kinds()).toEqual(['session_open', 'tool_start', 'tool_ok', 'tool_start', 'tool_ok', 'tool_denied']);
    expect(await held()).toBe('0');
  });

  it('gives back what the user denies', async () => {
    const { leash, events, spentUsd, held } = recordedLeash({ guards: [budget({ usd: '0.25' })] });
    const answers = [{ behavior: 'deny' as const, message: 'not that' }, { behavior: 'allow' as const }];
    const options: Options = {
      hooks: leashHooks(leash, { costs: { Bash: '$0.25' } }),
      canUseTool: leashCanUseTool(leash, async () => answers.shift() ?? null),
    };
    const ends = await loop(options, 2, asking);
    expect(ends).toEqual([
      { end: 'denied', told: 'not that' },
      { end: 'ran', told: '"done"' },
    ]);
    expect(events('tool_error')).toMatchObject([{ error: 'RELEASED' }]);
    expect([await spentUsd(), await held()]).toEqual(['0.25', '0']);
  });

  it('decides anew on an input that the user changes, as the one that the tool gets', async () => {
    const { leash, kinds, spentUsd } = recordedLeash({ guards: [budget({ usd: '0.30' }), args()], stopOn: 'none' });
    const changed = [
      { command: 'ls', cents: 30 },
      { command: 'rm', cents: 1 },
    ];
    const options: Options = {
      hooks: leashHooks(leash, {
        costs: { Bash: ({ cents = 20 }) => ({ usd: Number(cents) / 100 }) },
        schemas: { Bash: z.object({ command: z.string().startsWith('ls') }) },
      }),
      canUseTool: leashCanUseTool(leash, async () => ({ behavior: 'allow', updatedInput: changed.shift() ?? {} })),
    };
    const ran: unknown[] = [];
    const ends = await loop(options, 3, (i) =>
      asking(i, { input: i === 1 ? { command: 'ls', cents: 0 } : { command: 'ls' }, run: (input) => ran.push(input) }),
    );
    expect(ran).toEqual([{ command: 'ls', cents: 30 }]);
    expect(ends.map(({ end }) => end)).toEqual(['ran', 'denied', 'denied']);
    expect(ends[1]?.told).toContain('arguments do not match the schema: /command');
    expect(ends[2]?.told).toContain('has $0.00 left');
    expect(kinds().slice(0, 5)).toEqual(['session_open', 'tool_start', 'tool_error', 'tool_start', 'tool_ok']);
    expect(await spentUsd()).toBe('0.3');
  });

  it('denies and interrupts when the session ends while it asks, and the call counts for nothing', async () => {
    const { leash, spentUsd, held } = recordedLeash({ guards: [budget({ usd: 1 })] });
    const options: Options = {
      hooks: leashHooks(leash, { costs: { Bash: '$0.25' } }),
      canUseTool: leashCanUseTool(leash, async () => {
        leash.stop('enough');
        return { behavior: 'allow' };
      }),
    };
    const body = vi.fn();
    const ends = await loop(options, 9, (i) => asking(i, { run: body }));
    const why = 'The session was stopped. Do not retry.';
    expect(ends).toEqual([{ end: 'denied', told: why, stopReason: why }]);
    expect(body).not.toHaveBeenCalled();
    expect([await spentUsd(), await held()]).toEqual(['0', '0']);
  });

  it('holds alone, too, what Claude Code asks about; what it allows counts when the session closes', async () => {
    const { leash, events, spentUsd } = recordedLeash({ guards: [budget({ usd: '0.50' })] });
    const canUseTool = leashCanUseTool(leash, allow, { costs: { Bash: '$0.25' } });
    const ends = await loop({ canUseTool }, 9, asking);
    expect(ends.map(({ end }) => end)).toEqual(['ran', 'ran', 'denied']);
    expect(ends[2]?.stopReason).toContain('Do not retry.');
    expect(await leash.close()).toMatchObject({ usd: '0.5', calls: 2 });
    expect(events('tool_error').map(({ error }) => error)).toEqual(['FORFEITED', 'FORFEITED']);
    expect(await spentUsd()).toBe('0.5');
  });

  it("hands on what else comes: the asker's own error, an answer that is given elsewhere", async () => {
    const { leash } = recordedLeash({ guards: [] });
    const context = { signal: new AbortController().signal, toolUseID: 'toolu_0', requestId: 'r' };
    const fails: CanUseTool = leashCanUseTool(leash, async () => Promise.reject(new RangeError('nobody there')));
    expect(await caught(fails('Bash', {}, context))).toMatchObject({ message: 'nobody there' });
    const elsewhere: CanUseTool = leashCanUseTool(leash, async () => null);
    expect(await elsewhere('Bash', {}, context)).toBeNull();
    expect(await elsewhere('Bash', {}, {} as never)).toMatchObject({ behavior: 'deny', interrupt: true });
  });

  it('refuses at once what it cannot hold', () => {
    const { leash } = recordedLeash({ guards: [] });
    expect(() => leashCanUseTool(leash, undefined as never)).toThrow(/expects a `canUseTool` function, got undefined/);
    expect(() => leashCanUseTool(leash, allow, { urls: { Bash: () => 'https://a.example' } })).toThrow(/`url` that no/);
    expect(() => leashCanUseTool(leash, allow, { hooks: {} } as never)).toThrow(/unknown option `hooks`/);
  });
});

describe('leashTool', () => {
  it('holds a tool of an in-process server, and its handler runs inside the call', async () => {
    const { leash, kinds } = recordedLeash({ guards: [callCap(3)] });
    const seen: unknown[] = [];
    const search = tool('search', 'Searches.', { query: z.string() }, async ({ query: text }) => {
      seen.push([text, currentCall()?.tool]);
      return { content: [{ type: 'text', text }] };
    });
    const server = createSdkMcpServer({ name: 'local', tools: [leashTool(leash, search)] });
    const answers: unknown[] = [];
    await run({ mcpServers: { local: server } }, async (agent) => {
      const hello = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'cli', version: '1' } };
      await agent.mcp('local', { jsonrpc: '2.0', id: 0, method: 'initialize', params: hello });
      for (let i = 1; i <= 5; i++) {
        const params = { name: 'search', arguments: { query: `q${i}` } };
        answers.push(await agent.mcp('local', { jsonrpc: '2.0', id: i, method: 'tools/call', params }));
      }
    });
    expect(seen).toEqual([
      ['q1', 'search'],
      ['q2', 'search'],
      ['q3', 'search'],
    ]);
    expect(answers[2]).toMatchObject({ result: { content: [{ text: 'q3' }] } });
    expect(answers[3]).toMatchObject({
      result: { isError: true, content: [{ text: expect.stringContaining('the cap of 3 calls is reached') }] },
    });
    expect(kinds().slice(-2)).toEqual(['tool_denied', 'tool_denied']);
  });

  it('takes the options of a tool, and holds it once', async () => {
    const { leash } = recordedLeash({ guards: [budget({ usd: '0.05' })] });
    const pay = tool('pay', 'Pays.', { cents: z.number() }, async () => ({ content: [] }));
    expect(() => leashTool(leash, pay)).toThrow(/no `cost`, which guard "budget" needs/);
    expect(() => leashTool(leash, undefined as never)).toThrow(/expects a tool of `tool\(\)`, got undefined/);
    const held = leashTool(leash, pay, { cost: ({ cents }) => ({ usd: cents / 100 }) });
    expect(leashTool(leash, held)).toBe(held);
    expect(await caught(held.handler({ cents: 5 }, {}))).toBeUndefined();
    expect(await caught(held.handler({ cents: 1 }, {}))).toMatchObject({ code: 'BUDGET_EXCEEDED' });
  });
});
