import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LeashModelOptions, leashLanguageModel } from '../../../src/adapters/framework/language-model.ts';
import { promptBound } from '../../../src/adapters/framework/prompt-bound.ts';
import { type MemorySink, memorySink } from '../../../src/audit/memory-sink.ts';
import type { Guard } from '../../../src/guard.ts';
import { budget } from '../../../src/guards/budget.ts';
import { callCap } from '../../../src/guards/call-cap.ts';
import { createLeash } from '../../../src/leash.ts';
import type { Leash } from '../../../src/leash-contract.ts';
import type { LeashOptions } from '../../../src/leash-options.ts';
import type { Price } from '../../../src/prices/price.ts';
import { priceTable } from '../../../src/prices/price-table.ts';
import type { TokenUsage } from '../../../src/prices/token-usage.ts';
import type { Store } from '../../../src/stores/store.ts';
import { FakeModel, type ModelRequest, promptOf, tokens } from '../../helpers/language-model.ts';
import { lateStore } from '../../helpers/late-store.ts';
import { rejection } from '../../helpers/refused.ts';
import { storeWith } from '../../helpers/store-around.ts';

/** A dollar for a million tokens of the prompt, ten for the answer, a tenth and a quarter more for the cache. */
const price: Price = ({ inputTokens, outputTokens, cacheReadTokens = 0, cacheWriteTokens = 0 }) => {
  const plain = inputTokens - cacheReadTokens - cacheWriteTokens;
  return { usd: (plain + cacheReadTokens * 0.1 + cacheWriteTokens * 1.25 + outputTokens * 10) / 1e6 };
};
const ask = promptOf('What is a leash?');
const bound = promptBound(ask);

function leashOf(guards: readonly Guard[], options: Partial<LeashOptions> = {}): { leash: Leash; sink: MemorySink } {
  const sink = memorySink();
  return { leash: createLeash({ guards, audit: { sink, sign: 'none' }, ...options }), sink };
}

const usd = async (leash: Leash): Promise<{ spent: string | number; held: string | number }> => {
  const limit = (await leash.usage()).limits.find(({ unit }) => unit === 'usd');
  return { spent: limit?.spent ?? '', held: limit?.held ?? '' };
};

const eventsOf = ({ lines }: MemorySink): Record<string, unknown>[] => lines.slice(1).map((line) => JSON.parse(line));

function held(
  leash: Leash,
  answer: (request: ModelRequest) => unknown,
  { parts = {}, ...options }: LeashModelOptions & { parts?: { specificationVersion?: string; provider?: string } } = {},
): { model: FakeModel; raw: FakeModel } {
  const raw = new FakeModel(answer, parts);
  return { raw, model: leashLanguageModel(leash, raw, price, options) };
}

describe('a request to a held model', () => {
  it('holds the most that it can cost, and books what it did', async () => {
    const { leash, sink } = leashOf([budget({ usd: 1 })]);
    let during = {};
    const { model, raw } = held(leash, async () => {
      during = await usd(leash);
      return { usage: tokens(12, 30), text: 'a strap' };
    });
    expect(await model.doGenerate({ ...ask, maxOutputTokens: 100 })).toMatchObject({ text: 'a strap' });
    // The prompt as if it went to the cache, one token a byte, and all of the answer that was asked for.
    expect(during).toEqual({ spent: '0', held: String((bound * 1.25 + 1000) / 1e6) });
    expect(await usd(leash)).toEqual({ spent: '0.000312', held: '0' });
    expect(raw.requests).toMatchObject([{ ...ask, maxOutputTokens: 100 }]);
    expect(eventsOf(sink)).toMatchObject([{ kind: 'charge', note: 'fake.chat/fake-1', usd: '0.000312' }]);
  });

  it('asks for no more output than the budgets still buy', async () => {
    const { leash } = leashOf([budget({ usd: '0.01' })]);
    const { model, raw } = held(leash, ({ maxOutputTokens = 0 }) => ({ usage: tokens(bound, maxOutputTokens) }));
    await model.doGenerate({ ...ask, maxOutputTokens: 5000 });
    const [{ maxOutputTokens } = {}] = raw.requests;
    expect(maxOutputTokens).toBe(Math.floor((10_000 - bound * 1.25) / 10));
    expect(await rejection(model.doGenerate(ask))).toMatchObject({ code: 'BUDGET_EXCEEDED', tool: 'leash.hold' });
    expect(raw.requests).toHaveLength(1);
  });

  it.each([
    { name: 'the smallest of several budgets', guards: [budget({ usd: 1 }), budget({ usd: '0.002', per: 'day' })] },
    { name: 'a cap on each call', guards: [budget({ usd: 1 }), budget({ usd: '0.002', per: 'call' })] },
    {
      name: 'a budget beside those of some tools',
      guards: [budget({ usd: 0, tools: ['t'] }), budget({ usd: '0.002' })],
    },
  ])('fits into $name', async ({ guards }) => {
    const { leash } = leashOf(guards);
    const { model, raw } = held(leash, () => ({ usage: tokens(1, 1) }));
    await model.doGenerate(ask);
    expect(raw.requests[0]?.maxOutputTokens).toBe(Math.floor((2000 - bound * 1.25) / 10));
  });

  it.each([
    { name: 'smaller', maxOutputTokens: 100 },
    { name: 'none', maxOutputTokens: undefined },
  ])('has a limit that its provider takes before the other, which is $name', async ({ maxOutputTokens }) => {
    const { leash } = leashOf([budget({ usd: '0.002' })]);
    const { model, raw } = held(leash, () => ({ usage: tokens(1, 1) }));
    const providerOptions = { openai: { maxCompletionTokens: 100_000, store: false }, other: { n: 1 } };
    await model.doGenerate({ ...ask, maxOutputTokens, providerOptions });
    const [sent] = raw.requests;
    expect(sent?.providerOptions).toEqual({ openai: { store: false }, other: { n: 1 } });
    expect(sent?.maxOutputTokens).toBeGreaterThan(100);
    expect(sent?.maxOutputTokens).toBeLessThan(200);
  });

  it('is cut down to more than its reasoning within the limit, which stays', async () => {
    const { leash } = leashOf([budget({ usd: '0.004' })]);
    const { model, raw } = held(leash, () => ({ usage: tokens(1, 1) }));
    const asking = (max_tokens: number) => ({ ...ask, providerOptions: { fake: { reasoning: { max_tokens } } } });
    await model.doGenerate(asking(300));
    expect(raw.requests).toMatchObject([asking(300)]);
    expect(raw.requests[0]?.maxOutputTokens).toBeGreaterThan(330);
    expect(await rejection(model.doGenerate(asking(500)))).toMatchObject({ code: 'BUDGET_EXCEEDED' });
    expect(raw.requests).toHaveLength(1);
  });

  it('keeps the limit of its provider where nothing limits it', async () => {
    const { leash } = leashOf([callCap(5)]);
    const { model, raw } = held(leash, () => ({ usage: tokens(1, 1) }));
    const request = { ...ask, maxOutputTokens: 5, providerOptions: { openai: { maxCompletionTokens: 6 } } };
    await model.doGenerate(request);
    expect(raw.requests).toMatchObject([request]);
  });

  it('fits into what an ancestor has left', async () => {
    const { leash } = leashOf([budget({ usd: '0.002' })]);
    const { model, raw } = held(leash.child({ guards: [budget({ usd: 1 })] }), () => ({ usage: tokens(1, 1) }));
    await model.doGenerate(ask);
    expect(raw.requests[0]?.maxOutputTokens).toBe(Math.floor((2000 - bound * 1.25) / 10));
  });

  it('fits into a budget in sats', async () => {
    const { leash } = leashOf([budget({ sat: 400 }), budget({ usd: 1 })]);
    const raw = new FakeModel(() => ({ usage: tokens(1, 1) }));
    const model = leashLanguageModel(leash, raw, ({ outputTokens }) => ({ sat: outputTokens, usd: '0.001' }));
    await model.doGenerate(ask);
    expect(raw.requests[0]?.maxOutputTokens).toBe(400);
  });

  it('is held for what a price knows, where it knows nothing of caches', async () => {
    const { leash } = leashOf([budget({ usd: 1 })]);
    const plain = priceTable({ 'fake-1': { inputPerMTok: 1, outputPerMTok: 10 } });
    const raw = new FakeModel(() => ({ usage: tokens(12, 30) }));
    let during = {};
    const model = leashLanguageModel(leash, raw, (usage, of) => {
      during = { ...during, [JSON.stringify(Object.keys(usage))]: plain(usage, of) };
      return plain(usage, of);
    });
    await model.doGenerate({ ...ask, maxOutputTokens: 100 });
    expect(await usd(leash)).toEqual({ spent: '0.000312', held: '0' });
    expect(during).toMatchObject({ '["inputTokens","outputTokens","cacheWriteTokens"]': undefined });
  });

  it.each([
    { name: 'no budget', guards: [callCap(5)], options: {} },
    { name: 'budgets of tools alone', guards: [budget({ usd: 0, tools: ['t'] })], options: {} },
    { name: 'a leash that only observes', guards: [budget({ usd: 0 })], options: { mode: 'observe' as const } },
  ])('is sent as it is under $name', async ({ guards, options }) => {
    const { leash, sink } = leashOf(guards, options);
    const { model, raw } = held(leash, () => ({ usage: tokens(12, 30) }));
    await model.doGenerate(ask);
    await model.doGenerate({ ...ask, maxOutputTokens: 9000 });
    expect(raw.requests.map(({ maxOutputTokens }) => maxOutputTokens)).toEqual([undefined, 9000]);
    expect(eventsOf(sink).filter(({ kind }) => kind === 'charge')).toMatchObject([
      { usd: '0.000312' },
      { usd: '0.000312' },
    ]);
  });

  it.each([
    { asked: undefined, options: {}, sent: 4096 },
    { asked: undefined, options: { maxOutputTokens: 9 }, sent: 9 },
    { asked: 7, options: { maxOutputTokens: 9 }, sent: 7 },
    { asked: 77, options: { maxOutputTokens: 9 }, sent: 77 },
  ])('that asks for $asked tokens gets $sent under a budget with $options', async ({ asked, options, sent }) => {
    const { leash } = leashOf([budget({ usd: 1 })]);
    const { model, raw } = held(leash, () => ({ usage: tokens(1, 1) }), options);
    await model.doGenerate({ ...ask, maxOutputTokens: asked });
    expect(raw.requests[0]?.maxOutputTokens).toBe(sent);
  });

  it.each([
    { name: 'a hundred tokens fit to the last cent', room: 100, asked: 500, sent: 100 },
    { name: '16 tokens still fit', room: 16, asked: 500, sent: 16 },
    { name: 'fewer than 16 fit', room: 15, asked: 500, sent: undefined },
    { name: 'all that is asked for fits', room: 3, asked: 3, sent: 3 },
    { name: 'not even what is asked for fits', room: 2, asked: 3, sent: undefined },
  ])('where $name', async ({ room, asked, sent }) => {
    const { leash } = leashOf([budget({ usd: String((bound * 1.25 + room * 10) / 1e6) })]);
    const { model, raw } = held(leash, () => ({ usage: tokens(1, 1) }));
    const answered = await model.doGenerate({ ...ask, maxOutputTokens: asked }).catch((error: unknown) => error);
    if (sent === undefined) {
      const requested = String((bound * 1.25 + Math.min(asked, 16) * 10) / 1e6);
      expect(answered).toMatchObject({ code: 'BUDGET_EXCEEDED', requested });
    }
    expect(raw.requests.map(({ maxOutputTokens }) => maxOutputTokens)).toEqual(sent === undefined ? [] : [sent]);
  });

  it('never spends more than the cap, whatever an honest provider reports', async () => {
    const rate = fc.integer({ min: 0, max: 200 });
    const share = fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true }));
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 30_000 }),
        fc.record({ input: rate, output: rate, read: rate, write: rate }),
        fc.array(
          fc.record({
            text: fc.string({ unit: 'binary', maxLength: 40 }),
            asked: fc.option(fc.integer({ min: 1, max: 3000 }), { nil: undefined }),
            used: fc.tuple(share, share, share, share),
            together: fc.boolean(),
          }),
          { maxLength: 12 },
        ),
        fc.boolean(),
        async (cap, rates, requests, late) => {
          const of: Price = ({ inputTokens, outputTokens, cacheReadTokens = 0, cacheWriteTokens = 0 }) => {
            const plain = inputTokens - cacheReadTokens - cacheWriteTokens;
            const each = [plain * rates.input, cacheReadTokens * rates.read, cacheWriteTokens * rates.write];
            return {
              usd: `0.${String(each.reduce((a, b) => a + b) + outputTokens * rates.output).padStart(9, '0')}` as const,
            };
          };
          let spent = 0;
          const { leash } = leashOf([budget({ usd: `0.${String(cap).padStart(9, '0')}` })], {
            stopOn: 'none',
            ...(late ? { store: lateStore() } : {}),
          });
          const model = new FakeModel(async (request) => {
            const { used } = request.providerOptions as { used: [number, number, number, number] };
            await new Promise(setImmediate);
            const part = (i: 0 | 1 | 2 | 3, most: number): number => Math.floor(most * used[i]);
            const input = Math.max(1, part(0, promptBound(request)));
            const read = part(1, input);
            const write = part(2, input - read);
            const output = part(3, request.maxOutputTokens ?? Number.NaN);
            const cost =
              (input - read - write) * rates.input + read * rates.read + write * rates.write + output * rates.output;
            spent += cost;
            return { usage: tokens(input, output, read, write) };
          });
          const under = leashLanguageModel(leash, model, of);
          const running: Promise<unknown>[] = [];
          for (const { text, asked, used, together } of requests) {
            const request = { ...promptOf(text), maxOutputTokens: asked, providerOptions: { used } };
            running.push(under.doGenerate(request).catch(() => {}));
            if (!together) await Promise.all(running);
          }
          await Promise.all(running);
          expect(spent).toBeLessThanOrEqual(cap);
          expect(await usd(leash)).toMatchObject({ held: '0' });
          expect(Math.round(Number((await usd(leash)).spent) * 1e9)).toBe(spent);
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('a request while the store fails', () => {
  const down: Partial<Store> = Object.fromEntries(
    ['open', 'reserve', 'settle', 'read'].map((method) => [
      method,
      () => {
        throw new Error('down');
      },
    ]),
  );

  it('is refused on record', async () => {
    const { leash, sink } = leashOf([budget({ usd: 1 })], { store: storeWith(down) });
    const { model, raw } = held(leash, () => ({ usage: tokens(1, 1) }));
    expect(await rejection(model.doGenerate(ask))).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(raw.requests).toEqual([]);
    expect(eventsOf(sink)).toMatchObject([{ kind: 'tool_denied', tool: 'leash.hold', code: 'STORE_UNAVAILABLE' }]);
  });

  it('asks for no more output than may be spent without it', async () => {
    const onStoreError = { allowUpTo: { usd: 0.01 } };
    const { leash } = leashOf([budget({ usd: 1 })], { store: storeWith(down), onStoreError });
    const { model, raw } = held(leash, () => ({ usage: tokens(10, 20) }));
    await model.doGenerate({ ...ask, maxOutputTokens: 5000 });
    expect(raw.requests[0]?.maxOutputTokens).toBe(Math.floor((10_000 - bound * 1.25) / 10));
    expect((await leash.usage()).unbooked).toMatchObject({ usd: '0.00021' });
  });
});

describe('reasoning that the provider keeps', () => {
  const metadata = { openai: { itemId: 'rs_1' } };
  const usage = { inputTokens: { total: 9 }, outputTokens: { total: 800, reasoning: 700 } };
  const request = {
    prompt: [
      ...(ask.prompt as unknown[]),
      { role: 'assistant', content: [{ type: 'reasoning', providerOptions: metadata }] },
    ],
    maxOutputTokens: 100,
  };

  it.each([
    {
      how: 'whole',
      answer: () => ({ usage, content: [{ type: 'reasoning', text: '', providerMetadata: metadata }] }),
    },
    {
      how: 'as a stream',
      answer: () => ({
        stream: ReadableStream.from([
          { type: 'reasoning-start', id: 'rs_1:0', providerMetadata: metadata },
          { type: 'finish', usage },
        ]),
      }),
    },
  ])('counts in later requests, whoever makes them, as an answer told $how', async ({ answer }) => {
    const { leash } = leashOf([budget({ usd: 1 })]);
    const first = (await held(leash, answer).model.doStream(ask)) as { stream?: ReadableStream<unknown> };
    for await (const _ of first.stream ?? []);
    const { spent } = await usd(leash);
    let during = {};
    const { model } = held(leash, async () => {
      during = await usd(leash);
      return { usage };
    });
    await model.doGenerate(request);
    expect(during).toEqual({ spent, held: String(((promptBound(request) + 700) * 1.25 + 1000) / 1e6) });
  });
});

describe('a request whose cost nobody can tell', () => {
  const files = { prompt: [{ role: 'user', content: [{ type: 'file', mediaType: 'image/png', data: 'iVBO' }] }] };
  it.each([
    {
      name: 'a model without a price',
      price: () => undefined,
      request: ask,
      error: TypeError,
      message: 'has no price',
    },
    {
      name: 'a price of NaN',
      price: () => ({ usd: Number.NaN }),
      request: ask,
      error: RangeError,
      message: 'model "fake-1"',
    },
    {
      name: 'a price that is no money',
      price: () => null as never,
      request: ask,
      error: TypeError,
      message: 'model "fake-1"',
    },
    { name: 'a prompt with files', price, request: files, error: TypeError, message: '`inputTokens`' },
    {
      name: 'reasoning that somebody else was told of',
      price,
      request: {
        prompt: [{ content: [{ type: 'reasoning', providerOptions: { openai: { itemId: 'rs_0' } } }] }],
      },
      error: TypeError,
      message: '`inputTokens`',
    },
    { name: 'a prompt that is none', price, request: { prompt: 'text' }, error: TypeError, message: '`inputTokens`' },
    {
      name: 'reasoning',
      price,
      request: { ...ask, reasoning: 'high' },
      error: TypeError,
      message: '`reasoningTokens`',
    },
    {
      name: 'a model to fall back on',
      price,
      request: { ...ask, providerOptions: { gateway: { models: ['dearer'] } } },
      error: TypeError,
      message: 'one model',
    },
    {
      name: 'another model in the words of a provider',
      price,
      request: { ...ask, providerOptions: { fake: { model: 'fake-1' }, compatible: { model: 'dearer' } } },
      error: TypeError,
      message: 'model "fake-1", got one that may go to "dearer"',
    },
    {
      name: 'several answers',
      price,
      request: { ...ask, providerOptions: { compatible: { n: 2 } } },
      error: TypeError,
      message: 'one answer',
    },
    {
      name: 'a price of the cache that is no money',
      price: ({ cacheReadTokens }: TokenUsage) => ({ usd: cacheReadTokens === undefined ? 0 : Number.NaN }),
      request: ask,
      error: RangeError,
      message: 'model "fake-1"',
    },
    {
      name: 'no number of tokens',
      price,
      request: { ...ask, maxOutputTokens: Number.NaN },
      error: RangeError,
      message: 'maxOutputTokens',
    },
    {
      name: 'no tokens at all',
      price,
      request: { ...ask, maxOutputTokens: 0 },
      error: RangeError,
      message: 'maxOutputTokens',
    },
  ])('is not sent, on record: $name', async ({ price, request, error, message }) => {
    const { leash, sink } = leashOf([budget({ usd: 1 })]);
    const raw = new FakeModel(() => expect.unreachable('it was sent'));
    const model = leashLanguageModel(leash, raw, price);
    for (const method of ['doGenerate', 'doStream'] as const) {
      const refused = await rejection(model[method](request));
      expect(refused).toBeInstanceOf(error);
      expect(refused.message).toContain(message);
    }
    expect(raw.requests).toEqual([]);
    expect(await usd(leash)).toEqual({ spent: '0', held: '0' });
    const denied = { kind: 'tool_denied', tool: 'leash.hold', code: 'CALL_INVALID', reason: 'estimate' };
    expect(eventsOf(sink)).toMatchObject([denied, denied]);
  });

  it.each([0, -1, 1.5, Number.NaN])('is not sent where its prompt is told to have %d tokens', async (count) => {
    const { leash } = leashOf([budget({ usd: 1 })]);
    const { model, raw } = held(leash, () => ({ usage: tokens(1, 1) }), { inputTokens: () => count });
    const refused = await rejection(model.doGenerate(ask));
    expect(refused).toBeInstanceOf(RangeError);
    expect(refused.message).toContain('`inputTokens`');
    expect(raw.requests).toEqual([]);
  });

  it('is sent when its tokens are told', async () => {
    const { leash } = leashOf([budget({ usd: 1 })]);
    const options = { inputTokens: () => 300, reasoningTokens: 50, maxOutputTokens: 100 };
    let during = {};
    const { model } = held(
      leash,
      async () => {
        during = await usd(leash);
        return { usage: tokens(300, 120) };
      },
      options,
    );
    await model.doGenerate({ ...files, reasoning: 'high' });
    expect(during).toMatchObject({ held: String((300 * 1.25 + 150 * 10) / 1e6) });
  });

  it.each(['provider-default', 'none'])('is not one with reasoning of %s', async (reasoning) => {
    const { leash } = leashOf([budget({ usd: 1 })]);
    const { model, raw } = held(leash, () => ({ usage: tokens(1, 1) }));
    await model.doGenerate({ ...ask, reasoning });
    expect(raw.requests).toHaveLength(1);
  });

  it.each([
    { thinking: { type: 'enabled', budgetTokens: 2000 }, extra: 2000 },
    { thinking: { type: 'enabled' }, extra: 1024 },
    { thinking: { type: 'disabled' }, extra: 0 },
    { thinking: 'enabled', extra: 0 },
  ])('counts a thinking budget on top of the answer: $thinking', async ({ thinking, extra }) => {
    const { leash } = leashOf([budget({ usd: 1 })]);
    let during = {};
    const { model } = held(leash, async () => {
      during = await usd(leash);
      return { usage: tokens(1, 1) };
    });
    const request = { ...ask, maxOutputTokens: 100, providerOptions: { anthropic: { thinking } } };
    await model.doGenerate(request);
    expect(during).toMatchObject({ held: String((promptBound(request) * 1.25 + (100 + extra) * 10) / 1e6) });
  });
});

describe('the end of a request', () => {
  const estimate = String((bound * 1.25 + 100 * 10) / 1e6);
  const request = { ...ask, maxOutputTokens: 100 };

  it.each([
    { name: 'no usage', answer: () => ({}), spent: estimate },
    { name: 'no count of the prompt', answer: () => ({ usage: tokens(undefined, 5) }), spent: estimate },
    { name: 'no count of the answer', answer: () => ({ usage: tokens(5, undefined) }), spent: estimate },
    { name: 'a count that is none', answer: () => ({ usage: tokens(-5, 5) }), spent: estimate },
    { name: 'more than it was to use', answer: () => ({ usage: tokens(1000, 1000) }), spent: '0.011' },
    { name: 'a prompt of nothing, which no request has', answer: () => ({ usage: tokens(0, 0) }), spent: estimate },
  ])('with $name books $spent', async ({ answer, spent }) => {
    const { leash } = leashOf([budget({ usd: 1 })]);
    await held(leash, answer).model.doGenerate(request);
    expect(await usd(leash)).toEqual({ spent, held: '0' });
  });

  it.each([
    { name: 'no answer', answer: () => undefined },
    {
      name: 'a stream that somebody else reads',
      answer: () => {
        const stream = ReadableStream.from([]);
        stream.getReader();
        return { stream };
      },
    },
  ])('holds nothing after $name', async ({ answer }) => {
    const { leash } = leashOf([budget({ usd: 1 })]);
    expect(await rejection(held(leash, answer).model.doStream(request))).toBeInstanceOf(TypeError);
    expect(await usd(leash)).toEqual({ spent: estimate, held: '0' });
  });

  it('asks for a price of the model and of nothing else', async () => {
    const { leash } = leashOf([budget({ usd: 1 })]);
    const asked: unknown[][] = [];
    const raw = new FakeModel(() => ({ usage: tokens(3, 4, 2, 1) }));
    const model = leashLanguageModel(leash, raw, (...given) => {
      asked.push(given);
      return '$0.01';
    });
    await model.doGenerate(request);
    expect(new Set(asked.map(([, of]) => JSON.stringify(of)))).toEqual(
      new Set(['{"provider":"fake.chat","modelId":"fake-1"}']),
    );
    expect(asked.at(-1)?.[0]).toEqual({ inputTokens: 3, outputTokens: 4, cacheReadTokens: 2, cacheWriteTokens: 1 });
  });

  it('refuses the next one where it cost more than there was', async () => {
    const { leash } = leashOf([budget({ usd: '0.005' })]);
    const { model, raw } = held(leash, () => ({ usage: tokens(1000, 1000) }));
    await model.doGenerate(request);
    expect(await usd(leash)).toEqual({ spent: '0.011', held: '0' });
    expect(await rejection(model.doGenerate(request))).toMatchObject({ code: 'BUDGET_EXCEEDED', remaining: '-0.006' });
    expect(raw.requests).toHaveLength(1);
  });

  it.each([
    {
      name: 'throws',
      of: () => {
        throw new Error('no such model any more');
      },
    },
    { name: 'is not known', of: () => undefined },
    { name: 'is no number', of: () => ({ usd: Number.NaN }) },
    { name: 'is negative', of: () => ({ usd: -1 }) },
    { name: 'has no unit', of: () => ({}) as never },
    { name: 'is no money', of: () => 'free' as never },
  ])('keeps the estimate where the price of the truth $name', async ({ of }) => {
    const { leash } = leashOf([budget({ usd: 1 })]);
    let asked = 0;
    const raw = new FakeModel(() => ({ usage: tokens(1, 1) }));
    const model = leashLanguageModel(leash, raw, (...given) => {
      if (raw.requests.length === 0) return price(...given);
      asked++;
      return of();
    });
    await model.doGenerate(request);
    expect(asked).toBe(1);
    expect(await usd(leash)).toEqual({ spent: estimate, held: '0' });
  });

  it.each([
    { onError: undefined, spent: estimate },
    { onError: 'forfeit' as const, spent: estimate },
    { onError: 'refund' as const, spent: '0' },
  ])('by an error, with onError $onError, books $spent', async ({ onError, spent }) => {
    const { leash } = leashOf([budget({ usd: 1 })]);
    const error = new Error('429');
    for (const method of ['doGenerate', 'doStream'] as const) {
      const { model } = held(leash, () => Promise.reject(error), { onError });
      expect(await rejection(model[method](request))).toBe(error);
    }
    expect(await usd(leash)).toEqual({ spent: spent === '0' ? '0' : String(Number(spent) * 2), held: '0' });
  });

  it('of the session before it refuses it with what ended the session', async () => {
    const { leash } = leashOf([callCap(0)]);
    const { model, raw } = held(leash, () => ({ usage: tokens(1, 1) }));
    const denial = await rejection(leash.run({ tool: 't' }, () => {}));
    expect(await rejection(model.doGenerate(request))).toBe(denial);
    leash.stop('by hand');
    expect(await rejection(model.doStream(request))).toBe(leash.breach);
    await leash.close();
    expect(await rejection(model.doStream(request))).toBe(leash.breach);
    const { leash: closed } = leashOf([]);
    await closed.close();
    expect(await rejection(held(closed, () => ({})).model.doGenerate(request))).toMatchObject({
      code: 'SESSION_CLOSED',
    });
    expect(raw.requests).toEqual([]);
  });

  it.each(
    (['doGenerate', 'doStream'] as const).flatMap((method) =>
      ['the session', 'the caller'].flatMap((who) => [true, false].map((heeds) => ({ method, who, heeds }))),
    ),
  )('comes when $who aborts, and is no failure to refund: $method, heeded: $heeds', async ({ method, who, heeds }) => {
    const { leash } = leashOf([budget({ usd: 1 })]);
    const caller = new AbortController();
    const { model } = held(
      leash,
      ({ abortSignal }) =>
        new Promise((_, reject) => {
          if (heeds) abortSignal?.addEventListener('abort', () => reject(abortSignal.reason));
        }),
      { onError: 'refund' },
    );
    const running = model[method]({ ...request, abortSignal: caller.signal });
    while ((await usd(leash)).held === '0') await new Promise(setImmediate);
    const reason = new Error('enough');
    if (who === 'the session') leash.stop('enough');
    else caller.abort(reason);
    expect(await rejection(running)).toBe(who === 'the session' ? leash.breach : reason);
    expect(await usd(leash)).toEqual({ spent: estimate, held: '0' });
  });

  it.each(['doGenerate', 'doStream'] as const)(
    'is not sent, and is free, when its caller has gone: %s',
    async (method) => {
      const { leash } = leashOf([budget({ usd: 1 })]);
      const { model, raw } = held(leash, () => ({ usage: tokens(1, 1) }));
      const reason = new Error('no longer needed');
      expect(await rejection(model[method]({ ...request, abortSignal: AbortSignal.abort(reason) }))).toBe(reason);
      expect(raw.requests).toEqual([]);
      expect(await usd(leash)).toEqual({ spent: '0', held: '0' });
    },
  );

  it('cancels a stream that comes after its caller has gone', async () => {
    const { leash } = leashOf([budget({ usd: 1 })]);
    const caller = new AbortController();
    const cancelled: unknown[] = [];
    const late = Promise.withResolvers<object>();
    const { model } = held(leash, () => late.promise);
    const running = rejection(model.doStream({ ...request, abortSignal: caller.signal }));
    while ((await usd(leash)).held === '0') await new Promise(setImmediate);
    const reason = new Error('enough');
    caller.abort(reason);
    expect(await running).toBe(reason);
    late.resolve({ stream: new ReadableStream({ cancel: (why) => void cancelled.push(why) }) });
    await expect.poll(() => cancelled).toEqual([reason]);
    expect(await usd(leash)).toEqual({ spent: estimate, held: '0' });
  });
});

describe('an answer that is streamed', () => {
  const finish = { type: 'finish', usage: tokens(12, 30) };
  const streaming = (parts: readonly unknown[]) => () => ({
    stream: ReadableStream.from(parts),
    response: { id: 'r' },
  });
  const request = { ...ask, maxOutputTokens: 100 };
  const estimate = String((bound * 1.25 + 100 * 10) / 1e6);
  const parts = [
    { parts: 'a synchronous store', options: () => ({}) },
    { parts: 'an asynchronous store', options: () => ({ store: lateStore() }) },
  ];

  async function opened(answer: (request: ModelRequest) => unknown, options: Partial<LeashOptions> = {}) {
    const { leash } = leashOf([budget({ usd: 1 })], options);
    const given = (await held(leash, answer).model.doStream(request)) as {
      stream: ReadableStream<unknown>;
      response: unknown;
    };
    expect(given.response).toEqual(response(answer));
    expect(await usd(leash)).toEqual({ spent: '0', held: estimate });
    return { leash, stream: given.stream, reader: given.stream.getReader() };
  }
  const response = (answer: (request: never) => unknown): unknown =>
    (answer(undefined as never) as { response: unknown }).response;

  it.each(parts)('is booked when its usage is told, and only once, with $parts', async ({ options }) => {
    const { leash, reader } = await opened(streaming(['a', finish, 'b', finish]), options());
    await reader.read();
    expect(await usd(leash)).toMatchObject({ held: estimate });
    await reader.read();
    expect(await usd(leash)).toEqual({ spent: '0.000312', held: '0' });
    while (!(await reader.read()).done);
    expect(await usd(leash)).toEqual({ spent: '0.000312', held: '0' });
  });

  it.each(parts)('counts as the estimate when it ends without usage, with $parts', async ({ options }) => {
    const { leash, reader } = await opened(streaming(['a']), options());
    while (!(await reader.read()).done);
    expect(await usd(leash)).toEqual({ spent: estimate, held: '0' });
  });

  it.each(parts)('counts as the estimate when it is cancelled, with $parts', async ({ options }) => {
    const { leash, reader } = await opened(streaming(['a', 'b', finish]), options());
    await reader.read();
    await reader.cancel();
    expect(await usd(leash)).toEqual({ spent: estimate, held: '0' });
  });

  it.each(parts)('counts as the estimate when it fails, with $parts', async ({ options }) => {
    const error = new Error('connection lost');
    const { leash, reader } = await opened(() => {
      return { stream: new ReadableStream({ pull: (controller) => controller.error(error) }) };
    }, options());
    expect(await rejection(reader.read())).toBe(error);
    expect(await usd(leash)).toEqual({ spent: estimate, held: '0' });
  });

  it.each(parts)('breaks off with the session, with $parts', async ({ options }) => {
    const { leash, reader } = await opened(streaming(['a', 'b', finish]), options());
    await reader.read();
    leash.stop('enough');
    expect(await rejection(reader.read())).toBe(leash.breach);
    await new Promise(setImmediate);
    expect(await usd(leash)).toEqual({ spent: estimate, held: '0' });
  });
});

describe('usage as specification v2 tells it', () => {
  // Anthropic's cache stands beside the input, and what was written to it elsewhere.
  const usage = { inputTokens: 10, outputTokens: 5, totalTokens: 15, cachedInputTokens: 40 };
  const providerMetadata = { anthropic: { cacheCreationInputTokens: 300 } };

  it.each([
    { method: 'doGenerate' as const, answer: () => ({ usage, providerMetadata }) },
    {
      method: 'doStream' as const,
      answer: () => ({ stream: ReadableStream.from([{ type: 'finish', usage, providerMetadata }]) }),
    },
  ])('is read with the metadata beside it: $method', async ({ method, answer }) => {
    const { leash } = leashOf([budget({ usd: 1 })]);
    const raw = new FakeModel(answer, { specificationVersion: 'v2', provider: 'anthropic.messages' });
    const given = (await leashLanguageModel(leash, raw, price)[method](ask)) as { stream?: ReadableStream<unknown> };
    await given.stream?.getReader().read();
    expect(await usd(leash)).toEqual({ spent: String((10 + 40 * 0.1 + 300 * 1.25 + 50) / 1e6), held: '0' });
  });
});

describe('leashLanguageModel', () => {
  const model = new FakeModel(() => ({ usage: tokens(1, 1) }));
  it.each([
    { name: 'the name of a model', given: 'openai/gpt-5', message: 'gateway()' },
    { name: 'nothing', given: undefined, message: 'got undefined' },
    { name: 'something else', given: { modelId: 'm' }, message: 'doGenerate' },
    {
      name: 'a specification of another time',
      given: new FakeModel(() => {}, { specificationVersion: 'v1' }),
      message: "got 'v1'",
    },
    {
      name: 'one that does not say',
      given: new FakeModel(() => {}, { specificationVersion: undefined as never }),
      message: 'got undefined',
    },
  ])('throws for $name', ({ given, message }) => {
    const { leash } = leashOf([]);
    expect(() => leashLanguageModel(leash, given as FakeModel, price)).toThrow(TypeError);
    expect(() => leashLanguageModel(leash, given as FakeModel, price)).toThrow(message);
  });

  it.each([
    { name: 'no price', of: undefined, options: {}, error: TypeError, message: "function or 'free'" },
    { name: 'a table as the price', of: { 'gpt-5': 1 }, options: {}, error: TypeError, message: "function or 'free'" },
    { name: 'an unknown option', of: price, options: { maxTokens: 5 }, error: TypeError, message: 'maxTokens' },
    {
      name: 'no number of tokens',
      of: price,
      options: { maxOutputTokens: 0 },
      error: RangeError,
      message: 'maxOutputTokens',
    },
    {
      name: 'negative reasoning',
      of: price,
      options: { reasoningTokens: -1 },
      error: RangeError,
      message: 'reasoningTokens',
    },
    {
      name: 'a number for the prompt',
      of: price,
      options: { inputTokens: 5 },
      error: TypeError,
      message: 'inputTokens',
    },
    { name: 'an unknown word', of: price, options: { onError: 'reported' }, error: TypeError, message: 'onError' },
  ])('throws for $name', ({ of, options, error, message }) => {
    const { leash } = leashOf([]);
    const hold = () => leashLanguageModel(leash, model, of as Price, options as LeashModelOptions);
    expect(hold).toThrow(error);
    expect(hold).toThrow(message);
  });

  it('holds a model once for each leash', async () => {
    const { leash } = leashOf([budget({ usd: 1 })]);
    const raw = new FakeModel(() => ({ usage: tokens(100, 0) }));
    const once = leashLanguageModel(leash, raw, price);
    expect(leashLanguageModel(leash, once, price)).toBe(once);
    const child = leash.child({ guards: [] });
    const both = leashLanguageModel(child, once, price);
    expect(both).not.toBe(once);
    expect(leashLanguageModel(leash, both, price)).toBe(both);
    expect(leashLanguageModel(child, both, price)).toBe(both);
    await once.doGenerate(ask);
    expect(await usd(leash)).toMatchObject({ spent: '0.0001' });
  });

  it('counts nothing of a model that is free, and still ends with the session', async () => {
    const { leash, sink } = leashOf([budget({ usd: 0 })]);
    const raw = new FakeModel(() => ({ usage: tokens(1, 1) }));
    const model = leashLanguageModel(leash, raw, 'free');
    await model.doGenerate({ ...ask, reasoning: 'high' });
    await rejection(
      leashLanguageModel(leash, new FakeModel(() => Promise.reject(new Error('x'))), 'free').doGenerate(ask),
    );
    expect(raw.requests[0]).not.toHaveProperty('maxOutputTokens');
    expect(eventsOf(sink)).toMatchObject([{ kind: 'charge', note: 'fake.chat/fake-1' }, { kind: 'charge' }]);
    leash.stop('enough');
    expect(await rejection(model.doGenerate(ask))).toBe(leash.breach);
  });
});
