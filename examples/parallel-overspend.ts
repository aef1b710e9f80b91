// A hundred calls at once, each of which would have seen money left: a few lines between you and the bill.

// #region wrap
import { budget, callCap, createLeash, fileSink } from 'leashkit';

async function chargeCard({ cents }: { cents: number }): Promise<string> {
  return `charged ${cents} cents`; // your tool
}

const leash = createLeash({ guards: [budget({ usd: 1 }), callCap(50)], audit: fileSink('audit.jsonl') });
const charge = leash.wrap('stripe.charge', chargeCard, { cost: ({ cents }) => ({ usd: cents / 100 }) });

const attempts = await Promise.allSettled(Array.from({ length: 100 }, () => charge({ cents: 18 })));
console.log(`${attempts.filter(({ status }) => status === 'fulfilled').length} of 100 ran`);
console.log(leash.breach?.message);
await leash.close();
// #endregion

// Output:
// 5 of 100 ran
// Tool "stripe.charge" was refused: it needs $0.18 and the budget of $1.00 has $0.10 left while other calls run. Do not retry.
