// A tool proves to the service that it calls that this very call was allowed: no shared secret, no phone home.
import { callCap, createLeash, currentCall, memorySeen, memorySink, proofKey, verifyProof } from 'leashkit';

// #region prove
const audit = memorySink();
const leash = createLeash({ agent: 'buyer', guards: [callCap(10)], audit });
const order = leash.wrap('order', async (args: { item: string; cents: number }) => {
  const token = currentCall()?.proof({ audience: 'shop.example', ttlMs: 60_000 }) ?? '';
  return shop(token, args);
});
// #endregion

// #region check
const seen = memorySeen(); // single use
async function shop(token: string, args: unknown): Promise<string> {
  const proof = await verifyProof(token, { keys: [agentKey], audience: 'shop.example', args, seen });
  return `${proof.sub} may call ${proof.tool}`;
}
// #endregion

// What the shop was given with the agent's registration; here it is taken from the log's first line.
const { origin, key } = JSON.parse(audit.lines[0] ?? '{}');
const agentKey = proofKey(origin, key);

console.log(await order({ item: 'lamp', cents: 4000 }));
await leash.close();

// Output:
// buyer may call order
