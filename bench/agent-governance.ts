import { callCap, createLeash, memorySink } from 'leashkit';
import { type Input, input } from './input.ts';
import type { Group, Subject } from './measure.ts';
import { peer, peerName } from './peers.ts';
import { fiveGuardCalls, tool } from './whole-call.ts';

const PACKAGE = '@microsoft/agent-governance-sdk';

interface Rule {
  readonly name?: string;
  readonly action?: string;
  readonly effect?: 'allow' | 'deny';
  readonly condition?: string;
  readonly ruleAction?: 'allow' | 'deny';
  readonly priority?: number;
  readonly limit?: string;
}

interface Client {
  readonly identity: { readonly did: string };
  readonly policy: {
    loadPolicy(policy: { name: string; rules: readonly Rule[] }): void;
    evaluatePolicy(agent: string, context: object): { readonly allowed: boolean };
  };
  readonly audit: { log(entry: { agentId: string; action: string; decision: 'allow' | 'deny' }): unknown };
  executeWithGovernance(action: string, params: object): Promise<{ readonly decision: string }>;
}

interface Sdk {
  readonly AgentMeshClient: new (config: {
    agentId: string;
    policyRules?: readonly Rule[];
    audit?: { maxEntries: number };
  }) => Client;
  readonly GenericFrameworkAdapter: new (
    client: Client,
  ) => { run(invocation: object, handler: () => unknown): Promise<{ readonly allowed: boolean }> };
}

export function governanceSdk(): Sdk {
  return peer<Sdk>(PACKAGE);
}

export const governanceName: string = peerName(PACKAGE);

const action = 'stripe.charge';
const flat: readonly Rule[] = [{ action, effect: 'allow' }];

/** What five guards decide, as far as conditions can say it. The strictest has the highest priority. */
const conditions: readonly Rule[] = [
  { name: 'amount', condition: 'args.cents > 1000000', ruleAction: 'deny', priority: 5 },
  { name: 'currency', condition: "args.currency not in ['usd', 'eur']", ruleAction: 'deny', priority: 4 },
  { name: 'host', condition: "host not in ['api.stripe.com']", ruleAction: 'deny', priority: 3 },
  { name: 'calls', condition: "tool == 'stripe.charge'", ruleAction: 'allow', priority: 1, limit: '1000000000/second' },
];

function decided(name: string, maxEntries: number): Subject {
  const { AgentMeshClient } = governanceSdk();
  let kept: Client | undefined;
  return {
    name,
    async run(rounds) {
      // Without a bound a client keeps every entry: one for each slice. With one it is the full log that is of interest.
      const client = kept ?? new AgentMeshClient({ agentId: 'bench', policyRules: flat, audit: { maxEntries } });
      if (Number.isFinite(maxEntries)) kept = client;
      for (let i = 0; i < rounds; i++) {
        const { decision } = await client.executeWithGovernance(action, { ...input });
        if (decision !== 'allow') throw new Error('refused');
        await tool(input);
      }
    },
  };
}

function conditioned(): Subject {
  const { AgentMeshClient } = governanceSdk();
  return {
    name: `${governanceName}: four conditions, one entry, the tool`,
    async run(rounds) {
      const client = new AgentMeshClient({ agentId: 'bench', audit: { maxEntries: Number.POSITIVE_INFINITY } });
      client.policy.loadPolicy({ name: 'bench', rules: conditions });
      const agentId = client.identity.did;
      for (let i = 0; i < rounds; i++) {
        const context = { tool: action, host: 'api.stripe.com', args: { ...input } };
        if (!client.policy.evaluatePolicy(agentId, context).allowed) throw new Error('refused');
        client.audit.log({ agentId, action, decision: 'allow' });
        await tool(input);
      }
    },
  };
}

function adapted(): Subject {
  const { AgentMeshClient, GenericFrameworkAdapter } = governanceSdk();
  return {
    name: `${governanceName}: GenericFrameworkAdapter.run, one flat rule`,
    async run(rounds) {
      const unbounded = { maxEntries: Number.POSITIVE_INFINITY };
      const client = new AgentMeshClient({ agentId: 'bench', policyRules: flat, audit: unbounded });
      const adapter = new GenericFrameworkAdapter(client);
      for (let i = 0; i < rounds; i++) {
        const invocation = { name: action, kind: 'tool_call', action, input: { ...input } };
        const { allowed } = await adapter.run(invocation, () => tool(input));
        if (!allowed) throw new Error('refused');
      }
    },
  };
}

function oneGuard(): Subject {
  return {
    name: 'leash.wrap, one guard: two entries, each with what commits to the arguments or the cost',
    async run(rounds) {
      const leash = createLeash({ guards: [callCap(1e12)], audit: { sink: memorySink(), sign: 'none' } });
      const call = leash.wrap(action, (args: Input) => tool(args));
      for (let i = 0; i < rounds; i++) await call(input);
      await leash.close();
    },
  };
}

export const governance: Group = {
  id: 'agent-governance',
  title: `A decision and its audit in memory, and the tool, beside ${governanceName}`,
  goal: {
    of: 'leash.wrap, five guards',
    ratio: 2,
    because:
      'the leash reads, validates, copies and commits to the arguments, of which the log of the other has nothing',
  },
  note: 'Its audit entries hold action and decision without arguments, and can be checked in the process that made them.',
  subjects: () => [
    decided(
      `${governanceName}: one flat rule, one entry, the tool; its log is full, as it is from 10,000 entries on`,
      10_000,
    ),
    decided('the same with a log that has no bound', Number.POSITIVE_INFINITY),
    conditioned(),
    adapted(),
    oneGuard(),
    fiveGuardCalls('leash.wrap, five guards', 'none'),
    fiveGuardCalls('the same with a signed log, as it is by default', 'checkpoint'),
  ],
};
