// A tool that streams, and a reader that stops halfway: what has come was paid for, and the rest is not held for ever.
import { budget, createLeash, currentCall } from 'leashkit';

// #region stream
const leash = createLeash({ guards: [budget({ usd: 1 })] });

const write = leash.wrap(
  'write',
  async function* (prompt: string) {
    for (const word of prompt.split(' ')) {
      currentCall()?.charge('$0.002');
      yield word.toUpperCase();
    }
  },
  { cost: '$0.10' },
);

for await (const word of write('a leash that holds')) {
  console.log(word, await money());
  if (word === 'LEASH') break;
}
console.log('after the break', await money());
// #endregion

async function money(): Promise<string> {
  const [usd] = (await leash.usage()).limits;
  return `spent $${usd?.spent}, held $${usd?.held}`;
}
await leash.close();

// Output:
// A spent $0, held $0.1
// LEASH spent $0, held $0.1
// after the break spent $0.004, held $0
