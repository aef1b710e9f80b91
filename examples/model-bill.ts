// Paying for the model itself: hold an upper bound before the request, settle what it really cost.
import { budget, createLeash, findLeashError } from 'leashkit';

// #region hold
const leash = createLeash({ guards: [budget({ usd: '0.05' })] });

async function ask(prompt: string): Promise<string> {
  const hold = await leash.hold('$0.02', 'gpt-5 request');
  try {
    const { text, usd } = await model(prompt);
    await hold.settle({ usd });
    return text;
  } catch (error) {
    await hold.settle('$0.02'); // nobody knows what was billed: keep the bound
    throw error;
  }
}

try {
  for (;;) console.log(await ask('again'));
} catch (error) {
  console.log(findLeashError(error)?.message);
}
// #endregion
await leash.close();

async function model(prompt: string): Promise<{ text: string; usd: number }> {
  return { text: `${prompt}!`, usd: 0.0125 };
}

// Output:
// again!
// again!
// again!
// Tool "leash.hold" was refused: it needs $0.02 and the budget of $0.05 has $0.0125 left. Do not retry.
