// An AI SDK agent whose tools call a real HTTP server. Its model is scripted to misbehave: every guard refuses it once,
// and the budget ends the run. No network, no key: `npm run demo`.
import { mkdtempSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateText, isStepCount, jsonSchema, tool } from 'ai';
import { MockLanguageModelV4 } from 'ai/test';
import { budget, callCap, createLeash, egress, fileSink, findLeashError, rateLimit, type ToolOptions } from 'leashkit';
import { jsonSchemaArgs } from 'leashkit/ajv';

const shop = createServer((request, response) => {
  // What a compromised page does: it sends the agent on to a host of its own.
  if (request.url === '/deals') response.writeHead(302, { location: 'http://collector.example/?steal=cookies' });
  response.end(JSON.stringify({ path: request.url, stock: 3 }));
});
await new Promise<void>((ready) => shop.listen(0, '127.0.0.1', ready));
const origin = `http://127.0.0.1:${(shop.address() as AddressInfo).port}`;
const log = join(mkdtempSync(join(tmpdir(), 'leashkit-')), 'audit.jsonl');

// #region leash
const leash = createLeash({
  agent: 'shopper',
  guards: [
    jsonSchemaArgs(),
    egress({ allow: [origin] }),
    rateLimit({ max: 3, per: '1m', tools: ['browse'] }),
    callCap({ max: 1, tools: ['mail'] }),
    budget({ usd: 50 }),
  ],
  stopOn: ['BUDGET_EXCEEDED'],
  audit: fileSink(log),
});
// #endregion

type Input = { path?: string; item?: string; cents?: number };
type Cost = NonNullable<ToolOptions<[Input]>['cost']>;
const call = async (path: string): Promise<unknown> => (await leash.fetch(`${origin}${path}`)).json();
const object = (properties: Record<string, object>): Record<string, unknown> => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});
const schemas = {
  browse: object({ path: { type: 'string' } }),
  buy: object({ item: { type: 'string' }, cents: { type: 'integer', minimum: 1 } }),
  mail: object({ item: { type: 'string' } }),
};

// #region tools
const tools = {
  browse: guarded('browse', '$0.01', ({ path }) => call(path ?? '/')),
  buy: guarded(
    'buy',
    ({ cents = 0 }) => `$${cents / 100}` as const,
    ({ item }) => call(`/buy/${item}`),
  ),
  mail: guarded('mail', 'free', ({ item }) => call(`/mail/${item}`)),
};

function guarded(name: keyof typeof schemas, cost: Cost, run: (input: Input) => Promise<unknown>) {
  const execute = leash.wrap(name, run, { schema: schemas[name], cost });
  // The model's schema is loose on purpose: what the model sends is checked by the leash.
  return tool({ inputSchema: jsonSchema<Input>({ type: 'object' }), execute: (input) => shown(name, input, execute) });
}
// #endregion

const script: [tool: keyof typeof tools, input: object][] = [
  ['browse', { path: '/catalogue' }],
  ['buy', { item: 'lamp', cents: 'forty' }],
  ['buy', { item: 'lamp', cents: 4000 }],
  ['browse', { path: '/deals' }],
  ['mail', { item: 'receipt' }],
  ['mail', { item: 'receipt' }],
  ['browse', { path: '/more' }],
  ['browse', { path: '/even-more' }],
  ['buy', { item: 'chair', cents: 2000 }],
  ['browse', { path: '/never-reached' }],
];
let step = 0;
const model = new MockLanguageModelV4({
  doGenerate: async () => {
    const [toolName, input] = script[step++] ?? ['browse', { path: '/' }];
    return {
      content: [{ type: 'tool-call', toolCallId: `call-${step}`, toolName, input: JSON.stringify(input) }],
      finishReason: { unified: 'tool-calls', raw: undefined },
      usage: {
        inputTokens: { total: 100, noCache: 100, cacheRead: 0, cacheWrite: 0 },
        outputTokens: { total: 20, text: 20, reasoning: 0 },
      },
      warnings: [],
    };
  },
});

row('call', 'decision', 'why', 'spent', 'left');
// #region run
const result = await generateText({
  model,
  tools,
  prompt: 'Furnish my flat.',
  abortSignal: leash.signal,
  stopWhen: [isStepCount(20), () => leash.breach !== undefined],
}).catch(() => undefined);
// #endregion
const { calls, denied } = await leash.close();
shop.close();

console.log(`\nstopped: ${leash.breach?.message}`);
console.log(`steps ${result?.steps.length ?? step}, calls ${calls}, refused ${denied}`);
console.log(`audit log: ${log} (${readFileSync(log, 'utf8').trimEnd().split('\n').length} lines)`);

/** Runs one call and prints what became of it. */
async function shown(name: string, input: Input, execute: (input: Input) => Promise<unknown>): Promise<unknown> {
  let decision = 'ran';
  let why = '';
  try {
    return await execute(input);
  } catch (error) {
    const refusal = findLeashError(error);
    decision = 'refused';
    why = refusal === undefined ? String(error) : `${refusal.code} ${detail(refusal)}`;
    throw error;
  } finally {
    const { limits } = await leash.usage();
    const usd = limits.find(({ unit }) => unit === 'usd');
    row(`${name} ${input.path ?? input.item ?? ''}`, decision, why, `$${usd?.spent}`, `$${usd?.remaining}`);
  }
}

function detail(refusal: object): string {
  const { reason, issues } = refusal as { reason?: string; issues?: { path: string; rule: string }[] };
  return issues?.map(({ path, rule }) => `${path} ${rule}`).join(', ') ?? reason ?? '';
}

function row(...cells: [string, string, string, string, string]): void {
  const widths = [20, 10, 38, 8, 8];
  console.log(
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join(' ')
      .trimEnd(),
  );
}

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
// steps 9, calls 5, refused 5
// audit log: …
