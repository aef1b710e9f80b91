/** What limits are worth when calls run at once: every peer with a budget or a counter gets the same calls. */
import { budget, createLeash } from 'leashkit';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { governanceName, governanceSdk } from './agent-governance.ts';
import { llmBudget, llmBudgetName, type Usage } from './llm-budget.ts';
import { peer, peerName } from './peers.ts';

const CALLS = 100;
const CENTS = 10;
const CAP_CENTS = 100;

/** How many tools ran, and what that came to. */
interface Outcome {
  readonly ran: number;
  readonly usd: string;
}

export interface Correctness {
  readonly name: string;
  /** What it was told of a call beforehand, and what it counts. */
  readonly how: string;
  /** All calls at once. */
  readonly parallel: Outcome;
  /** The same calls, each after the one before. */
  readonly inTurn: Outcome;
}

type Tool = () => Promise<Usage>;

interface Contender {
  readonly name: string;
  readonly how: string;
  /** Puts a fresh cap of $1 around the tool: what it returns runs it, or refuses. */
  guard(tool: Tool): () => Promise<unknown>;
}

function leashkit(): Contender {
  return {
    name: 'leashkit',
    how: '`budget({ usd: 1 })`, an estimate of $0.10',
    guard(tool) {
      const leash = createLeash({ guards: [budget({ usd: 1 })] });
      return leash.wrap('pay', tool, {
        cost: { usd: '0.10' },
        actualCost: ({ inputTokens }) => ({ usd: inputTokens / 100 }),
      });
    },
  };
}

function rateLimiter(): Contender {
  return {
    name: peerName('rate-limiter-flexible'),
    how: '100 points, 10 consumed before the call',
    guard(tool) {
      const limiter = new RateLimiterMemory({ points: CAP_CENTS, duration: 0 });
      return async () => {
        await limiter.consume('bench', CENTS);
        return tool();
      };
    },
  };
}

function llmBudgetGuard(how: string, reserves: boolean): Contender {
  return {
    name: llmBudgetName,
    how,
    guard(tool) {
      const { Budget, MemoryStore } = llmBudget();
      const prices = { bench: { input: 10_000, output: 10_000 } };
      const guard = new Budget({ store: new MemoryStore(), limits: { usd: CAP_CENTS / 100 }, prices });
      return () => guard.guard('bench', tool, reserves ? { reserve: usage } : {});
    },
  };
}

/** It has no money; a rule may limit how often it applies. */
function governanceRule(): Contender {
  return {
    name: governanceName,
    how: "no budget; the policy engine, a rule with `limit: '10/hour'`",
    guard(tool) {
      const { AgentMeshClient } = governanceSdk();
      const client = new AgentMeshClient({ agentId: 'bench' });
      const rule = { name: 'pay', condition: "tool == 'pay'", ruleAction: 'allow', limit: '10/hour' } as const;
      client.policy.loadPolicy({ name: 'bench', rules: [rule] });
      return async () => {
        if (!client.policy.evaluatePolicy(client.identity.did, { tool: 'pay' }).allowed) throw new Error('refused');
        return tool();
      };
    },
  };
}

function governanceClient(): Contender {
  return {
    name: governanceName,
    how: 'no budget; the same limit in the rules of the client, whose `executeWithGovernance` does not look at it',
    guard(tool) {
      const { AgentMeshClient } = governanceSdk();
      const policyRules = [{ name: 'pay', action: 'pay', effect: 'allow', limit: '10/hour' }] as const;
      const client = new AgentMeshClient({ agentId: 'bench', policyRules });
      return async () => {
        if ((await client.executeWithGovernance('pay', {})).decision !== 'allow') throw new Error('refused');
        return tool();
      };
    },
  };
}

interface SpendGuard {
  wrap<T extends object>(client: T): T;
  track(usage: Usage): Promise<unknown>;
}

interface CostGuard {
  createGuard(options: object): SpendGuard;
  createExpressMiddleware(
    guard: SpendGuard,
    options: object,
  ): (request: object, response: object, next: (error?: unknown) => void) => Promise<void>;
}

function oneDollarGuard(): SpendGuard {
  // Its ES module entry names files that are not there; CommonJS loads.
  return peer<CostGuard>('llm-cost-guard').createGuard({
    budgets: [{ id: 'all', limitUsd: CAP_CENTS / 100, windowMs: 3_600_000 }],
    pricing: { bench: { inputPerMillionUsd: 10_000, outputPerMillionUsd: 10_000 } },
  });
}

function costGuard(): Contender {
  return {
    name: peerName('llm-cost-guard'),
    how: '`wrap`, which records what a call has cost',
    guard(tool) {
      const call = async (): Promise<object> => {
        const { model, inputTokens, outputTokens } = await tool();
        return { model, usage: { input_tokens: inputTokens, output_tokens: outputTokens } };
      };
      const client = oneDollarGuard().wrap({ call });
      return () => client.call();
    },
  };
}

function costGuardPrecheck(): Contender {
  return {
    name: peerName('llm-cost-guard'),
    how: 'its Express middleware with `precheck`, and `track` after the call',
    guard(tool) {
      const { createExpressMiddleware } = peer<CostGuard>('llm-cost-guard');
      const guard = oneDollarGuard();
      const precheck = { enabled: true, maxSpendUsd: CAP_CENTS / 100, windowMs: 3_600_000 };
      const middleware = createExpressMiddleware(guard, { precheck });
      return async () => {
        let passed = false;
        const response = { status: () => ({ json: () => {} }) };
        await middleware({}, response, (error) => {
          passed = error === undefined;
        });
        if (!passed) throw new Error('refused');
        await guard.track(await tool());
      };
    },
  };
}

/** $0.10 at $10,000 for a million tokens. */
const usage: Usage = { model: 'bench', inputTokens: CENTS, outputTokens: 0 };

async function outcome(contender: Contender, parallel: boolean): Promise<Outcome> {
  let ran = 0;
  const tool: Tool = async () => {
    ran++;
    // What it costs is known when it has ended, and the others have begun by then.
    await new Promise(setImmediate);
    return usage;
  };
  const attempt = contender.guard(tool);
  const attempts: Promise<unknown>[] = [];
  for (let i = 0; i < CALLS; i++) {
    const made = attempt();
    attempts.push(made);
    if (!parallel) await made.catch(() => {});
  }
  await Promise.allSettled(attempts);
  return { ran, usd: ((ran * CENTS) / 100).toFixed(2) };
}

export const correctnessTitle: string = `${CALLS} calls of $0.10 each under a cap of $1.00`;

/** @param peers whether those of bench/peers are installed. */
export async function compareCorrectness(peers: boolean): Promise<readonly Correctness[]> {
  const contenders = [leashkit(), rateLimiter()];
  if (peers) {
    contenders.push(
      llmBudgetGuard('`guard` with `reserve`, an estimate of $0.10', true),
      llmBudgetGuard('`guard` as by default, which checks first and records after', false),
      governanceRule(),
      governanceClient(),
      costGuard(),
      costGuardPrecheck(),
    );
  }
  const rows: Correctness[] = [];
  for (const contender of contenders) {
    const { name, how } = contender;
    rows.push({ name, how, parallel: await outcome(contender, true), inTurn: await outcome(contender, false) });
  }
  return rows;
}
