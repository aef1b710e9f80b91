/** Run by node:test in a process of its own: what passes, and what a test that fails says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callCap } from '../../src/guards/call-cap.ts';
import { createLeash } from '../../src/leash.ts';
import { expectDenied, fakeClock, recordingSink, runScriptedAgent } from '../../src/testing/index.ts';

function session() {
  const audit = recordingSink();
  const leash = createLeash({ guards: [callCap(2)], audit, clock: fakeClock() });
  const tools = { search: leash.wrap('search', ({ q }: { readonly q: string }) => q) };
  return { audit, leash, tools };
}
const script = () => ({ tool: 'search', args: { q: 'again' } });

test('an agent in a loop is stopped', async () => {
  const { audit, leash, tools } = session();
  const denied = await expectDenied(runScriptedAgent({ script, tools, signal: leash.signal }), 'CALL_CAP_REACHED', {
    tool: 'search',
    guard: 'call-cap',
  });
  assert.equal(denied.cap, 2);
  audit.expectRan('search', 2);
  audit.expectDenied('CALL_CAP_REACHED', { times: 1 });
  assert.equal(audit.events[0]?.ts, '2026-01-01T12:00:00.000Z');
});

test('a call that ran fails the test', async () => {
  await expectDenied(session().tools.search({ q: 'a' }), 'BUDGET_EXCEEDED');
});

test('another refusal fails the test', async () => {
  const { tools } = session();
  await tools.search({ q: 'a' });
  await tools.search({ q: 'b' });
  await expectDenied(tools.search({ q: 'c' }), 'CALL_CAP_REACHED', { tool: 'pay' });
});

test('a log without the refusal fails the test', async () => {
  const { audit, tools } = session();
  await tools.search({ q: 'a' });
  audit.expectDenied('CALL_CAP_REACHED', { tool: 'search' });
});
