import { type CanUseTool, createSdkMcpServer, type Options, tool } from '@anthropic-ai/claude-agent-sdk';
import type { Leash } from 'leashkit';
import { leashCanUseTool, leashHooks, leashTool } from 'leashkit/claude-agent-sdk';
import { z } from 'zod';
import { type Eq, expectType } from './helpers/eq.ts';

declare const leash: Leash;
declare const ask: CanUseTool;

// Hooks are those of the options, with or without hooks of one's own.
{
  const own: Options['hooks'] & {} = { Stop: [{ hooks: [async () => ({})] }] };
  const options: Options = {
    hooks: leashHooks(leash, { hooks: own, costs: { Bash: '$0.01', WebFetch: ({ url }) => `$${url}` } }),
    canUseTool: leashCanUseTool(leash, ask),
  };
  void options;
  void ({ hooks: leashHooks(leash) } satisfies Options);
  void ({
    hooks: leashHooks(leash, {
      hooks: {
        PreToolUse: [{ matcher: 'Bash', hooks: [async () => ({ continue: true }) as const] }],
      },
    }),
  } satisfies Options);
  // @ts-expect-error: no event of Claude Code.
  void ({ hooks: { ...leashHooks(leash), BeforeToolUse: [] } } satisfies Options);
  // @ts-expect-error: a cost is money.
  leashHooks(leash, { costs: { Bash: true } });
  // @ts-expect-error: a hook is no list of matchers.
  void ({ hooks: leashHooks(leash, { hooks: { Stop: async () => ({}) } }) } satisfies Options);
}

// The same type in and out.
{
  const held = leashCanUseTool(leash, ask, { costs: { Bash: 'free' } });
  expectType<Eq<typeof held, CanUseTool>>(true);
  // @ts-expect-error: hooks are not for permissions.
  leashCanUseTool(leash, ask, { hooks: {} });
  // @ts-expect-error: no function.
  leashCanUseTool(leash, 'allow');

  const search = tool('search', 'Searches.', { query: z.string(), pages: z.number().optional() }, async () => ({
    content: [],
  }));
  const heldTool = leashTool(leash, search, {
    cost: ({ query, pages = 1 }) => {
      expectType<Eq<typeof query, string>>(true);
      return { usd: pages / 100 };
    },
  });
  expectType<Eq<typeof heldTool, typeof search>>(true);
  void createSdkMcpServer({ name: 'local', tools: [heldTool, leashTool(leash, search)] });
  // @ts-expect-error: the input has no such member.
  leashTool(leash, search, { cost: ({ cents }) => ({ usd: cents }) });
  // @ts-expect-error: no tool.
  leashTool(leash, { name: 'search' });
}
