// A payment whose answer is lost, and an agent that tries again: with an idempotency key it is paid and counted once.
import { budget, createLeash, findLeashError } from 'leashkit';

const provider = new Map<string, number>();

// #region pay
const leash = createLeash({ guards: [budget({ usd: 100 }), budget({ usd: 60, per: 'call' })], stopOn: 'none' });
const pay = leash.wrap('pay', charge, {
  cost: ({ cents }) => ({ usd: cents / 100 }),
  idempotencyKey: ({ order }) => order, // the provider gets the same key: it is who takes the money once
});
// #endregion

await show('order 7', pay({ order: '7', cents: 6000 }));
await show('order 7 again', pay({ order: '7', cents: 6000 }));
await show('order 8', pay({ order: '8', cents: 7000 }));
await Promise.all([
  show('order 9', pay({ order: '9', cents: 3000 })),
  show('order 9 at the same time', pay({ order: '9', cents: 3000 })),
]);
await show('order 10', pay({ order: '10', cents: 2000 }));

const { calls, usd } = await leash.usage();
const taken = [...provider.values()].reduce((sum, cents) => sum + cents / 100, 0);
console.log(`${calls} calls; the leash counts $${usd}, the provider took $${taken}`);
await leash.close();

/** A provider as they all are: it remembers keys, and now and then its answer does not arrive. */
async function charge({ order, cents }: { order: string; cents: number }): Promise<string> {
  if (provider.has(order)) return 'paid before';
  provider.set(order, cents);
  if (order === '7') throw new Error('the connection was closed before an answer came');
  return 'paid';
}

async function show(what: string, payment: Promise<string>): Promise<void> {
  const outcome = await payment.catch((error) => findLeashError(error)?.message ?? String(error));
  console.log(`${what}: ${outcome}`);
}

// Output:
// order 7: Error: the connection was closed before an answer came
// order 7 again: paid before
// order 8: Tool "pay" was refused: it needs $70.00, more than the whole budget of $60.00. Do not retry.
// order 9 at the same time: Tool "pay" was refused: a call with the same idempotency key is still running.
// order 9: paid
// order 10: Tool "pay" was refused: it needs $20.00 and the budget of $100.00 has $10.00 left. Do not retry.
// 3 calls; the leash counts $90, the provider took $90
