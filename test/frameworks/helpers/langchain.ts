import { ChatAnthropic } from '@langchain/anthropic';
import { AIMessage } from '@langchain/core/messages';
import { type FakeBuiltModel, fakeModel } from '@langchain/core/testing';
import { ChatOpenAI } from '@langchain/openai';
import { anthropicWire, completionsWire, type Wire, type WireAnswer, type WireRequest } from './wire.ts';

/** A model that calls `search` in every answer, `parallel` times at once. */
export function searchingModel(parallel = 1): FakeBuiltModel {
  const model = fakeModel();
  for (let i = 0; i < 30; i++) {
    const calls = Array.from({ length: parallel }, (_, j) => {
      const query = parallel === 1 ? `q${i}` : `q${i}.${j}`;
      return { name: 'search', args: { query }, id: `call-${i}-${j}`, type: 'tool_call' as const };
    });
    model.respond(new AIMessage({ content: '', tool_calls: calls }));
  }
  return model;
}

/** Real models of two providers, which count what they use and meet no network. */
export interface ChatProvider {
  readonly name: string;
  readonly wire: (answer: (request: WireRequest, index: number) => WireAnswer | Promise<WireAnswer>) => Wire;
  readonly model: (wire: Wire, options?: { maxTokens?: number; streaming?: boolean }) => ChatOpenAI | ChatAnthropic;
}

export const providers: readonly ChatProvider[] = [
  {
    name: 'ChatOpenAI',
    wire: completionsWire,
    model: ({ fetch }, options) =>
      new ChatOpenAI({ model: 'gpt-5', apiKey: 'key', maxRetries: 0, configuration: { fetch }, ...options }),
  },
  {
    name: 'ChatAnthropic',
    wire: anthropicWire,
    model: ({ fetch }, options) =>
      new ChatAnthropic({
        model: 'claude-sonnet-4-5',
        apiKey: 'key',
        maxRetries: 0,
        clientOptions: { fetch, maxRetries: 0 },
        ...options,
      }),
  },
];
