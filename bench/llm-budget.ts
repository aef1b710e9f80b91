import { budget, callCap, createLeash, memorySink, rateLimit } from 'leashkit';
import { type Input, input } from './input.ts';
import type { Group, Subject } from './measure.ts';
import { peer, peerName } from './peers.ts';

export interface Usage {
  readonly model: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

interface LlmBudget {
  readonly MemoryStore: new () => object;
  readonly Budget: new (options: {
    store: object;
    limits: { usd?: number; requests?: number; rate?: { requests: number; perMs: number } };
    prices: Readonly<Record<string, { input: number; output: number }>>;
  }) => {
    guard<R>(principal: string, call: () => Promise<R>, options?: { reserve?: Usage }): Promise<R>;
    summary(principal: string): Promise<{ readonly usd: { readonly used: number } }>;
  };
}

export function llmBudget(): LlmBudget {
  return peer<LlmBudget>('llm-budget');
}

export const llmBudgetName: string = peerName('llm-budget');

/** A call of $0.15 that was estimated at $0.18, as in the groups of stores. */
const usage: Usage = { model: 'bench', inputTokens: 150, outputTokens: 0 };
const estimate: Usage = { model: 'bench', inputTokens: 180, outputTokens: 0 };

function guarded(name: string, reserves: boolean): Subject {
  const { Budget, MemoryStore } = llmBudget();
  const limits = { usd: 9e6, requests: 1e12, rate: { requests: 1e9, perMs: 1000 } };
  const guard = new Budget({ store: new MemoryStore(), limits, prices: { bench: { input: 1000, output: 1000 } } });
  const options = reserves ? { reserve: estimate } : {};
  const call = async (): Promise<Usage> => usage;
  return {
    name,
    async run(rounds) {
      for (let i = 0; i < rounds; i++) await guard.guard('bench', call, options);
    },
  };
}

function leashed(): Subject {
  return {
    name: 'leash.wrap, the same three limits, and a log of two chained events a call',
    async run(rounds) {
      const leash = createLeash({
        guards: [budget({ usd: 9_000_000 }), callCap(1e12), rateLimit({ max: 1e9, per: '1s' })],
        audit: { sink: memorySink(), sign: 'none' },
      });
      const call = leash.wrap('model', async (_: Input) => usage, {
        cost: { usd: 0.18 },
        actualCost: ({ inputTokens }) => ({ usd: inputTokens / 1000 }),
      });
      for (let i = 0; i < rounds; i++) await call(input);
      await leash.close();
    },
  };
}

export const besideLlmBudget: Group = {
  id: 'llm-budget',
  title: `A budget, a call cap and a rate limit around a call, in memory, beside ${llmBudgetName}`,
  note: 'llm-budget keeps no log.',
  subjects: () => [
    guarded(`${llmBudgetName}: guard with \`reserve\``, true),
    guarded(`${llmBudgetName}: guard as by default, which checks first and records after`, false),
    leashed(),
  ],
};
