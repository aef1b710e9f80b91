import type Anthropic from '@anthropic-ai/sdk';
import { betaTool } from '@anthropic-ai/sdk/helpers/beta/json-schema';
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod';
import type { Leash } from 'leashkit';
import { leashRunnable } from 'leashkit/anthropic';
import { z } from 'zod';
import { type Eq, expectType } from './helpers/eq.ts';

declare const leash: Leash;
declare const client: Anthropic;

const search = betaZodTool({
  name: 'search',
  description: '',
  inputSchema: z.object({ query: z.string(), cents: z.number() }),
  run: ({ query }) => query,
});
const count = betaTool({
  name: 'count',
  description: '',
  inputSchema: { type: 'object', properties: { to: { type: 'number' } }, required: ['to'] },
  run: ({ to }) => String(to),
});

{
  const held = leashRunnable(leash, search, { cost: ({ cents }) => ({ usd: cents / 100 }) });
  expectType<Eq<typeof held, typeof search>>(true);
  const heldCount = leashRunnable(leash, count, {
    actualCost: (result) => ({ usd: Array.isArray(result) ? 1 : result.length }),
    url: ({ to }) => `https://${to}.example`,
  });
  expectType<Eq<typeof heldCount, typeof count>>(true);
  // @ts-expect-error: two tools of two types.
  expectType<Eq<typeof heldCount, typeof search>>(true);
  const request = { model: 'm', max_tokens: 1, messages: [] };
  void (() => client.beta.messages.toolRunner({ ...request, tools: [held, heldCount] }, { signal: leash.signal }));
  // @ts-expect-error: the input has no such member.
  leashRunnable(leash, search, { cost: ({ to }) => ({ usd: to }) });
  // @ts-expect-error: no tool that runs.
  leashRunnable(leash, { name: 'search', input_schema: {} });
}
