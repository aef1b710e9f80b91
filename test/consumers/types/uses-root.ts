import { budget, callCap, createLeash, egress, isLeashError, type Leash, memoryStore, rateLimit } from 'leashkit';
import { leashModel, leashStop, leashTools } from 'leashkit/ai-sdk';

const guards = [budget({ usd: 5 }), callCap(50), rateLimit({ max: 10, per: '1m' }), egress({ allow: ['example.com'] })];
const leash: Leash = createLeash({ guards, store: memoryStore() });
const charge = leash.wrap('charge', async (input: { cents: number }) => input.cents, {
  cost: ({ cents }) => ({ usd: cents / 100 }),
});
const paid: Promise<number> = charge({ cents: 18 });
paid.catch((error: unknown) => isLeashError(error) && error.code);

const search = { execute: async (input: { query: string }) => input.query };
const held: { search: typeof search } = leashTools(
  leash,
  { search },
  { costs: { search: ({ query }) => ({ usd: query.length }) } },
);
const stop: () => boolean = leashStop(leash);

export { held, leashModel, stop };
