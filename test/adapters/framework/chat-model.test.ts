import { describe, expect, it } from 'vitest';
import { leashChatModel } from '../../../src/adapters/framework/chat-model.ts';
import type { ChatModel } from '../../../src/adapters/framework/chat-request.ts';
import { budget } from '../../../src/guards/budget.ts';
import { createLeash } from '../../../src/leash.ts';
import type { Price } from '../../../src/prices/price.ts';
import { rejection } from '../../helpers/refused.ts';

const price: Price = ({ inputTokens, outputTokens }) => ({ usd: (inputTokens + outputTokens * 10) / 1e6 });

/** A model whose limit is an option of each call, as Google's. */
class ByOption implements ChatModel {
  readonly sent: Record<string, unknown>[] = [];
  #tools: unknown;

  bindTools(tools: unknown): ByOption {
    const bound = new ByOption();
    bound.#tools = tools;
    return Object.assign(bound, { sent: this.sent });
  }

  invocationParams({ maxOutputTokens }: { maxOutputTokens?: number }): object {
    return { tools: this.#tools, generationConfig: { maxOutputTokens } };
  }

  async invoke(messages: unknown, options: Record<string, unknown>): Promise<object> {
    this.sent.push({ messages, ...options });
    return { content: 'x', usage_metadata: { input_tokens: 10, output_tokens: 20, total_tokens: 30 } };
  }
}

describe('a chat model under the leash', () => {
  const tools = [{ functionDeclarations: [{ name: 'search' }] }];

  it('passes on the limit as an option where it takes it so, and what else it was asked with', async () => {
    const leash = createLeash({ guards: [budget({ usd: '0.01' })] });
    const model = new ByOption();
    const held = leashChatModel(model, { leash, price, options: {} });
    await held.bindTools(tools).invoke([{ content: 'go' }], { tags: ['x'] });
    await held.invoke('go', {});
    expect(model.sent).toMatchObject([
      { messages: [{ content: 'go' }], tags: ['x'], maxOutputTokens: expect.toSatisfy((n: number) => n < 1000) },
      { messages: 'go' },
    ]);
    expect((await leash.usage()).limits).toMatchObject([{ spent: '0.00042', held: '0' }]);
  });

  it('counts no fewer tokens than its caller says', async () => {
    const leash = createLeash({ guards: [budget({ usd: 1 })] });
    const seen: unknown[] = [];
    const inputTokens = (messages: readonly unknown[], parameters: object): number => {
      seen.push([messages, parameters]);
      return 990_000;
    };
    const model = new ByOption();
    const held = leashChatModel(model, { leash, price, options: { inputTokens } });
    await held.bindTools(tools).invoke('go', {});
    expect(seen[0]).toEqual([['go'], { tools, generationConfig: { maxOutputTokens: undefined } }]);
    expect(model.sent).toMatchObject([{ maxOutputTokens: 1000 }]);
  });

  const plain = { invoke: async (): Promise<string> => 'x' };
  it.each([
    { name: 'nothing', model: undefined },
    { name: 'a model that cannot be given tools', model: plain },
    { name: 'a sequence of steps', model: { ...plain, steps: [new ByOption()] } },
    { name: 'a binding of such', model: { bound: plain } },
  ])('is not made of $name', ({ model }) => {
    const terms = { leash: createLeash({ guards: [] }), price, options: {} };
    expect(() => leashChatModel(model, terms)).toThrow('a chat model with `bindTools`');
  });

  it('is refused as it was asked: nothing is sent', async () => {
    const leash = createLeash({ guards: [budget({ usd: '0.0001' })] });
    const model = new ByOption();
    const held = leashChatModel(model, { leash, price, options: {} });
    expect(await rejection(held.invoke('go', {}))).toMatchObject({ code: 'BUDGET_EXCEEDED' });
    expect(model.sent).toEqual([]);
  });
});
