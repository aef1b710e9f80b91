import { createLeash } from 'leashkit';
import { type Isolated, isolated } from 'leashkit/isolated';
import { leashTools as leashChainTools, leashMiddleware } from 'leashkit/langchain';
import { leashRunnable } from 'leashkit/openai';
import { leashModel, leashTools } from 'leashkit/openai-agents';
import { postgresMigration, postgresStore } from 'leashkit/postgres';
import { fromGenaiPrices, normalizeUsage, type Price, priceTable } from 'leashkit/prices';
import { fromNodeRedis, redisStore } from 'leashkit/redis';
import { expectDenied, fakeClock, leashMatchers, recordingSink, runScriptedAgent } from 'leashkit/testing';

const audit = recordingSink();
const leash = createLeash({ guards: [], audit, clock: fakeClock({ now: 0 }) });
const search = leash.wrap('search', async (input: { q: string }) => input.q);
void runScriptedAgent({ script: [{ tool: 'search' }], tools: { search }, signal: leash.signal });
expectDenied(search({ q: 'a' }), 'BUDGET_EXCEEDED').then(({ remaining }) => remaining.length);
leashMatchers.toHaveRan(audit, 'search', 1);
const listed: Price = fromGenaiPrices(() => null, { aliases: { a: 'b' } });
const price: Price = (usage, model) =>
  priceTable({ m: { inputPerMTok: 1, outputPerMTok: '2' } })(usage, model) ?? listed(usage, model);
leashMiddleware(leash, { price, onBreach: 'throw' });
const [chained] = leashChainTools(leash, [{ name: 'search', func: (input: { q: string }) => input.q }]);
chained.func({ q: 'a' });
leashTools(leash, [{ name: 'search' }], { costs: { search: (input: { q: string }) => ({ usd: input.q.length }) } });
const model = { getResponse: async () => 1, async *getStreamedResponse() {} };
leashModel(leash, model, price, { modelId: 'm' }).getResponse();
leashRunnable(
  leash,
  { type: 'function', function: { function: (input: { q: string }) => input.q } },
  { cost: ({ q }) => ({ usd: q.length }) },
);
declare const tools: Isolated<{ add(a: number, b: number): number; name: string }>;
const sum: Promise<number> = tools.exports.add(1, 2);
void sum.then(() => tools.close());
isolated('/tools.js', { leash }).then(({ exports }) => exports['search']?.('q'));
const usage = normalizeUsage({});
if (usage !== undefined) price(usage, { modelId: 'm' });
createLeash({
  guards: [],
  store: postgresStore({ client: { query: async (text, values) => ({ rows: [text, ...values] }) } }),
});
postgresMigration({ schema: 'leash' }).length;
createLeash({
  guards: [],
  store: redisStore({ client: fromNodeRedis({ evalSha: async () => 1, eval: async () => 1 }), prefix: 'fleet' }),
});
