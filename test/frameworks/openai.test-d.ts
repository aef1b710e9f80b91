import type { Leash } from 'leashkit';
import { type InputOf, leashRunnable } from 'leashkit/openai';
import type OpenAI from 'openai';
import { zodFunction } from 'openai/helpers/zod';
import { z } from 'zod';
import { type Eq, expectType } from './helpers/eq.ts';

declare const leash: Leash;
declare const client: OpenAI;

const search = {
  type: 'function' as const,
  function: {
    name: 'search',
    description: 'searches',
    parameters: { type: 'object' },
    parse: JSON.parse as (text: string) => { query: string },
    function: async ({ query }: { query: string }) => ({ hits: [query] }),
  },
};
const text = {
  type: 'function' as const,
  function: { description: 's', parameters: {}, function: (input: string) => input.length },
};
const made = zodFunction({ name: 'made', parameters: z.object({ at: z.number() }), function: ({ at }) => at });

// The same type in and out, and into a run.
() => {
  const held = leashRunnable(leash, search, { cost: ({ query }) => ({ usd: query.length }) });
  expectType<Eq<typeof held, typeof search>>(true);
  expectType<Eq<InputOf<typeof search>, { query: string }>>(true);
  expectType<Eq<InputOf<typeof text>, string>>(true);
  expectType<Eq<InputOf<typeof made>, { at: number }>>(true);
  const heldText = leashRunnable(leash, text);
  expectType<Eq<typeof heldText, typeof text>>(true);
  const heldMade = leashRunnable(leash, made, { cost: ({ at }) => ({ usd: at }) });
  expectType<Eq<typeof heldMade, typeof made>>(true);
  const asking = { model: 'gpt-5', messages: [] };
  client.chat.completions.runTools({ ...asking, tools: [held] });
  client.chat.completions.runTools({ ...asking, tools: [heldText] });
  client.chat.completions.runTools({ ...asking, tools: [heldMade] });
  // @ts-expect-error: not of another type.
  expectType<Eq<typeof held, typeof text>>(true);
  // @ts-expect-error: the input has no cents.
  leashRunnable(leash, search, { cost: ({ cents }) => ({ usd: cents }) });
  // @ts-expect-error: no money.
  leashRunnable(leash, search, { cost: () => 5 });
  // @ts-expect-error: no such option.
  leashRunnable(leash, search, { costs: 'free' });
  // @ts-expect-error: a name is no tool.
  leashRunnable(leash, 'search');
};
