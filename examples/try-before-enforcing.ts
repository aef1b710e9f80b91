// Trying limits out on live traffic first: nothing is refused, everything that would have been is in the log.
import { budget, createLeash, memorySink, rateLimit } from 'leashkit';

// #region observe
const log = memorySink();
const leash = createLeash({
  mode: 'observe',
  guards: [budget({ usd: '0.30' }), rateLimit({ max: 4, per: '1m' })],
  audit: log,
});
const search = leash.wrap('search', async (query: string) => query.length, { cost: '$0.10' });
for (let i = 0; i < 5; i++) await search('leads');
await leash.close();

for (const line of log.lines) {
  const { kind, code, observed } = JSON.parse(line);
  if (observed === 1) console.log(kind, code);
}
// #endregion

// Output:
// budget_denied BUDGET_EXCEEDED
// budget_denied BUDGET_EXCEEDED
// tool_denied RATE_LIMITED
