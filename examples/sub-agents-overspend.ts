// Sub-agents with budgets of their own that all draw on one parent: a fan-out cannot spend more than the parent has.
import { budget, callCap, createLeash } from 'leashkit';

// #region children
const parent = createLeash({ guards: [budget({ usd: 1 })] });
const workers = [1, 2, 3, 4].map((n) =>
  parent.child({ agent: `worker-${n}`, guards: [budget({ usd: '0.40' }), callCap(10)] }),
);

for (const worker of workers) {
  const search = worker.wrap('search', async (query: string) => `results for ${query}`, { cost: '$0.20' });
  const runs = await Promise.allSettled([search('a'), search('b'), search('c')]);
  const ran = runs.filter(({ status }) => status === 'fulfilled').length;
  console.log(`${ran} ran, then: ${worker.breach?.code ?? 'nothing refused'}`);
}
console.log(`spent in all: $${(await parent.usage()).limits[0]?.spent}`);
// #endregion
await parent.close();

// Output:
// 2 ran, then: BUDGET_EXCEEDED
// 2 ran, then: BUDGET_EXCEEDED
// 1 ran, then: BUDGET_EXCEEDED
// 0 ran, then: BUDGET_EXCEEDED
// spent in all: $1
