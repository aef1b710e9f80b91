// Tools for the AI SDK out of functions under a leash, each call of which prints what became of it.
import { jsonSchema, type Tool, tool } from 'ai';
import { findLeashError, type Leash, type LeashError } from 'leashkit';

export function printing(
  leash: Leash,
  tools: Record<string, (input: never) => Promise<unknown>>,
): Record<string, Tool> {
  row('call', 'decision', 'why', 'spent', 'left');
  const made = Object.entries(tools).map(([name, run]): [string, Tool] => {
    const execute = (input: object) => printed(leash, name, input, () => run(input as never));
    // The model's schema is loose on purpose: what the model sends is checked by the leash.
    return [name, tool({ inputSchema: jsonSchema<object>({ type: 'object' }), execute })];
  });
  return Object.fromEntries(made);
}

async function printed(leash: Leash, name: string, input: object, run: () => Promise<unknown>): Promise<unknown> {
  let outcome = ['ran', ''] as const;
  try {
    return await run();
  } catch (error) {
    const refusal = findLeashError(error);
    outcome = ['refused', refusal === undefined ? String(error) : `${refusal.code} ${detail(refusal)}`] as never;
    throw error;
  } finally {
    const usd = (await leash.usage()).limits.find(({ unit }) => unit === 'usd');
    row(`${name} ${Object.values(input)[0]}`, ...outcome, `$${usd?.spent}`, `$${usd?.remaining}`);
  }
}

function detail(refusal: LeashError): string {
  const { reason, issues } = refusal as { reason?: string; issues?: { path: string; rule: string }[] };
  return issues?.map(({ path, rule }) => `${path} ${rule}`).join(', ') ?? reason ?? '';
}

function row(...[call, decision, why, spent, left]: [string, string, string, string, string]): void {
  const cells = [call.padEnd(20), decision.padEnd(10), why.padEnd(38), spent.padEnd(8), left];
  console.log(cells.join(' '));
}
