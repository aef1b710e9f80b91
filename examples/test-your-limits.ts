// A unit test of a leash, without a model, a framework or the network: the agent is a script that will not stop by itself.
// Here with node:test; expectDenied and the sink fail a test in any runner, and leashMatchers is for expect.extend.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { budget, callCap, createLeash, rateLimit, verifyLog } from 'leashkit';
import { expectDenied, fakeClock, recordingSink, runScriptedAgent } from 'leashkit/testing';

// #region loop
test('a looping agent searches three times', async () => {
  const audit = recordingSink();
  const leash = createLeash({ guards: [callCap(3)], audit });
  const search = leash.wrap('search', async ({ q }: { q: string }) => `nothing about ${q}`);

  const run = await runScriptedAgent({
    script: () => ({ tool: 'search', args: { q: 'the answer' } }),
    tools: { search },
    stopWhen: () => leash.breach !== undefined,
  });

  assert.deepEqual(run.trace, [
    '1 search ran',
    '2 search ran',
    '3 search ran',
    '4 search refused: CALL_CAP_REACHED',
    'stopped after 4 steps',
  ]);
  audit.expectRan('search', 3);
  audit.expectDenied('CALL_CAP_REACHED', { tool: 'search', times: 1 });
  await leash.close();
  assert.equal((await verifyLog(audit, { requireClosed: true })).ok, true);
});
// #endregion

test('the budget is not overspent, however the calls come', async () => {
  const leash = createLeash({ guards: [budget({ usd: 1 })] });
  const pay = leash.wrap('pay', async (cents: number) => cents, { cost: (cents) => ({ usd: cents / 100 }) });
  await pay(60);
  const { remaining } = await expectDenied(pay(60), 'BUDGET_EXCEEDED', { tool: 'pay', reason: 'exhausted' });
  assert.equal(remaining, '0.4');
});

test('there is room again when the refusal said so', async () => {
  const clock = fakeClock();
  const leash = createLeash({ guards: [rateLimit({ max: 1, per: '1m' })], clock });
  const mail = leash.wrap('mail', async () => 'sent');
  await mail();
  const { retryAfterMs = 0 } = await expectDenied(mail(), 'RATE_LIMITED');
  clock.advance(retryAfterMs);
  assert.equal(await mail(), 'sent');
});

// Output:
// ✔ a looping agent searches three times (…ms)
// ✔ the budget is not overspent, however the calls come (…ms)
// ✔ there is room again when the refusal said so (…ms)
// ℹ tests 3
// ℹ suites 0
// ℹ pass 3
// ℹ fail 0
// ℹ cancelled 0
// ℹ skipped 0
// ℹ todo 0
// ℹ duration_ms …
