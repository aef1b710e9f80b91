// An agent that goes in circles: a burst is told to wait, a cap on the tool ends the run, and the loop hears of it.
import { callCap, createLeash, findLeashError, rateLimit } from 'leashkit';

type ToolCall = { tool: 'open'; page: number } | { tool: 'search'; query: string };
let requests = 0;

// #region loop
const leash = createLeash({
  guards: [rateLimit({ max: 3, per: '1m', tools: ['open'] }), callCap({ max: 3, tools: ['search'] })],
});
const tools = {
  open: leash.wrap('open', async ({ page }: { page: number }) => `page ${page}`),
  search: leash.wrap('search', async ({ query }: { query: string }) => `nothing about ${query}`),
};

while (!leash.signal.aborted) {
  const asked = await model({ abortSignal: leash.signal }); // a request that is under way is aborted too
  await Promise.all(asked.map(async (call) => console.log(await answer(call).catch(told))));
}
console.log(`over: ${leash.breach?.code}`);
// #endregion
await leash.close();

function answer(call: ToolCall): Promise<string> {
  return call.tool === 'open' ? tools.open(call) : tools.search(call);
}

/** What the model is given in place of a result: it reads why, and goes on. */
function told(error: unknown): string {
  return findLeashError(error)?.message ?? 'failed';
}

/** In place of a provider: it opens four pages at once, and then asks the same thing for ever. */
async function model({ abortSignal }: { abortSignal: AbortSignal }): Promise<ToolCall[]> {
  abortSignal.throwIfAborted();
  requests++;
  if (requests === 1) return [1, 2, 3, 4].map((page) => ({ tool: 'open', page }));
  return [{ tool: 'search', query: 'the answer' }];
}

// Output:
// Tool "open" was refused: the rate limit of 3 calls is used up. Wait …
// page 1
// page 2
// page 3
// nothing about the answer
// nothing about the answer
// nothing about the answer
// Tool "search" was refused: the cap of 3 calls is reached. Do not retry.
// over: CALL_CAP_REACHED
