// A tool that streams: it stays an async generator, tells what it has spent as it goes, and is settled when it ends.
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

for await (const word of write('a leash that holds')) console.log(word);
const [usd] = (await leash.usage()).limits;
console.log(`spent $${usd?.spent}, held $${usd?.held}`);
// #endregion
await leash.close();

// Output:
// A
// LEASH
// THAT
// HOLDS
// spent $0.008, held $0
