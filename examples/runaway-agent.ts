// An AI SDK agent whose tools call a real HTTP server. Its model is scripted to misbehave: every guard refuses it once,
// and the budget ends the run. No network, no key: `npm run demo`.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateText, isStepCount } from 'ai';
import { budget, callCap, createLeash, egress, fileSink, rateLimit, verifyLog } from 'leashkit';
import { jsonSchemaArgs } from 'leashkit/ajv';
import { misbehavingModel } from './runaway-agent/model.ts';
import { openShop } from './runaway-agent/shop.ts';
import { printing } from './runaway-agent/table.ts';

const shop = await openShop();
const log = join(mkdtempSync(join(tmpdir(), 'leashkit-')), 'audit.jsonl');
const get = async (path: string): Promise<unknown> => (await fetch(`${shop.origin}${path}`)).json();
const object = (properties: object): object => ({ type: 'object', properties, required: Object.keys(properties) });
const text = { type: 'string' };
const cents = { type: 'integer', minimum: 1 };
type Page = { path: string };
type Order = { item: string; cents: number };
type Mail = { item: string };

// #region leash
const leash = createLeash({
  agent: 'shopper',
  guards: [
    jsonSchemaArgs(),
    egress({ allow: [shop.origin] }),
    rateLimit({ max: 3, per: '1m', tools: ['browse'] }),
    callCap({ max: 1, tools: ['mail'] }),
    budget({ usd: 50 }),
  ],
  stopOn: ['BUDGET_EXCEEDED'],
  audit: fileSink(log),
});
// #endregion

const tools = printing(leash, {
  browse: leash.wrap('browse', ({ path }: Page) => get(path), { schema: object({ path: text }), cost: '$0.01' }),
  buy: leash.wrap('buy', ({ item }: Order) => get(`/buy/${item}`), {
    schema: object({ item: text, cents }),
    cost: (order) => ({ usd: order.cents / 100 }),
  }),
  mail: leash.wrap('mail', ({ item }: Mail) => get(`/mail/${item}`), { schema: object({ item: text }), cost: 'free' }),
});

// #region run
await generateText({
  model: misbehavingModel(),
  tools,
  prompt: 'Furnish my flat.',
  abortSignal: leash.signal,
  stopWhen: [isStepCount(20), () => leash.breach !== undefined],
}).catch(() => {}); // the abort may come first
// #endregion

const { calls, denied } = await leash.close();
shop.close();
const { ok, state } = await verifyLog(log, { requireClosed: true });
console.log(`\nstopped: ${leash.breach?.message}`);
console.log(`${calls} calls, ${denied} refused`);
console.log(`audit log: ${log} (${state}, ${ok ? 'verified' : 'not verified'})`);

// Output:
// call                 decision   why                                    spent    left
// browse /catalogue    ran                                               $0.01    $49.99
// buy lamp             refused    ARGS_INVALID /cents type               $0.01    $49.99
// buy lamp             ran                                               $40.01   $9.99
// browse /deals        refused    EGRESS_DENIED host-not-allowed         $40.02   $9.98
// mail receipt         ran                                               $40.02   $9.98
// mail receipt         refused    CALL_CAP_REACHED exhausted             $40.02   $9.98
// browse /more         ran                                               $40.03   $9.97
// browse /even-more    refused    RATE_LIMITED exhausted                 $40.03   $9.97
// buy chair            refused    BUDGET_EXCEEDED exhausted              $40.03   $9.97
//
// stopped: Tool "buy" was refused: it needs $20.00 and the budget of $50.00 has $9.97 left. Do not retry.
// 5 calls, 5 refused
// audit log: … (closed, verified)
